//! AXIS OS 11.11 and later: certificates by the REST interface `cert` v1 (JSON and PEM; the key is made on the device
//! and never leaves it), and which of them the web server shows by SOAP at `/vapix/services`, for which there is no REST.
//!
//! Written from Axis' "Certificate management" (VAPIX) and from what others saw on AXIS OS 12.

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::{Method, body::Bytes};
use pki::pem;
use serde_json::{Value, json};

use super::{Maker, percent_encoded};
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package,
    http::{Answer, Http, Request},
    session::Session,
    soap::{self, Element, Said, element},
    xsd,
};

pub(super) const MAKER: Maker = Maker { name: "axis", probe, recognise, connect };

const CERT: &str = "/config/rest/cert/v1";
const AWEB: &str = "http://www.axis.com/vapix/ws/webserver";
const ACERT: &str = "http://www.axis.com/vapix/ws/cert";
/// What the device is asked to make, the second only if it refuses the first.
const KEY_TYPES: [&str; 2] = ["EC-P256", "RSA-2048"];
/// The first AXIS OS whose interface for certificates is released.
const FIRST: (u32, u32) = (11, 11);

/// Open to everyone; tells brand and version.
fn probe(http: &Http) -> Request {
    let asked = json!({"apiVersion": "1.0", "method": "getAllUnrestrictedProperties"});
    json_request(http, Method::POST, "/axis-cgi/basicdeviceinfo.cgi", Some(&asked))
}

fn recognise(answer: &Answer) -> Option<Abilities> {
    let properties = properties(answer)?;
    let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut version = text("Version").split('.').map(|part| part.parse::<u32>().ok());
    let version = (version.next()??, version.next()??);
    (text("Brand").eq_ignore_ascii_case("AXIS") && version >= FIRST).then(|| Abilities {
        makes_key: true,
        key_kinds: vec!["p256".to_owned(), "rsa-2048".to_owned()],
        serves_chain: true,
        one_slot: false,
        restarts: false,
        source: "Axis' VAPIX documents and other people's code".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Axis { session, installed: None })
}

fn properties(answer: &Answer) -> Option<Value> {
    let mut whole: Value =
        serde_json::from_slice(&answer.body).ok().filter(|_| answer.status.is_success())?;
    Some(whole.get_mut("data")?.get_mut("propertyList")?.take())
}

fn json_request(http: &Http, method: Method, path: &str, body: Option<&Value>) -> Request {
    Request {
        operation: format!("{method} {path}"),
        method,
        place: http.place(path),
        content_type: body.map(|_| "application/json".to_owned()),
        body: body.map(|body| Bytes::from(body.to_string())).unwrap_or_default(),
        secret: false,
        patience: None,
    }
}

/// Makes a key and a certificate for it, and answers once both are there.
const CREATE: &str = "create_certificate";

struct Axis {
    session: Session,
    /// The alias that [`Driver::enable_https`] is to name.
    installed: Option<String>,
}

/// The web server's TLS configuration (`aweb:Configuration`).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Configuration {
    tls: bool,
    /// `HttpAndHttps` or `Https`; of no effect while TLS is off.
    policy: String,
    /// They change with the version of AXIS OS, so what was read is sent back.
    ciphers: Vec<String>,
    certificates: Vec<String>,
    ca_certificates: Vec<String>,
    trusted_certificates: Vec<String>,
}

impl Configuration {
    fn http_on(&self) -> bool {
        !self.tls || self.policy != "Https"
    }

    fn https_on(&self) -> bool {
        self.tls && self.policy != "Http"
    }

    fn of(response: &Element) -> Option<Configuration> {
        let configuration = response.child(AWEB, "Configuration")?;
        let list = |of: Option<&Element>, name: &str| -> Vec<String> {
            let all = of.into_iter().flat_map(|of| of.all(ACERT, name));
            all.map(|e| e.text().to_owned()).filter(|text| !text.is_empty()).take(100).collect()
        };
        let set = configuration.child(AWEB, "CertificateSet");
        let ids = |name: &str| list(set.and_then(|set| set.child(ACERT, name)), "Id");
        let policies = configuration.child(AWEB, "ConnectionPolicies");
        let policy = policies.and_then(|policies| policies.text_of(AWEB, "Admin")).unwrap_or("HttpAndHttps");
        Some(Configuration {
            tls: xsd::boolean(configuration.text_of(AWEB, "Tls")?)?,
            policy: policy.to_owned(),
            ciphers: list(configuration.child(AWEB, "Ciphers"), "Cipher"),
            certificates: ids("Certificates"),
            ca_certificates: ids("CACertificates"),
            trusted_certificates: ids("TrustedCertificates"),
        })
    }

