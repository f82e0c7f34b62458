//! `init` and what it refuses; files that are no certificate.

use crate::common::{Site, text};

#[test]
fn what_is_no_root_is_wrong_use() {
    let site = Site::new();
    std::fs::write(site.path("junk.pem"), "junk").unwrap();
    for (file, said) in [("junk.pem", "not a certificate"), ("none.pem", "cannot be read")] {
        let output = site.run(&["check", "127.0.0.1:1", "--ca", file]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output).contains(said), "{output:?}");
    }
}

#[test]
fn a_site_with_an_invisible_character_is_refused() {
    let site = Site::new();
    assert_eq!(site.run(&["init", "--site", "Shop\n"]).status.code(), Some(2));
    assert!(!site.path("data/page.pem").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn init_asks_once_for_more_names_unless_told_not_to() {
    use std::{io::Write, process::Stdio};

    let init = |words: &[&str], answer: &[u8]| {
        let site = Site::new();
        let (mut person, program) = crate::common::terminal();
        person.write_all(answer).unwrap();
        let words = [&["init", "--key", "p256", "--json"], words].concat();
        let output = site.command(&words).stdin(Stdio::from(program)).output().unwrap();
        let asked = text(&output).matches("The authority may speak for private addresses").count();
        (output.status.code(), asked, String::from_utf8(output.stdout).unwrap())
    };
    let (exit, asked, made) = init(&[], b"cams.example.com 81.2.3.0/24\n");
    assert_eq!((exit, asked), (Some(0), 1));
    assert!(made.contains("\"cams.example.com\"") && made.contains("\"81.2.3.0/24\""), "{made}");
    assert_eq!(init(&[], b"\n").0, Some(0));
    // Who mistypes is asked again, three times in all.
    let (exit, asked, made) = init(&[], b"*.x\ncams.example.com\n");
    assert!((exit, asked) == (Some(0), 2) && made.contains("\"cams.example.com\""), "{made}");
    let (exit, asked, _) = init(&[], b"*.x\n*.x\n*.x\n");
    assert_eq!((exit, asked), (Some(2), 3));
    for words in [&["--yes"][..], &["--permit", "cams.example.com"]] {
        let (exit, asked, _) = init(words, b"");
        assert_eq!((exit, asked), (Some(0), 0), "{words:?}");
    }
}

/// It stays in the root for as long as that lives.
#[test]
fn this_machine_s_name_is_shown_and_can_be_left_out() {
    let with = Site::new();
    let output = with.run(&["init", "--key", "p256", "--json"]);
    let made = crate::common::document(&output);
    let permitted = |made: &serde_json::Value, name: &str| {
        made["permitted"].as_array().unwrap().iter().any(|entry| entry == name)
    };
    let said = text(&output).contains("--no-host-name leaves it out");
    let name = made["host_name"].as_str().map(str::to_lowercase);
    // A machine may have no name.
    assert!(said == name.is_some() && name.as_ref().is_none_or(|name| permitted(&made, name)), "{made}");

    let without = Site::new().run(&["init", "--key", "p256", "--no-host-name", "--json"]);
    let made = crate::common::document(&without);
    assert!(made["host_name"].is_null() && !text(&without).contains("host name"), "{without:?}");
    assert!(name.is_none_or(|name| !permitted(&made, &name)), "{made}");
}

#[cfg(unix)]
#[test]
fn somebody_elses_folder_is_left_as_it_is() {
    let site = Site::new();
    std::fs::create_dir_all(site.path("srv/photos")).unwrap();
    site.set_mode("srv", 0o755);
    std::fs::write(site.path("ca.pem"), "not even read").unwrap();
    for words in [&["init"][..], &["authority", "import", "ca.pem"], &["restore", "ca.pem"]] {
        let output = site.run(&[words, &["--data", "srv"]].concat());
        assert!(matches!(output.status.code(), Some(1 | 2)), "{output:?}");
        let names: Vec<_> =
            std::fs::read_dir(site.path("srv")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!((site.mode("srv"), names), (0o755, vec!["photos".into()]), "{words:?}");
    }
    let refused = site.run(&["init", "--data", "srv"]);
    assert!(refused.status.code() == Some(2) && text(&refused).contains("photos is in it"), "{refused:?}");

    // What an operator prepares for Camlock is no reason, nor is a file system of its own.
    std::fs::create_dir_all(site.path("own/lost+found")).unwrap();
    site.set_mode("own", 0o755);
    std::fs::write(site.path("own/policy.toml"), "[names]\ndeny = [\"192.168.1.1\"]\n").unwrap();
    site.json(&["init", "--key", "p256", "--data", "own"], 0);
    assert_eq!(site.mode("own"), 0o700);
}
