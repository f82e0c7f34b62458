use std::sync::Arc;

use domain::is_invisible;
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Serial, profile};
use store::{AuthorityState, Key, NewAuthority, NewSite, Store};
use time::{Duration, OffsetDateTime};
use vault::{RecoveryKey, Vault, Wrapping};
use zeroize::Zeroizing;

use crate::{Authority, Error, blocking, recovery::Sealer};

/// The longest site name, characters: an issuer's common name holds it beside 21 others.
const MAX_SITE: usize = 40;

/// What a new authority is to be.
#[derive(Clone, Debug)]
pub struct Founding {
    /// The site's name, part of the root's subject.
    pub site: String,
    /// The kind of the root's key, and of the issuer's with two tiers.
    pub key: KeyKind,
    /// What it may speak for.
    pub permitted: Permitted,
    /// Whether the root says so in critical name constraints.
    pub constrained: bool,
    /// Whether an issuer signs for the devices, and the root's key leaves this machine.
    pub two_tier: bool,
}

/// An authority that was made elsewhere.
#[derive(Debug)]
pub struct Adopted {
    /// The root that computers trust.
    pub root: Certificate,
    /// The issuer below it, if the key is that one's.
    pub issuer: Option<Certificate>,
    /// The key of the issuer, or of the root where there is none.
    pub key: PrivateKey,
    /// What it may speak for.
    pub permitted: Permitted,
    /// Whether its certificate says so.
    pub constrained: bool,
}

/// A new authority with its keys and a new vault, nothing of it stored yet: what must be kept elsewhere can be written
/// and shown first, so that no crash loses it.
pub struct New {
    site: String,
    wrapping: Wrapping,
    vault: Arc<Vault>,
    rows: Vec<Row>,
    /// The recovery key, stored nowhere.
    pub recovery: RecoveryKey,
    /// With two tiers, the root's key for the recovery key (an armored `age` file), stored nowhere.
    pub offline_root: Option<String>,
}

/// An authority to be stored.
pub(crate) struct Row {
    certificate: Certificate,
    key: Option<Key>,
    permitted: String,
    constrained: bool,
    state: AuthorityState,
}

impl New {
    /// Makes a site's authority. Takes a second or more for RSA keys.
    pub async fn make(founding: Founding, passphrase: &str, now: OffsetDateTime) -> Result<New, Error> {
        let site = site_name(&founding.site)?;
        let passphrase = Zeroizing::new(passphrase.to_owned());
        blocking(move || {
            let (vault, wrapping, recovery) = Vault::create(&passphrase)?;
            let sealer = Sealer { vault: &vault, recipient: &wrapping.recovery_recipient };
            let (rows, offline_root) = rows(&founding, &sealer, AuthorityState::Active, now)?;
            Ok(New { site, wrapping, vault: Arc::new(vault), rows, recovery, offline_root })
        })
        .await
    }

    /// Takes over an authority that was made elsewhere.
    pub async fn adopt(adopted: Adopted, site: &str, passphrase: &str) -> Result<New, Error> {
        let site = site_name(site)?;
        let passphrase = Zeroizing::new(passphrase.to_owned());
        blocking(move || {
            let (vault, wrapping, recovery) = Vault::create(&passphrase)?;
            let sealer = Sealer { vault: &vault, recipient: &wrapping.recovery_recipient };
            let permitted = serde_json::to_string(&adopted.permitted).map_err(store::Error::from)?;
            let row = |certificate: Certificate, key, state| Row {
                certificate,
                key,
                permitted: permitted.clone(),
                constrained: adopted.constrained,
                state,
            };
            let rows = match adopted.issuer {
                None => {
                    let key = sealer.seal(&adopted.root, &adopted.key)?;
                    vec![row(adopted.root, Some(key), AuthorityState::Active)]
                }
                Some(issuer) => {
                    let key = sealer.seal(&issuer, &adopted.key)?;
                    vec![
                        row(adopted.root, None, AuthorityState::Offline),
                        row(issuer, Some(key), AuthorityState::Active),
                    ]
                }
            };
            Ok(New { site, wrapping, vault: Arc::new(vault), rows, recovery, offline_root: None })
        })
        .await
    }

