//! The site's authority: founding it, opening it, and the one door through which certificates come.
//!
//! A certificate exists only through [`Authority::issue`]: policy on the effective names, serial and intent
//! stored, linted, signed, stored, handed out. Nothing else holds the signing key.

mod door;
mod error;
mod names;
mod policy;
mod policy_file;

use domain::slug;
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Serial, profile};
use store::{NewSite, Store};
use time::OffsetDateTime;
use vault::{RecoveryKey, Vault, Wrapping};
use zeroize::Zeroizing;

pub use door::{BY_HAND_DAYS, Days, Issued, MANAGED_DAYS, Order};
pub use error::Error;
pub use names::{Change, Effective, Wish, effective};
pub use policy::{BackupPlan, Leaf, Policy};
pub use policy_file::Mistake;

/// The longest site name, characters: the root's common name holds it beside 18 others.
const MAX_SITE: usize = 40;

/// What a new authority is to be.
#[derive(Debug)]
pub struct Founding {
    /// The site's name, part of the root's subject.
    pub site: String,
    /// The kind of the root's key.
    pub key: KeyKind,
    /// What it may speak for.
    pub permitted: Permitted,
    /// Whether the root says so in critical name constraints.
    pub constrained: bool,
}

/// What everybody may know of the authority: no passphrase is needed for it.
#[derive(Clone, Debug)]
pub struct Public {
    /// The site's name.
    pub site: String,
    /// The root.
    pub root: Certificate,
    /// What it may speak for.
    pub permitted: Permitted,
    /// Whether the root says so.
    pub constrained: bool,
}

impl Public {
    /// Reads it from the ledger.
    pub async fn read(store: &Store) -> Result<Public, Error> {
        Public::from_site(&store.site().await?)
    }

    fn from_site(site: &store::Site) -> Result<Public, Error> {
        Ok(Public {
            site: site.name.clone(),
            root: Certificate::from_der(&site.authority.certificate)
                .map_err(|e| store::Error::StoredData { detail: e.to_string() })?,
            permitted: serde_json::from_str(&site.authority.permitted).map_err(store::Error::from)?,
            constrained: site.authority.constrained,
        })
    }
}

/// The open authority: it can sign. The key lives in this value alone.
pub struct Authority {
    public: Public,
    key: PrivateKey,
    id: i64,
    store: Store,
}

impl Authority {
    /// Makes the site's authority and stores it, with its key sealed; refuses where there is one. Gives the
    /// recovery key, which is stored nowhere.
    pub async fn found(
        store: &Store,
        founding: Founding,
        passphrase: &str,
        now: OffsetDateTime,
    ) -> Result<(Authority, RecoveryKey), Error> {
        if founding.site.trim().is_empty()
            || founding.site.chars().count() > MAX_SITE
            || founding.site.chars().any(char::is_control)
        {
            return Err(Error::SiteName { limit: MAX_SITE });
        }
        // Asked again inside the transaction; here so that nobody waits for a key in vain.
        match store.site().await {
            Err(store::Error::NoAuthority) => {}
            Err(e) => return Err(e.into()),
            Ok(site) => return Err(store::Error::AuthorityExists { site: site.name }.into()),
        }

        let passphrase = Zeroizing::new(passphrase.to_owned());
        let (key, kind) = (founding.key, founding.permitted.clone());
        let constrained = founding.constrained.then_some(kind);
        let site = founding.site.clone();
        let made = blocking(move || {
            let (vault, wrapping, recovery) = Vault::create(&passphrase)?;
            let key = PrivateKey::generate(key)?;
            let serial = Serial::random()?;
            // A subject of its own for each authority: equal names confuse path building.
            let tag: String = serial.to_string().chars().skip(28).collect();
            let common_name = format!("Camlock {} {tag} {}", site.trim(), now.year());
            let root = profile::root(&common_name, &key, constrained.as_ref(), serial, now)?
                .lint_root()?
                .sign(&key)?;
            let sealed = vault.seal(&key_purpose(&root), &key.to_pkcs8()?)?;
            Ok((key, root, sealed, wrapping, recovery))
        });
        let (key, root, sealed_key, wrapping, recovery) = made.await?;

        let vault = serde_json::to_string(&wrapping).map_err(store::Error::from)?;
        let permitted = serde_json::to_string(&founding.permitted).map_err(store::Error::from)?;
        store
            .found_site(&NewSite {
                name: founding.site.trim(),
                vault: &vault,
                certificate: root.der(),
                sealed_key: &sealed_key,
                permitted: &permitted,
                constrained: founding.constrained,
            })
            .await?;
        let site = store.site().await?;
        let public = Public::from_site(&site)?;
        Ok((Authority { public, key, id: site.authority.id, store: store.clone() }, recovery))
    }

    /// Opens the authority with the passphrase, or the recovery key in its place.
    pub async fn open(store: &Store, secret: &str) -> Result<Authority, Error> {
        let site = store.site().await?;
        let public = Public::from_site(&site)?;
        let wrapping: Wrapping = serde_json::from_str(&site.vault).map_err(store::Error::from)?;
        let (secret, sealed, purpose) =
            (Zeroizing::new(secret.to_owned()), site.authority.sealed_key.clone(), key_purpose(&public.root));
        let key = blocking(move || {
            let vault = Vault::open(&wrapping, &secret)?;
            Ok(PrivateKey::from_pkcs8(&vault.unseal(&purpose, &sealed)?)?)
        })
        .await?;
        Ok(Authority { public, key, id: site.authority.id, store: store.clone() })
    }

    /// What everybody may know of it.
    pub fn public(&self) -> &Public {
        &self.public
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

fn key_purpose(root: &Certificate) -> String {
    format!("authority key {}", root.sha256())
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
