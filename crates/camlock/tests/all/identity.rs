//! To whom the program gives a password, and by what it knows a device: as an operator meets it.

use crate::common::{Site, camera, document, options};
use camera_sim::{Camera, Given, Model};
use serde_json::Value;

async fn known(site: &Site) -> Vec<Value> {
    site.json(&["list", "devices"], 0).as_array().unwrap().clone()
}

/// Another camera on the ports of one that is gone.
async fn in_place_of(gone: Camera, model: Model) -> Camera {
    let (http, https) = (gone.http_address().port(), gone.https_address().port());
    gone.stop().await;
    let mut options = options(model, &[]);
    (options.http_port, options.https_port, options.factory_certificate) = (http, https, true);
    Camera::start(options).await.unwrap()
}

/// Whether it was given anything that a thief would keep.
fn got_nothing(camera: &Camera) -> bool {
    camera.state().given == Given::default()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_device_at_a_known_address_gets_nothing_until_the_operator_says_so() {
    let site = Site::founded();
    let first = camera(Model::OnvifSecurity, &[]).await;
    let (url, address) = (first.http_url(), first.http_address());
    site.secure(&first, &[], 0).await;
    let was = known(&site).await;

    let other = in_place_of(first, Model::OnvifDevice).await;
    for words in [&[][..], &["--yes"]] {
        let outcome = site.secure_at(&url, words, 1).await;
        assert_eq!(outcome["error"]["code"], "device-changed", "{outcome}");
        let fix = outcome["error"]["fix"].as_str().unwrap();
        assert!(fix.contains("--new-device"), "{fix}");
    }
    let all = site.secure_at("--all", &["--yes"], 1).await;
    assert_eq!(all["error"]["code"], "device-changed", "{all}");
    let user = ["--user", "admin", "--password-file", "password"];
    let found = tokio::task::block_in_place(|| site.json(&[&["find", &url][..], &user].concat(), 0));
    assert_eq!(found[0]["changed"]["code"], "device-changed", "{found}");
    assert!(got_nothing(&other), "{:?}", other.state().given);
    let now = known(&site).await;
    assert_eq!((&now[0]["serial"], now.len()), (&was[0]["serial"], 1));
    assert_eq!(now[0]["verdict"], "not-secure", "what was seen is what is told");

    // For one device, and not for many.
    for many in [&["secure", "--all", "--new-device"][..], &["secure", &url, "127.0.0.2", "--new-device"]] {
        assert_eq!(site.run(&[many, &user].concat()).status.code(), Some(2), "{many:?}");
    }
    let outcome = site.secure_at(&url, &["--new-device"], 0).await;
    assert_eq!(outcome["verdict"], "secure");
    // Two devices: this one is there, and the other one was.
    let now = known(&site).await;
    assert_eq!(now.len(), 2, "{now:?}");
    let here = now.iter().find(|device| device["left_at"].is_null()).unwrap();
    let gone = now.iter().find(|device| !device["left_at"].is_null()).unwrap();
    assert_eq!((&here["serial"], &here["port"]), (&outcome["serial"], &address.port().into()));
    assert_eq!((&gone["serial"], &gone["verdict"]), (&was[0]["serial"], &"unreachable".into()));
    assert_eq!(site.json(&["secure", "--all"], 0), Value::Array(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_find_met_waits_for_the_operator() {
    let site = Site::founded();
    let stranger = camera(Model::OnvifDevice, &[]).await;
    tokio::task::block_in_place(|| site.json(&["find", &stranger.http_url()], 0));
    assert_eq!(known(&site).await[0]["accepted"], false);
    let all = site.run(&["secure", "--all", "--yes"]);
    assert_eq!(all.status.code(), Some(0), "{all:?}");
    let target = stranger.http_url().replace("http://", "");
    assert!(crate::common::text(&all).contains(&format!("camlock secure {target}")), "{all:?}");
    assert!(got_nothing(&stranger), "{:?}", stranger.state().given);

    // A range is the operator's word for what find noted in it.
    assert_eq!(site.run(&["secure", "10.9.9.0/28", "--user", "x"]).status.code(), Some(2));
    let outcome = site.secure_at("127.0.0.1-2", &[], 0).await;
    assert_eq!(outcome["verdict"], "secure", "{outcome}");
    assert_eq!(known(&site).await[0]["accepted"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readable_password_wants_a_word_of_its_own() {
    let site = Site::founded();
    let nas = camera(Model::Synology, &[]).await;
    let logins = || nas.state().count("SYNO.API.Auth login");
    let outcome = site.secure_at(&nas.https_url(), &[], 1).await;
    assert_eq!(outcome["error"]["code"], "readable-password", "{outcome}");
    assert_eq!(logins(), 0);

    // On a terminal it is asked, once, after everything that can be seen was seen.
    #[cfg(target_os = "linux")]
    {
        use std::{io::Write, process::Stdio};
        let answered = async |line: &'static [u8]| {
            let (mut person, program) = crate::common::terminal();
            person.write_all(line).unwrap();
            let mut command = site.securing(&nas.https_url(), &["--json"]);
            command.stdin(Stdio::from(program)).output().await.unwrap()
        };
        let no = answered(b"n\n").await;
        assert!(crate::common::text(&no).contains("would learn the password"), "{no:?}");
        assert_eq!((no.status.code(), logins()), (Some(1), 0));
        let yes = answered(b"y\n").await;
        assert_eq!(yes.status.code(), Some(0), "{yes:?}");
        assert_eq!(document(&yes)[0]["verdict"], "secure");
    }
    #[cfg(not(target_os = "linux"))]
    site.secure_at(&nas.https_url(), &["--yes"], 0).await;
    // It is known from now on.
    assert_eq!(site.json(&["secure", "--all"], 0), Value::Array(Vec::new()));
}

/// The certificate's fingerprint, read elsewhere, says who it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_confirmed_fingerprint_is_as_good_as_a_key() {
    let site = Site::founded();
    let nas = camera(Model::Synology, &[]).await;
    let url = nas.https_url();
    let seen = tokio::task::block_in_place(|| site.json(&["check", &url], 1));
    let fingerprint = seen[0]["certificate"]["sha256"].as_str().unwrap().to_uppercase();
    let other = fingerprint.replace(&fingerprint[..1], if fingerprint.starts_with('0') { "1" } else { "0" });
    let outcome = site.secure_at(&url, &["--fingerprint", &other], 1).await;
    assert_eq!(outcome["error"]["code"], "other-fingerprint", "{outcome}");
    assert_eq!(nas.state().count("SYNO.API.Auth login"), 0);
    assert_eq!(site.run(&["secure", &url, "--fingerprint", "12"]).status.code(), Some(2));
    let outcome = site.secure_at(&url, &["--fingerprint", &fingerprint], 0).await;
    assert_eq!(outcome["verdict"], "secure", "{outcome}");
    let codes: Vec<&str> =
        outcome["findings"].as_array().unwrap().iter().filter_map(|f| f["code"].as_str()).collect();
    assert!(!codes.contains(&"first-contact-unchecked"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_named_and_forgotten() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    let serial = site.secure(&camera, &[], 0).await["serial"].clone();
    site.json(&["device", "name", "127.0.0.1", "Back door"], 0);
    site.secure(&camera, &[], 0).await;
    assert_eq!(known(&site).await[0]["name"], "Back door");
    for (words, exit) in [
        (&["device", "name", "Back door", ""][..], 2),
        (&["device", "name", "Nobody", "x"], 2),
        (&["device", "forget", "Nobody"], 2),
    ] {
        assert_eq!(site.run(words).status.code(), Some(exit), "{words:?}");
    }
    site.json(&["device", "forget", "Back door", "--revoke"], 0);
    assert_eq!(known(&site).await.len(), 0);
    let certificates = site.json(&["list", "certificates"], 0);
    let its = certificates.as_array().unwrap().iter().find(|row| row["serial"] == serial).unwrap();
    assert!(its["revoked_at"].is_string(), "{certificates}");
}

/// Under each of its names it is the same device, and its certificate loses none of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_name_takes_the_padlock_from_no_other() {
    let site = Site::founded_for("127.0.0.0/8");
    let mut options = options(Model::OnvifDevice, &[]);
    options.bind = "0.0.0.0".parse().unwrap();
    let camera = Camera::start(options).await.unwrap();
    let port = camera.http_address().port();
    let https = camera.https_address().port();
    for host in ["127.0.0.1", "127.0.0.2"] {
        let outcome = site.secure_at(&format!("http://{host}:{port}"), &[], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
        let shown = site.run(&["check", &format!("{host}:{https}")]);
        assert_eq!(shown.status.code(), Some(0), "{shown:?}");
        if host == "127.0.0.1" {
            continue;
        }
        let before = site.run(&["check", &format!("127.0.0.1:{https}")]);
        assert_eq!(before.status.code(), Some(0), "{before:?}");
    }
    let known = known(&site).await;
    assert_eq!(known.len(), 1, "{known:?}");
    assert_eq!(known[0]["addresses"].as_array().unwrap().len(), 2);
}

/// The names of a device are for that device: whoever is met in its place gets a certificate for that place only.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_device_gets_no_name_of_the_one_before() {
    let site = Site::founded_for("127.0.0.0/8");
    let start = async |http: u16, https: u16| {
        let mut options = options(Model::OnvifDevice, &[]);
        (options.bind, options.http_port, options.https_port) = ("0.0.0.0".parse().unwrap(), http, https);
        Camera::start(options).await.unwrap()
    };
    let first = start(0, 0).await;
    let (http, https) = (first.http_address().port(), first.https_address().port());
    for host in ["127.0.0.1", "127.0.0.2"] {
        site.secure_at(&format!("http://{host}:{http}"), &[], 0).await;
    }
    first.stop().await;
    let other = start(http, https).await;
    let refused = site.secure_at(&format!("http://127.0.0.2:{http}"), &[], 1).await;
    assert_eq!(refused["error"]["code"], "device-changed", "{refused}");
    assert!(got_nothing(&other), "{:?}", other.state().given);
    let outcome = site.secure_at(&format!("http://127.0.0.2:{http}"), &["--new-device"], 0).await;
    let certificates = site.json(&["list", "certificates"], 0);
    let its = certificates.as_array().unwrap().iter().find(|row| row["serial"] == outcome["serial"]).unwrap();
    let names = its["sans"].as_array().unwrap();
    assert!(names.contains(&"IP:127.0.0.2".into()) && !names.contains(&"IP:127.0.0.1".into()), "{its}");
}
