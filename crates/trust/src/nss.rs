//! NSS databases: what Chromium on Linux and Firefox read, changed by `certutil` of NSS.
//!
//! NSS knows certificates by nickname, and shows with one nickname every certificate of the same subject. So the bytes
//! decide whether a root is there, and before one is removed, its removal is tried on a copy.

use std::{collections::BTreeSet, ffi::OsString, fs, path::Path};

use crate::{Act, Machine, Problem, Root, State, Tool, Wish, act::Input, pem};

/// What makes a folder a database of today.
pub(crate) const DATABASE: &str = "cert9.db";

/// What certutil tells of the trust of what Firefox imported because a policy named it, which stays in the profile when
/// the policy is gone. A certutil older than Firefox does not see that trust, and tells none.
const BY_POLICY: [&str; 2] = ["CT,CT,", ",,"];

pub(crate) fn look(folder: &Path, firefox: bool, root: &Root, machine: &Machine) -> Result<State, Problem> {
    if !folder.join(DATABASE).exists() {
        return Ok(State::Absent);
    }
    let place = || folder.display().to_string();
    Ok(match (Database { folder, certutil: &machine.tool("certutil")? }).find(root)? {
        None => State::Absent,
        Some((name, trust)) if name == root.mark() => match trusts(&trust) {
            true => State::Ours,
            false => State::Partial,
        },
        Some((_, trust)) if firefox && BY_POLICY.contains(&trust.as_str()) => State::Ours,
        Some((name, trust)) if trusts(&trust) => State::Foreign { name },
        Some((name, _)) => return Err(Problem::WithoutTrust { place: place(), name }),
    })
}

pub(crate) fn plan(
    folder: &Path,
    firefox: bool,
    wish: Wish,
    root: &Root,
    machine: &Machine,
) -> Result<Vec<Act>, Problem> {
    machine.must_own_home()?;
    let database = Database { folder, certutil: &machine.tool("certutil")? };
    let mark = root.mark();
    if wish == Wish::Uninstall {
        let found = database
            .find(root)?
            .filter(|(name, trust)| *name == mark || firefox && BY_POLICY.contains(&trust.as_str()));
        let Some((name, _)) = found else { return Ok(Vec::new()) };
        database.rehearse(&name, root)?;
        return Ok(vec![Act::Run(database.removal(&name), Vec::new())]);
    }
    let mut acts = Vec::new();
    if !folder.join(DATABASE).exists() {
        if !folder.is_dir() {
            acts.push(Act::MakeFolder(folder.to_owned()));
        }
        acts.push(Act::Run(database.tool(&["-N", "--empty-password"]), Vec::new()));
    }
    // A database with a password of its own takes the certificate, then refuses to trust it. Without the file certutil
    // would ask on the terminal.
    let add = database.tool(&["-A", "-t", "C,,", "-n", &mark, "-a", "-f", "/dev/null"]);
    let add = add.given(Input::Standard(root.pem().into_bytes()));
    acts.push(Act::Run(add, vec![Act::Run(database.removal(&mark), Vec::new())]));
    Ok(acts)
}

struct Database<'a> {
    folder: &'a Path,
    certutil: &'a Path,
}

