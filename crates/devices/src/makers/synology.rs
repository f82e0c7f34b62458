//! Synology DSM, the system of a NAS: its Web API (`/webapi`), JSON under a session that a login gives.
//!
//! The API for certificates is not documented; this was written from programs that use it. The login holds the password
//! as it is, so it is sent inside pinned TLS alone, and in a body, since addresses are logged. DSM keeps many
//! certificates; each of its services is bound to one, and one is the default for what is bound to none. Its own web
//! page is the service `default`. Its word that something was done is not taken for it: the list is read again.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::{
    Method,
    body::Bytes,
    header::{HeaderName, HeaderValue},
};
use pki::pem;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Maker, percent_encoded};
use crate::{
    Abilities, Before, Credentials, DeviceInfo, Driver, Error, Package,
    form::{self, File},
    http::{Answer, Http, Request},
    session::Session,
};

const ENTRY: &str = "entry.cgi";
const INFO: &str = "/webapi/query.cgi?api=SYNO.API.Info&version=1&method=query&query=SYNO.API.Auth";
const AUTH: &str = "SYNO.API.Auth";
const LIST: &str = "SYNO.Core.Certificate.CRT";
const SERVICE: &str = "SYNO.Core.Certificate.Service";
/// The service that is DSM's own page.
const DESKTOP: &str = "default";
/// What every mark begins with.
const OURS: &str = "camlock-";
/// The user is no administrator.
const NO_ADMINISTRATOR: i64 = 105;
const TOKEN: HeaderName = HeaderName::from_static("x-syno-token");
/// Between two tries while the web server starts again.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) const MAKER: Maker = Maker { name: "synology", probe, recognise, connect };

/// Which program answers to the login, which every client asks first.
fn probe(http: &Http) -> Request {
    Request::get(http.place(INFO))
}

fn recognise(answer: &Answer) -> Option<Abilities> {
    login_api(answer)?;
    Some(Abilities {
        makes_key: false,
        key_kinds: vec!["rsa-2048".to_owned(), "p256".to_owned()],
        serves_chain: true,
        one_slot: false,
        restarts: false,
        source: "other programs for Synology's Web API".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Synology { session, restarts_until: None })
}

/// Where the login is and its newest version, of what the device says to [`probe`].
fn login_api(answer: &Answer) -> Option<(String, u64)> {
    let data = said(answer)?.ok()?;
    let api = data.get(AUTH)?;
    let path = api.get("path")?.as_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let is_path = !path.is_empty() && path.len() <= 64 && path.chars().all(is_plain) && !path.contains("..");
    is_path.then(|| Some((path.to_owned(), api.get("maxVersion")?.as_u64()?)))?
}

/// The data of an answer, or the code of the refusal; `None` if it is neither.
fn said(answer: &Answer) -> Option<Result<Value, i64>> {
    #[derive(Deserialize)]
    struct Said {
        success: bool,
        #[serde(default)]
        data: Value,
        #[serde(default)]
        error: Value,
    }
    let said: Said = serde_json::from_slice(&answer.body).ok()?;
    match said.success {
        true => Some(Ok(said.data)),
        false => Some(Err(said.error.get("code")?.as_i64()?)),
    }
}

struct Synology {
    session: Session,
    /// Until then its web server may start again, at a moment of its own: it was given a certificate.
    restarts_until: Option<Instant>,
}

/// Who is logged in, as every later request says it.
struct Login {
    path: String,
    version: u64,
    sid: Zeroizing<String>,
    token: Option<HeaderValue>,
}

/// A certificate that the device keeps.
#[derive(Clone, Debug, Deserialize)]
struct Certificate {
    id: String,
    #[serde(default)]
    desc: String,
    #[serde(default)]
    is_default: bool,
    /// What is bound to it. Goes back to the device as it came.
    #[serde(default)]
    services: Vec<Map<String, Value>>,
}

impl Certificate {
    fn has(&self, service: &str) -> bool {
        self.services.iter().any(|s| s.get("service").and_then(Value::as_str) == Some(service))
    }

    fn is_in_use(&self) -> bool {
        self.is_default || !self.services.is_empty()
    }
}

/// The certificate that the device's own page shows.
fn of_the_page(certificates: &[Certificate]) -> Option<&Certificate> {
    certificates.iter().find(|c| c.has(DESKTOP)).or_else(|| certificates.iter().find(|c| c.is_default))
}

fn by_id<'a>(certificates: &'a [Certificate], id: &str) -> Option<&'a Certificate> {
    certificates.iter().find(|c| c.id == id)
}

