//! Keys for PBES2 from salts of more than 32 bytes: no standard limits them, OpenSSL reads them and some programs write
//! them, but `pkcs5` has no room for more.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use der::{
    Encode, Tag,
    asn1::{AnyRef, OctetStringRef},
};
use pkcs5::pbes2::{Kdf, Pbkdf2Prf};
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use crate::{Error, elements::elements_of};

/// What `pkcs5` holds, bytes.
const SHORT: usize = 32;
/// The longest salt that is read, bytes; the longest seen has 64. scrypt hashes it for every 32 bytes of its blocks.
const LONGEST: usize = 1024;

/// The derivation without its salt, and the salt, if it is a long one. It stands first in PBKDF2's parameters and in
/// scrypt's.
pub(crate) fn of<'a>(derivation: &AlgorithmIdentifierRef<'a>) -> Result<Option<(Kdf, &'a [u8])>, Error> {
    let Some(parameters) = derivation.parameters else { return Ok(None) };
    let (parts, _) = elements_of(parameters.value());
    let Some((salt, others)) = parts.split_first() else { return Ok(None) };
    let Ok(salt) = salt.decode_as::<&OctetStringRef>() else { return Ok(None) };
    if salt.as_bytes().len() <= SHORT {
        return Ok(None);
    }
    if salt.as_bytes().len() > LONGEST {
        return Err(Error::TooCostly { cost: format!("a salt of {} bytes", salt.as_bytes().len()) });
    }
    let mut short = AnyRef::new(Tag::OctetString, &[])?.to_der()?;
    for other in others {
        other.encode_to_vec(&mut short)?;
    }
    let parameters = Some(AnyRef::new(Tag::Sequence, &short)?);
    let kdf = Kdf::try_from(AlgorithmIdentifierRef { oid: derivation.oid, parameters });
    let kdf = kdf.map_err(|e| match e.kind() {
        der::ErrorKind::OidUnknown { oid } => Error::UnsupportedEncryption { algorithm: oid.to_string() },
        _ => Error::EncryptionDamaged,
    })?;
    Ok(Some((kdf, salt.as_bytes())))
}

/// A key of this length. What it costs was looked at before.
pub(crate) fn derive(
    kdf: &Kdf,
    password: &[u8],
    salt: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let damaged = || Error::EncryptionDamaged;
    let mut key = Zeroizing::new(vec![0; length]);
    match kdf {
        Kdf::Pbkdf2(parameters) => {
            let algorithm = match parameters.prf {
                Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
                Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
                Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
                Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
                other => {
                    return Err(Error::UnsupportedEncryption { algorithm: other.oid().to_string() });
                }
            };
            let iterations = NonZeroU32::new(parameters.iteration_count).ok_or_else(damaged)?;
            pbkdf2::derive(algorithm, iterations, salt, password, &mut key);
        }
        Kdf::Scrypt(parameters) => {
            let cost = parameters.cost_parameter.trailing_zeros() as u8;
            let (block, parallel) = (parameters.block_size.into(), parameters.parallelization.into());
            let parameters = scrypt::Params::new(cost, block, parallel).map_err(|_| damaged())?;
            scrypt::scrypt(password, salt, &parameters, &mut key).map_err(|_| damaged())?;
        }
        _ => return Err(damaged()),
    }
    Ok(key)
}
