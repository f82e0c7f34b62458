//! The inside of a camera: what its ports, its services and its web page share.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hyper::header;
use rcgen::{DistinguishedName, DnType};
use rustls::SupportedProtocolVersion;
use time::{Duration, OffsetDateTime};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::digest::{Guard, Login};
use crate::given::Given;
use crate::http::{self, Answer};
use crate::keys::{self, Algorithm, Contents, Pair};
use crate::kind::Kind;
use crate::options::{Fault, Options};
use crate::port::Port;
use crate::random;
use crate::shown::Shown;
use crate::state::{RequestSummary, State};
use crate::store::Store;
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

/// Answers whoever connects to a port, in TLS or not, until told to drain. What it answers is above the core.
pub(crate) type Serve =
    Box<dyn Fn(Arc<Core>, TcpListener, bool, watch::Receiver<bool>) -> JoinHandle<()> + Send + Sync>;

/// One camera.
pub(crate) struct Core {
    pub(crate) kind: &'static Kind,
    pub(crate) options: Options,
    /// Its serial number.
    pub(crate) serial: String,
    pub(crate) http: Arc<Port>,
    pub(crate) https: Arc<Port>,
    pub(crate) transcript: Option<Transcript>,
    /// True once the camera is being unplugged.
    pub(crate) stopping: watch::Sender<bool>,
    serve: Serve,
    live: Mutex<Live>,
    news: watch::Sender<State>,
    /// Held while ports are switched, so that two requests cannot switch the last one off together.
    switching: tokio::sync::Mutex<()>,
    /// Lets an answer go that was held back.
    pub(crate) let_go: Notify,
}

/// What changes while a camera runs.
pub(crate) struct Live {
    pub(crate) store: Box<dyn Store>,
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
    /// Makes a camera on these ports, HTTP and HTTPS, with the factory's certificate; nothing listens yet.
    pub(crate) fn new(
        [http, https]: [Arc<Port>; 2],
        kind: &'static Kind,
        store: Box<dyn Store>,
        serve: Serve,
        options: Options,
    ) -> io::Result<Self> {
        let transcript = options.transcript.as_deref().map(Transcript::create).transpose()?;
        let mut live = Live::new(kind, store, &options);
        let serial = options.serial.clone().unwrap_or_else(|| random::hex_token::<5>().to_uppercase());
        if starts_with_certificate(kind, &options) {
            let (certificate, pair) = factory(kind, &options, &serial).map_err(io::Error::other)?;
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
            // Certificates of the operator.
            loop {
                let (certificate, pair) = factory(kind, &options, "").map_err(io::Error::other)?;
                if !live.store.take(certificate, &pair) {
                    break;
                }
            }
        }
        Ok(Core {
            kind,
            serial,
            http,
            https,
            transcript,
            stopping: watch::Sender::new(false),
            serve,
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

    /// The challenge that goes with a 401.
    pub(crate) fn challenge(&self, login: Login, answer: &mut Answer) {
        let challenge = self.change(|live| live.guard.challenge(login == Login::Stale, Instant::now()));
        http::set(answer, header::WWW_AUTHENTICATE, &challenge);
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
        port.open(|listener, drained| (self.serve)(core, listener, tls, drained)).await
    }
}

impl Live {
    fn new(kind: &Kind, store: Box<dyn Store>, options: &Options) -> Live {
        let uses = if options.has(Fault::ShortNonces) { SHORT_NONCE_USES } else { NONCE_USES };
        let mut guard =
            Guard::new(kind.realm, &options.user, &options.password, uses, options.has(Fault::Locks));
        guard.open = options.has(Fault::NoPassword);
        guard.sha256 = options.has(Fault::Sha256Digest);
        Live {
            store,
            guard,
            clock_offset: clock_offset(options),
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
        }
    }

    /// The store, as the dialect knows it that made it.
    pub(crate) fn store<S: Store>(&self) -> Option<&S> {
        (&*self.store as &dyn Any).downcast_ref()
    }

    /// The same, to change it.
    pub(crate) fn store_mut<S: Store>(&mut self) -> Option<&mut S> {
        (&mut *self.store as &mut dyn Any).downcast_mut()
    }

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
        State {
            http_on: self.http_on,
            https_on: self.https_on,
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
            ..self.store.picture()
        }
    }
}

/// Whether it starts with a certificate of its own and HTTPS on.
fn starts_with_certificate(kind: &Kind, options: &Options) -> bool {
    let needing = [Fault::CsrKillsKey, Fault::ServesOldCertificate, Fault::ServesOldForAWhile];
    !options.https_off
        && (options.factory_certificate
            || options.shows.is_some()
            || kind.comes_with_https
            || needing.into_iter().any(|fault| options.has(fault)))
}

/// How far the clock is off when the camera starts.
fn clock_offset(options: &Options) -> Duration {
    if options.has(Fault::WrongClock) { -CLOCK_BEHIND } else { Duration::ZERO }
}

/// The certificate a camera leaves the factory with: no SAN, ten years; by itself with a name for people, or by its maker
/// with its serial number.
fn factory(kind: &Kind, options: &Options, serial: &str) -> Result<(Vec<u8>, Pair), rcgen::Error> {
    let pair = Pair::generate(Algorithm::P256)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "Simulated Cameras");
    match &options.maker {
        Some(_) => subject.push(DnType::CommonName, format!("{}-{serial}", kind.name)),
        None => subject.push(DnType::CommonName, options.name.as_str()),
    }
    let contents = Contents { subject, extensions: Vec::new() };
    let now = OffsetDateTime::now_utc() + clock_offset(options);
    let validity = (now - Duration::days(1), now + Duration::days(3650));
    let maker = options.maker.as_deref();
    let certificate = keys::certificate(&pair, &rcgen::PKCS_ECDSA_P256_SHA256, contents, validity, maker)?;
    Ok((certificate, pair))
}
