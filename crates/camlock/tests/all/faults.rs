//! Things that go wrong around the program: two at once, no room, a locked account.

use std::{net::Ipv6Addr, process::Output};

use crate::common::{PATIENCE, Site, camera, document, models, options, text};
use camera_sim::{Camera, Fault, Model};
use tokio::time::timeout;

/// Ended with "something broke", and says what and what to do.
fn is_broken(output: &Output) {
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = text(output);
    assert!(said.contains("error: ") && said.contains("→") && !said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_camera_becomes_secure() {
    if let Err(e) = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        println!("skipped: this machine has no IPv6 loopback ({e})");
        return;
    }
    let site = Site::founded_for("::1");
    for model in models() {
        let mut options = options(model, &[]);
        options.bind = Ipv6Addr::LOCALHOST.into();
        let camera = Camera::start(options).await.unwrap();
        assert!(camera.http_url().starts_with("http://[::1]:"));
        let outcome = site.secure(&camera, &["--disable-http"], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
        assert_eq!(outcome["url"], format!("{}/", camera.https_url()));
        let checked = tokio::task::block_in_place(|| site.json(&["check", &camera.https_url()], 0));
        assert_eq!(checked[0]["certificate"]["sans"][0], "IP:::1", "{checked}");
        assert!(!camera.state().http_on);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_on_one_camera() {
    let site = Site::founded();
    for model in models() {
        let camera = camera(model, &[]).await;
        let url = camera.http_url();
        let run = || async { site.securing(&url, &["--json"]).output().await.unwrap() };
        let (one, two) = timeout(PATIENCE, async { tokio::join!(run(), run()) }).await.unwrap();
        let mut secured = 0;
        for output in [one, two] {
            let outcome = document(&output)[0].clone();
            match output.status.code() {
                Some(0) => secured += 1,
                _ => assert_eq!(outcome["error"]["code"], "busy", "{outcome}"),
            }
        }
        assert!(secured > 0, "{model}");
        let state = camera.state();
        assert_eq!(state.certificates.len(), 1, "{state:?}");
        assert!(state.keys.len() <= 1 && state.paths.len() <= 1, "{state:?}");
    }
}

/// The second run has looked at the camera and falls behind; when it goes on, the first one is through.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_run_saw_is_not_believed_later() {
    let site = Site::founded();
    for (model, last_look) in [
        (Model::OnvifSecurity, "GetAssignedServerCertificates"),
        (Model::OnvifDevice, "GetCertificatesStatus"),
        (Model::PemPage, "GET /settings/https"),
        (Model::Axis, "GetWebServerTlsConfiguration"),
        (Model::Hanwha, "ssl view"),
    ] {
        let camera = camera(model, &[]).await;
        camera.hold(last_look);
        let slow = site.securing(&camera.http_url(), &["--json"]).spawn().unwrap();
        timeout(PATIENCE, camera.wait_for(|s| s.answers_held == 1)).await.unwrap();
        let quick = site.securing(&camera.http_url(), &["--json"]).output().await.unwrap();
        camera.let_go();
        let slow = timeout(PATIENCE, slow.wait_with_output()).await.unwrap().unwrap();
        let done = [&quick, &slow].iter().filter(|o| o.status.success()).count();
        let busy = [&quick, &slow].iter().filter(|o| document(o)[0]["error"]["code"] == "busy").count();
        assert_eq!((done > 0, done + busy), (true, 2), "{quick:?} {slow:?}");
        let state = camera.state();
        assert_eq!(state.certificates.len(), 1, "{state:?}");
        assert!(state.keys.len() <= 1 && state.paths.len() <= 1, "{state:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_cameras_at_once_on_one_data_directory() {
    let site = Site::founded();
    let (one, two) = tokio::join!(camera(Model::OnvifSecurity, &[]), camera(Model::OnvifDevice, &[]));
    let (first, second) = tokio::join!(site.secure(&one, &[], 0), site.secure(&two, &[], 0));
    assert_eq!([&first["verdict"], &second["verdict"]], ["secure", "secure"]);
    let listed = tokio::task::block_in_place(|| site.json(&["list"], 0));
    assert_eq!(listed.as_array().unwrap().len(), 2);
}

/// Forwarded ports: the port that the second one calls its own leads to the first one.
#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_not_taken_for_its_neighbour() {
    let site = Site::founded();
    let (one, two) = tokio::join!(camera(Model::OnvifSecurity, &[]), camera(Model::OnvifDevice, &[]));
    let first = site.secure(&one, &[], 0).await;
    let store = store::Store::open(&site.path("data")).await.unwrap();
    let neighbour = store::NewDevice {
        id: None,
        host: &"127.0.0.1".parse().unwrap(),
        port: two.http_address().port(),
        name: "Gate",
        model: None,
        told: None,
        mac: None,
        driver: "onvif-device",
        makes_key: false,
        https_port: None,
        accepted: true,
        first_verdict: domain::Verdict::NotSecure,
        first_finding: None,
    };
    let id = store.save_device(&neighbour).await.unwrap();
    let port = Some(one.https_address().port());
    store.record_verdict(id, domain::Verdict::NotSecure, port, None, None).await.unwrap();
    store.close().await;
    let second = site.secure(&two, &[], 0).await;
    assert_ne!(first["serial"], second["serial"], "{second}");
    assert!(two.state().https_on);
}

/// A camera that is gone had its HTTPS where another one now has its HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_not_taken_for_its_predecessor() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    let store = store::Store::open(&site.path("data")).await.unwrap();
    let gone = store::NewDevice {
        id: None,
        host: &"127.0.0.1".parse().unwrap(),
        port: 1,
        name: "Gone",
        model: None,
        told: None,
        mac: None,
        driver: "onvif-security",
        makes_key: false,
        https_port: None,
        accepted: true,
        first_verdict: domain::Verdict::NotSecure,
        first_finding: None,
    };
    let id = store.save_device(&gone).await.unwrap();
    let port = camera.http_address().port();
    store.record_verdict(id, domain::Verdict::Secure, Some(port), None, None).await.unwrap();
    for _ in 0..2 {
        let outcome = site.secure(&camera, &[], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
    }
    assert_eq!(camera.state().certificates.len(), 1);
    let device = store.device_at(gone.host, port).await.unwrap().unwrap();
    assert_eq!((device.port, device.verdict), (port, domain::Verdict::Secure));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_locks_accounts_sees_one_wrong_password() {
    let site = Site::founded();
    std::fs::write(site.path("password"), "wrong\n").unwrap();
    for model in models() {
        let camera = camera(model, &[Fault::Locks]).await;
        let outcome = site.secure(&camera, &[], 1).await;
        assert_eq!(outcome["error"]["code"], "wrong-password", "{outcome}");
        let state = camera.state();
        assert_eq!((state.logins_refused, state.account_locked), (1, false));
    }
}

#[test]
fn two_inits_at_once_make_one_authority() {
    // Often, since two processes seldom meet in the few milliseconds that count.
    for _ in 0..6 {
        let site = Site::new();
        let init = || {
            let mut command = site.command(&["init", "--key", "p256", "--json"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        };
        let (one, two) = (init(), init());
        let outputs = [one.wait_with_output().unwrap(), two.wait_with_output().unwrap()];
        let mut codes = outputs.each_ref().map(|o| o.status.code());
        codes.sort();
        assert_eq!(codes, [Some(0), Some(1)], "{outputs:?}");
        let [made, refused] = match outputs[0].status.success() {
            true => outputs,
            false => {
                let [a, b] = outputs;
                [b, a]
            }
        };
        assert!(text(&refused).contains("already"), "{refused:?}");
        let shown = site.json(&["authority", "show"], 0);
        assert_eq!(shown["sha256"], document(&made)["sha256"]);
        site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
    }
}

#[test]
fn a_data_directory_that_is_none_is_said_to_be_none() {
    let site = Site::new();
    std::fs::write(site.path("data"), "a file").unwrap();
    is_broken(&site.run(&["init", "--key", "p256"]));
    is_broken(&site.run(&["list"]));
    assert_eq!(std::fs::read(site.path("data")).unwrap(), b"a file");

    let site = Site::new();
    std::fs::create_dir_all(site.path("data/camlock.db")).unwrap();
    is_broken(&site.run(&["init", "--key", "p256"]));
    is_broken(&site.run(&["list"]));

    let site = Site::founded();
    std::fs::write(site.path("data/camlock.db"), [b'x'; 8192]).unwrap();
    for words in [&["list"][..], &["authority", "show"], &["issue", "--name", "Gate", "--ip", "10.0.0.1"]] {
        is_broken(&site.run(words));
    }
}

#[cfg(unix)]
#[test]
fn a_data_directory_that_cannot_be_written_is_said_so() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::founded();
    let mode = |mode| std::fs::set_permissions(site.path("data"), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o500);
    let writable = std::fs::write(site.path("data/probe"), "").is_ok();
    if writable {
        println!("skipped: permissions do not hold this user back");
    } else {
        is_broken(&site.run(&["issue", "--name", "Gate", "--ip", "10.0.0.1"]));
        assert!(!site.path("Gate.pem").exists());
    }
    mode(0o700);
}

/// A disk without room, as far as a test may make one: the system lets the program write no large files.
#[cfg(unix)]
mod no_room {
    use super::*;

    fn cramped(site: &Site, blocks: u32, words: &[&str]) -> std::process::Command {
        // The signal ignored, the write fails with an error, as it does where the disk is full.
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut command = site.environment("/bin/sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_camlock")]).args(words);
        command
    }

    #[test]
    fn nothing_is_half_made() {
        let site = Site::new();
        let init = ["init", "--key", "p256"];
        is_broken(&cramped(&site, 8, &init).output().unwrap());
        assert_eq!(site.run(&init).status.code(), Some(0));

        let before = site.json(&["list", "certificates"], 0);
        let issue = ["issue", "--name", "Gate", "--ip", "10.0.0.1"];
        is_broken(&cramped(&site, 8, &issue).output().unwrap());
        assert!(!site.path("Gate.pem").exists());
        assert_eq!(site.json(&["list", "certificates"], 0), before);
        site.json(&issue, 0);
    }

    /// What was seen is shown all the same, and that nothing was noted is said.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_found_is_shown_and_not_lost() {
        let site = Site::founded();
        let camera = camera(Model::OnvifSecurity, &[]).await;
        let at = camera.http_address().to_string();
        let found = |output: std::process::Output, exit: i32| {
            assert_eq!(output.status.code(), Some(exit), "{output:?}");
            assert_eq!(document(&output)[0]["driver"], "onvif-security", "{output:?}");
            text(&output).contains("could not be noted")
        };
        let words = ["find", at.as_str(), "--json"];
        let cramped = tokio::process::Command::from(cramped(&site, 8, &words)).output().await.unwrap();
        assert!(found(cramped, 1));
        assert!(!found(tokio::task::block_in_place(|| site.run(&words)), 0));
        std::fs::write(site.path("data/camlock.db"), "no ledger").unwrap();
        for log in ["data/camlock.db-wal", "data/camlock.db-shm"] {
            let _ = std::fs::remove_file(site.path(log));
        }
        assert!(found(tokio::task::block_in_place(|| site.run(&words)), 1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_camera_is_left_as_it_was() {
        let site = Site::founded();
        let camera = camera(Model::OnvifSecurity, &[]).await;
        // Room to open the ledger and to write a few pages.
        let (url, password) = (camera.http_url(), site.path("password"));
        let words =
            ["secure", &url, "--user", "admin", "--password-file", password.to_str().unwrap(), "--json"];
        let output = tokio::process::Command::from(cramped(&site, 64, &words)).output().await.unwrap();
        is_broken(&output);
        let outcome = document(&output)[0].clone();
        assert_eq!(outcome["error"]["code"], "database", "{outcome}");
        let state = camera.state();
        assert!(!state.https_on && state.keys.is_empty() && state.certificates.is_empty(), "{state:?}");
        site.secure(&camera, &[], 0).await;
    }
}
