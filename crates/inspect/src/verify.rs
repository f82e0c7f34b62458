//! The strict verdict on a chain: every rule of RFC 5280 that it breaks, whether browsers mind or not.

use domain::{AltName, Finding, Rule, Severity};
use pki::Certificate;
use time::OffsetDateTime;
use x509_cert::{
    der::oid::{AssociatedOid, ObjectIdentifier},
    ext::pkix::{
        AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, BasicConstraints, KeyUsage, NameConstraints,
        PolicyConstraints, SubjectAltName, SubjectKeyIdentifier, name::GeneralName,
    },
};

use crate::{
    facts::{BadSignature, Facts, SERVER_AUTH},
    firefox::ISSUERS_MAX,
    names,
    paths::{Path, Pool},
    signature::Kind,
};

/// All that is wrong with a served certificate, for a server of this name (if one is given), under these roots; nothing,
/// if it is faultless. `others` are sent along, in any order; at most `issuers` may stand between root and leaf.
///
/// What only Apple's systems, or nobody yet, would mind is not among it.
pub fn verify(
    leaf: &[u8],
    others: &[Vec<u8>],
    roots: &[Certificate],
    name: Option<&AltName>,
    now: OffsetDateTime,
    issuers: Option<usize>,
) -> Vec<Finding> {
    let Some(leaf) = Facts::read(leaf) else { return vec![unreadable(leaf)] };
    let roots: Vec<Facts> = roots.iter().filter_map(|root| Facts::read(root.der())).collect();
    let others: Vec<Facts> = others.iter().filter_map(|other| Facts::read(other)).collect();
    let (roots, others): (Vec<&Facts>, Vec<&Facts>) = (roots.iter().collect(), others.iter().collect());
    chain(Pool { roots: &roots, others: &others }, &leaf, name, now, issuers)
}

pub(crate) fn unreadable(der: &[u8]) -> Finding {
    let detail = Certificate::from_der(der).err().map(|e| e.to_string()).unwrap_or_default();
    Finding::InvalidCertificate { subject: String::new(), rule: Rule::Unreadable { detail } }
}

pub(crate) fn chain(
    pool: Pool<'_>,
    leaf: &Facts,
    name: Option<&AltName>,
    now: OffsetDateTime,
    issuers: Option<usize>,
) -> Vec<Finding> {
    let is_short = |path: &Path<'_>| issuers.is_none_or(|most| path.certificates.len() <= most + 2);
    let paths = pool.paths(leaf);
    let best = paths.iter().filter(|path| is_short(path)).map(|path| (path, of_path(path, now)));
    // The way with the fewest faults is the one to talk about, if need be one that leads nowhere.
    let best = best.min_by_key(|(path, found)| {
        let errors = found.iter().filter(|f| f.severity() == Severity::Error).count();
        (errors > 0, !path.is_anchored, errors, found.len())
    });
    let mut found = match best {
        Some((_, found)) => found,
        None => vec![Finding::UnknownIssuer { issuer: leaf.certificate.issuer() }],
    };
    found.extend(of_leaf(leaf, now));
    found.extend(name.and_then(|name| other_name(leaf, name)));
    found
}

fn other_name(leaf: &Facts, name: &AltName) -> Option<Finding> {
    let wanted = name.plain();
    if leaf.names.is_empty() {
        Some(Finding::NoAltName { wanted, subject: leaf.certificate.subject() })
    } else if !leaf.is_for(name) {
        Some(Finding::WrongName { wanted, names: leaf.certificate.summary().sans })
    } else {
        None
    }
}

