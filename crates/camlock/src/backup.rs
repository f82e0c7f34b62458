//! `backup`, and the backups that the service makes by itself: one file, encrypted to the recovery key's public half.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration as StdDuration,
};

use authority::{Authority, BackupPlan, Error, Public, doubt_of_clock, recovery_recipient};
use domain::slug;
use pki::Certificate;
#[cfg(unix)]
use rustix::fs::Access;
use serde_json::json;
use store::{Site, Store};
use time::{
    Duration, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};
use vault::escrow::{self, short_form};
use zeroize::Zeroizing;

use crate::{
    args,
    failure::Failure,
    files,
    setting::Setting,
    talk::{Level, log, print, print_json},
};

/// What a backup holds, by its name in the archive.
pub const LEDGER: &str = "camlock.db";
pub const PAGE: &str = "page.pem";
pub const PROOF: &str = "proof.pem";
pub const POLICY: &str = "policy.toml";
pub const ROOT: &str = "root.pem";
pub const README: &str = "README.txt";
/// The operator's folders, and how the names of their files end.
pub const FOLDERS: [(&str, &str); 2] = [(RECIPES, "toml"), (MAKER_ROOTS, "pem")];
/// The authorities' keys, encrypted once more, and the certificate of each.
pub const KEYS: &str = "keys/";
pub const KEY: &str = ".pem.age";
pub const CERTIFICATE: &str = ".crt";
/// The operator's own recipes.
pub const RECIPES: &str = "recipes";
/// The roots under which makers name their devices, as the operator put them there.
pub const MAKER_ROOTS: &str = "maker-roots";

/// How often the service looks whether a backup is due, and how much earlier than due it may be: else a daily one
/// would be an hour later each day.
const LOOK: StdDuration = StdDuration::from_secs(3600);
const EARLY: Duration = Duration::minutes(30);
/// What ends the name of a backup of the service's.
const SUFFIX: &str = ".tar.age";

pub async fn run(backup: &args::Backup, setting: &Setting) -> Result<bool, Failure> {
    let store = setting.store().await?;
    let now = OffsetDateTime::now_utc();
    // A ledger of an older version is opened this once, so that the authority signs which recovery key is the site's.
    if let Err(unsigned @ Error::RecoveryUnsigned) = recovery_recipient(&store.site().await?) {
        let secret = setting.passphrase("Passphrase: ").map_err(|_| unsigned)?;
        Authority::open(&store, &secret).await?;
    }
    let recipient = write(&store, &setting.directory()?, &backup.file, now).await?;
    store.close().await;
    let file = backup.file.display().to_string();
    let bytes = std::fs::metadata(&backup.file).map_or(0, |m| m.len());
    if setting.json {
        let at = now.format(&Rfc3339).unwrap_or_default();
        print_json(&json!({"files": [file], "bytes": bytes, "at": at, "recovery_recipient": recipient}));
        return Ok(true);
    }
    print(&format!("Wrote {file} ({} kB)", bytes.div_ceil(1000)));
    print(&format!("  opened by  the recovery key alone ({recipient})"));
    print(&format!("  short form {}", short_form(&recipient)));
    print(&format!(
        "  how        camlock restore {file}, or: age --decrypt -i RECOVERY-KEY-FILE {file} | tar x"
    ));
    Ok(true)
}

