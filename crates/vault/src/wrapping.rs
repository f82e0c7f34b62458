use aws_lc_rs::hmac;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    Error, KEY_LEN, escrow,
    escrow::RecoveryKey,
    seal::{damaged, derive, random, seal, unseal},
};

/// The present version. A key file is a field more and no other version: who does not know the field refuses it.
const VERSION: u32 = 2;
/// The version before it had no MAC: whoever could write the ledger could write it.
const UNBOUND: u32 = 1;
const SALT_LEN: usize = 16;

/// 64 MiB and three passes: under a second on the ARM processor of a small NAS, and it fits beside
/// everything else in 512 MB.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
/// What a stored wrapping may ask for at most, so that a damaged one cannot exhaust the machine.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
const MAX_PASSES: u32 = 16;

/// How the text of a key file begins; the key follows in base64 (URL-safe, no padding).
const KEY_FILE_PREFIX: &str = "CAMLOCK-KEY-1";
/// What the wrappings are sealed for, so that none can stand in another's place.
const BY_PASSPHRASE: &[u8] = b"camlock master key";
const BY_KEY_FILE: &[u8] = b"camlock master key by key file";
/// What the key of the MAC is derived for.
const MAC_KEY: &[u8] = b"camlock wrapping mac";

pub(crate) type Master = Zeroizing<[u8; KEY_LEN]>;

/// The master key as it is stored: useless without the passphrase, the recovery key or the key file.
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
    /// Base64: nonce, then the sealed master key; only where the operator chose unattended start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_key_file: Option<String>,
    /// Base64: HMAC-SHA-256 over all of the above, by a key that is derived from the master key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
}

impl Wrapping {
    /// Whether a key file opens the vault.
    pub fn has_key_file(&self) -> bool {
        self.by_key_file.is_some()
    }

    /// What it costs to try a passphrase: memory in KiB, and passes over it.
    pub fn costs(&self) -> (u32, u32) {
        (self.memory_kib, self.passes)
    }

    /// Whether it is of the version that is not bound to the master key.
    pub fn is_unbound(&self) -> bool {
        self.version == UNBOUND
    }

    pub(crate) fn remove_key_file(&mut self) {
        self.by_key_file = None;
    }

    /// Makes it one of the present version, and binds all of it to the master key.
    pub(crate) fn bind(&mut self, master: &Master) {
        self.version = VERSION;
        self.mac = Some(STANDARD.encode(hmac::sign(&mac_key(master), &self.bound())));
    }

    /// Whether all of it is as it was bound to the master key.
    pub(crate) fn check(&self, master: &Master) -> Result<(), Error> {
        let changed = || damaged("something in the wrapping of the master key was changed");
        let mac = self.mac.as_ref().filter(|_| self.version == VERSION).ok_or_else(changed)?;
        let mac = STANDARD.decode(mac).map_err(|_| changed())?;
        hmac::verify(&mac_key(master), &self.bound(), &mac).map_err(|_| changed())
    }

    /// Every field but the MAC, each with its length before it, so that none runs into the next.
    fn bound(&self) -> Vec<u8> {
        let Wrapping {
            version,
            memory_kib,
            passes,
            salt,
            by_passphrase,
            by_recovery_key,
            recovery_recipient,
            by_key_file,
            mac: _,
        } = self;
        let mut bound = Vec::new();
        for number in [version, memory_kib, passes] {
            bound.extend(number.to_be_bytes());
        }
        let texts = [salt, by_passphrase, by_recovery_key, recovery_recipient];
        for text in texts.into_iter().chain(by_key_file) {
            bound.extend((text.len() as u64).to_be_bytes());
            bound.extend(text.as_bytes());
        }
        bound
    }

    pub(crate) fn create(master: &Master, passphrase: &str) -> Result<(Wrapping, RecoveryKey), Error> {
        let mut wrapping = Wrapping {
            version: VERSION,
            memory_kib: 0,
            passes: 0,
            salt: String::new(),
            by_passphrase: String::new(),
            by_recovery_key: String::new(),
            recovery_recipient: String::new(),
            by_key_file: None,
            mac: None,
        };
        wrapping.wrap_by_passphrase(master, passphrase)?;
        let recovery = wrapping.wrap_by_recovery_key(master)?;
        wrapping.bind(master);
        Ok((wrapping, recovery))
    }

