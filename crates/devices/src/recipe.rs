//! Drivers as data: cameras that have only web pages. What a recipe may say is in docs/recipes.md; how its file is read,
//! in `recipe_file`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::{AltName, is_invisible};
use hyper::{
    Method, StatusCode,
    body::Bytes,
    header::{LOCATION, SET_COOKIE},
};
use pki::pem;
use serde::{Deserialize, Deserializer, de};
use tokio::time::Instant;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::{
    Abilities, Before, Driver, Error, Package, RecipeMistake, digest,
    form::{self, File},
    http::{Answer, Place, Request},
    page,
    session::Session,
};

/// Most cookies that a device may set.
const COOKIES: usize = 16;
/// The longest of them, name and value, bytes.
const COOKIE_MAX: usize = 4096;
/// A device takes so many times longer to restart than its web server, for which the limit is.
const RESTARTS: u32 = 10;
/// From one try to the next while a device restarts.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// One recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recipe {
    pub(crate) name: Name,
    source: String,
    key_kinds: KeyKinds,
    serves_chain: bool,
    one_slot: bool,
    recognise: Recognise,
    login: Option<Login>,
    state: State,
    upload: Uploads,
    select: Option<Step>,
    restart: Option<Step>,
    switch: Switching,
}

/// What comes after `recipe:`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(pub(crate) String);

/// Path and query of a page.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Path(String);

/// The name of a form's field or of a file, as it stands between quotes in the head of a part.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Quotable(String);

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct KeyKinds(Vec<String>);

impl TryFrom<String> for Name {
    type Error = RecipeMistake;

    fn try_from(name: String) -> Result<Name, RecipeMistake> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = (1..=40).contains(&name.len()) && name.chars().all(fits);
        if is_name { Ok(Name(name)) } else { Err(RecipeMistake::RecipeName) }
    }
}

impl TryFrom<String> for Path {
    type Error = RecipeMistake;

    fn try_from(path: String) -> Result<Path, RecipeMistake> {
        // Two slashes begin a host, and a fragment is no part of a request.
        let is_path = path.starts_with('/') && !path.starts_with("//") && path.len() <= 1000;
        let is_sent = path.parse::<hyper::Uri>().is_ok() && !path.contains('#');
        if is_path && is_sent { Ok(Path(path)) } else { Err(RecipeMistake::RecipePath) }
    }
}

impl TryFrom<String> for Quotable {
    type Error = RecipeMistake;

    fn try_from(text: String) -> Result<Quotable, RecipeMistake> {
        let fits = |c: char| !is_invisible(c) && c != '"';
        let is_one = (1..=100).contains(&text.len()) && text.chars().all(fits);
        if is_one { Ok(Quotable(text)) } else { Err(RecipeMistake::RecipeField) }
    }
}

impl TryFrom<Vec<String>> for KeyKinds {
    type Error = RecipeMistake;

