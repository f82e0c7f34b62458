use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{AltName, Finding};

/// What a browser would say, in one word.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// HTTPS, and neither browser shows an error.
    Secure,
    /// A page is there, and it is not protected.
    NotSecure,
    /// No page is there.
    Unreachable,
}

impl Verdict {
    /// The word itself.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Secure => "secure",
            Verdict::NotSecure => "not-secure",
            Verdict::Unreachable => "unreachable",
        }
    }
}

/// A certificate as people want to read it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CertificateSummary {
    /// Distinguished name, RFC 4514.
    pub subject: String,
    /// Distinguished name of the issuer, RFC 4514.
    pub issuer: String,
    /// Every subjectAltName, `IP:` or `DNS:` before it (other kinds by their own prefix).
    pub sans: Vec<String>,
    /// First second of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_before: OffsetDateTime,
    /// Last second of validity.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 over the DER, lower-case hexadecimal.
    pub sha256: String,
    /// Kind of the public key: `rsa-2048`, `p256`, ...
    pub key: String,
}

/// What was seen at one target, and the verdict on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The target as the operator wrote it.
    pub target: String,
    /// The one word.
    pub verdict: Verdict,
    /// The error page of Chromium (`ERR_...`), if it would show one.
    pub chromium: Option<&'static str>,
    /// The error page of Firefox, if it would show one.
    pub firefox: Option<&'static str>,
    /// All that was seen, the weightiest first.
    pub findings: Vec<Finding>,
    /// The served certificate in DER, if TLS answered, and not without a proof that the server has the key.
    pub leaf: Option<Vec<u8>>,
    /// The handshake proved that the server has the key of that certificate, which anybody can show.
    pub proven: bool,
    /// The served certificate, described.
    pub certificate: Option<CertificateSummary>,
    /// The negotiated version: `TLSv1.3`, `TLSv1.2`.
    pub tls: Option<&'static str>,
    /// The name by which the certificate was judged.
    pub name: Option<AltName>,
}
