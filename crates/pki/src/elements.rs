//! The elements of DER, without a type for them.

use der::{Decode, Reader, SliceReader, Tag, Tagged, asn1::AnyRef};

/// The elements of a sequence.
pub(crate) fn elements(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let whole = AnyRef::from_der(der).ok().filter(|whole| whole.tag() == Tag::Sequence)?;
    let (found, is_whole) = elements_of(whole.value());
    is_whole.then_some(found)
}

/// The elements that stand one behind another, up to what is none; whether that is all.
pub(crate) fn elements_of(content: &[u8]) -> (Vec<AnyRef<'_>>, bool) {
    let mut found = Vec::new();
    let Ok(mut reader) = SliceReader::new(content) else { return (found, false) };
    while !reader.is_finished() {
        match AnyRef::decode(&mut reader) {
            Ok(element) => found.push(element),
            Err(_) => return (found, false),
        }
    }
    (found, true)
}
