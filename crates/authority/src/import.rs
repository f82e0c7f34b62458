//! Which CA among the files of other programs becomes the site's authority, and whether it can.

use domain::ErrorKind;
use pki::{Allowed, Certificate, Limits, Lint, Permitted, PrivateKey};
use serde::{Deserialize, Serialize};
use time::{Date, Duration, OffsetDateTime};

use crate::{
    Adopted, Error, Pile,
    pile::{Found, MAX_IMPORT},
};

/// Why no CA can be taken over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum ImportError {
    #[error("{file} is an archive that cannot be read: {detail}")]
    ImportArchive { file: String, detail: String },
    #[error("{file} is a database")]
    ImportDatabase { file: String },
    #[error("{file} is an encrypted configuration")]
    ImportEncryptedConfiguration { file: String },
    #[error("{file} is a key store of Java's own kind")]
    ImportJava { file: String },
    #[error("{file} is encrypted and no passphrase was given")]
    ImportPassphraseMissing { file: String },
    #[error("the passphrase of {file} is wrong")]
    ImportPassphraseWrong { file: String },
    #[error("{file}: {reason}")]
    ImportUnread { file: String, reason: pki::Error },
    #[error("more than {limit} of a kind")]
    ImportTooMuch { limit: usize },
    #[error("neither certificates nor private keys of at most {limit} bytes")]
    ImportNothing { limit: usize },
    #[error("no private key beside {certificates:?}")]
    ImportNoKey { certificates: Vec<String> },
    #[error("no certificate beside {keys:?}")]
    ImportNoCertificate { keys: Vec<String> },
    #[error("none of {keys:?} is the key of one of {certificates:?}")]
    ImportNoMatch { certificates: Vec<String>, keys: Vec<String> },
    #[error("several: {candidates:?}")]
    ImportSeveral { candidates: Vec<String> },
    #[error("none of {candidates:?} is {wanted}")]
    ImportUnknownCa { wanted: String, candidates: Vec<String> },
    #[error("{certificate} is not marked as a CA")]
    ImportNotCa { certificate: String },
    #[error("{certificate}, its own issuer, is of version {version} and not marked as a CA")]
    ImportNoRoot { certificate: String, version: u8 },
    #[error("{certificate} may not sign certificates")]
    ImportKeyUsage { certificate: String },
    #[error("{certificate} may not vouch for web servers")]
    ImportPurposes { certificate: String },
    #[error("{certificate} ended on {ends}")]
    ImportEnded { certificate: String, ends: Date },
    #[error("{certificate} begins on {begins}")]
    ImportNotBegun { certificate: String, begins: Date },
    #[error("{certificate}: {reason}")]
    ImportUnusable { certificate: String, reason: pki::Error },
    #[error("the subject of {certificate} is not DER")]
    ImportSubject { certificate: String },
    #[error("{issuer}, which issued {certificate}, is not among the files")]
    ImportRootMissing { certificate: String, issuer: String },
    #[error("{issuer}, above {certificate}, is not a root itself")]
    ImportTooManyTiers { certificate: String, issuer: String },
    #[error("{issuer} allows no issuer below it, and {certificate} is one")]
    ImportPathLength { certificate: String, issuer: String },
    #[error("the signature on {certificate} is not by {issuer}")]
    ImportSignature { certificate: String, issuer: String },
    #[error("{issuer} signed {certificate} with {algorithm}")]
    ImportOldSignature { certificate: String, issuer: String, algorithm: String },
}

