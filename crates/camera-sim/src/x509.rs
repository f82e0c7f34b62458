//! What the camera reads in certificates it is given.

use time::OffsetDateTime;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The facts of one certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    /// The SubjectPublicKeyInfo in DER.
    pub(crate) public_key: Vec<u8>,
    /// The whole subject, for people.
    pub(crate) subject: String,
    /// The whole issuer, for people.
    pub(crate) issuer: String,
    /// The issuer's common name, or its whole name if it has none.
    pub(crate) issuer_name: String,
    /// Serial number in hexadecimal.
    pub(crate) serial: String,
    /// Start of its validity.
    pub(crate) not_before: OffsetDateTime,
    /// End of its validity.
    pub(crate) not_after: OffsetDateTime,
}

/// Reads one certificate and nothing after it.
pub(crate) fn read(der: &[u8]) -> Option<Facts> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let issuer = certificate.issuer().to_string();
    let issuer_name =
        certificate.issuer().iter_common_name().next().and_then(|name| name.as_str().ok()).map(str::to_owned);
    Some(Facts {
        public_key: certificate.public_key().raw.to_vec(),
        subject: certificate.subject().to_string(),
        issuer_name: issuer_name.unwrap_or_else(|| issuer.clone()),
        issuer,
        serial: certificate.raw_serial_as_string(),
        not_before: certificate.validity().not_before.to_datetime(),
        not_after: certificate.validity().not_after.to_datetime(),
    })
}

/// Whether `issuer` signed `certificate`: the names meet and the signature holds. Dates do not matter.
pub(crate) fn signed_by(certificate: &[u8], issuer: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}
