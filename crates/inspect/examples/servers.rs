//! Many web servers with TLS on this machine, for scripts/bench_sweep.py.
//!
//!     servers ROOT-FILE COUNT
//!
//! Each has an address of its own in 127/8, all the same port, and a certificate for its address. The root that issued
//! them goes to the file; their targets are printed, a line each, once all of them answer. They end with standard input.
#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use time::OffsetDateTime;
use tokio::{io::AsyncReadExt, net::TcpListener};
use tokio_rustls::TlsAcceptor;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1);
    let (file, count) = (words.next().unwrap(), words.next().unwrap().parse().unwrap());
    let mut authority = params("Root");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(file, root.pem()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut port = 0;
    let mut targets = String::new();
    for number in 0..count {
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + number);
        let listener = TcpListener::bind((address, port)).await.unwrap();
        port = listener.local_addr().unwrap().port();
        targets += &format!("{address}:{port}\n");
        tokio::spawn(serve(listener, acceptor(address, &root, &provider)));
    }
    std::io::stdout().write_all(targets.as_bytes()).unwrap();
    println!();
    // Whoever started this lets go of it by closing its end, however it ends itself.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_secs(24 * 3600);
    params.not_after = now + Duration::from_secs(300 * 24 * 3600);
    params
}

fn acceptor(address: Ipv4Addr, root: &Issuer<'_, KeyPair>, provider: &Arc<CryptoProvider>) -> TlsAcceptor {
    let mut leaf = params("Camera");
    leaf.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(address))];
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, root).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    // The server is not what is measured.
    config.send_tls13_tickets = 0;
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor) {
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                // Until the other side goes.
                let _ = stream.read(&mut [0; 1024]).await;
            }
        });
    }
}
