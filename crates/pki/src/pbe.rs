//! Password-based encryption of keys and packages: PBES2 (RFC 8018), PKCS#12's own (RFC 7292, appendix B), and what
//! came before them. The cost of a key's derivation is chosen by whoever made the file, so it is paid from a
//! [`Budget`].

use aes::{Aes128, Aes192, Aes256};
use aws_lc_rs::{digest, rand};
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit,
    block_padding::Pkcs7,
};
use der::{
    Decode, Sequence,
    asn1::{Any, AnyRef, ObjectIdentifier, OctetStringRef},
};
use des::{Des, TdesEde3};
use md5::{Digest, Md5};
use pkcs5::pbes2::{
    AES_128_CBC_OID, AES_192_CBC_OID, AES_256_CBC_OID, DES_EDE3_CBC_OID, Kdf, PBES2_OID, Parameters,
};
use rc2::Rc2;
use x509_cert::spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use crate::{Error, ber, long_salt};

const MD5_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.3");
const SHA1_DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.10");
const SHA1_3DES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
const SHA1_RC2_128: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.5");
const SHA1_RC2_40: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.6");

/// Iterations for one file. OpenSSL writes 2,048, Java 10,000, the careful a million; this takes a slow NAS half a
/// minute.
const MAX_ITERATIONS: u64 = 5_000_000;
/// What one scrypt may occupy, bytes. OpenSSL takes 16 MiB and reads no more than 32.
const MAX_SCRYPT_MEMORY: u64 = 64 << 20;
/// What is written for readers of today.
const MODERN_ITERATIONS: u32 = 100_000;
/// As OpenSSL has always written it: old firmware is slow, and this cipher is the weaker part anyway.
const LEGACY_ITERATIONS: u32 = 2_048;

/// How a package is protected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protection {
    /// PBES2 with PBKDF2-SHA-256 and AES-256, and an HMAC-SHA-256 over all.
    Modern,
    /// The same with AES-128: what ONVIF's Security Baseline asks of devices since 25.12.
    Aes128,
    /// Triple DES and an HMAC-SHA-1: for firmware and systems that know nothing younger.
    Legacy,
}

impl Protection {
    pub(crate) fn iterations(self) -> u32 {
        match self {
            Protection::Modern | Protection::Aes128 => MODERN_ITERATIONS,
            Protection::Legacy => LEGACY_ITERATIONS,
        }
    }
}

/// A passphrase in the ways in which it may have become bytes, the likeliest first. Of ASCII there is one of each.
pub(crate) struct Password {
    /// As it was typed: in UTF-8, or where the system of that time did it so, in Latin-1.
    typed: Vec<Zeroizing<Vec<u8>>>,
    /// UTF-16, big end first, with a zero behind it (RFC 7292, appendix B.1), of the characters; or of the bytes of
    /// UTF-8, as OpenSSL wrote it before 1.1 and its `pkcs12` still reads it.
    bmp: Vec<Zeroizing<Vec<u8>>>,
}

impl Password {
    pub(crate) fn new(text: &str) -> Password {
        let bmp = |units: &mut dyn Iterator<Item = u16>| {
            let mut bmp = Zeroizing::new(Vec::with_capacity(2 * text.len() + 2));
            bmp.extend(units.chain([0]).flat_map(u16::to_be_bytes));
            bmp
        };
        let mut password = Password {
            typed: vec![Zeroizing::new(text.as_bytes().to_vec())],
            bmp: vec![bmp(&mut text.encode_utf16())],
        };
        if !text.is_ascii() {
            password.bmp.push(bmp(&mut text.bytes().map(u16::from)));
            let mut latin1 = Zeroizing::new(Vec::with_capacity(text.len()));
            latin1.extend(text.chars().map_while(|c| u8::try_from(c).ok()));
            if latin1.len() == text.chars().count() {
                password.typed.push(latin1);
            }
        }
        password
    }

    /// No passphrase, which to some programs differs from an empty one.
    pub(crate) fn none() -> Password {
        Password { typed: vec![Zeroizing::default()], bmp: vec![Zeroizing::default()] }
    }

