//! `authority import`: the site's authority out of a CA that people have already.

use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
};

use authority::{Ailment, Ca, ImportError, MAX_IMPORT, New, Pile, examine};
use domain::{AltName, Severity};
use pki::{Lint, MAX_KEY_FILE, Permitted};
use serde_json::{Value, json};
use time::OffsetDateTime;
use words::{Sentence, Words};
use zeroize::Zeroizing;

use crate::{
    args::Import,
    authority_commands::{describe, description, found},
    failure::Failure,
    setting::{self, Setting},
    talk::{self, print, print_json, warn},
};

/// Where well-known programs keep certificate and key in their directory. Then the rest of it, often all that the CA
/// ever issued, is not looked through.
const LAYOUTS: [(&str, &str); 6] = [
    // mkcert
    ("rootCA.pem", "rootCA-key.pem"),
    // Easy-RSA 3, from above its PKI and in it; Easy-RSA 2, likewise.
    ("pki/ca.crt", "pki/private/ca.key"),
    ("ca.crt", "private/ca.key"),
    ("keys/ca.crt", "keys/ca.key"),
    ("ca.crt", "ca.key"),
    // CA.pl of OpenSSL
    ("cacert.pem", "private/cakey.pem"),
];
/// Limits for directories: how deep, and how many files and bytes.
const MAX_DEPTH: usize = 3;
const MAX_FILES: usize = 500;
const MAX_BYTES: usize = 16 << 20;

pub async fn run(import: &Import, setting: &Setting) -> Result<bool, Failure> {
    let data = setting.files()?;
    site::must_be_vacant(&data).await?;
    let files = Files::gather(&import.files)?;
    let ca = choose(&files, import)?;
    let says_all = ca.says_all();
    let local = Permitted::local(site::host_name().as_deref());
    let refused_too = wants_refused(&ca, setting)?;
    let (adopted, left_out) = ca.adopt(local, &import.permit, refused_too)?;

    let passphrase = setting.first_passphrase()?;
    let new = New::adopt(adopted, &import.site, &passphrase).await?;
    let (public, recovery) = found(new, &data, setting).await?;
    let weaknesses = weaknesses(setting).await?;

    if setting.json {
        let mut shown = description(&public);
        shown["data"] = json!(data.path().display().to_string());
        shown["recovery_key"] = json!(recovery.text());
        shown["recovery_recipient"] = json!(recovery.recipient());
        shown["recovery_short"] = json!(vault::escrow::short_form(recovery.recipient()));
        shown["left_out"] = json!(left_out);
        shown["weaknesses"] = json!(weaknesses.iter().map(Weakness::json).collect::<Vec<_>>());
        print_json(&shown);
    } else {
        print(&format!("Took over the CA into {}", data.path().display()));
        describe(&public);
    }
    if !says_all {
        let code = if public.constrained { "import-own-limit-too" } else { "import-own-limit" };
        talk::say(&json!({"code": code}));
    }
    let outside = site::addresses()
        .into_iter()
        .filter(|ip| !ip.is_loopback())
        .map(AltName::Ip)
        .filter(|ip| !public.permitted.allows(ip));
    let outside: Vec<String> = outside.map(|ip| ip.plain()).collect();
    if !outside.is_empty() {
        warn(&json!({"code": "import-outside", "addresses": outside}));
    }
    if !left_out.is_empty() {
        warn(&json!({"code": "import-left-out", "constraints": left_out}));
    }
    if !setting.json && !weaknesses.is_empty() {
        print("");
        weaknesses.iter().for_each(|weakness| talk::finding(weakness.severity, &weakness.said));
        talk::say(&json!({"code": "import-advice"}));
    }
    talk::say(&json!({"code": "import-old-key"}));
    Ok(true)
}

/// Says for what browsers refuse a CA, and asks whether it is wanted all the same; without a terminal, nothing is asked.
fn wants_refused(ca: &Ca, setting: &Setting) -> Result<bool, Failure> {
    let refused = ca.refused_by_browsers();
    let can_ask = std::io::stdin().is_terminal();
    if refused.is_empty() || !(setting.yes || can_ask) {
        return Ok(false);
    }
    for (certificate, reason) in &refused {
        warn(&json!({"code": "browsers-refuse", "certificate": certificate, "reason": reason}));
    }
    match setting.yes || setting::agrees(&json!({"code": "ask-import-refused"}))? {
        true => Ok(true),
        false => Err(Failure::usage("nothing-done")),
    }
}

