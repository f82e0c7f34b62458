//! Which dialect a device speaks, asked without credentials; and, once it was decided who it is, the way in.
//!
//! ```text
//! recognise -> Recognised -> Admission::decide -> enter -> Found -> connect
//! ```
//!
//! ONVIF first: its three questions are open to everyone by the standard (access class PRE_AUTH of the Core
//! specification). A device with ONVIF's Security service is spoken to by that. Then the makers' own dialects; then
//! ONVIF's old device service; last the recipes, by what the start page shows.

use std::{collections::BTreeMap, fmt, ops::Deref};

use domain::Clock;
use hyper::header::{LOCATION, SERVER};
use pki::package::Protection;
use time::Duration;
use url::Url;

use crate::{
    Abilities, Admission, Credentials, Driver, Endpoint, Error, Limits,
    http::{Answer, Http, Place, Request},
    makers::{self, Maker},
    onvif::{self, DEVICE_PATH, Onvif},
    onvif_device::OnvifDevice,
    onvif_security::{KeyOrigin, OnvifSecurity},
    recipe::{Recipe, RecipeDriver},
    recipe_file::Recipes,
    session::Session,
    soap::{self, Element, Said, Service},
};

const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";
const TAS: &str = "http://www.onvif.org/ver10/advancedsecurity/wsdl";

/// What can be known of a device without credentials.
pub async fn recognise(
    endpoint: &Endpoint,
    limits: &Limits,
    recipes: &Recipes,
    clock: &Clock,
) -> Result<Recognised, Error> {
    let clock = clock.clone();
    let http = Http::new(endpoint.clone(), *limits)?;
    let answers = ask_onvif(&http).await?;
    let wants_login = answers.wants_login && !matches!(answers.services, Said::Response(_));
    let is_onvif = answers.is_onvif();
    match spoken(&http, recipes, &clock, answers).await {
        Ok(spoken) => {
            Ok(Recognised { http, clock, wants_login: wants_login && is_onvif, spoken: Ok(spoken) })
        }
        // Some devices want a login even for these questions.
        Err(not_a_camera @ Error::NotACamera { .. }) if wants_login => {
            Ok(Recognised { http, clock, wants_login, spoken: Err(not_a_camera) })
        }
        Err(e) => Err(e),
    }
}

async fn spoken(http: &Http, recipes: &Recipes, clock: &Clock, answers: Answers) -> Result<Spoken, Error> {
    if answers.is_onvif() {
        return onvif(http, clock, answers).await;
    }
    if let Some((maker, abilities)) = makers::recognise(http).await? {
        return Ok(Spoken::of(maker, abilities, None));
    }
    let (recipe, abilities) = find_recipe(http, recipes).await?;
    let driver = format!("recipe:{}", recipe.name.0);
    Ok(Spoken { dialect: Dialect::Recipe(Box::new(recipe)), driver, abilities, clock_offset: None })
}

/// Who answers, as far as it can be known without credentials.
pub struct Recognised {
    http: Http,
    clock: Clock,
    /// It answers some of the open questions to its users only.
    wants_login: bool,
    /// What it speaks; [`Error::NotACamera`] if it tells nothing to strangers.
    spoken: Result<Spoken, Error>,
}

impl Recognised {
    /// What it speaks, as far as it tells a stranger; [`Error::NotACamera`] if it tells nothing.
    pub fn spoken(&self) -> Result<&Spoken, Error> {
        self.spoken.as_ref().map_err(Error::clone)
    }

    /// Goes on in the name of a user. The credentials are used here only if the device answers the open questions with a
    /// challenge; a refused password ends it, here as everywhere.
    pub async fn enter(
        self,
        admission: &Admission,
        recipes: &Recipes,
        credentials: Credentials,
    ) -> Result<Found, Error> {
        let Recognised { http, clock, wants_login, spoken } = self;
        let mut session = Session::new(http.clone(), clock.clone(), admission.clone(), credentials)?;
        let spoken = if wants_login {
            // A key that the camera can make itself must not come from outside because of a missing login.
            let mut answers = ask_onvif(&http).await?;
            answers.ask_again(&mut session).await?;
            match spoken {
                Err(not_a_camera) if !answers.is_onvif() => return Err(not_a_camera),
                _ => self::spoken(&http, recipes, &clock, answers).await?,
            }
        } else {
            spoken?
        };
        admission.fits(&spoken.driver, &spoken.abilities)?;
        Ok(Found { session, spoken })
    }
}

