//! [`crate::Model::Axis`]: AXIS OS 11.11 and later, as far as the web server's certificate needs it.
//!
//! The certificates are in a REST interface (`cert` v1: JSON, PEM), which of them the web server shows is set by SOAP
//! at /vapix/services. Over TLS the camera asks for Basic, over plain HTTP for Digest, as it leaves the factory.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, header};
use rcgen::{CustomExtension, DistinguishedName, DnType};
use roxmltree::Node;
use rustls::pki_types::pem::{PemObject as _, SectionKind};
use serde_json::{Value, json};
use time::Duration;

use crate::core::{Core, SwitchRefusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::keys::{self, Algorithm, Contents, Pair, RsaBits};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::pem_file::section;
use crate::soap::{self, element, escape};
use crate::state::{CertificateSummary, State};
use crate::store::Store;
use crate::tls::Arrival;
use crate::x509;

/// Its realm, by the serial number.
const REALM: &str = "AXIS_ACCC8E000001";
const BASIC_DEVICE_INFO: &str = "/axis-cgi/basicdeviceinfo.cgi";
const PARAMETERS: &str = "/axis-cgi/param.cgi";
const DISCOVER: &str = "/config/discover";
const CERT: &str = "/config/rest/cert/v1/";
const SERVICES: &str = "/vapix/services";
const AWEB: &str = "http://www.axis.com/vapix/ws/webserver";
const ACERT: &str = "http://www.axis.com/vapix/ws/cert";
const CIPHERS: [&str; 2] = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"];
/// Most certificates kept.
const CERTIFICATES: usize = 6;
const ALIAS_CHARACTERS: usize = 128;
/// id-ce-subjectAltName.
const SUBJECT_ALT_NAME: [u64; 4] = [2, 5, 29, 17];

/// The dialect.
pub(crate) struct Axis;

impl Dialect for Axis {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "axis",
            called: "Ramp",
            realm: REALM,
            server: "Apache",
            takes: "REST (cert v1) and SOAP",
            page: Page::PLAIN,
            faults: &[
                Fault::CsrFails,
                Fault::HttpsPretended,
                Fault::HttpsRefused,
                Fault::MalformedAnswers,
                Fault::Sha256Digest,
                Fault::ShortNonces,
            ],
            makes_key: true,
            comes_with_https: false,
            switches_http: true,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<Certificates>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, asked: Asked<'_>, _operation: &str) -> bool {
        asked.login == Login::Accepted && asked.parts.method == Method::PATCH
    }

    /// Over TLS this camera takes Basic; over plain HTTP, where anybody reads it, it does not.
    fn takes_basic(&self, arrival: &Arrival, _parts: &Parts) -> bool {
        arrival.tls.is_some()
    }
}

/// The certificates and which of them the web server shows.
#[derive(Default)]
struct Certificates {
    entries: Vec<Entry>,
    in_use: Vec<String>,
}

struct Entry {
    alias: String,
    chain: Vec<Vec<u8>>,
    pair: Pair,
    algorithm: Algorithm,
    /// What a request for it asks for.
    common_name: String,
    alt_names: Vec<u8>,
}

impl Certificates {
    fn get(&self, alias: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.alias == alias)
    }
}

impl Store for Certificates {
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        let entry = self.get(self.in_use.first()?)?;
        Some((entry.chain.clone(), &entry.pair))
    }

    fn picture(&self) -> State {
        let leaf = |entry: &Entry| entry.chain.first().cloned().unwrap_or_default();
        let summary = |entry: &Entry| CertificateSummary { id: entry.alias.clone(), der: leaf(entry) };
        State {
            certificates: self.entries.iter().map(summary).collect(),
            assigned: self.in_use.clone(),
            ..State::default()
        }
    }

    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        let alias = "Default (self-signed)".to_owned();
        self.in_use = vec![alias.clone()];
        self.entries.push(Entry {
            alias,
            chain: vec![certificate],
            pair,
            algorithm: Algorithm::P256,
            common_name: "axis-accc8e000001".to_owned(),
            alt_names: Vec::new(),
        });
    }
}

