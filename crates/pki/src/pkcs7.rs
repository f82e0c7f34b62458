//! PKCS#7 (RFC 2315) as a bundle of certificates, `.p7b`: what Windows exports. Nothing in it that is signed is looked at.

use der::{
    Encode, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier},
};

use crate::{
    Certificate, Error, ber,
    elements::{elements, elements_of},
};

/// What a PEM block of it is called.
pub const LABELS: [&str; 3] = ["PKCS7", "PKCS #7 SIGNED DATA", "CMS"];

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

/// Whether these bytes begin as PKCS#7 does in DER or BER: a sequence whose first element is its kind.
pub fn is_pkcs7(bytes: &[u8]) -> bool {
    let kind = SIGNED_DATA.to_der().unwrap_or_default();
    bytes.first() == Some(&0x30) && bytes.windows(kind.len()).take(7).any(|start| start == kind)
}

/// The certificates of a bundle, as they stand in it.
pub fn certificates(bytes: &[u8]) -> Result<Vec<Certificate>, Error> {
    let damaged = || Error::NotACertificate { detail: "a damaged PKCS#7 bundle (.p7b)".into() };
    let der = ber::to_der(bytes).ok_or_else(damaged)?;
    let whole = elements(&der).ok_or_else(damaged)?;
    let content = whole.get(1).map(|content| elements(content.value())).ok_or_else(damaged)?;
    let is_list =
        |part: &&AnyRef<'_>| part.tag() == Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
    let list = content.iter().flatten().find(is_list).map(|list| elements_of(list.value()).0);
    let list = list.unwrap_or_default().into_iter().filter(|part| part.tag() == Tag::Sequence);
    let certificates =
        list.map(|part| Certificate::from_der(&part.to_der()?)).collect::<Result<Vec<_>, _>>()?;
    match certificates.is_empty() {
        true => {
            Err(Error::NotACertificate { detail: "a PKCS#7 file (.p7b) without a certificate in it".into() })
        }
        false => Ok(certificates),
    }
}
