//! HTTP/1.1 towards one device: no proxy, no redirects, bounded sizes and times.
//!
//! Each request has a connection of its own. Cameras close idle connections when they like, and a request
//! that changes something cannot be repeated to find out whether it arrived.

use std::{io, pin::pin, time::Duration};

use domain::Told;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::Url;

use crate::{
    Endpoint, Error, Limits, PublicKeyPin,
    length::{HEAD_MAX, Readable, is_whole},
    tls::{self, Pins},
};

/// Largest answer that is read; the largest honest one is a list of certificates, some tens of kilobytes.
const BODY_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 100;
/// An answer that is whole though more was announced is waited for so long.
const REST_WAIT: Duration = Duration::from_secs(2);
/// Before a connection that was refused is tried again.
const REFUSED_PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];

/// Where a request goes on the host that the operator named: that host is the only one there is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) port: u16,
    /// Path and query, as they go into the request line and into Digest's `uri`.
    pub(crate) path: String,
}

/// One request.
pub(crate) struct Request {
    /// What errors call it.
    pub(crate) operation: String,
    pub(crate) method: Method,
    pub(crate) place: Place,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
    /// Whether the body holds a private key: it is then only sent together with an authentication.
    pub(crate) secret: bool,
    /// How long its answer may take, if that is longer than answers usually do: a small device makes a key for minutes.
    pub(crate) patience: Option<Duration>,
}

impl Request {
    pub(crate) fn get(place: Place) -> Request {
        Request {
            operation: format!("GET {}", place.path),
            method: Method::GET,
            place,
            content_type: None,
            body: Bytes::new(),
            secret: false,
            patience: None,
        }
    }

    pub(crate) fn unexpected(&self, detail: &str) -> Error {
        Error::UnexpectedAnswer { operation: self.operation.clone(), detail: Told::new(detail) }
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: HeaderName) -> Told {
        let value = self.headers.get(name);
        value.map(|v| Told::new(&String::from_utf8_lossy(v.as_bytes()))).unwrap_or_default()
    }
}

/// The way to one device.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) endpoint: Endpoint,
    pub(crate) limits: Limits,
    /// The host without the kind of name before it, as it stands in errors.
    pub(crate) host: String,
    tls: Option<(TlsConnector, Pins)>,
    cookie: Option<HeaderValue>,
}

impl Http {
    pub(crate) fn new(endpoint: Endpoint, limits: Limits) -> Result<Http, Error> {
        let host = endpoint.host.plain();
        let pins = endpoint.pin.map(|pin| Pins::new(vec![pin].into()));
        let tls = pins.map(|pins| Ok((tls::connector(pins.clone(), false)?, pins))).transpose();
        let tls = tls.map_err(|e: rustls::Error| Error::NoConnection {
            host: host.clone(),
            port: endpoint.port,
            reason: e.to_string().into(),
        })?;
        Ok(Http { endpoint, limits, host, tls, cookie: None })
    }

    /// From now on the server may have this key too.
    pub(crate) fn accept_key(&self, key: PublicKeyPin) {
        if let Some((_, pins)) = &self.tls
            && let Ok(mut pins) = pins.lock()
        {
            pins.push(key);
        }
    }

    /// Sends this with every request from now on; empty for nothing.
    pub(crate) fn set_cookie(&mut self, cookie: &str) {
        self.cookie = HeaderValue::from_str(cookie).ok().filter(|cookie| !cookie.is_empty());
    }

    /// Whether every connection is TLS to a key that is known.
    pub(crate) fn is_pinned(&self) -> bool {
        self.tls.is_some()
    }

