//! Distinguished names and general names, as Chromium reads and compares them.

use super::der::{Reader, only};
use crate::der::{
    BMP_STRING, IA5_STRING, OID, PRINTABLE_STRING, SEQUENCE, SET, TELETEX_STRING, UNIVERSAL_STRING,
    UTF8_STRING, constructed, context,
};

/// An attribute of a distinguished name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Attribute {
    pub(crate) kind: Vec<u8>,
    /// Strings that can be compared with each other have that of UTF8String.
    pub(crate) tag: u32,
    /// Without the differences that do not count: case and spaces.
    pub(crate) value: Vec<u8>,
}

/// A distinguished name, ready to be compared: each relative name is sorted.
pub(crate) type Name = Vec<Vec<Attribute>>;

/// The content of a distinguished name; `None` if it cannot be compared with others.
pub(crate) fn read_name(content: &[u8]) -> Option<Name> {
    let mut reader = Reader(content);
    let mut name = Name::new();
    while !reader.is_empty() {
        name.push(read_relative(reader.value(SET)?)?);
    }
    Some(name)
}

fn read_relative(content: &[u8]) -> Option<Vec<Attribute>> {
    let mut reader = Reader(content);
    let mut attributes = Vec::new();
    while !reader.is_empty() {
        let mut attribute = reader.sequence()?;
        let kind = attribute.value(OID)?;
        let element = attribute.any()?;
        attribute.end()?;
        let (tag, value) = match text(element.tag, element.value)? {
            Some(text) => (UTF8_STRING, text),
            None => (element.tag, element.value.to_vec()),
        };
        attributes.push(Attribute { kind: kind.to_vec(), tag, value });
    }
    attributes.sort();
    (!attributes.is_empty()).then_some(attributes)
}

/// The text of a string that is compared as text, without what does not count; `None` inside for other values.
fn text(tag: u32, value: &[u8]) -> Option<Option<Vec<u8>>> {
    let utf8 = match tag {
        PRINTABLE_STRING if !value.iter().all(|b| is_printable(*b)) => return None,
        IA5_STRING if !value.is_ascii() => return None,
        PRINTABLE_STRING | IA5_STRING | UTF8_STRING => value.to_vec(),
        UNIVERSAL_STRING => wide(value, 4)?,
        BMP_STRING => wide(value, 2)?,
        _ => return Some(None),
    };
    let words = utf8.split(|b| *b == b' ').filter(|word| !word.is_empty());
    Some(Some(words.collect::<Vec<_>>().join(&b' ').to_ascii_lowercase()))
}

/// Of PrintableString; `'` to `:` has `*` in it, too.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'\''..=b':' | b'=' | b'?')
}

/// Characters of two or four bytes as UTF-8.
fn wide(value: &[u8], size: usize) -> Option<Vec<u8>> {
    if !value.len().is_multiple_of(size) {
        return None;
    }
    let characters = value.chunks(size).map(|bytes| {
        let code = bytes.iter().fold(0, |code, byte| code << 8 | u32::from(*byte));
        // Those that Unicode will never use are none.
        let is_one = code & 0xfffe != 0xfffe && !(0xfdd0..=0xfdef).contains(&code);
        char::from_u32(code).filter(|_| is_one)
    });
    Some(characters.collect::<Option<String>>()?.into_bytes())
}

/// Whether a name is well-formed, and what people are shown of it is text: common name, country, place, organisation.
pub(crate) fn can_be_shown(whole: &[u8]) -> Option<()> {
    let mut reader = Reader(only(whole, SEQUENCE)?);
    while !reader.is_empty() {
        let mut relative = Reader(reader.value(SET)?);
        if relative.is_empty() {
            return None;
        }
        while !relative.is_empty() {
            let mut attribute = relative.sequence()?;
            let is_shown = matches!(attribute.value(OID)?, [0x55, 0x04, 0x03 | 0x06..=0x08 | 0x0a | 0x0b]);
            let element = attribute.any()?;
            attribute.end()?;
            let is_text = match element.tag {
                TELETEX_STRING | UTF8_STRING => true,
                PRINTABLE_STRING => element.value.iter().all(|byte| is_printable(*byte)),
                IA5_STRING => element.value.is_ascii(),
                UNIVERSAL_STRING => wide(element.value, 4).is_some(),
                BMP_STRING => wide(element.value, 2).is_some(),
                _ => false,
            };
            if is_shown && !is_text {
                return None;
            }
        }
    }
    Some(())
}

