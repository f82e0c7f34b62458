use domain::ErrorKind;
use serde::{Deserialize, Serialize};
use time::Date;

/// Why an enrolment failed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("another run works on {target}")]
    Busy { target: String },
    #[error("no TLS can be spoken with {host}: {reason}")]
    TlsUnusable { host: String, reason: serde_json::Value },
    #[error("the device has room for one certificate, which would be overwritten")]
    WouldOverwrite,
    #[error("{host} leads to {address}, which is none of the site's")]
    OutsideTheSite { host: String, address: String },
    #[error("the device says that its HTTPS is on port {port}, where another known device answers")]
    OtherDeviceThere { port: u16 },
    #[error("{host} shows another certificate than the one whose fingerprint was told")]
    OtherFingerprint { host: String },
    #[error("the device sends its own certificate alone, and there are two tiers")]
    ServesLeafAlone,
    #[error("port {port} serves another certificate than the one installed")]
    OtherCertificateServed { port: u16 },
    #[error("the new certificate is served and a browser still refuses it: {page}")]
    StillNotSecure { page: String },
    #[error("nothing answers on port {port} after HTTPS was switched on")]
    HttpsDoesNotAnswer { port: u16 },
    #[error("HTTP still answers on port {port} after it was switched off")]
    HttpStillOpen { port: u16 },
    #[error("the new password is not let in: {reason}")]
    PasswordUnsure { reason: serde_json::Value },
    #[error("the device took a password and still asks for none")]
    PasswordNotAsked,
    #[error("the device has no TLS {version} or later, only {has:?}")]
    NoSuchTls { version: String, has: Vec<String> },
    #[error("TLS {version} is still spoken after it was switched off")]
    TlsStillSpoken { version: String },
    #[error("the package could not be written: {reason}")]
    PackageNotWritten { reason: serde_json::Value },
    #[error("{target}, which may be the same device, refused the password in this run")]
    RefusedBefore { target: String },
    #[error("{target} tells only its users what it is")]
    TellsUsersOnly { target: String },
    #[error("this computer's network interfaces cannot be read: {reason}")]
    NoInterfaces { reason: String },
    #[error("the run was stopped before this device was secure")]
    Interrupted,
    #[serde(untagged)]
    #[error(transparent)]
    Authority(#[from] authority::Error),
    #[serde(untagged)]
    #[error(transparent)]
    Device(#[from] devices::Error),
}

/// What an operator has to agree to before it is done.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Consequence {
    /// The device's own certificate is overwritten for good.
    Overwritten,
    /// The password is shown to whoever answers.
    PasswordShown,
    /// Password and key go to an address outside the site's.
    OutsideTheSite,
}

impl Error {
    /// What it asks of whoever meets it. Whatever a device does or does not do, this machine is in order.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Authority(e) => e.kind(),
            Error::Busy { .. } => ErrorKind::Busy,
            Error::Device(devices::Error::NoRandomNumbers) | Error::NoInterfaces { .. } => ErrorKind::Broken,
            Error::Device(_)
            | Error::TlsUnusable { .. }
            | Error::WouldOverwrite
            | Error::OutsideTheSite { .. }
            | Error::OtherDeviceThere { .. }
            | Error::OtherFingerprint { .. }
            | Error::ServesLeafAlone
            | Error::OtherCertificateServed { .. }
            | Error::StillNotSecure { .. }
            | Error::HttpsDoesNotAnswer { .. }
            | Error::HttpStillOpen { .. }
            | Error::PasswordUnsure { .. }
            | Error::PasswordNotAsked
            | Error::NoSuchTls { .. }
            | Error::TlsStillSpoken { .. }
            | Error::PackageNotWritten { .. }
            | Error::RefusedBefore { .. }
            | Error::TellsUsersOnly { .. }
            | Error::Interrupted => ErrorKind::Refused,
        }
    }

    /// What the operator would have to agree to, if it is only that.
    pub fn wants_consent(&self) -> Option<Consequence> {
        match self {
            Error::WouldOverwrite => Some(Consequence::Overwritten),
            Error::Device(devices::Error::ReadablePassword { .. }) => Some(Consequence::PasswordShown),
            Error::OutsideTheSite { .. } => Some(Consequence::OutsideTheSite),
            _ => None,
        }
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

/// What is said of a step that went well, as a code with arguments.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Said {
    Found {
        driver: String,
    },
    LookedAt {
        page: String,
    },
    AlreadySecure {
        until: Date,
    },
    KeyOnDevice {
        key: String,
    },
    KeyMadeHere {
        key: String,
    },
    Signed {
        names: Vec<String>,
        until: Date,
    },
    PackagedPem,
    PackagedCertificate,
    PackagedFile {
        file: String,
    },
    WaitsForHand {
        page: String,
        file: String,
    },
    Installed {
        port: u16,
    },
    Resumed,
    Verified {
        issuer: String,
    },
    VerifiedHttpOff {
        issuer: String,
    },
    Watching {
        until: Date,
        renew: Date,
    },
    /// A step whose effect on the device was taken back.
    TakenBack,
}

/// Why something beside the main thing went wrong, as it stands in a finding.
pub(crate) fn reason(e: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(e).unwrap_or_default()
}
