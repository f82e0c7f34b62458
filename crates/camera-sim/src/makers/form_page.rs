//! [`crate::Model::FormPage`]: a camera of no maker, with pages as many cameras have them. A login form with a hidden
//! token and a cookie, two files in two forms, a choice which certificate is used, and a restart until it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::http::request::Parts;
use hyper::{Method, header};

use crate::core::{Core, SwitchRefusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::http::{self, Answer};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::soap::escape;
use crate::store::Store;
use crate::tls::Arrival;
use crate::{form, page, pem_file, place, random};

const LOGIN: &str = "/login";
const HOME: &str = "/home";
const PORTS: &str = "/network/ports";
const CERTIFICATE: &str = "/security/certificate";
const KEY: &str = "/security/key";
const CHOICE: &str = "/security/choice";
const RESTART: &str = "/system/restart";
/// The session's cookie, and the token of its forms.
const COOKIE: &str = "FORMCAM";
const TOKEN: &str = "form_token";
const AWAY: Duration = Duration::from_millis(500);
/// Most who may be on its pages at a time; the oldest makes room.
const SESSIONS: usize = 8;

/// The dialect.
pub(crate) struct FormPage;

impl Dialect for FormPage {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "form-page",
            called: "Attic",
            realm: "Camera",
            server: "FormCam/2.1",
            takes: "two files on its pages, after a login form",
            page: Page::PLAIN,
            faults: &[Fault::MalformedAnswers],
            makes_key: false,
            comes_with_https: true,
            switches_http: true,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Place>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, asked: Asked<'_>, _operation: &str) -> bool {
        asked.parts.method == Method::POST && asked.parts.uri.path() == KEY && self.is_inside(asked)
    }

    fn is_inside(&self, Asked { core, parts, .. }: Asked<'_>) -> bool {
        visit(core, parts).is_some_and(|(_, is_user)| is_user)
    }
}

type Place = place::Place<Pages>;

/// What it keeps beside certificates.
#[derive(Default)]
struct Pages {
    /// What was uploaded, by name.
    files: BTreeMap<String, Vec<u8>>,
    /// Whether that is to be used.
    is_chosen: bool,
    visitors: Vec<Visitor>,
}

/// Somebody on its pages.
struct Visitor {
    cookie: String,
    token: String,
    is_user: bool,
}

type Said = Result<&'static str, &'static str>;

/// Token of the visitor whose cookie this is, and whether they are logged in.
fn visit(core: &Core, parts: &Parts) -> Option<(String, bool)> {
    let cookies = parts.headers.get(header::COOKIE)?.to_str().ok()?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, cookie) = pairs.find(|(name, _)| *name == COOKIE)?;
    core.change(|live| {
        let visitor = Place::of(live)?.more.visitors.iter().find(|v| v.cookie == cookie)?;
        Some((visitor.token.clone(), visitor.is_user))
    })
}

fn admit(core: &Core, is_user: bool) -> (String, String) {
    let (cookie, token) = (random::hex_token::<16>(), random::hex_token::<8>());
    Place::change(core, |place| {
        let visitors = &mut place.more.visitors;
        if visitors.len() >= SESSIONS {
            visitors.remove(0);
        }
        visitors.push(Visitor { cookie: cookie.clone(), token: token.clone(), is_user });
    });
    (cookie, token)
}

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, arrival, parts, .. } = asked;
    let path = parts.uri.path();
    if path == LOGIN {
        let answer = match parts.method {
            Method::POST => log_in(core, arrival, parts, body),
            _ => login_page(core, Ok("")),
        };
        return Some((http::name(parts), answer));
    }
    if ![HOME, PORTS, CERTIFICATE, KEY, CHOICE, RESTART].contains(&path) {
        return None;
    }
    let Some((token, true)) = visit(core, parts) else {
        return Some((http::name(parts), moved(LOGIN)));
    };
    let is_post = parts.method == Method::POST;
    let said = match path {
        PORTS if is_post => Some(switch(core, &token, body).await),
        CERTIFICATE | KEY if is_post => Some(store(core, path, http::content_type(parts), body)),
        CHOICE if is_post => Some(choose(core, body)),
        RESTART if is_post => Some(restart(core, &token, body)),
        _ => None,
    };
    let text = sentence(said.unwrap_or(Ok("")));
    let answer = http::page(200, page::document(core, "Settings", &(text + &forms(core, path, &token))));
    Some((http::name(parts), answer))
}

fn moved(to: &str) -> Answer {
    let mut answer = http::plain(302, "Moved.\n");
    http::set(&mut answer, header::LOCATION, to);
    answer
}

fn with_cookie(mut answer: Answer, cookie: &str) -> Answer {
    http::set(&mut answer, header::SET_COOKIE, &format!("{COOKIE}={cookie}; Path=/; HttpOnly"));
    answer
}

