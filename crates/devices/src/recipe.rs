//! Drivers as data: cameras that have only web pages. What a recipe may say is in recipes/README.md.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::AltName;
use hyper::{Method, body::Bytes};
use serde::Deserialize;
use url::form_urlencoded;

use crate::{
    Abilities, Before, Driver, Error, Package, digest,
    form::{self, File},
    http::{Answer, Place, Request},
    page,
    session::Session,
};

/// Every recipe that is part of the program.
const SHIPPED: [&str; 1] = [include_str!("../recipes/pem-page.toml")];

/// The recipes of the program.
pub(crate) fn shipped() -> impl Iterator<Item = Recipe> {
    // A test reads them all, so none is left out here.
    SHIPPED.iter().filter_map(|text| toml::from_str(text).ok())
}

/// One recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    source: String,
    key_kinds: Vec<String>,
    serves_chain: bool,
    one_slot: bool,
    recognise: Recognise,
    state: State,
    upload: Upload,
    switch: Switching,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recognise {
    path: String,
    server: Option<String>,
    realm: Option<String>,
    body: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    path: String,
    https_port: Value,
    https_on: Switch,
    http_on: Switch,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Upload {
    path: String,
    field: String,
    file_name: String,
    done: Option<String>,
    refused: Option<Between>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switching {
    path: String,
    form: BTreeMap<String, String>,
    on: String,
    off: String,
    done: Option<String>,
    refused: Option<Between>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Between {
    after: String,
    until: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    input: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Checkbox {
    checkbox: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Input(Input),
    Between(Between),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Switch {
    Checkbox(Checkbox),
    Text(Text),
}

impl Recipe {
    pub(crate) fn abilities(&self) -> Abilities {
        Abilities {
            makes_key: false,
            key_kinds: self.key_kinds.clone(),
            serves_chain: self.serves_chain,
            one_slot: self.one_slot,
            restarts: false,
            source: self.source.clone(),
        }
    }

    /// The page to ask for recognition.
    pub(crate) fn recognised_by(&self) -> &str {
        &self.recognise.path
    }

    /// Whether that page's answer is this camera's. A recipe that names nothing recognises nothing.
    pub(crate) fn recognises(&self, answer: &Answer) -> bool {
        let Recognise { path: _, server, realm, body } = &self.recognise;
        let named = server.is_some() || realm.is_some() || body.is_some();
        named
            && server.as_ref().is_none_or(|s| answer.header(hyper::header::SERVER).starts_with(s.as_str()))
            && realm.as_ref().is_none_or(|r| digest::realms(&answer.headers).contains(r))
            && body.as_ref().is_none_or(|b| answer.text().contains(b.as_str()))
    }
}

impl Value {
    fn read(&self, page: &str) -> Option<String> {
        match self {
            Value::Input(Input { input }) => page::value(page, input),
            Value::Between(Between { after, until }) => page::between(page, after, until).map(page::plain),
        }
    }
}

impl Switch {
    /// `None` if the page does not have the checkbox at all.
    fn read(&self, page: &str) -> Option<bool> {
        match self {
            Switch::Checkbox(Checkbox { checkbox }) => page::checked(page, checkbox),
            Switch::Text(Text { text }) => Some(page.contains(text.as_str())),
        }
    }
}

/// A camera, spoken to by a recipe.
pub(crate) struct RecipeDriver {
    pub(crate) recipe: Recipe,
    pub(crate) session: Session,
}

/// What the state page tells.
#[derive(Clone, Copy)]
struct Now {
    https_on: bool,
    https_port: u16,
    http_on: bool,
}

#[async_trait]
impl Driver for RecipeDriver {
    async fn note(&mut self) -> Result<Before, Error> {
        let Now { https_on, https_port, http_on } = self.state().await?;
        Ok(Before { https_on, https_port, http_on, ..Before::default() })
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, _mark: &str, package: &Package) -> Result<(), Error> {
        if package.key.is_none() {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        }
        self.session.http().expect(package.certificate);
        // Harmless, so that a challenge is there before the key goes out.
        self.state().await?;
        let Upload { path, field, file_name, done, refused } = self.recipe.upload.clone();
        let content_type = "application/x-pem-file";
        let file = File { field: &field, name: &file_name, content_type, content: package.pem };
        let request = form::upload(self.session.http().place(&path), &file)?;
        let answer = self.session.send(&request).await?;
        judge(&request, &answer, done.as_deref(), refused.as_ref())
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        let now = self.state().await?;
        if !now.https_on {
            self.switch(Now { https_on: true, ..now }).await?;
        }
        Ok(now.https_port)
    }

    async fn roll_back(&mut self, _mark: &str, before: &Before) -> Result<(), Error> {
        let now = self.state().await?;
        if (now.https_on, now.http_on) != (before.https_on, before.http_on) {
            self.switch(Now { https_on: before.https_on, http_on: before.http_on, ..now }).await?;
        }
        Ok(())
    }

    /// A form that takes one file has one slot: nothing is left of what was there before.
    async fn tidy(&mut self, _marks: &[String]) -> Result<(), Error> {
        Ok(())
    }

    async fn enable_http(&mut self) -> Result<(), Error> {
        let now = self.state().await?;
        if !now.http_on {
            self.switch(Now { http_on: true, ..now }).await?;
        }
        Ok(())
    }

    async fn disable_http(&mut self) -> Result<(), Error> {
        let now = self.state().await?;
        if now.http_on {
            self.switch(Now { http_on: false, ..now }).await?;
        }
        Ok(())
    }
}

impl RecipeDriver {
    fn place(&self, path: &str) -> Place {
        self.session.http().place(path)
    }

    async fn state(&mut self) -> Result<Now, Error> {
        let request = Request::get(self.place(&self.recipe.state.path));
        let answer = self.session.send(&request).await?;
        judge(&request, &answer, None, None)?;
        let State { path: _, https_port, https_on, http_on } = &self.recipe.state;
        let text = answer.text();
        let port = https_port.read(&text).and_then(|port| port.trim().parse().ok()).filter(|p| *p != 0);
        match (https_on.read(&text), http_on.read(&text)) {
            (Some(https_on), Some(http_on)) => Ok(Now { https_on, https_port: port.unwrap_or(443), http_on }),
            _ => Err(request.unexpected("a page without the switches for HTTPS and HTTP")),
        }
    }

    async fn switch(&mut self, to: Now) -> Result<(), Error> {
        let Switching { path, form, on, off, done, refused } = self.recipe.switch.clone();
        let word = |is_on: bool| if is_on { on.as_str() } else { off.as_str() };
        let fields = form.iter().map(|(name, value)| {
            let value = value.replace("{https}", word(to.https_on)).replace("{http}", word(to.http_on));
            (name, value)
        });
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request {
            operation: path.clone(),
            method: Method::POST,
            place: self.place(&path),
            content_type: Some("application/x-www-form-urlencoded".to_owned()),
            body: Bytes::from(body),
            secret: false,
        };
        let answer = self.session.send(&request).await?;
        judge(&request, &answer, done.as_deref(), refused.as_ref())
    }
}

/// What a page says to a request: done, refused, or something that the recipe does not know.
fn judge(
    request: &Request,
    answer: &Answer,
    done: Option<&str>,
    refused: Option<&Between>,
) -> Result<(), Error> {
    let text = answer.text();
    if let Some(said) = refused.and_then(|r| page::between(&text, &r.after, &r.until)) {
        let answer = page::plain(said);
        return Err(Error::PageRefused { page: request.place.path.clone(), answer });
    }
    if !answer.status.is_success() {
        return Err(request.unexpected(&format!("HTTP {}", answer.status)));
    }
    match done {
        Some(done) if !text.contains(done) => Err(request.unexpected(&page::plain(&text))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;

    fn pem_page() -> Recipe {
        toml::from_str(SHIPPED[0]).unwrap()
    }

    fn answer(status: u16, server: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(hyper::header::SERVER, server.parse().unwrap());
        let challenge = r#"Digest realm="PemCam", nonce="1""#;
        headers.insert(hyper::header::WWW_AUTHENTICATE, challenge.parse().unwrap());
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn every_shipped_recipe_is_read() {
        assert_eq!(shipped().count(), SHIPPED.len());
        assert!(shipped().all(|r| [&r.state.path, &r.upload.path].iter().all(|p| p.starts_with('/'))));
        assert!(pem_page().abilities().one_slot);
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        for (from, to) in [
            ("one_slot = true", "one_slot = true\nreboot = true"),
            ("{ checkbox = \"https\" }", "{ checkbox = \"https\", value = \"x\" }"),
            ("{ input = \"https_port\" }", "{ after = \"x\" }"),
            ("path = \"/\"", ""),
        ] {
            let changed = SHIPPED[0].replacen(from, to, 1);
            assert_ne!(changed, SHIPPED[0]);
            assert!(toml::from_str::<Recipe>(&changed).is_err(), "{to}");
        }
    }

    #[test]
    fn a_camera_is_recognised_by_all_that_is_named() {
        let mut recipe = pem_page();
        assert!(recipe.recognises(&answer(200, "PemCam/1.0", "")));
        assert!(!recipe.recognises(&answer(200, "nginx PemCam/1.0", "")));
        recipe.recognise.realm = Some("PemCam".into());
        recipe.recognise.body = Some("Welcome".into());
        assert!(!recipe.recognises(&answer(401, "PemCam/1.0", "")));
        assert!(recipe.recognises(&answer(401, "PemCam/1.0", "<h1>Welcome</h1>")));
        recipe.recognise = Recognise { path: "/".into(), server: None, realm: None, body: None };
        assert!(!recipe.recognises(&answer(200, "PemCam/1.0", "")));
    }

    #[test]
    fn an_answer_is_judged_by_its_text() {
        let place = Place { port: 80, path: "/settings/certificate".into() };
        let request = Request::get(place);
        let Upload { done, refused, .. } = pem_page().upload;
        let judge =
            |status, body| judge(&request, &answer(status, "x", body), done.as_deref(), refused.as_ref());
        assert_eq!(judge(200, "<p class=\"done\">Saved</p>"), Ok(()));
        assert_eq!(
            judge(200, "<p class=\"error\">No <b>key</b>\n in it</p>"),
            Err(Error::PageRefused { page: "/settings/certificate".into(), answer: "No key in it".into() })
        );
        for (status, body) in [(200, "<html>Login</html>"), (500, "<p class=\"done\">"), (302, "")] {
            assert!(matches!(judge(status, body), Err(Error::UnexpectedAnswer { .. })), "{status} {body}");
        }
    }
}
