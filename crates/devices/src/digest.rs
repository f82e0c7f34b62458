//! HTTP Digest authentication with MD5 or SHA-256 (RFC 7616; RFC 2617 for devices that send no `qop`): what cameras
//! speak, since ONVIF makes it the rule (Core specification, "Authentication over HTTP and HTTPS").
//!
//! The `-sess` kinds are refused rather than guessed. Basic (RFC 7617) shows the password: when it is answered,
//! `session` decides.

use aws_lc_rs::digest::{SHA256, digest};
use domain::{SignIn, Told};
use hyper::{
    HeaderMap,
    header::{HeaderValue, WWW_AUTHENTICATE},
};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use crate::{Credentials, Error, random::random, xsd};

/// A nonce of the server and how often it was used.
pub(crate) struct Digest {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    opaque: Option<Vec<u8>>,
    /// `qop=auth`; without it the response has the form of RFC 2069.
    qop: bool,
    algorithm: Algorithm,
    /// Some firmware fails over an `algorithm` that it did not send itself.
    algorithm_sent: bool,
    count: u32,
}

/// The hash of a challenge.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// As the `algorithm` of a challenge spells it, in whatever case.
    fn named(name: &[u8]) -> Option<Algorithm> {
        [Algorithm::Md5, Algorithm::Sha256]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.name().as_bytes()))
    }

    fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
        }
    }

    /// Over the parts with colons between them, in lower-case hexadecimal.
    fn hash(self, parts: &[&[u8]]) -> String {
        let whole = Zeroizing::new(parts.join(&b':'));
        match self {
            Algorithm::Md5 => hex(&Md5::digest(&*whole)),
            Algorithm::Sha256 => hex(digest(&SHA256, &whole).as_ref()),
        }
    }
}

impl Digest {
    /// The challenge to answer among those of a 401: the first that is spoken here, since the device has them in its
    /// order of preference (RFC 7616, section 3.7), and that is no weaker than `floor`; if all are weaker, the first of
    /// them. Or what was offered instead: `Basic`, `Digest SHA-512-256`.
    pub(crate) fn choose(headers: &HeaderMap, floor: Option<SignIn>) -> Result<Digest, String> {
        let all = challenges(headers);
        let mut spoken: Vec<Digest> = all.iter().filter_map(Challenge::digest).collect();
        if !spoken.is_empty() {
            let at = spoken.iter().position(|digest| Some(digest.sign_in()) >= floor);
            return Ok(spoken.swap_remove(at.unwrap_or_default()));
        }
        let mut offered: Vec<String> = all.iter().map(Challenge::described).collect();
        offered.dedup();
        Err(if offered.is_empty() { "none".to_owned() } else { offered.join(", ") })
    }

    /// How strong an answer to it is.
    pub(crate) fn sign_in(&self) -> SignIn {
        match self.algorithm {
            Algorithm::Md5 => SignIn::Digest,
            Algorithm::Sha256 => SignIn::DigestSha256,
        }
    }

    /// The challenge after a refused answer, if only the nonce was refused: the device says so (RFC 7616, section 3.3,
    /// `stale`), or it has accepted this user before. It brings another nonce, and is answered no weaker than this one.
    pub(crate) fn renewed(&self, headers: &HeaderMap, user_is_right: bool) -> Option<Digest> {
        challenges(headers)
            .iter()
            .filter(|c| user_is_right || c.get("stale").is_some_and(|s| s.eq_ignore_ascii_case(b"true")))
            .filter_map(Challenge::digest)
            .find(|digest| {
                digest.nonce != self.nonce && digest.algorithm == self.algorithm && digest.qop >= self.qop
            })
    }

    /// The Authorization header for one request; each call counts the nonce up. `None` if the user name
    /// cannot stand in a header.
    pub(crate) fn authorization(
        &mut self,
        by: &Credentials,
        method: &str,
        uri: &str,
    ) -> Result<Option<HeaderValue>, Error> {
        let cnonce = hex(&random::<16>()?);
        self.count = self.count.wrapping_add(1);
        let mut value = HeaderValue::from_bytes(&self.answer(by, method, uri, &cnonce)).ok();
        value.iter_mut().for_each(|value| value.set_sensitive(true));
        Ok(value)
    }

