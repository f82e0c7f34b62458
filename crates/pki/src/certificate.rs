use std::net::IpAddr;

use aws_lc_rs::digest;
use der::{Decode, Encode, Tag, Tagged, asn1::Any};
use domain::{AltName, CertificateSummary};
use time::OffsetDateTime;
use x509_cert::{
    attr::AttributeTypeAndValue,
    certificate::TbsCertificate,
    ext::pkix::{NameConstraints, SubjectAltName, SubjectKeyIdentifier, name::GeneralName},
    name::Name,
};

use crate::{
    Error, PublicKey,
    elements::elements,
    key::{self},
    pem, pkcs7,
};

/// A certificate, read and kept with its exact bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
}

impl Certificate {
    /// Reads DER.
    pub fn from_der(der: &[u8]) -> Result<Certificate, Error> {
        let parsed = x509_cert::Certificate::from_der(der)
            .map_err(|e| Error::NotACertificate { detail: e.to_string() })?;
        Ok(Certificate { der: der.to_vec(), parsed })
    }

    /// Reads every certificate of a file: PEM with one or more, one in DER, or PKCS#7.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Certificate>, Error> {
        let text = pem::text(bytes);
        let blocks = pem::blocks(&text);
        if pkcs7::is_pkcs7(bytes) {
            return pkcs7::certificates(bytes);
        }
        if blocks.is_empty() {
            return Ok(vec![Certificate::from_der(bytes)?]);
        }
        let broken = || Error::NotACertificate { detail: "a PEM block is damaged".into() };
        let mut certificates = Vec::new();
        for (label, der) in blocks {
            if pkcs7::LABELS.contains(&label) {
                certificates.extend(pkcs7::certificates(&der.ok_or_else(broken)?)?);
            } else if matches!(label, "CERTIFICATE" | "X509 CERTIFICATE") {
                certificates.push(Certificate::from_der(&der.ok_or_else(broken)?)?);
            }
        }
        if certificates.is_empty() {
            return Err(Error::NotACertificate { detail: "no CERTIFICATE block in the file".into() });
        }
        Ok(certificates)
    }

    /// The exact bytes.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// One PEM block.
    pub fn to_pem(&self) -> String {
        std::mem::take(&mut *pem::block("CERTIFICATE", &self.der))
    }

    /// SHA-256 over the DER, lower-case hexadecimal: the fingerprint that people compare.
    pub fn sha256(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.der).as_ref())
    }

    /// SHA-256 over the SubjectPublicKeyInfo, for pinning.
    pub fn public_key_sha256(&self) -> Result<[u8; 32], Error> {
        let spki = self.tbs().subject_public_key_info().to_der()?;
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &spki).as_ref());
        Ok(pin)
    }

    /// As the reader sees it.
    pub fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }

    /// The bytes that were signed: what others wrote may not be quite DER, and would be written anew otherwise.
    pub fn signed_bytes(&self) -> Result<Vec<u8>, Error> {
        let parts = elements(&self.der).unwrap_or_default();
        Ok(parts.first().map(|tbs| tbs.to_der()).transpose()?.unwrap_or_default())
    }

    pub(crate) fn tbs(&self) -> &TbsCertificate {
        self.parsed.tbs_certificate()
    }

    /// The public key, if it is of a kind that Camlock issues for.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::new(self.tbs().subject_public_key_info().clone())
    }

    /// The kind of the public key in one word, for any key.
    pub fn key_name(&self) -> String {
        key::describe(self.tbs().subject_public_key_info())
    }

    /// The subject, RFC 4514.
    pub fn subject(&self) -> String {
        readable(self.tbs().subject())
    }

    /// The issuer, RFC 4514.
    pub fn issuer(&self) -> String {
        readable(self.tbs().issuer())
    }

    /// Whether issuer and subject are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.tbs().issuer() == self.tbs().subject()
    }

    /// Whether its signature is by the key of `issuer`.
    pub fn is_signed_by(&self, issuer: &Certificate) -> Result<bool, Error> {
        let signed = self.signed_bytes()?;
        let signature = self.parsed.signature().as_bytes().unwrap_or_default();
        issuer.public_key()?.verify(self.parsed.signature_algorithm(), &signed, signature)
    }

    /// The subject key identifier in lower-case hexadecimal: short, and no other authority has it.
    pub fn key_id(&self) -> Option<String> {
        self.subject_key_id().map(|id| hex(&id))
    }

    pub(crate) fn subject_name(&self) -> &Name {
        self.tbs().subject()
    }

    /// The subject key identifier, if there is one.
    pub(crate) fn subject_key_id(&self) -> Option<Vec<u8>> {
        let (_, ski) = self.tbs().get_extension::<SubjectKeyIdentifier>().ok()??;
        Some(ski.0.as_bytes().to_vec())
    }

    /// Whether it says itself what may stand below it.
    pub fn has_name_constraints(&self) -> bool {
        matches!(self.tbs().get_extension::<NameConstraints>(), Ok(Some(_)))
    }

    /// Serial number, lower-case hexadecimal.
    pub fn serial(&self) -> String {
        hex(self.tbs().serial_number().as_bytes())
    }

    /// First second of validity.
    pub fn not_before(&self) -> OffsetDateTime {
        offset(self.tbs().validity().not_before.to_unix_duration())
    }

    /// Last second of validity.
    pub fn not_after(&self) -> OffsetDateTime {
        offset(self.tbs().validity().not_after.to_unix_duration())
    }

    /// Every subjectAltName that is an address or a well-formed host name.
    pub fn alt_names(&self) -> Vec<AltName> {
        self.general_names().iter().filter_map(alt_name).collect()
    }

    /// Whether there is a subjectAltName at all.
    pub fn has_alt_names(&self) -> bool {
        !self.general_names().is_empty()
    }

    fn general_names(&self) -> Vec<GeneralName> {
        match self.tbs().get_extension::<SubjectAltName>() {
            Ok(Some((_, names))) => names.0,
            _ => Vec::new(),
        }
    }

    /// The certificate as people want to read it.
    pub fn summary(&self) -> CertificateSummary {
        CertificateSummary {
            subject: self.subject(),
            issuer: self.issuer(),
            sans: self.general_names().iter().map(general_name_text).collect(),
            not_before: self.not_before(),
            not_after: self.not_after(),
            serial: self.serial(),
            sha256: self.sha256(),
            key: self.key_name(),
        }
    }
}

