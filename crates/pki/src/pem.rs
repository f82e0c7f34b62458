//! PEM as cameras and people write it (RFC 7468, lax): text before and between the blocks, any line length,
//! carriage returns, spaces.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// What PEM can be in, of bytes in any encoding: other characters become question marks. Zeros are left out, so
/// that it can be read in UTF-16, too, which Windows makes of it at times.
pub fn text(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len()));
    let characters = bytes.iter().filter(|b| **b != 0);
    text.extend(characters.map(|b| if b.is_ascii() { *b as char } else { '?' }));
    text
}

/// Each block's label and content. A block that does not end, or whose content is not base64, is `None`.
pub fn blocks(text: &str) -> Vec<(&str, Option<Zeroizing<Vec<u8>>>)> {
    raw_blocks(text).into_iter().map(|(label, body)| (label, body.and_then(decode))).collect()
}

/// Each block's label and body, as it stands there: headers (RFC 1421) and base64. `None` is a block that does not
/// end.
pub(crate) fn raw_blocks(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, begun)) = rest.split_once("-----BEGIN ") {
        let Some((label, body)) = begun.split_once("-----") else { break };
        // Neither base64 nor a header has so many hyphens.
        let (content, end) = body.split_at(body.find("-----").unwrap_or(body.len()));
        let after = end
            .strip_prefix("-----END ")
            .and_then(|end| end.strip_prefix(label))
            .and_then(|end| end.strip_prefix("-----"));
        found.push((label, after.map(|_| content)));
        rest = after.unwrap_or(end);
    }
    found
}

/// Base64 with any white space in it, also as a string of JSON has it: line ends as the two characters `\n`, a slash
/// behind a backslash. Base64 has no backslash of its own.
pub fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    for (number, piece) in body.split('\\').enumerate() {
        let escaped = number > 0 && piece.starts_with(['n', 'r', 't']);
        let piece = if escaped { &piece[1..] } else { piece };
        base64.extend(piece.bytes().filter(|b| !b.is_ascii_whitespace()));
    }
    STANDARD.decode(&base64).ok().map(Zeroizing::new)
}

/// One block, lines of 64 characters. Written in place, once, since the content may be a private key.
pub fn block(label: &str, der: &[u8]) -> Zeroizing<String> {
    // As many bytes as make a line.
    const LINE: usize = 48;
    let length = der.len().div_ceil(3) * 4 + der.len().div_ceil(LINE) + 2 * label.len() + 32;
    let mut pem = Zeroizing::new(String::with_capacity(length));
    pem.extend(["-----BEGIN ", label, "-----\n"]);
    for line in der.chunks(LINE) {
        STANDARD.encode_string(line, &mut pem);
        pem.push('\n');
    }
    pem.extend(["-----END ", label, "-----\n"]);
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_any_shape() {
        let der = vec![7; 100];
        let pem = block("THING", &der);
        assert!(pem.lines().all(|l| l.len() <= 64));
        let crooked =
            format!("some text\r\n{}\n{}", pem.replace('\n', " \r\n"), block("OTHER", b"x").as_str());
        let found = [("THING", Some(der.into())), ("OTHER", Some(b"x".to_vec().into()))];
        assert_eq!(blocks(&crooked), found);
        let in_json = crooked.replace("\r\n", "\\r\\n").replace('\n', "\\n").replace('/', "\\/");
        assert_eq!(blocks(&in_json), found);
        let utf16: Vec<u8> =
            format!("\u{feff}é\n{crooked}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let latin1: Vec<u8> = format!("é\n{crooked}").chars().map(|c| c as u8).collect();
        for bytes in [&utf16, &latin1] {
            assert_eq!(blocks(&text(bytes)), found);
        }
    }

    #[test]
    fn a_block_has_its_room_from_the_beginning() {
        for length in [0, 1, 2, 47, 48, 49, 1000, 1217] {
            let pem = block("PRIVATE KEY", &vec![7; length]);
            assert_eq!(pem.capacity(), pem.len(), "{length}");
        }
    }

    #[test]
    fn broken_blocks_are_seen_and_end_nothing() {
        assert_eq!(blocks("-----BEGIN A-----\nAAAA"), [("A", None)]);
        assert_eq!(blocks("-----BEGIN A-----\n%%%\n-----END A-----"), [("A", None)]);
        assert_eq!(blocks("-----BEGIN "), []);
        let pem = block("A", b"x");
        let unfinished = format!("-----BEGIN A-----\nAAAA\n{}", *pem);
        assert_eq!(blocks(&unfinished), [("A", None), ("A", Some(b"x".to_vec().into()))]);
        assert_eq!(blocks("-----BEGIN A-----\nAAAA\n-----END B-----"), [("A", None)]);
    }

    #[test]
    fn many_beginnings_take_no_longer_than_many_bytes() {
        let since = std::time::Instant::now();
        assert_eq!(blocks(&"-----BEGIN A-----".repeat(500_000)).len(), 500_000);
        assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
        assert_eq!(blocks("no PEM"), []);
    }
}
