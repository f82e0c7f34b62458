use domain::{SignIn, Told};
use serde::{Deserialize, Serialize};

use crate::Change;

/// Why speaking to a device failed: a code with typed arguments. The sentence for people is made by `words`
/// from the code; what is written here is for developers.
///
/// What comes from a device is [`Told`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the sentence that they complete.
pub enum Error {
    /// Nothing accepts connections there.
    #[error("{host} port {port} refuses connections")]
    ConnectionRefused { host: String, port: u16 },
    /// No connection or no whole answer within the time allowed.
    #[error("{host} port {port} did not answer in {seconds} s")]
    TimedOut { host: String, port: u16, seconds: u64 },
    /// The network or the TLS handshake gave up for another reason.
    #[error("no connection to {host} port {port}: {reason}")]
    NoConnection { host: String, port: u16, reason: Told },
    /// The host name does not resolve.
    #[error("{host} has no address")]
    NameNotFound { host: String },
    /// Something accepts connections and does not speak HTTP (or speaks it inside TLS).
    #[error("{host} port {port} does not speak HTTP")]
    NotHttp { host: String, port: u16 },
    /// The server showed another public key than the pinned one. Nothing was sent to it.
    #[error("{host} does not have the pinned key")]
    NotThePinnedKey { host: String },
    /// Every page of the plain port leads to HTTPS; `port` is where.
    #[error("{host} leads to HTTPS on port {port}")]
    MovedToHttps { host: String, port: u16 },
    /// A web server answers, and no driver knows it. `server` is its Server header, or empty.
    #[error("no driver knows the web server of {host} port {port} ({server:?})")]
    NotACamera { host: String, port: u16, server: Told },
    /// ONVIF, yet with neither of its two services for certificates.
    #[error("{host} has no ONVIF service for certificates")]
    NoCertificateService { host: String },
    /// No authentication is offered that hides the password and that is spoken here (Digest with MD5 or SHA-256; for ONVIF
    /// the UsernameToken). `offered`: `Basic`, `Digest MD5-sess`, ..., or `none`.
    #[error("no usable Digest authentication, offered: {offered}")]
    NoDigest { offered: Told },
    /// The password would cross the network readable: over plain HTTP it was not sent.
    #[error("{host} takes the password only in a form that others can read")]
    PasswordInClear { host: String },
    /// The device takes the password only as it is, at a first contact: whoever answers could read it. It was not sent.
    #[error("{host} takes the password only readable, and nobody knows who it is")]
    ReadablePassword { host: String },
    /// It asks for a weaker way of signing in than before. Nothing was answered.
    #[error("{host} was signed in to by {was}, and now offers only {is}")]
    WeakerSignIn { host: String, was: SignIn, is: SignIn },
    /// Where a device with a certificate of ours is expected, somebody else answers. Nothing was sent but questions that
    /// are open to everyone; or, where it says so only to its user, no key and no certificate.
    #[error("{host} is another device than {device:?}, which was secured: {changes:?}")]
    DeviceChanged { host: String, device: String, changes: Vec<Change> },
    /// While it takes a certificate the device shows a key of its factory's, which the ledger does not know. Nothing was
    /// changed.
    #[error("the key that {host} shows while it takes a certificate is not known")]
    FirstKeyUnknown { host: String },
    /// Nobody named this device.
    #[error("{host} was found and never accepted")]
    NotAccepted { host: String },
    /// The device wants a proof dated by its own clock, which is so far ahead that the proof would stay good for whoever
    /// collects it.
    #[error("the clock of {host} is {hours} hours ahead")]
    ClockAhead { host: String, hours: i64 },
    /// The device refused user or password. The driver sends nothing any more.
    #[error("the device refused the credentials of {user:?}")]
    WrongPassword { user: String },
    /// The device refused a proof of the password that is dated by its clock, and tells nobody what its clock says: user or
    /// password are wrong, or the date. The driver sends nothing any more.
    #[error("the device refused the credentials of {user:?}, and does not tell its clock")]
    ClockUnknown { user: String },
    /// The device refused a proof of the password that is dated by its clock as it tells it, `minutes` from ours: user or
    /// password are wrong, or what it tells of its clock. The driver sends nothing any more.
    #[error("the device refused the credentials of {user:?}; its clock is {minutes} minutes off")]
    ClockDoubtful { user: String, minutes: i64 },
    /// The device offers Basic and refused a UsernameToken, without a word about it: user or password are wrong, or it takes
    /// no tokens. The driver sends nothing any more.
    #[error("the device offers Basic, and refused a UsernameToken of {user:?}")]
    TokenUnderBasic { user: String },
    /// The device knows the user and does not let it do this; an administrator is needed. If this came
    /// before anything else succeeded, it may be a wrong password, and the driver sends nothing any more.
    #[error("the device does not let {user:?} do {operation}")]
    NotAllowed { user: String, operation: String },
    /// The password is right, and the account wants a one-time code beside it, which is not spoken here.
    #[error("the account {user:?} wants a second factor")]
    SecondFactor { user: String },
    /// The password has run out, or has to be changed before anything else can be done.
    #[error("the password of {user:?} has to be changed")]
    PasswordExpired { user: String },
    /// A SOAP fault; `fault` is its innermost code, such as `ter:ReferenceExists`.
    #[error("{operation} refused: {fault} ({reason})")]
    Refused { operation: String, fault: Told, reason: Told },
    /// The answer is not what its standard (or recipe) says.
    #[error("unexpected answer to {operation}: {detail}")]
    UnexpectedAnswer { operation: String, detail: Told },
    /// The connection broke before the answer was there: whether the device did it is not known.
    #[error("connection lost during {operation}")]
    ConnectionLost { operation: String },
    /// This computer's random source fails; nothing was sent.
    #[error("the system gives no random numbers")]
    NoRandomNumbers,
    /// The device still makes its key.
    #[error("the key is not ready after {seconds} s")]
    KeyNotReady { seconds: u64 },
    /// The device says that the key it made is corrupt.
    #[error("the key made by the device is corrupt")]
    KeyBroken,
    /// A page of a recipe says no; `answer` is what it says.
    #[error("{page} says: {answer}")]
    PageRefused { page: String, answer: Told },
    /// The device has one place for a certificate of its user's, and `certificate` in it could not be brought back.
    /// Nothing was changed.
    #[error("{certificate:?} is in the only place for a certificate")]
    PlaceTaken { certificate: Told },
    /// `certificate`, which the device showed before, is gone: it cannot be shown again.
    #[error("{certificate:?} is gone and cannot be shown again")]
    CannotUndo { certificate: Told },
    /// The driver cannot do this; its abilities say so beforehand.
    #[error("this driver has no {operation}")]
    NotOffered { operation: String },
}

