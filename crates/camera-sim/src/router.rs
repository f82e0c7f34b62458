//! From a request to the service or page that answers it.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::{Bytes, Incoming};
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
use crate::{media_service, page, pem_page};

/// What an ONVIF upload is recognised by before its body is whole.
const ONVIF_UPLOADS: [&str; 2] = ["UploadCertificate", "LoadCertificateWithPrivateKey"];

/// A host that is not the camera (TEST-NET-3, RFC 5737).
pub(crate) const ELSEWHERE: &str = "203.0.113.9";
/// The size of a huge answer: so much that whoever keeps it feels it.
const HUGE: usize = 100_000_000;

/// Answers one request, or drops its connection.
pub(crate) async fn answer(
    core: Arc<Core>,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<Answer, Dropped> {
    let (parts, body) = request.into_parts();
    core.change(|live| live.given.take_headers(&parts));
    let login = login(&core, &arrival, &parts);
    if let Some(to) = redirected(&core, &parts) {
        let mut answer = http::plain(302, "Moved.\n");
        http::set(&mut answer, header::LOCATION, &to);
        core.note(summary(name(&parts), &arrival, login, 302));
        return Ok(answer);
    }
    let drop_at = drop_at(&core, &parts, login);
    let (operation, answer) = match http::read(body, drop_at).await {
        Ok(body) => {
            core.change(|live| live.given.take_contents(&core.options.password, &parts, &body));
            route(&core, &arrival, &parts, login, body).await
        }
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
    if answer.status() == 401 && takes_basic(&core, &arrival) {
        let challenge = format!("Basic realm=\"{}\"", core.options.model.realm());
        http::set(&mut answer, header::WWW_AUTHENTICATE, &challenge);
    }
    http::set(&mut answer, header::SERVER, core.options.model.server());
    core.note(summary(operation.clone(), &arrival, login, answer.status().as_u16()));
    if answer.status() == 200 && is_upload(&core, &parts, login, &operation) {
        core.serve_later();
        if core.options.has(Fault::Reboots) {
            core.reboot();
            return Err(Dropped);
        }
    }
    let answer = if is_inside(&core, &parts, login) { spoilt(&core, answer).await } else { answer };
    // A challenge is no answer to what was asked.
    if answer.status() != 401 {
        core.hold_back(&operation).await;
    }
    Ok(answer)
}

/// Judges the credentials a request carries.
fn login(core: &Core, arrival: &Arrival, parts: &Parts) -> Login {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    // What is not text is no credentials, but is not nothing either.
    let credentials = headers.next().map(|value| value.to_str().unwrap_or_default());
    if headers.next().is_some() {
        return Login::Refused;
    }
    #[cfg(feature = "makers")]
    if makers::axis::takes_basic(core, arrival) || makers::bosch::takes_basic(core, arrival, parts) {
        return core.change(|live| live.guard.check_basic(credentials));
    }
    if takes_basic(core, arrival) {
        return core.change(|live| live.guard.check_basic(credentials));
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    core.change(|live| live.guard.check(parts.method.as_str(), target, credentials, Instant::now()))
}

/// Whether it asks for Basic here, which by itself it does not.
fn takes_basic(core: &Core, arrival: &Arrival) -> bool {
    core.options.has(Fault::BasicInsideTls) && arrival.tls.is_some()
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

/// Whether that was the request that brought the certificate.
fn is_upload(core: &Core, parts: &Parts, login: Login, operation: &str) -> bool {
    #[cfg(feature = "makers")]
    if makers::is_upload(core, parts, login) {
        return true;
    }
    #[cfg(not(feature = "makers"))]
    let _ = login;
    match core.options.model {
        Model::OnvifSecurity | Model::OnvifDevice => ONVIF_UPLOADS.contains(&operation),
        _ => parts.method == Method::POST && parts.uri.path() == pem_page::CERTIFICATE,
    }
}

/// Whether this is of somebody who is logged in, by whatever means.
fn is_inside(core: &Core, parts: &Parts, login: Login) -> bool {
    #[cfg(feature = "makers")]
    if core.options.model == Model::FormPage {
        return makers::form_page::is_inside(core, parts);
    }
    #[cfg(feature = "makers")]
    if core.options.model == Model::Reolink {
        return parts.uri.query().is_some_and(|query| query.contains("token="));
    }
    #[cfg(feature = "makers")]
    if core.options.model == Model::Synology {
        return makers::synology::is_inside(parts);
    }
    #[cfg(not(feature = "makers"))]
    let _ = (core, parts);
    login == Login::Accepted
}

/// Where every request is sent, if it is.
fn redirected(core: &Core, parts: &Parts) -> Option<String> {
    let path = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if core.options.has(Fault::RedirectsElsewhere) {
        return Some(format!("http://{ELSEWHERE}{path}"));
    }
    core.options.has(Fault::RedirectsToItself).then(|| path.to_owned())
}

/// The answer as a broken camera gives it.
async fn spoilt(core: &Core, answer: Answer) -> Answer {
    let (parts, body) = answer.into_parts();
    let body = if core.options.has(Fault::HugeAnswers) {
        // Zeros from the system cost nothing until somebody writes to them.
        Bytes::from(vec![0; HUGE])
    } else {
        let whole = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        let malformed = core.options.has(Fault::MalformedAnswers);
        whole.slice(..if malformed { whole.len() / 2 } else { whole.len() })
    };
    Answer::from_parts(parts, Full::new(body))
}

async fn route(
    core: &Arc<Core>,
    arrival: &Arrival,
    parts: &Parts,
    login: Login,
    body: Vec<u8>,
) -> (String, Answer) {
    #[cfg(feature = "makers")]
    if let Some(answer) = makers::answer(core, arrival, parts, login, &body).await {
        return answer;
    }
    let path = parts.uri.path();
    let service = match (core.options.model, path) {
        (Model::OnvifSecurity | Model::OnvifDevice, onvif::DEVICE_SERVICE) => Some(Service::Device),
        (Model::OnvifSecurity, onvif::SECURITY_SERVICE) => Some(Service::Security),
        (Model::OnvifSecurity | Model::OnvifDevice, onvif::MEDIA_SERVICE) => Some(Service::Media),
        _ => None,
    };
    if let Some(service) = service {
        if parts.method != Method::POST {
            return (name(parts), not_allowed("POST"));
        }
        let base = base_url(core, arrival, &parts.headers);
        return onvif::answer(core, service, &base, login, &body).await;
    }
    let reading = parts.method == Method::GET || parts.method == Method::HEAD;
    let answer = match path {
        "/" if reading => page::start(core, arrival),
        "/" => not_allowed("GET, HEAD"),
        media_service::SNAPSHOT if core.options.model.speaks_onvif() && reading => {
            if login == Login::Accepted || login == Login::Absent && core.look(|live| live.guard.open) {
                media_service::snapshot(parts.uri.query())
            } else {
                let mut answer = http::plain(401, "This needs the camera's user and password.\n");
                challenge(core, login, &mut answer);
                answer
            }
        }
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
fn base_url(core: &Core, arrival: &Arrival, headers: &HeaderMap) -> String {
    if core.options.has(Fault::AnnouncesElsewhere) {
        return format!("http://{ELSEWHERE}");
    }
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
