//! The trust page: what it tells whom, what it hands out, and the proof.

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const WINDOWS: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/143.0.0.0 Safari/537.36";

/// The trust page's own server, with a certificate that proves this root.
struct Plain {
    server: Server,
    client: Arc<ClientConfig>,
    values: Values,
}

impl Plain {
    async fn start(root: &str, change: impl FnOnce(&mut Page)) -> Plain {
        let key = KeyPair::generate().unwrap();
        let names = vec!["127.0.0.1".to_owned(), "nas.lan".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let tls = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], der)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let names = ["127.0.0.1", "192.168.1.5", "nas.lan", "fd00::5"].map(|name| name.parse().unwrap());
        let prover = Prover::new(tls, root.to_owned(), names.to_vec());
        let mut page = sample::page(sample::root('a'));
        change(&mut page);
        let values = Values::new(page, Some(prover));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start_trust(listener, web::Clients::all(), values.clone()).await.unwrap();
        Plain { server, client: Arc::new(client), values }
    }

    async fn with(root: &str) -> Plain {
        Plain::start(root, |_| ()).await
    }

    /// An answer with its head, as bytes on a connection of its own.
    async fn raw(&self, request: &str, tls: bool) -> String {
        let mut tcp = TcpStream::connect(self.server.address()).await.unwrap();
        let mut answer = Vec::new();
        if tls {
            let connector = TlsConnector::from(self.client.clone());
            let mut stream = connector.connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.read_to_end(&mut answer).await.unwrap();
        } else {
            tcp.write_all(request.as_bytes()).await.unwrap();
            tcp.read_to_end(&mut answer).await.unwrap();
        }
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str, host: &str, agent: &str) -> String {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n"
        );
        self.raw(&head, false).await
    }
}

fn newest() -> String {
    "a".repeat(64)
}

#[tokio::test]
async fn a_visitor_sees_the_steps_of_its_own_system() {
    let site = Plain::with(&newest()).await;
    for (agent, chosen, download, step) in [
        (WINDOWS, "windows", "/root.crt", "Trusted Root Certification Authorities"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "mac", "/root.crt", "Keychain Access"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6)",
            "iphone",
            "/root.mobileconfig",
            "Certificate Trust Settings",
        ),
        ("Mozilla/5.0 (Linux; Android 14)", "android", "/root.crt", "Apps ignore it"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "linux", "/root.sh", "sh ~/Downloads/camlock-root.sh</code>"),
    ] {
        for path in ["/", "/trust"] {
            let page = site.get(path, "nas.lan:8080", agent).await;
            assert!(page.contains(&format!("href=\"/trust/{chosen}\" aria-current")), "{agent}");
            assert!(page.contains(&format!("large\" href=\"{download}\" download")), "{agent}");
            assert!(page.contains(step) && page.contains("<span>AAAA</span>"), "{agent}");
        }
        // Another one can be chosen, whoever asks.
        let other = site.get("/trust/firefox", "nas.lan:8080", agent).await;
        assert!(other.contains("Trust this CA to identify websites"));
    }
    let unknown = site.get("/", "nas.lan:8080", "<script>alert(1)</script>").await;
    assert!(
        unknown.contains("Choose yours") && !unknown.contains("aria-current") && !unknown.contains("<script")
    );
    let office = site.get("/trust/office", "nas.lan:8080", "").await;
    assert!(office.contains("/firefox-policies.json") && office.contains("/chrome-policy.json"));
    for path in ["/trust/", "/trust/Windows", "/trust/%77indows/", "/trust/windows/x"] {
        assert!(site.get(path, "nas.lan:8080", WINDOWS).await.starts_with("HTTP/1.1 404"), "{path}");
    }
}

#[tokio::test]
async fn the_test_asks_the_host_that_the_visitor_came_to() {
    let site = Plain::with(&newest()).await;
    for (host, origin) in [
        ("nas.lan:8080", "https://nas.lan:8080"),
        ("NAS.lan", "https://nas.lan:80"),
        ("192.168.1.5:9", "https://192.168.1.5:9"),
        ("[fd00::5]:8080", "https://[fd00::5]:8080"),
        ("localhost:8080", "https://127.0.0.1:8080"),
    ] {
        let page = site.get("/", host, WINDOWS).await;
        assert!(page.contains(&format!("href=\"{origin}/trust/proof.css\"")), "{host}");
        assert!(page.contains(&format!("style-src 'self' {origin};")), "{host}");
        assert_eq!(page.matches("Not yet").count(), 1);
    }
    for host in
        ["evil.example", "10.0.0.1:8080", "x\"><script>alert(1)</script>", "nas.lan.evil.example:8080"]
    {
        let page = site.get("/", host, WINDOWS).await;
        assert!(page.contains("style-src 'self';") && !page.contains("proof.css"), "{host}");
        assert!(!page.contains("evil") && !page.contains("<script"), "{host}");
        if page.starts_with("HTTP/1.1 200") {
            // Where it can be tested.
            assert!(page.contains("does not hold") && page.contains("\"http://nas.lan:"), "{host}");
        }
    }
}

