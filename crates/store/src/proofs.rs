use std::net::IpAddr;

use sqlx::Row;
use time::{Date, Duration, OffsetDateTime};

use crate::{Error, Store, begin, values::date};

/// So many addresses are counted for each root; whoever makes up more of them adds nothing.
const MOST: i64 = 1000;
/// What is older is forgotten.
const KEPT: Duration = Duration::days(400);

/// Browsers that have proven that they trust a root.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Proofs {
    /// Addresses that they had.
    pub computers: i64,
    /// The last day on which one did.
    pub last: Date,
    /// No more are counted: somebody has made them up, and the number is worth nothing.
    pub at_limit: bool,
}

impl Store {
    /// Counts a browser at this address as one that trusts the root with this SHA-256. Twice on one day writes nothing.
    pub async fn record_proof(&self, root: &str, address: IpAddr, now: OffsetDateTime) -> Result<(), Error> {
        let (address, day) = (address.to_string(), first_second(now));
        let known = sqlx::query("SELECT 1 FROM proof WHERE root = $1 AND address = $2 AND day >= $3");
        let known = known.bind(root).bind(&address).bind(day).fetch_optional(&self.readers).await?;
        if known.is_some() {
            return Ok(());
        }
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        sqlx::query("DELETE FROM proof WHERE day < $1")
            .bind(first_second(now - KEPT))
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO proof (root, address, day) SELECT $1, $2, $3
             WHERE (SELECT count(*) FROM proof WHERE root = $1 AND address <> $2) < $4
             ON CONFLICT (root, address) DO UPDATE SET day = excluded.day",
        )
        .bind(root)
        .bind(&address)
        .bind(day)
        .bind(MOST)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Who has proven that they trust the root with this SHA-256; `None` is nobody.
    pub async fn proofs(&self, root: &str) -> Result<Option<Proofs>, Error> {
        let row = sqlx::query("SELECT count(*) AS computers, max(day) AS last FROM proof WHERE root = $1")
            .bind(root)
            .fetch_one(&self.readers)
            .await?;
        let last: Option<i64> = row.try_get("last")?;
        let Some(last) = last else { return Ok(None) };
        let computers = row.try_get("computers")?;
        Ok(Some(Proofs { computers, last: date(last)?.date(), at_limit: computers >= MOST }))
    }
}

fn first_second(now: OffsetDateTime) -> i64 {
    now.unix_timestamp().div_euclid(86_400) * 86_400
}