    /// The same with only that way of the second kind that `fits`, if one does.
    pub(crate) fn whose_bmp(
        mut self,
        mut fits: impl FnMut(&[u8]) -> Result<bool, Error>,
    ) -> Result<Option<Password>, Error> {
        for bmp in std::mem::take(&mut self.bmp) {
            if fits(&bmp)? {
                self.bmp.push(bmp);
                return Ok(Some(self));
            }
        }
        Ok(None)
    }

    /// What packages are written with.
    pub(crate) fn first_bmp(&self) -> &[u8] {
        self.bmp.first().map_or(&[], |bmp| bmp.as_slice())
    }

    fn first_typed(&self) -> &[u8] {
        self.typed.first().map_or(&[], |typed| typed.as_slice())
    }
}

/// What the first of the ways opens. That another than the first one costs too much changes nothing about the first.
fn by_any<T>(
    ways: &[Zeroizing<Vec<u8>>],
    mut open: impl FnMut(&[u8]) -> Result<T, Error>,
) -> Result<T, Error> {
    for (number, way) in ways.iter().enumerate() {
        match open(way) {
            Err(Error::FilePassphraseWrong) => {}
            Err(_) if number > 0 => break,
            opened => return opened,
        }
    }
    Err(Error::FilePassphraseWrong)
}

/// What may still be spent on deriving keys for one file, iterations.
pub(crate) struct Budget(u64);

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget(MAX_ITERATIONS)
    }

    pub(crate) fn spend(&mut self, iterations: u64) -> Result<(), Error> {
        let too_costly = || Error::TooCostly { cost: format!("{iterations} iterations") };
        self.0 = self.0.checked_sub(iterations).ok_or_else(too_costly)?;
        Ok(())
    }

    fn spend_on(&mut self, kdf: &Kdf) -> Result<(), Error> {
        match kdf {
            Kdf::Pbkdf2(pbkdf2) => self.spend(pbkdf2.iteration_count.into()),
            Kdf::Scrypt(scrypt) => {
                if !scrypt.cost_parameter.is_power_of_two() {
                    return Err(Error::EncryptionDamaged);
                }
                let block = u64::from(scrypt.block_size);
                let work = scrypt.cost_parameter.saturating_mul(block);
                // The blocks that are mixed, and the table that one of them is mixed with (RFC 7914, section 6).
                let blocks = block.saturating_mul(scrypt.parallelization.into());
                let memory = work.saturating_add(blocks).saturating_mul(128);
                if memory > MAX_SCRYPT_MEMORY {
                    return Err(Error::TooCostly { cost: format!("{} MiB of memory", memory >> 20) });
                }
                self.spend(work.saturating_mul(scrypt.parallelization.into()))
            }
            _ => Err(Error::EncryptionDamaged),
        }
    }
}

/// RFC 8018, appendix A.3
#[derive(Sequence)]
struct SaltAndIterations<'a> {
    salt: &'a OctetStringRef,
    iterations: u32,
}

/// Decrypts `data` into one element, made DER; anything else is the work of a wrong passphrase.
pub(crate) fn decrypt(
    algorithm: &AlgorithmIdentifierRef<'_>,
    password: &Password,
    data: &[u8],
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let parameters = algorithm.parameters.ok_or(Error::EncryptionDamaged)?;
    let ways = match algorithm.oid {
        SHA1_3DES | SHA1_RC2_40 | SHA1_RC2_128 => &password.bmp,
        _ => &password.typed,
    };
    by_any(ways, |password| {
        let plain = match algorithm.oid {
            PBES2_OID => decrypt_pbes2(parameters, password, data, budget)?,
            MD5_DES | SHA1_DES | SHA1_3DES | SHA1_RC2_40 | SHA1_RC2_128 => {
                let parameters: SaltAndIterations<'_> =
                    parameters.decode_as().map_err(|_| Error::EncryptionDamaged)?;
                budget.spend(parameters.iterations.into())?;
                decrypt_old(algorithm.oid, &parameters, password, data).ok_or(Error::FilePassphraseWrong)?
            }
            other => return Err(Error::UnsupportedEncryption { algorithm: other.to_string() }),
        };
        whole(&plain)
    })
}