/// Why the REST interface refuses: the status, and the sentence.
type Refusal = (u16, &'static str);

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, arrival, parts, login } = asked;
    let path = parts.uri.path();
    let name = format!("{} {path}", parts.method);
    if path == BASIC_DEVICE_INFO && asks_what_is_open(body) {
        return Some((name, json_answer(200, &device_info(core))));
    }
    if ![BASIC_DEVICE_INFO, PARAMETERS, DISCOVER, SERVICES].contains(&path) && !path.starts_with(CERT) {
        return None;
    }
    if login != Login::Accepted {
        let mut answer = http::plain(401, "Unauthorized\n");
        match arrival.tls {
            Some(_) => {
                http::set(&mut answer, header::WWW_AUTHENTICATE, &format!("Basic realm=\"{REALM}\""));
            }
            None => core.challenge(login, &mut answer),
        }
        return Some((name, answer));
    }
    match path {
        DISCOVER => Some((name, json_answer(200, &discover()))),
        PARAMETERS => Some((name, http::answer(200, "text/plain", parameters(core)))),
        SERVICES => Some(services(core, body).await),
        _ => {
            let (operation, result) = cert(core, parts, body).await;
            let answer = match result {
                Ok(data) => json_answer(200, &json!({"status": "success", "data": data})),
                Err((status, message)) => {
                    let error = json!({"status": "error", "error": {"code": status, "message": message}});
                    json_answer(status, &error)
                }
            };
            Some((operation, answer))
        }
    }
}

/// The one question that needs no login.
fn asks_what_is_open(body: &[u8]) -> bool {
    let question: Value = serde_json::from_slice(body).unwrap_or_default();
    question.get("method").and_then(Value::as_str) == Some("getAllUnrestrictedProperties")
}

fn device_info(core: &Core) -> Value {
    json!({"apiVersion": "1.3", "data": {"propertyList": {
        "Brand": "AXIS",
        "ProdFullName": "AXIS P0000-SIM Simulated Camera",
        "ProdNbr": "P0000-SIM",
        "ProdShortName": "AXIS P0000-SIM",
        "ProdType": "Network Camera",
        "SerialNumber": core.serial,
        "Version": "12.11.77",
        "WebURL": "http://www.axis.com"
    }}})
}

fn discover() -> Value {
    json!({"apis": {"cert": {"v1": {"state": "released", "version": "1.2.0", "rest_api": "/config/rest/cert/v1"}}}})
}

fn parameters(core: &Core) -> String {
    let https_on = core.look(|live| live.https_on);
    let enabled = if https_on { "yes" } else { "no" };
    format!("root.HTTPS.Enabled={enabled}\nroot.HTTPS.Port={}\n", core.https.address().port())
}

/// The certificates' REST interface.
async fn cert(core: &Arc<Core>, parts: &Parts, body: &[u8]) -> (String, Result<Value, Refusal>) {
    let path = parts.uri.path().strip_prefix(CERT).unwrap_or_default();
    let mut segments = path.split('/').map(|segment| http::percent_decoded_text(segment).unwrap_or_default());
    let (kind, alias, action) = (segments.next().unwrap_or_default(), segments.next(), segments.next());
    let operation = action.as_ref().or(alias.as_ref().map(|_| &kind)).unwrap_or(&kind).clone();
    let operation = format!("{} {operation}", parts.method);
    let data: Option<Value> =
        serde_json::from_slice::<Value>(body).ok().and_then(|mut whole| Some(whole.get_mut("data")?.take()));
    let no_data = (400, "There is no data object.");
    let result = match (parts.method.as_str(), kind.as_str(), alias, action.as_deref()) {
        ("GET", "certificates", None, None) => Ok(core.look(|live| match live.store::<Certificates>() {
            Some(store) => store.entries.iter().map(shown).collect(),
            None => Value::Null,
        })),
        ("POST", "create_certificate", None, None) => match data {
            Some(data) => create(core, &data).await,
            None => Err(no_data),
        },
        ("POST", "certificates", Some(alias), Some("get_csr")) => match data {
            Some(_) => request(core, &alias),
            None => Err(no_data),
        },
        ("PATCH", "certificates", Some(alias), None) => match data {
            Some(data) => replace(core, &alias, &data),
            None => Err(no_data),
        },
        ("GET", "certificates", Some(alias), None) => {
            with(core, |store, _| store.get(&alias).map(shown).ok_or(NOT_FOUND))
        }
        ("DELETE", "certificates", Some(alias), None) => delete(core, &alias),
        _ => Err(NOT_FOUND),
    };
    (operation, result)
}

const NOT_FOUND: Refusal = (404, "Resource not found.");

fn with<R>(
    core: &Core,
    act: impl FnOnce(&mut Certificates, bool) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    core.change(|live| {
        let https_on = live.https_on;
        act(live.store_mut().ok_or(NOT_FOUND)?, https_on)
    })
}

