//! Names and name constraints, as Firefox compares them.

use super::{
    der::{BAD_DER, Page, Reader, only},
    dns,
};
use crate::der::{
    IA5_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET, TELETEX_STRING, UTF8_STRING, constructed, context,
};

pub(crate) const NOT_IN_NAME_SPACE: Page = "SEC_ERROR_CERT_NOT_IN_NAME_SPACE";

const MAIL: u32 = context(1);
const DNS: u32 = context(2);
const DIRECTORY: u32 = constructed(4);
const IP: u32 = context(7);
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];

/// A general name: its kind as tag, and the value.
fn general_name<'a>(reader: &mut Reader<'a>) -> Result<(u32, &'a [u8]), Page> {
    const OTHERS: [u32; 5] = [constructed(0), constructed(3), constructed(5), context(6), context(8)];
    let element = reader.any()?;
    let is_one = [MAIL, DNS, DIRECTORY, IP].contains(&element.tag) || OTHERS.contains(&element.tag);
    if is_one { Ok((element.tag, element.value)) } else { Err(BAD_DER) }
}

/// Whether one of the names (a subjectAltName) is this address or host. It stops at the first that is, or that cannot
/// be read.
pub(crate) fn is_for(names: Option<&[u8]>, host: &domain::AltName) -> Result<bool, Page> {
    let Some(names) = names else { return Ok(false) };
    let mut reader = only(names, SEQUENCE)?;
    while !reader.is_empty() {
        let (kind, value) = general_name(&mut reader)?;
        let is_it = match host {
            domain::AltName::Ip(std::net::IpAddr::V4(ip)) => kind == IP && value == ip.octets(),
            domain::AltName::Ip(std::net::IpAddr::V6(ip)) => kind == IP && value == ip.octets(),
            domain::AltName::Dns(host) => kind == DNS && dns::is_host(value, host.as_bytes())?,
        };
        if is_it {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether all names of a certificate lie inside an issuer's constraints: subjectAltNames, and the subject. A server's
/// common name counts if it has no other name.
pub(crate) fn check(
    constraints: &[u8],
    names: Option<&[u8]>,
    subject: &[u8],
    is_leaf: bool,
) -> Result<(), Page> {
    let mut with_common_name = is_leaf;
    if let Some(names) = names {
        let mut reader = only(names, SEQUENCE)?;
        while !reader.is_empty() {
            let (kind, value) = general_name(&mut reader)?;
            conforms(constraints, kind, value)?;
            with_common_name &= !matches!(kind, DNS | IP);
        }
    }
    conforms(constraints, DIRECTORY, subject)?;
    if names.is_some() && !with_common_name {
        return Ok(());
    }
    // Of several common names the last one counts.
    let mut is_outside = false;
    let mut reader = Reader(subject).inside(SEQUENCE)?;
    while !reader.is_empty() {
        let mut relative = reader.inside(SET)?;
        loop {
            let attribute = Attribute::read(&mut relative)?;
            if with_common_name && attribute.kind == COMMON_NAME {
                is_outside = common_name(constraints, &attribute).is_err();
            } else if names.is_none() && attribute.kind == EMAIL_ADDRESS {
                let is_text = attribute.tag == IA5_STRING;
                is_text.then_some(()).ok_or(BAD_DER)?;
                conforms(constraints, MAIL, attribute.value)?;
            }
            if relative.is_empty() {
                break;
            }
        }
    }
    if is_outside { Err(NOT_IN_NAME_SPACE) } else { Ok(()) }
}

fn common_name(constraints: &[u8], attribute: &Attribute<'_>) -> Result<(), Page> {
    if ![PRINTABLE_STRING, UTF8_STRING, TELETEX_STRING].contains(&attribute.tag) {
        return Ok(());
    }
    if dns::is_presented(attribute.value) {
        return conforms(constraints, DNS, attribute.value);
    }
    let text = str::from_utf8(attribute.value).unwrap_or_default();
    match text.parse::<std::net::Ipv4Addr>() {
        Ok(ip) => conforms(constraints, IP, &ip.octets()),
        Err(_) => Ok(()),
    }
}

/// Whether one name is permitted, if there is a permitted subtree of its kind, and not excluded.
fn conforms(constraints: &[u8], kind: u32, name: &[u8]) -> Result<(), Page> {
    let mut reader = only(constraints, SEQUENCE)?;
    if reader.is_empty() {
        return Err(BAD_DER);
    }
    for (tag, is_excluded) in [(constructed(0), false), (constructed(1), true)] {
        if !reader.is_next(tag) {
            continue;
        }
        let mut subtrees = reader.inside(tag)?;
        let (mut is_inside, mut is_outside) = (false, false);
        loop {
            let mut subtree = subtrees.inside(SEQUENCE)?;
            let (base_kind, base) = general_name(&mut subtree)?;
            subtree.end()?;
            if base_kind == kind {
                match holds(kind, base, name, is_excluded)? {
                    true if is_excluded => return Err(NOT_IN_NAME_SPACE),
                    true => is_inside = true,
                    false => is_outside = true,
                }
            }
            if subtrees.is_empty() {
                break;
            }
        }
        if !is_excluded && is_outside && !is_inside {
            return Err(NOT_IN_NAME_SPACE);
        }
    }
    reader.end()
}

fn holds(kind: u32, base: &[u8], name: &[u8], is_excluded: bool) -> Result<bool, Page> {
    match kind {
        DNS => dns::is_below(base, name),
        IP => network_holds(base, name),
        DIRECTORY if is_excluded => {
            let (base, name) = (only(base, SEQUENCE)?, only(name, SEQUENCE)?);
            // It does not compare them, and refuses what it might have to.
            Ok(base.is_empty() && name.is_empty())
                .and_then(|both| if both { Ok(true) } else { Err(NOT_IN_NAME_SPACE) })
        }
        DIRECTORY => directory_holds(base, name),
        MAIL => dns::mail_is_below(base, name),
        // Kinds that it cannot compare.
        _ => Err(NOT_IN_NAME_SPACE),
    }
}

/// A mask with holes is one.
fn network_holds(network: &[u8], ip: &[u8]) -> Result<bool, Page> {
    if !matches!(ip.len(), 4 | 16) || !matches!(network.len(), 8 | 32) {
        return Err(BAD_DER);
    }
    let (base, mask) = network.split_at(network.len() / 2);
    Ok(ip.len() == base.len() && ip.iter().zip(base).zip(mask).all(|((a, b), m)| (a ^ b) & m == 0))
}

fn directory_holds(base: &[u8], name: &[u8]) -> Result<bool, Page> {
    let (mut base, mut name) = (only(base, SEQUENCE)?, only(name, SEQUENCE)?);
    while !base.is_empty() {
        if name.is_empty() {
            return Ok(false);
        }
        let (mut a, mut b) = (base.inside(SET)?, name.inside(SET)?);
        while !a.is_empty() && !b.is_empty() {
            if Attribute::read(&mut a)? != Attribute::read(&mut b)? {
                return Ok(false);
            }
        }
        if !a.is_empty() || !b.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Attribute<'a> {
    kind: &'a [u8],
    tag: u32,
    value: &'a [u8],
}

impl<'a> Attribute<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Attribute<'a>, Page> {
        let mut inside = reader.inside(SEQUENCE)?;
        let kind = inside.value(OID)?;
        let element = inside.any()?;
        inside.end()?;
        Ok(Attribute { kind, tag: element.tag, value: element.value })
    }
}

impl PartialEq for Attribute<'_> {
    fn eq(&self, other: &Self) -> bool {
        let is_text = |tag| matches!(tag, PRINTABLE_STRING | UTF8_STRING);
        let alike = self.tag == other.tag || is_text(self.tag) && is_text(other.tag);
        alike && self.kind == other.kind && self.value == other.value
    }
}