    /// The key that the server shows now, whichever it is, proven by the handshake; `None` over plain HTTP. Sends
    /// nothing.
    pub(crate) async fn shown_key(&self) -> Result<Option<PublicKeyPin>, Error> {
        if self.tls.is_none() {
            return Ok(None);
        }
        let port = self.endpoint.port;
        let failed =
            |reason: String| Error::NoConnection { host: self.host.clone(), port, reason: reason.into() };
        let met = Pins::default();
        let connector = tls::connector(met.clone(), true).map_err(|e| failed(e.to_string()))?;
        let handshake = async { self.handshake(&connector, self.dial(port).await?, port).await };
        timeout(self.limits.answer, handshake)
            .await
            .map_err(|_| self.timed_out(port, self.limits.answer.as_secs()))??;
        Ok(met.lock().ok().and_then(|met| met.first().copied()))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Of an address that the device gives: path, and port if the scheme is ours; never the host.
    pub(crate) fn followed(&self, address: &str) -> Option<Place> {
        let url = Url::parse(address).ok()?;
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let port = if url.scheme() == self.scheme() { url.port_or_known_default() } else { None };
        Some(Place { port: port.filter(|p| *p != 0).unwrap_or(self.endpoint.port), path })
    }

    /// A path on the port that the operator named.
    pub(crate) fn place(&self, path: &str) -> Place {
        Place { port: self.endpoint.port, path: path.to_owned() }
    }

    /// Sends one request and reads the answer.
    pub(crate) async fn send(
        &self,
        request: &Request,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Error> {
        self.send_with(request, authorization.map(|value| (header::AUTHORIZATION, value))).await
    }

    /// Sends one request with one more header, and reads the answer.
    pub(crate) async fn send_with(
        &self,
        request: &Request,
        extra: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, Error> {
        let port = request.place.port;
        let tcp = timeout(self.limits.connect, self.dial(port))
            .await
            .map_err(|_| self.timed_out(port, self.limits.connect.as_secs()))??;
        let exchange = async {
            match &self.tls {
                None => self.exchange(tcp, request, extra).await,
                Some((connector, _)) => {
                    let stream = self.handshake(connector, tcp, port).await?;
                    self.exchange(stream, request, extra).await
                }
            }
        };
        let patience = request.patience.unwrap_or(self.limits.answer);
        timeout(patience, exchange).await.map_err(|_| self.timed_out(port, patience.as_secs()))?
    }

    /// Some firmware has room for one connection, and refuses the next one until it is done with the last.
    async fn dial(&self, port: u16) -> Result<TcpStream, Error> {
        for pause in REFUSED_PAUSES {
            match self.dial_once(port).await {
                Err(Error::ConnectionRefused { .. }) => tokio::time::sleep(pause).await,
                other => return other,
            }
        }
        self.dial_once(port).await
    }

    async fn dial_once(&self, port: u16) -> Result<TcpStream, Error> {
        // For an address this asks nobody.
        let addresses = tokio::net::lookup_host((self.host.as_str(), port))
            .await
            .map_err(|_| Error::NameNotFound { host: self.host.clone() })?;
        let mut last = Error::NameNotFound { host: self.host.clone() };
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|e| self.no_connection(port, &e))?;
                    return Ok(stream);
                }
                Err(e) => last = self.no_connection(port, &e),
            }
        }
        Err(last)
    }

    async fn handshake(
        &self,
        connector: &TlsConnector,
        tcp: TcpStream,
        port: u16,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Error> {
        // The name is only for the server to choose by; what counts is the key.
        let name = match ServerName::try_from(self.host.clone()) {
            Ok(name) => name,
            Err(_) => ServerName::from(tcp.peer_addr().map_err(|e| self.no_connection(port, &e))?.ip()),
        };
        connector.connect(name, tcp).await.map_err(|e| {
            match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    Error::NotThePinnedKey { host: self.host.clone() }
                }
                _ => self.no_connection(port, &e),
            }
        })
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: &Request,
        extra: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Answer, Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let outgoing = self.outgoing(request, extra)?;
        // The options bear with what firmware sends, and write header names as firmware compares them.
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .title_case_headers(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(TokioIo::new(Readable::new(stream)))
            .await
            .map_err(|e| self.broken(request, &e))?;
        let mut exchange = pin!(async {
            let answer = sender.send_request(outgoing).await.map_err(|e| self.broken(request, &e))?;
            let (head, body) = answer.into_parts();
            let body = read_body(body, request).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        });
        // Whoever ends first: the connection works only while it is polled.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }

    fn outgoing(
        &self,
        request: &Request,
        extra: Option<(HeaderName, HeaderValue)>,
    ) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let mut builder = hyper::Request::builder()
            .method(&request.method)
            .uri(&request.place.path)
            .header(header::HOST, self.host_header(request.place.port))
            .header(header::USER_AGENT, "camlock")
            .header(header::CONNECTION, "close");
        if let Some(content_type) = &request.content_type {
            builder = builder.header(header::CONTENT_TYPE, content_type);
        }
        if let Some((name, value)) = extra {
            builder = builder.header(name, value);
        }
        if let Some(cookie) = &self.cookie {
            builder = builder.header(header::COOKIE, cookie);
        }
        builder.body(Full::new(request.body.clone())).map_err(|_| request.unexpected("no usable address"))
    }

    fn host_header(&self, port: u16) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.tls.is_some() { 443 } else { 80 };
        if port == default { host } else { format!("{host}:{port}") }
    }

    fn broken(&self, request: &Request, e: &hyper::Error) -> Error {
        if e.is_parse() {
            Error::NotHttp { host: self.host.clone(), port: request.place.port }
        } else {
            Error::ConnectionLost { operation: request.operation.clone() }
        }
    }

    fn no_connection(&self, port: u16, e: &io::Error) -> Error {
        let host = self.host.clone();
        match e.kind() {
            io::ErrorKind::ConnectionRefused => Error::ConnectionRefused { host, port },
            io::ErrorKind::TimedOut => self.timed_out(port, self.limits.connect.as_secs()),
            _ => Error::NoConnection { host, port, reason: Told::new(&e.to_string()) },
        }
    }

    fn timed_out(&self, port: u16, seconds: u64) -> Error {
        Error::TimedOut { host: self.host.clone(), port, seconds }
    }
}

