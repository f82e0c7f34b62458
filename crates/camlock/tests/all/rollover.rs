//! The next root, the next issuer, and revocation, through the real program.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};

use crate::common::{Site, camera, models, text};
use camera_sim::{Camera, Model};
use domain::RevocationReason;
use pki::Certificate;
use serde_json::{Value, json};
use store::{AuthorityState, Store};
use tokio::task::block_in_place;

const ROLLOVER: [&str; 4] = ["authority", "rollover", "--key", "p256"];
const CONFIRM: [&str; 3] = ["authority", "rollover", "--confirm"];
const CANCEL: [&str; 3] = ["authority", "rollover", "--cancel"];

fn json_of(site: &Site, words: &[&str]) -> Value {
    block_in_place(|| site.json(words, 0))
}

/// The refusal's sentence.
fn refused(site: &Site, words: &[&str], exit: i32) -> String {
    let output = block_in_place(|| site.run(words));
    assert_eq!(output.status.code(), Some(exit), "{words:?}: {output:?}");
    text(&output)
}

fn show(site: &Site) -> Value {
    json_of(site, &["authority", "show"])
}

/// The fingerprints of the roots that the computers are to trust, as exported into `file`.
fn exported(site: &Site, file: &str) -> Vec<String> {
    json_of(site, &["trust", "export", "--out", file]);
    let roots = Certificate::read_all(&std::fs::read(site.path(file)).unwrap()).unwrap();
    roots.iter().map(Certificate::sha256).collect()
}

/// What `doctor` says of earlier and next roots, to a site that has a backup.
fn doctor(site: &Site) -> Vec<String> {
    let backup = site.path("backup.age");
    if !backup.exists() {
        json_of(site, &["backup", "backup.age"]);
    }
    let said = json_of(site, &["doctor"]);
    let codes = said["findings"].as_array().unwrap().iter().map(|f| f["code"].as_str().unwrap().to_owned());
    let usual = ["certificates-checked", "backup-untried", "last-backup", "recovery-signed"];
    codes.filter(|code| !usual.contains(&code.as_str())).collect()
}

