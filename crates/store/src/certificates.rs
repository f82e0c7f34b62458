use std::collections::HashSet;

use domain::AltName;
use sqlx::{Row, sqlite::SqliteRow};
use time::OffsetDateTime;

use crate::{
    AuthorityState, Error, Store, pattern,
    values::{date, word},
    writer::{NewCertificate, NewIntent},
};

/// What is about to be signed. Stored first, so that no crash leaves a certificate without a trace.
#[derive(Debug)]
pub struct Intent<'a> {
    /// Serial number, lower-case hexadecimal.
    pub serial: &'a str,
    /// The authority that will sign.
    pub authority_id: i64,
    /// What that authority is for: refused if it is for something else by now.
    pub state: AuthorityState,
    /// The device that it is for, if Camlock installs it.
    pub device_id: Option<i64>,
    /// The profile's name.
    pub profile: &'a str,
    /// The name for people.
    pub name: Option<&'a str>,
    /// The effective names.
    pub names: &'a [AltName],
    /// First second of validity.
    pub not_before: OffsetDateTime,
    /// Last second of validity.
    pub not_after: OffsetDateTime,
}

/// A certificate, or the intent of one, as stored.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// The name for people.
    pub name: Option<String>,
    /// The effective names.
    pub names: Vec<AltName>,
    /// The authority that signed, or was to sign.
    pub authority_id: i64,
    /// The profile's name.
    pub profile: String,
    /// The device that it was made for, if Camlock installs it.
    pub device_id: Option<i64>,
    /// The name of that device.
    pub device: Option<String>,
    /// First second of validity.
    pub not_before: OffsetDateTime,
    /// Last second of validity.
    pub not_after: OffsetDateTime,
    /// SHA-256 over the DER, lower-case hexadecimal; `None` while it is an intent.
    pub sha256: Option<String>,
    /// The certificate; `None` while it is an intent.
    pub der: Option<Vec<u8>>,
    /// When it was intended.
    pub intended_at: OffsetDateTime,
    /// When it was revoked, if it was.
    pub revoked_at: Option<OffsetDateTime>,
    /// It was revoked because somebody else may have its key.
    pub compromised: bool,
    /// Its device was taken out of the list.
    pub laid_aside: bool,
}

/// Every query of certificates reads the same columns; literals, so that no text can slip into a statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.serial, c.name, c.names, c.authority_id, c.profile, c.device_id, d.name AS device, c.not_before,
             c.not_after, c.sha256, c.der, c.intended_at, c.revoked_at, c.laid_aside,
             coalesce(c.revocation_reason = 'key-compromise', FALSE) AS compromised FROM certificate c LEFT JOIN device d ON d.id = c.device_id ",
            $rest
        )
    };
}

impl Store {
    /// When the ledger last saw something happen: the certificate that came last, not that of the latest time, so that
    /// one made while the clock was wrong is outlived by the next one; or the last backup, if that is later.
    pub async fn last_seen(&self) -> Result<Option<OffsetDateTime>, Error> {
        let last = "SELECT coalesce(issued_at, intended_at) FROM certificate ORDER BY rowid DESC LIMIT 1";
        let certificate: Option<i64> = sqlx::query_scalar(last).fetch_optional(&self.readers).await?;
        let certificate = certificate.map(date).transpose()?;
        Ok(certificate.max(self.last_backup().await?.map(|backup| backup.at)))
    }

    /// Stores an intent, durably. A serial that was used before is refused by the primary key.
    pub async fn intend(&self, intent: &Intent<'_>) -> Result<(), Error> {
        let intent = NewIntent {
            serial: intent.serial.to_owned(),
            authority_id: intent.authority_id,
            state: word(&intent.state)?,
            device_id: intent.device_id,
            profile: intent.profile.to_owned(),
            name: intent.name.map(str::to_owned),
            names: serde_json::to_string(intent.names)?,
            not_before: intent.not_before.unix_timestamp(),
            not_after: intent.not_after.unix_timestamp(),
            intended_at: self.now(),
        };
        self.intents.write(intent).await
    }

    /// Completes an intent with the signed certificate, durably.
    pub async fn record_certificate(&self, serial: &str, sha256: &str, der: &[u8]) -> Result<(), Error> {
        let (serial, sha256, der) = (serial.to_owned(), sha256.to_owned(), der.to_owned());
        self.certificates.write(NewCertificate { serial, sha256, der, issued_at: self.now() }).await
    }

