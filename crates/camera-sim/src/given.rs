//! What a camera was given, read from the requests themselves: whether its dialect understood them does not matter, since a
//! thief would read them as well.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::header;
use hyper::http::request::Parts;

use crate::http::{find, percent_decoded};
use crate::keys::Pair;
use crate::x509;

/// How many whole requests so far held something that a thief would keep.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Given {
    /// An `Authorization` header with Basic: the password as it is.
    pub basic: u32,
    /// An answer to a Digest challenge.
    pub digest: u32,
    /// An `Authorization` header of another kind.
    pub other_authorization: u32,
    /// A UsernameToken of WS-Security.
    pub username_tokens: u32,
    /// The account's password as it is, in the address or the body: of a login form or a login in JSON.
    pub passwords: u32,
    /// A private key: PEM, DER, or with its certificate in PKCS#12.
    pub private_keys: u32,
    /// A certificate, likewise.
    pub certificates: u32,
}

impl Given {
    pub(crate) fn take_headers(&mut self, parts: &Parts) {
        for value in parts.headers.get_all(header::AUTHORIZATION) {
            let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
            let counter = match scheme.to_ascii_lowercase().as_slice() {
                b"basic" => &mut self.basic,
                b"digest" => &mut self.digest,
                _ => &mut self.other_authorization,
            };
            *counter += 1;
        }
    }

    pub(crate) fn take_contents(&mut self, password: &str, parts: &Parts, body: &[u8]) {
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let holds = |wanted: &[u8]| {
            !wanted.is_empty()
                && [target.as_bytes(), body]
                    .into_iter()
                    .any(|text| find(text, wanted).is_some() || find(&form_decoded(text), wanted).is_some())
        };
        self.passwords += u32::from(holds(password.as_bytes()));
        self.username_tokens += u32::from(holds(b"UsernameToken"));
        let found = Found::in_body(body);
        self.private_keys += u32::from(found.private_key);
        self.certificates += u32::from(found.certificate);
    }
}

#[derive(Default)]
struct Found {
    private_key: bool,
    certificate: bool,
}

impl Found {
    fn in_body(body: &[u8]) -> Found {
        let mut found = Found::default();
        found.look(body);
        // In XML and JSON, base64 of DER or of a whole file.
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
        for run in body.split(|byte| !is_base64(byte)).filter(|run| run.len() > 64) {
            found.look(&BASE64.decode(run).unwrap_or_default());
        }
        found
    }

    fn look(&mut self, bytes: &[u8]) {
        let text = form_decoded(bytes);
        let holds = |label: &[u8]| find(bytes, label).is_some() || find(&text, label).is_some();
        self.private_key |= holds(b"PRIVATE KEY-----") || Pair::from_der(bytes).is_some() || is_pkcs12(bytes);
        self.certificate |=
            holds(b"BEGIN CERTIFICATE-----") || x509::read(bytes).is_some() || is_pkcs12(bytes);
    }
}

/// A PFX of version 3 (RFC 7292): a sequence with a long length, and the number 3.
fn is_pkcs12(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x82, _, _, 2, 1, 3, ..] | [0x30, 0x80, 2, 1, 3, ..])
}

/// What a form makes of spaces and signs, made plain.
fn form_decoded(text: &[u8]) -> Vec<u8> {
    let spaces: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decoded(&spaces)
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn given(target: &str, authorization: &[&str], body: &[u8]) -> Given {
        let mut request = Request::post(target);
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut given = Given::default();
        given.take_headers(&parts);
        given.take_contents("open sesame", &parts, body);
        given
    }

    #[test]
    fn what_a_thief_would_keep_is_seen_in_whatever_form_it_comes() {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let json = |text: &str| serde_json::json!({ "a": text }).to_string().into_bytes();
        let xml = |der: &[u8]| format!("<a>{}</a>", BASE64.encode(der)).into_bytes();
        let escaped =
            |pem: String| pem.replace(' ', "%20").replace('+', "%2B").replace('\n', "%0A").into_bytes();
        for body in [
            key.serialize_der(),
            key.serialize_pem().into_bytes(),
            json(&key.serialize_pem()),
            json(&BASE64.encode(key.serialize_pem())),
            xml(&key.serialize_der()),
            escaped(key.serialize_pem()),
        ] {
            assert_eq!(given("/", &[], &body), Given { private_keys: 1, ..Given::default() });
        }
        for body in [
            certificate.der().to_vec(),
            certificate.pem().into_bytes(),
            json(&certificate.pem()),
            xml(certificate.der()),
            escaped(certificate.pem()),
        ] {
            assert_eq!(given("/", &[], &body), Given { certificates: 1, ..Given::default() });
        }
        for (target, body) in [
            ("/login?p=open%20sesame", &b""[..]),
            ("/", b"user=admin&password=open+sesame"),
            ("/", br#"{"password": "open sesame"}"#),
        ] {
            assert_eq!(given(target, &[], body), Given { passwords: 1, ..Given::default() });
        }
        let headers = ["Basic YTpi", "digest a=b", "Bearer x"];
        let all = Given { basic: 1, digest: 1, other_authorization: 1, ..Given::default() };
        assert_eq!(given("/", &headers, b""), all);
        let token = given("/", &[], b"<w:UsernameToken>");
        assert_eq!(token, Given { username_tokens: 1, ..Given::default() });
        assert_eq!(given("/a?b=c", &[], b"BEGIN CERTIFICATE REQUEST-----"), Given::default());
    }
}
