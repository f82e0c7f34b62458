//! Reolink's HTTP API (`/cgi-bin/api.cgi`): commands in JSON, under a token that a login gives.
//!
//! The login holds the password as it is, so it is sent inside pinned TLS alone. There is room for one certificate:
//! `CertificateClear` removes it, and `ImportCertificate` brings the next one. The web server starts again after each
//! of them, and in between it shows the certificate of the factory, whose key this session may not have seen.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::{Method, body::Bytes};
use pki::pem;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::Maker;
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package,
    http::{Answer, Http, Request},
    session::Session,
    xsd,
};

const API: &str = "/cgi-bin/api.cgi";
/// The names that the firmware wants for the two files; with others it refuses them.
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
/// `rspCode` of a token that is not valid, or not any more.
const NOT_LOGGED_IN: &str = "-6";
/// Between two tries while the web server starts again.
const PAUSE: Duration = Duration::from_millis(250);

pub(crate) const MAKER: Maker = Maker { name: "reolink", probe, recognise, connect };

fn probe(http: &Http) -> Request {
    command(http, "GetDevInfo", None, "{}")
}

/// Without a login the API says, in its own form, that one is needed.
fn recognise(answer: &Answer) -> Option<Abilities> {
    let reply = first(answer).filter(|reply| reply.cmd == "GetDevInfo")?;
    (reply.code == 0 || reply.error.is_some()).then(|| Abilities {
        makes_key: false,
        // Three independent programs say that it takes RSA alone.
        key_kinds: vec!["rsa-2048".to_owned()],
        serves_chain: false,
        one_slot: true,
        restarts: false,
        source: "other programs for Reolink's HTTP API".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Reolink { session })
}

struct Reolink {
    session: Session,
}

/// One element of an answer. Other fields differ from firmware to firmware.
#[derive(Debug, Deserialize)]
struct Reply {
    #[serde(default)]
    cmd: String,
    code: i64,
    #[serde(default)]
    value: Value,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(rename = "rspCode")]
    code: i64,
    #[serde(default)]
    detail: String,
}

/// Every command is answered by a list of one.
fn first(answer: &Answer) -> Option<Reply> {
    let list: Vec<Reply> = serde_json::from_slice(&answer.body).ok()?;
    list.into_iter().next()
}

fn command(http: &Http, name: &str, token: Option<&str>, param: &str) -> Request {
    let token: String = token.iter().flat_map(|token| byte_serialize(token.as_bytes())).collect();
    let token = if token.is_empty() { token } else { format!("&token={token}") };
    let body = ["[{\"cmd\":\"", name, "\",\"action\":0,\"param\":", param, "}]"].concat();
    Request {
        operation: name.to_owned(),
        method: Method::POST,
        place: http.place(&format!("{API}?cmd={name}{token}")),
        content_type: Some("application/json".to_owned()),
        // It may hold the password or the key.
        body: Bytes::from_owner(Zeroizing::new(body.into_bytes())),
        secret: false,
        patience: None,
    }
}

/// A text in JSON.
fn quoted(text: &str) -> Zeroizing<String> {
    Zeroizing::new(serde_json::to_string(text).unwrap_or_default())
}

