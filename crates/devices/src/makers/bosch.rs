//! Bosch: RCP+, whose commands are queries of a CGI and whose payloads are fields of bytes written in hexadecimal. The
//! camera makes its key and keeps several certificates by name, and is told which of them is for HTTPS.
//!
//! Written from another program for Bosch cameras (firmware 7.10 to 7.82) and Bosch's "RCP+ over CGI". That program
//! speaks HTTPS alone and shows the password to RCP+ (Basic), so this driver does neither over plain HTTP. How HTTPS and
//! HTTP are switched on and off is not known. The user has to be of the level "service".

use async_trait::async_trait;
use domain::{AltName, Told};
use hyper::header::SERVER;
use pki::pem;
use tokio::time::{Duration, Instant, sleep};

use super::{Maker, percent_encoded};
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package,
    form::{self, File},
    http::{Answer, Http, Request},
    page::between,
    session::Session,
};

pub(super) const MAKER: Maker = Maker { name: "bosch", probe, recognise, connect };

/// RCP+ commands.
const CERTIFICATE: &str = "0x0BE9";
const CERTIFICATE_LIST: &str = "0x0BEB";
const CERTIFICATE_REQUEST: &str = "0x0BEC";
const CERTIFICATE_USAGE: &str = "0x0BF2";
const UPLOAD: &str = "/upload.htm";
/// CERTIFICATE_USAGE: the web server's.
const HTTPS: u32 = 0;
/// CERTIFICATE_REQUEST: the kind of key.
const RSA_2048: u32 = 1;
/// Between two questions whether the key is ready.
const PAUSE: Duration = Duration::from_millis(500);

/// Refused without credentials, but the web server says whose it is.
fn probe(http: &Http) -> Request {
    Request::get(http.place(&path(CERTIFICATE_LIST, "READ", None)))
}

fn recognise(answer: &Answer) -> Option<Abilities> {
    let is_theirs = answer.header(SERVER).starts_with("VCS-VideoJet") || result(&answer.text()).is_some();
    is_theirs.then(|| Abilities {
        makes_key: true,
        key_kinds: vec!["rsa-2048".to_owned()],
        serves_chain: false,
        one_slot: false,
        restarts: false,
        source: "another program for Bosch cameras and Bosch's \"RCP+ over CGI\"".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Bosch { session })
}

struct Bosch {
    session: Session,
}

#[async_trait]
impl Driver for Bosch {
    async fn note(&mut self) -> Result<Before, Error> {
        // Whatever it asks for, over plain HTTP this leads nowhere.
        self.session.inside_tls()?;
        Ok(Before {
            device: DeviceInfo { manufacturer: Some("Bosch".into()), ..DeviceInfo::default() },
            // This was asked over it.
            https_on: true,
            https_port: self.session.http().endpoint.port,
            // Not told, and nothing here changes it.
            http_on: true,
            in_use: self.in_use().await?.into_iter().collect(),
            ..Before::default()
        })
    }

    async fn request(&mut self, mark: &str, names: &[AltName]) -> Result<Vec<u8>, Error> {
        self.session.inside_tls()?;
        if let Some(csr) = self.csr(mark).await? {
            return Ok(csr);
        }
        let common_name = names.first().map_or_else(|| mark.to_owned(), AltName::plain);
        let wide: Vec<u8> = common_name.encode_utf16().flat_map(u16::to_be_bytes).collect();
        // There is no field for alternative names, and of the subject nothing else is used.
        let payload = [
            field(0, mark.as_bytes()),
            field(1, &RSA_2048.to_be_bytes()),
            field(2, &0_u32.to_be_bytes()),
            field(5, &wide),
        ];
        self.rcp(CERTIFICATE_REQUEST, "WRITE", Some(&payload.concat())).await?;
        let patience = self.session.http().limits.key_generation;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(csr) = self.csr(mark).await? {
                return Ok(csr);
            }
            if Instant::now() >= deadline {
                return Err(Error::KeyNotReady { seconds: patience.as_secs() });
            }
            sleep(PAUSE).await;
        }
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        if package.key.is_some() {
            return Err(Error::NotOffered { operation: "installation of a key".to_owned() });
        }
        self.session.inside_tls()?;
        self.session.expect(package.certificate);
        let certificate = pem::block("CERTIFICATE", package.certificate);
        let file = File {
            field: "certUsageUnspecified",
            name: &format!("{mark}.cer"),
            content_type: "application/x-x509-ca-cert",
            content: &certificate,
        };
        let upload = form::upload(self.session.http().place(UPLOAD), &file)?;
        // The form asks for Digest where RCP+ asks for Basic. However it ends, RCP+ is spoken again afterwards.
        self.session.ask_anew();
        let uploaded = self.upload(&upload).await;
        self.session.ask_anew();
        uploaded?;
        self.use_for_https(mark).await
    }

    /// It is on.
    async fn enable_https(&mut self) -> Result<u16, Error> {
        self.session.inside_tls()?;
        Ok(self.session.http().endpoint.port)
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        self.session.inside_tls()?;
        let now = self.in_use().await?;
        if let Some(old) = before.in_use.first().filter(|old| now.as_ref() != Some(*old)) {
            if !self.names().await?.contains(old) {
                return Err(Error::CannotUndo { certificate: Told::new(old) });
            }
            self.use_for_https(old).await?;
        }
        if before.in_use.iter().all(|old| old != mark) {
            self.remove(mark).await?;
        }
        Ok(())
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        self.session.inside_tls()?;
        let shown = self.in_use().await?;
        for mark in marks.iter().filter(|mark| shown.as_ref() != Some(*mark)) {
            self.remove(mark).await?;
        }
        Ok(())
    }
}

