//! `sign` and `issue`: certificates as files, carried to the device by a person.

use std::{
    io::{Read, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use authority::{BY_HAND_DAYS, Change, Days, Issued, Order, Wish, effective};
use domain::{AltName, slug};
use pki::{KeyKind, MAX_REQUEST, PrivateKey, Profile, Request, package};
use serde_json::json;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use words::Words;

use crate::{
    args::{Issue, LeafKey, Sign},
    failure::Failure,
    setting::Setting,
    talk::{print, print_json},
};

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
    let order = Order {
        profile: Profile::Device,
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
    show(&issued, &out, &effective.changes, setting.json);
    Ok(true)
}

pub async fn issue(issue: &Issue, setting: &Setting) -> Result<bool, Failure> {
    let wish = Wish { names: names(&issue.ip, &issue.dns)?, common_name: Some(issue.name.clone()) };
    let effective = effective(None, &wish)?;
    let stem = match slug(&issue.name) {
        empty if empty.is_empty() => "camera".to_owned(),
        _ => issue.name.replace(['/', '\\'], "-").trim_start_matches('.').to_owned(),
    };
    let out = issue.out.clone().unwrap_or_else(|| PathBuf::from(format!("{stem}.pem")));
    // What is written to a pipe or a device may be seen, or kept, by anyone.
    if is_standard(&out) || out.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return Err(Failure::usage("key-to-terminal"));
    }
    must_be_new(&out)?;

    let (_store, authority) = setting.authority().await?;
    let kind = match issue.key {
        LeafKey::Rsa2048 => KeyKind::Rsa2048,
        LeafKey::Rsa3072 => KeyKind::Rsa3072,
        LeafKey::Rsa4096 => KeyKind::Rsa4096,
        LeafKey::P256 => KeyKind::P256,
        LeafKey::P384 => KeyKind::P384,
    };
    let key = PrivateKey::generate(kind)?;
    let order = Order {
        profile: Profile::Device,
        key: &key.public_key()?,
        common_name: effective.common_name.as_deref(),
        names: &effective.names,
        days: days(issue.days),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    let issued = authority.issue(&order, OffsetDateTime::now_utc()).await?;
    let pem = package::pem(&key, &issued.certificate, &issued.issuers)?;
    write_new(&out, pem.as_bytes(), 0o600)?;
    show(&issued, &out, &effective.changes, setting.json);
    Ok(true)
}

fn show(issued: &Issued, out: &Path, changes: &[Change], as_json: bool) {
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
            "files": [out.display().to_string()],
            "changes": changes,
        });
        if is_standard(out) {
            shown["files"] = json!([]);
            shown["pem"] = json!(package::chain(&issued.certificate, &issued.issuers));
        }
        print_json(&shown);
        return;
    }
    print(&format!("Wrote {}", out.display()));
    print(&format!("  for          {}", summary.sans.join(", ")));
    print(&format!("  valid until  {}", summary.not_after.date()));
    print(&format!("  serial       {}", summary.serial));
    for change in changes {
        print(&format!("  {change}"));
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

/// At most a little more than a request may have, so that its reader can say that it is too large.
fn read_request(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e| Failure::file("file-unreadable", path, &e);
    if is_standard(path) {
        let mut bytes = Vec::new();
        let limit = MAX_REQUEST as u64 + 1;
        std::io::stdin().take(limit).read_to_end(&mut bytes).map_err(failed)?;
        return Ok(bytes);
    }
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > MAX_REQUEST as u64 {
        return Err(pki::Error::RequestTooLarge { bytes: length as usize, limit: MAX_REQUEST }.into());
    }
    std::fs::read(path).map_err(failed)
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
    must_be_new(path)?;
    let file = written_beside(path, bytes, mode)?;
    file.persist_noclobber(path).map(drop).map_err(|e| Failure::file("file-unwritable", path, &e.error))
}

/// Writes a file of Camlock's own over the one before: whole or not at all.
pub fn write_over(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let file = written_beside(path, bytes, mode)?;
    file.persist(path).map(drop).map_err(|e| Failure::file("file-unwritable", path, &e.error))
}

fn written_beside(path: &Path, bytes: &[u8], mode: u32) -> Result<tempfile::NamedTempFile, Failure> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |e| Failure::file("file-unwritable", path, &e);
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = builder.prefix(".camlock-").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    Ok(file)
}
