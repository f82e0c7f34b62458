//! Hanwha Vision (Wisenet): SUNAPI, whose calls are queries of a CGI and whose answers are lines of `name=value`. The
//! private key is uploaded with the certificate.
//!
//! Written from SUNAPI's "Security" (chapter "SSL (HTTPS) Settings") and from what Hanwha's own web page sends. Newer
//! firmware keeps several certificates and is told which one to show; older firmware has one place for the user's.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::{Method, body::Bytes};
use pki::pem;
use zeroize::Zeroizing;

use super::{Maker, percent_encoded};
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package, digest,
    http::{Answer, Http, Request},
    session::Session,
};

pub(super) const MAKER: Maker = Maker { name: "hanwha", probe, recognise, connect };

const DEVICE_INFO: &str = "/stw-cgi/system.cgi?msubmenu=deviceinfo&action=view";
const SSL: &str = "/stw-cgi/security.cgi?msubmenu=ssl";

/// Refused without credentials; the realm of the challenge is telling.
fn probe(http: &Http) -> Request {
    Request::get(http.place(DEVICE_INFO))
}

fn recognise(answer: &Answer) -> Option<Abilities> {
    let realms = digest::realms(&answer.headers);
    let is_theirs = realms.iter().any(|realm| realm.to_ascii_lowercase().starts_with("ipolis"));
    (answer.status == 401 && is_theirs).then(|| Abilities {
        makes_key: false,
        key_kinds: vec!["rsa-2048".to_owned()],
        // Whether it sends more than the leaf is nowhere said.
        serves_chain: false,
        // Of older firmware with one place, `install` overwrites nothing but what is ours.
        one_slot: false,
        restarts: false,
        source: "Hanwha Vision's SUNAPI documents and web page".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Hanwha { session, installed: None })
}

struct Hanwha {
    session: Session,
    /// The name that [`Driver::enable_https`] is to choose.
    installed: Option<String>,
}

/// The SSL settings.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Ssl {
    /// `HTTP`, `HTTPSPublic`, `HTTPandHTTPSProprietary`, ...
    policy: String,
    /// Which certificate is shown; `None` on firmware that has one place.
    in_use: Option<String>,
    /// The certificates of the user.
    public: Vec<String>,
    /// Every certificate by name, with those that the maker put in.
    all: Vec<String>,
}

impl Ssl {
    fn of(lines: &BTreeMap<String, String>) -> Option<Ssl> {
        let installed = lines.get("PublicCertificateInstalled").is_some_and(|value| is_true(value));
        let public = lines.get("PublicCertificateName").map(String::as_str).unwrap_or_default();
        let mut public: Vec<String> = public
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| installed && !name.is_empty())
            .collect();
        let listed = |end: &'static str| {
            lines.iter().filter(move |(name, _)| name.starts_with("Certificate.") && name.ends_with(end))
        };
        let mut all: Vec<String> = listed(".CertificateName").map(|(_, name)| name.clone()).collect();
        for (name, _) in listed(".Type").filter(|(_, kind)| kind.as_str() == "Public") {
            let name = lines.get(&format!("{}CertificateName", name.trim_end_matches("Type")));
            public.extend(name.cloned());
        }
        all.extend(public.iter().cloned());
        for names in [&mut public, &mut all] {
            names.sort();
            names.dedup();
        }
        Some(Ssl {
            policy: lines.get("Policy")?.clone(),
            in_use: lines.get("CertificateInUse").cloned(),
            public,
            all,
        })
    }

    fn https_on(&self) -> bool {
        self.policy.contains("HTTPS")
    }

    fn http_on(&self) -> bool {
        !self.policy.starts_with("HTTPS")
    }

    /// What the web server shows, or would show.
    fn shown(&self) -> Vec<String> {
        match &self.in_use {
            Some(name) => Some(name).filter(|name| !name.is_empty()).into_iter().cloned().collect(),
            None if self.policy.ends_with("Proprietary") => Vec::new(),
            None => self.public.clone(),
        }
    }
}

