//! [`crate::Model::Bosch`]: RCP+ over CGI, as far as HTTPS needs it.
//!
//! A command is a query of `/rcp.xml`, its payload fields of `length tag value` in hexadecimal. RCP+ asks for Basic, the
//! form that takes the certificate for Digest. Keys are RSA and never leave the camera; it serves the leaf alone.

use std::fmt::Write as _;
use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, header};
use rcgen::{DistinguishedName, DnType};
use rustls::pki_types::pem::{PemObject as _, SectionKind};

use crate::core::{Core, Live};
use crate::device_certificates::{DeviceCertificates, Refusal};
use crate::dialect::{Answering, Asked, Dialect};
use crate::digest::Login;
use crate::http::{self, Answer};
use crate::keys::{self, Algorithm, Contents, Pair, RsaBits};
use crate::kind::{Kind, Page};
use crate::options::Fault;
use crate::store::Store;
use crate::tls::Arrival;
use crate::{form, pem_file, x509};

const REALM: &str = "Bosch";
const RCP: &str = "/rcp.xml";
const DOWNLOAD: &str = "/cert_download/";
const UPLOAD: &str = "/upload.htm";
/// Longest name of a certificate, in bytes.
const NAME_BYTES: usize = 63;
/// Most keys that wait for their certificates.
const PENDING: usize = 4;

/// An RCP+ error.
type No = &'static str;
const INVALID: No = "0x40";
const NOT_ALLOWED: No = "0x60";
const FAILED: No = "0xff";

/// The dialect.
pub(crate) struct Bosch;

impl Dialect for Bosch {
    fn kind(&self) -> &'static Kind {
        &Kind {
            name: "bosch",
            called: "Lobby",
            realm: "Camera",
            server: "VCS-VideoJet-Webserver",
            takes: "RCP+, as a Bosch camera",
            page: Page::PLAIN,
            faults: &[Fault::CsrFails, Fault::MalformedAnswers, Fault::Sha256Digest, Fault::ShortNonces],
            makes_key: true,
            comes_with_https: true,
            switches_http: false,
        }
    }

    fn store(&self) -> Box<dyn Store> {
        Box::<DeviceCertificates>::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, body: &'a [u8]) -> Answering<'a> {
        Box::pin(answer(asked, body))
    }

    fn is_upload(&self, Asked { parts, login, .. }: Asked<'_>, _operation: &str) -> bool {
        login == Login::Accepted && parts.method == Method::POST && parts.uri.path() == UPLOAD
    }

    /// Over TLS it takes Basic for all but the form.
    fn takes_basic(&self, arrival: &Arrival, parts: &Parts) -> bool {
        arrival.tls.is_some() && parts.uri.path() != UPLOAD
    }
}

async fn answer(asked: Asked<'_>, body: &[u8]) -> Option<(String, Answer)> {
    let Asked { core, parts, login, .. } = asked;
    let path = parts.uri.path();
    let file = path.strip_prefix(DOWNLOAD);
    if path != RCP && path != UPLOAD && file.is_none() {
        return None;
    }
    let command = http::parameter(parts, "command").unwrap_or_default().to_ascii_lowercase();
    let direction = http::parameter(parts, "direction").unwrap_or_default();
    let name = match path {
        RCP => format!("{direction} {command}").chars().take(100).collect(),
        _ => http::name(parts),
    };
    if login != Login::Accepted {
        let mut answer = http::plain(401, "Unauthorized\n");
        match path {
            UPLOAD => core.challenge(login, &mut answer),
            _ => http::set(&mut answer, header::WWW_AUTHENTICATE, &format!("Basic realm=\"{REALM}\"")),
        }
        return Some((name, answer));
    }
    let answer = match (path, parts.method.as_str()) {
        (RCP, "GET") => {
            let payload = payload(http::parameter(parts, "payload").unwrap_or_default());
            let said = match payload {
                Some(payload) => rcp(core, &command, direction, &payload).await,
                None => Err(INVALID),
            };
            told(&command, said)
        }
        (UPLOAD, "GET") => http::answer(200, "text/html", "<html><body>Upload</body></html>"),
        (UPLOAD, "POST") => upload(core, http::content_type(parts), body),
        (_, "GET") if file.is_some() && parts.uri.query() == Some("type=csr") => {
            request(core, file.and_then(|file| file.strip_suffix(".pem")).unwrap_or_default())
        }
        _ => http::plain(404, "Not Found\n"),
    };
    Some((name, answer))
}

