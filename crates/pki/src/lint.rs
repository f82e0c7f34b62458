use std::fmt;

use der::{Decode, oid::AssociatedOid};
use domain::AltName;
use x509_cert::{
    certificate::Version,
    ext::pkix::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints,
        SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
    },
};

use crate::{
    Certificate, Error, Permitted, PrivateKey, PublicKey, Unsigned,
    certificate::alt_name,
    profile::{MAX_COMMON_NAME, MAX_LEAF_DAYS, SERVER_AUTH},
    tbs::{self, Tbs},
};

/// The right to sign exactly these bytes, once. Only [`Unsigned::lint_root`] and [`Unsigned::lint_device`] make
/// one, and [`Linted::sign`] consumes it; it cannot be copied.
#[derive(Debug)]
#[must_use]
pub struct Linted(Vec<u8>);

impl Linted {
    /// Signs the linted bytes, and checks the signature before anyone sees it.
    pub fn sign(self, key: &PrivateKey) -> Result<Certificate, Error> {
        tbs::sign(&self.0, key)
    }
}

/// A rule that a certificate would break.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LintFinding {
    /// The rule, in words.
    pub rule: &'static str,
    /// Where it comes from.
    pub source: &'static str,
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.rule, self.source)
    }
}

impl Unsigned {
    /// Lints a root.
    pub fn lint_root(self) -> Result<Linted, Error> {
        let tbs = Tbs::from_der(&self.0)?;
        let mut findings = common(&tbs);
        root_rules(&tbs, &mut findings);
        self.pass(findings)
    }

    /// Lints a device's certificate against its issuer and the names that the authority may speak for.
    pub fn lint_device(self, issuer: &Certificate, permitted: &Permitted) -> Result<Linted, Error> {
        let tbs = Tbs::from_der(&self.0)?;
        let mut findings = common(&tbs);
        leaf_rules(&tbs, &mut findings);
        issuer_rules(&tbs, issuer, &mut findings);
        name_rules(&tbs, permitted, &mut findings);
        self.pass(findings)
    }

    fn pass(self, findings: Vec<LintFinding>) -> Result<Linted, Error> {
        if findings.is_empty() {
            return Ok(Linted(self.0));
        }
        let rules: Vec<String> = findings.iter().map(LintFinding::to_string).collect();
        Err(Error::LintFailed { rules: rules.join("; ") })
    }
}

/// Adds a finding for each rule that does not hold.
macro_rules! rules {
    ($findings:ident: $($holds:expr => $rule:literal, $source:literal;)+) => {
        $(if !$holds { $findings.push(LintFinding { rule: $rule, source: $source }); })+
    };
}

fn common(tbs: &Tbs) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    let serial = tbs.serial_number.as_bytes();
    let (from, to) = (unix(tbs.validity.not_before), unix(tbs.validity.not_after));
    let mut oids: Vec<_> = tbs.extensions.iter().flatten().map(|e| e.extn_id).collect();
    oids.sort();
    let duplicates = oids.windows(2).any(|w| w[0] == w[1]);
    rules! { findings:
        tbs.version == Version::V3 => "version 3", "RFC 5280, 4.1.2.1";
        (8..=20).contains(&serial.len()) => "a serial number of 64 to 160 bits", "RFC 5280, 4.1.2.2";
        from < to => "a validity that does not end before it begins", "RFC 5280, 4.1.2.5";
        !duplicates => "each extension once", "RFC 5280, 4.2";
        PublicKey::new(tbs.subject_public_key_info.clone()).is_ok()
            => "an RSA key of 2048 bits or more, P-256 or P-384", "Apple 103769; Chromium refuses others";
        get::<SubjectKeyIdentifier>(tbs).is_some() => "a subject key identifier", "RFC 5280, 4.2.1.2";
        common_name(tbs).is_none_or(|n| n.chars().count() <= MAX_COMMON_NAME)
            => "a common name of 64 characters at most", "RFC 5280, appendix A";
    }
    findings
}

fn root_rules(tbs: &Tbs, findings: &mut Vec<LintFinding>) {
    let basic = get::<BasicConstraints>(tbs);
    let usage = get::<KeyUsage>(tbs);
    let purposes = get::<ExtendedKeyUsage>(tbs);
    let constraints = get::<NameConstraints>(tbs);
    let both_kinds = |c: &NameConstraints| {
        let permitted = c.permitted_subtrees.iter().flatten();
        permitted.clone().any(|s| matches!(s.base, GeneralName::IpAddress(_)))
            && permitted.clone().any(|s| matches!(s.base, GeneralName::DnsName(_)))
    };
    rules! { findings:
        tbs.issuer == tbs.subject => "a root is its own issuer", "RFC 5280, 3.2";
        common_name(tbs).is_some() => "a root has a common name", "iOS shows roots by their common name";
        basic.as_ref().is_some_and(|(critical, b)| *critical && b.ca && b.path_len_constraint == Some(0))
            => "critical basic constraints with CA and path length 0", "RFC 5280, 4.2.1.9";
        usage.as_ref().is_some_and(|(critical, u)| *critical && u.key_cert_sign() && u.crl_sign())
            => "critical key usage with keyCertSign and cRLSign", "RFC 5280, 4.2.1.3";
        purposes.is_some_and(|(_, p)| p.0.contains(&SERVER_AUTH) && p.0.len() == 2)
            => "extended key usage of TLS servers and clients alone", "a stolen key must not sign programs";
        constraints.is_none_or(|(critical, c)| critical && both_kinds(&c))
            => "critical name constraints on addresses and on domains", "RFC 5280, 4.2.1.10: a kind not listed is free";
    }
}

