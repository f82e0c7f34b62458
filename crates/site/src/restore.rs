//! A backup is restored into a data directory without an authority, whole or not at all.
//!
//! Everything is unpacked and checked in a folder inside the data directory, which may be a mount of its own, and
//! then moved up, the ledger last: before that there is no authority, after that there is all of it.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
};

use authority::{Authority, Opened, Public, recovery_recipient};
use store::{BackupRow, Lease, Store};
use time::OffsetDateTime;
use vault::escrow;
use zeroize::Zeroizing;

use crate::{
    DataDir, Error,
    backup::{CERTIFICATE, FOLDERS, KEY, KEYS, README, ROOT},
    data_dir::{LEDGER, MAKER_ROOTS, PAGE, POLICY, PROOF, RECIPES},
    disk::{self, shown},
};

/// Where a backup is unpacked, in the data directory. There after a restore that was killed.
const FOLDER: &str = "restoring";
/// What is moved into the data directory, in this order.
const PLACED: [&str; 6] = [PAGE, PROOF, POLICY, RECIPES, MAKER_ROOTS, LEDGER];
/// The most that a file other than the ledger has, bytes, and the most files.
const SMALL: u64 = 1 << 20;
const MAX_FILES: usize = 300;
/// How every `age` file begins, whatever its version.
const AGE: &[u8] = b"age-encryption.org/";

/// A backup that was opened with nobody's key yet, and where it is to be restored.
pub struct Restore {
    files: DataDir,
    file: PathBuf,
    input: BufReader<File>,
    /// Bytes.
    length: u64,
}

/// What was restored.
pub struct Restored {
    /// The authority.
    pub public: Public,
    /// As of when the backup is.
    pub at: OffsetDateTime,
}

impl Restore {
    /// Looks whether it can be done before anybody is asked for a key.
    ///
    /// # Errors
    ///
    /// There is an authority, or a file of one, in the data directory; the file cannot be read or is no backup.
    pub async fn prepare(files: &DataDir, file: &Path) -> Result<Restore, Error> {
        must_be_free(files.path()).await?;
        let (input, length) = open(file)?;
        Ok(Restore { files: files.clone(), file: file.to_owned(), input, length })
    }

    /// Restores it, whole or not at all, with the recovery key.
    ///
    /// # Errors
    ///
    /// The key is another one, the backup is damaged, another restore is running, or something cannot be written.
    pub async fn finish(self, key: &str) -> Result<Restored, Error> {
        let Restore { files, file, input, length } = self;
        let (directory, file) = (files.path(), file.as_path());
        let archive = decrypt(file, input, key)?;
        let Some(_lease) = Lease::restoring(directory)? else {
            return Err(Error::RestoreRunning { directory: shown(directory) });
        };
        must_be_free(directory).await?;
        let unpacked = Unpacked::new(directory)?;
        let at = tokio::task::block_in_place(|| unpack(archive, file, &unpacked.0, length))?;
        let (public, _) = check(&unpacked.0, key, file, at).await?;
        place(&unpacked.0, directory).map_err(|e| store::Error::DataDirectory {
            directory: shown(directory),
            reason: e.to_string(),
        })?;
        Ok(Restored { public, at })
    }
}

/// Opens a backup with the recovery key and everything in it, as a restore would, and puts nothing in place. The ledger of
/// `files`, if there is one, knows from then on that this key was tried.
///
/// # Errors
///
/// The file cannot be read or is no backup, the key is another one, or the backup is damaged.
pub async fn check_backup(files: &DataDir, file: &Path, key: &str) -> Result<Restored, Error> {
    let (input, length) = open(file)?;
    let archive = decrypt(file, input, key)?;
    let folder = tempfile::tempdir().map_err(|e| unwritable(&std::env::temp_dir(), &e))?;
    let at = tokio::task::block_in_place(|| unpack(archive, file, folder.path(), length))?;
    let (public, recipient) = check(folder.path(), key, file, at).await?;
    if let (Ok(store), Some(recipient)) = (Store::open(files.path()).await, recipient) {
        store.record_backup_tried(&recipient).await?;
        store.close().await;
    }
    Ok(Restored { public, at })
}

/// A restore that was killed left files that belong to no authority.
pub(crate) fn must_not_be_unfinished(directory: &Path) -> Result<(), Error> {
    match directory.join(FOLDER).symlink_metadata() {
        Ok(_) => Err(Error::RestoreUnfinished { directory: shown(directory) }),
        Err(_) => Ok(()),
    }
}

