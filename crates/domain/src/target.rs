use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{AltName, ErrorKind};

/// HTTP without or with TLS.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP inside TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// 80 or 443.
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// What the operator named: a bare host, a host with a port, or a URL.
///
/// Path, query and credentials of a URL are not part of it: a path says nothing about the certificate, and
/// credentials in a URL are refused so that no password lands in a shell history unnoticed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Target {
    /// Exactly as written, for showing it again.
    pub text: String,
    /// Address or host name.
    pub host: AltName,
    /// The port, if one was named or follows from the URL's scheme.
    pub port: Option<u16>,
    /// The scheme, if a URL was given.
    pub scheme: Option<Scheme>,
}

/// Why a text is no target.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // One argument each: what was given.
pub enum InvalidTarget {
    /// Neither an address, a host name nor a URL.
    InvalidTarget { target: String },
    /// An address with a number that begins with a zero: some programs read it as octal.
    LeadingZero { target: String },
    /// No port has this number.
    InvalidPort { port: String },
    /// A scheme other than http and https.
    InvalidScheme { target: String },
    /// A URL with user name or password.
    CredentialsInUrl,
    /// More addresses than one sweep has.
    RangeTooLarge { range: String },
    /// A range that ends before it begins.
    RangeBackwards { range: String },
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidTarget::InvalidTarget { target } => {
                write!(f, "{target:?} is no address, host name or URL")
            }
            InvalidTarget::LeadingZero { target } => {
                write!(f, "{target:?} has a number that begins with a zero")
            }
            InvalidTarget::InvalidPort { port } => write!(f, "{port:?} is no port"),
            InvalidTarget::InvalidScheme { target } => write!(f, "{target:?} is neither http nor https"),
            InvalidTarget::CredentialsInUrl => write!(f, "a target holds no user name or password"),
            InvalidTarget::RangeTooLarge { range } => write!(f, "{range} holds too many addresses"),
            InvalidTarget::RangeBackwards { range } => write!(f, "{range} ends before it begins"),
        }
    }
}

impl std::error::Error for InvalidTarget {}

impl InvalidTarget {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::WrongUse
    }
}

impl Target {
    /// The host as it stands in a URL: IPv6 in brackets.
    pub fn url_host(&self) -> String {
        match &self.host {
            AltName::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            host => host.plain(),
        }
    }

    /// The host without brackets, as the system's resolver takes it.
    pub fn dial_host(&self) -> String {
        self.host.plain()
    }

    /// The URL of the target's start page under `scheme` and `port`; a default port is left out.
    pub fn url(&self, scheme: Scheme, port: u16) -> String {
        if port == scheme.default_port() {
            format!("{}://{}/", scheme.name(), self.url_host())
        } else {
            format!("{}://{}:{port}/", scheme.name(), self.url_host())
        }
    }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Target, InvalidTarget> {
        let invalid = || InvalidTarget::InvalidTarget { target: text.chars().take(80).collect() };
        // A bare IPv6 address has colons that a URL would take for a port.
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Target {
                text: text.to_owned(),
                host: AltName::Ip(ip.to_canonical()),
                port: None,
                scheme: None,
            });
        }
        let host = text.split_once(':').map_or(text, |(host, _)| host);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let mut parts = host.split('.');
        if parts.clone().count() == 4
            && parts.clone().all(is_number)
            && parts.any(|part| part.len() > 1 && part.starts_with('0'))
        {
            return Err(InvalidTarget::LeadingZero { target: text.chars().take(80).collect() });
        }
        let scheme = match text.split_once("://") {
            None => None,
            Some((s, _)) if s.eq_ignore_ascii_case("http") => Some(Scheme::Http),
            Some((s, _)) if s.eq_ignore_ascii_case("https") => Some(Scheme::Https),
            Some(_) => return Err(InvalidTarget::InvalidScheme { target: text.chars().take(80).collect() }),
        };
        // A scheme that url has no default port for keeps ":80" and ":443" visible.
        let url = match scheme {
            Some(_) => Url::parse(text),
            None => Url::parse(&format!("camlock-target://{text}")),
        }
        .map_err(|_| invalid())?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::CredentialsInUrl);
        }
        let host = match url.host() {
            Some(Host::Ipv4(ip)) => AltName::Ip(ip.into()),
            Some(Host::Ipv6(ip)) => AltName::Ip(IpAddr::from(ip).to_canonical()),
            // Names that end with a dot begin at the root of the DNS; browsers look for them in a certificate without it.
            Some(Host::Domain(name)) => {
                name.strip_suffix('.').unwrap_or(name).parse().map_err(|_| invalid())?
            }
            None => return Err(invalid()),
        };
        let port = url.port_or_known_default();
        if port == Some(0) || (scheme.is_none() && !matches!(url.path(), "" | "/")) {
            return Err(invalid());
        }
        Ok(Target { text: text.to_owned(), host, port, scheme })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_urls_are_read() {
        for (text, host, port, scheme) in [
            ("192.168.1.64", "IP:192.168.1.64", None, None),
            ("192.168.1.64:8443", "IP:192.168.1.64", Some(8443), None),
            ("192.168.1.64:80", "IP:192.168.1.64", Some(80), None),
            ("gate.lan", "DNS:gate.lan", None, None),
            ("https://gate.lan./", "DNS:gate.lan", Some(443), Some(Scheme::Https)),
            ("http://192.168.1.64/", "IP:192.168.1.64", Some(80), Some(Scheme::Http)),
            ("https://gate.lan:444/live?x=1", "DNS:gate.lan", Some(444), Some(Scheme::Https)),
            ("fe80::1", "IP:fe80::1", None, None),
            ("[fe80::1]:443", "IP:fe80::1", Some(443), None),
            ("HTTPS://[::1]/", "IP:::1", Some(443), Some(Scheme::Https)),
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(
                (target.host.to_string().as_str(), target.port, target.scheme),
                (host, port, scheme),
                "{text}"
            );
        }
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in ["", "http://", "ftp://a.lan", "a b", "a.lan:0", "a.lan:99999", "192.168.1.0/24", "-x"] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        assert_eq!("http://admin:x@a.lan".parse::<Target>(), Err(InvalidTarget::CredentialsInUrl));
    }

    #[test]
    fn a_url_leaves_the_default_port_out() {
        let target: Target = "fe80::1".parse().unwrap();
        assert_eq!(target.url(Scheme::Https, 443), "https://[fe80::1]/");
        assert_eq!(target.url(Scheme::Http, 8080), "http://[fe80::1]:8080/");
    }
}
