//! [`crate::Model::Hanwha`]: SUNAPI of Hanwha Vision, as far as HTTPS needs it (SUNAPI "Security", chapter "SSL").
//!
//! Everything is a query of a CGI; answers are lines of `name=value`. The private key is uploaded with its certificate.

use std::sync::Arc;

use hyper::Method;
use rustls::pki_types::pem::{PemObject as _, SectionKind};

use crate::core::{Core, Live, SwitchRefusal};
use crate::device_certificates::{DeviceCertificates, Refusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer, percent_decoded_text};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::store::Store;
use crate::x509;

/// Its realm, by the MAC address.
const REALM: &str = "iPolis_00-09-18-00-00-01";
const CGI: &str = "/stw-cgi/";
const MODEL: &str = "XNO-SIM";
/// The name of what the factory put in.
const FACTORY: &str = "factory";

/// The dialect.
pub(crate) struct Hanwha;

impl Dialect for Hanwha {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "hanwha",
            called: "Stairs",
            realm: REALM,
            server: "Hanwha",
            takes: "SUNAPI",
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
            switches_http: true,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<DeviceCertificates>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, asked: Asked<'_>, _operation: &str) -> bool {
        asked.login == Login::Accepted && asked.parts.method == Method::POST
    }
}

/// A number and words, as a camera says no.
type No = (u16, &'static str);

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, parts, login, .. } = asked;
    let cgi = parts.uri.path().strip_prefix(CGI)?;
    let query: Vec<(String, String)> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), percent_decoded_text(value)?))
        })
        .collect();
    let of = |name: &str| query.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
    let (submenu, action) = (of("msubmenu"), of("action"));
    let name: String = format!("{submenu} {action}").chars().take(100).collect();
    if login != Login::Accepted {
        let mut answer = http::plain(401, "Unauthorized\n");
        core.challenge(login, &mut answer);
        return Some((name, answer));
    }
    let reading = parts.method == Method::GET;
    let said = match (cgi, submenu, action) {
        ("system.cgi", "deviceinfo", "view") if reading => Ok(format!(
            "Model={MODEL}\r\nSerialNumber={}\r\nFirmwareVersion=1.41.16\r\nDeviceType=NWC\r\n",
            core.serial
        )),
        ("network.cgi", "http", "view") if reading => Ok(format!("Port={}\r\n", core.http.address().port())),
        ("network.cgi", "https", "view") if reading => {
            Ok(format!("Port={}\r\n", core.https.address().port()))
        }
        ("security.cgi", "ssl", "view") if reading => Ok(core.look(view)),
        ("security.cgi", "ssl", "set") if reading => set(core, of("Policy"), of("CertificateInUse")).await,
        ("security.cgi", "ssl", "remove") if reading => remove(core, of("CertificateName")),
        ("security.cgi", "ssl", "install") if parts.method == Method::POST => install(core, body),
        _ => Err((600, "Submenu Not Found")),
    };
    // As SUNAPI does it: what went wrong is in the text, the status is 200 all the same.
    let text = said
        .unwrap_or_else(|(code, words)| format!("NG\r\nError Code: {code}\r\nError Details: {words}\r\n"));
    Some((name, http::answer(200, "text/plain", text)))
}

fn store(live: &Live) -> Option<&DeviceCertificates> {
    live.store()
}

fn view(live: &Live) -> String {
    let entries = store(live).map(|store| store.entries.as_slice()).unwrap_or_default();
    let in_use = entries.iter().find(|entry| entry.enabled).map_or("", |entry| entry.id.as_str());
    let kind = if in_use == FACTORY { "Proprietary" } else { "Public" };
    let policy = match (live.http_on, live.https_on) {
        (_, false) => "HTTP".to_owned(),
        (true, true) => format!("HTTPandHTTPS{kind}"),
        (false, true) => format!("HTTPS{kind}"),
    };
    let public: Vec<&str> =
        entries.iter().map(|entry| entry.id.as_str()).filter(|id| *id != FACTORY).collect();
    let installed = if public.is_empty() { "False" } else { "True" };
    let mut text = format!(
        "Policy={policy}\r\nPublicCertificateInstalled={installed}\r\nPublicCertificateName={}\r\n\
         UpdateDeviceHostname=False\r\nCertificateInUse={in_use}\r\n",
        public.join(",")
    );
    for (index, entry) in entries.iter().enumerate() {
        let (kind, removable) = if entry.id == FACTORY { ("Unique", "False") } else { ("Public", "True") };
        let issuer = x509::read(&entry.der).map(|facts| facts.issuer).unwrap_or_default();
        let number = index + 1;
        text += &format!(
            "Certificate.{number}.CertificateName={}\r\nCertificate.{number}.Type={kind}\r\n\
             Certificate.{number}.Issuer={issuer}\r\nCertificate.{number}.IsRemovable={removable}\r\n",
            entry.id
        );
    }
    text
}