    fn arguments(&self) -> String {
        let list = |name: &str, item: &str, values: &[String]| {
            let items: String = values.iter().map(|value| element(item, value)).collect();
            format!("<{name}>{items}</{name}>")
        };
        [
            "<aweb:Configuration>",
            &element("aweb:Tls", if self.tls { "true" } else { "false" }),
            "<aweb:ConnectionPolicies>",
            &element("aweb:Admin", &self.policy),
            "</aweb:ConnectionPolicies>",
            &list("aweb:Ciphers", "acert:Cipher", &self.ciphers),
            "<aweb:CertificateSet>",
            &list("acert:Certificates", "acert:Id", &self.certificates),
            &list("acert:CACertificates", "acert:Id", &self.ca_certificates),
            &list("acert:TrustedCertificates", "acert:Id", &self.trusted_certificates),
            "</aweb:CertificateSet></aweb:Configuration>",
        ]
        .concat()
    }
}

#[async_trait]
impl Driver for Axis {
    async fn note(&mut self) -> Result<Before, Error> {
        // The first call that needs the password, and the one that tells whether the interface is there.
        let discover = json_request(self.session.http(), Method::GET, "/config/discover", None);
        let answer = self.session.send(&discover).await?;
        let apis: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if !answer.status.is_success() || apis.pointer("/apis/cert/v1").is_none() {
            return Err(Error::NoCertificateService { host: self.session.http().host.clone() });
        }
        let device = self.device().await?;
        let https_port = self.https_port().await?;
        let now = self.configuration().await?;
        Ok(Before {
            device,
            https_on: now.https_on(),
            https_port,
            http_on: now.http_on(),
            policy: Some(now.policy),
            in_use: now.certificates,
            ..Before::default()
        })
    }

    async fn request(&mut self, mark: &str, names: &[AltName]) -> Result<Vec<u8>, Error> {
        if !self.aliases().await?.iter().any(|alias| alias == mark) {
            let alt_names = names.iter().map(|name| match name {
                AltName::Ip(address) => format!("IP:{address}"),
                other => format!("DNS:{}", other.plain()),
            });
            let common_name = names.first().map_or_else(|| mark.to_owned(), AltName::plain);
            let alt_names: Vec<String> = alt_names.collect();
            let mut made = Ok(Value::Null);
            for kind in KEY_TYPES {
                let data = json!({
                    "alias": mark,
                    "key_type": kind,
                    "subject": format!("CN={common_name}"),
                    "subject_alt_names": alt_names,
                });
                made = self.call(Method::POST, CREATE, Some(data)).await;
                if !matches!(made, Err(Error::Refused { .. })) {
                    break;
                }
            }
            made?;
        }
        let path = format!("certificates/{}/get_csr", percent_encoded(mark));
        let csr = self.call(Method::POST, &path, Some(json!({}))).await?;
        let blocks = pem::blocks(csr.as_str().unwrap_or_default());
        let csr = blocks.into_iter().find(|(label, _)| label.ends_with("CERTIFICATE REQUEST"));
        csr.and_then(|(_, der)| Some(der?.to_vec())).ok_or_else(|| Error::UnexpectedAnswer {
            operation: "get_csr".to_owned(),
            detail: "no certificate request in PEM".into(),
        })
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        if package.key.is_some() {
            return Err(Error::NotOffered { operation: "installation of a key".to_owned() });
        }
        self.session.expect(package.certificate);
        let chain: String = std::iter::once(package.certificate)
            .chain(package.issuers.iter().map(Vec::as_slice))
            .map(|der| pem::block("CERTIFICATE", der).to_string())
            .collect();
        let path = format!("certificates/{}", percent_encoded(mark));
        self.call(Method::PATCH, &path, Some(json!({"certificate": chain}))).await?;
        self.installed = Some(mark.to_owned());
        let now = self.configuration().await?;
        if now.https_on() {
            self.configure(&Configuration { certificates: vec![mark.to_owned()], ..now }).await?;
        }
        Ok(())
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        let now = self.configuration().await?;
        if !now.https_on() {
            let certificates = match &self.installed {
                Some(alias) => vec![alias.clone()],
                None => now.certificates.clone(),
            };
            let policy = "HttpAndHttps".to_owned();
            self.configure(&Configuration { tls: true, policy, certificates, ..now }).await?;
        }
        self.https_port().await
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        let now = self.configuration().await?;
        let aliases = self.aliases().await?;
        let is_shown = now.certificates.iter().any(|alias| alias == mark);
        let gone = before.in_use.iter().find(|alias| before.https_on && !aliases.contains(alias));
        if let Some(gone) = gone.filter(|_| is_shown) {
            return Err(Error::CannotUndo { certificate: Told::new(gone) });
        }
        let noted = before.https_on && !before.in_use.is_empty() && gone.is_none();
        let mut certificates =
            if is_shown || noted { before.in_use.clone() } else { now.certificates.clone() };
        certificates.retain(|alias| aliases.contains(alias));
        // Both protocols and the certificate at once, so there is no moment without a door.
        let wanted = Configuration {
            tls: before.https_on,
            policy: match (&before.policy, before.http_on) {
                (Some(policy), _) => policy.clone(),
                (None, true) => "HttpAndHttps".to_owned(),
                (None, false) => "Https".to_owned(),
            },
            certificates,
            ..now.clone()
        };
        if wanted != now {
            self.configure(&wanted).await?;
        }
        if aliases.iter().any(|alias| alias == mark) && !wanted.certificates.iter().any(|alias| alias == mark)
        {
            self.delete(mark).await?;
        }
        Ok(())
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        let shown = self.configuration().await?.certificates;
        for alias in self.aliases().await? {
            if marks.contains(&alias) && !shown.contains(&alias) {
                self.delete(&alias).await?;
            }
        }
        Ok(())
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let now = self.configuration().await?;
        if now.http_on() != on {
            let policy = if on { "HttpAndHttps" } else { "Https" };
            self.configure(&Configuration { policy: policy.to_owned(), ..now }).await?;
        }
        Ok(())
    }
}

