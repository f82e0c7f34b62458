use domain::ErrorKind;
use serde::{Deserialize, Serialize};

/// What can go wrong with the ledger.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("no data directory at {directory}")]
    NoDataDirectory { directory: String },
    #[error("data directory {directory}: {reason}")]
    DataDirectory { directory: String, reason: String },
    #[error("{directory} is somebody else's: {file} is in it")]
    DirectoryInUse { directory: String, file: String },
    #[error("the database is of the earlier version {found}, this program writes {known}")]
    OlderVersion { found: i64, known: i64 },
    #[error("the database is of version {found}, this program knows {known}")]
    OtherVersion { found: i64, known: i64 },
    #[error("the database holds {object}, as no ledger of this version does")]
    ForeignSchema { object: String },
    #[error("the database failed: {reason}")]
    Database { reason: String },
    #[error("stored data is damaged: {detail}")]
    StoredData { detail: String },
    #[error("there is an authority already, made for {site}")]
    AuthorityExists { site: String },
    #[error("there is no authority yet")]
    NoAuthority,
    #[error("a next root is there already")]
    RolloverUnderWay,
    #[error("there is no next root")]
    NoRollover,
    #[error("another authority issues now")]
    NotTheIssuer,
    #[error("another command changed the secrets at the same moment")]
    SecretsChanged,
}

impl Error {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::DirectoryInUse { .. } => ErrorKind::WrongUse,
            Error::NoDataDirectory { .. }
            | Error::DataDirectory { .. }
            | Error::OlderVersion { .. }
            | Error::OtherVersion { .. }
            | Error::ForeignSchema { .. }
            | Error::Database { .. }
            | Error::StoredData { .. }
            | Error::NoAuthority => ErrorKind::Broken,
            Error::AuthorityExists { .. }
            | Error::RolloverUnderWay
            | Error::NoRollover
            | Error::NotTheIssuer => ErrorKind::Refused,
            Error::SecretsChanged => ErrorKind::Busy,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(e: sqlx::Error) -> Error {
        Error::Database { reason: e.to_string() }
    }
}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Error {
        Error::StoredData { detail: e.to_string() }
    }
}
