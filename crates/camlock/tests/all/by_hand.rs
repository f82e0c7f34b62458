//! `secure --by-hand`, as a person meets it.

use crate::common::{Site, camera, document, text};
use camera_sim::Model;

fn step<'a>(outcome: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    outcome["steps"].as_array().unwrap().iter().find(|s| s["step"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_waits_in_a_file_of_its_own() {
    let site = Site::founded();
    let camera = camera(Model::PemPage, &[]).await;
    let words = ["secure", &camera.https_url(), "--by-hand", "--wait", "0"];
    let outcome = tokio::task::block_in_place(|| site.json(&words, 1))[0].clone();
    assert!(outcome["error"].is_null(), "{outcome}");
    assert_eq!(outcome["key_transport"], serde_json::Value::Null);
    let waiting = step(&outcome, "install");
    assert_eq!(waiting["state"], "waiting");
    let name = format!("127.0.0.1-{}.pem", &outcome["serial"].as_str().unwrap()[..8]);
    assert!(waiting["text"].as_str().unwrap().contains(&name), "{waiting}");
    let package = std::fs::read_to_string(site.path(&name)).unwrap();
    assert!(package.contains("PRIVATE KEY") && package.contains("BEGIN CERTIFICATE"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(site.path(&name).metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The sentence that a person reads.
    let said = tokio::task::block_in_place(|| site.run(&words));
    let read = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(read.contains("waiting for you: open http://127.0.0.1") && read.contains(&name), "{read}");
    assert!(read.contains("by an earlier run"), "{read}");
}

#[test]
fn one_file_holds_one_package() {
    let site = Site::founded();
    let both = site.run(&["secure", "10.0.0.1", "10.0.0.2", "--by-hand", "--out", "both.pem", "--json"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    assert!(text(&both).contains("several devices"), "{both:?}");
    // Nobody signs in, so there is no password to give.
    let signed_in = site.run(&["secure", "10.0.0.1", "--by-hand", "--user", "admin"]);
    assert_eq!(signed_in.status.code(), Some(2));

    // An earlier file is not written over, and the certificate in it not given out a second time.
    std::fs::write(site.path("taken.pem"), "mine").unwrap();
    let words = ["secure", "https://127.0.0.1:1", "--by-hand", "--wait", "0", "--out", "taken.pem", "--json"];
    let taken = site.run(&words);
    assert_eq!(taken.status.code(), Some(1), "{taken:?}");
    let said = document(&taken)[0]["error"].clone();
    assert_eq!(said["code"], "package-not-written", "{said}");
    assert_eq!(std::fs::read(site.path("taken.pem")).unwrap(), b"mine");
}
