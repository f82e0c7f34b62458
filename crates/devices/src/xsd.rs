//! The few XML Schema types that ONVIF answers are made of (XML Schema Part 2).

use std::time::Duration;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// xs:boolean, section 3.2.2.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// xs:duration, section 3.2.6, such as `PT10S`. Years and months count 365 and 30 days: nobody waits that
/// long, the caller bounds it. A negative duration is none.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('P')?;
    let mut in_time = false;
    let mut seconds = 0_f64;
    let mut seen = false;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            if in_time || time.is_empty() {
                return None;
            }
            (in_time, rest) = (true, time);
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        seconds += number
            * match (in_time, unit) {
                (false, 'Y') => 365.0 * 86_400.0,
                (false, 'M') => 30.0 * 86_400.0,
                (false, 'D') => 86_400.0,
                (true, 'H') => 3600.0,
                (true, 'M') => 60.0,
                (true, 'S') => 1.0,
                _ => return None,
            };
        rest = &rest[end + unit.len_utf8()..];
        seen = true;
    }
    if seen { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

/// xs:base64Binary, section 3.2.16: white space anywhere. Padding may be absent, as some firmware leaves it.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    const TOLERANT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let packed: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    TOLERANT.decode(packed).ok()
}

/// `data` as xs:base64Binary.
pub(crate) fn to_base64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

/// The DER that an answer holds in base64, or in PEM inside base64, as some firmware does it.
pub(crate) fn der(text: &str) -> Option<Vec<u8>> {
    let data = base64(text)?;
    if !data.starts_with(b"-----BEGIN") {
        return Some(data);
    }
    let pem = String::from_utf8(data).ok()?;
    let body: Vec<&str> = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64(&body.concat())
}

/// `text` as character data or attribute value.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("PT10S", 10.0),
            ("PT0.5S", 0.5),
            ("PT2M3S", 123.0),
            ("P1DT1H", 90_000.0),
            ("P1Y2M", 36_720_000.0),
            ("PT0S", 0.0),
        ] {
            assert_eq!(duration(text), Duration::try_from_secs_f64(seconds).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        let endless = format!("P{}Y", "9".repeat(400));
        for text in
            ["", "P", "PT", "-PT1S", "10", "PT10", "P1S", "PT1D", "PTT1S", "PT..S", "PT1é", "é", &endless]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn base64_may_hold_white_space_and_pem() {
        assert_eq!(base64(" AQ\n ID ").unwrap(), [1, 2, 3]);
        assert_eq!(base64("AQ").unwrap(), [1]);
        assert_eq!(base64("A*=="), None);
        let pem =
            to_base64("-----BEGIN CERTIFICATE REQUEST-----\r\nAQID\r\n-----END CERTIFICATE REQUEST-----");
        assert_eq!(der(&pem).unwrap(), [1, 2, 3]);
        assert_eq!(der(&to_base64("-----BEGIN \u{e9}")), Some(Vec::new()));
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape(r#"<a href="&">"#), "&lt;a href=&quot;&amp;&quot;&gt;");
    }
}