fn shown(entry: &Entry) -> Value {
    let pem: String = entry.chain.iter().map(|der| section("CERTIFICATE", der)).collect();
    json!({"alias": entry.alias, "certificate": pem, "keystore": "SE0"})
}

/// Makes a key and a self-signed certificate for it.
async fn create(core: &Core, data: &Value) -> Result<Value, Refusal> {
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (alias, subject) = (text("alias"), text("subject"));
    if alias.is_empty() || alias.chars().count() > ALIAS_CHARACTERS {
        return Err((400, "The alias is not acceptable."));
    }
    let common_name = subject.strip_prefix("CN=").ok_or((400, "The subject is not acceptable."))?.to_owned();
    let algorithm = match text("key_type").as_str() {
        "" | "RSA-2048" => Algorithm::Rsa(RsaBits::B2048),
        "RSA-3072" => Algorithm::Rsa(RsaBits::B3072),
        "RSA-4096" => Algorithm::Rsa(RsaBits::B4096),
        "EC-P256" => Algorithm::P256,
        _ => return Err((400, "The key type is not supported.")),
    };
    let alt_names = match data.get("subject_alt_names").and_then(Value::as_array) {
        Some(names) if !names.is_empty() => {
            alt_names(names).ok_or((400, "A subject alternative name is not acceptable."))?
        }
        _ => Vec::new(),
    };
    let room = |store: &mut Certificates| match store.get(&alias) {
        Some(_) => Err((409, "The alias is in use.")),
        None if store.entries.len() >= CERTIFICATES => {
            Err((507, "There is no room for another certificate."))
        }
        None => Ok(()),
    };
    with(core, |store, _| room(store))?;
    tokio::time::sleep(core.options.key_generation).await;
    let failed = (500, "The key could not be made.");
    let made = tokio::task::spawn_blocking(move || Pair::generate(algorithm)).await;
    let pair = made.ok().and_then(Result::ok).ok_or(failed)?;
    let now = core.clock();
    let validity = (now - Duration::days(1), now + Duration::days(365));
    let contents = contents(&common_name, &alt_names);
    let certificate =
        keys::certificate(&pair, signature(algorithm), contents, validity, None).map_err(|_| failed)?;
    with(core, |store, _| {
        room(store)?;
        let chain = vec![certificate];
        store.entries.push(Entry { alias: alias.clone(), chain, pair, algorithm, common_name, alt_names });
        Ok(Value::Null)
    })
}

fn request(core: &Core, alias: &str) -> Result<Value, Refusal> {
    if core.options.has(Fault::CsrFails) {
        return Err((500, "The request could not be made."));
    }
    with(core, |store, _| {
        let entry = store.get(alias).ok_or(NOT_FOUND)?;
        let contents = contents(&entry.common_name, &entry.alt_names);
        let der = keys::request(&entry.pair, signature(entry.algorithm), contents);
        let der = der.map_err(|_| (500, "The request could not be made."))?;
        Ok(Value::String(section("CERTIFICATE REQUEST", &der)))
    })
}

/// Another certificate, or chain, for the same key.
fn replace(core: &Core, alias: &str, data: &Value) -> Result<Value, Refusal> {
    let unreadable = (400, "The certificate cannot be read.");
    let text = data.get("certificate").and_then(Value::as_str).ok_or(unreadable)?;
    let mut chain = Vec::new();
    for part in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).take(8) {
        match part {
            Ok((SectionKind::Certificate, der)) => chain.push(der),
            _ => return Err(unreadable),
        }
    }
    let facts: Option<Vec<_>> = chain.iter().map(|der| x509::read(der)).collect();
    let facts = facts.ok_or(unreadable)?;
    let public_key = &facts.first().ok_or(unreadable)?.public_key;
    with(core, |store, _| {
        let entry = store.entries.iter_mut().find(|entry| entry.alias == alias).ok_or(NOT_FOUND)?;
        if entry.pair.public != *public_key {
            return Err((400, "The certificate does not belong to the key."));
        }
        entry.chain = chain;
        Ok(Value::Null)
    })
}

fn delete(core: &Core, alias: &str) -> Result<Value, Refusal> {
    with(core, |store, https_on| {
        store.get(alias).ok_or(NOT_FOUND)?;
        if https_on && store.in_use.iter().any(|used| used == alias) {
            return Err((409, "The certificate is in use."));
        }
        store.entries.retain(|entry| entry.alias != alias);
        store.in_use.retain(|used| used != alias);
        Ok(Value::Null)
    })
}

