//! Packages: key and certificates in the form that a device's firmware takes.

use zeroize::Zeroizing;

use crate::{Certificate, Error, PrivateKey, pem, pkcs12};
pub use crate::{
    pbe::Protection,
    pkcs12::{Unpacked, read as read_pkcs12},
};

/// The form of a package.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// PEM, in one file or two.
    Pem {
        /// What stands where.
        order: Order,
        /// How the key is written.
        key: KeyForm,
    },
    /// DER, which holds one thing for each file.
    Der {
        /// How the key is written.
        key: KeyForm,
    },
    /// PKCS#12, in one file.
    Pkcs12 {
        /// By what it is protected.
        protection: Protection,
        /// Under what it is protected.
        passphrase: &'a str,
    },
}

/// Where key and certificates stand in PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// The key, then its certificate, then the others: what most upload forms take.
    KeyFirst,
    /// The certificate, the others, then the key.
    CertificateFirst,
    /// The certificates in one file, the key in another.
    Separate,
}

/// How a private key is written where it is not encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyForm {
    /// PKCS#8 (RFC 5208): `PRIVATE KEY`.
    Pkcs8,
    /// PKCS#1 or SEC1, which older firmware alone reads: `RSA PRIVATE KEY`, `EC PRIVATE KEY`.
    Traditional,
}

/// A file of a package.
pub struct Part {
    /// What it holds.
    pub content: Content,
    /// The file's bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// What a file of a package holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// Everything.
    Whole,
    /// The key alone.
    Key,
    /// The key's certificate, in PEM with the others behind it.
    Certificate,
    /// An issuer of it, counted from 1, upwards.
    Issuer(usize),
}

impl Content {
    /// Whether the file is secret.
    pub fn has_key(self) -> bool {
        matches!(self, Content::Whole | Content::Key)
    }
}

/// The files of a package. `certificates` begin with the key's own; each of the others follows what it issued.
pub fn write(key: &PrivateKey, certificates: &[&Certificate], form: &Form<'_>) -> Result<Vec<Part>, Error> {
    let part = |content, bytes| Part { content, bytes };
    match *form {
        Form::Pem { order, key: key_form } => {
            let (label, der) = key_der(key, key_form)?;
            let key = pem::block(label, &der);
            let chain: String = certificates.iter().map(|c| c.to_pem()).collect();
            let bytes = |texts: &[&str]| Zeroizing::new(texts.concat().into_bytes());
            Ok(match order {
                Order::KeyFirst => vec![part(Content::Whole, bytes(&[&key, &chain]))],
                Order::CertificateFirst => vec![part(Content::Whole, bytes(&[&chain, &key]))],
                Order::Separate => {
                    vec![part(Content::Certificate, bytes(&[&chain])), part(Content::Key, bytes(&[&key]))]
                }
            })
        }
        Form::Der { key: key_form } => {
            let certificates = certificates.iter().enumerate().map(|(i, certificate)| {
                let content = if i == 0 { Content::Certificate } else { Content::Issuer(i) };
                part(content, Zeroizing::new(certificate.der().to_vec()))
            });
            let key = part(Content::Key, key_der(key, key_form)?.1);
            Ok(certificates.chain([key]).collect())
        }
        Form::Pkcs12 { protection, passphrase } => {
            let name = certificates.first().map(|leaf| name_of(leaf)).unwrap_or_default();
            let bytes = pkcs12::write(key, certificates, &name, protection, passphrase)?;
            Ok(vec![part(Content::Whole, Zeroizing::new(bytes))])
        }
    }
}

/// One PEM: private key (PKCS#8), leaf, issuers below the root. What a camera's upload form takes.
pub fn pem(
    key: &PrivateKey,
    leaf: &Certificate,
    issuers: &[Certificate],
) -> Result<Zeroizing<String>, Error> {
    Ok(Zeroizing::new([key.to_pem()?.as_str(), &chain(leaf, issuers)].concat()))
}

/// Leaf and issuers below the root, for a device that has its key already.
pub fn chain(leaf: &Certificate, issuers: &[Certificate]) -> String {
    std::iter::once(leaf).chain(issuers).map(Certificate::to_pem).collect()
}

fn key_der(key: &PrivateKey, form: KeyForm) -> Result<(&'static str, Zeroizing<Vec<u8>>), Error> {
    match form {
        KeyForm::Pkcs8 => Ok(("PRIVATE KEY", key.to_pkcs8()?)),
        KeyForm::Traditional => key.to_traditional(),
    }
}

/// What a program shows for the certificate: its common name, or else its first name.
fn name_of(leaf: &Certificate) -> String {
    let common_name = leaf.subject_name().common_name().ok().flatten().map(|name| name.value().into_owned());
    let alt_name = || leaf.alt_names().first().map(|name| name.to_string());
    common_name.or_else(alt_name).unwrap_or_default()
}
