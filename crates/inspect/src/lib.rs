//! Sees a web server as a browser does, and says what the browser would say.
//!
//! Nothing is sent but a TLS handshake and a `GET /` without credentials, and nothing that the server says is
//! trusted: every read has a limit and a time-out.

mod dial;
mod judge;

use std::time::Duration;

use dial::{Http, Refusal, Tls};
use domain::{AltName, Finding, Report, Scheme, Target, Verdict};
use pki::Certificate;
use time::OffsetDateTime;

/// How a target is judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The roots that the computer trusts: exactly these.
    pub roots: Vec<Certificate>,
    /// The name to judge by (and SNI), if not the target's own.
    pub name: Option<AltName>,
    /// The time to judge at.
    pub now: OffsetDateTime,
    /// How long to wait for a connection.
    pub connect: Duration,
    /// How long to wait for an answer on it.
    pub answer: Duration,
}

impl Options {
    /// Trusting `roots`, with the usual patience: 5 seconds for a connection, 10 for an answer.
    pub fn trusting(roots: Vec<Certificate>, now: OffsetDateTime) -> Options {
        Options { roots, name: None, now, connect: Duration::from_secs(5), answer: Duration::from_secs(10) }
    }
}

/// Looks at `target` and gives the verdict.
///
/// A bare host means https on 443; if no TLS answers there, http on 80; where both answer, https decides and an
/// open http is a warning. With a port or a URL just that is looked at.
pub async fn check(target: &Target, options: &Options) -> Report {
    match (target.scheme, target.port) {
        (Some(Scheme::Http), port) => look_http(target, port.unwrap_or(80), options).await,
        (Some(Scheme::Https), port) => look_https(target, port.unwrap_or(443), options).await,
        (None, Some(port)) => look_either(target, port, options).await,
        (None, None) => look_both(target, options).await,
    }
}

async fn look_http(target: &Target, port: u16, options: &Options) -> Report {
    match dial::http(target, port, options).await {
        Http::Page { .. } => report(target, options, Verdict::NotSecure, vec![Finding::PlainHttp { port }]),
        Http::Other => report(target, options, Verdict::Unreachable, vec![Finding::NotAWebServer { port }]),
        Http::Refused(why) => unreachable(target, port, options, why),
    }
}

async fn look_https(target: &Target, port: u16, options: &Options) -> Report {
    match dial::tls(target, port, options).await {
        Tls::Refused(why) => unreachable(target, port, options, why),
        tls => judge::judge(target, port, tls, options),
    }
}

/// A port without a scheme: TLS if it speaks TLS, else HTTP.
async fn look_either(target: &Target, port: u16, options: &Options) -> Report {
    match dial::tls(target, port, options).await {
        Tls::Refused(why) => unreachable(target, port, options, why),
        tls @ (Tls::OtherProtocol | Tls::Broken(_)) => match dial::http(target, port, options).await {
            Http::Page { .. } => {
                report(target, options, Verdict::NotSecure, vec![Finding::PlainHttp { port }])
            }
            _ if matches!(tls, Tls::OtherProtocol) => {
                report(target, options, Verdict::Unreachable, vec![Finding::NotAWebServer { port }])
            }
            _ => judge::judge(target, port, tls, options),
        },
        tls => judge::judge(target, port, tls, options),
    }
}

async fn look_both(target: &Target, options: &Options) -> Report {
    let (tls, http) = tokio::join!(dial::tls(target, 443, options), dial::http(target, 80, options));
    let open = match http {
        Http::Page { to_https } => Some(to_https),
        _ => None,
    };
    match (tls, open) {
        (Tls::Refused(_) | Tls::OtherProtocol | Tls::Broken(_), Some(_)) => {
            report(target, options, Verdict::NotSecure, vec![Finding::PlainHttp { port: 80 }])
        }
        (Tls::Refused(why), None) => unreachable(target, 443, options, why),
        (tls, open) => {
            let mut report = judge::judge(target, 443, tls, options);
            // A page that only sends the browser on to https shows nothing to listeners.
            if open == Some(false) {
                report.findings.push(Finding::HttpOpen { port: 80 });
                report.findings.sort_by_key(Finding::severity);
            }
            report
        }
    }
}

fn unreachable(target: &Target, port: u16, options: &Options, why: Refusal) -> Report {
    let host = target.dial_host();
    let finding = match why {
        Refusal::Refused => Finding::ConnectionRefused { host, port },
        Refusal::TimedOut(seconds) => Finding::TimedOut { host, port, seconds },
        Refusal::NameNotFound => Finding::NameNotFound { host },
        Refusal::Other(reason) => Finding::NoConnection { host, port, reason },
    };
    report(target, options, Verdict::Unreachable, vec![finding])
}

fn report(target: &Target, options: &Options, verdict: Verdict, findings: Vec<Finding>) -> Report {
    Report {
        target: target.text.clone(),
        verdict,
        chromium: None,
        firefox: None,
        findings,
        leaf: None,
        certificate: None,
        tls: None,
        name: options.name.clone(),
    }
}
