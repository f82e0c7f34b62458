//! Sees a web server as a browser does, and says what the browser would say.
//!
//! Nothing is sent but a TLS handshake and a `GET /` without credentials, and nothing that the server says is
//! trusted: every read has a limit and a time-out.

mod chromium;
mod connect;
mod der;
mod dial;
mod facts;
mod firefox;
mod judge;
mod names;
pub mod old;
mod pages;
mod paths;
mod seen;
mod served;
mod signature;
mod sweep;
mod verify;

pub use served::pages;
pub use sweep::sweep;
pub use verify::verify;

use std::{sync::Arc, time::Duration};

use connect::Refusal;
use dial::{Http, Tls};
use domain::{AltName, Finding, Report, Scheme, Target, Verdict};
use pki::Certificate;
use seen::Seen;
use time::OffsetDateTime;

/// Roots, read once for all that is judged under them.
#[derive(Clone, Debug)]
pub struct Roots(Arc<[Seen]>);

impl Roots {
    /// In DER; one that a browser cannot read is none for it.
    pub fn read<'a>(roots: impl IntoIterator<Item = &'a [u8]>) -> Roots {
        Roots(roots.into_iter().map(Seen::read).collect())
    }

    /// The certificates, without those that cannot be read as such.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter().filter_map(|root| root.facts.as_ref()).map(|facts| &facts.certificate)
    }
}

impl From<Vec<Certificate>> for Roots {
    fn from(roots: Vec<Certificate>) -> Roots {
        Roots::read(roots.iter().map(Certificate::der))
    }
}

/// How a target is judged.
#[derive(Clone, Debug)]
pub struct Options {
    /// The roots that the computer trusts: exactly these.
    pub roots: Roots,
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
        Options {
            roots: roots.into(),
            name: None,
            now,
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
        }
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
        (None, None) => look_both(target, 443, 80, options).await,
    }
}

async fn look_http(target: &Target, port: u16, options: &Options) -> Report {
    match dial::http(target, port, options).await {
        Http::Page { .. } => plain_http(target, port, options),
        Http::Other => report(target, options, Verdict::Unreachable, vec![Finding::NotAWebServer { port }]),
        Http::Refused(why) => unreachable(target, port, options, why),
    }
}

async fn look_https(target: &Target, port: u16, options: &Options) -> Report {
    match dial::tls(target, port, options).await {
        Tls::Silent(seconds) => unreachable(target, port, options, Refusal::TimedOut(seconds)),
        Tls::Refused(why) => unreachable(target, port, options, why),
        tls => judge::judge(target, port, tls, options),
    }
}

/// A port without a scheme: TLS if it speaks TLS, else HTTP.
async fn look_either(target: &Target, port: u16, options: &Options) -> Report {
    let tls = dial::tls(target, port, options).await;
    if tls.answered() {
        return judge::judge(target, port, tls, options);
    }
    if let Tls::Refused(why) = tls {
        return unreachable(target, port, options, why);
    }
    match (dial::http(target, port, options).await, tls) {
        (Http::Page { .. }, _) => plain_http(target, port, options),
        (_, Tls::OtherProtocol { .. }) => {
            report(target, options, Verdict::Unreachable, vec![Finding::NotAWebServer { port }])
        }
        (_, Tls::Silent(seconds)) => unreachable(target, port, options, Refusal::TimedOut(seconds)),
        (_, tls) => judge::judge(target, port, tls, options),
    }
}

/// A host without a port: https decides if TLS answers there, else http.
async fn look_both(target: &Target, https: u16, http: u16, options: &Options) -> Report {
    let (tls, page) = tokio::join!(dial::tls(target, https, options), dial::http(target, http, options));
    match (tls, page) {
        (tls, Http::Page { .. }) if !tls.answered() => plain_http(target, http, options),
        (Tls::Refused(why), _) => unreachable(target, https, options, why),
        (Tls::Silent(seconds), _) => unreachable(target, https, options, Refusal::TimedOut(seconds)),
        (tls, page) => {
            let mut report = judge::judge(target, https, tls, options);
            // A page that only sends the browser on to https shows nothing to listeners.
            if matches!(page, Http::Page { to_https: false }) {
                report.findings.push(Finding::HttpOpen { port: http });
                report.findings.sort_by_key(Finding::severity);
            }
            report
        }
    }
}

