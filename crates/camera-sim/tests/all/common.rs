//! A tiny client of its own for the tests: raw HTTP/1.1 over TCP or TLS, Digest, and a certificate authority.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use camera_sim::Camera;
use md5::{Digest as _, Md5};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, IsCa, Issuer, KeyPair,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub const USER: &str = "admin";
pub const PASSWORD: &str = "correct horse";
pub const DEVICE: &str = "/onvif/device_service";
pub const SECURITY: &str = "/onvif/security";

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The text of the first element of this local name.
    pub fn text(&self, name: &str) -> String {
        self.texts(name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// The texts of all elements of this local name.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(&self.body).unwrap();
        let named = document.descendants().filter(|node| node.tag_name().name() == name);
        named.map(|node| node.text().unwrap_or_default().to_owned()).collect()
    }

    /// The fault's codes, outermost first, without prefixes.
    pub fn codes(&self) -> Vec<String> {
        let codes = self.texts("Value");
        codes.iter().map(|code| code.rsplit(':').next().unwrap_or_default().to_owned()).collect()
    }

    pub fn expect_fault(&self, status: u16, codes: &[&str]) {
        assert_eq!(
            (self.status, self.codes()),
            (status, codes.iter().map(|c| (*c).to_owned()).collect()),
            "{}",
            self.body
        );
    }
}

/// One client of one camera.
pub struct Client {
    http: SocketAddr,
    https: SocketAddr,
    pub tls: bool,
    pub password: String,
    challenge: Option<String>,
    count: u32,
    /// How often a nonce was too old.
    pub stale: u32,
}

impl Client {
    pub fn new(camera: &Camera) -> Self {
        Client {
            http: camera.http_address(),
            https: camera.https_address(),
            tls: false,
            password: PASSWORD.to_owned(),
            challenge: None,
            count: 0,
            stale: 0,
        }
    }

    /// One request with just these headers; an error if the connection fails or is dropped.
    pub async fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> std::io::Result<Reply> {
        let length = body.len();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n",
            if self.tls { self.https } else { self.http }
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answer = if self.tls {
            exchange(secure(self.https).await?.0, &request).await?
        } else {
            exchange(TcpStream::connect(self.http).await?, &request).await?
        };
        let text = String::from_utf8(answer).map_err(std::io::Error::other)?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| std::io::Error::other("dropped"))?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        Ok(Reply { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// A request with Digest; a stale nonce is repeated once, as RFC 2617 asks.
    pub async fn login(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Reply> {
        if self.challenge.is_none() {
            let reply = self.send(method, path, headers, body).await?;
            self.take_challenge(&reply);
        }
        let reply = self.answer(method, path, headers, body).await?;
        if reply.header("WWW-Authenticate").is_some_and(|challenge| challenge.contains("stale=true")) {
            self.stale += 1;
            self.take_challenge(&reply);
            return self.answer(method, path, headers, body).await;
        }
        Ok(reply)
    }

    pub fn take_challenge(&mut self, reply: &Reply) {
        assert_eq!(reply.status, 401, "{reply:?}");
        self.challenge = Some(reply.header("WWW-Authenticate").unwrap().to_owned());
        self.count = 0;
    }

    async fn answer(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        body: &[u8],
    ) -> std::io::Result<Reply> {
        self.count += 1;
        let headers = format!("{headers}Authorization: {}\r\n", self.authorization(method, path, self.count));
        self.send(method, path, &headers, body).await
    }

    /// The digest answer with this nonce count.
    pub fn authorization(&self, method: &str, path: &str, count: u32) -> String {
        let challenge = self.challenge.as_deref().unwrap();
        let get = |name: &str| {
            let start = challenge.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
            challenge[start..].split('"').next().unwrap().to_owned()
        };
        let (realm, nonce, opaque) = (get("realm"), get("nonce"), get("opaque"));
        let secret = md5(&format!("{USER}:{realm}:{}", self.password));
        let request = md5(&format!("{method}:{path}"));
        let response = md5(&format!("{secret}:{nonce}:{count:08x}:c0ffee:auth:{request}"));
        format!(
            "Digest username=\"{USER}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{path}\", qop=auth, \
             nc={count:08x}, cnonce=\"c0ffee\", response=\"{response}\", opaque=\"{opaque}\", algorithm=MD5"
        )
    }

    /// A SOAP operation without credentials.
    pub async fn anonymous(&self, path: &str, operation: &str) -> Reply {
        self.send("POST", path, "", envelope(operation).as_bytes()).await.unwrap()
    }

    /// A SOAP operation with credentials.
    pub async fn soap(&mut self, path: &str, operation: &str) -> Reply {
        self.login("POST", path, "", envelope(operation).as_bytes()).await.unwrap()
    }

    /// HTTPS or HTTP on or off by SetNetworkProtocols.
    pub async fn switch(&mut self, name: &str, on: bool) -> Reply {
        let port = if name == "HTTPS" { self.https } else { self.http }.port();
        self.soap(
            DEVICE,
            &format!(
                "<tds:SetNetworkProtocols><tds:NetworkProtocols><tt:Name>{name}</tt:Name><tt:Enabled>{on}</tt:Enabled>\
                 <tt:Port>{port}</tt:Port></tds:NetworkProtocols></tds:SetNetworkProtocols>"
            ),
        )
        .await
    }
}

pub fn envelope(operation: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" \
         xmlns:tas=\"http://www.onvif.org/ver10/advancedsecurity/wsdl\" xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
         <s:Body>{operation}</s:Body></s:Envelope>"
    )
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &[u8],
) -> std::io::Result<Vec<u8>> {
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    match tokio::time::timeout(Duration::from_secs(60), reading).await {
        // A TLS peer that closes without close_notify has still answered.
        Ok(Err(error)) if answer.is_empty() => Err(error),
        Ok(_) => Ok(answer),
        Err(_) => Err(std::io::Error::other("no answer")),
    }
}

/// The chain a TLS client is sent; none if the connection fails.
pub async fn served(camera: &Camera) -> Option<Vec<Vec<u8>>> {
    secure(camera.https_address()).await.ok().map(|(_, chain)| chain)
}

async fn secure(
    address: SocketAddr,
) -> std::io::Result<(tokio_rustls::client::TlsStream<TcpStream>, Vec<Vec<u8>>)> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(std::io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::IpAddress(address.ip().into());
    let stream =
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|certificate| certificate.to_vec()).collect();
    Ok((stream, chain))
}

/// Believes any certificate: these tests compare bytes.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A certificate authority.
pub struct Authority {
    pub root: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.distinguished_name.push(DnType::CommonName, "Test Root");
        let key = KeyPair::generate().unwrap();
        let root = parameters.self_signed(&key).unwrap().der().to_vec();
        Authority { root, issuer: Issuer::new(parameters, key) }
    }

    /// Signs a request, with the names it asks for.
    pub fn sign(&self, request: &[u8]) -> Vec<u8> {
        let request = CertificateSigningRequestParams::from_der(&request.to_vec().into()).unwrap();
        assert!(!request.params.subject_alt_names.is_empty());
        request.signed_by(&self.issuer).unwrap().der().to_vec()
    }

    /// A key and a certificate made outside the camera.
    pub fn package(&self, name: &str) -> (KeyPair, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (key, certificate.der().to_vec())
    }
}

fn md5(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