#[async_trait]
impl Driver for Hanwha {
    async fn note(&mut self) -> Result<Before, Error> {
        let device = self.lines(DEVICE_INFO).await?;
        let text = |name: &str| device.get(name).map(|text| Told::new(text)).filter(|text| !text.is_empty());
        let device = DeviceInfo {
            manufacturer: Some("Hanwha Vision".into()),
            model: text("Model"),
            firmware: text("FirmwareVersion"),
            serial_number: text("SerialNumber"),
        };
        let ssl = self.ssl().await?;
        Ok(Before {
            device,
            https_on: ssl.https_on(),
            https_port: self.port("https").await?.unwrap_or(443),
            http_on: ssl.http_on(),
            http_ports: self.port("http").await?.into_iter().collect(),
            in_use: ssl.shown(),
            policy: Some(ssl.policy),
            ..Before::default()
        })
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        self.session.expect(package.certificate);
        // Harmless, so that a challenge is there before the key goes out; and what is there is needed.
        let now = self.ssl().await?;
        let name = name(mark);
        if now.in_use.is_none()
            && let Some(other) = now.public.iter().find(|other| !is_ours(other))
        {
            return Err(Error::PlaceTaken { certificate: Told::new(other) });
        }
        if now.in_use.is_some() && now.public.contains(&name) {
            self.remove(&now, &name).await?;
        }
        let certificate = pem::block("CERTIFICATE", package.certificate);
        let key = pem::block("PRIVATE KEY", key);
        let request = Request {
            operation: "install".to_owned(),
            method: Method::POST,
            place: self.session.http().place(&format!("{SSL}&action=install")),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            body: Bytes::from_owner(Zeroizing::new(upload(&name, &certificate, &key).into_bytes())),
            secret: true,
            patience: None,
        };
        self.done(&request).await?;
        self.installed = Some(name.clone());
        if now.https_on() {
            let policy = if now.http_on() { "HTTPandHTTPSPublic" } else { "HTTPSPublic" };
            self.set(&now, policy, Some(&name)).await?;
        }
        Ok(())
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        let now = self.ssl().await?;
        if !now.https_on() {
            let name = self.installed.clone();
            self.set(&now, "HTTPandHTTPSPublic", name.as_deref()).await?;
        }
        Ok(self.port("https").await?.unwrap_or(443))
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        let now = self.ssl().await?;
        let name = name(mark);
        let policy = match (&before.policy, before.http_on, before.https_on) {
            (Some(policy), _, _) => policy.as_str(),
            (None, _, false) => "HTTP",
            (None, true, true) => "HTTPandHTTPSPublic",
            (None, false, true) => "HTTPSPublic",
        };
        let shown_before = before.in_use.first().filter(|old| now.all.contains(old));
        // Older firmware: our upload took the place of the certificate that was shown. The maker's own needs no name,
        // and its name is in no list.
        if let Some(gone) = before.in_use.first()
            && policy.ends_with("Public")
            && shown_before.is_none()
            && (now.shown().is_empty() || now.shown().contains(&name))
        {
            return Err(Error::CannotUndo { certificate: Told::new(gone) });
        }
        // Both protocols and the certificate at once, so there is no moment without a door.
        let is_shown = now.in_use.as_ref() == shown_before || now.in_use.is_none() || shown_before.is_none();
        if now.policy != policy || !is_shown {
            self.set(&now, policy, shown_before.map(String::as_str)).await?;
        }
        if now.public.contains(&name) && shown_before != Some(&name) {
            self.remove(&now, &name).await?;
        }
        Ok(())
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        let now = self.ssl().await?;
        let shown = now.shown();
        for name in marks.iter().map(|mark| name(mark)) {
            if now.public.contains(&name) && !shown.contains(&name) {
                self.remove(&now, &name).await?;
            }
        }
        Ok(())
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let now = self.ssl().await?;
        if now.http_on() == on {
            return Ok(());
        }
        let both = format!("HTTPand{}", now.policy);
        let policy = if on { &both } else { now.policy.trim_start_matches("HTTPand") };
        self.set(&now, policy, None).await
    }
}

impl Hanwha {
    async fn lines(&mut self, path: &str) -> Result<BTreeMap<String, String>, Error> {
        let request = Request::get(self.session.http().place(path));
        let answer = self.session.send(&request).await?;
        let text = said(&request, &answer)?;
        Ok(lines(&text))
    }

    async fn ssl(&mut self) -> Result<Ssl, Error> {
        let path = format!("{SSL}&action=view");
        let lines = self.lines(&path).await?;
        Ssl::of(&lines).ok_or_else(|| Error::UnexpectedAnswer { operation: path, detail: "no Policy".into() })
    }

    async fn port(&mut self, protocol: &str) -> Result<Option<u16>, Error> {
        let lines = self.lines(&format!("/stw-cgi/network.cgi?msubmenu={protocol}&action=view")).await?;
        Ok(lines.get("Port").and_then(|port| port.parse().ok()).filter(|port| *port != 0))
    }

