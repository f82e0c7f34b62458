//! From what was served to what Chromium and Firefox would show.

use domain::{AltName, Finding, Report, Target, Verdict};
use pki::{
    Certificate,
    chain::{self, Fault},
};
use rustls::AlertDescription;

use crate::{
    Options,
    dial::{Failure, Tls},
    leaf::{Leaf, Purpose},
    old::Old,
};

/// Warn this many days ahead of the end.
const SOON_DAYS: i64 = 30;
/// Apple refuses more, even below a root added by hand.
const APPLE_DAYS: i64 = 825;

/// Of several error pages a browser shows one: the first in its own order.
const CHROMIUM_ORDER: [&str; 7] = [
    "ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
    "ERR_SSL_KEY_USAGE_INCOMPATIBLE",
    "ERR_CERT_AUTHORITY_INVALID",
    "ERR_CERT_INVALID",
    "ERR_CERT_COMMON_NAME_INVALID",
    "ERR_CERT_WEAK_KEY",
    "ERR_CERT_DATE_INVALID",
];
const FIREFOX_ORDER: [&str; 15] = [
    "SSL_ERROR_NO_CYPHER_OVERLAP",
    "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION",
    "SEC_ERROR_BAD_DER",
    "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT",
    "SEC_ERROR_UNKNOWN_ISSUER",
    "SEC_ERROR_BAD_SIGNATURE",
    SIGNATURE_DISABLED,
    "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
    "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE",
    "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY",
    "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE",
    "SEC_ERROR_INADEQUATE_CERT_TYPE",
    "SSL_ERROR_BAD_CERT_DOMAIN",
    "SEC_ERROR_EXPIRED_CERTIFICATE",
    "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE",
];

const SIGNATURE_DISABLED: &str = "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED";

/// A finding, and the page that each browser would show if there were nothing else.
struct Seen {
    finding: Finding,
    chromium: Option<&'static str>,
    firefox: Option<&'static str>,
}

pub(crate) fn judge(target: &Target, port: u16, tls: Tls, options: &Options) -> Report {
    let name = options.name.as_ref().unwrap_or(&target.host);
    let mut report = crate::report(target, options, Verdict::NotSecure, Vec::new());
    report.name = Some(name.clone());
    let (chain, version) = match tls {
        Tls::Served { chain, version } => (chain, version),
        Tls::Failed { how, reason, old: None } => {
            return concluded(report, vec![broken_handshake(how, reason)]);
        }
        Tls::Failed { how, old: Some(old), .. } => return too_old(report, how, old, name, options),
        Tls::OtherProtocol | Tls::Silent(_) | Tls::Refused(_) => {
            let finding = Finding::NotTls { port };
            return concluded(
                report,
                vec![seen(finding, "ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_RX_RECORD_TOO_LONG")],
            );
        }
    };
    report.tls = Some(version);
    let Some((der, others)) = chain.split_first() else { return report };
    let found = match (Certificate::from_der(der), Leaf::read(der)) {
        (Ok(certificate), Some(leaf)) => {
            report.certificate = Some(certificate.summary());
            findings(&certificate, &leaf, others, name, options)
        }
        (read, _) => {
            let reason = read.err().map(|e| e.to_string()).unwrap_or_default();
            let finding = Finding::InvalidCertificate { reason };
            vec![seen(finding, "ERR_SSL_PROTOCOL_ERROR", "SEC_ERROR_LIBRARY_FAILURE")]
        }
    };
    report.leaf = Some(der.clone());
    report = concluded(report, found);
    if report.chromium.is_none() && report.firefox.is_none() {
        report.verdict = Verdict::Secure;
    }
    report
}

/// What an old server shows to old clients: no browser comes so far, but people can be told what it has.
fn too_old(mut report: Report, how: Failure, old: Old, name: &AltName, options: &Options) -> Report {
    let mut found = vec![broken_handshake(how, format!("{}, {}", old.version, old.suite))];
    report.tls = Some(old.version);
    if let Some((der, others)) = old.chain.split_first()
        && let (Ok(certificate), Some(leaf)) = (Certificate::from_der(der), Leaf::read(der))
    {
        report.certificate = Some(certificate.summary());
        let more = findings(&certificate, &leaf, others, name, options);
        found.extend(more.into_iter().map(|more| Seen { chromium: None, firefox: None, ..more }));
    }
    concluded(report, found)
}

