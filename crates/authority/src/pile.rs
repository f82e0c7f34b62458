//! Files as other programs export them, taken apart into certificates and private keys.

use domain::visible;
use miniz_oxide::inflate::decompress_slice_iter_to_slice;
use pki::{Certificate, MAX_KEY_FILE, PrivateKey, package, pem, pkcs7};
use rawzip::{CompressionMethod, ZipArchive, ZipFileHeaderRecord};
use roxmltree::{Document, Node, ParsingOptions};
use zeroize::Zeroizing;

use crate::ImportError;

/// The largest file that is read, bytes: a firewall's whole configuration, or an archive. What holds a key or a
/// certificate alone may have [`MAX_KEY_FILE`].
pub const MAX_IMPORT: usize = 4 << 20;
/// The most files of an archive.
const MAX_MEMBERS: usize = 200;
/// The most certificates, and the most private keys, that are looked at.
const MAX_CERTIFICATES: usize = 2000;
const MAX_KEYS: usize = 100;
/// The most things that are decrypted; each may take some seconds on a small machine.
const MAX_ENCRYPTED: usize = 20;
/// Limits for XML: reading takes a time that grows with the square of the attributes of an element, and with the
/// namespaces times the elements.
const MAX_NAMESPACES: usize = 500;
const MAX_EQUAL_SIGNS: usize = 5000;
const MAX_NODES: u32 = 500_000;

/// What was found in files, wherever it stood in them.
pub struct Pile {
    passphrase: Option<Zeroizing<String>>,
    encrypted: usize,
    pub(crate) certificates: Vec<Found<Certificate>>,
    pub(crate) keys: Vec<Found<PrivateKey>>,
    /// What looked like something of use, and why it is not.
    pub(crate) unread: Vec<ImportError>,
}

/// A thing, and where it was.
pub(crate) struct Found<T> {
    pub(crate) file: String,
    /// What the other program calls it, if it has a name for it.
    pub(crate) name: Option<String>,
    pub(crate) thing: T,
}

