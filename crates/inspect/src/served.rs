//! From the certificates that were served to what Chromium and Firefox would show, and why.

use domain::{AltName, Finding, Report, Rule, Severity, Verdict};
use time::OffsetDateTime;
use x509_cert::ext::pkix::name::GeneralName;

use crate::{
    Options, Roots, chromium,
    dial::checks_proof_of,
    facts::Facts,
    firefox,
    pages::{MISMATCH, NO_OVERLAP, Pages, concluded},
    paths::Pool,
    seen::{Seen, facts},
    signature::Kind,
    verify,
};

/// Warn this many days ahead of the end.
const SOON_DAYS: i64 = 30;
/// Apple refuses more, even below a root added by hand.
const APPLE_DAYS: i64 = 825;

/// The numbers of two uses of a key in keyUsage.
const DIGITAL_SIGNATURE: u8 = 0;
const KEY_ENCIPHERMENT: u8 = 2;

/// The error pages that Chromium and Firefox show for a server with these certificates, the leaf first, over TLS 1.3.
pub fn pages(roots: &Roots, chain: &[Vec<u8>], name: &AltName, now: OffsetDateTime) -> Pages {
    let chain: Vec<Seen> = chain.iter().map(|der| Seen::read(der)).collect();
    chain.split_first().map_or((None, None), |(leaf, others)| {
        pages_of(roots, leaf, others, (DIGITAL_SIGNATURE, true), name, now)
    })
}

pub(crate) fn judge(
    mut report: Report,
    chain: &[Vec<u8>],
    old_suite: Option<String>,
    name: &AltName,
    options: &Options,
) -> Report {
    let chain: Vec<Seen> = chain.iter().map(|der| Seen::read(der)).collect();
    let Some((leaf, others)) = chain.split_first() else { return report };
    let uses_key_to_encrypt = old_suite.as_ref().is_some_and(|suite| suite.starts_with("TLS_RSA_"));
    let use_of_key = if uses_key_to_encrypt { KEY_ENCIPHERMENT } else { DIGITAL_SIGNATURE };
    let pages = pages_of(
        &options.roots,
        leaf,
        others,
        (use_of_key, report.tls == Some("TLSv1.3")),
        name,
        options.now,
    );
    let mut found = match &leaf.facts {
        Some(facts) => findings(facts, others, name, options),
        None => vec![unreadable(leaf, pages)],
    };
    report.certificate = leaf.facts.as_ref().map(|facts| facts.certificate.summary());
    report.leaf = Some(leaf.der.clone());
    report.proven = old_suite.is_none() && checks_proof_of(&leaf.der, leaf.facts.as_ref());
    reconcile(&mut found, leaf, pages);
    found.extend(old_suite.map(|suite| Finding::OldCipher { suite }));
    report = concluded(report, found, pages);
    if report.chromium.is_none() && report.firefox.is_none() {
        report.verdict = Verdict::Secure;
    }
    report
}

fn pages_of(
    roots: &Roots,
    leaf: &Seen,
    others: &[Seen],
    (use_of_key, is_tls_1_3): (u8, bool),
    name: &AltName,
    now: OffsetDateTime,
) -> Pages {
    let chromium_key = leaf.chromium.as_ref().ok().and_then(|c| c.key.as_ref()).map(|key| key.kind);
    let kind = chromium_key.or(leaf.facts.as_ref().map(|facts| facts.key));
    // What cannot be used in the handshake comes before all else.
    let in_handshake = match kind {
        Some(Kind::P521 | Kind::Ed25519) => Some(MISMATCH),
        _ => chromium::handshake_page(&leaf.der, leaf.chromium.as_ref().ok(), use_of_key),
    };
    let verified = || {
        let roots: Vec<_> = roots.0.iter().filter_map(|root| root.chromium.as_ref().ok()).collect();
        let others: Vec<_> = others.iter().filter_map(|other| other.chromium.as_ref().ok()).collect();
        chromium::page(&roots, leaf.chromium.as_ref().map_err(|e| *e), &others, name, now)
    };
    let chromium = match in_handshake {
        // Up to TLS 1.2 this is asked after the certificate was verified.
        Some(chromium::USAGE) if !is_tls_1_3 => verified().or(in_handshake),
        _ => in_handshake.or_else(verified),
    };
    let firefox = match kind {
        Some(Kind::Ed25519) => Some(NO_OVERLAP),
        _ => {
            let roots = roots.0.iter();
            let roots = roots
                .filter_map(|r| Some((firefox::subject(&r.der)?, r.firefox.as_ref().map_err(|page| *page))));
            let roots: Vec<firefox::Root<'_>> = roots.collect();
            let others: Vec<firefox::Served<'_>> = others.iter().map(Seen::for_firefox).collect();
            let has_usual_key = leaf.chromium.as_ref().is_ok_and(|c| c.key.is_some());
            firefox::page(&roots, leaf.for_firefox(), has_usual_key, &others, name, now)
        }
    };
    (chromium, firefox)
}

