//! What NSS wants of a certificate before mozilla::pkix sees it: its decoder knows the structure, and no content.

use crate::der::{
    BIT_STRING, BOOLEAN, Element, GENERALIZED_TIME, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, UTC_TIME,
    constructed, context, tag,
};

/// The subject, if it can be taken apart.
pub(crate) fn subject(der: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader(der);
    let mut inside = Reader(reader.value(SEQUENCE)?);
    reader.end()?;
    let subject = signed_part(Reader(inside.value(SEQUENCE)?))?;
    algorithm(inside.value(SEQUENCE)?)?;
    is_bits(inside.value(BIT_STRING)?)?;
    inside.end()?;
    Some(subject)
}

fn signed_part(mut reader: Reader<'_>) -> Option<&[u8]> {
    if let Some(version) = reader.optional(constructed(0)) {
        // What comes after it inside is not looked at.
        Reader(version?).some(INTEGER)?;
    }
    reader.some(INTEGER)?;
    algorithm(reader.value(SEQUENCE)?)?;
    name(reader.value(SEQUENCE)?)?;
    let mut validity = Reader(reader.value(SEQUENCE)?);
    for _ in ["notBefore", "notAfter"] {
        let element = validity.any()?;
        let is_time = matches!(element.tag, UTC_TIME | GENERALIZED_TIME) && !element.value.is_empty();
        is_time.then_some(())?;
    }
    validity.end()?;
    let subject = reader.any().filter(|element| element.tag == SEQUENCE)?;
    name(subject.value)?;
    let mut key = Reader(reader.value(SEQUENCE)?);
    algorithm(key.value(SEQUENCE)?)?;
    is_bits(key.value(BIT_STRING)?)?;
    key.end()?;
    for number in [1, 2] {
        if let Some(identifier) = reader.optional(context(number)) {
            is_bits(identifier?)?;
        }
    }
    if let Some(wrapped) = reader.optional(constructed(3)) {
        let mut extensions = Reader(Reader(wrapped?).value(SEQUENCE)?);
        while !extensions.0.is_empty() {
            let mut extension = Reader(extensions.value(SEQUENCE)?);
            extension.some(OID)?;
            if let Some(critical) = extension.optional(BOOLEAN) {
                critical?.first()?;
            }
            extension.value(OCTET_STRING)?;
            extension.end()?;
        }
    }
    reader.end()?;
    Some(subject.whole)
}

fn algorithm(content: &[u8]) -> Option<()> {
    let mut reader = Reader(content);
    reader.some(OID)?;
    if !reader.0.is_empty() {
        reader.any()?;
    }
    reader.end()
}

fn name(content: &[u8]) -> Option<()> {
    let mut reader = Reader(content);
    while !reader.0.is_empty() {
        let mut relative = Reader(reader.value(SET)?);
        while !relative.0.is_empty() {
            let mut attribute = Reader(relative.value(SEQUENCE)?);
            attribute.some(OID)?;
            attribute.any()?;
            attribute.end()?;
        }
    }
    Some(())
}

/// The content of a BIT STRING.
fn is_bits(content: &[u8]) -> Option<()> {
    let (spare, bytes) = content.split_first()?;
    (*spare == 0 || *spare < 8 && !bytes.is_empty()).then_some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Of a tag of one byte.
    fn any(&mut self) -> Option<Element<'a>> {
        let (element, rest) = Element::read(self.0)?;
        let is_long = self.0.first().is_some_and(|byte| byte & 0x1f == 0x1f);
        // Of NULL, or what has its number, there is nothing.
        let is_odd_null = element.tag & 0x1f == 5 && !element.value.is_empty();
        if is_long || is_odd_null || element.tag == tag(0x00) {
            return None;
        }
        self.0 = rest;
        Some(element)
    }

    fn value(&mut self, tag: u32) -> Option<&'a [u8]> {
        self.any().filter(|element| element.tag == tag).map(|element| element.value)
    }

    /// With a value of one byte at least.
    fn some(&mut self, tag: u32) -> Option<&'a [u8]> {
        self.value(tag).filter(|value| !value.is_empty())
    }

    /// If the next one has this tag: its value, or that it cannot be read.
    fn optional(&mut self, tag: u32) -> Option<Option<&'a [u8]>> {
        let is_next = self.0.first().is_some_and(|byte| crate::der::tag(*byte) == tag);
        is_next.then(|| self.value(tag))
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}
