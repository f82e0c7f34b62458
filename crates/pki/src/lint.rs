use std::borrow::Cow;

use der::{
    Decode,
    oid::{AssociatedOid, db::rfc4519::COMMON_NAME},
};
use domain::{AltName, is_invisible};
use serde::{Deserialize, Serialize};
use x509_cert::{
    certificate::Version,
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, ExtendedKeyUsage, KeyUsage,
        NameConstraints, SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
    },
    spki::AlgorithmIdentifierOwned,
};

use crate::{
    Certificate, Error, Permitted, PrivateKey, Profile, PublicKey, Unsigned,
    certificate::alt_name,
    certificate::text,
    key,
    profile::{CLIENT_AUTH, MAX_COMMON_NAME, MAX_LEAF_DAYS, SERVER_AUTH},
    tbs::{self, Tbs, Validity},
};

const SECONDS_A_DAY: i64 = 86_400;
/// The longest validity of a root that is not called very long, days: 25 years.
const LONGEST_ROOT_DAYS: i64 = 9132;

/// The right to sign exactly these bytes, once. Only the lints of [`Unsigned`] make one, and [`Linted::sign`] consumes
/// it; it cannot be copied.
#[derive(Debug)]
#[must_use]
pub struct Linted {
    tbs: Vec<u8>,
    algorithm: AlgorithmIdentifierOwned,
}

impl Linted {
    /// Signs the linted bytes, and checks the signature before anyone sees it.
    pub fn sign(self, key: &PrivateKey) -> Result<Certificate, Error> {
        Certificate::from_der(&tbs::signed(&self.tbs, self.algorithm, key)?)
    }
}

/// A rule that a certificate breaks: its code, whose sentence says what is wrong, and where the rule comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Lint {
    /// `lint-...`
    pub code: Cow<'static, str>,
    /// RFC and section, or who refuses it.
    pub source: Cow<'static, str>,
}

impl Unsigned {
    /// Lints an authority that signs for itself.
    pub fn lint_root(self) -> Result<Linted, Error> {
        let tbs = Tbs::from_der(&self.0)?;
        self.pass(root_lints(&tbs), tbs)
    }

    /// Lints an authority below a root.
    pub fn lint_issuer(self, root: &Certificate) -> Result<Linted, Error> {
        let tbs = Tbs::from_der(&self.0)?;
        self.pass(issuer_lints(&tbs, root), tbs)
    }

    /// Lints a leaf against its profile, its issuer and the names that the authority may speak for.
    pub fn lint_leaf(
        self,
        profile: Profile,
        issuer: &Certificate,
        permitted: &Permitted,
    ) -> Result<Linted, Error> {
        let tbs = Tbs::from_der(&self.0)?;
        self.pass(leaf_lints(&tbs, profile, issuer, permitted), tbs)
    }

    fn pass(self, findings: Vec<Lint>, tbs: Tbs) -> Result<Linted, Error> {
        if findings.is_empty() {
            Ok(Linted { tbs: self.0, algorithm: tbs.signature })
        } else {
            Err(Error::LintFailed { findings })
        }
    }
}

impl Certificate {
    /// What the lints say of a root that is there already.
    pub fn lint_as_root(&self) -> Vec<Lint> {
        root_lints(&self.as_tbs())
    }

    /// What the lints say of an issuer below `root` that is there already.
    pub fn lint_as_issuer(&self, root: &Certificate) -> Vec<Lint> {
        issuer_lints(&self.as_tbs(), root)
    }

    /// What the lints say of a leaf that is there already.
    pub fn lint_as_leaf(&self, profile: Profile, issuer: &Certificate, permitted: &Permitted) -> Vec<Lint> {
        leaf_lints(&self.as_tbs(), profile, issuer, permitted)
    }

    /// Without the identifiers that version 2 had beside the keys, which say nothing to anybody.
    fn as_tbs(&self) -> Tbs {
        let (tbs, validity) = (self.tbs(), self.tbs().validity());
        Tbs {
            version: tbs.version(),
            serial_number: tbs.serial_number().clone(),
            signature: tbs.signature().clone(),
            issuer: tbs.issuer().clone(),
            validity: Validity { not_before: validity.not_before, not_after: validity.not_after },
            subject: tbs.subject().clone(),
            subject_public_key_info: tbs.subject_public_key_info().clone(),
            extensions: tbs.extensions().cloned(),
        }
    }
}

/// Adds a finding for each rule that does not hold.
macro_rules! rules {
    ($findings:ident: $($holds:expr => $code:literal, $source:literal;)+) => {
        $(if !$holds { $findings.push($crate::Lint { code: $code.into(), source: $source.into() }); })+
    };
}

