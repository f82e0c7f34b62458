//! [`crate::Model::Synology`]: a NAS with DSM, and the part of its Web API (`/webapi`) that is about certificates.
//!
//! It keeps many certificates. One is the default; each service is bound to one, and its own page is the service `default`.
//! A new default takes no services along. It is easy to be wrong with: `as_default=false` counts as yes, a service that
//! is bound to where it was is bound to nothing, and one that is described in part stays where it was; all of these are
//! answered with success.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::core::Core;
use crate::dialect::{Answering, Asked, Dialect};
use crate::http::{self, Answer, percent_decoded_text};
use crate::keys::Pair;
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::pem_file::{self, Installed};
use crate::state::{CertificateSummary, State};
use crate::store::Store;
use crate::tls::Arrival;
use crate::{form, random};

const QUERY: &str = "/webapi/query.cgi";
/// Old clients log in at the second of these.
const DOORS: [&str; 2] = ["/webapi/entry.cgi", "/webapi/auth.cgi"];
const AUTH: &str = "SYNO.API.Auth";
const IMPORT: &str = "SYNO.Core.Certificate";
const CERTIFICATES: &str = "SYNO.Core.Certificate.CRT";
const SERVICES: &str = "SYNO.Core.Certificate.Service";
const INFO: &str = "SYNO.DSM.Info";
/// What there is, and its newest version.
const APIS: [(&str, u64); 6] =
    [("SYNO.API.Info", 1), (AUTH, 7), (IMPORT, 1), (CERTIFICATES, 1), (SERVICES, 1), (INFO, 2)];
/// How long its web server is away when it starts again.
const AWAY: Duration = Duration::from_millis(200);
/// Most who may be logged in at a time, and most certificates.
const MANY: usize = 32;

/// The code of an error.
type Refusal = u32;
const NO_SUCH_API: Refusal = 102;
const NO_SUCH_METHOD: Refusal = 103;
const NO_ADMINISTRATOR: Refusal = 105;
const MISSING: Refusal = 114;
const NOT_LOGGED_IN: Refusal = 119;
const WRONG_PARAMETER: Refusal = 120;
const WRONG_PASSWORD: Refusal = 400;
const WANTS_CODE: Refusal = 403;
const WRONG_CODE: Refusal = 404;
/// The one that its user's telephone shows; good once.
const ONE_TIME_CODE: &str = "271828";

type Parameters = BTreeMap<String, String>;

/// The dialect.
pub(crate) struct Synology;

impl Dialect for Synology {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "synology",
            called: "Cellar",
            realm: "Camera",
            server: "nginx",
            takes: "key, certificate and issuers by a Web API, as a Synology NAS",
            page: Page::PLAIN,
            faults: &[Fault::MalformedAnswers, Fault::NoAdministrator, Fault::SecondFactor],
            makes_key: false,
            comes_with_https: true,
            switches_http: false,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Shelf>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, Asked { core, parts, .. }: Asked<'_>, _operation: &str) -> bool {
        let asked = query(parts);
        is(&asked, "api", IMPORT) && is(&asked, "method", "import") && is_logged_in(core, parts, &asked)
    }

    /// Whether it carries what only somebody has who was logged in once.
    fn is_inside(&self, asked: Asked<'_>) -> bool {
        asked.parts.headers.contains_key("x-syno-token")
    }
}

/// What it keeps.
#[derive(Default)]
struct Shelf {
    certificates: Vec<Kept>,
    sessions: Vec<Session>,
    /// Tokens of devices that gave a one-time code.
    devices: Vec<String>,
    code_used: bool,
}

struct Kept {
    id: String,
    desc: String,
    is_default: bool,
    /// Names of the services that are bound to it.
    services: Vec<String>,
    installed: Installed,
}

struct Session {
    sid: String,
    /// What each of its requests has to carry, if it was asked for.
    token: Option<String>,
}