/// A device whose dialect is known, and a user of it.
pub struct Found {
    session: Session,
    spoken: Spoken,
}

/// A dialect, and what can be done in it.
pub struct Spoken {
    dialect: Dialect,
    driver: String,
    abilities: Abilities,
    clock_offset: Option<Duration>,
}

enum Dialect {
    Security { device: Place, security: Place, origin: KeyOrigin },
    Device { device: Place },
    Maker(&'static Maker),
    Recipe(Box<Recipe>),
}

impl Spoken {
    fn of(maker: &'static Maker, abilities: Abilities, clock_offset: Option<Duration>) -> Spoken {
        Spoken { dialect: Dialect::Maker(maker), driver: maker.name.to_owned(), abilities, clock_offset }
    }

    /// `onvif-security`, `onvif-device`, a maker's name, or `recipe:` and its name.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// What the driver can do with this device.
    pub fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    /// The device's clock minus ours; `None` if it does not tell. Some devices tell their local time as UTC.
    pub fn clock_offset(&self) -> Option<Duration> {
        self.clock_offset
    }
}

impl Deref for Found {
    type Target = Spoken;

    fn deref(&self) -> &Spoken {
        &self.spoken
    }
}

impl Found {
    /// The driver. Sends nothing yet.
    pub fn connect(self) -> Box<dyn Driver> {
        let Found { session, spoken: Spoken { dialect, abilities, clock_offset, .. } } = self;
        match dialect {
            Dialect::Security { device, security, origin } => {
                let key_kind = abilities.key_kinds.into_iter().next().unwrap_or_default();
                Box::new(OnvifSecurity {
                    onvif: Onvif::new(session, device, Some(security), clock_offset),
                    key_kind,
                    origin,
                })
            }
            Dialect::Device { device } => {
                Box::new(OnvifDevice { onvif: Onvif::new(session, device, None, clock_offset) })
            }
            Dialect::Maker(maker) => (maker.connect)(session),
            Dialect::Recipe(recipe) => Box::new(RecipeDriver::new(*recipe, session)),
        }
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spoken.fmt(f)
    }
}

impl fmt::Debug for Recognised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spoken.fmt(f)
    }
}

impl fmt::Debug for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spoken")
            .field("driver", &self.driver)
            .field("abilities", &self.abilities)
            .field("clock_offset", &self.clock_offset)
            .finish_non_exhaustive()
    }
}

/// What a device says to ONVIF's open questions.
struct Answers {
    device: Place,
    time: Said,
    services: Said,
    /// One of the answers was a challenge.
    wants_login: bool,
}

impl Answers {
    /// A fault is ONVIF too.
    fn is_onvif(&self) -> bool {
        !matches!((&self.time, &self.services), (Said::NotSoap, Said::NotSoap))
    }

    /// The same questions in the name of the user.
    async fn ask_again(&mut self, session: &mut Session) -> Result<(), Error> {
        let mut ask = async |operation: &str, arguments: &str| {
            let answer =
                session.send(&soap::request(&self.device, Service::Device, operation, arguments)).await?;
            soap::read(&answer, Service::Device, operation)
        };
        self.services = ask("GetServices", ALL_SERVICES).await?;
        if !matches!(self.services, Said::Response(_)) {
            self.services = ask("GetCapabilities", ALL_CAPABILITIES).await?;
        }
        if !matches!(self.time, Said::Response(_)) {
            self.time = ask("GetSystemDateAndTime", "").await?;
        }
        Ok(())
    }
}

const ALL_SERVICES: &str = "<tds:IncludeCapability>true</tds:IncludeCapability>";
const ALL_CAPABILITIES: &str = "<tds:Category>All</tds:Category>";

