use std::collections::HashMap;

use domain::{AltName, KeyTransport, SignIn, Told, Verdict};
use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};
use time::OffsetDateTime;

use crate::{
    Error, Store, begin, pattern,
    values::{date, from_word, word},
};

/// A device that was met, and where.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Its number, if it is known which device it is; else it is the one at that address, or a new one.
    pub id: Option<i64>,
    /// Address or host name.
    pub host: &'a AltName,
    /// The port at which it was met.
    pub port: u16,
    /// A name for people; kept from the first time.
    pub name: &'a str,
    /// Manufacturer and model, if it tells.
    pub model: Option<&'a str>,
    /// What it says of itself, JSON; `None` leaves what the ledger has.
    pub told: Option<&'a str>,
    /// Its hardware address, if that is known.
    pub mac: Option<&'a str>,
    /// The driver that speaks to it.
    pub driver: &'a str,
    /// It makes its own keys.
    pub makes_key: bool,
    /// Where its HTTPS is, if that was seen.
    pub https_port: Option<u16>,
    /// The operator named it, and it let a user in.
    pub accepted: bool,
    /// What a browser said of it before anything was done; kept from the first time.
    pub first_verdict: Verdict,
    /// The weightiest finding of that moment, JSON.
    pub first_finding: Option<&'a str>,
}

/// How the name of a device ends in whose place another one stands.
const BEFORE: &str = " (before)";

/// Where a device is, or was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// Address or host name.
    pub host: AltName,
    /// The port at which it was met.
    pub port: u16,
    /// Where its HTTPS is, once it has been verified.
    pub https_port: Option<u16>,
    /// Since when it is not there any more.
    pub left_at: Option<OffsetDateTime>,
}

/// A device as stored.
#[derive(Clone, Debug)]
pub struct DeviceRow {
    /// Its number in the ledger.
    pub id: i64,
    /// Address or host name: where it was met last, even if it has left that place.
    pub host: AltName,
    /// The port at which it was met.
    pub port: u16,
    /// Where its HTTPS is, once it has been verified.
    pub https_port: Option<u16>,
    /// Since when it is not there any more, and at no other place that the ledger knows.
    pub left_at: Option<OffsetDateTime>,
    /// The other addresses and names under which it is there.
    pub others: Vec<Place>,
    /// A name for people.
    pub name: Told,
    /// Manufacturer and model.
    pub model: Option<Told>,
    /// What it says of itself, JSON.
    pub told: String,
    /// Its hardware address, if it was ever known.
    pub mac: Option<String>,
    /// The driver that speaks to it.
    pub driver: String,
    /// It makes its own keys.
    pub makes_key: bool,
    /// The operator let a run sign in to it once.
    pub accepted: bool,
    /// How it was signed in to inside TLS.
    pub sign_in: Option<SignIn>,
    /// How it was signed in to over plain HTTP.
    pub sign_in_plain: Option<SignIn>,
    /// What a browser said of it before anything was done.
    pub first_verdict: Verdict,
    /// The weightiest finding of that moment, JSON.
    pub first_finding: Option<String>,
    /// How its present key came to it.
    pub key_transport: Option<KeyTransport>,
    /// The verdict when it was last looked at.
    pub verdict: Verdict,
    /// Serial number of its certificate.
    pub serial: Option<String>,
    /// The last second of that certificate.
    pub not_after: Option<OffsetDateTime>,
    /// When that certificate was revoked, if it was.
    pub revoked_at: Option<OffsetDateTime>,
    /// When it was last looked at.
    pub verified_at: Option<OffsetDateTime>,
    /// Since when each look has had this verdict, as far as that was stored.
    pub verdict_since: Option<OffsetDateTime>,
}

impl DeviceRow {
    /// Every place where it is.
    pub fn places(&self) -> impl Iterator<Item = Place> + '_ {
        let main = Place {
            host: self.host.clone(),
            port: self.port,
            https_port: self.https_port,
            left_at: self.left_at,
        };
        std::iter::once(main).filter(|place| place.left_at.is_none()).chain(self.others.iter().cloned())
    }

    /// Makes the place with this index of the others the main one.
    pub fn lead_with(&mut self, other: usize) {
        let place = self.others.remove(other);
        let was = Place {
            host: std::mem::replace(&mut self.host, place.host),
            port: std::mem::replace(&mut self.port, place.port),
            https_port: std::mem::replace(&mut self.https_port, place.https_port),
            left_at: None,
        };
        self.others.push(was);
    }
}