impl Axis {
    /// One call of the certificates' REST interface; what it gives as `data`.
    async fn call(&mut self, method: Method, path: &str, data: Option<Value>) -> Result<Value, Error> {
        let body = data.map(|data| json!({"data": data}));
        let mut request = json_request(self.session.http(), method, &format!("{CERT}/{path}"), body.as_ref());
        request.operation = format!("{} {path}", request.method);
        request.patience = (path == CREATE).then(|| self.session.http().limits.key_generation);
        let answer = self.session.send(&request).await?;
        let mut said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match said.get("status").and_then(Value::as_str) {
            Some("success") if answer.status.is_success() => {
                Ok(said.get_mut("data").map(Value::take).unwrap_or_default())
            }
            Some("error") => {
                let at = |pointer| match said.pointer(pointer) {
                    Some(Value::String(text)) => Told::new(text),
                    Some(Value::Number(number)) => number.to_string().into(),
                    _ => Told::default(),
                };
                let (fault, reason) = (at("/error/code"), at("/error/message"));
                Err(Error::Refused { operation: request.operation, fault, reason })
            }
            _ => Err(request.unexpected(&format!("HTTP {}", answer.status))),
        }
    }

    /// The aliases of all certificates that have a key here.
    async fn aliases(&mut self) -> Result<Vec<String>, Error> {
        let all = self.call(Method::GET, "certificates", None).await?;
        let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(all.iter().filter_map(|one| Some(one.get("alias")?.as_str()?.to_owned())).collect())
    }

    async fn delete(&mut self, alias: &str) -> Result<(), Error> {
        let path = format!("certificates/{}", percent_encoded(alias));
        self.call(Method::DELETE, &path, None).await.map(drop)
    }

    async fn device(&mut self) -> Result<DeviceInfo, Error> {
        let request = probe(self.session.http());
        let answer = self.session.send(&request).await?;
        let properties = properties(&answer).unwrap_or_default();
        let text = |name: &str| properties.get(name)?.as_str().map(Told::new).filter(|t| !t.is_empty());
        Ok(DeviceInfo {
            manufacturer: text("Brand"),
            model: text("ProdNbr"),
            firmware: text("Version"),
            serial_number: text("SerialNumber"),
        })
    }

    async fn https_port(&mut self) -> Result<u16, Error> {
        let path = "/axis-cgi/param.cgi?action=list&group=HTTPS.Port";
        let request = Request::get(self.session.http().place(path));
        let answer = self.session.send(&request).await?;
        let text = answer.text();
        let port = text.lines().find_map(|line| line.trim().strip_prefix("root.HTTPS.Port="));
        Ok(port.and_then(|port| port.parse().ok()).filter(|port| *port != 0).unwrap_or(443))
    }

    async fn configuration(&mut self) -> Result<Configuration, Error> {
        const OPERATION: &str = "GetWebServerTlsConfiguration";
        let response = self.soap(OPERATION, "").await?;
        Configuration::of(&response).ok_or_else(|| Error::UnexpectedAnswer {
            operation: OPERATION.to_owned(),
            detail: "no configuration".into(),
        })
    }

