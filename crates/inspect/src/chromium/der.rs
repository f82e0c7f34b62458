//! What Chromium's reader demands of DER (BoringSSL's CBS and the library pki).

use crate::der::{
    BIT_STRING, BOOLEAN, Element, GENERALIZED_TIME, INTEGER, SEQUENCE, UTC_TIME, is_minimal_integer, moment,
    tag,
};

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Any element.
    pub(crate) fn any(&mut self) -> Option<Element<'a>> {
        let (element, rest) = Element::read(self.0)?;
        // Reserved for the end of indefinite lengths, which are not DER.
        if element.tag == tag(0x00) || element.tag == tag(0x20) {
            return None;
        }
        self.0 = rest;
        Some(element)
    }

    /// The element, if it has this tag.
    pub(crate) fn element(&mut self, tag: u32) -> Option<Element<'a>> {
        self.any().filter(|element| element.tag == tag)
    }

    /// Its value, if it has this tag.
    pub(crate) fn value(&mut self, tag: u32) -> Option<&'a [u8]> {
        self.element(tag).map(|element| element.value)
    }

    pub(crate) fn sequence(&mut self) -> Option<Reader<'a>> {
        self.value(SEQUENCE).map(Reader)
    }

    /// The value of the next element if it has this tag; another one stays, but must be one.
    pub(crate) fn optional(&mut self, tag: u32) -> Option<Option<&'a [u8]>> {
        if self.is_empty() {
            return Some(None);
        }
        let mut ahead = *self;
        let element = ahead.any()?;
        if element.tag != tag {
            return Some(None);
        }
        *self = ahead;
        Some(Some(element.value))
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

/// The value of the only element, which has this tag.
pub(crate) fn only(bytes: &[u8], tag: u32) -> Option<&[u8]> {
    let mut reader = Reader(bytes);
    let value = reader.value(tag)?;
    reader.end()?;
    Some(value)
}

/// The content of the only element, which is a SEQUENCE.
pub(crate) fn only_sequence(bytes: &[u8]) -> Option<Reader<'_>> {
    only(bytes, SEQUENCE).map(Reader)
}

/// TRUE is all ones.
pub(crate) fn boolean(value: &[u8]) -> Option<bool> {
    match value {
        [0] => Some(false),
        [0xff] => Some(true),
        _ => None,
    }
}

/// Its default left out, or not.
pub(crate) fn optional_boolean(reader: &mut Reader<'_>) -> Option<Option<bool>> {
    match reader.optional(BOOLEAN)? {
        None => Some(None),
        Some(value) => boolean(value).map(Some),
    }
}

/// An unsigned integer, without leading zero.
pub(crate) fn unsigned(value: &[u8]) -> Option<&[u8]> {
    match value {
        _ if !is_minimal_integer(value) => None,
        [0x80..=0xff, ..] => None,
        [0, rest @ ..] if !rest.is_empty() => Some(rest),
        _ => Some(value),
    }
}

/// From 0 to 255.
pub(crate) fn small(value: &[u8]) -> Option<u8> {
    match unsigned(value)? {
        [byte] => Some(*byte),
        _ => None,
    }
}

/// The only element, from 0 to 255.
pub(crate) fn only_small(bytes: &[u8]) -> Option<u8> {
    small(only(bytes, INTEGER)?)
}

/// The bytes of a BIT STRING and how many bits at its end are not part of it: these are zero.
pub(crate) fn bits(value: &[u8]) -> Option<(u8, &[u8])> {
    let (unused, bytes) = value.split_first()?;
    let is_well_formed = match (unused, bytes.last()) {
        (0, _) => true,
        (1..8, Some(last)) => last & ((1 << unused) - 1) == 0,
        _ => false,
    };
    is_well_formed.then_some((*unused, bytes))
}

/// The only element, a BIT STRING.
pub(crate) fn only_bits(bytes: &[u8]) -> Option<(u8, &[u8])> {
    bits(only(bytes, BIT_STRING)?)
}

/// A moment, in an order: year, month, day, hour, minute, second. A leap second is one.
pub(crate) type Moment = (u16, u8, u8, u8, u8, u8);

/// UTCTime or GeneralizedTime, with seconds and `Z`.
pub(crate) fn time(element: Element<'_>) -> Option<Moment> {
    if !matches!(element.tag, UTC_TIME | GENERALIZED_TIME) {
        return None;
    }
    let (year, [month, day, hour, minute, second]) = moment(element.value, element.tag == UTC_TIME)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    };
    let is_one = (1..=days).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    is_one.then_some((year, month, day, hour, minute, second))
}
