//! What answers need not be a camera, nor mean well: every run ends soon, with a sentence, and gives nothing away.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::common::{Site, camera};
use camera_sim::{Fault, Model};
use serde_json::Value;
use tokio::time::Instant;

const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
const SECURITY: &str = "http://www.onvif.org/ver10/advancedsecurity/wsdl";

/// A server that reads one request on each connection and then does as it likes.
struct Stub {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    fn start(behave: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Stub {
        Stub::on(Ipv4Addr::LOCALHOST, behave).unwrap()
    }

    fn on(
        host: Ipv4Addr,
        behave: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static,
    ) -> std::io::Result<Stub> {
        let listener = TcpListener::bind((host, 0))?;
        let stub = Stub { address: listener.local_addr()?, requests: Arc::default() };
        let (requests, behave) = (stub.requests.clone(), Arc::new(behave));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (requests, behave) = (requests.clone(), behave.clone());
                std::thread::spawn(move || {
                    let request = read_request(&mut stream);
                    requests.lock().unwrap().push(request.clone());
                    behave(&request, &mut stream);
                });
            }
        });
        Ok(stub)
    }

    /// Answers every request with this.
    fn saying(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Stub {
        Stub::start(move |request, stream| drop(stream.write_all(answer(request).as_bytes())))
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    fn with_credentials(&self) -> usize {
        self.requests().iter().filter(|r| r.to_ascii_lowercase().contains("\r\nauthorization:")).count()
    }
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                return text;
            }
        }
        match stream.read(&mut buffer) {
            Ok(more) if more > 0 => request.extend_from_slice(&buffer[..more]),
            _ => return text,
        }
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len())
}

fn soap(content: &str) -> String {
    let body = format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="{DEVICE}" xmlns:tas="{SECURITY}"><s:Body>{content}</s:Body></s:Envelope>"#
    );
    http("200 OK", "Content-Type: application/soap+xml\r\n", &body)
}

