use sqlx::Row;

use crate::{Error, Store, begin, now};

/// What `init` stores, all at once.
#[derive(Debug)]
pub struct NewSite<'a> {
    /// The site's name.
    pub name: &'a str,
    /// The master key's wrappings, JSON.
    pub vault: &'a str,
    /// The root, DER.
    pub certificate: &'a [u8],
    /// The root's private key, sealed with the master key.
    pub sealed_key: &'a [u8],
    /// The names it may speak for, JSON.
    pub permitted: &'a str,
    /// Whether the root itself says so.
    pub constrained: bool,
}

/// The site and its authority.
#[derive(Clone, Debug)]
pub struct Site {
    /// The site's name.
    pub name: String,
    /// The master key's wrappings, JSON.
    pub vault: String,
    /// The authority that issues now.
    pub authority: AuthorityRow,
}

/// An authority as stored.
#[derive(Clone, Debug)]
pub struct AuthorityRow {
    /// Its number in the ledger.
    pub id: i64,
    /// The root, DER.
    pub certificate: Vec<u8>,
    /// The root's private key, sealed with the master key.
    pub sealed_key: Vec<u8>,
    /// The names it may speak for, JSON.
    pub permitted: String,
    /// Whether the root itself says so.
    pub constrained: bool,
}

impl Store {
    /// Stores site, vault and authority, or nothing. Refuses where there is one.
    pub async fn found_site(&self, site: &NewSite<'_>) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        let there: Option<String> =
            sqlx::query_scalar("SELECT name FROM site").fetch_optional(&mut *transaction).await?;
        if let Some(site) = there {
            return Err(Error::AuthorityExists { site });
        }
        sqlx::query("INSERT INTO site (id, name, vault, created_at) VALUES (1, $1, $2, $3)")
            .bind(site.name)
            .bind(site.vault)
            .bind(now())
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO authority (certificate, sealed_key, permitted, constrained, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(site.certificate)
        .bind(site.sealed_key)
        .bind(site.permitted)
        .bind(site.constrained)
        .bind(now())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The site, or [`Error::NoAuthority`] before `init`.
    pub async fn site(&self) -> Result<Site, Error> {
        let row = sqlx::query(
            "SELECT site.name, site.vault, authority.id, certificate, sealed_key, permitted, constrained
             FROM site, authority ORDER BY authority.id DESC LIMIT 1",
        )
        .fetch_optional(&self.readers)
        .await?
        .ok_or(Error::NoAuthority)?;
        Ok(Site {
            name: row.try_get("name")?,
            vault: row.try_get("vault")?,
            authority: AuthorityRow {
                id: row.try_get("id")?,
                certificate: row.try_get("certificate")?,
                sealed_key: row.try_get("sealed_key")?,
                permitted: row.try_get("permitted")?,
                constrained: row.try_get("constrained")?,
            },
        })
    }
}
