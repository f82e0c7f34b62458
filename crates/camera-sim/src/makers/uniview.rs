//! [`crate::Model::Uniview`]: LAPI, as the source of the web page shows it.

use std::sync::Arc;

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::core::{Core, SwitchRefusal};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::{form, makers, pem_file, router};

const CERTIFICATE: &str = "/LAPI/V1.0/Network/HTTPS_SSLCERT";

/// A refusal: `StatusCode` and `StatusString`.
type Refusal = (i64, &'static str);

pub(crate) fn is_upload(parts: &Parts) -> bool {
    parts.method == Method::POST && parts.uri.path() == CERTIFICATE
}

pub(crate) async fn answer(
    core: &Arc<Core>,
    parts: &Parts,
    login: Login,
    body: &[u8],
) -> Option<(String, Answer)> {
    let path = parts.uri.path();
    if !path.starts_with("/LAPI/") {
        return None;
    }
    if login != Login::Accepted {
        let answer = http::answer(401, "application/json", "");
        return Some((router::name(parts), makers::challenged(core, login, answer)));
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
        (&Method::POST, CERTIFICATE) => store(core, makers::content_type(parts), body),
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
    Some((router::name(parts), http::answer(200, "application/json", reply.to_string())))
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
    makers::change(core, |place| place.own = Some(installed));
    Ok(Value::Null)
}