    async fn configure(&mut self, to: &Configuration) -> Result<(), Error> {
        self.soap("SetWebServerTlsConfiguration", &to.arguments()).await.map(drop)
    }

    async fn soap(&mut self, operation: &str, arguments: &str) -> Result<Element, Error> {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{}\" xmlns:aweb=\"{AWEB}\" \
             xmlns:acert=\"{ACERT}\"><s:Body><aweb:{operation}>{arguments}</aweb:{operation}></s:Body></s:Envelope>",
            soap::ENVELOPE
        );
        let request = Request {
            operation: operation.to_owned(),
            method: Method::POST,
            place: self.session.http().place("/vapix/services"),
            content_type: Some("application/soap+xml; charset=utf-8".to_owned()),
            body: Bytes::from(body),
            secret: false,
            patience: None,
        };
        let answer = self.session.send(&request).await?;
        match soap::read_in(&answer, AWEB, operation)? {
            Said::Response(element) => Ok(element),
            Said::Fault(fault) => Err(fault.into_error(operation)),
            Said::NotSoap => Err(request.unexpected(&format!("HTTP {}", answer.status))),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::fake::{self, Fake};

    fn answer(body: &str) -> Answer {
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(body.to_owned()) }
    }

    #[test]
    fn only_a_released_interface_is_recognised() {
        let of = |brand: &str, version: &str| {
            let text = json!({"data": {"propertyList": {"Brand": brand, "Version": version}}}).to_string();
            recognise(&answer(&text)).is_some()
        };
        assert!(of("AXIS", "11.11.73") && of("AXIS", "12.2.62"));
        for (brand, version) in
            [("AXIS", "11.10.61"), ("AXIS", "9.80.3"), ("Other", "12.0"), ("AXIS", ""), ("AXIS", "x")]
        {
            assert!(!of(brand, version), "{brand} {version}");
        }
        for text in ["", "{}", "[]", r#"{"data":[]}"#, "<html>"] {
            assert!(recognise(&answer(text)).is_none(), "{text}");
        }
    }

    /// What is refused for its kind of key is asked for with the other one, and no third time.
    #[tokio::test]
    async fn a_device_without_curves_makes_an_rsa_key() {
        for takes in ["RSA-2048", "none"] {
            let fake = Fake::start(move |request| {
                let success = |data: &str| {
                    fake::answer("200 OK", "", &format!(r#"{{"status":"success","data":{data}}}"#))
                };
                if request.contains("create_certificate") && !request.contains(takes) {
                    let error = r#"{"status":"error","error":{"code":400,"message":"key_type"}}"#;
                    return fake::answer("400 Bad Request", "", error);
                }
                if request.contains("get_csr") {
                    return success(
                        r#""-----BEGIN CERTIFICATE REQUEST-----\nAQID\n-----END CERTIFICATE REQUEST-----\n""#,
                    );
                }
                success("[]")
            })
            .await;
            let made = connect(fake.session()).request("camlock-1", &["gate.lan".parse().unwrap()]).await;
            match takes {
                "none" => assert!(matches!(made, Err(Error::Refused { .. })), "{made:?}"),
                _ => assert_eq!(made, Ok(vec![1, 2, 3])),
            }
            let asked = fake.requests().iter().filter(|r| r.contains("key_type")).count();
            assert_eq!(asked, 2);
        }
    }

    #[test]
    fn what_was_read_is_sent_back() {
        let read = |content: &str| {
            let text = format!(
                "<E:Envelope xmlns:E=\"{}\" xmlns:w=\"{AWEB}\" xmlns:c=\"{ACERT}\"><E:Body>\
                 <w:GetWebServerTlsConfigurationResponse>{content}</w:GetWebServerTlsConfigurationResponse>\
                 </E:Body></E:Envelope>",
                soap::ENVELOPE
            );
            match soap::read_in(&answer(&text), AWEB, "GetWebServerTlsConfiguration") {
                Ok(Said::Response(element)) => Configuration::of(&element),
                _ => panic!("no response"),
            }
        };
        let whole = Configuration {
            tls: true,
            policy: "Https".into(),
            ciphers: vec!["A".into(), "B".into()],
            certificates: vec!["a & b".into()],
            ca_certificates: vec!["ca".into()],
            trusted_certificates: Vec::new(),
        };
        let arguments = whole.arguments().replace("aweb:", "w:").replace("acert:", "c:");
        assert_eq!(read(&arguments), Some(whole.clone()));
        assert!(!whole.http_on() && whole.https_on());
        assert_eq!(read(""), None);
    }
}
