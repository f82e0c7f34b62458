//! Whether a served chain leads to a trusted root: signatures, validity, name constraints, purpose.
//! The path is built and checked by rustls-webpki.

use domain::AltName;
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use time::OffsetDateTime;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

use crate::Certificate;

/// Why no path to a trusted root was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// No trusted root signed it, or an issuer in between was not sent.
    UnknownIssuer,
    /// Something on the path is past its end.
    Expired,
    /// Something on the path has not begun.
    NotYetValid,
    /// A name lies outside the constraints of an issuer.
    OutsideConstraints,
    /// An extended key usage without serverAuth.
    NotForServers,
    /// Anything else, as the library names it.
    Invalid(String),
}

/// Checks the path from `leaf` over `others` (as served, any order) to one of `roots` at the time `at`.
pub fn verify(
    leaf: &[u8],
    others: &[Vec<u8>],
    roots: &[Certificate],
    at: OffsetDateTime,
) -> Result<(), Fault> {
    let roots: Vec<CertificateDer<'_>> = roots.iter().map(|r| CertificateDer::from(r.der())).collect();
    let anchors: Vec<TrustAnchor<'_>> =
        roots.iter().filter_map(|r| anchor_from_trusted_cert(r).ok()).collect();
    let others: Vec<CertificateDer<'_>> = others.iter().map(|c| CertificateDer::from(c.as_slice())).collect();
    let leaf = CertificateDer::from(leaf);
    let leaf = EndEntityCert::try_from(&leaf).map_err(fault)?;
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or_default();
    leaf.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        &anchors,
        &others,
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
        KeyUsage::server_auth(),
        None,
        None,
    )
    .map(drop)
    .map_err(fault)
}

/// Whether the certificate is for `wanted`. The common name does not count, as in every browser.
pub fn is_for(leaf: &[u8], wanted: &AltName) -> bool {
    let name = match wanted {
        AltName::Ip(ip) => ServerName::IpAddress((*ip).into()),
        AltName::Dns(name) => match ServerName::try_from(name.as_str()) {
            Ok(name) => name,
            Err(_) => return false,
        },
    };
    let leaf = CertificateDer::from(leaf);
    EndEntityCert::try_from(&leaf).is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

fn fault(e: Error) -> Fault {
    match e {
        Error::UnknownIssuer => Fault::UnknownIssuer,
        Error::CertExpired { .. } => Fault::Expired,
        Error::CertNotValidYet { .. } => Fault::NotYetValid,
        Error::NameConstraintViolation => Fault::OutsideConstraints,
        Error::RequiredEkuNotFoundContext(_) => Fault::NotForServers,
        other => Fault::Invalid(other.to_string()),
    }
}