/// What goes into a backup beside the ledger.
struct Contents {
    recipient: String,
    at: OffsetDateTime,
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl Contents {
    fn read(public: &Public, site: &Site, directory: &Path, at: OffsetDateTime) -> Result<Contents, Failure> {
        // Whoever may write to the ledger could name another.
        let recipient = recovery_recipient(site)?;
        let text = |text: String| Zeroizing::new(text.into_bytes());
        let roots = public.trusted().iter().map(Certificate::to_pem).collect();
        let mut files =
            vec![(README.to_owned(), text(readme(&site.name, at))), (ROOT.to_owned(), text(roots))];
        for authority in &site.authorities {
            if let Some(armored) = &authority.for_recovery {
                let certificate = Certificate::from_der(&authority.certificate)?;
                let name = format!("{KEYS}{}-{}", authority.id, slug(&certificate.subject()));
                files.push((format!("{name}{KEY}"), text(armored.clone())));
                files.push((format!("{name}{CERTIFICATE}"), text(certificate.to_pem())));
            }
        }
        for name in [PAGE, PROOF, POLICY] {
            let path = directory.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => files.push((name.to_owned(), Zeroizing::new(bytes))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Failure::broken_file(&path, &e)),
            }
        }
        for (folder, ending) in FOLDERS {
            for path in files::in_folder(&directory.join(folder), ending)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let bytes = std::fs::read(&path).map_err(|e| Failure::broken_file(&path, &e))?;
                files.push((format!("{folder}/{name}"), Zeroizing::new(bytes)));
            }
        }
        Ok(Contents { recipient, at, files })
    }

    fn write(&self, snapshot: &Path, output: &mut File) -> io::Result<()> {
        let mut archive = tar::Builder::new(escrow::encrypt_stream(&self.recipient, output)?);
        let mut append = |name: &str, size: u64, content: &mut dyn Read| {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(size);
            header.set_mode(0o600);
            header.set_mtime(self.at.unix_timestamp().try_into().unwrap_or_default());
            archive.append_data(&mut header, name, content)
        };
        for (name, bytes) in &self.files {
            append(name, bytes.len() as u64, &mut bytes.as_slice())?;
        }
        let mut ledger = File::open(snapshot)?;
        append(LEDGER, ledger.metadata()?.len(), &mut ledger)?;
        archive.into_inner()?.finish()?;
        Ok(())
    }
}

/// Makes a backup, and stores that it was made. Gives the public half of the recovery key that opens it.
async fn write(store: &Store, directory: &Path, file: &Path, now: OffsetDateTime) -> Result<String, Failure> {
    files::must_be_new(file)?;
    let before = store.site().await?;
    let Some(snapshot) = store.snapshot().await? else {
        return Err(Failure::refused("backup-running", "directory", &directory.display().to_string()));
    };
    // The key that opens the file is the one that opens the vault in it.
    if store.site().await?.vault != before.vault {
        return Err(store::Error::SecretsChanged.into());
    }
    let contents = Contents::read(&Public::of(store, &before).await?, &before, directory, now)?;
    let recipient = contents.recipient.clone();
    let path = file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        files::write_new_with(&path, 0o600, |output| contents.write(snapshot.path(), output))
    });
    written.await.map_err(|e| Failure::broken("cannot-start", "reason", &e.to_string()))??;
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    store.record_backup(now, &path.display().to_string()).await?;
    Ok(recipient)
}