fn ok() -> Result<String, No> {
    Ok("OK\r\n".to_owned())
}

async fn set(core: &Arc<Core>, policy: &str, wanted: &str) -> Result<String, No> {
    let (http, https, factory) = match policy {
        "HTTP" => (true, false, None),
        "HTTPSProprietary" => (false, true, Some(true)),
        "HTTPSPublic" => (false, true, Some(false)),
        "HTTPandHTTPSProprietary" => (true, true, Some(true)),
        "HTTPandHTTPSPublic" => (true, true, Some(false)),
        _ => return Err((608, "Invalid Parameter Value")),
    };
    let invalid = (608, "Invalid Parameter Value");
    let statuses = |store: &DeviceCertificates, in_use: Option<&str>| -> Vec<(String, bool)> {
        store.entries.iter().map(|entry| (entry.id.clone(), Some(entry.id.as_str()) == in_use)).collect()
    };
    let before = core.change(|live| {
        let https_on = live.https_on;
        let store = live.store_mut::<DeviceCertificates>().ok_or(invalid)?;
        let before = store.enabled();
        let fits = |id: &str| factory.is_none_or(|factory| (id == FACTORY) == factory);
        let chosen = match wanted {
            "" => {
                let now = before.first().filter(|id| fits(id)).cloned();
                now.or_else(|| {
                    store.entries.iter().map(|e| e.id.clone()).find(|id| factory.is_some() && fits(id))
                })
            }
            name => Some(name.to_owned()).filter(|name| store.get(name).is_ok() && fits(name)),
        };
        if chosen.is_none() && (https || !wanted.is_empty()) {
            return Err((612, "Certificate Not Installed"));
        }
        if let Some(chosen) = chosen {
            let wanted = statuses(store, Some(&chosen));
            store.set_status(&wanted, https_on).map_err(|_| invalid)?;
        }
        Ok(before)
    })?;
    let switched = core.switch(Some(http), Some(https)).await;
    let Err(refusal) = switched else { return ok() };
    core.change(|live| {
        let https_on = live.https_on;
        if let Some(store) = live.store_mut() {
            let wanted = statuses(store, before.first().map(String::as_str));
            let _ = store.set_status(&wanted, https_on);
        }
    });
    Err(match refusal {
        SwitchRefusal::NoCertificate => (612, "Certificate Not Installed"),
        SwitchRefusal::Refused | SwitchRefusal::PortTaken => (700, "System Error"),
        SwitchRefusal::LastDoor => invalid,
    })
}

fn remove(core: &Core, name: &str) -> Result<String, No> {
    core.change(|live| {
        let https_on = live.https_on;
        let store = live.store_mut::<DeviceCertificates>().ok_or((600, "Submenu Not Found"))?;
        if name == FACTORY {
            return Err((613, "Certificate Not Removable"));
        }
        if !https_on && store.get(name).is_ok() {
            let _ = store.set_status(&[(name.to_owned(), false)], false);
        }
        store.delete(&[name.to_owned()]).map_err(|refusal| match refusal {
            Refusal::InUse => (614, "Certificate In Use"),
            _ => (612, "Certificate Not Installed"),
        })
    })?;
    ok()
}

/// `<SetHTTPSData>` with certificate and key in PEM, the whole of it URL-encoded.
fn install(core: &Core, body: &[u8]) -> Result<String, No> {
    let invalid = (608, "Invalid Parameter Value");
    // A form: a plus that was not encoded is a space, which spoils base64.
    let text = String::from_utf8_lossy(body).replace('+', " ");
    let text = percent_decoded_text(&text).ok_or(invalid)?;
    let document = roxmltree::Document::parse(&text).map_err(|_| invalid)?;
    let root = document.root_element();
    let field = |name: &str| root.children().find(|n| n.has_tag_name(name)).and_then(|n| n.text());
    let (name, certificate) = (field("PublicCertName").ok_or(invalid)?, field("CertData").ok_or(invalid)?);
    let key = field("KeyData").ok_or(invalid)?;
    let length_is = |name: &str, data: &str| field(name).is_some_and(|n| n.parse() == Ok(data.len()));
    if !root.has_tag_name("SetHTTPSData")
        || !length_is("CertLength", certificate)
        || !length_is("KeyLength", key)
        || name.is_empty()
        || !name.chars().all(|c| c.is_ascii_alphanumeric())
        || name == FACTORY
    {
        return Err(invalid);
    }
    let section = |text: &str| <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()).next()?.ok();
    let damaged = (615, "Invalid Certificate");
    let (Some((SectionKind::Certificate, der)), Some((_, key))) = (section(certificate), section(key)) else {
        return Err(damaged);
    };
    core.change(|live| {
        let store = live.store_mut::<DeviceCertificates>().ok_or(invalid)?;
        store.load(Some(name.to_owned()), der, &key).map_err(|_| damaged)
    })?;
    ok()
}
