//! [`crate::Model::Reolink`]: `/cgi-bin/api.cgi`, a list of commands in JSON under a token.
//!
//! The one place has to be cleared before it takes another certificate, files have exact names, keys are RSA, and the
//! web server starts again after either, which ends every session.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Method;
use hyper::http::request::Parts;
use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use serde_json::{Value, json};

use crate::core::{Core, SwitchRefusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::http::{self, Answer};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::pem_file::{self, Installed};
use crate::store::Store;
use crate::tls::Arrival;
use crate::{place, random};

const API: &str = "/cgi-bin/api.cgi";
const AWAY: Duration = Duration::from_millis(200);
/// Most who may be logged in at a time.
const SESSIONS: usize = 4;
/// Most commands in one request.
const COMMANDS: usize = 64;

/// A refusal: `rspCode` and `detail`.
type Refusal = (i64, &'static str);
const NOT_LOGGED_IN: Refusal = (-6, "please login first");
const WRONG_PARAMETER: Refusal = (-4, "param error");

/// The dialect.
pub(crate) struct Reolink;

impl Dialect for Reolink {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "reolink",
            called: "Drive",
            realm: "Camera",
            server: "nginx",
            takes: "JSON commands, as a Reolink camera",
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

    fn is_upload(&self, Asked { core, parts, .. }: Asked<'_>, _operation: &str) -> bool {
        http::parameter(parts, "cmd") == Some("ImportCertificate") && is_logged_in(core, parts)
    }

    fn is_inside(&self, asked: Asked<'_>) -> bool {
        asked.parts.uri.query().is_some_and(|query| query.contains("token="))
    }
}

/// With the tokens of those who are logged in.
type Place = place::Place<Vec<String>>;

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, arrival, parts, .. } = asked;
    if parts.uri.path() != API {
        return None;
    }
    if parts.method != Method::POST {
        return Some((http::name(parts), http::not_allowed("POST")));
    }
    let commands: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
    let mut replies = Vec::new();
    for command in commands.iter().take(COMMANDS) {
        let name = command["cmd"].as_str().unwrap_or_default();
        let mut reply = json!({ "cmd": name, "code": 0 });
        match execute(core, arrival, parts, name, &command["param"]).await {
            Ok(value) => reply["value"] = value,
            Err((code, detail)) => {
                reply["code"] = json!(1);
                reply["error"] = json!({ "rspCode": code, "detail": detail });
            }
        }
        replies.push(reply);
    }
    let name = http::parameter(parts, "cmd").unwrap_or("api.cgi");
    // It calls its JSON so.
    Some((name.to_owned(), http::answer(200, "text/html", Value::from(replies).to_string())))
}

fn is_logged_in(core: &Core, parts: &Parts) -> bool {
    let Some(token) = http::parameter(parts, "token") else { return false };
    core.change(|live| Place::of(live).is_some_and(|place| place.more.iter().any(|t| t == token)))
}

async fn execute(
    core: &Arc<Core>,
    arrival: &Arrival,
    parts: &Parts,
    name: &str,
    param: &Value,
) -> Result<Value, Refusal> {
    let done = || Ok(json!({ "rspCode": 200 }));
    if name == "Login" {
        return login(core, arrival, &param["User"]);
    }
    if !is_logged_in(core, parts) {
        return Err(NOT_LOGGED_IN);
    }
    match name {
        "Logout" => {
            let token = http::parameter(parts, "token").unwrap_or_default();
            Place::change(core, |place| place.more.retain(|t| t != token));
            done()
        }
        "GetDevInfo" => Ok(json!({ "DevInfo": {
            "name": core.options.name, "model": "Simulated RLC", "serial": core.serial, "type": "IPC",
            "exactType": "IPC", "hardVer": "SIM_1", "firmVer": "v3.1.0.4417_2412122130", "channelNum": 1,
            "itemNo": "SIM", "buildDay": "build 24121221", "cfgVer": "v3.1.0.0", "wifi": 0, "diskNum": 0,
        } })),
        "GetNetPort" => Ok(json!({ "NetPort": ports(core) })),
        "SetNetPort" => {
            let switch = |name: &str| param["NetPort"][name].as_i64().map(|on| on != 0);
            core.switch(switch("httpEnable"), switch("httpsEnable")).await.map_err(
                |refusal| match refusal {
                    SwitchRefusal::LastDoor => WRONG_PARAMETER,
                    _ => (-13, "set config failed"),
                },
            )?;
            forget_sessions(core);
            done()
        }
        "GetCertificateInfo" => {
            let has_own = core.change(|live| Place::of(live).is_some_and(|place| place.own.is_some()));
            let name = |name| if has_own { name } else { "" };
            Ok(json!({ "CertificateInfo": {
                "enable": i32::from(has_own), "crtName": name("server.crt"), "keyName": name("server.key"),
            } }))
        }
        "CertificateClear" => {
            start_again(core, None);
            done()
        }
        "ImportCertificate" => {
            let has_own = core.change(|live| Place::of(live).is_some_and(|place| place.own.is_some()));
            let installed = read(&param["importCertificate"]).filter(|_| !has_own).ok_or(WRONG_PARAMETER)?;
            start_again(core, Some(installed));
            done()
        }
        _ => Err((-9, "not support")),
    }
}

fn login(core: &Core, arrival: &Arrival, user: &Value) -> Result<Value, Refusal> {
    let text = |name: &str| user[name].as_str().unwrap_or_default();
    core.change(|live| {
        if !live.guard.check_plain(text("userName"), text("password"), arrival.tls.is_some()) {
            return Err((-7, "login failed"));
        }
        let place = Place::of(live).ok_or(NOT_LOGGED_IN)?;
        if place.more.len() >= SESSIONS {
            return Err((-5, "max session"));
        }
        let token = random::hex_token::<8>();
        place.more.push(token.clone());
        Ok(json!({ "Token": { "name": token, "leaseTime": 3600 } }))
    })
}

fn ports(core: &Core) -> Value {
    let (http_on, https_on) = core.look(|live| (live.http_on, live.https_on));
    json!({
        "httpEnable": i32::from(http_on), "httpPort": core.http.address().port(),
        "httpsEnable": i32::from(https_on), "httpsPort": core.https.address().port(),
        "mediaPort": 9000, "onvifEnable": 0, "onvifPort": 8000, "rtmpEnable": 0, "rtmpPort": 1935,
        "rtspEnable": 1, "rtspPort": 554,
    })
}

fn forget_sessions(core: &Core) {
    Place::change(core, |place| place.more.clear());
}

fn start_again(core: &Arc<Core>, own: Option<Installed>) {
    core.restart(AWAY, |live| {
        if let Some(place) = Place::of(live) {
            place.own = own;
            place.more.clear();
        }
    });
}

/// Both files, if they are as the firmware wants them.
fn read(files: &Value) -> Option<Installed> {
    let file = |part: &str, name: &str| {
        let file = &files[part];
        let content = BASE64.decode(file["content"].as_str()?).ok()?;
        let fits = file["name"] == name && file["size"] == content.len();
        fits.then_some(content)
    };
    let both = [file("key", "server.key")?, file("crt", "server.crt")?].join(&b'\n');
    let installed = pem_file::read(&both).ok()?;
    let key = any_supported_type(&installed.pair.private).ok()?;
    (key.algorithm() == SignatureAlgorithm::RSA).then_some(installed)
}