/// The verdict of a computer that trusts the roots of this file.
fn judged(site: &Site, camera: &Camera, file: &str) -> Value {
    let output = block_in_place(|| site.run(&["check", &camera.https_url(), "--ca", file, "--json"]));
    crate::common::document(&output)[0]["verdict"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_moves_only_after_the_operator_has_confirmed() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    let first = site.secure(&camera, &[], 0).await;
    // Ends before what is issued later in the same second, and so comes first.
    let yard = json_of(&site, &["issue", "--name", "Yard", "--ip", "10.0.0.1", "--days", "700"]);
    let old = exported(&site, "old.pem");
    assert_eq!((old.len(), doctor(&site)), (1, vec![]));

    let made = json_of(&site, &ROLLOVER);
    let next = made["sha256"].as_str().unwrap().to_owned();
    assert_eq!(exported(&site, "both.pem"), [old[0].clone(), next.clone()]);
    assert!(refused(&site, &ROLLOVER, 1).contains("There is a next root already"));
    let again = site.secure(&camera, &[], 0).await;
    assert_eq!(again["serial"], first["serial"]);
    let shown = show(&site);
    assert_eq!((&shown["sha256"], &shown["next"]["sha256"]), (&json!(old[0]), &json!(next)));
    assert_eq!((&shown["old"], doctor(&site)), (&json!([]), vec!["next-root".to_owned()]));
    // What is issued meanwhile is of the old root.
    json_of(&site, &["issue", "--name", "Gate", "--ip", "10.0.0.2"]);

    let shown = json_of(&site, &CONFIRM);
    assert_eq!((&shown["sha256"], &shown["next"]), (&json!(next), &Value::Null));
    let depend = &shown["old"][0];
    assert_eq!(depend["root"]["sha256"], json!(old[0]));
    assert_eq!(depend["devices"].as_array().unwrap().len(), 1, "{shown}");
    assert_eq!(depend["certificates"], json!(["Yard", "Gate"]));
    // The backup of before would bring the old root back.
    let stale = site.json(&["doctor"], 1);
    assert!(
        stale["findings"].as_array().unwrap().iter().any(|f| f["code"] == "backup-of-other-root"),
        "{stale}"
    );
    std::fs::remove_file(site.path("backup.age")).unwrap();
    assert_eq!(doctor(&site), ["old-root"]);
    assert_eq!(exported(&site, "moved.pem"), [next.clone(), old[0].clone()]);
    assert_eq!(judged(&site, &camera, "old.pem"), "secure");

    let moved = site.secure(&camera, &[], 0).await;
    assert_eq!(moved["verdict"], "secure", "{moved}");
    assert_ne!(moved["serial"], first["serial"]);
    assert_eq!(camera.state().certificates.len(), 1);
    assert_eq!(judged(&site, &camera, "old.pem"), "not-secure");
    assert_eq!(site.secure(&camera, &[], 0).await["serial"], moved["serial"]);
    assert_eq!(show(&site)["old"][0]["devices"], json!([]));

    // What was carried by hand counts until it has ended, or is revoked.
    let listed = json_of(&site, &["list", "certificates", "--search", "gate"]);
    for serial in [&yard["serial"], &listed[0]["serial"]] {
        json_of(&site, &["revoke", serial.as_str().unwrap(), "--reason", "superseded"]);
    }
    assert_eq!((&show(&site)["old"], doctor(&site)), (&json!([]), vec![]));
    assert_eq!(exported(&site, "new.pem"), [next]);
    assert_eq!(judged(&site, &camera, "new.pem"), "secure");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_camera_moves() {
    let site = Site::founded();
    let mut cameras = Vec::new();
    for model in models() {
        let camera = camera(model, &[]).await;
        site.secure(&camera, &["--disable-http"], 0).await;
        cameras.push(camera);
    }
    json_of(&site, &ROLLOVER);
    json_of(&site, &CONFIRM);
    for camera in &cameras {
        let moved = site.secure(camera, &[], 0).await;
        assert_eq!(moved["verdict"], "secure", "{moved}");
        let served = Certificate::from_der(camera.state().served_leaf().unwrap()).unwrap();
        assert_eq!(json!(served.issuer()), show(&site)["subject"]);
    }
    assert_eq!(show(&site)["old"], json!([]));
}

/// A run that died had brought a certificate of the old root: it is not completed, but begun anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_left_moves_too() {
    let site = Site::founded();
    // The old root stays trusted because of this one.
    let other = camera(Model::PemPage, &[]).await;
    site.secure(&other, &[], 0).await;
    let camera = camera(Model::OnvifSecurity, &[]).await;
    camera.hold("SetNetworkProtocols");
    let mut child = site.securing(&camera.http_url(), &[]).spawn().unwrap();
    tokio::time::timeout(crate::common::PATIENCE, camera.wait_for(|s| s.answers_held > 0)).await.unwrap();
    child.kill().await.unwrap();
    camera.let_go();
    assert!(camera.state().https_on);
    json_of(&site, &ROLLOVER);
    json_of(&site, &CONFIRM);
    assert_eq!(site.secure(&camera, &[], 0).await["verdict"], "secure");
    let served = Certificate::from_der(camera.state().served_leaf().unwrap()).unwrap();
    assert_eq!(json!(served.issuer()), show(&site)["subject"]);
    assert_eq!(camera.state().certificates.len(), 1);
    assert_eq!(show(&site)["old"][0]["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn a_rollover_can_be_cancelled_and_leaves_nothing() {
    let site = Site::founded();
    let before = site.json(&["authority", "show"], 0);
    for words in [&CONFIRM, &CANCEL] {
        let output = site.run(words);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(text(&output).contains("There is no next root"), "{output:?}");
    }
    for tiers in [&[][..], &["--two-tier", "--root-key-file", "next.age"]] {
        site.json(&[&ROLLOVER[..], tiers].concat(), 0);
        assert!(site.json(&["authority", "show"], 0)["next"].is_object());
        assert_eq!(site.json(&CANCEL, 0), before);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stored = runtime.block_on(async { Store::open(&site.path("data")).await.unwrap().site().await });
    assert_eq!(stored.unwrap().authorities.len(), 1);
    site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
}

/// `camlock serve`, ended with the test.
struct Service {
    child: Child,
    trust: String,
}

impl Service {
    fn start(site: &Site, locked: bool) -> Service {
        let mut command = site.command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        if locked {
            command.env_remove("CAMLOCK_PASSPHRASE_FILE");
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        let started = lines.into_iter().find(|line| line["trust"].is_string()).unwrap();
        assert_eq!(started["code"], if locked { "serving-locked" } else { "serving" });
        let trust = started["trust"].as_str().unwrap();
        let trust = trust.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Service { child, trust }
    }

    /// Head and body of one answer over plain HTTP.
    fn get(&self, path: &str) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.trust).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }

    fn page(&self) -> String {
        String::from_utf8(self.get("/").1).unwrap()
    }

    fn roots(&self) -> usize {
        Certificate::read_all(&self.get("/roots.pem").1).unwrap().len()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_running_service_shows_a_rollover_and_a_new_list_at_once() {
    let site = Site::founded();
    // Locked it issues nothing, and a mistake in the policy is no reason not to show the pages.
    std::fs::write(site.path("data/policy.toml"), "[names]\nperimt = []\n").unwrap();
    let service = Service::start(&site, true);
    std::fs::remove_file(site.path("data/policy.toml")).unwrap();

    let old = service.get("/root.pem").1;
    assert!(service.page().contains("href=\"/root.crt\""));
    let next = site.json(&ROLLOVER, 0)["sha256"].as_str().unwrap().to_owned();
    let crt = format!("/root-{}.crt", &next[..16]);
    assert!(service.page().contains(&crt) && service.page().contains("is moving to a new root"));
    assert_eq!((service.get("/root.pem").1, service.roots()), (old.clone(), 2));
    let served = Certificate::from_der(&service.get(&crt).1).unwrap();
    assert_eq!(served.sha256(), next);
    site.json(&CANCEL, 0);
    assert!(service.page().contains("href=\"/root.crt\""));
    assert!(service.get(&crt).0.starts_with("HTTP/1.1 404"));

    let issued = site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
    let root = Certificate::read_all(&old).unwrap().remove(0);
    let path = authority::crl_path(&root);
    assert!(service.get(&path).0.starts_with("HTTP/1.1 404"));
    site.json(&["revoke", issued["serial"].as_str().unwrap()], 0);
    let (head, list) = service.get(&path);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/pkix-crl"), "{head}");
    let serial = issued["serial"].as_str().unwrap();
    let serial: Vec<u8> =
        (0..serial.len()).step_by(2).map(|i| u8::from_str_radix(&serial[i..i + 2], 16).unwrap()).collect();
    assert!(list.windows(serial.len()).any(|w| w == serial));

    site.json(&ROLLOVER, 0);
    site.json(&CONFIRM, 0);
    // The one certificate is revoked, so nothing depends on the old root.
    assert!(service.page().contains("href=\"/root.crt\""));
    assert_ne!(service.get("/root.pem").1, old);
    assert!(service.get(&path).0.starts_with("HTTP/1.1 200"), "the old root's list stays");
}

#[test]
fn a_mistake_in_the_policy_keeps_no_service_from_starting() {
    let site = Site::founded();
    std::fs::write(site.path("data/policy.toml"), "[names]\nperimt = []\n").unwrap();
    for locked in [false, true] {
        assert!(Service::start(&site, locked).page().contains("href=\"/root.crt\""));
    }
    // A policy that does not allow this machine's own names still leaves a page to serve.
    let policy = "[names]\npermit = [\"10.0.0.0/8\"]\n[profile.server]\nkeys = [\"rsa-2048\"]\n";
    std::fs::write(site.path("data/policy.toml"), policy).unwrap();
    assert!(Service::start(&site, false).page().contains("href=\"/root.crt\""));
}

/// A site with two tiers, and its recovery key in `recovery`.
fn two_tiers() -> Site {
    let site = Site::new();
    let init = ["init", "--site", "Test", "--key", "p256", "--permit", "127.0.0.1", "--two-tier"];
    let made = site.json(&[&init[..], &["--root-key-file", "root.age"]].concat(), 0);
    std::fs::write(site.path("recovery"), made["recovery_key"].as_str().unwrap()).unwrap();
    site
}

#[test]
fn with_two_tiers_the_root_s_key_is_elsewhere_and_an_issuer_can_follow() {
    let site = two_tiers();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stored = runtime.block_on(async { Store::open(&site.path("data")).await.unwrap().site().await });
    let rows = stored.unwrap().authorities;
    assert_eq!((rows[0].state, rows[1].state), (AuthorityState::Offline, AuthorityState::Active));
    assert!(rows[0].sealed_key.is_none() && rows[0].for_recovery.is_none() && rows[1].sealed_key.is_some());
    let age = std::fs::read_to_string(site.path("root.age")).unwrap();
    assert!(age.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(site.path("root.age")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let issued = site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
    let package = Certificate::read_all(&std::fs::read(site.path("Gate.pem")).unwrap()).unwrap();
    let [leaf, issuer] = package.as_slice() else { panic!("{} certificates", package.len()) };
    assert_eq!(json!(leaf.serial()), issued["serial"]);
    let before = site.json(&["authority", "show"], 0);
    assert_eq!(before["issuers"][0]["sha256"], json!(issuer.sha256()));
    assert!(leaf.is_signed_by(issuer).unwrap() && issuer.der() == rows[1].certificate.as_slice());

    // Wrong key, wrong file, another root's file, no file at all.
    let other = two_tiers();
    std::fs::copy(other.path("recovery"), site.path("other-recovery")).unwrap();
    std::fs::copy(other.path("root.age"), site.path("other.age")).unwrap();
    site.json(&[&ROLLOVER[..], &["--two-tier", "--root-key-file", "next.age"]].concat(), 0);
    site.json(&CANCEL, 0);
    for (file, recovery, exit, said) in [
        ("root.age", "other-recovery", 3, "does not belong to this authority"),
        ("other.age", "recovery", 3, "does not belong to this authority"),
        ("next.age", "recovery", 1, "not the key of"),
        ("recovery", "recovery", 3, ""),
        ("none.age", "recovery", 2, "cannot be read"),
        ("root.age", "none", 2, "cannot be read"),
    ] {
        let words = ["authority", "issuer", "--root-key", file, "--recovery-key-file", recovery];
        let output = site.run(&words);
        assert_eq!(output.status.code(), Some(exit), "{file} {recovery}: {output:?}");
        assert!(text(&output).contains(said), "{output:?}");
    }
    assert_eq!(site.json(&["authority", "show"], 0), before);

    let replace = ["authority", "issuer", "--root-key", "root.age", "--recovery-key-file", "recovery"];
    let after = site.json(&[&replace[..], &["--key", "p256"]].concat(), 0);
    assert_eq!(after["sha256"], before["sha256"]);
    assert_ne!(after["issuers"][0]["sha256"], before["issuers"][0]["sha256"]);
    assert_eq!(after["old"][0]["certificates"], json!(["Gate"]));
    // The root is the same, and none is to be removed.
    let said = site.json(&["doctor"], 1)["findings"].to_string();
    assert!(said.contains("no-backup"), "{said}");
    assert!(said.contains("old-issuer") && !said.contains("old-root"), "{said}");
    let pem = site.run(&["trust", "export"]).stdout;
    assert_eq!(Certificate::read_all(&pem).unwrap().len(), 1);
    // The old issuer's certificates are revoked on its own list.
    site.json(&["revoke", issued["serial"].as_str().unwrap()], 0);
    assert_eq!(site.json(&["authority", "show"], 0)["old"], json!([]));

    let one = Site::founded();
    for file in ["root.age", "recovery"] {
        std::fs::copy(site.path(file), one.path(file)).unwrap();
    }
    let output = one.run(&replace);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("has one tier"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_tiers_a_camera_must_send_the_issuer_too() {
    let site = block_in_place(two_tiers);
    let mut cameras = Vec::new();
    for model in [Model::OnvifSecurity, Model::PemPage, Model::Axis] {
        let camera = camera(model, &[]).await;
        let first = site.secure(&camera, &[], 0).await;
        assert_eq!(first["verdict"], "secure", "{first}");
        assert_eq!(camera.state().served_chain.len(), 2, "{model}");
        cameras.push((camera, first));
    }
    let replace = ["authority", "issuer", "--root-key", "root.age", "--recovery-key-file", "recovery"];
    json_of(&site, &[&replace[..], &["--key", "p256"]].concat());
    for (camera, first) in &cameras {
        let moved = site.secure(camera, &[], 0).await;
        assert_eq!(moved["verdict"], "secure", "{moved}");
        assert_ne!(moved["serial"], first["serial"]);
        let issuer = Certificate::from_der(&camera.state().served_chain[1]).unwrap();
        assert_eq!(json!(issuer.sha256()), show(&site)["issuers"][0]["sha256"]);
    }
    assert_eq!(show(&site)["old"], json!([]));

    // No browser would accept its page, so its key never crosses the network for it.
    let alone = camera(Model::OnvifDevice, &[]).await;
    let outcome = site.secure(&alone, &[], 1).await;
    assert_eq!(outcome["error"]["code"], "serves-leaf-alone", "{outcome}");
    assert_eq!(alone.state().count("LoadCertificateWithPrivateKey"), 0);
    assert!(alone.state().certificates.is_empty() && !alone.state().https_on);
    // It can be moved to a root with one tier; a next root is as the present one unless that is said.
    json_of(&site, &[&ROLLOVER[..], &["--root-key-file", "next.age"]].concat());
    assert!(site.path("next.age").exists());
    json_of(&site, &CANCEL);
    json_of(&site, &[&ROLLOVER[..], &["--one-tier"]].concat());
    json_of(&site, &CONFIRM);
    assert_eq!(site.secure(&alone, &[], 0).await["verdict"], "secure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_is_enrolled_anew() {
    let site = Site::founded();
    let camera = camera(Model::PemPage, &[]).await;
    let first = site.secure(&camera, &[], 0).await;
    let serial = first["serial"].as_str().unwrap();
    // As a browser shows it.
    let colons: Vec<String> =
        serial.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_uppercase()).collect();
    let revoked = json_of(&site, &["revoke", &colons.join(":"), "--reason", "key-compromise"]);
    assert_eq!((&revoked["serial"], &revoked["published"]), (&json!(serial), &Value::Null));
    assert!(revoked["revoked_at"].as_str().unwrap().ends_with('Z'), "{revoked}");
    let again = json_of(&site, &["revoke", serial, "--reason", "superseded"]);
    assert_eq!(again["revoked_at"], revoked["revoked_at"]);
    assert!(refused(&site, &["revoke", "5f3a"], 1).contains("5f3a"));
    let listed = json_of(&site, &["list", "certificates", "--search", serial]);
    assert_eq!(listed[0]["revoked_at"], revoked["revoked_at"]);

    let store = Store::open(&site.path("data")).await.unwrap();
    let rows = store.revocations(1).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].serial.as_str(), rows[0].reason), (serial, RevocationReason::KeyCompromise));
    assert!(store.crl(1).await.unwrap().is_some());
    store.close().await;

    // Whoever has that key could answer in the camera's place.
    let refused = site.secure(&camera, &[], 1).await;
    assert_eq!(refused["error"]["code"], "device-changed", "{refused}");
    assert!(refused["error"]["text"].as_str().unwrap().contains("others may have"), "{refused}");
    let anew = site.secure(&camera, &["--new-device", "--yes"], 0).await;
    assert_eq!(anew["verdict"], "secure", "{anew}");
    assert_ne!(anew["serial"], first["serial"]);
    assert_eq!(site.secure(&camera, &[], 0).await["serial"], anew["serial"]);
}