/// Whether a name lies in a subtree, both as they are written. What cannot be compared is not in it.
pub(crate) fn is_below(name: &[u8], subtree: &[u8]) -> bool {
    let (mut name, mut subtree) = (Reader(name), Reader(subtree));
    while !name.is_empty() && !subtree.is_empty() {
        let (Some(a), Some(b)) = (name.value(SET), subtree.value(SET)) else { return false };
        match (read_relative(a), read_relative(b)) {
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
    subtree.is_empty()
}

/// The addresses in a subject's emailAddress, which is an attribute of old; `None` if one is no text.
pub(crate) fn mail_addresses(name: &Name) -> Option<Vec<String>> {
    const EMAIL_ADDRESS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01];
    let attributes = name.iter().flatten().filter(|attribute| attribute.kind == EMAIL_ADDRESS);
    let address = |attribute: &Attribute| match attribute.tag {
        UTF8_STRING => Some(String::from_utf8_lossy(&attribute.value).into_owned()),
        TELETEX_STRING => Some(attribute.value.iter().map(|b| char::from(*b)).collect()),
        _ => None,
    };
    attributes.map(address).collect()
}

/// General names by their kinds, as far as a kind can be constrained.
#[derive(Debug, Default)]
pub(crate) struct GeneralNames {
    /// A bit for each kind that is there, by its number.
    pub(crate) kinds: u16,
    pub(crate) mail: Vec<String>,
    pub(crate) dns: Vec<String>,
    /// The content of each.
    pub(crate) directory: Vec<Vec<u8>>,
    /// Addresses, or in constraints addresses with their masks.
    pub(crate) ip: Vec<Vec<u8>>,
}

/// Numbers of kinds.
pub(crate) const MAIL: u16 = 1 << 1;
pub(crate) const DNS: u16 = 1 << 2;
pub(crate) const DIRECTORY: u16 = 1 << 4;
pub(crate) const IP: u16 = 1 << 7;

impl GeneralNames {
    /// The content of a subjectAltName, which has one at least.
    pub(crate) fn read(content: &[u8]) -> Option<GeneralNames> {
        let mut reader = Reader(content);
        let mut names = GeneralNames::default();
        while !reader.is_empty() {
            names.add(reader.any()?.whole, |ip| matches!(ip.len(), 4 | 16))?;
        }
        (names.kinds != 0).then_some(names)
    }

    /// One more; `is_address` tells what may stand in an iPAddress.
    pub(crate) fn add(&mut self, whole: &[u8], is_address: fn(&[u8]) -> bool) -> Option<()> {
        let element = Reader(whole).any()?;
        let value = element.value;
        let is_constructed = element.tag & crate::der::tag(0x20) != 0;
        let number =
            (0..=8).find(|n| element.tag == if is_constructed { constructed(*n) } else { context(*n) })?;
        match (number, is_constructed) {
            (0 | 3 | 5, true) | (8, false) => {}
            (1, false) => self.mail.push(ascii(value)?),
            (2, false) => self.dns.push(ascii(value)?),
            (4, true) => self.directory.push(only(value, SEQUENCE)?.to_vec()),
            (6, false) => drop(ascii(value)?),
            (7, false) if is_address(value) => self.ip.push(value.to_vec()),
            _ => return None,
        }
        self.kinds |= 1 << number;
        Some(())
    }

    /// How many there are of those that are compared.
    pub(crate) fn count(&self) -> usize {
        self.mail.len() + self.dns.len() + self.directory.len() + self.ip.len()
    }
}

fn ascii(value: &[u8]) -> Option<String> {
    value.is_ascii().then(|| String::from_utf8_lossy(value).into_owned())
}
