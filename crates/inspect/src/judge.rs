//! From what a connection brought to what Chromium and Firefox would show.

use domain::{AltName, Finding, Report, Target, Verdict};
use rustls::AlertDescription;

use crate::{
    Options,
    dial::{Failure, Tls},
    firefox,
    old::Old,
    pages::{MISMATCH, NO_OVERLAP, Pages, concluded},
    seen::Seen,
    served,
};

const PROTOCOL: &str = "ERR_SSL_PROTOCOL_ERROR";

pub(crate) fn judge(target: &Target, port: u16, tls: Tls, options: &Options) -> Report {
    let name = options.name.as_ref().unwrap_or(&target.host);
    let mut report = crate::report(target, options, Verdict::NotSecure, Vec::new());
    report.name = Some(name.clone());
    match tls {
        Tls::Served { chain, version, old_suite, unproven, refusal } => {
            report.tls = Some(version);
            report = served::judge(report, &chain, old_suite, name, options);
            match (unproven, refusal) {
                (Some(reason), _) => unproven_key(report, reason),
                (None, Some(alert)) => wants_client(report, alert),
                (None, None) => report,
            }
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

/// What an old server shows to old clients: no browser comes so far, but people can be told what it has.
fn too_old(mut report: Report, how: Failure, old: Old, name: &AltName, options: &Options) -> Report {
    let (finding, pages) = broken_handshake(how, format!("{}, {}", old.version, old.suite));
    let mut found = vec![finding];
    report.tls = Some(old.version);
    let chain: Vec<Seen> = old.chain.iter().map(|der| Seen::read(der)).collect();
    if let Some((leaf, others)) = chain.split_first()
        && let Some(facts) = &leaf.facts
    {
        report.certificate = Some(facts.certificate.summary());
        found.extend(served::findings(facts, others, name, options));
    }
    concluded(report, found, pages)
}

/// Chromium tells what is wrong with the certificate first, Firefox only that something is.
fn unproven_key(mut report: Report, reason: String) -> Report {
    report.verdict = Verdict::NotSecure;
    // Anybody can show a certificate: whoever does not have its key is not known by it.
    (report.proven, report.leaf) = (false, None);
    let mut found = std::mem::take(&mut report.findings);
    found.push(Finding::HandshakeFailed { reason });
    let pages = (report.chromium.or(Some(PROTOCOL)), Some(firefox::NO_CODE));
    concluded(report, found, pages)
}

/// The server demands a certificate of the browser. What is wrong with its own comes first.
fn wants_client(mut report: Report, alert: AlertDescription) -> Report {
    report.verdict = Verdict::NotSecure;
    let mut found = std::mem::take(&mut report.findings);
    found.push(Finding::WantsClientCertificate);
    let firefox = match alert {
        AlertDescription::HandshakeFailure => "SSL_ERROR_HANDSHAKE_FAILURE_ALERT",
        alert => alert_pages(alert).1,
    };
    let pages = (report.chromium.or(Some(CLIENT)), report.firefox.or(Some(firefox)));
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
        Failure::Proof => (failed(reason), PROTOCOL, firefox::NO_CODE),
        Failure::Other => (failed(reason), PROTOCOL, "PR_END_OF_FILE_ERROR"),
    };
    (finding, (Some(chromium), Some(firefox)))
}

const CLIENT: &str = "ERR_BAD_SSL_CLIENT_AUTH_CERT";

/// What each browser shows for an alert of the server's.
fn alert_pages(alert: AlertDescription) -> (&'static str, &'static str) {
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