fn readme(site: &str, at: OffsetDateTime) -> String {
    let at = at.format(&Rfc3339).unwrap_or_default();
    format!(
        "A backup of Camlock's authority for the site {site}, made at {at}.

With Camlock: camlock restore FILE, where FILE is the backup itself.

Without Camlock everything can be had with the age tool (https://age-encryption.org), tar and ordinary tools. Put the
recovery key (AGE-SECRET-KEY-1...) alone into a file, here RECOVERY-KEY-FILE:

  age --decrypt -i RECOVERY-KEY-FILE FILE | tar x

{ROOT}       the roots that computers trust, PEM
{KEYS}          the authority's certificates (NAME{CERTIFICATE}) and private keys, each encrypted once more:
                 age --decrypt -i RECOVERY-KEY-FILE {KEYS}NAME{KEY} > NAME.pem    (PKCS#8, PEM)
{LEDGER}     the ledger: every certificate and device, an SQLite database
{PAGE}       key and certificate of Camlock's own page
{PROOF}      key and certificate of the trust page's test
{POLICY}    the policy, if there is one
{RECIPES}/       the operator's own recipes, if there are any
{MAKER_ROOTS}/   the roots of makers, if there are any
"
    )
}

/// Whether backups can be written into this folder, as far as the system tells without trying: it knows of a file system
/// that is there to be read alone, as all but the data directory is for a service that systemd has closed in.
pub fn must_be_writable(folder: &Path) -> Result<(), Failure> {
    #[cfg(unix)]
    if let Err(e) = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let file = folder.display().to_string();
        // As systemd reads it.
        let mut path = file.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        if !path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c)) {
            path = format!("\"{path}\"");
        }
        let reason = io::Error::from(e).to_string();
        let said = json!({"code": "backup-folder", "file": file, "reason": reason, "unit_path": path});
        return Err(Failure { said, exit: 3 });
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The backups that the service makes. Their folder must be there: it may be a disk that is not mounted.
pub struct Schedule {
    store: Store,
    directory: PathBuf,
    plan: BackupPlan,
    /// Until then nothing is even looked at: the disks want to sleep.
    next: Option<OffsetDateTime>,
}

impl Schedule {
    /// For the data directory of an open ledger.
    pub fn new(store: Store, directory: PathBuf, plan: BackupPlan) -> Schedule {
        Schedule { store, directory, plan, next: None }
    }

    /// Makes backups as they become due, for as long as it is let. What fails is logged, and tried again at the next
    /// look.
    pub async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            match self.look(OffsetDateTime::now_utc()).await {
                Ok(Some(file)) => {
                    log(Level::Info, &json!({"code": "backup-written", "file": file.display().to_string()}));
                }
                Ok(None) => {}
                Err(failure) => log(Level::Error, &failure.said),
            }
        }
    }

    /// Makes a backup if one is due, and removes the oldest of those that it made.
    async fn look(&mut self, now: OffsetDateTime) -> Result<Option<PathBuf>, Failure> {
        let early = now + EARLY;
        if self.next.is_some_and(|next| early < next) {
            return Ok(None);
        }
        // It would take the place of good ones; the log says so already.
        if doubt_of_clock(&self.store, now).await?.is_some() {
            return Ok(None);
        }
        let length = Duration::days(self.plan.days.into());
        let prefix = prefix(&Public::read(&self.store).await?);
        // What seems to come from the future is of a clock that was wrong.
        let last = self.made(&prefix)?.into_iter().rfind(|(at, _)| *at <= now);
        // Now, and not when the next one is due: at the start somebody may be there.
        must_be_writable(&self.plan.folder)?;
        if let Some((at, _)) = last
            && early < at + length
        {
            self.next = Some(at + length);
            return Ok(None);
        }
        let stamp = now.format(STAMP).unwrap_or_default();
        let file = self.plan.folder.join(format!("{prefix}{stamp}{SUFFIX}"));
        write(&self.store, &self.directory, &file, now).await?;
        self.next = Some(now + length);
        self.remove_old(&prefix, now)?;
        Ok(Some(file))
    }

    fn remove_old(&self, prefix: &str, now: OffsetDateTime) -> Result<(), Failure> {
        let mut made = self.made(prefix)?;
        // They would take the place of the newest one.
        made.retain(|(at, _)| *at <= now);
        let surplus = made.len().saturating_sub(self.plan.keep.max(1) as usize);
        for (_, file) in &made[..surplus] {
            std::fs::remove_file(file).map_err(|e| Failure::file("file-unwritable", file, &e))?;
        }
        Ok(())
    }

    /// The files in the folder that it made itself, as their names tell, oldest first.
    fn made(&self, prefix: &str) -> Result<Vec<(OffsetDateTime, PathBuf)>, Failure> {
        let failed = |e| Failure::broken_file(&self.plan.folder, &e);
        let mut made = Vec::new();
        for entry in std::fs::read_dir(&self.plan.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let stamp = name.to_str().and_then(|n| n.strip_prefix(prefix)?.strip_suffix(SUFFIX));
            if let Some(at) = stamp.and_then(|s| PrimitiveDateTime::parse(s, STAMP).ok())
                && entry.file_type().is_ok_and(|t| t.is_file())
            {
                made.push((at.assume_utc(), entry.path()));
            }
        }
        made.sort();
        Ok(made)
    }
}

