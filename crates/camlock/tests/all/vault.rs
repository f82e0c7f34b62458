//! The change of each secret, from outside: what opened before opens no more, and nothing is ever lost in between.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::common::{Site, text};
use serde_json::Value;

/// A site, and its recovery key in the file `recovery`.
fn founded() -> Site {
    let site = Site::new();
    let made = site.json(&["init", "--site", "Test", "--key", "p256"], 0);
    std::fs::write(site.path("recovery"), made["recovery_key"].as_str().unwrap()).unwrap();
    std::fs::write(site.path("second"), "another passphrase of words\n").unwrap();
    site
}

/// The exit code of an attempt to issue with the secret in this file.
fn issues(site: &Site, secret: &str) -> Option<i32> {
    let _ = std::fs::remove_file(site.path("gate.pem"));
    let words = ["issue", "--name", "Gate", "--ip", "10.0.0.1", "--key", "p256", "--out", "gate.pem"];
    site.run(&[&words[..], &["--passphrase-file", secret]].concat()).status.code()
}

/// What the service says when it begins with these words.
fn serving(site: &Site, words: &[&str]) -> String {
    let mut command = site
        .command(&[&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"], words].concat());
    let mut child = command.env_remove("CAMLOCK_PASSPHRASE_FILE").stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    serde_json::from_str::<Value>(&line).unwrap_or_else(|_| panic!("{line}"))["code"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn another_passphrase_holds_and_the_old_one_does_not() {
    let site = founded();
    let root = site.json(&["authority", "show"], 0)["sha256"].clone();
    let words = ["vault", "passphrase", "--new-passphrase-file", "second"];
    let shown = site.json(&words, 0);
    assert_eq!((&shown["key_file"], &shown["passphrase"]), (&false.into(), &true.into()));
    assert_eq!(issues(&site, "passphrase"), Some(3));
    assert_eq!((issues(&site, "second"), issues(&site, "recovery")), (Some(0), Some(0)));
    assert_eq!(site.json(&["authority", "show"], 0)["sha256"], root);

    // The old one changes nothing any more; the recovery key does, when the passphrase is forgotten.
    assert_eq!(site.run(&words).status.code(), Some(3));
    let new = ["--new-passphrase-file", "passphrase", "--passphrase-file", "recovery"];
    site.json(&[&["vault", "passphrase"], &new[..]].concat(), 0);
    assert_eq!((issues(&site, "passphrase"), issues(&site, "second")), (Some(0), Some(3)));

    std::fs::write(site.path("empty"), "\n").unwrap();
    for (new, code) in [("empty", 2), ("recovery", 2), ("missing", 2)] {
        let refused = site.run(&["vault", "passphrase", "--new-passphrase-file", new]);
        assert_eq!(refused.status.code(), Some(code), "{refused:?}");
    }
    let asked = site.run(&["vault", "passphrase"]);
    assert!(asked.status.code() == Some(2) && text(&asked).contains("--new-passphrase-file"), "{asked:?}");
    assert_eq!(issues(&site, "passphrase"), Some(0));
}

#[test]
fn another_recovery_key_holds_and_the_old_one_does_not() {
    let site = founded();
    let before = site.json(&["vault", "show"], 0)["recovery_recipient"].clone();
    let output = site.run(&["vault", "recovery-key", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).contains("keep the old print"), "{output:?}");
    let shown = crate::common::document(&output);
    std::fs::write(site.path("new-recovery"), shown["recovery_key"].as_str().unwrap()).unwrap();
    assert_eq!(issues(&site, "recovery"), Some(3));
    assert_eq!((issues(&site, "new-recovery"), issues(&site, "passphrase")), (Some(0), Some(0)));
    let after = site.json(&["vault", "show"], 0)["recovery_recipient"].clone();
    assert!(after == shown["recovery_recipient"] && after != before);

    // For people, as init shows it.
    let said = site.run(&["vault", "recovery-key"]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("AGE-SECRET-KEY-1") && said.contains("shown only now"), "{said}");
}

#[test]
fn a_key_file_starts_the_service_until_it_is_removed() {
    let site = founded();
    assert_eq!(serving(&site, &[]), "serving-locked");
    let output = site.run(&["vault", "key-file", "key"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).contains("Whoever takes this machine"), "{output:?}");
    let key = std::fs::read_to_string(site.path("key")).unwrap();
    assert!(key.starts_with("CAMLOCK-KEY-1") && key.lines().count() == 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(site.path("key")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(site.json(&["vault", "show"], 0)["key_file"], true);
    assert_eq!(serving(&site, &["--passphrase-file", "key"]), "serving");
    assert_eq!(issues(&site, "key"), Some(0));

    // Never over another file; another one takes the place of the first.
    assert_eq!(site.run(&["vault", "key-file", "key"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(site.path("key")).unwrap(), key);
    site.json(&["vault", "key-file", "key2", "--passphrase-file", "key"], 0);
    assert_eq!((issues(&site, "key"), issues(&site, "key2")), (Some(3), Some(0)));

    // Nothing is written by one who does not know a secret.
    let stranger = site.run(&["vault", "key-file", "key3", "--passphrase-file", "key"]);
    assert_eq!(stranger.status.code(), Some(3), "{stranger:?}");
    assert!(!site.path("key3").exists());
    assert_eq!(site.run(&["vault", "key-file"]).status.code(), Some(2));
    assert_eq!(site.run(&["vault", "key-file", "-"]).status.code(), Some(2));

    assert_eq!(site.json(&["vault", "key-file", "--remove"], 0)["key_file"], false);
    assert_eq!((issues(&site, "key2"), issues(&site, "passphrase")), (Some(3), Some(0)));
    assert_eq!(serving(&site, &[]), "serving-locked");
    assert_eq!(site.run(&["list"]).status.code(), Some(0));
}

fn started(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Of two at once neither undoes the other: each has changed what it said, or has said that it did not.
#[test]
fn two_changes_at_once_lose_none() {
    for round in 0..4 {
        let site = founded();
        let one = started(site.command(&["vault", "passphrase", "--new-passphrase-file", "second"]));
        let two = started(site.command(&["vault", "key-file", "key"]));
        let [one, two] = [one, two].map(|child| child.wait_with_output().unwrap());
        let [changed, made] = [&one, &two].map(|output| output.status.success());
        assert!(changed || made, "{one:?} {two:?}");
        for output in [&one, &two].into_iter().filter(|o| !o.status.success()) {
            // The second may also have come so late that the passphrase was another already.
            assert!(
                text(output).contains("at this moment") || text(output).contains("is wrong"),
                "{output:?}"
            );
        }
        assert_eq!(issues(&site, "second"), Some(if changed { 0 } else { 3 }), "{round}");
        assert_eq!(issues(&site, "passphrase"), Some(if changed { 3 } else { 0 }));
        assert_eq!(site.path("key").exists(), made);
        if made {
            assert_eq!(issues(&site, "key"), Some(0));
        }
    }
}

/// Killed at any moment, the old secret holds or the new one does, and that one was shown.
#[test]
fn a_killed_change_leaves_the_old_or_the_new() {
    let changes = [
        &["vault", "passphrase", "--new-passphrase-file", "second"][..],
        &["vault", "recovery-key", "--json"],
        &["vault", "key-file", "key"],
    ];
    let site = founded();
    let since = Instant::now();
    site.json(&["vault", "show"], 0);
    issues(&site, "passphrase");
    let whole = since.elapsed();
    let rounds = if std::env::var_os("CAMLOCK_FULL").is_some() { 60 } else { 6 };
    let mut opened = [0, 0];
    for (round, words) in (0..rounds).map(|n| (n, changes[n % 3])) {
        let site = founded();
        let mut child = started(site.command(words));
        std::thread::sleep(whole.mul_f64(round as f64 / rounds as f64).max(Duration::from_millis(1)));
        let _ = child.kill();
        child.wait().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();

        let (old, new) = match round % 3 {
            0 => ("passphrase", "second"),
            1 => ("recovery", "shown"),
            _ => ("passphrase", "key"),
        };
        if round % 3 == 1
            && let Ok(shown) = serde_json::from_str::<Value>(&said)
        {
            std::fs::write(site.path("shown"), shown["recovery_key"].as_str().unwrap()).unwrap();
        }
        let opens = [old, new].map(|secret| issues(&site, secret) == Some(0));
        assert!(opens[0] || opens[1], "{words:?}: neither");
        assert!(new == "key" || opens[0] != opens[1], "{words:?}: both");
        assert_eq!(issues(&site, if new == "second" { "recovery" } else { "passphrase" }), Some(0));
        opened[usize::from(opens[1])] += 1;
    }
    println!("{opened:?} ended before and after the change");
}
