//! What name constraints that others wrote (RFC 5280, section 4.2.1.10) leave to an authority.

use domain::AltName;
use ipnet::IpNet;
use x509_cert::ext::pkix::{constraints::name::GeneralSubtree, name::GeneralName};

use crate::{
    Certificate, Error, Permitted,
    certificate::{address, general_name_text},
    constraints::{Entry, covers},
};

/// The most constraints of one certificate that are read.
const MAX_SUBTREES: usize = 200;

/// The name constraints of an authority's path. A kind of name that none of the certificates lists is free.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    networks: Option<Vec<IpNet>>,
    domains: Option<Vec<String>>,
    excluded_networks: Vec<IpNet>,
    excluded_domains: Vec<String>,
    stated: bool,
    left_out: Vec<String>,
}

/// What an authority may speak for.
#[derive(Clone, Debug)]
pub struct Allowed {
    /// The names.
    pub permitted: Permitted,
    /// Constraints that would allow more, and cannot be expressed here.
    pub left_out: Vec<String>,
}

impl Limits {
    /// Reads the constraints of a path. Those that Camlock's own certificates would break, or that verifiers refuse
    /// altogether, are an error.
    pub fn of(path: &[&Certificate]) -> Result<Limits, Error> {
        let mut limits = Limits::default();
        for constraints in path.iter().filter_map(|c| c.name_constraints().transpose()) {
            let constraints = constraints?;
            limits.stated = true;
            let permitted = constraints.permitted_subtrees.unwrap_or_default();
            let excluded = constraints.excluded_subtrees.unwrap_or_default();
            if permitted.len() + excluded.len() > MAX_SUBTREES {
                let constraint = format!("more than {MAX_SUBTREES} of them");
                return Err(Error::UnsupportedConstraint { constraint });
            }
            limits.permit(&permitted)?;
            limits.exclude(&excluded)?;
        }
        Ok(limits)
    }

    /// Whether there are any.
    pub fn stated(&self) -> bool {
        self.stated
    }

    /// Whether they leave addresses or host names free.
    pub fn leave_a_kind_free(&self) -> bool {
        self.networks.is_none() || self.domains.is_none()
    }

    /// The names that the constraints allow; for a kind that is free, those of `local` with `more`. An entry of `more`
    /// that they do not allow is an error, and so is it if no host name is left.
    pub fn allowed(&self, mut local: Permitted, more: &[String]) -> Result<Allowed, Error> {
        for text in more {
            if !self.is_free_for(&text.parse()?) {
                return Err(Error::PermitOutside { text: text.chars().take(80).collect() });
            }
            local.permit(text)?;
        }
        let mut left_out = self.left_out.clone();
        let mut networks = self.networks.clone().unwrap_or(local.networks);
        for hole in &self.excluded_networks {
            networks = networks.into_iter().flat_map(|network| without(network, hole)).collect();
        }
        let mut domains = self.domains.clone().unwrap_or(local.domains);
        domains.retain(|domain| {
            let name = domain.trim_start_matches('.');
            let gone = self.excluded_domains.iter().any(|hole| covers(hole, name));
            // A domain cannot have a hole here.
            let broken = self.excluded_domains.iter().any(|hole| covers(name, hole));
            if broken && !gone {
                left_out.push(domain.clone());
            }
            !gone && !broken
        });
        // A leaf has a host name beside its addresses.
        if domains.is_empty() {
            return Err(Error::NoHostNameLeft);
        }
        Ok(Allowed { permitted: Permitted { networks, domains }, left_out })
    }