fn login_page(core: &Core, said: Said) -> Answer {
    let (cookie, token) = admit(core, false);
    let form = format!(
        "{}<form method=\"post\" action=\"{LOGIN}\"><input type=\"hidden\" name=\"{TOKEN}\" value=\"{token}\">\
         <label>User <input name=\"user\"></label><label>Password <input type=\"password\" name=\"password\"></label>\
         <button type=\"submit\">Log in</button></form>",
        sentence(said)
    );
    with_cookie(http::page(200, page::document(core, "Log in", &form)), &cookie)
}

fn log_in(core: &Core, arrival: &Arrival, parts: &Parts, body: &[u8]) -> Answer {
    let Some((token, _)) = visit(core, parts) else { return login_page(core, Err("The page is too old.")) };
    if field(body, TOKEN).as_deref() != Some(token.as_str()) {
        return login_page(core, Err("The page is too old."));
    }
    let text = |name| field(body, name).unwrap_or_default();
    let in_tls = arrival.tls.is_some();
    if !core.change(|live| live.guard.check_plain(&text("user"), &text("password"), in_tls)) {
        return login_page(core, Err("User or password is wrong."));
    }
    let (cookie, _) = admit(core, true);
    with_cookie(moved(HOME), &cookie)
}

/// A field of an application/x-www-form-urlencoded body.
fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let mut pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(found, _)| *found == name)?;
    http::percent_decoded_text(&value.replace('+', " "))
}

fn store(core: &Core, path: &str, content_type: &str, body: &[u8]) -> Said {
    let (input, action) = if path == KEY { ("key", "private") } else { ("crt", "public") };
    if form::file(content_type, body, "kind") != Some(action.as_bytes()) {
        return Err("What kind of file is this?");
    }
    let file = form::file(content_type, body, input).filter(|file| !file.is_empty());
    let file = file.ok_or("No file was sent.")?.to_vec();
    Place::change(core, |place| {
        place.more.files.insert(path.to_owned(), file);
        place.more.is_chosen = false;
    });
    Ok("File stored.")
}

fn uploaded(place: &Place) -> Result<pem_file::Installed, &'static str> {
    let files = [CERTIFICATE, KEY].map(|name| place.more.files.get(name).cloned().unwrap_or_default());
    pem_file::read(&files.join(&b'\n'))
}

fn choose(core: &Core, body: &[u8]) -> Said {
    if field(body, "use").as_deref() != Some("uploaded") {
        return Err("Nothing was chosen.");
    }
    let choose = |place: &mut Place| uploaded(place).map(|_| place.more.is_chosen = true);
    core.change(|live| Place::of(live).map(choose)).unwrap_or(Err("There is no room."))?;
    Ok("Chosen. It is used after a restart.")
}

fn restart(core: &Arc<Core>, token: &str, body: &[u8]) -> Said {
    if field(body, TOKEN).as_deref() != Some(token) {
        return Err("The page is too old.");
    }
    core.restart(AWAY, |live| {
        if let Some(place) = Place::of(live) {
            place.more.visitors.clear();
            if place.more.is_chosen {
                place.own = uploaded(place).ok();
            }
        }
    });
    Ok("The camera restarts.")
}

async fn switch(core: &Arc<Core>, token: &str, body: &[u8]) -> Said {
    if field(body, TOKEN).as_deref() != Some(token) {
        return Err("The page is too old.");
    }
    let wanted = |name| field(body, name).map(|value| value == "1");
    match core.switch(wanted("http"), wanted("https")).await {
        Ok(()) => Ok("Stored."),
        Err(SwitchRefusal::LastDoor) => Err("HTTP and HTTPS cannot both be off."),
        Err(_) => Err("This could not be stored."),
    }
}

/// What is on a page beside what it says.
fn forms(core: &Core, path: &str, token: &str) -> String {
    let hidden = format!("<input type=\"hidden\" name=\"{TOKEN}\" value=\"{token}\">");
    let checked = |on: bool| if on { " checked" } else { "" };
    let (http_on, https_on) = core.look(|live| (live.http_on, live.https_on));
    match path {
        PORTS => format!(
            "<form method=\"post\">{hidden}<label><input type=\"checkbox\" name=\"http\" value=\"1\"{}> HTTP</label>\
             <label><input type=\"checkbox\" name=\"https\" value=\"1\"{}> HTTPS</label>\
             <label>Port of HTTPS <input name=\"https_port\" value=\"{}\" readonly></label></form>",
            checked(http_on),
            checked(https_on),
            core.https.address().port(),
        ),
        RESTART => format!("<form method=\"post\">{hidden}<button>Restart</button></form>"),
        _ => format!("<p>{}</p>", escape(&core.options.name)),
    }
}

fn sentence(said: Said) -> String {
    match said {
        Ok("") => String::new(),
        Ok(good) => format!("<p class=\"ok\">{good}</p>"),
        Err(bad) => format!("<p class=\"alert\">{bad}</p>"),
    }
}
