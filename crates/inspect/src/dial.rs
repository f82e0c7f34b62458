//! What a port speaks: one connection, one question.

use std::{
    io,
    sync::{
        Arc, LazyLock, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{AltName, Scheme, Target};
use rustls::{
    AlertDescription, CipherSuite, ClientConfig, DigitallySignedStruct, Error as TlsError, NamedGroup,
    PeerIncompatible, ProtocolVersion, SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    Options,
    connect::{Refusal, connect},
    facts::Facts,
    old::{self, Old},
    signature::Kind,
};

/// What a TLS handshake found.
#[derive(Debug)]
pub(crate) enum Tls {
    /// The certificates in the order they came, at least one.
    Served {
        chain: Vec<Vec<u8>>,
        version: &'static str,
        /// The cipher suite, if it is one that browsers still speak and our library does not.
        old_suite: Option<String>,
        /// What was wrong with the proof that the server has the key.
        unproven: Option<String>,
        /// The server demands a certificate of the client, and refuses one that has none with this alert.
        refusal: Option<AlertDescription>,
    },
    /// The other side speaks something else.
    OtherProtocol {
        /// Where a record of TLS has its length.
        record_length: Option<u16>,
    },
    /// The handshake did not come to its end.
    Failed {
        how: Failure,
        reason: String,
        /// What it has to offer to older clients.
        old: Option<Old>,
    },
    /// Connected, and no whole answer in that many seconds.
    Silent(u64),
    Refused(Refusal),
}

impl Tls {
    /// Whether TLS is spoken there, well or badly.
    pub(crate) fn answered(&self) -> bool {
        match self {
            Tls::Served { .. } => true,
            Tls::Failed { how, .. } => !matches!(how, Failure::Closed | Failure::Reset),
            Tls::OtherProtocol { .. } | Tls::Silent(_) | Tls::Refused(_) => false,
        }
    }
}

/// How a handshake failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The server chose a TLS version that browsers have given up.
    OldVersion,
    /// Nothing in common.
    NoCipher,
    /// The server said so.
    Alert(AlertDescription),
    /// The connection ended.
    Closed,
    /// The connection was cut.
    Reset,
    /// The server did not show that it has the key of its certificate.
    Proof,
    Other,
}

impl Failure {
    /// Whether a client of ten years ago might have come further.
    fn may_be_of_age(&self) -> bool {
        use AlertDescription::{HandshakeFailure, InsufficientSecurity, ProtocolVersion};
        matches!(
            self,
            Failure::OldVersion
                | Failure::NoCipher
                | Failure::Alert(ProtocolVersion | HandshakeFailure | InsufficientSecurity)
        )
    }
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
    match handshake(target, port, options, true).await {
        // Browsers tell what is wrong with the certificate first, so it is looked at all the same.
        Tls::Failed { how: Failure::Proof, reason, old } => {
            match handshake(target, port, options, false).await {
                Tls::Served { chain, version, old_suite, refusal, .. } => {
                    Tls::Served { chain, version, old_suite, unproven: Some(reason), refusal }
                }
                _ => Tls::Failed { how: Failure::Proof, reason, old },
            }
        }
        tls => tls,
    }
}

/// One handshake; `wants_proof`: one without a proof that the server has the key is a failure.
async fn handshake(target: &Target, port: u16, options: &Options, wants_proof: bool) -> Tls {
    let stream = match connect(target, port, options.connect).await {
        Ok(stream) => stream,
        Err(why) => return Tls::Refused(why),
    };
    let name = match options.name.as_ref().unwrap_or(&target.host) {
        AltName::Ip(ip) => ServerName::IpAddress((*ip).into()),
        AltName::Dns(name) => match ServerName::try_from(name.clone()) {
            Ok(name) => name,
            Err(_) => return broken("the host name cannot be sent in a handshake"),
        },
    };
    let witness = Arc::new(Witness { wants_proof, ..Witness::default() });
    let config = match &*CONFIG {
        Ok(config) => Arc::new(watched_by(config, &witness)),
        Err(e) => return broken(&e.to_string()),
    };
    match timeout(options.answer, TlsConnector::from(config).connect(name, stream)).await {
        Err(_) => Tls::Silent(options.answer.as_secs()),
        Ok(Err(e)) => {
            let mut failure = tls_failure(&e);
            let chain = witness.chain();
            match &mut failure {
                // Up to TLS 1.2 the server says so before the handshake ends.
                Tls::Failed { how: Failure::Alert(alert), .. }
                    if witness.was_asked() && !chain.is_empty() =>
                {
                    let refusal = Some(*alert);
                    return Tls::Served {
                        chain,
                        version: "TLSv1.2",
                        old_suite: None,
                        unproven: None,
                        refusal,
                    };
                }
                Tls::Failed { how, old, .. } if how.may_be_of_age() => {
                    if let Some(Old { suite, chain, version }) =
                        old::look_as_browser(target, port, options).await
                    {
                        let old_suite = Some(suite);
                        return Tls::Served { chain, version, old_suite, unproven: None, refusal: None };
                    }
                    *old = old::look(target, port, options).await;
                }
                Tls::OtherProtocol { record_length } => {
                    *record_length = old::record_length(target, port, options).await;
                }
                _ => {}
            }
            failure
        }
        Ok(Ok(mut stream)) => {
            let refusal = if witness.was_asked() { refusal(&mut stream).await } else { None };
            let session = stream.get_ref().1;
            let version = match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "TLSv1.2",
            };
            match session.peer_certificates() {
                Some(chain @ [_, ..]) => Tls::Served {
                    chain: chain.iter().map(|c| c.to_vec()).collect(),
                    version,
                    old_suite: None,
                    unproven: None,
                    refusal,
                },
                _ => broken("no certificate was sent"),
            }
        }
    }
}

