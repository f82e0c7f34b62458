//! What the recovery key opens, and that it is the operator's recovery key: the master key vouches for the wrapping, which
//! names the recovery key, and each authority's key for what was encrypted to it. Only the second can be checked by one who
//! knows no secret, as a backup by a locked service.

use pki::{Certificate, PrivateKey};
use store::{AuthorityRow, AuthorityState, Key, Site, Store};
use vault::{Vault, Wrapping, escrow};
use zeroize::Zeroizing;

use crate::{Error, blocking, stored_certificate};

/// The vault with what the ledger holds of it, as they were at one moment: nothing in the wrapping was changed by others.
pub struct Opened {
    /// The master key.
    pub vault: Vault,
    /// Site and authorities.
    pub site: Site,
    /// The wrapping of the master key, with the public half of the recovery key.
    pub wrapping: Wrapping,
}

impl Opened {
    /// Opens the vault of a ledger with the passphrase, or with the recovery key or a key file in its place. One of an older
    /// version is bound to its master key at that.
    pub async fn open(store: &Store, secret: &str) -> Result<Opened, Error> {
        let mut site = store.site().await?;
        let mut wrapping = wrapping(&site)?;
        let secret = Zeroizing::new(secret.to_owned());
        let vault = blocking({
            let wrapping = wrapping.clone();
            move || Ok(Vault::open(&wrapping, &secret)?)
        })
        .await?;
        if wrapping.is_unbound() {
            match bind(store, &site, &vault, wrapping).await {
                // Another process was quicker with it.
                Ok(()) | Err(Error::Store(store::Error::SecretsChanged)) => {}
                Err(e) => return Err(e),
            }
            site = store.site().await?;
            wrapping = self::wrapping(&site)?;
            vault.check(&wrapping)?;
        }
        Ok(Opened { vault, site, wrapping })
    }

    /// The keys on this machine, sealed and for the recovery key as the wrapping has it now, with the numbers of their
    /// authorities: what changes together with the recovery key.
    pub fn keys(&self) -> Result<Vec<(i64, Key)>, Error> {
        let sealer = Sealer { vault: &self.vault, recipient: &self.wrapping.recovery_recipient };
        let held = self.site.authorities.iter().filter(|row| row.sealed_key.is_some());
        held.map(|row| Ok((row.id, sealer.seal(&stored_certificate(row)?, &unseal(&self.vault, row)?)?)))
            .collect()
    }
}

/// The first opening by a version that binds. From then on the keys are sealed for another purpose: one who takes the MAC
/// off a ledger that was bound before, to have false data bound, has no key that is sealed for the purpose of before.
async fn bind(store: &Store, site: &Site, vault: &Vault, mut wrapping: Wrapping) -> Result<(), Error> {
    let sealer = Sealer { vault, recipient: &wrapping.recovery_recipient };
    let mut keys = Vec::new();
    for row in site.authorities.iter().filter(|row| row.sealed_key.is_some()) {
        let certificate = stored_certificate(row)?;
        let key = unseal_for(vault, row, &unbound_purpose(&certificate))?;
        let mut sealed = sealer.seal(&certificate, &key)?;
        // What is there may have been made before somebody changed the recovery key.
        if let Some(armored) = &row.for_recovery {
            sealed.vouched = key.sign_statement(&statement(&certificate, sealer.recipient, armored))?;
            sealed.for_recovery = armored.clone();
        }
        keys.push((row.id, sealed));
    }
    if keys.is_empty() {
        return Err(store::Error::StoredData { detail: "no authority has its key".into() }.into());
    }
    vault.bind(&mut wrapping);
    let bound = serde_json::to_string(&wrapping).map_err(store::Error::from)?;
    Ok(store.replace_vault(&site.vault, &bound, Some(&keys)).await?)
}

