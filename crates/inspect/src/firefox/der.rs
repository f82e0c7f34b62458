//! What Firefox's reader demands of DER (mozilla::pkix). It says which kind of error it met.

use crate::der::{
    BIT_STRING, BOOLEAN, Element, GENERALIZED_TIME, INTEGER, NULL, UTC_TIME, is_minimal_integer, moment,
};

/// The name of an error page.
pub(crate) type Page = &'static str;

pub(crate) const BAD_DER: Page = "SEC_ERROR_BAD_DER";
pub(crate) const INVALID_INTEGER: Page = "MOZILLA_PKIX_ERROR_INVALID_INTEGER_ENCODING";
const INVALID_TIME: Page = "SEC_ERROR_INVALID_TIME";

/// Reads elements one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the next byte is this tag.
    pub(crate) fn is_next(&self, tag: u32) -> bool {
        self.0.first().is_some_and(|byte| crate::der::tag(*byte) == tag)
    }

    /// Any element: of a tag of one byte, and below 64 KiB.
    pub(crate) fn any(&mut self) -> Result<Element<'a>, Page> {
        let (element, rest) = Element::read(self.0).ok_or(BAD_DER)?;
        if self.0[0] & 0x1f == 0x1f || element.header() > 4 {
            return Err(BAD_DER);
        }
        self.0 = rest;
        Ok(element)
    }

    /// The element, which has this tag.
    pub(crate) fn element(&mut self, tag: u32) -> Result<Element<'a>, Page> {
        self.any().and_then(|element| if element.tag == tag { Ok(element) } else { Err(BAD_DER) })
    }

    /// Its value.
    pub(crate) fn value(&mut self, tag: u32) -> Result<&'a [u8], Page> {
        self.element(tag).map(|element| element.value)
    }

    /// The inside of an element.
    pub(crate) fn inside(&mut self, tag: u32) -> Result<Reader<'a>, Page> {
        self.value(tag).map(Reader)
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), Page> {
        if self.is_empty() { Ok(()) } else { Err(BAD_DER) }
    }

    /// FALSE if it is not there.
    pub(crate) fn optional_boolean(&mut self) -> Result<bool, Page> {
        if !self.is_next(BOOLEAN) {
            return Ok(false);
        }
        match self.value(BOOLEAN)? {
            [0] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(BAD_DER),
        }
    }

    /// An integer in its shortest form.
    pub(crate) fn integer(&mut self) -> Result<&'a [u8], Page> {
        let value = self.value(INTEGER)?;
        if is_minimal_integer(value) { Ok(value) } else { Err(INVALID_INTEGER) }
    }

    /// Above zero; without leading zero.
    pub(crate) fn positive(&mut self) -> Result<&'a [u8], Page> {
        match self.integer()? {
            [0] | [0x80..=0xff, ..] => Err(INVALID_INTEGER),
            [0, rest @ ..] => Ok(rest),
            value => Ok(value),
        }
    }

    /// From 0 to 127.
    pub(crate) fn small(&mut self) -> Result<u8, Page> {
        match self.integer()? {
            [byte @ ..0x80] => Ok(*byte),
            _ => Err(INVALID_INTEGER),
        }
    }

    pub(crate) fn null(&mut self) -> Result<(), Page> {
        self.inside(NULL)?.end()
    }

    /// A BIT STRING of whole bytes.
    pub(crate) fn whole_bits(&mut self) -> Result<&'a [u8], Page> {
        match self.value(BIT_STRING)? {
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(BAD_DER),
        }
    }

    /// UTCTime or GeneralizedTime with seconds and `Z`, since 1970, without leap seconds: in seconds since then.
    pub(crate) fn time(&mut self) -> Result<i64, Page> {
        let tag = if self.is_next(UTC_TIME) { UTC_TIME } else { GENERALIZED_TIME };
        let value = self.value(tag).map_err(|_| INVALID_TIME)?;
        seconds(value, tag == UTC_TIME).ok_or(INVALID_TIME)
    }
}

/// The only element's inside.
pub(crate) fn only(bytes: &[u8], tag: u32) -> Result<Reader<'_>, Page> {
    let mut reader = Reader(bytes);
    let inside = reader.inside(tag)?;
    reader.end()?;
    Ok(inside)
}

fn seconds(value: &[u8], is_short: bool) -> Option<i64> {
    let (year, [month, day, hour, minute, second]) = moment(value, is_short)?;
    let date = time::Date::from_calendar_date(year.into(), time::Month::try_from(month).ok()?, day).ok()?;
    let time = time::Time::from_hms(hour, minute, second).ok()?;
    (year >= 1970).then(|| date.with_time(time).assume_utc().unix_timestamp())
}
