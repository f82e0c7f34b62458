//! The program from outside: the real binary against simulated cameras, good and faulty.

use std::path::{Path, PathBuf};

use crate::common::{Site, camera, document, models, text, transport};
use camera_sim::{Fault, Model};

#[test]
fn an_authority_is_never_overwritten() {
    let site = Site::founded();
    let before = site.json(&["authority", "show"], 0);
    let again = site.run(&["init", "--site", "Other"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again).contains("already"), "{again:?}");
    assert_eq!(site.json(&["authority", "show"], 0), before);
}

#[test]
fn nothing_secret_is_plain_on_the_disk() {
    let site = Site::founded();
    for file in std::fs::read_dir(site.path("data")).unwrap() {
        let path = file.unwrap().path();
        // The pages' own keys are outside the vault, so that a locked Camlock shows them.
        if path.is_file() && !path.ends_with("page.pem") && !path.ends_with("proof.pem") {
            let bytes = std::fs::read(&path).unwrap();
            for secret in [&b"PRIVATE KEY"[..], b"several words", b"AGE-SECRET-KEY"] {
                assert!(!bytes.windows(secret.len()).any(|w| w == secret), "{path:?}");
            }
            // The object identifier of an EC key's curve stands in the root's certificate, but the version and
            // length that open a PKCS#8 EC key stand nowhere.
            assert!(!bytes.windows(9).any(|w| w == b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86"), "{path:?}");
        }
    }
}

#[test]
fn what_is_missing_without_a_terminal_is_wrong_use() {
    let site = Site::founded();
    let no_user = site.run(&["secure", "127.0.0.1"]);
    let no_target = site.run(&["check"]);
    let bad_target = site.run(&["check", "ftp://x"]);
    let no_passphrase = site
        .command(&["issue", "--name", "Gate", "--ip", "10.0.0.1"])
        .env_remove("CAMLOCK_PASSPHRASE_FILE")
        .output();
    for output in [no_user, no_target, bad_target, no_passphrase.unwrap()] {
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    let empty = Site::new();
    assert_eq!(empty.run(&["list"]).status.code(), Some(3));
    std::fs::write(site.path("passphrase"), "wrong\n").unwrap();
    assert_eq!(site.run(&["issue", "--name", "Gate", "--ip", "10.0.0.1"]).status.code(), Some(3));
}

#[test]
fn a_package_is_issued_and_never_overwritten() {
    let site = Site::founded();
    let issued = site.json(&["issue", "--name", "Gate", "--ip", "192.168.1.65"], 0);
    assert_eq!(issued["sans"], serde_json::json!(["IP:192.168.1.65", "DNS:gate.home.arpa"]));
    let pem = std::fs::read_to_string(site.path("Gate.pem")).unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(site.path("Gate.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(site.run(&["issue", "--name", "Gate", "--ip", "192.168.1.65"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(site.path("Gate.pem")).unwrap(), pem);
    let listed = site.json(&["list", "certificates", "--search", "gate"], 0);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["serial"], issued["serial"]);

    let outside = site.run(&["issue", "--name", "Bank", "--dns", "bank.com"]);
    assert_eq!(outside.status.code(), Some(1));
    assert!(text(&outside).contains("bank.com"), "{outside:?}");
    assert_eq!(
        site.run(&["issue", "--name", "Long", "--ip", "10.0.0.1", "--days", "825"]).status.code(),
        Some(1)
    );
}

#[test]
fn requests_are_signed_repaired_or_refused() {
    let site = Site::founded();
    let requests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/requests");
    let csr = |name: &str| requests.join(name).to_str().unwrap().to_owned();
    let listed = || site.json(&["list", "certificates"], 0).as_array().unwrap().len();
    let before = listed();

    let signed = site.json(&["sign", &csr("cn-only.pem"), "--out", "a.crt"], 0);
    assert_eq!(signed["sans"], serde_json::json!(["IP:192.168.1.64", "DNS:192-168-1-64.home.arpa"]));
    assert!(signed["changes"][0].as_str().unwrap().contains("browsers ignore the common name"));
    let wishes = site.json(&["sign", &csr("wishes.pem"), "--ip", "192.168.1.70", "--out", "b.crt"], 0);
    assert_eq!(wishes["sans"][0], "IP:192.168.1.70");
    assert!(wishes["changes"].to_string().contains("CA:TRUE"));

    std::fs::write(site.path("big.pem"), vec![b'A'; 10 << 20]).unwrap();
    std::fs::write(site.path("junk.pem"), "no request").unwrap();
    for (file, reason) in [
        (csr("bad-signature.der"), "signature"),
        (csr("rsa-1024.pem"), "too weak"),
        (csr("public-names.pem"), "8.8.8.8"),
        (csr("two.pem"), "2 requests"),
        (site.path("big.pem").to_str().unwrap().to_owned(), "too many"),
        (site.path("junk.pem").to_str().unwrap().to_owned(), "not a certificate request"),
    ] {
        let refused = site.run(&["sign", &file, "--out", "never.crt"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(text(&refused).contains(reason), "{refused:?}");
        assert!(!site.path("never.crt").exists());
    }
    assert_eq!(listed(), before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_camera_becomes_secure_by_its_own_way() {
    let site = Site::founded();
    for model in models() {
        let transport = transport(model);
        let camera = camera(model, &[Fault::ShortNonces]).await;
        let outcome = site.secure(&camera, &[], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
        assert_eq!(outcome["key_transport"], transport);
        let said = outcome["findings"].to_string();
        assert_eq!(said.contains("first-contact-unchecked"), transport != "none", "{said}");
        assert_eq!(outcome["steps"].as_array().unwrap().len(), 8);

        // Again: nothing to do, and then HTTP off through the connection that is now private.
        let again = site.secure(&camera, &[], 0).await;
        assert_eq!(again["serial"], outcome["serial"]);
        let off = site.secure(&camera, &["--disable-http"], 0).await;
        assert_eq!(off["verdict"], "secure", "{off}");
        assert!(!camera.state().http_on);
        let checked = tokio::task::block_in_place(|| site.json(&["check", &camera.https_url()], 0));
        assert_eq!(checked[0]["verdict"], "secure");
    }
    let listed = tokio::task::block_in_place(|| site.json(&["list"], 0));
    assert_eq!(listed.as_array().unwrap().len(), models().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_once_and_leaves_nothing() {
    let site = Site::founded();
    std::fs::write(site.path("password"), "wrong\n").unwrap();
    for model in models() {
        let camera = camera(model, &[]).await;
        let outcome = site.secure(&camera, &[], 1).await;
        assert_eq!(outcome["error"]["code"], "wrong-password", "{outcome}");
        assert_eq!(camera.state().logins_refused, 1);
        assert!(!camera.state().https_on && camera.state().keys.is_empty());
    }
    let listed = tokio::task::block_in_place(|| site.json(&["list"], 0));
    assert_eq!(listed, serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_ends_with_a_sentence_and_the_camera_as_it_was() {
    let site = Site::founded();
    let faults = [
        (Model::OnvifSecurity, Fault::DropsUpload, "connection-lost"),
        (Model::OnvifDevice, Fault::DropsUpload, "connection-lost"),
        (Model::PemPage, Fault::DropsUpload, "connection-lost"),
        (Model::OnvifSecurity, Fault::HttpsRefused, "refused"),
        (Model::OnvifSecurity, Fault::CsrFails, "refused"),
        (Model::Axis, Fault::DropsUpload, "connection-lost"),
        (Model::Axis, Fault::HttpsRefused, "refused"),
        (Model::Axis, Fault::CsrFails, "refused"),
        (Model::Hanwha, Fault::DropsUpload, "connection-lost"),
        (Model::Hanwha, Fault::HttpsRefused, "page-refused"),
    ];
    for (model, fault, code) in faults {
        let camera = camera(model, &[fault]).await;
        let outcome = site.secure(&camera, &[], 1).await;
        assert_eq!(outcome["error"]["code"], code, "{model} {fault:?}: {outcome}");
        assert!(outcome["error"]["fix"].is_string());
        assert_eq!(outcome["verdict"], "not-secure");
        let state = camera.state();
        assert!(state.http_on && !state.https_on, "{model} {fault:?}");
        assert!(state.keys.is_empty() && state.paths.is_empty(), "{model} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_says_ok_and_serves_the_old_certificate_is_found_out() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[Fault::ServesOldCertificate]).await;
    let outcome = site.secure(&camera, &[], 1).await;
    assert_eq!(outcome["error"]["code"], "other-certificate-served", "{outcome}");
    assert!(camera.state().http_on && camera.state().https_on);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_camera_is_said_to_be_none() {
    let site = Site::founded();
    let password = site.path("password");
    let secure = |target: String| {
        let words = ["secure", &target, "--user", "admin", "--password-file", password.to_str().unwrap()];
        tokio::task::block_in_place(|| site.json(&words, 1))[0]["error"]["code"].as_str().unwrap().to_owned()
    };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(secure(format!("http://{closed}")), "connection-refused");
    assert_eq!(secure(format!("https://{closed}")), "connection-refused");

    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        for stream in server.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nServer: other\r\nContent-Length: 0\r\n\r\n");
        }
    });
    assert_eq!(secure(format!("http://{address}")), "not-a-camera");
}

#[test]
fn the_demo_secures_every_camera() {
    let site = Site::new();
    let shown = site.json(&["demo", "--once", "--cameras", "4"], 0);
    let cameras = shown["cameras"].as_array().unwrap();
    assert_eq!(cameras.len(), 4);
    assert!(cameras.iter().all(|c| c["before"] == "not-secure" && c["after"] == "secure"), "{shown}");
    let root = PathBuf::from(shown["root"].as_str().unwrap());
    assert!(root.is_file());
    std::fs::remove_dir_all(root.parent().unwrap()).unwrap();
}

/// The page of help for this command, and those of all below it.
fn has_help(site: &Site, command: &[&str]) {
    let output = site.run(&[command, &["--help"]].concat());
    let help = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{command:?}: {output:?}");
    assert!(help.contains("Example:\n  camlock "), "{command:?}: {help}");
    assert!(!help.contains('\x1b'), "{help:?}");
    let below = help.split_once("Commands:\n").map(|(_, list)| list.split("\n\n").next().unwrap());
    let names = below.unwrap_or_default().lines().filter_map(|l| l.strip_prefix("  ")?.split(' ').next());
    for name in names.filter(|name| !name.is_empty() && *name != "help") {
        has_help(site, &[command, &[name]].concat());
    }
}

#[test]
fn every_command_has_help_with_an_example() {
    has_help(&Site::new(), &[]);
}

#[test]
fn an_unknown_option_is_wrong_use() {
    let site = Site::new();
    for words in [&["--nonsense"][..], &["list", "--nonsense"], &["nonsense"], &["authority"], &[]] {
        assert_eq!(site.run(words).status.code(), Some(2), "{words:?}");
    }
}

#[test]
fn results_and_talk_are_kept_apart_and_plain() {
    let site = Site::founded();
    let csr = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/requests/cn-only.pem");
    let csr = csr.to_str().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let password = site.path("password");
    let secure = ["secure", &closed, "--user", "admin", "--password-file", password.to_str().unwrap()];
    for (words, exit) in [
        (&["authority", "show"][..], 0),
        (&["check", &closed], 1),
        (&secure, 1),
        (&["sign", csr, "--out", "a.crt"], 0),
        (&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0),
        (&["list"], 0),
        (&["list", "certificates"], 0),
        (&["trust", "export"], 0),
        (&["trust", "export", "--out", "root.pem"], 0),
        // What broke leaves a document that says so, and no half one.
        (&["init"], 1),
        (&["issue", "--name", "Bank", "--dns", "bank.com"], 1),
    ] {
        let plain = site.run(words);
        assert_eq!(plain.status.code(), Some(exit), "{words:?}: {plain:?}");
        assert!(![&plain.stdout, &plain.stderr].iter().any(|s| s.contains(&0x1b)), "{words:?}: {plain:?}");
        for file in ["a.crt", "Gate.pem", "root.pem"] {
            let _ = std::fs::remove_file(site.path(file));
        }
        let output = site.run(&[words, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(exit), "{words:?}: {output:?}");
        let (said, is_error) = (document(&output), text(&output).starts_with("error: "));
        assert_eq!(said["error"]["code"].is_string(), is_error, "{words:?}: {output:?}");
    }
}

#[test]
fn a_key_goes_to_no_terminal_and_no_pipe() {
    let site = Site::founded();
    let before = site.json(&["list", "certificates"], 0);
    for out in ["-", "/dev/stdout", "/dev/stderr", "/dev/null"] {
        let refused = site.run(&["issue", "--name", "Gate", "--ip", "10.0.0.1", "--out", out]);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{out}: {refused:?}");
        assert!(text(&refused).contains("not written to a terminal or a pipe"), "{refused:?}");
        assert!(!site.path("-").exists());
    }
    // Refused before anything was issued.
    assert_eq!(site.json(&["list", "certificates"], 0), before);
}

#[test]
fn a_certificate_may_go_to_standard_output() {
    let site = Site::founded();
    let csr = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/requests/cn-only.pem");
    let sign = ["sign", csr.to_str().unwrap(), "--out", "-"];
    let signed = site.run(&sign);
    assert_eq!(signed.status.code(), Some(0), "{signed:?}");
    let pem = String::from_utf8(signed.stdout).unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----") && pem.ends_with("-----END CERTIFICATE-----\n"));
    let signed = site.json(&sign, 0);
    assert!(signed["pem"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(signed["files"], serde_json::json!([]));
    assert_eq!(site.run(&["trust", "export", "--out", "-"]).stdout, site.run(&["trust", "export"]).stdout);
    assert!(!site.path("-").exists());
}
