//! PEM, as far as trust stores need it.

use base64::{Engine, engine::general_purpose::STANDARD};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One certificate as PEM.
pub fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("{BEGIN}\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        pem += line;
        pem.push('\n');
        rest = more;
    }
    pem + END + "\n"
}

/// The DER of every certificate in a text, whatever stands between them. What is no base64 is left out.
pub fn decode_all(text: &str) -> impl Iterator<Item = Vec<u8>> + '_ {
    let blocks = text.split(BEGIN).skip(1).filter_map(|rest| Some(rest.split_once(END)?.0));
    blocks.filter_map(|block| STANDARD.decode(block.split_ascii_whitespace().collect::<String>()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_again() {
        for length in [1, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..length).map(|i: usize| i as u8).collect();
            let text = format!("# a comment\n{}junk\r\n{}", encode(&der), encode(b"second"));
            assert_eq!(decode_all(&text).collect::<Vec<_>>(), [der, b"second".to_vec()]);
            assert!(text.lines().all(|line| line.len() <= 64));
        }
    }

    #[test]
    fn what_is_broken_is_left_out() {
        let text = format!("{BEGIN}\n!!!\n{END}\n{}{BEGIN}\nAAAA", encode(b"whole"));
        assert_eq!(decode_all(&text).collect::<Vec<_>>(), [b"whole".to_vec()]);
    }
}