const STAMP: &[time::format_description::BorrowedFormatItem<'static>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// How the names of this authority's backups begin: two sites may share a folder.
fn prefix(public: &Public) -> String {
    let sha256 = public.root.sha256();
    format!("camlock-{}-{}-", slug(&public.site), &sha256[..8])
}

#[cfg(test)]
mod tests {
    use authority::{Founding, New};
    use pki::{KeyKind, Permitted};

    use super::*;

    async fn authority(directory: &Path) -> Store {
        let store = Store::create(directory).await.unwrap();
        let founding = Founding {
            site: "The Shop".into(),
            key: KeyKind::P256,
            permitted: Permitted::local(None),
            constrained: true,
            two_tier: false,
        };
        let new = New::make(founding, "a passphrase", OffsetDateTime::now_utc()).await.unwrap();
        new.found(&store).await.unwrap();
        store
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn backups_are_made_when_due_and_the_oldest_go() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("backups");
        std::fs::create_dir(&folder).unwrap();
        let data = home.path().join("data");
        let store = authority(&data).await;
        let plan = BackupPlan { folder: folder.clone(), days: 2, keep: 3 };
        let schedule = || Schedule::new(store.clone(), data.clone(), plan.clone());
        let start = time::macros::datetime!(2026-11-25 01:02:03 UTC);
        // What is not its own stays, however old and however named.
        let foreign = ["camlock-the-shop-00000000-20200101T000000Z.tar.age", "camlock.tar.age", "notes.txt"];
        for name in foreign {
            std::fs::write(folder.join(name), "").unwrap();
        }

        let mut running = schedule();
        let mut made = 0;
        for hour in 0..10 * 24 {
            let now = start + Duration::hours(hour) + Duration::milliseconds(hour);
            if hour % 7 == 0 {
                // A service that starts anew knows the last one from the folder.
                running = schedule();
            }
            if let Some(file) = running.look(now).await.unwrap() {
                assert_eq!(hour, made * 48, "{file:?}");
                let last = store.last_backup().await.unwrap().unwrap();
                assert_eq!(last.file, file.display().to_string());
                made += 1;
            }
        }
        assert_eq!(made, 5);
        let left = names(&folder);
        assert!(foreign.iter().all(|f| left.contains(&(*f).to_owned())), "{left:?}");
        let own: Vec<_> = left.iter().filter(|n| !foreign.contains(&n.as_str())).collect();
        assert_eq!(own.len(), 3);
        for (name, day) in own.iter().zip(["20261129", "20261201", "20261203"]) {
            assert!(name.starts_with("camlock-the-shop-") && name.contains(&format!("-{day}T01")), "{name}");
        }
    }

    #[tokio::test]
    async fn what_fails_is_tried_again_and_writes_nothing() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("not mounted");
        let store = authority(&home.path().join("data")).await;
        let plan = BackupPlan { folder: folder.clone(), days: 1, keep: 1 };
        let mut schedule = Schedule::new(store.clone(), home.path().join("data"), plan);
        let now = OffsetDateTime::now_utc();
        let failure = schedule.look(now).await.unwrap_err();
        assert_eq!(failure.said["code"], "file-unreadable");
        assert!(!folder.exists() && store.last_backup().await.unwrap().is_none());
        std::fs::create_dir(&folder).unwrap();
        assert!(schedule.look(now).await.unwrap().is_some());
        assert!(schedule.look(now).await.unwrap().is_none());
    }

    #[test]
    fn its_readme_names_all_that_it_holds() {
        let readme = readme("Shop", OffsetDateTime::now_utc());
        for name in [ROOT, KEYS, LEDGER, PAGE, PROOF, POLICY, RECIPES, MAKER_ROOTS] {
            assert!(readme.lines().any(|line| line.starts_with(name)), "{name}: {readme}");
        }
    }

    /// Somebody names another recovery key while the service runs, between two backups.
    #[tokio::test]
    async fn no_backup_goes_to_a_recovery_key_that_was_put_in() {
        let home = tempfile::tempdir().unwrap();
        let (data, folder) = (home.path().join("data"), home.path().join("backups"));
        std::fs::create_dir(&folder).unwrap();
        let store = authority(&data).await;
        let plan = BackupPlan { folder: folder.clone(), days: 1, keep: 9 };
        let mut schedule = Schedule::new(store.clone(), data.clone(), plan);
        let now = OffsetDateTime::now_utc();
        assert!(schedule.look(now).await.unwrap().is_some());

        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("camlock.db"));
        let ledger = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let name = async |recipient: &str| {
            let named = sqlx::query("UPDATE site SET vault = json_set(vault, '$.recovery_recipient', $1)");
            named.bind(recipient.to_owned()).execute(&ledger).await.unwrap();
        };
        let own = recovery_recipient(&store.site().await.unwrap()).unwrap();
        let (_, _, thief) = vault::Vault::create("x").unwrap();
        name(thief.recipient()).await;
        let later = now + Duration::days(2);
        let failure = schedule.look(later).await.unwrap_err();
        assert_eq!(failure.said["code"], "recovery-forged");
        assert_eq!(names(&folder).len(), 1);
        name(&own).await;
        assert!(schedule.look(later).await.unwrap().is_some());
    }
}
