//! What brings a root onto a computer: the certificate itself, and files that install it.

use std::fmt::Write;

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::page::{Root, Trust};

pub(crate) const FIREFOX_POLICIES: &str = "firefox-policies.json";
const CHROME_POLICY: &str = "chrome-policy.json";

/// A file to be kept.
pub(crate) struct Download {
    pub(crate) content_type: &'static str,
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
}

/// Whether a name below `/` is of the kind that [`by_name`] knows.
pub(crate) fn may_be(path: &str) -> bool {
    path.starts_with("root") || matches!(path, FIREFOX_POLICIES | CHROME_POLICY)
}

/// By its name below `/`: `root` is the root in use, `root-<tag>` each, and `roots` all.
pub(crate) fn by_name(trust: &Trust, path: &str) -> Option<Download> {
    const PEM: &str = "application/x-pem-file";
    let (name, kind) = path.rsplit_once('.')?;
    let (content_type, body) = match path {
        "roots.pem" => (PEM, trust.roots().map(|root| root.pem.as_str()).collect::<String>().into_bytes()),
        FIREFOX_POLICIES => ("application/json", firefox_policies(trust)),
        CHROME_POLICY => ("application/json", chrome_policy(trust)),
        _ => {
            let root = match name {
                "root" => &trust.root,
                _ => trust.roots().find(|root| name.strip_prefix("root-") == Some(root.tag()))?,
            };
            let (tag, sha256, der) = (root.tag(), root.sha256.as_str(), lines(&root.der));
            match kind {
                "crt" => ("application/x-x509-ca-cert", root.der.clone()),
                "pem" => (PEM, root.pem.clone().into_bytes()),
                "mobileconfig" => ("application/x-apple-aspen-config", rendered(&profile(root))),
                "ps1" => ("text/plain; charset=utf-8", rendered(&PowerShell { sha256, der })),
                "sh" => ("application/x-sh", rendered(&Shell { tag, sha256, der })),
                _ => return None,
            }
        }
    };
    Some(Download { content_type, name: format!("camlock-{path}"), body })
}

/// `Certificates` of Mozilla's policy templates: the files are looked for in Firefox's own folders for certificates,
/// and on Windows and macOS those that the system trusts are taken over.
fn firefox_policies(trust: &Trust) -> Vec<u8> {
    let files: Vec<_> = trust.roots().map(|root| format!("camlock-root-{}.crt", root.tag())).collect();
    pretty(&json!({"policies": {"Certificates": {"ImportEnterpriseRoots": true, "Install": files}}}))
}

/// `CACertificates` of Chrome, Chromium and Edge: DER in base64. What the root may speak for, it says itself.
fn chrome_policy(trust: &Trust) -> Vec<u8> {
    let roots: Vec<_> = trust.roots().map(|root| STANDARD.encode(&root.der)).collect();
    pretty(&json!({"CACertificates": roots}))
}

fn pretty(value: &serde_json::Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

/// A configuration profile of Apple's (`com.apple.security.root`). Its identifiers follow from the root, so that a second
/// installation takes the place of the first.
fn profile(root: &Root) -> Profile<'_> {
    let (profile, payload) = root.sha256.split_at_checked(32).unwrap_or_default();
    Profile {
        name: root.name(),
        tag: root.tag(),
        der: lines(&root.der),
        profile_uuid: uuid(profile),
        payload_uuid: uuid(payload),
    }
}

#[derive(Template)]
#[template(path = "downloads/root.mobileconfig", escape = "html")]
struct Profile<'a> {
    name: &'a str,
    tag: &'a str,
    der: String,
    profile_uuid: String,
    payload_uuid: String,
}

// What is printed into the scripts is hexadecimal and base64: nothing that a shell could read as more than a word.
#[derive(Template)]
#[template(path = "downloads/root.ps1", escape = "none")]
struct PowerShell<'a> {
    sha256: &'a str,
    der: String,
}

#[derive(Template)]
#[template(path = "downloads/root.sh", escape = "none")]
struct Shell<'a> {
    tag: &'a str,
    sha256: &'a str,
    der: String,
}

fn rendered(template: &impl Template) -> Vec<u8> {
    // Rendering into memory fails only if a value's own `Display` does, and these are strings.
    template.render().unwrap_or_default().into_bytes()
}

/// Base64 in lines of 64.
fn lines(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut lines = String::new();
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            lines.push('\n');
        }
        lines.push(character);
    }
    lines
}

/// 32 hexadecimal digits as a UUID whose meaning is its maker's own (RFC 9562, version 8).
fn uuid(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        let digit = match index {
            12 => '8',
            16 => '9',
            _ => digit.to_ascii_uppercase(),
        };
        let _ = text.write_char(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_well_formed() {
        assert_eq!(uuid("0123456789abcdef0123456789abcdef"), "01234567-89AB-8DEF-9123-456789ABCDEF");
    }
}
