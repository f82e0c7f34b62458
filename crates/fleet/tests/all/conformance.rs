//! The conformance suite: every driver against its simulated camera, with every fault that a camera of that kind can
//! have. Each ends secure, or as it was, or says what could not be put back. `docs/conformance.md` holds the result.
//!
//! The second table is that of the impostors: whoever stands where a camera of that kind was, or says that it is one, and
//! what it gets by its own log.
//!
//! After a change that is meant, `CAMLOCK_WRITE=1 cargo test -p fleet conformance` writes the tables again.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use camera_sim::{Camera, Fault, Given, Model, OldTls, Options, Shown, State};
use clap::ValueEnum;
use devices::Credentials;
use domain::{AltName, Finding, Verdict};
use fleet::{Consents, Fleet, Limits, Order, Outcome};
use pki::Certificate;
use store::{DeviceRow, NewDevice};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use zeroize::Zeroizing;

const PASSWORD: &str = "open sesame";
/// What takes longer than all limits together hangs.
const PATIENCE: Duration = Duration::from_secs(90);

async fn site(folder: &Path, two_tier: bool) -> Fleet {
    let mut limits = Limits { verify: Duration::from_secs(15), ..Limits::default() };
    limits.device.answer = Duration::from_secs(4);
    // A simulated restart takes a second.
    (limits.restart, limits.device.restart) = (Duration::from_secs(15), Duration::from_secs(15));
    crate::common::site(folder, two_tier, limits, crate::common::recipes(folder)).await
}

/// What a failed run must leave as it was.
fn standing(state: &State) -> String {
    let State { http_on, https_on, keys, certificates, paths, assigned, served_chain, .. } = state;
    format!("{http_on} {https_on} {keys:?} {certificates:?} {paths:?} {assigned:?} {served_chain:?}")
}

/// By an operator who agrees to everything that can be agreed to.
fn order(url: &str) -> Order {
    let credentials = Credentials::new("admin", Zeroizing::new(PASSWORD.into()));
    Order { consent: Consents::ALL, ..Order::new(url.parse().unwrap(), credentials) }
}

async fn secure(fleet: &Fleet, order: &Order, which: &str) -> Outcome {
    let outcome = timeout(PATIENCE, fleet.secure(order, &|_, _| ())).await;
    outcome.unwrap_or_else(|_| panic!("{which} hangs"))
}

fn code(outcome: &Outcome) -> String {
    let error = serde_json::to_value(&outcome.error).unwrap();
    error["code"].as_str().unwrap_or("no error").to_owned()
}

/// One enrolment of a new camera. How it ended, in a few words; and the camera, whose ports are nobody else's as long as
/// it is there: the ledger would take another one on them for this one.
async fn ending(fleet: &Fleet, model: Model, fault: Option<Fault>) -> (String, Camera) {
    let mut options = Options::new(model, "admin", PASSWORD);
    options.key_generation = Duration::from_millis(10);
    options.faults.extend(fault);
    let camera = Camera::start(options).await.unwrap();
    let before = standing(&camera.state());
    let password = if fault == Some(Fault::Locks) { "wrong" } else { PASSWORD };
    let mut order = order(&camera.url());
    order.credentials.password = Zeroizing::new(password.into());
    let outcome = secure(fleet, &order, &format!("{model} {fault:?}")).await;
    // One that restarts for the way back is as it was a moment later.
    let patience = Duration::from_secs(if outcome.error.is_some() { 4 } else { 0 });
    let back = timeout(patience, camera.wait_for(|state| standing(state) == before)).await;
    let state = camera.state();
    assert!(!state.account_locked, "{model} {fault:?}");
    assert_eq!(state.basic_credentials, 0, "{model} {fault:?}");
    let said = judged(&outcome, back.is_ok(), &format!("{model} {fault:?}"));
    camera.unplug().await;
    (said, camera)
}

