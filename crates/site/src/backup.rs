//! Backups, those that somebody asks for and those that the service makes by itself: one file, encrypted to the recovery
//! key's public half.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration as StdDuration,
};

use authority::{BackupPlan, Public, doubt_of_clock, recovery_recipient};
use domain::slug;
use pki::Certificate;
#[cfg(unix)]
use rustix::fs::Access;
use store::{BackupRow, Site as SiteRow, Store};
use time::{
    Duration, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Rfc3339,
    macros::format_description,
};
use vault::escrow;
use zeroize::Zeroizing;

use crate::{
    Error, Notice, Site, Tell,
    data_dir::{DataDir, LEDGER, MAKER_ROOTS, PAGE, POLICY, PROOF, RECIPES},
    disk::{self, shown},
};

/// What a backup holds beside the files of the data directory, by its name in the archive.
pub(crate) const ROOT: &str = "root.pem";
pub(crate) const README: &str = "README.txt";
/// The operator's folders, and how the names of their files end.
pub(crate) const FOLDERS: [(&str, &str); 2] = [(RECIPES, "toml"), (MAKER_ROOTS, "pem")];
/// The authorities' keys, encrypted once more, and the certificate of each.
pub(crate) const KEYS: &str = "keys/";
pub(crate) const KEY: &str = ".pem.age";
pub(crate) const CERTIFICATE: &str = ".crt";

/// How often the service looks whether a backup is due, and how much earlier than due it may be: else a daily one
/// would be an hour later each day.
const LOOK: StdDuration = StdDuration::from_secs(3600);
const EARLY: Duration = Duration::minutes(30);
/// What ends the name of a backup of the service's.
const SUFFIX: &str = ".tar.age";

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct BackedUp {
    /// The public half of the recovery key, which opens it.
    pub recipient: String,
    /// As of when it is.
    pub at: OffsetDateTime,
}

impl Site {
    /// Writes a backup into a file that is not there yet, and stores that it was made.
    ///
    /// # Errors
    ///
    /// Nothing vouches for the recovery key, another backup is being made, or something cannot be read or written.
    pub async fn back_up(&self, file: &Path) -> Result<BackedUp, Error> {
        let at = self.now();
        let recipient = write(self.store(), self.files(), file, at).await?;
        Ok(BackedUp { recipient, at })
    }

    /// Whether a ledger of an older version has to be opened this once, so that the authority signs which recovery key is
    /// the site's.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read, or another recovery key was put in.
    pub async fn recovery_is_unsigned(&self) -> Result<bool, Error> {
        match recovery_recipient(&self.store().site().await?) {
            Ok(_) => Ok(false),
            Err(authority::Error::RecoveryUnsigned) => Ok(true),
            Err(e) => Err(e.into()),
        }
    }
}

/// What goes into a backup beside the ledger.
struct Contents {
    recipient: String,
    at: OffsetDateTime,
    files: Vec<(String, Zeroizing<Vec<u8>>)>,
}

impl Contents {
    fn read(public: &Public, site: &SiteRow, files: &DataDir, at: OffsetDateTime) -> Result<Contents, Error> {
        // Whoever may write to the ledger could name another.
        let recipient = recovery_recipient(site)?;
        let text = |text: String| Zeroizing::new(text.into_bytes());
        let roots = public.trusted().iter().map(Certificate::to_pem).collect();
        let mut held =
            vec![(README.to_owned(), text(readme(&site.name, at))), (ROOT.to_owned(), text(roots))];
        for authority in &site.authorities {
            if let Some(armored) = &authority.for_recovery {
                let certificate = Certificate::from_der(&authority.certificate)?;
                let name = format!("{KEYS}{}-{}", authority.id, slug(&certificate.subject()));
                held.push((format!("{name}{KEY}"), text(armored.clone())));
                held.push((format!("{name}{CERTIFICATE}"), text(certificate.to_pem())));
            }
        }
        for name in [PAGE, PROOF, POLICY] {
            let path = files.join(name);
            match std::fs::read(&path) {
                Ok(bytes) => held.push((name.to_owned(), Zeroizing::new(bytes))),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::own_unreadable(&path, &e)),
            }
        }
        for (folder, ending) in FOLDERS {
            for path in disk::in_folder(&files.join(folder), ending)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let bytes = std::fs::read(&path).map_err(|e| Error::own_unreadable(&path, &e))?;
                held.push((format!("{folder}/{name}"), Zeroizing::new(bytes)));
            }
        }
        Ok(Contents { recipient, at, files: held })
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
async fn write(store: &Store, files: &DataDir, file: &Path, now: OffsetDateTime) -> Result<String, Error> {
    disk::must_be_new(file)?;
    let before = store.site().await?;
    let Some(snapshot) = store.snapshot().await? else {
        return Err(Error::BackupRunning { directory: shown(files.path()) });
    };
    // The key that opens the file is the one that opens the vault in it.
    if store.site().await?.vault != before.vault {
        return Err(store::Error::SecretsChanged.into());
    }
    let public = Public::of(store, &before).await?;
    let contents = Contents::read(&public, &before, files, now)?;
    let (recipient, root) = (contents.recipient.clone(), public.root.sha256());
    let path = file.to_owned();
    let written = tokio::task::spawn_blocking(move || {
        disk::write_new_with(&path, 0o600, |output| contents.write(snapshot.path(), output))
    });
    written.await.unwrap_or_else(|e| std::panic::resume_unwind(e.into_panic()))?;
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let (file, recovery) = (path.display().to_string(), Some(recipient.clone()));
    store.record_backup(&BackupRow { at: now, file, root: Some(root), recovery, tried: false }).await?;
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
pub fn must_be_writable(folder: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    if let Err(e) = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let file = folder.display().to_string();
        // As systemd reads it.
        let mut path = file.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
        if !path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c)) {
            path = format!("\"{path}\"");
        }
        let reason = io::Error::from(e).to_string();
        return Err(Error::BackupFolder { file, reason, unit_path: path });
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// The backups that the service makes. Their folder must be there: it may be a disk that is not mounted.
pub struct Schedule {
    site: Site,
    plan: BackupPlan,
    tell: Tell,
    /// Until then nothing is even looked at: the disks want to sleep.
    next: Option<OffsetDateTime>,
}

