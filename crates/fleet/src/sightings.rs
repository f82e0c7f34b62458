//! What gave a sign of life in a network: every device once, before it is asked who it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use devices::discovery::{By, Sighting};
use domain::{AltName, Target, Told};
use store::Store;

use crate::Error;

/// More devices than any network has that answers to this; what comes after is not kept.
const DEVICES_MAX: usize = 100_000;
/// Devices that one address may announce.
const AT_ADDRESS_MAX: usize = 16;

/// What was seen of one device, or of one address of it.
#[derive(Debug, Default)]
pub struct Sighted {
    /// Its addresses and names, at least one.
    pub hosts: BTreeSet<AltName>,
    /// Ports where it has a page, as far as that is known.
    pub ports: BTreeSet<u16>,
    /// How it was found.
    pub by: BTreeSet<By>,
    /// The identifier that it announces.
    pub id: Option<Told>,
    /// What it calls itself.
    pub name: Option<Told>,
    /// Its model, by its own word.
    pub model: Option<Told>,
    /// Another host that it says to have.
    pub elsewhere: Option<Told>,
    /// Its hardware address.
    pub mac: Option<String>,
    /// As the operator named it.
    pub target: Option<Target>,
}

/// Every device once.
#[derive(Debug, Default)]
pub(crate) struct Sightings(pub(crate) Vec<Sighted>);

impl Sightings {
    pub(crate) fn add(&mut self, sighting: Sighting) {
        let Sighting { address, by, ports, id, name, model, elsewhere } = sighting;
        let host = AltName::Ip(address.to_canonical());
        // By its identifier where both have one: behind one address may be two, forwarded.
        let by_id = id.as_ref().and_then(|id| {
            // Whoever tells another's identifier from an address of its own is not that one before it was asked.
            self.0.iter().position(|seen| seen.id.as_ref() == Some(id) && seen.hosts.contains(&host))
        });
        let may_be = |seen: &Sighted| seen.hosts.contains(&host) && (seen.id.is_none() || id.is_none());
        let here = self.0.iter().filter(|seen| seen.hosts.contains(&host)).count();
        let at = match by_id.or_else(|| self.0.iter().position(may_be)) {
            Some(at) => at,
            // No honest address has so many behind it.
            None if here >= AT_ADDRESS_MAX || self.0.len() >= DEVICES_MAX => return,
            None => {
                self.0.push(Sighted::default());
                self.0.len() - 1
            }
        };
        let Some(seen) = self.0.get_mut(at) else { return };
        seen.hosts.insert(host);
        seen.by.insert(by);
        // A port that it was told to have says more than one that is open.
        if by == By::Port && seen.by.contains(&By::WsDiscovery) && !seen.ports.is_empty() {
            seen.ports.extend(ports.into_iter().filter(|port| *port == 443));
        } else {
            seen.ports.extend(ports);
        }
        seen.id = seen.id.take().or(id);
        // What the camera itself is called says more than what its web server is.
        seen.name = match by {
            By::WsDiscovery => name.or(seen.name.take()),
            By::Mdns | By::Port => seen.name.take().or(name),
        };
        seen.model = seen.model.take().or(model);
        seen.elsewhere = seen.elsewhere.take().or(elsewhere);
    }

    /// What has one address is one device, unless it is several by its own word. One hardware address does not make one
    /// device of many addresses: a router or a repeater answers for all behind it.
    pub(crate) fn join(&mut self, neighbours: &BTreeMap<Ipv4Addr, String>) {
        let mut joined: Vec<Sighted> = Vec::new();
        for mut seen in std::mem::take(&mut self.0) {
            let mac = |host: &AltName| match host {
                AltName::Ip(IpAddr::V4(ip)) => neighbours.get(ip).cloned(),
                _ => None,
            };
            seen.mac = seen.hosts.iter().find_map(mac);
            let same = |other: &&mut Sighted| {
                !other.hosts.is_disjoint(&seen.hosts) && (other.id.is_none() || seen.id.is_none())
            };
            match joined.iter_mut().find(same) {
                Some(other) => {
                    other.hosts.extend(seen.hosts);
                    other.ports.extend(seen.ports);
                    other.by.extend(seen.by);
                    other.id = other.id.take().or(seen.id);
                    other.name = other.name.take().or(seen.name);
                    other.model = other.model.take().or(seen.model);
                    other.elsewhere = other.elsewhere.take().or(seen.elsewhere);
                }
                None => joined.push(seen),
            }
        }
        self.0 = joined;
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.0.iter().flat_map(|seen| &seen.hosts).filter_map(|host| match host {
            AltName::Ip(IpAddr::V4(ip)) => Some(*ip),
            _ => None,
        })
    }

    /// Adds where the ledger knows that HTTPS is.
    pub(crate) async fn remember(&mut self, store: &Store) -> Result<(), Error> {
        for seen in &mut self.0 {
            for host in &seen.hosts {
                for port in seen.ports.clone() {
                    let known = store.device_at(host, port).await?;
                    seen.ports.extend(known.and_then(|device| device.https_port));
                }
            }
        }
        Ok(())
    }

    /// Those that the operator named, whether they gave a sign of life or not.
    pub(crate) fn name(&mut self, targets: Vec<Target>) {
        for target in targets {
            let mut seen = Sighted::default();
            seen.hosts.insert(target.host.clone());
            seen.ports.extend(target.port);
            seen.target = Some(target);
            self.0.push(seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(address: &str, id: Option<&str>) -> Sighting {
        Sighting {
            address: address.parse().unwrap(),
            by: if id.is_some() { By::WsDiscovery } else { By::Port },
            ports: [80].into(),
            id: id.map(Told::new),
            name: None,
            model: None,
            elsewhere: None,
        }
    }

    #[test]
    fn one_address_is_one_device_and_nothing_else_is() {
        let mut devices = Sightings::default();
        for (address, id) in [
            // Seen by its port before it said who it is, and after.
            ("10.0.0.2", None),
            ("10.0.0.1", Some("urn:uuid:1")),
            ("10.0.0.2", Some("urn:uuid:1")),
            ("10.0.0.2", None),
            ("10.0.0.3", Some("urn:uuid:3")),
            ("10.0.0.4", None),
        ] {
            devices.add(sighting(address, id));
        }
        let mac = |address: &str, mac: &str| (address.parse().unwrap(), mac.to_owned());
        // Behind a repeater; and whoever tells the identifier of another one is asked before it is believed.
        devices.join(&BTreeMap::from([
            mac("10.0.0.3", "02:00:00:00:00:03"),
            mac("10.0.0.4", "02:00:00:00:00:03"),
        ]));
        let hosts: Vec<usize> = devices.0.iter().map(|seen| seen.hosts.len()).collect();
        assert_eq!(hosts, [1, 1, 1, 1]);
    }

    #[test]
    fn two_devices_behind_one_hardware_address_stay_two() {
        let mut devices = Sightings::default();
        devices.add(sighting("10.0.0.1", Some("urn:uuid:1")));
        devices.add(sighting("10.0.0.2", Some("urn:uuid:2")));
        let router = "02:00:00:00:00:01".to_owned();
        let mac = |address: &str| (address.parse().unwrap(), router.clone());
        devices.join(&BTreeMap::from([mac("10.0.0.1"), mac("10.0.0.2")]));
        assert_eq!(devices.0.len(), 2);
    }
}