/// A name by RFC 4514, with the text that stands in it also where its kind of text has no place for it, which would be
/// shown as numbers otherwise.
pub(crate) fn readable(name: &Name) -> String {
    let as_text = |attribute: &AttributeTypeAndValue| {
        let text = text(&attribute.value).and_then(|text| Any::new(Tag::Utf8String, text.into_bytes()).ok());
        AttributeTypeAndValue { value: text.unwrap_or_else(|| attribute.value.clone()), ..attribute.clone() }
    };
    // In the order in which they stand: that of a set may be another one in DER's own order.
    let sets = name
        .iter_rdn()
        .map(|set| set.iter().map(|attribute| as_text(attribute).to_string()).collect::<Vec<_>>().join("+"));
    let mut sets: Vec<String> = sets.collect();
    sets.reverse();
    sets.join(",")
}

/// The kinds of text that a DirectoryString may be (RFC 5280, section 4.1.2.4), and IA5String, which some write.
/// What stands in the bytes counts, not which of them the kind allows.
pub(crate) fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(bytes.to_vec()).ok(),
        // By the letter an alphabet of its own; in fact Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|b| *b as char).collect()),
        Tag::BmpString => {
            let (pairs, []) = bytes.as_chunks::<2>() else { return None };
            char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
                .collect::<Result<_, _>>()
                .ok()
        }
        _ => None,
    }
}

pub(crate) fn alt_name(name: &GeneralName) -> Option<AltName> {
    match name {
        GeneralName::DnsName(dns) => AltName::dns(dns.as_ref()).ok(),
        GeneralName::IpAddress(ip) => address(ip.as_bytes()).map(AltName::Ip),
        _ => None,
    }
}

/// Any general name with its kind before it.
pub fn general_name_text(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(dns) => format!("DNS:{}", AsRef::<str>::as_ref(dns)),
        GeneralName::IpAddress(ip) => match address(ip.as_bytes()) {
            Some(ip) => format!("IP:{ip}"),
            None => format!("IP:#{}", hex(ip.as_bytes())),
        },
        GeneralName::Rfc822Name(mail) => format!("email:{}", AsRef::<str>::as_ref(mail)),
        GeneralName::UniformResourceIdentifier(uri) => format!("URI:{}", AsRef::<str>::as_ref(uri)),
        GeneralName::DirectoryName(name) => format!("dirName:{}", readable(name)),
        GeneralName::RegisteredId(oid) => format!("RID:{oid}"),
        GeneralName::OtherName(_) | GeneralName::EdiPartyName(_) => "otherName".into(),
    }
}

pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn offset(unix: std::time::Duration) -> OffsetDateTime {
    // DER's dates end with the year 9999, as OffsetDateTime's do.
    OffsetDateTime::from_unix_timestamp(unix.as_secs() as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |bits: u8| char::from(DIGITS[usize::from(bits)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}
