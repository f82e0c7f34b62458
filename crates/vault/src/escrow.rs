//! What only the recovery key opens: `age` files to its public half, so that making one needs no secret and the
//! `age` tool alone opens it (<https://age-encryption.org/v1>).

use std::{
    fmt,
    io::{self, BufRead, Read, Write},
    iter,
    str::FromStr,
};

use age::{
    DecryptError, Decryptor, Encryptor,
    armor::{ArmoredReader, ArmoredWriter, Format},
    secrecy::ExposeSecret,
    x25519::{Identity, Recipient},
};
use zeroize::Zeroizing;

use crate::{
    Error,
    seal::{damaged, failed},
};

pub use age::stream::{StreamReader, StreamWriter};

/// How the text of a recovery key begins.
const PREFIX: &str = "AGE-SECRET-KEY-1";

/// The recovery key, an `age` identity: shown once, to be printed, and never stored.
pub struct RecoveryKey(Zeroizing<String>);

impl RecoveryKey {
    /// The text to print: `AGE-SECRET-KEY-1...`.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// A new one, and its public half.
    pub(crate) fn generate() -> (RecoveryKey, String) {
        let identity = Identity::generate();
        let text = Zeroizing::new(identity.to_string().expose_secret().to_owned());
        (RecoveryKey(text), identity.to_public().to_string())
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

/// Whether a secret is meant as a recovery key.
pub fn is_recovery_key(secret: &str) -> bool {
    secret.trim_start().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Encrypts something small to a recovery key's public half (`age1...`): an armored `age` file, which is text.
pub fn encrypt_text(recipient: &str, secret: &[u8]) -> Result<String, Error> {
    let mut armored = Vec::new();
    let write = |output: &mut Vec<u8>| -> io::Result<()> {
        let armor = ArmoredWriter::wrap_output(output, Format::AsciiArmor)?;
        let mut writer = encrypt_stream(recipient, armor)?;
        writer.write_all(secret)?;
        writer.finish()?.finish()?;
        Ok(())
    };
    write(&mut armored).map_err(|_| failed("encrypting to the recovery key"))?;
    String::from_utf8(armored).map_err(|_| failed("encrypting to the recovery key"))
}

/// Encrypts what is written, of any length, to a recovery key's public half (`age1...`): a binary `age` file, whole
/// only after `finish`.
pub fn encrypt_stream<W: Write>(recipient: &str, output: W) -> io::Result<StreamWriter<W>> {
    let recipient =
        Recipient::from_str(recipient).map_err(|_| io::Error::other(damaged("recovery recipient")))?;
    Encryptor::with_recipients(iter::once(&recipient as &dyn age::Recipient))
        .map_err(io::Error::other)?
        .wrap_output(output)
}

/// Opens what [`encrypt_text`] made, with the text of the recovery key.
pub fn decrypt_text(key: &str, armored: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut reader = decrypt_stream(key, ArmoredReader::new(armored.as_bytes()))?;
    // The plain text is shorter, so that it is never moved, and no copy of it left.
    let mut plain = Zeroizing::new(Vec::with_capacity(armored.len()));
    reader.read_to_end(&mut plain).map_err(|e| Error::EscrowDamaged { detail: e.to_string() })?;
    Ok(plain)
}

/// Opens what [`encrypt_stream`] made, with the text of the recovery key, spaces around it or not. Reading fails where the file is damaged
/// (`InvalidData`) or ends too early (`UnexpectedEof`); what was read before that is authentic, but not all.
pub fn decrypt_stream<R: BufRead>(key: &str, input: R) -> Result<StreamReader<R>, Error> {
    // As people type it from the print.
    let upper = Zeroizing::new(key.trim().to_ascii_uppercase());
    let identity = Identity::from_str(&upper).map_err(|_| Error::WrongRecoveryKey)?;
    let opened = Decryptor::new_buffered(input)
        .and_then(|decryptor| decryptor.decrypt(iter::once(&identity as &dyn age::Identity)));
    opened.map_err(|e| match e {
        DecryptError::NoMatchingKeys => Error::WrongRecoveryKey,
        e => Error::EscrowDamaged { detail: e.to_string() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than one chunk of `age`'s.
    const LONG: usize = 150_000;

    fn sealed(recipient: &str, plain: &[u8]) -> Vec<u8> {
        let mut writer = encrypt_stream(recipient, Vec::new()).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn opened(key: &RecoveryKey, sealed: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decrypt_stream(key.text(), sealed).map_err(io::Error::other)?.read_to_end(&mut plain).map(|_| plain)
    }

    #[test]
    fn only_the_recovery_key_opens_it() {
        let (key, recipient) = RecoveryKey::generate();
        let (other, _) = RecoveryKey::generate();
        let text = encrypt_text(&recipient, b"key").unwrap();
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(decrypt_text(key.text(), &text).unwrap().as_slice(), b"key");
        let long = vec![7; LONG];
        let stream = sealed(&recipient, &long);
        assert_eq!(opened(&key, &stream).unwrap(), long);

        assert_eq!(decrypt_text(other.text(), &text).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(decrypt_text("AGE-SECRET-KEY-1X", &text).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(decrypt_stream(other.text(), stream.as_slice()).err().unwrap(), Error::WrongRecoveryKey);
        assert!(encrypt_text("age1x", b"key").is_err() && encrypt_stream("", Vec::new()).is_err());
    }

    #[test]
    fn damage_is_no_wrong_key() {
        let (key, recipient) = RecoveryKey::generate();
        let text = encrypt_text(&recipient, b"key").unwrap();
        for damaged in [&text[..text.len() / 2], &text.replace("AGE", "PGP"), "", "no age file"] {
            let error = decrypt_text(key.text(), damaged).unwrap_err();
            assert!(matches!(error, Error::EscrowDamaged { .. }), "{damaged}: {error}");
        }
        let stream = sealed(&recipient, &vec![7; LONG]);
        let payload = stream.len() - LONG;
        // At the ends of chunks, too: the last one says that it is the last.
        for length in [0, 10, payload / 2, payload + 65_552, stream.len() - 1] {
            assert!(opened(&key, &stream[..length]).is_err(), "{length}");
        }
        for at in [payload, payload + 65_536, stream.len() - 1] {
            let mut damaged = stream.clone();
            damaged[at] ^= 1;
            assert!(opened(&key, &damaged).is_err(), "{at}");
        }
        assert!(opened(&key, &[stream.as_slice(), b"more"].concat()).is_err());
    }
}
