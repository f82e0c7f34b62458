use sqlx::Row;

use crate::{AuthorityRow, Error, Key, NewAuthority, Store, authorities, begin};

/// What `init` stores, all at once.
#[derive(Debug)]
pub struct NewSite<'a> {
    /// The site's name.
    pub name: &'a str,
    /// The master key's wrappings, JSON.
    pub vault: &'a str,
    /// Its authority: one certificate, or an offline root and the issuer below it.
    pub authority: &'a [NewAuthority<'a>],
}

/// The site and its authorities.
#[derive(Clone, Debug)]
pub struct Site {
    /// The site's name.
    pub name: String,
    /// The master key's wrappings, JSON.
    pub vault: String,
    /// Every authority that it has or had, the first one first.
    pub authorities: Vec<AuthorityRow>,
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
        let now = self.now();
        sqlx::query("INSERT INTO site (id, name, vault, created_at) VALUES (1, $1, $2, $3)")
            .bind(site.name)
            .bind(site.vault)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
        authorities::insert(&mut transaction, site.authority, None, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The site, or [`Error::NoAuthority`] before `init`.
    pub async fn site(&self) -> Result<Site, Error> {
        let row = sqlx::query("SELECT name, vault FROM site")
            .fetch_optional(&self.readers)
            .await?
            .ok_or(Error::NoAuthority)?;
        Ok(Site {
            name: row.try_get("name")?,
            vault: row.try_get("vault")?,
            authorities: self.authorities().await?,
        })
    }

    /// Replaces the master key's wrappings, only if they are still `read`: of two commands at once one is told, and
    /// neither undoes the other. Where the keys change with them, as with a new recovery key, `keys` are those of all
    /// authorities.
    pub async fn replace_vault(
        &self,
        read: &str,
        new: &str,
        keys: Option<&[(i64, Key)]>,
    ) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        let done = sqlx::query("UPDATE site SET vault = $1 WHERE id = 1 AND vault = $2")
            .bind(new)
            .bind(read)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Err(Error::SecretsChanged);
        }
        if let Some(keys) = keys {
            authorities::replace_keys(&mut transaction, keys).await?;
        }
        transaction.commit().await?;
        drop(connection);
        self.fold_log().await
    }
}
