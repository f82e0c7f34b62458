//! From a request to the service or page that answers it.

use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, Request};

use crate::core::Core;
use crate::digest::Login;
use crate::http::{self, Answer, Dropped, NoBody};
#[cfg(feature = "makers")]
use crate::makers;
use crate::onvif::{self, Service};
use crate::options::{Fault, Model};
use crate::server::Arrival;
use crate::state::RequestSummary;
use crate::{page, pem_page};

/// What an ONVIF upload is recognised by before its body is whole.
const ONVIF_UPLOADS: [&str; 2] = ["UploadCertificate", "LoadCertificateWithPrivateKey"];

/// Answers one request, or drops its connection.
pub(crate) async fn answer(
    core: Arc<Core>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<Answer, Dropped> {
    let (parts, body) = request.into_parts();
    let login = login(&core, &parts);
    let drop_at = drop_at(&core, &parts, login);
    let (operation, answer) = match http::read(body, drop_at).await {
        Ok(body) => route(&core, &arrival, &parts, login, body).await,
        Err(NoBody::Dropped(words)) => {
            core.change(|live| live.uploads_dropped += 1);
            let operation = if words.is_empty() { name(&parts) } else { words.to_owned() };
            core.note(summary(operation, &arrival, login, 0));
            return Err(Dropped);
        }
        Err(NoBody::TooLong) => (name(&parts), closing(http::plain(413, "The request is too long.\n"))),
        Err(NoBody::Slow) => (name(&parts), closing(http::plain(408, "The request took too long.\n"))),
        Err(NoBody::Broken) => (name(&parts), closing(http::plain(400, "The request is broken.\n"))),
    };
    let mut answer = answer;
    http::set(&mut answer, header::SERVER, core.options.model.server());
    core.note(summary(operation.clone(), &arrival, login, answer.status().as_u16()));
    // A challenge is no answer to what was asked.
    if answer.status() != 401 {
        core.hold_back(&operation).await;
    }
    Ok(answer)
}

/// Judges the credentials a request carries.
fn login(core: &Core, parts: &Parts) -> Login {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    // What is not text is no credentials, but is not nothing either.
    let credentials = headers.next().map(|value| value.to_str().unwrap_or_default());
    if headers.next().is_some() {
        return Login::Refused;
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    core.change(|live| live.guard.check(parts.method.as_str(), target, credentials, Instant::now()))
}

/// The words at which an upload is dropped: only of one that would have been accepted.
fn drop_at(core: &Core, parts: &Parts, login: Login) -> &'static [&'static str] {
    #[cfg(feature = "makers")]
    if core.options.has(Fault::DropsUpload) && makers::is_upload(core, parts, login) {
        return &[""];
    }
    if !core.options.has(Fault::DropsUpload) || login != Login::Accepted || parts.method != Method::POST {
        return &[];
    }
    match core.options.model {
        Model::OnvifSecurity | Model::OnvifDevice => &ONVIF_UPLOADS,
        Model::PemPage if parts.uri.path() == pem_page::CERTIFICATE => &[""],
        _ => &[],
    }
}

async fn route(
    core: &Arc<Core>,
    arrival: &Arrival,
    parts: &Parts,
    login: Login,
    body: Vec<u8>,
) -> (String, Answer) {
    let path = parts.uri.path();
    let service = match (core.options.model, path) {
        (Model::OnvifSecurity | Model::OnvifDevice, onvif::DEVICE_SERVICE) => Some(Service::Device),
        (Model::OnvifSecurity, onvif::SECURITY_SERVICE) => Some(Service::Security),
        _ => None,
    };
    if let Some(service) = service {
        if parts.method != Method::POST {
            return (name(parts), not_allowed("POST"));
        }
        let base = base_url(arrival, &parts.headers);
        return onvif::answer(core, service, &base, login, &body).await;
    }
    #[cfg(feature = "makers")]
    if let Some(answered) = makers::answer(core, arrival, parts, login, &body).await {
        return answered;
    }
    let reading = parts.method == Method::GET || parts.method == Method::HEAD;
    let answer = match path {
        "/" if reading => page::start(core, arrival),
        "/" => not_allowed("GET, HEAD"),
        _ if core.options.model == Model::PemPage && pem_page::is_settings(path) => {
            pem_page::answer(core, parts, login, &body).await
        }
        _ => http::plain(404, "There is nothing here.\n"),
    };
    (name(parts), answer)
}

/// The challenge that goes with a 401.
pub(crate) fn challenge(core: &Core, login: Login, answer: &mut Answer) {
    let challenge = core.change(|live| live.guard.challenge(login == Login::Stale, Instant::now()));
    http::set(answer, header::WWW_AUTHENTICATE, &challenge);
}

/// Scheme and host as the client named them, for the XAddrs it is to follow.
fn base_url(arrival: &Arrival, headers: &HeaderMap) -> String {
    let scheme = if arrival.tls.is_some() { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let sane = |host: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        !host.is_empty() && host.len() <= 255 && host.chars().all(allowed)
    };
    format!("{scheme}://{}", host.filter(sane).unwrap_or(&arrival.local))
}

pub(crate) fn name(parts: &Parts) -> String {
    let path: String = parts.uri.path().chars().take(100).collect();
    format!("{} {path}", parts.method)
}

fn summary(operation: String, arrival: &Arrival, login: Login, status: u16) -> RequestSummary {
    let tls = arrival.tls.is_some();
    RequestSummary { operation, tls, authenticated: login == Login::Accepted, status }
}

pub(crate) fn not_allowed(methods: &str) -> Answer {
    let mut answer = http::plain(405, "Not this way.\n");
    http::set(&mut answer, header::ALLOW, methods);
    answer
}

/// What follows on this connection cannot be told from the body that was not read.
fn closing(mut answer: Answer) -> Answer {
    http::set(&mut answer, header::CONNECTION, "close");
    answer
}
