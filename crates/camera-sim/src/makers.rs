//! The makers' own dialects, each written from what the maker published and from what others found on devices.

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

use crate::core::Core;
use crate::digest::Login;
use crate::http::Answer;
use crate::options::Model;
use crate::server::Arrival;

pub(crate) mod axis;
pub(crate) mod hanwha;

/// Answers what belongs to the model's dialect, with the name of what was asked for; `None` is any other page.
pub(crate) async fn answer(
    core: &Arc<Core>,
    arrival: &Arrival,
    parts: &Parts,
    login: Login,
    body: &[u8],
) -> Option<(String, Answer)> {
    match core.options.model {
        Model::Axis => axis::answer(core, arrival, parts, login, body).await,
        Model::Hanwha => hanwha::answer(core, parts, login, body).await,
        Model::OnvifSecurity | Model::OnvifDevice | Model::PemPage => None,
    }
}

/// Whether the body of this request carries the certificate.
pub(crate) fn is_upload(model: Model, parts: &Parts) -> bool {
    match model {
        Model::Axis => parts.method == Method::PATCH,
        Model::Hanwha => parts.method == Method::POST,
        Model::OnvifSecurity | Model::OnvifDevice | Model::PemPage => false,
    }
}

/// `%41` and the like made plain; none if it is not UTF-8 afterwards.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
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
            assert_eq!(percent_decoded(text).as_deref(), plain, "{text}");
        }
    }
}
