//! What only the recovery key opens: `age` files to its public half, so that making one needs no secret and the
//! `age` tool alone opens it (<https://age-encryption.org/v1>).

use std::{
    fmt,
    io::{self, BufRead, Cursor, Read, Write},
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
/// The longest header that is read, bytes: enough for a hundred recipients, where Camlock writes one.
const MAX_HEADER: u64 = 16 * 1024;
/// How the last line of a header begins.
const MAC_LINE: &[u8] = b"---";

/// An `age` file whose header was read before, to be measured.
pub type Headed<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The recovery key, an `age` identity: shown once, to be printed, and never stored.
pub struct RecoveryKey {
    text: Zeroizing<String>,
    recipient: String,
}

impl RecoveryKey {
    /// The text to print: `AGE-SECRET-KEY-1...`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its public half: `age1...`.
    pub fn recipient(&self) -> &str {
        &self.recipient
    }

    /// A new one.
    pub(crate) fn generate() -> RecoveryKey {
        let identity = Identity::generate();
        let text = Zeroizing::new(identity.to_string().expose_secret().to_owned());
        RecoveryKey { text, recipient: identity.to_public().to_string() }
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

/// A recovery key's public half as people compare it: the first letters after `age1`, in groups of four. A hundred bits:
/// nobody finds another key for them.
pub fn short_form(recipient: &str) -> String {
    let letters = recipient.strip_prefix("age1").unwrap_or(recipient).chars();
    // It may be of a ledger that somebody else wrote.
    let letters: Vec<char> = letters.filter(char::is_ascii_alphanumeric).take(20).collect();
    letters.chunks(4).map(String::from_iter).collect::<Vec<_>>().join(" ")
}

/// The public half of a recovery key.
pub(crate) fn recipient_of(key: &str) -> Result<String, Error> {
    Ok(identity(key)?.to_public().to_string())
}

fn identity(key: &str) -> Result<Identity, Error> {
    // As people type it from the print.
    let upper = Zeroizing::new(key.trim().to_ascii_uppercase());
    Identity::from_str(&upper).map_err(|_| Error::WrongRecoveryKey)
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
pub fn decrypt_stream<R: BufRead>(key: &str, mut input: R) -> Result<StreamReader<Headed<R>>, Error> {
    let identity = identity(key)?;
    let header = header(&mut input)?;
    let opened = Decryptor::new_buffered(Cursor::new(header).chain(input))
        .and_then(|decryptor| decryptor.decrypt(iter::once(&identity as &dyn age::Identity)));
    opened.map_err(|e| match e {
        DecryptError::NoMatchingKeys => Error::WrongRecoveryKey,
        e => Error::EscrowDamaged { detail: e.to_string() },
    })
}

/// The header of an `age` file, up to the line with its MAC, if it is no longer than one can be: `age` would read it again
/// from the start for each line.
fn header(input: &mut impl BufRead) -> Result<Vec<u8>, Error> {
    let unreadable = |detail: String| Error::EscrowDamaged { detail };
    let mut header = Vec::new();
    let mut limited = input.take(MAX_HEADER);
    loop {
        let start = header.len();
        let read = limited.read_until(b'\n', &mut header).map_err(|e| unreadable(e.to_string()))?;
        let line = &header[start..];
        if line.starts_with(MAC_LINE) && line.ends_with(b"\n") {
            return Ok(header);
        }
        if read == 0 || !line.ends_with(b"\n") {
            return Err(match limited.limit() {
                0 => Error::EscrowHeader { limit: MAX_HEADER },
                _ => unreadable("it ends within its header".into()),
            });
        }
    }
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
        let (key, other) = (RecoveryKey::generate(), RecoveryKey::generate());
        let recipient = key.recipient();
        let text = encrypt_text(recipient, b"key").unwrap();
        assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
        assert_eq!(decrypt_text(key.text(), &text).unwrap().as_slice(), b"key");
        let long = vec![7; LONG];
        let stream = sealed(recipient, &long);
        assert_eq!(opened(&key, &stream).unwrap(), long);

        assert_eq!(decrypt_text(other.text(), &text).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(decrypt_text("AGE-SECRET-KEY-1X", &text).unwrap_err(), Error::WrongRecoveryKey);
        assert_eq!(decrypt_stream(other.text(), stream.as_slice()).err().unwrap(), Error::WrongRecoveryKey);
        assert!(encrypt_text("age1x", b"key").is_err() && encrypt_stream("", Vec::new()).is_err());
    }

    #[test]
    fn damage_is_no_wrong_key() {
        let key = RecoveryKey::generate();
        let recipient = key.recipient();
        let text = encrypt_text(recipient, b"key").unwrap();
        for damaged in [&text[..text.len() / 2], &text.replace("AGE", "PGP"), "", "no age file"] {
            let error = decrypt_text(key.text(), damaged).unwrap_err();
            assert!(matches!(error, Error::EscrowDamaged { .. }), "{damaged}: {error}");
        }
        let stream = sealed(recipient, &vec![7; LONG]);
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

    /// Some hundred stanzas for others before the right one: `age` would need a minute for them.
    #[test]
    fn a_header_that_no_backup_has_is_not_read() {
        let key = RecoveryKey::generate();
        let good = sealed(key.recipient(), b"key");
        let (version, rest) = good.split_at(b"age-encryption.org/v1\n".len());
        let stanza = format!("-> other\n{}\n", "A".repeat(43));
        let with = |count: usize| [version, stanza.repeat(count).as_bytes(), rest].concat();
        for count in [320, 3500] {
            let refused = decrypt_stream(key.text(), with(count).as_slice()).err().unwrap();
            assert_eq!(refused, Error::EscrowHeader { limit: MAX_HEADER }, "{count}");
        }
        let endless = [version, b"-> ".repeat(100_000).as_slice()].concat();
        let refused = decrypt_stream(key.text(), endless.as_slice()).err().unwrap();
        assert_eq!(refused, Error::EscrowHeader { limit: MAX_HEADER });
        // What `age` is given is refused by it for the header's own MAC.
        let read = decrypt_stream(key.text(), with(100).as_slice()).err().unwrap();
        assert!(matches!(read, Error::EscrowDamaged { .. }), "{read}");
        assert_eq!(opened(&key, &good).unwrap(), b"key");
    }

    #[test]
    fn the_short_form_is_the_beginning_in_groups() {
        let key = RecoveryKey::generate();
        let short = short_form(key.recipient());
        assert_eq!(short.split(' ').map(str::len).collect::<Vec<_>>(), [4; 5]);
        assert!(key.recipient()[4..].starts_with(&short.replace(' ', "")));
        assert_eq!(recipient_of(&key.text().to_lowercase()).unwrap(), key.recipient());
        assert_eq!(short_form("age1\u{1b}[2Jx\u{202e}"), "2Jx");
        assert_eq!(short_form(""), "");
    }
}
