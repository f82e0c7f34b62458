//! What goes into a certificate, by its purpose. A certificate is always built from a profile, never copied
//! from a request.

use aws_lc_rs::digest;
use der::{
    Decode, Encode,
    asn1::{Any, Ia5String, ObjectIdentifier, OctetString, Utf8StringRef},
    oid::AssociatedOid,
};
use domain::AltName;
use time::{Duration, OffsetDateTime};
use x509_cert::{
    attr::AttributeTypeAndValue,
    certificate::Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
            SubjectKeyIdentifier, name::GeneralName,
        },
    },
    name::{Name, RdnSequence, RelativeDistinguishedName},
};

use crate::{
    Certificate, Error, Permitted, PrivateKey, PublicKey, Serial, Unsigned,
    tbs::{Tbs, Validity},
};

pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
pub(crate) const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// How long a root lives, days: ten years.
pub const ROOT_DAYS: i64 = 3652;
/// How far back a root begins, so that certificates can be dated back for a camera whose clock is behind.
pub const ROOT_BACKDATE_DAYS: i64 = 31;
/// The longest validity of a leaf, days: Apple refuses more than 825 even below a root added by hand.
pub const MAX_LEAF_DAYS: i64 = 824;
/// The longest common name, characters (RFC 5280, appendix A: ub-common-name).
pub const MAX_COMMON_NAME: usize = 64;

/// A self-signed root that issues to devices itself (many cameras serve the leaf only, so one tier is what
/// works everywhere). `permitted` becomes critical name constraints; `None` leaves them out, for devices whose
/// TLS library cannot read them.
pub fn root(
    common_name: &str,
    key: &PrivateKey,
    permitted: Option<&Permitted>,
    serial: Serial,
    now: OffsetDateTime,
) -> Result<Unsigned, Error> {
    let public = key.public_key()?;
    let mut extensions = vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        // So that a stolen key cannot sign programs or mail.
        extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH, CLIENT_AUTH]))?,
        extension(false, &key_id(&public)?)?,
    ];
    if let Some(permitted) = permitted {
        extensions.push(extension(true, &permitted.to_extension()?)?);
    }
    let not_before = now - Duration::days(ROOT_BACKDATE_DAYS);
    let name = common_name_only(Some(common_name))?;
    Unsigned::new(&Tbs {
        version: Version::V3,
        serial_number: serial.number()?,
        signature: key.signature_algorithm(),
        issuer: name.clone(),
        validity: Validity::new(not_before, not_before + Duration::days(ROOT_DAYS) - Duration::SECOND)?,
        subject: name,
        subject_public_key_info: public.spki().clone(),
        extensions: Some(extensions),
    })
}

/// What a device's certificate is to hold.
#[derive(Debug)]
pub struct Device<'a> {
    /// The device's public key.
    pub key: &'a PublicKey,
    /// A name for people ("Camera 1"), or none. Never a host name: OpenSSL tests a common name that looks like
    /// one against the name constraints.
    pub common_name: Option<&'a str>,
    /// The effective names, after policy.
    pub names: &'a [AltName],
    /// First second of validity.
    pub not_before: OffsetDateTime,
    /// Last second of validity.
    pub not_after: OffsetDateTime,
}

/// The web server certificate of a camera, to be signed by `issuer` with `issuer_key`.
pub fn device(
    device: &Device<'_>,
    issuer: &Certificate,
    issuer_key: &PrivateKey,
    serial: Serial,
) -> Result<Unsigned, Error> {
    let mut usage = KeyUsages::DigitalSignature.into();
    if device.key.is_rsa() {
        // TLS 1.2 with RSA key exchange, which old recorders still use.
        usage |= KeyUsages::KeyEncipherment;
    }
    // RFC 5280, section 4.2.1.6: critical if the subject is empty.
    let names_critical = device.common_name.is_none();
    let extensions = vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(usage))?,
        extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH]))?,
        extension(names_critical, &alt_names(device.names)?)?,
        extension(false, &key_id(device.key)?)?,
        extension(false, &issuer_key_id(issuer)?)?,
    ];
    Unsigned::new(&Tbs {
        version: Version::V3,
        serial_number: serial.number()?,
        signature: issuer_key.signature_algorithm(),
        issuer: issuer.subject_name().clone(),
        validity: Validity::new(device.not_before, device.not_after)?,
        subject: common_name_only(device.common_name)?,
        subject_public_key_info: device.key.spki().clone(),
        extensions: Some(extensions),
    })
}

fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> Result<Extension, Error> {
    Ok(Extension { extn_id: T::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

fn common_name_only(common_name: Option<&str>) -> Result<Name, Error> {
    let mut names = RdnSequence::default();
    if let Some(text) = common_name {
        let value = Any::from(Utf8StringRef::new(text)?);
        names.push(RelativeDistinguishedName::try_from(vec![AttributeTypeAndValue {
            oid: COMMON_NAME,
            value,
        }])?);
    }
    Ok(Name::from_der(&names.to_der()?)?)
}

/// RFC 7093, method 1: the first 160 bits of SHA-256 over the key bits.
fn key_id(key: &PublicKey) -> Result<SubjectKeyIdentifier, Error> {
    let hash = digest::digest(&digest::SHA256, key.bits());
    Ok(SubjectKeyIdentifier(OctetString::new(&hash.as_ref()[..20])?))
}

/// Copied from the issuer's certificate and never computed again: an imported root may have used another
/// method, and OpenSSL refuses a chain whose identifiers differ (error 20).
fn issuer_key_id(issuer: &Certificate) -> Result<AuthorityKeyIdentifier, Error> {
    let id = issuer
        .subject_key_id()
        .ok_or_else(|| Error::Encoding { detail: "the issuer has no subject key identifier".into() })?;
    Ok(AuthorityKeyIdentifier { key_identifier: Some(OctetString::new(id)?), ..Default::default() })
}

fn alt_names(names: &[AltName]) -> Result<SubjectAltName, Error> {
    let general = |name: &AltName| {
        Ok(match name {
            AltName::Ip(ip) => GeneralName::from(*ip),
            AltName::Dns(name) => GeneralName::DnsName(Ia5String::new(name)?),
        })
    };
    Ok(SubjectAltName(names.iter().map(general).collect::<Result<_, Error>>()?))
}
