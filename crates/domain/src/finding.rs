use serde::{Deserialize, Serialize};
use time::Date;

use crate::{Rule, Told};

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A browser refuses, or the connection can be read by others.
    Error,
    /// Works today; somebody should look.
    Warning,
    /// Good to know.
    Info,
}

/// One thing that was seen at a device, as a code with typed arguments; `words` holds the sentence and
/// what to do about it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the sentence that they complete.
pub enum Finding {
    /// The page came over HTTP without TLS.
    PlainHttp { port: u16 },
    /// HTTPS decides, and HTTP without TLS answers beside it.
    HttpOpen { port: u16 },
    /// Nothing accepts connections there.
    ConnectionRefused { host: String, port: u16 },
    /// No answer within the time allowed.
    TimedOut { host: String, port: u16, seconds: u64 },
    /// The network gave up for another reason.
    NoConnection { host: String, port: u16, reason: Told },
    /// The host name does not resolve.
    NameNotFound { host: String },
    /// Something accepts connections and speaks neither TLS nor HTTP.
    NotAWebServer { port: u16 },
    /// The port speaks something other than TLS, though https was asked for.
    NotTls { port: u16 },
    /// The server speaks only versions of TLS that browsers have given up.
    TlsTooOld { reason: String },
    /// Browser and server have no cipher in common.
    NoCommonCipher { reason: String },
    /// The server refuses browsers that have no certificate of their own.
    WantsClientCertificate,
    /// The TLS handshake broke for another reason.
    HandshakeFailed { reason: String },
    /// The issuer is not among the trusted roots, or the chain to it is incomplete.
    UnknownIssuer { issuer: String },
    /// The certificate is its own issuer and not trusted.
    SelfSigned { subject: String },
    /// The certificate is past its end.
    Expired { not_after: Date },
    /// The site has revoked the certificate.
    #[serde(rename = "revoked-certificate")]
    Revoked { revoked: Date },
    /// The certificate has not begun.
    NotYetValid { not_before: Date },
    /// Nothing on the way to the root has begun: it is this computer's clock that is wrong.
    ComputerClock { today: Date },
    /// An issuer's certificate is past its end or has not begun.
    IssuerNotValid { issuer: String },
    /// The certificate is for other names.
    WrongName { wanted: String, names: Vec<String> },
    /// The certificate has no subjectAltName at all, so its common name is ignored.
    NoAltName { wanted: String, subject: String },
    /// A name lies outside what the root may speak for.
    OutsideConstraints { names: Vec<String> },
    /// The certificate is not meant for a web server.
    NotForServers,
    /// An issuer on the way to the root is not meant for web servers.
    IssuerNotForServers { issuer: String },
    /// The way to the root has a gap: an issuer's certificate that can be had elsewhere was not sent.
    MissingIntermediate { issuer: String },
    /// A browser refuses the certificate, or one of its issuers', for breaking a rule.
    InvalidCertificate { subject: String, rule: Rule },
    /// The certificate, or one of its issuers', breaks a rule that browsers do not insist on.
    AgainstStandard { subject: String, rule: Rule },
    /// Without an extended key usage, which Apple's systems demand.
    NoPurposeForApple,
    /// Programs on GnuTLS, and those on OpenSSL if it looks like a host name, hold the common name against the name
    /// constraints.
    CommonNameOutside { common_name: String },
    /// Browser and server agree on a cipher that is out of date.
    OldCipher { suite: String },
    /// Valid for longer than Apple's systems accept.
    TooLongForApple { days: i64 },
    /// Ends soon.
    Expiring { days: i64 },
    /// A key below 2048 bits.
    WeakKey { key: String },
    /// An issuer's key below 2048 bits.
    WeakIssuerKey { issuer: String, key: String },
    /// The private key crossed plain HTTP.
    KeySentInClear,
    /// The private key crossed inside TLS whose key was seen for the first time: safe against listening, not against an
    /// impostor.
    FirstContactUnchecked,
    /// The private key crossed inside TLS whose key is that of a genuine device of its maker, which names it by the number
    /// that the device tells.
    FactoryIdentity { subject: String, issuer: String },
    /// The device, known by its key, was found at another address than before.
    Moved { name: String, from: Vec<String>, to: String },
    /// Its addresses or names that the authority may not vouch for: there is no certificate for them.
    NamesLeftOut { names: Vec<String> },
    /// The key of this certificate was given to a device that nobody knew, and it was never seen to serve it: the
    /// certificate was revoked.
    GivenAwayRevoked { serial: String },
    /// The key of this certificate was given to a device that nobody knew, and the certificate could not be revoked;
    /// `reason` is a code with its arguments.
    GivenAway { serial: String, reason: serde_json::Value },
    /// The device's clock is behind, and the certificate was dated back for it.
    ClockBehind { hours: i64 },
    /// The device's clock is further off than a certificate can be dated for.
    ClockOff { hours: i64 },
    /// The device's clock was so many hours off and was set.
    ClockSet { hours: i64 },
    /// The device takes its time from this server from now on.
    ClockFollows { server: String },
    /// The device's clock could not be set; `reason` is a code with its arguments.
    ClockNotSet { reason: serde_json::Value },
    /// The driver was written from documents and never tried on a real device.
    DriverUnproven { driver: String, source: String },
    /// Installing replaces what cannot be read back from the device.
    OneSlot,
    /// The device restarts to take a certificate.
    Restarts,
    /// What the device had in its one place may be gone.
    SlotOverwritten,
    /// The operator is about to upload a private key on a page without TLS.
    UploadInClear,
    /// The device asks nobody for a password.
    NoPassword,
    /// Plain HTTP was switched off just now.
    HttpOff,
    /// The device has another password from now on.
    PasswordChanged,
    /// The device, which had no password, asks for one from now on.
    PasswordSet,
    /// The web server speaks these versions of TLS alone from now on.
    TlsFloor { versions: Vec<String> },
    /// After a failure the device keeps the certificate that it was given, which nothing uses.
    CertificateLeft,
    /// After a failure the device could not be put back as it was; `reason` is a code with its arguments.
    NotPutBack { reason: serde_json::Value },
    /// What earlier enrolments left on the device could not be removed; `reason` is a code with its arguments.
    NotTidied { reason: serde_json::Value },
}

