//! Keys from passphrases, and sealing under a key of 256 bits.

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, KEY_LEN};

pub(crate) fn damaged(detail: &str) -> Error {
    Error::VaultDamaged { detail: detail.to_owned() }
}

pub(crate) fn failed(operation: &str) -> Error {
    Error::VaultCrypto { operation: operation.to_owned() }
}

pub(crate) fn random(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| failed("random bytes"))
}

pub(crate) fn derive(
    secret: &str,
    salt: &[u8],
    memory_kib: u32,
    passes: u32,
) -> Result<Zeroizing<[u8; KEY_LEN]>, Error> {
    let params = Params::new(memory_kib, passes, 1, Some(KEY_LEN)).map_err(|_| damaged("cost"))?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(secret.as_bytes(), salt, key.as_mut())
        .map_err(|_| damaged("salt"))?;
    Ok(key)
}

/// Nonce, then ciphertext and tag. The nonce is random: 96 bits are plenty for the few things a site seals.
pub(crate) fn seal(key: &[u8; KEY_LEN], purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce)?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| failed("sealing"))?;
    // With room for the tag, so that the plain text is not moved and a copy of it left.
    let mut sealed = Vec::with_capacity(secret.len() + CHACHA20_POLY1305.tag_len());
    sealed.extend_from_slice(secret);
    let result = LessSafeKey::new(key).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(purpose),
        &mut sealed,
    );
    if result.is_err() {
        sealed.zeroize();
        return Err(failed("sealing"));
    }
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(crate) fn unseal(
    key: &[u8; KEY_LEN],
    purpose: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| damaged("too short"))?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| failed("unsealing"))?;
    let mut plain = Zeroizing::new(sealed.to_vec());
    let length = LessSafeKey::new(key)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(purpose), &mut plain)
        .map_err(|_| damaged("a sealed secret does not open with the master key"))?
        .len();
    plain.truncate(length);
    Ok(plain)
}