fn seen(
    finding: Finding,
    chromium: impl Into<Option<&'static str>>,
    firefox: impl Into<Option<&'static str>>,
) -> Seen {
    Seen { finding, chromium: chromium.into(), firefox: firefox.into() }
}

fn broken_handshake(how: Failure, reason: String) -> Seen {
    const MISMATCH: &str = "ERR_SSL_VERSION_OR_CIPHER_MISMATCH";
    const PROTOCOL: &str = "ERR_SSL_PROTOCOL_ERROR";
    let too_old = |reason| Finding::TlsTooOld { reason };
    let failed = |reason| Finding::HandshakeFailed { reason };
    match how {
        Failure::OldVersion => seen(too_old(reason), MISMATCH, "SSL_ERROR_UNSUPPORTED_VERSION"),
        Failure::NoCipher => {
            seen(Finding::NoCommonCipher { reason }, MISMATCH, "SSL_ERROR_NO_CYPHER_OVERLAP")
        }
        Failure::Closed => seen(failed(reason), "ERR_CONNECTION_CLOSED", "PR_END_OF_FILE_ERROR"),
        Failure::Reset => seen(failed(reason), "ERR_CONNECTION_RESET", "PR_CONNECT_RESET_ERROR"),
        Failure::Alert(AlertDescription::ProtocolVersion) => {
            seen(too_old(reason), MISMATCH, "SSL_ERROR_PROTOCOL_VERSION_ALERT")
        }
        Failure::Alert(AlertDescription::HandshakeFailure) => {
            seen(Finding::NoCommonCipher { reason }, MISMATCH, "SSL_ERROR_NO_CYPHER_OVERLAP")
        }
        Failure::Alert(AlertDescription::InsufficientSecurity) => {
            seen(Finding::NoCommonCipher { reason }, MISMATCH, "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT")
        }
        Failure::Alert(AlertDescription::UnrecognisedName) => {
            seen(failed(reason), "ERR_SSL_UNRECOGNIZED_NAME_ALERT", "SSL_ERROR_UNRECOGNIZED_NAME_ALERT")
        }
        Failure::Alert(AlertDescription::DecodeError) => {
            seen(failed(reason), PROTOCOL, "SSL_ERROR_DECODE_ERROR_ALERT")
        }
        Failure::Alert(AlertDescription::InternalError) => {
            seen(failed(reason), PROTOCOL, "SSL_ERROR_INTERNAL_ERROR_ALERT")
        }
        // Firefox has a code for each; that of an end stands for those that were never measured.
        Failure::Alert(_) | Failure::Other => seen(failed(reason), PROTOCOL, "PR_END_OF_FILE_ERROR"),
    }
}

fn findings(
    certificate: &Certificate,
    leaf: &Leaf,
    others: &[Vec<u8>],
    name: &AltName,
    options: &Options,
) -> Vec<Seen> {
    let mut found = Vec::new();
    validity(certificate, options, &mut found);
    path(certificate, leaf, others, options, &mut found);
    if leaf.may_not_sign {
        let finding = Finding::InvalidCertificate { reason: "keyUsage without digitalSignature".into() };
        found.push(seen(finding, "ERR_SSL_KEY_USAGE_INCOMPATIBLE", None));
    }

    let other_name = if !certificate.has_alt_names() {
        Some(Finding::NoAltName { wanted: name.plain(), subject: certificate.subject() })
    } else if !chain::is_for(certificate.der(), name) && !certificate.alt_names().contains(name) {
        // The second half is for what the library cannot read.
        Some(Finding::WrongName { wanted: name.plain(), names: certificate.summary().sans })
    } else {
        None
    };
    found.extend(other_name.map(|f| seen(f, "ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN")));

    let days = (certificate.not_after() - certificate.not_before()).whole_days();
    if days > APPLE_DAYS {
        found.push(seen(Finding::TooLongForApple { days }, None, None));
    }
    found.extend(key(certificate));
    found
}

