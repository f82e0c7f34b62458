//! The inside of a camera: what its ports, its services and its web page share.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{DistinguishedName, DnType};
use rustls::SupportedProtocolVersion;
use time::{Duration, OffsetDateTime};
use tokio::sync::{Notify, watch};

use crate::device_certificates::DeviceCertificates;
use crate::digest::Guard;
use crate::given::Given;
use crate::keys::{self, Algorithm, Contents, Pair};
use crate::keystore::Keystore;
use crate::options::{Fault, Model, Options};
use crate::pem_file::Installed;
use crate::port::Port;
use crate::random;
use crate::server;
use crate::shown::Shown;
use crate::state::{CertificateSummary, RequestSummary, State};
use crate::tls::Served;
use crate::transcript::Transcript;

/// Requests one nonce is good for.
const NONCE_USES: u32 = 1000;
/// The same with [`Fault::ShortNonces`].
const SHORT_NONCE_USES: u32 = 3;
/// How far a wrong clock is behind.
const CLOCK_BEHIND: Duration = Duration::days(20);
/// How far local time is behind UTC where it is told as UTC.
const LOCAL_TIME: Duration = Duration::hours(5);
/// How long a camera that starts again is away.
const AWAY: std::time::Duration = std::time::Duration::from_secs(1);
/// How long the old certificate is served with [`Fault::ServesOldForAWhile`].
const A_WHILE: std::time::Duration = std::time::Duration::from_secs(2);

/// One camera.
pub(crate) struct Core {
    pub(crate) options: Options,
    /// Its serial number.
    pub(crate) serial: String,
    pub(crate) http: Arc<Port>,
    pub(crate) https: Arc<Port>,
    pub(crate) transcript: Option<Transcript>,
    /// True once the camera is being unplugged.
    pub(crate) stopping: watch::Sender<bool>,
    live: Mutex<Live>,
    news: watch::Sender<State>,
    /// Held while ports are switched, so that two requests cannot switch the last one off together.
    switching: tokio::sync::Mutex<()>,
    /// Lets an answer go that was held back.
    pub(crate) let_go: Notify,
}

/// What changes while a camera runs.
pub(crate) struct Live {
    pub(crate) store: Store,
    pub(crate) guard: Guard,
    /// The camera's clock minus the true time.
    pub(crate) clock_offset: Duration,
    pub(crate) http_on: bool,
    pub(crate) https_on: bool,
    pub(crate) served: Option<Arc<Served>>,
    /// All that was to be served so far, in order.
    pub(crate) shown: Vec<Shown>,
    /// The versions of TLS that are on.
    pub(crate) tls: Vec<&'static SupportedProtocolVersion>,
    /// The time server that it follows.
    pub(crate) time_server: Option<String>,
    pub(crate) uploads_dropped: u32,
    pub(crate) restarts: u32,
    /// The operation or path whose next answer is to be held back.
    pub(crate) hold: Option<String>,
    pub(crate) answers_held: u32,
    pub(crate) requests: VecDeque<RequestSummary>,
    pub(crate) given: Given,
    /// [`Fault::ServesOldCertificate`]: what is served stays what it was.
    pinned: bool,
}

/// Where each model keeps its certificates.
pub(crate) enum Store {
    Security(Keystore),
    Device(DeviceCertificates),
    Page(Option<Installed>),
    #[cfg(feature = "makers")]
    Axis(crate::makers::axis::Certificates),
    #[cfg(feature = "makers")]
    Maker(crate::makers::Place),
    #[cfg(feature = "makers")]
    Synology(crate::makers::synology::Shelf),
}

/// Why a port was not switched.
#[derive(Debug)]
pub(crate) enum SwitchRefusal {
    /// HTTPS needs a certificate first.
    NoCertificate,
    /// [`Fault::HttpsRefused`].
    Refused,
    /// Nobody could reach the camera any more.
    LastDoor,
    /// Another program has the port.
    PortTaken,
}