impl Schedule {
    /// For this site, by this plan of its policy.
    pub fn new(site: Site, plan: BackupPlan, tell: Tell) -> Schedule {
        Schedule { site, plan, tell, next: None }
    }

    /// Makes backups as they become due, for as long as it is let. What fails is told, and tried again at the next look.
    pub async fn run(mut self) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            match self.look(self.site.now()).await {
                Ok(Some(file)) => (self.tell)(Notice::BackupWritten { file: shown(&file) }),
                Ok(None) => {}
                Err(e) => (self.tell)(Notice::Failed(e)),
            }
        }
    }

    /// Makes a backup if one is due, and removes the oldest of those that it made.
    async fn look(&mut self, now: OffsetDateTime) -> Result<Option<PathBuf>, Error> {
        let early = now + EARLY;
        if self.next.is_some_and(|next| early < next) {
            return Ok(None);
        }
        // It would take the place of good ones; the log says so already.
        if doubt_of_clock(self.site.store(), now).await?.is_some() {
            return Ok(None);
        }
        let length = Duration::days(self.plan.days.into());
        let prefix = prefix(&Public::read(self.site.store()).await?);
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
        write(self.site.store(), self.site.files(), &file, now).await?;
        self.next = Some(now + length);
        self.remove_old(&prefix, now)?;
        Ok(Some(file))
    }

    fn remove_old(&self, prefix: &str, now: OffsetDateTime) -> Result<(), Error> {
        let mut made = self.made(prefix)?;
        // They would take the place of the newest one.
        made.retain(|(at, _)| *at <= now);
        let surplus = made.len().saturating_sub(self.plan.keep.max(1) as usize);
        for (_, file) in &made[..surplus] {
            std::fs::remove_file(file).map_err(|e| Error::unwritable(file, &e))?;
        }
        Ok(())
    }

    /// The files in the folder that it made itself, as their names tell, oldest first.
    fn made(&self, prefix: &str) -> Result<Vec<(OffsetDateTime, PathBuf)>, Error> {
        let failed = |e| Error::own_unreadable(&self.plan.folder, &e);
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

    async fn site(directory: &Path) -> Site {
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
        Site::open(DataDir::new(directory)).await.unwrap()
    }

    fn quiet() -> Tell {
        std::sync::Arc::new(|_| {})
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
        let site = site(&data).await;
        let plan = BackupPlan { folder: folder.clone(), days: 2, keep: 3 };
        let schedule = || Schedule::new(site.clone(), plan.clone(), quiet());
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
                let last = site.store().last_backup().await.unwrap().unwrap();
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
        let site = site(&home.path().join("data")).await;
        let plan = BackupPlan { folder: folder.clone(), days: 1, keep: 1 };
        let mut schedule = Schedule::new(site.clone(), plan, quiet());
        let now = OffsetDateTime::now_utc();
        let error = schedule.look(now).await.unwrap_err();
        assert!(matches!(error, Error::OwnFileUnreadable { .. }));
        assert!(!folder.exists() && site.store().last_backup().await.unwrap().is_none());
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
        let site = site(&data).await;
        let plan = BackupPlan { folder: folder.clone(), days: 1, keep: 9 };
        let mut schedule = Schedule::new(site.clone(), plan, quiet());
        let now = OffsetDateTime::now_utc();
        assert!(schedule.look(now).await.unwrap().is_some());

        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("camlock.db"));
        let ledger = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let name = async |recipient: &str| {
            let named = sqlx::query("UPDATE site SET vault = json_set(vault, '$.recovery_recipient', $1)");
            named.bind(recipient.to_owned()).execute(&ledger).await.unwrap();
        };
        let own = recovery_recipient(&site.store().site().await.unwrap()).unwrap();
        let (_, _, thief) = vault::Vault::create("x").unwrap();
        name(thief.recipient()).await;
        let later = now + Duration::days(2);
        let error = schedule.look(later).await.unwrap_err();
        assert!(matches!(error, Error::Authority(authority::Error::RecoveryForged { .. })));
        assert_eq!(names(&folder).len(), 1);
        name(&own).await;
        assert!(schedule.look(later).await.unwrap().is_some());
    }
}