fn validity(certificate: &Certificate, options: &Options, found: &mut Vec<Seen>) {
    const CHROMIUM: &str = "ERR_CERT_DATE_INVALID";
    let (from, to) = (certificate.not_before(), certificate.not_after());
    if options.now > to {
        let finding = Finding::Expired { not_after: to.date() };
        found.push(seen(finding, CHROMIUM, "SEC_ERROR_EXPIRED_CERTIFICATE"));
    } else if options.now < from {
        let finding = Finding::NotYetValid { not_before: from.date() };
        found.push(seen(finding, CHROMIUM, "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"));
    } else if (to - options.now).whole_days() < SOON_DAYS {
        found.push(seen(Finding::Expiring { days: (to - options.now).whole_days() }, None, None));
    }
}

/// The path to a trusted root, and the faults that browsers look for once there is one.
fn path(
    certificate: &Certificate,
    leaf: &Leaf,
    others: &[Vec<u8>],
    options: &Options,
    found: &mut Vec<Seen>,
) {
    const INVALID: &str = "ERR_CERT_INVALID";
    const AUTHORITY: &str = "ERR_CERT_AUTHORITY_INVALID";
    let invalid = |reason: &str| Finding::InvalidCertificate { reason: reason.into() };
    let unknown_issuer = || Finding::UnknownIssuer { issuer: certificate.issuer() };

    let fault = fault(certificate, others, options);
    // `chain` looks at the leaf itself first; browsers, at whether they know its issuer.
    let known = match &fault {
        None => true,
        Some(Fault::UnknownIssuer) => false,
        Some(_) => issuer_known(certificate, others, &options.roots),
    };
    let fault_name = match &fault {
        Some(Fault::Invalid(name)) => name.as_str(),
        _ => "",
    };
    if fault_name == "UnsupportedCriticalExtension" {
        let finding = invalid("unknown critical extension");
        found.push(seen(finding, INVALID, "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION"));
    }
    if !known && certificate.is_self_issued() {
        let finding = Finding::SelfSigned { subject: certificate.subject() };
        found.push(seen(finding, AUTHORITY, "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"));
    } else if !known {
        found.push(seen(unknown_issuer(), AUTHORITY, "SEC_ERROR_UNKNOWN_ISSUER"));
    } else {
        match fault {
            Some(Fault::Expired | Fault::NotYetValid) => {
                let finding = Finding::IssuerNotValid { issuer: certificate.issuer() };
                found.push(seen(finding, "ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE"));
            }
            Some(Fault::OutsideConstraints) => {
                let finding = Finding::OutsideConstraints { names: certificate.summary().sans };
                found.push(seen(finding, INVALID, "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"));
            }
            Some(Fault::Invalid(name)) => match name.as_str() {
                // A root of the same name has another key.
                "InvalidSignatureForPublicKey" => {
                    found.push(seen(unknown_issuer(), AUTHORITY, "SEC_ERROR_BAD_SIGNATURE"));
                }
                // Said above or below.
                "UnsupportedCriticalExtension" => {}
                "CaUsedAsEndEntity" if leaf.is_authority => {}
                // Browsers take version 1; without names it is refused below.
                "UnsupportedCertVersion" if !certificate.has_alt_names() => {}
                _ if leaf.broken_signature => {
                    found.push(seen(invalid("signed with MD5 or SHA-1"), INVALID, SIGNATURE_DISABLED));
                }
                _ => found.push(seen(invalid(&name), INVALID, "SEC_ERROR_BAD_DER")),
            },
            // An issuer's; the leaf's own comes below.
            Some(Fault::NotForServers) if leaf.purpose == Purpose::Servers => {
                found.push(seen(Finding::NotForServers, INVALID, "SEC_ERROR_INADEQUATE_CERT_TYPE"));
            }
            Some(Fault::NotForServers | Fault::UnknownIssuer) | None => {}
        }
        // Trusted as a root itself.
        if certificate.is_self_issued() && leaf.may_not_issue {
            found.push(seen(invalid("a root that may not issue"), INVALID, None));
        }
        if leaf.is_authority {
            let code = "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY";
            found.push(seen(invalid("basicConstraints CA:TRUE"), None, code));
        }
    }
    if leaf.purpose != Purpose::Servers {
        let chromium = (leaf.purpose == Purpose::Others).then_some(INVALID);
        found.push(seen(Finding::NotForServers, chromium, "SEC_ERROR_INADEQUATE_CERT_TYPE"));
    }
}