fn told(command: &str, said: Result<Vec<u8>, No>) -> Answer {
    let result = match said {
        Ok(bytes) => {
            let digits = bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x} ");
                text
            });
            format!("<str>{digits}</str>")
        }
        Err(code) => format!("<err>{code}</err>"),
    };
    let command: String = command.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let text = format!(
        "<rcp>\n<command>\n<hex>{command}</hex>\n</command>\n<type>P_OCTET</type>\n<num>1</num>\n\
         <result>{result}</result>\n</rcp>\n"
    );
    http::answer(200, "text/xml", text)
}

async fn rcp(core: &Arc<Core>, command: &str, direction: &str, payload: &[u8]) -> Result<Vec<u8>, No> {
    let parts = fields(payload).ok_or(INVALID)?;
    let value = |tag: u16| parts.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
    let name = |tag: u16| value(tag).and_then(name);
    match (command, direction) {
        ("0x0beb", "READ") => Ok(core.look(list)),
        ("0x0bec", "WRITE") => {
            let (Some(name), Some([0, 0, 0, 1]), Some([0, 0, 0, 0]), Some(common_name)) =
                (name(0), value(1), value(2), value(5).and_then(wide))
            else {
                return Err(INVALID);
            };
            make(core, name, common_name).await.map(|()| Vec::new())
        }
        ("0x0bf2", "READ") if value(0) == Some(&[0; 4]) => {
            let in_use = core.look(|live| store(live)?.enabled().into_iter().next());
            let named = in_use.map(|name| field(1, name.as_bytes())).unwrap_or_default();
            Ok([field(0, &[0; 4]), named].concat())
        }
        ("0x0bf2", "WRITE") if value(0) == Some(&[0; 4]) => {
            let name = name(1).ok_or(INVALID)?;
            change(core, |store, https_on| store.set_status(&[(name, true)], https_on).map_err(|_| INVALID))
        }
        ("0x0be9", "WRITE")
            if value(2).is_some_and(<[u8]>::is_empty) && value(3) == Some(&[0, 0, 0, 0xff]) =>
        {
            let name = name(0).ok_or(INVALID)?;
            change(core, |store, _| {
                let waited = store.pending.remove(&name).is_some();
                match store.delete(&[name]) {
                    Err(Refusal::InUse) => Err(NOT_ALLOWED),
                    Err(_) if !waited => Err(INVALID),
                    _ => Ok(()),
                }
            })
        }
        _ => Err(NOT_ALLOWED),
    }
}

fn store(live: &Live) -> Option<&DeviceCertificates> {
    live.store()
}

fn change(
    core: &Core,
    change: impl FnOnce(&mut DeviceCertificates, bool) -> Result<(), No>,
) -> Result<Vec<u8>, No> {
    core.change(|live| {
        let https_on = live.https_on;
        change(live.store_mut().ok_or(NOT_ALLOWED)?, https_on).map(|()| Vec::new())
    })
}

/// Records of every certificate: its name, and a flag.
fn list(live: &Live) -> Vec<u8> {
    let entries = store(live).map(|store| store.entries.as_slice()).unwrap_or_default();
    let record = |id: &str| field(0, &[field(0, id.as_bytes()), field(1, &[0; 4])].concat());
    entries.iter().flat_map(|entry| record(&entry.id)).collect()
}

/// Begins to make a key: it is there after a while.
async fn make(core: &Arc<Core>, name: String, common_name: String) -> Result<(), No> {
    if core.options.has(Fault::CsrFails) {
        return Err(FAILED);
    }
    change(core, |store, _| {
        let is_free = store.get(&name).is_err() && !store.pending.contains_key(&name);
        if is_free && store.pending.len() < PENDING { Ok(()) } else { Err(INVALID) }
    })?;
    let making = Arc::clone(core);
    tokio::spawn(async move {
        tokio::time::sleep(making.options.key_generation).await;
        let made = tokio::task::spawn_blocking(move || signed(&common_name)).await;
        if let Ok(Some(made)) = made {
            let _ = change(&making, |store, _| {
                store.pending.entry(name).or_insert(made);
                Ok(())
            });
        }
    });
    Ok(())
}