impl Store for Shelf {
    /// What its page shows: nothing, if the page is bound to nothing.
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        let kept = self.of_service("default")?;
        Some((kept.installed.chain.clone(), &kept.installed.pair))
    }

    /// Assigned are what its page and its FTP server are bound to, and the default.
    fn picture(&self) -> State {
        let summary = |kept: &Kept| {
            let der = kept.installed.chain.first().cloned().unwrap_or_default();
            CertificateSummary { id: kept.id.clone(), der }
        };
        let default = self.certificates.iter().find(|kept| kept.is_default);
        let assigned = [self.of_service("default"), self.of_service("ftpd"), default];
        State {
            certificates: self.certificates.iter().map(summary).collect(),
            assigned: assigned.into_iter().flatten().map(|kept| kept.id.clone()).collect(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        self.certificates.push(Kept {
            id: id(),
            desc: String::new(),
            is_default: true,
            services: ["default", "ftpd"].map(str::to_owned).into(),
            installed: Installed { chain: vec![certificate], pair },
        });
    }
}

impl Shelf {
    fn of_service(&self, service: &str) -> Option<&Kept> {
        self.certificates.iter().find(|kept| kept.services.iter().any(|s| s == service))
    }

    fn find(&mut self, id: &str) -> Option<&mut Kept> {
        self.certificates.iter_mut().find(|kept| kept.id == id)
    }

    fn set_default(&mut self, id: &str) {
        for kept in &mut self.certificates {
            kept.is_default = kept.id == id;
        }
    }

    fn list(&self) -> Value {
        let listed = |kept: &Kept| {
            let services: Vec<Value> = kept.services.iter().map(|name| service(name)).collect();
            json!({
                "id": kept.id, "desc": kept.desc, "is_default": kept.is_default, "is_broken": false,
                "renewable": false, "services": services,
            })
        };
        json!({ "certificates": self.certificates.iter().map(listed).collect::<Vec<_>>() })
    }
}

/// A service as it is listed, and as it has to come back.
fn service(name: &str) -> Value {
    let shown = if name == "default" { "DSM Desktop Service" } else { "FTPS" };
    json!({
        "display_name": shown, "isPkg": false, "multiple_cert": true, "owner": "root", "service": name,
        "subscriber": "system", "user_setable": true,
    })
}

/// Whether it is described so that it is known whose it is.
fn is_whole(described: &Value) -> bool {
    let known = service(described["service"].as_str().unwrap_or_default());
    ["display_name", "isPkg", "owner", "subscriber"].iter().all(|field| described[field] == known[field])
}

fn id() -> String {
    random::hex_token::<3>()
}

fn shelf<R>(core: &Core, act: impl FnOnce(&mut Shelf) -> Result<R, Refusal>) -> Result<R, Refusal> {
    core.change(|live| act(live.store_mut().ok_or(NO_SUCH_API)?))
}

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, arrival, parts, .. } = asked;
    let path = parts.uri.path();
    if path != QUERY && !DOORS.contains(&path) {
        return None;
    }
    let mut asked = query(parts);
    if parts.method == Method::POST && http::content_type(parts) == "application/x-www-form-urlencoded" {
        asked.extend(pairs(std::str::from_utf8(body).unwrap_or_default()));
    }
    let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let said = match (path, text("api"), text("method")) {
        (QUERY, "SYNO.API.Info", "query") => Ok(apis(text("query"))),
        (QUERY, _, _) => Err(NO_SUCH_API),
        (_, AUTH, "login") => login(core, arrival, &asked),
        _ if !is_logged_in(core, parts, &asked) => Err(NOT_LOGGED_IN),
        (_, AUTH, "logout") => shelf(core, |shelf| {
            shelf.sessions.retain(|s| s.sid != text("_sid"));
            Ok(Value::Null)
        }),
        (_, INFO, "getinfo") => Ok(json!({
            "model": "Simulated DS", "serial": core.serial, "version_string": "DSM 7.2.2-72806", "ram": 2048,
        })),
        _ if core.options.has(Fault::NoAdministrator) => Err(NO_ADMINISTRATOR),
        (_, CERTIFICATES, "list") => shelf(core, |shelf| Ok(shelf.list())),
        (_, CERTIFICATES, "set") => set(core, &asked),
        (_, CERTIFICATES, "delete") => delete(core, text("ids")),
        (_, SERVICES, "set") => bind(core, text("settings")),
        (_, IMPORT, "import") => import(core, http::content_type(parts), body),
        (_, AUTH | INFO | CERTIFICATES | SERVICES | IMPORT, _) => Err(NO_SUCH_METHOD),
        _ => Err(NO_SUCH_API),
    };
    let name = format!("{} {}", text("api"), text("method"));
    let name = if text("api").is_empty() { http::name(parts) } else { name.chars().take(100).collect() };
    let said = match said {
        Ok(Value::Null) => json!({ "success": true }),
        Ok(data) => json!({ "data": data, "success": true }),
        Err(code) => json!({ "error": { "code": code }, "success": false }),
    };
    Some((name, http::answer(200, "application/json; charset=\"UTF-8\"", said.to_string())))
}

