use domain::RevocationReason;
use pki::{Certificate, crl};
use store::{AuthorityRow, AuthorityState, Store};
use time::{Duration, OffsetDateTime};

use crate::{Authority, Error, recovery::unseal, stored_certificate};

/// How long a list is valid, days. The next one is signed when half of it is over, so that a service that is locked for
/// two weeks still has one.
pub const CRL_DAYS: i64 = 31;

/// Hexadecimal digits of an ordinary key identifier.
const KEY_ID_DIGITS: usize = 40;

/// The path of an authority's list below the address at which the site publishes lists. One without a key identifier,
/// as some imported ones are, or with a long one, goes by a digest.
pub fn crl_path(authority: &Certificate) -> String {
    let digest = || authority.sha256().chars().take(KEY_ID_DIGITS).collect();
    let id = authority.key_id().filter(|id| (1..=KEY_ID_DIGITS).contains(&id.len())).unwrap_or_else(digest);
    format!("/crl/{id}.crl")
}

/// The list that is published at this path, if one is, and when the next one has to be there. No key is needed for it.
pub async fn crl_at(store: &Store, path: &str) -> Result<Option<(Vec<u8>, OffsetDateTime)>, Error> {
    for row in store.site().await?.authorities {
        if crl_path(&stored_certificate(&row)?) == path {
            return Ok(store.crl(row.id).await?);
        }
    }
    Ok(None)
}

impl Authority {
    /// Revokes a certificate and signs its issuer's list anew. `false` if it was revoked already.
    pub async fn revoke(
        &self,
        serial: &str,
        reason: RevocationReason,
        now: OffsetDateTime,
    ) -> Result<bool, Error> {
        let unknown = || Error::UnknownSerial { serial: serial.to_owned() };
        let row = self.store.certificate(serial).await?.filter(|r| r.der.is_some()).ok_or_else(unknown)?;
        let done = self.store.revoke(serial, reason).await?;
        // Also if it was revoked before: a crash may have come between the two.
        self.sign_crl(row.authority_id, now).await?;
        Ok(done)
    }

    /// Revokes a serial number that the ledger does not know: one that was issued after the backup that it comes from. It is
    /// held for the present issuer's.
    pub async fn revoke_lost(
        &self,
        serial: &str,
        reason: RevocationReason,
        now: OffsetDateTime,
    ) -> Result<(), Error> {
        let ends = self.public().issuer().not_after();
        self.store.revoke_lost(serial, self.id, ends, reason).await?;
        self.sign_crl(self.id, now).await
    }

    /// Signs the lists that are missing or more than half over, if the site publishes them; how many.
    pub async fn refresh_crls(&self, now: OffsetDateTime) -> Result<usize, Error> {
        let mut signed = 0;
        let site = self.store.site().await?;
        for row in site.authorities.iter().filter(|a| publishes(a)) {
            let held = self.store.crl(row.id).await?;
            // Signed while the clock was ahead: nobody takes it yet.
            let is_early =
                held.as_ref().is_some_and(|(der, _)| begins(der).is_some_and(|begins| begins > now));
            let next_update = held.map(|(_, next_update)| next_update);
            let wanted = next_update.is_some() || self.policy().is_ok_and(|p| p.crl_url.is_some());
            // No list goes past the end of who signs it: a last one, and none after that.
            let last = stored_certificate(row)?.not_after();
            let over = last < now || (next_update.is_some_and(|end| end >= last) && !is_early);
            if wanted
                && !over
                && (is_early || next_update.is_none_or(|end| end - now < Duration::days(CRL_DAYS) / 2))
            {
                self.sign_crl(row.id, now).await?;
                signed += 1;
            }
        }
        Ok(signed)
    }

    async fn sign_crl(&self, authority_id: i64, now: OffsetDateTime) -> Result<(), Error> {
        let site = self.store.site().await?;
        let gone = || store::Error::StoredData { detail: "a certificate's authority is gone".into() };
        let row = site.authorities.iter().find(|a| a.id == authority_id).ok_or_else(gone)?;
        let (issuer, key) = (stored_certificate(row)?, unseal(self.vault(), row)?);
        if issuer.not_after() <= now {
            // Nobody takes its certificates any more, nor its list.
            return Ok(());
        }
        let number = self.store.take_crl_number(authority_id).await?;
        let revoked = self.store.revocations(authority_id).await?;
        let entries: Vec<crl::Entry> = revoked
            .into_iter()
            // A clock that was ahead is no reason for a list that does not hold yet.
            .map(|r| crl::Entry { serial: r.serial, at: r.at.min(now), reason: r.reason })
            .collect();
        // For computers whose clock is a little behind, and never before what it names.
        let newest = entries.iter().map(|e| e.at).max().unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let this_update = (now - Duration::HOUR).max(newest);
        // Never past the end of who signed it.
        let next_update = (now + Duration::days(CRL_DAYS)).min(issuer.not_after());
        let list = crl::List { number: number.unsigned_abs(), this_update, next_update, entries: &entries };
        let der = crl::sign(&list, &issuer, &key)?;
        Ok(self.store.save_crl(authority_id, number, next_update, &der).await?)
    }
}

/// From when a stored list holds.
pub(crate) fn begins(der: &[u8]) -> Option<OffsetDateTime> {
    crl::this_update(der).ok()
}

/// Whether this authority's list can be signed here.
fn publishes(row: &AuthorityRow) -> bool {
    matches!(row.state, AuthorityState::Active | AuthorityState::Old) && row.sealed_key.is_some()
}
