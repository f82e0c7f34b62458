//! The makers' own dialects. Each is written from what is known of it: the maker's documents, other programs, the source
//! of web pages.

pub(crate) mod axis;
pub(crate) mod bosch;
pub(crate) mod form_page;
pub(crate) mod hanwha;
mod mobotix;
mod reolink;
pub(crate) mod synology;
mod uniview;

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::Method;
use hyper::header;
use hyper::http::request::Parts;

use crate::core::{Core, Live, Store};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::keys::Pair;
use crate::options::Model;
use crate::pem_file::Installed;
use crate::router;
use crate::server::Arrival;
use crate::state::CertificateSummary;

/// What such a camera keeps: the factory's certificate, and room for one other.
#[derive(Default)]
pub(crate) struct Place {
    pub(crate) factory: Option<Installed>,
    own: Option<Installed>,
    /// Mobotix, FormPage: what was uploaded, by name.
    files: BTreeMap<String, Vec<u8>>,
    /// Reolink: who is logged in.
    tokens: Vec<String>,
    /// FormPage: who is on its pages, and whether what was uploaded is to be used.
    visitors: Vec<form_page::Visitor>,
    is_chosen: bool,
}

impl Place {
    pub(crate) fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        self.own.as_ref().or(self.factory.as_ref()).map(|shown| (shown.chain.clone(), &shown.pair))
    }

    /// What is shown.
    pub(crate) fn summaries(&self) -> Vec<CertificateSummary> {
        let id = if self.own.is_some() { "own" } else { "factory" };
        let (chain, _) = self.identity().unzip();
        let summary = |der| CertificateSummary { id: id.to_owned(), der };
        chain.into_iter().flatten().map(summary).collect()
    }
}

/// The place of a camera, if it is one of these.
fn place(live: &mut Live) -> Option<&mut Place> {
    match &mut live.store {
        Store::Maker(place) => Some(place),
        _ => None,
    }
}

/// Changes what such a camera keeps.
fn change(core: &Core, change: impl FnOnce(&mut Place)) {
    core.change(|live| place(live).map(change));
}

/// The name people gave it.
pub(crate) fn name(model: Model) -> &'static str {
    match model {
        Model::Bosch => "Lobby",
        Model::FormPage => "Attic",
        Model::Mobotix => "Roof",
        Model::Reolink => "Drive",
        Model::Synology => "Cellar",
        Model::Uniview => "Hall",
        _ => "Camera",
    }
}

/// The realm of its challenge.
pub(crate) fn realm(model: Model) -> &'static str {
    match model {
        Model::Mobotix => "MOBOTIX Camera",
        // A MAC address, as a capture of such a camera shows it.
        Model::Uniview => "02c0ffee0001",
        _ => "Camera",
    }
}

/// How it takes its certificate, for its start page.
pub(crate) fn takes(model: Model) -> &'static str {
    match model {
        Model::Bosch => "RCP+, as a Bosch camera",
        Model::FormPage => "two files on its pages, after a login form",
        Model::Mobotix => "two files, as a MOBOTIX camera",
        Model::Reolink => "JSON commands, as a Reolink camera",
        Model::Synology => "key, certificate and issuers by a Web API, as a Synology NAS",
        Model::Uniview => "one PEM file by LAPI, as a Uniview camera",
        _ => "",
    }
}

/// Whether this is the upload, made by somebody who may.
pub(crate) fn is_upload(core: &Core, parts: &Parts, login: Login) -> bool {
    match core.options.model {
        Model::Axis => login == Login::Accepted && parts.method == Method::PATCH,
        Model::Bosch => login == Login::Accepted && bosch::is_upload(parts),
        Model::Hanwha => login == Login::Accepted && parts.method == Method::POST,
        Model::FormPage => form_page::is_upload(core, parts),
        Model::Mobotix => login == Login::Accepted && mobotix::is_upload(parts),
        Model::Reolink => reolink::is_upload(core, parts),
        Model::Synology => synology::is_upload(core, parts),
        Model::Uniview => login == Login::Accepted && uniview::is_upload(parts),
        _ => false,
    }
}

/// Answers what belongs to the dialect of this camera; with the name of what was asked.
pub(crate) async fn answer(
    core: &Arc<Core>,
    arrival: &Arrival,
    parts: &Parts,
    login: Login,
    body: &[u8],
) -> Option<(String, Answer)> {
    match core.options.model {
        Model::Axis => axis::answer(core, arrival, parts, login, body).await,
        Model::Bosch => bosch::answer(core, parts, login, body).await,
        Model::Hanwha => hanwha::answer(core, parts, login, body).await,
        Model::FormPage => form_page::answer(core, arrival, parts, body).await,
        Model::Mobotix => mobotix::answer(core, parts, login, body),
        Model::Reolink => reolink::answer(core, arrival, parts, body).await,
        Model::Synology => synology::answer(core, arrival, parts, body).await,
        Model::Uniview => uniview::answer(core, parts, login, body).await,
        _ => None,
    }
}

/// A challenge, for who is not let in.
fn challenged(core: &Core, login: Login, mut answer: Answer) -> Answer {
    router::challenge(core, login, &mut answer);
    answer
}

fn content_type(parts: &Parts) -> &str {
    parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A parameter of the query, as it is written.
fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let pairs = parts.uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
}

/// `%41` and the like made plain; none if it is not UTF-8 afterwards.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    String::from_utf8(http::percent_decoded(text.as_bytes())).ok()
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