/// Two rows that a new version of the ledger made one.
#[derive(Clone, Debug)]
pub struct JoinedDevice {
    /// The device that both were.
    pub device: String,
    /// Where the row that is gone was.
    pub host: AltName,
    /// The port of that row.
    pub port: u16,
}

/// Every query of devices reads the same columns; literals, so that no text can slip into a statement.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, a.host, a.port, a.https_port, a.left_at, d.name, d.model, d.told, d.mac, d.driver, d.makes_key,
             d.accepted_at, d.sign_in, d.sign_in_plain, d.first_verdict, d.first_finding, d.key_transport, d.verdict,
             d.serial, c.not_after, c.revoked_at, d.verified_at, d.verdict_since
             FROM device d LEFT JOIN certificate c ON c.serial = d.serial
             JOIN device_address a ON a.sequence = (SELECT l.sequence FROM device_address l WHERE l.device_id = d.id
                  ORDER BY l.left_at IS NULL DESC, l.seen_at DESC, l.sequence DESC LIMIT 1) ",
            $rest
        )
    };
}

impl Store {
    /// Makes or updates the row of a device that was met, which from now on is at that address. Its number.
    pub async fn save_device(&self, device: &NewDevice<'_>) -> Result<i64, Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        let there = match device.id {
            Some(id) => Some(id),
            None => owner(&mut transaction, device.host, device.port).await?,
        };
        let now = self.now();
        let accepted_at = device.accepted.then_some(now);
        let id: i64 = match there {
            Some(id) => {
                sqlx::query(
                    "UPDATE device SET model = coalesce($1, model), told = coalesce($2, told), mac = coalesce($3, mac),
                     driver = $4, makes_key = $5, accepted_at = coalesce(accepted_at, $6) WHERE id = $7",
                )
                .bind(device.model)
                .bind(device.told)
                .bind(device.mac)
                .bind(device.driver)
                .bind(device.makes_key)
                .bind(accepted_at)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
                id
            }
            None => {
                sqlx::query_scalar(
                    "INSERT INTO device (name, model, told, mac, driver, makes_key, accepted_at, verdict, first_verdict,
                     first_finding) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
                )
                .bind(device.name)
                .bind(device.model)
                .bind(device.told.unwrap_or("{}"))
                .bind(device.mac)
                .bind(device.driver)
                .bind(device.makes_key)
                .bind(accepted_at)
                .bind(word(&Verdict::NotSecure)?)
                .bind(word(&device.first_verdict)?)
                .bind(device.first_finding)
                .fetch_one(&mut *transaction)
                .await?
            }
        };
        arrive(&mut transaction, id, device.host, device.port, device.https_port, now).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The device is at this address, and no other one is; it is no longer at the places `left`. A device that was only
    /// ever noted, and is nowhere any more, was this one.
    pub async fn move_device(
        &self,
        id: i64,
        host: &AltName,
        port: u16,
        https_port: Option<u16>,
        left: &[Place],
    ) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        let now = self.now();
        for place in left {
            leave(&mut transaction, &place.host, place.port, Some(id), now).await?;
            // As it is called for want of a better name.
            sqlx::query("UPDATE device SET name = $1 WHERE id = $2 AND name = $3")
                .bind(host.plain())
                .bind(id)
                .bind(place.host.plain())
                .execute(&mut *transaction)
                .await?;
        }
        arrive(&mut transaction, id, host, port, https_port, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The device at this address has left it: another one stands there. Its name says so, since the other one may be called
    /// the same.
    pub async fn device_left(&self, host: &AltName, port: u16) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        sqlx::query("UPDATE device SET name = name || $1 WHERE id = $2")
            .bind(BEFORE)
            .bind(owner(&mut transaction, host, port).await?)
            .execute(&mut *transaction)
            .await?;
        leave(&mut transaction, host, port, None, self.now()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The device that is at this host, by the port where it was met or, after that, by its HTTPS port. The two usual
    /// ports of one host are one device's.
    pub async fn device_at(&self, host: &AltName, port: u16) -> Result<Option<DeviceRow>, Error> {
        let id: Option<i64> = sqlx::query_scalar(
            "SELECT device_id FROM device_address
             WHERE left_at IS NULL AND host = $1
               AND (port = $2 OR https_port = $2
                    OR ($2 = 80 AND port = 443 AND coalesce(https_port, 443) = 443)
                    OR ($2 = 443 AND port = 80 AND https_port IS NULL))
             ORDER BY port = $2 DESC, sequence LIMIT 1",
        )
        .bind(host.to_string())
        .bind(port)
        .fetch_optional(&self.readers)
        .await?;
        let Some(mut device) = (match id {
            Some(id) => self.device(id).await?,
            None => None,
        }) else {
            return Ok(None);
        };
        // Told as it was asked for: the place that was named is the main one.
        if device.host != *host
            && let Some(at) = device.others.iter().position(|place| place.host == *host)
        {
            device.lead_with(at);
        }
        Ok(Some(device))
    }

    /// The device with this number.
    pub async fn device(&self, id: i64) -> Result<Option<DeviceRow>, Error> {
        let rows = sqlx::query(select!("WHERE d.id = $1")).bind(id).fetch_all(&self.readers).await?;
        let places = sqlx::query(
            "SELECT device_id, host, port, https_port FROM device_address
             WHERE device_id = $1 AND left_at IS NULL ORDER BY sequence",
        )
        .bind(id)
        .fetch_all(&self.readers)
        .await?;
        Ok(assembled(&rows, &places)?.pop())
    }

    /// All devices by name, or those whose name, model or address holds `search`.
    pub async fn devices(&self, search: Option<&str>) -> Result<Vec<DeviceRow>, Error> {
        let rows = sqlx::query(select!(
            "WHERE lower(d.name || ' ' || coalesce(d.model, '')) LIKE $1 ESCAPE '\\'
                OR EXISTS (SELECT 1 FROM device_address s WHERE s.device_id = d.id AND lower(s.host) LIKE $1 ESCAPE '\\')
             ORDER BY d.name, d.id"
        ))
        .bind(pattern(search))
        .fetch_all(&self.readers)
        .await?;
        let places = sqlx::query(
            "SELECT device_id, host, port, https_port FROM device_address WHERE left_at IS NULL ORDER BY sequence",
        )
        .fetch_all(&self.readers)
        .await?;
        assembled(&rows, &places)
    }

    /// Stores what a look saw.
    pub async fn record_verdict(
        &self,
        device_id: i64,
        verdict: Verdict,
        https_port: Option<u16>,
        serial: Option<&str>,
        key_transport: Option<KeyTransport>,
    ) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        sqlx::query(
            "UPDATE device SET serial = coalesce($1, serial), key_transport = coalesce($2, key_transport) WHERE id = $3",
        )
        .bind(serial)
        .bind(key_transport.as_ref().map(word).transpose()?)
        .bind(device_id)
        .execute(&mut *transaction)
        .await?;
        looked(&mut transaction, device_id, verdict, self.now()).await?;
        if serial.is_some() {
            sqlx::query("DELETE FROM device_key WHERE device_id = $1 AND passing")
                .bind(device_id)
                .execute(&mut *transaction)
                .await?;
        }
        if let Some(port) = https_port {
            sqlx::query(
                "UPDATE device_address SET https_port = $1 WHERE sequence = (SELECT sequence FROM device_address
                 WHERE device_id = $2 AND left_at IS NULL ORDER BY seen_at DESC, sequence DESC LIMIT 1)",
            )
            .bind(port)
            .bind(device_id)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Stores what looks at devices, by their numbers, saw: all or none.
    pub async fn record_looks(&self, looks: &[(i64, Verdict)]) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        for (device_id, verdict) in looks {
            looked(&mut transaction, *device_id, *verdict, self.now()).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Stores how the device was signed in to: inside TLS, and over plain HTTP. `None` leaves what there is.
    pub async fn record_sign_in(&self, device_id: i64, ways: [Option<SignIn>; 2]) -> Result<(), Error> {
        let [tls, plain] = ways;
        sqlx::query(
            "UPDATE device SET sign_in = coalesce($1, sign_in), sign_in_plain = coalesce($2, sign_in_plain) WHERE id = $3",
        )
        .bind(tls.as_ref().map(word).transpose()?)
        .bind(plain.as_ref().map(word).transpose()?)
        .bind(device_id)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Stores a key that the device showed at its first contact; or, `passing`, that of a throw-away certificate, which
    /// means nothing any more once the device shows a certificate of ours.
    pub async fn record_device_key(&self, device_id: i64, key: &str, passing: bool) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO device_key (device_id, key, passing) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(device_id)
        .bind(key)
        .bind(passing)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// The keys that [`Store::record_device_key`] stored.
    pub async fn device_keys(&self, device_id: i64) -> Result<Vec<String>, Error> {
        let keys = sqlx::query_scalar("SELECT key FROM device_key WHERE device_id = $1 ORDER BY key");
        Ok(keys.bind(device_id).fetch_all(&self.readers).await?)
    }

    /// Whether another device that is somewhere has this hardware address.
    pub async fn has_other_with_mac(&self, mac: &str, device_id: Option<i64>) -> Result<bool, Error> {
        let other = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM device d JOIN device_address a ON a.device_id = d.id AND a.left_at IS NULL
             WHERE d.mac = $1 AND d.id <> $2)",
        );
        Ok(other.bind(mac).bind(device_id.unwrap_or(-1)).fetch_one(&self.readers).await?)
    }

    /// Forgets which keys the device showed and how it was signed in to.
    pub async fn forget_device_keys(&self, device_id: i64) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        forget_keys(&mut transaction, device_id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The device was reset, and shows this certificate since: none of those before it is that of the present device.
    pub async fn disown_earlier(&self, device_id: i64, serial: &str) -> Result<(), Error> {
        sqlx::query(
            "UPDATE enrolment SET state = 'superseded' WHERE device_id = $1 AND coalesce(serial, '') <> $2",
        )
        .bind(device_id)
        .bind(serial)
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// Gives the device another name for people.
    pub async fn rename_device(&self, device_id: i64, name: &str) -> Result<(), Error> {
        sqlx::query("UPDATE device SET name = $1 WHERE id = $2")
            .bind(name)
            .bind(device_id)
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Takes the device out of the ledger, with its enrolments. Its certificates stay, as those of no device.
    pub async fn forget_device(&self, device_id: i64) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        remove(&mut transaction, device_id).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The rows that became one when the ledger was taken to its present version.
    pub async fn joined_devices(&self) -> Result<Vec<JoinedDevice>, Error> {
        let rows = sqlx::query(
            "SELECT d.name, j.host, j.port FROM device_joined j JOIN device d ON d.id = j.kept ORDER BY j.gone",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(JoinedDevice {
                    device: row.try_get("name")?,
                    host: host(row)?,
                    port: row.try_get("port")?,
                })
            })
            .collect()
    }
}

async fn owner(
    transaction: &mut Transaction<'_, Sqlite>,
    host: &AltName,
    port: u16,
) -> Result<Option<i64>, Error> {
    let owner = sqlx::query_scalar(
        "SELECT device_id FROM device_address WHERE host = $1 AND port = $2 AND left_at IS NULL",
    );
    Ok(owner.bind(host.to_string()).bind(port).fetch_optional(&mut **transaction).await?)
}

/// Nobody else is there from now on.
async fn arrive(
    transaction: &mut Transaction<'_, Sqlite>,
    id: i64,
    host: &AltName,
    port: u16,
    https_port: Option<u16>,
    now: i64,
) -> Result<(), Error> {
    // It is no longer the one before another.
    sqlx::query("UPDATE device SET name = replace(name, $1, '') WHERE id = $2")
        .bind(BEFORE)
        .bind(id)
        .execute(&mut **transaction)
        .await?;
    // One port has one device behind it, whether others know it as that of http or of https.
    let ports: Vec<u16> = sqlx::query_scalar(
        "SELECT port FROM device_address WHERE host = $1 AND left_at IS NULL AND device_id <> $2
         AND (port = $3 OR port = $4 OR https_port = $4)",
    )
    .bind(host.to_string())
    .bind(id)
    .bind(port)
    .bind(https_port)
    .fetch_all(&mut **transaction)
    .await?;
    for port in ports {
        leave(transaction, host, port, None, now).await?;
    }
    sqlx::query(
        "INSERT INTO device_address (device_id, host, port, https_port, seen_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (host, port) WHERE left_at IS NULL
         DO UPDATE SET seen_at = excluded.seen_at, https_port = coalesce(excluded.https_port, https_port)",
    )
    .bind(id)
    .bind(host.to_string())
    .bind(port)
    .bind(https_port)
    .bind(now)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

async fn looked(
    transaction: &mut Transaction<'_, Sqlite>,
    id: i64,
    verdict: Verdict,
    now: i64,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE device SET verdict_since = CASE WHEN verdict = $1 THEN coalesce(verdict_since, $2) ELSE $2 END,
         verdict = $1, verified_at = $2 WHERE id = $3",
    )
    .bind(word(&verdict)?)
    .bind(now)
    .bind(id)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Whoever is there is not there any more; only if it is the device `id`, where that is given. A device that was noted and
/// never accepted has nothing by which it could be found again.
async fn leave(
    transaction: &mut Transaction<'_, Sqlite>,
    host: &AltName,
    port: u16,
    id: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let Some(there) = owner(transaction, host, port).await?.filter(|there| id.is_none_or(|id| id == *there))
    else {
        return Ok(());
    };
    sqlx::query("UPDATE device_address SET left_at = $1 WHERE host = $2 AND port = $3 AND left_at IS NULL")
        .bind(now)
        .bind(host.to_string())
        .bind(port)
        .execute(&mut **transaction)
        .await?;
    if id.is_some() {
        return Ok(());
    }
    let (is_somewhere, is_accepted): (bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM device_address WHERE device_id = d.id AND left_at IS NULL),
         d.accepted_at IS NOT NULL OR d.serial IS NOT NULL FROM device d WHERE d.id = $1",
    )
    .bind(there)
    .fetch_one(&mut **transaction)
    .await?;
    match (is_somewhere, is_accepted) {
        (true, _) => {}
        // What was last said of it was said of that address.
        (false, true) => looked(transaction, there, Verdict::Unreachable, now).await?,
        (false, false) => remove(transaction, there).await?,
    }
    Ok(())
}

async fn forget_keys(transaction: &mut Transaction<'_, Sqlite>, id: i64) -> Result<(), Error> {
    for statement in [
        "DELETE FROM device_key WHERE device_id = $1",
        "UPDATE device SET sign_in = NULL, sign_in_plain = NULL WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **transaction).await?;
    }
    Ok(())
}

async fn remove(transaction: &mut Transaction<'_, Sqlite>, id: i64) -> Result<(), Error> {
    for statement in [
        "DELETE FROM enrolment_step WHERE enrolment_id IN (SELECT id FROM enrolment WHERE device_id = $1)",
        "DELETE FROM enrolment WHERE device_id = $1",
        "DELETE FROM device_key WHERE device_id = $1",
        "DELETE FROM device_address WHERE device_id = $1",
        "UPDATE certificate SET device_id = NULL, laid_aside = TRUE WHERE device_id = $1",
        "DELETE FROM device WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id).execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Devices with all their places, in the order of `rows`.
fn assembled(rows: &[SqliteRow], places: &[SqliteRow]) -> Result<Vec<DeviceRow>, Error> {
    let mut of: HashMap<i64, Vec<Place>> = HashMap::new();
    for row in places {
        let place = Place {
            host: host(row)?,
            port: row.try_get("port")?,
            https_port: row.try_get("https_port")?,
            left_at: None,
        };
        of.entry(row.try_get("device_id")?).or_default().push(place);
    }
    rows.iter()
        .map(|row| {
            let mut device = device(row)?;
            let others = of.remove(&device.id).unwrap_or_default();
            let is_main = |place: &Place| place.host == device.host && place.port == device.port;
            device.others = others.into_iter().filter(|place| !is_main(place)).collect();
            Ok(device)
        })
        .collect()
}

fn host(row: &SqliteRow) -> Result<AltName, Error> {
    let host: String = row.try_get("host")?;
    AltName::try_from(host).map_err(|e| Error::StoredData { detail: e.to_string() })
}

fn device(row: &SqliteRow) -> Result<DeviceRow, Error> {
    let key_transport: Option<String> = row.try_get("key_transport")?;
    let way = |column: &str| {
        let way: Option<String> = row.try_get(column)?;
        way.as_deref().map(from_word).transpose()
    };
    Ok(DeviceRow {
        id: row.try_get("id")?,
        host: host(row)?,
        port: row.try_get("port")?,
        https_port: row.try_get("https_port")?,
        left_at: row.try_get::<Option<i64>, _>("left_at")?.map(date).transpose()?,
        others: Vec::new(),
        name: Told::from(row.try_get::<String, _>("name")?),
        model: row.try_get::<Option<String>, _>("model")?.map(Told::from),
        told: row.try_get("told")?,
        mac: row.try_get("mac")?,
        driver: row.try_get("driver")?,
        makes_key: row.try_get("makes_key")?,
        accepted: row.try_get::<Option<i64>, _>("accepted_at")?.is_some(),
        sign_in: way("sign_in")?,
        sign_in_plain: way("sign_in_plain")?,
        first_verdict: from_word(row.try_get("first_verdict")?)?,
        first_finding: row.try_get("first_finding")?,
        key_transport: key_transport.as_deref().map(from_word).transpose()?,
        verdict: from_word(row.try_get("verdict")?)?,
        serial: row.try_get("serial")?,
        not_after: row.try_get::<Option<i64>, _>("not_after")?.map(date).transpose()?,
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(date).transpose()?,
        verified_at: row.try_get::<Option<i64>, _>("verified_at")?.map(date).transpose()?,
        verdict_since: row.try_get::<Option<i64>, _>("verdict_since")?.map(date).transpose()?,
    })
}
