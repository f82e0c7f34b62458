//! Backup and restore, from outside: everything is there again on an empty machine, or nothing is.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::common::{Site, text};
use serde_json::Value;
use store::{AuthorityState, Intent, Store};
use time::OffsetDateTime;

/// A site, and its recovery key in the file `recovery`.
fn founded() -> Site {
    let site = Site::new();
    let made = site.json(&["init", "--site", "Test", "--key", "p256"], 0);
    std::fs::write(site.path("recovery"), made["recovery_key"].as_str().unwrap()).unwrap();
    site
}

/// The example of the page for installers.
fn form_recipe() -> &'static str {
    let page = include_str!("../../../../docs/recipes.md");
    page.split_once("```toml\n").and_then(|(_, example)| example.split_once("```")).unwrap().0
}

/// A founded site and its backup.
fn backed_up() -> Site {
    let site = founded();
    site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
    site.json(&["backup", "backup.age"], 0);
    site
}

/// An empty machine with the backup and the recovery key of `site`.
fn empty(site: &Site) -> Site {
    let machine = Site::new();
    for name in ["backup.age", "recovery"] {
        std::fs::copy(site.path(name), machine.path(name)).unwrap();
    }
    machine
}

const RESTORE: [&str; 4] = ["restore", "backup.age", "--recovery-key-file", "recovery"];

fn signs(site: &Site, secret: &str) -> Output {
    let csr = Path::new(env!("CARGO_MANIFEST_DIR")).join("../pki/tests/requests/cn-only.pem");
    let _ = std::fs::remove_file(site.path("signed.crt"));
    site.run(&["sign", csr.to_str().unwrap(), "--out", "signed.crt", "--passphrase-file", secret])
}

/// No part of an authority is there, nor of the attempt.
fn holds_nothing(site: &Site) {
    let names = std::fs::read_dir(site.path("data")).map_or(Vec::new(), |entries| {
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| n != "leases").collect()
    });
    assert!(names.is_empty(), "{names:?}");
    let output = site.run(&["list"]);
    assert!(output.status.code() == Some(3) && text(&output).contains("no authority"), "{output:?}");
}

