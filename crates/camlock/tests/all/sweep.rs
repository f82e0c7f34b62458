//! Many targets in one call of `check`, and the forms of its result.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::{Site, camera, document};
use camera_sim::Model;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::{
    ServerConfig, ServerConnection,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;

/// A server that does as told with each connection; its port.
fn server(address: &str, talk: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind(format!("{address}:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    let talk = Arc::new(talk);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let talk = talk.clone();
            std::thread::spawn(move || talk(&mut stream));
        }
    });
    port
}

/// A web server with TLS and a certificate of its own for 127.0.0.1 with this common name.
fn https(name: &str) -> u16 {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
    let key = KeyPair::generate().unwrap();
    let leaf = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    server("127.0.0.1", move |stream| {
        let mut session = ServerConnection::new(config.clone()).unwrap();
        let _ = session.complete_io(stream);
        let _ = stream.read(&mut [0; 1]);
    })
}

/// A port at which nothing is.
fn closed() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn targets(reports: &Value) -> Vec<&str> {
    reports.as_array().unwrap().iter().map(|report| report["target"].as_str().unwrap()).collect()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_range_is_all_of_its_addresses_and_silence_in_it_is_only_counted() {
    let site = Site::new();
    let port = closed();
    let named = format!("127.0.0.1:{port}");
    let words = ["check", "127.9.9.0/29", &named, "127.9.9.20-127.9.9.22"];
    let reports = site.json(&words, 1);
    let hosts = [1, 2, 3, 4, 5, 6].map(|host| format!("127.9.9.{host}"));
    let mut expected: Vec<&str> = hosts.iter().map(String::as_str).collect();
    expected.extend([named.as_str(), "127.9.9.20", "127.9.9.21", "127.9.9.22"]);
    assert_eq!(targets(&reports), expected);
    assert!(reports.as_array().unwrap().iter().all(|report| report["verdict"] == "unreachable"));

    let shown = printed(&site.run(&words));
    assert!(shown.contains(&named) && !shown.contains("127.9.9."), "{shown}");
    assert!(shown.contains("1 target: 0 secure, 0 not secure, 1 unreachable."), "{shown}");
    assert!(shown.contains("9 addresses of the ranges have no web page."), "{shown}");
    for wrong in ["127.9.9.9-127.9.9.1", "10.0.0.0/8"] {
        assert_eq!(site.run(&["check", wrong]).status.code(), Some(2), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_or_the_ledger_names_the_targets() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    site.secure(&camera, &[], 0).await;
    // Nothing is read from the list; its https page is what was secured.
    let known = site.json(&["check", "--all"], 0);
    assert_eq!(known[0]["verdict"], "secure", "{known}");
    assert_eq!(targets(&known), [camera.https_url().trim_start_matches("https://")]);

    let port = closed();
    let mut child = site.command(&["check", "--list", "-", "--json"]);
    let mut child =
        child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let list = format!("host,name\n127.0.0.1:{port},Gate\n127.0.0.2:{port},Yard\n");
    child.stdin.take().unwrap().write_all(list.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(targets(&document(&output)), [format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")]);
    // Of a list what does not answer is shown: it is named.
    assert_eq!(Site::new().run(&["check", "--all"]).status.code(), Some(3));
}

#[test]
fn no_certificate_writes_into_a_table_a_page_or_a_terminal() {
    let site = Site::new();
    let name = "=cmd|'/c calc'!A1\",<script>alert(1)</script>\u{1b}[2J\u{202e}\r\n</td>";
    let target = format!("127.0.0.1:{}", https(name));
    let (csv, html) = (site.path("out.csv"), site.path("out.html"));
    let files = ["--csv", csv.to_str().unwrap(), "--html", html.to_str().unwrap()];
    // At length, and in a table.
    let more = ["127.9.9.0/28"];
    for words in [[&["check", &target][..], &files].concat(), [&["check", &target][..], &more].concat()] {
        let output = site.run(&words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let shown = printed(&output);
        assert!(shown.contains("script") && !shown.contains(['\u{1b}', '\u{202e}', '\r']), "{shown:?}");
    }

    let table = std::fs::read_to_string(csv).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 2, "{table}");
    assert!(lines[0].starts_with("\"target\",\"verdict\""));
    assert!(
        lines[1].starts_with(&format!("\"{target}\",\"not-secure\",\"ERR_CERT_AUTHORITY_INVALID\"")),
        "{table}"
    );
    assert!(!table.contains('\u{1b}'), "{table}");

    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.contains("&#60;script\\&#62;alert(1)"), "{page}");
    assert!(!page.contains("<script") && !page.contains(['\u{1b}', '\u{202e}']));
    assert_eq!(page.matches("</td>").count(), 2, "one row of two cells beside its heading");
    for foreign in ["src=", "url(", "@import", "href=\"http"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[test]
fn standard_output_takes_one_form() {
    let site = Site::new();
    let target = format!("127.0.0.1:{}", closed());
    let output = site.run(&["check", &target, "--csv", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).starts_with("\"target\","), "{output:?}");
    assert!(printed(&site.run(&["check", &target, "--html", "-"])).starts_with("<!doctype html>"));
    for more in ["--json", "--html=-"] {
        assert_eq!(site.run(&["check", &target, "--csv", "-", more]).status.code(), Some(2));
    }
    // Told before anything is looked at.
    let nowhere = site.run(&["check", &target, "--html", "no-such-folder/report.html"]);
    assert_eq!((nowhere.status.code(), &*nowhere.stdout), (Some(3), &b""[..]));
}

/// Where few files may be open, few targets are looked at at once, and all of them are looked at.
#[cfg(target_os = "linux")]
#[test]
fn a_sweep_keeps_within_the_limit_on_open_files() {
    let site = Site::new();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let port = server("0.0.0.0", move |stream| {
        let here = counted.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(here, Ordering::SeqCst);
        let _ = stream.read(&mut [0; 4096]);
        std::thread::sleep(Duration::from_millis(20));
        // Before the answer, with which the other side goes.
        counted.fetch_sub(1, Ordering::SeqCst);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    });
    let list: String = (1..=200).map(|host| format!("127.8.0.{host}:{port}\n")).collect();
    std::fs::write(site.path("list"), list).unwrap();
    let mut shell = site.environment("sh");
    shell.args(["-c", "ulimit -n 48; exec \"$0\" check --json --list list", env!("CARGO_BIN_EXE_camlock")]);
    let output = shell.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let reports = document(&output);
    let codes: Vec<&Value> = reports.as_array().unwrap().iter().map(|r| &r["findings"][0]["code"]).collect();
    assert_eq!(codes, vec!["plain-http"; 200]);
    let most = most.load(Ordering::SeqCst);
    assert!((2..=16).contains(&most), "{most} at once");
}

#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_ends_it_with_what_was_seen() {
    let site = Site::new();
    let hangs = server("127.0.0.1", |_| std::thread::sleep(crate::common::PATIENCE));
    let (first, second) = (format!("127.0.0.1:{}", closed()), format!("127.0.0.1:{hangs}"));
    let html = site.path("report.html");
    let words = ["check", &first, &second, "--json", "--html", html.to_str().unwrap()];
    let mut child = site.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The first one is told while the second one is waited for.
    let begun = [lines.next().unwrap(), lines.next().unwrap()].concat();
    let id = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let rest: String = lines.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let reports: Value = serde_json::from_str(&format!("{begun}{rest}")).unwrap();
    assert_eq!(targets(&reports), [first]);
    assert!(crate::common::text(&output).contains("1 of 2"), "{output:?}");
    assert!(std::fs::read_to_string(html).unwrap().contains("1 target was not looked at"));
}

/// A report goes over no file that a link leads to, and is whole or not there; into a pipe it goes as before.
#[cfg(unix)]
#[test]
fn a_report_follows_no_link() {
    let site = Site::new();
    std::fs::create_dir(site.path("theirs")).unwrap();
    let target = format!("127.0.0.1:{}", https("one"));
    for (option, begins) in [("--csv", "\"target\","), ("--html", "<!doctype html>")] {
        let precious = site.path("theirs/precious");
        std::fs::write(&precious, "precious").unwrap();
        std::os::unix::fs::symlink("theirs/precious", site.path("report")).unwrap();
        for _ in 0..2 {
            assert_eq!(site.run(&["check", &target, option, "report"]).status.code(), Some(1));
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
            assert!(site.path("report").symlink_metadata().unwrap().is_file());
            assert!(std::fs::read_to_string(site.path("report")).unwrap().contains(begins));
            // A report that was closed stays closed.
            site.set_mode("report", 0o600);
        }
        assert_eq!(site.mode("report"), 0o600);
        std::fs::remove_file(site.path("report")).unwrap();
        // Not the other file of two names, either.
        std::fs::hard_link(&precious, site.path("report")).unwrap();
        assert_eq!(site.run(&["check", &target, option, "report"]).status.code(), Some(1));
        assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
        std::fs::remove_file(site.path("report")).unwrap();

        assert_eq!(site.run(&["check", &target, option, "theirs"]).status.code(), Some(3));
        assert_eq!(site.run(&["check", &target, option, "/dev/null"]).status.code(), Some(1));
        let piped = site.run(&["check", &target, option, "/dev/stdout"]);
        assert!(String::from_utf8(piped.stdout).unwrap().contains(begins));
        let out = std::fs::File::create(site.path("out")).unwrap();
        let mut command = site.command(&["check", &target, option, "/dev/stdout", "--json"]);
        assert_eq!(command.stdout(out).status().unwrap().code(), Some(1));
        assert!(site.path("out").metadata().unwrap().len() > 0);
    }
    let names = std::fs::read_dir(site.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.as_encoded_bytes().starts_with(b".camlock-")));
}