#[async_trait]
impl Driver for Synology {
    async fn note(&mut self) -> Result<Before, Error> {
        let login = self.login().await?;
        let noted = self.look(&login).await;
        self.logout(login).await;
        noted
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        let login = self.login().await?;
        let done = self.import(&login, mark, package, key).await;
        self.logout(login).await;
        done
    }

    /// It was switched on long ago: this driver speaks over it.
    async fn enable_https(&mut self) -> Result<u16, Error> {
        Ok(self.session.http().endpoint.port)
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        let login = self.login().await?;
        let done = self.put_back(&login, mark, before).await;
        self.logout(login).await;
        done
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        let login = self.login().await?;
        let done = self.remove(&login, |c| marks.contains(&c.desc)).await;
        self.logout(login).await;
        done
    }
}

/// The one-time code, which brings a device token, or that token in its place.
fn second_factor(by: &Credentials) -> Zeroizing<String> {
    const NAME: &str = "&device_name=camlock";
    let Ok(mut factor) = by.second_factor.lock() else { return Zeroizing::default() };
    let code = factor.code.take();
    let parameters = match (&factor.device_token, code) {
        (Some(token), _) => [NAME, "&device_id=", &Zeroizing::new(percent_encoded(token))].concat(),
        (None, Some(code)) => {
            [NAME, "&enable_device_token=yes&otp_code=", &Zeroizing::new(percent_encoded(&code))].concat()
        }
        (None, None) => String::new(),
    };
    Zeroizing::new(parameters)
}

impl Synology {
    async fn login(&mut self) -> Result<Login, Error> {
        let by = self.session.for_login()?.clone();
        let (path, version, request, answer) = loop {
            match self.ask_to_log_in(&by).await {
                // The restart may begin between question and login, too. This user was let in before it.
                Err(e) if e.is_of_connection() && self.restarts_until.is_some_and(|t| Instant::now() < t) => {
                }
                other => break other?,
            }
            tokio::time::sleep(PAUSE).await;
        };
        let data = match read(&request, &answer)? {
            Ok(data) => data,
            Err(400 | 401) => return Err(self.session.wrong_password()),
            // 403 asks for a code, 404 is a wrong one, 406 an account that must have one.
            Err(403 | 404 | 406) => return Err(self.session.refuse(Error::SecondFactor { user: by.user })),
            Err(408..=410) => return Err(self.session.refuse(Error::PasswordExpired { user: by.user })),
            // Whatever it is, the same password once more would not help.
            Err(code) => return Err(self.session.refuse(refused("login", code))),
        };
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let Some(sid) = text("sid").filter(|sid| !sid.is_empty()) else {
            return Err(request.unexpected("a login without a session"));
        };
        if let (Some(token), Ok(mut factor)) = (text("did").or(text("device_id")), by.second_factor.lock()) {
            factor.device_token = Some(Zeroizing::new(token.to_owned()));
        }
        let sid = Zeroizing::new(sid.to_owned());
        let token = text("synotoken").and_then(|token| HeaderValue::from_str(token).ok());
        Ok(Login { path, version, sid, token })
    }

    /// Path and version of the login, its request and what the device says to it.
    async fn ask_to_log_in(&self, by: &Credentials) -> Result<(String, u64, Request, Answer), Error> {
        let http = self.session.http();
        let question = probe(http);
        let answer = http.send(&question, None).await?;
        let Some((path, version)) = login_api(&answer) else {
            return Err(question.unexpected(&format!("HTTP {}, {}", answer.status, answer.text())));
        };
        let (user, password) = (percent_encoded(&by.user), Zeroizing::new(percent_encoded(&by.password)));
        let second = second_factor(by);
        let parameters =
            ["format=sid&enable_syno_token=yes&account=", &user, "&passwd=", &password, &second].concat();
        let request = self.request_to(&path, AUTH, "login", version, None, Zeroizing::new(parameters));
        let answer = http.send(&request, None).await?;
        Ok((path, version, request, answer))
    }