async fn ask_onvif(http: &Http) -> Result<Answers, Error> {
    let device = http.place(DEVICE_PATH);
    let mut wants_login = false;
    let mut ask = async |operation: &str, arguments: &str| {
        let answer = http.send(&soap::request(&device, Service::Device, operation, arguments), None).await?;
        wants_login |= answer.status == 401;
        soap::read(&answer, Service::Device, operation)
    };
    let time = match ask("GetSystemDateAndTime", "").await {
        Err(e) if e.is_of_question() => None,
        other => Some(other?),
    };
    let mut services = match ask("GetServices", ALL_SERVICES).await {
        Err(e) if e.is_of_question() => None,
        other => Some(other?),
    };
    if !matches!(services, Some(Said::Response(_))) {
        // Before ONVIF 2.1 there was no GetServices.
        services = match ask("GetCapabilities", ALL_CAPABILITIES).await {
            // What is not known of a device that speaks ONVIF is not guessed: it may be able to make its own key.
            Err(e)
                if e.is_of_question() && matches!(time, None | Some(Said::NotSoap)) && services.is_none() =>
            {
                speaks_http(http, e).await?;
                None
            }
            other => Some(other?),
        };
    }
    let [time, services] = [time, services].map(|said| said.unwrap_or(Said::NotSoap));
    Ok(Answers { device, time, services, wants_login })
}

/// Fails for what accepts connections and answers no question at all; an answer of a device that makes no sense is `e`.
async fn speaks_http(http: &Http, e: Error) -> Result<(), Error> {
    if matches!(e, Error::UnexpectedAnswer { .. }) {
        return Err(e);
    }
    match http.send(&Request::get(http.place("/")), None).await {
        Err(e) if e.is_of_question() => {
            Err(Error::NotHttp { host: http.host.clone(), port: http.endpoint.port })
        }
        other => other.map(drop),
    }
}

/// Which of the two ONVIF dialects, or the maker's own.
async fn onvif(http: &Http, clock: &Clock, answers: Answers) -> Result<Spoken, Error> {
    let Answers { device, time, services, .. } = answers;
    let now = clock.now();
    let clock_offset = match &time {
        Said::Response(answer) => onvif::clock(answer).map(|clock| clock - now),
        _ => None,
    };
    let security = match &services {
        Said::Response(services) => security_service(http, services).await?,
        _ => None,
    };
    let (driver, dialect, abilities) = match security {
        Some((security, Keystore { origin, key_kinds })) => {
            let abilities = Abilities {
                makes_key: origin == KeyOrigin::Camera,
                key_kinds,
                serves_chain: true,
                one_slot: false,
                restarts: false,
                source: "the ONVIF Security Service Specification".to_owned(),
            };
            ("onvif-security", Dialect::Security { device, security, origin }, abilities)
        }
        None => {
            match makers::recognise(http).await {
                Ok(Some((maker, abilities))) => return Ok(Spoken::of(maker, abilities, clock_offset)),
                Err(e @ Error::NotThePinnedKey { .. }) => return Err(e),
                // The service that answered is there, whatever became of the makers' questions.
                Ok(None) | Err(_) => {}
            }
            let abilities = Abilities {
                makes_key: false,
                key_kinds: vec!["rsa-2048".to_owned()],
                // Avigilon serves the leaf alone, whatever CA certificates are loaded.
                serves_chain: false,
                one_slot: false,
                restarts: false,
                source: "the ONVIF Device Management Service (WSDL)".to_owned(),
            };
            ("onvif-device", Dialect::Device { device }, abilities)
        }
    };
    Ok(Spoken { dialect, driver: driver.to_owned(), abilities, clock_offset })
}

/// What a keystore does.
#[derive(Debug, PartialEq)]
struct Keystore {
    origin: KeyOrigin,
    /// Of these kinds, the best default first.
    key_kinds: Vec<String>,
}

/// Where the Security service is and what its keystore does, if it can do all that an enrolment needs.
async fn security_service(http: &Http, services: &Element) -> Result<Option<(Place, Keystore)>, Error> {
    let listed = services.all(TDS, "Service").find(|s| s.text_of(TDS, "Namespace") == Some(TAS));
    let address = match listed {
        Some(service) => service.text_of(TDS, "XAddr"),
        // GetCapabilities has no place for this service in its schema but an extension.
        None => services.find(TAS, "XAddr").map(Element::text),
    };
    let Some(mut place) = address.and_then(|address| http.followed(address)) else { return Ok(None) };
    const OPERATION: &str = "GetServiceCapabilities";
    let said = match ask(http, &place, Service::Security, OPERATION, "").await {
        // Behind a forwarded port a device names the port that it has on its own network.
        Err(e) if e.is_of_connection() && place.port != http.endpoint.port => {
            place.port = http.endpoint.port;
            ask(http, &place, Service::Security, OPERATION, "").await?
        }
        other => other?,
    };
    let capabilities = match said {
        Said::Response(answer) => keystore(&answer),
        // What GetServices told beside the address.
        _ => listed.and_then(keystore),
    };
    Ok(capabilities.map(|keystore| (place, keystore)))
}