fn pairs(text: &str) -> Parameters {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .filter_map(|(name, value)| Some((name.to_owned(), percent_decoded_text(&value.replace('+', " "))?)))
        .collect()
}

fn query(parts: &Parts) -> Parameters {
    pairs(parts.uri.query().unwrap_or_default())
}

fn is(asked: &Parameters, name: &str, value: &str) -> bool {
    asked.get(name).is_some_and(|found| found == value)
}

fn apis(wanted: &str) -> Value {
    let is_wanted = |name: &str| wanted == "all" || wanted.split(',').any(|w| w == name);
    let found = APIS.iter().filter(|(name, _)| is_wanted(name));
    let told = found.map(|(name, version)| {
        let path = if *name == "SYNO.API.Info" { "query.cgi" } else { "entry.cgi" };
        ((*name).to_owned(), json!({ "path": path, "minVersion": 1, "maxVersion": version }))
    });
    Value::Object(told.collect())
}

fn login(core: &Core, arrival: &Arrival, asked: &Parameters) -> Result<Value, Refusal> {
    let text = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let in_tls = arrival.tls.is_some();
    if !core.change(|live| live.guard.check_plain(text("account"), text("passwd"), in_tls)) {
        return Err(WRONG_PASSWORD);
    }
    let device = if core.options.has(Fault::SecondFactor) { second_factor(core, asked)? } else { None };
    let session = Session {
        sid: random::hex_token::<16>(),
        token: (text("enable_syno_token") == "yes").then(random::hex_token::<8>),
    };
    let mut told = json!({ "sid": session.sid, "is_portal_port": false });
    if let Some(device) = device {
        told["did"] = json!(device);
    }
    if let Some(token) = &session.token {
        told["synotoken"] = json!(token);
    }
    shelf(core, |shelf| {
        if shelf.sessions.len() >= MANY {
            shelf.sessions.remove(0);
        }
        shelf.sessions.push(session);
        Ok(told)
    })
}

/// A code that was not used yet, or the token of a device that gave one; the token of a new one, if it wants one.
fn second_factor(core: &Core, asked: &Parameters) -> Result<Option<String>, Refusal> {
    shelf(core, |shelf| {
        if asked.get("device_id").is_some_and(|device| shelf.devices.contains(device)) {
            return Ok(None);
        }
        let Some(code) = asked.get("otp_code").filter(|code| !code.is_empty()) else {
            return Err(WANTS_CODE);
        };
        if code != ONE_TIME_CODE || std::mem::replace(&mut shelf.code_used, true) {
            return Err(WRONG_CODE);
        }
        let device = is(asked, "enable_device_token", "yes").then(random::hex_token::<16>);
        shelf.devices.extend(device.clone());
        Ok(device)
    })
}

fn is_logged_in(core: &Core, parts: &Parts, asked: &Parameters) -> bool {
    let Some(sid) = asked.get("_sid") else { return false };
    let header = parts.headers.get("x-syno-token").and_then(|value| value.to_str().ok());
    let token = header.or_else(|| asked.get("SynoToken").map(String::as_str));
    let fits = |s: &Session| s.sid == *sid && (s.token.is_none() || s.token.as_deref() == token);
    shelf(core, |shelf| Ok(shelf.sessions.iter().any(fits))).unwrap_or(false)
}