    /// Sessions end by themselves: that one is not given back is no reason to fail.
    async fn logout(&mut self, login: Login) {
        let Login { path, version, .. } = &login;
        let request = self.request_to(path, AUTH, "logout", *version, Some(&login), Zeroizing::default());
        let _ = self.send(&login, &request).await;
    }

    fn request_to(
        &self,
        path: &str,
        api: &str,
        method: &str,
        version: u64,
        login: Option<&Login>,
        parameters: Zeroizing<String>,
    ) -> Request {
        let sid = login.map(|login| Zeroizing::new(percent_encoded(&login.sid)));
        let sid = sid.as_ref().map_or("", |sid| sid.as_str());
        let version = version.to_string();
        let mut pieces = vec!["api=", api, "&method=", method, "&version=", &version];
        if login.is_some() {
            pieces.extend(["&_sid=", sid]);
        }
        if !parameters.is_empty() {
            pieces.extend(["&", &parameters]);
        }
        Request {
            operation: method.to_owned(),
            method: Method::POST,
            place: self.session.http().place(&format!("/webapi/{path}")),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            // It may hold the password or the session.
            body: Bytes::from_owner(Zeroizing::new(pieces.concat().into_bytes())),
            secret: false,
            patience: None,
        }
    }

    async fn send(&mut self, login: &Login, request: &Request) -> Result<Result<Value, i64>, Error> {
        let token = login.token.clone().map(|token| (TOKEN, token));
        let answer = self.session.http().send_with(request, token).await?;
        read(request, &answer)
    }

    /// Version 1 of a method; its parameters as they are before encoding.
    async fn call(
        &mut self,
        login: &Login,
        api: &str,
        method: &str,
        parameters: &[(&str, String)],
    ) -> Result<Value, Error> {
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let parameters = Zeroizing::new(parameters.join("&"));
        let request = self.request_to(ENTRY, api, method, 1, Some(login), parameters);
        match self.send(login, &request).await? {
            Ok(data) => Ok(data),
            Err(NO_ADMINISTRATOR) => Err(self.session.not_allowed(method)),
            Err(code) => Err(refused(method, code)),
        }
    }

    async fn list(&mut self, login: &Login) -> Result<Vec<Certificate>, Error> {
        let mut data = self.call(login, LIST, "list", &[]).await?;
        let certificates = data.get_mut("certificates").map(Value::take).unwrap_or_default();
        serde_json::from_value(certificates).map_err(|e| Error::UnexpectedAnswer {
            operation: "list".to_owned(),
            detail: Told::new(&e.to_string()),
        })
    }

    /// A change that is looked for afterwards; whether a restart that began only now cut it off, done or not.
    async fn change(
        &mut self,
        login: &Login,
        api: &str,
        method: &str,
        parameters: &[(&str, String)],
    ) -> Result<bool, Error> {
        match self.call(login, api, method, parameters).await {
            Err(e) if e.is_of_connection() && self.restarts_until.is_some_and(|t| Instant::now() < t) => {
                Ok(true)
            }
            done => done.map(|_| false),
        }
    }

