//! PEM as cameras and people write it (RFC 7468, lax): text before and between the blocks, any line length,
//! carriage returns, spaces.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Each block's label and content. A block that does not end, or whose content is not base64, is `None`.
pub(crate) fn blocks(text: &str) -> Vec<(&str, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let Some((label, body)) = rest.split_once("-----") else { break };
        let end = format!("-----END {label}-----");
        match body.split_once(end.as_str()) {
            Some((content, after)) => {
                let base64: String = content.split_ascii_whitespace().collect();
                found.push((label, STANDARD.decode(base64).ok()));
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

/// One block, lines of 64 characters.
pub(crate) fn block(label: &str, der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
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
        let crooked = format!("some text\r\n{}\n{}", pem.replace('\n', " \r\n"), block("OTHER", b"x"));
        assert_eq!(blocks(&crooked), [("THING", Some(der)), ("OTHER", Some(b"x".to_vec()))]);
    }

    #[test]
    fn broken_blocks_are_seen_and_end_nothing() {
        assert_eq!(blocks("-----BEGIN A-----\nAAAA"), [("A", None)]);
        assert_eq!(blocks("-----BEGIN A-----\n%%%\n-----END A-----"), [("A", None)]);
        assert_eq!(blocks("-----BEGIN "), []);
        assert_eq!(blocks("no PEM"), []);
    }
}