/// Nothing is put over an authority or over a file of one; what a killed restore left does not count.
async fn must_be_free(directory: &Path) -> Result<(), Error> {
    if let Ok(store) = Store::open(directory).await {
        let site = store.site().await;
        store.close().await;
        if let Ok(site) = site {
            return Err(store::Error::AuthorityExists { site: site.name }.into());
        }
    }
    let unfinished = must_not_be_unfinished(directory).is_err();
    let log = |end: &str| format!("{LEDGER}-{end}");
    let taken = [LEDGER, &log("wal"), &log("shm"), PAGE, PROOF, POLICY, RECIPES, MAKER_ROOTS]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok() && !(unfinished && is_moved_early(path)));
    match taken {
        Some(path) => Err(Error::RestoreNotEmpty { file: shown(&path) }),
        None => Ok(()),
    }
}

fn is_moved_early(path: &Path) -> bool {
    [PAGE, PROOF, POLICY, RECIPES, MAKER_ROOTS].iter().any(|name| path.ends_with(name))
}

/// A file that begins like a backup, and its length in bytes.
fn open(file: &Path) -> Result<(BufReader<File>, u64), Error> {
    let failed = |e| Error::unreadable(file, &e);
    let opened = File::open(file).map_err(failed)?;
    let length = opened.metadata().map_err(failed)?.len();
    let mut input = BufReader::new(opened);
    if !input.fill_buf().map_err(failed)?.starts_with(AGE) {
        return Err(no_backup(file, "it is not encrypted by age"));
    }
    Ok((input, length))
}

fn decrypt(file: &Path, input: BufReader<File>, key: &str) -> Result<impl Read, Error> {
    escrow::decrypt_stream(key, input).map_err(|e| match e {
        e @ vault::Error::EscrowHeader { .. } => no_backup(file, &e.to_string()),
        vault::Error::WrongRecoveryKey => Error::BackupOtherKey { file: shown(file) },
        e => damaged(file, e),
    })
}

/// The folder with what was unpacked; it goes, however this ends.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(directory: &Path) -> Result<Unpacked, Error> {
        let unpacked = Unpacked(directory.join(FOLDER));
        let _ = std::fs::remove_dir_all(&unpacked.0);
        std::fs::create_dir(&unpacked.0).map_err(|e| unwritable(&unpacked.0, &e))?;
        Ok(unpacked)
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Unpacks what a backup may hold and nothing else, each file once and no larger than it can be: the ledger has at
/// most `length` bytes, those of the backup, since that is not compressed. Gives the time of the backup.
fn unpack(input: impl Read, file: &Path, folder: &Path, length: u64) -> Result<OffsetDateTime, Error> {
    let mut archive = tar::Archive::new(input);
    let mut seen = HashSet::new();
    let mut at = None;
    // Raw: extensions of the format, which could name any path and fill the memory, are entries like others.
    for entry in archive.entries().map_err(|e| damaged(file, e))?.raw(true) {
        let mut entry = entry.map_err(|e| damaged(file, e))?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let short: String = name.chars().take(80).collect();
        let limit = if name == LEDGER { length } else { SMALL };
        if !is_known(&name) || !entry.header().entry_type().is_file() {
            return Err(no_backup(file, &format!("it holds {short:?}, which no backup does")));
        }
        if entry.size() > limit || seen.len() >= MAX_FILES || !seen.insert(name.clone()) {
            return Err(no_backup(file, &format!("it holds {short:?} too often or too large")));
        }
        if name == LEDGER {
            let seconds = entry.header().mtime().map_err(|e| damaged(file, e))?;
            at = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        }
        if is_placed(&name) {
            let size = entry.size();
            if let Some((within, _)) = name.split_once('/') {
                let within = folder.join(within);
                std::fs::create_dir_all(&within).map_err(|e| unwritable(&within, &e))?;
            }
            copy(&mut entry, size, file, &folder.join(&name))?;
        }
    }
    // To the end: only there it shows whether a part is missing.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| damaged(file, e))?;
    at.ok_or_else(|| no_backup(file, &format!("it holds no {LEDGER}")))
}

fn is_known(name: &str) -> bool {
    let key = name.strip_prefix(KEYS).and_then(|n| n.strip_suffix(KEY).or(n.strip_suffix(CERTIFICATE)));
    is_placed(name) || [README, ROOT].contains(&name) || key.is_some_and(|key| !key.contains(['/', '\\']))
}

