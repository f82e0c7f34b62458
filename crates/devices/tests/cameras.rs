//! Every driver against the simulated camera of its dialect, which is written from the same standards and
//! shares no code with the drivers.

// Clippy knows a test by its attribute, and the helpers here have none.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use camera_sim::{Camera, CapabilityNames, Fault, Given, Model, Options, State};
use clap::ValueEnum as _;
use devices::{
    Admission, Before, Consent, Credentials, Driver, Endpoint, Error, Found, Limits, Package, PublicKeyPin,
    Recipes, Seen, recognise,
};
use domain::{AltName, Clock};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType, IsCa,
    KeyPair,
};
use zeroize::Zeroizing;

const MARK: &str = "camlock-3f9a1c20";
/// The models that are met over plain HTTP, and can do without it afterwards, with their names.
fn models() -> impl Iterator<Item = (Model, &'static str)> {
    let all = Model::value_variants().iter().copied();
    all.filter(|model| !model.comes_with_https() && model.switches_http()).map(|model| (model, model.name()))
}

/// A certificate authority with an issuer below its root.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What `Package` borrows.
struct Parcel {
    certificate: Vec<u8>,
    issuers: Vec<Vec<u8>>,
    key: Option<Vec<u8>>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let ca = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let root = CertifiedIssuer::self_signed(ca("root"), KeyPair::generate().unwrap()).unwrap();
        let issuer = CertifiedIssuer::signed_by(ca("issuer"), KeyPair::generate().unwrap(), &root).unwrap();
        Authority { issuer }
    }

    fn sign(&self, csr: &[u8]) -> Parcel {
        let request = CertificateSigningRequestParams::from_der(&csr.into()).unwrap();
        self.parcel(request.signed_by(&self.issuer).unwrap().der().to_vec(), None)
    }

    fn with_key(&self) -> Parcel {
        // RSA is not needed: the old service takes what rustls takes.
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let pem = key.serialize_pem() + &certificate.pem() + &self.issuer.pem();
        Parcel { pem, ..self.parcel(certificate.der().to_vec(), Some(key.serialize_der())) }
    }

    fn parcel(&self, certificate: Vec<u8>, key: Option<Vec<u8>>) -> Parcel {
        Parcel { certificate, issuers: vec![self.issuer.der().to_vec()], key, pem: String::new() }
    }
}

impl Parcel {
    fn package(&self) -> Package<'_> {
        Package {
            certificate: &self.certificate,
            issuers: &self.issuers,
            key: self.key.as_deref(),
            pem: &self.pem,
        }
    }
}

async fn camera(model: Model, change: impl FnOnce(&mut Options)) -> Camera {
    let mut options = Options::new(model, "admin", "open sesame");
    options.key_generation = Duration::from_millis(20);
    change(&mut options);
    Camera::start(options).await.unwrap()
}

fn credentials(password: &str) -> Credentials {
    Credentials::new("admin", Zeroizing::new(password.into()))
}

/// The way in of an operator who named the device and accepts that it is shown the password.
async fn find(
    endpoint: &Endpoint,
    limits: &Limits,
    recipes: &Recipes,
    credentials: Credentials,
) -> Result<Found, Error> {
    let recognised = recognise(endpoint, limits, recipes, &Clock::system()).await?;
    let seen = Seen::at(&endpoint.host, endpoint.pin);
    let consent = Consent { named: true, readable: true, ..Consent::default() };
    recognised.enter(&Admission::decide(&seen, None, consent)?, recipes, credentials).await
}

async fn found(camera: &Camera) -> Found {
    found_by(camera, "open sesame").await
}

async fn found_by(camera: &Camera, password: &str) -> Found {
    let address = camera.http_address();
    let endpoint = Endpoint { host: AltName::Ip(address.ip()), port: address.port(), pin: None };
    find(&endpoint, &Limits::default(), &Recipes::default(), credentials(password)).await.unwrap()
}

async fn driver(camera: &Camera) -> Box<dyn Driver> {
    found(camera).await.connect()
}

/// request or a key of our own, sign, package.
async fn parcel(authority: &Authority, camera: &Camera, driver: &mut dyn Driver) -> Parcel {
    if camera.model().makes_key() {
        let names = ["127.0.0.1".parse().unwrap(), "shop-front.home.arpa".parse().unwrap()];
        authority.sign(&driver.request(MARK, &names).await.unwrap())
    } else {
        authority.with_key()
    }
}

/// What may not change by going there and back.
fn lasting(state: State) -> State {
    State { requests: Vec::new(), uploads_dropped: 0, given: Given::default(), ..state }
}

