use domain::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::Mistake;

/// Why the authority does not do what was asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("a site's name has 1 to {limit} visible characters")]
    SiteName { limit: usize },
    #[error("no name to issue for")]
    NoNames,
    #[error("no name to issue for: {names:?} cannot be used")]
    NoUsableNames { names: Vec<String> },
    #[error("{names:?} are outside {permitted:?}")]
    NamesOutside { names: Vec<String>, permitted: Vec<String> },
    #[error("{days} days are not between 1 and {limit}")]
    Days { days: i64, limit: i64 },
    #[error("{name:?} is not a name for people of at most {limit} characters")]
    CommonName { name: String, limit: usize },
    #[error("policy.toml, line {line}: {mistake}")]
    PolicyFile { line: usize, mistake: Mistake },
    #[error("{file} cannot be read: {reason}")]
    PolicyUnreadable { file: String, reason: String },
    #[error("{file} has more than {limit} bytes")]
    PolicyTooLarge { file: String, limit: u64 },
    #[error("the policy denies {names:?}")]
    PolicyDenies { names: Vec<String> },
    #[error("the policy permits {lists:?} and not {names:?}")]
    PolicyPermits { names: Vec<String>, lists: Vec<String> },
    #[error("the policy's profile {profile} takes {allowed:?} and not {key}")]
    PolicyKey { profile: String, key: String, allowed: Vec<String> },
    #[error("the policy's profile {profile} allows {limit} days and not {days}")]
    PolicyDays { profile: String, days: i64, limit: i64 },
    #[error("the certificate would outlive its issuer, which ends on {issuer_ends}")]
    OutlivesIssuer { issuer_ends: time::Date },
    #[error("the authority ends on {issuer_ends}")]
    IssuerEnds { issuer_ends: time::Date },
    #[error("the key of {authority} is not on this machine")]
    KeyElsewhere { authority: String },
    #[error("no certificate has the serial number {serial}")]
    UnknownSerial { serial: String },
    #[error("the authority has one tier")]
    OneTier,
    #[error("the key is not that of {root}")]
    OtherRootKey { root: String },
    #[error("the authority has not signed yet which recovery key is the site's")]
    RecoveryUnsigned,
    #[error("{authority} did not sign that {recovery} is the recovery key")]
    RecoveryForged { authority: String, recovery: String },
    #[error("browsers refuse what is issued under {certificate}: {reasons:?}")]
    ImportRefused { certificate: String, reasons: Vec<pki::Lint> },
    #[error("the authority is locked")]
    Locked,
    #[serde(untagged)]
    #[error(transparent)]
    Pki(#[from] pki::Error),
    #[serde(untagged)]
    #[error(transparent)]
    Vault(#[from] vault::Error),
    #[serde(untagged)]
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::SiteName { .. }
            | Error::NoNames
            | Error::NoUsableNames { .. }
            | Error::ImportRefused { .. } => ErrorKind::WrongUse,
            Error::NamesOutside { .. }
            | Error::Days { .. }
            | Error::CommonName { .. }
            | Error::PolicyDenies { .. }
            | Error::PolicyPermits { .. }
            | Error::PolicyKey { .. }
            | Error::PolicyDays { .. }
            | Error::OutlivesIssuer { .. }
            | Error::IssuerEnds { .. }
            | Error::KeyElsewhere { .. }
            | Error::OneTier
            | Error::OtherRootKey { .. } => ErrorKind::Refused,
            Error::UnknownSerial { .. } => ErrorKind::NotFound,
            Error::Locked => ErrorKind::Locked,
            Error::PolicyFile { .. }
            | Error::PolicyUnreadable { .. }
            | Error::PolicyTooLarge { .. }
            | Error::RecoveryUnsigned
            | Error::RecoveryForged { .. } => ErrorKind::Broken,
            Error::Pki(e) => e.kind(),
            Error::Vault(e) => e.kind(),
            Error::Store(e) => e.kind(),
        }
    }
}
