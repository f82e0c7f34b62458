//! From what was served to what Chromium and Firefox would show.

use domain::{AltName, Finding, Report, Target, Verdict};
use pki::Certificate;
use rustls::AlertDescription;
use x509_cert::ext::pkix::{KeyUsage, name::GeneralName};

use crate::{
    Options, chromium,
    dial::{Failure, Tls, checks_proof_of},
    facts::{Facts, Key},
    firefox,
    old::Old,
    paths::Pool,
    verify,
};

/// Warn this many days ahead of the end.
const SOON_DAYS: i64 = 30;
/// Apple refuses more, even below a root added by hand.
const APPLE_DAYS: i64 = 825;

const MISMATCH: &str = "ERR_SSL_VERSION_OR_CIPHER_MISMATCH";
const PROTOCOL: &str = "ERR_SSL_PROTOCOL_ERROR";
const NO_OVERLAP: &str = "SSL_ERROR_NO_CYPHER_OVERLAP";

/// The error page of each browser.
type Pages = (Option<&'static str>, Option<&'static str>);

pub(crate) fn judge(target: &Target, port: u16, tls: Tls, options: &Options) -> Report {
    let name = options.name.as_ref().unwrap_or(&target.host);
    let mut report = crate::report(target, options, Verdict::NotSecure, Vec::new());
    report.name = Some(name.clone());
    match tls {
        Tls::Served { chain, version, old_suite } => {
            report.tls = Some(version);
            served(report, &chain, old_suite, name, options)
        }
        Tls::Failed { how, reason, old: None } => {
            let (finding, pages) = broken_handshake(how, reason);
            concluded(report, vec![finding], pages)
        }
        Tls::Failed { how, old: Some(old), .. } => too_old(report, how, old, name, options),
        Tls::OtherProtocol { record_length } => {
            // Firefox takes the first bytes for a record of TLS, and waits for its end if it could be one.
            let firefox = if record_length.is_some_and(|l| l <= RECORD_MAX) {
                "PR_END_OF_FILE_ERROR"
            } else {
                "SSL_ERROR_RX_RECORD_TOO_LONG"
            };
            concluded(report, vec![Finding::NotTls { port }], (Some(PROTOCOL), Some(firefox)))
        }
        Tls::Silent(_) | Tls::Refused(_) => concluded(report, vec![Finding::NotTls { port }], (None, None)),
    }
}

/// A record of TLS 1.2 with all that a cipher may add (RFC 5246, section 6.2.3).
const RECORD_MAX: u16 = (1 << 14) + 2048;

fn served(
    mut report: Report,
    chain: &[Vec<u8>],
    old_suite: Option<String>,
    name: &AltName,
    options: &Options,
) -> Report {
    let Some((der, others)) = chain.split_first() else { return report };
    report.leaf = Some(der.clone());
    let Some(leaf) = Facts::read(der) else {
        let pages = (Some(PROTOCOL), Some("SEC_ERROR_LIBRARY_FAILURE"));
        return concluded(report, vec![verify::unreadable(der)], pages);
    };
    report.certificate = Some(leaf.certificate.summary());
    report.proven = old_suite.is_none() && checks_proof_of(&leaf.certificate);
    let others = readable(others);
    let pool = Pool { roots: &options.roots.0, others: &others };
    let mut found = verify::chain(pool, &leaf, Some(name), options.now, None);
    found.extend(advice(pool, &leaf, options));
    let uses_key_to_encrypt = old_suite.as_ref().is_some_and(|suite| suite.starts_with("TLS_RSA_"));
    let use_of_key =
        if uses_key_to_encrypt { KeyUsage::key_encipherment } else { KeyUsage::digital_signature };
    found.extend(old_suite.map(|suite| Finding::OldCipher { suite }));
    let pages = (
        // What cannot be used in the handshake comes before all else.
        match leaf.key {
            Key::P521 | Key::Ed25519 => Some(MISMATCH),
            _ if leaf.may_not(use_of_key) => Some("ERR_SSL_KEY_USAGE_INCOMPATIBLE"),
            _ => chromium::page(pool, &leaf, name, options.now),
        },
        match leaf.key {
            Key::Ed25519 => Some(NO_OVERLAP),
            _ => firefox::page(pool, &leaf, name, options.now),
        },
    );
    report = concluded(report, found, pages);
    if report.chromium.is_none() && report.firefox.is_none() {
        report.verdict = Verdict::Secure;
    }
    report
}

/// What can be read of what was sent beside the leaf.
fn readable(others: &[Vec<u8>]) -> Vec<Facts> {
    others.iter().filter_map(|other| Facts::read(other)).collect()
}

/// What an old server shows to old clients: no browser comes so far, but people can be told what it has.
fn too_old(mut report: Report, how: Failure, old: Old, name: &AltName, options: &Options) -> Report {
    let (finding, pages) = broken_handshake(how, format!("{}, {}", old.version, old.suite));
    let mut found = vec![finding];
    report.tls = Some(old.version);
    if let Some((der, others)) = old.chain.split_first()
        && let Some(leaf) = Facts::read(der)
    {
        report.certificate = Some(leaf.certificate.summary());
        let others = readable(others);
        let pool = Pool { roots: &options.roots.0, others: &others };
        found.extend(verify::chain(pool, &leaf, Some(name), options.now, None));
        found.extend(advice(pool, &leaf, options));
    }
    concluded(report, found, pages)
}

