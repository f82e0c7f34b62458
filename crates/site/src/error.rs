use std::{io, path::Path};

use domain::ErrorKind;
use serde::Serialize;

use crate::disk::shown;

/// Why something that an operator asked for was not done.
#[derive(Debug, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("another service runs on {directory}")]
    AlreadyServing { directory: String },
    #[error("{file} exists already")]
    FileExists { file: String },
    #[error("cannot read {file}: {reason}")]
    FileUnreadable { file: String, reason: String },
    /// The same of a file that is Camlock's own, and not one that the operator named.
    #[serde(rename = "file-unreadable")]
    #[error("cannot read {file}: {reason}")]
    OwnFileUnreadable { file: String, reason: String },
    #[error("cannot write {file}: {reason}")]
    FileUnwritable { file: String, reason: String },
    #[error("{folder} holds more than {limit} files")]
    FolderTooFull { folder: String, limit: usize },
    #[error("the certificate of Camlock's own page cannot be used: {reason}")]
    PageCertificate { reason: String },
    #[error("another backup of {directory} is being made")]
    BackupRunning { directory: String },
    /// `unit_path` is the folder as a unit of systemd has to name it.
    #[error("no backup can be written into {file}: {reason}")]
    BackupFolder { file: String, reason: String, unit_path: String },
    #[error("{file} is no backup: {detail}")]
    NotABackup { file: String, detail: String },
    #[error("the backup {file} is damaged: {reason}")]
    BackupDamaged { file: String, reason: String },
    #[error("another recovery key opens the backup {file}")]
    BackupOtherKey { file: String },
    #[error("another restore into {directory} is running")]
    RestoreRunning { directory: String },
    #[error("a restore into {directory} was not finished")]
    RestoreUnfinished { directory: String },
    #[error("{file} is in the way of a restore")]
    RestoreNotEmpty { file: String },
    #[error("no device is known as {device}")]
    DeviceUnknown { device: String },
    #[error("several devices are known as {device}")]
    DeviceAmbiguous { device: String },
    #[error("several certificates have serial numbers that begin with {serial}")]
    SerialAmbiguous { serial: String },
    #[error("a device's name is too long, empty or not readable")]
    DeviceName,
    #[serde(untagged)]
    #[error(transparent)]
    Authority(#[from] authority::Error),
    #[serde(untagged)]
    #[error(transparent)]
    Recipe(#[from] devices::RecipeError),
}

impl Error {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Authority(e) => e.kind(),
            Error::Recipe(e) => e.kind(),
            Error::FileExists { .. } | Error::RestoreUnfinished { .. } | Error::RestoreNotEmpty { .. } => {
                ErrorKind::Refused
            }
            Error::AlreadyServing { .. } | Error::BackupRunning { .. } | Error::RestoreRunning { .. } => {
                ErrorKind::Busy
            }
            Error::FileUnreadable { .. }
            | Error::NotABackup { .. }
            | Error::DeviceUnknown { .. }
            | Error::DeviceAmbiguous { .. }
            | Error::SerialAmbiguous { .. }
            | Error::DeviceName => ErrorKind::WrongUse,
            Error::OwnFileUnreadable { .. }
            | Error::FileUnwritable { .. }
            | Error::FolderTooFull { .. }
            | Error::PageCertificate { .. }
            | Error::BackupFolder { .. }
            | Error::BackupDamaged { .. }
            | Error::BackupOtherKey { .. } => ErrorKind::Broken,
        }
    }

    pub(crate) fn unreadable(file: &Path, reason: &io::Error) -> Error {
        Error::FileUnreadable { file: shown(file), reason: reason.to_string() }
    }

    pub(crate) fn own_unreadable(file: &Path, reason: &io::Error) -> Error {
        Error::OwnFileUnreadable { file: shown(file), reason: reason.to_string() }
    }

    pub(crate) fn unwritable(file: &Path, reason: &io::Error) -> Error {
        Error::FileUnwritable { file: shown(file), reason: reason.to_string() }
    }

    pub(crate) fn page_certificate(reason: &impl std::fmt::Display) -> Error {
        Error::PageCertificate { reason: reason.to_string() }
    }
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        Error::Authority(e.into())
    }
}

impl From<pki::Error> for Error {
    fn from(e: pki::Error) -> Error {
        Error::Authority(e.into())
    }
}

impl From<vault::Error> for Error {
    fn from(e: vault::Error) -> Error {
        Error::Authority(e.into())
    }
}
