//! The makers' own dialects, as a table: how each is recognised without credentials, and the driver that speaks it.

mod axis;
mod bosch;
mod hanwha;
mod mobotix;
mod reolink;
mod synology;
mod uniview;

use crate::{
    Abilities, Driver, Error,
    http::{Answer, Http, Request},
    session::Session,
};

/// One maker's dialect. Its file under `makers/` exports it.
pub(crate) struct Maker {
    /// What [`crate::Found::driver`] calls it.
    pub(crate) name: &'static str,
    /// The question that is open to everyone, or whose refusal is telling. Never carries credentials.
    pub(crate) probe: fn(&Http) -> Request,
    /// What the driver can do with a device that answered so; `None` if it is another maker's.
    pub(crate) recognise: fn(&Answer) -> Option<Abilities>,
    /// The driver. Sends nothing yet.
    pub(crate) connect: fn(Session) -> Box<dyn Driver>,
}

/// Asked in this order.
const MAKERS: &[Maker] = &[
    axis::MAKER,
    bosch::MAKER,
    hanwha::MAKER,
    mobotix::MAKER,
    reolink::MAKER,
    synology::MAKER,
    uniview::MAKER,
];

/// Asks which maker's dialect a device speaks. That it has nothing to say to one maker's question ends nothing; a device
/// that lets two of them run out of time is not asked any more.
pub(crate) async fn recognise(http: &Http) -> Result<Option<(&'static Maker, Abilities)>, Error> {
    let mut hung = false;
    for maker in MAKERS {
        match http.send(&(maker.probe)(http), None).await {
            Ok(answer) => {
                if let Some(abilities) = (maker.recognise)(&answer) {
                    return Ok(Some((maker, abilities)));
                }
            }
            Err(e) if e.is_of_question() => {}
            Err(Error::TimedOut { .. }) if !hung => hung = true,
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

/// `text` as it stands in a URL or a form: everything but the unreserved characters of RFC 3986, section 2.3, as `%41`.
fn percent_encoded(text: &str) -> String {
    // In one piece, since it may hold a private key: each byte becomes three at most.
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_safe_for_a_url() {
        assert_eq!(percent_encoded("a+b/\u{e9} ~%"), "a%2Bb%2F%C3%A9%20~%25");
    }

    #[test]
    fn every_maker_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = MAKERS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), MAKERS.len());
    }
}