#[tokio::test]
async fn every_camera_walks_the_whole_way() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |_| ()).await;
        let found = found(&camera).await;
        assert_eq!(found.driver().trim_start_matches("recipe:"), name);
        let (driver_name, serves_chain) = (found.driver().to_owned(), found.abilities().serves_chain);
        let mut driver = found.connect();
        let before = driver.note().await.unwrap();
        assert!(before.http_on && !before.https_on, "{before:?}");
        assert_eq!(before.https_port, camera.https_address().port());
        let parcel = parcel(&authority, &camera, driver.as_mut()).await;
        driver.install(MARK, &parcel.package()).await.unwrap();
        assert!(!camera.state().https_on, "{name}");
        let port = driver.enable_https().await.unwrap();
        assert_eq!(port, camera.https_address().port());
        let state = camera.wait_for(|state| state.https_on).await;
        assert_eq!(state.served_leaf(), Some(parcel.certificate.as_slice()), "{name}");
        assert_eq!(state.served_chain.len(), if serves_chain { 2 } else { 1 }, "{name}");
        assert!(state.http_on);

        // From here over the new HTTPS.
        let pin = PublicKeyPin::of_certificate(&parcel.certificate);
        let endpoint = Endpoint { host: "127.0.0.1".parse().unwrap(), port, pin };
        let again = find(&endpoint, &Limits::default(), &Recipes::default(), credentials("open sesame"))
            .await
            .unwrap();
        assert_eq!(again.driver(), driver_name);
        let mut driver = again.connect();
        assert!(driver.note().await.unwrap().https_on);
        driver.switch_http(false).await.unwrap();
        let state = camera.wait_for(|state| !state.http_on).await;
        assert_eq!(
            (state.logins_refused, state.basic_credentials, state.replays_refused),
            (0, 0, 0),
            "{name}"
        );
        camera.stop().await;
    }
}

/// A renewal goes through HTTPS whose key changes in the middle of it, and leaves nothing of the one before.
#[tokio::test]
async fn every_camera_is_renewed_over_its_own_https() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |_| ()).await;
        let mut driver = driver(&camera).await;
        let mut marks: Vec<String> = Vec::new();
        for round in 0..6 {
            let mark = format!("camlock-{round}");
            let parcel = match model {
                model if model.makes_key() => authority.sign(&driver.request(&mark, &[]).await.unwrap()),
                _ => authority.with_key(),
            };
            driver.install(&mark, &parcel.package()).await.unwrap();
            let port = driver.enable_https().await.unwrap();
            driver.tidy(&marks).await.unwrap();
            marks.push(mark);
            let state = camera.state();
            assert_eq!(state.served_leaf(), Some(parcel.certificate.as_slice()), "{name}, round {round}");
            assert!(state.keys.len() <= 2, "{name}, round {round}: {:?}", state.keys);

            let pin = PublicKeyPin::of_certificate(&parcel.certificate);
            let endpoint = Endpoint { host: "127.0.0.1".parse().unwrap(), port, pin };
            driver = find(&endpoint, &Limits::default(), &Recipes::default(), credentials("open sesame"))
                .await
                .unwrap()
                .connect();
            driver.note().await.unwrap();
        }
        camera.stop().await;
    }
}

#[tokio::test]
async fn every_camera_comes_back_to_what_it_was() {
    let authority = Authority::new();
    for (model, name) in models() {
        for factory_certificate in [false, true] {
            let camera = camera(model, |o| o.factory_certificate = factory_certificate).await;
            let was = lasting(camera.state());
            let mut one = driver(&camera).await;
            let before = one.note().await.unwrap();
            assert_eq!(before.https_on, factory_certificate, "{name}");
            // Stored and read again, as after a crash.
            let before: Before = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
            let parcel = parcel(&authority, &camera, one.as_mut()).await;
            one.install(MARK, &parcel.package()).await.unwrap();
            one.enable_https().await.unwrap();
            camera.wait_for(|state| state.https_on).await;

            let mut other = driver(&camera).await;
            for _ in 0..2 {
                other.roll_back(MARK, &before).await.unwrap();
                let now = camera.wait_for(|state| state.https_on == was.https_on).await;
                if model == Model::PemPage {
                    // Its one slot keeps the new certificate; `one_slot` says so.
                    assert_eq!((now.http_on, now.https_on), (was.http_on, was.https_on));
                } else {
                    assert_eq!(lasting(now), was, "{name}, factory certificate: {factory_certificate}");
                }
            }
            camera.stop().await;
        }
    }
}

