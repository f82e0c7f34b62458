//! `kill -9` while certificates are issued: what was handed out is in the ledger, what was not is known.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use authority::{Flaw, Founding, New, check};
use fuzz::Dice;
use pki::{Certificate, KeyKind, Permitted};
use store::Store;
use time::OffsetDateTime;

#[path = "../../examples/door.rs"]
#[allow(dead_code)]
mod door;

/// What the door is to do, a word a line.
const WORDS: &str = "CAMLOCK_DOOR";

/// No test, but the process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed() {
    if let Ok(words) = std::env::var(WORDS) {
        door::run(&words.lines().collect::<Vec<_>>()).await;
    }
}

/// Longer than anything here takes on the slowest machine: what takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A certificate as its receiver saw it: serial number and fingerprint.
type Seen = (String, String);

/// A founded site, and all that was handed out there.
struct Site {
    folder: tempfile::TempDir,
    seen: Vec<Seen>,
}

impl Site {
    async fn founded() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap(), seen: Vec::new() };
        let store = Store::create(&site.path("data")).await.unwrap();
        let permitted = Permitted::local(None);
        let founding = Founding {
            site: "Shop".into(),
            key: KeyKind::P256,
            permitted,
            constrained: true,
            two_tier: false,
        };
        let new = New::make(founding, "words", OffsetDateTime::now_utc()).await.unwrap();
        // With the recovery key it opens at once, so that more kills meet the door.
        fs::write(site.path("secret"), new.recovery.text()).unwrap();
        new.found(&store).await.unwrap();
        store.close().await;
        File::create(site.path("seen")).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts this program again, as what is killed.
    fn issuing(&self, words: &str) -> Child {
        let seen = OpenOptions::new().append(true).open(self.path("seen")).unwrap();
        let (data, secret) = (self.path("data"), self.path("secret"));
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::what_is_killed", "--nocapture", "--quiet"])
            .env(WORDS, format!("issue\n{}\n{}\n{words}", data.display(), secret.display()))
            .stdin(Stdio::null())
            .stdout(seen)
            .spawn()
            .unwrap()
    }

    /// Waits until something more has been handed out.
    fn wait_for_another(&self, child: &mut Child) {
        let since = Instant::now();
        while self.read().len() == self.seen.len() {
            assert!(child.try_wait().unwrap().is_none() && since.elapsed() < PATIENCE);
            sleep(Duration::from_millis(1));
        }
    }

    /// What was handed out since the last look.
    fn look(&mut self) -> Vec<Seen> {
        let seen = self.read();
        let new = seen[self.seen.len()..].to_vec();
        self.seen = seen;
        new
    }

    /// All that was ever handed out.
    fn read(&self) -> Vec<Seen> {
        let text = fs::read_to_string(self.path("seen")).unwrap();
        // The harness says something, too.
        let lines =
            text.lines().filter_map(|line| line.split_once(' ').filter(|(_, sha256)| sha256.len() == 64));
        lines.map(|(serial, sha256)| (serial.to_owned(), sha256.to_owned())).collect()
    }

    /// What was just handed out is stored, to the byte.
    async fn holds(&self, new: &[Seen]) {
        let store = Store::open(&self.path("data")).await.unwrap();
        for (serial, sha256) in new {
            let row = store.certificate(serial).await.unwrap().unwrap();
            let certificate = Certificate::from_der(&row.der.unwrap()).unwrap();
            assert_eq!((&certificate.serial(), &certificate.sha256()), (serial, sha256));
        }
        store.close().await;
    }

    /// Whatever has no certificate is reported, nothing else is, and nobody saw it; how many those are.
    async fn all_is_known(&self) -> usize {
        let store = Store::open(&self.path("data")).await.unwrap();
        let (mut open, mut last) = (HashSet::new(), String::new());
        loop {
            let rows = store.certificates_after(&last, 100).await.unwrap();
            let Some(end) = rows.last() else { break };
            last = end.serial.clone();
            open.extend(rows.into_iter().filter(|row| row.der.is_none()).map(|row| row.serial));
        }
        // So late that none can be under way.
        let later = OffsetDateTime::now_utc() + Duration::from_secs(120);
        let (count, flaws) = check(&store, later).await.unwrap();
        store.close().await;
        let reported: HashSet<String> = flaws
            .into_iter()
            .map(|flaw| match flaw {
                Flaw::IntentWithoutCertificate { serial, .. } => serial,
                flaw => panic!("{flaw:?}"),
            })
            .collect();
        assert_eq!(reported, open);
        let seen: HashSet<String> = self.seen.iter().map(|(serial, _)| serial.clone()).collect();
        assert_eq!(seen.len(), self.seen.len(), "a serial number twice");
        assert!(seen.is_disjoint(&open));
        assert!(count >= seen.len() as u64);
        open.len()
    }
}

/// Thirty kills with one request at once and with sixteen; five hundred where CAMLOCK_FULL is set.
fn rounds() -> usize {
    if std::env::var_os("CAMLOCK_FULL").is_some() { 500 } else { 30 }
}

async fn killed_at_random(at_once: &str) {
    let mut site = Site::founded().await;
    let mut dice = Dice::seeded();
    for round in 0..rounds() {
        let mut child = site.issuing(at_once);
        // One in four while it opens the ledger, which the last one left as it was.
        if dice.below(4) != 0 {
            site.wait_for_another(&mut child);
        }
        let after = Duration::from_micros(dice.below(50_000));
        sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        let new = site.look();
        println!("{at_once} at once, round {round}: killed after {after:?}, {} handed out", new.len());
        site.holds(&new).await;
    }
    assert!(site.issuing(&format!("{at_once}\n32")).wait().unwrap().success());
    assert_eq!(site.look().len(), 32);
    // Else no kill came between intent and certificate, and this has proven nothing.
    assert_ne!(site.all_is_known().await, 0);
}

#[tokio::test]
async fn killed_with_one_at_once() {
    killed_at_random("1").await;
}

#[tokio::test]
async fn killed_with_sixteen_at_once() {
    killed_at_random("16").await;
}
