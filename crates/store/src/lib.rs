//! The ledger: every SQL statement of the project is here.
//!
//! SQLite in the data directory: WAL, `synchronous=FULL` (an issued certificate that vanished with the power
//! would be an incident), one connection that writes and several that read. A write is durable when its
//! function returns.

mod authorities;
mod backup;
mod certificates;
mod devices;
mod enrolments;
mod error;
mod lease;
mod proofs;
mod revocations;
mod shape;
mod site;
mod values;
mod writer;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use domain::Clock;
use sqlx::{
    ConnectOptions, Connection, Executor,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

pub use authorities::{AuthorityRow, AuthorityState, Dependents, Key, NewAuthority};
pub use backup::{BackupRow, Snapshot};
pub use certificates::{CertificateRow, Intent};
pub use devices::{DeviceRow, JoinedDevice, NewDevice, Place};
pub use enrolments::{EnrolmentRow, GivenAway, StepRow, StoredStep};
pub use error::Error;
pub use lease::Lease;
pub use proofs::Proofs;
pub use revocations::Revocation;
pub use site::{NewSite, Site};
use writer::{NewCertificate, NewIntent, Writer};

const FILE: &str = "camlock.db";
/// Each takes a ledger from the version before to its own; none is ever changed.
const SCHEMA: [&str; 6] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
];
const SCHEMA_VERSION: i64 = SCHEMA.len() as i64;

/// The open ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
    clock: Clock,
    writer: SqlitePool,
    readers: SqlitePool,
    intents: Writer<NewIntent>,
    certificates: Writer<NewCertificate>,
}

/// A ledger that one may not look at is there all the same.
fn must_be_there(directory: &Path) -> Result<(), Error> {
    let shown = || directory.display().to_string();
    match directory.join(FILE).metadata() {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NoDataDirectory { directory: shown() })
        }
        Err(e) => Err(Error::DataDirectory { directory: shown(), reason: e.to_string() }),
    }
}

/// A pool without the task that closes connections after a time, of which a file has no need: that of sqlx 0.9 may count
/// wrong and spin for ever, so that the program does not end (sqlx issue 3645).
fn unattended() -> SqlitePoolOptions {
    SqlitePoolOptions::new().min_connections(0).idle_timeout(None).max_lifetime(None)
}

impl Store {
    /// Opens the ledger of a data directory, which must hold one.
    pub async fn open(directory: &Path) -> Result<Store, Error> {
        must_be_there(directory)?;
        Store::connect(directory, Access::Write).await
    }

    /// Opens the ledger of a data directory, which must hold one of this version, and changes nothing in it.
    pub async fn open_to_read(directory: &Path) -> Result<Store, Error> {
        must_be_there(directory)?;
        Store::connect(directory, Access::Read).await
    }

    /// Opens the ledger of a data directory, or makes both: directory 0700, files 0600. A directory that is there must
    /// be empty, or Camlock's already.
    pub async fn create(directory: &Path) -> Result<Store, Error> {
        must_be_own(directory)?;
        let failed = |e: std::io::Error| Error::DataDirectory {
            directory: directory.display().to_string(),
            reason: e.to_string(),
        };
        make_private_directory(directory).map_err(failed)?;
        make_private_file(&directory.join(FILE)).map_err(failed)?;
        Store::connect(directory, Access::Write).await
    }

    async fn connect(directory: &Path, access: Access) -> Result<Store, Error> {
        let options = SqliteConnectOptions::new()
            .filename(directory.join(FILE))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // A wrapping or a key that was replaced stays in no free page.
            .pragma("secure_delete", "ON")
            // What a schema calls is what its writer wanted called.
            .pragma("trusted_schema", "OFF")
            .busy_timeout(Duration::from_secs(5));
        // The writer has one connection, so that two writes of this process never meet inside SQLite.
        let writing = match access {
            Access::Write => options.clone(),
            // And not `read_only`, which would leave the files of the log behind.
            Access::Read => options.clone().pragma("query_only", "ON"),
        };
        let writer = unattended()
            .max_connections(1)
            .test_before_acquire(false)
            // Where the disk fails, SQLite itself ends the transaction, and sqlx believes for ever that it goes on.
            .before_acquire(|connection, _| Box::pin(async { Ok(!connection.is_in_transaction()) }))
            .connect_with(writing)
            .await?;
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&writer).await?;
        if !(0..=SCHEMA_VERSION).contains(&version) {
            return Err(Error::OtherVersion { found: version, known: SCHEMA_VERSION });
        }
        // Before a statement could wake what is in a file that somebody else wrote.
        shape::check(&writer).await?;
        if version < SCHEMA_VERSION && access == Access::Read {
            return Err(Error::OlderVersion { found: version, known: SCHEMA_VERSION });
        }
        if version < SCHEMA_VERSION {
            Store::make_schema(options.clone()).await?;
        }
        let readers = unattended().max_connections(4).connect_lazy_with(options.read_only(true));
        let (intents, certificates) = (Writer::start(writer.clone()), Writer::start(writer.clone()));
        let (directory, clock) = (directory.to_owned(), Clock::system());
        Ok(Store { directory, clock, writer, readers, intents, certificates })
    }

    /// On a connection that does not hold rows to what they refer to: a table that others refer to can be made anew.
    async fn make_schema(options: SqliteConnectOptions) -> Result<(), Error> {
        let mut connection = options.foreign_keys(false).connect().await?;
        let mut transaction = begin(&mut connection).await?;
        // Another process may have made it while this one waited for the lock.
        let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
        if version >= SCHEMA_VERSION {
            return Ok(());
        }
        let missing = SCHEMA.iter().skip(usize::try_from(version).unwrap_or(SCHEMA.len()));
        for statements in missing {
            transaction.execute(*statements).await?;
        }
        // A pragma takes no arguments; the number is this program's own.
        let set_version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        transaction.execute(sqlx::AssertSqlSafe(set_version)).await?;
        transaction.commit().await?;
        Ok(connection.close().await?)
    }

    /// The same ledger by another clock than this computer's.
    pub fn with_clock(self, clock: Clock) -> Store {
        Store { clock, ..self }
    }

    /// The clock that it dates by; authority and fleet take theirs from here.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn now(&self) -> i64 {
        self.clock.now().unix_timestamp()
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Folds the write-ahead log into the database and empties it: until then the database alone, as a thief may copy it,
    /// holds what was replaced. Another process that reads can put that off to the next time.
    pub(crate) async fn fold_log(&self) -> Result<(), Error> {
        for _ in 0..20 {
            let (busy, _, _): (i64, i64, i64) =
                sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.writer).await?;
            if busy == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Closes the connections, so that SQLite folds its write-ahead log into the database.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A write transaction that takes the write lock at its begin: `busy_timeout` does not cover a transaction that
/// first reads and then wants to write.
async fn begin(
    connection: &mut sqlx::SqliteConnection,
) -> Result<sqlx::Transaction<'_, sqlx::Sqlite>, sqlx::Error> {
    connection.begin_with("BEGIN IMMEDIATE").await
}