pub(crate) use rules;

fn root_lints(tbs: &Tbs) -> Vec<Lint> {
    let mut findings = common(tbs);
    authority_rules(tbs, &mut findings);
    let basic = get::<BasicConstraints>(tbs);
    rules! { findings:
        tbs.issuer == tbs.subject => "lint-not-self-issued", "RFC 5280, 3.2";
        // 1: with an offline root, one issuer stands between it and the devices.
        basic.is_some_and(|(_, b)| matches!(b.path_len_constraint, Some(0 | 1)))
            => "lint-path-length", "RFC 5280, 4.2.1.9";
        (unix(tbs.validity.not_after) - unix(tbs.validity.not_before)) / SECONDS_A_DAY <= LONGEST_ROOT_DAYS
            => "lint-root-long", "CA/Browser Forum BR 7.1.2.1.1";
    }
    findings
}

fn issuer_lints(tbs: &Tbs, root: &Certificate) -> Vec<Lint> {
    let mut findings = common(tbs);
    authority_rules(tbs, &mut findings);
    below_rules(tbs, root, &mut findings);
    let basic = get::<BasicConstraints>(tbs);
    rules! { findings:
        tbs.issuer != tbs.subject => "lint-self-issued", "RFC 5280, 6.1: a name of its own";
        basic.is_some_and(|(_, b)| b.path_len_constraint == Some(0)) => "lint-path-length", "RFC 5280, 4.2.1.9";
    }
    findings
}

fn leaf_lints(tbs: &Tbs, profile: Profile, issuer: &Certificate, permitted: &Permitted) -> Vec<Lint> {
    let mut findings = common(tbs);
    leaf_rules(tbs, profile, &mut findings);
    below_rules(tbs, issuer, &mut findings);
    name_rules(tbs, permitted, &mut findings);
    findings
}

fn common(tbs: &Tbs) -> Vec<Lint> {
    let mut findings = Vec::new();
    let serial = tbs.serial_number.as_bytes();
    let (from, to) = (unix(tbs.validity.not_before), unix(tbs.validity.not_after));
    let mut oids: Vec<_> = tbs.extensions.iter().flatten().map(|e| e.extn_id).collect();
    oids.sort();
    let duplicates = oids.windows(2).any(|w| w[0] == w[1]);
    rules! { findings:
        tbs.version == Version::V3 => "lint-version", "RFC 5280, 4.1.2.1";
        (8..=20).contains(&serial.len()) => "lint-serial", "RFC 5280, 4.1.2.2; CA/Browser Forum BR 7.1";
        from < to => "lint-validity", "RFC 5280, 4.1.2.5";
        !duplicates => "lint-extension-twice", "RFC 5280, 4.2";
        PublicKey::new(tbs.subject_public_key_info.clone()).is_ok() => "lint-key", "Apple 103769; Chromium";
        key::is_sha2(&tbs.signature) => "lint-signature", "Apple 103769; Chromium: ERR_CERT_WEAK_SIGNATURE_ALGORITHM";
        get::<SubjectKeyIdentifier>(tbs).is_some() => "lint-key-id", "RFC 5280, 4.2.1.2";
        common_name(tbs).is_none_or(|n| n.chars().count() <= MAX_COMMON_NAME)
            => "lint-common-name-length", "RFC 5280, appendix A";
        tbs.subject.iter().filter_map(|a| text(&a.value)).all(|t| !t.chars().any(is_invisible))
            => "lint-subject-invisible", "RFC 4518, 2.2 and 2.4: names that differ in such characters are one, or none";
    }
    findings
}

fn authority_rules(tbs: &Tbs, findings: &mut Vec<Lint>) {
    let constraints = get::<NameConstraints>(tbs);
    let both_kinds = |c: &NameConstraints| {
        let permitted = c.permitted_subtrees.iter().flatten();
        permitted.clone().any(|s| matches!(s.base, GeneralName::IpAddress(_)))
            && permitted.clone().any(|s| matches!(s.base, GeneralName::DnsName(_)))
    };
    rules! { findings:
        common_name(tbs).is_some() => "lint-no-common-name", "iOS shows roots by their common name";
        get::<BasicConstraints>(tbs).is_some_and(|(critical, b)| critical && b.ca)
            => "lint-not-ca", "RFC 5280, 4.2.1.9";
        get::<KeyUsage>(tbs).is_some_and(|(critical, u)| critical && u.key_cert_sign() && u.crl_sign())
            => "lint-ca-usage", "RFC 5280, 4.2.1.3";
        get::<ExtendedKeyUsage>(tbs).is_some_and(|(_, p)|
                p.0.iter().all(|p| [SERVER_AUTH, CLIENT_AUTH].contains(p)) && p.0.contains(&SERVER_AUTH))
            => "lint-ca-purposes", "a stolen key must not sign programs or mail";
        constraints.is_none_or(|(critical, c)| critical && both_kinds(&c))
            => "lint-constraints", "RFC 5280, 4.2.1.10: a kind not listed is free";
    }
}