fn is_placed(name: &str) -> bool {
    [PAGE, PROOF, POLICY, LEDGER].contains(&name)
        || name.split_once('/').is_some_and(|(folder, file)| {
            let is_of = |(known, ending): &(&str, &str)| {
                *known == folder && file.strip_suffix(ending).is_some_and(|file| file.ends_with('.'))
            };
            FOLDERS.iter().any(is_of) && !file.starts_with('.') && !file.contains(['/', '\\', ':', '\0'])
        })
}

/// What fails at reading is the backup's, what fails at writing is this machine's.
fn copy(input: &mut impl Read, size: u64, file: &Path, to: &Path) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |e| unwritable(to, &e);
    let mut output = options.open(to).map_err(failed)?;
    let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
    let mut copied = 0;
    loop {
        let read = input.read(&mut buffer).map_err(|e| damaged(file, e))?;
        if read == 0 {
            break;
        }
        output.write_all(&buffer[..read]).map_err(failed)?;
        copied += read as u64;
    }
    if copied != size {
        return Err(damaged(file, "it ends too early"));
    }
    output.sync_all().map_err(failed)
}

/// Opens all that will be relied on: the ledger is whole, of a known version and has nothing foreign in it, the recovery key
/// opens the vault in it, the vault every key, and they vouch for each other. Its authority, and the public half of its
/// recovery key.
async fn check(
    folder: &Path,
    key: &str,
    file: &Path,
    at: OffsetDateTime,
) -> Result<(Public, Option<String>), Error> {
    let unfit = |e: authority::Error| match e {
        authority::Error::Store(store::Error::OtherVersion { .. } | store::Error::ForeignSchema { .. }) => {
            e.into()
        }
        authority::Error::Vault(vault::Error::WrongRecoveryKey) => e.into(),
        e => damaged(file, e),
    };
    let store = Store::open(folder).await.map_err(|e| unfit(e.into()))?;
    let checked = async {
        store.check_integrity().await?;
        let opened = Opened::open(&store, key.trim()).await?;
        opened.keys()?;
        Authority::of(&store, opened).await?;
        let (public, site) = (Public::read(&store).await?, store.site().await?);
        // It is the last one that this ledger can know of.
        let file = shown(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()));
        let (root, recovery) = (Some(public.root.sha256()), recovery_recipient(&site).ok());
        store.record_backup(&BackupRow { at, file, root, recovery: recovery.clone(), tried: true }).await?;
        Ok((public, recovery))
    };
    let public = checked.await.map_err(unfit);
    store.close().await;
    public
}

fn place(folder: &Path, directory: &Path) -> io::Result<()> {
    // Closed, the ledger is one file.
    File::options().write(true).open(folder.join(LEDGER))?.sync_all()?;
    for name in PLACED {
        let (from, to) = (folder.join(name), directory.join(name));
        if name == LEDGER {
            disk::sync_folder(directory);
            tempfile::TempPath::try_from_path(from)?.persist_noclobber(to)?;
        } else if from.is_dir() {
            // A folder is not renamed over another that has something in it.
            if to.exists() {
                std::fs::remove_dir_all(&to)?;
            }
            std::fs::rename(from, to)?;
        } else if from.exists() {
            std::fs::rename(from, to)?;
        } else if to.is_dir() {
            // A killed restore of another backup left it, and what follows.
            std::fs::remove_dir_all(to)?;
        } else if to.exists() {
            std::fs::remove_file(to)?;
        }
    }
    disk::sync_folder(directory);
    Ok(())
}

fn no_backup(file: &Path, detail: &str) -> Error {
    Error::NotABackup { file: shown(file), detail: detail.to_owned() }
}

fn damaged(file: &Path, reason: impl std::fmt::Display) -> Error {
    Error::BackupDamaged { file: shown(file), reason: reason.to_string() }
}