impl Pile {
    /// An empty one. What is encrypted is opened with `passphrase`.
    pub fn new(passphrase: Option<&str>) -> Pile {
        Pile {
            passphrase: passphrase.map(|p| Zeroizing::new(p.to_owned())),
            encrypted: 0,
            certificates: Vec::new(),
            keys: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// Adds what is in a file, which is told by its bytes: PEM, DER, PKCS#7, PKCS#12, a ZIP archive of such files, or the
    /// configuration of OPNsense or pfSense. Other files are passed over.
    pub fn add(&mut self, file: &str, bytes: &[u8]) -> Result<(), ImportError> {
        let file = &shown(file);
        if bytes.starts_with(b"PK\x03\x04") {
            return match self.add_archive(file, bytes) {
                Err(detail) => {
                    self.unread.push(ImportError::ImportArchive { file: file.clone(), detail });
                    Ok(())
                }
                Ok(done) => done,
            };
        }
        if bytes.starts_with(b"SQLite format 3\0") {
            self.unread.push(ImportError::ImportDatabase { file: file.clone() });
            return Ok(());
        }
        if bytes.starts_with(b"\xfe\xed\xfe\xed") || bytes.starts_with(b"\xce\xce\xce\xce") {
            self.unread.push(ImportError::ImportJava { file: file.clone() });
            return Ok(());
        }
        if bytes.starts_with(b"---- BEGIN config.xml ----") {
            self.unread.push(ImportError::ImportEncryptedConfiguration { file: file.clone() });
            return Ok(());
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if trimmed(text).starts_with('<') => self.add_configuration(file, trimmed(text)),
            _ => self.take(file, None, bytes),
        }
    }

    /// The outer error is the archive's, the inner one of what is in it. Nothing is ever written.
    fn add_archive(&mut self, file: &str, bytes: &[u8]) -> Result<Result<(), ImportError>, String> {
        let archive = ZipArchive::from_slice(bytes).map_err(|e| e.to_string())?;
        let mut left = MAX_IMPORT;
        for (number, entry) in archive.entries().enumerate() {
            let entry = entry.map_err(|e| e.to_string())?;
            let size = usize::try_from(entry.uncompressed_size_hint()).unwrap_or(usize::MAX);
            if entry.is_dir() || size > MAX_KEY_FILE {
                continue;
            }
            left = left.checked_sub(size).filter(|_| number < MAX_MEMBERS).ok_or("it holds too much")?;
            let local = archive.get_entry(entry.wayfinder()).map_err(|e| e.to_string())?;
            let content = unpacked(&entry, local.data(), size)?;
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            let taken = self.take(&shown(&format!("{file}: {name}")), None, &content);
            if taken.is_err() {
                return Ok(taken);
            }
        }
        Ok(Ok(()))
    }

    /// `<ca>` elements with the name in `<descr>`, and PEM in base64 in `<crt>` and `<prv>`.
    fn add_configuration(&mut self, file: &str, text: &str) -> Result<(), ImportError> {
        let cheap = text.matches("xmlns").count() <= MAX_NAMESPACES
            && text.split('<').all(|piece| piece.matches('=').count() <= MAX_EQUAL_SIGNS);
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
        // Any page of the web begins like this: no word about what is none.
        let Some(document) = cheap.then(|| Document::parse_with_options(text, options).ok()).flatten() else {
            return Ok(());
        };
        let elements = document.root_element().children().filter(|node| node.has_tag_name("ca"));
        for authority in elements {
            let part = |name: &str| authority.children().find(|n: &Node<'_, '_>| n.has_tag_name(name));
            let name = part("descr").and_then(|n| n.text()).map(shown).filter(|name| !name.is_empty());
            let label = format!("{file}: {}", name.as_deref().unwrap_or("CA"));
            for part in ["crt", "prv"].into_iter().filter_map(part) {
                if let Some(content) = part.text().and_then(pem::decode).filter(|c| !c.is_empty()) {
                    self.take(&label, name.as_deref(), &content)?;
                }
            }
        }
        Ok(())
    }

    /// PEM, DER, PKCS#7 or PKCS#12.
    fn take(&mut self, file: &str, name: Option<&str>, bytes: &[u8]) -> Result<(), ImportError> {
        if bytes.len() > MAX_KEY_FILE {
            let reason = pki::Error::FileTooLarge { bytes: bytes.len(), limit: MAX_KEY_FILE };
            self.unread.push(ImportError::ImportUnread { file: file.to_owned(), reason });
            return Ok(());
        }
        let text = pem::text(bytes);
        let blocks = pem::blocks(&text);
        if blocks.is_empty() {
            return self.take_der(file, name, bytes);
        }
        for (_, der) in
            blocks.iter().filter(|(label, _)| matches!(*label, "CERTIFICATE" | "X509 CERTIFICATE"))
        {
            let damaged = || pki::Error::NotACertificate { detail: "the PEM block is damaged".into() };
            match der.as_ref().ok_or_else(damaged).and_then(|der| Certificate::from_der(der)) {
                Ok(certificate) => self.found(file, name, certificate)?,
                Err(reason) => self.unread(file, reason),
            }
        }
        for (_, der) in blocks.iter().filter(|(label, _)| pkcs7::LABELS.contains(label)) {
            self.take_pkcs7(file, name, der.as_deref().map(Vec::as_slice).unwrap_or_default())?;
        }
        self.take_keys(file, name, bytes, |_| false)
    }

    /// The certificates of a bundle (`.p7b`), as Windows exports them.
    fn take_pkcs7(&mut self, file: &str, name: Option<&str>, bytes: &[u8]) -> Result<(), ImportError> {
        match pkcs7::certificates(bytes) {
            Ok(certificates) => certificates.into_iter().try_for_each(|c| self.found(file, name, c)),
            Err(reason) => {
                self.unread(file, reason);
                Ok(())
            }
        }
    }

    fn take_der(&mut self, file: &str, name: Option<&str>, bytes: &[u8]) -> Result<(), ImportError> {
        if let Ok(certificate) = Certificate::from_der(bytes) {
            return self.found(file, name, certificate);
        }
        if pkcs7::is_pkcs7(bytes) {
            return self.take_pkcs7(file, name, bytes);
        }
        // PKCS#12 is a sequence that begins with the number 3.
        if !bytes.windows(3).take(6).any(|start| start == [2, 1, 3]) {
            // Any other file is none of a key, either.
            return self.take_keys(file, name, bytes, |e| matches!(e, pki::Error::NotAPrivateKey { .. }));
        }
        self.decrypted(1)?;
        match package::read_pkcs12(bytes, self.passphrase.as_ref().map(|p| p.as_str())) {
            Ok(unpacked) => {
                for certificate in unpacked.certificates {
                    self.found(file, name, certificate)?;
                }
                self.found_key(file, name, unpacked.key)
            }
            Err(reason) => {
                self.unread(file, reason);
                Ok(())
            }
        }
    }

    fn take_keys(
        &mut self,
        file: &str,
        name: Option<&str>,
        bytes: &[u8],
        passes: impl Fn(&pki::Error) -> bool,
    ) -> Result<(), ImportError> {
        let mut keys = PrivateKey::read_all(bytes, None).unwrap_or_default();
        let locked =
            |key: &&Result<PrivateKey, pki::Error>| matches!(key, Err(pki::Error::FilePassphraseMissing));
        let count = keys.iter().filter(locked).count();
        if let Some(passphrase) = self.passphrase.clone().filter(|_| count > 0) {
            self.decrypted(count)?;
            keys = PrivateKey::read_all(bytes, Some(&passphrase)).unwrap_or_default();
        }
        for key in keys {
            match key {
                Ok(key) => self.found_key(file, name, key)?,
                Err(reason) if passes(&reason) => {}
                Err(reason) => self.unread(file, reason),
            }
        }
        Ok(())
    }

    fn decrypted(&mut self, count: usize) -> Result<(), ImportError> {
        self.encrypted += count;
        within(self.encrypted, MAX_ENCRYPTED)
    }

    fn found(&mut self, file: &str, name: Option<&str>, thing: Certificate) -> Result<(), ImportError> {
        let known = self.certificates.iter_mut().find(|found| found.thing == thing);
        match known {
            Some(found) => found.name = found.name.take().or(name.map(str::to_owned)),
            None => {
                self.certificates.push(Found { file: file.to_owned(), name: name.map(str::to_owned), thing })
            }
        }
        within(self.certificates.len(), MAX_CERTIFICATES)
    }

    fn found_key(&mut self, file: &str, name: Option<&str>, thing: PrivateKey) -> Result<(), ImportError> {
        let public = thing.public_key();
        if !self.keys.iter().any(|found| found.thing.public_key() == public) {
            self.keys.push(Found { file: file.to_owned(), name: name.map(str::to_owned), thing });
        }
        within(self.keys.len(), MAX_KEYS)
    }

    fn unread(&mut self, file: &str, reason: pki::Error) {
        let file = file.to_owned();
        self.unread.push(match reason {
            pki::Error::FilePassphraseMissing => ImportError::ImportPassphraseMissing { file },
            pki::Error::FilePassphraseWrong => ImportError::ImportPassphraseWrong { file },
            reason => ImportError::ImportUnread { file, reason },
        });
    }
}

fn within(count: usize, limit: usize) -> Result<(), ImportError> {
    if count > limit { Err(ImportError::ImportTooMuch { limit }) } else { Ok(()) }
}

/// Unpacked in place, since it may be a private key; no more than the `size` that the archive's directory names.
fn unpacked(entry: &ZipFileHeaderRecord<'_>, data: &[u8], size: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    if entry.flags().is_encrypted() {
        return Err("it is encrypted".into());
    }
    let mut content = Zeroizing::new(vec![0; size]);
    let whole = match entry.compression_method() {
        CompressionMethod::STORE if data.len() == size => {
            content.copy_from_slice(data);
            true
        }
        CompressionMethod::DEFLATE => {
            let parts = std::iter::once(data);
            decompress_slice_iter_to_slice(&mut content, parts, false, true) == Ok(size)
        }
        CompressionMethod::STORE => false,
        _ => return Err("it is packed in an uncommon way".into()),
    };
    if !whole || rawzip::crc32(&content) != entry.crc32() {
        return Err("it is damaged".into());
    }
    Ok(content)
}

/// Without the byte order mark and empty lines that editors leave before a text.
fn trimmed(text: &str) -> &str {
    text.trim_start_matches('\u{feff}').trim_start()
}

/// A name that can be shown.
fn shown(name: &str) -> String {
    visible(&name.chars().take(200).collect::<String>())
}