/// A crash may come between any two calls, and before what was done could be noted.
#[tokio::test]
async fn a_run_that_broke_is_taken_up_or_back() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |_| ()).await;
        let was = lasting(camera.state());
        let before = driver(&camera).await.note().await.unwrap();
        driver(&camera).await.roll_back(MARK, &before).await.unwrap();
        assert_eq!(lasting(camera.state()), was, "{name}");
        if model.makes_key() {
            driver(&camera).await.request(MARK, &[]).await.unwrap();
            driver(&camera).await.request(MARK, &[]).await.unwrap();
            assert_eq!(camera.state().keys.len() + camera.state().certificates.len(), 1, "{name}");
        }
        let mut one = driver(&camera).await;
        let parcel = parcel(&authority, &camera, one.as_mut()).await;
        one.install(MARK, &parcel.package()).await.unwrap();
        let certificates = camera.state().certificates;
        driver(&camera).await.install(MARK, &parcel.package()).await.unwrap();
        assert_eq!(camera.state().certificates, certificates, "{name}");
        if model != Model::PemPage {
            driver(&camera).await.roll_back(MARK, &before).await.unwrap();
            assert_eq!(lasting(camera.state()), was, "{name}");
        }
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let authority = Authority::new();
    let parcel = authority.with_key();
    for (model, name) in models() {
        let camera = camera(model, |o| o.faults = vec![Fault::Locks]).await;
        let before = driver(&camera).await.note().await.unwrap();
        let mut driver = found_by(&camera, "open barley").await.connect();
        let wrong = || Error::WrongPassword { user: "admin".into() };
        assert_eq!(driver.note().await, Err(wrong()));
        let requests = camera.state().requests.len();
        if !model.makes_key() {
            assert_eq!(driver.install(MARK, &parcel.package()).await, Err(wrong()));
        }
        assert_eq!(driver.enable_https().await, Err(wrong()));
        let switched = driver.switch_http(false).await;
        assert!(
            switched == Err(wrong()) || matches!(switched, Err(Error::NotOffered { .. })),
            "{name}: {switched:?}"
        );
        assert_eq!(driver.roll_back(MARK, &before).await, Err(wrong()));
        let state = camera.state();
        assert_eq!((state.logins_refused, state.requests.len()), (1, requests), "{name}");
        assert!(!state.account_locked);
        camera.stop().await;
    }
}

#[tokio::test]
async fn short_lived_nonces_are_no_obstacle() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |o| o.faults = vec![Fault::ShortNonces]).await;
        let mut driver = driver(&camera).await;
        let before = driver.note().await.unwrap();
        let parcel = parcel(&authority, &camera, driver.as_mut()).await;
        driver.install(MARK, &parcel.package()).await.unwrap();
        driver.enable_https().await.unwrap();
        let state = camera.wait_for(|state| state.https_on).await;
        assert_eq!(state.served_leaf(), Some(parcel.certificate.as_slice()), "{name}");
        driver.roll_back(MARK, &before).await.unwrap();
        assert_eq!(camera.wait_for(|state| !state.https_on).await.logins_refused, 0, "{name}");
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_dropped_upload_leaves_nothing_behind() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |o| o.faults = vec![Fault::DropsUpload]).await;
        let was = lasting(camera.state());
        let mut driver = driver(&camera).await;
        let before = driver.note().await.unwrap();
        let parcel = parcel(&authority, &camera, driver.as_mut()).await;
        let lost = driver.install(MARK, &parcel.package()).await;
        assert!(matches!(lost, Err(Error::ConnectionLost { .. })), "{name}: {lost:?}");
        camera.wait_for(|state| state.uploads_dropped == 1).await;
        driver.roll_back(MARK, &before).await.unwrap();
        assert_eq!(lasting(camera.state()), was, "{name}");
        camera.stop().await;
    }
}