fn plain_http(target: &Target, port: u16, options: &Options) -> Report {
    report(target, options, Verdict::NotSecure, vec![Finding::PlainHttp { port }])
}

fn unreachable(target: &Target, port: u16, options: &Options, why: Refusal) -> Report {
    let host = target.dial_host();
    let finding = match why {
        Refusal::Refused => Finding::ConnectionRefused { host, port },
        Refusal::TimedOut(seconds) => Finding::TimedOut { host, port, seconds },
        Refusal::NameNotFound => Finding::NameNotFound { host },
        Refusal::Other(reason) => Finding::NoConnection { host, port, reason: reason.into() },
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
        proven: false,
        certificate: None,
        tls: None,
        name: options.name.clone(),
    }
}

#[cfg(test)]
#[path = "../tests/all/common.rs"]
mod common;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::{Authority, PAGE, answering, https, plain_http, tcp, trusting};

    #[tokio::test]
    async fn https_decides_where_tls_answers_and_http_elsewhere() {
        let root = Authority::new("Root");
        let options = trusting(&[&root]);
        let target: Target = "127.0.0.1".parse().unwrap();
        let secure = https(root.leaf(|_| {})).await;
        let untrusted = https(Authority::new("Stranger").leaf(|_| {})).await;
        let refuses = answering([21, 3, 3, 0, 2, 2, 80]).await;
        let ssh = answering("SSH-2.0-dropbear_2019.78\r\n").await;
        let cut = answering("").await;
        let page = plain_http(PAGE).await;
        // The redirect comes late in a long head.
        let cookie = "x".repeat(2000);
        let sends_on = format!("HTTP/1.1 301 Moved\r\nSet-Cookie: {cookie}\r\nLocation: https://a/\r\n\r\n");
        let sends_on = answering(sends_on).await;
        let elsewhere = answering("HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n").await;
        let closed = {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let silent = tcp(|stream| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;

        let open = |port| vec![Finding::HttpOpen { port }];
        let plain = |port| vec![Finding::PlainHttp { port }];
        let refused = vec![Finding::ConnectionRefused { host: "127.0.0.1".into(), port: closed }];
        let stranger = || Finding::UnknownIssuer { issuer: "CN=Stranger".into() };
        for (https, http, verdict, findings) in [
            (secure, page, Verdict::Secure, open(page)),
            (secure, elsewhere, Verdict::Secure, open(elsewhere)),
            (secure, sends_on, Verdict::Secure, vec![]),
            (secure, closed, Verdict::Secure, vec![]),
            (secure, ssh, Verdict::Secure, vec![]),
            (untrusted, page, Verdict::NotSecure, vec![stranger(), Finding::HttpOpen { port: page }]),
            (untrusted, closed, Verdict::NotSecure, vec![stranger()]),
            (closed, page, Verdict::NotSecure, plain(page)),
            (ssh, page, Verdict::NotSecure, plain(page)),
            (cut, page, Verdict::NotSecure, plain(page)),
            (page, page, Verdict::NotSecure, plain(page)),
            (closed, closed, Verdict::Unreachable, refused.clone()),
            (closed, ssh, Verdict::Unreachable, refused),
            (ssh, closed, Verdict::NotSecure, vec![Finding::NotTls { port: ssh }]),
        ] {
            let report = look_both(&target, https, http, &options).await;
            assert_eq!((report.verdict, report.findings), (verdict, findings));
            assert_eq!(report.target, "127.0.0.1");
        }

        let report = look_both(&target, refuses, page, &options).await;
        assert_eq!(report.chromium, Some("ERR_SSL_PROTOCOL_ERROR"));
        assert!(matches!(report.findings[..], [Finding::HandshakeFailed { .. }, Finding::HttpOpen { .. }]));

        let options = Options { answer: Duration::from_millis(300), ..options };
        let report = look_both(&target, silent, page, &options).await;
        assert_eq!(report.findings, plain(page));
        let report = look_both(&target, silent, silent, &options).await;
        assert_eq!(report.verdict, Verdict::Unreachable);
        assert!(matches!(report.findings[..], [Finding::TimedOut { .. }]));
    }
}
