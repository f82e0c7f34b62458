use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ErrorKind;

/// A name that a certificate is valid for: one subjectAltName (RFC 5280, section 4.2.1.6).
///
/// A `Dns` holds lower-case letters, digits, `-`, `_` and dots, no wildcard and no trailing dot; it is never
/// an IP address in letters, which browsers refuse.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum AltName {
    /// iPAddress
    Ip(IpAddr),
    /// dNSName
    Dns(String),
}

/// Why a text is no name for a certificate.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum InvalidName {
    /// Neither an address nor a host name.
    InvalidName {
        /// What was given.
        name: String,
    },
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InvalidName::InvalidName { name } = self;
        write!(f, "{name:?} is neither an IP address nor a host name")
    }
}

impl std::error::Error for InvalidName {}

impl InvalidName {
    /// What it asks of whoever meets it.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::WrongUse
    }
}

impl AltName {
    /// A host name in the form that certificates hold.
    pub fn dns(name: &str) -> Result<AltName, InvalidName> {
        let lower = name.to_ascii_lowercase();
        let label_ok = |l: &str| {
            !l.is_empty()
                && l.len() <= 63
                && !l.starts_with('-')
                && !l.ends_with('-')
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        // A last label of digits makes browsers read the whole as an IPv4 address (WHATWG URL, 3.5).
        let numeric = lower.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if lower.len() <= 253 && !numeric && lower.split('.').all(label_ok) {
            Ok(AltName::Dns(lower))
        } else {
            Err(InvalidName::InvalidName { name: name.chars().take(80).collect() })
        }
    }

    /// The address or host name alone.
    pub fn plain(&self) -> String {
        match self {
            AltName::Ip(ip) => ip.to_string(),
            AltName::Dns(name) => name.clone(),
        }
    }
}

impl FromStr for AltName {
    type Err = InvalidName;

    fn from_str(s: &str) -> Result<AltName, InvalidName> {
        match s.parse::<IpAddr>() {
            Ok(ip) => Ok(AltName::Ip(ip.to_canonical())),
            Err(_) => AltName::dns(s),
        }
    }
}

impl TryFrom<String> for AltName {
    type Error = InvalidName;

    fn try_from(s: String) -> Result<AltName, InvalidName> {
        s.strip_prefix("IP:").or(s.strip_prefix("DNS:")).unwrap_or(&s).parse()
    }
}

impl From<AltName> for String {
    fn from(name: AltName) -> String {
        name.to_string()
    }
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AltName::Ip(ip) => write!(f, "IP:{ip}"),
            AltName::Dns(name) => write!(f, "DNS:{name}"),
        }
    }
}

/// `text` as one label of a host name: "Front gate 2" gives `front-gate-2`. Empty if nothing is left.
pub fn slug(text: &str) -> String {
    let mut label = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if label.len() == 63 {
            break;
        }
    }
    label.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_printed() {
        for (given, printed) in [
            ("192.168.1.64", "IP:192.168.1.64"),
            ("::ffff:10.0.0.1", "IP:10.0.0.1"),
            ("fe80::1", "IP:fe80::1"),
            ("Gate.Home.ARPA", "DNS:gate.home.arpa"),
            ("cam_1", "DNS:cam_1"),
        ] {
            let name: AltName = given.parse().unwrap();
            assert_eq!(name.to_string(), printed);
            assert_eq!(AltName::try_from(printed.to_owned()).unwrap(), name);
        }
    }

    #[test]
    fn what_no_browser_would_match_is_no_name() {
        for bad in
            ["", "*.lan", "a..b", "-a", "a b", "a\0b", "192.168.1.999", "gate.", &"a".repeat(64), "é.lan"]
        {
            assert!(bad.parse::<AltName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_is_a_label() {
        assert_eq!(slug("Front gate 2"), "front-gate-2");
        assert_eq!(slug("192.168.1.64"), "192-168-1-64");
        assert_eq!(slug("  Kapu (É) "), "kapu");
        assert_eq!(slug("—"), "");
        assert!(AltName::dns(&slug(&"x ".repeat(200))).is_ok());
    }
}
