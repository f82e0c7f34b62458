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
mod recovery;
mod revocation;
mod rollover;

use std::sync::Arc;

use domain::slug;
use pki::{Certificate, PrivateKey};
use store::{AuthorityRow, AuthorityState, Site, Store};
use vault::Vault;

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
pub use recovery::{Opened, recovery_recipient};
pub use revocation::{CRL_DAYS, crl_at, crl_path};
pub use rollover::{Next, ROLLOVER_DAYS};

use recovery::{unseal, wrapping};

/// The name in the certificate of Camlock's own page.
pub const PAGE_NAME: &str = "Camlock";
/// The name in that of the trust page's test.
pub const PROOF_NAME: &str = "Camlock trust test";

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
        Authority::of(store, Opened::open(store, secret).await?).await
    }

    /// The authority of a vault that was opened.
    pub async fn of(store: &Store, opened: Opened) -> Result<Authority, Error> {
        Authority::with(store, &opened.site, Arc::new(opened.vault)).await
    }

    async fn with(store: &Store, site: &Site, vault: Arc<Vault>) -> Result<Authority, Error> {
        // Others may have written to the ledger since it was opened.
        vault.check(&wrapping(site)?)?;
        recovery_recipient(site)?;
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

    /// To which recovery key secrets of this site may be encrypted: the one that the master key vouches for.
    fn recipient(&self, site: &Site) -> Result<String, Error> {
        let wrapping = wrapping(site)?;
        self.vault.check(&wrapping)?;
        Ok(wrapping.recovery_recipient)
    }

    /// The ledger that it is in.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What everybody may know of it.
    pub fn public(&self) -> &Public {
        &self.public
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

fn stored_certificate(row: &AuthorityRow) -> Result<Certificate, Error> {
    let damaged = |e: pki::Error| store::Error::StoredData { detail: e.to_string() };
    Ok(Certificate::from_der(&row.certificate).map_err(damaged)?)
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
