//! PEM as cameras and people write it (RFC 7468, lax): text before and between the blocks, any line length,
//! carriage returns, spaces.

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Each block's label and content. A block that does not end, or whose content is not base64, is `None`.
pub(crate) fn blocks(text: &str) -> Vec<(&str, Option<Zeroizing<Vec<u8>>>)> {
    raw_blocks(text).into_iter().map(|(label, body)| (label, body.and_then(decode))).collect()
}

/// Each block's label and body, as it stands there: headers (RFC 1421) and base64. `None` is a block that does not
/// end.
pub(crate) fn raw_blocks(text: &str) -> Vec<(&str, Option<&str>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let Some((label, body)) = rest.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        match body.split_once(end.as_str()) {
            Some((content, after)) => {
                found.push((label, Some(content)));
                rest = after;
            }
            None => {
                found.push((label, None));
                rest = body;
            }
        }
    }
    found
}

/// Base64 with any white space in it.
pub(crate) fn decode(body: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut base64 = Zeroizing::new(Vec::with_capacity(body.len()));
    base64.extend(body.bytes().filter(|b| !b.is_ascii_whitespace()));
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
        let expected = [("THING", Some(der.into())), ("OTHER", Some(b"x".to_vec().into()))];
        assert_eq!(blocks(&crooked), expected);
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
        assert_eq!(blocks("no PEM"), []);
    }
}