/// A search text as the pattern of a LIKE that finds it anywhere, letter case apart.
fn pattern(search: Option<&str>) -> String {
    let text = search.unwrap_or_default().to_lowercase();
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Access {
    Read,
    Write,
}

/// What Camlock itself, or its operator, has in a data directory before there is a ledger, or beside it; and what a file
/// system puts into each of its own.
const OWN: [&str; 9] = [
    "leases",
    "maker-roots",
    "page.pem",
    "policy.toml",
    "proof.pem",
    "recipes",
    "restoring",
    "snapshot.db",
    "lost+found",
];

/// A directory becomes the data directory only if nothing of somebody else's is in it: it is closed to others then.
pub fn must_be_own(directory: &Path) -> Result<(), Error> {
    let shown = || directory.display().to_string();
    let failed = |e: std::io::Error| Error::DataDirectory { directory: shown(), reason: e.to_string() };
    let entries = match std::fs::read_dir(directory) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(failed)?,
    };
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        // The ledger with its logs, and a file that was being written when the power went.
        let begins =
            [FILE, ".camlock-"].iter().any(|own| name.as_encoded_bytes().starts_with(own.as_bytes()));
        let is_own = begins || OWN.iter().any(|own| name == *own);
        if !is_own {
            let file = name.to_string_lossy().into_owned();
            return Err(Error::DirectoryInUse { directory: shown(), file });
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_private_directory(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        close_to_others(path);
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Where it belongs to somebody else, the files are still private each by itself. A directory with the sticky bit
/// (/tmp) is shared on purpose.
#[cfg(unix)]
fn close_to_others(directory: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(directory).map_or(0, |m| m.permissions().mode());
    if mode & 0o077 != 0 && mode & 0o1000 == 0 {
        let _ = std::fs::set_permissions(directory, PermissionsExt::from_mode(mode & 0o700));
    }
}

#[cfg(not(unix))]
fn make_private_directory(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(path)
}

/// SQLite gives its log files the database's own permissions, so it is enough to make that one private.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not what was asked for, but what the connection that writes says of itself.
    #[tokio::test]
    async fn the_database_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).await.unwrap();
        let row = sqlx::query_as::<_, (i64, String, i64)>(
            "SELECT * FROM pragma_synchronous, pragma_journal_mode, pragma_foreign_keys",
        );
        const FULL: i64 = 2;
        assert_eq!(row.fetch_one(&store.writer).await.unwrap(), (FULL, "wal".to_owned(), 1));
        for pool in [&store.writer, &store.readers] {
            let trusted: i64 = sqlx::query_scalar("PRAGMA trusted_schema").fetch_one(pool).await.unwrap();
            assert_eq!(trusted, 0);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_looked_at_is_not_called_absent() {
        let folder = tempfile::tempdir().unwrap();
        let opened = |directory: PathBuf| async move { Store::open(&directory).await.map(drop).unwrap_err() };
        let absent = opened(folder.path().join("none")).await;
        assert!(matches!(absent, Error::NoDataDirectory { .. }), "{absent}");
        // As by a missing right, which root has none of.
        std::fs::write(folder.path().join("file"), "").unwrap();
        let closed = opened(folder.path().join("file")).await;
        assert!(matches!(closed, Error::DataDirectory { .. }), "{closed}");
    }

    /// Whatever opened a ledger ends when it is done: no task of a pool's is left that could spin.
    #[tokio::test]
    async fn no_pool_is_tended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).await.unwrap();
        for pool in [&store.writer, &store.readers] {
            let options = pool.options();
            assert!(options.get_idle_timeout().is_none() && options.get_max_lifetime().is_none());
            assert_eq!(options.get_min_connections(), 0);
        }
    }

    /// Where the disk fails, SQLite itself rolls back, of which sqlx hears nothing; the next transaction begins all the
    /// same.
    #[tokio::test]
    async fn a_transaction_that_sqlite_ended_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).await.unwrap();
        let mut connection = store.writer.acquire().await.unwrap();
        let mut transaction = begin(&mut connection).await.unwrap();
        transaction.execute("ROLLBACK").await.unwrap();
        drop(transaction);
        drop(connection);
        store.found_site(&NewSite { name: "Shop", vault: "{}", authority: &[] }).await.unwrap();
    }
}