/// The SOAP services; only the web server's.
async fn services(core: &Arc<Core>, body: &[u8]) -> (String, Answer) {
    let text = String::from_utf8_lossy(body);
    let (name, asked) = match soap::parse(&text).and_then(|document| read(&document)) {
        Ok(asked) => asked,
        Err(fault) => return (format!("POST {SERVICES}"), fault_answer(&fault.reason)),
    };
    let answer = match asked {
        None => envelope(&configuration(core)),
        Some(asked) => match apply(core, asked).await {
            Ok(()) => envelope(
                "<aweb:SetWebServerTlsConfigurationResponse></aweb:SetWebServerTlsConfigurationResponse>",
            ),
            Err(reason) => fault_answer(reason),
        },
    };
    (name, answer)
}

/// What a SetWebServerTlsConfiguration asks for.
struct Wanted {
    tls: bool,
    policy: String,
    certificates: Vec<String>,
}

fn read(document: &roxmltree::Document<'_>) -> Result<(String, Option<Wanted>), soap::SoapFault> {
    let operation = soap::operation(document)?;
    let name = operation.tag_name().name().to_owned();
    let invalid =
        |what: &str| soap::SoapFault::invalid("InvalidArgument", format!("Validation constraint: {what}"));
    if operation.tag_name().namespace() != Some(AWEB) {
        return Err(soap::SoapFault::unsupported(&name));
    }
    if name == "GetWebServerTlsConfiguration" {
        return Ok((name, None));
    }
    if name != "SetWebServerTlsConfiguration" {
        return Err(soap::SoapFault::unsupported(&name));
    }
    let configuration = child(operation, AWEB, "Configuration").ok_or_else(|| invalid("Configuration"))?;
    let tls = match child(configuration, AWEB, "Tls").and_then(|tls| tls.text()) {
        Some("true") => true,
        Some("false") => false,
        _ => return Err(invalid("Tls")),
    };
    let policies =
        child(configuration, AWEB, "ConnectionPolicies").ok_or_else(|| invalid("ConnectionPolicies"))?;
    let policy = child(policies, AWEB, "Admin").and_then(|admin| admin.text()).unwrap_or_default().to_owned();
    let ciphers = child(configuration, AWEB, "Ciphers").ok_or_else(|| invalid("Ciphers"))?;
    let mut ciphers = texts(ciphers, "Cipher").peekable();
    if ciphers.peek().is_none() || !ciphers.all(|cipher| CIPHERS.contains(&cipher.as_str())) {
        return Err(invalid("Ciphers"));
    }
    let set = child(configuration, AWEB, "CertificateSet").ok_or_else(|| invalid("CertificateSet"))?;
    for list in ["CACertificates", "TrustedCertificates"] {
        child(set, ACERT, list).ok_or_else(|| invalid(list))?;
    }
    let certificates = child(set, ACERT, "Certificates").ok_or_else(|| invalid("Certificates"))?;
    let certificates = texts(certificates, "Id").collect();
    Ok((name, Some(Wanted { tls, policy, certificates })))
}

async fn apply(core: &Arc<Core>, wanted: Wanted) -> Result<(), &'static str> {
    let (http, https) = match (wanted.tls, wanted.policy.as_str()) {
        (false, _) => (true, false),
        (true, "HttpAndHttps") => (true, true),
        (true, "Https") => (false, true),
        (true, _) => return Err("The connection policy is not supported."),
    };
    if https && wanted.certificates.is_empty() {
        return Err("There is no certificate.");
    }
    let before = with(core, |store, _| {
        if wanted.certificates.iter().any(|alias| store.get(alias).is_none()) {
            return Err((404, "A certificate does not exist."));
        }
        Ok(std::mem::replace(&mut store.in_use, wanted.certificates))
    });
    let before = before.map_err(|(_, reason)| reason)?;
    let switched = core.switch(Some(http), Some(https)).await;
    if switched.is_err() {
        let _ = with(core, |store, _| {
            store.in_use = before;
            Ok(())
        });
    }
    switched.map_err(|refusal| match refusal {
        SwitchRefusal::NoCertificate => "There is no certificate.",
        SwitchRefusal::Refused => "The web server could not be configured.",
        SwitchRefusal::LastDoor => "Nobody could reach the device.",
        SwitchRefusal::PortTaken => "The port is taken.",
    })
}

