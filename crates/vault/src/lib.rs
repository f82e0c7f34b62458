//! The site's master key, its wrappings, and the sealing of everything secret.
//!
//! The master key is 256 random bits. It is stored only wrapped: once by the passphrase (Argon2id, then
//! ChaCha20-Poly1305) and once by the recovery key (an `age` file, so that the `age` tool alone can open it).
//! What is secret in the data directory is sealed with the master key.

use std::{fmt, str::FromStr};

use age::{
    armor::{ArmoredReader, ArmoredWriter, Format},
    secrecy::ExposeSecret,
    x25519::Identity,
};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

const KEY_LEN: usize = 32;
const SALT_LEN: usize = 16;

/// 64 MiB and three passes: under a second on the ARM processor of a small NAS, and it fits beside
/// everything else in 512 MB.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a stored wrapping may ask for at most, so that a damaged one cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;

/// What can go wrong with secrets. Never contains one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    #[error("the passphrase does not open the vault")]
    WrongPassphrase,
    #[error("the recovery key does not open the vault")]
    WrongRecoveryKey,
    #[error("the stored vault is damaged: {detail}")]
    VaultDamaged { detail: String },
    #[error("the system's cryptography failed: {operation}")]
    VaultCrypto { operation: String },
}

/// The open vault: the master key in memory, erased when dropped.
pub struct Vault {
    master: Zeroizing<[u8; KEY_LEN]>,
}

/// The master key as it is stored: useless without the passphrase or the recovery key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wrapping {
    version: u32,
    memory_kib: u32,
    passes: u32,
    /// Base64.
    salt: String,
    /// Base64: nonce, then the sealed master key.
    by_passphrase: String,
    /// An armored `age` file that holds the master key, for the recovery key.
    by_recovery_key: String,
    /// The recovery key's public half; backups are encrypted to it.
    pub recovery_recipient: String,
}

/// The recovery key, an `age` identity: shown once, to be printed, and never stored.
pub struct RecoveryKey(Zeroizing<String>);

impl RecoveryKey {
    /// The text to print: `AGE-SECRET-KEY-1...`.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// A new master key with its two wrappings.
    pub fn create(passphrase: &str) -> Result<(Vault, Wrapping, RecoveryKey), Error> {
        if passphrase.is_empty() {
            return Err(Error::PassphraseEmpty);
        }
        let mut master = Zeroizing::new([0; KEY_LEN]);
        random(master.as_mut())?;
        let mut salt = [0; SALT_LEN];
        random(&mut salt)?;
        let wrapping_key = derive(passphrase, &salt, MEMORY_KIB, PASSES)?;
        let by_passphrase = seal(&wrapping_key, b"camlock master key", master.as_ref())?;

        let identity = Identity::generate();
        let recipient = identity.to_public();
        let wrapping = Wrapping {
            version: 1,
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: STANDARD.encode(salt),
            by_passphrase: STANDARD.encode(by_passphrase),
            by_recovery_key: encrypt_to(&recipient, master.as_ref())?,
            recovery_recipient: recipient.to_string(),
        };
        let recovery = RecoveryKey(Zeroizing::new(identity.to_string().expose_secret().to_owned()));
        Ok((Vault { master }, wrapping, recovery))
    }

    /// Opens with the passphrase, or with the recovery key in its place. Takes a noticeable part of a second:
    /// not for an async thread.
    pub fn open(wrapping: &Wrapping, secret: &str) -> Result<Vault, Error> {
        if wrapping.version != 1 {
            return Err(damaged("a wrapping of another version"));
        }
        if secret.starts_with("AGE-SECRET-KEY-1") {
            return Vault::open_with_recovery_key(wrapping, secret);
        }
        if wrapping.memory_kib > MAX_MEMORY_KIB || wrapping.passes > MAX_PASSES {
            return Err(damaged("an absurd cost"));
        }
        let salt = STANDARD.decode(&wrapping.salt).map_err(|_| damaged("salt"))?;
        let sealed = STANDARD.decode(&wrapping.by_passphrase).map_err(|_| damaged("sealed master key"))?;
        let wrapping_key = derive(secret, &salt, wrapping.memory_kib, wrapping.passes)?;
        let master =
            unseal(&wrapping_key, b"camlock master key", &sealed).map_err(|_| Error::WrongPassphrase)?;
        Vault::from_bytes(&master)
    }

    fn open_with_recovery_key(wrapping: &Wrapping, key: &str) -> Result<Vault, Error> {
        let identity = Identity::from_str(key).map_err(|_| Error::WrongRecoveryKey)?;
        let reader = ArmoredReader::new(wrapping.by_recovery_key.as_bytes());
        let decryptor = age::Decryptor::new_buffered(reader).map_err(|_| damaged("recovery wrapping"))?;
        let mut plain = decryptor
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .map_err(|_| Error::WrongRecoveryKey)?;
        let mut master = Zeroizing::new(Vec::with_capacity(KEY_LEN));
        std::io::Read::read_to_end(&mut std::io::Read::take(&mut plain, 64), &mut master)
            .map_err(|_| damaged("recovery wrapping"))?;
        Vault::from_bytes(&master)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Vault, Error> {
        let master: [u8; KEY_LEN] = bytes.try_into().map_err(|_| damaged("master key"))?;
        Ok(Vault { master: Zeroizing::new(master) })
    }

    /// Seals `secret`. It can be unsealed only for the same `purpose`, so that one sealed thing cannot be put
    /// in another's place.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
        seal(&self.master, purpose.as_bytes(), secret)
    }