impl Core {
    /// Takes both ports and makes the factory's certificate; nothing listens yet.
    pub(crate) fn new(options: Options) -> io::Result<Self> {
        let port = |number| Port::reserve(SocketAddr::new(options.bind, number)).map(Arc::new);
        let ports = [port(options.http_port)?, port(options.https_port)?];
        Core::on(ports, options)
    }

    /// The same on these ports, HTTP and HTTPS.
    pub(crate) fn on([http, https]: [Arc<Port>; 2], options: Options) -> io::Result<Self> {
        if let Some(fault) = options.faults.iter().find(|fault| !fault.fits(options.model)) {
            let reason =
                format!("a camera of the kind {} cannot have the fault {}", options.model, fault.name());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let transcript = options.transcript.as_deref().map(Transcript::create).transpose()?;
        let uses = if options.has(Fault::ShortNonces) { SHORT_NONCE_USES } else { NONCE_USES };
        let mut guard = Guard::new(
            options.model.realm(),
            &options.user,
            &options.password,
            uses,
            options.has(Fault::Locks),
        );
        guard.open = options.has(Fault::NoPassword);
        guard.sha256 = options.has(Fault::Sha256Digest);
        let store = match options.model {
            Model::OnvifSecurity => Store::Security(Keystore::default()),
            Model::OnvifDevice => Store::Device(DeviceCertificates::default()),
            Model::PemPage => Store::Page(None),
            #[cfg(feature = "makers")]
            Model::Axis => Store::Axis(crate::makers::axis::Certificates::default()),
            #[cfg(feature = "makers")]
            Model::Bosch | Model::Hanwha => Store::Device(DeviceCertificates::default()),
            #[cfg(feature = "makers")]
            Model::FormPage | Model::Mobotix | Model::Reolink | Model::Uniview => {
                Store::Maker(crate::makers::Place::default())
            }
            #[cfg(feature = "makers")]
            Model::Synology => Store::Synology(crate::makers::synology::Shelf::default()),
        };
        let serial = options.serial.clone().unwrap_or_else(|| random::hex_token::<5>().to_uppercase());
        let mut live = Live {
            store,
            guard,
            clock_offset: clock_offset(&options),
            http_on: false,
            https_on: false,
            served: None,
            shown: Vec::new(),
            tls: rustls::ALL_VERSIONS.to_vec(),
            time_server: None,
            uploads_dropped: 0,
            restarts: 0,
            hold: None,
            answers_held: 0,
            requests: VecDeque::new(),
            given: Given::default(),
            pinned: false,
        };
        if options.starts_with_certificate() {
            let (certificate, pair) = factory(&options, &serial).map_err(io::Error::other)?;
            live.store.install_factory(certificate, pair);
            live.refresh();
            if let Some(shown) = &options.shows {
                live.served = Some(Arc::new(shown.served().map_err(io::Error::other)?));
            }
            live.pinned = options.shows.is_some()
                || options.has(Fault::ServesOldCertificate)
                || options.has(Fault::ServesOldForAWhile);
        }
        if options.has(Fault::FullStore) {
            live.store.fill(&options).map_err(io::Error::other)?;
        }
        Ok(Core {
            serial,
            http,
            https,
            transcript,
            stopping: watch::Sender::new(false),
            news: watch::Sender::new(live.picture()),
            live: Mutex::new(live),
            switching: tokio::sync::Mutex::new(()),
            let_go: Notify::new(),
            options,
        })
    }

    /// Opens the ports as the factory set them.
    pub(crate) async fn start(self: &Arc<Self>) -> io::Result<()> {
        // From the factory, so not refused by the fault that refuses to switch HTTPS on.
        self.change(|live| (live.http_on, live.https_on) = (true, live.served.is_some()));
        self.plug_in().await
    }

    /// Opens the ports that are on.
    pub(crate) async fn plug_in(self: &Arc<Self>) -> io::Result<()> {
        let (http, https) = self.look(|live| (live.http_on, live.https_on));
        if http {
            self.open(&self.http, false).await?;
        }
        if https {
            self.open(&self.https, true).await?;
        }
        Ok(())
    }

    /// Closes both ports and keeps their numbers; the camera stays as it is.
    pub(crate) async fn unplug(&self) {
        self.http.close().await;
        self.https.close().await;
    }

    /// The camera's own idea of the time.
    pub(crate) fn clock(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc() + self.look(|live| live.clock_offset)
    }

    /// The time that it tells as UTC.
    pub(crate) fn told_time(&self) -> OffsetDateTime {
        self.clock() - self.told_as()
    }

    /// Sets the clock to what was told as UTC.
    pub(crate) fn set_clock(&self, utc: OffsetDateTime) {
        let offset = utc + self.told_as() - OffsetDateTime::now_utc();
        self.change(|live| live.clock_offset = offset);
    }

    fn told_as(&self) -> Duration {
        if self.options.has(Fault::LocalTimeAsUtc) { LOCAL_TIME } else { Duration::ZERO }
    }

    /// Whether it takes keys of this kind.
    pub(crate) fn takes(&self, pair: &Pair) -> bool {
        !self.options.has(Fault::RsaOnly) || pair.can_sign(&rcgen::PKCS_RSA_SHA256)
    }

    /// Looks at what changes.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Live) -> R) -> R {
        look(&self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes something, and tells whoever waits for it.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Live) -> R) -> R {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut live);
        live.refresh();
        // Still under the lock: a later picture must not be overtaken by an earlier one.
        self.news.send_replace(live.picture());
        result
    }

    /// The pictures as they come.
    pub(crate) fn news(&self) -> watch::Receiver<State> {
        self.news.subscribe()
    }

    /// What is assigned is served from now on, if it is late with that.
    pub(crate) fn serve_later(self: &Arc<Self>) {
        if self.options.has(Fault::ServesOldForAWhile) {
            let core = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(A_WHILE).await;
                core.change(|live| live.pinned = false);
            });
        }
    }

    /// Starts again: away on both ports for a moment, then as it was.
    pub(crate) fn reboot(self: &Arc<Self>) {
        let core = Arc::clone(self);
        tokio::spawn(async move {
            let _alone = core.switching.lock().await;
            core.unplug().await;
            tokio::time::sleep(AWAY).await;
            // A port that another program took meanwhile is gone, as it would be after any restart.
            let _ = core.plug_in().await;
        });
    }

    /// Remembers a request.
    pub(crate) fn note(&self, request: RequestSummary) {
        self.change(|live| {
            if live.requests.len() >= State::REQUESTS {
                live.requests.pop_front();
            }
            live.requests.push_back(request);
        });
    }

    /// Waits, if this operation's answer is to be held back, until it may go.
    pub(crate) async fn hold_back(&self, operation: &str) {
        // Made before the test can see that the answer is held, so that it is never let go unheard.
        let let_go = self.let_go.notified();
        let is_held = self.change(|live| {
            let is_held = live.hold.take_if(|hold| hold == operation).is_some();
            live.answers_held += u32::from(is_held);
            is_held
        });
        if is_held {
            let_go.await;
        }
    }

    /// Switches ports on and off for real; what is `None` stays. On comes before off, so the camera stays reachable.
    pub(crate) async fn switch(
        self: &Arc<Self>,
        http: Option<bool>,
        https: Option<bool>,
    ) -> Result<(), SwitchRefusal> {
        let _alone = self.switching.lock().await;
        let (http_was, https_was, ready) =
            self.look(|live| (live.http_on, live.https_on, live.served.is_some()));
        let (http, https) = (http.unwrap_or(http_was), https.unwrap_or(https_was));
        if !http && !https {
            return Err(SwitchRefusal::LastDoor);
        }
        let pretends = https && !https_was && self.options.has(Fault::HttpsPretended);
        if pretends && ready {
            return Ok(());
        }
        if https && !https_was {
            if self.options.has(Fault::HttpsRefused) {
                return Err(SwitchRefusal::Refused);
            }
            if !ready {
                return Err(SwitchRefusal::NoCertificate);
            }
        }
        if http {
            self.open(&self.http, false).await.map_err(|_| SwitchRefusal::PortTaken)?;
        }
        if https {
            self.open(&self.https, true).await.map_err(|_| SwitchRefusal::PortTaken)?;
        }
        if !http {
            self.http.close().await;
        }
        if !https {
            self.https.close().await;
        }
        self.change(|live| (live.http_on, live.https_on) = (http, https));
        Ok(())
    }

    /// Starts again, once the answer under way is out: every port is closed for so long, and `meanwhile` happens.
    #[cfg(feature = "makers")]
    pub(crate) fn restart(
        self: &Arc<Self>,
        away: std::time::Duration,
        meanwhile: impl FnOnce(&mut Live) + Send + 'static,
    ) {
        let core = Arc::clone(self);
        tokio::spawn(async move {
            let _alone = core.switching.lock().await;
            let (http, https) = core.look(|live| (live.http_on, live.https_on));
            core.http.close().await;
            core.https.close().await;
            core.change(|live| {
                (live.http_on, live.https_on) = (false, false);
                live.restarts += 1;
                meanwhile(live);
            });
            tokio::time::sleep(away).await;
            if *core.stopping.borrow() {
                return;
            }
            // A port that another program took meanwhile stays closed, as the state says.
            let http = http && core.open(&core.http, false).await.is_ok();
            let https = https && core.open(&core.https, true).await.is_ok();
            core.change(|live| (live.http_on, live.https_on) = (http, https));
        });
    }

    async fn open(self: &Arc<Self>, port: &Port, tls: bool) -> io::Result<()> {
        let core = Arc::clone(self);
        port.open(|listener, drained| tokio::spawn(server::accept(core, listener, tls, drained))).await
    }
}

