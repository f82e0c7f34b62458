//! The settings pages of [`crate::Model::PemPage`]: forms that only a person, or a patient program, can fill in.
//!
//! As on real cameras of this kind, what went wrong is said in the page and the status is 200 all the same.

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;

use crate::core::{Core, SwitchRefusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::keys::Pair;
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::pem_file::Installed;
use crate::soap::escape;
use crate::state::{CertificateSummary, State};
use crate::store::Store;
use crate::{form, page, pem_file};

/// The index of the settings.
const INDEX: &str = "/settings";
/// The form that takes the certificate.
const CERTIFICATE: &str = "/settings/certificate";
/// The form with the switches.
const HTTPS: &str = "/settings/https";

/// What a form did: a sentence, and whether it is good news.
type Said = Result<&'static str, &'static str>;

/// The dialect.
pub(crate) struct PemPage;

impl Dialect for PemPage {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "pem-page",
            called: "Yard",
            realm: "PemCam",
            server: "PemCam/1.0",
            takes: "one PEM file, on its settings page",
            page: Page {
                scene: include_str!("scenes/yard.svg"),
                menu: "<nav><a href=\"/\">Live</a><a href=\"/settings\">Settings</a></nav>",
                onvif: None,
            },
            faults: &[
                Fault::BasicInsideTls,
                Fault::HttpsPretended,
                Fault::HttpsRefused,
                Fault::MalformedAnswers,
                Fault::RefusesChains,
                Fault::RsaOnly,
                Fault::Sha256Digest,
                Fault::ShortNonces,
            ],
            makes_key: false,
            comes_with_https: false,
            switches_http: true,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Slot>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(async move {
            let Asked { core, parts, login, .. } = asked;
            let is_settings = matches!(parts.uri.path(), INDEX | CERTIFICATE | HTTPS);
            if !is_settings {
                return None;
            }
            Some((http::name(parts), answer(core, parts, login, body).await))
        })
    }

    fn is_upload(&self, Asked { parts, login, .. }: Asked<'_>, _operation: &str) -> bool {
        login == Login::Accepted && parts.method == Method::POST && parts.uri.path() == CERTIFICATE
    }
}

/// The one place for a certificate.
#[derive(Default)]
struct Slot(Option<Installed>);

