//! What Firefox demands of one certificate, whoever issued it, in its order.

use super::{
    certificate::{Certificate, EXTENSION_INVALID},
    der::{BAD_DER, Page, Reader, only},
    keys::{KEY_SIZE, SIGNATURE_DISABLED, public_key, scheme},
};
use crate::{
    der::{BIT_STRING, INTEGER, OID, SEQUENCE},
    signature::{Hash, Scheme},
};

pub(crate) const INADEQUATE_USAGE: Page = "SEC_ERROR_INADEQUATE_KEY_USAGE";
const INADEQUATE_TYPE: Page = "SEC_ERROR_INADEQUATE_CERT_TYPE";
pub(crate) const INVALID_TIME: Page = "SEC_ERROR_INVALID_TIME";
pub(crate) const EXPIRED: Page = "SEC_ERROR_EXPIRED_CERTIFICATE";
pub(crate) const NOT_YET_VALID: Page = "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE";

/// What a key may be used for, by its bit in keyUsage.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Usage {
    DigitalSignature = 0,
    KeyEncipherment = 2,
    KeyAgreement = 4,
    CertSign = 5,
}

/// The place of a certificate on the way.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Of a server: the others are authorities.
    pub(crate) is_leaf: bool,
    pub(crate) is_root: bool,
    /// Authorities below it.
    pub(crate) below: usize,
    pub(crate) usage: Usage,
}

/// The first fault. `now` is in seconds since 1970.
pub(crate) fn check(certificate: &Certificate, place: Place, now: i64) -> Result<(), Page> {
    let (begins, ends) = validity(certificate)?;
    if !place.is_root {
        signature(certificate)?;
    }
    public_key(&certificate.key_info)?;
    if only(&certificate.issuer, SEQUENCE)?.is_empty() {
        return Err("MOZILLA_PKIX_ERROR_EMPTY_ISSUER_NAME");
    }
    if let Some(value) = &certificate.key_usage {
        key_usage(value, place).ok_or(INADEQUATE_USAGE)?;
    }
    constraints(certificate, place)?;
    if let Some(value) = &certificate.purposes {
        purposes(value, place.is_leaf).unwrap_or_default().then_some(()).ok_or(INADEQUATE_TYPE)?;
    }
    if now < begins {
        Err(NOT_YET_VALID)
    } else if now > ends {
        Err(EXPIRED)
    } else {
        Ok(())
    }
}

fn validity(certificate: &Certificate) -> Result<(i64, i64), Page> {
    let mut reader = Reader(&certificate.validity);
    let (begins, ends) = (reader.time()?, reader.time()?);
    if reader.is_empty() && begins <= ends { Ok((begins, ends)) } else { Err(INVALID_TIME) }
}

fn signature(certificate: &Certificate) -> Result<(), Page> {
    let outside = scheme(&certificate.algorithm)?;
    if outside != scheme(&certificate.inner_algorithm)? {
        return Err("MOZILLA_PKIX_ERROR_SIGNATURE_ALGORITHM_MISMATCH");
    }
    match outside {
        Scheme::RsaPkcs1(Hash::Sha1) | Scheme::Ecdsa(Hash::Sha1) => Err(SIGNATURE_DISABLED),
        // An issuer's key is known by the size of its signatures, before the issuer is.
        Scheme::RsaPkcs1(_) | Scheme::RsaPss(_) if 8 * certificate.signed.signature.len() < 1024 => {
            Err(KEY_SIZE)
        }
        _ => Ok(()),
    }
}

/// Only the first byte of it is of interest; what stands after the BIT STRING is not looked at.
fn key_usage(value: &[u8], place: Place) -> Option<()> {
    let (padding, bytes) = Reader(value).value(BIT_STRING).ok()?.split_first()?;
    let allows = bytes.first()? & (0x80 >> place.usage as u8) != 0;
    let is_padded = *padding < 8 && bytes.last()? & ((1u16 << padding) - 1) as u8 == 0;
    (allows && is_padded).then_some(())
}

fn constraints(certificate: &Certificate, place: Place) -> Result<(), Page> {
    let (is_authority, length) = match &certificate.constraints {
        Some(value) => basic_constraints(value).map_err(|_| EXTENSION_INVALID)?,
        // Old roots could not say so.
        None if !place.is_leaf && certificate.version == 1 => {
            (if place.is_root { Ok(true) } else { Err("MOZILLA_PKIX_ERROR_V1_CERT_USED_AS_CA") }?, None)
        }
        None => (false, None),
    };
    match place.is_leaf {
        true if is_authority => Err("MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"),
        true => Ok(()),
        false if !is_authority => Err("SEC_ERROR_CA_CERT_INVALID"),
        false if length.is_some_and(|length| place.below > usize::from(length)) => {
            Err("SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID")
        }
        false => Ok(()),
    }
}

fn basic_constraints(value: &[u8]) -> Result<(bool, Option<u8>), Page> {
    let mut reader = only(value, SEQUENCE)?;
    let is_authority = reader.optional_boolean()?;
    let length = if reader.is_next(INTEGER) { Some(reader.small()?) } else { None };
    reader.end()?;
    Ok((is_authority, length))
}

/// Whether it is for servers; a server's is not for signing OCSP responses, too.
fn purposes(value: &[u8], is_leaf: bool) -> Result<bool, Page> {
    const SERVER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const OCSP: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09];
    let mut reader = only(value, SEQUENCE)?;
    let (mut for_servers, mut for_ocsp) = (false, false);
    while !reader.is_empty() {
        let purpose = reader.value(OID)?;
        for_servers |= purpose == SERVER;
        for_ocsp |= purpose == OCSP;
    }
    Ok(for_servers && !(is_leaf && for_ocsp))
}

/// authorityInfoAccess, in which Firefox looks for a place to ask whether the certificate was revoked.
pub(crate) fn access(value: &[u8]) -> Result<(), Page> {
    let read = || {
        let mut reader = only(value, SEQUENCE)?;
        while !reader.is_empty() {
            let mut description = reader.inside(SEQUENCE)?;
            if description.value(OID)?.is_empty() {
                return Err(BAD_DER);
            }
            // NSS reads no end-of-contents there, and of whatever class, no number of NULL with content.
            let tag = description.0.first().copied();
            let place = description.any()?;
            if tag == Some(0) || tag.is_some_and(|tag| tag & 0x1f == 5) && !place.value.is_empty() {
                return Err(BAD_DER);
            }
            description.end()?;
        }
        Ok(())
    };
    read().map_err(|_: Page| "SEC_ERROR_CERT_BAD_ACCESS_LOCATION")
}

/// TLS feature (RFC 7633): Firefox wants what it promises, and no answer of a responder comes from servers that are
/// trusted by nobody else.
pub(crate) fn tls_features(value: &[u8]) -> Result<(), Page> {
    const MISSING: Page = "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING";
    let mut reader = Reader(value).inside(SEQUENCE)?;
    // There is one at least.
    reader.value(INTEGER)?;
    Err(MISSING)
}
