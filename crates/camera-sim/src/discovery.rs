//! WS-Discovery (2005/04), the camera's side of it: a Probe in, ProbeMatches out.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use roxmltree::{Document, Node};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::core::Core;
use crate::device_service;
use crate::options::{ELSEWHERE, Fault};
use crate::soap::{self, ENV, TDS, element, escape, text};

const DISCOVERY: &str = "http://schemas.xmlsoap.org/ws/2005/04/discovery";
const ADDRESSING: &str = "http://schemas.xmlsoap.org/ws/2004/08/addressing";
/// The old name of a camera's type; the new one is Device of the device service's namespace.
const NETWORK: &str = "http://www.onvif.org/ver10/network/wsdl";
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 3702;

/// The two sockets of a camera: what it hears from the group, and what is for it alone.
pub(crate) struct Sockets {
    group: UdpSocket,
    own: UdpSocket,
}

/// Takes the port, together with whoever else listens to the group there.
pub(crate) fn open(address: IpAddr) -> io::Result<Sockets> {
    let IpAddr::V4(own) = address else {
        return Err(io::Error::other("WS-Discovery is simulated over IPv4 alone"));
    };
    let socket = |at: Ipv4Addr| -> io::Result<Socket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((at, PORT)).into())?;
        Ok(socket)
    };
    let group = socket(GROUP)?;
    group.join_multicast_v4(&GROUP, &own)?;
    let own = UdpSocket::from_std(socket(own)?.into())?;
    Ok(Sockets { group: UdpSocket::from_std(group.into())?, own })
}

/// Answers until the camera is unplugged.
pub(crate) async fn serve(core: Arc<Core>, sockets: Sockets) {
    let mut stopping = core.stopping.subscribe();
    let (mut heard, mut told) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let (packet, from) = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            Ok((length, from)) = sockets.group.recv_from(&mut heard) => (&heard[..length], from),
            Ok((length, from)) = sockets.own.recv_from(&mut told) => (&told[..length], from),
        };
        if let Some(answer) = answer(&core, packet) {
            // From its own address: that is where it is.
            let _ = sockets.own.send_to(answer.as_bytes(), from).await;
        }
    }
}

fn answer(core: &Core, packet: &[u8]) -> Option<String> {
    let document = soap::parse(std::str::from_utf8(packet).ok()?).ok()?;
    let probe = soap::operation(&document).ok().filter(|node| node.has_tag_name((DISCOVERY, "Probe")))?;
    let child = |name: &str| probe.children().find(|n| n.has_tag_name((DISCOVERY, name)));
    let types = child("Types").map(|types| (types, text(types)));
    let known =
        |(node, names): &(Node<'_, '_>, String)| names.split_whitespace().all(|name| is_ours(*node, name));
    let scopes = scopes(core);
    let wanted = child("Scopes").map(text).unwrap_or_default();
    let in_scope = wanted.split_whitespace().all(|wanted| scopes.iter().any(|ours| ours.starts_with(wanted)));
    if !types.as_ref().is_none_or(known) || !in_scope {
        return None;
    }
    let message = message_id(&document).unwrap_or_default();
    let host = match core.options.has(Fault::AnnouncesElsewhere) {
        true => ELSEWHERE.to_owned(),
        false => core.http.address().to_string(),
    };
    let body = format!(
        "<d:ProbeMatches><d:ProbeMatch><w:EndpointReference>{}</w:EndpointReference>\
         <d:Types>dn:NetworkVideoTransmitter tds:Device</d:Types>{}{}<d:MetadataVersion>1</d:MetadataVersion>\
         </d:ProbeMatch></d:ProbeMatches>",
        element("w:Address", format!("urn:uuid:00000000-0000-4000-8000-{:0>12}", core.serial.to_lowercase())),
        element("d:Scopes", scopes.join(" ")),
        element("d:XAddrs", format!("http://{host}{}", device_service::PATH)),
    );
    let header = format!(
        "{}{}{}<w:To>{ADDRESSING}/role/anonymous</w:To>",
        element("w:MessageID", format!("urn:uuid:{}", crate::random::hex_token::<16>())),
        element("w:RelatesTo", message),
        element("w:Action", format!("{DISCOVERY}/ProbeMatches")),
    );
    Some(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<e:Envelope xmlns:e=\"{ENV}\" xmlns:w=\"{ADDRESSING}\" \
         xmlns:d=\"{DISCOVERY}\" xmlns:dn=\"{NETWORK}\" xmlns:tds=\"{TDS}\"><e:Header>{header}</e:Header>\
         <e:Body>{body}</e:Body></e:Envelope>"
    ))
}

/// A name of a type with the prefix that the probe chose.
fn is_ours(node: Node<'_, '_>, name: &str) -> bool {
    let (prefix, local) = name.split_once(':').map_or((None, name), |(prefix, local)| (Some(prefix), local));
    matches!(
        (node.lookup_namespace_uri(prefix), local),
        (Some(NETWORK), "NetworkVideoTransmitter") | (Some(TDS), "Device")
    )
}

fn message_id(document: &Document<'_>) -> Option<String> {
    let header = document.root_element().children().find(|n| n.has_tag_name((ENV, "Header")))?;
    header.children().find(|n| n.has_tag_name((ADDRESSING, "MessageID"))).map(text)
}

/// What it says of itself (Core specification, "Scopes").
fn scopes(core: &Core) -> Vec<String> {
    let encode = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let byte = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        escape(&text.bytes().map(byte).collect::<String>())
    };
    [
        "type/video_encoder".to_owned(),
        format!("name/{}", encode(&core.options.name)),
        format!("hardware/{}", core.kind.name),
    ]
    .map(|scope| format!("onvif://www.onvif.org/{scope}"))
    .into()
}