impl Bosch {
    async fn upload(&mut self, upload: &Request) -> Result<(), Error> {
        // What the form asks for is learned by a harmless question.
        self.session.send(&Request::get(upload.place.clone())).await?;
        let answer = self.session.send(upload).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(upload.unexpected(&format!("HTTP {}", answer.status))),
        }
    }

    /// The bytes that a command answers with.
    async fn rcp(
        &mut self,
        command: &str,
        direction: &str,
        payload: Option<&[u8]>,
    ) -> Result<Vec<u8>, Error> {
        let place = self.session.http().place(&path(command, direction, payload));
        // Not the payload, which is long and says nothing to people.
        let request = Request { operation: format!("RCP+ {direction} {command}"), ..Request::get(place) };
        let answer = self.session.send(&request).await?;
        let text = answer.text();
        let Some(result) = result(&text).filter(|_| answer.status.is_success()) else {
            return Err(request.unexpected(&format!("HTTP {}, {text}", answer.status)));
        };
        let error = ["err", "error"].into_iter().find_map(|name| inside(result, name));
        if let Some(error) = error {
            let (operation, fault) = (request.operation, Told::new(error));
            return Err(Error::Refused { operation, fault, reason: Told::default() });
        }
        let bytes = inside(result, "str").unwrap_or_default();
        unhex(bytes).ok_or_else(|| request.unexpected("no hexadecimal digits"))
    }

    /// The names of the certificates.
    async fn names(&mut self) -> Result<Vec<String>, Error> {
        let list = self.rcp(CERTIFICATE_LIST, "READ", None).await?;
        let names = names(&list);
        names.ok_or_else(|| Error::UnexpectedAnswer {
            operation: format!("RCP+ READ {CERTIFICATE_LIST}"),
            detail: "the list of certificates is broken".into(),
        })
    }

    /// The name of the certificate for HTTPS.
    async fn in_use(&mut self) -> Result<Option<String>, Error> {
        let usage = field(0, &HTTPS.to_be_bytes());
        let told = self.rcp(CERTIFICATE_USAGE, "READ", Some(&usage)).await?;
        let fields = fields(&told).ok_or_else(|| Error::UnexpectedAnswer {
            operation: format!("RCP+ READ {CERTIFICATE_USAGE}"),
            detail: "its fields are broken".into(),
        })?;
        let name = fields.into_iter().find(|(tag, _)| *tag == 1).map(|(_, name)| text(name));
        Ok(name.filter(|name| !name.is_empty()))
    }

    async fn use_for_https(&mut self, name: &str) -> Result<(), Error> {
        let usage = [field(0, &HTTPS.to_be_bytes()), field(1, name.as_bytes())].concat();
        self.rcp(CERTIFICATE_USAGE, "WRITE", Some(&usage)).await.map(drop)
    }

    /// The request for a key of that name, if there is one and it is ready.
    async fn csr(&mut self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = format!("/cert_download/{}.pem?type=csr", percent_encoded(name));
        let request = Request::get(self.session.http().place(&path));
        let answer = self.session.send(&request).await?;
        let text = answer.text();
        let blocks = pem::blocks(&text).into_iter();
        let mut csr = blocks.filter(|(label, _)| label.ends_with("CERTIFICATE REQUEST"));
        match csr.next().filter(|_| answer.status.is_success()) {
            Some((_, Some(der))) => Ok(Some(der.to_vec())),
            Some((_, None)) => Err(request.unexpected("a broken certificate request")),
            None => Ok(None),
        }
    }

    /// Removes a certificate with its key, or a key whose certificate has not come, if it is there.
    async fn remove(&mut self, name: &str) -> Result<(), Error> {
        if !self.names().await?.iter().any(|found| found == name) && self.csr(name).await?.is_none() {
            return Ok(());
        }
        let payload = [field(0, name.as_bytes()), field(2, &[]), field(3, &[0, 0, 0, 0xff])];
        self.rcp(CERTIFICATE, "WRITE", Some(&payload.concat())).await.map(drop)
    }
}

