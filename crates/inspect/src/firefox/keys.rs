//! Public keys and signature algorithms, as Firefox reads them.

use super::der::{BAD_DER, Page, Reader, only};
use crate::{
    der::{NULL, OID, SEQUENCE},
    signature::{Hash, Kind, PublicKey, Scheme},
};

pub(crate) const KEY_SIZE: Page = "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE";
pub(crate) const SIGNATURE_DISABLED: Page = "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED";

pub(crate) const UNSUPPORTED_KEY: Page = "SEC_ERROR_UNSUPPORTED_KEYALG";
pub(crate) const UNSUPPORTED_CURVE: Page = "SEC_ERROR_UNSUPPORTED_ELLIPTIC_CURVE";

/// RSASSA-PSS-params with one hash (up to the last byte of its identifier, twice) and a salt of its length: no other
/// way to write it is taken.
const PSS: [&[u8]; 3] = [
    &[0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02],
    &[
        0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08,
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
    ],
    &[0x05, 0x00, 0xa2, 0x03, 0x02, 0x01],
];

/// Of the content of an AlgorithmIdentifier.
pub(crate) fn scheme(content: &[u8]) -> Result<Scheme, Page> {
    use Hash::{Sha1, Sha256, Sha384, Sha512};
    let mut reader = Reader(content);
    let scheme = match reader.value(OID)? {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => {
            return pss(reader.0).ok_or(SIGNATURE_DISABLED);
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05] | [0x2b, 0x0e, 0x03, 0x02, 0x1d] => {
            Scheme::RsaPkcs1(Sha1)
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b] => Scheme::RsaPkcs1(Sha256),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => Scheme::RsaPkcs1(Sha384),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => Scheme::RsaPkcs1(Sha512),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] => Scheme::Ecdsa(Sha1),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Scheme::Ecdsa(Sha256),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Scheme::Ecdsa(Sha384),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Scheme::Ecdsa(Sha512),
        _ => return Err(SIGNATURE_DISABLED),
    };
    if reader.is_next(NULL) {
        reader.null()?;
    }
    reader.end()?;
    Ok(scheme)
}

fn pss(parameters: &[u8]) -> Option<Scheme> {
    let rest = parameters.strip_prefix(PSS[0])?;
    let (hash, rest) = rest.split_first()?;
    let (mgf_hash, rest) = rest.strip_prefix(PSS[1])?.split_first()?;
    let salt = rest.strip_prefix(PSS[2])?;
    let (kind, length) = match hash {
        1 => (Hash::Sha256, 32),
        2 => (Hash::Sha384, 48),
        3 => (Hash::Sha512, 64),
        _ => return None,
    };
    (hash == mgf_hash && salt == [length]).then_some(Scheme::RsaPss(kind))
}

/// A SubjectPublicKeyInfo. Whether the point lies on its curve is asked later, by whoever computes with it.
pub(crate) fn public_key(whole: &[u8]) -> Result<PublicKey, Page> {
    let mut reader = only(whole, SEQUENCE)?;
    let mut algorithm = reader.inside(SEQUENCE)?;
    let bytes = reader.whole_bits()?;
    reader.end()?;
    let kind = match algorithm.value(OID)? {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01] => curve(&mut algorithm, bytes)?,
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01] => {
            algorithm.null()?;
            modulus(bytes)?
        }
        _ => return Err(UNSUPPORTED_KEY),
    };
    algorithm.end()?;
    Ok(PublicKey { kind, bytes: bytes.to_vec() })
}

fn curve(algorithm: &mut Reader<'_>, point: &[u8]) -> Result<Kind, Page> {
    let (kind, size) = match algorithm.value(OID)? {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => (Kind::P256, 32),
        [0x2b, 0x81, 0x04, 0x00, 0x22] => (Kind::P384, 48),
        [0x2b, 0x81, 0x04, 0x00, 0x23] => (Kind::P521, 66),
        _ => return Err(UNSUPPORTED_CURVE),
    };
    match point {
        [4, coordinates @ ..] if coordinates.len() == 2 * size => Ok(kind),
        [4, ..] | [] => Err(BAD_DER),
        _ => Err("SEC_ERROR_UNSUPPORTED_EC_POINT_FORM"),
    }
}

fn modulus(key: &[u8]) -> Result<Kind, Page> {
    let mut reader = Reader(key);
    let mut inside = reader.inside(SEQUENCE)?;
    let modulus = inside.positive()?;
    // Bits are counted in bytes.
    if 8 * modulus.len() < 1024 {
        return Err(KEY_SIZE);
    }
    inside.positive()?;
    inside.end()?;
    let bits = 8 * modulus.len() as u32 - modulus[0].leading_zeros();
    reader.end()?;
    Ok(Kind::Rsa(bits))
}