/// A key and its request, without alternative names.
fn signed(common_name: &str) -> Option<(Pair, Vec<u8>)> {
    let pair = Pair::generate(Algorithm::Rsa(RsaBits::B2048)).ok()?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    let contents = Contents { subject, extensions: Vec::new() };
    let csr = keys::request(&pair, &rcgen::PKCS_RSA_SHA256, contents).ok()?;
    Some((pair, csr))
}

fn request(core: &Core, name: &str) -> Answer {
    let csr = core.look(|live| store(live)?.pending.get(name).map(|(_, csr)| csr.clone()));
    match csr {
        Some(csr) => {
            http::answer(200, "application/x-x509-ca-cert", pem_file::section("CERTIFICATE REQUEST", &csr))
        }
        None => http::plain(404, "Not Found\n"),
    }
}

/// A certificate for one of the keys that wait for it.
fn upload(core: &Core, content_type: &str, body: &[u8]) -> Answer {
    let invalid = || http::plain(400, "Upload failed\n");
    let Some((head, content)) = form::part(content_type, body, "certUsageUnspecified") else {
        return invalid();
    };
    let section = <(SectionKind, Vec<u8>)>::pem_slice_iter(content).next();
    let Some(Ok((SectionKind::Certificate, der))) = section else { return invalid() };
    let Some(facts) = x509::read(&der) else { return invalid() };
    let taken = change(core, |store, _| {
        let named = |name: &str| head.contains(&format!("filename=\"{name}.cer\""));
        let mut pending = store.pending.iter();
        let found = pending.find(|(name, (pair, _))| named(name) && pair.public == facts.public_key);
        let (name, key) = found
            .map(|(name, (pair, _))| (name.clone(), pair.private.secret_der().to_vec()))
            .ok_or(INVALID)?;
        store.load(Some(name.clone()), der, &key).map_err(|_| FAILED)?;
        store.pending.remove(&name);
        Ok(())
    });
    taken.map_or_else(|_| invalid(), |_| http::plain(200, "OK\n"))
}

fn payload(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(http::hex(*high)? << 4 | http::hex(*low)?);
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>().filter(|_| rest.is_empty())
}

fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or_default();
    [&length.to_be_bytes()[..], &tag.to_be_bytes(), value].concat()
}

fn fields(mut rest: &[u8]) -> Option<Vec<(u16, &[u8])>> {
    let mut all = Vec::new();
    while !rest.is_empty() {
        let length = u16::from_be_bytes(*rest.first_chunk::<2>()?);
        let (field, after) = rest.split_at_checked(usize::from(length).max(4))?;
        all.push((u16::from_be_bytes([field[2], field[3]]), &field[4..]));
        rest = after;
    }
    Some(all)
}

fn name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let is_sound = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    (is_sound && !name.is_empty() && name.len() <= NAME_BYTES).then(|| name.to_owned())
}

/// UTF-16, big end first.
fn wide(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = units.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
    String::from_utf16(&units).ok().filter(|text| rest.is_empty() && !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_and_broken_ones_refused() {
        let bytes = payload("0x00060000616200080001000000ff").unwrap();
        assert_eq!(fields(&bytes), Some(vec![(0, &b"ab"[..]), (1, &[0, 0, 0, 0xff][..])]));
        for broken in ["0x0", "0xzz"] {
            assert_eq!(payload(broken), None, "{broken}");
        }
        for broken in [&[0_u8][..], &[0, 0, 0], &[0, 9, 0, 0, 1]] {
            assert_eq!(fields(broken), None, "{broken:?}");
        }
        assert_eq!(wide(&[0, b'a', 0, b'b']).as_deref(), Some("ab"));
        assert_eq!((wide(&[0]), wide(&[]), name(b"../x")), (None, None, None));
    }
}
