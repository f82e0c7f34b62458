//! `sign` and `issue`: certificates as files, carried to the device by a person.

use std::{
    fs::File,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
};

use authority::{Change, Issued, Wish};
use domain::AltName;
use pki::{KeyKind, MAX_REQUEST, Request, package};
use serde_json::json;
use site::{Certified, Wanted, must_be_new, write_new};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use words::Words;
use zeroize::Zeroizing;

use crate::{
    args::{Issue, LeafKey, Profile, Sign},
    failure::Failure,
    packages::Plan,
    setting::Setting,
    talk::{print, print_json},
};

pub async fn sign(sign: &Sign, setting: &Setting) -> Result<bool, Failure> {
    let bytes = read_request(&sign.csr)?;
    let request = Request::read(&bytes)?;
    let wish = Wish { names: names(&sign.ip, &sign.dns)?, common_name: sign.name.clone() };
    let wanted = Wanted::new(Some(&request), &wish, profile(sign.profile), sign.days)?;
    let out = sign.out.clone().unwrap_or_else(|| default_name(&sign.csr));
    if !is_standard(&out) {
        must_be_new(&out)?;
    }

    let Certified { issued, changes, .. } = setting.unlocked().await?.sign(&request.key, wanted).await?;
    let chain = package::chain(&issued.certificate, &issued.issuers);
    if !is_standard(&out) {
        write_new(&out, chain.as_bytes(), 0o644)?;
    } else if !setting.json {
        print(chain.trim_end());
        return Ok(true);
    }
    let files = if is_standard(&out) { vec![] } else { vec![out] };
    show(&issued, &files, &changes, setting.json);
    Ok(true)
}

pub async fn issue(issue: &Issue, setting: &Setting) -> Result<bool, Failure> {
    let wish = Wish { names: names(&issue.ip, &issue.dns)?, common_name: Some(issue.name.clone()) };
    let wanted = Wanted::new(None, &wish, profile(issue.profile), issue.days)?;
    let plan = Plan::new(issue)?;
    for path in plan.paths() {
        // What is written to a pipe or a device may be seen, or kept, by anyone.
        if is_standard(&path) || path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            return Err(Failure::usage("key-to-terminal"));
        }
        must_be_new(&path)?;
    }
    let passphrase = plan.passphrase(issue)?;

    let kind = match issue.key {
        LeafKey::Rsa2048 => KeyKind::Rsa2048,
        LeafKey::Rsa3072 => KeyKind::Rsa3072,
        LeafKey::Rsa4096 => KeyKind::Rsa4096,
        LeafKey::P256 => KeyKind::P256,
        LeafKey::P384 => KeyKind::P384,
    };
    let (key, certified) = setting.unlocked().await?.issue(kind, wanted).await?;
    let Certified { issued, root, changes } = certified;
    let mut certificates = vec![&issued.certificate];
    if !issue.no_chain {
        certificates.extend(&issued.issuers);
    }
    if issue.with_root {
        certificates.push(&root);
    }
    let files = plan.write(&key, &certificates, &passphrase)?;
    show(&issued, &files, &changes, setting.json);
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