    /// Opens what [`Vault::seal`] made for `purpose`.
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        unseal(&self.master, purpose.as_bytes(), sealed)
    }
}

/// Encrypts `plain` to a recovery key, named by its public half (`age1...`): an armored `age` file.
pub fn encrypt_for_recovery(recipient: &str, plain: &[u8]) -> Result<String, Error> {
    let recipient = age::x25519::Recipient::from_str(recipient).map_err(|_| damaged("recovery recipient"))?;
    encrypt_to(&recipient, plain)
}

/// Opens what [`encrypt_for_recovery`] made.
pub fn decrypt_with_recovery_key(key: &str, armored: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let identity = Identity::from_str(key.trim()).map_err(|_| Error::WrongRecoveryKey)?;
    let reader = ArmoredReader::new(armored.as_bytes());
    let decryptor = age::Decryptor::new_buffered(reader).map_err(|_| damaged("age file"))?;
    let mut reader = decryptor
        .decrypt(std::iter::once(&identity as &dyn age::Identity))
        .map_err(|_| Error::WrongRecoveryKey)?;
    // What is inside is never longer than its armor, so it is read without growing (growing leaves copies behind).
    let mut plain = Zeroizing::new(Vec::with_capacity(armored.len()));
    std::io::Read::read_to_end(&mut reader, &mut plain).map_err(|_| damaged("age file"))?;
    Ok(plain)
}

fn damaged(detail: &str) -> Error {
    Error::VaultDamaged { detail: detail.to_owned() }
}

fn failed(operation: &str) -> Error {
    Error::VaultCrypto { operation: operation.to_owned() }
}

fn random(bytes: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(bytes).map_err(|_| failed("random bytes"))
}

fn derive(
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
fn seal(key: &[u8; KEY_LEN], purpose: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce)?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| failed("sealing"))?;
    let mut sealed = secret.to_vec();
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

fn unseal(key: &[u8; KEY_LEN], purpose: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
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

fn encrypt_to(recipient: &age::x25519::Recipient, secret: &[u8]) -> Result<String, Error> {
    let mut armored = Vec::new();
    let mut write = || -> std::io::Result<()> {
        let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient as &dyn age::Recipient))
            .map_err(std::io::Error::other)?;
        let armor = ArmoredWriter::wrap_output(&mut armored, Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armor)?;
        std::io::Write::write_all(&mut writer, secret)?;
        writer.finish()?.finish()?;
        Ok(())
    };
    write().map_err(|_| failed("wrapping for the recovery key"))?;
    String::from_utf8(armored).map_err(|_| failed("wrapping for the recovery key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrase_and_recovery_key_open_the_same_vault() {
        let (vault, wrapping, recovery) = Vault::create("correct horse").unwrap();
        let sealed = vault.seal("root", b"secret").unwrap();
        let stored: Wrapping = serde_json::from_str(&serde_json::to_string(&wrapping).unwrap()).unwrap();
        for secret in ["correct horse", recovery.text()] {
            let again = Vault::open(&stored, secret).unwrap();
            assert_eq!(again.unseal("root", &sealed).unwrap().as_slice(), b"secret");
        }
        assert!(recovery.text().starts_with("AGE-SECRET-KEY-1"));
    }

    #[test]
    fn nothing_else_opens_it() {
        let (_, wrapping, _) = Vault::create("correct horse").unwrap();
        let (_, _, foreign) = Vault::create("correct horse").unwrap();
        assert_eq!(Vault::open(&wrapping, "wrong").unwrap_err(), Error::WrongPassphrase);
        assert_eq!(Vault::open(&wrapping, foreign.text()).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(Vault::open(&wrapping, "AGE-SECRET-KEY-1X").unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(Vault::create("").unwrap_err(), Error::PassphraseEmpty);
    }

    #[test]
    fn a_sealed_secret_opens_for_its_purpose_and_unchanged_only() {
        let (vault, _, _) = Vault::create("x").unwrap();
        let mut sealed = vault.seal("root", b"secret").unwrap();
        assert!(vault.unseal("camera", &sealed).is_err());
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        sealed[20] ^= 1;
        assert!(vault.unseal("root", &sealed).is_err());
        assert!(vault.unseal("root", b"short").is_err());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let (vault, wrapping, recovery) = Vault::create("correct horse").unwrap();
        let shown = format!("{vault:?} {wrapping:?} {recovery:?}");
        assert!(!shown.contains("AGE-SECRET-KEY") && !shown.contains("correct horse"));
    }
}