    fn try_from(kinds: Vec<String>) -> Result<KeyKinds, RecipeMistake> {
        let known = |kind: &String| ["rsa-2048", "rsa-3072", "p256"].contains(&kind.as_str());
        let are_known = !kinds.is_empty() && kinds.iter().all(known);
        if are_known { Ok(KeyKinds(kinds)) } else { Err(RecipeMistake::RecipeKeyKinds) }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Signs")]
struct Recognise {
    path: Path,
    server: Option<String>,
    realm: Option<String>,
    body: Option<String>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signs {
    path: Path,
    server: Option<String>,
    realm: Option<String>,
    body: Option<String>,
}

impl TryFrom<Signs> for Recognise {
    type Error = RecipeMistake;

    fn try_from(signs: Signs) -> Result<Recognise, RecipeMistake> {
        let Signs { path, server, realm, body } = signs;
        let given = [&server, &realm, &body].map(|sign| sign.as_ref().is_some_and(|s| !s.is_empty()));
        // What names nothing would take every device for this one.
        if !given.contains(&true) {
            return Err(RecipeMistake::RecipeSigns);
        }
        Ok(Recognise { path, server, realm, body })
    }
}

/// A form with user and password, whose answer brings a cookie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Login {
    path: Path,
    user: String,
    password: String,
    cookie: String,
    #[serde(default)]
    form: BTreeMap<String, String>,
    hidden: Option<Hidden>,
    done: Option<String>,
    refused: Option<Between>,
}

/// Inputs whose values a page gives out, for the form that is sent next.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hidden {
    page: Path,
    inputs: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    path: Path,
    https_port: Value,
    https_on: Switch,
    http_on: Switch,
}

/// Forms that take files, in this order.
#[derive(Clone, Debug)]
struct Uploads(Vec<Upload>);

impl<'de> Deserialize<'de> for Uploads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Uploads, D::Error> {
        struct Forms;
        impl<'de> de::Visitor<'de> for Forms {
            type Value = Vec<Upload>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("[upload] or [[upload]]")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Vec<Upload>, A::Error> {
                Upload::deserialize(de::value::MapAccessDeserializer::new(map)).map(|one| vec![one])
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Upload>, A::Error> {
                let mut forms = Vec::new();
                while let Some(form) = seq.next_element()? {
                    forms.push(form);
                }
                Ok(forms)
            }
        }
        let forms = deserializer.deserialize_any(Forms)?;
        let holds = |wanted: &[Content]| {
            forms.iter().flat_map(|form| &form.files).any(|file| wanted.contains(&file.content))
        };
        let is_whole = holds(&[Content::Pem, Content::Key])
            && holds(&[Content::Pem, Content::Certificate, Content::Chain]);
        if is_whole { Ok(Uploads(forms)) } else { Err(de::Error::custom(RecipeMistake::RecipeFiles)) }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "WrittenUpload")]
struct Upload {
    path: Path,
    files: Vec<Input>,
    form: BTreeMap<String, String>,
    hidden: Option<Hidden>,
    done: Option<String>,
    refused: Option<Between>,
}

/// As it is written: one PEM with everything, or files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUpload {
    path: Path,
    field: Option<Quotable>,
    file_name: Option<Quotable>,
    #[serde(default)]
    file: Vec<Input>,
    #[serde(default)]
    form: BTreeMap<String, String>,
    hidden: Option<Hidden>,
    done: Option<String>,
    refused: Option<Between>,
}

impl TryFrom<WrittenUpload> for Upload {
    type Error = RecipeMistake;

    fn try_from(written: WrittenUpload) -> Result<Upload, RecipeMistake> {
        let WrittenUpload { path, field, file_name, file, form, hidden, done, refused } = written;
        let files = match (field, file_name, file.is_empty()) {
            (Some(field), Some(file_name), true) => vec![Input { field, file_name, content: Content::Pem }],
            (None, None, false) => file,
            _ => return Err(RecipeMistake::RecipeUpload),
        };
        if !form.keys().all(|name| Quotable::try_from(name.clone()).is_ok()) {
            return Err(RecipeMistake::RecipeField);
        }
        Ok(Upload { path, files, form, hidden, done, refused })
    }
}

/// A file input of a form.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    field: Quotable,
    file_name: Quotable,
    content: Content,
}

/// What is in a file; all of it PEM.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Content {
    /// Key, certificate, issuers.
    Pem,
    Certificate,
    Key,
    /// Certificate, issuers.
    Chain,
}

