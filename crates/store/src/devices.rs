use domain::{AltName, KeyTransport, Told, Verdict};
use sqlx::{Row, sqlite::SqliteRow};
use time::OffsetDateTime;

use crate::{Error, Store, certificates::date, now, pattern};

/// A device that an enrolment begins for.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Address or host name.
    pub host: &'a AltName,
    /// The port at which it was met.
    pub port: u16,
    /// A name for people.
    pub name: &'a str,
    /// Manufacturer and model, if it tells.
    pub model: Option<&'a str>,
    /// The driver that speaks to it.
    pub driver: &'a str,
    /// What a browser said of it before anything was done; kept from the first time.
    pub first_verdict: Verdict,
    /// The weightiest finding of that moment, JSON.
    pub first_finding: Option<&'a str>,
}

/// A device as stored.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Its number in the ledger.
    pub id: i64,
    /// Address or host name.
    pub host: AltName,
    /// The port at which it was met.
    pub port: u16,
    /// Where its HTTPS is, once it has been verified.
    pub https_port: Option<u16>,
    /// A name for people.
    pub name: Told,
    /// Manufacturer and model.
    pub model: Option<Told>,
    /// The driver that speaks to it.
    pub driver: String,
    /// What a browser said of it before anything was done.
    pub first_verdict: Verdict,
    /// The weightiest finding of that moment, JSON.
    pub first_finding: Option<String>,
    /// How its present key came to it.
    pub key_transport: Option<KeyTransport>,
    /// The verdict when it was last verified.
    pub verdict: Verdict,
    /// Serial number of its certificate.
    pub serial: Option<String>,
    /// The last second of that certificate.
    pub not_after: Option<OffsetDateTime>,
    /// When it was last verified.
    pub verified_at: Option<OffsetDateTime>,
}

/// Every query of devices reads the same columns; literals, so that no text can slip into a statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.host, d.port, d.https_port, d.name, d.model, d.driver, d.first_verdict,
             d.first_finding, d.key_transport, d.verdict, d.serial, c.not_after, d.verified_at
             FROM device d LEFT JOIN certificate c ON c.serial = d.serial ",
            $rest
        )
    };
}

impl Store {
    /// The number of the device at this host and port; makes or updates the row.
    pub async fn save_device(&self, device: &NewDevice<'_>) -> Result<i64, Error> {
        let id = sqlx::query_scalar(
            "INSERT INTO device (host, port, name, model, driver, verdict, first_verdict, first_finding)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (host, port) DO UPDATE SET model = excluded.model, driver = excluded.driver
             RETURNING id",
        )
        .bind(device.host.to_string())
        .bind(device.port)
        .bind(device.name)
        .bind(device.model)
        .bind(device.driver)
        .bind(word(&Verdict::NotSecure)?)
        .bind(word(&device.first_verdict)?)
        .bind(device.first_finding)
        .fetch_one(&self.writer)
        .await?;
        Ok(id)
    }

    /// The device known at this host, by the port where it was met or, after that, by its HTTPS port.
    pub async fn device_at(&self, host: &AltName, port: u16) -> Result<Option<DeviceRow>, Error> {
        let row = sqlx::query(select!(
            "WHERE d.host = $1 AND (d.port = $2 OR d.https_port = $2) ORDER BY d.port = $2 DESC, d.id LIMIT 1"
        ))
        .bind(host.to_string())
        .bind(port)
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(device).transpose()
    }

    /// The device with this number.
    pub async fn device(&self, id: i64) -> Result<Option<DeviceRow>, Error> {
        let row = sqlx::query(select!("WHERE d.id = $1")).bind(id).fetch_optional(&self.readers).await?;
        row.as_ref().map(device).transpose()
    }

    /// All devices by name, or those whose name, model or address holds `search`.
    pub async fn devices(&self, search: Option<&str>) -> Result<Vec<DeviceRow>, Error> {
        let rows = sqlx::query(select!(
            "WHERE lower(d.name || ' ' || coalesce(d.model, '') || ' ' || d.host) LIKE $1 ESCAPE '\\'
             ORDER BY d.name, d.id"
        ))
        .bind(pattern(search))
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(device).collect()
    }

    /// Stores what a verification saw.
    pub async fn record_verdict(
        &self,
        device_id: i64,
        verdict: Verdict,
        https_port: Option<u16>,
        serial: Option<&str>,
        key_transport: Option<KeyTransport>,
    ) -> Result<(), Error> {
        sqlx::query(
            "UPDATE device SET verdict = $1, https_port = coalesce($2, https_port), serial = coalesce($3, serial),
             key_transport = coalesce($4, key_transport), verified_at = $5 WHERE id = $6",
        )
        .bind(word(&verdict)?)
        .bind(https_port)
        .bind(serial)
        .bind(key_transport.as_ref().map(word).transpose()?)
        .bind(now())
        .bind(device_id)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

fn device(row: &SqliteRow) -> Result<DeviceRow, Error> {
    let host: String = row.try_get("host")?;
    let key_transport: Option<String> = row.try_get("key_transport")?;
    Ok(DeviceRow {
        id: row.try_get("id")?,
        host: AltName::try_from(host).map_err(|e| Error::StoredData { detail: e.to_string() })?,
        port: row.try_get("port")?,
        https_port: row.try_get("https_port")?,
        name: row.try_get::<String, _>("name")?.into(),
        model: row.try_get::<Option<String>, _>("model")?.map(Told::from),
        driver: row.try_get("driver")?,
        first_verdict: from_word(row.try_get("first_verdict")?)?,
        first_finding: row.try_get("first_finding")?,
        key_transport: key_transport.as_deref().map(from_word).transpose()?,
        verdict: from_word(row.try_get("verdict")?)?,
        serial: row.try_get("serial")?,
        not_after: row.try_get::<Option<i64>, _>("not_after")?.map(date).transpose()?,
        verified_at: row.try_get::<Option<i64>, _>("verified_at")?.map(date).transpose()?,
    })
}

/// A type of the domain whose serialised form is one word, as that word.
pub(crate) fn word<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(Error::StoredData { detail: format!("{other} is no word") }),
    }
}

pub(crate) fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, Error> {
    Ok(serde_json::from_value(serde_json::Value::String(word.to_owned()))?)
}