impl Store for Slot {
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        self.0.as_ref().map(|installed| (installed.chain.clone(), &installed.pair))
    }

    fn picture(&self) -> State {
        let chain = self.0.iter().flat_map(|installed| &installed.chain);
        State {
            certificates: chain
                .map(|der| CertificateSummary { id: "page".to_owned(), der: der.clone() })
                .collect(),
            assigned: self.0.iter().map(|_| "page".to_owned()).collect(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        self.0 = Some(Installed { chain: vec![certificate], pair });
    }
}

/// Answers a settings page, behind HTTP Digest.
async fn answer(core: &Arc<Core>, parts: &Parts, login: Login, body: &[u8]) -> Answer {
    if login != Login::Accepted {
        let text = "<p class=\"error\">This page needs the camera's user and password.</p>";
        let mut answer = http::page(401, page::document(core, "Settings", text));
        core.challenge(login, &mut answer);
        return answer;
    }
    let reading = parts.method == Method::GET || parts.method == Method::HEAD;
    let posting = parts.method == Method::POST;
    match parts.uri.path() {
        INDEX if reading => http::page(200, page::document(core, "Settings", &index(core))),
        CERTIFICATE if reading => certificate_page(core, None),
        CERTIFICATE if posting => certificate_page(core, Some(store(core, http::content_type(parts), body))),
        HTTPS if reading => https_page(core, None),
        HTTPS if posting => https_page(core, Some(switch(core, body).await)),
        _ => http::plain(405, "Not this way.\n"),
    }
}

/// Stores the uploaded file and serves it at once.
fn store(core: &Core, content_type: &str, body: &[u8]) -> Said {
    let file = form::file(content_type, body, "certificate").ok_or("No file was sent.")?;
    if file.is_empty() {
        return Err("The file is empty.");
    }
    let installed = pem_file::read(file)?;
    if !core.takes(&installed.pair) {
        return Err("The private key is of a kind this camera does not know.");
    }
    if core.options.has(Fault::RefusesChains) && installed.chain.len() > 1 {
        return Err("The file holds more than one certificate.");
    }
    core.change(|live| live.store = Box::new(Slot(Some(installed))));
    Ok("Certificate stored.")
}

async fn switch(core: &Arc<Core>, body: &[u8]) -> Said {
    let (https, http) = (form::switch(body, "https"), form::switch(body, "http"));
    if https.is_none() && http.is_none() {
        return Err("Nothing was chosen.");
    }
    match core.switch(http, https).await {
        Ok(()) => Ok("Settings stored."),
        Err(SwitchRefusal::NoCertificate) => Err("HTTPS needs a certificate first."),
        Err(SwitchRefusal::Refused) => Err("HTTPS could not be switched on."),
        Err(SwitchRefusal::LastDoor) => Err("HTTP and HTTPS cannot both be off."),
        Err(SwitchRefusal::PortTaken) => Err("The port is taken."),
    }
}

fn index(core: &Core) -> String {
    let https_on = core.look(|live| live.https_on);
    let https = if https_on { "HTTPS is on." } else { "HTTPS is off." };
    format!(
        "<section class=\"card\"><h2><a href=\"{CERTIFICATE}\">Certificate</a></h2><p>{}</p></section>\
         <section class=\"card\"><h2><a href=\"{HTTPS}\">HTTP and HTTPS</a></h2><p>{https}</p></section>",
        certificate_in_words(core)
    )
}

fn certificate_page(core: &Core, said: Option<Said>) -> Answer {
    let form = format!(
        "{}<section class=\"card\"><h2>Certificate of this camera</h2><p>{}</p>\
         <form method=\"post\" action=\"{CERTIFICATE}\" enctype=\"multipart/form-data\">\
         <label for=\"certificate\">One PEM file with the private key and the certificate</label>\
         <input type=\"file\" id=\"certificate\" name=\"certificate\" accept=\".pem,.crt,.key,application/x-pem-file\">\
         <button type=\"submit\">Store</button></form></section>",
        sentence(said),
        certificate_in_words(core)
    );
    http::page(200, page::document(core, "Certificate", &form))
}

fn https_page(core: &Core, said: Option<Said>) -> Answer {
    let (http_on, https_on) = core.look(|live| (live.http_on, live.https_on));
    let checked = |on: bool| if on { " checked" } else { "" };
    // A hidden field before each checkbox, since a browser sends nothing for one that is not checked.
    let form = format!(
        "{said}<section class=\"card\"><h2>HTTP and HTTPS</h2><form method=\"post\" action=\"{HTTPS}\">\
         <input type=\"hidden\" name=\"http\" value=\"off\">\
         <label><input type=\"checkbox\" name=\"http\" value=\"on\"{http}> HTTP</label>\
         <label>HTTP port <input type=\"text\" name=\"http_port\" value=\"{http_port}\" readonly></label>\
         <input type=\"hidden\" name=\"https\" value=\"off\">\
         <label><input type=\"checkbox\" name=\"https\" value=\"on\"{https}> HTTPS</label>\
         <label>HTTPS port <input name=\"https_port\" value=\"{https_port}\" type=\"text\" readonly></label>\
         <button type=\"submit\">Store</button></form></section>",
        said = sentence(said),
        http = checked(http_on),
        https = checked(https_on),
        http_port = core.http.address().port(),
        https_port = core.https.address().port(),
    );
    http::page(200, page::document(core, "HTTP and HTTPS", &form))
}

fn certificate_in_words(core: &Core) -> String {
    match core.look(|live| live.served.clone()).as_ref().map(|served| &served.facts) {
        None => "There is no certificate.".to_owned(),
        Some(None) => "There is a certificate.".to_owned(),
        Some(Some(facts)) => format!(
            "There is a certificate of {}, valid until {}.",
            escape(&facts.issuer_name),
            page::day(facts.not_after)
        ),
    }
}

fn sentence(said: Option<Said>) -> String {
    match said {
        None => String::new(),
        Some(Ok(good)) => format!("<p class=\"done\">{good}</p>"),
        Some(Err(bad)) => format!("<p class=\"error\">{bad}</p>"),
    }
}
