//! [`crate::Model::Uniview`]: LAPI, as the source of the web page shows it.

use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use crate::core::{Core, SwitchRefusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::place::Place;
use crate::store::Store;
use crate::{form, pem_file};

/// A MAC address, as a capture of such a camera shows it.
const REALM: &str = "02c0ffee0001";
const CERTIFICATE: &str = "/LAPI/V1.0/Network/HTTPS_SSLCERT";

/// A refusal: `StatusCode` and `StatusString`.
type Refusal = (i64, &'static str);

/// The dialect.
pub(crate) struct Uniview;

impl Dialect for Uniview {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "uniview",
            called: "Hall",
            realm: REALM,
            server: "nginx",
            takes: "one PEM file by LAPI, as a Uniview camera",
            page: Page::PLAIN,
            faults: &[
                Fault::BasicInsideTls,
                Fault::HttpsPretended,
                Fault::HttpsRefused,
                Fault::MalformedAnswers,
                Fault::Sha256Digest,
                Fault::ShortNonces,
            ],
            makes_key: false,
            comes_with_https: false,
            switches_http: false,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Place>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, Asked { parts, login, .. }: Asked<'_>, _operation: &str) -> bool {
        login == Login::Accepted && parts.method == Method::POST && parts.uri.path() == CERTIFICATE
    }
}

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, parts, login, .. } = asked;
    let path = parts.uri.path();
    if !path.starts_with("/LAPI/") {
        return None;
    }
    if login != Login::Accepted {
        let mut answer = http::answer(401, "application/json", "");
        core.challenge(login, &mut answer);
        return Some((http::name(parts), answer));
    }
    let done = match (&parts.method, path) {
        (&Method::GET, "/LAPI/V1.0/System/DeviceInfo") => Ok(json!({
            "DeviceModel": "Simulated IPC", "SerialNumber": core.serial, "FirmwareVersion": "SIM-B0001",
        })),
        (&Method::GET, "/LAPI/V1.0/NetWork/HTTPS") => {
            Ok(json!({ "Enable": i32::from(core.look(|live| live.https_on)) }))
        }
        (&Method::PUT, "/LAPI/V1.0/NetWork/HTTPS") => switch(core, body).await,
        (&Method::GET, "/LAPI/V1.0/NetWork/Port") => Ok(json!({
            "HttpPort": core.http.address().port(), "HttpsPort": core.https.address().port(), "RtspPort": 554,
        })),
        (&Method::POST, CERTIFICATE) => store(core, http::content_type(parts), body),
        _ => Err((4, "Not Supported")),
    };
    let (code, text, data) = match done {
        Ok(data) => (0, "Succeed", data),
        Err((code, text)) => (code, text, Value::Null),
    };
    let reply = json!({ "Response": {
        "ResponseURL": path, "CreatedID": -1, "ResponseCode": code, "SubResponseCode": 0,
        "ResponseString": text, "StatusCode": code, "StatusString": text, "Data": data,
    } });
    Some((http::name(parts), http::answer(200, "application/json", reply.to_string())))
}

async fn switch(core: &Arc<Core>, body: &[u8]) -> Result<Value, Refusal> {
    let wanted: Value = serde_json::from_slice(body).unwrap_or_default();
    let on = wanted["Enable"].as_i64().ok_or((5, "Invalid Arguments"))? != 0;
    match core.switch(None, Some(on)).await {
        Ok(()) => Ok(Value::Null),
        Err(SwitchRefusal::LastDoor) => Err((5, "Invalid Arguments")),
        Err(_) => Err((1, "Common Error")),
    }
}

/// One file with key and certificate. It is served at once.
fn store(core: &Core, content_type: &str, body: &[u8]) -> Result<Value, Refusal> {
    let (head, file) = form::part(content_type, body, "FileName").ok_or((5, "Invalid Arguments"))?;
    let installed =
        pem_file::read(file).ok().filter(|_| head.contains(".pem\"")).ok_or((1, "Common Error"))?;
    Place::<()>::change(core, |place| place.own = Some(installed));
    Ok(Value::Null)
}