fn judged(outcome: &Outcome, is_as_before: bool, which: &str) -> String {
    if outcome.error.is_none() {
        assert_eq!(outcome.verdict, Verdict::Secure, "{which}");
        return "secure".to_owned();
    }
    let code = code(outcome);
    let told = |f: &Finding| {
        matches!(f, Finding::NotPutBack { .. } | Finding::SlotOverwritten | Finding::CertificateLeft)
    };
    let end = match (is_as_before, outcome.findings.iter().any(told)) {
        (true, _) => "as it was",
        (false, true) => "**says what is left**",
        (false, false) => panic!("{which}: {outcome:?}"),
    };
    format!("{end} ({code})")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_driver_with_every_fault() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one_tier = Arc::new(site(one.path(), false).await);
    let two_tiers = Arc::new(site(two.path(), true).await);
    // More at once would be late for reasons of their own.
    let places = Arc::new(Semaphore::new(24));
    let mut running = JoinSet::new();
    let faults = || [None].into_iter().chain(Fault::value_variants().iter().copied().map(Some));
    for model in Model::value_variants().iter().copied() {
        for fault in faults().filter(|fault| fault.is_none_or(|fault| fault.fits(model))) {
            // With one tier there is no chain to refuse.
            let fleet = if fault == Some(Fault::RefusesChains) { &two_tiers } else { &one_tier };
            let fleet = Arc::clone(fleet);
            let places = Arc::clone(&places);
            running.spawn(async move {
                let _place = places.acquire().await;
                ((name(fault), model.name()), ending(&fleet, model, fault).await)
            });
        }
    }
    let done = running.join_all().await;
    let endings = done.iter().map(|(which, (said, _))| (which.clone(), said.clone())).collect();
    compare("fault", faults().map(name), &endings);
}

