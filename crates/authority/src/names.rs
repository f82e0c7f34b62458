use domain::{AltName, is_invisible};
use pki::{Permitted, Request, Unusable, profile::MAX_COMMON_NAME};
use serde::{Deserialize, Serialize};
use time::Date;

use crate::{Error, default_host_name};

/// What the operator says of a certificate. What is said here beats what a request asks for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Addresses and host names.
    pub names: Vec<AltName>,
    /// A name for people.
    pub common_name: Option<String>,
}

/// What a certificate will hold, and how that differs from what was asked for.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The names, at least one of them a host name.
    pub names: Vec<AltName>,
    /// The name for people.
    pub common_name: Option<String>,
    /// Every difference, to be shown.
    pub changes: Vec<Change>,
}

/// A difference between request and certificate, as a code with arguments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Change {
    /// The address was only in the common name.
    AddedFromCommonName { name: String },
    /// The operator named it.
    AddedName { name: String },
    /// A host name beside the addresses.
    AddedHostName { name: String },
    /// The operator named others.
    DroppedName { name: String },
    /// A kind of name that no browser matches.
    DroppedUnusableName { name: String },
    /// A host name with letters beyond ASCII.
    DroppedLetters { name: String },
    /// An address as text where its bytes belong.
    DroppedAddressAsText { name: String },
    /// A name that cannot be read.
    DroppedDamagedName { name: String },
    /// The list of names breaks off.
    NamesDamaged,
    /// A common name that looks like a host name.
    DroppedCommonName { name: String },
    /// A common name that cannot be read, is too long or has invisible characters.
    UnusableCommonName { name: String },
    /// An address was written as a host name.
    AddressAsHostName { name: String },
    /// The authority ends before the certificate would have.
    CutShort { ends: Date },
    /// The file has a private key beside the request.
    BesidePrivateKey,
    /// The request asked to become an authority.
    DroppedCa,
    /// An extension that the profile does not have.
    DroppedExtension { extension: String },
}

impl Effective {
    /// With the host name that was added put inside what the authority may speak for.
    pub fn within(mut self, permitted: &Permitted) -> Effective {
        for change in &mut self.changes {
            if let Change::AddedHostName { name: added } = change
                && let Some(name) = self.names.iter_mut().find(|n| n.to_string() == *added)
                && !permitted.allows(name)
                && let AltName::Dns(host) = &*name
                && let Some(inside) = permitted.host_name(host.split('.').next().unwrap_or_default())
            {
                *added = inside.to_string();
                *name = inside;
            }
        }
        self
    }
}

/// Decides the effective names. If the operator named any, the certificate is for exactly those; else the
/// request's are taken, and an address that stands only in its common name, too. Policy comes after this.
pub fn effective(request: Option<&Request>, wish: &Wish) -> Result<Effective, Error> {
    let mut changes = Vec::new();
    let mut names = Vec::new();
    for name in &wish.names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    if let Some(request) = request {
        take_request(request, &mut names, &mut changes);
    }
    if names.is_empty() {
        return Err(why_no_names(request));
    }

    let common_name = common_name(request, wish, &mut changes)?;
    if !names.iter().any(|n| matches!(n, AltName::Dns(_))) {
        let people = common_name.clone();
        let text = people.or_else(|| names.iter().find_map(address)).unwrap_or_default();
        if let Ok(name) = AltName::dns(&default_host_name(&text)) {
            changes.push(Change::AddedHostName { name: name.to_string() });
            names.push(name);
        }
    }
    Ok(Effective { names, common_name, changes })
}

/// What is lost of a request's names is its reason where nothing is left.
fn why_no_names(request: Option<&Request>) -> Error {
    match request {
        Some(request) if request.names_damaged => {
            pki::Error::NotARequest { detail: "its subjectAltName is damaged".to_owned() }.into()
        }
        Some(request) if !request.unusable_names.is_empty() => Error::NoUsableNames {
            names: request.unusable_names.iter().map(|name| name.text().to_owned()).collect(),
        },
        _ => Error::NoNames,
    }
}

fn take_request(request: &Request, names: &mut Vec<AltName>, changes: &mut Vec<Change>) {
    if names.is_empty() {
        *names = request.names.clone();
        let misplaced = request.misplaced_names.iter();
        changes.extend(misplaced.map(|n| Change::AddressAsHostName { name: n.to_string() }));
        let address = request.common_name.as_deref().and_then(|n| n.parse().ok()).map(AltName::Ip);
        if let Some(name) = address.filter(|n| !names.contains(n)) {
            changes.push(Change::AddedFromCommonName { name: name.to_string() });
            names.push(name);
        }
    } else {
        let added = names.iter().filter(|n| !request.names.contains(n));
        changes.extend(added.map(|n| Change::AddedName { name: n.to_string() }));
        let dropped = request.names.iter().filter(|n| !names.contains(n));
        changes.extend(dropped.map(|n| Change::DroppedName { name: n.to_string() }));
    }
    changes.extend(request.unusable_names.iter().cloned().map(|name| match name {
        Unusable::Unmatched(name) => Change::DroppedUnusableName { name },
        Unusable::Letters(name) => Change::DroppedLetters { name },
        Unusable::AddressAsText(name) => Change::DroppedAddressAsText { name },
        Unusable::Damaged(name) => Change::DroppedDamagedName { name },
    }));
    changes.extend(request.names_damaged.then_some(Change::NamesDamaged));
    if request.asks_for_ca {
        changes.push(Change::DroppedCa);
    }
    // Key usages are in every profile; a request that asks for them loses nothing.
    let usages = ["2.5.29.15", "2.5.29.37"];
    let others = request.extensions.iter().filter(|e| !usages.contains(&e.as_str()));
    changes.extend(others.map(|e| Change::DroppedExtension { extension: e.clone() }));
    if request.beside_private_key {
        changes.push(Change::BesidePrivateKey);
    }
}

fn common_name(
    request: Option<&Request>,
    wish: &Wish,
    changes: &mut Vec<Change>,
) -> Result<Option<String>, Error> {
    if let Some(name) = &wish.common_name {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > MAX_COMMON_NAME || name.chars().any(is_invisible) {
            let name = name.chars().take(MAX_COMMON_NAME).collect();
            return Err(Error::CommonName { name, limit: MAX_COMMON_NAME });
        }
        if host_like(name) {
            changes.push(Change::DroppedCommonName { name: name.to_owned() });
            return Ok(None);
        }
        return Ok(Some(name.to_owned()));
    }
    if let Some(name) = request.and_then(|r| r.unusable_common_name.clone()) {
        changes.push(Change::UnusableCommonName { name });
    }
    match request.and_then(|r| r.common_name.clone()) {
        Some(name) if host_like(&name) => {
            changes.push(Change::DroppedCommonName { name });
            Ok(None)
        }
        asked => Ok(asked),
    }
}

/// OpenSSL tests a common name that looks like a host name against the name constraints.
fn host_like(name: &str) -> bool {
    name.contains('.') || name.contains(':')
}

fn address(name: &AltName) -> Option<String> {
    match name {
        AltName::Ip(ip) => Some(ip.to_string()),
        AltName::Dns(_) => None,
    }
}