impl Database<'_> {
    fn tool(&self, words: &[&str]) -> Tool {
        let mut sql = OsString::from("sql:");
        sql.push(self.folder);
        let place = [OsString::from("-d"), sql];
        Tool::new(self.certutil, place.into_iter().chain(words.iter().map(OsString::from)))
    }

    fn removal(&self, name: &str) -> Tool {
        self.tool(&["-D", "-n", &uri(name)])
    }

    /// Nickname and trust of the root, if it is in it.
    fn find(&self, root: &Root) -> Result<Option<(String, String)>, Problem> {
        let (mut names, mark) = (self.names()?, root.mark());
        // The mark first: other names of the same subject show the root, too.
        names.sort_by_key(|(name, _)| *name != mark);
        for (name, trust) in names {
            if self.certificates(&name)?.contains(&root.der) {
                return Ok(Some((name, trust)));
            }
            if name == mark {
                return Err(Problem::NameTaken { place: self.folder.display().to_string(), name });
            }
        }
        Ok(None)
    }

    /// The nicknames with their trust.
    fn names(&self) -> Result<Vec<(String, String)>, Problem> {
        Ok(self.tool(&["-L"]).run()?.lines().filter_map(entry).collect())
    }

    /// The certificates under a nickname, and those of the same subject under others.
    fn certificates(&self, name: &str) -> Result<Vec<Vec<u8>>, Problem> {
        let listed = self.tool(&["-L", "-n", &uri(name), "-a"]).run()?;
        Ok(pem::decode_all(&listed).collect())
    }

    fn all(&self) -> Result<BTreeSet<Vec<u8>>, Problem> {
        let mut all = BTreeSet::new();
        for (name, _) in self.names()? {
            all.extend(self.certificates(&name)?);
        }
        Ok(all)
    }

    /// Removes a nickname from a copy, and looks whether the root alone is gone.
    fn rehearse(&self, name: &str, root: &Root) -> Result<(), Problem> {
        let copy = tempfile::tempdir().map_err(|e| Problem::file(self.folder, &e))?;
        let copied = Database { folder: copy.path(), ..*self };
        copied.tool(&["-N", "--empty-password"]).run()?;
        // The certificates alone: the keys are in another file, and are not carried about.
        let file = self.folder.join(DATABASE);
        fs::copy(&file, copy.path().join(DATABASE)).map_err(|e| Problem::file(&file, &e))?;
        let before = copied.all()?;
        copied.removal(name).run()?;
        let after = copied.all()?;
        match before.difference(&after).eq([&root.der]) {
            true => Ok(()),
            false => {
                Err(Problem::NameTaken { place: self.folder.display().to_string(), name: name.to_owned() })
            }
        }
    }
}

/// A line of `certutil -L`: the nickname, and the trust for TLS, mail and code. The headings are none.
fn entry(line: &str) -> Option<(String, String)> {
    let (name, trust) = line.trim_end().rsplit_once(' ')?;
    let is_trust =
        trust.matches(',').count() == 2 && trust.chars().all(|c| c == ',' || c.is_ascii_alphabetic());
    // A nickname with a colon is shown with the token's name before it.
    let name = name.trim_end();
    let name = name.strip_prefix("NSS Certificate DB:").unwrap_or(name);
    is_trust.then(|| (name.to_owned(), trust.to_owned()))
}

/// Whether servers below it are trusted.
fn trusts(trust: &str) -> bool {
    trust.split(',').next().is_some_and(|tls| tls.contains('C'))
}

/// The certificates of exactly this nickname: as it is, certutil would take the part before a colon for a token's name.
fn uri(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let escaped = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("pkcs11:object={};type=cert", name.bytes().map(escaped).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let listing = "
Certificate Nickname                                         Trust Attributes
                                                             SSL,S/MIME,JAR/XPI

a b  c                                                       C,,  
CN=\u{e9} x,y,z                                                 ,,   
-n                                                           CT,c,Cu
NSS Certificate DB:a: b                                      C,,  
";
        let read: Vec<_> = listing.lines().filter_map(entry).collect();
        let expected = [("a b  c", "C,,"), ("CN=\u{e9} x,y,z", ",,"), ("-n", "CT,c,Cu"), ("a: b", "C,,")];
        assert_eq!(read, expected.map(|(name, trust)| (name.to_owned(), trust.to_owned())));
        assert!(trusts("CT,,") && !trusts(",C,") && !trusts("c,,"));
    }

    #[test]
    fn a_nickname_is_no_syntax() {
        assert_eq!(uri("camlock-1f"), "pkcs11:object=camlock-1f;type=cert");
        assert_eq!(uri("x:y;é"), "pkcs11:object=x%3Ay%3B%C3%A9;type=cert");
    }
}
