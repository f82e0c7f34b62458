//! What a ledger consists of: exactly the tables and indexes that this program makes. A file from elsewhere could bring
//! triggers and views, which would run with what this program may do.

use std::collections::BTreeMap;

use sqlx::{
    ConnectOptions, Connection, Executor, Row, SqliteConnection, SqlitePool, sqlite::SqliteConnectOptions,
};

use crate::{Error, SCHEMA};

/// Each object with the statement that makes it.
type Shape = BTreeMap<String, String>;

/// Compares a ledger with what its version has. Another process may be taking it to the next version, so that number and
/// objects are read at one moment.
pub(crate) async fn check(ledger: &SqlitePool) -> Result<(), Error> {
    let mut connection = ledger.acquire().await?;
    let mut transaction = connection.begin().await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let found = read(&mut transaction).await?;
    transaction.rollback().await?;
    let expected = expected(usize::try_from(version).unwrap_or_default()).await?;
    let mut all = found.keys().chain(expected.keys());
    match all.find(|object| found.get(*object) != expected.get(*object)) {
        None => Ok(()),
        Some(object) => Err(Error::ForeignSchema { object: object.chars().take(80).collect() }),
    }
}

/// As the same statements make it, in memory.
async fn expected(version: usize) -> Result<Shape, Error> {
    let mut connection = SqliteConnectOptions::new().in_memory(true).foreign_keys(false).connect().await?;
    for statements in SCHEMA.iter().take(version) {
        connection.execute(*statements).await?;
    }
    let shape = read(&mut connection).await?;
    connection.close().await?;
    Ok(shape)
}

async fn read(connection: &mut SqliteConnection) -> Result<Shape, Error> {
    let rows =
        sqlx::query("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetch_all(connection).await?;
    let object = |row: &sqlx::sqlite::SqliteRow| -> Result<(String, String), Error> {
        let (kind, name): (String, String) = (row.try_get("type")?, row.try_get("name")?);
        let (table, sql): (String, Option<String>) = (row.try_get("tbl_name")?, row.try_get("sql")?);
        Ok((format!("{kind} {name}"), format!("{table}: {}", words(&sql.unwrap_or_default()))))
    };
    rows.iter().map(object).collect()
}

/// The words of a statement, without comments, whatever stands between them.
fn words(sql: &str) -> String {
    let code = sql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    code.flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}
