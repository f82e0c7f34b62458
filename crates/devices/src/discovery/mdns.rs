//! DNS-Based Service Discovery (RFC 6763) over Multicast DNS (RFC 6762): what devices announce that have a web page.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use domain::Told;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, TYPE, rdata::RData};

use super::{By, Sighting};

/// Fixed by RFC 6762, section 3.
pub(super) const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 5353);
/// Cameras announce these; Axis has one of its own.
const SERVICES: [&str; 5] = [
    "_onvif._tcp.local",
    "_axis-video._tcp.local",
    "_rtsp._tcp.local",
    "_https._tcp.local",
    "_http._tcp.local",
];
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 200;

/// One packet that asks for all of them. The answer is to come by unicast: section 5.4, and, since this is not asked from
/// port 5353, section 6.7.
pub(super) fn question() -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(0);
    for service in SERVICES {
        let question =
            Question::new(Name::new(service).ok()?, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), true);
        packet.questions.push(question);
    }
    packet.build_bytes_vec().ok()
}

/// The device that answered, if it announces a page or a camera.
pub fn read(packet: &[u8], from: IpAddr) -> Option<Sighting> {
    let packet = Packet::parse(packet).ok()?;
    let records = packet.answers.iter().chain(&packet.additional_records).take(RECORDS_MAX);
    let mut seen = Sighting::at(from, By::Mdns, Default::default());
    let mut is_wanted = false;
    for record in records {
        let name = record.name.to_string().to_ascii_lowercase();
        let service = SERVICES.iter().find(|service| name.trim_end_matches('.').ends_with(**service));
        match &record.rdata {
            RData::PTR(instance) if service.is_some() => {
                is_wanted = true;
                // "Gate._http._tcp.local": what stands before the service is for people.
                let label = instance.0.get_labels().first().map(|label| Told::new(&label.to_string()));
                seen.name = seen.name.or(label.filter(|label| !label.is_empty()));
            }
            RData::SRV(server) if service.is_some_and(|s| s.starts_with("_http")) && server.port != 0 => {
                seen.ports.insert(server.port);
            }
            _ => {}
        }
    }
    is_wanted.then_some(seen)
}