fn decrypt_old(
    algorithm: ObjectIdentifier,
    parameters: &SaltAndIterations<'_>,
    password: &[u8],
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (salt, iterations) = (parameters.salt.as_bytes(), parameters.iterations);
    let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
    let derived = |purpose, length| derive(sha1, password, salt, iterations, purpose, length);
    let pkcs12 = |length| (derived(Purpose::Key, length), derived(Purpose::Iv, 8));
    match algorithm {
        SHA1_3DES => decrypt_cbc::<TdesEde3>(pkcs12(24), data),
        SHA1_RC2_128 => decrypt_cbc::<Rc2>(pkcs12(16), data),
        SHA1_RC2_40 => decrypt_cbc::<Rc2>(pkcs12(5), data),
        MD5_DES => decrypt_cbc::<Des>(pbkdf1(|b| Md5::digest(b).to_vec(), password, salt, iterations), data),
        _ => {
            let hash = |b: &[u8]| digest::digest(sha1, b).as_ref().to_vec();
            decrypt_cbc::<Des>(pbkdf1(hash, password, salt, iterations), data)
        }
    }
}

/// Padding alone comes out right once in 256 times, so the plain text must also be one element.
fn whole(plain: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let sequence = plain.first() == Some(&0x30);
    ber::to_der(plain).filter(|_| sequence).ok_or(Error::FilePassphraseWrong)
}

fn decrypt_pbes2(
    parameters: AnyRef<'_>,
    password: &[u8],
    data: &[u8],
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    // Asked here, since pkcs5 cuts the first eight bytes of an IV that may be shorter.
    let parts = parameters.sequence(|reader| {
        Ok((AlgorithmIdentifierRef::decode(reader)?, AlgorithmIdentifierRef::decode(reader)?))
    });
    let (derivation, encryption) = parts.map_err(|_: der::Error| Error::EncryptionDamaged)?;
    let iv = encryption
        .parameters
        .and_then(|p| p.decode_as::<&OctetStringRef>().ok())
        .ok_or(Error::EncryptionDamaged)?;
    if encryption.oid == DES_EDE3_CBC_OID && iv.as_bytes().len() != 8 {
        return Err(Error::EncryptionDamaged);
    }
    if let Some((kdf, salt)) = long_salt::of(&derivation)? {
        budget.spend_on(&kdf)?;
        let length = match encryption.oid {
            AES_128_CBC_OID => 16,
            AES_192_CBC_OID | DES_EDE3_CBC_OID => 24,
            AES_256_CBC_OID => 32,
            other => return Err(Error::UnsupportedEncryption { algorithm: other.to_string() }),
        };
        let key = long_salt::derive(&kdf, password, salt, length)?;
        let with_iv = (key, Zeroizing::new(iv.as_bytes().to_vec()));
        let plain = match encryption.oid {
            AES_128_CBC_OID => decrypt_cbc::<Aes128>(with_iv, data),
            AES_192_CBC_OID => decrypt_cbc::<Aes192>(with_iv, data),
            DES_EDE3_CBC_OID => decrypt_cbc::<TdesEde3>(with_iv, data),
            _ => decrypt_cbc::<Aes256>(with_iv, data),
        };
        return plain.ok_or(Error::FilePassphraseWrong);
    }
    let parameters = Parameters::try_from(parameters).map_err(|e| match e.kind() {
        der::ErrorKind::OidUnknown { oid } => Error::UnsupportedEncryption { algorithm: oid.to_string() },
        _ => Error::EncryptionDamaged,
    })?;
    budget.spend_on(&parameters.kdf)?;
    let mut buffer = Zeroizing::new(data.to_vec());
    let length = match parameters.decrypt_in_place(password, &mut buffer) {
        Ok(plain) => plain.len(),
        Err(pkcs5::Error::DecryptFailed) => return Err(Error::FilePassphraseWrong),
        Err(_) => return Err(Error::EncryptionDamaged),
    };
    buffer.truncate(length);
    Ok(buffer)
}