    fn answer(&self, by: &Credentials, method: &str, uri: &str, cnonce: &str) -> Vec<u8> {
        let count = format!("{:08x}", self.count);
        let hash = |parts: &[&[u8]]| self.algorithm.hash(parts);
        let secret = Zeroizing::new(hash(&[by.user.as_bytes(), &self.realm, by.password.as_bytes()]));
        let request = hash(&[method.as_bytes(), uri.as_bytes()]);
        let response = if self.qop {
            let (count, cnonce) = (count.as_bytes(), cnonce.as_bytes());
            hash(&[secret.as_bytes(), &self.nonce, count, cnonce, b"auth", request.as_bytes()])
        } else {
            hash(&[secret.as_bytes(), &self.nonce, request.as_bytes()])
        };
        let mut header = b"Digest username=".to_vec();
        quote(by.user.as_bytes(), &mut header);
        for (name, value) in [
            ("realm", Some(self.realm.as_slice())),
            ("nonce", Some(&self.nonce)),
            ("uri", Some(uri.as_bytes())),
            ("response", Some(response.as_bytes())),
            ("opaque", self.opaque.as_deref()),
        ] {
            if let Some(value) = value {
                header.extend_from_slice(format!(", {name}=").as_bytes());
                quote(value, &mut header);
            }
        }
        // Not quoted: RFC 7616, section 3.4, and firmware that compares the text.
        if self.algorithm_sent {
            header.extend_from_slice(format!(", algorithm={}", self.algorithm.name()).as_bytes());
        }
        if self.qop {
            header.extend_from_slice(format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\"").as_bytes());
        }
        header
    }
}

/// Whether Basic is among the challenges.
pub(crate) fn offers_basic(headers: &HeaderMap) -> bool {
    challenges(headers).iter().any(|c| c.scheme == "basic")
}

/// The Authorization header of Basic; `None` for a user name with a colon, which Basic cannot say.
pub(crate) fn basic(by: &Credentials) -> Option<HeaderValue> {
    if by.user.contains(':') {
        return None;
    }
    let pair = Zeroizing::new([by.user.as_bytes(), b":", by.password.as_bytes()].concat());
    let text = Zeroizing::new(["Basic ", &Zeroizing::new(xsd::to_base64(&*pair))].concat());
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The realms of all challenges, by which a recipe may recognise a device.
pub(crate) fn realms(headers: &HeaderMap) -> Vec<String> {
    let all = challenges(headers);
    all.iter().filter_map(|c| c.get("realm")).map(|r| String::from_utf8_lossy(r).into_owned()).collect()
}

/// One challenge of a WWW-Authenticate header (RFC 9110, section 11.3). Values are bytes, because the hash is
/// over what the device sent, in whatever encoding.
#[derive(Debug, Default, Eq, PartialEq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, Vec<u8>)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// `None` if it is not Digest, or a kind of it that is not spoken here.
    fn digest(&self) -> Option<Digest> {
        if self.scheme != "digest" {
            return None;
        }
        let sent = self.get("algorithm");
        let algorithm = sent.map_or(Some(Algorithm::Md5), Algorithm::named)?;
        let qop = match self.get("qop").map(|q| q.trim_ascii()) {
            None | Some(b"") => false,
            Some(list) => {
                let mut kinds = list.split(|b| *b == b',').map(|kind| kind.trim_ascii());
                if !kinds.any(|kind| kind.eq_ignore_ascii_case(b"auth")) {
                    return None;
                }
                true
            }
        };
        Some(Digest {
            realm: self.get("realm").unwrap_or_default().to_vec(),
            nonce: self.get("nonce")?.to_vec(),
            opaque: self.get("opaque").map(<[u8]>::to_vec),
            qop,
            algorithm,
            algorithm_sent: sent.is_some(),
            count: 0,
        })
    }

    fn described(&self) -> String {
        let name = match self.scheme.as_str() {
            "basic" => "Basic".to_owned(),
            "digest" => "Digest".to_owned(),
            other => other.chars().take(40).collect(),
        };
        match self.get("algorithm") {
            Some(algorithm) => format!("{name} {}", Told::new(&String::from_utf8_lossy(algorithm))),
            None => name,
        }
    }
}

