//! DER as far as both browsers read it alike: a tag, a definite and shortest length, the value. What each demands beyond
//! that is in `chromium::der` and `firefox::der`.

/// One element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element<'a> {
    /// Class and form in the upper three bits, the number in the others.
    pub(crate) tag: u32,
    pub(crate) value: &'a [u8],
    /// With tag and length.
    pub(crate) whole: &'a [u8],
}

/// The tag that is written as this byte.
pub(crate) const fn tag(byte: u8) -> u32 {
    ((byte & 0xe0) as u32) << 24 | (byte & 0x1f) as u32
}

pub(crate) const BOOLEAN: u32 = tag(0x01);
pub(crate) const INTEGER: u32 = tag(0x02);
pub(crate) const BIT_STRING: u32 = tag(0x03);
pub(crate) const OCTET_STRING: u32 = tag(0x04);
pub(crate) const NULL: u32 = tag(0x05);
pub(crate) const OID: u32 = tag(0x06);
pub(crate) const UTF8_STRING: u32 = tag(0x0c);
pub(crate) const PRINTABLE_STRING: u32 = tag(0x13);
pub(crate) const TELETEX_STRING: u32 = tag(0x14);
pub(crate) const IA5_STRING: u32 = tag(0x16);
pub(crate) const UTC_TIME: u32 = tag(0x17);
pub(crate) const GENERALIZED_TIME: u32 = tag(0x18);
pub(crate) const UNIVERSAL_STRING: u32 = tag(0x1c);
pub(crate) const BMP_STRING: u32 = tag(0x1e);
pub(crate) const SEQUENCE: u32 = tag(0x30);
pub(crate) const SET: u32 = tag(0x31);

/// `[number]`, of primitive form.
pub(crate) const fn context(number: u8) -> u32 {
    tag(0x80 | number)
}

/// `[number]`, of constructed form.
pub(crate) const fn constructed(number: u8) -> u32 {
    tag(0xa0 | number)
}

impl<'a> Element<'a> {
    /// The first element, and what comes after it.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<(Element<'a>, &'a [u8])> {
        let (first, rest) = bytes.split_first()?;
        let (tag, rest) = match first & 0x1f {
            0x1f => {
                let (number, rest) = high_number(rest)?;
                (u32::from(first & 0xe0) << 24 | number, rest)
            }
            _ => (tag(*first), rest),
        };
        let (length, rest) = length(rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        Some((Element { tag, value, whole: &bytes[..bytes.len() - rest.len()] }, rest))
    }

    /// How many bytes stand before the value.
    pub(crate) fn header(&self) -> usize {
        self.whole.len() - self.value.len()
    }
}

/// The number of a tag that does not fit into its first byte: groups of seven bits.
fn high_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number: u32 = 0;
    for (n, byte) in bytes.iter().enumerate() {
        let is_padding = n == 0 && *byte == 0x80;
        // More would not leave room for class and form.
        if is_padding || number >> 22 != 0 {
            return None;
        }
        number = number << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return (number >= 0x1f).then_some((number, &bytes[n + 1..]));
        }
    }
    None
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        0..=0x7f => Some((usize::from(*first), rest)),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let is_shortest = bytes.first() != Some(&0) && length >= 0x80;
            is_shortest.then_some((length, rest))
        }
        _ => None,
    }
}

/// Year, and month, day, hour, minute and second, as they stand in a UTCTime (`is_short`) or a GeneralizedTime with seconds
/// and `Z`. Whether there is such a moment is each browser's to say.
pub(crate) fn moment(value: &[u8], is_short: bool) -> Option<(u16, [u8; 5])> {
    let digits = value.strip_suffix(b"Z")?;
    if digits.len() != if is_short { 12 } else { 14 } || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let parts: Vec<u8> = digits.chunks(2).map(|pair| 10 * (pair[0] - b'0') + (pair[1] - b'0')).collect();
    let (year, rest) = match parts.as_slice() {
        [year, rest @ ..] if is_short => (u16::from(*year) + if *year < 50 { 2000 } else { 1900 }, rest),
        [century, year, rest @ ..] => (100 * u16::from(*century) + u16::from(*year), rest),
        _ => return None,
    };
    Some((year, rest.try_into().ok()?))
}

/// Whether an INTEGER's first byte says something.
pub(crate) fn is_minimal_integer(value: &[u8]) -> bool {
    match value {
        [] => false,
        [0, next, ..] => next & 0x80 != 0,
        [0xff, next, ..] => next & 0x80 == 0,
        _ => true,
    }
}
