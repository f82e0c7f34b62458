//! What a port speaks: one connection, one question.

use std::{
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use domain::{AltName, Target};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error as TlsError, PeerIncompatible,
    ProtocolVersion, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::Options;

/// Why there was no connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    Refused,
    /// After that many seconds.
    TimedOut(u64),
    NameNotFound,
    Other(String),
}

/// What a TLS handshake found.
#[derive(Debug)]
pub(crate) enum Tls {
    /// The certificates in the order they came, at least one.
    Served {
        chain: Vec<Vec<u8>>,
        version: &'static str,
    },
    /// The other side speaks something else.
    OtherProtocol,
    /// The server speaks only TLS versions that browsers have given up.
    OldVersion(String),
    /// No cipher in common.
    NoCipher(String),
    /// The handshake broke.
    Broken(String),
    Refused(Refusal),
}

/// What `GET /` found.
#[derive(Debug)]
pub(crate) enum Http {
    /// An HTTP answer, and whether it only sends the browser to https.
    Page {
        to_https: bool,
    },
    /// Something else, or silence.
    Other,
    Refused(Refusal),
}

/// A TLS handshake as a browser would make it, accepting any certificate: it is only looked at, nothing is
/// sent through the connection.
pub(crate) async fn tls(target: &Target, port: u16, options: &Options) -> Tls {
    let stream = match connect(target, port, options.connect).await {
        Ok(stream) => stream,
        Err(why) => return Tls::Refused(why),
    };
    let name = match options.name.as_ref().unwrap_or(&target.host) {
        AltName::Ip(ip) => ServerName::IpAddress((*ip).into()),
        AltName::Dns(name) => match ServerName::try_from(name.clone()) {
            Ok(name) => name,
            Err(_) => return Tls::Broken("the host name cannot be sent in a handshake".into()),
        },
    };
    let witness = Arc::new(Witness::default());
    let config = match client_config(witness.clone()) {
        Ok(config) => config,
        Err(e) => return Tls::Broken(e.to_string()),
    };
    match timeout(options.answer, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
        Err(_) => Tls::Refused(Refusal::TimedOut(options.answer.as_secs())),
        Ok(Err(e)) => tls_failure(&e),
        Ok(Ok(stream)) => {
            let version = match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            };
            match witness.chain.lock() {
                Ok(mut chain) if !chain.is_empty() => {
                    Tls::Served { chain: std::mem::take(&mut *chain), version }
                }
                _ => Tls::Broken("no certificate was sent".into()),
            }
        }
    }
}

/// `GET /` over plain HTTP, at most the first kilobyte of the answer.
pub(crate) async fn http(target: &Target, port: u16, options: &Options) -> Http {
    let mut stream = match connect(target, port, options.connect).await {
        Ok(stream) => stream,
        Err(why) => return Http::Refused(why),
    };
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.url_host());
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        let mut answer = vec![0; 1024];
        let mut length = 0;
        while length < answer.len() && !answer[..length].windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut answer[length..]).await? {
                0 => break,
                more => length += more,
            }
        }
        answer.truncate(length);
        Ok::<_, io::Error>(answer)
    };
    match timeout(options.answer, exchange).await {
        Ok(Ok(answer)) if answer.starts_with(b"HTTP/") => Http::Page { to_https: sends_to_https(&answer) },
        Err(_) => Http::Refused(Refusal::TimedOut(options.answer.as_secs())),
        Ok(_) => Http::Other,
    }
}

fn sends_to_https(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let redirects = text.split(' ').nth(1).is_some_and(|status| status.starts_with('3'));
    redirects
        && text.lines().any(|l| l.strip_prefix("location:").is_some_and(|u| u.trim().starts_with("https://")))
}

async fn connect(target: &Target, port: u16, patience: Duration) -> Result<TcpStream, Refusal> {
    let host = target.dial_host();
    let addresses = match timeout(patience, tokio::net::lookup_host((host.as_str(), port))).await {
        Ok(Ok(addresses)) => addresses.collect::<Vec<_>>(),
        _ => return Err(Refusal::NameNotFound),
    };
    match timeout(patience, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Err(Refusal::Refused),
        Ok(Err(e)) => Err(Refusal::Other(e.to_string())),
        Err(_) => Err(Refusal::TimedOut(patience.as_secs())),
    }
}

fn tls_failure(e: &io::Error) -> Tls {
    match e.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidMessage(_)) => Tls::OtherProtocol,
        Some(e @ TlsError::AlertReceived(AlertDescription::ProtocolVersion))
        | Some(
            e @ TlsError::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            ),
        ) => Tls::OldVersion(e.to_string()),
        Some(
            e @ (TlsError::AlertReceived(
                AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity,
            )
            | TlsError::PeerIncompatible(_)),
        ) => Tls::NoCipher(e.to_string()),
        Some(e) => Tls::Broken(e.to_string()),
        None => Tls::Broken(e.to_string()),
    }
}

fn client_config(witness: Arc<Witness>) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(witness)
        .with_no_client_auth();
    // A resumed session would show no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider())).clone()
}

/// Notes the chain and accepts it, whatever it is; that the server has the key to it is still demanded.
#[derive(Debug, Default)]
struct Witness {
    chain: Mutex<Vec<Vec<u8>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Ok(mut chain) = self.chain.lock() {
            *chain = std::iter::once(leaf).chain(others).map(|c| c.to_vec()).collect();
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
