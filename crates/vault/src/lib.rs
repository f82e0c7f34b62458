//! The site's master key, its wrappings, and the sealing of everything secret.
//!
//! The master key is 256 random bits. It is stored only wrapped: by the passphrase (Argon2id, then
//! ChaCha20-Poly1305), by the recovery key (an `age` file, so that the `age` tool alone can open it), and by a key
//! file of 256 random bits only where the operator chose unattended start. What is secret in the data directory is
//! sealed with the master key; what must outlive Camlock goes to the recovery key's public half ([`escrow`]).

pub mod escrow;
mod seal;
mod wrapping;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use seal::random;
use wrapping::Master;

pub use escrow::RecoveryKey;
pub use wrapping::Wrapping;

const KEY_LEN: usize = 32;

/// What can go wrong with secrets. Never contains one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Error {
    #[error("the passphrase is empty")]
    PassphraseEmpty,
    #[error("the passphrase has the form of a recovery key or of a key file")]
    PassphraseIsKey,
    #[error("the passphrase does not open the vault")]
    WrongPassphrase,
    #[error("the recovery key does not open it")]
    WrongRecoveryKey,
    #[error("the key file does not open the vault")]
    WrongKeyFile,
    #[error("the stored vault is damaged: {detail}")]
    VaultDamaged { detail: String },
    #[error("what was encrypted to the recovery key is damaged: {detail}")]
    EscrowDamaged { detail: String },
    #[error("the system's cryptography failed: {operation}")]
    VaultCrypto { operation: String },
}

/// The open vault: the master key in memory, erased when dropped.
pub struct Vault {
    master: Master,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(..)")
    }
}

impl Vault {
    /// A new master key with its two wrappings.
    pub fn create(passphrase: &str) -> Result<(Vault, Wrapping, RecoveryKey), Error> {
        let mut master = Zeroizing::new([0; KEY_LEN]);
        random(master.as_mut())?;
        let (wrapping, recovery) = Wrapping::create(&master, passphrase)?;
        Ok((Vault { master }, wrapping, recovery))
    }

    /// Opens with the passphrase, or with the recovery key or the text of the key file in its place. Takes a
    /// noticeable part of a second: not for an async thread.
    pub fn open(wrapping: &Wrapping, secret: &str) -> Result<Vault, Error> {
        Ok(Vault { master: wrapping.unwrap(secret)? })
    }

    /// Another passphrase; the one before opens nothing from then on. As slow as [`Vault::open`].
    ///
    /// This and the next two change `wrapping`, which must be this vault's; they hold once it is stored. The master
    /// key stays, and with it all that it sealed.
    pub fn change_passphrase(&self, wrapping: &mut Wrapping, passphrase: &str) -> Result<(), Error> {
        wrapping.wrap_by_passphrase(&self.master, passphrase)
    }

    /// Another recovery key. The one before opens only what was encrypted to it.
    pub fn change_recovery_key(&self, wrapping: &mut Wrapping) -> Result<RecoveryKey, Error> {
        wrapping.wrap_by_recovery_key(&self.master)
    }

    /// A key file's text, one line; a key file before it opens nothing from then on.
    pub fn make_key_file(&self, wrapping: &mut Wrapping) -> Result<Zeroizing<String>, Error> {
        wrapping.wrap_by_key_file(&self.master)
    }

    /// Seals `secret`. It can be unsealed only for the same `purpose`, so that one sealed thing cannot be put
    /// in another's place.
    pub fn seal(&self, purpose: &str, secret: &[u8]) -> Result<Vec<u8>, Error> {
        seal::seal(&self.master, purpose.as_bytes(), secret)
    }

