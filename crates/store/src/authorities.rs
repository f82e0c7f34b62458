use sqlx::{Row, Sqlite, Transaction, sqlite::SqliteRow};
use time::OffsetDateTime;

use crate::{
    Error, Store, begin,
    values::{date, from_word, word},
};

/// What an authority is for at present.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthorityState {
    /// Made, and issues nothing until the operator confirms that its root is on the computers.
    Next,
    /// Issues.
    Active,
    /// Issues no more; what it issued may still be in use.
    Old,
    /// A root whose key is not on this machine; the issuer below it says what it is for.
    Offline,
}

/// An authority's private key as it is stored.
#[derive(Clone, Debug)]
pub struct Key {
    /// With the master key.
    pub sealed: Vec<u8>,
    /// Encrypted to the recovery key (an armored `age` file).
    pub for_recovery: String,
    /// The key's signature on what the two belong to.
    pub vouched: Vec<u8>,
}

/// An authority to be stored.
#[derive(Debug)]
pub struct NewAuthority<'a> {
    /// Its certificate, DER.
    pub certificate: &'a [u8],
    /// Its private key; `None` if that is elsewhere.
    pub key: Option<&'a Key>,
    /// The names it may speak for, JSON.
    pub permitted: &'a str,
    /// Whether its certificate says so.
    pub constrained: bool,
    /// What it is for.
    pub state: AuthorityState,
}

/// An authority as stored.
#[derive(Clone, Debug)]
pub struct AuthorityRow {
    /// Its number in the ledger.
    pub id: i64,
    /// The number of the root above it, with two tiers.
    pub root_id: Option<i64>,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key sealed with the master key, if it is on this machine.
    pub sealed_key: Option<Vec<u8>>,
    /// The same, encrypted to the recovery key (an armored `age` file).
    pub for_recovery: Option<String>,
    /// The key's signature on that and on the recovery key.
    pub vouched: Option<Vec<u8>>,
    /// The names it may speak for, JSON.
    pub permitted: String,
    /// Whether its certificate says so.
    pub constrained: bool,
    /// What it is for.
    pub state: AuthorityState,
    /// When it was made.
    pub created_at: OffsetDateTime,
}

/// What is still in use of an authority's: neither past its end nor revoked.
#[derive(Clone, Debug, Default)]
pub struct Dependents {
    /// Devices that serve one of its certificates.
    pub devices: Vec<String>,
    /// Certificates that Camlock did not install.
    pub by_hand: Vec<String>,
}

