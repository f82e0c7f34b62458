use serde::Serialize;
use serde_json::{Value, json};

/// Why a command ended without a result: a code with its arguments, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub said: Value,
    pub exit: u8,
}

/// Codes of wrong use: the command line itself must change.
const WRONG_USE: [&str; 24] = [
    "directory-in-use",
    "invalid-target",
    "invalid-scheme",
    "credentials-in-url",
    "invalid-name",
    "invalid-constraint",
    "site-name",
    "passphrase-empty",
    "passphrase-is-key",
    "no-names",
    "no-usable-names",
    "not-a-certificate",
    "not-a-private-key",
    "not-a-package",
    "file-passphrase-missing",
    "file-passphrase-wrong",
    "permit-outside",
    "import-nothing",
    "import-passphrase-missing",
    "import-passphrase-wrong",
    "import-refused",
    "import-several",
    "import-too-much",
    "import-unknown-ca",
];

/// Codes of a machine or data that is not in order.
const BROKEN: [&str; 26] = [
    "no-data-directory",
    "data-directory",
    "other-version",
    "older-version",
    "database",
    "stored-data",
    "no-authority",
    "wrong-passphrase",
    "wrong-recovery-key",
    "wrong-key-file",
    "vault-damaged",
    "vault-crypto",
    "escrow-damaged",
    "escrow-header",
    "recovery-unsigned",
    "recovery-forged",
    "foreign-schema",
    "crypto",
    "policy-file",
    "policy-unreadable",
    "policy-too-large",
    "recipe-file",
    "recipe-unreadable",
    "recipe-too-large",
    "too-many-recipes",
    "recipe-twice",
];

impl Failure {
    /// What was asked does not hold.
    pub fn refused(code: &str, name: &str, value: &str) -> Failure {
        Failure { said: json!({"code": code, name: value}), exit: 1 }
    }

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

    /// A file or folder that is not the command line's cannot be read.
    pub fn broken_file(file: &std::path::Path, reason: &std::io::Error) -> Failure {
        Failure { exit: 3, ..Failure::file("file-unreadable", file, reason) }
    }

    /// Something broke.
    pub fn broken(code: &str, name: &str, value: &str) -> Failure {
        Failure { said: json!({"code": code, name: value}), exit: 3 }
    }

    fn of(error: &impl Serialize) -> Failure {
        let said = serde_json::to_value(error).unwrap_or_default();
        let code = said.get("code").and_then(Value::as_str).unwrap_or_default();
        let exit = match code {
            code if WRONG_USE.contains(&code) => 2,
            code if BROKEN.contains(&code) => 3,
            _ => 1,
        };
        Failure { said, exit }
    }
}

macro_rules! from_errors {
    ($($error:ty),+) => { $(impl From<$error> for Failure {
        fn from(e: $error) -> Failure { Failure::of(&e) }
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
    store::Error,
    vault::Error
);