#[test]
fn an_empty_machine_has_everything_again() {
    let site = founded();
    std::fs::write(site.path("data/policy.toml"), "[names]\ndeny = [\"10.9.0.0/16\"]\n").unwrap();
    std::fs::create_dir(site.path("data/recipes")).unwrap();
    std::fs::write(site.path("data/recipes/form.toml"), form_recipe()).unwrap();
    site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0);
    let made =
        site.command(&["backup", "backup.age", "--json"]).env_remove("CAMLOCK_PASSPHRASE_FILE").output();
    let made = crate::common::document(&made.unwrap());
    assert_eq!(made["recovery_recipient"], site.json(&["vault", "show"], 0)["recovery_recipient"]);
    let bytes = std::fs::read(site.path("backup.age")).unwrap();
    assert!(bytes.starts_with(b"age-encryption.org/v1\n"));
    assert!(!bytes.windows(11).any(|w| w == b"PRIVATE KEY"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(site.path("backup.age")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Never over another file, and nothing of the making is left.
    assert_eq!(site.run(&["backup", "backup.age"]).status.code(), Some(1));
    assert_eq!(std::fs::read(site.path("backup.age")).unwrap(), bytes);
    assert!(!site.path("data/snapshot.db").exists());

    let machine = empty(&site);
    let restored = machine.run(&RESTORE);
    assert_eq!(restored.status.code(), Some(0), "{restored:?}");
    assert!(text(&restored).contains("camlock vault passphrase"), "{restored:?}");
    let shown = |site: &Site, words: &[&str]| site.json(words, 0);
    for words in [&["authority", "show"][..], &["list", "certificates"], &["vault", "show"]] {
        assert_eq!(shown(&machine, words), shown(&site, words));
    }
    for name in ["page.pem", "proof.pem", "policy.toml", "recipes/form.toml"] {
        let [one, two] = [&site, &machine].map(|s| std::fs::read(s.path("data").join(name)).unwrap());
        assert_eq!(one, two, "{name}");
    }
    for secret in ["passphrase", "recovery"] {
        let signed = signs(&machine, secret);
        assert_eq!(signed.status.code(), Some(0), "{signed:?}");
    }
    assert!(!machine.path("data/restoring").exists());

    // An authority is never replaced.
    let again = machine.run(&RESTORE);
    assert!(again.status.code() == Some(1) && text(&again).contains("already"), "{again:?}");
    assert_eq!(machine.json(&["list", "certificates"], 0).as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn the_ledger_knows_the_last_backup() {
    let site = founded();
    let last = async |site: &Site| {
        let store = Store::open(&site.path("data")).await.unwrap();
        let last = store.last_backup().await.unwrap();
        store.close().await;
        last
    };
    assert_eq!(last(&site).await, None);
    let before = OffsetDateTime::now_utc().unix_timestamp();
    site.json(&["backup", "backup.age"], 0);
    let made = last(&site).await.unwrap();
    assert!(made.at.unix_timestamp() >= before);
    assert!(Path::new(&made.file).is_absolute() && made.file.ends_with("backup.age"), "{made:?}");
    let machine = empty(&site);
    machine.json(&RESTORE, 0);
    assert_eq!(last(&machine).await.unwrap().at, made.at);
}

/// What one process writes all the time is in the backup up to one moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_while_others_write_is_of_one_moment() {
    let site = founded();
    let store = Store::open(&site.path("data")).await.unwrap();
    let (end, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let names = ["10.0.0.1".parse().unwrap()];
    let now = OffsetDateTime::now_utc();
    let write = async {
        for number in 0.. {
            let serial = format!("{number:06x}");
            let intent = Intent {
                serial: &serial,
                authority_id: 1,
                state: AuthorityState::Active,
                device_id: None,
                profile: "device",
                name: None,
                names: &names,
                not_before: now,
                not_after: now,
            };
            store.intend(&intent).await.unwrap();
            store.record_certificate(&serial, &serial, &[0; 900]).await.unwrap();
            written.store(number + 1, Ordering::Relaxed);
            if end.load(Ordering::Relaxed) {
                break;
            }
        }
    };
    let back_up = async {
        let mut known = Vec::new();
        for name in ["a.age", "b.age", "c.age"] {
            let before = written.load(Ordering::Relaxed);
            let words = ["backup", name];
            let made = tokio::process::Command::from(site.command(&words)).output().await.unwrap();
            assert!(made.status.success(), "{made:?}");
            known.push((name, before, written.load(Ordering::Relaxed)));
        }
        end.store(true, Ordering::Relaxed);
        known
    };
    let ((), known) = tokio::join!(write, back_up);
    store.close().await;
    for (name, before, after) in known {
        let machine = Site::new();
        std::fs::copy(site.path("recovery"), machine.path("recovery")).unwrap();
        std::fs::copy(site.path(name), machine.path("backup.age")).unwrap();
        tokio::task::block_in_place(|| machine.json(&RESTORE, 0));
        let store = Store::open(&machine.path("data")).await.unwrap();
        let mut serials: Vec<_> =
            store.certificates(None, None).await.unwrap().into_iter().map(|c| c.serial).collect();
        serials.retain(|serial| serial.len() == 6);
        serials.sort();
        assert!(serials.iter().enumerate().all(|(n, serial)| *serial == format!("{n:06x}")));
        assert!(before <= serials.len() && serials.len() <= after + 1, "{before} {} {after}", serials.len());
        assert!(after > before, "nothing was written meanwhile");
        store.close().await;
    }
}

#[test]
fn what_is_no_whole_backup_or_has_another_key_puts_nothing_in_place() {
    let site = backed_up();
    let good = std::fs::read(site.path("backup.age")).unwrap();
    let other = founded();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases: [(Vec<u8>, i32, &str); 9] = [
        (Vec::new(), 2, "no backup"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----".to_vec(), 2, "no backup"),
        (std::fs::read(site.path("data/camlock.db")).unwrap(), 2, "no backup"),
        (good[..60].to_vec(), 3, "damaged"),
        (good[..good.len() / 2].to_vec(), 3, "damaged"),
        (good[..good.len() - 1].to_vec(), 3, "damaged"),
        (flipped(good.len() / 2), 3, "damaged"),
        (flipped(good.len() - 1), 3, "damaged"),
        ([&good[..], b"more"].concat(), 3, "damaged"),
    ];
    let machine = empty(&site);
    for (bytes, exit, said) in cases {
        std::fs::write(machine.path("backup.age"), &bytes).unwrap();
        let refused = machine.run(&RESTORE);
        assert_eq!(refused.status.code(), Some(exit), "{} bytes: {refused:?}", bytes.len());
        assert!(text(&refused).contains(said), "{refused:?}");
        holds_nothing(&machine);
    }
    std::fs::write(machine.path("backup.age"), &good).unwrap();
    std::fs::copy(other.path("recovery"), machine.path("recovery")).unwrap();
    let refused = machine.run(&RESTORE);
    assert!(refused.status.code() == Some(3) && text(&refused).contains("does not open"), "{refused:?}");
    holds_nothing(&machine);
    assert_eq!(machine.run(&["restore", "none.age"]).status.code(), Some(2));

    // A passphrase is no recovery key, and nobody is there to be asked.
    let missing = machine.run(&["restore", "backup.age"]);
    assert!(
        missing.status.code() == Some(2) && text(&missing).contains("--recovery-key-file"),
        "{missing:?}"
    );
    holds_nothing(&machine);
    let key = site.path("recovery");
    let told = machine.run(&["restore", "backup.age", "--passphrase-file", key.to_str().unwrap()]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    assert_eq!(signs(&machine, "passphrase").status.code(), Some(0));
}

#[test]
fn a_backup_keeps_the_recovery_key_of_its_time() {
    let site = backed_up();
    let new = site.json(&["vault", "recovery-key"], 0);
    site.json(&["backup", "later.age"], 0);
    let machine = empty(&site);
    std::fs::copy(site.path("later.age"), machine.path("later.age")).unwrap();
    std::fs::write(machine.path("new"), new["recovery_key"].as_str().unwrap()).unwrap();
    for (backup, key) in [("later.age", "recovery"), ("backup.age", "new")] {
        assert_eq!(machine.run(&["restore", backup, "--recovery-key-file", key]).status.code(), Some(3));
    }
    for (backup, key) in [("later.age", "new"), ("backup.age", "recovery")] {
        let data = format!("of-{key}");
        machine.json(&["restore", backup, "--recovery-key-file", key, "--data", &data], 0);
    }
}

#[test]
fn nothing_in_the_directory_is_replaced() {
    let site = backed_up();
    for name in ["page.pem", "policy.toml", "camlock.db", "camlock.db-wal"] {
        let machine = empty(&site);
        std::fs::create_dir(machine.path("data")).unwrap();
        let there = machine.path("data").join(name);
        std::fs::write(&there, "mine").unwrap();
        let refused = machine.run(&RESTORE);
        assert_eq!(refused.status.code(), Some(1), "{name}: {refused:?}");
        assert_eq!(std::fs::read(&there).unwrap(), b"mine");
    }
    // An empty directory may be there, as it is where a volume is mounted, and what is not Camlock's in it stays.
    let machine = empty(&site);
    std::fs::create_dir_all(machine.path("data/lost+found")).unwrap();
    machine.json(&RESTORE, 0);
}

/// `kill -9` at any moment: there is the whole authority, or none and the next restore makes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_restore_leaves_all_or_nothing() {
    let site = backed_up();
    let since = Instant::now();
    tokio::task::block_in_place(|| empty(&site).json(&RESTORE, 0));
    let whole = since.elapsed();
    let rounds = if std::env::var_os("CAMLOCK_FULL").is_some() { 100 } else { 6 };
    let mut left = [0, 0, 0];
    for round in 0..rounds {
        let machine = empty(&site);
        let mut command = tokio::process::Command::from(machine.command(&RESTORE));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after = whole.mul_f64(1.1 * f64::from(round) / f64::from(rounds));
        let _ = tokio::time::timeout(after, child.wait()).await;
        child.kill().await.unwrap();
        tokio::task::block_in_place(|| {
            if machine.path("data/camlock.db").exists() {
                left[2] += 1;
            } else {
                assert_eq!(machine.run(&["list"]).status.code(), Some(3));
                let unfinished = machine.path("data/restoring").exists();
                left[usize::from(unfinished)] += 1;
                if unfinished {
                    let init = machine.run(&["init", "--key", "p256"]);
                    assert!(text(&init).contains("interrupted"), "{init:?}");
                }
                machine.json(&RESTORE, 0);
            }
            assert!(machine.path("data/page.pem").exists());
            assert_eq!(signs(&machine, "passphrase").status.code(), Some(0), "{after:?}");
        });
    }
    println!("nothing, unfinished, all: {left:?} in {whole:?}");
}

/// Between the moves, which no test hits by chance.
#[test]
fn a_restore_that_was_killed_while_it_moved_is_done_again() {
    let site = backed_up();
    let machine = empty(&site);
    std::fs::create_dir_all(machine.path("data/restoring")).unwrap();
    for name in ["page.pem", "policy.toml", "restoring/camlock.db"] {
        std::fs::write(machine.path("data").join(name), "half").unwrap();
    }
    let init = machine.run(&["init", "--key", "p256"]);
    assert!(init.status.code() == Some(1) && text(&init).contains("interrupted"), "{init:?}");
    machine.json(&RESTORE, 0);
    assert_eq!(signs(&machine, "passphrase").status.code(), Some(0));
    let page = std::fs::read_to_string(machine.path("data/page.pem")).unwrap();
    assert!(page.contains("BEGIN CERTIFICATE"));
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing_half() {
    let site = backed_up();
    let cramped = |site: &Site, words: &[&str]| {
        let script = "trap '' XFSZ; ulimit -f 64; exec \"$@\"";
        let mut command = site.environment("/bin/sh");
        command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_camlock")]).args(words);
        command.output().unwrap()
    };
    let failed = cramped(&site, &["backup", "other.age"]);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    let left = std::fs::read_dir(site.path("")).unwrap();
    let left: Vec<_> = left.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!left.iter().any(|n| n == "other.age" || n.starts_with(".camlock-")), "{left:?}");
    assert!(!site.path("data/snapshot.db").exists());

    let machine = empty(&site);
    let failed = cramped(&machine, &RESTORE);
    assert_eq!(failed.status.code(), Some(3), "{failed:?}");
    assert!(text(&failed).contains("cannot be written"), "{failed:?}");
    holds_nothing(&machine);
    machine.json(&RESTORE, 0);
}

#[test]
fn the_service_makes_backups_by_the_policy() {
    let site = founded();
    let folder = site.path("backups");
    std::fs::create_dir(&folder).unwrap();
    let policy = format!("[backup]\nfolder = {:?}\ndays = 1\nkeep = 2\n", folder.to_str().unwrap());
    std::fs::write(site.path("data/policy.toml"), policy).unwrap();
    let said = |code: &str| {
        let mut command = site.command(&["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"]);
        command.env_remove("CAMLOCK_PASSPHRASE_FILE").stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find_map(|line| {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            (line["code"] == code).then_some(line)
        });
        // Once it serves, a second backup would come at once or in a day.
        std::thread::sleep(Duration::from_millis(300));
        child.kill().unwrap();
        child.wait().unwrap();
        line.unwrap()
    };
    let line = said("backup-written");
    let file = line["file"].as_str().unwrap().to_owned();
    said("serving-locked");
    let names: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [Path::new(&file)]);

    std::fs::remove_dir_all(&folder).unwrap();
    let failed = said("file-unreadable");
    assert!(failed["level"] == "error" && !folder.exists(), "{failed}");
    std::fs::write(site.path("data/policy.toml"), "[backup]\nfolder = 1\n").unwrap();
    let wrong = said("policy-file");
    assert!(wrong["level"] == "error" && wrong["text"].as_str().unwrap().contains("line 2"), "{wrong}");
}