fn leaf_rules(tbs: &Tbs, profile: Profile, findings: &mut Vec<Lint>) {
    let rsa = key::describe(&tbs.subject_public_key_info).starts_with("rsa-");
    let known = [
        BasicConstraints::OID,
        KeyUsage::OID,
        ExtendedKeyUsage::OID,
        SubjectAltName::OID,
        SubjectKeyIdentifier::OID,
        AuthorityKeyIdentifier::OID,
        CrlDistributionPoints::OID,
    ];
    rules! { findings:
        get::<BasicConstraints>(tbs).is_some_and(|(_, b)| !b.ca)
            => "lint-leaf-ca", "Firefox: MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY";
        get::<KeyUsage>(tbs).is_some_and(|(critical, u)|
                critical && u.digital_signature() && u.key_encipherment() == rsa && !u.key_cert_sign())
            => "lint-leaf-usage", "Chromium: ERR_SSL_KEY_USAGE_INCOMPATIBLE";
        get::<ExtendedKeyUsage>(tbs).is_some_and(|(_, p)| p.0 == profile.purposes())
            => "lint-leaf-purposes", "Apple 103769";
        tbs.extensions.iter().flatten().all(|e| known.contains(&e.extn_id))
            => "lint-extension", "extensions are never copied from a request";
        unix(tbs.validity.not_after) - unix(tbs.validity.not_before) < MAX_LEAF_DAYS * SECONDS_A_DAY
            => "lint-too-long", "Apple 103769";
    }
}

fn below_rules(tbs: &Tbs, issuer: &Certificate, findings: &mut Vec<Lint>) {
    let theirs = issuer.tbs();
    let key_id = get::<AuthorityKeyIdentifier>(tbs).and_then(|(_, a)| a.key_identifier);
    rules! { findings:
        &tbs.issuer == theirs.subject() => "lint-issuer-name", "RFC 5280, 4.1.2.4";
        key_id.map(|id| id.as_bytes().to_vec()) == issuer.subject_key_id()
            => "lint-issuer-key-id", "RFC 5280, 4.2.1.1; OpenSSL error 20";
        unix(tbs.validity.not_before) >= unix(theirs.validity().not_before)
            && unix(tbs.validity.not_after) <= unix(theirs.validity().not_after)
            => "lint-outlives-issuer", "RFC 5280, 6.1: the whole path must be valid";
    }
}

fn name_rules(tbs: &Tbs, permitted: &Permitted, findings: &mut Vec<Lint>) {
    let (critical, names) = match get::<SubjectAltName>(tbs) {
        Some((critical, names)) => (critical, names.0),
        None => (false, Vec::new()),
    };
    let read: Vec<Option<AltName>> = names.iter().map(alt_name).collect();
    let host_like = |n: &str| n.contains('.') || n.parse::<std::net::IpAddr>().is_ok();
    rules! { findings:
        !names.is_empty() => "lint-no-names", "Chromium: ERR_CERT_COMMON_NAME_INVALID";
        read.iter().all(Option::is_some) => "lint-odd-names", "no browser matches them";
        read.iter().flatten().any(|n| matches!(n, AltName::Dns(_)))
            => "lint-no-host-name", "GnuTLS otherwise tests the common name as a host name";
        read.iter().flatten().all(|n| permitted.allows(n)) => "lint-names-outside", "RFC 5280, 4.2.1.10";
        critical == tbs.subject.is_empty() => "lint-names-critical", "RFC 5280, 4.2.1.6";
        common_name(tbs).is_none_or(|n| !host_like(&n))
            => "lint-common-name-host", "OpenSSL tests it against the name constraints";
    }
}

fn get<T: AssociatedOid + for<'a> Decode<'a>>(tbs: &Tbs) -> Option<(bool, T)> {
    let extension = tbs.extensions.iter().flatten().find(|e| e.extn_id == T::OID)?;
    Some((extension.critical, T::from_der(extension.extn_value.as_bytes()).ok()?))
}

fn common_name(tbs: &Tbs) -> Option<String> {
    text(&tbs.subject.iter().find(|a| a.oid == COMMON_NAME)?.value)
}

fn unix(time: x509_cert::time::Time) -> i64 {
    time.to_unix_duration().as_secs() as i64
}
