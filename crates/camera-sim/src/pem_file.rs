//! Files in PEM; that with private key and certificate, in either order, as [`crate::Model::PemPage`] takes it.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{PemObject as _, SectionKind};

use crate::keys::Pair;
use crate::x509;

/// Most sections looked at.
const SECTIONS: usize = 16;

/// A key and its chain, ready to be served.
pub(crate) struct Installed {
    /// Leaf first, in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) pair: Pair,
}

/// Reads the file; what is wrong with it is said as the camera's page says it.
pub(crate) fn read(file: &[u8]) -> Result<Installed, &'static str> {
    let (mut keys, mut chain) = (Vec::new(), Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(file).take(SECTIONS) {
        let (kind, der) = section.map_err(|_| "The file is damaged.")?;
        match kind {
            SectionKind::Certificate => chain.push(der),
            SectionKind::PrivateKey => keys.push(PrivateKeyDer::Pkcs8(der.into())),
            SectionKind::RsaPrivateKey => keys.push(PrivateKeyDer::Pkcs1(der.into())),
            SectionKind::EcPrivateKey => keys.push(PrivateKeyDer::Sec1(der.into())),
            // Parameters of a curve and the like, which other programs leave in.
            _ => {}
        }
    }
    if keys.is_empty() && crate::http::find(file, b"ENCRYPTED").is_some() {
        return Err("The private key is protected by a password, which this camera cannot ask for.");
    }
    let key = keys.pop().ok_or("The file holds no private key.")?;
    if !keys.is_empty() {
        return Err("The file holds more than one private key.");
    }
    let pair = Pair::from_private(key).ok_or("The private key is of a kind this camera does not know.")?;
    let facts: Option<Vec<_>> = chain.iter().map(|certificate| x509::read(certificate)).collect();
    let facts = facts.ok_or("The certificate cannot be read.")?;
    let leaf = facts.first().ok_or("The file holds no certificate.")?;
    if leaf.public_key != pair.public {
        return Err("The private key does not belong to the certificate.");
    }
    Ok(Installed { chain, pair })
}

/// One section of such a file.
#[cfg(feature = "makers")]
pub(crate) fn section(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn either_order_and_plain_words() {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["yard.home.arpa".into()]).unwrap().self_signed(&key).unwrap().pem();
        let other = KeyPair::generate().unwrap().serialize_pem();
        let key = key.serialize_pem();
        assert_eq!(read(format!("{key}{certificate}").as_bytes()).map(|i| i.chain.len()).ok(), Some(1));
        assert!(read(format!("{certificate}{key}").as_bytes()).is_ok());
        let said = |file: String| read(file.as_bytes()).err().unwrap();
        assert_eq!(said(certificate.clone()), "The file holds no private key.");
        assert_eq!(said(key.clone()), "The file holds no certificate.");
        assert_eq!(said(String::new()), "The file holds no private key.");
        assert_eq!(said(format!("{key}{other}{certificate}")), "The file holds more than one private key.");
        assert_eq!(
            said(format!("{other}{certificate}")),
            "The private key does not belong to the certificate."
        );
        let encrypted = certificate
            + "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(said(encrypted).contains("password"));
    }
}
