//! The UsernameToken of WS-Security (Username Token Profile 1.0), by which cameras knew their users before ONVIF made
//! Digest the rule.

use std::time::Instant;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use roxmltree::{Document, Node};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::core::Core;
use crate::digest::Login;
use crate::soap::{ENV, text};

const SECEXT: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const PASSWORD_DIGEST: &str =
    "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest";

/// The oldest token that is taken, by the camera's own clock as it tells it. One second more, since that clock is told
/// in whole seconds.
const WINDOW: Duration = Duration::seconds(6);

/// Judges the token in a message's header.
pub(crate) fn judge(core: &Core, document: &Document<'_>) -> Login {
    let header = document.root_element().children().find(|n| n.has_tag_name((ENV, "Header")));
    let token =
        header.and_then(|header| header.descendants().find(|n| n.has_tag_name((SECEXT, "UsernameToken"))));
    let Some(token) = token else { return Login::Absent };
    let Some((user, sent)) = Token::read(token) else { return Login::Refused };
    let now = core.told_time();
    core.change(|live| {
        if !live.guard.is_new(&sent.nonce, Instant::now()) {
            return Login::Refused;
        }
        live.guard.judge(&user, |password| {
            (now - sent.made).abs() <= WINDOW && sent.digest == sent.expected(password).as_ref()
        })
    })
}

struct Token {
    nonce: Vec<u8>,
    created: String,
    made: OffsetDateTime,
    digest: Vec<u8>,
}

impl Token {
    fn read(token: Node<'_, '_>) -> Option<(String, Token)> {
        let child =
            |namespace: &str, name: &str| token.children().find(|n| n.has_tag_name((namespace, name)));
        let password = child(SECEXT, "Password")?;
        if password.attribute("Type") != Some(PASSWORD_DIGEST) {
            return None;
        }
        let created = text(child(UTILITY, "Created")?);
        let made = OffsetDateTime::parse(&created, &Rfc3339).ok()?;
        let nonce = BASE64.decode(text(child(SECEXT, "Nonce")?)).ok()?;
        let digest = BASE64.decode(text(password)).ok()?;
        Some((text(child(SECEXT, "Username")?), Token { nonce, created, made, digest }))
    }

    /// Base64 aside: SHA-1 over nonce, created, password (section 3.1).
    fn expected(&self, password: &str) -> digest::Digest {
        let all = [&self.nonce, self.created.as_bytes(), password.as_bytes()].concat();
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &all)
    }
}
