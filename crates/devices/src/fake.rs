//! A web server for tests: answers every request with what a closure returns, byte for byte, and keeps what
//! it was asked.

use std::sync::{Arc, Mutex};

use domain::Clock;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use crate::{
    Admission, Consent, Credentials, Endpoint, Limits, PublicKeyPin, Seen, http::Http, session::Session,
};

/// Ends with the test's runtime.
pub(crate) struct Fake {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    pub(crate) async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Fake {
        Fake::start_with(None, answer).await
    }

    pub(crate) async fn start_with(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                match &tls {
                    None => serve(stream, &kept, &answer).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            serve(stream, &kept, &answer).await;
                        }
                    }
                }
            }
        });
        Fake { port, requests }
    }

    /// Inside TLS, with a key of its own.
    pub(crate) async fn start_tls(
        answer: impl Fn(&str) -> String + Send + Sync + 'static,
    ) -> (Fake, PublicKeyPin) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["camera.lan".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let pin = PublicKeyPin::of_certificate(&certificate).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        (Fake::start_with(Some(TlsAcceptor::from(Arc::new(config))), answer).await, pin)
    }

    /// Every request so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn endpoint(&self, pin: Option<PublicKeyPin>) -> Endpoint {
        Endpoint { host: "127.0.0.1".parse().unwrap(), port: self.port, pin }
    }

    pub(crate) fn http(&self) -> Http {
        Http::new(self.endpoint(None), Limits::default()).unwrap()
    }

    pub(crate) fn session(&self) -> Session {
        session(self.http())
    }
}

/// Of an operator who named the device and accepts that it is shown the password.
pub(crate) fn session(http: Http) -> Session {
    let consent = Consent { named: true, readable: true, ..Consent::default() };
    session_of(http, consent)
}

pub(crate) fn session_of(http: Http, consent: Consent) -> Session {
    let admission = Admission::decide(&seen(&http.endpoint), None, consent).unwrap();
    Session::new(http, Clock::system(), admission, credentials()).unwrap()
}

pub(crate) fn seen(endpoint: &Endpoint) -> Seen {
    Seen::at(&endpoint.host, endpoint.pin)
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new("admin", Zeroizing::new("open sesame".into()))
}

/// A status line with headers and a body of the right length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

pub(crate) fn challenge(parameters: &str) -> String {
    answer("401 Unauthorized", &format!("WWW-Authenticate: Digest realm=\"cam\", {parameters}\r\n"), "")
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    kept: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str) -> String + Send + Sync),
) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                kept.lock().unwrap().push(text.clone());
                let reply = answer(&text);
                stream.write_all(reply.as_bytes()).await.ok();
                stream.shutdown().await.ok();
                return;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
}
