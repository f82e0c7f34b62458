use domain::RevocationReason;
use sqlx::Row;
use time::OffsetDateTime;

use crate::{
    Error, Store,
    values::{date, from_word, word},
};

/// A revoked certificate.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: RevocationReason,
}

/// A revoked certificate stays on the list for so long after its end, seconds, so that it is on at least one list that
/// was signed after it (RFC 5280, section 3.3).
const KEPT: i64 = 62 * 86_400;

impl Store {
    /// Marks a certificate as revoked, durably; whether it was not before.
    pub async fn revoke(&self, serial: &str, reason: RevocationReason) -> Result<bool, Error> {
        let done = sqlx::query(
            "UPDATE certificate SET revoked_at = $1, revocation_reason = $2
             WHERE serial = $3 AND der IS NOT NULL AND revoked_at IS NULL",
        )
        .bind(self.now())
        .bind(word(&reason)?)
        .bind(serial)
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Marks a serial number as revoked that this ledger lost, of an authority under which nothing lasts longer than until
    /// `not_after`.
    pub async fn revoke_lost(
        &self,
        serial: &str,
        authority_id: i64,
        not_after: OffsetDateTime,
        reason: RevocationReason,
    ) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO certificate (serial, authority_id, profile, names, not_before, not_after, intended_at, revoked_at,
             revocation_reason) VALUES ($1, $2, 'device', '[]', $3, $4, $3, $3, $5)",
        )
        .bind(serial)
        .bind(authority_id)
        .bind(self.now())
        .bind(not_after.unix_timestamp())
        .bind(word(&reason)?)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The serial numbers of issued certificates that begin like this, two at most.
    pub async fn serials(&self, beginning: &str) -> Result<Vec<String>, Error> {
        let serials = sqlx::query_scalar(
            "SELECT serial FROM certificate WHERE substr(serial, 1, length($1)) = $1 AND der IS NOT NULL LIMIT 2",
        );
        Ok(serials.bind(beginning).fetch_all(&self.readers).await?)
    }

    /// The certificates of an authority that its list has to name, the first revoked first.
    pub async fn revocations(&self, authority_id: i64) -> Result<Vec<Revocation>, Error> {
        let rows = sqlx::query(
            "SELECT serial, revoked_at, revocation_reason FROM certificate
             WHERE authority_id = $1 AND revoked_at IS NOT NULL AND not_after > $2 ORDER BY revoked_at, serial",
        )
        .bind(authority_id)
        .bind(self.now() - KEPT)
        .fetch_all(&self.readers)
        .await?;
        let revocation = |row: &sqlx::sqlite::SqliteRow| {
            Ok(Revocation {
                serial: row.try_get("serial")?,
                at: date(row.try_get("revoked_at")?)?,
                reason: from_word(row.try_get("revocation_reason")?)?,
            })
        };
        rows.iter().map(revocation).collect()
    }

    /// Takes the next number for a list of this authority: the time, or one more than the last. So a ledger that was
    /// restored does not give numbers again that were in use (RFC 5280, section 5.2.3). What is revoked is to be read
    /// after that.
    pub async fn take_crl_number(&self, authority_id: i64) -> Result<i64, Error> {
        let number = sqlx::query_scalar(
            "INSERT INTO crl (authority_id, taken) VALUES ($1, $2) ON CONFLICT (authority_id) DO UPDATE
             SET taken = CASE WHEN crl.taken < $2 THEN $2 ELSE crl.taken + 1 END RETURNING taken",
        );
        Ok(number.bind(authority_id).bind(self.now()).fetch_one(&self.writer).await?)
    }

    /// Stores a signed list, unless one with a higher number is there.
    pub async fn save_crl(
        &self,
        authority_id: i64,
        number: i64,
        next_update: OffsetDateTime,
        der: &[u8],
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE crl SET number = $1, next_update = $2, der = $3
             WHERE authority_id = $4 AND coalesce(number, 0) < $1",
        )
        .bind(number)
        .bind(next_update.unix_timestamp())
        .bind(der)
        .bind(authority_id)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The newest list of this authority, and when the next one has to be there.
    pub async fn crl(&self, authority_id: i64) -> Result<Option<(Vec<u8>, OffsetDateTime)>, Error> {
        let row = sqlx::query("SELECT der, next_update FROM crl WHERE authority_id = $1 AND der IS NOT NULL")
            .bind(authority_id)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok((row.try_get("der")?, date(row.try_get("next_update")?)?))).transpose()
    }
}