    /// Opens what [`Vault::seal`] made for `purpose`.
    pub fn unseal(&self, purpose: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        seal::unseal(&self.master, purpose.as_bytes(), sealed)
    }
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
        let (vault, wrapping, _) = Vault::create("correct horse").unwrap();
        let (_, mut other, foreign) = Vault::create("correct horse").unwrap();
        let foreign_file = vault.make_key_file(&mut other).unwrap();
        assert_eq!(Vault::open(&wrapping, "wrong").unwrap_err(), Error::WrongPassphrase);
        assert_eq!(Vault::open(&wrapping, foreign.text()).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(Vault::open(&wrapping, "AGE-SECRET-KEY-1X").unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(Vault::open(&wrapping, &foreign_file).unwrap_err(), Error::WrongKeyFile);
        assert_eq!(Vault::create("").unwrap_err(), Error::PassphraseEmpty);
        for key in [foreign.text(), &foreign_file] {
            assert_eq!(Vault::create(key).unwrap_err(), Error::PassphraseIsKey);
        }
    }

    /// The master key stays, and each secret goes by itself.
    #[test]
    fn a_changed_secret_replaces_the_one_before() {
        let (vault, mut wrapping, first) = Vault::create("first").unwrap();
        let sealed = vault.seal("root", b"secret").unwrap();
        let opens = |wrapping: &Wrapping, secret: &str| {
            let vault = Vault::open(wrapping, secret)?;
            assert_eq!(vault.unseal("root", &sealed).unwrap().as_slice(), b"secret");
            Ok(())
        };

        vault.change_passphrase(&mut wrapping, "second").unwrap();
        assert_eq!(opens(&wrapping, "first"), Err(Error::WrongPassphrase));
        assert_eq!(opens(&wrapping, "second"), Ok(()));
        let recipient = wrapping.recovery_recipient.clone();
        let second = vault.change_recovery_key(&mut wrapping).unwrap();
        assert_ne!(wrapping.recovery_recipient, recipient);
        assert_eq!(opens(&wrapping, first.text()), Err(Error::WrongRecoveryKey));

        let first_file = vault.make_key_file(&mut wrapping).unwrap();
        assert_eq!(opens(&wrapping, &first_file), Ok(()));
        let second_file = vault.make_key_file(&mut wrapping).unwrap();
        assert!(second_file.starts_with("CAMLOCK-KEY-1") && wrapping.has_key_file());
        assert_eq!(opens(&wrapping, &first_file), Err(Error::WrongKeyFile));
        let cut = &second_file[..second_file.len() - 1];
        assert_eq!(opens(&wrapping, cut), Err(Error::WrongKeyFile));
        for secret in ["second", second.text(), &second_file] {
            assert_eq!(opens(&wrapping, secret), Ok(()));
        }
        assert_eq!(vault.change_passphrase(&mut wrapping, ""), Err(Error::PassphraseEmpty));
        wrapping.remove_key_file();
        assert_eq!(opens(&wrapping, &second_file), Err(Error::WrongKeyFile));
        assert_eq!(opens(&wrapping, "second"), Ok(()));
    }

    /// As `init` of the first release stored it.
    #[test]
    fn a_wrapping_without_a_key_file_is_as_it_always_was() {
        let (vault, mut wrapping, _) = Vault::create("correct horse").unwrap();
        let fields = |wrapping: &Wrapping| {
            let stored = serde_json::to_value(wrapping).unwrap();
            stored.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let before = [
            "by_passphrase",
            "by_recovery_key",
            "memory_kib",
            "passes",
            "recovery_recipient",
            "salt",
            "version",
        ];
        assert_eq!(fields(&wrapping), before);
        vault.make_key_file(&mut wrapping).unwrap();
        let mut stored = serde_json::to_value(&wrapping).unwrap();
        assert!(serde_json::from_value::<Wrapping>(stored.clone()).unwrap().has_key_file());
        stored["more"] = true.into();
        assert!(serde_json::from_value::<Wrapping>(stored).is_err());
    }

    #[test]
    fn a_damaged_wrapping_is_no_wrong_secret() {
        let (_, wrapping, recovery) = Vault::create("correct horse").unwrap();
        for (field, value, secret) in [
            ("version", 2.into(), "correct horse"),
            ("salt", "?".into(), "correct horse"),
            ("memory_kib", (1 << 30).into(), "correct horse"),
            ("by_recovery_key", "?".into(), recovery.text()),
        ] {
            let mut stored = serde_json::to_value(&wrapping).unwrap();
            stored[field] = value;
            let error = Vault::open(&serde_json::from_value(stored).unwrap(), secret).unwrap_err();
            assert!(matches!(error, Error::VaultDamaged { .. }), "{field}: {error}");
        }
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
        let (vault, mut wrapping, recovery) = Vault::create("correct horse").unwrap();
        vault.make_key_file(&mut wrapping).unwrap();
        let shown = format!("{vault:?} {wrapping:?} {recovery:?}");
        for secret in ["AGE-SECRET-KEY", "correct horse", "CAMLOCK-KEY"] {
            assert!(!shown.contains(secret));
        }
    }
}