impl Live {
    /// Makes what is served what is assigned.
    pub(crate) fn refresh(&mut self) {
        let identity = self.store.identity();
        if let Some((chain, pair)) = &identity
            && self.shown.last().is_none_or(|last| last.chain != *chain)
        {
            self.shown.push(Shown::with_key(chain.clone(), (*pair).clone()));
        }
        if self.pinned {
            return;
        }
        let chain = identity.as_ref().map(|(chain, _)| chain);
        if chain != self.served.as_ref().map(|served| &served.chain) {
            // A key that TLS cannot use leaves nothing to serve: the handshake fails, as it would on a camera.
            let served = identity.and_then(|(chain, pair)| Served::new(chain, pair, &self.tls).ok());
            self.served = served.map(Arc::new);
        }
    }

    fn picture(&self) -> State {
        let (keys, certificates, paths) = match &self.store {
            Store::Security(keystore) => keystore.summaries(),
            Store::Device(store) => (store.keys(), store.summaries(), Vec::new()),
            #[cfg(feature = "makers")]
            Store::Axis(store) => (Vec::new(), store.summaries(), Vec::new()),
            Store::Page(installed) => {
                let chain = installed.iter().flat_map(|installed| installed.chain.iter());
                let summary = |der: &Vec<u8>| CertificateSummary { id: "page".to_owned(), der: der.clone() };
                (Vec::new(), chain.map(summary).collect(), Vec::new())
            }
            #[cfg(feature = "makers")]
            Store::Maker(place) => (Vec::new(), place.summaries(), Vec::new()),
            #[cfg(feature = "makers")]
            Store::Synology(shelf) => (Vec::new(), shelf.summaries(), Vec::new()),
        };
        State {
            http_on: self.http_on,
            https_on: self.https_on,
            keys,
            certificates,
            paths,
            assigned: self.store.assigned(),
            served_chain: self.served.as_ref().map(|served| served.chain.clone()).unwrap_or_default(),
            logins_refused: self.guard.logins_refused,
            replays_refused: self.guard.replays_refused,
            basic_credentials: self.guard.basic_credentials,
            account_locked: self.guard.locked(),
            uploads_dropped: self.uploads_dropped,
            restarts: self.restarts,
            answers_held: self.answers_held,
            given: self.given,
            requests: self.requests.iter().cloned().collect(),
        }
    }
}

