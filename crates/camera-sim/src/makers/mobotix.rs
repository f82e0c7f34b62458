//! [`crate::Model::Mobotix`]: the files `httpd_cert.pem` and `httpd_privkey.pem` under `/config/camera/media`, and
//! `/admin/rcontrol?action=reboot`. What was uploaded is served after the restart, the leaf alone.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::Method;

use crate::core::Core;
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::store::Store;
use crate::{form, pem_file, place};

const MEDIA: &str = "/config/camera/media";
const CONTROL: &str = "/admin/rcontrol";
const CERTIFICATE: &str = "httpd_cert.pem";
const KEY: &str = "httpd_privkey.pem";
/// Minutes on a camera.
const AWAY: Duration = Duration::from_millis(500);

/// The dialect.
pub(crate) struct Mobotix;

impl Dialect for Mobotix {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "mobotix",
            called: "Roof",
            realm: "MOBOTIX Camera",
            server: "nginx",
            takes: "two files, as a MOBOTIX camera",
            page: Page::PLAIN,
            faults: &[Fault::BasicInsideTls, Fault::Sha256Digest, Fault::ShortNonces],
            makes_key: false,
            comes_with_https: true,
            switches_http: false,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Place>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(async move { answer(asked, body) })
    }

    fn is_upload(&self, Asked { parts, login, .. }: Asked<'_>, _operation: &str) -> bool {
        login == Login::Accepted && parts.method == Method::POST && parts.uri.path() == MEDIA
    }
}

/// With what was uploaded, by name.
type Place = place::Place<BTreeMap<String, Vec<u8>>>;

fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, parts, login, .. } = asked;
    let path = parts.uri.path();
    if path != MEDIA && path != CONTROL {
        return None;
    }
    if login != Login::Accepted {
        let mut answer = http::plain(401, "This needs the camera's user and password.\n");
        core.challenge(login, &mut answer);
        return Some((http::name(parts), answer));
    }
    let answer = match path {
        MEDIA if parts.method == Method::GET => download(core, http::parameter(parts, "file")),
        MEDIA if parts.method == Method::POST => upload(core, http::content_type(parts), body),
        CONTROL if parts.method == Method::POST && http::parameter(parts, "action") == Some("reboot") => {
            core.restart(AWAY, |live| {
                if let Some(place) = Place::of(live) {
                    take(place);
                }
            });
            http::plain(200, "OK - Reboot\n")
        }
        _ => http::plain(400, "ERROR\n"),
    };
    Some((http::name(parts), answer))
}

/// Certificates can be read, keys cannot.
fn download(core: &Core, file: Option<&str>) -> Answer {
    let content = core.change(|live| Place::of(live)?.more.get(CERTIFICATE).cloned());
    match content.filter(|_| file == Some(CERTIFICATE)) {
        Some(content) => http::answer(200, "application/x-x509-ca-cert", content),
        None => http::plain(404, "There is no such file.\n"),
    }
}

fn upload(core: &Core, content_type: &str, body: &[u8]) -> Answer {
    let Some((head, content)) = form::part(content_type, body, "some_file") else {
        return http::plain(400, "No file was sent.\n");
    };
    if !head.contains("application/x-x509-ca-cert") {
        return http::plain(400, "Not a certificate or key.\n");
    }
    let names = [CERTIFICATE, KEY];
    let Some(name) = names.into_iter().find(|name| head.contains(&format!("filename=\"{name}\""))) else {
        return http::plain(400, "No file of this name is wanted.\n");
    };
    core.change(|live| Some(Place::of(live)?.more.insert(name.to_owned(), content.to_vec())));
    http::plain(200, "OK\n")
}

/// What the web server finds when it starts: two files that fit, or it shows the factory's certificate.
fn take(place: &mut Place) {
    let files = [CERTIFICATE, KEY].map(|name| place.more.get(name).cloned().unwrap_or_default());
    place.own = pem_file::read(&files.join(&b'\n')).ok().map(|mut installed| {
        installed.chain.truncate(1);
        installed
    });
}