#[tokio::test]
async fn what_a_camera_refuses_is_told_and_taken_back() {
    let authority = Authority::new();
    for (model, name) in models() {
        let camera = camera(model, |o| o.faults = vec![Fault::HttpsRefused]).await;
        let was = lasting(camera.state());
        let mut driver = driver(&camera).await;
        let before = driver.note().await.unwrap();
        let parcel = parcel(&authority, &camera, driver.as_mut()).await;
        driver.install(MARK, &parcel.package()).await.unwrap();
        let refused = driver.enable_https().await.unwrap_err();
        assert!(matches!(refused, Error::Refused { .. } | Error::PageRefused { .. }), "{name}: {refused:?}");
        driver.roll_back(MARK, &before).await.unwrap();
        if model != Model::PemPage {
            assert_eq!(lasting(camera.state()), was, "{name}");
        }
        camera.stop().await;
    }

    for (model, said) in [
        (Model::OnvifSecurity, ("CreatePKCS10CSR", "ter:CSRCreationFailed")),
        (Model::Axis, ("POST certificates/camlock-3f9a1c20/get_csr", "500")),
    ] {
        let camera = camera(model, |o| o.faults = vec![Fault::CsrFails]).await;
        let was = lasting(camera.state());
        let mut driver = driver(&camera).await;
        let before = driver.note().await.unwrap();
        let refused = driver.request(MARK, &["gate.lan".parse().unwrap()]).await.unwrap_err();
        assert!(
            matches!(&refused, Error::Refused { operation, fault, .. } if (operation.as_str(), &**fault) == said),
            "{refused:?}"
        );
        driver.roll_back(MARK, &before).await.unwrap();
        assert_eq!(lasting(camera.state()), was);
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_a_page_refuses_comes_with_its_words() {
    let camera = camera(Model::PemPage, |_| ()).await;
    let mut parcel = Authority::new().with_key();
    parcel.pem = "nothing of use".to_owned();
    let refused = driver(&camera).await.install(MARK, &parcel.package()).await.unwrap_err();
    let Error::PageRefused { page, answer } = refused else { panic!("{refused:?}") };
    assert_eq!(page, "/settings/certificate");
    assert!(!answer.is_empty() && !answer.contains('<'), "{answer}");
    camera.stop().await;
}

#[tokio::test]
async fn a_clock_that_is_behind_is_noticed() {
    for (faults, days) in [(vec![], 0), (vec![Fault::WrongClock], -20)] {
        let camera = camera(Model::OnvifSecurity, |o| o.faults = faults).await;
        let offset = found(&camera).await.clock_offset().unwrap();
        assert_eq!((offset.as_seconds_f64() / 86_400.0).round() as i64, days);
        camera.stop().await;
    }
}

#[tokio::test]
async fn both_generations_of_capability_names_are_understood() {
    for names in [CapabilityNames::Old, CapabilityNames::New, CapabilityNames::Both] {
        let camera = camera(Model::OnvifSecurity, |o| o.capability_names = names).await;
        let found = found(&camera).await;
        assert_eq!(found.driver(), "onvif-security");
        assert_eq!(found.abilities().key_kinds.first().map(String::as_str), Some("rsa-2048"), "{names:?}");
        camera.stop().await;
    }
}

#[tokio::test]
async fn a_camera_that_hangs_takes_no_longer_than_allowed() {
    let camera = camera(Model::OnvifDevice, |o| o.faults = vec![Fault::Hangs]).await;
    let address = camera.http_address();
    let endpoint = Endpoint { host: AltName::Ip(address.ip()), port: address.port(), pin: None };
    let limits = Limits { answer: Duration::from_millis(100), ..Limits::default() };
    let timed_out = Error::TimedOut { host: "127.0.0.1".into(), port: address.port(), seconds: 0 };
    assert_eq!(find(&endpoint, &limits, &Recipes::default(), credentials("x")).await.unwrap_err(), timed_out);
    camera.stop().await;
}

/// A NAS, met over its own HTTPS: it comes back to what it was over the key that it got in between, and the way back
/// learns the key that only the first contact had seen.
#[tokio::test]
async fn a_nas_comes_back_over_the_key_that_it_was_given() {
    let authority = Authority::new();
    let nas = camera(Model::Synology, |_| ()).await;
    let was = lasting(nas.state());
    let speak = async || {
        let pin = PublicKeyPin::of_certificate(nas.state().served_leaf().unwrap());
        let port = nas.https_address().port();
        let endpoint = Endpoint { host: "127.0.0.1".parse().unwrap(), port, pin };
        let found = find(&endpoint, &Limits::default(), &Recipes::default(), credentials("open sesame"))
            .await
            .unwrap();
        assert_eq!(found.driver(), "synology");
        found.connect()
    };
    let mut driver = speak().await;
    let before = driver.note().await.unwrap();
    assert_eq!((before.certificates.len(), before.in_use.len()), (1, 1));
    let parcel = authority.with_key();
    driver.install(MARK, &parcel.package()).await.unwrap();
    let state = nas.wait_for(|state| state.restarts == 1 && state.https_on && state.http_on).await;
    assert_eq!(state.served_chain, [parcel.certificate.as_slice(), &parcel.issuers[0]]);

    let mut driver = speak().await;
    for round in 0..2 {
        driver.roll_back(MARK, &before).await.unwrap();
        assert_eq!(State { restarts: 0, ..lasting(nas.state()) }, was, "{round}");
    }

    // In the place of an earlier one of ours there is no way back, and what is shown stays.
    let mut driver = speak().await;
    driver.install("camlock-1", &authority.with_key().package()).await.unwrap();
    nas.wait_for(|state| state.restarts == 2 && state.https_on && state.http_on).await;
    let before = driver.note().await.unwrap();
    let renewed = authority.with_key();
    driver.install("camlock-2", &renewed.package()).await.unwrap();
    nas.wait_for(|state| state.restarts == 3 && state.https_on && state.http_on).await;
    let undone = driver.roll_back("camlock-2", &before).await;
    assert!(matches!(undone, Err(Error::CannotUndo { .. })), "{undone:?}");
    assert_eq!(nas.state().served_leaf(), Some(renewed.certificate.as_slice()));
    assert_eq!(nas.state().certificates.len(), 2);
    nas.stop().await;
}
