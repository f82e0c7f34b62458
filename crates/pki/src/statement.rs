//! What an authority's key signs beside certificates and lists of revoked ones: a text that stands for nothing else.

use crate::{Certificate, Error, PrivateKey};

/// Before the text. What else is signed is DER, which begins with another byte, so that neither is ever taken for the other.
const MARK: &str = "camlock statement 1\n";

impl PrivateKey {
    /// Signs a text, which can be taken for no certificate.
    pub fn sign_statement(&self, text: &str) -> Result<Vec<u8>, Error> {
        self.sign(&marked(text))
    }
}

impl Certificate {
    /// Whether the certificate's key signed this text.
    pub fn has_signed_statement(&self, text: &str, signature: &[u8]) -> Result<bool, Error> {
        self.public_key()?.verify_own(&marked(text), signature)
    }
}

fn marked(text: &str) -> Vec<u8> {
    [MARK, text].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{KeyKind, Serial, profile};

    #[test]
    fn a_statement_is_of_one_key_and_one_text() {
        let root = |kind| {
            let key = PrivateKey::generate(kind).unwrap();
            let serial = Serial::random().unwrap();
            let new = profile::NewAuthority::root("Root", None, 0, datetime!(2026-11-23 12:00 UTC));
            let root = profile::root(&new, &key, serial).unwrap().lint_root().unwrap().sign(&key).unwrap();
            (key, root)
        };
        let (_, stranger) = root(KeyKind::P256);
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa3072] {
            let (key, root) = root(kind);
            let signature = key.sign_statement("text").unwrap();
            assert!(root.has_signed_statement("text", &signature).unwrap());
            for (text, signature) in
                [("text.", signature.as_slice()), ("text", &signature[1..]), ("text", b"")]
            {
                assert!(!root.has_signed_statement(text, signature).unwrap());
            }
            assert!(!stranger.has_signed_statement("text", &signature).unwrap());
            // A signature over something else is none over a text.
            let tbs = root.signed_bytes().unwrap();
            assert!(!root.public_key().unwrap().verify_own(&tbs, &signature).unwrap());
        }
    }
}
