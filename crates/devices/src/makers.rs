//! The makers' own dialects, as a table: how each is recognised without credentials, and the driver that speaks it.

mod mobotix;
mod reolink;
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
const MAKERS: &[Maker] = &[mobotix::MAKER, reolink::MAKER, uniview::MAKER];

/// Asks which maker's dialect a device speaks.
pub(crate) async fn recognise(http: &Http) -> Result<Option<(&'static Maker, Abilities)>, Error> {
    for maker in MAKERS {
        let answer = http.send(&(maker.probe)(http), None).await?;
        if let Some(abilities) = (maker.recognise)(&answer) {
            return Ok(Some((maker, abilities)));
        }
    }
    Ok(None)
}
