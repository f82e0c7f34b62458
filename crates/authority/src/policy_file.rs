//! `policy.toml`, read: every mistake is named with its line and with what may stand there.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use pki::{KeyKind, Permitted, profile::MAX_LEAF_DAYS};
use serde::{Deserialize, Serialize};
use toml::Spanned;
use url::Url;

use crate::{
    BackupPlan, Error, Policy,
    policy::{KEYS, Names, Rules},
};

/// The name of the file in the data directory.
const FILE: &str = "policy.toml";
/// The largest policy that is read, bytes.
const MAX_POLICY: u64 = 64 * 1024;
/// The longest address of the revocation lists, characters; it stands in every certificate.
const MAX_URL: usize = 200;
/// The most days from one backup to the next, and the most backups that are kept.
const MAX_BACKUP: i64 = 365;

/// What is wrong in a policy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Mistake {
    #[error("{detail}")]
    PolicySyntax { detail: String },
    #[error("unknown key {key:?}; allowed: {allowed:?}")]
    PolicyUnknownKey { key: String, allowed: Vec<String> },
    #[error("unknown key {key:?}, perhaps {nearest:?}; allowed: {allowed:?}")]
    PolicyMisspeltKey { key: String, nearest: String, allowed: Vec<String> },
    #[error("{key} = {value} is not within {least} and {most}")]
    PolicyNumber { key: String, value: i64, least: i64, most: i64 },
    #[error("{key}: {entry:?} is neither a range of addresses, an address nor a domain")]
    PolicyEntry { key: String, entry: String },
    #[error("{key:?} is not one of {allowed:?}")]
    PolicyKeyKind { key: String, allowed: Vec<String> },
    #[error("{url:?} is not a plain http address")]
    PolicyUrl { url: String },
    #[error("{folder:?} is not an absolute path")]
    PolicyFolder { folder: String },
}

impl Policy {
    /// Reads `policy.toml` in the data directory; the defaults where there is none.
    pub fn read(directory: &Path) -> Result<Policy, Error> {
        let path = directory.join(FILE);
        let file = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|f| f.take(MAX_POLICY + 1).read_to_end(&mut bytes));
        match read {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Policy::default()),
            Err(e) => return Err(Error::PolicyUnreadable { file, reason: e.to_string() }),
            Ok(size) if size as u64 > MAX_POLICY => {
                return Err(Error::PolicyTooLarge { file, limit: MAX_POLICY });
            }
            Ok(_) => {}
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Policy::parse(text),
            Err(e) => {
                let before = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
                Err(mistake(&before, before.len(), Mistake::PolicySyntax { detail: "not UTF-8".to_owned() }))
            }
        }
    }

    /// Reads the text of a policy.
    pub fn parse(text: &str) -> Result<Policy, Error> {
        let written: Written = toml::from_str(text).map_err(|e| {
            let line_start = e.span().map_or(0, |span| span.start);
            mistake(text, line_start, unreadable(e.message()))
        })?;
        let Written { names, profile, crl, backup } = written;
        let WrittenProfiles { device, device_dual, server } = profile;
        Ok(Policy {
            names: read_names(text, names.permit, names.deny)?,
            device: read_profile(text, device)?,
            device_dual: read_profile(text, device_dual)?,
            server: read_profile(text, server)?,
            crl_url: crl.map(|c| read_url(text, &c.url)).transpose()?,
            backup: backup.map(|b| read_backup(text, b)).transpose()?,
        })
    }
}

