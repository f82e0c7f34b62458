use std::path::{Path, PathBuf};

use sqlx::Row;
use time::OffsetDateTime;

use crate::{Error, Lease, Store, begin, make_private_file};

/// Where a snapshot is while it is needed: in the data directory, because it is as secret as the ledger.
const SNAPSHOT: &str = "snapshot.db";

/// A copy of the ledger as it was at one moment. Removed when dropped; what a killed run left is removed by the next.
#[derive(Debug)]
pub struct Snapshot {
    path: PathBuf,
    _lease: Lease,
}

impl Snapshot {
    /// A database file of its own, without logs beside it.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// When a backup was made, and where it went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BackupRow {
    /// When.
    pub at: OffsetDateTime,
    /// The file, as its path was then.
    pub file: String,
    /// SHA-256 of the root that was in force, lower-case hexadecimal; `None` if an older version made it.
    pub root: Option<String>,
    /// The public half of the recovery key that opens it; `None` if an older version made it.
    pub recovery: Option<String>,
    /// Somebody has opened a backup with that recovery key, to try it.
    pub tried: bool,
}

impl Store {
    /// Copies the ledger while others go on writing; `None` while another backup does so.
    pub async fn snapshot(&self) -> Result<Option<Snapshot>, Error> {
        let failed = |e: std::io::Error| Error::DataDirectory {
            directory: self.directory.display().to_string(),
            reason: e.to_string(),
        };
        let Some(lease) = Lease::take(&self.directory, "backup")? else { return Ok(None) };
        let snapshot = Snapshot { path: self.directory.join(SNAPSHOT), _lease: lease };
        match std::fs::remove_file(&snapshot.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        // Empty, which SQLite takes as a new one, and private before anything is in it.
        make_private_file(&snapshot.path).map_err(failed)?;
        let path =
            snapshot.path.to_str().ok_or_else(|| failed(std::io::ErrorKind::InvalidFilename.into()))?;
        sqlx::query("VACUUM INTO $1").bind(path).execute(&self.readers).await?;
        Ok(Some(snapshot))
    }

    /// Reads all of the ledger, and fails where it is damaged.
    pub async fn check_integrity(&self) -> Result<(), Error> {
        let said: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_all(&self.readers).await?;
        if said != ["ok"] {
            return Err(Error::StoredData { detail: said.join("; ") });
        }
        let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&self.readers).await?;
        if let Some(row) = dangling {
            let table: String = row.try_get("table")?;
            return Err(Error::StoredData { detail: format!("{table} refers to what is not there") });
        }
        Ok(())
    }

    /// Stores that a backup was made.
    pub async fn record_backup(&self, backup: &BackupRow) -> Result<(), Error> {
        let mut connection = self.writer.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        // Only the last one is of use; the key that was tried is the same.
        let tried: Option<bool> = sqlx::query_scalar("SELECT tried FROM backup WHERE recovery = $1")
            .bind(&backup.recovery)
            .fetch_optional(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM backup").execute(&mut *transaction).await?;
        sqlx::query("INSERT INTO backup (at, file, root, recovery, tried) VALUES ($1, $2, $3, $4, $5)")
            .bind(backup.at.unix_timestamp())
            .bind(&backup.file)
            .bind(&backup.root)
            .bind(&backup.recovery)
            .bind(backup.tried || tried == Some(true))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Stores that this recovery key, by its public half, has opened a backup.
    pub async fn record_backup_tried(&self, recovery: &str) -> Result<(), Error> {
        let tried = sqlx::query("UPDATE backup SET tried = TRUE WHERE recovery = $1");
        tried.bind(recovery).execute(&self.writer).await?;
        Ok(())
    }

    /// The last backup, by command or by the service.
    pub async fn last_backup(&self) -> Result<Option<BackupRow>, Error> {
        let row = sqlx::query("SELECT at, file, root, recovery, tried FROM backup")
            .fetch_optional(&self.readers)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let at = OffsetDateTime::from_unix_timestamp(row.try_get("at")?)
            .map_err(|e| Error::StoredData { detail: e.to_string() })?;
        Ok(Some(BackupRow {
            at,
            file: row.try_get("file")?,
            root: row.try_get("root")?,
            recovery: row.try_get("recovery")?,
            tried: row.try_get("tried")?,
        }))
    }
}
