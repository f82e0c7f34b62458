//! The two ways in which a browser sends a form.

use crate::http::find;

/// The contents of a file input in a multipart/form-data body (RFC 7578); none if it is not there.
pub(crate) fn file<'a>(content_type: &str, body: &'a [u8], field: &str) -> Option<&'a [u8]> {
    part(content_type, body, field).map(|(_, content)| content)
}

/// The same, with the headers before it.
pub(crate) fn part<'a>(content_type: &str, body: &'a [u8], field: &str) -> Option<(String, &'a [u8])> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    // RFC 2046 section 5.1.1: one to seventy characters.
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let opening = format!("--{boundary}\r\n");
    let delimiter = format!("\r\n--{boundary}");
    let mut rest = &body[find(body, opening.as_bytes())? + opening.len()..];
    let wanted = format!("name=\"{field}\"");
    loop {
        let head_end = find(rest, b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&rest[..head_end]);
        let content = &rest[head_end + 4..];
        let end = find(content, delimiter.as_bytes())?;
        let disposition =
            head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-disposition:"));
        // `; name=`, so that `filename="certificate"` is not taken for it.
        if disposition.is_some_and(|line| line.split(';').any(|part| part.trim() == wanted)) {
            return Some((head.into_owned(), &content[..end]));
        }
        rest = content[end + delimiter.len()..].strip_prefix(b"\r\n")?;
    }
}

/// A switch in an application/x-www-form-urlencoded body. The last value counts, since a checkbox comes after the
/// hidden field that speaks for it when it is not checked.
pub(crate) fn switch(body: &[u8], field: &str) -> Option<bool> {
    let text = std::str::from_utf8(body).ok()?;
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(name, _)| *name == field).map(|(_, value)| value).next_back()?;
    match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found() {
        let body = b"--xyz\r\nContent-Disposition: form-data; name=\"other\"; filename=\"certificate\"\r\n\r\nno\r\n\
            --xyz\r\ncontent-disposition: form-data; name=\"certificate\"; filename=\"a.pem\"\r\n\
            Content-Type: application/x-pem-file\r\n\r\nyes\r\n--xyz--\r\n";
        let kind = "multipart/form-data; boundary=\"xyz\"";
        assert_eq!(file(kind, body, "certificate"), Some(&b"yes"[..]));
        assert_eq!(file(kind, body, "missing"), None);
        assert_eq!(file("text/plain", body, "certificate"), None);
        assert_eq!(file("multipart/form-data; boundary=", body, "certificate"), None);
        for end in 0..body.len() {
            let _ = file(kind, &body[..end], "certificate");
        }
    }

    #[test]
    fn the_last_value_of_a_switch_counts() {
        assert_eq!(switch(b"https=off&https=on&http=off", "https"), Some(true));
        assert_eq!(switch(b"https=off&https=on&http=off", "http"), Some(false));
        assert_eq!(switch(b"https=maybe", "https"), None);
        assert_eq!(switch(b"", "https"), None);
    }
}
