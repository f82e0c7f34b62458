//! Files that outlive a power cut: whole or not at all, and never over another one unasked.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use domain::Severity;
use serde::Serialize;
use tempfile::TempPath;

use crate::Error;

/// So many files of one kind a folder of the operator's may hold.
const IN_FOLDER_MAX: usize = 100;

/// With less room than this, bytes, nothing more can be relied on: a backup and a certificate need more than its own.
const ROOM: u64 = 32 << 20;

/// Why the data directory cannot take what is to be stored.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum DiskTrouble {
    DataReadOnly { directory: String, reason: String },
    DiskFull { directory: String, free: u64 },
}

impl DiskTrouble {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        Severity::Error
    }
}

/// Looks, without trying, whether the data directory can be written and has room (megabytes of 2^20 bytes).
pub fn examine_disk(directory: &Path) -> Option<DiskTrouble> {
    #[cfg(unix)]
    {
        use rustix::fs::{Access, access, statvfs};
        if let Err(e) = access(directory, Access::WRITE_OK | Access::EXEC_OK) {
            let reason = io::Error::from(e).to_string();
            return Some(DiskTrouble::DataReadOnly { directory: shown(directory), reason });
        }
        if let Ok(disk) = statvfs(directory) {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            return (free < ROOM)
                .then(|| DiskTrouble::DiskFull { directory: shown(directory), free: free >> 20 });
        }
    }
    #[cfg(not(unix))]
    let _ = (directory, ROOM);
    None
}

/// Asked before anything is issued, so that no certificate is made for nothing.
pub fn must_be_new(path: &Path) -> Result<(), Error> {
    match path.symlink_metadata() {
        Ok(_) => Err(Error::FileExists { file: shown(path) }),
        Err(_) => Ok(()),
    }
}

/// Writes a file that was not there: whole or not at all, and never over another.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    write_all_new(&[(path, bytes, mode)])
}

/// Writes files that were not there, each with its mode: all of them or none, and never over another.
pub fn write_all_new(files: &[(&Path, &[u8], u32)]) -> Result<(), Error> {
    files.iter().try_for_each(|(path, ..)| must_be_new(path))?;
    let write = |(path, bytes, mode): &(&Path, &[u8], u32)| {
        written_beside(path, *mode, |file| file.write_all(bytes)).map_err(|e| Error::unwritable(path, &e))
    };
    let written: Vec<_> = files.iter().map(write).collect::<Result<_, _>>()?;
    for (done, file) in written.into_iter().enumerate() {
        let path = files[done].0;
        if let Err(e) = file.persist_noclobber(path) {
            for (path, ..) in &files[..done] {
                // It was made a moment ago, here; what fails now has been said already.
                let _ = std::fs::remove_file(path);
            }
            return Err(Error::unwritable(path, &e.error));
        }
    }
    files.iter().for_each(|(path, ..)| sync_folder(folder_of(path)));
    Ok(())
}

/// As [`write_new`], for what is too large for memory.
pub fn write_new_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    must_be_new(path)?;
    let failed = |e| Error::unwritable(path, &e);
    let file = written_beside(path, mode, write).map_err(failed)?;
    file.persist_noclobber(path).map_err(|e| failed(e.error))?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Writes a file of Camlock's own over the one before: whole or not at all.
pub fn write_over(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |e| Error::unwritable(path, &e);
    let file = written_beside(path, mode, |file| file.write_all(bytes)).map_err(failed)?;
    file.persist(path).map(drop).map_err(|e| failed(e.error))
}

/// Begins a file that may take the place of one before. What is written goes beside it until it is whole, so that no link
/// leads it over a file elsewhere; into a pipe or a device at once.
pub fn begin_over(path: &Path) -> io::Result<(File, Option<TempPath>)> {
    let there = path.metadata().ok();
    let stream = || File::options().write(true).truncate(true).open(path);
    // Standard output may be a file, which stays the same one.
    if [Path::new("/dev"), Path::new("/proc")].iter().any(|system| path.starts_with(system)) {
        return Ok((stream()?, None));
    }
    match &there {
        Some(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Some(there) if !there.is_file() => {
            let stream = File::options().write(true).open(path)?;
            return match stream.metadata()?.is_file() {
                true => Err(io::ErrorKind::InvalidInput.into()),
                false => Ok((stream, None)),
            };
        }
        _ => {}
    }
    #[cfg(unix)]
    let mode = there.map_or(0o666, |there| std::os::unix::fs::PermissionsExt::mode(&there.permissions()));
    #[cfg(not(unix))]
    let mode = 0;
    let (file, beside) = written_beside(path, mode & 0o777, |_| Ok(()))?.into_parts();
    Ok((file, Some(beside)))
}

/// A path as errors and sentences name it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The files of a folder whose names have this ending, by name; none if there is no folder. More of them than are read
/// are an error: which ones would be left out is the file system's whim.
pub fn in_folder(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |e: &io::Error| Error::unreadable(folder, e);
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| unreadable(&e))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| unreadable(&e))?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_hidden || path.extension().is_none_or(|e| e != ending) || !path.is_file() {
            continue;
        }
        if files.len() == IN_FOLDER_MAX {
            return Err(Error::FolderTooFull { folder: shown(folder), limit: IN_FOLDER_MAX });
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

/// A new name in a folder outlives a power cut only once the folder itself is on the disk. Some file systems cannot
/// do that, and Windows does not; what was written is there all the same.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

fn written_beside(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.prefix(".camlock-").tempfile_in(folder_of(path))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_s_files_are_all_there_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), name).unwrap();
        // What else lies there, before and after by name.
        (0..300).for_each(|n| write(&format!("{n}.txt")));
        write(".hidden.pem");
        (0..IN_FOLDER_MAX).for_each(|n| write(&format!("root{n:03}.pem")));
        std::fs::create_dir(folder.path().join("folder.pem")).unwrap();
        let files = in_folder(folder.path(), "pem").unwrap();
        assert_eq!(files.len(), IN_FOLDER_MAX);
        assert!(files.is_sorted() && files[0].ends_with("root000.pem"));
        write("root.pem");
        assert!(matches!(in_folder(folder.path(), "pem"), Err(Error::FolderTooFull { .. })));
        assert!(in_folder(&folder.path().join("none"), "pem").unwrap().is_empty());
    }

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        // The second of the same name is in the way of the first only once that is there.
        let failed = write_all_new(&[(&first, b"1", 0o600), (&second, b"2", 0o644), (&first, b"3", 0o600)]);
        assert!(matches!(failed, Err(Error::FileUnwritable { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&second, "old").unwrap();
        let failed = write_all_new(&[(&first, b"1", 0o600), (&second, b"2", 0o644)]);
        assert!(matches!(failed, Err(Error::FileExists { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&second).unwrap(), b"old");
    }
}
