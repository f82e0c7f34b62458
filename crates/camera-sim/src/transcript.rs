//! Every SOAP message as a file, to be judged by the official schema.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use roxmltree::{Document, Node};

/// What stands in the place of a secret; it is valid xs:base64Binary, xs:string and xs:token alike.
const SECRET: &str = "c2VjcmV0";

/// A directory of messages.
pub(crate) struct Transcript {
    directory: PathBuf,
    number: AtomicU32,
}

impl Transcript {
    /// Makes the directory if it is not there.
    pub(crate) fn create(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Transcript { directory: directory.to_owned(), number: AtomicU32::new(1) })
    }

    /// Writes a request without its secrets; gives its number. What is not XML is not written: no telling what it holds.
    pub(crate) fn request(&self, operation: &str, body: &[u8]) -> u32 {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(body).ok().and_then(without_secrets);
        let text = text.unwrap_or_else(|| format!("<!-- {} bytes that are not XML -->", body.len()));
        self.write(number, operation, "request", &text);
        number
    }

    /// Writes the answer to request `number`.
    pub(crate) fn response(&self, number: u32, operation: &str, text: &str) {
        self.write(number, operation, "response", text);
    }

    fn write(&self, number: u32, operation: &str, kind: &str, text: &str) {
        let operation: String = operation.chars().filter(char::is_ascii_alphanumeric).collect();
        let name = format!("{number:04}-{operation}-{kind}.xml");
        // A full disk must not change what the camera answers.
        let _ = fs::write(self.directory.join(name), text);
    }
}

/// The message with passwords and private keys replaced; none if it is not XML.
fn without_secrets(text: &str) -> Option<String> {
    let document = Document::parse(text).ok()?;
    let secret = |node: &Node<'_, '_>| {
        node.is_text()
            && node.ancestors().any(|ancestor| {
                let name = ancestor.tag_name().name();
                matches!(name, "PrivateKey" | "KeyPair")
                    || name.contains("Password")
                    || name.contains("Passphrase")
            })
            && node.text().is_some_and(|text| !text.trim().is_empty())
    };
    let mut safe = String::with_capacity(text.len());
    let mut from = 0;
    for node in document.descendants().filter(secret) {
        let range = node.range();
        safe.push_str(text.get(from..range.start)?);
        safe.push_str(SECRET);
        from = range.end;
    }
    safe.push_str(text.get(from..)?);
    Some(safe)
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn secrets_are_not_written() {
        let text = "<a><w:Password xmlns:w=\"x\" Type=\"t\">geheim</w:Password><PrivateKey><Data>\nMIIE\n</Data></PrivateKey><b>stays</b></a>";
        let safe = without_secrets(text).unwrap();
        assert!(!safe.contains("geheim") && !safe.contains("MIIE"));
        assert!(safe.contains("<b>stays</b>"));
        assert!(without_secrets("<a>geheim").is_none());
    }
}