    fn is_free_for(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Network(network) => {
                let within = self.networks.as_ref().is_none_or(|all| all.iter().any(|n| n.contains(network)));
                within && !self.excluded_networks.iter().any(|hole| hole.contains(network))
            }
            Entry::Domain(name) => {
                let within = self.domains.as_ref().is_none_or(|all| all.iter().any(|d| covers(d, name)));
                within && !self.excluded_domains.iter().any(|hole| covers(hole, name) || covers(name, hole))
            }
        }
    }

    fn permit(&mut self, subtrees: &[GeneralSubtree]) -> Result<(), Error> {
        let (mut networks, mut domains) = (None::<Vec<IpNet>>, None::<Vec<String>>);
        let mut every_domain = false;
        for subtree in subtrees {
            match base(subtree)? {
                GeneralName::IpAddress(bytes) => {
                    let networks = networks.get_or_insert_default();
                    match network(bytes.as_bytes()) {
                        Some(network) => networks.push(network),
                        None => self.left_out.push(general_name_text(&subtree.base)),
                    }
                }
                GeneralName::DnsName(name) if AsRef::<str>::as_ref(name).is_empty() => every_domain = true,
                GeneralName::DnsName(name) => {
                    let domains = domains.get_or_insert_default();
                    match domain(name.as_ref()) {
                        Some(domain) => domains.push(domain),
                        None => self.left_out.push(general_name_text(&subtree.base)),
                    }
                }
                // Of kinds that no certificate here has.
                _ => {}
            }
        }
        if let Some(new) = networks {
            self.networks = Some(both(self.networks.take(), new, |wide, narrow| wide.contains(narrow)));
        }
        if let Some(new) = domains.filter(|_| !every_domain) {
            let holds = |wide: &String, narrow: &String| wide == narrow || covers(wide, narrow);
            self.domains = Some(both(self.domains.take(), new, holds));
        }
        Ok(())
    }

    fn exclude(&mut self, subtrees: &[GeneralSubtree]) -> Result<(), Error> {
        for subtree in subtrees {
            let unsupported = || unsupported(&subtree.base);
            match base(subtree)? {
                GeneralName::IpAddress(bytes) => {
                    self.excluded_networks.push(network(bytes.as_bytes()).ok_or_else(unsupported)?);
                }
                GeneralName::DnsName(name) if AsRef::<str>::as_ref(name).is_empty() => {
                    self.domains = Some(Vec::new());
                }
                GeneralName::DnsName(name) => {
                    let domain = domain(name.as_ref()).ok_or_else(unsupported)?;
                    self.excluded_domains.push(domain.trim_start_matches('.').to_owned());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name of a subtree, if it is one of what every verifier can read, and what is issued can keep: the subject of a
/// leaf is a name for people, so that it is outside of (or inside) every directoryName.
fn base(subtree: &GeneralSubtree) -> Result<&GeneralName, Error> {
    let odd = subtree.minimum != 0 || subtree.maximum.is_some();
    match &subtree.base {
        GeneralName::DirectoryName(_) => Err(unsupported(&subtree.base)),
        base if odd => Err(unsupported(base)),
        base => Ok(base),
    }
}

fn unsupported(name: &GeneralName) -> Error {
    Error::UnsupportedConstraint { constraint: general_name_text(name).chars().take(80).collect() }
}

/// Address and mask; `None` if the mask has holes.
fn network(bytes: &[u8]) -> Option<IpNet> {
    let (base, mask) = bytes.split_at(bytes.len() / 2);
    Some(IpNet::with_netmask(address(base)?, address(mask)?).ok()?.trunc())
}

/// A domain in lower case, with the dot before it that some write.
fn domain(text: &str) -> Option<String> {
    match AltName::dns(text.strip_prefix('.').unwrap_or(text)).ok()? {
        AltName::Dns(name) if text.starts_with('.') => Some(format!(".{name}")),
        AltName::Dns(name) => Some(name),
        AltName::Ip(_) => None,
    }
}

/// What is in both lists: of each pair the narrower, if one holds the other.
fn both<T: Clone + PartialEq>(old: Option<Vec<T>>, new: Vec<T>, holds: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let Some(old) = old else { return new };
    let mut found = Vec::new();
    for (a, b) in old.iter().flat_map(|a| new.iter().map(move |b| (a, b))) {
        let narrower = if holds(a, b) { Some(b) } else { holds(b, a).then_some(a) };
        found.extend(narrower.filter(|n| !found.contains(*n)).cloned());
    }
    found
}

/// A range without the addresses of another.
fn without(network: IpNet, hole: &IpNet) -> Vec<IpNet> {
    if hole.contains(&network) {
        return Vec::new();
    }
    match network.subnets(network.prefix_len() + 1) {
        Ok(halves) if network.contains(hole) => halves.flat_map(|half| without(half, hole)).collect(),
        _ => vec![network],
    }
}