/// What is wrong with the leaf, whoever issued it.
fn of_leaf(leaf: &Facts, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = Vec::new();
    let (from, to) = (leaf.certificate.not_before(), leaf.certificate.not_after());
    if now > to {
        found.push(Finding::Expired { not_after: to.date() });
    } else if now < from {
        found.push(Finding::NotYetValid { not_before: from.date() });
    }
    if leaf.purposes.as_ref().is_some_and(|p| !p.contains(&SERVER_AUTH)) {
        found.push(Finding::NotForServers);
    }
    match leaf.key {
        Kind::Rsa(1024..2048) => found.push(Finding::WeakKey { key: leaf.certificate.key_name() }),
        Kind::P521 => found.push(Finding::NoCommonCipher { reason: "P-521".into() }),
        Kind::Ed25519 => found.push(Finding::NoCommonCipher { reason: "Ed25519".into() }),
        _ => {}
    }
    let names_critical = leaf.is_critical(SubjectAltName::OID);
    let is_nameless = leaf.subject_name().is_empty();
    let rules = [
        (leaf.is_authority(), Rule::ServerIsAuthority),
        (leaf.may_not(KeyUsage::digital_signature), Rule::MayNotSign),
        (is_nameless && !leaf.names.is_empty() && !names_critical, Rule::EmptySubject),
        (!is_nameless && names_critical, Rule::NeedlesslyCriticalNames),
        (
            !leaf.is_authority() && leaf.usage.as_ref().is_some_and(KeyUsage::key_cert_sign),
            Rule::CertifiesWithoutAuthority,
        ),
        (leaf.usage.as_ref().is_some_and(|u| u.0.is_empty()), Rule::EmptyKeyUsage),
        (leaf.name_constraints.is_some(), Rule::ConstraintsInLeaf),
    ];
    found.extend(rules.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, rule)| broken(leaf, rule)));
    found.extend(leaf.names.iter().filter(|n| is_malformed(n)).map(|n| {
        broken(leaf, Rule::MalformedName { name: pki::general_name_text(n).chars().take(80).collect() })
    }));
    found
}

fn broken(certificate: &Facts, rule: Rule) -> Finding {
    let subject = certificate.certificate.subject();
    if rule.is_enforced() {
        Finding::InvalidCertificate { subject, rule }
    } else {
        Finding::AgainstStandard { subject, rule }
    }
}

/// What is wrong on the way from the leaf to the root.
fn of_path(path: &Path<'_>, now: OffsetDateTime) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(top) = path.certificates.last() else { return found };
    if !path.is_anchored {
        found.push(no_root(path, top));
    }
    for (n, certificate) in path.certificates.iter().enumerate() {
        let is_top = path.is_top(certificate);
        let mut rules = Vec::new();
        if certificate.has_unknown_critical() {
            rules.push(Rule::UnknownCritical);
        }
        if !is_top && !certificate.has_modern_signature() {
            rules.push(Rule::OldSignature);
        }
        let key = || certificate.certificate.key_name();
        match certificate.key {
            Kind::Other => rules.push(Rule::UnknownKey { key: key() }),
            Kind::Rsa(..1024) => rules.push(Rule::KeyTooShort { key: key() }),
            _ => {}
        }
        // Of a certificate that nobody trusts it is of no interest how well it is written.
        if path.is_anchored {
            rules.extend(form(certificate, is_top));
        }
        if n > 0 {
            found.extend(of_issuer(certificate, now));
            rules.extend(authority_rules(certificate, &path.certificates[..n], path));
        }
        found.extend(rules.into_iter().map(|rule| broken(certificate, rule)));
    }
    match path.certificates.as_slice() {
        [leaf] if path.is_anchored && may_not_issue(leaf) => {
            found.push(broken(leaf, Rule::RootWithoutAuthority));
        }
        [leaf, issuers @ ..] if path.is_anchored && issuers.len() > ISSUERS_MAX + 1 => {
            found.push(broken(leaf, Rule::TooManyIssuers));
        }
        _ => {}
    }
    for (issuer, below) in path.issuers() {
        if let Some(signed) = below.last()
            && signed.check_signature(issuer) == Err(BadSignature::Forged)
        {
            found.push(broken(signed, Rule::WrongSignature));
        }
        let Some(constraints) = &issuer.name_constraints else { continue };
        // Those that issued to themselves are free, so that a key can be changed (RFC 5280, section 4.2.1.10).
        let bound = below.iter().enumerate().filter(|(n, c)| *n == 0 || !c.is_self_issued());
        for (_, certificate) in bound.filter(|(_, c)| names::violate(constraints, &names_of(c))) {
            found.push(Finding::OutsideConstraints { names: certificate.certificate.summary().sans });
        }
    }
    found.dedup();
    found
}