/// One more request: a form, or without one a page that is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    path: Path,
    form: Option<BTreeMap<String, String>>,
    hidden: Option<Hidden>,
    done: Option<String>,
    refused: Option<Between>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Switching {
    path: Path,
    form: BTreeMap<String, String>,
    hidden: Option<Hidden>,
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
struct OfInput {
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
    Input(OfInput),
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
            key_kinds: self.key_kinds.0.clone(),
            serves_chain: self.serves_chain,
            one_slot: self.one_slot,
            restarts: self.restart.is_some(),
            source: self.source.clone(),
        }
    }

    /// The page to ask for recognition.
    pub(crate) fn recognised_by(&self) -> &str {
        &self.recognise.path.0
    }

    /// Whether that page's answer is this camera's.
    pub(crate) fn recognises(&self, answer: &Answer) -> bool {
        let Recognise { path: _, server, realm, body } = &self.recognise;
        server.as_ref().is_none_or(|s| answer.header(hyper::header::SERVER).starts_with(s.as_str()))
            && realm.as_ref().is_none_or(|r| digest::realms(&answer.headers).contains(r))
            && body.as_ref().is_none_or(|b| answer.text().contains(b.as_str()))
    }

    /// The length of the longest text that is taken from a page, for the fuzz target.
    pub(crate) fn read_page(&self, text: &str) -> usize {
        let State { path: _, https_port, https_on, http_on } = &self.state;
        let _ = (https_on.read(text), http_on.read(text));
        let hidden = self.login.iter().filter_map(|login| login.hidden.as_ref());
        let hidden = hidden.flat_map(|h| &h.inputs).filter_map(|input| page::value(text, input));
        let refused = self.switch.refused.as_ref().and_then(|r| page::between(text, &r.after, &r.until));
        let all = https_port
            .read(text)
            .into_iter()
            .chain(hidden)
            .chain(refused.map(|found| page::plain(found).to_string()));
        all.map(|found| found.len()).max().unwrap_or(0)
    }
}

impl Value {
    fn read(&self, page: &str) -> Option<String> {
        match self {
            Value::Input(OfInput { input }) => page::value(page, input),
            Value::Between(Between { after, until }) => {
                Some(page::plain(page::between(page, after, until)?).to_string())
            }
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
    recipe: Recipe,
    session: Session,
    /// What the device set, by name, while somebody is logged in by a form.
    cookies: BTreeMap<String, String>,
    /// The form was accepted, and nothing has ended that since.
    logged_in: bool,
    /// It was told to restart, and may be away until then; how it was before.
    restarting: Option<(Instant, Now)>,
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
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        self.session.expect(package.certificate);
        // Harmless, so that a challenge or a login is there before the key goes out.
        let now = self.state().await?;
        for upload in self.recipe.upload.0.clone() {
            self.upload(&upload, package, key).await?;
        }
        if let Some(select) = self.recipe.select.clone() {
            self.step(&select).await?;
        }
        if let Some(restart) = self.recipe.restart.clone() {
            match self.step(&restart).await {
                // It may be gone before its answer is out. What it serves afterwards tells.
                Ok(()) | Err(Error::ConnectionLost { .. }) => {}
                Err(e) => return Err(e),
            }
            let patience = self.session.http().limits.restart * RESTARTS;
            self.restarting = Some((Instant::now() + patience, now));
            self.forget_login();
        }
        Ok(())
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        let Some((end, was)) = self.restarting else { return self.switch_https_on().await };
        // It comes back as it was, and whoever waits for the new certificate sees when.
        if was.https_on {
            return Ok(was.https_port);
        }
        loop {
            match self.switch_https_on().await {
                Err(e) if e.is_of_connection() && Instant::now() < end => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
    }

    async fn roll_back(&mut self, _mark: &str, before: &Before) -> Result<(), Error> {
        let now = self.state().await?;
        if (now.https_on, now.http_on) != (before.https_on, before.http_on) {
            self.switch(Now { https_on: before.https_on, http_on: before.http_on, ..now }).await?;
        }
        Ok(())
    }

    /// What is uploaded overwrites what was there: nothing is left of it.
    async fn tidy(&mut self, _marks: &[String]) -> Result<(), Error> {
        Ok(())
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let now = self.state().await?;
        if now.http_on != on {
            self.switch(Now { http_on: on, ..now }).await?;
        }
        Ok(())
    }
}

impl RecipeDriver {
    pub(crate) fn new(recipe: Recipe, session: Session) -> RecipeDriver {
        RecipeDriver { recipe, session, cookies: BTreeMap::new(), logged_in: false, restarting: None }
    }

    fn place(&self, path: &Path) -> Place {
        self.session.http().place(&path.0)
    }

    /// In the name of the user, by whatever the recipe says.
    async fn send(&mut self, request: &Request) -> Result<Answer, Error> {
        if self.recipe.login.is_none() {
            return self.session.send(request).await;
        }
        self.log_in().await?;
        let answer = self.session.http().send(request, None).await?;
        match answer.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self.session.not_allowed(&request.operation))
            }
            _ => Ok(answer),
        }
    }

