use std::{fmt, net::IpAddr, str::FromStr};

use der::asn1::{Ia5String, OctetString};
use domain::AltName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::{NameConstraints, constraints::name::GeneralSubtree, name::GeneralName};

use crate::Error;

/// The names that an authority may speak for: ranges of addresses and domains.
///
/// A domain permits itself and everything below it (RFC 5280, section 4.2.1.10); with a dot before it, as in some
/// imported certificates, only what is below it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Permitted {
    pub(crate) networks: Vec<IpNet>,
    pub(crate) domains: Vec<String>,
}

/// What no one outside the house can own: private, link-local and carrier-grade addresses.
const NETWORKS: [&str; 7] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
    "fe80::/10",
];

/// Domains that the public name system does not give away (RFC 8375, RFC 6762, ICANN's `internal`), and the
/// two that home routers use.
const DOMAINS: [&str; 5] = ["home.arpa", "internal", "local", "lan", "home"];

impl Permitted {
    /// The defaults: private addresses, local domains, and this machine's own host name if it has one that
    /// fits.
    pub fn local(host_name: Option<&str>) -> Permitted {
        let mut permitted = Permitted {
            networks: NETWORKS.iter().filter_map(|n| n.parse().ok()).collect(),
            domains: DOMAINS.iter().map(|d| (*d).to_owned()).collect(),
        };
        if let Some(Ok(AltName::Dns(name))) = host_name.map(AltName::dns) {
            permitted.add(Entry::Domain(name));
        }
        permitted
    }

    /// Adds one of `--permit`: a range (`81.2.3.0/24`), an address, a domain or a single label.
    pub fn permit(&mut self, text: &str) -> Result<(), Error> {
        self.add(text.parse()?);
        Ok(())
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Network(net) if !self.networks.contains(&net) => self.networks.push(net),
            Entry::Domain(name) if !self.domains.contains(&name) => self.domains.push(name),
            _ => {}
        }
    }

    /// Whether a certificate for this name may be issued.
    pub fn allows(&self, name: &AltName) -> bool {
        match name {
            AltName::Ip(ip) => self.networks.iter().any(|n| n.contains(ip)),
            AltName::Dns(name) => self.domains.iter().any(|d| covers(d, name)),
        }
    }

    /// A host name with this first label for which it may speak: below `home.arpa` if that is among the domains.
    pub fn host_name(&self, label: &str) -> Option<AltName> {
        let below = |domain: &str| AltName::dns(&format!("{label}.{}", domain.trim_start_matches('.'))).ok();
        let usual = below(DOMAINS[0]).filter(|name| self.allows(name));
        usual.or_else(|| self.domains.iter().find_map(|domain| below(domain)))
    }

    /// Every entry, as text.
    pub fn entries(&self) -> Vec<String> {
        self.networks.iter().map(IpNet::to_string).chain(self.domains.iter().cloned()).collect()
    }

    /// The extension: all of it as permitted subtrees.
    pub(crate) fn to_extension(&self) -> Result<NameConstraints, Error> {
        let mut subtrees = Vec::new();
        for net in &self.networks {
            let bytes = match (net.network(), net.netmask()) {
                (IpAddr::V4(a), IpAddr::V4(m)) => [a.octets(), m.octets()].concat(),
                (IpAddr::V6(a), IpAddr::V6(m)) => [a.octets(), m.octets()].concat(),
                _ => continue,
            };
            subtrees.push(GeneralName::IpAddress(OctetString::new(bytes)?));
        }
        for domain in &self.domains {
            subtrees.push(GeneralName::DnsName(Ia5String::new(domain.trim_start_matches('.'))?));
        }
        let subtree = |base| GeneralSubtree { base, minimum: 0, maximum: None };
        Ok(NameConstraints {
            permitted_subtrees: Some(subtrees.into_iter().map(subtree).collect()),
            excluded_subtrees: None,
        })
    }
}

impl TryFrom<Vec<String>> for Permitted {
    type Error = Error;

    fn try_from(entries: Vec<String>) -> Result<Permitted, Error> {
        let mut permitted = Permitted { networks: Vec::new(), domains: Vec::new() };
        for entry in &entries {
            match entry.parse()? {
                Entry::Domain(name) if entry.starts_with('.') => {
                    permitted.add(Entry::Domain(format!(".{name}")));
                }
                entry => permitted.add(entry),
            }
        }
        Ok(permitted)
    }
}

impl From<Permitted> for Vec<String> {
    fn from(permitted: Permitted) -> Vec<String> {
        permitted.entries()
    }
}

impl fmt::Display for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.entries().join(", "))
    }
}

/// Whether a domain is or holds a name; with a dot before it, it only holds names.
pub(crate) fn covers(domain: &str, name: &str) -> bool {
    match name.strip_suffix(domain) {
        Some(rest) if domain.starts_with('.') => !rest.is_empty(),
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    }
}

pub(crate) enum Entry {
    Network(IpNet),
    Domain(String),
}

impl FromStr for Entry {
    type Err = Error;

    fn from_str(text: &str) -> Result<Entry, Error> {
        let invalid = || Error::InvalidConstraint { text: text.chars().take(80).collect() };
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Entry::Network(unmapped(net.trunc())));
        }
        match text.strip_prefix('.').unwrap_or(text).parse().map_err(|_| invalid())? {
            AltName::Ip(ip) => Ok(Entry::Network(ip.into())),
            AltName::Dns(name) => Ok(Entry::Domain(name)),
        }
    }
}

/// A range of IPv4 addresses written as IPv6 (`::ffff:10.0.0.0/104`) as what it is: names are read that way, too,
/// and else none would be in it.
pub(crate) fn unmapped(net: IpNet) -> IpNet {
    let v4 = match net {
        IpNet::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    v4.and_then(|(address, length)| IpNet::new(address.into(), length).ok()).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_allow_what_is_local_and_nothing_else() {
        let permitted = Permitted::local(Some("diskstation"));
        for good in [
            "192.168.1.64",
            "10.0.0.1",
            "172.31.255.255",
            "fe80::1",
            "fd00::1",
            "gate.home.arpa",
            "x.lan",
            "lan",
            "diskstation",
            "a.diskstation",
        ] {
            assert!(permitted.allows(&good.parse().unwrap()), "{good}");
        }
        for bad in [
            "8.8.8.8",
            "127.0.0.1",
            "172.32.0.1",
            "::1",
            "2001:db8::1",
            "bank.com",
            "notlan",
            "lan.com",
            "otherstation",
        ] {
            assert!(!permitted.allows(&bad.parse().unwrap()), "{bad}");
        }
    }

    #[test]
    fn more_can_be_permitted_once_each() {
        let mut permitted = Permitted::local(None);
        let before = permitted.entries().len();
        for text in
            ["81.2.3.4/24", "81.2.3.0/24", "127.0.0.1", "shop.example.com", ".shop.example.com", "nvr"]
        {
            permitted.permit(text).unwrap();
        }
        assert_eq!(permitted.entries()[7..9], ["81.2.3.0/24", "127.0.0.1/32"]);
        assert_eq!(permitted.entries().len(), before + 4);
        assert!(permitted.allows(&"cam1.shop.example.com".parse().unwrap()));
        permitted.permit("::ffff:81.2.3.0/120").unwrap();
        assert_eq!(permitted.entries().len(), before + 4);
        assert!(permitted.permit("*.x").is_err() && permitted.permit("10.0.0.0/99").is_err());
        let again = Permitted::try_from(permitted.entries()).unwrap();
        assert_eq!(again, permitted);
    }
}
