//! From a request to the service or page that answers it.

use std::sync::Arc;
use std::time::Instant;

use http_body_util::{BodyExt as _, Collected, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, Request};

use crate::core::Core;
use crate::dialect::{Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer, Dropped, NoBody};
use crate::options::{ELSEWHERE, Fault};
use crate::page;
use crate::state::RequestSummary;
use crate::tls::Arrival;

/// The size of a huge answer: so much that whoever keeps it feels it.
const HUGE: usize = 100_000_000;

/// Answers one request, or drops its connection.
pub(crate) async fn answer(
    core: Arc<Core>,
    dialect: &'static dyn Dialect,
    arrival: Arrival,
    request: Request<Incoming>,
) -> Result<Answer, Dropped> {
    let (parts, body) = request.into_parts();
    core.change(|live| live.given.take_headers(&parts));
    let login = login(&core, dialect, &arrival, &parts);
    let asked = Asked { core: &core, arrival: &arrival, parts: &parts, login };
    if let Some(to) = redirected(&core, &parts) {
        let mut answer = http::plain(302, "Moved.\n");
        http::set(&mut answer, header::LOCATION, &to);
        core.note(summary(http::name(&parts), &arrival, login, 302));
        return Ok(answer);
    }
    // Only of an upload that would have been accepted.
    let drop_at = if core.options.has(Fault::DropsUpload) { dialect.drop_at(asked) } else { &[] };
    let (operation, answer) = match http::read(body, drop_at).await {
        Ok(body) => {
            core.change(|live| live.given.take_contents(&core.options.password, &parts, &body));
            route(dialect, asked, &body).await
        }
        Err(NoBody::Dropped(words)) => {
            core.change(|live| live.uploads_dropped += 1);
            let operation = if words.is_empty() { http::name(&parts) } else { words.to_owned() };
            core.note(summary(operation, &arrival, login, 0));
            return Err(Dropped);
        }
        Err(NoBody::TooLong) => (http::name(&parts), closing(http::plain(413, "The request is too long.\n"))),
        Err(NoBody::Slow) => (http::name(&parts), closing(http::plain(408, "The request took too long.\n"))),
        Err(NoBody::Broken) => (http::name(&parts), closing(http::plain(400, "The request is broken.\n"))),
    };
    let mut answer = answer;
    if answer.status() == 401 && takes_basic(&core, &arrival) {
        let challenge = format!("Basic realm=\"{}\"", core.kind.realm);
        http::set(&mut answer, header::WWW_AUTHENTICATE, &challenge);
    }
    http::set(&mut answer, header::SERVER, core.kind.server);
    core.note(summary(operation.clone(), &arrival, login, answer.status().as_u16()));
    if answer.status() == 200 && dialect.is_upload(asked, &operation) {
        core.serve_later();
        if core.options.has(Fault::Reboots) {
            core.reboot();
            return Err(Dropped);
        }
    }
    let answer = if dialect.is_inside(asked) { spoilt(&core, answer).await } else { answer };
    // A challenge is no answer to what was asked.
    if answer.status() != 401 {
        core.hold_back(&operation).await;
    }
    Ok(answer)
}

/// Judges the credentials a request carries.
fn login(core: &Core, dialect: &dyn Dialect, arrival: &Arrival, parts: &Parts) -> Login {
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    // What is not text is no credentials, but is not nothing either.
    let credentials = headers.next().map(|value| value.to_str().unwrap_or_default());
    if headers.next().is_some() {
        return Login::Refused;
    }
    if dialect.takes_basic(arrival, parts) || takes_basic(core, arrival) {
        return core.change(|live| live.guard.check_basic(credentials));
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    core.change(|live| live.guard.check(parts.method.as_str(), target, credentials, Instant::now()))
}

/// Whether it asks for Basic here, which by itself it does not.
fn takes_basic(core: &Core, arrival: &Arrival) -> bool {
    core.options.has(Fault::BasicInsideTls) && arrival.tls.is_some()
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

async fn route(dialect: &dyn Dialect, asked: Asked<'_>, body: &[u8]) -> (String, Answer) {
    if let Some(answer) = dialect.answer(asked, body).await {
        return answer;
    }
    let Asked { core, arrival, parts, .. } = asked;
    let reading = parts.method == Method::GET || parts.method == Method::HEAD;
    let answer = match parts.uri.path() {
        "/" if reading => page::start(core, arrival),
        "/" => http::not_allowed("GET, HEAD"),
        _ => http::plain(404, "There is nothing here.\n"),
    };
    (http::name(parts), answer)
}

fn summary(operation: String, arrival: &Arrival, login: Login, status: u16) -> RequestSummary {
    let tls = arrival.tls.is_some();
    RequestSummary { operation, tls, authenticated: login == Login::Accepted, status }
}

/// What follows on this connection cannot be told from the body that was not read.
fn closing(mut answer: Answer) -> Answer {
    http::set(&mut answer, header::CONNECTION, "close");
    answer
}
