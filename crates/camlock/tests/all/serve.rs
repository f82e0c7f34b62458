//! The service from outside: whom it answers, and what it does by itself.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, ChildStderr, Stdio},
};

use crate::common::{PATIENCE, Site, text};
use serde_json::{Value, json};
use store::{BackupRow, Store};
use time::{Duration, OffsetDateTime};
use tokio::{net::TcpSocket, task::block_in_place};

/// A running `camlock serve`; killed if it is forgotten.
struct Service {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it said before it served.
    before: Vec<Value>,
    page: String,
    trust: String,
}

impl Service {
    fn start(site: &Site) -> Service {
        Service::start_with(site, &[])
    }

    fn start_with(site: &Site, more: &[&str]) -> Service {
        let words = [&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"], more].concat();
        let mut child = site.command(&words).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let mut service =
            Service { child, log, before: Vec::new(), page: String::new(), trust: String::new() };
        loop {
            let line = service.line();
            if line["code"].as_str().unwrap().starts_with("serving") {
                service.page = line["page"].as_str().unwrap().to_owned();
                service.trust = line["trust"].as_str().unwrap().to_owned();
                return service;
            }
            service.before.push(line);
        }
    }

    /// The next line of its log.
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.log.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// What is between `//` and the next slash.
fn address(url: &str) -> &str {
    url.split('/').nth(2).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_shuts_nobody_out() {
    let site = Site::founded();
    let service = block_in_place(|| Service::start(&site));
    let mut crowd = Vec::new();
    for from in 2..=4 {
        for url in [&service.page, &service.trust] {
            for _ in 0..300 {
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind(([127, 0, 0, from], 0).into()).unwrap();
                crowd.push(socket.connect(address(url).parse().unwrap()).await.unwrap());
            }
        }
        block_in_place(|| {
            assert_eq!(site.json(&["check", &service.page], 0)[0]["verdict"], "secure");
            let mut plain = TcpStream::connect(address(&service.trust)).unwrap();
            plain.set_read_timeout(Some(PATIENCE)).unwrap();
            plain.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut page = String::new();
            plain.read_to_string(&mut page).unwrap();
            assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        });
    }
}

fn codes(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["code"].as_str().unwrap()).collect()
}

/// The ledger believes that something happened then.
async fn seen(site: &Site, at: OffsetDateTime) {
    let store = Store::open(&site.path("data")).await.unwrap();
    store
        .record_backup(&BackupRow { at, file: "a".into(), root: None, recovery: None, tried: false })
        .await
        .unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_clock_that_is_wrong_nothing_is_begun_unasked() {
    let site = Site::founded();
    seen(&site, OffsetDateTime::now_utc() + Duration::days(2)).await;
    std::fs::remove_file(site.path("data/proof.pem")).unwrap();
    let service = block_in_place(|| Service::start(&site));
    assert_eq!(codes(&service.before), ["this-clock-behind"]);
    drop(service);
    assert!(!site.path("data/proof.pem").exists());
    let doctor = block_in_place(|| site.json(&["doctor"], 1));
    assert_eq!(doctor["findings"][0]["code"], "this-clock-behind", "{doctor}");

    // What somebody asks for is done, and said; from then on the clock is believed.
    for words in [&["issue", "--name", "Gate", "--ip", "10.0.0.1", "--key", "p256"][..], &["backup", "b.age"]]
    {
        let output = block_in_place(|| site.run(words));
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(text(&output).contains("This computer's clock says"), words[0] == "issue", "{output:?}");
    }
    let service = block_in_place(|| Service::start(&site));
    assert_eq!(codes(&service.before), Vec::<&str>::new());
    assert!(site.path("data/proof.pem").exists());
}

/// An authority that was made so many days ago and has issued nothing.
async fn founded_ago(site: &Site, days: i64) {
    let founding = authority::Founding {
        site: "Shop".into(),
        key: pki::KeyKind::P256,
        permitted: pki::Permitted::local(None),
        constrained: true,
        two_tier: false,
    };
    let store = Store::create(&site.path("data")).await.unwrap();
    let made = OffsetDateTime::now_utc() - Duration::days(days);
    let new = authority::New::make(founding, "a passphrase of several words", made).await.unwrap();
    new.found(&store).await.unwrap();
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_without_a_sign_of_life_is_told() {
    let site = Site::new();
    founded_ago(&site, 500).await;
    for (days, is_told) in [(402, true), (398, false)] {
        seen(&site, OffsetDateTime::now_utc() - Duration::days(days)).await;
        let doctor = block_in_place(|| site.json(&["doctor"], 1));
        let is_ahead = doctor["findings"].to_string().contains("this-clock-ahead");
        assert_eq!(is_ahead, is_told, "{doctor}");
    }
}

#[test]
fn a_secret_that_others_can_read_is_told_once() {
    let site = Site::founded();
    let said = |words: &[&str]| {
        let output = site.run(words);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let said = text(&output);
        (said.matches("others on this computer can read").count(), said)
    };
    let issue =
        ["issue", "--name", "Gate", "--ip", "10.0.0.1", "--format", "p12", "--package-passphrase-file"];
    let issue = |file: &str| {
        let _ = std::fs::remove_file(site.path("Gate.p12"));
        said(&[&issue[..], &[file, "--key", "p256"]].concat())
    };
    assert_eq!(issue("password").0, 0);
    std::fs::write(site.path("pass word"), "twelve letters or more\n").unwrap();
    site.set_mode("pass word", 0o640);
    let (count, told) = issue("pass word");
    assert!(count == 1 && told.contains("chmod 600 'pass word'"), "{told}");
    site.set_mode("passphrase", 0o604);
    assert_eq!(issue("pass word").0, 2);
    // The same file for both is told once.
    assert_eq!(issue(site.path("passphrase").to_str().unwrap()).0, 1);

    let service = Service::start(&site);
    assert_eq!(codes(&service.before), ["secret-open"]);
    let fix = service.before[0]["fix"].as_str().unwrap();
    assert!(fix.starts_with("chmod 600 /") && fix.ends_with("/passphrase"), "{fix}");
}

/// Each file of the data directory, with its mode.
fn data(site: &Site) -> Vec<(std::path::PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    let mut folders = vec![site.path("data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, metadata) = entry.map(|e| (e.path(), e.metadata().unwrap())).unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            let bytes = if metadata.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
            found.push((path, metadata.permissions().mode(), bytes));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_changes_nothing() {
    let site = Site::new();
    // A root whose next one is due.
    founded_ago(&site, 2400).await;
    std::fs::write(site.path("data/page.pem"), "a key").unwrap();
    site.set_mode("data/page.pem", 0o640);
    site.set_mode("data", 0o755);
    std::fs::write(site.path("data/policy.toml"), "[backup]\nfolder = \"/nowhere/at all\"\n").unwrap();

    let before = data(&site);
    let doctor = block_in_place(|| site.json(&["doctor"], 1));
    let said =
        |code: &str| doctor["findings"].as_array().unwrap().iter().find(|f| f["code"] == code).cloned();
    assert!(said("rollover-due").unwrap()["fix"].as_str().unwrap().contains("camlock authority rollover"));
    assert_eq!(said("rollover-begun"), None);
    let quoted = |name: &str| site.path(name).display().to_string();
    assert_eq!(said("secret-open").unwrap()["fix"], format!("chmod 600 {}", quoted("data/page.pem")));
    assert_eq!(said("directory-open").unwrap()["fix"], format!("chmod 700 {}", quoted("data")));
    let folder = said("backup-folder").unwrap();
    assert!(folder["fix"].as_str().unwrap().contains("ReadWritePaths=\"/nowhere/at all\""), "{folder}");
    assert_eq!(data(&site), before);
    assert_eq!(site.mode("data"), 0o755);

    // The service does what is due.
    std::fs::remove_file(site.path("data/page.pem")).unwrap();
    let service = block_in_place(|| Service::start(&site));
    let said = codes(&service.before);
    assert!(said.contains(&"rollover-begun"), "{said:?}");
    assert_ne!(block_in_place(|| site.json(&["authority", "show"], 0))["next"], json!(null));
}

/// Whoever is on the network can add addresses: from as many as are counted on, their number says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn proofs_at_their_limit_are_no_number() {
    let site = Site::founded();
    let root = block_in_place(|| site.json(&["authority", "show"], 0))["sha256"].as_str().unwrap().to_owned();
    let store = Store::open(&site.path("data")).await.unwrap();
    let shown = || String::from_utf8(block_in_place(|| site.run(&["authority", "show"])).stdout).unwrap();
    for number in 0..1000_u32 {
        if number == 999 {
            assert!(shown().contains("Browsers at 999 addresses have proven"), "{}", shown());
        }
        store
            .record_proof(&root, std::net::Ipv4Addr::from_bits(number).into(), OffsetDateTime::now_utc())
            .await
            .unwrap();
    }
    let said = shown();
    assert!(said.contains("their number means nothing") && !said.contains("1000"), "{said}");
    let proven = &block_in_place(|| site.json(&["authority", "show"], 0))["proven"];
    assert_eq!(proven["at_limit"], true);
}

/// Started while it waits for its input, as whoever may be: of what is not dumpable all is root's.
#[cfg(target_os = "linux")]
#[test]
fn its_memory_goes_into_no_core_file() {
    use std::os::unix::{fs::MetadataExt, process::CommandExt};

    let site = Site::new();
    let mut command = site.command(&["sign", "-"]);
    command.stdin(Stdio::piped());
    if rustix::process::getuid().is_root() {
        command.current_dir("/").uid(65534);
    }
    // Nobody may not get to where the program is.
    let Ok(mut child) = command.spawn() else { return };
    let limits = std::path::PathBuf::from(format!("/proc/{}/limits", child.id()));
    let started = std::time::Instant::now();
    let is_closed = || {
        let core = std::fs::read_to_string(&limits).unwrap();
        let core = core.lines().find(|line| line.starts_with("Max core file size")).unwrap().to_owned();
        let is_none = core.split_whitespace().skip(4).take(2).eq(["0", "0"]);
        is_none && std::fs::metadata(&limits).unwrap().uid() == 0
    };
    while !is_closed() {
        assert!(started.elapsed() < PATIENCE, "{}", std::fs::read_to_string(&limits).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