fn leaf_rules(tbs: &Tbs, findings: &mut Vec<LintFinding>) {
    const SECONDS: i64 = 86_400;
    let rsa = PublicKey::new(tbs.subject_public_key_info.clone()).is_ok_and(|k| k.is_rsa());
    let known = [
        BasicConstraints::OID,
        KeyUsage::OID,
        ExtendedKeyUsage::OID,
        SubjectAltName::OID,
        SubjectKeyIdentifier::OID,
        AuthorityKeyIdentifier::OID,
    ];
    rules! { findings:
        get::<BasicConstraints>(tbs).is_some_and(|(_, b)| !b.ca)
            => "CA:FALSE", "Firefox: MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY";
        get::<KeyUsage>(tbs).is_some_and(|(critical, u)|
                critical && u.digital_signature() && u.key_encipherment() == rsa && !u.key_cert_sign())
            => "key usage digitalSignature, and keyEncipherment for RSA alone", "Chromium: ERR_SSL_KEY_USAGE_INCOMPATIBLE";
        get::<ExtendedKeyUsage>(tbs).is_some_and(|(_, p)| p.0 == [SERVER_AUTH])
            => "extended key usage serverAuth", "Apple 103769";
        tbs.extensions.iter().flatten().all(|e| known.contains(&e.extn_id))
            => "no extension beyond the profile's", "extensions are never copied from a request";
        unix(tbs.validity.not_after) - unix(tbs.validity.not_before) < MAX_LEAF_DAYS * SECONDS
            => "a validity of 824 days at most", "Apple 103769";
    }
}

fn issuer_rules(tbs: &Tbs, issuer: &Certificate, findings: &mut Vec<LintFinding>) {
    let theirs = issuer.tbs();
    let key_id = get::<AuthorityKeyIdentifier>(tbs).and_then(|(_, a)| a.key_identifier);
    rules! { findings:
        &tbs.issuer == theirs.subject() => "the issuer's own name", "RFC 5280, 4.1.2.4";
        key_id.map(|id| id.as_bytes().to_vec()) == issuer.subject_key_id()
            => "the issuer's own key identifier", "RFC 5280, 4.2.1.1";
        unix(tbs.validity.not_before) >= unix(theirs.validity().not_before)
            && unix(tbs.validity.not_after) <= unix(theirs.validity().not_after)
            => "a validity within the issuer's", "a leaf must not outlive its issuer";
    }
}

fn name_rules(tbs: &Tbs, permitted: &Permitted, findings: &mut Vec<LintFinding>) {
    let (critical, names) = match get::<SubjectAltName>(tbs) {
        Some((critical, names)) => (critical, names.0),
        None => (false, Vec::new()),
    };
    let read: Vec<Option<AltName>> = names.iter().map(alt_name).collect();
    let host_like = |n: &str| n.contains('.') || n.parse::<std::net::IpAddr>().is_ok();
    rules! { findings:
        !names.is_empty() => "a subjectAltName", "Chromium: ERR_CERT_COMMON_NAME_INVALID";
        read.iter().all(Option::is_some) => "only addresses and host names in the subjectAltName", "no browser matches others";
        read.iter().flatten().any(|n| matches!(n, AltName::Dns(_)))
            => "a dNSName beside the addresses", "GnuTLS otherwise tests the common name as a host name";
        read.iter().flatten().all(|n| permitted.allows(n))
            => "names inside what the authority may speak for", "RFC 5280, 4.2.1.10";
        critical == tbs.subject.is_empty()
            => "a subjectAltName that is critical if and only if the subject is empty", "RFC 5280, 4.2.1.6";
        common_name(tbs).is_none_or(|n| !host_like(&n))
            => "a common name that is no host name", "OpenSSL tests it against the name constraints";
    }
}

fn get<T: AssociatedOid + for<'a> Decode<'a>>(tbs: &Tbs) -> Option<(bool, T)> {
    let extension = tbs.extensions.iter().flatten().find(|e| e.extn_id == T::OID)?;
    Some((extension.critical, T::from_der(extension.extn_value.as_bytes()).ok()?))
}

fn common_name(tbs: &Tbs) -> Option<String> {
    Some(tbs.subject.common_name().ok()??.value().into_owned())
}

fn unix(time: x509_cert::time::Time) -> i64 {
    time.to_unix_duration().as_secs() as i64
}