impl Finding {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            Finding::HttpOpen { .. }
            | Finding::TooLongForApple { .. }
            | Finding::Expiring { .. }
            | Finding::WeakKey { .. }
            | Finding::WeakIssuerKey { .. }
            | Finding::AgainstStandard { .. }
            | Finding::NoPurposeForApple
            | Finding::CommonNameOutside { .. }
            | Finding::OldCipher { .. }
            | Finding::KeySentInClear
            | Finding::NamesLeftOut { .. }
            | Finding::GivenAwayRevoked { .. }
            | Finding::ClockOff { .. }
            | Finding::ClockNotSet { .. }
            | Finding::NotTidied { .. }
            | Finding::OneSlot
            | Finding::CertificateLeft
            | Finding::NoPassword
            | Finding::UploadInClear
            | Finding::SlotOverwritten => Severity::Warning,
            Finding::ClockSet { .. }
            | Finding::ClockFollows { .. }
            | Finding::FactoryIdentity { .. }
            | Finding::FirstContactUnchecked
            | Finding::Moved { .. }
            | Finding::ClockBehind { .. }
            | Finding::DriverUnproven { .. }
            | Finding::HttpOff
            | Finding::PasswordChanged
            | Finding::PasswordSet
            | Finding::TlsFloor { .. }
            | Finding::Restarts => Severity::Info,
            Finding::PlainHttp { .. }
            | Finding::ConnectionRefused { .. }
            | Finding::TimedOut { .. }
            | Finding::NoConnection { .. }
            | Finding::NameNotFound { .. }
            | Finding::NotAWebServer { .. }
            | Finding::NotTls { .. }
            | Finding::TlsTooOld { .. }
            | Finding::NoCommonCipher { .. }
            | Finding::HandshakeFailed { .. }
            | Finding::WantsClientCertificate
            | Finding::UnknownIssuer { .. }
            | Finding::SelfSigned { .. }
            | Finding::Expired { .. }
            | Finding::Revoked { .. }
            | Finding::NotYetValid { .. }
            | Finding::ComputerClock { .. }
            | Finding::IssuerNotValid { .. }
            | Finding::WrongName { .. }
            | Finding::NoAltName { .. }
            | Finding::OutsideConstraints { .. }
            | Finding::NotForServers
            | Finding::IssuerNotForServers { .. }
            | Finding::MissingIntermediate { .. }
            | Finding::InvalidCertificate { .. }
            | Finding::GivenAway { .. }
            | Finding::NotPutBack { .. } => Severity::Error,
        }
    }
}
