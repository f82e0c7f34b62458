//! A certificate as those who verify it see it: read as far as it can be, kept with its exact bytes.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use domain::AltName;
use pki::Certificate;
use time::OffsetDateTime;
use x509_cert::{
    der::{
        Decode, Encode, Sequence,
        asn1::{Ia5String, ObjectIdentifier, OctetString},
        oid::AssociatedOid,
    },
    ext::{
        Extension,
        pkix::{
            AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
            NameConstraints, PolicyConstraints, SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
        },
    },
    name::Name,
    spki::AlgorithmIdentifierOwned,
};

use crate::names;

pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
pub(crate) const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Extensions that every verifier knows (RFC 5280, section 4.2), so that they may be critical.
const KNOWN: [ObjectIdentifier; 9] = [
    BasicConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    SubjectAltName::OID,
    NameConstraints::OID,
    PolicyConstraints::OID,
    ObjectIdentifier::new_unwrap("2.5.29.32"), // certificatePolicies
    ObjectIdentifier::new_unwrap("2.5.29.33"), // policyMappings
    ObjectIdentifier::new_unwrap("2.5.29.54"), // inhibitAnyPolicy
];

/// One certificate.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) certificate: Certificate,
    /// Exact bytes, by which issuer and subject are matched.
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) public_key: Vec<u8>,
    pub(crate) constraints: Option<BasicConstraints>,
    pub(crate) usage: Option<KeyUsage>,
    pub(crate) purposes: Option<Vec<ObjectIdentifier>>,
    /// Empty without a subjectAltName that can be read.
    pub(crate) names: Vec<GeneralName>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) key: Key,
    /// An extension that cannot be read.
    pub(crate) unreadable: Option<ObjectIdentifier>,
    /// Keys that were asked whether they signed it, and the answers: both browsers ask, and nothing costs more.
    signers: Mutex<Vec<Answer>>,
}

/// The kind of a public key, as far as browsers tell them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Key {
    /// Bits of the modulus.
    Rsa(u32),
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

/// A public key, and whether it signed.
type Answer = (Vec<u8>, Result<(), BadSignature>);

/// What is wrong with a signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadSignature {
    /// With MD5, or an algorithm that browsers do not know.
    Algorithm,
    /// By another key, or over other bytes.
    Forged,
}

impl Facts {
    /// None if it is no certificate.
    pub(crate) fn read(der: &[u8]) -> Option<Facts> {
        let certificate = Certificate::from_der(der).ok()?;
        let parsed = certificate.parsed();
        let tbs = parsed.tbs_certificate();
        let mut unreadable = None;
        let basic = extension::<BasicConstraints>(parsed, &mut unreadable);
        let usage = extension::<KeyUsage>(parsed, &mut unreadable);
        let purposes = extension::<ExtendedKeyUsage>(parsed, &mut unreadable);
        let names = extension::<SubjectAltName>(parsed, &mut unreadable);
        let name_constraints = extension::<NameConstraints>(parsed, &mut unreadable);
        Some(Facts {
            subject: tbs.subject().to_der().ok()?,
            issuer: tbs.issuer().to_der().ok()?,
            public_key: tbs.subject_public_key_info().to_der().ok()?,
            constraints: basic,
            usage,
            purposes: purposes.map(|p| p.0),
            names: names.map(|n| n.0).unwrap_or_default(),
            name_constraints,
            key: key(&certificate),
            unreadable,
            signers: Mutex::default(),
            certificate,
        })
    }

    /// 1, 2 or 3.
    pub(crate) fn version(&self) -> u8 {
        self.certificate.parsed().tbs_certificate().version() as u8 + 1
    }

    pub(crate) fn subject_name(&self) -> &Name {
        self.certificate.parsed().tbs_certificate().subject()
    }

    pub(crate) fn serial(&self) -> &[u8] {
        self.certificate.parsed().tbs_certificate().serial_number().as_bytes()
    }

    pub(crate) fn extensions(&self) -> &[Extension] {
        self.certificate.parsed().tbs_certificate().extensions().map_or(&[], Vec::as_slice)
    }