    /// The root.
    pub fn root(&self) -> &Certificate {
        &self.rows[0].certificate
    }

    /// Stores it, and opens it; refuses where there is one.
    pub async fn found(self, store: &Store) -> Result<(Authority, RecoveryKey), Error> {
        let vault = serde_json::to_string(&self.wrapping).map_err(store::Error::from)?;
        let authority: Vec<NewAuthority<'_>> = self.rows.iter().map(Row::as_new).collect();
        store.found_site(&NewSite { name: &self.site, vault: &vault, authority: &authority }).await?;
        let opened = Authority::with(store, &store.site().await?, self.vault).await?;
        Ok((opened, self.recovery))
    }
}

impl Row {
    pub(crate) fn as_new(&self) -> NewAuthority<'_> {
        NewAuthority {
            certificate: self.certificate.der(),
            key: self.key.as_ref(),
            permitted: &self.permitted,
            constrained: self.constrained,
            state: self.state,
        }
    }

    pub(crate) fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Makes root, and issuer if there are two tiers; the second value is then the root's key, for the recovery key.
pub(crate) fn rows(
    founding: &Founding,
    sealer: &Sealer<'_>,
    state: AuthorityState,
    now: OffsetDateTime,
) -> Result<(Vec<Row>, Option<String>), Error> {
    let key = PrivateKey::generate(founding.key)?;
    let serial = Serial::random()?;
    // A subject of its own for each authority: equal names confuse path building.
    let common_name = format!("Camlock {} {} {}", founding.site.trim(), tag(serial), now.year());
    let permitted = founding.constrained.then_some(&founding.permitted);
    let new = profile::NewAuthority::root(&common_name, permitted, founding.two_tier.into(), now);
    let root = profile::root(&new, &key, serial)?.lint_root()?.sign(&key)?;
    let row = |certificate, key, state| -> Result<Row, Error> {
        Ok(Row {
            certificate,
            key,
            permitted: serde_json::to_string(&founding.permitted).map_err(store::Error::from)?,
            constrained: founding.constrained,
            state,
        })
    };
    if !founding.two_tier {
        let sealed = sealer.seal(&root, &key)?;
        return Ok((vec![row(root, Some(sealed), state)?], None));
    }
    let below = issuer(founding, &root, &key, sealer, state, now)?;
    let offline = sealer.for_recovery(&key)?;
    Ok((vec![row(root, None, AuthorityState::Offline)?, below], Some(offline)))
}

/// Makes an issuer below `root`.
pub(crate) fn issuer(
    founding: &Founding,
    root: &Certificate,
    root_key: &PrivateKey,
    sealer: &Sealer<'_>,
    state: AuthorityState,
    now: OffsetDateTime,
) -> Result<Row, Error> {
    let key = PrivateKey::generate(founding.key)?;
    let serial = Serial::random()?;
    let not_before = (now - Duration::days(profile::ROOT_BACKDATE_DAYS)).max(root.not_before());
    let new = profile::NewAuthority {
        common_name: &format!("Camlock {} CA {} {}", founding.site.trim(), tag(serial), now.year()),
        permitted: founding.constrained.then_some(&founding.permitted),
        below: 0,
        not_before,
        not_after: (not_before + Duration::days(profile::ISSUER_DAYS) - Duration::SECOND)
            .min(root.not_after()),
    };
    let unsigned = profile::issuer(&new, &key.public_key()?, root, root_key, serial)?;
    let certificate = unsigned.lint_issuer(root)?.sign(root_key)?;
    Ok(Row {
        key: Some(sealer.seal(&certificate, &key)?),
        certificate,
        permitted: serde_json::to_string(&founding.permitted).map_err(store::Error::from)?,
        constrained: founding.constrained,
        state,
    })
}

fn tag(serial: Serial) -> String {
    serial.to_string().chars().skip(28).collect()
}

fn site_name(name: &str) -> Result<String, Error> {
    let site = name.trim();
    if site.is_empty() || site.chars().count() > MAX_SITE || name.chars().any(is_invisible) {
        return Err(Error::SiteName { limit: MAX_SITE });
    }
    Ok(site.to_owned())
}