    /// Each kind of secret is known by how it begins. What is bound is checked; one of the version before has nothing to
    /// check.
    pub(crate) fn unwrap(&self, secret: &str) -> Result<Master, Error> {
        if self.version != VERSION && !self.is_unbound() {
            return Err(damaged("a wrapping of another version"));
        }
        let master = if escrow::is_recovery_key(secret) {
            self.unwrap_by_recovery_key(secret)?
        } else if let Some(key) = secret.strip_prefix(KEY_FILE_PREFIX) {
            self.unwrap_by_key_file(key)?
        } else {
            self.unwrap_by_passphrase(secret)?
        };
        let master: [u8; KEY_LEN] = master.as_slice().try_into().map_err(|_| damaged("master key"))?;
        let master = Zeroizing::new(master);
        if !self.is_unbound() {
            self.check(&master)?;
        }
        Ok(master)
    }

    pub(crate) fn wrap_by_passphrase(&mut self, master: &Master, passphrase: &str) -> Result<(), Error> {
        if passphrase.is_empty() {
            return Err(Error::PassphraseEmpty);
        }
        // It would be taken for the other secret, and open nothing.
        if escrow::is_recovery_key(passphrase) || passphrase.starts_with(KEY_FILE_PREFIX) {
            return Err(Error::PassphraseIsKey);
        }
        let mut salt = [0; SALT_LEN];
        random(&mut salt)?;
        let wrapping_key = derive(passphrase, &salt, MEMORY_KIB, PASSES)?;
        self.by_passphrase = STANDARD.encode(seal(&wrapping_key, BY_PASSPHRASE, master.as_ref())?);
        self.salt = STANDARD.encode(salt);
        (self.memory_kib, self.passes) = (MEMORY_KIB, PASSES);
        Ok(())
    }

    fn unwrap_by_passphrase(&self, passphrase: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        if self.memory_kib > MAX_MEMORY_KIB || self.passes > MAX_PASSES {
            return Err(damaged("an absurd cost"));
        }
        let salt = STANDARD.decode(&self.salt).map_err(|_| damaged("salt"))?;
        let sealed = STANDARD.decode(&self.by_passphrase).map_err(|_| damaged("sealed master key"))?;
        let wrapping_key = derive(passphrase, &salt, self.memory_kib, self.passes)?;
        unseal(&wrapping_key, BY_PASSPHRASE, &sealed).map_err(|_| Error::WrongPassphrase)
    }

    pub(crate) fn wrap_by_recovery_key(&mut self, master: &Master) -> Result<RecoveryKey, Error> {
        let key = RecoveryKey::generate();
        self.by_recovery_key = escrow::encrypt_text(key.recipient(), master.as_ref())?;
        self.recovery_recipient = key.recipient().to_owned();
        Ok(key)
    }

    fn unwrap_by_recovery_key(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let master = escrow::decrypt_text(key, &self.by_recovery_key).map_err(|e| match e {
            Error::EscrowDamaged { .. } | Error::EscrowHeader { .. } => damaged("recovery wrapping"),
            e => e,
        })?;
        // Also where nothing is bound yet, who has the key knows its public half.
        if escrow::recipient_of(key)? != self.recovery_recipient {
            return Err(damaged("the recovery recipient is not that of the recovery key"));
        }
        Ok(master)
    }

    pub(crate) fn wrap_by_key_file(&mut self, master: &Master) -> Result<Zeroizing<String>, Error> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        random(key.as_mut())?;
        self.by_key_file = Some(STANDARD.encode(seal(&key, BY_KEY_FILE, master.as_ref())?));
        // Long enough from the start, so that no copy is left where it was moved from.
        let mut text = Zeroizing::new(String::with_capacity(KEY_FILE_PREFIX.len() + 2 * KEY_LEN));
        text.push_str(KEY_FILE_PREFIX);
        URL_SAFE_NO_PAD.encode_string(key.as_slice(), &mut text);
        Ok(text)
    }

    fn unwrap_by_key_file(&self, key: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        let sealed = self.by_key_file.as_ref().ok_or(Error::WrongKeyFile)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| damaged("sealed master key"))?;
        let key = Zeroizing::new(URL_SAFE_NO_PAD.decode(key.trim_end()).map_err(|_| Error::WrongKeyFile)?);
        let key = key.as_slice().try_into().map(Zeroizing::new).map_err(|_| Error::WrongKeyFile)?;
        unseal(&key, BY_KEY_FILE, &sealed).map_err(|_| Error::WrongKeyFile)
    }
}

fn mac_key(master: &Master) -> hmac::Key {
    let master = hmac::Key::new(hmac::HMAC_SHA256, master.as_ref());
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&master, MAC_KEY).as_ref())
}