impl ImportError {
    /// What it asks of whoever meets it: other files or options, or another CA.
    pub fn kind(&self) -> ErrorKind {
        match self {
            ImportError::ImportPassphraseMissing { .. }
            | ImportError::ImportPassphraseWrong { .. }
            | ImportError::ImportTooMuch { .. }
            | ImportError::ImportNothing { .. }
            | ImportError::ImportSeveral { .. }
            | ImportError::ImportUnknownCa { .. } => ErrorKind::WrongUse,
            ImportError::ImportArchive { .. }
            | ImportError::ImportDatabase { .. }
            | ImportError::ImportEncryptedConfiguration { .. }
            | ImportError::ImportJava { .. }
            | ImportError::ImportUnread { .. }
            | ImportError::ImportNoKey { .. }
            | ImportError::ImportNoCertificate { .. }
            | ImportError::ImportNoMatch { .. }
            | ImportError::ImportNotCa { .. }
            | ImportError::ImportNoRoot { .. }
            | ImportError::ImportKeyUsage { .. }
            | ImportError::ImportPurposes { .. }
            | ImportError::ImportEnded { .. }
            | ImportError::ImportNotBegun { .. }
            | ImportError::ImportUnusable { .. }
            | ImportError::ImportSubject { .. }
            | ImportError::ImportRootMissing { .. }
            | ImportError::ImportTooManyTiers { .. }
            | ImportError::ImportPathLength { .. }
            | ImportError::ImportSignature { .. }
            | ImportError::ImportOldSignature { .. } => ErrorKind::Refused,
        }
    }
}

/// For what browsers refuse every page under this root or below these issuers of its: the certificate's name, and the rule.
pub(crate) fn refused_by_browsers(root: &Certificate, issuers: &[Certificate]) -> Vec<(String, Lint)> {
    let path = std::iter::once((root, true)).chain(issuers.iter().map(|issuer| (issuer, false)));
    path.flat_map(|(certificate, is_root)| {
        let lints = certificate.lint_for_browsers(is_root).into_iter();
        lints.map(|lint| (certificate.subject(), lint))
    })
    .collect()
}

/// A CA that can become the site's authority.
pub struct Ca {
    root: Certificate,
    issuer: Option<Certificate>,
    key: PrivateKey,
    limits: Limits,
}

impl Pile {
    /// The CA whose certificate and key are both here; `wanted` is its name, or the beginning of its SHA-256, where
    /// there are several.
    pub fn choose(mut self, wanted: Option<&str>, now: OffsetDateTime) -> Result<Ca, ImportError> {
        let mut pairs = self.pairs();
        if let Some(wanted) = wanted {
            let all: Vec<String> =
                pairs.iter().filter(|p| self.at(p).is_ca()).map(|p| self.describe(p)).collect();
            pairs.retain(|pair| self.is_called(pair, wanted));
            if pairs.is_empty() && !all.is_empty() {
                return Err(self.locked().unwrap_or(ImportError::ImportUnknownCa {
                    wanted: wanted.chars().take(80).collect(),
                    candidates: all,
                }));
            }
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for pair in pairs {
            match fitness(self.at(&pair), now) {
                Ok(()) => good.push(pair),
                Err(e) => bad.push(e),
            }
        }
        // The same CA signed by itself and by another one: whoever trusts it trusts the first.
        let is_root = |pair: &Pair| self.at(pair).is_self_issued();
        let roots: Vec<usize> = good.iter().filter(|p| is_root(p)).map(|p| p.key).collect();
        good.retain(|pair| is_root(pair) || !roots.contains(&pair.key));
        let chosen = match good.as_slice() {
            [] => return Err(self.why_none(bad)),
            [chosen] => chosen,
            several => {
                let candidates = several.iter().map(|pair| self.describe(pair)).collect();
                return Err(ImportError::ImportSeveral { candidates });
            }
        };

        let certificate = self.at(chosen).clone();
        let (root, issuer) = if certificate.is_self_issued() {
            is_signed(&certificate, &certificate)?;
            (certificate, None)
        } else {
            (self.root_of(&certificate, now)?, Some(certificate))
        };
        let path: Vec<&Certificate> = std::iter::once(&root).chain(&issuer).collect();
        let limits = Limits::of(&path).map_err(|e| unusable(issuer.as_ref().unwrap_or(&root), e))?;
        let key = self.keys.swap_remove(chosen.key).thing;
        Ok(Ca { root, issuer, key, limits })
    }

    fn pairs(&self) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (key, found) in self.keys.iter().enumerate() {
            let Ok(public) = found.thing.public_key() else { continue };
            let certificates = self.certificates.iter().enumerate();
            let own = certificates.filter(|(_, c)| c.thing.public_key().is_ok_and(|p| p == public));
            pairs.extend(own.map(|(certificate, _)| Pair { certificate, key }));
        }
        pairs
    }

