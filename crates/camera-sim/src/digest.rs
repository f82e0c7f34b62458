//! HTTP Digest as cameras do it: MD5 with qop=auth (RFC 2617 section 3), or SHA-256 in its place (RFC 7616).
//!
//! The nonces really expire, and a nonce count that does not grow is refused as a replay (section 3.2.2), so a
//! client that is careless with either is found out here and not in front of a real camera.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use md5::{Digest, Md5};

use crate::random;

/// How long a nonce lives.
const NONCE_LIFE: Duration = Duration::from_secs(60);
/// How many nonces are remembered; the oldest goes first, and is then stale.
const NONCES: usize = 256;
/// Wrong passwords before an account that locks is locked.
const LOCK_AFTER: u32 = 3;
/// Longest `Authorization` header looked at.
const HEADER_BYTES: usize = 4096;

/// What came of a request's credentials.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Login {
    /// The request carried none.
    Absent,
    /// Right user, right password, fresh nonce.
    Accepted,
    /// They were right, but the nonce is too old: the client should repeat with the new one (section 3.2.1).
    Stale,
    /// Anything else.
    Refused,
}

/// Guards the one account of a camera.
pub(crate) struct Guard {
    realm: &'static str,
    user: String,
    password: String,
    opaque: String,
    nonces: VecDeque<Nonce>,
    /// How many requests a nonce is good for.
    uses_per_nonce: u32,
    locks: bool,
    locked: bool,
    /// There is no account yet: whoever asks may do everything.
    pub(crate) open: bool,
    /// SHA-256 in place of MD5.
    pub(crate) sha256: bool,
    /// Requests with a wrong user or password.
    pub(crate) logins_refused: u32,
    /// Requests whose nonce count had been used.
    pub(crate) replays_refused: u32,
    /// Requests with Basic credentials.
    pub(crate) basic_credentials: u32,
}

struct Nonce {
    value: String,
    made: Instant,
    uses: u32,
    last_count: u32,
}

impl Guard {
    /// A guard for one account. `locks`: three wrong passwords shut it for ever.
    pub(crate) fn new(
        realm: &'static str,
        user: &str,
        password: &str,
        uses_per_nonce: u32,
        locks: bool,
    ) -> Self {
        Guard {
            realm,
            user: user.to_owned(),
            password: password.to_owned(),
            opaque: random::hex_token::<8>(),
            nonces: VecDeque::new(),
            uses_per_nonce,
            locks,
            locked: false,
            open: false,
            sha256: false,
            logins_refused: 0,
            replays_refused: 0,
            basic_credentials: 0,
        }
    }

    /// From now on this is the account.
    pub(crate) fn set_account(&mut self, user: String, password: String) {
        (self.user, self.password, self.open) = (user, password, false);
    }

    /// The user of the account, if there is one.
    pub(crate) fn user(&self) -> Option<&str> {
        (!self.open).then_some(self.user.as_str())
    }

    /// Whether the account is locked.
    pub(crate) fn locked(&self) -> bool {
        self.locked
    }

