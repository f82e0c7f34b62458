//! `issue` in every form: which files there are, what is in them, who may read them, and what is refused.

use crate::common::{Site, text};
use pki::{Certificate, PrivateKey, package};
use serde_json::Value;

const GATE: [&str; 7] = ["issue", "--name", "Gate", "--ip", "10.0.0.1", "--key", "p256"];

fn issue(site: &Site, more: &[&str]) -> Vec<String> {
    let issued = site.json(&[&GATE[..], more].concat(), 0);
    issued["files"].as_array().unwrap().iter().map(|file| file.as_str().unwrap().to_owned()).collect()
}

fn certificates(site: &Site) -> Value {
    site.json(&["list", "certificates"], 0)
}

/// Key and number of certificates of a file in PEM or DER; the file is gone then.
fn taken(site: &Site, file: &str) -> (Option<PrivateKey>, usize) {
    let path = site.path(file);
    let bytes = std::fs::read(&path).unwrap();
    let key = PrivateKey::read(&bytes, None).ok();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = if key.is_some() { 0o600 } else { 0o644 };
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    std::fs::remove_file(path).unwrap();
    (key, Certificate::read_all(&bytes).map_or(0, |all| all.len()))
}

#[test]
fn each_form_has_its_files() {
    let site = Site::founded();
    for (words, expected) in [
        (&["--order", "key-first"][..], &[("Gate.pem", true, 1)][..]),
        (&["--order", "certificate-first", "--key-form", "traditional"], &[("Gate.pem", true, 1)]),
        (&["--with-root"], &[("Gate.pem", true, 2)]),
        (&["--no-chain"], &[("Gate.pem", true, 1)]),
        (&["--order", "separate"], &[("Gate.crt", false, 1), ("Gate.key", true, 0)]),
        (&["--order", "separate", "--with-root"], &[("Gate.crt", false, 2), ("Gate.key", true, 0)]),
        (&["--order", "separate", "--out", "a.pem"], &[("a.pem", false, 1), ("a.key", true, 0)]),
        (&["--order", "separate", "--out", "a.key"], &[("a.crt", false, 1), ("a.key", true, 0)]),
        (&["--order", "separate", "--out", "10.0.0.1"], &[("10.0.0.1", false, 1), ("10.0.0.1.key", true, 0)]),
        (&["--format", "der"], &[("Gate.der", false, 1), ("Gate.key", true, 0)]),
        (&["--format", "der", "--key-form", "traditional"], &[("Gate.der", false, 1), ("Gate.key", true, 0)]),
        (
            &["--format", "der", "--with-root", "--out", "a.cer"],
            &[("a.cer", false, 1), ("a.issuer1.der", false, 1), ("a.key", true, 0)],
        ),
    ] {
        let files = issue(&site, words);
        assert_eq!(files, expected.iter().map(|(file, ..)| *file).collect::<Vec<_>>(), "{words:?}");
        for (file, has_key, count) in expected {
            let (key, certificates) = taken(&site, file);
            assert_eq!((key.is_some(), certificates), (*has_key, *count), "{words:?} {file}");
        }
    }
}

#[test]
fn a_pkcs12_package_opens_with_its_passphrase() {
    let site = Site::founded();
    std::fs::write(site.path("secret"), "a package's passphrase\nand no more\n").unwrap();
    for (format, count, more) in
        [("p12", 1, &[][..]), ("p12-legacy", 1, &["--no-chain"]), ("p12-legacy", 2, &["--with-root"])]
    {
        let words = [&["--format", format, "--package-passphrase-file", "secret"], more].concat();
        assert_eq!(issue(&site, &words), ["Gate.p12"]);
        let path = site.path("Gate.p12");
        let bytes = std::fs::read(&path).unwrap();
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
            0o600
        );
        let read = package::read_pkcs12(&bytes, Some("a package's passphrase")).unwrap();
        assert_eq!(read.certificates.len(), count, "{words:?}");
        assert_eq!(read.certificates[0].public_key().unwrap(), read.key.public_key().unwrap());
        assert!(package::read_pkcs12(&bytes, Some("")).is_err());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_makes_no_sense_is_wrong_use() {
    let site = Site::founded();
    std::fs::write(site.path("secret"), "a package's passphrase\n").unwrap();
    std::fs::write(site.path("empty"), "\n").unwrap();
    let before = certificates(&site);
    for (words, said) in [
        (
            &["--package-passphrase-file", "secret"][..],
            "--package-passphrase-file means nothing with --format pem",
        ),
        (&["--format", "der", "--package-passphrase-file", "secret"], "nothing with --format der"),
        (&["--format", "der", "--order", "separate"], "--order means nothing with --format der"),
        (&["--format", "p12", "--order", "key-first"], "--order means nothing with --format p12"),
        (
            &["--format", "p12-legacy", "--key-form", "pkcs8"],
            "--key-form means nothing with --format p12-legacy",
        ),
        (&["--with-root", "--no-chain"], "cannot be used with"),
        (&["--format", "p12"], "no terminal to ask for it. There is no default"),
        (&["--format", "p12", "--package-passphrase-file", "empty"], "passphrase is empty"),
        (&["--format", "p12", "--package-passphrase-file", "missing"], "missing cannot be read"),
        (&["--format", "pfx"], "possible values: pem, p12, p12-legacy, der"),
        (&["--order", "separate", "--out", "-"], "not written to a terminal or a pipe"),
        (&["--format", "p12", "--package-passphrase-file", "secret", "--out", "/dev/null"], "not written to"),
    ] {
        let refused = site.run(&[&GATE[..], words].concat());
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(2), 0), "{words:?}: {refused:?}");
        // Help for arguments is wrapped.
        let told = text(&refused).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(said), "{words:?}: {told}");
    }
    assert_eq!(certificates(&site), before);
}

#[test]
fn none_of_several_files_is_overwritten_or_left_alone() {
    let site = Site::founded();
    let before = certificates(&site);
    for (there, words) in [
        ("Gate.key", ["--order", "separate"]),
        ("Gate.crt", ["--order", "separate"]),
        ("Gate.key", ["--format", "der"]),
    ] {
        std::fs::write(site.path(there), "old").unwrap();
        let refused = site.run(&[&GATE[..], &words].concat());
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(text(&refused).contains(there), "{refused:?}");
        assert_eq!(std::fs::read(site.path(there)).unwrap(), b"old");
        std::fs::remove_file(site.path(there)).unwrap();
        for file in ["Gate.key", "Gate.crt", "Gate.der"] {
            assert!(!site.path(file).exists(), "{file} was left behind");
        }
    }
    assert_eq!(certificates(&site), before);

    // An issuer's file is known only when it is written: the others go with it.
    std::fs::write(site.path("Gate.issuer1.der"), "old").unwrap();
    let refused = site.run(&[&GATE[..], &["--format", "der", "--with-root"]].concat());
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(!site.path("Gate.der").exists() && !site.path("Gate.key").exists());
}