#[tokio::test]
async fn nothing_is_promised_that_cannot_be_tested() {
    // During a rollover only the new root is worth proving.
    let old = Plain::start(&newest(), |page| page.trust.next = Some(sample::root('b'))).await;
    let page = old.get("/", "nas.lan:8080", WINDOWS).await;
    assert!(page.contains("no certificate under this root") && !page.contains("proof.css"));
    let new = Plain::start(&"b".repeat(64), |page| page.trust.next = Some(sample::root('b'))).await;
    assert!(new.get("/", "nas.lan:8080", WINDOWS).await.contains("/trust/proof.css"));
    // The site's page has no prover here; and a demonstration no port for one.
    let none = Site::start(|_| ()).await;
    let page = none.text("/trust/linux").await;
    assert!(page.contains("no certificate for it yet") && !page.contains("proof.css"));
    none.change(|trust| trust.reach.http_port = None);
    let page = none.text("/trust/linux").await;
    assert!(!page.contains("cannot run now") && page.contains("The site&#39;s own page tells"));
}

#[tokio::test]
async fn only_a_connection_that_trusts_the_root_is_a_proof() {
    let site = Plain::with(&newest()).await;
    let request = "GET /trust/proof.css HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert!(site.raw(request, false).await.starts_with("HTTP/1.1 404"));
    assert!(site.values.proven.lock().unwrap().is_empty());
    let proof = site.raw(request, true).await;
    assert!(proof.starts_with("HTTP/1.1 200") && proof.contains(".proof .proven"), "{proof}");
    assert!(proof.contains("cross-origin-resource-policy: cross-origin") && proof.contains("no-store"));
    let address = IpAddr::from([127, 0, 0, 1]);
    assert_eq!(*site.values.proven.lock().unwrap(), [(newest(), address)]);

    // Without a certificate for it, TLS is not answered, and plain HTTP goes on.
    let mut values = site.values.clone();
    values.prover = None;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let bare = Plain {
        server: Server::start_trust(listener, web::Clients::all(), values.clone()).await.unwrap(),
        values,
        ..site
    };
    let tcp = TcpStream::connect(bare.server.address()).await.unwrap();
    let refused = TlsConnector::from(bare.client.clone()).connect("127.0.0.1".try_into().unwrap(), tcp).await;
    assert!(refused.is_err());
    assert!(bare.get("/", "nas.lan", WINDOWS).await.contains("no certificate for it yet"));
}

#[tokio::test]
async fn a_phone_gets_an_address_that_it_can_open() {
    let site = Plain::with(&newest()).await;
    let from = async |host: &str, agent: &str| site.get("/", host, agent).await;
    // Numbers, since phones seldom know the names of a network; and the port that the visitor used.
    for host in ["nas.lan:81", "127.0.0.1:81", "192.168.1.5:81"] {
        assert!(from(host, WINDOWS).await.contains("aria-label=\"http://192.168.1.5:81/\""), "{host}");
    }
    assert!(!from("nas.lan:81", "Mozilla/5.0 (iPhone)").await.contains("<svg class=\"qr\""));
    let alone =
        Plain::start(&newest(), |page| page.trust.reach.names = vec!["127.0.0.1".parse().unwrap()]).await;
    assert!(!alone.get("/", "127.0.0.1:81", WINDOWS).await.contains("<svg class=\"qr\""));
}