fn configuration(core: &Core) -> String {
    let (http_on, https_on, in_use) = core.look(|live| {
        let in_use = live.store::<Certificates>().map(|store| store.in_use.clone()).unwrap_or_default();
        (live.http_on, live.https_on, in_use)
    });
    let policy = if http_on { "HttpAndHttps" } else { "Https" };
    let ciphers: String = CIPHERS.iter().map(|cipher| element("acert:Cipher", cipher)).collect();
    let ids: String = in_use.iter().map(|alias| element("acert:Id", alias)).collect();
    format!(
        "<aweb:GetWebServerTlsConfigurationResponse><aweb:Configuration name=\"WebServer\"><aweb:Tls>{https_on}</aweb:Tls>\
         <aweb:ConnectionPolicies><aweb:Admin>{policy}</aweb:Admin></aweb:ConnectionPolicies>\
         <aweb:Ciphers>{ciphers}</aweb:Ciphers><aweb:CertificateSet><acert:Certificates>{ids}</acert:Certificates>\
         <acert:CACertificates></acert:CACertificates><acert:TrustedCertificates></acert:TrustedCertificates>\
         </aweb:CertificateSet></aweb:Configuration></aweb:GetWebServerTlsConfigurationResponse>"
    )
}

fn child<'a, 'i>(node: Node<'a, 'i>, namespace: &str, name: &str) -> Option<Node<'a, 'i>> {
    let is = |n: &Node<'_, '_>| n.tag_name().name() == name && n.tag_name().namespace() == Some(namespace);
    node.children().find(is)
}

fn texts<'a>(node: Node<'a, '_>, name: &'static str) -> impl Iterator<Item = String> + use<'a> {
    let found: Vec<String> = node
        .children()
        .filter(|n| n.tag_name().name() == name && n.tag_name().namespace() == Some(ACERT))
        .map(|n| n.text().unwrap_or_default().trim().to_owned())
        .collect();
    found.into_iter()
}

fn envelope(body: &str) -> Answer {
    soap_answer(200, body)
}

fn fault_answer(reason: &str) -> Answer {
    let fault = format!(
        "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value></SOAP-ENV:Code>\
         <SOAP-ENV:Reason><SOAP-ENV:Text xml:lang=\"en\">{}</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>",
        escape(reason)
    );
    soap_answer(400, &fault)
}

fn soap_answer(status: u16, body: &str) -> Answer {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{}\" xmlns:aweb=\"{AWEB}\" \
         xmlns:acert=\"{ACERT}\"><SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>",
        soap::ENV
    );
    http::answer(status, "application/soap+xml; charset=utf-8", text)
}

fn json_answer(status: u16, value: &Value) -> Answer {
    http::answer(status, "application/json", value.to_string())
}

fn signature(algorithm: Algorithm) -> &'static rcgen::SignatureAlgorithm {
    match algorithm {
        Algorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        Algorithm::Rsa(_) => &rcgen::PKCS_RSA_SHA256,
    }
}

fn contents(common_name: &str, alt_names: &[u8]) -> Contents {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    let names = CustomExtension::from_oid_content(&SUBJECT_ALT_NAME, alt_names.to_vec());
    Contents { subject, extensions: if alt_names.is_empty() { Vec::new() } else { vec![names] } }
}

/// `IP:192.0.2.1` and `DNS:gate.lan` as GeneralNames (RFC 5280 section 4.2.1.6).
fn alt_names(names: &[Value]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for name in names {
        let (kind, value) = name.as_str()?.split_once(':')?;
        let general = match kind {
            "DNS" if value.is_ascii() && !value.is_empty() => der(0x82, value.as_bytes())?,
            "IP" => match value.parse().ok()? {
                std::net::IpAddr::V4(address) => der(0x87, &address.octets())?,
                std::net::IpAddr::V6(address) => der(0x87, &address.octets())?,
            },
            _ => return None,
        };
        all.extend(general);
    }
    der(0x30, &all)
}

/// One element of DER with a length of up to two bytes.
fn der(tag: u8, content: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(content.len()).ok()?.to_be_bytes();
    let mut element = match length {
        [0, short @ 0..=127] => vec![tag, short],
        [0, long] => vec![tag, 0x81, long],
        [high, low] => vec![tag, 0x82, high, low],
    };
    element.extend_from_slice(content);
    Some(element)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_general_names() {
        let names = [json!("IP:192.0.2.1"), json!("DNS:a.b")];
        assert_eq!(alt_names(&names).unwrap(), [0x30, 11, 0x87, 4, 192, 0, 2, 1, 0x82, 3, b'a', b'.', b'b']);
        for bad in ["x", "IP:a", "URI:x", "DNS:"] {
            assert_eq!(alt_names(&[json!(bad)]), None, "{bad}");
        }
        assert_eq!(der(0x30, &[0; 300]).unwrap()[..4], [0x30, 0x82, 1, 44]);
    }
}
