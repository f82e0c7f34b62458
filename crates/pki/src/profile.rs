//! What goes into a certificate, by its purpose. A certificate is always built from a profile, never copied
//! from a request.

use aws_lc_rs::digest;
use der::{
    Decode, Encode,
    asn1::{Any, Ia5String, ObjectIdentifier, OctetString, Utf8StringRef},
    oid::AssociatedOid,
};
use domain::AltName;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use x509_cert::{
    attr::AttributeTypeAndValue,
    certificate::Version,
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage,
            KeyUsages, SubjectAltName, SubjectKeyIdentifier,
            crl::dp::DistributionPoint,
            name::{DistributionPointName, GeneralName},
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
pub(crate) const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// How long a root lives, days: ten years.
pub const ROOT_DAYS: i64 = 3652;
/// How far back a root begins, so that certificates can be dated back for a camera whose clock is behind.
pub const ROOT_BACKDATE_DAYS: i64 = 31;
/// How long an issuer below an offline root lives, days: five years.
pub const ISSUER_DAYS: i64 = 1826;
/// The longest validity of a leaf, days: Apple refuses more than 825 even below a root added by hand.
pub const MAX_LEAF_DAYS: i64 = 824;
/// The longest common name, characters (RFC 5280, appendix A: ub-common-name).
pub const MAX_COMMON_NAME: usize = 64;

/// What a leaf is for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A camera's web page: TLS server.
    Device,
    /// A camera that also shows its certificate to others (802.1X, a recorder): TLS server and client.
    DeviceDual,
    /// A NAS, a recorder, a web page: TLS server.
    Server,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Device, Profile::DeviceDual, Profile::Server];

    /// As on the command line and in the ledger.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Device => "device",
            Profile::DeviceDual => "device-dual",
            Profile::Server => "server",
        }
    }

    /// The one with this name.
    pub fn named(name: &str) -> Option<Profile> {
        Profile::ALL.into_iter().find(|p| p.name() == name)
    }

    /// The extended key usage.
    pub(crate) fn purposes(self) -> &'static [ObjectIdentifier] {
        match self {
            Profile::Device | Profile::Server => &[SERVER_AUTH],
            Profile::DeviceDual => &[SERVER_AUTH, CLIENT_AUTH],
        }
    }
}

/// An authority to be made.
#[derive(Debug)]
pub struct NewAuthority<'a> {
    /// The subject's common name.
    pub common_name: &'a str,
    /// Becomes critical name constraints; `None` leaves them out, for devices whose TLS library cannot read them.
    pub permitted: Option<&'a Permitted>,
    /// How many authorities may stand between it and a leaf.
    pub below: u8,
    /// First second of validity.
    pub not_before: OffsetDateTime,
    /// Last second of validity.
    pub not_after: OffsetDateTime,
}

impl<'a> NewAuthority<'a> {
    /// A root from `now` on, for ten years. `below` is 0 if it issues to devices itself (many cameras serve the leaf
    /// only, so one tier is what works everywhere) and 1 if it stays offline above an issuer.
    pub fn root(
        common_name: &'a str,
        permitted: Option<&'a Permitted>,
        below: u8,
        now: OffsetDateTime,
    ) -> NewAuthority<'a> {
        let not_before = now - Duration::days(ROOT_BACKDATE_DAYS);
        let not_after = not_before + Duration::days(ROOT_DAYS) - Duration::SECOND;
        NewAuthority { common_name, permitted, below, not_before, not_after }
    }
}

/// A self-signed root.
pub fn root(root: &NewAuthority<'_>, key: &PrivateKey, serial: Serial) -> Result<Unsigned, Error> {
    let name = common_name_only(Some(root.common_name))?;
    let extensions = authority_extensions(root, &key.public_key()?)?;
    authority(root, &key.public_key()?, name, key, serial, extensions)
}