    /// An extension of a kind that is not read for every certificate. One that cannot be read is an error.
    pub(crate) fn extension<T: AssociatedOid + for<'a> Decode<'a>>(
        &self,
    ) -> Result<Option<T>, ObjectIdentifier> {
        let mut unreadable = None;
        let found = extension(self.certificate.parsed(), &mut unreadable);
        unreadable.map_or(Ok(found), Err)
    }

    pub(crate) fn key_identifier(&self) -> Option<Vec<u8>> {
        self.extension::<SubjectKeyIdentifier>().ok()?.map(|id| id.0.into_bytes().into())
    }

    pub(crate) fn authority_key(&self) -> Result<Option<AuthorityKeyIdentifier>, ObjectIdentifier> {
        self.extension()
    }

    /// Whether it says where its issuer's certificate can be had.
    pub(crate) fn names_its_issuers_place(&self) -> bool {
        const CA_ISSUERS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.2");
        let access = self.extension::<AuthorityInfoAccessSyntax>().ok().flatten();
        access.is_some_and(|access| access.0.iter().any(|one| one.access_method == CA_ISSUERS))
    }

    /// Whether it has this extension, and marked as critical.
    pub(crate) fn is_critical(&self, oid: ObjectIdentifier) -> bool {
        self.extensions().iter().any(|e| e.critical && e.extn_id == oid)
    }