/// What the keystore does; `None` if it can neither make a key with a CSR nor take one, or has no TLS server to assign it
/// to. Old and new names of the attributes both count, since cameras in the field mostly have the old ones (before 23.12).
fn keystore(answer: &Element) -> Option<Keystore> {
    let keystore = answer.find(TAS, "KeystoreCapabilities")?;
    let tls = answer.find(TAS, "TLSServerCapabilities")?;
    let is = |names: &[&str]| keystore.attribute(names).and_then(crate::xsd::boolean).unwrap_or(false);
    let list = |name: &str| keystore.attribute(&[name]).unwrap_or_default().split_whitespace();
    let has_csr = is(&["PKCS10"]) || is(&["PKCS10ExternalCertificationWithRSA"]);
    let has_server =
        tls.attribute(&["TLSServerSupported"]).is_some_and(|versions| !versions.trim().is_empty());
    if !has_server {
        return None;
    }
    let mut kinds = Vec::new();
    let makes_rsa = is(&["RSAKeyPairGeneration"]) || list("KeyPairGeneration").any(|kind| kind == "RSA");
    let makes_ecc = is(&["ECCKeyPairGeneration"]) || list("KeyPairGeneration").any(|kind| kind == "ECC");
    let makes_key = has_csr && (makes_rsa || makes_ecc);
    if makes_rsa || !makes_key {
        let lengths: Vec<&str> = list("RSAKeyLengths").collect();
        // A device that tells no lengths has the one that all have.
        let usable = ["2048", "3072", "4096"];
        let usable = usable.iter().filter(|l| lengths.contains(l) || (lengths.is_empty() && **l == "2048"));
        kinds.extend(usable.map(|length| format!("rsa-{length}")));
    }
    if makes_ecc
        && makes_key
        && list("EllipticCurves").any(|c| matches!(c, "secp256r1" | "prime256v1" | "P-256"))
    {
        kinds.push("p256".to_owned());
    }
    let origin = if makes_key {
        KeyOrigin::Camera
    } else if is(&["PKCS8"]) || is(&["PKCS8RSAKeyPairUpload"]) {
        KeyOrigin::Pkcs8
    } else if is(&["PKCS12"]) || is(&["PKCS12CertificateWithRSAPrivateKeyUpload"]) {
        // Triple DES is all that was guaranteed up to 25.06, and the specification's own name for it.
        let mut algorithms = list("PasswordBasedEncryptionAlgorithms").peekable();
        let is_old = algorithms.peek().is_none() || algorithms.any(|name| name.contains("TripleDES"));
        KeyOrigin::Pkcs12 {
            protection: if is_old { Protection::Legacy } else { Protection::Aes128 },
            keeps_passphrases: list("MaximumNumberOfPassphrases").any(|room| room != "0"),
        }
    } else {
        return None;
    };
    (!kinds.is_empty()).then_some(Keystore { origin, key_kinds: kinds })
}

async fn ask(
    http: &Http,
    place: &Place,
    service: Service,
    operation: &str,
    arguments: &str,
) -> Result<Said, Error> {
    let answer = http.send(&soap::request(place, service, operation, arguments), None).await?;
    soap::read(&answer, service, operation)
}

async fn find_recipe(http: &Http, recipes: &Recipes) -> Result<(Recipe, Abilities), Error> {
    let start = http.send(&Request::get(http.place("/")), None).await?;
    if let Some(port) = moved_to_https(http, &start) {
        return Err(Error::MovedToHttps { host: http.host.clone(), port });
    }
    let server = start.header(SERVER);
    let mut pages = BTreeMap::from([("/".to_owned(), start)]);
    for recipe in recipes.all() {
        let path = recipe.recognised_by().to_owned();
        if !pages.contains_key(&path) {
            match http.send(&Request::get(http.place(&path)), None).await {
                Err(e) if e.is_of_question() => continue,
                page => pages.insert(path.clone(), page?),
            };
        }
        if pages.get(&path).is_some_and(|page| recipe.recognises(page)) {
            let abilities = recipe.abilities();
            return Ok((recipe.clone(), abilities));
        }
    }
    Err(Error::NotACamera { host: http.host.clone(), port: http.endpoint.port, server })
}