/// A camera as far as the login: `answer` is what comes to everything that needs one.
fn onvif(xaddr: String, answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Stub {
    Stub::saying(move |request| {
        let asks = |operation: &str| request.contains(&format!(":{operation}>"));
        if asks("GetSystemDateAndTime") {
            soap("<tds:GetSystemDateAndTimeResponse/>")
        } else if asks("GetServices") {
            soap(&format!(
                "<tds:GetServicesResponse><tds:Service><tds:Namespace>{SECURITY}</tds:Namespace>\
                 <tds:XAddr>{xaddr}</tds:XAddr></tds:Service></tds:GetServicesResponse>"
            ))
        } else if request.starts_with("GET / ") {
            http("200 OK", "", "a page")
        } else {
            answer(request)
        }
    })
}

/// Without the program's own limits it would wait for ever; a busy machine may take its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// `secure` fails, and in time; the error's code, and how long it took.
async fn fails(site: &Site, url: &str) -> (String, Value) {
    let since = Instant::now();
    let outcome = site.secure_at(url, &[], 1).await;
    let took = since.elapsed();
    println!("{url}: {} after {took:.1?}", outcome["error"]);
    assert!(took < PATIENCE, "{took:?}: {outcome}");
    assert!(outcome["error"]["text"].as_str().is_some_and(|t| t.len() > 10), "{outcome}");
    (outcome["error"]["code"].as_str().unwrap().to_owned(), outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_hangs_is_given_up() {
    let site = Site::founded();
    let one = camera(Model::OnvifSecurity, &[Fault::Hangs]).await;
    let check = |target: String| {
        let site = &site;
        async move {
            let since = Instant::now();
            let output = tokio::process::Command::from(site.command(&["check", &target, "--json"]));
            let output = { output }.output().await.unwrap();
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let report = crate::common::document(&output)[0].clone();
            assert_eq!(report["verdict"], "unreachable");
            assert_eq!(report["findings"][0]["code"], "timed-out");
            assert!(since.elapsed() < Duration::from_secs(25), "{:?}", since.elapsed());
        }
    };
    // One that says "wait" for ever is no better, and neither is one that hangs where TLS should be.
    let waiting =
        Stub::start(|_, stream| while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").is_ok() {});
    let other = camera(Model::PemPage, &[Fault::Hangs]).await;
    let silent = camera(Model::OnvifDevice, &[Fault::Hangs]).await;
    let targets = [
        one.http_url(),
        other.http_address().to_string(),
        waiting.url(),
        format!("https://{}", silent.http_address()),
    ];
    let [url, bare, waiting, https] = &targets;
    let ((one, _), (two, _), (three, _), (four, _), (), ()) = tokio::join!(
        fails(&site, url),
        fails(&site, bare),
        fails(&site, waiting),
        fails(&site, https),
        check(url.clone()),
        check(bare.clone())
    );
    assert_eq!([one, two, three, four], ["timed-out"; 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_speak_http_is_said_so() {
    let site = Site::founded();
    let closing = Stub::start(|_, _| {});
    let old = Stub::saying(|_| "<html>hello".to_owned());
    let binary =
        Stub::start(|_, stream| drop(stream.write_all(&[0, 0xff, 0x0d, 0x0a, 0x16, 3, 1].repeat(999))));
    let endless = Stub::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(&b"X-Header: and so on\r\n".repeat(100)).is_ok() {}
    });
    for stub in [closing, old, binary, endless] {
        assert_eq!(fails(&site, &stub.url()).await.0, "not-http");
        let output = tokio::task::block_in_place(|| site.run(&["check", &stub.url()]));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(stub.with_credentials(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_is_not_read() {
    let site = Site::founded();
    let written = Arc::new(AtomicU32::new(0));
    let count = written.clone();
    let stub = Stub::start(move |request, stream| {
        let megabyte = vec![b'a'; 1 << 20];
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: 104857600\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        for _ in 0..100 {
            if stream.write_all(&megabyte).is_err() {
                return;
            }
            count.fetch_add(u32::from(request.starts_with("POST")), Ordering::Relaxed);
        }
    });
    assert_eq!(fails(&site, &stub.url()).await.0, "unexpected-answer");
    // What is written beyond the limit has only filled the system's buffers.
    let written = written.load(Ordering::Relaxed);
    assert!(written < 20, "{written} MB were taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_that_means_harm_does_none() {
    let site = Site::founded();
    let many = |count: usize, piece: &dyn Fn(usize) -> String| (0..count).map(piece).collect::<String>();
    let element = "tds:GetSystemDateAndTimeResponse";
    let broken = soap(&format!("<{element}><tds:SystemDateAndTime>"));
    let entities = many(30, &|i| format!("<!ENTITY e{} \"&e{i};&e{i};&e{i};\">", i + 1));
    let bomb = format!("<!DOCTYPE x [<!ENTITY e0 \"ha\">{entities}]>{}", &soap("<x>&e30;</x>")[60..]);
    let deep = soap(&format!("<{element}>{}{}</{element}>", "<a>".repeat(45_000), "</a>".repeat(45_000)));
    let attributes = soap(&format!("<{element} {}/>", many(80_000, &|i| format!("a{i:x}=\"\" "))));
    let spaces = many(20_000, &|i| format!("xmlns:a{i:x}=\"b\" "));
    let namespaces =
        soap(&format!("<{element} {spaces}>{}</{element}>", "<a xmlns:b=\"c\"/>".repeat(30_000)));
    for (name, answer) in [
        ("broken", broken),
        ("entities", http("200 OK", "", &bomb)),
        ("deep", deep),
        ("attributes", attributes),
        ("namespaces", namespaces),
    ] {
        assert!(answer.len() < 1 << 20, "{name}");
        let stub = Stub::saying(move |_| answer.clone());
        let (code, outcome) = fails(&site, &stub.url()).await;
        assert_eq!(code, "unexpected-answer", "{name}: {outcome}");
        assert_eq!(stub.with_credentials(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_host_is_spoken_to() {
    let site = Site::founded();
    let elsewhere = Stub::saying(|_| http("200 OK", "Server: PemCam/1.0\r\n", "welcome"));
    let away = format!("Location: {}/onvif/device_service\r\n", elsewhere.url());

    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let away = away.clone();
        let stub = Stub::saying(move |_| http(status, &away, ""));
        assert_eq!(fails(&site, &stub.url()).await.0, "not-a-camera");
        assert_eq!(stub.with_credentials(), 0);
    }

    // Only once it has asked for the password.
    let stub = onvif(String::new(), move |request| {
        if request.contains("Authorization: Digest") {
            http("307 Temporary Redirect", &away, "")
        } else {
            http("401 Unauthorized", "WWW-Authenticate: Digest realm=\"cam\", nonce=\"n\"\r\n", "")
        }
    });
    assert_eq!(fails(&site, &stub.url()).await.0, "unexpected-answer");
    assert_eq!(stub.with_credentials(), 1);
    assert_eq!(elsewhere.requests(), Vec::<String>::new());

    // The address of a service: path and port are followed, the host is not.
    let Ok(other) = Stub::on(Ipv4Addr::new(127, 0, 0, 2), |_, _| {}) else {
        println!("skipped: this machine has no second loopback address");
        return;
    };
    let stub = onvif(format!("http://{}/onvif/security", other.address), |_| http("404 Not Found", "", ""));
    fails(&site, &stub.url()).await;
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_neither_shown_nor_tried_again_and_again() {
    let site = Site::founded();
    let basic =
        onvif(String::new(), |_| http("401 Unauthorized", "WWW-Authenticate: Basic realm=\"cam\"\r\n", ""));
    let (code, outcome) = fails(&site, &basic.url()).await;
    assert_eq!((code.as_str(), basic.with_credentials()), ("token-under-basic", 0), "{outcome}");

    let nonce = AtomicU32::new(0);
    let stale = onvif(String::new(), move |_| {
        let nonce = nonce.fetch_add(1, Ordering::Relaxed);
        let challenge = format!("WWW-Authenticate: Digest realm=\"cam\", nonce=\"{nonce}\", stale=true\r\n");
        http("401 Unauthorized", &challenge, "")
    });
    let (code, outcome) = fails(&site, &stale.url()).await;
    assert_eq!((code.as_str(), stale.with_credentials()), ("wrong-password", 2), "{outcome}");
    for stub in [basic, stale] {
        assert!(stub.requests().iter().all(|r| !r.contains("camera password")));
    }
}