#[async_trait]
impl Driver for Reolink {
    async fn note(&mut self) -> Result<Before, Error> {
        let token = self.login().await?;
        let noted = self.look(&token).await;
        self.logout(&token).await;
        noted
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, _mark: &str, package: &Package) -> Result<(), Error> {
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        if !self.session.admission().knows_first_keys() {
            return Err(Error::FirstKeyUnknown { host: self.session.http().host.clone() });
        }
        let token = self.login().await?;
        if let Err(e) = self.call(&token, "CertificateClear", "{}").await {
            self.logout(&token).await;
            return Err(e);
        }
        self.session.expect(package.certificate);
        let param = import_param(package.certificate, key);
        let deadline = self.deadline();
        let mut was_cut = false;
        loop {
            let token = self.login_again(deadline, true).await?;
            match self.call(&token, "ImportCertificate", &param).await {
                // The restart may begin only now. Twice is no restart.
                Err(Error::ConnectionLost { .. }) if !was_cut && Instant::now() < deadline => was_cut = true,
                // The login was the last thing that the web server did before it started again.
                Err(Error::Refused { fault, .. }) if fault == NOT_LOGGED_IN && Instant::now() < deadline => {}
                Err(Error::ConnectionRefused { .. }) if Instant::now() < deadline => {}
                Err(e) => {
                    if matches!(e, Error::Refused { .. }) {
                        self.logout(&token).await;
                    }
                    return Err(e);
                }
                // It starts again, which ends the session.
                Ok(_) => return Ok(()),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        let deadline = self.deadline();
        loop {
            let token = self.login_again(deadline, false).await?;
            match self.switch(&token, "httpsEnable", true).await {
                // The restart for the certificate began only now.
                Err(e) if e.is_of_connection() && Instant::now() < deadline => {}
                Err(Error::Refused { fault, .. }) if fault == NOT_LOGGED_IN && Instant::now() < deadline => {}
                done => {
                    self.logout(&token).await;
                    let ports = done?;
                    return Ok(port(&ports, "httpsPort").unwrap_or(self.session.http().endpoint.port));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn roll_back(&mut self, _mark: &str, before: &Before) -> Result<(), Error> {
        let token = self.login().await?;
        let done = self.put_back(&token, before).await;
        let token = match done {
            // The restart has ended the session. When it answers again, the factory's certificate is there.
            Ok(true) => self.login_again(self.deadline(), true).await?,
            _ => token,
        };
        self.logout(&token).await;
        done.map(drop)
    }

    /// One place: nothing is left of what was there before.
    async fn tidy(&mut self, _marks: &[String]) -> Result<(), Error> {
        Ok(())
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let token = self.login().await?;
        let done = self.switch(&token, "httpEnable", on).await;
        self.logout(&token).await;
        done.map(drop)
    }
}

impl Reolink {
    async fn login(&mut self) -> Result<String, Error> {
        let by = self.session.for_login()?;
        let (user, password) = (quoted(&by.user), quoted(&by.password));
        let param =
            Zeroizing::new(["{\"User\":{\"userName\":", &user, ",\"password\":", &password, "}}"].concat());
        let request = command(self.session.http(), "Login", None, &param);
        match self.send(&request).await? {
            Ok(value) => match value.pointer("/Token/name").and_then(Value::as_str) {
                Some(token) => Ok(token.to_owned()),
                None => Err(request.unexpected("a login without a token")),
            },
            // No word about the password: all places for sessions are taken.
            Err(refusal) if refusal.detail.contains("max session") => Err(refusal.into_error("Login")),
            Err(_) => Err(self.session.wrong_password()),
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.session.http().limits.restart
    }

    /// Logs in as soon as the web server answers again, if `learns` also under a key that was not seen before.
    async fn login_again(&mut self, deadline: Instant, learns: bool) -> Result<String, Error> {
        loop {
            let error = match self.login().await {
                Err(e) if e.is_of_connection() && Instant::now() < deadline => e,
                other => return other,
            };
            if learns && matches!(error, Error::NotThePinnedKey { .. }) {
                let _ = self.session.meet().await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// There are few places for sessions. That one is not given back is no reason to fail: it ends by itself.
    async fn logout(&mut self, token: &str) {
        let request = command(self.session.http(), "Logout", Some(token), "{}");
        let _ = self.session.http().send(&request, None).await;
    }

    async fn send(&mut self, request: &Request) -> Result<Result<Value, Refusal>, Error> {
        let answer = self.session.http().send(request, None).await?;
        let Some(reply) = first(&answer) else {
            return Err(request.unexpected(&format!("HTTP {}, {}", answer.status, answer.text())));
        };
        match reply.error {
            None if reply.code == 0 => Ok(Ok(reply.value)),
            Some(refusal) => Ok(Err(refusal)),
            None => Ok(Err(Refusal { code: reply.code, detail: String::new() })),
        }
    }

    async fn call(&mut self, token: &str, name: &str, param: &str) -> Result<Value, Error> {
        let request = command(self.session.http(), name, Some(token), param);
        self.send(&request).await?.map_err(|refusal| refusal.into_error(name))
    }

    async fn look(&mut self, token: &str) -> Result<Before, Error> {
        let device = self.call(token, "GetDevInfo", "{}").await?;
        let text = |name: &str| {
            let text = device.pointer(&format!("/DevInfo/{name}")).and_then(Value::as_str);
            text.map(Told::new).filter(|text| !text.is_empty())
        };
        let ports = self.call(token, "GetNetPort", "{}").await?;
        let ports = ports.get("NetPort").unwrap_or(&Value::Null);
        let own = self.is_certificate_there(token).await?;
        Ok(Before {
            device: DeviceInfo {
                manufacturer: Some("Reolink".into()),
                model: text("model"),
                firmware: text("firmVer"),
                serial_number: text("serial"),
            },
            // This was asked over it.
            https_on: true,
            https_port: port(ports, "httpsPort").unwrap_or(self.session.http().endpoint.port),
            // Firmware before the switches has no such field.
            http_on: is_on(ports, "httpEnable").unwrap_or(true),
            http_ports: port(ports, "httpPort").into_iter().collect(),
            certificates: own.then(|| (CERTIFICATE.to_owned(), true)).into_iter().collect::<BTreeMap<_, _>>(),
            ..Before::default()
        })
    }

    /// Whether there is a certificate that somebody has imported. If the device does not tell: yes, so that nothing
    /// is removed that was not ours.
    async fn is_certificate_there(&mut self, token: &str) -> Result<bool, Error> {
        match self.call(token, "GetCertificateInfo", "{}").await {
            Ok(value) => {
                let info = value.get("CertificateInfo").unwrap_or(&value);
                Ok(info.get("crtName").and_then(Value::as_str).is_none_or(|name| !name.is_empty()))
            }
            Err(Error::Refused { .. }) => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Whether a certificate was removed, after which the web server starts again.
    async fn put_back(&mut self, token: &str, before: &Before) -> Result<bool, Error> {
        if before.http_on {
            self.switch(token, "httpEnable", true).await?;
        }
        let clears = before.certificates.is_empty() && self.is_certificate_there(token).await?;
        if clears {
            self.call(token, "CertificateClear", "{}").await?;
        }
        Ok(clears)
    }

    /// Switches one of the ports, if it is not as wanted already. What is told of the ports goes back whole.
    async fn switch(&mut self, token: &str, name: &str, on: bool) -> Result<Value, Error> {
        let mut value = self.call(token, "GetNetPort", "{}").await?;
        let ports = value.get_mut("NetPort").and_then(Value::as_object_mut);
        match ports.and_then(|ports| ports.get_mut(name)) {
            Some(switch) if (switch.as_i64() != Some(0)) != on => {
                *switch = Value::from(i64::from(on));
                self.call(token, "SetNetPort", &value.to_string()).await?;
            }
            // Without the field it is on, and there is no way to say otherwise.
            None if !on => return Err(Error::NotOffered { operation: "switching off of HTTP".to_owned() }),
            _ => {}
        }
        Ok(value.get_mut("NetPort").map(Value::take).unwrap_or_default())
    }
}

impl Refusal {
    fn into_error(self, operation: &str) -> Error {
        let (fault, reason) = (self.code.to_string().into(), Told::new(&self.detail));
        Error::Refused { operation: operation.to_owned(), fault, reason }
    }
}

fn is_on(ports: &Value, name: &str) -> Option<bool> {
    ports.get(name)?.as_i64().map(|on| on != 0)
}

fn port(ports: &Value, name: &str) -> Option<u16> {
    u16::try_from(ports.get(name)?.as_u64()?).ok().filter(|port| *port != 0)
}

/// In one piece, so that no copy of the key is left behind. Sizes are those of the files, before base64.
fn import_param(certificate: &[u8], key: &[u8]) -> Zeroizing<String> {
    let certificate = pem::block("CERTIFICATE", certificate);
    let key = Zeroizing::new(pem::block("PRIVATE KEY", key));
    let content = Zeroizing::new(xsd::to_base64(key.as_bytes()));
    Zeroizing::new(
        [
            "{\"importCertificate\":{\"crt\":{\"size\":",
            &certificate.len().to_string(),
            ",\"name\":\"",
            CERTIFICATE,
            "\",\"content\":\"",
            &xsd::to_base64(certificate.as_bytes()),
            "\"},\"key\":{\"size\":",
            &key.len().to_string(),
            ",\"name\":\"",
            KEY,
            "\",\"content\":\"",
            &content,
            "\"}}}",
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::fake::{Fake, answer};

    fn says(body: &str) -> Answer {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }
    }

    #[test]
    fn it_is_recognised_by_its_refusal() {
        let refusal =
            r#"[{"cmd":"GetDevInfo","code":1,"error":{"detail":"please login first","rspCode":-6}}]"#;
        assert!(recognise(&says(refusal)).is_some_and(|a| a.one_slot && !a.makes_key));
        for other in
            ["", "[]", "{}", "[{}]", "<html>", r#"[{"cmd":"GetDevInfo","code":1}]"#, r#"[{"code":0}]"#]
        {
            assert!(recognise(&says(other)).is_none(), "{other}");
        }
        for end in 0..refusal.len() {
            assert!(recognise(&says(&refusal[..end])).is_none());
        }
    }

    #[test]
    fn what_is_imported_is_json_with_the_names_that_count() {
        let param: Value = serde_json::from_str(&import_param(&[1, 2, 3], &[4, 5, 6])).unwrap();
        let file = |name: &str| param["importCertificate"][name].clone();
        assert_eq!(
            (&file("crt")["name"], &file("key")["name"]),
            (&"server.crt".into(), &"server.key".into())
        );
        let pem = pem::block("CERTIFICATE", &[1, 2, 3]);
        assert_eq!(file("crt")["size"], pem.len());
        assert_eq!(file("crt")["content"], xsd::to_base64(pem.as_bytes()));
    }

    #[tokio::test]
    async fn over_plain_http_not_even_the_user_name_is_sent() {
        let fake = Fake::start(|_| answer("200 OK", "", "[]")).await;
        let mut driver = connect(fake.session());
        let refused = Err(Error::PasswordInClear { host: "127.0.0.1".into() });
        assert_eq!(driver.note().await, refused.clone());
        assert_eq!(driver.switch_http(false).await, refused.map(drop));
        assert!(fake.requests().is_empty());
    }
}