    /// Which protocols are on, and where there is a choice which certificate is shown.
    async fn set(&mut self, now: &Ssl, policy: &str, name: Option<&str>) -> Result<(), Error> {
        let mut path = format!("{SSL}&action=set&Policy={}", percent_encoded(policy));
        if let Some(name) = name.filter(|_| now.in_use.is_some()) {
            path += &format!("&CertificateInUse={}", percent_encoded(name));
        }
        let request = Request::get(self.session.http().place(&path));
        self.done(&request).await
    }

    async fn remove(&mut self, now: &Ssl, name: &str) -> Result<(), Error> {
        // What older firmware calls it.
        let field = if now.in_use.is_some() { "CertificateName" } else { "PublicCertificateName" };
        let path = format!("{SSL}&action=remove&{field}={}", percent_encoded(name));
        let request = Request::get(self.session.http().place(&path));
        self.done(&request).await
    }

    /// Sends what changes something.
    async fn done(&mut self, request: &Request) -> Result<(), Error> {
        let answer = self.session.send(request).await?;
        let text = said(request, &answer)?;
        match text.trim_start().starts_with("OK") || text.contains("\"Success\"") {
            true => Ok(()),
            false => Err(request.unexpected(&text)),
        }
    }
}

/// The text of an answer, if it is not a refusal: that is text too, with status 200.
fn said(request: &Request, answer: &Answer) -> Result<String, Error> {
    let text = answer.text();
    if text.trim_start().starts_with("NG") || text.contains("Error Code") {
        let page = request.place.path.split("&Policy").next().unwrap_or_default().to_owned();
        return Err(Error::PageRefused { page, answer: Told::new(&text) });
    }
    if !answer.status.is_success() {
        return Err(request.unexpected(&format!("HTTP {}", answer.status)));
    }
    Ok(text)
}

/// The lines `name=value`; later ones of the same name do not count.
fn lines(text: &str) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for (name, value) in text.lines().take(10_000).filter_map(|line| line.split_once('=')) {
        lines.entry(name.trim().to_owned()).or_insert_with(|| value.trim().to_owned());
    }
    lines
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}