    /// The list after a change, as soon as the web server answers again. After a way back it may show a key that was
    /// not seen before: that of the certificate which is shown again.
    async fn list_again(&mut self, login: &Login, learns: bool) -> Result<Vec<Certificate>, Error> {
        let deadline = Instant::now() + self.session.http().limits.restart;
        loop {
            let error = match self.list(login).await {
                Err(e) if e.is_of_connection() && Instant::now() < deadline => e,
                other => return other,
            };
            if learns && matches!(error, Error::NotThePinnedKey { .. }) {
                let _ = self.session.meet().await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn look(&mut self, login: &Login) -> Result<Before, Error> {
        let certificates = self.list(login).await?;
        let device = self.device(login).await?;
        Ok(Before {
            device,
            // This was asked over it. Where plain HTTP is, it does not tell.
            https_on: true,
            https_port: self.session.http().endpoint.port,
            http_on: true,
            in_use: of_the_page(&certificates).into_iter().map(|c| c.id.clone()).collect(),
            certificates: certificates.into_iter().map(|c| (c.id, c.is_default)).collect::<BTreeMap<_, _>>(),
            ..Before::default()
        })
    }

    async fn device(&mut self, login: &Login) -> Result<DeviceInfo, Error> {
        let request =
            self.request_to(ENTRY, "SYNO.DSM.Info", "getinfo", 2, Some(login), Zeroizing::default());
        // Not needed, so nothing depends on it.
        let data = self.send(login, &request).await?.unwrap_or_default();
        let text = |name: &str| {
            let text = data.get(name).and_then(Value::as_str);
            text.map(Told::new).filter(|text| !text.is_empty())
        };
        Ok(DeviceInfo {
            manufacturer: Some("Synology".into()),
            model: text("model"),
            firmware: text("version_string"),
            serial_number: text("serial"),
        })
    }

    async fn import(
        &mut self,
        login: &Login,
        mark: &str,
        package: &Package<'_>,
        key: &[u8],
    ) -> Result<(), Error> {
        let now = self.list(login).await?;
        // In the place of what is ours, so that everything else which is bound to it goes along.
        let ours = of_the_page(&now).filter(|c| c.desc.starts_with(OURS));
        let id = ours.map_or("", |c| c.id.as_str());
        self.session.expect(package.certificate);
        let key = pem::block("PRIVATE KEY", key);
        let certificate = pem::block("CERTIFICATE", package.certificate);
        let issuers: Vec<_> = package.issuers.iter().map(|der| pem::block("CERTIFICATE", der)).collect();
        let issuers: String = issuers.iter().map(|pem| pem.as_str()).collect();
        let file =
            |field, name, content| File { field, name, content_type: "application/octet-stream", content };
        let mut files = vec![file("key", "key.pem", key.as_str()), file("cert", "cert.pem", &certificate)];
        if !issuers.is_empty() {
            files.push(file("inter_cert", "issuers.pem", &issuers));
        }
        // The part `as_default` counts as yes whatever is in it. Here yes is meant.
        let fields = [("id", id), ("desc", mark), ("as_default", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let token = login.token.as_ref().and_then(|token| token.to_str().ok()).unwrap_or_default();
        let place = self.session.http().place(&format!(
            "/webapi/{ENTRY}?api=SYNO.Core.Certificate&method=import&version=1&SynoToken={}&_sid={}",
            percent_encoded(token),
            percent_encoded(&login.sid)
        ));
        let mut request = form::upload_all(place, &fields, &files)?;
        request.operation = "import".to_owned();
        match self.send(login, &request).await? {
            Ok(_) => {}
            Err(NO_ADMINISTRATOR) => return Err(self.session.not_allowed("import")),
            Err(code) => return Err(refused("import", code)),
        }
        self.restarts_until = Some(Instant::now() + self.session.http().limits.restart);
        let now = self.list_again(login, false).await?;
        let Some(ours) = now.iter().find(|c| c.desc == mark).map(|c| c.id.clone()) else {
            return Err(request.unexpected("it says done, and the certificate is not in its list"));
        };
        self.bind(login, &now, DESKTOP, &ours, false).await
    }

    /// Binds a service to a certificate, wherever it is bound now. To what it has already it is never bound again: that
    /// would take its binding away.
    async fn bind(
        &mut self,
        login: &Login,
        now: &[Certificate],
        service: &str,
        to: &str,
        learns: bool,
    ) -> Result<(), Error> {
        let Some(has_it) = now.iter().find(|c| c.has(service) && c.id != to) else { return Ok(()) };
        let whole =
            has_it.services.iter().find(|s| s.get("service").and_then(Value::as_str) == Some(service));
        let settings = json!([{ "service": whole, "old_id": has_it.id, "id": to }]).to_string();
        for _ in 0..2 {
            let was_cut = self.change(login, SERVICE, "set", &[("settings", settings.clone())]).await?;
            let after = self.list_again(login, learns).await?;
            if by_id(&after, to).is_some_and(|c| c.has(service)) {
                return Ok(());
            }
            if !was_cut {
                break;
            }
        }
        Err(not_done(SERVICE, &format!("the service {service} is not bound to the certificate")))
    }

    async fn put_back(&mut self, login: &Login, mark: &str, before: &Before) -> Result<(), Error> {
        let mut now = self.list(login).await?;
        let Some(ours) = now.iter().find(|c| c.desc == mark).cloned() else { return Ok(()) };
        if before.certificates.contains_key(&ours.id) {
            // It took the place of an earlier one of ours, whose key is gone.
            return Err(Error::CannotUndo { certificate: Told::new(&ours.id) });
        }
        let default =
            before.certificates.iter().find(|(_, is_default)| **is_default).map(|(id, _)| id.as_str());
        let page = before.in_use.first().map(String::as_str);
        if ours.is_default
            && let Some(default) = default
        {
            let Some(old) = by_id(&now, default) else {
                return Err(Error::CannotUndo { certificate: Told::new(default) });
            };
            let quoted = |text: &str| Value::from(text).to_string();
            let parameters =
                [("id", quoted(&old.id)), ("as_default", "true".to_owned()), ("desc", quoted(&old.desc))];
            self.change(login, LIST, "set", &parameters).await?;
            now = self.list_again(login, true).await?;
            if by_id(&now, default).is_none_or(|c| !c.is_default) {
                return Err(not_done("set", "the earlier certificate is not the default again"));
            }
        }
        // What else is bound to it by now had followed the default.
        for service in by_id(&now, &ours.id).map(|c| c.services.clone()).unwrap_or_default() {
            let Some(service) = service.get("service").and_then(Value::as_str) else { continue };
            let to = if service == DESKTOP { page.or(default) } else { default };
            let Some(to) = to else { continue };
            if by_id(&now, to).is_none() {
                return Err(Error::CannotUndo { certificate: Told::new(to) });
            }
            self.bind(login, &now, service, to, true).await?;
        }
        self.remove(login, |c| c.desc == mark).await
    }

    /// Removes those of `which` that nothing uses.
    async fn remove(
        &mut self,
        login: &Login,
        which: impl Fn(&Certificate) -> bool + Send,
    ) -> Result<(), Error> {
        let is_waste = |c: &Certificate| which(c) && !c.is_in_use();
        let now = self.list_again(login, true).await?;
        let ids: Vec<&str> = now.iter().filter(|c| is_waste(c)).map(|c| c.id.as_str()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let ids = json!(ids).to_string();
        self.change(login, LIST, "delete", &[("ids", ids)]).await?;
        match self.list_again(login, true).await?.iter().any(is_waste) {
            true => Err(not_done("delete", "the certificate is still there")),
            false => Ok(()),
        }
    }
}

fn read(request: &Request, answer: &Answer) -> Result<Result<Value, i64>, Error> {
    said(answer).ok_or_else(|| request.unexpected(&format!("HTTP {}, {}", answer.status, answer.text())))
}

fn refused(operation: &str, code: i64) -> Error {
    Error::Refused {
        operation: operation.to_owned(),
        fault: code.to_string().into(),
        reason: Told::default(),
    }
}

fn not_done(operation: &str, detail: &str) -> Error {
    let detail = format!("it says done, and {detail}");
    Error::UnexpectedAnswer { operation: operation.to_owned(), detail: Told::new(&detail) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::{
        Limits,
        fake::{self, Fake, answer},
    };

    const MARK: &str = "camlock-3f9a1c20";
    const APIS: &str =
        r#"{"data":{"SYNO.API.Auth":{"maxVersion":7,"minVersion":1,"path":"entry.cgi"}},"success":true}"#;

    fn says(body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    #[test]
    fn it_is_recognised_by_its_login() {
        assert!(recognise(&says(APIS)).is_some_and(|a| !a.makes_key && a.serves_chain));
        for other in [
            "",
            "[]",
            "<html>",
            r#"{"success":true}"#,
            r#"{"success":false,"error":{"code":102}}"#,
            &APIS.replace("entry.cgi", "https://evil.example/"),
            &APIS.replace("entry.cgi", "../x"),
            &APIS.replace("entry.cgi", "a?b"),
            &APIS.replace("entry.cgi", ""),
            &APIS.replace("7", "-7"),
        ] {
            assert!(recognise(&says(other)).is_none(), "{other}");
        }
        for end in 0..APIS.len() {
            assert!(recognise(&says(&APIS[..end])).is_none());
        }
    }

    /// A device that says `ok` to everything, and shows these lists one after the other, the last one for ever.
    async fn device(login: &'static str, lists: &[&str]) -> (Fake, Box<dyn Driver>) {
        let lists = Mutex::new(lists.iter().rev().map(|list| (*list).to_owned()).collect::<Vec<_>>());
        let (fake, pin) = Fake::start_tls(move |request| {
            let body = match request {
                r if r.starts_with("GET") => APIS.to_owned(),
                r if r.contains("method=login") => login.to_owned(),
                r if r.contains("method=list") => {
                    let mut lists = lists.lock().unwrap();
                    let list = if lists.len() > 1 { lists.pop() } else { lists.last().cloned() };
                    let list = list.unwrap_or_default();
                    format!(r#"{{"data":{{"certificates":[{list}]}},"success":true}}"#)
                }
                _ => r#"{"success":true}"#.to_owned(),
            };
            answer("200 OK", "", &body)
        })
        .await;
        let http = Http::new(fake.endpoint(Some(pin)), Limits::default()).unwrap();
        let driver = connect(fake::session(http));
        (fake, driver)
    }

    const LOGIN: &str = r#"{"data":{"sid":"s+1","synotoken":"t2"},"success":true}"#;
    const OLD: &str = r#"{"id":"old","desc":"a \"b\"","is_default":true,"services":[{"service":"default"}]}"#;
    const OLD_IDLE: &str = r#"{"id":"old","desc":"a \"b\""}"#;

    fn ours(rest: &str) -> String {
        format!(r#"{{"id":"new","desc":"{MARK}"{rest}}}"#)
    }

    fn package<'a>() -> Package<'a> {
        Package { certificate: &[1], issuers: &[], key: Some(&[2]), pem: "" }
    }

    fn before() -> Before {
        Before {
            certificates: [("old".to_owned(), true)].into(),
            in_use: vec!["old".to_owned()],
            ..Before::default()
        }
    }

    fn asked(fake: &Fake, what: &str) -> Vec<String> {
        fake.requests().into_iter().filter(|r| r.contains(what)).collect()
    }

    #[tokio::test]
    async fn over_plain_http_not_even_the_user_name_is_sent() {
        let fake = Fake::start(|_| answer("200 OK", "", APIS)).await;
        let refused = Err(Error::PasswordInClear { host: "127.0.0.1".into() });
        assert_eq!(connect(fake.session()).note().await, refused);
        assert!(fake.requests().is_empty());
    }

    #[tokio::test]
    async fn a_login_that_is_refused_says_why_and_is_not_repeated() {
        let user = || "admin".to_owned();
        for (code, error) in [
            ("400", Error::WrongPassword { user: user() }),
            ("401", Error::WrongPassword { user: user() }),
            ("403", Error::SecondFactor { user: user() }),
            ("406", Error::SecondFactor { user: user() }),
            ("409", Error::PasswordExpired { user: user() }),
            ("407", refused("login", 407)),
        ] {
            let login = format!(r#"{{"error":{{"code":{code}}},"success":false}}"#);
            let (fake, mut driver) = device(login.leak(), &[OLD]).await;
            for _ in 0..2 {
                assert_eq!(driver.note().await, Err(error.clone()));
            }
            assert_eq!(asked(&fake, "passwd=open%20sesame").len(), 1);
        }
    }

    /// Some say done and have nothing; on some the services follow the default by themselves, and then they are not
    /// bound once more.
    #[tokio::test]
    async fn what_is_imported_is_looked_for() {
        let (fake, mut driver) = device(LOGIN, &[OLD]).await;
        let error = driver.install(MARK, &package()).await;
        assert!(matches!(error, Err(Error::UnexpectedAnswer { .. })), "{error:?}");
        assert_eq!(asked(&fake, "method=logout").len(), 1);

        let there = ours(r#","is_default":true,"services":[{"service":"default"}]"#);
        let both = format!("{OLD_IDLE},{there}");
        let (fake, mut driver) = device(LOGIN, &[OLD, &both]).await;
        driver.install(MARK, &package()).await.unwrap();
        assert!(asked(&fake, SERVICE).is_empty());
        let import = asked(&fake, "method=import").remove(0);
        assert!(import.contains("SynoToken=t2&_sid=s%2B1") && import.contains("\r\nX-Syno-Token: t2\r\n"));
        for part in
            ["name=\"id\"\r\n\r\n\r\n", "name=\"desc\"\r\n\r\ncamlock-3f9a1c20\r\n", "name=\"as_default\""]
        {
            assert!(import.contains(part), "{import}");
        }
        assert!(!import.contains("inter_cert"));

        let stays = format!("{OLD},{}", ours(r#","is_default":true"#));
        let (fake, mut driver) = device(LOGIN, &[OLD, &stays]).await;
        let error = driver.install(MARK, &package()).await;
        assert!(matches!(error, Err(Error::UnexpectedAnswer { .. })), "{error:?}");
        assert_eq!(asked(&fake, SERVICE).len(), 1);
    }

    #[tokio::test]
    async fn a_renewal_takes_the_place_of_ours_and_of_nobody_else() {
        let earlier =
            r#"{"id":"ours","desc":"camlock-1","is_default":true,"services":[{"service":"default"}]}"#;
        let later = earlier.replace("camlock-1", MARK);
        let (fake, mut driver) = device(LOGIN, &[earlier, &later]).await;
        driver.install(MARK, &package()).await.unwrap();
        assert!(asked(&fake, "method=import")[0].contains("name=\"id\"\r\n\r\nours\r\n"));
        let mut was = before();
        was.certificates.insert("ours".into(), true);
        let gone = Err(Error::CannotUndo { certificate: "ours".into() });
        assert_eq!(driver.roll_back(MARK, &was).await, gone);
    }

    #[tokio::test]
    async fn the_way_back_ends_where_it_began() {
        let in_use = ours(r#","is_default":true,"services":[{"service":"default","owner":"root"}]"#);
        let (now, undone) = (format!("{OLD_IDLE},{in_use}"), format!("{OLD},{}", ours("")));
        let bound = format!(
            "{},{}",
            OLD_IDLE.replace('}', r#","is_default":true}"#),
            ours(r#","services":[{"service":"default","owner":"root"}]"#,)
        );
        let (fake, mut driver) = device(LOGIN, &[&now, &bound, &undone, &undone, OLD]).await;
        driver.roll_back(MARK, &before()).await.unwrap();
        let set = asked(&fake, "method=set");
        // Its own description, as JSON, so that it keeps it.
        assert!(set[0].contains("id=%22old%22&as_default=true&desc=%22a%20%5C%22b%5C%22%22"), "{}", set[0]);
        assert!(set[1].contains("%22old_id%22%3A%22new%22") && set[1].contains("root"), "{}", set[1]);
        assert!(asked(&fake, "method=delete")[0].contains("ids=%5B%22new%22%5D"));
        assert_eq!(asked(&fake, "method=logout").len(), 1);

        // What is not there is no error; what it says and does not do, is.
        let (_fake, mut driver) = device(LOGIN, &[OLD]).await;
        driver.roll_back(MARK, &before()).await.unwrap();
        let (_fake, mut driver) = device(LOGIN, &[&now]).await;
        assert!(matches!(driver.roll_back(MARK, &before()).await, Err(Error::UnexpectedAnswer { .. })));
        let (_fake, mut driver) = device(LOGIN, &[&in_use]).await;
        let gone = Err(Error::CannotUndo { certificate: "old".into() });
        assert_eq!(driver.roll_back(MARK, &before()).await, gone);
    }

    #[tokio::test]
    async fn only_what_is_ours_and_idle_is_removed() {
        let busy = r#"{"id":"busy","desc":"camlock-2","services":[{"service":"ftpd"}]}"#;
        let all = format!("{OLD},{busy},{}", ours(""));
        let left = format!("{OLD},{busy}");
        let (fake, mut driver) = device(LOGIN, &[&all, &left]).await;
        driver.tidy(&[MARK.to_owned(), "camlock-2".to_owned()]).await.unwrap();
        let deleted = asked(&fake, "method=delete");
        assert_eq!(deleted.len(), 1);
        assert!(deleted[0].contains("ids=%5B%22new%22%5D"), "{}", deleted[0]);
        driver.tidy(&["camlock-2".to_owned()]).await.unwrap();
        assert_eq!(asked(&fake, "method=delete").len(), 1);
    }
}
