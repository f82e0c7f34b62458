//! From what was served to what Chromium and Firefox would show.

use domain::{Finding, Report, Target, Verdict};
use pki::{
    Certificate,
    chain::{self, Fault},
};

use crate::{Options, dial::Tls};

/// Warn this many days ahead of the end.
const SOON_DAYS: i64 = 30;
/// Apple refuses more, even below a root added by hand.
const APPLE_DAYS: i64 = 825;

pub(crate) fn judge(target: &Target, port: u16, tls: Tls, options: &Options) -> Report {
    let mut report = crate::report(target, options, Verdict::NotSecure, Vec::new());
    let name = options.name.as_ref().unwrap_or(&target.host);
    report.name = Some(name.clone());
    let (chain, version) = match tls {
        Tls::Served { chain, version } => (chain, version),
        other => {
            report.findings = vec![no_handshake(other, port)];
            return with_pages(report);
        }
    };
    report.tls = Some(version);
    let Some((leaf, others)) = chain.split_first() else { return report };
    match Certificate::from_der(leaf) {
        Ok(certificate) => {
            report.findings = findings(&certificate, others, name, options);
            report.certificate = Some(certificate.summary());
        }
        Err(e) => report.findings = vec![Finding::InvalidCertificate { reason: e.to_string() }],
    }
    report.leaf = Some(leaf.clone());
    report = with_pages(report);
    if report.chromium.is_none() && report.firefox.is_none() {
        report.verdict = Verdict::Secure;
    }
    report
}

fn no_handshake(tls: Tls, port: u16) -> Finding {
    match tls {
        Tls::OldVersion(reason) => Finding::TlsTooOld { reason },
        Tls::NoCipher(reason) => Finding::NoCommonCipher { reason },
        Tls::Broken(reason) => Finding::HandshakeFailed { reason },
        _ => Finding::NotTls { port },
    }
}

fn findings(
    leaf: &Certificate,
    others: &[Vec<u8>],
    name: &domain::AltName,
    options: &Options,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let (from, to) = (leaf.not_before(), leaf.not_after());
    if options.now > to {
        found.push(Finding::Expired { not_after: to.date() });
    } else if options.now < from {
        found.push(Finding::NotYetValid { not_before: from.date() });
    } else if (to - options.now).whole_days() < SOON_DAYS {
        found.push(Finding::Expiring { days: (to - options.now).whole_days() });
    }

    // The path is judged at a time when the leaf is valid, so that its age hides no other fault.
    let at = if from <= to { options.now.clamp(from, to) } else { options.now };
    match chain::verify(leaf.der(), others, &options.roots, at) {
        Ok(()) => {}
        Err(Fault::UnknownIssuer) if leaf.is_self_issued() => {
            found.push(Finding::SelfSigned { subject: leaf.subject() });
        }
        Err(Fault::UnknownIssuer) => found.push(Finding::UnknownIssuer { issuer: leaf.issuer() }),
        Err(Fault::Expired | Fault::NotYetValid) => {
            found.push(Finding::IssuerNotValid { issuer: leaf.issuer() });
        }
        Err(Fault::OutsideConstraints) => {
            found.push(Finding::OutsideConstraints { names: leaf.summary().sans });
        }
        Err(Fault::NotForServers) => found.push(Finding::NotForServers),
        Err(Fault::Invalid(reason)) => found.push(Finding::InvalidCertificate { reason }),
    }

    let wanted = || match name {
        domain::AltName::Ip(ip) => ip.to_string(),
        domain::AltName::Dns(name) => name.clone(),
    };
    if !leaf.has_alt_names() {
        found.push(Finding::NoAltName { wanted: wanted(), subject: leaf.subject() });
    } else if !chain::is_for(leaf.der(), name) {
        found.push(Finding::WrongName { wanted: wanted(), names: leaf.summary().sans });
    }

    let days = (to - from).whole_days();
    if days > APPLE_DAYS {
        found.push(Finding::TooLongForApple { days });
    }
    let key = leaf.key_name();
    if key.strip_prefix("rsa-").and_then(|bits| bits.parse::<u32>().ok()).is_some_and(|bits| bits < 2048) {
        found.push(Finding::WeakKey { key });
    }
    found.sort_by_key(Finding::severity);
    found
}

/// The one error page that each browser shows: the first of its own order that applies.
fn with_pages(mut report: Report) -> Report {
    let first = |pages: &[fn(&Finding) -> Option<&'static str>]| {
        pages.iter().find_map(|page| report.findings.iter().find_map(page))
    };
    let chromium = first(&[
        |f| match f {
            Finding::NotTls { .. } => Some("ERR_SSL_PROTOCOL_ERROR"),
            Finding::TlsTooOld { .. } | Finding::NoCommonCipher { .. } => {
                Some("ERR_SSL_VERSION_OR_CIPHER_MISMATCH")
            }
            Finding::HandshakeFailed { .. } => Some("ERR_SSL_PROTOCOL_ERROR"),
            _ => None,
        },
        |f| match f {
            Finding::InvalidCertificate { .. }
            | Finding::OutsideConstraints { .. }
            | Finding::NotForServers => Some("ERR_CERT_INVALID"),
            _ => None,
        },
        |f| match f {
            Finding::UnknownIssuer { .. } | Finding::SelfSigned { .. } => Some("ERR_CERT_AUTHORITY_INVALID"),
            _ => None,
        },
        |f| match f {
            Finding::WrongName { .. } | Finding::NoAltName { .. } => Some("ERR_CERT_COMMON_NAME_INVALID"),
            _ => None,
        },
        |f| match f {
            Finding::Expired { .. } | Finding::NotYetValid { .. } | Finding::IssuerNotValid { .. } => {
                Some("ERR_CERT_DATE_INVALID")
            }
            _ => None,
        },
    ]);
    let firefox = first(&[
        |f| match f {
            Finding::NotTls { .. } => Some("SSL_ERROR_RX_RECORD_TOO_LONG"),
            Finding::TlsTooOld { .. } => Some("SSL_ERROR_PROTOCOL_VERSION_ALERT"),
            Finding::NoCommonCipher { .. } => Some("SSL_ERROR_NO_CYPHER_OVERLAP"),
            Finding::HandshakeFailed { .. } => Some("PR_END_OF_FILE_ERROR"),
            Finding::InvalidCertificate { .. } => Some("SEC_ERROR_BAD_DER"),
            Finding::OutsideConstraints { .. } => Some("SEC_ERROR_CERT_NOT_IN_NAME_SPACE"),
            Finding::NotForServers => Some("SEC_ERROR_INADEQUATE_CERT_TYPE"),
            Finding::SelfSigned { .. } => Some("MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"),
            Finding::UnknownIssuer { .. } => Some("SEC_ERROR_UNKNOWN_ISSUER"),
            Finding::IssuerNotValid { .. } => Some("SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE"),
            _ => None,
        },
        |f| match f {
            Finding::WrongName { .. } | Finding::NoAltName { .. } => Some("SSL_ERROR_BAD_CERT_DOMAIN"),
            _ => None,
        },
        |f| match f {
            Finding::Expired { .. } => Some("SEC_ERROR_EXPIRED_CERTIFICATE"),
            Finding::NotYetValid { .. } => Some("MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"),
            _ => None,
        },
    ]);
    report.chromium = chromium;
    report.firefox = firefox;
    report
}