    fn at(&self, pair: &Pair) -> &Certificate {
        &self.certificates[pair.certificate].thing
    }

    fn name(&self, pair: &Pair) -> String {
        let Found { name, thing, .. } = &self.certificates[pair.certificate];
        name.clone().unwrap_or_else(|| thing.common_name())
    }

    /// As it is shown where there are several: also two of the same name can be told from each other.
    fn describe(&self, pair: &Pair) -> String {
        let certificate = self.at(pair);
        let (ends, sha256) = (certificate.not_after().date(), certificate.sha256());
        format!("{} (until {ends}, SHA-256 {}...)", self.name(pair), &sha256[..16])
    }

    fn is_called(&self, pair: &Pair, wanted: &str) -> bool {
        let certificate = self.at(pair);
        let hex = wanted.replace(':', "").to_ascii_lowercase();
        wanted == self.name(pair)
            || [certificate.common_name(), certificate.subject()].iter().any(|name| name == wanted)
            || (hex.len() >= 8 && certificate.sha256().starts_with(&hex))
    }

    fn locked(&self) -> Option<ImportError> {
        let mut unread = self.unread.iter();
        unread.find(|e| matches!(e, ImportError::ImportPassphraseMissing { .. })).cloned()
    }

    /// What stands most likely between these files and a CA.
    fn why_none(&self, bad: Vec<ImportError>) -> ImportError {
        let no_ca =
            |e: &ImportError| matches!(e, ImportError::ImportNotCa { .. } | ImportError::ImportNoRoot { .. });
        let (others, not_ca): (Vec<_>, Vec<_>) = bad.into_iter().partition(|e| !no_ca(e));
        let unread = self.unread.first().cloned();
        let known = self.locked().into_iter().chain(others).chain(unread).chain(not_ca).next();
        let certificates = || self.certificates.iter().map(|f| format!("{} ({})", f.thing.subject(), f.file));
        let keys = || {
            let kind = |key: &PrivateKey| key.public_key().map(|k| k.name().to_owned()).unwrap_or_default();
            self.keys.iter().map(move |f| format!("{} ({})", kind(&f.thing), f.file))
        };
        known.unwrap_or_else(|| match (self.certificates.is_empty(), self.keys.is_empty()) {
            (true, true) => ImportError::ImportNothing { limit: MAX_IMPORT },
            (false, true) => ImportError::ImportNoKey { certificates: some(certificates()) },
            (true, false) => ImportError::ImportNoCertificate { keys: some(keys()) },
            // A key may belong to a certificate in which it is written so that it cannot be read.
            (false, false) => self.unusable_key().unwrap_or_else(|| ImportError::ImportNoMatch {
                certificates: some(certificates()),
                keys: some(keys()),
            }),
        })
    }

    fn unusable_key(&self) -> Option<ImportError> {
        let all = self.certificates.iter().map(|found| &found.thing);
        all.filter_map(|certificate| Some(unusable(certificate, certificate.public_key().err()?))).next()
    }

    /// The root above an issuer; of several with the same key, the one that ends last.
    fn root_of(&self, issuer: &Certificate, now: OffsetDateTime) -> Result<Certificate, ImportError> {
        let certificate = issuer.subject();
        let all = self.certificates.iter().map(|found| &found.thing);
        let named: Vec<_> = all.filter(|above| issuer.names_as_issuer(above)).collect();
        let roots = named.iter().filter(|above| above.is_self_issued());
        let Some(root) = roots.max_by_key(|root| root.not_after()) else {
            let above = issuer.issuer();
            return Err(match named.is_empty() {
                true => ImportError::ImportRootMissing { certificate, issuer: above },
                false => ImportError::ImportTooManyTiers { certificate, issuer: above },
            });
        };
        fitness(root, now)?;
        is_signed(issuer, root)?;
        is_signed(root, root)?;
        if !root.allows_an_issuer_below() {
            return Err(ImportError::ImportPathLength { certificate, issuer: root.subject() });
        }
        Ok((*root).clone())
    }
}