impl Error {
    /// Whether it was only the connection: on another one, a moment later, the same may succeed.
    pub fn is_of_connection(&self) -> bool {
        matches!(
            self,
            Error::ConnectionRefused { .. }
                | Error::TimedOut { .. }
                | Error::NoConnection { .. }
                | Error::NotThePinnedKey { .. }
                | Error::ConnectionLost { .. }
        )
    }

    /// Whether it may be that question that the device has no answer to: some firmware ends the connection where a path is
    /// unknown to it.
    pub(crate) fn is_of_question(&self) -> bool {
        matches!(self, Error::ConnectionLost { .. } | Error::NotHttp { .. } | Error::UnexpectedAnswer { .. })
    }

    /// Whether the only way to sign in that was offered is one that shows the password.
    pub(crate) fn offers_only_basic(&self) -> bool {
        matches!(self, Error::NoDigest { offered } if *offered == "Basic")
    }

    /// Whether the device refused user or password: another try may lock the account.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::WrongPassword { .. }
                | Error::ClockUnknown { .. }
                | Error::ClockDoubtful { .. }
                | Error::TokenUnderBasic { .. }
                | Error::NotAllowed { .. }
        )
    }

    /// Whether the device will not let this user in: then nothing more may be tried.
    pub fn is_of_credentials(&self) -> bool {
        matches!(
            self,
            Error::NoDigest { .. }
                | Error::PasswordInClear { .. }
                | Error::ReadablePassword { .. }
                | Error::WeakerSignIn { .. }
                | Error::DeviceChanged { .. }
                | Error::NotAccepted { .. }
                | Error::ClockAhead { .. }
                | Error::WrongPassword { .. }
                | Error::ClockUnknown { .. }
                | Error::ClockDoubtful { .. }
                | Error::TokenUnderBasic { .. }
                | Error::NotAllowed { .. }
                | Error::SecondFactor { .. }
                | Error::PasswordExpired { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_a_code_with_arguments() {
        let error = Error::Refused {
            operation: "DeleteKey".into(),
            fault: "ter:ReferenceExists".into(),
            reason: "in use".into(),
        };
        let json = serde_json::to_value(&error).unwrap();
        assert_eq!(json["code"], "refused");
        assert_eq!(json["fault"], "ter:ReferenceExists");
        assert_eq!(serde_json::from_value::<Error>(json).unwrap(), error);
        assert_eq!(serde_json::to_string(&Error::KeyBroken).unwrap(), r#"{"code":"key-broken"}"#);
    }
}
