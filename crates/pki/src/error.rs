use domain::ErrorKind;
use serde::{Deserialize, Serialize};

use crate::Lint;

/// What can be wrong with bytes, as a code with typed arguments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the text that they complete.
pub enum Error {
    #[error("not a certificate request: {detail}")]
    NotARequest { detail: String },
    #[error("{bytes} bytes are too many for a request")]
    RequestTooLarge { bytes: usize, limit: usize },
    #[error("{count} requests in one file")]
    SeveralRequests { count: usize },
    #[error("{count} names in one request")]
    TooManyNames { count: usize, limit: usize },
    #[error("{count} extensions in one request")]
    TooManyExtensions { count: usize, limit: usize },
    #[error("the request asks for the extension {extension} more than once")]
    RepeatedExtension { extension: String },
    #[error("a private key and no request")]
    PrivateKeyAlone,
    #[error("the request's signature does not fit its public key")]
    BadRequestSignature,
    #[error("the request is signed with an unsupported algorithm {algorithm}")]
    UnsupportedSignature { algorithm: String },
    #[error("{key} is too weak")]
    KeyTooWeak { key: String },
    #[error("{key} with a public exponent that is even, below 3 or above 32 bits")]
    KeyExponent { key: String },
    #[error("{factor} divides the modulus of {key}")]
    KeySmallFactor { key: String, factor: u64 },
    #[error("the primes of {key} are too close to each other")]
    KeyClosePrimes { key: String },
    #[error("{key} was made by the defective generator of CVE-2017-15361")]
    KeyRoca { key: String },
    #[error("the numbers of {key} are written as negative ones")]
    KeyNegative { key: String },
    #[error("the numbers of {key} cannot be read")]
    KeyDamaged { key: String },
    #[error("the key's curve is written out in numbers")]
    CurveNotNamed,
    #[error("unsupported key: {key}")]
    UnsupportedKey { key: String },
    #[error("not a certificate: {detail}")]
    NotACertificate { detail: String },
    #[error("{bytes} bytes are too many for a key or a package")]
    FileTooLarge { bytes: usize, limit: usize },
    #[error("not a private key: {detail}")]
    NotAPrivateKey { detail: String },
    #[error("{count} private keys in one file")]
    SeveralPrivateKeys { count: usize },
    #[error("not a PKCS#12 package: {detail}")]
    NotAPackage { detail: String },
    #[error("the file is encrypted and no passphrase was given")]
    FilePassphraseMissing,
    #[error("the file's passphrase is wrong")]
    FilePassphraseWrong,
    #[error("unsupported encryption: {algorithm}")]
    UnsupportedEncryption { algorithm: String },
    #[error("the parameters of the file's encryption are damaged")]
    EncryptionDamaged,
    #[error("opening the file costs too much: {cost}")]
    TooCostly { cost: String },
    #[error("{text:?} is neither a range of addresses nor a domain")]
    InvalidConstraint { text: String },
    #[error("the name constraint {constraint} is not supported")]
    UnsupportedConstraint { constraint: String },
    #[error("{text} is outside the certificate's name constraints")]
    PermitOutside { text: String },
    #[error("the certificate's name constraints leave no host name")]
    NoHostNameLeft,
    #[error("the certificate would break rules: {findings:?}")]
    LintFailed { findings: Vec<Lint> },
    #[error("cryptography failed: {operation}")]
    Crypto { operation: String },
    #[error("encoding failed: {detail}")]
    Encoding { detail: String },
}

impl Error {
    /// What it asks of whoever meets it: another file, or another request.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotACertificate { .. }
            | Error::FileTooLarge { .. }
            | Error::NotAPrivateKey { .. }
            | Error::SeveralPrivateKeys { .. }
            | Error::NotAPackage { .. }
            | Error::FilePassphraseMissing
            | Error::FilePassphraseWrong
            | Error::UnsupportedEncryption { .. }
            | Error::EncryptionDamaged
            | Error::TooCostly { .. }
            | Error::InvalidConstraint { .. }
            | Error::PermitOutside { .. } => ErrorKind::WrongUse,
            Error::NotARequest { .. }
            | Error::RequestTooLarge { .. }
            | Error::SeveralRequests { .. }
            | Error::TooManyNames { .. }
            | Error::TooManyExtensions { .. }
            | Error::RepeatedExtension { .. }
            | Error::PrivateKeyAlone
            | Error::BadRequestSignature
            | Error::UnsupportedSignature { .. }
            | Error::KeyTooWeak { .. }
            | Error::KeyExponent { .. }
            | Error::KeySmallFactor { .. }
            | Error::KeyClosePrimes { .. }
            | Error::KeyRoca { .. }
            | Error::KeyNegative { .. }
            | Error::KeyDamaged { .. }
            | Error::CurveNotNamed
            | Error::UnsupportedKey { .. }
            | Error::UnsupportedConstraint { .. }
            | Error::NoHostNameLeft
            | Error::LintFailed { .. }
            // What came from outside may not be encodable.
            | Error::Encoding { .. } => ErrorKind::Refused,
            Error::Crypto { .. } => ErrorKind::Broken,
        }
    }
}

impl From<der::Error> for Error {
    fn from(e: der::Error) -> Error {
        Error::Encoding { detail: e.to_string() }
    }
}
