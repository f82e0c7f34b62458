use pki::{Certificate, KeyKind, PrivateKey};
use store::{AuthorityState, Store};
use time::OffsetDateTime;
use vault::Vault;
use zeroize::Zeroizing;

use crate::{
    Authority, BY_HAND_DAYS, Error, Founding, blocking,
    founding::{self, Row},
    recovery::Sealer,
    stored_certificate,
};

/// So long before the root ends the next one should be there, days: what is issued shortly before the change still gets
/// its whole validity, and the time to carry a root to every computer is as long again.
pub const ROLLOVER_DAYS: i64 = 2 * BY_HAND_DAYS;

/// The next root (and its issuer, with two tiers), not yet stored.
pub struct Next {
    /// The vault that its keys are for.
    vault: String,
    rows: Vec<Row>,
    /// With two tiers, the root's key for the recovery key (an armored `age` file), stored nowhere.
    pub offline_root: Option<String>,
}

impl Next {
    /// Its root.
    pub fn root(&self) -> &Certificate {
        self.rows[0].certificate()
    }

    /// Stores it. It issues nothing before [`Authority::confirm_next`].
    pub async fn store(&self, store: &Store) -> Result<(), Error> {
        let rows: Vec<_> = self.rows.iter().map(Row::as_new).collect();
        Ok(store.add_next(&self.vault, &rows).await?)
    }
}

impl Authority {
    /// Makes the root that is to come after this one. `founding.site` is not looked at: the site stays the same.
    pub async fn make_next(&self, founding: Founding, now: OffsetDateTime) -> Result<Next, Error> {
        if self.public.next.is_some() {
            return Err(store::Error::RolloverUnderWay.into());
        }
        let founding = Founding { site: self.public.site.clone(), ..founding };
        let site = self.store.site().await?;
        let (vault, recipient) = (self.vault.clone(), self.recipient(&site)?);
        blocking(move || {
            let sealer = Sealer { vault: &vault, recipient: &recipient };
            let (rows, offline_root) = founding::rows(&founding, &sealer, AuthorityState::Next, now)?;
            Ok(Next { vault: site.vault, rows, offline_root })
        })
        .await
    }

    /// The next authority issues from now on; the operator has said that its root is on the computers.
    pub async fn confirm_next(store: &Store) -> Result<(), Error> {
        Ok(store.confirm_next().await?)
    }

    /// With two tiers: puts a new issuer in the place of the active one. The root's key comes from `root_key` (an armored
    /// `age` file) by the recovery key, for this one signature.
    pub async fn replace_issuer(
        &self,
        root_key: String,
        recovery_key: Zeroizing<String>,
        key: KeyKind,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let site = self.store.site().await?;
        let active = site.authorities.iter().find(|a| a.id == self.id);
        let root_id = active.and_then(|a| a.root_id).ok_or(Error::OneTier)?;
        let row = site.authorities.iter().find(|a| a.id == root_id);
        let gone = || store::Error::StoredData { detail: "the issuer's root is gone".into() };
        let root = stored_certificate(row.ok_or_else(gone)?)?;
        let (vault, recipient) = (self.vault.clone(), self.recipient(&site)?);
        let founding = Founding {
            site: self.public.site.clone(),
            key,
            permitted: self.public.permitted.clone(),
            constrained: self.public.constrained,
            two_tier: true,
        };
        let row = blocking(move || {
            let root_key = offline_key(&root, &root_key, &recovery_key)?;
            let sealer = Sealer { vault: &vault, recipient: &recipient };
            founding::issuer(&founding, &root, &root_key, &sealer, AuthorityState::Active, now)
        })
        .await?;
        Ok(self.store.replace_issuer(&site.vault, self.id, root_id, &row.as_new()).await?)
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.vault
    }
}

fn offline_key(root: &Certificate, armored: &str, recovery_key: &str) -> Result<PrivateKey, Error> {
    let pem = vault::escrow::decrypt_text(recovery_key, armored)?;
    let key = PrivateKey::read(&pem, None)?;
    if key.public_key()? != root.public_key()? {
        return Err(Error::OtherRootKey { root: root.subject() });
    }
    Ok(key)
}
