//! Requests read, answers made.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::time::timeout;

/// Longest request body.
pub(crate) const BODY_BYTES: usize = 1024 * 1024;
/// Longest time for a request body to come.
const BODY_TIME: Duration = Duration::from_secs(20);

/// An answer.
pub(crate) type Answer = Response<Full<Bytes>>;

/// What a camera's own pages may load: nothing but themselves.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

/// The connection is to be dropped without an answer.
#[derive(Debug)]
pub(crate) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// Why a body was not read.
pub(crate) enum NoBody {
    /// It broke off, or was not HTTP.
    Broken,
    /// It is an upload to be dropped half-way ([`crate::Fault::DropsUpload`]); the words that gave it away.
    Dropped(&'static str),
    /// It took too long.
    Slow,
    /// It is too long.
    TooLong,
}

/// Reads a whole body. It is given up as soon as it holds one of `drop_at`; an empty one means at its first byte.
pub(crate) async fn read<B>(body: B, drop_at: &[&'static str]) -> Result<Vec<u8>, NoBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    timeout(BODY_TIME, read_in_time(body, drop_at)).await.unwrap_or(Err(NoBody::Slow))
}

async fn read_in_time<B>(mut body: B, drop_at: &[&'static str]) -> Result<Vec<u8>, NoBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NoBody::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if whole.len() + data.len() > BODY_BYTES {
            return Err(NoBody::TooLong);
        }
        whole.extend_from_slice(data);
        if let Some(words) = drop_at.iter().find(|words| find(&whole, words.as_bytes()).is_some()) {
            return Err(NoBody::Dropped(words));
        }
    }
    Ok(whole)
}

/// Where `needle` first is in `bytes`.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return (!bytes.is_empty()).then_some(0);
    }
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// An answer with a body.
pub(crate) fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    set(&mut answer, header::CONTENT_TYPE, content_type);
    set(&mut answer, header::CACHE_CONTROL, "no-store");
    answer
}

/// A page.
pub(crate) fn page(status: u16, html: String) -> Answer {
    let mut answer = answer(status, "text/html; charset=utf-8", html);
    set(&mut answer, header::CONTENT_SECURITY_POLICY, POLICY);
    set(&mut answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

/// A short answer in plain words.
pub(crate) fn plain(status: u16, text: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}

/// The answer to a method that is not one of these.
pub(crate) fn not_allowed(methods: &str) -> Answer {
    let mut answer = plain(405, "Not this way.\n");
    set(&mut answer, header::ALLOW, methods);
    answer
}

/// Sets a header; a value that HTTP cannot hold is left out.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

/// Method and path, as a request is called that has no other name.
pub(crate) fn name(parts: &Parts) -> String {
    let path: String = parts.uri.path().chars().take(100).collect();
    format!("{} {path}", parts.method)
}

/// What the body is said to be.
pub(crate) fn content_type(parts: &Parts) -> &str {
    parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A parameter of the query, as it is written.
#[cfg(feature = "makers")]
pub(crate) fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
}

/// The same as [`percent_decoded`]; none if it is not UTF-8 afterwards.
#[cfg(feature = "makers")]
pub(crate) fn percent_decoded_text(text: &str) -> Option<String> {
    String::from_utf8(percent_decoded(text.as_bytes())).ok()
}

/// `%41` and the like made plain.
pub(crate) fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                plain.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(all(test, feature = "makers"))]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_read() {
        for (text, plain) in [
            ("a%20b%2B", Some("a b+")),
            ("%", Some("%")),
            ("%zz", Some("%zz")),
            ("%ff", None),
            ("%4", Some("%4")),
        ] {
            assert_eq!(percent_decoded_text(text).as_deref(), plain, "{text}");
        }
    }
}