/// The way ends without a trusted root.
fn no_root(path: &Path<'_>, top: &Facts) -> Finding {
    let issuer = top.certificate.issuer();
    match path.certificates.as_slice() {
        [leaf] if leaf.is_self_issued() => Finding::SelfSigned { subject: leaf.certificate.subject() },
        _ if !top.is_self_issued() && top.names_its_issuers_place() => {
            Finding::MissingIntermediate { issuer }
        }
        _ => Finding::UnknownIssuer { issuer },
    }
}

fn of_issuer(issuer: &Facts, now: OffsetDateTime) -> Vec<Finding> {
    // A name is long to write, and most authorities are blameless.
    let subject = || issuer.certificate.subject();
    let mut found = Vec::new();
    if !issuer.is_valid_at(now) {
        found.push(Finding::IssuerNotValid { issuer: subject() });
    }
    if issuer.purposes.as_ref().is_some_and(|p| !p.contains(&SERVER_AUTH)) {
        found.push(Finding::IssuerNotForServers { issuer: subject() });
    }
    if matches!(issuer.key, Kind::Rsa(1024..2048)) {
        found.push(Finding::WeakIssuerKey { issuer: subject(), key: issuer.certificate.key_name() });
    }
    found
}

/// Whether it may issue at all, and in the form that it must have to do so.
fn authority_rules(issuer: &Facts, below: &[&Facts], path: &Path<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    let length = issuer.constraints.as_ref().and_then(|c| c.path_len_constraint);
    // Browsers take old roots, which could not say so.
    let is_old_root = path.is_top(issuer) && issuer.version() == 1;
    if !issuer.is_authority() && !is_old_root {
        rules.push(Rule::IssuerIsNoAuthority);
    }
    if issuer.may_not(KeyUsage::key_cert_sign) {
        rules.push(Rule::MayNotCertify);
    }
    if length.is_some_and(|length| Path::counted(below) > usize::from(length)) {
        rules.push(Rule::PathTooLong);
    }
    if !path.is_anchored {
        return rules;
    }
    if issuer.is_authority() && !issuer.is_critical(BasicConstraints::OID) {
        rules.push(Rule::NotCritical { extension: "basicConstraints".into() });
    }
    if issuer.subject_name().is_empty() {
        rules.push(Rule::NamelessAuthority);
    }
    if issuer.key_identifier().is_none() {
        rules.push(Rule::NoSubjectKeyIdentifier);
    }
    if let Some(constraints) = &issuer.name_constraints {
        let all = || constraints.permitted_subtrees.iter().chain(&constraints.excluded_subtrees).flatten();
        if excludes_everybody(constraints) {
            rules.push(Rule::ExcludedDirectoryName);
        }
        if all().next().is_none() {
            rules.push(Rule::EmptyConstraints);
        }
        if all().any(|subtree| is_malformed_constraint(&subtree.base)) {
            rules.push(Rule::MalformedConstraint);
        }
    }
    rules
}

