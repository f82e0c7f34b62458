//! The trust page's values as its template prints them.

use std::{fmt, net::IpAddr};

use askama::{FastWritable, Template, Values, filters::HtmlSafe};
use domain::AltName;
use qrcode::{Color, QrCode};
use serde_json::json;
use time::OffsetDateTime;
use words::Words;

use crate::{
    guides::{Guide, guide},
    page::{Reach, Root, Trust},
    proof::Prover,
    view::DateView,
    visitor::{System, Visitor},
};

/// The roots, and how they come onto the reader's system.
#[derive(Template)]
#[template(path = "trust.html")]
pub(crate) struct TrustView<'a> {
    words: &'a Words,
    site: &'a str,
    guide: &'static Guide,
    systems: Vec<SystemView>,
    /// The newest first.
    roots: Vec<RootView<'a>>,
    /// Whether everything is to move to the newest one, and does not yet.
    moving: bool,
    constrained: bool,
    throw_away: bool,
    /// Whether whoever sits in between could have changed this page.
    plain: bool,
    test: Test,
    /// Makes the address another one, so that the browser asks again, and comes back to the same place.
    again: i64,
    home: Option<String>,
    phone: Option<Picture>,
}

/// A system that can be chosen.
struct SystemView {
    slug: &'static str,
    name: String,
    chosen: bool,
}

struct RootView<'a> {
    /// What it is beside the others.
    role: &'static str,
    name: &'a str,
    not_after: DateView,
    fingerprint: Vec<String>,
    /// The name of its files without the ending.
    file: String,
}

/// The test that the browser makes by itself as the page is read.
pub(crate) enum Test {
    /// It reads this, if it trusts the root.
    Ready { origin: String },
    /// The reader's address is in no certificate; where the page is under those that are.
    Away { pages: Vec<String> },
    /// There is no certificate for it.
    Missing,
    /// There is no trust page over plain HTTP, and so no port for it.
    Nowhere,
    /// There is one, and not of the newest root.
    OldRoot,
}

impl<'a> TrustView<'a> {
    /// `plain`: over plain HTTP, or beside it on the same port.
    pub(crate) fn new(
        trust: &'a Trust,
        prover: Option<&Prover>,
        words: &'a Words,
        visitor: &Visitor,
        chosen: Option<System>,
        plain: bool,
        now: OffsetDateTime,
    ) -> TrustView<'a> {
        let alone = trust.next.is_none() && trust.old.is_empty();
        let system = chosen.or(visitor.system);
        let name =
            |system: System| words.say(&json!({"code": format!("trust-system-{}", system.slug())})).text;
        let port = if plain { Some(visitor.port.unwrap_or(80)) } else { trust.reach.http_port };
        TrustView {
            words,
            site: &trust.site,
            guide: guide(system),
            systems: System::ALL
                .into_iter()
                .map(|s| SystemView { slug: s.slug(), name: name(s), chosen: Some(s) == system })
                .collect(),
            roots: RootView::all(trust, alone, guide(system).names_files()),
            moving: trust.next.is_some(),
            constrained: trust.roots().all(|root| root.constrained),
            throw_away: trust.throw_away,
            plain,
            test: Test::new(prover, trust.newest(), visitor, port, plain),
            again: now.unix_timestamp(),
            home: home(&trust.reach, visitor),
            phone: phone(&trust.reach, visitor, port)
                .filter(|_| !matches!(system, Some(System::Phone | System::Android))),
        }
    }

    /// Where the test's file comes from: the one source beside the page's own.
    pub(crate) fn origin(&self) -> Option<&str> {
        match &self.test {
            Test::Ready { origin } => Some(origin),
            _ => None,
        }
    }

    /// A sentence, which may name the newest root and the file of it that is downloaded.
    fn say(&self, code: &str) -> Marked {
        let root = self.roots.first().map(|root| root.name);
        let file = self.roots.first().map(|root| format!("camlock-{}", self.main_file(root)));
        Marked(self.words.say(&json!({"code": code, "root": root, "file": file})).text)
    }

    /// What is downloaded of a root on the reader's system.
    fn main_file(&self, root: &RootView<'_>) -> String {
        format!("{}.{}", root.file, self.guide.kind)
    }

    fn command(&self, command: &str, file: impl AsRef<str>) -> String {
        command.replace("{file}", &format!("camlock-{}", file.as_ref()))
    }

    fn download(&self, root: &RootView<'_>) -> Marked {
        let file = format!("camlock-{}", self.main_file(root));
        Marked(self.words.say(&json!({"code": "trust-download", "file": file})).text)
    }

    /// The name and end of one of several roots.
    fn describe(&self, root: &RootView<'_>) -> Marked {
        let until = &root.not_after.long;
        Marked(self.words.say(&json!({"code": "trust-file-name", "root": root.name, "until": until})).text)
    }

    /// The files of another way: one of each root, or one for all.
    fn others_of(&self, file: &str) -> Vec<String> {
        if file.contains('.') {
            return vec![file.to_owned()];
        }
        self.roots.iter().map(|root| format!("{}.{file}", root.file)).collect()
    }
}