/// Encrypts `plain`; gives the algorithm with its parameters, and the ciphertext.
pub(crate) fn encrypt(
    protection: Protection,
    password: &Password,
    plain: &[u8],
) -> Result<(AlgorithmIdentifierOwned, Vec<u8>), Error> {
    let failed = || Error::Crypto { operation: "encrypting a package".into() };
    let iterations = protection.iterations();
    // Encrypted in place, with room for the padding.
    let mut buffer = Zeroizing::new(Vec::with_capacity(plain.len() + 16));
    buffer.extend_from_slice(plain);
    buffer.resize(plain.len() + 16, 0);
    let (oid, parameters, length) = match protection {
        Protection::Modern | Protection::Aes128 => {
            let (salt, iv) = (random::<16>()?, random::<16>()?);
            let parameters = match protection {
                Protection::Aes128 => Parameters::generate_pbkdf2_sha256_aes128cbc(iterations, &salt, iv),
                _ => Parameters::generate_pbkdf2_sha256_aes256cbc(iterations, &salt, iv),
            };
            let parameters = parameters.map_err(|_| failed())?;
            let length = parameters
                .encrypt_in_place(password.first_typed(), &mut buffer, plain.len())
                .map_err(|_| failed())?
                .len();
            (PBES2_OID, Any::encode_from(&parameters)?, length)
        }
        Protection::Legacy => {
            let salt = random::<8>()?;
            let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
            let key = derive(sha1, password.first_bmp(), &salt, iterations, Purpose::Key, 24);
            let iv = derive(sha1, password.first_bmp(), &salt, iterations, Purpose::Iv, 8);
            let length = encrypt_cbc::<TdesEde3>(&key, &iv, &mut buffer, plain.len()).ok_or_else(failed)?;
            let parameters = SaltAndIterations { salt: OctetStringRef::new(&salt)?, iterations };
            (SHA1_3DES, Any::encode_from(&parameters)?, length)
        }
    };
    buffer.truncate(length);
    Ok((AlgorithmIdentifierOwned { oid, parameters: Some(parameters) }, std::mem::take(&mut *buffer)))
}

/// OpenSSL's encryption of a PEM block (its `PEM_read_bio`): the cipher by name, the IV that is the salt as well,
/// and a key by one round of MD5 over passphrase and salt.
pub(crate) fn decrypt_traditional(
    cipher: &str,
    iv: &[u8],
    password: &Password,
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (key_length, block) = match cipher {
        "DES-CBC" => (8, 8),
        "DES-EDE3-CBC" => (24, 8),
        "AES-128-CBC" => (16, 16),
        "AES-192-CBC" => (24, 16),
        "AES-256-CBC" => (32, 16),
        other => return Err(Error::UnsupportedEncryption { algorithm: other.chars().take(40).collect() }),
    };
    if iv.len() != block {
        return Err(Error::EncryptionDamaged);
    }
    by_any(&password.typed, |password| {
        let mut key = Zeroizing::new(Vec::with_capacity(48));
        while key.len() < key_length {
            let last = key.len().saturating_sub(16)..key.len();
            let digest = Md5::new().chain_update(&key[last]).chain_update(password).chain_update(&iv[..8]);
            key.extend_from_slice(&digest.finalize());
        }
        key.truncate(key_length);
        let with_iv = (key, Zeroizing::new(iv.to_vec()));
        let plain = match cipher {
            "DES-CBC" => decrypt_cbc::<Des>(with_iv, data),
            "DES-EDE3-CBC" => decrypt_cbc::<TdesEde3>(with_iv, data),
            "AES-128-CBC" => decrypt_cbc::<Aes128>(with_iv, data),
            "AES-192-CBC" => decrypt_cbc::<Aes192>(with_iv, data),
            _ => decrypt_cbc::<Aes256>(with_iv, data),
        };
        whole(&plain.ok_or(Error::FilePassphraseWrong)?)
    })
}

/// What a derived key is for (RFC 7292, appendix B.3).
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Key = 1,
    Iv = 2,
    Mac = 3,
}

/// PKCS#12's own key derivation (RFC 7292, appendix B.2).
pub(crate) fn derive(
    hash: &'static digest::Algorithm,
    bmp: &[u8],
    salt: &[u8],
    iterations: u32,
    purpose: Purpose,
    length: usize,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let whole_blocks = |bytes: &[u8]| -> Vec<u8> {
        bytes.iter().copied().cycle().take(bytes.len().div_ceil(block) * block).collect()
    };
    let salted = whole_blocks(salt);
    let mut input = Zeroizing::new(Vec::with_capacity(salted.len() + bmp.len() + block));
    input.extend_from_slice(&salted);
    input.extend_from_slice(&Zeroizing::new(whole_blocks(bmp)));
    let mut derived = Zeroizing::new(Vec::with_capacity(length + hash.output_len()));
    while derived.len() < length {
        let mut context = digest::Context::new(hash);
        context.update(&vec![purpose as u8; block]);
        context.update(&input);
        let mut round = context.finish();
        for _ in 1..iterations {
            round = digest::digest(hash, round.as_ref());
        }
        derived.extend_from_slice(round.as_ref());
        for piece in input.chunks_mut(block) {
            // piece = piece + round (repeated to a block) + 1
            let mut carry = 1;
            for (i, byte) in piece.iter_mut().enumerate().rev() {
                carry += u16::from(*byte) + u16::from(round.as_ref()[i % hash.output_len()]);
                *byte = carry as u8;
                carry >>= 8;
            }
        }
    }
    derived.truncate(length);
    derived
}

