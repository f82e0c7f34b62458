//! The whole door: a server inside TLS, read by a client that shares no code with it.

// clippy.toml lets tests unwrap; it does not see that a helper of theirs is one.
#![allow(clippy::unwrap_used)]

mod sample;
mod trust;

use std::{
    net::{IpAddr, TcpListener},
    sync::{Arc, LazyLock, Mutex},
};

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
use time::{Duration, OffsetDateTime, macros::date};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use web::{Count, Crl, Health, Page, Prover, Root, Server, Trust, Unreadable};
use words::Words;

const LIST: &str = "/crl/00ff.crl";

static WORDS: LazyLock<Words> = LazyLock::new(Words::english);

/// A site that has this to show, until it is changed; `None` cannot be read.
#[derive(Clone)]
struct Values {
    page: Arc<Mutex<Option<Page>>>,
    prover: Option<Arc<Prover>>,
    /// Which root each address has proven.
    proven: Arc<Mutex<Vec<(String, IpAddr)>>>,
}

impl Values {
    fn new(page: Page, prover: Option<Prover>) -> Values {
        let prover = prover.map(Arc::new);
        Values { page: Arc::new(Mutex::new(Some(page))), prover, proven: Arc::default() }
    }

    fn read(&self) -> Result<Page, Unreadable> {
        self.page.lock().unwrap().clone().ok_or(Unreadable)
    }
}

impl web::Site for Values {
    async fn page(&self) -> Result<Page, Unreadable> {
        self.read()
    }

    async fn trust(&self) -> Result<Trust, Unreadable> {
        Ok(self.read()?.trust)
    }

    async fn crl(&self, path: &str) -> Result<Option<Crl>, Unreadable> {
        self.read()?;
        let next_update = OffsetDateTime::now_utc() + Duration::days(9);
        Ok((path == LIST).then(|| Crl { der: vec![0x30, 0], next_update }))
    }

    async fn health(&self) -> Result<Health, Unreadable> {
        Ok(Health { locked: self.read()?.locked })
    }

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn words(&self) -> &Words {
        &WORDS
    }

    fn prover(&self) -> Option<Arc<Prover>> {
        self.prover.clone()
    }

    async fn proven(&self, root: &str, address: IpAddr) {
        self.proven.lock().unwrap().push((root.to_owned(), address));
    }
}

struct Site {
    server: Server,
    client: Arc<ClientConfig>,
    root: Vec<u8>,
    pem: String,
    values: Values,
}

impl Site {
    async fn start(change: impl FnOnce(&mut Page)) -> Site {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let (root, pem) = (made.cert.der().to_vec(), made.cert.pem());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut page = sample::page(Root {
            der: root.clone(),
            pem: pem.clone(),
            subject: "CN=Camlock Demo house 7f3a 2026".to_owned(),
            sha256: "0123456789abcdef".repeat(4),
            not_after: date!(2036 - 11 - 20),
            constrained: true,
        });
        change(&mut page);
        page.count = Count::of(&page.cameras);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let values = Values::new(page, None);
        let server =
            Server::start(listener, web::Clients::all(), tls, web::router(values.clone())).await.unwrap();
        assert_eq!(server.address(), address);
        Site { server, client: Arc::new(client), root, pem, values }
    }

    fn change(&self, change: impl FnOnce(&mut Trust)) {
        change(&mut self.values.page.lock().unwrap().as_mut().unwrap().trust);
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        let tcp = TcpStream::connect(self.server.address()).await.unwrap();
        let name = "127.0.0.1".try_into().unwrap();
        let tls = TlsConnector::from(self.client.clone()).connect(name, tcp).await.unwrap();
        let (send, connection) = handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(connection);
        send
    }