    /// A critical extension that nobody knows.
    pub(crate) fn has_unknown_critical(&self) -> bool {
        self.extensions().iter().any(|e| e.critical && !KNOWN.contains(&e.extn_id))
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    pub(crate) fn is_authority(&self) -> bool {
        self.constraints.as_ref().is_some_and(|c| c.ca)
    }

    /// Whether a key usage, if there is one, leaves this out.
    pub(crate) fn may_not(&self, what: fn(&KeyUsage) -> bool) -> bool {
        self.usage.as_ref().is_some_and(|usage| !what(usage))
    }

    /// Whether the two places where the signature's algorithm is named agree.
    pub(crate) fn algorithms_agree(&self) -> bool {
        self.certificate.parsed().tbs_certificate().signature()
            == self.certificate.parsed().signature_algorithm()
    }

    pub(crate) fn is_valid_at(&self, now: OffsetDateTime) -> bool {
        (self.certificate.not_before()..=self.certificate.not_after()).contains(&now)
    }

    /// Whether its signature is of a kind that browsers take.
    pub(crate) fn has_modern_signature(&self) -> bool {
        scheme(self.certificate.parsed().signature_algorithm())
            .is_some_and(|scheme| !matches!(scheme, Scheme::RsaPkcs1(Hash::Sha1) | Scheme::Ecdsa(Hash::Sha1)))
    }

    /// The length of its signature, if that is RSA's.
    pub(crate) fn rsa_signature_bits(&self) -> Option<usize> {
        match scheme(self.certificate.parsed().signature_algorithm())? {
            Scheme::RsaPkcs1(_) | Scheme::RsaPss(_) => {
                Some(8 * self.certificate.parsed().signature().as_bytes()?.len())
            }
            Scheme::Ecdsa(_) | Scheme::Ed25519 => None,
        }
    }

    /// Whether `issuer` signed it. What keys below 1024 bits signed counts as signed: it is refused anyway, and no
    /// library here computes with them.
    pub(crate) fn check_signature(&self, issuer: &Facts) -> Result<(), BadSignature> {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = signers.iter().find(|(key, _)| *key == issuer.public_key) {
            return *answer;
        }
        let answer = self.verify_signature(issuer);
        signers.push((issuer.public_key.clone(), answer));
        answer
    }

    fn verify_signature(&self, issuer: &Facts) -> Result<(), BadSignature> {
        let scheme =
            scheme(self.certificate.parsed().signature_algorithm()).ok_or(BadSignature::Algorithm)?;
        if matches!(issuer.key, Key::Rsa(..1024)) {
            return Ok(());
        }
        let algorithm = verification(scheme, issuer.key).ok_or(BadSignature::Forged)?;
        let key = issuer.certificate.parsed().tbs_certificate().subject_public_key_info();
        let key = key.subject_public_key.as_bytes().unwrap_or_default();
        let signature = self.certificate.parsed().signature().as_bytes().unwrap_or_default();
        UnparsedPublicKey::new(algorithm, key)
            .verify(&self.certificate.signed_bytes().unwrap_or_default(), signature)
            .map_err(|_| BadSignature::Forged)
    }

    /// Whether a signature of this kind can be by the key of `issuer` at all.
    pub(crate) fn fits_key_of(&self, issuer: &Facts) -> bool {
        scheme(self.certificate.parsed().signature_algorithm())
            .is_some_and(|s| verification(s, issuer.key).is_some())
    }

    /// The common name, if it is an address or a host name.
    pub(crate) fn common_name_as_name(&self) -> Option<GeneralName> {
        let text = self.common_name()?;
        match text.parse::<AltName>().ok()? {
            AltName::Ip(std::net::IpAddr::V4(ip)) => {
                Some(GeneralName::IpAddress(OctetString::new(ip.octets()).ok()?))
            }
            AltName::Ip(std::net::IpAddr::V6(ip)) => {
                Some(GeneralName::IpAddress(OctetString::new(ip.octets()).ok()?))
            }
            AltName::Dns(name) => Some(GeneralName::DnsName(Ia5String::new(&name).ok()?)),
        }
    }

    /// Whether its constraints name domains, and none that holds this common name.
    pub(crate) fn constrains_domains_without(&self, common_name: &str) -> bool {
        let permitted = self.name_constraints.as_ref().and_then(|c| c.permitted_subtrees.as_deref());
        let mut domains = permitted.unwrap_or_default().iter().filter_map(|subtree| match &subtree.base {
            GeneralName::DnsName(domain) => Some(domain.as_str()),
            _ => None,
        });
        let first = domains.next();
        first.is_some() && !first.into_iter().chain(domains).any(|d| names::domain_holds(d, common_name))
    }

    pub(crate) fn common_name(&self) -> Option<String> {
        let name = self.subject_name().common_name().ok()??;
        Some(name.value().into_owned())
    }

    /// Whether a subjectAltName is `wanted`; the common name does not count. A wildcard stands for one whole label,
    /// with two labels or more behind it.
    pub(crate) fn is_for(&self, wanted: &AltName) -> bool {
        self.names.iter().any(|name| match (name, wanted) {
            (GeneralName::IpAddress(bytes), AltName::Ip(ip)) => match ip {
                std::net::IpAddr::V4(ip) => bytes.as_bytes() == ip.octets(),
                std::net::IpAddr::V6(ip) => bytes.as_bytes() == ip.octets(),
            },
            (GeneralName::DnsName(pattern), AltName::Dns(host)) => {
                let pattern = AsRef::<str>::as_ref(pattern);
                match pattern.strip_prefix("*.") {
                    Some(behind) => {
                        let rest = host.split_once('.').map(|(_, rest)| rest);
                        behind.contains('.') && rest.is_some_and(|rest| rest.eq_ignore_ascii_case(behind))
                    }
                    None => pattern.eq_ignore_ascii_case(host),
                }
            }
            _ => false,
        })
    }
}

fn extension<T: AssociatedOid + for<'a> Decode<'a>>(
    certificate: &x509_cert::Certificate,
    unreadable: &mut Option<ObjectIdentifier>,
) -> Option<T> {
    let all = certificate.tbs_certificate().extensions()?;
    let found = all.iter().find(|e| e.extn_id == T::OID)?;
    let read = T::from_der(found.extn_value.as_bytes());
    if read.is_err() {
        *unreadable = Some(T::OID);
    }
    read.ok()
}

fn key(certificate: &Certificate) -> Key {
    match certificate.key_name().as_str() {
        "p256" => Key::P256,
        "p384" => Key::P384,
        "ec-1.3.132.0.35" => Key::P521,
        "1.3.101.112" => Key::Ed25519,
        other => other.strip_prefix("rsa-").and_then(|b| b.parse().ok()).map_or(Key::Other, Key::Rsa),
    }
}

#[derive(Clone, Copy)]
enum Hash {
    /// Refused, but only after it was computed.
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy)]
enum Scheme {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Hash),
    Ed25519,
}

