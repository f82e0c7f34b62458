use std::collections::HashMap;

use domain::{AltName, Severity};
use pki::{Certificate, Lint, Permitted, Profile};
use serde::{Deserialize, Serialize};
use store::{CertificateRow, Store};
use time::{Duration, OffsetDateTime};

use crate::{Error, stored_certificate};

/// So many rows are in memory at once.
const TOGETHER: u32 = 500;
/// Between an intent and its certificate lie milliseconds; an intent older than this has none any more.
const IN_FLIGHT: Duration = Duration::MINUTE;

/// What is wrong with a stored certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Flaw {
    /// A certificate was intended, and none was stored: the program ended between the two.
    IntentWithoutCertificate { serial: String, names: Vec<AltName> },
    /// The stored bytes are not those that were stored.
    DigestDiffers { serial: String },
    /// The certificate does not say what the intent says.
    IntentDiffers { serial: String, what: String },
    /// It was not signed by the authority that the ledger names.
    SignedByAnother { serial: String },
    /// A rule that it breaks.
    StoredLint { serial: String, reason: Lint },
}

impl Flaw {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            // It was refused to everybody, and stays in the ledger for ever.
            Flaw::IntentWithoutCertificate { .. } => Severity::Info,
            Flaw::DigestDiffers { .. }
            | Flaw::IntentDiffers { .. }
            | Flaw::SignedByAnother { .. }
            | Flaw::StoredLint { .. } => Severity::Error,
        }
    }
}

struct Issuer {
    certificate: Certificate,
    permitted: Permitted,
}

/// Reads every stored certificate again: digest, serial number, validity, names, profile, signature, intent. How many
/// there are, and what is wrong with them.
pub async fn check(store: &Store, now: OffsetDateTime) -> Result<(u64, Vec<Flaw>), Error> {
    let mut issuers = HashMap::new();
    for row in store.site().await?.authorities {
        let permitted = serde_json::from_str(&row.permitted).map_err(store::Error::from)?;
        issuers.insert(row.id, Issuer { certificate: stored_certificate(&row)?, permitted });
    }
    let (mut count, mut flaws, mut last) = (0, Vec::new(), String::new());
    loop {
        let rows = store.certificates_after(&last, TOGETHER).await?;
        let Some(end) = rows.last() else { return Ok((count, flaws)) };
        last = end.serial.clone();
        for row in &rows {
            match &row.der {
                Some(der) => {
                    count += 1;
                    look(row, der, issuers.get(&row.authority_id), now, &mut flaws)?;
                }
                // It was lost, and revoked by its number.
                None if row.revoked_at.is_some() => {}
                None if now - row.intended_at > IN_FLIGHT => flaws.push(Flaw::IntentWithoutCertificate {
                    serial: row.serial.clone(),
                    names: row.names.clone(),
                }),
                None => {}
            }
        }
    }
}

fn look(
    row: &CertificateRow,
    der: &[u8],
    issuer: Option<&Issuer>,
    now: OffsetDateTime,
    flaws: &mut Vec<Flaw>,
) -> Result<(), Error> {
    let serial = row.serial.clone();
    let certificate = match Certificate::from_der(der) {
        Ok(certificate) if Some(certificate.sha256()) == row.sha256 => certificate,
        _ => {
            flaws.push(Flaw::DigestDiffers { serial });
            return Ok(());
        }
    };
    let mut held = certificate.alt_names();
    let mut intended = row.names.clone();
    held.sort();
    intended.sort();
    let differences = [
        ("serial", certificate.serial() != row.serial),
        ("not_before", certificate.not_before() != row.not_before),
        ("not_after", certificate.not_after() != row.not_after),
        ("names", held != intended),
    ];
    for (what, _) in differences.iter().filter(|(_, differs)| *differs) {
        flaws.push(Flaw::IntentDiffers { serial: serial.clone(), what: (*what).to_owned() });
    }
    let (Some(issuer), Some(profile)) = (issuer, Profile::named(&row.profile)) else {
        flaws.push(Flaw::IntentDiffers { serial, what: "profile".into() });
        return Ok(());
    };
    if !certificate.is_signed_by(&issuer.certificate)? {
        flaws.push(Flaw::SignedByAnother { serial: serial.clone() });
    }
    if row.revoked_at.is_some() || row.not_after < now {
        // Nobody can be helped any more by its being replaced.
        return Ok(());
    }
    let lints = certificate.lint_as_leaf(profile, &issuer.certificate, &issuer.permitted);
    flaws.extend(lints.into_iter().map(|reason| Flaw::StoredLint { serial: serial.clone(), reason }));
    Ok(())
}
