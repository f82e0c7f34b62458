//! BER to DER, as far as tags and lengths go. Firefox, other programs on NSS, and older Windows write PKCS#12 in BER:
//! lengths left open, octet strings in pieces (X.690, sections 8.1.3.6 and 8.7.3).

use zeroize::Zeroizing;

/// Deeper than any of these files nests.
const MAX_DEPTH: usize = 24;

const OCTET_STRING: u8 = 0x04;
const CONSTRUCTED: u8 = 0x20;

/// The one element that `ber` must be, with every length definite and shortest, and octet strings in one piece.
/// Content of primitive elements stays as it is, also where it holds BER again.
pub(crate) fn to_der(ber: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = ber;
    let der = element(&mut rest, 0)?;
    rest.is_empty().then_some(der)
}

/// The pieces of a constructed octet string (in DER already) as one.
pub(crate) fn joined(mut pieces: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(pieces.len()));
    while !pieces.is_empty() {
        let (tag, length) = header(&mut pieces)?;
        let (piece, rest) = pieces.split_at_checked(length?)?;
        if tag != OCTET_STRING {
            return None;
        }
        whole.extend_from_slice(piece);
        pieces = rest;
    }
    Some(whole)
}

fn element(rest: &mut &[u8], depth: usize) -> Option<Zeroizing<Vec<u8>>> {
    let (tag, length) = header(rest)?;
    if tag & CONSTRUCTED == 0 {
        let (content, after) = rest.split_at_checked(length?)?;
        *rest = after;
        return Some(with_header(tag, content));
    }
    if depth == MAX_DEPTH {
        return None;
    }
    let mut inside = match length {
        Some(length) => {
            let (content, after) = rest.split_at_checked(length)?;
            *rest = after;
            content
        }
        None => rest,
    };
    let mut content = Zeroizing::new(Vec::new());
    loop {
        match (length, inside) {
            (Some(_), []) => break,
            (None, [0, 0, after @ ..]) => {
                *rest = after;
                break;
            }
            _ => append(&mut content, &element(&mut inside, depth + 1)?),
        }
    }
    if tag == OCTET_STRING | CONSTRUCTED {
        return Some(with_header(OCTET_STRING, &joined(&content)?));
    }
    Some(with_header(tag, &content))
}

/// Tag and length, no length where it is left open. Tags of more than a byte are in none of these files.
fn header(rest: &mut &[u8]) -> Option<(u8, Option<usize>)> {
    let (&[tag, first], mut after) = rest.split_first_chunk()?;
    if tag & 0x1f == 0x1f {
        return None;
    }
    let length = match first {
        0..0x80 => Some(first.into()),
        0x80 => None,
        _ => {
            let (bytes, behind) = after.split_at_checked(usize::from(first & 0x7f))?;
            after = behind;
            let number = |n: usize, b: &u8| n.checked_mul(256)?.checked_add(usize::from(*b));
            Some(bytes.iter().try_fold(0, number)?)
        }
    };
    *rest = after;
    Some((tag, length))
}

fn with_header(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(content.len() + 10));
    der.push(tag);
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|b| **b == 0).count()..];
    match content.len() {
        short @ 0..0x80 => der.push(short as u8),
        _ => {
            der.push(0x80 | significant.len() as u8);
            der.extend_from_slice(significant);
        }
    }
    der.extend_from_slice(content);
    der
}

/// Grows by hand, so that what is left behind is wiped: it may hold a key.
fn append(whole: &mut Zeroizing<Vec<u8>>, piece: &[u8]) {
    if whole.capacity() - whole.len() < piece.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(2 * (whole.len() + piece.len())));
        larger.extend_from_slice(whole);
        *whole = larger;
    }
    whole.extend_from_slice(piece);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_lengths_are_closed_and_pieces_joined() {
        let read = |ber: &[u8]| to_der(ber).map(|der| der.to_vec());
        let whole = b"\x30\x09\x04\x03abc\x02\x01\x05\x30\x00";
        let whole = [&whole[..1], b"\x0a", &whole[2..]].concat();
        assert_eq!(read(&whole).unwrap(), whole);
        let open = b"\x30\x80\x24\x80\x04\x01a\x04\x02bc\x00\x00\x02\x81\x01\x05\x30\x80\x00\x00\x00\x00";
        assert_eq!(read(open).unwrap(), whole);
        let long = [&b"\x30\x80\x04\x82\x01\x00"[..], &[7; 256], b"\x00\x00"].concat();
        assert_eq!(read(&long).unwrap()[..8], *b"\x30\x82\x01\x04\x04\x82\x01\x00");
        assert_eq!(**joined(b"\x04\x01a\x04\x02bc").unwrap(), *b"abc");
    }

    #[test]
    fn what_is_broken_or_bottomless_is_refused() {
        let deep = [0x30, 0x80].repeat(10_000);
        for broken in
            [&deep[..], b"", b"\x30", b"\x30\x02\x04", b"\x04\x80a\x00\x00", b"\x30\x80", b"\x1f\x81\x01\x00"]
        {
            assert_eq!(to_der(broken), None, "{broken:?}");
        }
        assert_eq!(to_der(&[&[0x04, 0xff][..], &[0xff; 200]].concat()), None);
        assert_eq!(to_der(b"\x24\x03\x02\x01\x05"), None);
    }
}