    /// The issued certificate with this serial number and fingerprint, if an authority of the site made it.
    pub async fn issued(&self, serial: &str, sha256: &str) -> Result<Option<CertificateRow>, Error> {
        let row = self.certificate(serial).await?;
        Ok(row.filter(|row| row.sha256.as_deref() == Some(sha256)))
    }

    /// The certificate or intent with this serial number.
    pub async fn certificate(&self, serial: &str) -> Result<Option<CertificateRow>, Error> {
        let row =
            sqlx::query(select!("WHERE c.serial = $1")).bind(serial).fetch_optional(&self.readers).await?;
        row.as_ref().map(certificate).transpose()
    }

    /// At most `limit` certificates and intents whose serial numbers come after `serial`, in that order: all of them can
    /// be read in parts, whatever is issued meanwhile.
    pub async fn certificates_after(&self, serial: &str, limit: u32) -> Result<Vec<CertificateRow>, Error> {
        let rows = sqlx::query(select!("WHERE c.serial > $1 ORDER BY c.serial LIMIT $2"))
            .bind(serial)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(certificate).collect()
    }

    /// The certificates by which a device is known, the oldest first: those that it was seen to serve, and those of
    /// enrolments that are under way or could not be taken back. What an enrolment made that ended otherwise may be in other
    /// hands.
    pub async fn device_certificates(&self, device_id: i64) -> Result<Vec<CertificateRow>, Error> {
        let rows = sqlx::query(select!(
            "WHERE c.device_id = $1 AND c.der IS NOT NULL
               AND (c.serial = d.serial
                    OR EXISTS (SELECT 1 FROM enrolment e WHERE e.serial = c.serial AND e.device_id = $1
                               AND e.state IN ('done', 'open', 'failed')))
             ORDER BY c.intended_at"
        ))
        .bind(device_id)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(certificate).collect()
    }

    /// Serial numbers of the issued certificates that another one took the place of: it was issued later for the same device,
    /// or, to be carried by hand, for the same names. What a device was last seen to show is none of them.
    pub async fn replaced(&self) -> Result<HashSet<String>, Error> {
        let serials: Vec<String> = sqlx::query_scalar(
            "SELECT serial FROM
                 (SELECT serial, rowid AS number, max(CASE WHEN revoked_at IS NULL THEN rowid END)
                             OVER (PARTITION BY coalesce('device ' || device_id, name || ' ' || names, names)) AS newest
                  FROM certificate WHERE der IS NOT NULL)
             WHERE number < newest AND serial NOT IN (SELECT serial FROM device WHERE serial IS NOT NULL)",
        )
        .fetch_all(&self.readers)
        .await?;
        Ok(serials.into_iter().collect())
    }

    /// Issued certificates by expiry, the next first: those that end before `before`, and whose names, serial
    /// or device hold `search`.
    pub async fn certificates(
        &self,
        before: Option<OffsetDateTime>,
        search: Option<&str>,
    ) -> Result<Vec<CertificateRow>, Error> {
        let rows = sqlx::query(select!(
            "WHERE c.der IS NOT NULL AND c.not_after < $1
             AND lower(coalesce(c.name, '') || ' ' || c.names || ' ' || c.serial || ' '
                  || coalesce(d.name, '')) LIKE $2 ESCAPE '\\'
             ORDER BY c.not_after, c.serial"
        ))
        .bind(before.map_or(i64::MAX, OffsetDateTime::unix_timestamp))
        .bind(pattern(search))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(certificate).collect()
    }
}

fn certificate(row: &SqliteRow) -> Result<CertificateRow, Error> {
    Ok(CertificateRow {
        serial: row.try_get("serial")?,
        name: row.try_get("name")?,
        names: serde_json::from_str(row.try_get("names")?)?,
        authority_id: row.try_get("authority_id")?,
        profile: row.try_get("profile")?,
        device_id: row.try_get("device_id")?,
        device: row.try_get("device")?,
        not_before: date(row.try_get("not_before")?)?,
        not_after: date(row.try_get("not_after")?)?,
        sha256: row.try_get("sha256")?,
        der: row.try_get("der")?,
        intended_at: date(row.try_get("intended_at")?)?,
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(date).transpose()?,
        compromised: row.try_get("compromised")?,
        laid_aside: row.try_get("laid_aside")?,
    })
}
