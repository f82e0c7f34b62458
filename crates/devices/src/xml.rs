//! XML as firmware writes it.
//!
//! A document is read as it stands. Where that is no XML it is read once more with what firmware is known to spoil put
//! right: one bad byte in a camera's name must not lose the camera. What is cut off or badly nested stays unreadable.

use std::borrow::Cow;

use roxmltree::{Document, ParsingOptions};

/// A keystore with 100 certificates of RSA-4096 fits.
const BYTES_MAX: usize = 256 << 10;
/// Declarations, in the whole document. gSOAP puts about 60 on the envelope.
const NAMESPACES_MAX: usize = 500;
/// Of one element.
const ATTRIBUTES_MAX: usize = 500;
const NODES_MAX: u32 = 50_000;
/// Prefixes that a document uses and does not declare.
const UNDECLARED_MAX: usize = 8;

/// What `of` makes of the document in `bytes`; `None` if it is no XML, or too large to be read in a moment.
pub(crate) fn read<T>(bytes: &[u8], of: impl FnOnce(&Document<'_>) -> T) -> Option<T> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if !is_cheap(text) {
        return None;
    }
    if let Ok(document) = parse(text) {
        return Some(of(&document));
    }
    let mut text = mended(text)?;
    for _ in 0..=UNDECLARED_MAX {
        match parse(&text) {
            Ok(document) => return Some(of(&document)),
            Err(roxmltree::Error::UnknownNamespace(prefix, _)) => text = declared(&text, &prefix)?,
            Err(_) => return None,
        }
    }
    None
}

fn parse(text: &str) -> Result<Document<'_>, roxmltree::Error> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    Document::parse_with_options(text, options)
}

/// Whether the parser can read it at once: its time grows with the square of an element's attributes, and with
/// the namespaces times the elements that declare one.
fn is_cheap(text: &str) -> bool {
    text.len() <= BYTES_MAX
        && text.matches("xmlns").count() <= NAMESPACES_MAX
        // No attribute may hold a '<', so each tag is within one piece.
        && text.split('<').all(|tag| tag.matches('=').count() <= ATTRIBUTES_MAX)
}

/// Without what stands before the first tag and after the last (a string's closing NUL), without the characters that XML
/// 1.0 forbids (section 2.2), and with every `&` that begins no reference written as one.
fn mended(text: &str) -> Option<String> {
    let text = text.get(text.find('<')?..=text.rfind('>')?)?;
    let mut out = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        match letter {
            '&' if !begins_reference(&text[at..]) => out.push_str("&amp;"),
            _ if is_allowed(letter) => out.push(letter),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
    Some(out)
}

fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Whether `text` begins with a reference that XML knows without a DTD (section 4.6).
fn begins_reference(text: &str) -> bool {
    const LONGEST: usize = 12;
    let Some(end) = text.bytes().take(LONGEST).position(|byte| byte == b';') else { return false };
    let name = &text[1..end];
    let number = match name.strip_prefix('#') {
        Some(digits) => match digits.strip_prefix('x') {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => digits.parse().ok(),
        },
        None => return matches!(name, "amp" | "lt" | "gt" | "quot" | "apos"),
    };
    number.and_then(char::from_u32).is_some_and(is_allowed)
}

/// The same document with `prefix` declared on its root: as the namespace that the prefix usually has, else as one that
/// nobody asks for.
fn declared(text: &str, prefix: &str) -> Option<String> {
    let root = text.match_indices('<').find(|(at, _)| !text[at + 1..].starts_with(['?', '!']))?.0;
    let name_end = root + text[root..].find(|c: char| c.is_whitespace() || matches!(c, '>' | '/'))?;
    let namespace: Cow<'_, str> = match prefix {
        "s" | "env" | "soap" | "SOAP-ENV" | "soapenv" => "http://www.w3.org/2003/05/soap-envelope".into(),
        "tds" => "http://www.onvif.org/ver10/device/wsdl".into(),
        "tas" => "http://www.onvif.org/ver10/advancedsecurity/wsdl".into(),
        "trt" => "http://www.onvif.org/ver10/media/wsdl".into(),
        "tt" => "http://www.onvif.org/ver10/schema".into(),
        "ter" => "http://www.onvif.org/ver10/error".into(),
        "wsa" => "http://schemas.xmlsoap.org/ws/2004/08/addressing".into(),
        "wsdd" => "http://schemas.xmlsoap.org/ws/2005/04/discovery".into(),
        _ => format!("urn:undeclared:{prefix}").into(),
    };
    Some(format!("{} xmlns:{prefix}=\"{namespace}\"{}", &text[..name_end], &text[name_end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_text(document: impl AsRef<[u8]>) -> Option<String> {
        read(document.as_ref(), |document| document.root_element().text().unwrap_or_default().to_owned())
    }

    #[test]
    fn one_bad_byte_loses_no_document() {
        let cut_off = b"<a>G\xc6\xe4t</a>";
        for (document, text) in [
            (&b"<a>plain</a>"[..], "plain"),
            (b"\xef\xbb\xbf\r\n<a>mark</a>", "mark"),
            (b"<a>end</a>\0", "end"),
            (b"<a>end</a>\0\0\r\nHTTP", "end"),
            (b"junk <a>start</a>", "start"),
            (cut_off, "G\u{fffd}\u{fffd}t"),
            (b"<a>bell\x07</a>", "bell\u{fffd}"),
            (b"<a>Tom & Jerry</a>", "Tom & Jerry"),
            (b"<a>a&b;&nbsp;&amp;&#65;&#x42;&#0;&</a>", "a&b;&nbsp;&AB&#0;&"),
            (b"<?xml version=\"1.0\" encoding=\"GBK\"?><!-- c --><x:a y:z=\"1\">prefix</x:a>", "prefix"),
        ] {
            assert_eq!(root_text(document).as_deref(), Some(text), "{}", String::from_utf8_lossy(document));
        }
    }

    #[test]
    fn a_usual_prefix_has_its_usual_namespace() {
        let text = "<e:Envelope xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><tds:A/></e:Envelope>";
        let tag = read(text.as_bytes(), |d| {
            d.root_element().first_element_child().map(|a| a.tag_name().namespace().map(str::to_owned))
        });
        assert_eq!(tag, Some(Some(Some("http://www.onvif.org/ver10/device/wsdl".to_owned()))));
    }

    #[test]
    fn what_is_cut_off_or_too_large_is_not_read() {
        for document in
            ["", "no xml", "<a>", "<a><b></a>", "<a></a><b>", "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>"]
        {
            assert_eq!(root_text(document), None, "{document}");
        }
        let many: String = (0..=UNDECLARED_MAX).map(|n| format!("<p{n}:a/>")).collect();
        assert_eq!(root_text(format!("<a>{many}</a>")), None);
        assert_eq!(root_text(format!("<a>{}</a>", " ".repeat(BYTES_MAX))), None);
    }
}