#[tokio::test]
async fn what_is_downloaded_holds_the_root() {
    let sha256 = "0123456789abcdef".repeat(2) + &"fedcba9876543210".repeat(2);
    let site = Site::start(|page| {
        page.trust.root.subject = "CN=Bolt & <Társa> \"x\"".to_owned();
        page.trust.root.sha256.clone_from(&sha256);
    })
    .await;
    let text = async |path: &str| {
        let (_, headers, body) = site.ask(Method::GET, path).await;
        let file = format!("attachment; filename=\"camlock-{}\"", &path[1..]);
        assert_eq!(headers["content-disposition"].to_str().unwrap(), file);
        String::from_utf8(body).unwrap()
    };
    let der = |base64: &str| STANDARD.decode(base64.split_whitespace().collect::<String>()).unwrap();

    let profile = text("/root.mobileconfig").await;
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let plist = roxmltree::Document::parse_with_options(&profile, options).unwrap();
    let values = |key: &str| -> Vec<&str> {
        let keys = plist.descendants().filter(|node| node.has_tag_name("key") && node.text() == Some(key));
        keys.filter_map(|node| node.next_sibling_element()?.text()).collect()
    };
    assert_eq!(values("PayloadType"), ["Configuration", "com.apple.security.root"]);
    assert_eq!(values("PayloadDisplayName"), ["Bolt & <Társa> \"x\""; 2]);
    assert_eq!(
        values("PayloadUUID"),
        ["01234567-89AB-8DEF-9123-456789ABCDEF", "FEDCBA98-7654-8210-9EDC-BA9876543210"]
    );
    let data = plist.descendants().find(|node| node.has_tag_name("data")).unwrap();
    assert_eq!(der(data.text().unwrap()), site.root);

    for (path, begin, end) in [
        ("/root.ps1", "(@'\n", "'@)"),
        ("/root.sh", "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\nEND\n"),
    ] {
        let script = text(path).await;
        assert!(script.contains(&sha256), "{path}");
        let (_, rest) = script.split_once(begin).unwrap();
        assert_eq!(der(rest.split_once(end).unwrap().0), site.root, "{path}");
        assert!(!script.contains("Bolt"), "a name from outside is in no script");
    }

    site.change(|trust| trust.next = Some(sample::root('a')));
    let json = async |path: &str| serde_json::from_str::<serde_json::Value>(&text(path).await).unwrap();
    let chrome = json("/chrome-policy.json").await;
    let roots = chrome["CACertificates"].as_array().unwrap();
    let held: Vec<_> = roots.iter().map(|root| der(root.as_str().unwrap())).collect();
    assert_eq!(held, [sample::root('a').der, site.root.clone()]);
    let firefox = json("/firefox-policies.json").await;
    let files = &firefox["policies"]["Certificates"]["Install"];
    assert_eq!(files[0], "camlock-root-aaaaaaaaaaaaaaaa.crt");
    assert_eq!(files[1], "camlock-root-0123456789abcdef.crt");
    text("/root-aaaaaaaaaaaaaaaa.mobileconfig").await;

    // Under the name by which Firefox looks for it, also where there is only one root.
    site.change(|trust| trust.next = None);
    let office = site.text("/trust/office").await;
    assert!(office.contains("href=\"/root-0123456789abcdef.crt\""), "{office}");
    let (_, headers, _) = site.ask(Method::GET, "/root-0123456789abcdef.crt").await;
    assert_eq!(headers["content-disposition"], r#"attachment; filename="camlock-root-0123456789abcdef.crt""#);
    assert!(site.text("/trust/windows").await.contains("href=\"/root.crt\""));
}

/// How often `what` is in `text`.
fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[tokio::test]
async fn every_root_is_shown_and_what_to_do_with_it() {
    let site = Site::start(|page| page.sign_in = None).await;
    let alone = site.text("/trust/windows").await;
    assert!(alone.contains("<span>0123</span> <span>4567</span>"));
    assert!(alone.contains("Camlock Demo house 7f3a 2026") && !alone.contains("throw-away"));
    site.change(|trust| trust.next = Some(sample::root('a')));
    let moving = site.text("/trust/windows").await;
    for wanted in [
        "This site is moving to a new root",
        "href=\"/root-aaaaaaaaaaaaaaaa.crt\"",
        "href=\"/root-0123456789abcdef.pem\"",
        "<span>AAAA</span> <span>AAAA</span>",
        "Camlock Demo house a 2036",
    ] {
        assert!(moving.contains(wanted) && !alone.contains(wanted), "{wanted}");
    }
    // Each root has its commands, the new one first.
    for file in ["certutil -hashfile", "-addstore", "-File "] {
        assert_eq!(count(&moving, file), 2 * count(&alone, file), "{file}");
    }
    let at = |root: &str| moving.find(&format!("camlock-root-{root}.crt")).unwrap();
    assert!(at("aaaaaaaaaaaaaaaa") < at("0123456789abcdef"));

    site.change(|trust| {
        trust.next = None;
        trust.old = vec![sample::root('b'), sample::root('c')];
        trust.old[0].constrained = false;
        trust.throw_away = true;
    });
    let moved = site.text("/trust/windows").await;
    assert!(moved.contains("printed in the terminal") && !alone.contains("printed in the terminal"));
    for wanted in ["has moved to a new root", "without limits (name constraints)", "throw-away authority"] {
        assert!(moved.contains(wanted), "{wanted}");
    }
    assert_eq!((count(&moved, "<h3>New root"), count(&moved, "<h3>Earlier root")), (1, 2));
}