/// The form that every certificate must have.
fn form(certificate: &Facts, is_root: bool) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut seen: Vec<ObjectIdentifier> = Vec::new();
    for extension in certificate.extensions() {
        if seen.contains(&extension.extn_id) {
            rules.push(Rule::ExtensionTwice { extension: extension.extn_id.to_string() });
        }
        seen.push(extension.extn_id);
    }
    for (oid, name) in [
        (AuthorityKeyIdentifier::OID, "authorityKeyIdentifier"),
        (SubjectKeyIdentifier::OID, "subjectKeyIdentifier"),
        (AuthorityInfoAccessSyntax::OID, "authorityInfoAccess"),
    ] {
        if certificate.is_critical(oid) {
            rules.push(Rule::Critical { extension: name.into() });
        }
    }
    if seen.contains(&PolicyConstraints::OID) && !certificate.is_critical(PolicyConstraints::OID) {
        rules.push(Rule::NotCritical { extension: "policyConstraints".into() });
    }
    let access = certificate.extension::<AuthorityInfoAccessSyntax>().err();
    if let Some(oid) = certificate.unreadable.or(access) {
        rules.push(Rule::UnreadableExtension { extension: oid.to_string() });
    }
    let serial = certificate.serial();
    let is_odd_serial = serial.len() > 20 || serial.iter().all(|b| *b == 0) || serial.first() >= Some(&0x80);
    let plain = [
        (certificate.version() != 3, Rule::OldVersion),
        (!certificate.algorithms_agree(), Rule::AlgorithmsDiffer),
        (is_odd_serial, Rule::SerialNumber),
        (certificate.issuer_name().is_empty(), Rule::EmptyIssuer),
        (matches!(certificate.key, Kind::Rsa(bits) if bits % 8 != 0), Rule::OddModulus),
    ];
    rules.extend(plain.into_iter().filter(|(is_broken, _)| *is_broken).map(|(_, rule)| rule));
    rules.extend(authority_key(certificate, is_root));
    rules
}

/// A root need not say that it is one, but must not say that it is none.
fn may_not_issue(root: &Facts) -> bool {
    root.constraints.as_ref().is_some_and(|c| !c.ca) || root.may_not(KeyUsage::key_cert_sign)
}

/// All that name constraints are about: subjectAltNames, and the subject. An empty one, too, is outside of what others
/// are permitted (Firefox).
fn names_of(certificate: &Facts) -> Vec<GeneralName> {
    let subject = GeneralName::DirectoryName(certificate.subject_name().clone());
    certificate.names.iter().cloned().chain([subject]).collect()
}

/// Firefox does not compare directory names with what is excluded, and refuses all.
fn excludes_everybody(constraints: &NameConstraints) -> bool {
    let mut excluded = constraints.excluded_subtrees.iter().flatten();
    excluded.any(|subtree| matches!(subtree.base, GeneralName::DirectoryName(_)))
}

fn authority_key(certificate: &Facts, is_root: bool) -> Option<Rule> {
    let identifier = match certificate.authority_key() {
        // Only what signed itself may do without.
        Ok(None) if is_root && certificate.is_self_issued() => return None,
        Ok(None) => return Some(Rule::NoAuthorityKeyIdentifier),
        Ok(Some(identifier)) => identifier,
        Err(oid) => return Some(Rule::UnreadableExtension { extension: oid.to_string() }),
    };
    let is_root = is_root && certificate.is_self_issued();
    let key = identifier.key_identifier.map(|id| id.into_bytes().into_vec());
    let names_more =
        identifier.authority_cert_issuer.is_some() || identifier.authority_cert_serial_number.is_some();
    let is_odd = key.is_none()
        || is_root && (names_more || certificate.key_identifier().is_some_and(|own| key != Some(own)));
    is_odd.then_some(Rule::OddAuthorityKeyIdentifier)
}

fn is_malformed(name: &GeneralName) -> bool {
    match name {
        GeneralName::DnsName(dns) => {
            let text = dns.as_str();
            AltName::dns(text.strip_prefix("*.").unwrap_or(text)).is_err()
        }
        GeneralName::IpAddress(bytes) => !matches!(bytes.as_bytes().len(), 4 | 16),
        GeneralName::Rfc822Name(mail) => mail.as_str().matches('@').count() != 1,
        _ => false,
    }
}

fn is_malformed_constraint(base: &GeneralName) -> bool {
    match base {
        GeneralName::DnsName(dns) => !dns.as_str().is_empty() && AltName::dns(dns.as_str()).is_err(),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let mask = bytes.get(bytes.len() / 2..).unwrap_or_default();
            let ones: u32 = mask.iter().map(|b| b.count_ones()).sum();
            let leading = mask.iter().take_while(|b| **b == 0xff).count();
            let partial = mask.get(leading).map_or(0, |b| b.leading_ones());
            !matches!(bytes.len(), 8 | 32) || ones != 8 * leading as u32 + partial
        }
        GeneralName::Rfc822Name(mail) => mail.as_str().matches('@').count() > 1,
        _ => false,
    }
}
