//! The site's authority: founding it, opening it, the one door through which certificates come, and what comes after:
//! revocation, the next root, the check of everything stored.
//!
//! A certificate exists only through [`Authority::issue`]: policy on the effective names, serial and intent
//! stored, linted, signed, stored, handed out. Nothing else holds the signing key.

mod checker;
mod door;
mod error;
mod examination;
mod founding;
mod import;
mod names;
mod pile;
mod policy;
mod policy_file;
mod public;
mod revocation;
mod rollover;

use std::sync::Arc;

use domain::slug;
use pki::{Certificate, PrivateKey};
use store::{AuthorityRow, AuthorityState, CertificateRow, Site, Store};
use vault::{Vault, Wrapping};
use zeroize::Zeroizing;

pub use checker::{Flaw, check};
pub use door::{BY_HAND_DAYS, Days, Issued, MANAGED_DAYS, Order};
pub use error::Error;
pub use examination::{Ailment, doubt_of_clock, examine};
pub use founding::{Adopted, Founding, New};
pub use import::{Ca, ImportError};
pub use names::{Change, Effective, Wish, effective};
pub use pile::{MAX_IMPORT, Pile};
pub use policy::{BackupPlan, Policy};
pub use policy_file::Mistake;
pub use public::Public;
pub use revocation::{CRL_DAYS, crl_at, crl_path};
pub use rollover::{Next, ROLLOVER_DAYS};

/// The name in the certificate of Camlock's own page.
pub const PAGE_NAME: &str = "Camlock";

/// The open authority: it can sign. The key lives in this value alone.
pub struct Authority {
    public: Public,
    key: PrivateKey,
    id: i64,
    state: AuthorityState,
    /// Or what is wrong with it: then nothing is issued, and everything else goes on.
    policy: Result<Policy, Error>,
    vault: Arc<Vault>,
    store: Store,
}

impl Authority {
    /// Opens the authority with the passphrase, or with the recovery key or a key file in its place.
    pub async fn open(store: &Store, secret: &str) -> Result<Authority, Error> {
        let site = store.site().await?;
        let wrapping = wrapping(&site)?;
        let secret = Zeroizing::new(secret.to_owned());
        let vault = blocking(move || Ok(Vault::open(&wrapping, &secret)?)).await?;
        let authority = Authority::with(store, &site, Arc::new(vault)).await?;
        authority.keep_for_recovery(&site).await?;
        Ok(authority)
    }

    async fn with(store: &Store, site: &Site, vault: Arc<Vault>) -> Result<Authority, Error> {
        let policy = Policy::read(store.directory());
        let public = Public::of(store, site).await?;
        let active = site.authorities.iter().find(|a| a.state == AuthorityState::Active);
        let active = active.ok_or(store::Error::NoAuthority)?;
        let key = unseal(&vault, active)?;
        let store = store.clone();
        Ok(Authority { public, key, id: active.id, state: active.state, policy, vault, store })
    }

    /// The same authority as the ledger and the policy file have it now: another process may have moved it on to the
    /// next root, say. A mistake in the policy is an error here, so that what was read before can hold on.
    pub async fn reopened(&self) -> Result<Authority, Error> {
        let site = self.store.site().await?;
        let again = Authority::with(&self.store, &site, self.vault.clone()).await?;
        again.policy()?;
        Ok(again)
    }

    /// A ledger of an older version does not have the keys for the recovery key yet.
    async fn keep_for_recovery(&self, site: &Site) -> Result<(), Error> {
        let recipient = wrapping(site)?.recovery_recipient;
        let missing = site.authorities.iter().filter(|a| a.sealed_key.is_some() && a.for_recovery.is_none());
        for row in missing {
            let armored = escrowed(&self.vault, row, &recipient)?;
            self.store.keep_for_recovery(row.id, &armored).await?;
        }
        Ok(())
    }

    /// The ledger that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What everybody may know of it.
    pub fn public(&self) -> &Public {
        &self.public
    }

    /// Whether a certificate can stay: it is of the authority that issues now, and not revoked.
    pub fn stands_behind(&self, certificate: &CertificateRow) -> bool {
        certificate.authority_id == self.id && certificate.revoked_at.is_none()
    }

    /// The policy that it issues by.
    pub fn policy(&self) -> Result<&Policy, Error> {
        self.policy.as_ref().map_err(Clone::clone)
    }
}

/// The dNSName that stands beside the addresses when the operator names none: OpenSSL and GnuTLS otherwise
/// test the common name as a host name.
pub fn default_host_name(text: &str) -> String {
    match slug(text) {
        label if label.is_empty() => "camera.home.arpa".to_owned(),
        label => format!("{label}.home.arpa"),
    }
}

fn wrapping(site: &Site) -> Result<Wrapping, Error> {
    Ok(serde_json::from_str(&site.vault).map_err(store::Error::from)?)
}

fn stored_certificate(row: &AuthorityRow) -> Result<Certificate, Error> {
    let damaged = |e: pki::Error| store::Error::StoredData { detail: e.to_string() };
    Ok(Certificate::from_der(&row.certificate).map_err(damaged)?)
}

fn unseal(vault: &Vault, row: &AuthorityRow) -> Result<PrivateKey, Error> {
    let certificate = stored_certificate(row)?;
    let subject = certificate.subject();
    let sealed = row.sealed_key.as_ref().ok_or(Error::KeyElsewhere { authority: subject })?;
    Ok(PrivateKey::from_pkcs8(&vault.unseal(&key_purpose(&certificate), sealed)?)?)
}

/// The keys on this machine encrypted to a recovery key, named by its public half, with the numbers of their
/// authorities: what has to change together with the recovery key.
pub fn keys_for_recovery(vault: &Vault, site: &Site, recipient: &str) -> Result<Vec<(i64, String)>, Error> {
    let held = site.authorities.iter().filter(|a| a.sealed_key.is_some());
    held.map(|row| Ok((row.id, escrowed(vault, row, recipient)?))).collect()
}

fn escrowed(vault: &Vault, row: &AuthorityRow, recipient: &str) -> Result<String, Error> {
    let pem = unseal(vault, row)?.to_pem()?;
    Ok(vault::escrow::encrypt_text(recipient, pem.as_bytes())?)
}

fn key_purpose(certificate: &Certificate) -> String {
    format!("authority key {}", certificate.sha256())
}

/// Runs what takes long (Argon2, RSA keys) beside the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(pki::Error::Crypto { operation: e.to_string() }.into()),
    }
}