    /// Sends user and password, unless that was done. What is no clear success ends everything: a camera that counts
    /// wrong passwords is not asked again.
    async fn log_in(&mut self) -> Result<(), Error> {
        self.session.inside_tls()?;
        let Some(login) = self.recipe.login.clone().filter(|_| !self.logged_in) else { return Ok(()) };
        let mut fields = login.form.clone();
        if let Some(Hidden { page, inputs }) = &login.hidden {
            let request = Request::get(self.place(page));
            let answer = self.session.http().send(&request, None).await?;
            self.keep_cookies(&answer);
            fields.extend(given(&request, &answer, inputs)?);
        }
        let by = self.session.for_login()?;
        let own = [(login.user.as_str(), by.user.as_str()), (login.password.as_str(), by.password.as_str())];
        let body = encoded(fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).chain(own));
        let request = form_request(self.place(&login.path), body);
        let answer = self.session.http().send(&request, None).await?;
        self.keep_cookies(&answer);
        let text = said(&answer);
        let refused = login.refused.as_ref().and_then(|r| page::between(&text, &r.after, &r.until));
        if answer.status.is_server_error() {
            return Err(self.session.refuse(request.unexpected(&format!("HTTP {}", answer.status))));
        }
        let is_let_in = (answer.status.is_success() || answer.status.is_redirection())
            && refused.is_none()
            && login.done.as_ref().is_none_or(|done| text.contains(done.as_str()))
            && self.cookies.contains_key(&login.cookie);
        if !is_let_in {
            self.forget_login();
            return Err(self.session.wrong_password());
        }
        self.logged_in = true;
        Ok(())
    }

    /// Those that the device sets go back to it, and to nobody else: there is one host.
    fn keep_cookies(&mut self, answer: &Answer) {
        for header in answer.headers.get_all(SET_COOKIE) {
            let Some((name, value)) = header.to_str().ok().and_then(cookie) else { continue };
            if value.is_empty() {
                self.cookies.remove(name);
            } else if self.cookies.len() < COOKIES || self.cookies.contains_key(name) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let all: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.session.set_cookie(&all.join("; "));
    }

    fn forget_login(&mut self) {
        self.cookies.clear();
        self.session.set_cookie("");
        self.logged_in = false;
    }

    async fn state(&mut self) -> Result<Now, Error> {
        let request = Request::get(self.place(&self.recipe.state.path));
        let answer = self.send(&request).await?;
        judge(&request, &answer, None, None)?;
        let State { path: _, https_port, https_on, http_on } = &self.recipe.state;
        let text = answer.text();
        let port = https_port.read(&text).and_then(|port| port.trim().parse().ok()).filter(|p| *p != 0);
        match (https_on.read(&text), http_on.read(&text)) {
            (Some(https_on), Some(http_on)) => Ok(Now { https_on, https_port: port.unwrap_or(443), http_on }),
            _ => Err(request.unexpected("a page without the switches for HTTPS and HTTP")),
        }
    }

    /// What a page gives out for the form that comes next.
    async fn hidden(&mut self, hidden: Option<&Hidden>) -> Result<Vec<(String, String)>, Error> {
        let Some(Hidden { page, inputs }) = hidden else { return Ok(Vec::new()) };
        let request = Request::get(self.place(page));
        let answer = self.send(&request).await?;
        given(&request, &answer, inputs)
    }

    async fn upload(&mut self, upload: &Upload, package: &Package<'_>, key: &[u8]) -> Result<(), Error> {
        let mut fields: Vec<(String, String)> = upload.form.clone().into_iter().collect();
        fields.extend(self.hidden(upload.hidden.as_ref()).await?);
        let contents: Vec<_> =
            upload.files.iter().map(|input| written(input.content, package, key)).collect();
        let file = |(input, content)| {
            let Input { field, file_name, .. }: &Input = input;
            let content: &Zeroizing<String> = content;
            File { field: &field.0, name: &file_name.0, content_type: "application/x-pem-file", content }
        };
        let files: Vec<File<'_>> = upload.files.iter().zip(&contents).map(file).collect();
        let request = form::upload_all(self.place(&upload.path), &fields, &files)?;
        let answer = self.send(&request).await?;
        judge(&request, &answer, upload.done.as_deref(), upload.refused.as_ref())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        let hidden = self.hidden(step.hidden.as_ref()).await?;
        let request = match &step.form {
            None => Request::get(self.place(&step.path)),
            Some(form) => {
                let fields = form.iter().chain(hidden.iter().map(|(n, v)| (n, v)));
                form_request(self.place(&step.path), encoded(fields.map(|(n, v)| (n.as_str(), v.as_str()))))
            }
        };
        let answer = self.send(&request).await?;
        judge(&request, &answer, step.done.as_deref(), step.refused.as_ref())
    }

    async fn switch_https_on(&mut self) -> Result<u16, Error> {
        let now = self.state().await?;
        if !now.https_on {
            self.switch(Now { https_on: true, ..now }).await?;
        }
        Ok(now.https_port)
    }

    async fn switch(&mut self, to: Now) -> Result<(), Error> {
        let Switching { path, form, hidden, on, off, done, refused } = self.recipe.switch.clone();
        let word = |is_on: bool| if is_on { on.as_str() } else { off.as_str() };
        let put =
            |value: &String| value.replace("{https}", word(to.https_on)).replace("{http}", word(to.http_on));
        let mut fields: Vec<_> = form.iter().map(|(name, value)| (name.clone(), put(value))).collect();
        fields.extend(self.hidden(hidden.as_ref()).await?);
        let body = encoded(fields.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let request = form_request(self.place(&path), body);
        let answer = self.send(&request).await?;
        judge(&request, &answer, done.as_deref(), refused.as_ref())
    }
}

/// The values of inputs on a page.
fn given(request: &Request, answer: &Answer, inputs: &[String]) -> Result<Vec<(String, String)>, Error> {
    let text = answer.text();
    let value = |input: &String| {
        let value = page::value(&text, input);
        let value = value.ok_or_else(|| request.unexpected(&format!("a page without the input {input}")))?;
        Ok((input.clone(), value))
    };
    inputs.iter().map(value).collect()
}

/// The content of one file.
fn written(content: Content, package: &Package<'_>, key: &[u8]) -> Zeroizing<String> {
    let leaf = || pem::block("CERTIFICATE", package.certificate);
    match content {
        Content::Pem => Zeroizing::new(package.pem.to_owned()),
        Content::Certificate => leaf(),
        Content::Key => pem::block("PRIVATE KEY", key),
        Content::Chain => {
            let mut text = leaf();
            package.issuers.iter().for_each(|issuer| text.push_str(&pem::block("CERTIFICATE", issuer)));
            text
        }
    }
}

/// A form as a browser sends it. In one piece, since it may hold a password.
fn encoded<'a>(fields: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Zeroizing<String> {
    let length: usize = fields.clone().map(|(name, value)| (name.len() + value.len()) * 3 + 2).sum();
    let body = String::with_capacity(length);
    Zeroizing::new(form_urlencoded::Serializer::new(body).extend_pairs(fields).finish())
}

