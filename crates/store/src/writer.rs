//! Group commit: what queued while the last commit ran is written in one transaction, and each writer is answered when
//! that is on the disk. No timer: alone, a write is committed at once.

use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::{Error, begin, now};

/// So many writes may wait; the next one waits for its place.
const WAITING: usize = 1024;
/// So many go into one transaction at most, so that none is kept for long.
const TOGETHER: usize = 256;

/// What is written in groups: what every issued certificate needs.
#[derive(Debug)]
pub(crate) enum Write {
    Intent {
        serial: String,
        authority_id: i64,
        device_id: Option<i64>,
        profile: String,
        name: Option<String>,
        names: String,
        not_before: i64,
        not_after: i64,
    },
    Certificate {
        serial: String,
        sha256: String,
        der: Vec<u8>,
    },
}

type Waiting = (Write, oneshot::Sender<Result<(), Error>>);

/// The way to the task that writes. It ends with the last of these.
#[derive(Clone, Debug)]
pub(crate) struct Writer(mpsc::Sender<Waiting>);

impl Writer {
    pub(crate) fn start(pool: SqlitePool) -> Writer {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let mut group = Vec::new();
            while receiver.recv_many(&mut group, TOGETHER).await > 0 {
                commit(&pool, &mut group).await;
            }
        });
        Writer(sender)
    }

    /// Returns when the write is durable, or says why it is not.
    pub(crate) async fn write(&self, write: Write) -> Result<(), Error> {
        let gone = || Error::Database { reason: "the writer has ended".into() };
        let (answer, answered) = oneshot::channel();
        self.0.send((write, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// A write that fails by itself (a serial used twice) leaves the others alone; if the commit fails, all have failed.
async fn commit(pool: &SqlitePool, group: &mut Vec<Waiting>) {
    let mut results = Vec::with_capacity(group.len());
    let committed = async {
        let mut connection = pool.acquire().await?;
        let mut transaction = begin(&mut connection).await?;
        for (write, _) in group.iter() {
            results.push(apply(&mut transaction, write).await);
        }
        transaction.commit().await
    };
    let committed = committed.await.map_err(Error::from);
    let mut results = results.into_iter();
    for (_, answer) in group.drain(..) {
        let result = committed.clone().and_then(|()| results.next().unwrap_or(Ok(())));
        // Whoever asked may have gone; the write stands.
        let _ = answer.send(result);
    }
}

async fn apply(connection: &mut SqliteConnection, write: &Write) -> Result<(), Error> {
    match write {
        Write::Intent { serial, authority_id, device_id, profile, name, names, not_before, not_after } => {
            // Another process may have put another authority in its place meanwhile.
            let done = sqlx::query(
                "INSERT INTO certificate
                 (serial, authority_id, device_id, profile, name, names, not_before, not_after, intended_at)
                 SELECT $1, id, $3, $4, $5, $6, $7, $8, $9 FROM authority WHERE id = $2 AND state = 'active'",
            )
            .bind(serial)
            .bind(authority_id)
            .bind(device_id)
            .bind(profile)
            .bind(name)
            .bind(names)
            .bind(not_before)
            .bind(not_after)
            .bind(now())
            .execute(connection)
            .await?;
            if done.rows_affected() != 1 {
                return Err(Error::NotTheIssuer);
            }
        }
        Write::Certificate { serial, sha256, der } => {
            let done = sqlx::query(
                "UPDATE certificate SET issued_at = $1, sha256 = $2, der = $3 WHERE serial = $4 AND der IS NULL",
            )
            .bind(now())
            .bind(sha256)
            .bind(der)
            .bind(serial)
            .execute(connection)
            .await?;
            if done.rows_affected() != 1 {
                return Err(Error::StoredData { detail: format!("no open intent for serial {serial}") });
            }
        }
    }
    Ok(())
}
