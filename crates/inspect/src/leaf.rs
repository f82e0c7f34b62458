//! What browsers read in a server's certificate beside the path to its root, which `pki::chain` judges.

use x509_cert::{
    Certificate,
    der::{Decode, oid::ObjectIdentifier},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage},
};

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const BROKEN_SIGNATURES: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), // md5WithRSAEncryption
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), // sha1WithRSAEncryption
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),    // ecdsa-with-SHA1
];

/// What the certificate's extended key usage allows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Purpose {
    /// serverAuth, or nothing is said.
    Servers,
    /// anyExtendedKeyUsage without serverAuth.
    Any,
    Others,
}

pub(crate) struct Leaf {
    pub(crate) purpose: Purpose,
    /// CA:TRUE
    pub(crate) is_authority: bool,
    /// CA:FALSE, or a key usage that leaves out keyCertSign.
    pub(crate) may_not_issue: bool,
    /// A key usage that leaves out digitalSignature.
    pub(crate) may_not_sign: bool,
    /// Signed with MD5 or SHA-1.
    pub(crate) broken_signature: bool,
}

impl Leaf {
    /// None if the certificate cannot be read. An extension that cannot be read counts as absent.
    pub(crate) fn read(der: &[u8]) -> Option<Leaf> {
        let certificate = Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        let usages = tbs.get_extension::<ExtendedKeyUsage>().ok().flatten().map(|(_, usages)| usages.0);
        let constraints = tbs.get_extension::<BasicConstraints>().ok().flatten();
        let key_usage = tbs.get_extension::<KeyUsage>().ok().flatten();
        let is_authority = constraints.map(|(_, constraints)| constraints.ca);
        let may_not = |what: fn(&KeyUsage) -> bool| key_usage.as_ref().is_some_and(|(_, usage)| !what(usage));
        Some(Leaf {
            purpose: match usages {
                Some(usages) if usages.contains(&SERVER_AUTH) => Purpose::Servers,
                Some(usages) if usages.contains(&ANY_PURPOSE) => Purpose::Any,
                Some(_) => Purpose::Others,
                None => Purpose::Servers,
            },
            is_authority: is_authority == Some(true),
            may_not_issue: is_authority == Some(false) || may_not(KeyUsage::key_cert_sign),
            may_not_sign: may_not(KeyUsage::digital_signature),
            broken_signature: BROKEN_SIGNATURES.contains(&certificate.signature_algorithm().oid),
        })
    }
}