/// An authority below an offline root, to be signed with `root_key`.
pub fn issuer(
    issuer: &NewAuthority<'_>,
    key: &PublicKey,
    root: &Certificate,
    root_key: &PrivateKey,
    serial: Serial,
) -> Result<Unsigned, Error> {
    let mut extensions = authority_extensions(issuer, key)?;
    extensions.extend(issuer_key_id(root)?);
    authority(issuer, key, root.subject_name().clone(), root_key, serial, extensions)
}

fn authority(
    new: &NewAuthority<'_>,
    key: &PublicKey,
    issuer: Name,
    signing: &PrivateKey,
    serial: Serial,
    extensions: Vec<Extension>,
) -> Result<Unsigned, Error> {
    Unsigned::new(&Tbs {
        version: Version::V3,
        serial_number: serial.number()?,
        signature: signing.signature_algorithm(),
        issuer,
        validity: Validity::new(new.not_before, new.not_after)?,
        subject: common_name_only(Some(new.common_name))?,
        subject_public_key_info: key.spki().clone(),
        extensions: Some(extensions),
    })
}

fn authority_extensions(new: &NewAuthority<'_>, key: &PublicKey) -> Result<Vec<Extension>, Error> {
    let mut extensions = vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(new.below) })?,
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        // So that a stolen key cannot sign programs or mail.
        extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH, CLIENT_AUTH]))?,
        extension(false, &key_id(key)?)?,
    ];
    if let Some(permitted) = new.permitted {
        extensions.push(extension(true, &permitted.to_extension()?)?);
    }
    Ok(extensions)
}

/// What a leaf is to hold.
#[derive(Debug)]
pub struct Leaf<'a> {
    /// What it is for.
    pub profile: Profile,
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
    /// Where the list of what its issuer revoked is found, if the site publishes it.
    pub crl: Option<&'a str>,
}

/// A leaf, to be signed by `issuer` with `issuer_key`.
pub fn leaf(
    leaf: &Leaf<'_>,
    issuer: &Certificate,
    issuer_key: &PrivateKey,
    serial: Serial,
) -> Result<Unsigned, Error> {
    let mut usage = KeyUsages::DigitalSignature.into();
    if leaf.key.is_rsa() {
        // TLS 1.2 with RSA key exchange, which old recorders still use.
        usage |= KeyUsages::KeyEncipherment;
    }
    // RFC 5280, section 4.2.1.6: critical if the subject is empty.
    let names_critical = leaf.common_name.is_none();
    let mut extensions = vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(usage))?,
        extension(false, &ExtendedKeyUsage(leaf.profile.purposes().to_vec()))?,
        extension(names_critical, &alt_names(leaf.names)?)?,
        extension(false, &key_id(leaf.key)?)?,
    ];
    extensions.extend(issuer_key_id(issuer)?);
    extensions.extend(crl_address(leaf.crl)?);
    Unsigned::new(&Tbs {
        version: Version::V3,
        serial_number: serial.number()?,
        signature: issuer_key.signature_algorithm(),
        issuer: issuer.subject_name().clone(),
        validity: Validity::new(leaf.not_before, leaf.not_after)?,
        subject: common_name_only(leaf.common_name)?,
        subject_public_key_info: leaf.key.spki().clone(),
        extensions: Some(extensions),
    })
}

pub(crate) fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> Result<Extension, Error> {
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
/// method, and OpenSSL refuses a chain whose identifiers differ (error 20). An old root may have none at all.
fn issuer_key_id(issuer: &Certificate) -> Result<Option<Extension>, Error> {
    let Some(id) = issuer.subject_key_id() else { return Ok(None) };
    let key_id = AuthorityKeyIdentifier { key_identifier: Some(OctetString::new(id)?), ..Default::default() };
    extension(false, &key_id).map(Some)
}

/// RFC 5280, section 4.2.1.13
fn crl_address(url: Option<&str>) -> Result<Option<Extension>, Error> {
    let Some(url) = url else { return Ok(None) };
    let address = GeneralName::UniformResourceIdentifier(Ia5String::new(url)?);
    let point = DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(vec![address])),
        reasons: None,
        crl_issuer: None,
    };
    extension(false, &CrlDistributionPoints(vec![point])).map(Some)
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