/// The CA; on a terminal the passphrase is asked for if that is what is missing.
fn choose(files: &Files, import: &Import) -> Result<Ca, Failure> {
    let now = OffsetDateTime::now_utc();
    let with = |passphrase: Option<&str>| {
        let mut pile = Pile::new(passphrase);
        files.read.iter().try_for_each(|(name, bytes)| pile.add(name, bytes))?;
        pile.choose(import.ca.as_deref(), now)
    };
    let told = import.import_passphrase_file.as_deref().map(setting::first_line).transpose()?;
    let chosen = with(told.as_ref().map(|p| p.as_str()));
    if let Err(ImportError::ImportPassphraseMissing { file }) = &chosen
        && std::io::stdin().is_terminal()
    {
        let passphrase = setting::ask(&format!("Passphrase of {file}: "), "passphrase-missing")?;
        return Ok(with(Some(&passphrase))?);
    }
    Ok(chosen?)
}

/// Something that is weaker than Camlock would make it.
struct Weakness {
    severity: Severity,
    certificate: Option<String>,
    said: Sentence,
}

impl Weakness {
    fn json(&self) -> Value {
        let mut shown = talk::finding_json(self.severity, &self.said);
        shown["certificate"] = json!(self.certificate);
        shown
    }
}

/// What the examination of `doctor` finds; broken rules by their own codes.
async fn weaknesses(setting: &Setting) -> Result<Vec<Weakness>, Failure> {
    let words = Words::english();
    let site = setting.site().await?;
    let found = examine(site.store(), OffsetDateTime::now_utc()).await?;
    site.close().await;
    let rule = |severity, certificate: String, reason: &Lint| Weakness {
        severity,
        certificate: Some(certificate),
        said: words.say(reason),
    };
    let weakness = |ailment: Ailment| match &ailment {
        Ailment::RootLint { root: certificate, reason }
        | Ailment::BrowsersRefuse { certificate, reason }
        | Ailment::IssuerLint { issuer: certificate, reason } => {
            rule(ailment.severity(), certificate.clone(), reason)
        }
        other => Weakness { severity: other.severity(), certificate: None, said: words.say(other) },
    };
    Ok(found.into_iter().map(weakness).collect())
}

/// Files with what is in them, which may be private keys.
struct Files {
    read: Vec<(String, Zeroizing<Vec<u8>>)>,
    bytes: usize,
}

impl Files {
    fn gather(paths: &[PathBuf]) -> Result<Files, Failure> {
        let mut files = Files { read: Vec::new(), bytes: 0 };
        for path in paths {
            if !path.is_dir() {
                files.read(path)?;
            } else if !files.read_layout(path)? {
                files.read_directory(path, MAX_DEPTH)?;
            }
        }
        Ok(files)
    }

    /// Whether the directory is of a program that is known.
    fn read_layout(&mut self, directory: &Path) -> Result<bool, Failure> {
        let inside = directory.canonicalize().unwrap_or_default();
        let here = |name: &str| {
            // Also a link of the directory's own leads nowhere else.
            let path = directory.join(name).canonicalize().ok()?;
            (path.starts_with(&inside) && path.is_file()).then(|| directory.join(name))
        };
        let layout = LAYOUTS.iter().find_map(|(certificate, key)| Some([here(certificate)?, here(key)?]));
        for path in layout.iter().flatten() {
            self.read(path)?;
        }
        Ok(layout.is_some())
    }

    /// Links are not followed, and what is too large for a key or a certificate is passed over.
    fn read_directory(&mut self, directory: &Path, depth: usize) -> Result<(), Failure> {
        let unreadable = |e| Failure::file("file-unreadable", directory, &e);
        let entries = std::fs::read_dir(directory).map_err(unreadable)?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        entries.sort_by_key(|entry| entry.path());
        for entry in entries {
            let kind = entry.file_type().map_err(unreadable)?;
            let small = || entry.metadata().is_ok_and(|m| m.len() <= MAX_KEY_FILE as u64);
            if kind.is_dir() && depth > 1 {
                self.read_directory(&entry.path(), depth - 1)?;
            } else if kind.is_file() && small() {
                self.read(&entry.path())?;
            }
        }
        Ok(())
    }

    fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let unreadable = |e| Failure::file("file-unreadable", path, &e);
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len().min(MAX_IMPORT as u64) as usize;
        let mut bytes = Zeroizing::new(Vec::with_capacity(length + 1));
        file.take(MAX_IMPORT as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() > MAX_IMPORT {
            return Err(pki::Error::FileTooLarge { bytes: bytes.len(), limit: MAX_IMPORT }.into());
        }
        self.bytes += bytes.len();
        self.read.push((path.display().to_string(), bytes));
        if self.read.len() > MAX_FILES || self.bytes > MAX_BYTES {
            return Err(ImportError::ImportTooMuch { limit: MAX_FILES }.into());
        }
        Ok(())
    }
}
