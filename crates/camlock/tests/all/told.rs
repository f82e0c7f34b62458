//! What a device tells of itself is shown, stored and signed without characters that make it look like something else.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Stdio},
    sync::Arc,
};

use crate::common::{Site, options, text};
use camera_sim::{Camera, Model};
use domain::is_invisible;
use pki::Certificate;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs::default_provider,
    pki_types::ServerName,
};
use serde_json::Value;

/// Turned round, invisible, a tag, a line of its own.
const TOLD: &str = "P32\u{202e}lave\u{200b}\u{e0041}\u{2028}1\u{2066}";
const CLEAN: &str = "P32lave 1";

/// On several lines, as they have to be; each of them as it looks.
fn looks_like_what_it_is(text: &str) {
    let odd = text.chars().find(|c| is_invisible(*c) && *c != '\n');
    assert_eq!(odd, None, "{text:?}");
}

/// `camlock serve`, ended with the test.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The site's page.
fn page(site: &Site) -> String {
    let mut command = site.command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
    let mut service = Service(command.stderr(Stdio::piped()).spawn().unwrap());
    let log = BufReader::new(service.0.stderr.take().unwrap());
    let mut lines = log.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let started = lines.find(|line| line["page"].is_string()).unwrap();
    let url = started["page"].as_str().unwrap().trim_start_matches("https://").trim_end_matches('/');
    let (host, port) = url.rsplit_once(':').unwrap();

    let mut roots = RootCertStore::empty();
    let root = site.run(&["trust", "export"]).stdout;
    roots.add(Certificate::read_all(&root).unwrap()[0].der().to_vec().into()).unwrap();
    let client = ClientConfig::builder_with_provider(default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let tcp = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(client), name).unwrap(), tcp);
    write!(tls, "GET / HTTP/1.1\r\nHost: {url}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = tls.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap().replace('\r', "")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_camera_tells_of_itself_is_clean_everywhere() {
    let site = Site::founded();
    let mut odd = options(Model::OnvifSecurity, &[]);
    odd.model_told = Some(TOLD.to_owned());
    let camera = Camera::start(odd).await.unwrap();
    let name = format!("Simulated Cameras {CLEAN}");

    let user = ["find", &camera.http_url(), "--user", "admin", "--password-file", "password"];
    let found = tokio::task::block_in_place(|| site.json(&user, 0));
    assert_eq!(found[0]["model"], CLEAN);
    let output = site.securing(&camera.http_url(), &[]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    looks_like_what_it_is(&text(&output));
    looks_like_what_it_is(&String::from_utf8_lossy(&output.stdout));

    let leaf = Certificate::from_der(camera.state().served_leaf().unwrap()).unwrap();
    assert_eq!(leaf.subject(), format!("CN={name}"));
    tokio::task::block_in_place(|| {
        assert_eq!(site.json(&["list"], 0)[0]["model"], name);
        for words in [&user[..], &["list"], &["list", "certificates"]] {
            let output = site.run(words);
            looks_like_what_it_is(&(text(&output) + &String::from_utf8_lossy(&output.stdout)));
        }
        let page = page(&site);
        assert!(page.starts_with("HTTP/1.1 200") && page.contains(&name), "{page}");
        looks_like_what_it_is(&page);
    });
    camera.stop().await;
}

#[test]
fn a_name_that_looks_like_another_is_refused() {
    let site = Site::new();
    for name in ["Shop\u{202e}", "Sh\u{200b}op", "Shop\u{fe0f}"] {
        let output = site.run(&["init", "--site", name, "--key", "p256"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output).contains("none of them invisible"), "{output:?}");
        assert!(!site.path("data").join("camlock.db").exists());
    }
    let site = Site::founded();
    let csr = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/requests/cn-only.pem");
    let sign = ["sign", csr.to_str().unwrap()];
    let issue = ["issue", "--ip", "10.0.0.1"];
    let issued = site.json(&["list", "certificates"], 0);
    for words in [&sign[..], &issue] {
        let output = site.run(&[words, &["--name", "Gate\u{2067}1", "--out", "a"]].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output);
        assert!(said.contains(r"Gate\u{2067}1 is not possible as a name"), "{said}");
        looks_like_what_it_is(&said);
        assert!(!site.path("a").exists());
    }
    assert_eq!(site.json(&["list", "certificates"], 0), issued);
}