fn unwritable(path: &Path, reason: &io::Error) -> Error {
    Error::unwritable(path, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tar::EntryType;

    use super::*;

    const LENGTH: u64 = 1 << 20;

    /// An archive as nobody's tool would write it.
    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mtime(1_800_000_000);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    /// What comes of it, and what was unpacked; never anything beside the folder.
    fn unpacked(bytes: &[u8]) -> (Result<OffsetDateTime, String>, Vec<String>) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("data").join(FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        let done = unpack(bytes, Path::new("x.tar.age"), &folder, LENGTH);
        let names = |folder: &Path| {
            let entries = std::fs::read_dir(folder).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (names(home.path()), names(&home.path().join("data"))),
            (vec!["data".into()], vec![FOLDER.into()])
        );
        let code = |e: Error| serde_json::to_value(e).unwrap()["code"].as_str().unwrap().to_owned();
        (done.map_err(code), names(&folder))
    }

    const WHOLE: [(&str, EntryType, &[u8]); 6] = [
        (README, EntryType::Regular, b"read me"),
        (ROOT, EntryType::Regular, b"root"),
        ("keys/home-2026.pem.age", EntryType::Regular, b"key"),
        (PAGE, EntryType::Regular, b"page"),
        ("recipes/gate.toml", EntryType::Regular, b"recipe"),
        (LEDGER, EntryType::Regular, &[7; 5000]),
    ];

    #[test]
    fn what_belongs_into_the_data_directory_is_unpacked() {
        let (done, names) = unpacked(&archive(&WHOLE));
        assert_eq!(done.unwrap().unix_timestamp(), 1_800_000_000);
        assert_eq!(names, [LEDGER, PAGE, RECIPES]);
    }

    #[test]
    fn a_hostile_archive_is_refused() {
        let huge = vec![0; SMALL as usize + 1];
        let many: Vec<String> = (0..=MAX_FILES).map(|n| format!("keys/{n}.pem.age")).collect();
        let many: Vec<_> = many.iter().map(|n| (n.as_str(), EntryType::Regular, &b""[..])).collect();
        let mut absurd = archive(&WHOLE[5..]);
        absurd[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff");
        let sum = absurd[..512].iter().enumerate();
        let sum: u32 = sum.map(|(at, b)| if (148..156).contains(&at) { 32 } else { u32::from(*b) }).sum();
        absurd[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let foreign = [
            archive(&[("../camlock.db", EntryType::Regular, b"x")]),
            archive(&[("/tmp/camlock.db", EntryType::Regular, b"x")]),
            archive(&[("./camlock.db", EntryType::Regular, b"x")]),
            archive(&[("keys/../../x.pem.age", EntryType::Regular, b"x")]),
            archive(&[("recipes/../x.toml", EntryType::Regular, b"x")]),
            archive(&[("recipes/a/x.toml", EntryType::Regular, b"x")]),
            archive(&[("recipes/.x.toml", EntryType::Regular, b"x")]),
            archive(&[("recipes/x.sh", EntryType::Regular, b"x")]),
            archive(&[("recipes", EntryType::Directory, b"")]),
            archive(&[("passwd", EntryType::Regular, b"x")]),
            archive(&[(LEDGER, EntryType::Symlink, b"")]),
            archive(&[(PAGE, EntryType::Link, b"")]),
            archive(&[(PAGE, EntryType::Directory, b"")]),
            archive(&[(PAGE, EntryType::Char, b"")]),
            archive(&[(LEDGER, EntryType::GNUSparse, b"x")]),
            archive(&[("././@LongLink", EntryType::GNULongName, b"../../x")]),
            archive(&[(PAGE, EntryType::XHeader, b"17 path=../../x\n")]),
            archive(&[WHOLE[3], WHOLE[3]]),
            archive(&[WHOLE[5], WHOLE[5]]),
            archive(&[(PAGE, EntryType::Regular, &huge)]),
            archive(&[(LEDGER, EntryType::Regular, &[huge.as_slice(), &huge].concat())]),
            archive(&many),
            archive(&WHOLE[..5]),
            archive(&[]),
            absurd,
        ];
        for (number, bytes) in foreign.iter().enumerate() {
            assert_eq!(unpacked(bytes).0, Err("not-a-backup".into()), "{number}");
        }
        for length in [300, 512 + 300, 4 * 1024 + 700] {
            assert_eq!(unpacked(&archive(&WHOLE)[..length]).0, Err("backup-damaged".into()), "{length}");
        }
    }

    proptest! {
        /// Whatever is in it: an error or a whole ledger, and nothing beside the folder.
        #[test]
        fn no_archive_gets_out(at in 0_usize..8000, bytes in proptest::collection::vec(any::<u8>(), 1..600)) {
            let mut changed = archive(&WHOLE);
            let end = (at + bytes.len()).min(changed.len());
            let at = at.min(end);
            changed[at..end].copy_from_slice(&bytes[..end - at]);
            for bytes in [bytes, changed] {
                let (done, names) = unpacked(&bytes);
                prop_assert!(names.iter().all(|name| PLACED.contains(&name.as_str())));
                prop_assert!(done.is_err() || names.contains(&LEDGER.to_owned()));
            }
        }
    }
}