fn form_request(place: Place, body: Zeroizing<String>) -> Request {
    Request {
        operation: place.path.clone(),
        method: Method::POST,
        place,
        content_type: Some("application/x-www-form-urlencoded".to_owned()),
        body: Bytes::from_owner(Zeroizing::new(body.as_bytes().to_vec())),
        secret: false,
        patience: None,
    }
}

/// Name and value of a `Set-Cookie` header, if they can be sent back. RFC 6265, section 5.2; its attributes tell which
/// hosts and paths get it, and here there is one of each.
fn cookie(header: &str) -> Option<(&str, &str)> {
    let (name, value) = header.split(';').next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let fits = |c: char| c.is_ascii_graphic() && !matches!(c, ';' | ',');
    let is_whole = !name.is_empty() && name.len() + value.len() <= COOKIE_MAX;
    (is_whole && name.chars().chain(value.chars()).all(fits)).then_some((name, value))
}

/// What an answer says: its page; of a redirect, which is not followed, first the address that it leads to.
fn said(answer: &Answer) -> String {
    match answer.status.is_redirection() {
        true => format!("{}\n{}", answer.header(LOCATION), answer.text()),
        false => answer.text(),
    }
}

/// What a page says to a request: done, refused, or something that the recipe does not know.
fn judge(
    request: &Request,
    answer: &Answer,
    done: Option<&str>,
    refused: Option<&Between>,
) -> Result<(), Error> {
    let text = said(answer);
    if let Some(said) = refused.and_then(|r| page::between(&text, &r.after, &r.until)) {
        let answer = page::plain(said);
        return Err(Error::PageRefused { page: request.place.path.clone(), answer });
    }
    let is_told = done.is_some_and(|done| text.contains(done));
    let is_good = answer.status.is_success() || (answer.status.is_redirection() && is_told);
    if !is_good {
        return Err(request.unexpected(&format!("HTTP {}", answer.status)));
    }
    match done {
        Some(_) if !is_told => Err(request.unexpected(&page::plain(&text))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;
    use crate::fake::{Fake, answer as reply, challenge};

    fn pem_page() -> Recipe {
        toml::from_str(crate::recipe_file::SHIPPED[0]).unwrap()
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
    fn a_camera_is_recognised_by_all_that_is_named() {
        let mut recipe = pem_page();
        assert!(recipe.recognises(&answer(200, "PemCam/1.0", "")));
        assert!(!recipe.recognises(&answer(200, "nginx PemCam/1.0", "")));
        recipe.recognise.realm = Some("PemCam".into());
        recipe.recognise.body = Some("Welcome".into());
        assert!(!recipe.recognises(&answer(401, "PemCam/1.0", "")));
        assert!(recipe.recognises(&answer(401, "PemCam/1.0", "<h1>Welcome</h1>")));
    }

    #[test]
    fn an_answer_is_judged_by_its_text() {
        let place = Place { port: 80, path: "/settings/certificate".into() };
        let request = Request::get(place);
        let Upload { done, refused, .. } = pem_page().upload.0.remove(0);
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

    #[test]
    fn only_cookies_that_can_go_back_are_kept() {
        for (header, kept) in [
            ("S=1; Path=/; HttpOnly", Some(("S", "1"))),
            (" S = a=b ", Some(("S", "a=b"))),
            ("S=", Some(("S", ""))),
            ("S", None),
            ("=1", None),
            ("S=a b", None),
            ("S=a,b", None),
            ("; S=1", None),
        ] {
            assert_eq!(cookie(header), kept, "{header}");
        }
        assert_eq!(cookie(&format!("S={}", "x".repeat(COOKIE_MAX))), None);
    }

    #[test]
    fn a_redirect_is_judged_by_where_it_leads() {
        let mut answer = answer(302, "x", "");
        answer.headers.insert(LOCATION, "/home?ok".parse().unwrap());
        let request = Request::get(Place { port: 80, path: "/x".into() });
        assert_eq!(judge(&request, &answer, Some("/home"), None), Ok(()));
        assert!(judge(&request, &answer, Some("/other"), None).is_err());
        assert!(judge(&request, &answer, None, None).is_err());
        let refused = Between { after: "/home?".into(), until: "\n".into() };
        assert!(matches!(
            judge(&request, &answer, Some("/home"), Some(&refused)),
            Err(Error::PageRefused { .. })
        ));
    }

    fn with_login(more: &str) -> Recipe {
        let text = crate::recipe_file::SHIPPED[0].to_owned()
            + "\n[login]\npath = \"/in\"\nuser = \"u\"\npassword = \"p\"\ncookie = \"S\"\n"
            + more;
        toml::from_str(&text).unwrap()
    }

    const STATE: &str = "<input name=https_port value=8443><input type=checkbox name=https>\
                         <input type=checkbox name=http checked>";

    async fn noted(recipe: Recipe, login: &'static str) -> (Vec<Result<Before, Error>>, Vec<String>) {
        let (fake, pin) = Fake::start_tls(move |request| match request {
            r if r.starts_with("POST /in ") => login.to_owned(),
            r if r.contains("Cookie: S=1\r\n") => reply("200 OK", "", STATE),
            _ => reply("302 Found", "Location: /in\r\n", ""),
        })
        .await;
        let http = crate::http::Http::new(fake.endpoint(Some(pin)), crate::Limits::default()).unwrap();
        let mut driver = RecipeDriver::new(recipe, crate::fake::session(http));
        let noted = vec![driver.note().await, driver.note().await];
        (noted, fake.requests())
    }

    const LET_IN: &str = "HTTP/1.1 302 Found\r\nLocation: /home\r\nSet-Cookie: S=1; Path=/\r\n\r\n";

    #[tokio::test]
    async fn a_login_is_sent_once_and_its_cookie_goes_back() {
        let (noted, requests) = noted(with_login("done = \"/home\""), LET_IN).await;
        assert!(
            noted.iter().all(|n| n.as_ref().is_ok_and(|b| b.https_port == 8443 && b.http_on)),
            "{noted:?}"
        );
        assert_eq!(requests.len(), 3);
        assert!(requests[0].ends_with("u=admin&p=open+sesame"), "{}", requests[0]);
        assert!(requests[1..].iter().all(|r| !r.contains("sesame")));
    }

    #[tokio::test]
    async fn what_is_no_clear_success_ends_everything() {
        for (more, login) in [
            ("done = \"/welcome\"", LET_IN),
            ("refused = { after = \"/home\", until = \"\\n\" }", LET_IN),
            ("", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            ("", "HTTP/1.1 200 OK\r\nSet-Cookie: T=1\r\nContent-Length: 0\r\n\r\n"),
            ("", "HTTP/1.1 401 No\r\nSet-Cookie: S=1\r\nContent-Length: 0\r\n\r\n"),
            ("", "HTTP/1.1 500 Oh\r\nSet-Cookie: S=1\r\nContent-Length: 0\r\n\r\n"),
        ] {
            let (noted, requests) = noted(with_login(more), login).await;
            assert!(noted[0].is_err() && noted[0] == noted[1], "{login}: {noted:?}");
            assert_eq!(requests.len(), 1, "{login}");
        }
    }

    #[tokio::test]
    async fn a_login_that_others_could_read_is_not_sent() {
        let fake = Fake::start(|_| reply("200 OK", "", STATE)).await;
        let mut driver = RecipeDriver::new(with_login(""), fake.session());
        assert_eq!(driver.note().await, Err(Error::PasswordInClear { host: "127.0.0.1".into() }));
        assert!(fake.requests().is_empty());
    }

    #[tokio::test]
    async fn a_camera_that_restarts_is_asked_until_it_is_back() {
        let away = std::sync::atomic::AtomicI32::new(-1);
        let fake = Fake::start(move |request| {
            use std::sync::atomic::Ordering::SeqCst;
            match request {
                r if !r.contains("Authorization:") => challenge(r#"nonce="n""#),
                r if r.starts_with("GET /restart ") => {
                    away.store(2, SeqCst);
                    String::new()
                }
                _ if away.fetch_sub(1, SeqCst) > 0 => String::new(),
                r if r.starts_with("GET ") => reply("200 OK", "", STATE),
                _ => reply("200 OK", "", "<p class=\"done\">"),
            }
        })
        .await;
        let text = crate::recipe_file::SHIPPED[0].to_owned() + "\n[restart]\npath = \"/restart\"\n";
        let recipe: Recipe = toml::from_str(&text).unwrap();
        assert!(recipe.abilities().restarts);
        let mut driver = RecipeDriver::new(recipe, fake.session());
        let package = Package { certificate: b"c", issuers: &[], key: Some(b"k"), pem: "PEM" };
        driver.install("camlock-1", &package).await.unwrap();
        assert_eq!(driver.enable_https().await, Ok(8443));
        let requests = fake.requests();
        assert!(requests.last().unwrap().ends_with("http=on&https=on"), "{requests:?}");
    }
}