    /// A new challenge for the `WWW-Authenticate` header.
    pub(crate) fn challenge(&mut self, stale: bool, now: Instant) -> String {
        let value = random::hex_token::<16>();
        if self.nonces.len() >= NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(Nonce { value: value.clone(), made: now, uses: 0, last_count: 0 });
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            r#"Digest realm="{}", qop="auth", nonce="{value}", opaque="{}", algorithm={}{stale}"#,
            self.realm,
            self.opaque,
            self.algorithm()
        )
    }

    fn algorithm(&self) -> &'static str {
        if self.sha256 { "SHA-256" } else { "MD5" }
    }

    /// Whether a nonce that the client made is used for the first time, as far as is remembered.
    pub(crate) fn is_new(&mut self, nonce: &[u8], now: Instant) -> bool {
        let value = random::hex(nonce);
        if self.nonces.iter().any(|nonce| nonce.value == value) {
            self.replays_refused = self.replays_refused.saturating_add(1);
            return false;
        }
        if self.nonces.len() >= NONCES {
            self.nonces.pop_front();
        }
        self.nonces.push_back(Nonce { value, made: now, uses: 0, last_count: 0 });
        true
    }

    /// Judges a proof of the user, whatever it is. A locked account is asked nothing.
    pub(crate) fn judge(&mut self, user: &str, is_right: impl FnOnce(&str) -> bool) -> Login {
        if self.locked {
            return Login::Refused;
        }
        if user == self.user && is_right(&self.password) {
            return Login::Accepted;
        }
        self.logins_refused = self.logins_refused.saturating_add(1);
        self.locked = self.locks && self.logins_refused >= LOCK_AFTER;
        Login::Refused
    }

    /// Judges the `Authorization` header of a request for `target` (its path and query).
    pub(crate) fn check(&mut self, method: &str, target: &str, header: Option<&str>, now: Instant) -> Login {
        let Some(header) = header else { return Login::Absent };
        let Some((scheme, rest)) = header.split_once(' ') else { return Login::Refused };
        if scheme.eq_ignore_ascii_case("basic") {
            self.basic_credentials = self.basic_credentials.saturating_add(1);
            return Login::Refused;
        }
        if !scheme.eq_ignore_ascii_case("digest") || header.len() > HEADER_BYTES || self.locked {
            return Login::Refused;
        }
        let Some(answer) = Answer::parse(rest) else { return Login::Refused };
        if !answer.fits(self.realm, &self.opaque, target, self.algorithm()) {
            return Login::Refused;
        }
        let (realm, sha256) = (self.realm, self.sha256);
        let is_right = |password: &str| {
            answer.response.eq_ignore_ascii_case(&answer.expected(method, realm, password, sha256))
        };
        match self.judge(&answer.username, is_right) {
            Login::Accepted => self.spend(&answer.nonce, answer.count, now),
            refused => refused,
        }
    }

    /// Judges the `Authorization` header of a request that came over TLS, where the camera asks for Basic (RFC 7617).
    pub(crate) fn check_basic(&mut self, header: Option<&str>) -> Login {
        use base64::Engine as _;
        let Some(header) = header else { return Login::Absent };
        let Some(("Basic", pair)) = header.split_once(' ') else { return Login::Refused };
        let pair = base64::engine::general_purpose::STANDARD.decode(pair).unwrap_or_default();
        let pair = String::from_utf8(pair).unwrap_or_default();
        let (user, given) = pair.split_once(':').unwrap_or_default();
        self.judge(user, |password| given == password)
    }

    /// Judges a login with user and password as they are.
    #[cfg(feature = "makers")]
    pub(crate) fn check_plain(&mut self, user: &str, password: &str, in_tls: bool) -> bool {
        self.basic_credentials = self.basic_credentials.saturating_add(u32::from(!in_tls));
        self.judge(user, |known| password == known) == Login::Accepted
    }

    /// Uses a nonce once, if it may still be used.
    fn spend(&mut self, value: &str, count: u32, now: Instant) -> Login {
        let Some(nonce) = self.nonces.iter_mut().find(|nonce| nonce.value == value) else {
            return Login::Stale;
        };
        if count <= nonce.last_count {
            self.replays_refused = self.replays_refused.saturating_add(1);
            return Login::Refused;
        }
        if nonce.uses >= self.uses_per_nonce || now.saturating_duration_since(nonce.made) > NONCE_LIFE {
            return Login::Stale;
        }
        nonce.uses += 1;
        nonce.last_count = count;
        Login::Accepted
    }
}

/// The parameters of a digest answer (RFC 2617 section 3.2.2).
#[derive(Default)]
struct Answer {
    username: String,
    realm: String,
    nonce: String,
    uri: String,
    qop: String,
    count_text: String,
    count: u32,
    client_nonce: String,
    response: String,
    algorithm: Option<String>,
    opaque: Option<String>,
}