/// The port of HTTPS, if a plain page leads there. It is told, not followed: whose key is there is not known.
fn moved_to_https(http: &Http, answer: &Answer) -> Option<u16> {
    let to = Url::parse(answer.headers.get(LOCATION)?.to_str().ok()?).ok()?;
    let leads = answer.status.is_redirection() && http.scheme() == "http" && to.scheme() == "https";
    to.port_or_known_default().filter(|_| leads)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode, body::Bytes};

    use super::*;

    fn plain(port: u16) -> Http {
        let endpoint = Endpoint { host: "192.0.2.1".parse().unwrap(), port, pin: None };
        Http::new(endpoint, Limits::default()).unwrap()
    }

    fn capabilities(keystore: &str, tls: &str) -> Option<Vec<String>> {
        let body = format!(
            r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:t="{TAS}"><s:Body>
               <t:GetServiceCapabilitiesResponse><t:Capabilities><t:KeystoreCapabilities {keystore}/>
               <t:TLSServerCapabilities {tls}/></t:Capabilities></t:GetServiceCapabilitiesResponse>
               </s:Body></s:Envelope>"#
        );
        let answer = Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: Bytes::from(body) };
        match soap::read(&answer, Service::Security, "GetServiceCapabilities") {
            Ok(Said::Response(answer)) => {
                let keystore = super::keystore(&answer)?;
                assert_eq!(keystore.origin, KeyOrigin::Camera);
                Some(keystore.key_kinds)
            }
            _ => panic!("no response"),
        }
    }

    #[test]
    fn only_port_and_path_of_an_address_are_followed() {
        let place = |port: u16, path: &str| Some(Place { port, path: path.into() });
        let http = plain(8080);
        assert_eq!(http.followed("http://203.0.113.9:81/onvif/sec?x=1"), place(81, "/onvif/sec?x=1"));
        assert_eq!(http.followed("http://evil.example/a"), place(80, "/a"));
        assert_eq!(http.followed("https://192.0.2.1:444/a"), place(8080, "/a"));
        assert_eq!(http.followed("http://u:p@192.0.2.1:0/a b"), place(8080, "/a%20b"));
        for no_address in ["", "/onvif", "http://", "http://[::1/"] {
            assert_eq!(http.followed(no_address), None, "{no_address}");
        }
    }

    #[test]
    fn old_and_new_attributes_are_understood() {
        let tls = r#"TLSServerSupported="1.1 1.2""#;
        for (keystore, kinds) in [
            (r#"RSAKeyPairGeneration="true" PKCS10ExternalCertificationWithRSA="1""#, &["rsa-2048"][..]),
            (
                r#"RSAKeyPairGeneration="true" RSAKeyLengths="1024 2048 3072" PKCS10="true""#,
                &["rsa-2048", "rsa-3072"],
            ),
            (
                r#"KeyPairGeneration="RSA ECC" RSAKeyLengths="3072" EllipticCurves="secp256r1 secp384r1" PKCS10="true""#,
                &["rsa-3072", "p256"],
            ),
            (r#"ECCKeyPairGeneration="true" EllipticCurves="P-256" PKCS10="true""#, &["p256"]),
        ] {
            assert_eq!(capabilities(keystore, tls).unwrap(), kinds, "{keystore}");
        }
    }

    #[test]
    fn a_service_that_lacks_something_is_not_chosen() {
        let good = r#"RSAKeyPairGeneration="true" RSAKeyLengths="2048" PKCS10="true""#;
        let tls = r#"TLSServerSupported="1.2""#;
        assert!(capabilities(good, tls).is_some());
        assert_eq!(capabilities(good, ""), None);
        assert_eq!(capabilities(good, r#"TLSServerSupported="""#), None);
        assert_eq!(capabilities(&good.replace("PKCS10=\"true\"", ""), tls), None);
        assert_eq!(capabilities(&good.replace("2048", "1024"), tls), None);
        assert_eq!(capabilities(r#"PKCS10="true" KeyPairGeneration="""#, tls), None);
        assert_eq!(
            capabilities(r#"PKCS10="true" ECCKeyPairGeneration="true" EllipticCurves="x""#, tls),
            None
        );
    }
}