impl Store {
    fn identity(&self) -> Option<(Vec<Vec<u8>>, &Pair)> {
        match self {
            Store::Security(keystore) => keystore.identity(),
            Store::Device(store) => store.identity(),
            #[cfg(feature = "makers")]
            Store::Axis(store) => store.identity(),
            Store::Page(installed) => {
                installed.as_ref().map(|installed| (installed.chain.clone(), &installed.pair))
            }
            #[cfg(feature = "makers")]
            Store::Maker(place) => place.identity(),
            #[cfg(feature = "makers")]
            Store::Synology(shelf) => shelf.identity(),
        }
    }

    fn assigned(&self) -> Vec<String> {
        match self {
            Store::Security(keystore) => keystore.assigned.clone(),
            Store::Device(store) => store.enabled(),
            #[cfg(feature = "makers")]
            Store::Axis(store) => store.in_use.clone(),
            Store::Page(installed) => installed.iter().map(|_| "page".to_owned()).collect(),
            #[cfg(feature = "makers")]
            Store::Maker(place) => place.summaries().into_iter().take(1).map(|shown| shown.id).collect(),
            #[cfg(feature = "makers")]
            Store::Synology(shelf) => shelf.assigned(),
        }
    }

    /// Certificates of the operator, until there is no room for one more.
    fn fill(&mut self, options: &Options) -> Result<(), rcgen::Error> {
        loop {
            let (certificate, pair) = factory(options, "")?;
            let is_full = match self {
                Store::Security(keystore) => {
                    keystore.add_certificate(certificate, None, None, false).is_err()
                }
                Store::Device(store) => store.load(None, certificate, pair.private.secret_der()).is_err(),
                _ => true,
            };
            if is_full {
                return Ok(());
            }
        }
    }

