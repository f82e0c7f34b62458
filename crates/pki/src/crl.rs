//! Lists of revoked certificates (CRL, RFC 5280, section 5).

use der::{
    Decode, Encode, Enumerated, Sequence,
    asn1::{ObjectIdentifier, OctetString, Uint},
};
use domain::RevocationReason;
use time::OffsetDateTime;
use x509_cert::{
    certificate::{Rfc5280, Version},
    crl::CertificateList,
    ext::{
        Extension, Extensions,
        pkix::{AuthorityKeyIdentifier, CrlNumber},
    },
    name::Name,
    serial_number::SerialNumber,
    spki::AlgorithmIdentifierOwned,
    time::Time,
};

use crate::{
    Certificate, Error, PrivateKey,
    profile::extension,
    tbs::{signed, time},
};

/// id-ce-cRLReasons
const REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");

/// CRLReason (RFC 5280, section 5.3.1), those that are given.
#[derive(Clone, Copy, Enumerated)]
#[repr(u8)]
enum Code {
    KeyCompromise = 1,
    AffiliationChanged = 3,
    Superseded = 4,
    CessationOfOperation = 5,
    PrivilegeWithdrawn = 9,
}

/// `None`: the extension is left out instead of "unspecified".
fn code(reason: RevocationReason) -> Option<Code> {
    match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(Code::KeyCompromise),
        RevocationReason::AffiliationChanged => Some(Code::AffiliationChanged),
        RevocationReason::Superseded => Some(Code::Superseded),
        RevocationReason::CessationOfOperation => Some(Code::CessationOfOperation),
        RevocationReason::PrivilegeWithdrawn => Some(Code::PrivilegeWithdrawn),
    }
}

/// A certificate on the list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// When it was revoked.
    pub at: OffsetDateTime,
    /// Why.
    pub reason: RevocationReason,
}

/// What a list is to hold.
#[derive(Debug)]
pub struct List<'a> {
    /// Its number, higher than that of every list before it.
    pub number: u64,
    /// From when it holds.
    pub this_update: OffsetDateTime,
    /// When the next one will be there at the latest.
    pub next_update: OffsetDateTime,
    /// The revoked certificates.
    pub entries: &'a [Entry],
}

/// TBSCertList (RFC 5280, section 5.1).
#[derive(Sequence)]
struct Tbs {
    version: Version,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    this_update: Time,
    next_update: Time,
    revoked: Option<Vec<Revoked>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

#[derive(Sequence)]
struct Revoked {
    serial: SerialNumber,
    at: Time,
    extensions: Option<Extensions>,
}

/// From when a list holds.
///
/// # Errors
///
/// It is none.
pub fn this_update(der: &[u8]) -> Result<OffsetDateTime, Error> {
    let list = CertificateList::<Rfc5280>::from_der(der)?;
    Ok(OffsetDateTime::from(list.tbs_cert_list.this_update.to_system_time()))
}

/// A list of `issuer`, signed with its key, in DER.
pub fn sign(list: &List<'_>, issuer: &Certificate, key: &PrivateKey) -> Result<Vec<u8>, Error> {
    let revoked = list.entries.iter().map(revoked).collect::<Result<Vec<_>, Error>>()?;
    let mut extensions = vec![extension(false, &CrlNumber(Uint::new(&list.number.to_be_bytes())?))?];
    if let Some(id) = issuer.subject_key_id() {
        let id = AuthorityKeyIdentifier { key_identifier: Some(OctetString::new(id)?), ..Default::default() };
        extensions.insert(0, extension(false, &id)?);
    }
    let tbs = Tbs {
        version: Version::V2,
        signature: key.signature_algorithm(),
        issuer: issuer.subject_name().clone(),
        this_update: time(list.this_update)?,
        next_update: time(list.next_update)?,
        // Left out if there is none: it may not be empty.
        revoked: (!revoked.is_empty()).then_some(revoked),
        extensions,
    };
    signed(&tbs.to_der()?, key.signature_algorithm(), key)
}

fn revoked(entry: &Entry) -> Result<Revoked, Error> {
    let odd = || Error::Encoding { detail: "a serial number that is not hexadecimal".into() };
    let digits = |i| entry.serial.get(i..i + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    let bytes: Option<Vec<u8>> = (0..entry.serial.len()).step_by(2).map(digits).collect();
    let extension = |code: Code| -> Result<Extensions, Error> {
        let extn_value = OctetString::new(code.to_der()?)?;
        Ok(vec![Extension { extn_id: REASON, critical: false, extn_value }])
    };
    let extensions = code(entry.reason).map(extension).transpose()?;
    Ok(Revoked {
        serial: SerialNumber::from_der(&Uint::new(&bytes.ok_or_else(odd)?)?.to_der()?)?,
        at: time(entry.at)?,
        extensions,
    })
}
