//! `trust install` and its like as far as they change nothing: what does is tried on a computer of its own, from outside.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::PathBuf, process::Command};

use crate::common::{Site, document, text};

/// A site whose home has an empty database of Chromium, and a `certutil` that nobody may call.
fn site() -> Site {
    let site = Site::founded();
    fs::create_dir_all(site.path(".pki/nssdb")).unwrap();
    fs::create_dir(site.path("bin")).unwrap();
    symlink("/bin/false", site.path("bin/certutil")).unwrap();
    site
}

fn trust(site: &Site, words: &[&str]) -> Command {
    let mut command = site.command(&[&["trust"], words].concat());
    command.env("PATH", site.path("bin"));
    command
}

/// What is in the home, but for the ledger, whose engine has files of its own for a while.
fn files(site: &Site) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut all, mut folders) = (BTreeMap::new(), vec![site.path(".")]);
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.ends_with("data") {
                continue;
            }
            if path.is_dir() {
                folders.push(path.clone());
            }
            all.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    all
}

#[test]
fn what_would_be_done_is_shown_and_not_done() {
    let site = site();
    let before = files(&site);
    let shown = trust(&site, &["install", "--dry-run"]).output().unwrap();
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let table = String::from_utf8(shown.stdout).unwrap();
    assert!(table.contains("~/.pki/nssdb") && table.contains("will be added"), "{table}");
    assert!(table.contains("run certutil -d sql:"), "{table}");

    let shown = document(&trust(&site, &["install", "--dry-run", "--json"]).output().unwrap());
    let stores = shown["roots"][0]["stores"].as_array().unwrap().clone();
    let nss = stores.iter().find(|store| store["kind"] == "nss").unwrap();
    assert_eq!(nss["acts"].as_array().unwrap().len(), 2, "{nss}");
    assert_eq!((&nss["trusted"], &nss["changed"]), (&false.into(), &false.into()));
    assert_eq!(files(&site), before);
}

#[test]
fn without_a_terminal_nobody_is_asked_and_nothing_is_done() {
    let site = site();
    let before = files(&site);
    for words in [&["install"][..], &["install", "--json"]] {
        let refused = trust(&site, words).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused).contains("--yes") && text(&refused).contains("--dry-run"));
    }
    assert_eq!(files(&site), before);
}

#[cfg(target_os = "linux")]
#[test]
fn who_says_no_gets_nothing() {
    use std::io::Write;

    let site = site();
    let before = files(&site);
    for answer in [&b"n\n"[..], b"\n", b"yes please\n", b"\x04"] {
        let (mut person, program) = crate::common::terminal();
        person.write_all(answer).unwrap();
        let refused = trust(&site, &["install"]).stdin(program).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(text(&refused).contains("Do this? [y/N]") && text(&refused).contains("Nothing was done"));
    }
    assert_eq!(files(&site), before);
}

#[test]
fn a_computer_with_only_the_root_needs_no_data_directory() {
    let site = site();
    let root = trust(&site, &["export"]).output().unwrap().stdout;
    let other = Site::new();
    fs::create_dir_all(other.path(".pki/nssdb")).unwrap();
    fs::write(other.path("root.pem"), root).unwrap();
    let status = trust(&other, &["status", "--ca", "root.pem", "--json"]).output().unwrap();
    assert_eq!(status.status.code(), Some(1), "it is not trusted: {status:?}");
    let here = document(&trust(&site, &["status", "--json"]).output().unwrap());
    assert_eq!(document(&status)["roots"][0]["sha256"], here["roots"][0]["sha256"]);

    fs::write(other.path("root.pem"), "no certificate").unwrap();
    assert_eq!(trust(&other, &["status", "--ca", "root.pem"]).output().unwrap().status.code(), Some(2));
    assert_eq!(trust(&other, &["status", "--ca", "none"]).output().unwrap().status.code(), Some(2));
    assert_eq!(trust(&other, &["status"]).output().unwrap().status.code(), Some(3));
}