impl Ca {
    /// Whether its certificates say for which addresses and host names it may speak, all or none of it.
    pub fn says_all(&self) -> bool {
        !self.limits.leave_a_kind_free()
    }

    /// For what browsers refuse every page under it, which can be mended in none of its certificates: the certificate's
    /// name, and the rule.
    pub fn refused_by_browsers(&self) -> Vec<(String, Lint)> {
        refused_by_browsers(&self.root, self.issuer.as_slice())
    }

    /// The authority, with what it may speak for: by its own name constraints, or where these leave a kind of name
    /// free, that of `local` with `more`; and the constraints that are left out because they cannot be kept exactly.
    /// One that a browser refuses is adopted only for somebody who was told and wants it all the same (`refused_too`).
    pub fn adopt(
        self,
        local: Permitted,
        more: &[String],
        refused_too: bool,
    ) -> Result<(Adopted, Vec<String>), Error> {
        let refused = self.refused_by_browsers();
        if let (Some((certificate, _)), false) = (refused.first(), refused_too) {
            let certificate = certificate.clone();
            let reasons = refused.into_iter().map(|(_, reason)| reason).collect();
            return Err(Error::ImportRefused { certificate, reasons });
        }
        let Allowed { permitted, left_out } = self.limits.allowed(local, more)?;
        let constrained = self.limits.stated();
        let (root, issuer, key) = (self.root, self.issuer, self.key);
        Ok((Adopted { root, issuer, key, permitted, constrained }, left_out))
    }
}

/// Places in the pile.
struct Pair {
    certificate: usize,
    key: usize,
}

/// Whether a certificate can be an authority's.
fn fitness(certificate: &Certificate, now: OffsetDateTime) -> Result<(), ImportError> {
    let name = certificate.subject();
    let (begins, ends) = (certificate.not_before(), certificate.not_after());
    Err(if !certificate.is_ca() && certificate.is_self_issued() {
        ImportError::ImportNoRoot { certificate: name, version: certificate.version() }
    } else if !certificate.is_ca() {
        ImportError::ImportNotCa { certificate: name }
    } else if ends - now < Duration::DAY {
        ImportError::ImportEnded { certificate: name, ends: ends.date() }
    } else if begins > now {
        ImportError::ImportNotBegun { certificate: name, begins: begins.date() }
    } else if !certificate.may_sign_certificates() {
        ImportError::ImportKeyUsage { certificate: name }
    } else if !certificate.may_vouch_for_servers() {
        ImportError::ImportPurposes { certificate: name }
    } else if !certificate.keeps_its_subject() {
        ImportError::ImportSubject { certificate: name }
    } else {
        return Ok(());
    })
}

/// A root's signature by itself means nothing to anybody, so an old algorithm is only a weakness there.
fn is_signed(certificate: &Certificate, issuer: &Certificate) -> Result<(), ImportError> {
    let (subject, above) = (certificate.subject(), issuer.subject());
    match certificate.is_signed_by(issuer) {
        Ok(true) => Ok(()),
        Ok(false) => Err(ImportError::ImportSignature { certificate: subject, issuer: above }),
        Err(pki::Error::UnsupportedSignature { .. }) if certificate == issuer => Ok(()),
        Err(pki::Error::UnsupportedSignature { algorithm }) => {
            Err(ImportError::ImportOldSignature { certificate: subject, issuer: above, algorithm })
        }
        Err(reason) => Err(unusable(issuer, reason)),
    }
}

fn unusable(certificate: &Certificate, reason: pki::Error) -> ImportError {
    ImportError::ImportUnusable { certificate: certificate.subject(), reason }
}

/// Not more than can be read.
fn some(all: impl Iterator<Item = String>) -> Vec<String> {
    const SHOWN: usize = 10;
    let mut all: Vec<String> = all.collect();
    if all.len() > SHOWN {
        let more = all.len() - SHOWN;
        all.truncate(SHOWN);
        all.push(format!("and {more} more"));
    }
    all
}