    /// An empty store has room for it, so nothing can refuse it.
    fn install_factory(&mut self, certificate: Vec<u8>, pair: Pair) {
        match self {
            Store::Security(keystore) => {
                let _ = keystore.install_factory(certificate, pair);
            }
            Store::Device(store) => store.install_factory(certificate, pair),
            #[cfg(feature = "makers")]
            Store::Axis(store) => store.install_factory(certificate, pair),
            Store::Page(installed) => *installed = Some(Installed { chain: vec![certificate], pair }),
            #[cfg(feature = "makers")]
            Store::Maker(place) => place.factory = Some(Installed { chain: vec![certificate], pair }),
            #[cfg(feature = "makers")]
            Store::Synology(shelf) => shelf.install_factory(certificate, pair),
        }
    }
}

/// How far the clock is off when the camera starts.
fn clock_offset(options: &Options) -> Duration {
    if options.has(Fault::WrongClock) { -CLOCK_BEHIND } else { Duration::ZERO }
}

/// The certificate a camera leaves the factory with: no SAN, ten years; by itself with a name for people, or by its maker
/// with its serial number.
fn factory(options: &Options, serial: &str) -> Result<(Vec<u8>, Pair), rcgen::Error> {
    let pair = Pair::generate(Algorithm::P256)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Simulated Cameras");
    match &options.maker {
        Some(_) => subject.push(DnType::CommonName, format!("{}-{serial}", options.model)),
        None => subject.push(DnType::CommonName, options.name.as_str()),
    }
    let contents = Contents { subject, extensions: Vec::new() };
    let now = OffsetDateTime::now_utc() + clock_offset(options);
    let validity = (now - Duration::days(1), now + Duration::days(3650));
    let maker = options.maker.as_deref();
    let certificate = keys::certificate(&pair, &rcgen::PKCS_ECDSA_P256_SHA256, contents, validity, maker)?;
    Ok((certificate, pair))
}