/// All challenges: devices send several in one header, or several headers.
fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    const MAX: usize = 16;
    let values = headers.get_all(WWW_AUTHENTICATE).into_iter().take(MAX);
    values.flat_map(|value| parse(value.as_bytes())).take(MAX).collect()
}

fn parse(header: &[u8]) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = header;
    loop {
        rest = skip(rest, |b| b == b',' || b.is_ascii_whitespace());
        if rest.is_empty() {
            return found;
        }
        let word = take(&mut rest, |b| !matches!(b, b'=' | b',' | b'"') && !b.is_ascii_whitespace());
        let name = String::from_utf8_lossy(word).to_ascii_lowercase();
        let after = skip(rest, |b| b.is_ascii_whitespace());
        // A word before "=" is a parameter, every other word the scheme of the next challenge.
        match (after.strip_prefix(b"="), found.last_mut()) {
            (Some(value), Some(challenge)) => {
                rest = skip(value, |b| b.is_ascii_whitespace());
                let value = parameter_value(&mut rest);
                challenge.parameters.push((name, value));
            }
            // Neither: a stray quote or "=", stepped over so that the loop ends.
            _ if word.is_empty() => rest = &rest[1..],
            _ => found.push(Challenge { scheme: name, ..Challenge::default() }),
        }
    }
}

/// A token, or a quoted-string without its quotes and backslashes (RFC 9110, section 5.6.4).
fn parameter_value(rest: &mut &[u8]) -> Vec<u8> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        return take(rest, |b| b != b',' && !b.is_ascii_whitespace()).to_vec();
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => break,
            b'\\' => value.extend(bytes.next()),
            _ => value.push(*byte),
        }
    }
    *rest = bytes.as_slice();
    value
}

fn take<'a>(rest: &mut &'a [u8], wanted: impl Fn(u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
    let (word, after) = rest.split_at(end);
    *rest = after;
    word
}

fn skip(rest: &[u8], unwanted: impl Fn(u8) -> bool) -> &[u8] {
    let mut rest = rest;
    take(&mut rest, unwanted);
    rest
}

fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn mufasa(password: &str) -> Credentials {
        Credentials::new("Mufasa", Zeroizing::new(password.into()))
    }

    fn answer(challenge: &str, password: &str, uri: &str, cnonce: &str) -> String {
        let mut digest = Digest::choose(&headers(&[challenge]), None).unwrap_or_else(|e| panic!("{e}"));
        digest.count = 1;
        String::from_utf8(digest.answer(&mufasa(password), "GET", uri, cnonce)).unwrap()
    }

    #[test]
    fn the_examples_of_the_rfcs_come_out() {
        let rfc_2617 = answer(
            r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
            "Circle Of Life",
            "/dir/index.html",
            "0a4f113b",
        );
        assert_eq!(
            rfc_2617,
            r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41", qop=auth, nc=00000001, cnonce="0a4f113b""#
        );
        let rfc_7616 = answer(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=MD5, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
            "Circle of Life",
            "/dir/index.html",
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        );
        assert!(rfc_7616.contains(r#"response="8ca523f5e9506fed4657c9700eebdbec""#), "{rfc_7616}");
        assert!(rfc_7616.contains("algorithm=MD5,"));
        let sha_256 = answer(
            r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#,
            "Circle of Life",
            "/dir/index.html",
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        );
        let response = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
        assert!(sha_256.contains(&format!(r#"response="{response}""#)), "{sha_256}");
        assert!(sha_256.contains("algorithm=SHA-256,"));
    }

    #[test]
    fn without_qop_the_old_form_is_used() {
        // Computed with md5sum: MD5(MD5("Mufasa:r:p"):n:MD5("GET:/")).
        let legacy = answer(r#"Digest realm="r", nonce="n""#, "p", "/", "unused");
        assert!(!legacy.contains("cnonce") && !legacy.contains("qop"), "{legacy}");
        assert!(legacy.contains(r#"response="4690a072808bf394fe142a6587cadabe""#), "{legacy}");
    }

    #[test]
    fn several_challenges_are_told_apart() {
        let one_header = r#"Basic realm="a, \"b\"=c", Digest realm="cam",nonce=abc ,stale=TRUE, qop="auth""#;
        let all = parse(one_header.as_bytes());
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("realm").unwrap(), br#"a, "b"=c"#);
        assert_eq!(all[1].get("nonce").unwrap(), b"abc");
        assert_eq!(realms(&headers(&[one_header])), [r#"a, "b"=c"#, "cam"]);

        let two = headers(&[
            r#"Digest realm="cam", nonce="1", algorithm=SHA-256"#,
            r#"Digest realm="cam", nonce="2", algorithm=MD5"#,
        ]);
        assert_eq!(Digest::choose(&two, None).ok().unwrap().nonce, b"1");
    }

    #[test]
    fn what_is_not_spoken_is_named() {
        for (offers, named) in [
            (&[r#"Basic realm="x""#][..], "Basic"),
            (&[r#"Digest realm="x", nonce="n", algorithm=SHA-512-256"#], "Digest SHA-512-256"),
            (&[r#"Digest realm="x", nonce="n", algorithm=MD5-sess"#, "Basic"], "Digest MD5-sess, Basic"),
            (&[r#"Digest realm="x", nonce="n", qop="auth-int""#], "Digest"),
            (&[r#"Digest realm="no nonce""#], "Digest"),
            (&["Negotiate"], "negotiate"),
            (&[], "none"),
        ] {
            assert_eq!(Digest::choose(&headers(offers), None).err().as_deref(), Some(named));
        }
    }

    #[test]
    fn only_a_new_nonce_is_a_renewal() {
        let digest =
            Digest::choose(&headers(&[r#"Digest realm="x", nonce="1", qop="auth""#]), None).ok().unwrap();
        for (challenge, of_a_stranger, of_the_right_user) in [
            (r#"nonce="2", qop="auth", stale=true"#, true, true),
            (r#"nonce="1", qop="auth", stale=true"#, false, false),
            (r#"nonce="2", qop="auth", stale=false"#, false, true),
            (r#"nonce="2", qop="auth""#, false, true),
            // Weaker than before.
            (r#"nonce="2", stale=true"#, false, false),
            (r#"nonce="2", qop="auth", algorithm=SHA-256"#, false, false),
        ] {
            let headers = headers(&[&format!(r#"Digest realm="x", {challenge}"#)]);
            let renewed = [false, true].map(|is_right| digest.renewed(&headers, is_right).is_some());
            assert_eq!(renewed, [of_a_stranger, of_the_right_user], "{challenge}");
        }
    }

    #[test]
    fn the_count_goes_up_and_quotes_are_escaped() {
        let mut digest =
            Digest::choose(&headers(&[r#"Digest realm="a\"b", nonce="n", qop="auth""#]), None).ok().unwrap();
        let by = Credentials::new(r#"o"x\y"#, Zeroizing::new("p".into()));
        let first = digest.authorization(&by, "POST", "/x?y=1").unwrap().unwrap();
        assert!(first.is_sensitive());
        let text = String::from_utf8(first.as_bytes().to_vec()).unwrap();
        assert!(
            text.starts_with(r#"Digest username="o\"x\\y", realm="a\"b", nonce="n", uri="/x?y=1""#),
            "{text}"
        );
        assert!(text.contains("nc=00000001"));
        let second = digest.authorization(&by, "POST", "/x").unwrap().unwrap();
        assert!(String::from_utf8_lossy(second.as_bytes()).contains("nc=00000002"));
        let evil = Credentials::new("a\r\nX: y", Zeroizing::new("p".into()));
        assert!(digest.authorization(&evil, "GET", "/").unwrap().is_none());
    }

    #[test]
    fn no_header_makes_the_parser_stop() {
        let seed = br#"Digest realm="a\"b", nonce = "x" , qop="auth", Basic realm=, Negotiate abc==, ="","#;
        for cut in 0..=seed.len() {
            for byte in [b'"', b'=', b',', b'\\', b' ', 0xff] {
                let mut header = seed[..cut].to_vec();
                header.push(byte);
                header.extend_from_slice(&seed[cut..]);
                let all = parse(&header);
                assert!(all.len() <= header.len());
                all.iter().for_each(|c| drop((c.digest(), c.described())));
                parse(&header[..=cut]);
            }
        }
    }
}
