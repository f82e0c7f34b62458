//! Web servers that show any bytes as their certificates, for tests/outside: OpenSSL would not load many of them.
//!
//! For each line `KEY.der CERTIFICATE.der...` of standard input (a key in PKCS#8) one server on 127.0.0.1, whose port is
//! printed. They end with standard input.
#![allow(clippy::unwrap_used)]

use std::{fs, io::stdin, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

const PAGE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

/// The same for everybody, whether key and certificate fit each other or not.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

#[tokio::main]
async fn main() {
    let provider = Arc::new(aws_lc_rs::default_provider());
    // Whoever started this lets go of it by closing its end, however it ends itself.
    let (lines, mut read) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || stdin().lines().try_for_each(|line| lines.send(line.unwrap())));
    while let Some(line) = read.recv().await {
        let mut files = line.split_whitespace().map(|file| fs::read(file).unwrap());
        let key = files.next().unwrap();
        let acceptor = acceptor(key, files.collect(), &provider);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, acceptor.clone()));
            }
        });
    }
}

fn acceptor(key: Vec<u8>, chain: Vec<Vec<u8>>, provider: &Arc<CryptoProvider>) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let key = provider.key_provider.load_private_key(key).unwrap();
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let shown = Arc::new(Always(Arc::new(CertifiedKey::new(chain, key))));
    TlsAcceptor::from(Arc::new(config.unwrap().with_no_client_auth().with_cert_resolver(shown)))
}

async fn answer(stream: TcpStream, acceptor: TlsAcceptor) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    if stream.read(&mut [0; 8192]).await.is_ok_and(|length| length > 0) {
        let _ = stream.write_all(PAGE).await;
        let _ = stream.shutdown().await;
    }
}
