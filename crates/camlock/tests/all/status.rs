//! What `status`, `doctor` and `list` say of a site, and that what they advise helps.

use camera_sim::Model;
use serde_json::Value;
use tokio::task::block_in_place;

use crate::common::{Site, camera, text};

fn json(site: &Site, words: &[&str], exit: i32) -> Value {
    block_in_place(|| site.json(words, exit))
}

fn codes(said: &Value) -> Vec<String> {
    let all = said["findings"].as_array().or(said["troubles"].as_array()).unwrap();
    let weighty = all.iter().filter(|finding| finding["severity"] != "info");
    weighty.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

/// Types what the advice of the only finding says, with the password of every camera here.
fn follow(site: &Site, said: &Value) {
    let finding = said["findings"].as_array().unwrap().iter().find(|one| one["severity"] != "info").unwrap();
    let fix = finding["fix"].as_str().unwrap();
    let command = fix.split_once("camlock ").unwrap().1.split(". ").next().unwrap();
    let mut words: Vec<&str> = command.split(' ').map(|word| word.trim_matches('"')).collect();
    if words.contains(&"--user") {
        words.extend(["--password-file", "password"]);
    }
    let done = block_in_place(|| site.run(&words));
    assert_eq!(done.status.code(), Some(0), "{fix}: {done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_device_is_said_and_the_advice_helps() {
    let site = Site::founded();
    assert_eq!(codes(&json(&site, &["status"], 1)), ["no-backup"]);
    json(&site, &["backup", "one.age"], 0);
    assert_eq!(codes(&json(&site, &["status"], 0)), [""; 0]);
    let none =
        block_in_place(|| site.run(&["secure", "--all", "--user", "admin", "--password-file", "password"]));
    assert!(none.status.success() && text(&none).contains("No device is known yet"), "{none:?}");

    let camera = camera(Model::OnvifSecurity, &[]).await;
    let serial = site.secure(&camera, &[], 0).await["serial"].as_str().unwrap().to_owned();
    json(&site, &["device", "name", "127.0.0.1", "Gate"], 0);
    let status = json(&site, &["status"], 0);
    assert_eq!((&status["devices"]["secure"], &status["served"]), (&1.into(), &false.into()), "{status}");
    // Without a command it is the same, for people.
    let plain = block_in_place(|| site.run(&[]));
    let said = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(plain.status.success() && said.contains("1 of 1 secure"), "{plain:?}");

    // Only somebody who was asked, or who named it in full, revokes it.
    let asked = block_in_place(|| site.run(&["revoke", "Gate"]));
    assert_eq!(asked.status.code(), Some(2), "{asked:?}");
    assert_eq!(json(&site, &["revoke", "Gate", "--yes"], 0)["serial"], *serial);
    let listed = json(&site, &["list"], 0);
    assert_eq!(
        (&listed[0]["verdict"], &listed[0]["why"]["code"]),
        (&"not-secure".into(), &"revoked-certificate".into())
    );
    let said = json(&site, &["doctor"], 1);
    assert_eq!(codes(&said), ["device-revoked"], "{said}");
    follow(&site, &said);
    assert_eq!(codes(&json(&site, &["doctor"], 0)), [""; 0]);

    // One that does not answer is not called secure.
    camera.unplug().await;
    let all = ["secure", "--all", "--user", "admin", "--password-file", "password"];
    assert_eq!(block_in_place(|| site.run(&all)).status.code(), Some(1));
    assert_eq!(json(&site, &["list"], 0)[0]["verdict"], "unreachable");
    let said = json(&site, &["doctor"], 1);
    assert_eq!(codes(&said), ["device-unreachable"], "{said}");
    camera.plug_in().await.unwrap();
    assert_eq!(block_in_place(|| site.run(&all)).status.code(), Some(0));
    assert_eq!(codes(&json(&site, &["doctor"], 0)), [""; 0]);
}

/// What a spreadsheet gets is what is shown; nothing in it is a formula.
#[test]
fn a_list_goes_into_a_spreadsheet() {
    let site = Site::founded();
    site.json(&["issue", "--name", "=1+1", "--ip", "10.0.0.1", "--out", "a.pem"], 0);
    let out = site.run(&["list", "certificates", "--csv", "-"]);
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.starts_with("\"name\",\"for\","), "{said}");
    assert!(said.contains("\"'=1+1\",\"IP:10.0.0.1 DNS:"), "{said}");
    assert_eq!(site.json(&["list", "devices", "--csv", "devices.csv"], 0), serde_json::json!([]));
    let written = std::fs::read_to_string(site.path("devices.csv")).unwrap();
    assert!(written.starts_with("\"name\",\"addresses\",\"verdict\""), "{written}");
    assert_eq!(site.run(&["list", "--csv", "-", "--json"]).status.code(), Some(2));
}

#[test]
fn a_backup_that_is_gone_is_said_and_the_advice_helps() {
    let site = Site::founded();
    site.json(&["backup", "one.age"], 0);
    std::fs::remove_file(site.path("one.age")).unwrap();
    let said = site.json(&["doctor"], 1);
    assert_eq!(codes(&said), ["backup-gone"], "{said}");
    // The name is the operator's to choose.
    site.json(&["backup", "FILE"], 0);
    site.json(&["vault", "recovery-key"], 0);
    assert_eq!(codes(&site.json(&["doctor"], 1)), ["backup-for-other-key"]);
    site.json(&["backup", "two.age"], 0);
    assert_eq!(codes(&site.json(&["doctor"], 0)), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recovery_key_can_be_tried() {
    let site = Site::new();
    let made = json(&site, &["init", "--site", "Test", "--key", "p256"], 0);
    site.keep("recovery", made["recovery_key"].as_str().unwrap());
    json(&site, &["backup", "one.age"], 0);
    let has =
        |said: &Value, code: &str| said["findings"].as_array().unwrap().iter().any(|one| one["code"] == code);
    assert!(has(&json(&site, &["doctor"], 0), "backup-untried"));
    let before = std::fs::read_dir(site.path("data")).unwrap().count();
    let tried = ["restore", "one.age", "--check", "--recovery-key-file"];
    let wrong = block_in_place(|| site.run(&[&tried[..], &["passphrase"]].concat()));
    assert!(!wrong.status.success() && has(&json(&site, &["doctor"], 0), "backup-untried"), "{wrong:?}");
    let checked = json(&site, &[&tried[..], &["recovery"]].concat(), 0);
    assert_eq!(checked["sha256"], made["sha256"]);
    assert_eq!(std::fs::read_dir(site.path("data")).unwrap().count(), before, "nothing is restored");
    assert!(has(&json(&site, &["doctor"], 0), "last-backup"));
    // The next backup is for the same key.
    json(&site, &["backup", "two.age"], 0);
    assert!(has(&json(&site, &["doctor"], 0), "last-backup"));
    std::fs::write(site.path("one.age"), &std::fs::read(site.path("one.age")).unwrap()[..2000]).unwrap();
    let cut = block_in_place(|| site.run(&[&tried[..], &["recovery"]].concat()));
    assert!(!cut.status.success() && text(&cut).contains("damaged"), "{cut:?}");
}
