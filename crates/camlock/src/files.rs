//! `sign` and `issue`: certificates as files, carried to the device by a person.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use authority::{BY_HAND_DAYS, Change, Days, Issued, Order, Wish, effective};
use domain::AltName;
use pki::{KeyKind, MAX_REQUEST, PrivateKey, Request, package};
use serde_json::json;
use tempfile::TempPath;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use words::Words;
use zeroize::Zeroizing;

use crate::{
    args::{Issue, LeafKey, Profile, Sign},
    failure::Failure,
    packages::Plan,
    setting::Setting,
    talk::{print, print_json},
};

/// So many files of one kind a folder of the operator's may hold.
const IN_FOLDER_MAX: usize = 100;

pub async fn sign(sign: &Sign, setting: &Setting) -> Result<bool, Failure> {
    let bytes = read_request(&sign.csr)?;
    let request = Request::read(&bytes)?;
    let wish = Wish { names: names(&sign.ip, &sign.dns)?, common_name: sign.name.clone() };
    let effective = effective(Some(&request), &wish)?;
    let out = sign.out.clone().unwrap_or_else(|| default_name(&sign.csr));
    if !is_standard(&out) {
        must_be_new(&out)?;
    }

    let (_store, authority) = setting.authority().await?;
    let effective = effective.within(&authority.public().permitted);
    let order = Order {
        profile: profile(sign.profile),
        key: &request.key,
        common_name: effective.common_name.as_deref(),
        names: &effective.names,
        days: days(sign.days),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    let issued = authority.issue(&order, OffsetDateTime::now_utc()).await?;
    let chain = package::chain(&issued.certificate, &issued.issuers);
    if !is_standard(&out) {
        write_new(&out, chain.as_bytes(), 0o644)?;
    } else if !setting.json {
        print(chain.trim_end());
        return Ok(true);
    }
    let files = if is_standard(&out) { vec![] } else { vec![out] };
    show(&issued, &files, &effective.changes, setting.json);
    Ok(true)
}

pub async fn issue(issue: &Issue, setting: &Setting) -> Result<bool, Failure> {
    let wish = Wish { names: names(&issue.ip, &issue.dns)?, common_name: Some(issue.name.clone()) };
    let effective = effective(None, &wish)?;
    let plan = Plan::new(issue)?;
    for path in plan.paths() {
        // What is written to a pipe or a device may be seen, or kept, by anyone.
        if is_standard(&path) || path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            return Err(Failure::usage("key-to-terminal"));
        }
        must_be_new(&path)?;
    }
    let passphrase = plan.passphrase(issue)?;

    let (_store, authority) = setting.authority().await?;
    let effective = effective.within(&authority.public().permitted);
    let kind = match issue.key {
        LeafKey::Rsa2048 => KeyKind::Rsa2048,
        LeafKey::Rsa3072 => KeyKind::Rsa3072,
        LeafKey::Rsa4096 => KeyKind::Rsa4096,
        LeafKey::P256 => KeyKind::P256,
        LeafKey::P384 => KeyKind::P384,
    };
    let key = PrivateKey::generate(kind)?;
    let order = Order {
        profile: profile(issue.profile),
        key: &key.public_key()?,
        common_name: effective.common_name.as_deref(),
        names: &effective.names,
        days: days(issue.days),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    let issued = authority.issue(&order, OffsetDateTime::now_utc()).await?;
    let mut certificates = vec![&issued.certificate];
    if !issue.no_chain {
        certificates.extend(&issued.issuers);
    }
    if issue.with_root {
        certificates.push(&authority.public().root);
    }
    let files = plan.write(&key, &certificates, &passphrase)?;
    show(&issued, &files, &effective.changes, setting.json);
    Ok(true)
}

/// No file: the certificate goes to standard output.
fn show(issued: &Issued, files: &[PathBuf], changes: &[Change], as_json: bool) {
    let words = Words::english();
    let changes: Vec<String> = changes.iter().map(|c| words.say(c).text).collect();
    let summary = issued.certificate.summary();
    if as_json {
        let date = |d: OffsetDateTime| d.format(&Rfc3339).unwrap_or_default();
        let mut shown = json!({
            "serial": summary.serial,
            "sha256": summary.sha256,
            "not_before": date(summary.not_before),
            "not_after": date(summary.not_after),
            "sans": summary.sans,
            "files": files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>(),
            "changes": changes,
        });
        if files.is_empty() {
            shown["pem"] = json!(package::chain(&issued.certificate, &issued.issuers));
        }
        print_json(&shown);
        return;
    }
    for file in files {
        print(&format!("Wrote {}", file.display()));
    }
    print(&format!("  for          {}", summary.sans.join(", ")));
    print(&format!("  valid until  {}", summary.not_after.date()));
    print(&format!("  serial       {}", summary.serial));
    for change in changes {
        print(&format!("  {change}"));
    }
}

fn profile(profile: Profile) -> pki::Profile {
    match profile {
        Profile::Device => pki::Profile::Device,
        Profile::DeviceDual => pki::Profile::DeviceDual,
        Profile::Server => pki::Profile::Server,
    }
}

fn days(asked: Option<i64>) -> Days {
    asked.map_or(Days::AtMost(BY_HAND_DAYS), Days::Exactly)
}

fn names(ips: &[IpAddr], dns: &[String]) -> Result<Vec<AltName>, Failure> {
    let mut names: Vec<AltName> = ips.iter().map(|ip| AltName::Ip(ip.to_canonical())).collect();
    for name in dns {
        names.push(AltName::dns(name)?);
    }
    Ok(names)
}

/// At most a little more than a request may have, so that its reader can say that it is too large. There may be a
/// private key in it.
fn read_request(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |e| Failure::file("file-unreadable", path, &e);
    let file: Box<dyn Read> = if is_standard(path) {
        Box::new(std::io::stdin())
    } else {
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > MAX_REQUEST as u64 {
            return Err(pki::Error::RequestTooLarge { bytes: length as usize, limit: MAX_REQUEST }.into());
        }
        Box::new(file)
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_REQUEST + 1));
    file.take(MAX_REQUEST as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn default_name(csr: &Path) -> PathBuf {
    match csr.file_stem() {
        Some(stem) if !is_standard(csr) => PathBuf::from(stem).with_extension("crt"),
        _ => PathBuf::from("camera.crt"),
    }
}

/// Standard input or output.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Asked before anything is issued, so that no certificate is made for nothing.
pub fn must_be_new(path: &Path) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) => Err(Failure::refused("file-exists", "file", &path.display().to_string())),
        Err(_) => Ok(()),
    }
}

