//! Group commit: what queued while the last commit ran is written in one statement, and each writer is answered when
//! that is on the disk. No timer: alone, a write is committed at once.

use sqlx::{QueryBuilder, SqliteConnection, SqlitePool, error::ErrorKind, sqlite::SqliteQueryResult};
use tokio::sync::{mpsc, oneshot};

use crate::Error;

/// So many writes may wait; the next one waits for its place.
const WAITING: usize = 1024;
/// So many are written together at most, so that none is kept for long. Each number of rows is a statement of its own,
/// which its connection keeps.
const TOGETHER: usize = 32;

/// What is written in groups: what every issued certificate needs.
pub(crate) trait Write: Send + Sync + Sized + 'static {
    /// Writes all of them, in one statement, which SQLite makes a transaction. Where one cannot be written, a constraint
    /// fails or fewer rows are affected.
    fn write(
        group: &[Self],
        connection: &mut SqliteConnection,
    ) -> impl Future<Output = Result<SqliteQueryResult, sqlx::Error>> + Send;
}

type Waiting<T> = (T, oneshot::Sender<Result<(), Error>>);

/// The way to the task that writes. It ends with the last of these.
#[derive(Debug)]
pub(crate) struct Writer<T>(mpsc::Sender<Waiting<T>>);

impl<T> Clone for Writer<T> {
    fn clone(&self) -> Writer<T> {
        Writer(self.0.clone())
    }
}

impl<T: Write> Writer<T> {
    pub(crate) fn start(pool: SqlitePool) -> Writer<T> {
        let (sender, mut receiver) = mpsc::channel::<Waiting<T>>(WAITING);
        tokio::spawn(async move {
            while let Some((first, answer)) = receiver.recv().await {
                let (mut group, mut answers) = (vec![first], vec![answer]);
                let connection = pool.acquire().await;
                // What came until it was its turn. So those that wait for one kind of write come together.
                while group.len() < TOGETHER
                    && let Ok((next, answer)) = receiver.try_recv()
                {
                    group.push(next);
                    answers.push(answer);
                }
                let results = match connection {
                    Ok(mut connection) => commit(&group, &mut connection).await,
                    Err(e) => vec![Err(e.into()); group.len()],
                };
                for (answer, result) in answers.into_iter().zip(results) {
                    // Whoever asked may have gone; the write stands.
                    let _ = answer.send(result);
                }
            }
        });
        Writer(sender)
    }

    /// Returns when the write is durable, or says why it is not.
    pub(crate) async fn write(&self, write: T) -> Result<(), Error> {
        let gone = || Error::Database { reason: "the writer has ended".into() };
        let (answer, answered) = oneshot::channel();
        self.0.send((write, answer)).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Where one of a group cannot be written, each is written by itself, so that it leaves the others alone.
async fn commit<T: Write>(group: &[T], connection: &mut SqliteConnection) -> Vec<Result<(), Error>> {
    let error = match T::write(group, connection).await {
        Ok(done) if done.rows_affected() == group.len() as u64 => return vec![Ok(()); group.len()],
        Ok(_) => Error::StoredData { detail: "a certificate has no open intent".into() },
        Err(e) => match e.as_database_error().map(|e| e.kind()) {
            None | Some(ErrorKind::Other) => return vec![Err(e.into()); group.len()],
            Some(ErrorKind::NotNullViolation) => Error::NotTheIssuer,
            Some(_) => e.into(),
        },
    };
    if group.len() == 1 {
        return vec![Err(error)];
    }
    let mut results = Vec::new();
    for one in group {
        results.extend(Box::pin(commit(std::slice::from_ref(one), connection)).await);
    }
    results
}

/// A certificate that is about to be signed.
#[derive(Debug)]
pub(crate) struct NewIntent {
    pub(crate) serial: String,
    pub(crate) authority_id: i64,
    pub(crate) state: String,
    pub(crate) device_id: Option<i64>,
    pub(crate) profile: String,
    pub(crate) name: Option<String>,
    pub(crate) names: String,
    pub(crate) not_before: i64,
    pub(crate) not_after: i64,
    pub(crate) intended_at: i64,
}

impl Write for NewIntent {
    async fn write(
        group: &[NewIntent],
        connection: &mut SqliteConnection,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "INSERT INTO certificate
             (serial, device_id, profile, name, names, not_before, not_after, intended_at, authority_id) ",
        );
        query.push_values(group, |mut row, intent| {
            row.push_bind(&intent.serial)
                .push_bind(intent.device_id)
                .push_bind(&intent.profile)
                .push_bind(&intent.name)
                .push_bind(&intent.names)
                .push_bind(intent.not_before)
                .push_bind(intent.not_after)
                .push_bind(intent.intended_at)
                // Another process may have put another authority in its place meanwhile: then this is NULL.
                .push("(SELECT id FROM authority WHERE state = ")
                .push_bind_unseparated(&intent.state)
                .push_unseparated(" AND id = ")
                .push_bind_unseparated(intent.authority_id)
                .push_unseparated(")");
        });
        query.build().execute(connection).await
    }
}

/// A certificate that was signed.
#[derive(Debug)]
pub(crate) struct NewCertificate {
    pub(crate) serial: String,
    pub(crate) sha256: String,
    pub(crate) der: Vec<u8>,
    pub(crate) issued_at: i64,
}

impl Write for NewCertificate {
    async fn write(
        group: &[NewCertificate],
        connection: &mut SqliteConnection,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        let mut query = QueryBuilder::new(
            "UPDATE certificate SET issued_at = v.column2, sha256 = v.column3, der = v.column4 FROM (",
        );
        query.push_values(group, |mut row, certificate| {
            row.push_bind(&certificate.serial)
                .push_bind(certificate.issued_at)
                .push_bind(&certificate.sha256)
                .push_bind(&certificate.der);
        });
        // The same again is in order: it may be written with others and then by itself.
        query.push(") v WHERE serial = v.column1 AND (der IS NULL OR der = v.column4)");
        query.build().execute(connection).await
    }
}