impl Store {
    pub(crate) async fn authorities(&self) -> Result<Vec<AuthorityRow>, Error> {
        let rows = sqlx::query(
            "SELECT id, root_id, certificate, sealed, for_recovery, vouched, permitted, constrained, state, created_at
             FROM authority LEFT JOIN authority_key ON authority_id = id ORDER BY id",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(authority).collect()
    }

    /// Stores the authority that is to come after the active one. Refuses where one waits already, and where the vault is
    /// not `vault` any more: its key would be for another recovery key.
    pub async fn add_next(&self, vault: &str, authority: &[NewAuthority<'_>]) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        same_vault(&mut transaction, vault).await?;
        if count_next(&mut transaction).await? > 0 {
            return Err(Error::RolloverUnderWay);
        }
        insert(&mut transaction, authority, None, self.now()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The next authority becomes the active one.
    pub async fn confirm_next(&self) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        if count_next(&mut transaction).await? == 0 {
            return Err(Error::NoRollover);
        }
        sqlx::query(
            "UPDATE authority SET state = CASE state WHEN 'next' THEN 'active' ELSE 'old' END
             WHERE state IN ('next', 'active')",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Forgets the next authority, and what browsers proved by: it has issued nothing else.
    pub async fn cancel_next(&self) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        if count_next(&mut transaction).await? == 0 {
            return Err(Error::NoRollover);
        }
        for forgets in [
            "DELETE FROM certificate WHERE authority_id IN (SELECT id FROM authority WHERE state = 'next')",
            "DELETE FROM authority_key WHERE authority_id IN (SELECT id FROM authority WHERE state = 'next')",
        ] {
            sqlx::query(forgets).execute(&mut *transaction).await?;
        }
        sqlx::query("DELETE FROM authority WHERE state = 'next'").execute(&mut *transaction).await?;
        sqlx::query(
            "DELETE FROM authority WHERE state = 'offline'
             AND id NOT IN (SELECT root_id FROM authority WHERE root_id IS NOT NULL)",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Puts a new issuer in the place of `replaced_id`, below the same offline root. Refuses where that one does not issue
    /// any more, and where the vault is not `vault` any more.
    pub async fn replace_issuer(
        &self,
        vault: &str,
        replaced_id: i64,
        root_id: i64,
        issuer: &NewAuthority<'_>,
    ) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        same_vault(&mut transaction, vault).await?;
        let done = sqlx::query("UPDATE authority SET state = 'old' WHERE id = $1 AND state = 'active'")
            .bind(replaced_id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Err(Error::NotTheIssuer);
        }
        insert(&mut transaction, std::slice::from_ref(issuer), Some(root_id), self.now()).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// What still depends on an authority. The site's own pages, servers of the names `own`, move by
    /// themselves.
    pub async fn dependents(&self, authority_id: i64, own: [&str; 2]) -> Result<Dependents, Error> {
        let devices = sqlx::query_scalar(
            "SELECT d.name || coalesce(' (' || (SELECT min(a.host) FROM device_address a WHERE a.device_id = d.id
                    AND a.left_at IS NULL) || ')', '') FROM device d JOIN certificate c ON c.serial = d.serial
             WHERE c.authority_id = $1 AND c.not_after > $2 AND c.revoked_at IS NULL ORDER BY d.name, d.id",
        );
        let by_hand = sqlx::query_scalar(
            "SELECT coalesce(name, names) FROM certificate
             WHERE authority_id = $1 AND not_after > $2 AND revoked_at IS NULL AND der IS NOT NULL
             AND device_id IS NULL AND NOT (profile = 'server' AND coalesce(name, '') IN ($3, $4)) ORDER BY not_after, serial",
        );
        let now = self.now();
        Ok(Dependents {
            devices: devices.bind(authority_id).bind(now).fetch_all(&self.readers).await?,
            by_hand: by_hand
                .bind(authority_id)
                .bind(now)
                .bind(own[0])
                .bind(own[1])
                .fetch_all(&self.readers)
                .await?,
        })
    }
}

/// All of them or none: an authority that was added meanwhile would keep a key for the old recovery key.
pub(crate) async fn replace_keys(
    transaction: &mut Transaction<'_, Sqlite>,
    keys: &[(i64, Key)],
) -> Result<(), Error> {
    for (authority_id, key) in keys {
        sqlx::query(
            "UPDATE authority_key SET sealed = $1, for_recovery = $2, vouched = $3 WHERE authority_id = $4",
        )
        .bind(&key.sealed)
        .bind(&key.for_recovery)
        .bind(&key.vouched)
        .bind(authority_id)
        .execute(&mut **transaction)
        .await?;
    }
    let there: Vec<i64> =
        sqlx::query_scalar("SELECT authority_id FROM authority_key").fetch_all(&mut **transaction).await?;
    let given = |id: &i64| keys.iter().any(|(key, _)| key == id);
    if there.len() == keys.len() && there.iter().all(given) { Ok(()) } else { Err(Error::SecretsChanged) }
}

async fn same_vault(transaction: &mut Transaction<'_, Sqlite>, vault: &str) -> Result<(), Error> {
    let stored: String = sqlx::query_scalar("SELECT vault FROM site").fetch_one(&mut **transaction).await?;
    if stored == vault { Ok(()) } else { Err(Error::SecretsChanged) }
}

async fn count_next(transaction: &mut Transaction<'_, Sqlite>) -> Result<i64, Error> {
    let count = sqlx::query_scalar("SELECT count(*) FROM authority WHERE state = 'next'");
    Ok(count.fetch_one(&mut **transaction).await?)
}

/// Each below the one before it; the first below `root_id`.
pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    authorities: &[NewAuthority<'_>],
    root_id: Option<i64>,
    now: i64,
) -> Result<(), Error> {
    let mut above = root_id;
    for authority in authorities {
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO authority (root_id, certificate, permitted, constrained, state, created_at)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(above)
        .bind(authority.certificate)
        .bind(authority.permitted)
        .bind(authority.constrained)
        .bind(word(&authority.state)?)
        .bind(now)
        .fetch_one(&mut **transaction)
        .await?;
        if let Some(key) = authority.key {
            sqlx::query(
                "INSERT INTO authority_key (authority_id, sealed, for_recovery, vouched) VALUES ($1, $2, $3, $4)",
            )
            .bind(id)
            .bind(&key.sealed)
            .bind(&key.for_recovery)
            .bind(&key.vouched)
            .execute(&mut **transaction)
            .await?;
        }
        above = Some(id);
    }
    Ok(())
}

fn authority(row: &SqliteRow) -> Result<AuthorityRow, Error> {
    Ok(AuthorityRow {
        id: row.try_get("id")?,
        root_id: row.try_get("root_id")?,
        certificate: row.try_get("certificate")?,
        sealed_key: row.try_get("sealed")?,
        for_recovery: row.try_get("for_recovery")?,
        vouched: row.try_get("vouched")?,
        permitted: row.try_get("permitted")?,
        constrained: row.try_get("constrained")?,
        state: from_word(row.try_get("state")?)?,
        created_at: date(row.try_get("created_at")?)?,
    })
}