fn fault(certificate: &Certificate, others: &[Vec<u8>], options: &Options) -> Option<Fault> {
    let (from, to) = (certificate.not_before(), certificate.not_after());
    // The path is judged at a time when the leaf is valid, so that its age hides no other fault.
    let at = if from <= to { options.now.clamp(from, to) } else { options.now };
    let valid = |root: &&Certificate| (root.not_before()..=root.not_after()).contains(&options.now);
    let valid: Vec<Certificate> = options.roots.iter().filter(valid).cloned().collect();
    // A root's own dates are no part of a trust anchor, but browsers look at them.
    match chain::verify(certificate.der(), others, &valid, at).err() {
        Some(Fault::UnknownIssuer) if valid.len() < options.roots.len() => {
            match chain::verify(certificate.der(), others, &options.roots, at).err() {
                None => Some(Fault::Expired),
                fault => fault,
            }
        }
        fault => fault,
    }
}

/// Whether the issuers' names lead to a trusted root, whatever else is wrong.
fn issuer_known(certificate: &Certificate, others: &[Vec<u8>], roots: &[Certificate]) -> bool {
    let others: Vec<Certificate> = others.iter().filter_map(|c| Certificate::from_der(c).ok()).collect();
    let mut issuer = certificate.issuer();
    // As many steps as there are certificates, or names in a circle would have no end.
    for _ in 0..=others.len() {
        if roots.iter().any(|root| root.subject() == issuer) {
            return true;
        }
        match others.iter().find(|other| other.subject() == issuer) {
            Some(other) => issuer = other.issuer(),
            None => return false,
        }
    }
    false
}

/// What browsers say of the kind and the size of the key.
fn key(certificate: &Certificate) -> Option<Seen> {
    const MISMATCH: &str = "ERR_SSL_VERSION_OR_CIPHER_MISMATCH";
    let unusable = |reason: &str| Finding::NoCommonCipher { reason: reason.into() };
    let key = certificate.key_name();
    match key.as_str() {
        "1.3.101.112" => Some(seen(unusable("Ed25519"), MISMATCH, "SSL_ERROR_NO_CYPHER_OVERLAP")),
        "ec-1.3.132.0.35" => Some(seen(unusable("P-521"), MISMATCH, None)),
        _ => match rsa_bits(certificate)? {
            ..1024 => Some(seen(
                Finding::WeakKey { key },
                "ERR_CERT_WEAK_KEY",
                "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE",
            )),
            1024..2048 => Some(seen(Finding::WeakKey { key }, None, None)),
            _ => None,
        },
    }
}

/// The size of the key, if it is RSA.
pub(crate) fn rsa_bits(certificate: &Certificate) -> Option<u32> {
    certificate.key_name().strip_prefix("rsa-")?.parse().ok()
}

/// Puts the findings in order and chooses each browser's page.
fn concluded(mut report: Report, mut found: Vec<Seen>) -> Report {
    // Measured: in Chromium a date takes the place of ERR_CERT_INVALID, but for a refused signature.
    if found.iter().any(|seen| seen.chromium == Some("ERR_CERT_DATE_INVALID")) {
        for seen in &mut found {
            if seen.chromium == Some("ERR_CERT_INVALID") && seen.firefox != Some(SIGNATURE_DISABLED) {
                seen.chromium = None;
            }
        }
    }
    report.chromium = first(found.iter().filter_map(|seen| seen.chromium), &CHROMIUM_ORDER);
    report.firefox = first(found.iter().filter_map(|seen| seen.firefox), &FIREFOX_ORDER);
    report.findings = found.into_iter().map(|seen| seen.finding).collect();
    report.findings.sort_by_key(Finding::severity);
    report
}

fn first(pages: impl Iterator<Item = &'static str>, order: &[&str]) -> Option<&'static str> {
    pages.min_by_key(|page| order.iter().position(|other| other == page))
}
