use domain::ErrorKind;
use serde::Serialize;
use serde_json::{Value, json};

/// Why a command ended without a result: a code with its arguments, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub said: Value,
    pub exit: u8,
}

impl Failure {
    /// Something is missing on the command line.
    pub fn usage(code: &str) -> Failure {
        Failure { said: json!({"code": code}), exit: 2 }
    }

    /// A file that the command line names cannot be used.
    pub fn file(code: &str, file: &std::path::Path, reason: &std::io::Error) -> Failure {
        let exit = if code == "file-unreadable" { 2 } else { 3 };
        Failure {
            said: json!({"code": code, "file": file.display().to_string(), "reason": reason.to_string()}),
            exit,
        }
    }

    /// Something broke.
    pub fn broken(code: &str, name: &str, value: &str) -> Failure {
        Failure { said: json!({"code": code, name: value}), exit: 3 }
    }

    fn of(error: &impl Serialize, kind: ErrorKind) -> Failure {
        let exit = match kind {
            ErrorKind::Refused | ErrorKind::NotFound | ErrorKind::Busy => 1,
            ErrorKind::WrongUse => 2,
            ErrorKind::Locked | ErrorKind::Broken => 3,
        };
        Failure { said: serde_json::to_value(error).unwrap_or_default(), exit }
    }
}

macro_rules! from_errors {
    ($($error:ty),+) => { $(impl From<$error> for Failure {
        fn from(e: $error) -> Failure { Failure::of(&e, e.kind()) }
    })+ };
}

from_errors!(
    authority::Error,
    authority::ImportError,
    devices::RecipeError,
    domain::InvalidName,
    domain::InvalidTarget,
    fleet::Error,
    pki::Error,
    site::Error,
    store::Error,
    vault::Error
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_from_the_kind_of_error() {
        let refused = authority::Error::UnknownSerial { serial: "1".into() };
        for (failure, exit) in [
            (Failure::from(refused), 1),
            (Failure::from(pki::Error::CurveNotNamed), 1),
            (Failure::from(pki::Error::FileTooLarge { bytes: 2, limit: 1 }), 2),
            (Failure::from(pki::Error::SeveralPrivateKeys { count: 2 }), 2),
            (Failure::from(authority::Error::from(pki::Error::EncryptionDamaged)), 2),
            (Failure::from(vault::Error::WrongPassphrase), 3),
            (Failure::from(fleet::Error::from(store::Error::NoAuthority)), 3),
            (Failure::from(fleet::Error::from(devices::Error::NoRandomNumbers)), 3),
        ] {
            assert_eq!(failure.exit, exit, "{failure:?}");
        }
    }
}