impl<'a> RootView<'a> {
    /// The newest first. `alone`: the only one; its files are then called `root` and no more, unless they are `named`.
    fn all(trust: &'a Trust, alone: bool, named: bool) -> Vec<RootView<'a>> {
        let role = |root: &Root| match &trust.next {
            _ if alone => "",
            Some(next) if next.sha256 == root.sha256 => "trust-role-new",
            Some(_) if trust.root.sha256 == root.sha256 => "trust-role-present",
            None if trust.root.sha256 == root.sha256 => "trust-role-new",
            _ => "trust-role-earlier",
        };
        let view = |root: &'a Root| RootView {
            role: role(root),
            name: root.name(),
            not_after: DateView::new(root.not_after),
            fingerprint: groups(&root.sha256),
            file: if alone && !named { "root".to_owned() } else { format!("root-{}", root.tag()) },
        };
        trust.roots().map(view).collect()
    }
}

fn groups(sha256: &str) -> Vec<String> {
    let digits: Vec<char> = sha256.to_uppercase().chars().collect();
    digits.chunks(4).map(String::from_iter).collect()
}

impl Test {
    fn new(prover: Option<&Prover>, root: &Root, visitor: &Visitor, port: Option<u16>, plain: bool) -> Test {
        let Some(port) = port else { return Test::Nowhere };
        let Some(prover) = prover else { return Test::Missing };
        if prover.root != root.sha256 {
            return Test::OldRoot;
        }
        // The certificate's own text, and not what the visitor sent. A content security policy cannot name an address
        // of IPv6: only the page's own, which its 'self' covers.
        let held = prover.names.iter().find(|name| visitor.host.as_ref() == Some(name));
        match held.filter(|name| plain || !matches!(name, AltName::Ip(IpAddr::V6(_)))) {
            Some(name) => Test::Ready { origin: format!("https://{}", authority(name, port)) },
            None => {
                let reachable = prover.names.iter().filter(|name| !is_loopback(name));
                Test::Away {
                    pages: reachable
                        .take(4)
                        .map(|n| format!("http://{}/trust", authority(n, port)))
                        .collect(),
                }
            }
        }
    }
}

fn is_loopback(name: &AltName) -> bool {
    matches!(name, AltName::Ip(ip) if ip.is_loopback())
}

fn authority(name: &AltName, port: u16) -> String {
    match name {
        AltName::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        name => format!("{}:{port}", name.plain()),
    }
}

/// The site's own page, at the reader's address if its certificate holds that.
fn home(reach: &Reach, visitor: &Visitor) -> Option<String> {
    let held = reach.names.iter().find(|name| visitor.host.as_ref() == Some(name));
    let name = held.or_else(|| reach.names.iter().find(|name| !is_loopback(name)))?;
    Some(format!("https://{}/", authority(name, reach.https_port)))
}

/// A QR code, as modules in a grid, and what it says.
struct Picture {
    /// Modules in a row, with the four of quiet around them.
    width: usize,
    path: String,
    url: String,
}

/// The page's address for a phone: one of numbers if there is one, since few phones ask the network for its names.
fn phone(reach: &Reach, visitor: &Visitor, port: Option<u16>) -> Option<Picture> {
    const QUIET: usize = 4;
    let is_v4 = |name: &&AltName| matches!(name, AltName::Ip(IpAddr::V4(_))) && !is_loopback(name);
    let held = reach.names.iter().find(|name| visitor.host.as_ref() == Some(name) && !is_loopback(name));
    let name = held.filter(is_v4).or_else(|| reach.names.iter().find(is_v4)).or(held)?;
    let url = format!("http://{}/", authority(name, port?));
    let code = QrCode::new(&url).ok()?;
    let width = code.width();
    let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
    let path =
        dark.map(|(at, _)| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET)).collect();
    Some(Picture { width: width + 2 * QUIET, path, url })
}

/// A sentence in which `*this*` stands out. All of it is text: only the emphasis becomes HTML.
struct Marked(String);

impl FastWritable for Marked {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn Values) -> askama::Result<()> {
        write!(dest, "{self}").map_err(askama::Error::from)
    }
}

impl HtmlSafe for Marked {}

impl fmt::Display for Marked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.0.split('*').collect();
        for (index, part) in parts.iter().enumerate() {
            let emphasised = index % 2 == 1 && index + 1 < parts.len();
            f.write_str(match (index, emphasised) {
                (_, true) => "<b>",
                (0, false) => "",
                _ if index % 2 == 0 => "</b>",
                // An asterisk without its second one.
                _ => "*",
            })?;
            for character in part.chars() {
                match character {
                    '&' => f.write_str("&amp;")?,
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    '"' => f.write_str("&quot;")?,
                    '\'' => f.write_str("&#39;")?,
                    other => fmt::Write::write_char(f, other)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emphasis_is_all_that_is_not_text() {
        for (text, html) in [
            ("Choose *OK* and *Next*.", "Choose <b>OK</b> and <b>Next</b>."),
            ("*All of it*", "<b>All of it</b>"),
            ("2 * 3", "2 * 3"),
            ("*a* b *c", "<b>a</b> b *c"),
            ("<i>&\"'", "&lt;i&gt;&amp;&quot;&#39;"),
            ("", ""),
        ] {
            assert_eq!(Marked(text.to_owned()).to_string(), html);
        }
    }
}