/// How long the word of a server is waited for that asked for a certificate of ours and got none.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// In TLS 1.3 a server can refuse a client without a certificate only after the handshake.
async fn refusal(stream: &mut TlsStream<TcpStream>) -> Option<AlertDescription> {
    let answer = timeout(REFUSAL_WAIT, stream.read(&mut [0])).await.ok()?;
    match answer.err()?.get_ref()?.downcast_ref::<TlsError>()? {
        TlsError::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

fn broken(reason: &str) -> Tls {
    Tls::Failed { how: Failure::Other, reason: reason.into(), old: None }
}

/// So much of an answer is read.
const MAX_HEAD: usize = 8192;

/// `GET /` over plain HTTP, and the head of the answer.
pub(crate) async fn http(target: &Target, port: u16, options: &Options) -> Http {
    let mut stream = match connect(target, port, options.connect).await {
        Ok(stream) => stream,
        Err(why) => return Http::Refused(why),
    };
    let url = target.url(Scheme::Http, port);
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut answer = vec![0; MAX_HEAD];
    let mut length = 0;
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        while length < MAX_HEAD && !answer[..length].windows(4).any(|w| w == b"\r\n\r\n") {
            match stream.read(&mut answer[length..]).await? {
                0 => break,
                more => length += more,
            }
        }
        Ok::<_, io::Error>(())
    };
    let ended = timeout(options.answer, exchange).await;
    answer.truncate(length);
    // Its first bytes tell what it is, however the rest fares.
    match ended {
        _ if answer.starts_with(b"HTTP/") => Http::Page { to_https: sends_to_https(&answer) },
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

fn tls_failure(e: &io::Error) -> Tls {
    let how = match e.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) {
        Some(TlsError::InvalidMessage(_)) => return Tls::OtherProtocol { record_length: None },
        Some(TlsError::AlertReceived(alert)) => Failure::Alert(*alert),
        Some(TlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )) => Failure::OldVersion,
        Some(TlsError::PeerIncompatible(_)) => Failure::NoCipher,
        Some(TlsError::InvalidCertificate(_)) => Failure::Proof,
        Some(_) => Failure::Other,
        None if e.kind() == io::ErrorKind::UnexpectedEof => Failure::Closed,
        None => Failure::Reset,
    };
    Tls::Failed { how, reason: e.to_string(), old: None }
}

/// One for all handshakes: to make it costs more than to use it.
static CONFIG: LazyLock<Result<ClientConfig, TlsError>> = LazyLock::new(|| {
    let mut config = ClientConfig::builder_with_provider(PROVIDER.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Witness::default()))
        .with_no_client_auth();
    // A resumed session would show no certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
});

/// The configuration for one handshake.
fn watched_by(config: &ClientConfig, witness: &Arc<Witness>) -> ClientConfig {
    let mut config = config.clone();
    config.dangerous().set_certificate_verifier(witness.clone());
    config.client_auth_cert_resolver = witness.clone();
    config
}

static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
    let mut provider = aws_lc_rs::default_provider();
    // Of the groups, the first is tried and the others are offered. What protects the session for decades to come costs
    // most, and nothing is sent through this one.
    provider.kx_groups.sort_by_key(|group| group.name() == NamedGroup::X25519MLKEM768);
    // Browsers, too, would rather have this one.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
});

/// Accepts every certificate: it is judged later. That the server has the key to it is still demanded, unless the key is
/// of a kind that browsers take and the library does not.
#[derive(Debug, Default)]
struct Witness {
    wants_proof: bool,
    /// The certificates that the server showed.
    chain: OnceLock<Vec<Vec<u8>>>,
    /// The server asked for a certificate of ours.
    was_asked: AtomicBool,
}

impl ResolvesClientCert for Witness {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.was_asked.store(true, Ordering::Relaxed);
        None
    }

    /// Without this nobody would be asked.
    fn has_certs(&self) -> bool {
        true
    }
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
        self.chain.get_or_init(|| std::iter::once(leaf).chain(others).map(|der| der.to_vec()).collect());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        self.proof(certificate, verify_tls12_signature(message, certificate, signature, algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &PROVIDER.signature_verification_algorithms;
        self.proof(certificate, verify_tls13_signature(message, certificate, signature, algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        PROVIDER.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the library can tell that a server has the key of this certificate.
pub(crate) fn checks_proof_of(der: &[u8], facts: Option<&Facts>) -> bool {
    let has_short_key = matches!(facts.map(|facts| facts.key), Some(Kind::Rsa(..2048)));
    !has_short_key && ParsedCertificate::try_from(&CertificateDer::from(der)).is_ok()
}

impl Witness {
    fn chain(&self) -> Vec<Vec<u8>> {
        self.chain.get().cloned().unwrap_or_default()
    }

    fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// The proof that the server has the key, as far as the library can tell: it reads no certificate of version 1
    /// and checks no signature of an RSA key below 2048 bits. Such certificates are judged all the same.
    fn proof(
        &self,
        certificate: &CertificateDer<'_>,
        proof: Result<HandshakeSignatureValid, TlsError>,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        match proof {
            Err(TlsError::InvalidCertificate(_))
                if !self.wants_proof || !checks_proof_of(certificate, Facts::read(certificate).as_ref()) =>
            {
                Ok(HandshakeSignatureValid::assertion())
            }
            proof => proof,
        }
    }
}