/// A mark as SUNAPI takes names: letters and digits alone.
fn name(mark: &str) -> String {
    mark.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Whether a name is one that [`name`] makes of a mark.
fn is_ours(name: &str) -> bool {
    name.strip_prefix("camlock")
        .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The body of an upload, in one piece, since it holds a private key.
fn upload(name: &str, certificate: &str, key: &str) -> String {
    let (certificate_length, key_length) = (certificate.len().to_string(), key.len().to_string());
    let text = Zeroizing::new(
        [
            "<SetHTTPSData><PublicCertName>",
            name,
            "</PublicCertName><CertLength>",
            &certificate_length,
            "</CertLength><CertData>",
            certificate,
            "</CertData><KeyLength>",
            &key_length,
            "</KeyLength><KeyData>",
            key,
            "</KeyData></SetHTTPSData>",
        ]
        .concat(),
    );
    percent_encoded(&text)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::fake::{Fake, answer, challenge};

    #[test]
    fn the_realm_tells_and_nothing_else() {
        let recognised = |status: u16, realm: &str| {
            let mut headers = HeaderMap::new();
            let challenge = format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\"");
            headers.insert(hyper::header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            recognise(&Answer { status, headers, body: Bytes::new() }).is_some()
        };
        assert!(recognised(401, "iPolis_00-09-18-52-39-00") && recognised(401, "iPOLiS"));
        assert!(!recognised(200, "iPolis") && !recognised(401, "Login to iPolis") && !recognised(401, ""));
    }

    const NEW: &str = "Policy=HTTPandHTTPSProprietary\r\nPublicCertificateInstalled=True\r\n\
        PublicCertificateName=a,b\r\nCertificateInUse=HTW_default\r\nCertificate.1.CertificateName=HTW_default\r\n\
        Certificate.1.Type=Unique\r\nCertificate.1.Subject=/C=KR/O=x\r\nCertificate.2.CertificateName=a\r\n\
        Certificate.2.Type=Public\r\nCertificate.3.CertificateName=b\r\nCertificate.3.Type=Public\r\n";

    #[test]
    fn settings_of_new_and_old_firmware() {
        let new = Ssl::of(&lines(NEW)).unwrap();
        assert_eq!((new.http_on(), new.https_on()), (true, true));
        assert_eq!(new.public, ["a", "b"]);
        assert_eq!(new.all, ["HTW_default", "a", "b"]);
        assert_eq!(new.shown(), ["HTW_default"]);
        let old = Ssl::of(&lines(
            "Policy=HTTPSPublic\nPublicCertificateInstalled=True\nPublicCertificateName=shop\n",
        ))
        .unwrap();
        assert_eq!((old.http_on(), old.https_on(), old.in_use.clone()), (false, true, None));
        assert_eq!(old.shown(), ["shop"]);
        let none = Ssl::of(&lines("Policy=HTTP\nPublicCertificateInstalled=False\nPublicCertificateName=x"));
        assert!(none.unwrap().public.is_empty());
        assert_eq!(Ssl::of(&lines("<html>")), None);
    }

    #[test]
    fn names_and_uploads_are_as_sunapi_wants_them() {
        assert_eq!(name("camlock-3f9a1c20"), "camlock3f9a1c20");
        assert!(is_ours("camlock3f9a1c20") && !is_ours("camlock") && !is_ours("camlockshopfront"));
        let body = upload("n", "A+B\n", "K");
        assert!(body.starts_with("%3CSetHTTPSData%3E%3CPublicCertName%3En%3C"), "{body}");
        assert!(body.contains("%3CCertLength%3E4%3C") && body.contains("A%2BB%0A"), "{body}");
    }

    /// A camera of older firmware, whose one place holds `public`; refuses nothing.
    async fn old_camera(public: &'static str) -> Fake {
        Fake::start(move |request| {
            if !request.contains("Authorization:") {
                return challenge(r#"nonce="n", qop="auth""#);
            }
            let text = match request.contains("action=view") {
                true => format!(
                    "Policy=HTTP\r\nPublicCertificateInstalled=True\r\nPublicCertificateName={public}\r\n"
                ),
                false => "OK\r\n".to_owned(),
            };
            answer("200 OK", "", &text)
        })
        .await
    }

    fn changes(fake: &Fake) -> Vec<String> {
        let requests = fake.requests();
        let changed = requests.iter().filter(|r| r.contains("Authorization:") && !r.contains("action=view"));
        changed
            .map(|r| r.split_whitespace().nth(1).unwrap().rsplit("ssl&").next().unwrap().to_owned())
            .collect()
    }

    #[tokio::test]
    async fn the_one_place_of_older_firmware_is_taken_only_from_our_own() {
        let package = Package { certificate: b"c", issuers: &[], key: Some(b"k"), pem: "" };
        let fake = old_camera("shop").await;
        let refused = connect(fake.session()).install("camlock-3f9a1c20", &package).await;
        assert_eq!(refused, Err(Error::PlaceTaken { certificate: "shop".into() }));
        assert_eq!(changes(&fake), [""; 0]);

        let fake = old_camera("camlock00000001").await;
        let mut driver = connect(fake.session());
        driver.install("camlock-3f9a1c20", &package).await.unwrap();
        driver.enable_https().await.unwrap();
        assert_eq!(changes(&fake), ["action=install", "action=set&Policy=HTTPandHTTPSPublic"]);
    }

    #[tokio::test]
    async fn what_cannot_be_shown_again_is_said() {
        let fake = old_camera("camlock3f9a1c20").await;
        let before = Before {
            https_on: true,
            http_on: true,
            policy: Some("HTTPandHTTPSPublic".into()),
            in_use: vec!["camlock00000001".into()],
            ..Before::default()
        };
        let said = connect(fake.session()).roll_back("camlock-3f9a1c20", &before).await;
        assert_eq!(said, Err(Error::CannotUndo { certificate: "camlock00000001".into() }));
        assert_eq!(changes(&fake), [""; 0]);
        // Where HTTPS was off, nothing is lost with it.
        let off = Before { https_on: false, policy: Some("HTTP".into()), ..before };
        connect(fake.session()).roll_back("camlock-3f9a1c20", &off).await.unwrap();
        assert_eq!(changes(&fake), ["action=remove&PublicCertificateName=camlock3f9a1c20"]);
    }

    #[tokio::test]
    async fn a_refusal_is_read_from_the_text() {
        let fake = Fake::start(|request| match request.contains("Authorization:") {
            true => answer("200 OK", "", "NG\r\nError Code: 608\r\nError Details: Invalid\r\n"),
            false => challenge(r#"nonce="n""#),
        })
        .await;
        let refused = connect(fake.session()).switch_http(false).await;
        assert!(
            matches!(&refused, Err(Error::PageRefused { answer, .. }) if answer.contains("608")),
            "{refused:?}"
        );
    }
}