/// The recovery key's public half, if every authority whose key is on this machine has signed that it is: no secret is
/// needed for it. Nothing may be encrypted to it otherwise.
pub fn recovery_recipient(site: &Site) -> Result<String, Error> {
    let wrapping = wrapping(site)?;
    if wrapping.is_unbound() {
        return Err(Error::RecoveryUnsigned);
    }
    let forged = forged_escrows(site)?;
    match forged.into_iter().next() {
        None => Ok(wrapping.recovery_recipient),
        Some(authority) => {
            let recovery = escrow::short_form(&wrapping.recovery_recipient);
            Err(Error::RecoveryForged { authority, recovery })
        }
    }
}

/// The authorities that did not sign that what is kept of their key for the recovery key belongs to that: of those whose
/// key is here, and of the active one wherever its key is.
pub(crate) fn forged_escrows(site: &Site) -> Result<Vec<String>, Error> {
    let recipient = wrapping(site)?.recovery_recipient;
    let mut forged = Vec::new();
    for row in site.authorities.iter().filter(|row| row.sealed_key.is_some() || is_active(row)) {
        let certificate = stored_certificate(row)?;
        let signed = match (&row.for_recovery, &row.vouched) {
            (Some(armored), Some(signature)) => {
                certificate.has_signed_statement(&statement(&certificate, &recipient, armored), signature)?
            }
            _ => false,
        };
        if !signed {
            forged.push(certificate.subject());
        }
    }
    match site.authorities.iter().any(is_active) {
        true => Ok(forged),
        false => Err(store::Error::NoAuthority.into()),
    }
}

fn is_active(row: &AuthorityRow) -> bool {
    row.state == AuthorityState::Active
}

/// What an authority's key signs: its own certificate, the recovery key's public half, and what was encrypted to that.
fn statement(certificate: &Certificate, recipient: &str, armored: &str) -> String {
    format!("recovery\n{}\n{} {recipient}\n{armored}", certificate.sha256(), recipient.len())
}

pub(crate) fn wrapping(site: &Site) -> Result<Wrapping, Error> {
    Ok(serde_json::from_str(&site.vault).map_err(store::Error::from)?)
}

/// Seals an authority's key: with the master key, and for the recovery key.
pub(crate) struct Sealer<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) recipient: &'a str,
}

impl Sealer<'_> {
    pub(crate) fn seal(&self, certificate: &Certificate, key: &PrivateKey) -> Result<Key, Error> {
        let sealed = self.vault.seal(&purpose(certificate), &key.to_pkcs8()?)?;
        let for_recovery = self.for_recovery(key)?;
        let vouched = key.sign_statement(&statement(certificate, self.recipient, &for_recovery))?;
        Ok(Key { sealed, for_recovery, vouched })
    }

    pub(crate) fn for_recovery(&self, key: &PrivateKey) -> Result<String, Error> {
        Ok(escrow::encrypt_text(self.recipient, key.to_pem()?.as_bytes())?)
    }
}

pub(crate) fn unseal(vault: &Vault, row: &AuthorityRow) -> Result<PrivateKey, Error> {
    unseal_for(vault, row, &purpose(&stored_certificate(row)?))
}

fn unseal_for(vault: &Vault, row: &AuthorityRow, purpose: &str) -> Result<PrivateKey, Error> {
    let gone = |certificate: Certificate| Error::KeyElsewhere { authority: certificate.subject() };
    let sealed = row.sealed_key.as_ref();
    let sealed = sealed.map_or_else(|| Err(gone(stored_certificate(row)?)), Ok)?;
    Ok(PrivateKey::from_pkcs8(&vault.unseal(purpose, sealed)?)?)
}

fn purpose(certificate: &Certificate) -> String {
    format!("authority key of a bound vault {}", certificate.sha256())
}

/// That of the version before, whose wrapping is not bound to the master key.
fn unbound_purpose(certificate: &Certificate) -> String {
    format!("authority key {}", certificate.sha256())
}
