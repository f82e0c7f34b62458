//! Public keys and signature algorithms, as Chromium reads them.

use super::der::{Reader, bits, only, only_sequence, unsigned};
use crate::{
    der::{BIT_STRING, INTEGER, NULL, OID, SEQUENCE, constructed},
    signature::{Hash, Kind, PublicKey, Scheme},
};

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
/// Up to the last byte: 17, 18 or 19 for ML-DSA-44, 65 and 87, whose keys have these lengths.
const ML_DSA: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03];
const ML_DSA_KEYS: [(u8, usize); 3] = [(17, 1312), (18, 1952), (19, 2592)];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];

/// How a certificate is signed, of what Chromium knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    Known(Scheme),
    /// ML-DSA, by the last byte of its identifier: no library here computes with it.
    MlDsa(u8),
}

impl Algorithm {
    /// Of an AlgorithmIdentifier.
    pub(crate) fn read(whole: &[u8]) -> Option<Algorithm> {
        use Hash::{Sha1, Sha256, Sha384, Sha512};
        let (oid, parameters) = identifier(whole)?;
        let is_null_or_nothing = parameters.is_empty() || only(parameters, NULL) == Some(&[]);
        let scheme = match oid {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a] => return pss(parameters),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, last] if is_null_or_nothing => {
                Scheme::RsaPkcs1(match last {
                    0x05 => Sha1,
                    0x0b => Sha256,
                    0x0c => Sha384,
                    0x0d => Sha512,
                    _ => return None,
                })
            }
            [0x2b, 0x0e, 0x03, 0x02, 0x1d] if is_null_or_nothing => Scheme::RsaPkcs1(Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01] if parameters.is_empty() => Scheme::Ecdsa(Sha1),
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, last] if parameters.is_empty() => {
                Scheme::Ecdsa(match last {
                    0x02 => Sha256,
                    0x03 => Sha384,
                    0x04 => Sha512,
                    _ => return None,
                })
            }
            [start @ .., last @ 17..=19] if start == ML_DSA && parameters.is_empty() => {
                return Some(Algorithm::MlDsa(*last));
            }
            _ => return None,
        };
        Some(Algorithm::Known(scheme))
    }

    pub(crate) fn is_sha1(self) -> bool {
        matches!(self, Algorithm::Known(Scheme::RsaPkcs1(Hash::Sha1) | Scheme::Ecdsa(Hash::Sha1)))
    }
}

/// Object identifier and parameters, which may be nothing.
fn identifier(whole: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = only_sequence(whole)?;
    let oid = reader.value(OID)?;
    let parameters = if reader.is_empty() { &[] } else { reader.any()?.whole };
    reader.end()?;
    Some((oid, parameters))
}

/// All fields written out, one hash for both, and a salt of its length.
fn pss(parameters: &[u8]) -> Option<Algorithm> {
    let mut reader = only_sequence(parameters)?;
    let hash = hash(reader.value(constructed(0))?)?;
    let (mgf, mgf_hash) = identifier(reader.value(constructed(1))?)?;
    let salt = unsigned(only(reader.value(constructed(2))?, INTEGER)?)?;
    reader.end()?;
    let length = match hash {
        Hash::Sha1 => return None,
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    };
    let is_usual = mgf == MGF1 && self::hash(mgf_hash)? == hash && salt == [length];
    is_usual.then_some(Algorithm::Known(Scheme::RsaPss(hash)))
}

fn hash(identifier: &[u8]) -> Option<Hash> {
    // What comes after it is not looked at.
    let mut reader = Reader(identifier).sequence()?;
    let hash = match reader.value(OID)? {
        [0x2b, 0x0e, 0x03, 0x02, 0x1a] => Hash::Sha1,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01] => Hash::Sha256,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02] => Hash::Sha384,
        [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03] => Hash::Sha512,
        _ => return None,
    };
    let is_bare = reader.is_empty() || reader.value(NULL)?.is_empty() && reader.is_empty();
    is_bare.then_some(hash)
}

/// A SubjectPublicKeyInfo with a key of a kind that Chromium knows, and that can be one.
pub(crate) fn public_key(whole: &[u8]) -> Option<PublicKey> {
    let mut reader = only_sequence(whole)?;
    let mut algorithm = Reader(reader.value(SEQUENCE)?);
    let oid = algorithm.value(OID)?;
    let (0, bytes) = bits(reader.value(BIT_STRING)?)? else { return None };
    reader.end()?;
    let kind = match oid {
        RSA => {
            let is_null = algorithm.value(NULL)?.is_empty() && algorithm.is_empty();
            Kind::Rsa(is_null.then(|| modulus(bytes)).flatten()?)
        }
        EC => {
            let curve = algorithm.value(OID)?;
            algorithm.end()?;
            match curve {
                P256 => Kind::P256,
                P384 => Kind::P384,
                P521 => Kind::P521,
                _ => return None,
            }
        }
        [start @ .., last] if start == ML_DSA && algorithm.is_empty() => {
            ML_DSA_KEYS.contains(&(*last, bytes.len())).then_some(Kind::Other)?
        }
        _ => return None,
    };
    let key = PublicKey { kind, bytes: bytes.to_vec() };
    key.is_on_curve().then_some(key)
}

/// The bits of a modulus that can be one.
fn modulus(key: &[u8]) -> Option<u32> {
    let mut reader = only_sequence(key)?;
    let modulus = unsigned(reader.value(INTEGER)?)?;
    let exponent = unsigned(reader.value(INTEGER)?)?;
    reader.end()?;
    let size = |number: &[u8]| 8 * number.len() as u32 - number[0].leading_zeros();
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    let can_be = is_odd(modulus) && is_odd(exponent);
    let fits = (512..=16384).contains(&size(modulus)) && (2..=33).contains(&size(exponent));
    (can_be && fits).then(|| size(modulus))
}
