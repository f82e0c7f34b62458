//! [`crate::Model::Mobotix`]: the files `httpd_cert.pem` and `httpd_privkey.pem` under `/config/camera/media`, and
//! `/admin/rcontrol?action=reboot`. What was uploaded is served after the restart, the leaf alone.

use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::http::request::Parts;

use crate::core::Core;
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::makers::{self, Place};
use crate::{form, pem_file, router};

const MEDIA: &str = "/config/camera/media";
const CONTROL: &str = "/admin/rcontrol";
const CERTIFICATE: &str = "httpd_cert.pem";
const KEY: &str = "httpd_privkey.pem";
/// Minutes on a camera.
const AWAY: Duration = Duration::from_millis(500);

pub(crate) fn is_upload(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == MEDIA
}

pub(crate) fn answer(core: &Arc<Core>, parts: &Parts, login: Login, body: &[u8]) -> Option<(String, Answer)> {
    let path = parts.uri.path();
    if path != MEDIA && path != CONTROL {
        return None;
    }
    if login != Login::Accepted {
        let answer = http::plain(401, "This needs the camera's user and password.\n");
        return Some((router::name(parts), makers::challenged(core, login, answer)));
    }
    let answer = match path {
        MEDIA if parts.method == Method::GET => download(core, makers::parameter(parts, "file")),
        MEDIA if parts.method == Method::POST => upload(core, makers::content_type(parts), body),
        CONTROL if parts.method == Method::POST && makers::parameter(parts, "action") == Some("reboot") => {
            core.restart(AWAY, |live| {
                if let Some(place) = makers::place(live) {
                    take(place);
                }
            });
            http::plain(200, "OK - Reboot\n")
        }
        _ => http::plain(400, "ERROR\n"),
    };
    Some((router::name(parts), answer))
}

/// Certificates can be read, keys cannot.
fn download(core: &Core, file: Option<&str>) -> Answer {
    let content = core.change(|live| makers::place(live)?.files.get(CERTIFICATE).cloned());
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
    core.change(|live| Some(makers::place(live)?.files.insert(name.to_owned(), content.to_vec())));
    http::plain(200, "OK\n")
}

/// What the web server finds when it starts: two files that fit, or it shows the factory's certificate.
fn take(place: &mut Place) {
    let files = [CERTIFICATE, KEY].map(|name| place.files.get(name).cloned().unwrap_or_default());
    place.own = pem_file::read(&files.join(&b'\n')).ok().map(|mut installed| {
        installed.chain.truncate(1);
        installed
    });
}
