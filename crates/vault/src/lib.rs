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

use domain::ErrorKind;
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
    #[error("the header of the age file is longer than {limit} bytes")]
    EscrowHeader { limit: u64 },
    #[error("the system's cryptography failed: {operation}")]
    VaultCrypto { operation: String },
}

impl Error {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::PassphraseEmpty | Error::PassphraseIsKey => ErrorKind::WrongUse,
            Error::WrongPassphrase | Error::WrongRecoveryKey | Error::WrongKeyFile => ErrorKind::Locked,
            Error::VaultDamaged { .. }
            | Error::EscrowDamaged { .. }
            | Error::EscrowHeader { .. }
            | Error::VaultCrypto { .. } => ErrorKind::Broken,
        }
    }
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

    /// Opens with the passphrase, or with the recovery key or the text of the key file in its place, a wrapping in which
    /// nothing was changed since it was bound, or one that is not bound yet. Takes a noticeable part of a second: not for
    /// an async thread.
    pub fn open(wrapping: &Wrapping, secret: &str) -> Result<Vault, Error> {
        Ok(Vault { master: wrapping.unwrap(secret)? })
    }

    /// Whether nothing was changed in a wrapping since it was bound to this vault's master key: to be asked before anything
    /// is encrypted to its recipient.
    pub fn check(&self, wrapping: &Wrapping) -> Result<(), Error> {
        wrapping.check(&self.master)
    }

    /// Binds a wrapping of the version before to the master key. Nobody can say whether it was changed until now: what
    /// tells that it was never bound before stands elsewhere.
    pub fn bind(&self, wrapping: &mut Wrapping) {
        wrapping.bind(&self.master);
    }

    /// Another passphrase; the one before opens nothing from then on. As slow as [`Vault::open`].
    ///
    /// This and the next three change `wrapping`, which must be this vault's and unchanged; they hold once it is stored.
    /// The master key stays, and with it all that it sealed.
    pub fn change_passphrase(&self, wrapping: &mut Wrapping, passphrase: &str) -> Result<(), Error> {
        self.change(wrapping, |wrapping| wrapping.wrap_by_passphrase(&self.master, passphrase))
    }

    /// Another recovery key. The one before opens only what was encrypted to it.
    pub fn change_recovery_key(&self, wrapping: &mut Wrapping) -> Result<RecoveryKey, Error> {
        self.change(wrapping, |wrapping| wrapping.wrap_by_recovery_key(&self.master))
    }

    /// A key file's text, one line; a key file before it opens nothing from then on.
    pub fn make_key_file(&self, wrapping: &mut Wrapping) -> Result<Zeroizing<String>, Error> {
        self.change(wrapping, |wrapping| wrapping.wrap_by_key_file(&self.master))
    }

    /// No key file opens the vault from then on.
    pub fn remove_key_file(&self, wrapping: &mut Wrapping) -> Result<(), Error> {
        self.change(wrapping, |wrapping| {
            wrapping.remove_key_file();
            Ok(())
        })
    }

    fn change<T>(
        &self,
        wrapping: &mut Wrapping,
        change: impl FnOnce(&mut Wrapping) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(wrapping)?;
        let changed = change(wrapping)?;
        wrapping.bind(&self.master);
        Ok(changed)
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
        let (other_vault, mut other, foreign) = Vault::create("correct horse").unwrap();
        assert!(vault.make_key_file(&mut other).is_err());
        let foreign_file = other_vault.make_key_file(&mut other).unwrap();
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
        vault.remove_key_file(&mut wrapping).unwrap();
        assert_eq!(opens(&wrapping, &second_file), Err(Error::WrongKeyFile));
        assert_eq!(opens(&wrapping, "second"), Ok(()));
    }

    /// As `init` stores it.
    #[test]
    fn a_wrapping_has_these_fields_and_no_others() {
        let (vault, mut wrapping, _) = Vault::create("correct horse").unwrap();
        let fields = |wrapping: &Wrapping| {
            let stored = serde_json::to_value(wrapping).unwrap();
            stored.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let before = [
            "by_passphrase",
            "by_recovery_key",
            "mac",
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
            ("version", 3.into(), "correct horse"),
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

    /// As the ledger has it, with a field changed.
    fn changed(wrapping: &Wrapping, field: &str, value: serde_json::Value) -> Wrapping {
        let mut stored = serde_json::to_value(wrapping).unwrap();
        match value {
            serde_json::Value::Null => drop(stored.as_object_mut().unwrap().remove(field)),
            value => stored[field] = value,
        }
        serde_json::from_value(stored).unwrap()
    }

    /// By any secret, even where the field is none that this secret needs.
    #[test]
    fn whatever_is_changed_in_a_wrapping_opens_nothing() {
        let (vault, mut wrapping, recovery) = Vault::create("correct horse").unwrap();
        let key_file = vault.make_key_file(&mut wrapping).unwrap();
        let (other_vault, mut other, thief) = Vault::create("correct horse").unwrap();
        other_vault.make_key_file(&mut other).unwrap();
        let foreign = serde_json::to_value(&other).unwrap();
        let fields = foreign.as_object().unwrap().keys();
        let mut tried = 0;
        for (field, secret) in fields.flat_map(|field| {
            ["correct horse", recovery.text(), &key_file]
                .map(move |secret| (field.clone(), secret.to_owned()))
        }) {
            let value = match field.as_str() {
                "version" => 3.into(),
                "memory_kib" => 8.into(),
                "passes" => 1.into(),
                field => foreign[field].clone(),
            };
            let error = Vault::open(&changed(&wrapping, &field, value), &secret).unwrap_err();
            let of_the_field = [Error::WrongPassphrase, Error::WrongRecoveryKey, Error::WrongKeyFile];
            assert!(
                matches!(error, Error::VaultDamaged { .. }) || of_the_field.contains(&error),
                "{field}: {error}"
            );
            tried += 1;
        }
        assert_eq!(tried, 27);
        // The fields that are nobody's secret, with each.
        for secret in ["correct horse", recovery.text(), &key_file] {
            let recipient = changed(&wrapping, "recovery_recipient", thief.recipient().into());
            for stored in [recipient.clone(), changed(&wrapping, "mac", ().into())] {
                let error = Vault::open(&stored, secret).unwrap_err();
                assert!(matches!(error, Error::VaultDamaged { .. }), "{error}");
            }
            let mut stored = recipient;
            assert!(vault.check(&stored).is_err() && vault.make_key_file(&mut stored).is_err());
            assert!(vault.change_recovery_key(&mut stored).is_err());
        }
        let without = changed(&wrapping, "by_key_file", ().into());
        assert!(matches!(Vault::open(&without, "correct horse"), Err(Error::VaultDamaged { .. })));
        assert!(Vault::open(&wrapping, &key_file).is_ok());
    }

    /// The first release bound nothing; that it was never bound before is for others to know.
    #[test]
    fn a_wrapping_of_the_version_before_opens_and_is_bound() {
        let (vault, wrapping, recovery) = Vault::create("correct horse").unwrap();
        let old = changed(&changed(&wrapping, "mac", ().into()), "version", 1.into());
        assert!(old.is_unbound() && vault.check(&old).is_err() && !wrapping.is_unbound());
        for secret in ["correct horse", recovery.text()] {
            assert!(Vault::open(&old, secret).is_ok());
        }
        // Who has the recovery key sees that the recipient is another's.
        let (_, _, thief) = Vault::create("x").unwrap();
        let forged = changed(&old, "recovery_recipient", thief.recipient().into());
        assert!(matches!(Vault::open(&forged, recovery.text()), Err(Error::VaultDamaged { .. })));
        let mut bound = old;
        vault.bind(&mut bound);
        assert!(!bound.is_unbound() && Vault::open(&bound, "correct horse").unwrap().check(&bound).is_ok());
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
