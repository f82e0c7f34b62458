//! Servers on loopback, on ports that the system chooses, and certificates as good or bad as a test needs.

// Clippy knows a test by its attribute, and the helpers here have none.
#![allow(
    clippy::unwrap_used,
    dead_code,
    missing_docs,
    reason = "each user of this module takes its own part"
)]

use std::{net::IpAddr, sync::Arc, time::Duration};

use pki::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SignatureAlgorithm,
};
use rustls::{
    RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use time::{OffsetDateTime, macros::datetime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

// Of this crate's own tests or of one beside it, which names it in its root.
use crate::Options;

/// The time at which the tests judge.
pub const NOW: OffsetDateTime = datetime!(2027-01-01 12:00 UTC);

/// `NOW` and so many days.
pub fn day(days: i64) -> OffsetDateTime {
    NOW + time::Duration::days(days)
}

pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        Authority::with(name, |_| {})
    }

    pub fn with(name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let issuer =
            CertifiedIssuer::self_signed(authority(name, change), KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Authority {
        let params = authority(name, change);
        let issuer = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap();
        Authority { issuer }
    }

    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::from_der(self.issuer.der()).unwrap()
    }

    /// A faultless certificate for 127.0.0.1, but for what `change` does to it.
    pub fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Served {
        self.leaf_with(KeyPair::generate().unwrap(), change)
    }

    pub fn leaf_with(&self, key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Served {
        let leaf = leaf(change).signed_by(&key, &self.issuer).unwrap();
        Served { chain: vec![leaf.der().to_vec()], key }
    }
}

fn authority(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(name);
    (params.not_before, params.not_after) = (day(-1000), day(1000));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    params
}

/// What a good certificate has, changed.
pub fn leaf(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called("Camera 1");
    (params.not_before, params.not_after) = (day(-1), day(300));
    params.subject_alt_names = vec![ip("127.0.0.1")];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    change(&mut params);
    params
}

/// What a camera makes itself, changed: its own issuer.
pub fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Served {
    let key = KeyPair::generate().unwrap();
    Served { chain: vec![leaf(change).self_signed(&key).unwrap().der().to_vec()], key }
}

pub fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

pub fn ip(address: &str) -> SanType {
    SanType::IpAddress(address.parse().unwrap())
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

/// The public half of an RSA key of 1024 bits, which `rcgen` does not make.
pub struct Rsa1024;

impl PublicKeyData for Rsa1024 {
    fn der_bytes(&self) -> &[u8] {
        include_bytes!("../fixtures/rsa1024-public.der")
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_RSA_SHA256
    }
}

/// What a server shows. The key need not fit: then the server signs with it all the same.
#[derive(Debug)]
pub struct Served {
    pub chain: Vec<Vec<u8>>,
    pub key: KeyPair,
}

impl Served {
    pub fn and(mut self, issuer: &Authority) -> Served {
        self.chain.push(issuer.der());
        self
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A web server with TLS on 127.0.0.1; its port.
pub async fn https(served: Served) -> u16 {
    https_at("127.0.0.1".parse().unwrap(), served).await.unwrap()
}

pub async fn https_at(address: IpAddr, served: Served) -> std::io::Result<u16> {
    serve_https(address, served, rustls::ALL_VERSIONS, None).await
}

/// One that demands a certificate of the client, below this root, in this version of TLS.
pub async fn https_for_clients(
    served: Served,
    version: &'static SupportedProtocolVersion,
    of: &Authority,
) -> u16 {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(of.der())).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    serve_https("127.0.0.1".parse().unwrap(), served, &[version], Some(clients)).await.unwrap()
}

async fn serve_https(
    address: IpAddr,
    served: Served,
    versions: &[&'static SupportedProtocolVersion],
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> std::io::Result<u16> {
    let key = PrivateKeyDer::try_from(served.key.serialize_der()).unwrap();
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let chain = served.chain.into_iter().map(CertificateDer::from).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(chain, key)))));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((address, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 1]).await;
                }
            });
        }
    });
    Ok(port)
}

/// A server on 127.0.0.1 that does as told with every connection; its port.
pub async fn tcp<F, Talk>(talk: F) -> u16
where
    F: Fn(TcpStream) -> Talk + Send + 'static,
    Talk: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream));
        }
    });
    port
}

/// A server that hears the first bytes, answers with these and closes.
pub async fn answering(answer: impl Into<Vec<u8>>) -> u16 {
    let answer = Arc::new(answer.into());
    tcp(move |stream| answer_once(stream, answer.clone())).await
}

/// A web server without TLS that closes on anything but HTTP.
pub async fn plain_http(answer: &'static str) -> u16 {
    tcp(move |mut stream| async move {
        let heard = hear(&mut stream).await;
        if heard.starts_with(b"GET / HTTP/1.1\r\n") {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

pub const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

async fn answer_once(mut stream: TcpStream, answer: Arc<Vec<u8>>) {
    hear(&mut stream).await;
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
    // Closed with something unread, the system would send a reset, which may overtake the answer.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// What comes first.
pub async fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = vec![0; 4096];
    let length = stream.read(&mut heard).await.unwrap_or_default();
    heard.truncate(length);
    heard
}

/// Trusting `roots`, at `NOW`, with patience enough for a busy machine.
pub fn trusting(roots: &[&Authority]) -> Options {
    Options::trusting(certificates(roots), NOW)
}

pub fn certificates(roots: &[&Authority]) -> Vec<Certificate> {
    roots.iter().map(|root| root.certificate()).collect()
}

/// Trusting nothing, and soon tired.
pub fn impatient() -> Options {
    Options { answer: Duration::from_millis(300), ..trusting(&[]) }
}