fn broken_handshake(how: Failure, reason: String) -> (Finding, Pages) {
    let too_old = |reason| Finding::TlsTooOld { reason };
    let no_cipher = |reason| Finding::NoCommonCipher { reason };
    let failed = |reason| Finding::HandshakeFailed { reason };
    let (finding, chromium, firefox) = match how {
        Failure::OldVersion => (too_old(reason), MISMATCH, "SSL_ERROR_UNSUPPORTED_VERSION"),
        Failure::NoCipher => (no_cipher(reason), MISMATCH, NO_OVERLAP),
        Failure::Closed => (failed(reason), "ERR_CONNECTION_CLOSED", "PR_END_OF_FILE_ERROR"),
        Failure::Reset => (failed(reason), "ERR_CONNECTION_RESET", "PR_CONNECT_RESET_ERROR"),
        Failure::Alert(alert) => {
            let (chromium, firefox) = alert_pages(alert);
            let finding = match alert {
                AlertDescription::ProtocolVersion => too_old(reason),
                AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                    no_cipher(reason)
                }
                _ => failed(reason),
            };
            (finding, chromium, firefox)
        }
        Failure::Other => (failed(reason), PROTOCOL, "PR_END_OF_FILE_ERROR"),
    };
    (finding, (Some(chromium), Some(firefox)))
}

/// What each browser shows for an alert of the server's.
fn alert_pages(alert: AlertDescription) -> (&'static str, &'static str) {
    const CLIENT: &str = "ERR_BAD_SSL_CLIENT_AUTH_CERT";
    match alert {
        AlertDescription::UnexpectedMessage => (PROTOCOL, "SSL_ERROR_HANDSHAKE_UNEXPECTED_ALERT"),
        AlertDescription::BadRecordMac => ("ERR_SSL_BAD_RECORD_MAC_ALERT", "SSL_ERROR_BAD_MAC_ALERT"),
        AlertDescription::RecordOverflow => (PROTOCOL, "SSL_ERROR_RECORD_OVERFLOW_ALERT"),
        AlertDescription::DecompressionFailure => {
            ("ERR_SSL_DECOMPRESSION_FAILURE_ALERT", "SSL_ERROR_DECOMPRESSION_FAILURE_ALERT")
        }
        AlertDescription::HandshakeFailure => (MISMATCH, NO_OVERLAP),
        AlertDescription::BadCertificate => (CLIENT, "SSL_ERROR_BAD_CERT_ALERT"),
        AlertDescription::UnsupportedCertificate => (CLIENT, "SSL_ERROR_UNSUPPORTED_CERT_ALERT"),
        AlertDescription::CertificateRevoked => (CLIENT, "SSL_ERROR_REVOKED_CERT_ALERT"),
        AlertDescription::CertificateExpired => (CLIENT, "SSL_ERROR_EXPIRED_CERT_ALERT"),
        AlertDescription::CertificateUnknown => (CLIENT, "SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT"),
        AlertDescription::AccessDenied => (PROTOCOL, "SSL_ERROR_ACCESS_DENIED_ALERT"),
        AlertDescription::ExportRestriction => (PROTOCOL, "SSL_ERROR_EXPORT_RESTRICTION_ALERT"),
        AlertDescription::UserCanceled => (PROTOCOL, "SSL_ERROR_USER_CANCELED_ALERT"),
        AlertDescription::NoRenegotiation => (PROTOCOL, "SSL_ERROR_NO_RENEGOTIATION_ALERT"),
        AlertDescription::MissingExtension => (PROTOCOL, "SSL_ERROR_MISSING_EXTENSION_ALERT"),
        AlertDescription::UnsupportedExtension => (PROTOCOL, "SSL_ERROR_UNSUPPORTED_EXTENSION_ALERT"),
        AlertDescription::BadCertificateStatusResponse => {
            (PROTOCOL, "SSL_ERROR_BAD_CERT_STATUS_RESPONSE_ALERT")
        }
        AlertDescription::IllegalParameter => (PROTOCOL, "SSL_ERROR_ILLEGAL_PARAMETER_ALERT"),
        AlertDescription::UnknownCA => (CLIENT, "SSL_ERROR_UNKNOWN_CA_ALERT"),
        AlertDescription::DecodeError => (PROTOCOL, "SSL_ERROR_DECODE_ERROR_ALERT"),
        AlertDescription::DecryptError => ("ERR_SSL_DECRYPT_ERROR_ALERT", "SSL_ERROR_DECRYPT_ERROR_ALERT"),
        AlertDescription::ProtocolVersion => (MISMATCH, "SSL_ERROR_PROTOCOL_VERSION_ALERT"),
        AlertDescription::InsufficientSecurity => (MISMATCH, "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT"),
        AlertDescription::InternalError => (PROTOCOL, "SSL_ERROR_INTERNAL_ERROR_ALERT"),
        AlertDescription::InappropriateFallback => (PROTOCOL, "SSL_ERROR_INAPPROPRIATE_FALLBACK_ALERT"),
        AlertDescription::UnrecognisedName => {
            ("ERR_SSL_UNRECOGNIZED_NAME_ALERT", "SSL_ERROR_UNRECOGNIZED_NAME_ALERT")
        }
        AlertDescription::CertificateRequired => (CLIENT, "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT"),
        AlertDescription::NoApplicationProtocol => (PROTOCOL, "SSL_ERROR_NEXT_PROTOCOL_NO_PROTOCOL"),
        // Firefox has a code for each; that of an end stands for those that were never measured.
        _ => (PROTOCOL, "PR_END_OF_FILE_ERROR"),
    }
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

/// The size of the key, if it is RSA.
pub(crate) fn rsa_bits(certificate: &Certificate) -> Option<u32> {
    certificate.key_name().strip_prefix("rsa-")?.parse().ok()
}

/// Puts the findings in order.
fn concluded(mut report: Report, found: Vec<Finding>, pages: Pages) -> Report {
    (report.chromium, report.firefox) = pages;
    report.findings = found;
    report.findings.sort_by_key(Finding::severity);
    report
}
