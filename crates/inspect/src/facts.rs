//! A certificate as those who verify it see it: read as far as it can be, kept with its exact bytes.

use std::sync::Arc;

use domain::AltName;
use pki::Certificate;
use time::OffsetDateTime;
use x509_cert::{
    der::{Decode, Encode, Sequence, asn1::ObjectIdentifier, oid::AssociatedOid},
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

use crate::{
    names,
    signature::{Hash, Kind, PublicKey, Scheme, Signed},
};

pub(crate) const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

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
    pub(crate) key: Kind,
    /// An extension that cannot be read.
    pub(crate) unreadable: Option<ObjectIdentifier>,
    pub(crate) signed: Arc<Signed>,
}

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
            signed: Arc::new(Signed::new(
                &certificate.signed_bytes().ok()?,
                parsed.signature().as_bytes().unwrap_or_default(),
            )),
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

    pub(crate) fn issuer_name(&self) -> &Name {
        self.certificate.parsed().tbs_certificate().issuer()
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

    /// Whether `issuer` signed it.
    pub(crate) fn check_signature(&self, issuer: &Facts) -> Result<(), BadSignature> {
        let scheme =
            scheme(self.certificate.parsed().signature_algorithm()).ok_or(BadSignature::Algorithm)?;
        let key = issuer.certificate.parsed().tbs_certificate().subject_public_key_info();
        let bytes = key.subject_public_key.as_bytes().unwrap_or_default().to_vec();
        let key = PublicKey { kind: issuer.key, bytes };
        if self.signed.is_by(&key, scheme) { Ok(()) } else { Err(BadSignature::Forged) }
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

fn key(certificate: &Certificate) -> Kind {
    match certificate.key_name().as_str() {
        "p256" => Kind::P256,
        "p384" => Kind::P384,
        "ec-1.3.132.0.35" => Kind::P521,
        "1.3.101.112" => Kind::Ed25519,
        other => other.strip_prefix("rsa-").and_then(|b| b.parse().ok()).map_or(Kind::Other, Kind::Rsa),
    }
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