/// The body of an answer, to its end: the announced one, that of the connection, or, where the device announced more than
/// it has, that of what it sends.
async fn read_body(body: Incoming, request: &Request) -> Result<Bytes, Error> {
    let mut body = Limited::new(body, BODY_MAX);
    let mut read = Vec::new();
    loop {
        let frame = match timeout(REST_WAIT, body.frame()).await {
            Ok(frame) => frame,
            Err(_) if is_whole(&read) => None,
            // However long it takes, within the time for an answer.
            Err(_) => body.frame().await,
        };
        match frame {
            None => return Ok(read.into()),
            Some(Ok(frame)) => read.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
            Some(Err(e)) if e.is::<LengthLimitError>() => {
                return Err(request.unexpected("the answer is larger than 1 MiB"));
            }
            Some(Err(_)) if is_whole(&read) => return Ok(read.into()),
            Some(Err(_)) => return Err(Error::ConnectionLost { operation: request.operation.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::fake::{Fake, answer};

    async fn get(fake: &Fake, path: &str) -> Result<Answer, Error> {
        let http = fake.http();
        http.send(&Request::get(http.place(path)), None).await
    }

    #[tokio::test]
    async fn a_request_is_what_cameras_understand() {
        let fake =
            Fake::start(|_| "HTTP/1.0 302 Found\r\nServer : cam\r\nLocation: /x\r\n\r\nbody".into()).await;
        let answer = get(&fake, "/a?b=c").await.unwrap();
        // A redirect is an answer like any other.
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (302, "body"));
        assert_eq!(answer.header(header::SERVER), "cam");
        let request = &fake.requests()[0];
        assert_eq!(fake.requests().len(), 1);
        assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("Host: 127.0.0.1:{}\r\n", fake.port)), "{request}");
    }

    #[tokio::test]
    async fn hostile_answers_are_errors() {
        let lost = Error::ConnectionLost { operation: "GET /".into() };
        for (reply, error) in [
            ("SSH-2.0-OpenSSH\r\n".to_owned(), None),
            ("\u{15}\u{3}\u{1}\0\u{2}\u{2}(".to_owned(), None),
            (String::new(), Some(lost.clone())),
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned(), Some(lost)),
            (format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(200_000)), None),
            (format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(500)), None),
            (
                answer("200 OK", "", &"a".repeat(BODY_MAX + 1)),
                Some(Error::UnexpectedAnswer {
                    operation: "GET /".into(),
                    detail: "the answer is larger than 1 MiB".into(),
                }),
            ),
        ] {
            let fake = Fake::start(move |_| reply.clone()).await;
            let not_http = Error::NotHttp { host: "127.0.0.1".into(), port: fake.port };
            assert_eq!(get(&fake, "/").await.err(), Some(error.unwrap_or(not_http)));
        }
    }

    #[tokio::test]
    async fn a_length_that_lies_loses_no_whole_answer() {
        let xml = "<a><b/></a>";
        for (head, body, expected) in [
            ("Content-Length: -1", "any text", Some("any text")),
            ("Content-Length: 3\r\nContent-Length: 8", "any text", Some("any text")),
            ("Content-Length: 5000", xml, Some(xml)),
            ("Content-Length: 5000", "<a><b/>", None),
            ("Content-Length: 5000", "{}", None),
        ] {
            let reply = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}");
            let fake = Fake::start(move |_| reply.clone()).await;
            let lost = Error::ConnectionLost { operation: "GET /".into() };
            let answer = get(&fake, "/").await.map(|answer| answer.text());
            assert_eq!(answer, expected.map(str::to_owned).ok_or(lost), "{head}");
        }
    }

    /// It announces more than it has, and waits with the connection open.
    #[tokio::test]
    async fn the_rest_of_a_whole_answer_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<a/>").await.unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        });
        let endpoint = Endpoint { host: "127.0.0.1".parse().unwrap(), port, pin: None };
        let http =
            Http::new(endpoint, Limits { answer: Duration::from_secs(60), ..Limits::default() }).unwrap();
        let answer = http.send(&Request::get(http.place("/")), None).await.unwrap();
        assert_eq!(answer.text(), "<a/>");
    }

    /// Some firmware has room for one connection.
    #[tokio::test]
    async fn a_connection_that_is_refused_is_tried_again_for_a_moment() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let endpoint = Endpoint { host: "127.0.0.1".parse().unwrap(), port: address.port(), pin: None };
        let http = Http::new(endpoint, Limits::default()).unwrap();
        let late = async {
            tokio::time::sleep(REFUSED_PAUSES[0] / 2).await;
            let listener = TcpListener::bind(address).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            stream.write_all(answer("200 OK", "", "late").as_bytes()).await.unwrap();
        };
        let request = Request::get(http.place("/"));
        let (answer, ()) = tokio::join!(http.send(&request, None), late);
        assert_eq!(answer.unwrap().text(), "late");
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = closed.local_addr().unwrap().port();
        let send = async |host: &str, limits: Limits| {
            let endpoint = Endpoint { host: host.parse().unwrap(), port, pin: None };
            let http = Http::new(endpoint, limits).unwrap();
            http.send(&Request::get(http.place("/")), None).await.err().unwrap()
        };
        // It listens and never accepts: connected, and no answer.
        let short = Limits { answer: Duration::from_millis(50), ..Limits::default() };
        let silent = send("127.0.0.1", short).await;
        assert_eq!(silent, Error::TimedOut { host: "127.0.0.1".into(), port, seconds: 0 });
        drop(closed);
        let refused = send("127.0.0.1", Limits::default()).await;
        assert_eq!(refused, Error::ConnectionRefused { host: "127.0.0.1".into(), port });
        let unknown = send("no-such-host.invalid", Limits::default()).await;
        assert_eq!(unknown, Error::NameNotFound { host: "no-such-host.invalid".into() });
    }

    #[tokio::test]
    async fn tls_is_spoken_with_the_pinned_key_alone() {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(["other.lan".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            let certificate = params.self_signed(&key).unwrap();
            let config = |signs: &KeyPair| {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let der = PrivateKeyDer::try_from(signs.serialize_der()).unwrap();
                let signing = provider.key_provider.load_private_key(der).unwrap();
                let certified = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], signing);
                let config = ServerConfig::builder_with_provider(provider)
                    .with_protocol_versions(&[version])
                    .unwrap()
                    .with_no_client_auth()
                    .with_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(certified)));
                TlsAcceptor::from(Arc::new(config))
            };
            let right = PublicKeyPin::of_certificate(certificate.der()).unwrap();
            let outcome = async |signs: &KeyPair, pin: PublicKeyPin| {
                let fake = Fake::start_with(Some(config(signs)), |_| answer("200 OK", "", "fine")).await;
                let http = Http::new(fake.endpoint(Some(pin)), Limits::default()).unwrap();
                let answer = http.send(&Request::get(http.place("/")), None).await;
                (answer.map(|a| a.text()), fake.requests().len())
            };
            assert_eq!(outcome(&key, right).await, (Ok("fine".into()), 1));
            let not_it = Err(Error::NotThePinnedKey { host: "127.0.0.1".into() });
            assert_eq!(outcome(&key, PublicKeyPin([0; 32])).await, (not_it.clone(), 0));
            // The pinned certificate, shown by someone who does not have its key.
            let thief = KeyPair::generate().unwrap();
            assert_eq!(outcome(&thief, right).await, (not_it, 0));
        }
    }
}