/// What is wrong by the standard, and what others than browsers mind.
pub(crate) fn findings(leaf: &Facts, others: &[Seen], name: &AltName, options: &Options) -> Vec<Finding> {
    let (roots, others) = (facts(&options.roots.0), facts(others));
    let pool = Pool { roots: &roots, others: &others };
    let mut found = verify::chain(pool, leaf, Some(name), options.now, None);
    found.extend(advice(pool, leaf, options));
    found
}

fn unreadable(leaf: &Seen, pages: Pages) -> Finding {
    match verify::unreadable(&leaf.der) {
        Finding::InvalidCertificate { subject, rule } if pages == (None, None) => {
            Finding::AgainstStandard { subject, rule }
        }
        finding => finding,
    }
}

/// The browsers have the last word on whether something is an error: they take what the standard does not, and the
/// other way round.
fn reconcile(found: &mut Vec<Finding>, leaf: &Seen, pages: Pages) {
    let is_error = |finding: &Finding| finding.severity() == Severity::Error;
    let refused = pages.0.or(pages.1);
    match refused {
        Some(page) if !found.iter().any(is_error) => {
            let likely = found.iter_mut().find(|finding| explains(finding));
            let subject = leaf.facts.as_ref().map(|facts| facts.certificate.subject()).unwrap_or_default();
            match likely {
                Some(finding) => {
                    if let Finding::AgainstStandard { subject, rule } = finding {
                        *finding =
                            Finding::InvalidCertificate { subject: subject.clone(), rule: rule.clone() };
                    }
                }
                None => {
                    found.push(Finding::InvalidCertificate {
                        subject,
                        rule: Rule::BrowserRefuses { page: page.into() },
                    });
                }
            }
        }
        Some(_) => {}
        None => {
            for finding in found.iter_mut() {
                if let Finding::InvalidCertificate { subject, rule } = finding {
                    *finding = Finding::AgainstStandard { subject: subject.clone(), rule: rule.clone() };
                }
            }
            found.retain(|finding| !is_error(finding));
        }
    }
}

/// Whether a browser may mind what is only against the standard elsewhere.
fn explains(finding: &Finding) -> bool {
    let Finding::AgainstStandard { rule, .. } = finding else { return false };
    matches!(
        rule,
        Rule::UnreadableExtension { .. }
            | Rule::ExtensionTwice { .. }
            | Rule::MalformedName { .. }
            | Rule::MalformedConstraint
            | Rule::EmptyConstraints
            | Rule::AlgorithmsDiffer
            | Rule::OldVersion
            | Rule::EmptyKeyUsage
            | Rule::EmptyIssuer
    )
}

/// What no browser minds, and others do or will.
fn advice(pool: Pool<'_>, leaf: &Facts, options: &Options) -> Vec<Finding> {
    let mut found = Vec::new();
    let (from, to) = (leaf.certificate.not_before(), leaf.certificate.not_after());
    if leaf.is_valid_at(options.now) && (to - options.now).whole_days() < SOON_DAYS {
        found.push(Finding::Expiring { days: (to - options.now).whole_days() });
    }
    let days = (to - from).whole_days();
    if days > APPLE_DAYS {
        found.push(Finding::TooLongForApple { days });
    }
    let trusted = pool.paths(leaf).into_iter().find(|path| path.is_anchored);
    // For what is not trusted it does not matter yet.
    let Some(path) = trusted else { return found };
    if path.certificates.iter().all(|c| options.now < c.certificate.not_before()) {
        found.push(Finding::ComputerClock { today: options.now.date() });
    }
    if leaf.purposes.is_none() {
        found.push(Finding::NoPurposeForApple);
    }
    let has_domain = leaf.names.iter().any(|name| matches!(name, GeneralName::DnsName(_)));
    if !has_domain
        && let Some(common_name) = leaf.common_name()
        && path.issuers().any(|(issuer, _)| issuer.constrains_domains_without(&common_name))
    {
        found.push(Finding::CommonNameOutside { common_name });
    }
    found
}