/// Held against its part of the page, or written there: a table with a line for each of `names` and a column for each kind
/// of camera.
fn compare(
    first: &str,
    names: impl Iterator<Item = String>,
    cells: &BTreeMap<(String, &'static str), String>,
) {
    let mut table = format!("| {first} |");
    for model in Model::value_variants() {
        let _ = write!(table, " {} |", model.name());
    }
    let _ = write!(table, "\n|{}\n", "---|".repeat(Model::value_variants().len() + 1));
    for name in names {
        let _ = write!(table, "| {name} |");
        for model in Model::value_variants() {
            let cell = cells.get(&(name.clone(), model.name()));
            let _ = write!(table, " {} |", cell.map_or("–", String::as_str));
        }
        table.push('\n');
    }
    println!("{table}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
    let _one_at_a_time = PAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let page = std::fs::read_to_string(file).unwrap();
    let from = page.find(&format!("| {first} |")).unwrap();
    let to = page[from..].find("\n\n").map_or(page.len(), |end| from + end + 1);
    if std::env::var_os("CAMLOCK_WRITE").is_some() {
        std::fs::write(file, format!("{}{table}{}", &page[..from], &page[to..])).unwrap();
    } else {
        assert_eq!(page[from..to], table, "CAMLOCK_WRITE=1 writes {file} again");
    }
}

/// Both tables are on one page.
static PAGE: Mutex<()> = Mutex::new(());

fn name(fault: Option<Fault>) -> String {
    fault.map_or_else(|| "none".to_owned(), Fault::name)
}

/// A kind of camera, its own site, and one of them that is enrolled there.
struct Scene {
    _folder: tempfile::TempDir,
    fleet: Fleet,
    model: Model,
    camera: Camera,
    /// How it was enrolled.
    first: Outcome,
    row: DeviceRow,
    cells: Vec<(&'static str, String)>,
}

const NUMBER: &str = "0A1B2C3D4E";
const OTHER_NUMBER: &str = "5F6A7B8C9D";

const ANOTHER_KEY: &str = "another key";
const OLD_DIALECT: &str = "old dialect that asks for Basic";
const NO_HTTPS: &str = "HTTPS is gone";
const SHOWN: &str = "its certificate, not its key";
const SHOWN_OLD: &str = "the same over TLS 1.0";
const SHOWN_RSA: &str = "the same over TLS 1.2 with RSA";
const OUTSIDE: &str = "its key, and wants one from outside";
const BASIC_NOW: &str = "its key, and asks for Basic";
const CONFIRMED: &str = "another number, confirmed by fingerprint";
const WEAKER: &str = "MD5, before it was SHA-256";
const FOUND: &str = "only found";
const BASIC_LATER: &str = "Digest first, Basic inside TLS";
const READABLE: &str = "readable password";
const REPLACED: &str = "`--new-device`, another number";
const RESET: &str = "`--new-device`, the same number";
const IMPOSTORS: [&str; 15] = [
    ANOTHER_KEY,
    OLD_DIALECT,
    NO_HTTPS,
    SHOWN,
    SHOWN_OLD,
    SHOWN_RSA,
    OUTSIDE,
    BASIC_NOW,
    CONFIRMED,
    WEAKER,
    FOUND,
    BASIC_LATER,
    READABLE,
    REPLACED,
    RESET,
];

fn options(model: Model, change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::new(model, "admin", PASSWORD);
    (options.key_generation, options.factory_certificate) = (Duration::from_millis(10), true);
    options.serial = Some(NUMBER.to_owned());
    change(&mut options);
    options
}

impl Scene {
    async fn new(model: Model) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let fleet = site(folder.path(), false).await;
        let camera = Camera::start(options(model, |_| ())).await.unwrap();
        let first = secure(&fleet, &order(&camera.url()), model.name()).await;
        assert!(first.is_done(), "{model}: {:?}", first.error);
        // The log sees what it is to see: of this one, everything.
        let given = camera.state().given;
        assert!(
            given.basic + given.digest + given.passwords > 0 && given.certificates > 0,
            "{model}: {given:?}"
        );
        assert_eq!(given.private_keys > 0, !model.makes_key(), "{model}: {given:?}");
        let row = fleet.store.devices(None).await.unwrap().pop().unwrap();
        Scene { _folder: folder, fleet, model, camera, first, row, cells: Vec::new() }
    }

    fn target(&self) -> String {
        self.camera.url()
    }

    fn name(&self, scene: &str) -> String {
        format!("{}: {scene}", self.model)
    }

    fn tells_number(&self) -> bool {
        let told: devices::DeviceInfo = serde_json::from_str(&self.row.told).unwrap();
        told.serial_number.is_some()
    }

    /// Somebody else answers where the enrolled camera was: what is asked ends with an error, and nothing was given.
    async fn stands_in(&mut self, scene: &'static str, order: Order, options: Options) {
        let which = self.name(scene);
        let impostor = self.camera.replace(options).await.unwrap();
        // Whatever is asked beside it. As the new password is the old one, the log would see it.
        let (new_password, tls_floor) = (Some(Zeroizing::new(PASSWORD.into())), Some("1.2".to_owned()));
        let order = Order { new_password, tls_floor, disable_http: true, ..order };
        let outcome = secure(&self.fleet, &order, &which).await;
        let said = refused(&impostor, &outcome, &which);
        // A look notices it; of the last one impostor.rs says that.
        if scene != SHOWN_RSA {
            let due = self.fleet.due().await.unwrap();
            assert!(due.devices.iter().any(|row| row.id == self.row.id), "{which}");
        }
        impostor.unplug().await;
        let row = self.only_row().await;
        assert_eq!((row.id, &row.serial), (self.row.id, &self.first.serial), "{which}");
        assert!(row.accepted && row.left_at.is_none(), "{which}");
        assert_eq!((row.sign_in, row.sign_in_plain), (self.row.sign_in, self.row.sign_in_plain), "{which}");
        assert_eq!(row.told, self.row.told, "{which}");
        self.cells.push((scene, said));
        self.is_back().await;
    }

    async fn only_row(&self) -> DeviceRow {
        let mut rows = self.fleet.store.devices(None).await.unwrap();
        assert_eq!(rows.len(), 1, "{}", self.model);
        rows.pop().unwrap()
    }

    /// The camera itself is back, and the operator has to agree to nothing.
    async fn is_back(&self) {
        let which = self.name("back");
        self.camera.plug_in().await.unwrap();
        let again = Order { consent: Consents::default(), ..order(&self.target()) };
        let outcome = secure(&self.fleet, &again, &which).await;
        assert!(outcome.is_done(), "{which}: {:?}", outcome.error);
        assert_eq!(outcome.serial, self.first.serial, "{which}");
        let row = self.fleet.store.device(self.row.id).await.unwrap().unwrap();
        assert_eq!((row.serial, row.verdict), (self.first.serial.clone(), Verdict::Secure), "{which}");
        assert_eq!(
            (row.host, row.port, row.left_at),
            (self.row.host.clone(), self.row.port, None),
            "{which}"
        );
    }

    async fn where_it_was(&mut self) {
        let (target, model) = (self.target(), self.model);
        let order = || order(&target);
        self.stands_in(ANOTHER_KEY, order(), options(model, |_| ())).await;
        let old = options(Model::OnvifDevice, |o| o.faults = vec![Fault::BasicInsideTls]);
        self.stands_in(OLD_DIALECT, order(), old).await;
        // Where it was met inside TLS, plain HTTP answers on that port.
        let https = self.camera.https_address().port();
        let (target, http_port) = match model.comes_with_https() {
            true => (format!("http://127.0.0.1:{https}"), https),
            false => (target.clone(), 0),
        };
        let plain = options(model, |o| (o.https_off, o.http_port) = (true, http_port));
        self.stands_in(NO_HTTPS, self::order(&target), plain).await;
        let shown = self.camera.state().served_chain;
        for (scene, old_tls) in
            [(SHOWN, None), (SHOWN_OLD, Some(OldTls::Tls10)), (SHOWN_RSA, Some(OldTls::Tls12Rsa))]
        {
            let shows = Some(Shown::only(shown.clone()));
            let thief = options(model, |o| (o.shows, o.old_tls) = (shows, old_tls));
            self.stands_in(scene, order(), thief).await;
        }
    }

    /// Even with its key: one that made its own is given none, and the way of signing in gets no weaker.
    async fn has_its_key(&mut self) {
        let (scene, options) = if self.model.makes_key() {
            (OUTSIDE, options(Model::OnvifDevice, |_| ()))
        } else if Fault::BasicInsideTls.fits(self.model) {
            (BASIC_NOW, options(self.model, |o| o.faults = vec![Fault::BasicInsideTls]))
        } else {
            return;
        };
        let which = self.name(scene);
        let options = Options { shows: self.camera.shown().pop(), ..options };
        let thief = self.camera.replace(options).await.unwrap();
        assert_eq!(thief.state().served_leaf(), self.camera.state().served_leaf(), "{which}");
        // Otherwise there is nothing to say to it.
        let asks = Order { enable_http: true, ..order(&self.target()) };
        let outcome = secure(&self.fleet, &asks, &which).await;
        self.cells.push((scene, refused(&thief, &outcome, &which)));
        thief.unplug().await;
        self.is_back().await;
    }

    /// The operator compared the fingerprint: the password goes to whoever has that key, and then it is another camera.
    async fn confirmed(&mut self) {
        if !self.tells_number() {
            return;
        }
        let which = self.name(CONFIRMED);
        let other = options(self.model, |o| o.serial = Some(OTHER_NUMBER.to_owned()));
        let impostor = self.camera.replace(other).await.unwrap();
        let shown = Certificate::from_der(impostor.state().served_leaf().unwrap()).unwrap();
        let confirmed = Order { fingerprint: Some(shown.sha256()), ..order(&self.target()) };
        let outcome = secure(&self.fleet, &confirmed, &which).await;
        let given = impostor.state().given;
        assert_eq!((given.private_keys, given.certificates), (0, 0), "{which}");
        assert_eq!(self.only_row().await.serial, self.first.serial, "{which}");
        self.cells.push((CONFIRMED, format!("the password ({})", code(&outcome))));
        impostor.unplug().await;
        self.is_back().await;
    }

    /// An enrolment failed after the user was let in. Nobody can know the device by a key, but how it asked it stays.
    async fn weaker(&mut self) -> Option<Camera> {
        // Bosch asks for Basic first, whatever it asks for afterwards.
        if !Fault::Sha256Digest.fits(self.model) || self.model == Model::Bosch {
            return None;
        }
        let which = self.name(WEAKER);
        let is_inside = self.model.comes_with_https();
        let strong = options(self.model, |o| {
            o.faults = vec![Fault::Sha256Digest, Fault::DropsUpload];
            o.factory_certificate = is_inside;
        });
        let camera = Camera::start(strong).await.unwrap();
        let order = order(&camera.url());
        let failed = secure(&self.fleet, &order, &which).await;
        assert_eq!(code(&failed), "connection-lost", "{which}");
        let weak = options(self.model, |o| o.factory_certificate = is_inside);
        let impostor = camera.replace(weak).await.unwrap();
        let outcome = secure(&self.fleet, &order, &which).await;
        self.cells.push((WEAKER, refused(&impostor, &outcome, &which)));
        Some(impostor)
    }

    /// A stranger that `find` noted, and nobody named.
    async fn found(&mut self) -> Camera {
        let which = self.name(FOUND);
        let stranger = Camera::start(options(self.model, |_| ())).await.unwrap();
        let (host, url): (AltName, _) = ("127.0.0.1".parse().unwrap(), stranger.url());
        let port = url.rsplit(':').next().unwrap().parse().unwrap();
        let noted = NewDevice {
            id: None,
            host: &host,
            port,
            name: "found",
            model: None,
            told: None,
            mac: None,
            driver: self.model.name(),
            makes_key: false,
            https_port: Some(stranger.https_address().port()),
            accepted: false,
            first_verdict: Verdict::NotSecure,
            first_finding: None,
        };
        let id = self.fleet.store.save_device(&noted).await.unwrap();
        let due = self.fleet.due().await.unwrap();
        assert!(due.devices.iter().all(|row| row.id != id), "{which}");
        assert!(due.strange.iter().any(|row| row.id == id), "{which}");
        let unnamed = Order { named: false, ..order(&url) };
        let outcome = secure(&self.fleet, &unnamed, &which).await;
        let said = refused(&stranger, &outcome, &which);
        let row = self.fleet.store.device(id).await.unwrap().unwrap();
        assert!(!row.accepted && row.serial.is_none(), "{which}");
        self.cells.push((FOUND, said));
        stranger
    }

    /// Over plain HTTP it asks for Digest. Inside the TLS of the throw-away certificate it would have the password.
    async fn basic_later(&mut self) -> Option<Camera> {
        if self.model.comes_with_https() || self.model.makes_key() {
            return None;
        }
        let which = self.name(BASIC_LATER);
        let plain = options(self.model, |o| {
            (o.factory_certificate, o.faults) = (false, vec![Fault::BasicInsideTls]);
        });
        let impostor = Camera::start(plain).await.unwrap();
        let order =
            Order { consent: Consents { readable: false, ..Consents::ALL }, ..order(&impostor.http_url()) };
        let outcome = secure(&self.fleet, &order, &which).await;
        let State { given, requests, .. } = impostor.state();
        // The key of the throw-away certificate stands for nothing; the authority signed nothing.
        let throw_away = Given { digest: given.digest, private_keys: 1, certificates: 1, ..Given::default() };
        assert_eq!(given, throw_away, "{which}");
        assert!(requests.iter().all(|request| !request.tls || !request.authenticated), "{which}");
        let (host, port) = ("127.0.0.1".parse().unwrap(), impostor.http_address().port());
        let row = self.fleet.store.device_at(&host, port).await.unwrap().unwrap();
        let signed = self.fleet.store.device_certificates(row.id).await.unwrap();
        assert!(signed.is_empty() && row.serial.is_none(), "{which}");
        self.cells.push((BASIC_LATER, format!("a Digest answer ({})", code(&outcome))));
        Some(impostor)
    }

    /// Met inside TLS, it takes the password only as it is.
    async fn readable(&mut self) -> Camera {
        let which = self.name(READABLE);
        let basic = Fault::BasicInsideTls;
        let options = options(self.model, |o| o.faults.extend(Some(basic).filter(|f| f.fits(o.model))));
        let impostor = Camera::start(options).await.unwrap();
        let order =
            Order { consent: Consents { readable: false, ..Consents::ALL }, ..order(&impostor.https_url()) };
        let outcome = secure(&self.fleet, &order, &which).await;
        self.cells.push((READABLE, refused(&impostor, &outcome, &which)));
        impostor
    }

    /// The operator says that a new device stands there: a first contact, in which row the number decides.
    async fn new_device(&mut self) {
        for (scene, number) in [(REPLACED, OTHER_NUMBER), (RESET, NUMBER)] {
            let which = self.name(scene);
            let other = options(self.model, |o| o.serial = Some(number.to_owned()));
            let other = self.camera.replace(other).await.unwrap();
            let order = Order { new_device: true, ..order(&self.target()) };
            let outcome = secure(&self.fleet, &order, &which).await;
            assert!(outcome.is_done(), "{which}: {:?}", outcome.error);
            let here = self.fleet.store.device_at(&self.row.host, self.row.port).await.unwrap().unwrap();
            assert_eq!((&here.serial, here.accepted), (&outcome.serial, true), "{which}");
            let is_same = here.id == self.row.id;
            assert_eq!(is_same, self.tells_number() && number == NUMBER, "{which}");
            if !is_same {
                let was = self.fleet.store.device(self.row.id).await.unwrap().unwrap();
                assert!(was.left_at.is_some() && was.serial == self.first.serial, "{which}");
            }
            self.cells.push((
                scene,
                if is_same { "enrolled, its row" } else { "enrolled, a row of its own" }.to_owned(),
            ));
            other.unplug().await;
            if is_same {
                // The key of before the reset is nobody's.
                self.camera.plug_in().await.unwrap();
                let old = secure(&self.fleet, &Order { new_device: false, ..order }, &which).await;
                assert_eq!(code(&old), "device-changed", "{which}");
            } else {
                // It is known by its key, whoever was there meanwhile.
                self.is_back().await;
            }
        }
    }
}

/// By its own log an impostor was given nothing. What the run ended with.
fn refused(impostor: &Camera, outcome: &Outcome, which: &str) -> String {
    let State { given, logins_refused, replays_refused, keys, .. } = impostor.state();
    assert_eq!(given, Given::default(), "{which}: {:?}", outcome.error);
    assert_eq!((logins_refused, replays_refused), (0, 0), "{which}");
    assert!(keys.iter().all(|key| key.status == "ok"), "{which}: {keys:?}");
    assert!(outcome.error.is_some() && outcome.serial.is_none(), "{which}");
    format!("nothing ({})", code(outcome))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_gets_nothing() {
    let mut running = JoinSet::new();
    for model in Model::value_variants().iter().copied() {
        running.spawn(async move {
            let mut scene = Scene::new(model).await;
            scene.where_it_was().await;
            scene.has_its_key().await;
            scene.confirmed().await;
            scene.new_device().await;
            // They live on, so that nobody else in this test gets their ports.
            let _weaker = scene.weaker().await;
            let _found = scene.found().await;
            let _basic = scene.basic_later().await;
            let _readable = scene.readable().await;
            let cell = |(scene, said): (&'static str, _)| ((scene.to_owned(), model.name()), said);
            scene.cells.into_iter().map(cell).collect::<Vec<_>>()
        });
    }
    let cells = running.join_all().await.into_iter().flatten().collect();
    compare("impostor", IMPOSTORS.iter().map(|name| (*name).to_owned()), &cells);
}