/// A text in JSON, or as it is.
fn unquoted(text: &str) -> String {
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
}

fn set(core: &Core, asked: &Parameters) -> Result<Value, Refusal> {
    let id = unquoted(asked.get("id").ok_or(MISSING)?);
    shelf(core, |shelf| {
        let kept = shelf.find(&id).ok_or(WRONG_PARAMETER)?;
        if let Some(desc) = asked.get("desc") {
            kept.desc = unquoted(desc);
        }
        if asked.contains_key("as_default") {
            shelf.set_default(&id);
        }
        Ok(Value::Null)
    })
}

/// The default stays; what was bound to another is bound to the default.
fn delete(core: &Core, ids: &str) -> Result<Value, Refusal> {
    let ids: Vec<String> = serde_json::from_str(ids).map_err(|_| WRONG_PARAMETER)?;
    shelf(core, |shelf| {
        let is_there = |id: &String| shelf.certificates.iter().any(|kept| kept.id == *id && !kept.is_default);
        if ids.is_empty() || !ids.iter().all(is_there) {
            return Err(WRONG_PARAMETER);
        }
        let (gone, mut kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut shelf.certificates).into_iter().partition(|kept| ids.contains(&kept.id));
        if let Some(default) = kept.iter_mut().find(|kept| kept.is_default) {
            default.services.extend(gone.into_iter().flat_map(|gone| gone.services));
        }
        shelf.certificates = kept;
        Ok(Value::Null)
    })
}

fn bind(core: &Core, settings: &str) -> Result<Value, Refusal> {
    let settings: Vec<Value> = serde_json::from_str(settings).map_err(|_| WRONG_PARAMETER)?;
    shelf(core, |shelf| {
        for setting in settings.iter().take(MANY) {
            let text = |name: &str| setting[name].as_str().unwrap_or_default().to_owned();
            let (from, to) = (text("old_id"), text("id"));
            let name = setting["service"]["service"].as_str().unwrap_or_default();
            let is_bound = |kept: &mut Kept| kept.services.iter().any(|s| s == name);
            shelf.find(&to).ok_or(WRONG_PARAMETER)?;
            // Half a description is taken, and nothing comes of it.
            if !is_whole(&setting["service"]) || !shelf.find(&from).is_some_and(is_bound) {
                continue;
            }
            if let Some(from) = shelf.find(&from) {
                from.services.retain(|s| s != name);
            }
            // Bound to where it was: it is only taken away.
            if from != to
                && let Some(to) = shelf.find(&to)
            {
                to.services.push(name.to_owned());
            }
        }
        Ok(Value::Null)
    })
}

fn import(core: &Arc<Core>, content_type: &str, body: &[u8]) -> Result<Value, Refusal> {
    let part = |name: &str| form::file(content_type, body, name);
    let text =
        |name: &str| part(name).map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default();
    let files =
        [part("key").ok_or(MISSING)?, part("cert").ok_or(MISSING)?, part("inter_cert").unwrap_or_default()];
    let installed = pem_file::read(&files.join(&b'\n')).map_err(|_| WRONG_PARAMETER)?;
    let (replaced, desc) = (text("id"), text("desc"));
    if desc.contains('\\') {
        return Err(WRONG_PARAMETER);
    }
    shelf(core, |shelf| {
        let is_full = shelf.certificates.len() >= MANY;
        let id = match shelf.find(&replaced) {
            Some(kept) => {
                (kept.desc, kept.installed) = (desc, installed);
                replaced
            }
            None if !replaced.is_empty() || is_full => return Err(WRONG_PARAMETER),
            None => {
                let id = id();
                let (is_default, services) = (false, Vec::new());
                shelf.certificates.push(Kept { id: id.clone(), desc, is_default, services, installed });
                id
            }
        };
        if part("as_default").is_some() {
            shelf.set_default(&id);
        }
        Ok(())
    })?;
    // The web server starts again, which ends no session; unless the whole device is about to.
    if !core.options.has(Fault::Reboots) {
        core.restart(AWAY, |_| ());
    }
    Ok(json!({ "restart_httpd": true }))
}