/// PBKDF1 (RFC 8018, section 5.1) for DES: key and IV.
fn pbkdf1(
    hash: impl Fn(&[u8]) -> Vec<u8>,
    password: &[u8],
    salt: &[u8],
    iterations: u32,
) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
    let mut derived = Zeroizing::new(hash(&Zeroizing::new([password, salt].concat())));
    for _ in 1..iterations {
        derived = Zeroizing::new(hash(&derived));
    }
    (Zeroizing::new(derived[..8].to_vec()), Zeroizing::new(derived[8..16].to_vec()))
}

fn decrypt_cbc<C: BlockCipherDecrypt + KeyInit>(
    (key, iv): (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>),
    data: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(data.to_vec());
    let cipher = cbc::Decryptor::inner_iv_slice_init(C::new_from_slice(&key).ok()?, &iv).ok()?;
    let length = cipher.decrypt_padded::<Pkcs7>(&mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

fn encrypt_cbc<C: BlockCipherEncrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    buffer: &mut [u8],
    length: usize,
) -> Option<usize> {
    let cipher = cbc::Encryptor::inner_iv_slice_init(C::new_from_slice(key).ok()?, iv).ok()?;
    Some(cipher.encrypt_padded::<Pkcs7>(buffer, length).ok()?.len())
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Error::Crypto { operation: "random numbers".into() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use der::{Encode, Tag};
    use pkcs5::pbes2::Pbkdf2Params;

    use super::*;

    #[test]
    fn what_is_encrypted_needs_the_same_passphrase() {
        let plain = b"\x30\x03\x04\x01a";
        for protection in [Protection::Modern, Protection::Legacy] {
            let (algorithm, data) = encrypt(protection, &Password::new("Jelszó"), plain).unwrap();
            let der = algorithm.to_der().unwrap();
            let algorithm = AlgorithmIdentifierRef::from_der(&der).unwrap();
            let read = |text| decrypt(&algorithm, &Password::new(text), &data, &mut Budget::new());
            assert_eq!(**read("Jelszó").unwrap(), *plain);
            for wrong in ["jelszó", "", "Jelsz"] {
                assert_eq!(read(wrong).unwrap_err(), Error::FilePassphraseWrong);
            }
        }
    }

    /// It would be cut where it does not reach.
    #[test]
    fn an_initial_vector_of_the_wrong_length_is_refused() {
        for length in [0, 7, 9] {
            let iv = Any::new(Tag::OctetString, vec![1; length]).unwrap();
            let cipher = AlgorithmIdentifierOwned { oid: DES_EDE3_CBC_OID, parameters: Some(iv) };
            let kdf = Kdf::Pbkdf2(Pbkdf2Params::hmac_sha256(1, b"salt").unwrap());
            let parameters = [kdf.to_der().unwrap(), cipher.to_der().unwrap()].concat();
            let parameters = Some(AnyRef::new(Tag::Sequence, &parameters).unwrap());
            let algorithm = AlgorithmIdentifierRef { oid: PBES2_OID, parameters };
            let error = decrypt(&algorithm, &Password::none(), &[0; 16], &mut Budget::new()).unwrap_err();
            assert_eq!(error, Error::EncryptionDamaged);
        }
        let error = decrypt_traditional("AES-256-CBC", &[0; 8], &Password::none(), &[0; 16]).unwrap_err();
        assert_eq!(error, Error::EncryptionDamaged);
    }

    #[test]
    fn a_budget_is_for_the_whole_file() {
        let mut budget = Budget::new();
        budget.spend(MAX_ITERATIONS - 1).unwrap();
        budget.spend(1).unwrap();
        assert!(matches!(budget.spend(1), Err(Error::TooCostly { .. })));
    }
}