type List = Vec<Spanned<String>>;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    names: WrittenNames,
    profile: WrittenProfiles,
    crl: Option<WrittenCrl>,
    backup: Option<WrittenBackup>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenNames {
    permit: Option<List>,
    deny: List,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct WrittenProfiles {
    device: WrittenProfile,
    device_dual: WrittenProfile,
    server: WrittenProfile,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenProfile {
    days: Option<Spanned<i64>>,
    keys: Option<List>,
    permit: Option<List>,
    deny: List,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCrl {
    url: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBackup {
    folder: Spanned<String>,
    days: Option<Spanned<i64>>,
    keep: Option<Spanned<i64>>,
}

fn read_names(text: &str, permit: Option<List>, deny: List) -> Result<Names, Error> {
    let list = |key: &str, list: List| -> Result<Vec<Permitted>, Error> {
        let entry = |entry: Spanned<String>| {
            // With a dot before it as without: a domain includes itself.
            let alone = |mut none: Permitted| none.permit(entry.get_ref()).map(|()| none);
            Permitted::try_from(Vec::new()).and_then(alone).map_err(|_| {
                let said = Mistake::PolicyEntry { key: key.to_owned(), entry: short(entry.get_ref()) };
                mistake(text, entry.span().start, said)
            })
        };
        list.into_iter().map(entry).collect()
    };
    Ok(Names { permit: permit.map(|p| list("permit", p)).transpose()?, deny: list("deny", deny)? })
}

fn read_profile(text: &str, written: WrittenProfile) -> Result<Rules, Error> {
    let kind = |key: Spanned<String>| {
        key.get_ref().parse::<KeyKind>().map_err(|_| {
            let allowed = KEYS.iter().map(KeyKind::to_string).collect();
            mistake(text, key.span().start, Mistake::PolicyKeyKind { key: short(key.get_ref()), allowed })
        })
    };
    let mut profile = Rules { names: read_names(text, written.permit, written.deny)?, ..Rules::default() };
    if let Some(days) = written.days {
        profile.days = number(text, "days", &days, MAX_LEAF_DAYS)?;
    }
    if let Some(keys) = written.keys {
        profile.keys = keys.into_iter().map(kind).collect::<Result<_, _>>()?;
    }
    Ok(profile)
}

/// Plain http, because what fetches a list cannot check a certificate yet (RFC 5280, section 8), and nothing
/// that would be a secret in every certificate.
fn read_url(text: &str, written: &Spanned<String>) -> Result<String, Error> {
    let refused =
        || mistake(text, written.span().start, Mistake::PolicyUrl { url: short(written.get_ref()) });
    let url = Url::parse(written.get_ref()).map_err(|_| refused())?;
    let plain = url.scheme() == "http"
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let url = url.as_str().trim_end_matches('/');
    if plain && url.len() <= MAX_URL { Ok(url.to_owned()) } else { Err(refused()) }
}

fn read_backup(text: &str, written: WrittenBackup) -> Result<BackupPlan, Error> {
    let WrittenBackup { folder, days, keep } = written;
    let count = |key: &str, given: Option<Spanned<i64>>, otherwise: u32| match given {
        // The range is far inside 32 bits.
        Some(given) => number(text, key, &given, MAX_BACKUP).map(|n| n as u32),
        None => Ok(otherwise),
    };
    // The service runs in no folder that an operator would think of.
    if !Path::new(folder.get_ref()).has_root() {
        let said = Mistake::PolicyFolder { folder: short(folder.get_ref()) };
        return Err(mistake(text, folder.span().start, said));
    }
    Ok(BackupPlan {
        folder: folder.into_inner().into(),
        days: count("days", days, 1)?,
        keep: count("keep", keep, 14)?,
    })
}

fn number(text: &str, key: &str, given: &Spanned<i64>, most: i64) -> Result<i64, Error> {
    let value = *given.get_ref();
    if (1..=most).contains(&value) {
        return Ok(value);
    }
    Err(mistake(
        text,
        given.span().start,
        Mistake::PolicyNumber { key: key.to_owned(), value, least: 1, most },
    ))
}

/// What the library could not read. Of a key that it does not know it says: unknown field `a`, expected `b` or `c`.
fn unreadable(message: &str) -> Mistake {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let [key, allowed @ ..] = quoted.as_slice() else {
        return Mistake::PolicySyntax { detail: message.to_owned() };
    };
    if !message.starts_with("unknown field") {
        return Mistake::PolicySyntax { detail: message.to_owned() };
    }
    let near = |known: &&&str| strsim::osa_distance(&key.to_ascii_lowercase(), known) <= 2;
    let nearest = allowed.iter().find(near).map(|known| (*known).to_owned());
    let (key, allowed) = (short(key), allowed.iter().map(|k| (*k).to_owned()).collect());
    match nearest {
        Some(nearest) => Mistake::PolicyMisspeltKey { key, nearest, allowed },
        None => Mistake::PolicyUnknownKey { key, allowed },
    }
}

fn mistake(text: &str, offset: usize, mistake: Mistake) -> Error {
    let line = text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1;
    Error::PolicyFile { line, mistake }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The line and the code of what is wrong with it.
    fn refused(text: &str) -> (usize, String) {
        match Policy::parse(text) {
            Err(Error::PolicyFile { line, mistake }) => {
                let said = serde_json::to_value(&mistake).unwrap();
                (line, said["code"].as_str().unwrap().to_owned())
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let lists = "\n[names]\npermit = [\n  \"10.0.0.0/8\",\n  \"10.0.0.0/33\",\n]";
        for (text, line, code) in [
            (lists, 5, "policy-entry"),
            ("[names]\ndeny = [\"*.lan\"]", 2, "policy-entry"),
            ("[names]\ndeny = [\"\"]", 2, "policy-entry"),
            ("[names]\ndeny = \"lan\"", 2, "policy-syntax"),
            ("[names]\ndeny = [\"lan\"\n[crl]", 3, "policy-syntax"),
            ("[names]\r\n\r\nallow = []", 3, "policy-unknown-key"),
            ("[names]\nperimt = []", 2, "policy-misspelt-key"),
            ("[names]\nDeny = []", 2, "policy-misspelt-key"),
            ("[names]\n[names]", 2, "policy-syntax"),
            ("[profiles.device]\ndays = 1", 1, "policy-misspelt-key"),
            ("[profile.camera]\ndays = 1", 1, "policy-unknown-key"),
            ("[profile.device_dual]\ndays = 1", 1, "policy-misspelt-key"),
            ("[profile.device]\ndays = 0", 2, "policy-number"),
            ("[profile.server]\n\ndays = 825", 3, "policy-number"),
            ("[profile.server]\ndays = -9223372036854775808", 2, "policy-number"),
            ("[profile.server]\ndays = 9223372036854775808", 2, "policy-syntax"),
            ("[profile.server]\ndays = 1.5", 2, "policy-syntax"),
            ("[profile.server]\ndays = \"90\"", 2, "policy-syntax"),
            ("[profile.server]\nkeys = [\n\"p256\",\n\"rsa-1024\"]", 4, "policy-key-kind"),
            ("[profile.server]\nkeys = [\"P256\"]", 2, "policy-key-kind"),
            ("# none\n[crl]", 2, "policy-syntax"),
            ("[crl]\nurl = \"https://nas.lan\"", 2, "policy-url"),
            ("[crl]\nurl = \"http://user@nas.lan\"", 2, "policy-url"),
            ("[crl]\nurl = \"http://nas.lan/?a\"", 2, "policy-url"),
            ("[crl]\nurl = \"http://nas.lan/#a\"", 2, "policy-url"),
            ("[crl]\nurl = \"nas.lan\"", 2, "policy-url"),
            ("[crl]\nurl = \"ldap://nas.lan\"", 2, "policy-url"),
            ("[backup]\ndays = 1", 1, "policy-syntax"),
            ("[backup]\nfolder = \"backup\"", 2, "policy-folder"),
            ("[backup]\nfolder = \"/b\"\nkeep = 0", 3, "policy-number"),
            ("days = 1", 1, "policy-unknown-key"),
            ("backup = 1", 1, "policy-syntax"),
        ] {
            assert_eq!(refused(text), (line, code.to_owned()), "{text}");
        }
        let long = format!("[crl]\nurl = \"http://nas.lan/{}\"", "a".repeat(200));
        assert_eq!(refused(&long).1, "policy-url");
    }

    #[test]
    fn an_unknown_key_is_told_what_is_known() {
        let Err(Error::PolicyFile { mistake, .. }) = Policy::parse("[profile.device]\nkey = []") else {
            panic!()
        };
        let allowed = ["days", "keys", "permit", "deny"].map(str::to_owned).to_vec();
        assert_eq!(
            mistake,
            Mistake::PolicyMisspeltKey { key: "key".into(), nearest: "keys".into(), allowed }
        );
    }

    #[test]
    fn the_rest_of_the_file() {
        assert_eq!(Policy::parse("").unwrap(), Policy::default());
        assert_eq!(Policy::parse("\u{feff}[names]\r\ndeny = []\r\n").unwrap(), Policy::default());
        for (url, read) in [
            ("http://nas.lan:8080", "http://nas.lan:8080"),
            ("HTTP://NAS.lan/pki/", "http://nas.lan/pki"),
            ("http://[fd00::1]/", "http://[fd00::1]"),
        ] {
            let policy = Policy::parse(&format!("[crl]\nurl = {url:?}")).unwrap();
            assert_eq!(policy.crl_url.as_deref(), Some(read));
        }
        let backup =
            |text: &str| Policy::parse(&format!("[backup]\nfolder = \"/b\"\n{text}")).unwrap().backup;
        assert_eq!(backup(""), Some(BackupPlan { folder: "/b".into(), days: 1, keep: 14 }));
        assert_eq!(
            backup("days = 7\nkeep = 52"),
            Some(BackupPlan { folder: "/b".into(), days: 7, keep: 52 })
        );
    }

    #[test]
    fn a_file_is_read_if_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Policy::read(folder.path());
        assert_eq!(read().unwrap(), Policy::default());
        let file = folder.path().join("policy.toml");
        std::fs::write(&file, "[names]\ndeny = [\"lan\"]\n").unwrap();
        assert_ne!(read().unwrap(), Policy::default());
        std::fs::write(&file, b"[names]\n# caf\xe9").unwrap();
        assert!(matches!(read(), Err(Error::PolicyFile { line: 2, .. })));
        std::fs::write(&file, "#".repeat(65_536)).unwrap();
        assert_eq!(read().unwrap(), Policy::default());
        std::fs::write(&file, "#".repeat(65_537)).unwrap();
        assert!(matches!(read(), Err(Error::PolicyTooLarge { .. })));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(matches!(read(), Err(Error::PolicyUnreadable { .. })));
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in any::<String>()) {
            let _ = Policy::parse(&text);
        }

        #[test]
        fn no_text_like_a_policy_breaks_it(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "[names]\n", "[profile.device]\n", "[crl]\n", "[backup]\n", "permit", "deny", "days", "keys", "url",
                "folder", " = ", "[", "]", "\"", "\"\"\"", "lan", "10.0.0.0/8", "http://", "é", "\n", ",", "1", "{", "}",
                "\0", "\\u", "#",
            ]), 0..40),
        ) {
            let _ = Policy::parse(&pieces.concat());
        }
    }
}