impl Answer {
    fn parse(text: &str) -> Option<Self> {
        let mut answer = Answer::default();
        for (name, value) in parameters(text)? {
            let field = match name.to_ascii_lowercase().as_str() {
                "username" => &mut answer.username,
                "realm" => &mut answer.realm,
                "nonce" => &mut answer.nonce,
                "uri" => &mut answer.uri,
                "qop" => &mut answer.qop,
                "nc" => &mut answer.count_text,
                "cnonce" => &mut answer.client_nonce,
                "response" => &mut answer.response,
                "algorithm" => answer.algorithm.insert(String::new()),
                "opaque" => answer.opaque.insert(String::new()),
                _ => continue,
            };
            *field = value;
        }
        // nc is exactly eight hexadecimal digits (nc-value = 8LHEX).
        if answer.count_text.len() != 8 || answer.client_nonce.is_empty() {
            return None;
        }
        answer.count = u32::from_str_radix(&answer.count_text, 16).ok()?;
        Some(answer)
    }

    /// Whether it answers our kind of challenge, for this very request.
    fn fits(&self, realm: &str, opaque: &str, target: &str, wanted: &str) -> bool {
        let algorithm = self.algorithm.as_deref().unwrap_or("MD5");
        self.realm == realm
            && self.opaque.as_deref() == Some(opaque)
            && self.qop.eq_ignore_ascii_case("auth")
            && algorithm.eq_ignore_ascii_case(wanted)
            && same_target(&self.uri, target)
    }

    /// The request-digest of section 3.2.2.1.
    fn expected(&self, method: &str, realm: &str, password: &str, sha256: bool) -> String {
        let hash = if sha256 { sha256_hex } else { md5_hex };
        let secret = hash(&format!("{}:{realm}:{password}", self.username));
        let request = hash(&format!("{method}:{}", self.uri));
        hash(&format!(
            "{secret}:{}:{}:{}:{}:{request}",
            self.nonce, self.count_text, self.client_nonce, self.qop
        ))
    }
}

/// The `uri` parameter must name the request's own target (section 3.2.2.5), in origin or absolute form.
fn same_target(uri: &str, target: &str) -> bool {
    if uri == target {
        return true;
    }
    let after_scheme = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://"));
    after_scheme.and_then(|rest| rest.find('/').map(|slash| &rest[slash..])) == Some(target)
}

/// Splits `name=value, name="quoted \" value"`; none if it is not of that form.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let value;
        (value, rest) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        found.push((name.trim().to_owned(), value));
        rest = rest.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(found)
}

/// Reads a quoted string whose opening quote is gone; gives its value and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn md5_hex(text: &str) -> String {
    random::hex(&Md5::digest(text.as_bytes()))
}

