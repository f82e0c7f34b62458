use pki::{Certificate, KeyKind, Permitted};
use store::{AuthorityRow, AuthorityState, CertificateRow, Dependents, Site, Store};
use time::{Duration, OffsetDateTime};

use crate::{Error, Founding, PAGE_NAME, PROOF_NAME, ROLLOVER_DAYS, stored_certificate};

/// What everybody may know of the authority: no passphrase is needed for it.
#[derive(Clone, Debug)]
pub struct Public {
    /// The site's name.
    pub site: String,
    /// The root of what is issued now.
    pub root: Certificate,
    /// The issuers between the root and the leaves: none with one tier.
    pub issuers: Vec<Certificate>,
    /// What it may speak for.
    pub permitted: Permitted,
    /// Whether the root says so.
    pub constrained: bool,
    /// The root that is to come, and waits to be introduced to the computers.
    pub next: Option<Certificate>,
    /// Earlier authorities that something still depends on, by root.
    pub old: Vec<Old>,
    /// Which row of the ledger issues.
    active: i64,
}

/// The root of earlier authorities, and what still depends on them.
#[derive(Clone, Debug)]
pub struct Old {
    /// Their root; that of what is issued now, if only the issuer below it was replaced.
    pub root: Certificate,
    /// What has a certificate of theirs, neither past its end nor revoked.
    pub dependents: Dependents,
}

impl Public {
    /// Reads it from the ledger.
    pub async fn read(store: &Store) -> Result<Public, Error> {
        Public::of(store, &store.site().await?).await
    }

    /// Of a site that was read before, so that both are of one moment.
    pub async fn of(store: &Store, site: &Site) -> Result<Public, Error> {
        let in_state = |state| site.authorities.iter().filter(move |a| a.state == state);
        let active = in_state(AuthorityState::Active).next().ok_or(store::Error::NoAuthority)?;
        let (root, issuers) = chain_of(site, active)?;
        let next = in_state(AuthorityState::Next).next().map(|a| root_of(site, a)).transpose()?;
        let mut old: Vec<Old> = Vec::new();
        for row in in_state(AuthorityState::Old) {
            let dependents = store.dependents(row.id, [PAGE_NAME, PROOF_NAME]).await?;
            let root = root_of(site, row)?;
            let in_use = !dependents.devices.is_empty() || !dependents.by_hand.is_empty();
            if !in_use || root.not_after() < store.clock().now() {
                continue;
            }
            match old.iter_mut().find(|old| old.root == root) {
                Some(old) => {
                    old.dependents.devices.extend(dependents.devices);
                    old.dependents.by_hand.extend(dependents.by_hand);
                }
                None => old.push(Old { root, dependents }),
            }
        }
        Ok(Public {
            root,
            issuers,
            permitted: serde_json::from_str(&active.permitted).map_err(store::Error::from)?,
            constrained: active.constrained,
            next,
            old,
            active: active.id,
            site: site.name.clone(),
        })
    }

    /// The same as if the next authority issued already, while there is one: what is issued by
    /// [`crate::Authority::issue_proof`] is of it.
    pub async fn newest(store: &Store) -> Result<Public, Error> {
        let site = store.site().await?;
        let public = Public::of(store, &site).await?;
        match site.authorities.iter().find(|a| a.state == AuthorityState::Next) {
            Some(next) => public.moved_to(&site, next),
            None => Ok(public),
        }
    }

    pub(crate) fn moved_to(self, site: &Site, row: &AuthorityRow) -> Result<Public, Error> {
        let (root, issuers) = chain_of(site, row)?;
        let permitted = serde_json::from_str(&row.permitted).map_err(store::Error::from)?;
        Ok(Public {
            root,
            issuers,
            permitted,
            constrained: row.constrained,
            next: None,
            active: row.id,
            ..self
        })
    }

    /// A next authority that is as this one.
    pub fn successor(&self) -> Founding {
        Founding {
            site: self.site.clone(),
            key: match self.root.key_name().parse() {
                // One that was made elsewhere may be weaker than a new root should be.
                Ok(KeyKind::Rsa2048) | Err(_) => KeyKind::Rsa3072,
                Ok(kind) => kind,
            },
            permitted: self.permitted.clone(),
            constrained: self.constrained,
            two_tier: !self.issuers.is_empty(),
        }
    }

    /// Whether a certificate can stay: it is of the authority that issues now, and not revoked.
    pub fn stands_behind(&self, certificate: &CertificateRow) -> bool {
        certificate.authority_id == self.active && certificate.revoked_at.is_none()
    }

    /// Whether it is time that a next root comes to the computers.
    pub fn ends_soon(&self, now: OffsetDateTime) -> bool {
        self.root.not_after() - now < Duration::days(ROLLOVER_DAYS)
    }

    /// Who signs leaves.
    pub fn issuer(&self) -> &Certificate {
        self.issuers.last().unwrap_or(&self.root)
    }

    /// The roots that the site's devices are verified by: of what is issued now, and of what was issued before.
    pub fn roots(&self) -> Vec<Certificate> {
        [self.root.clone()].into_iter().chain(self.old_roots().cloned()).collect()
    }

    /// Earlier roots that something still depends on.
    pub fn old_roots(&self) -> impl Iterator<Item = &Certificate> {
        self.old.iter().map(|old| &old.root).filter(|root| **root != self.root)
    }

    /// The roots that a computer is to trust: those of the devices, and the one to come.
    pub fn trusted(&self) -> Vec<Certificate> {
        self.roots().into_iter().chain(self.next.clone()).collect()
    }
}

/// The root, and the issuers below it.
fn chain_of(site: &Site, row: &AuthorityRow) -> Result<(Certificate, Vec<Certificate>), Error> {
    let certificate = stored_certificate(row)?;
    Ok(match row.root_id {
        None => (certificate, Vec::new()),
        Some(_) => (root_of(site, row)?, vec![certificate]),
    })
}

pub(crate) fn root_of(site: &Site, row: &AuthorityRow) -> Result<Certificate, Error> {
    match row.root_id {
        None => stored_certificate(row),
        Some(id) => {
            let gone = || store::Error::StoredData { detail: "an issuer's root is gone".into() };
            stored_certificate(site.authorities.iter().find(|a| a.id == id).ok_or_else(gone)?)
        }
    }
}
