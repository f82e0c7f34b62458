//! WS-Discovery (2005/04) as ONVIF has it (Core specification, "Device discovery").

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
};

use domain::Told;
use roxmltree::Node;
use url::{Host, Url};

use super::{By, Sighting};
use crate::{random::random, xml};

pub(super) const PORT: u16 = 3702;
/// Fixed by WS-Discovery, section 2.4.
pub(super) const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), PORT);
/// More than any datagram holds.
pub(super) const PACKET_MAX: usize = 65_536;
/// Devices in one answer; each answers for itself.
const MATCHES_MAX: usize = 16;
/// Addresses of one device that are looked at.
const ADDRESSES_MAX: usize = 16;

const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";

/// One probe for each name that the type of a camera has had: a device answers to the types that it knows, and a probe
/// that names two wants both.
pub(super) fn probes() -> Vec<String> {
    ["http://www.onvif.org/ver10/network/wsdl NetworkVideoTransmitter", "http://www.onvif.org/ver10/device/wsdl Device"]
        .iter()
        .filter_map(|kind| {
            let (namespace, name) = kind.split_once(' ')?;
            Some(format!(
                r#"<?xml version="1.0" encoding="UTF-8"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="{ADDRESSING}" xmlns:d="{DISCOVERY}" xmlns:t="{namespace}"><e:Header><w:MessageID>urn:uuid:{}</w:MessageID><w:ReplyTo><w:Address>{ADDRESSING}/role/anonymous</w:Address></w:ReplyTo><w:To e:mustUnderstand="true">urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To><w:Action e:mustUnderstand="true">{DISCOVERY}/Probe</w:Action></e:Header><e:Body><d:Probe><d:Types>t:{name}</d:Types></d:Probe></e:Body></e:Envelope>"#,
                uuid()?
            ))
        })
        .collect()
}

/// A random UUID (RFC 9562, version 4).
fn uuid() -> Option<String> {
    let mut bytes = random::<16>().ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]];
    Some(parts.map(hex).join("-"))
}

/// The devices of a ProbeMatches message that came from `from`; none if it is none. Whatever it is, it is read in
/// bounded time and memory.
pub fn read(packet: &[u8], from: IpAddr) -> Vec<Sighting> {
    let matches = xml::read(packet, |document| {
        let matches = document.descendants().filter(|n| n.has_tag_name((DISCOVERY, "ProbeMatch")));
        matches.take(MATCHES_MAX).map(|found| sighting(found, from)).collect()
    });
    matches.unwrap_or_default()
}

fn sighting(found: Node<'_, '_>, from: IpAddr) -> Sighting {
    let text = |namespace: &'static str, name: &str| {
        let node = found.descendants().find(|n| n.has_tag_name((namespace, name)));
        node.and_then(|n| n.text()).unwrap_or_default()
    };
    let mut seen = Sighting::at(from, By::WsDiscovery, BTreeSet::new());
    let id = text(ADDRESSING, "Address");
    seen.id = Some(Told::new(id)).filter(|id| !id.is_empty());
    for scope in text(DISCOVERY, "Scopes").split_whitespace() {
        let Some(scope) = scope.strip_prefix("onvif://www.onvif.org/") else { continue };
        match scope.split_once('/') {
            Some(("name", name)) if seen.name.is_none() => seen.name = decoded(name),
            Some(("hardware", model)) if seen.model.is_none() => seen.model = decoded(model),
            _ => {}
        }
    }
    for address in text(DISCOVERY, "XAddrs").split_whitespace().take(ADDRESSES_MAX) {
        let Ok(url) = Url::parse(address) else { continue };
        let is_here = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip) == from,
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip) == from,
            Some(Host::Domain(_)) | None => false,
        };
        if is_here {
            seen.ports.extend(url.port_or_known_default().filter(|port| *port != 0));
        } else if let (None, Some(host)) = (&seen.elsewhere, url.host_str()) {
            seen.elsewhere = Some(Told::new(host));
        }
    }
    // One of its addresses is here, so the others are those of its other interfaces.
    if !seen.ports.is_empty() {
        seen.elsewhere = None;
    }
    seen
}

/// A scope is a URI, so what is not plain in a name is percent-encoded.
fn decoded(part: &str) -> Option<Told> {
    let form = part.replace('+', "%2B");
    let decoded = url::form_urlencoded::parse(form.as_bytes()).next()?.0.into_owned();
    let text = Told::new(&decoded);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(content: &str) -> String {
        format!(
            r#"<?xml version="1.0"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:wsa="{ADDRESSING}" xmlns:wsdd="{DISCOVERY}"><SOAP-ENV:Header/><SOAP-ENV:Body><wsdd:ProbeMatches><wsdd:ProbeMatch>{content}</wsdd:ProbeMatch></wsdd:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"#
        )
    }

    #[test]
    fn a_camera_says_what_it_is() {
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let text = matched(
            "<wsa:EndpointReference><wsa:Address>urn:uuid:1419d68a</wsa:Address></wsa:EndpointReference>\
             <wsdd:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Shop%20front+1\n\
             onvif://www.onvif.org/hardware/X-1</wsdd:Scopes><wsdd:XAddrs>http://192.0.2.7:8080/onvif/device_service \
             http://[fe80::1]/onvif/device_service https://192.0.2.7/x</wsdd:XAddrs>",
        );
        let seen = read(text.as_bytes(), from);
        let expected = Sighting {
            address: from,
            by: By::WsDiscovery,
            ports: [443, 8080].into(),
            id: Some("urn:uuid:1419d68a".into()),
            name: Some("Shop front+1".into()),
            model: Some("X-1".into()),
            elsewhere: None,
        };
        assert_eq!(seen, [expected]);
    }

    /// In GBK, say, and with the string's closing NUL.
    #[test]
    fn a_name_that_is_no_utf_8_hides_no_camera() {
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let text = matched("<wsdd:Scopes>onvif://www.onvif.org/name/@ & Co</wsdd:Scopes>");
        let at = text.find('@').unwrap();
        let packet =
            [&text.as_bytes()[..at], b"\xb4\xf3\xc3\xc5", &text.as_bytes()[at + 1..], b"\0"].concat();
        let name = read(&packet, from).remove(0).name.unwrap();
        assert_eq!(name, "\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn an_address_elsewhere_is_told_and_not_taken() {
        let from: IpAddr = "192.0.2.7".parse().unwrap();
        let text = matched("<wsdd:XAddrs>http://203.0.113.9:81/onvif/device_service</wsdd:XAddrs>");
        let seen = read(text.as_bytes(), from).remove(0);
        assert_eq!((seen.address, seen.ports.len()), (from, 0));
        assert_eq!(seen.elsewhere.as_deref(), Some("203.0.113.9"));
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let from = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let many =
            matched("").replace("<wsdd:ProbeMatch></wsdd:ProbeMatch>", &"<wsdd:ProbeMatch/>".repeat(1000));
        assert_eq!(read(many.as_bytes(), from).len(), MATCHES_MAX);
        for bad in ["", "<", "\0\0", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", &"<a>".repeat(20_000)] {
            assert!(read(bad.as_bytes(), from).is_empty());
        }
        assert!(read(&[0xff; 9], from).is_empty());
    }

    #[test]
    fn each_probe_is_well_formed_and_new() {
        let (one, two) = (probes(), probes());
        assert_eq!(one.len(), 2);
        assert!(one.iter().all(|probe| roxmltree::Document::parse(probe).is_ok()));
        assert_ne!(one, two);
        assert_eq!(uuid().unwrap().len(), 36);
    }
}