/// How a signature is made; `None` for what browsers do not know.
fn scheme(algorithm: &AlgorithmIdentifierOwned) -> Option<Scheme> {
    use Hash::{Sha1, Sha256, Sha384, Sha512};
    let hash = |oid: &str| match oid {
        "2.16.840.1.101.3.4.2.1" => Some(Sha256),
        "2.16.840.1.101.3.4.2.2" => Some(Sha384),
        "2.16.840.1.101.3.4.2.3" => Some(Sha512),
        _ => None,
    };
    match algorithm.oid.to_string().as_str() {
        "1.2.840.113549.1.1.5" => Some(Scheme::RsaPkcs1(Sha1)),
        "1.2.840.10045.4.1" => Some(Scheme::Ecdsa(Sha1)),
        "1.2.840.113549.1.1.11" => Some(Scheme::RsaPkcs1(Sha256)),
        "1.2.840.113549.1.1.12" => Some(Scheme::RsaPkcs1(Sha384)),
        "1.2.840.113549.1.1.13" => Some(Scheme::RsaPkcs1(Sha512)),
        "1.2.840.10045.4.3.2" => Some(Scheme::Ecdsa(Sha256)),
        "1.2.840.10045.4.3.3" => Some(Scheme::Ecdsa(Sha384)),
        "1.2.840.10045.4.3.4" => Some(Scheme::Ecdsa(Sha512)),
        "1.3.101.112" => Some(Scheme::Ed25519),
        "1.2.840.113549.1.1.10" => {
            let parameters: PssParameters = algorithm.parameters.as_ref()?.decode_as().ok()?;
            hash(&parameters.hash?.oid.to_string()).map(Scheme::RsaPss)
        }
        _ => None,
    }
}

/// RSASSA-PSS-params (RFC 4055, section 3.1); without a hash it is SHA-1.
#[derive(Sequence)]
struct PssParameters {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    hash: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    mask: Option<AlgorithmIdentifierOwned>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    salt: Option<u32>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    trailer: Option<u32>,
}

fn verification(scheme: Scheme, key: Key) -> Option<&'static dyn VerificationAlgorithm> {
    use Hash::{Sha1, Sha256, Sha384, Sha512};
    Some(match (scheme, key) {
        // Browsers take 1024 bits below a root that was added by hand.
        (Scheme::RsaPkcs1(Sha1), Key::Rsa(_)) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Scheme::Ecdsa(Sha1), Key::P256) => &signature::ECDSA_P256_SHA1_ASN1,
        (Scheme::Ecdsa(Sha1), Key::P521) => &signature::ECDSA_P521_SHA1_ASN1,
        (Scheme::RsaPkcs1(Sha256), Key::Rsa(_)) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPkcs1(Sha384), Key::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Scheme::RsaPkcs1(Sha512), Key::Rsa(_)) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPss(Sha256), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA256,
        (Scheme::RsaPss(Sha384), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA384,
        (Scheme::RsaPss(Sha512), Key::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA512,
        (Scheme::Ecdsa(Sha256), Key::P256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Key::P256) => &signature::ECDSA_P256_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Key::P256) => &signature::ECDSA_P256_SHA512_ASN1,
        (Scheme::Ecdsa(Sha256), Key::P384) => &signature::ECDSA_P384_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Key::P384) => &signature::ECDSA_P384_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Key::P384) => &signature::ECDSA_P384_SHA512_ASN1,
        (Scheme::Ecdsa(Sha256), Key::P521) => &signature::ECDSA_P521_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Key::P521) => &signature::ECDSA_P521_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Key::P521) => &signature::ECDSA_P521_SHA512_ASN1,
        (Scheme::Ed25519, Key::Ed25519) => &signature::ED25519,
        _ => return None,
    })
}