fn path(command: &str, direction: &str, payload: Option<&[u8]>) -> String {
    let mut path = format!("/rcp.xml?command={command}&type=P_OCTET&direction={direction}&num=1");
    if let Some(payload) = payload {
        path += "&payload=0x";
        path.extend(payload.iter().map(|byte| format!("{byte:02X}")));
    }
    path
}

/// What is inside the `<result>` of an RCP+ answer.
fn result(answer: &str) -> Option<&str> {
    let rcp = between(answer, "<rcp>", "</rcp>")?;
    inside(rcp, "result").or_else(|| rcp.contains("<result/>").then_some(""))
}

fn inside<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    between(xml, &format!("<{name}>"), &format!("</{name}>"))
}

/// A field of a payload: its length with this head of four bytes, its tag, its value. What is longer than a length can
/// tell, which no name is, is cut off.
fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let value = value.iter().take(usize::from(length) - 4).copied();
    length.to_be_bytes().into_iter().chain(tag.to_be_bytes()).chain(value).collect()
}

/// The fields of a payload, by tag.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    while let [high, low, tag_high, tag_low, ..] = *bytes {
        let (field, rest) = bytes.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        found.push((u16::from_be_bytes([tag_high, tag_low]), field.get(4..)?));
        bytes = rest;
    }
    bytes.is_empty().then_some(found)
}

/// The list of certificates: records, each with its name after four bytes more and up to a zero.
fn names(list: &[u8]) -> Option<Vec<String>> {
    fields(list)?.into_iter().map(|(_, record)| record.get(4..).map(text)).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Hexadecimal digits, with white space between them.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().filter(|c| !c.is_whitespace());
    let digits: Option<Vec<u8>> =
        digits.map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode, body::Bytes};

    use super::*;
    use crate::fake::{Fake, challenge};

    #[test]
    fn it_is_recognised_by_its_web_server_or_its_answers() {
        let says = |server: &str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(SERVER, server.parse().unwrap());
            let body = Bytes::copy_from_slice(body.as_bytes());
            recognise(&Answer { status: StatusCode::UNAUTHORIZED, headers, body })
        };
        assert!(says("VCS-VideoJet-Webserver", "").is_some_and(|a| a.makes_key && !a.serves_chain));
        assert!(says("x", "<rcp><command/><result><err>0x60</err></result></rcp>").is_some());
        assert!(says("x", "<html>rcp</html>").is_none());
    }

    #[test]
    fn payloads_are_fields() {
        let payload = [field(0, b"ab"), field(1, &RSA_2048.to_be_bytes())].concat();
        assert_eq!(
            path("0x1", "WRITE", Some(&payload)),
            "/rcp.xml?command=0x1&type=P_OCTET&direction=WRITE&num=1&payload=0x0006000061620008000100000001"
        );
        assert_eq!(fields(&payload), Some(vec![(0, &b"ab"[..]), (1, &[0, 0, 0, 1][..])]));
        assert_eq!(fields(&[]), Some(Vec::new()));
        for broken in [&[0_u8, 4, 0][..], &[0, 0, 0, 0], &[0, 3, 0, 0], &[0, 9, 0, 0, 1]] {
            assert_eq!(fields(broken), None, "{broken:?}");
        }
        assert_eq!(field(0, &[0; 70_000]).len(), 65_535);
    }

    #[test]
    fn names_are_read_from_the_list() {
        let record = |name: &[u8]| field(0, &[field(0, name), field(1, &[0; 4])].concat());
        let list = [record(b"factory"), record(b"camlock-1")].concat();
        assert_eq!(names(&list), Some(vec!["factory".to_owned(), "camlock-1".to_owned()]));
        assert_eq!(names(&field(0, b"abc")), None);
        assert_eq!(unhex("00 0a\nFF"), Some(vec![0, 10, 255]));
        assert_eq!((unhex("0"), unhex("0x"), unhex("\u{e9}\u{e9}")), (None, None, None));
    }

    #[tokio::test]
    async fn over_plain_http_nothing_is_sent() {
        let fake = Fake::start(|_| challenge(r#"nonce="n""#)).await;
        let refused = Error::PasswordInClear { host: "127.0.0.1".into() };
        let mut driver = connect(fake.session());
        assert_eq!(driver.note().await.err(), Some(refused.clone()));
        assert_eq!(driver.request("camlock-1", &[]).await.err(), Some(refused));
        assert!(fake.requests().is_empty());
    }
}
