//! Uniview's LAPI: JSON over HTTP with Digest, as the web page of the cameras speaks it.
//!
//! Key and certificate go up in one PEM file. What order they are wanted in, and whether issuers are sent along, is
//! not known; nor is a switch for plain HTTP.

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::{Method, StatusCode, body::Bytes};
use serde::Deserialize;
use serde_json::Value;

use super::Maker;
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package, digest,
    form::{self, File},
    http::{Answer, Http, Request},
    session::Session,
};

const DEVICE: &str = "/LAPI/V1.0/System/DeviceInfo";
const HTTPS: &str = "/LAPI/V1.0/NetWork/HTTPS";
const PORTS: &str = "/LAPI/V1.0/NetWork/Port";
// The web page writes this one `Network`.
const CERTIFICATE: &str = "/LAPI/V1.0/Network/HTTPS_SSLCERT";

pub(crate) const MAKER: Maker = Maker { name: "uniview", probe, recognise, connect };

fn probe(http: &Http) -> Request {
    Request::get(http.place(DEVICE))
}

/// By the form of the answer, or by a challenge whose realm is the device's MAC address.
fn recognise(answer: &Answer) -> Option<Abilities> {
    let is_mac = |realm: &String| realm.len() == 12 && realm.bytes().all(|b| b.is_ascii_hexdigit());
    let by_realm =
        || answer.status == StatusCode::UNAUTHORIZED && digest::realms(&answer.headers).iter().any(is_mac);
    let by_form = || reply(answer).is_some_and(|reply| reply.url.starts_with("/LAPI/"));
    (by_form() || by_realm()).then(|| Abilities {
        makes_key: false,
        key_kinds: vec!["rsa-2048".to_owned()],
        serves_chain: false,
        one_slot: true,
        restarts: false,
        source: "the source of Uniview's web page".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Uniview { session })
}

struct Uniview {
    session: Session,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Response")]
    response: Reply,
}

/// What is in every answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Reply {
    #[serde(rename = "ResponseURL", default)]
    url: String,
    /// 0 is success.
    status_code: Option<i64>,
    response_code: Option<i64>,
    #[serde(default)]
    status_string: String,
    #[serde(default)]
    data: Value,
}

fn reply(answer: &Answer) -> Option<Reply> {
    serde_json::from_slice::<Envelope>(&answer.body).ok().map(|envelope| envelope.response)
}

#[async_trait]
impl Driver for Uniview {
    async fn note(&mut self) -> Result<Before, Error> {
        let device = self.get(DEVICE).await?;
        let text =
            |name: &str| device.get(name).and_then(Value::as_str).map(Told::new).filter(|t| !t.is_empty());
        let https_on = is_on(&self.get(HTTPS).await?);
        let ports = self.get(PORTS).await?;
        Ok(Before {
            device: DeviceInfo {
                // Sold under many names: the device does not tell which.
                manufacturer: text("Manufacturer"),
                model: text("DeviceModel"),
                firmware: text("FirmwareVersion"),
                serial_number: text("SerialNumber"),
            },
            https_on,
            https_port: port(&ports, "HttpsPort").unwrap_or(443),
            // Not told, and nothing here changes it.
            http_on: true,
            http_ports: port(&ports, "HttpPort").into_iter().collect(),
            ..Before::default()
        })
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, _mark: &str, package: &Package) -> Result<(), Error> {
        if package.key.is_none() {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        }
        self.session.expect(package.certificate);
        // Harmless, so that a challenge is there before the key goes out.
        self.get(HTTPS).await?;
        let file = File {
            field: "FileName",
            name: "certificate.pem",
            content_type: "application/x-pem-file",
            content: package.pem,
        };
        let request = form::upload(self.session.http().place(CERTIFICATE), &file)?;
        self.send(&request).await.map(drop)
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        self.switch_https(true).await?;
        Ok(port(&self.get(PORTS).await?, "HttpsPort").unwrap_or(443))
    }

    async fn roll_back(&mut self, _mark: &str, before: &Before) -> Result<(), Error> {
        self.switch_https(before.https_on).await
    }

    /// One file, one place: nothing is left of what was there before.
    async fn tidy(&mut self, _marks: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

impl Uniview {
    async fn get(&mut self, path: &str) -> Result<Value, Error> {
        let request = Request::get(self.session.http().place(path));
        self.send(&request).await
    }

    async fn send(&mut self, request: &Request) -> Result<Value, Error> {
        let answer = self.session.send(request).await?;
        let Some(reply) = reply(&answer) else {
            return Err(request.unexpected(&format!("HTTP {}, {}", answer.status, answer.text())));
        };
        match reply.status_code.or(reply.response_code) {
            Some(0) => Ok(reply.data),
            code => Err(Error::Refused {
                operation: request.operation.clone(),
                fault: code.map(|code| code.to_string().into()).unwrap_or_default(),
                reason: Told::new(&reply.status_string),
            }),
        }
    }

    /// What is told goes back whole, as the web page does it.
    async fn switch_https(&mut self, on: bool) -> Result<(), Error> {
        let mut value = self.get(HTTPS).await?;
        if is_on(&value) == on {
            return Ok(());
        }
        if let Some(fields) = value.as_object_mut() {
            fields.insert("Enable".to_owned(), Value::from(i64::from(on)));
        }
        let request = Request {
            operation: format!("PUT {HTTPS}"),
            method: Method::PUT,
            content_type: Some("application/json".to_owned()),
            body: Bytes::from(value.to_string()),
            ..Request::get(self.session.http().place(HTTPS))
        };
        self.send(&request).await.map(drop)
    }
}

fn is_on(value: &Value) -> bool {
    value.get("Enable").and_then(Value::as_i64).is_some_and(|on| on != 0)
}

fn port(value: &Value, name: &str) -> Option<u16> {
    u16::try_from(value.get(name)?.as_u64()?).ok().filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::WWW_AUTHENTICATE};

    use super::*;

    fn says(status: StatusCode, realm: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, format!("Digest realm=\"{realm}\", nonce=\"1\"").parse().unwrap());
        Answer { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn a_login_alone_is_no_sign() {
        let form = r#"{"Response":{"ResponseURL":"/LAPI/V1.0/System/DeviceInfo","StatusCode":1}}"#;
        let refused = StatusCode::UNAUTHORIZED;
        assert!(recognise(&says(refused, "any", form)).is_some_and(|a| a.one_slot && !a.restarts));
        assert!(recognise(&says(refused, "0013e2224685", "")).is_some());
        for (status, realm, body) in [
            (refused, "Simulated camera", ""),
            (refused, "0013e222468", "<html>"),
            (StatusCode::NOT_FOUND, "0013e2224685", ""),
            (StatusCode::OK, "any", r#"{"Response":{"ResponseURL":"/API/x","StatusCode":0}}"#),
        ] {
            assert!(recognise(&says(status, realm, body)).is_none(), "{realm} {body}");
        }
    }
}