/// Writes a file that was not there: whole or not at all, and never over another.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    write_all_new(&[(path, bytes, mode)])
}

/// Writes files that were not there, each with its mode: all of them or none, and never over another.
pub fn write_all_new(files: &[(&Path, &[u8], u32)]) -> Result<(), Failure> {
    files.iter().try_for_each(|(path, ..)| must_be_new(path))?;
    let write = |(path, bytes, mode): &(&Path, &[u8], u32)| {
        written_beside(path, *mode, |file| file.write_all(bytes))
            .map_err(|e| Failure::file("file-unwritable", path, &e))
    };
    let written: Vec<_> = files.iter().map(write).collect::<Result<_, _>>()?;
    for (done, file) in written.into_iter().enumerate() {
        let path = files[done].0;
        if let Err(e) = file.persist_noclobber(path) {
            for (path, ..) in &files[..done] {
                // It was made a moment ago, here; what fails now has been said already.
                let _ = std::fs::remove_file(path);
            }
            return Err(Failure::file("file-unwritable", path, &e.error));
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
) -> Result<(), Failure> {
    must_be_new(path)?;
    let failed = |e| Failure::file("file-unwritable", path, &e);
    let file = written_beside(path, mode, write).map_err(failed)?;
    file.persist_noclobber(path).map_err(|e| failed(e.error))?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Writes a file of Camlock's own over the one before: whole or not at all.
pub fn write_over(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |e| Failure::file("file-unwritable", path, &e);
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

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The files of a folder whose names have this ending, by name; none if there is no folder. More of them than are read
/// are an error: which ones would be left out is the file system's whim.
pub fn in_folder(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |e: &io::Error| Failure::file("file-unreadable", folder, e);
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
            let folder = folder.display().to_string();
            let said = json!({"code": "folder-too-full", "folder": folder, "limit": IN_FOLDER_MAX});
            return Err(Failure { said, exit: 3 });
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
        assert_eq!(in_folder(folder.path(), "pem").unwrap_err().said["code"], "folder-too-full");
        assert!(in_folder(&folder.path().join("none"), "pem").unwrap().is_empty());
    }

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        // The second of the same name is in the way of the first only once that is there.
        let failed = write_all_new(&[(&first, b"1", 0o600), (&second, b"2", 0o644), (&first, b"3", 0o600)]);
        assert_eq!(failed.unwrap_err().said["code"], "file-unwritable");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        std::fs::write(&second, "old").unwrap();
        let failed = write_all_new(&[(&first, b"1", 0o600), (&second, b"2", 0o644)]);
        assert_eq!(failed.unwrap_err().said["code"], "file-exists");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&second).unwrap(), b"old");
    }
}