    async fn ask(&self, method: Method, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "evil.example")
            .body(Empty::<Bytes>::new())
            .unwrap();
        let (head, body) = self.connect().await.send_request(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    async fn text(&self, path: &str) -> String {
        let (status, _, body) = self.ask(Method::GET, path).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        String::from_utf8(body).unwrap()
    }
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let site = Site::start(|_| ()).await;
    for (path, status, kind) in [
        ("/", 200, "text/html; charset=utf-8"),
        ("/style.css", 200, "text/css; charset=utf-8"),
        ("/favicon.svg", 200, "image/svg+xml"),
        ("/root.crt", 200, "application/x-x509-ca-cert"),
        ("/root.pem", 200, "application/x-pem-file"),
        ("/roots.pem", 200, "application/x-pem-file"),
        ("/root.mobileconfig", 200, "application/x-apple-aspen-config"),
        ("/root.ps1", 200, "text/plain; charset=utf-8"),
        ("/root.sh", 200, "application/x-sh"),
        ("/firefox-policies.json", 200, "application/json"),
        ("/chrome-policy.json", 200, "application/json"),
        ("/trust", 200, "text/html; charset=utf-8"),
        ("/trust/iphone", 200, "text/html; charset=utf-8"),
        ("/trust/evil.example", 404, "text/html; charset=utf-8"),
        // Only where a certificate of its own proves something.
        ("/trust/proof.css", 404, "text/html; charset=utf-8"),
        ("/root.key", 404, "text/html; charset=utf-8"),
        ("/crl/evil.example.crl", 404, "text/html; charset=utf-8"),
        ("/../../etc/passwd", 404, "text/html; charset=utf-8"),
    ] {
        let (get_status, headers, body) = site.ask(Method::GET, path).await;
        assert_eq!(
            (get_status.as_u16(), headers["content-type"].to_str().unwrap()),
            (status, kind),
            "{path}"
        );
        assert!(!body.windows(7).any(|w| w == b"evil.ex" || w == b"/passwd"), "{path} reflects the request");
        let csp = headers["content-security-policy"].to_str().unwrap();
        assert!(csp.starts_with("default-src 'none';") && !csp.contains("unsafe"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
        assert!(!headers.contains_key("strict-transport-security"), "{path}");

        let (head_status, head, nothing) = site.ask(Method::HEAD, path).await;
        assert_eq!((head_status, nothing.len()), (get_status, 0), "{path}");
        assert_eq!(head["content-length"], body.len().to_string(), "{path}");
    }
    for (method, path) in [(Method::POST, "/"), (Method::DELETE, "/root.crt"), (Method::OPTIONS, "/nothing")]
    {
        let (status, headers, _) = site.ask(method, path).await;
        assert_eq!((status.as_u16(), &headers["allow"]), (405, &"GET, HEAD".parse().unwrap()), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    site.server.stop().await;
}

#[tokio::test]
async fn a_list_is_handed_out_and_may_be_kept_for_an_hour() {
    let site = Site::start(|_| ()).await;
    for method in [Method::GET, Method::HEAD] {
        let (status, headers, body) = site.ask(method.clone(), LIST).await;
        assert_eq!(
            (status, headers["content-type"].to_str().unwrap()),
            (StatusCode::OK, "application/pkix-crl")
        );
        assert_eq!(headers["cache-control"], "public, max-age=3600");
        assert_eq!(headers["content-length"], "2");
        assert_eq!(body.len(), if method == Method::GET { 2 } else { 0 });
    }
    let long = format!("/crl/{}.crl", "0".repeat(60_000));
    for path in
        ["/crl", "/crl/", "/crl/00fe.crl", "/crl/00FF.crl", "/crl/00ff", "/crl//00ff.crl", "/crl/./00ff.crl"]
            .into_iter()
            .chain([
                "/crl/%30%30ff.crl",
                "/crl/../crl/00ff.crl",
                "/crl/00ff.crl/",
                "//crl/00ff.crl",
                "/crl/%ff.crl",
                &long,
            ])
    {
        let (status, headers, _) = site.ask(Method::GET, path).await;
        assert_eq!(
            (status, headers["cache-control"].to_str().unwrap()),
            (StatusCode::NOT_FOUND, "no-store"),
            "{path:.40}"
        );
    }
    assert_eq!(site.ask(Method::POST, LIST).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_cannot_be_read_is_said_so() {
    let site = Site::start(|_| ()).await;
    *site.values.page.lock().unwrap() = None;
    for path in [
        "/",
        "/trust",
        "/root.crt",
        "/roots.pem",
        "/chrome-policy.json",
        "/root-0123456789abcdef.crt",
        LIST,
        "/health",
    ] {
        let (status, headers, _) = site.ask(Method::GET, path).await;
        assert_eq!(
            (status, headers["cache-control"].to_str().unwrap()),
            (StatusCode::SERVICE_UNAVAILABLE, "no-store"),
            "{path}"
        );
    }
    assert_eq!(site.ask(Method::GET, "/style.css").await.0, StatusCode::OK);
}

#[tokio::test]
async fn the_root_is_handed_out_unchanged() {
    let site = Site::start(|_| ()).await;
    let (_, headers, der) = site.ask(Method::GET, "/root.crt").await;
    assert_eq!(der, site.root);
    assert_eq!(headers["content-disposition"], r#"attachment; filename="camlock-root.crt""#);
    let (_, headers, pem) = site.ask(Method::GET, "/root.pem").await;
    assert_eq!(pem, site.pem.as_bytes());
    assert_eq!(headers["content-disposition"], r#"attachment; filename="camlock-root.pem""#);
}

#[tokio::test]
async fn every_root_is_handed_out_by_its_name() {
    let site = Site::start(|_| ()).await;
    let body = async |path: &str| site.ask(Method::GET, path).await.2;
    assert_eq!(body("/roots.pem").await, site.pem.as_bytes());
    // What changes shows at once.
    site.change(|trust| {
        trust.next = Some(sample::root('a'));
        trust.old = vec![sample::root('b'), sample::root('c')];
    });
    let (a, b, c) = (sample::root('a'), sample::root('b'), sample::root('c'));
    assert_eq!(body("/root.crt").await, site.root);
    assert_eq!(body("/root-0123456789abcdef.crt").await, site.root);
    for root in [&a, &b, &c] {
        let name = format!("root-{}", &root.sha256[..16]);
        let (_, headers, der) = site.ask(Method::GET, &format!("/{name}.crt")).await;
        assert_eq!(der, root.der);
        assert_eq!(headers["content-disposition"], format!(r#"attachment; filename="camlock-{name}.crt""#));
        assert_eq!(body(&format!("/{name}.pem")).await, root.pem.as_bytes());
    }
    let all = [&*a.pem, &site.pem, &c.pem, &b.pem].concat();
    assert_eq!(body("/roots.pem").await, all.as_bytes());

    let long = format!("/root-{}.crt", "a".repeat(60_000));
    for path in
        ["/root-aaaaaaaaaaaaaaa.crt", "/root-aaaaaaaaaaaaaaaaa.crt", "/root-AAAAAAAAAAAAAAAA.crt", &long]
            .into_iter()
            .chain([
                "/root-.crt",
                "/root-aaaaaaaaaaaaaaaa.key",
                "/root-aaaaaaaaaaaaaaaa",
                "/roots.crt",
                "/x/root.crt",
            ])
            .chain([
                "/root-dddddddddddddddd.crt",
                "/root-%61aaaaaaaaaaaaaaa.crt",
                "/root",
                "/.crt",
                "/root.crt/",
            ])
    {
        assert_eq!(site.ask(Method::GET, path).await.0, StatusCode::NOT_FOUND, "{path:.40}");
    }
}

#[tokio::test]
async fn what_came_from_outside_is_text() {
    let site = Site::start(|page| page.trust.site = sample::HOSTILE.to_owned()).await;
    let html = site.text("/").await + &site.text("/trust/windows").await;
    for bad in ["<script", "onmouseover='", "\" onmouseover", "href=\"javascript", "style=\"", " onload"] {
        assert!(!html.contains(bad), "{bad}");
    }
    assert!(html.contains("Gate &#60;script&#62;"), "the name is shown, escaped");
    // Nothing is fetched from elsewhere: the only addresses are those of the cameras and of the site.
    for link in
        html.match_indices("href=\"").chain(html.match_indices("src=\"")).map(|(at, m)| &html[at + m.len()..])
    {
        let ours = ["/", "#", "https://127.0.0.1:", "https://192.168.1.5:8443/"];
        assert!(ours.iter().any(|ours| link.starts_with(ours)), "{}", &link[..40]);
    }
}

#[tokio::test]
async fn the_page_says_what_was_seen() {
    let site = Site::start(|_| ()).await;
    let html = site.text("/").await;
    for wanted in [
        "<h1>2 of 4 cameras secure</h1>",
        "Tz4-mild-Kestrel",
        "no secret crossed the network",
        "crossed plain HTTP once",
        "<s>https</s>",
        "rolled back",
        "not reached",
        "<time datetime=\"2027-12-25\">25 December 2027</time>",
        "href=\"/trust\"",
        "simulated, on this computer",
    ] {
        assert!(html.contains(wanted), "{wanted}");
    }
    let plain = Site::start(|page| {
        page.sign_in = None;
        page.cameras = vec![sample::makes_its_own_key()];
    });
    let html = plain.await.text("/").await;
    assert!(html.contains("<h1>1 of 1 camera secure</h1>"));
    assert!(!html.contains("simulated, on this"));
    let empty = Site::start(|page| page.cameras.clear()).await.text("/").await;
    assert!(empty.contains("<h1>No cameras yet</h1>"));
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let site = Site::start(|_| ()).await;
    let mut idle = site.connect().await;
    let request = || Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    idle.send_request(request()).await.unwrap().into_body().collect().await.unwrap();
    let address = site.server.address();
    site.server.stop().await;
    assert!(idle.send_request(request()).await.is_err());
    assert!(TcpStream::connect(address).await.is_err());
}