fn sha256_hex(text: &str) -> String {
    random::hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 2617 section 3.5.
    const EXAMPLE: &str = r#"username="Mufasa", realm="testrealm@host.com",
        nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001,
        cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",
        opaque="5ccc069c403ebaf9f0171e9517f40e41""#;

    #[test]
    fn rfc_2617_example() {
        let answer = Answer::parse(EXAMPLE).unwrap();
        assert_eq!(answer.expected("GET", "testrealm@host.com", "Circle Of Life", false), answer.response);
        assert!(answer.fits(
            "testrealm@host.com",
            "5ccc069c403ebaf9f0171e9517f40e41",
            "/dir/index.html",
            "MD5"
        ));
        assert!(!answer.fits("testrealm@host.com", "5ccc069c403ebaf9f0171e9517f40e41", "/other", "MD5"));
    }

    /// A client that answers a challenge as it should.
    fn answer(challenge: &str, password: &str, count: u32) -> String {
        let (_, text) = challenge.split_once(' ').unwrap();
        let given = parameters(text).unwrap();
        let get = |name: &str| given.iter().find(|(n, _)| n == name).unwrap().1.clone();
        let mut made = Answer {
            username: "admin".into(),
            nonce: get("nonce"),
            uri: "/x".into(),
            qop: "auth".into(),
            count_text: format!("{count:08x}"),
            client_nonce: "abc".into(),
            ..Answer::default()
        };
        made.response = made.expected("POST", &get("realm"), password, false);
        format!(
            r#"Digest username="admin", realm="{}", nonce="{}", uri="/x", qop=auth, nc={}, cnonce="abc", response="{}", opaque="{}""#,
            get("realm"),
            made.nonce,
            made.count_text,
            made.response,
            get("opaque")
        )
    }

    fn guard(uses: u32, locks: bool) -> Guard {
        Guard::new("Simulated camera", "admin", "secret", uses, locks)
    }

    #[test]
    fn a_count_must_grow() {
        let mut guard = guard(100, false);
        let now = Instant::now();
        let challenge = guard.challenge(false, now);
        let first = answer(&challenge, "secret", 1);
        assert_eq!(guard.check("POST", "/x", Some(&first), now), Login::Accepted);
        assert_eq!(guard.check("POST", "/x", Some(&first), now), Login::Refused);
        assert_eq!(guard.replays_refused, 1);
        assert_eq!(guard.logins_refused, 0);
        assert_eq!(guard.check("POST", "/x", Some(&answer(&challenge, "secret", 7)), now), Login::Accepted);
        assert_eq!(guard.check("POST", "/x", Some(&answer(&challenge, "secret", 6)), now), Login::Refused);
        assert_eq!(guard.check("GET", "/x", Some(&answer(&challenge, "secret", 8)), now), Login::Refused);
        assert_eq!(guard.check("POST", "/y", Some(&answer(&challenge, "secret", 8)), now), Login::Refused);
    }

    #[test]
    fn nonces_become_stale() {
        let mut guard = guard(3, false);
        let now = Instant::now();
        let challenge = guard.challenge(false, now);
        for count in 1..=3 {
            let header = answer(&challenge, "secret", count);
            assert_eq!(guard.check("POST", "/x", Some(&header), now), Login::Accepted);
        }
        let header = answer(&challenge, "secret", 4);
        assert_eq!(guard.check("POST", "/x", Some(&header), now), Login::Stale);
        let challenge = guard.challenge(true, now);
        assert!(challenge.contains("stale=true"));
        let later = now + NONCE_LIFE + Duration::from_secs(1);
        assert_eq!(guard.check("POST", "/x", Some(&answer(&challenge, "secret", 1)), later), Login::Stale);
        for _ in 0..NONCES {
            guard.challenge(false, now);
        }
        assert_eq!(guard.check("POST", "/x", Some(&answer(&challenge, "secret", 1)), now), Login::Stale);
    }

    #[test]
    fn wrong_passwords_lock_an_account_that_locks() {
        let mut guard = guard(100, true);
        let now = Instant::now();
        let challenge = guard.challenge(false, now);
        for count in 1..=3 {
            let header = answer(&challenge, "wrong", count);
            assert_eq!(guard.check("POST", "/x", Some(&header), now), Login::Refused);
        }
        assert!(guard.locked());
        let header = answer(&challenge, "secret", 4);
        assert_eq!(guard.check("POST", "/x", Some(&header), now), Login::Refused);
    }

    #[test]
    fn basic_and_nonsense_are_refused() {
        let mut guard = guard(100, false);
        let now = Instant::now();
        assert_eq!(guard.check("GET", "/", None, now), Login::Absent);
        assert_eq!(guard.check("GET", "/", Some("Basic YWRtaW46c2VjcmV0"), now), Login::Refused);
        assert_eq!(guard.basic_credentials, 1);
        for header in ["", "Digest", "Digest ", "Digest =", "Digest a=\"b", "Digest nc=zz", "Digest a=b\"c,,"]
        {
            assert_eq!(guard.check("GET", "/", Some(header), now), Login::Refused, "{header}");
        }
    }
}
