//! Finding devices: who gives a sign of life, what a browser says of it, which driver speaks to it, and which device of the
//! ledger it is. Nothing of it needs an authority.

use std::{collections::BTreeSet, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use authority::Public;
use devices::{
    Abilities, Admission, Credentials, DeviceInfo, Endpoint, PublicKeyPin, Recipes, Recognised,
    discovery::{self, By, neighbours},
};
use domain::{AltName, Clock, Finding, Report, Scheme, Target, Verdict};
use inspect::Options;
use serde::Serialize;
use serde_json::Value;
use store::{NewDevice, Store};
use tokio::{sync::Semaphore, sync::mpsc, task::JoinSet};

use crate::{
    Error,
    contact::{tls_unusable, why_unusable},
    sightings::{Sighted, Sightings},
    visit::{Stranger, who_is},
};

/// How long to listen: WS-Discovery lets a device wait half a second before it answers, cameras take longer.
const LISTEN: Duration = Duration::from_secs(4);
/// Time for a port on a network of one's own.
const CONNECT: Duration = Duration::from_secs(1);
/// Devices that are asked at once who they are.
const AT_ONCE: usize = 32;

/// What is looked for, and with what.
pub struct Search {
    /// The ledger, if there is one: it says who is known, and keeps who is met.
    pub store: Option<Store>,
    /// The recipes to recognise devices by.
    pub recipes: Recipes,
    /// Listen for what announces itself, and look around at what is near.
    pub listens: bool,
    /// Addresses that are asked one by one.
    pub ranges: BTreeSet<Ipv4Addr>,
    /// What the operator named: shown whatever it is.
    pub named: Vec<Target>,
    /// As whom to ask devices for what they tell only to their users.
    pub user: Option<User>,
}

/// What a search has to tell while it goes on.
pub enum Progress<'a> {
    /// So many devices were heard of.
    Heard(usize),
    /// So many of so many addresses were asked.
    Asked(usize, usize),
    /// So many of so many devices were asked who they are, the last one this.
    Met(usize, usize, &'a Met),
}

/// Who was met.
pub struct Found {
    /// Each device once, in order of their addresses.
    pub devices: Vec<Met>,
    /// There was a network to listen in.
    pub has_network: bool,
    /// Somebody was listened for, and nobody announced itself.
    pub is_silent: bool,
    /// Why some of them could not be noted.
    pub not_noted: Option<Error>,
}

/// Writes what a device sees; a failure is a code with its arguments.
pub type KeepPicture = Box<dyn Fn(&AltName, u16, &[u8]) -> Result<PathBuf, Value> + Send + Sync>;

/// A user of the devices, and where their pictures go.
pub struct User {
    /// Given to each device that may be signed in to.
    pub credentials: Credentials,
    /// What keeps their pictures, if they are wanted.
    pub keep: Option<KeepPicture>,
}

/// What a device tells this user.
#[derive(Default)]
pub struct Known {
    /// Who made it.
    pub device: DeviceInfo,
    /// The file with what it sees.
    pub picture: Option<PathBuf>,
    /// The driver with its abilities and the device's clock minus ours, as it tells its users.
    spoken: Option<(String, Abilities, Option<time::Duration>)>,
    /// Why there is not more, as a code with its arguments.
    pub failed: Option<Value>,
}

/// A device that was asked who it is.
pub struct Met {
    /// What was seen of it before.
    pub seen: Sighted,
    /// Where it was spoken to.
    pub host: AltName,
    /// The port there.
    pub port: u16,
    /// The driver that speaks to it, if there is one.
    pub driver: Option<Spoken>,
    /// Why no driver speaks to it, as a code with its arguments.
    pub no_driver: Option<Value>,
    /// Where its HTTPS was seen, and the key there.
    pub https: Option<(u16, PublicKeyPin)>,
    /// Which device of the ledger it is, if there is a ledger.
    pub who: Option<Stranger>,
    /// Why it is not the device that the ledger expects there, as a code with its arguments.
    pub changed: Option<Value>,
    /// What a browser says of it.
    pub report: Report,
}

/// What is known of a device that a driver speaks to.
pub struct Spoken {
    /// The driver's name.
    pub driver: String,
    /// What it can do for this device.
    pub abilities: Abilities,
    /// Its clock minus ours, if it tells.
    pub clock_offset: Option<time::Duration>,
    /// What it tells a user, if there is one.
    pub known: Known,
}

impl Search {
    /// Searches. `tell` is told how it goes on, and must not block.
    ///
    /// # Errors
    ///
    /// This computer's interfaces cannot be read, or the ledger cannot.
    pub async fn run(self, tell: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Result<Found, Error> {
        let tell: Tell = Arc::new(tell);
        let Search { store, recipes, listens, mut ranges, named, user } = self;
        let clock = store.as_ref().map_or_else(Clock::system, |store| store.clock().clone());
        let mut devices = Sightings::default();
        let mut has_network = true;
        if listens {
            // Whoever this computer spoke to lately is near.
            ranges.extend(neighbours().into_keys());
            has_network = listen(&mut devices, &tell).await?;
            // Whoever answered may have more pages than it said.
            ranges.extend(devices.addresses());
        }
        sweep(&mut devices, ranges.into_iter().collect(), &tell).await?;
        devices.join(&neighbours());
        devices.name(named);
        let roots = match &store {
            Some(store) => Public::read(store).await.map(|public| public.roots()).unwrap_or_default(),
            None => Vec::new(),
        };
        let options = Options {
            connect: CONNECT * 2,
            answer: Duration::from_secs(5),
            ..Options::trusting(roots, clock.now())
        };
        if let Some(store) = &store {
            devices.remember(store).await?;
        }
        let mut not_noted = None;
        let mut met = one_each(meet_all(devices, &options, recipes, user, store.as_ref(), &tell).await?);
        if let Some(store) = &store {
            for device in &mut met {
                // All were met at once, and one that moved perhaps later than whoever has its place.
                if let Some(who) = &mut device.who
                    && who.is_somebody_else(store, &device.host).await?
                {
                    device.changed = None;
                }
                // What was seen is not lost for a ledger that takes nothing.
                not_noted = keep(store, device).await.err().or(not_noted);
            }
        }
        let is_silent = listens && !met.iter().any(|device| device.seen.by.iter().any(|by| *by != By::Port));
        Ok(Found { devices: met, has_network, is_silent, not_noted })
    }
}

type Tell = Arc<dyn Fn(Progress<'_>) + Send + Sync>;

/// Whether there was a network to listen in.
async fn listen(devices: &mut Sightings, tell: &Tell) -> Result<bool, Error> {
    let (to, mut seen) = mpsc::channel(100);
    let listening = tokio::spawn(async move { discovery::listen(LISTEN, &to).await });
    while let Some(sighting) = seen.recv().await {
        devices.add(sighting);
        tell(Progress::Heard(devices.0.len()));
    }
    match listening.await {
        Ok(Ok(interfaces)) => Ok(interfaces > 0),
        Ok(Err(e)) => Err(Error::NoInterfaces { reason: e.to_string() }),
        Err(_) => Ok(false),
    }
}

async fn sweep(devices: &mut Sightings, addresses: Vec<Ipv4Addr>, tell: &Tell) -> Result<(), Error> {
    if addresses.is_empty() {
        return Ok(());
    }
    let count = addresses.len();
    let (to, mut seen) = mpsc::channel(100);
    let tell = tell.clone();
    let sweeping = tokio::spawn(async move {
        let told = |done| tell(Progress::Asked(done, count));
        discovery::sweep(addresses, CONNECT, &to, told).await
    });
    while let Some(sighting) = seen.recv().await {
        devices.add(sighting);
    }
    match sweeping.await {
        Ok(Err(e)) => Err(Error::NoInterfaces { reason: e.to_string() }),
        _ => Ok(()),
    }
}

/// Asks all of them, some at once; told as they come, in order of their addresses at the end.
async fn meet_all(
    devices: Sightings,
    options: &Options,
    recipes: Recipes,
    user: Option<User>,
    store: Option<&Store>,
    tell: &Tell,
) -> Result<Vec<Met>, Error> {
    let (recipes, user) = (Arc::new(recipes), Arc::new(user));
    let count = devices.0.len();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for seen in devices.0 {
        let (places, options, store) = (places.clone(), options.clone(), store.cloned());
        let (recipes, user) = (recipes.clone(), user.clone());
        running.spawn(async move {
            let _place = places.acquire().await;
            meet(seen, &options, &recipes, user.as_ref().as_ref(), store.as_ref()).await
        });
    }
    let mut met = Vec::new();
    while let Some(ended) = running.join_next().await {
        let Ok(ended) = ended else { continue };
        let Some(device) = ended? else { continue };
        tell(Progress::Met(met.len() + 1, count, &device));
        met.push(device);
    }
    met.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
    Ok(met)
}

/// What a device answers to a stranger, on all of its ports.
struct Answers {
    /// What a browser says of it.
    report: Report,
    /// Where a driver speaks to it.
    spoken: Option<(Endpoint, Recognised)>,
    /// Why none does, as a code with its arguments.
    no_driver: Option<Value>,
    /// Where its HTTPS is, and what it shows there.
    tls: Option<(u16, Report)>,
    /// Ports where somebody refuses to speak TLS.
    refused: Vec<u16>,
}

impl Answers {
    async fn of(
        seen: &Sighted,
        host: &AltName,
        ports: &[u16],
        (options, limits, clock): (&Options, &devices::Limits, &Clock),
        recipes: &Recipes,
        has_user: bool,
    ) -> Answers {
        let whole = seen.target.clone().unwrap_or_else(|| whole(host, &seen.ports));
        let report = inspect::check(&whole, options).await;
        let mut all = Answers { report, spoken: None, no_driver: None, tls: None, refused: Vec::new() };
        for port in ports.iter().copied() {
            let target = Target {
                text: format!("{}:{port}", host.plain()),
                host: host.clone(),
                port: Some(port),
                scheme: None,
            };
            let here = inspect::check(&target, options).await;
            let is_better = all.report.verdict == Verdict::Unreachable
                || (here.leaf.is_some() && all.report.leaf.is_none());
            let pin = here.leaf.as_deref().and_then(PublicKeyPin::of_certificate);
            let answers = here.verdict != Verdict::Unreachable;
            let tls_unusable = why_unusable(&here).map(|_| tls_unusable(&target, &here));
            if matches!(
                here.findings.first(),
                Some(Finding::ConnectionRefused { .. } | Finding::NotTls { .. } | Finding::PlainHttp { .. })
            ) {
                all.refused.push(port);
            }
            if pin.is_some() && all.tls.is_none() {
                all.tls = Some((port, here.clone()));
            }
            if is_better && seen.target.is_none() {
                all.report = here;
            }
            if all.spoken.is_some() {
                continue;
            }
            let endpoint = Endpoint { host: host.clone(), port, pin };
            match devices::recognise(&endpoint, limits, recipes, clock).await {
                Ok(recognised) if recognised.spoken().is_ok() || has_user => {
                    all.spoken = Some((endpoint, recognised));
                }
                Ok(_) => all.no_driver = Some(as_value(&Error::TellsUsersOnly { target: target.text })),
                // Of several ports the one that answers says why; a port that is closed says nothing.
                Err(e) if answers || all.no_driver.is_none() => {
                    all.no_driver = Some(tls_unusable.map_or_else(|| as_value(&e), |why| as_value(&why)));
                }
                Err(_) => {}
            }
        }
        all
    }
}

/// What a browser says of it, which driver speaks to it, and which device of the ledger it is. Nothing but a web page is a
/// device.
async fn meet(
    seen: Sighted,
    options: &Options,
    recipes: &Recipes,
    user: Option<&User>,
    store: Option<&Store>,
) -> Result<Option<Met>, Error> {
    let Some(host) = seen.hosts.iter().next().cloned() else { return Ok(None) };
    let clock = store.map_or_else(Clock::system, |store| store.clock().clone());
    let mut limits = devices::Limits::default();
    (limits.connect, limits.answer) = (options.connect, options.answer);
    // Plain pages first: they are open to everyone's questions.
    let mut ports: Vec<u16> = seen.ports.iter().copied().collect();
    if ports.is_empty() {
        ports.extend([Scheme::Http.default_port(), Scheme::Https.default_port()]);
    }
    ports.sort_by_key(|port| (matches!(port, 443 | 8443), *port));
    let answers =
        Answers::of(&seen, &host, &ports, (options, &limits, &clock), recipes, user.is_some()).await;
    let Answers { report, mut spoken, mut no_driver, tls, refused } = answers;
    let port = spoken.as_ref().map_or_else(|| ports.first().copied(), |(endpoint, _)| Some(endpoint.port));
    let Some(port) = port else { return Ok(None) };
    let who = match store {
        Some(store) => {
            let tls = tls.as_ref().map(|(port, report)| (*port, report));
            Some(who_is(store, options, &host, port, tls).await?)
        }
        None => None,
    };
    let is_secured = who.as_ref().is_some_and(Stranger::is_secured);
    // A device that is known by its keys is spoken to over those.
    if let (true, Some((https_port, shown)), Some(_)) = (is_secured, &tls, &spoken) {
        let pin = shown.leaf.as_deref().and_then(PublicKeyPin::of_certificate);
        let endpoint = Endpoint { host: host.clone(), port: *https_port, pin };
        if let Ok(recognised) = devices::recognise(&endpoint, &limits, recipes, &clock).await {
            spoken = Some((endpoint, recognised));
        }
    }
    let https_known = who.as_ref().and_then(|who| who.device.as_ref()?.https_port);
    let is_off = https_known.is_some_and(|port| refused.contains(&port));
    let is_changed = is_secured && (tls.is_some() || is_off && spoken.is_some());
    let changed = who
        .as_ref()
        .filter(|_| is_changed)
        .and_then(|who| who.admit(tls.is_some()).err())
        .map(|e| as_value(&e));
    let driver = match spoken {
        Some((endpoint, recognised)) => {
            match ask(endpoint, recognised, recipes, user, who.as_ref(), store, changed.is_some()).await {
                Ok(spoken) => Some(spoken),
                Err(why) => {
                    no_driver = why;
                    None
                }
            }
        }
        None => None,
    };
    let no_driver = no_driver.filter(|_| driver.is_none());
    // What has an open port and no page is no device; what was named is shown whatever it is.
    if report.verdict == Verdict::Unreachable
        && driver.is_none()
        && seen.target.is_none()
        && seen.id.is_none()
    {
        return Ok(None);
    }
    let https = tls.and_then(|(port, report)| Some((port, PublicKeyPin::of_certificate(&report.leaf?)?)));
    Ok(Some(Met { seen, host, port, driver, no_driver, https, who, changed, report }))
}

/// What a device tells a stranger, and a user if there is one to whom the way is open; or why it tells neither what it
/// speaks.
async fn ask(
    endpoint: Endpoint,
    recognised: Recognised,
    recipes: &Recipes,
    user: Option<&User>,
    who: Option<&Stranger>,
    store: Option<&Store>,
    is_changed: bool,
) -> Result<Spoken, Option<Value>> {
    let told = recognised
        .spoken()
        .ok()
        .map(|spoken| (spoken.driver().to_owned(), spoken.abilities().clone(), spoken.clock_offset()));
    let outside = match (user, who, store) {
        (Some(_), Some(who), Some(store)) => who.stays_on_site(store).await.err(),
        _ => None,
    };
    let known = match user {
        Some(_) if outside.is_some() => Known { failed: outside.map(|e| as_value(&e)), ..Known::default() },
        Some(user) if !is_changed => {
            let admission = match who {
                Some(who) => who.admit(endpoint.pin.is_some()),
                None => Stranger::unknown(&endpoint.host, endpoint.pin).admit(endpoint.pin.is_some()),
            };
            user.ask(recognised, admission, &endpoint, recipes).await
        }
        _ => Known::default(),
    };
    match told.or_else(|| known.spoken.clone()) {
        Some((driver, abilities, clock_offset)) => Ok(Spoken { driver, abilities, clock_offset, known }),
        None => Err(known.failed),
    }
}

/// What tells one serial number or one identifier is one device, if it has one hardware address or one key as well: anybody
/// can tell another's number. One key by itself does not make one device: some makers give all of a model the same.
fn one_each(met: Vec<Met>) -> Vec<Met> {
    let mut each: Vec<Met> = Vec::new();
    for device in met {
        let is_same = |other: &&mut Met| {
            let by_number = match (&other.driver, &device.driver) {
                (Some(one), Some(two)) => one.known.is_same(&two.known),
                _ => false,
            };
            let by_id = other.seen.id.is_some() && other.seen.id == device.seen.id;
            let key = |met: &Met| met.https.map(|(_, key)| key);
            let (cards, keys) = ((&other.seen.mac, &device.seen.mac), (key(other), key(&device)));
            let one_card = cards.0.is_some() && cards.0 == cards.1;
            let one_key = keys.0.is_some() && keys.0 == keys.1;
            let nothing_else = cards == (&None, &None) && keys == (None, None);
            (by_number || by_id) && (one_card || one_key || nothing_else) || one_card && one_key
        };
        match each.iter_mut().find(is_same) {
            Some(other) => other.seen.hosts.extend(device.seen.hosts),
            None => each.push(device),
        }
    }
    each
}

/// The device as a browser would open it.
fn whole(host: &AltName, ports: &BTreeSet<u16>) -> Target {
    let usual = ports.is_empty() || ports.contains(&80) || ports.contains(&443);
    let port = ports.first().copied().filter(|_| !usual);
    let text = match port {
        Some(port) => format!("{}:{port}", host.plain()),
        None => host.plain(),
    };
    Target { text, host: host.clone(), port, scheme: None }
}

/// A device with a driver is in the ledger from now on, for the operator to accept.
async fn keep(store: &Store, device: &Met) -> Result<(), Error> {
    let (Some(Spoken { driver, abilities, .. }), Some(who)) = (&device.driver, &device.who) else {
        return Ok(());
    };
    let name = device.seen.name.clone().unwrap_or_else(|| device.host.plain().into());
    let first = device.report.findings.first().and_then(|f| serde_json::to_string(f).ok());
    let new = NewDevice {
        id: None,
        host: &device.host,
        port: device.port,
        name: &name,
        model: device.seen.model.as_deref(),
        told: None,
        mac: None,
        driver,
        makes_key: abilities.makes_key,
        https_port: device.https.map(|(port, _)| port),
        accepted: false,
        first_verdict: device.report.verdict,
        first_finding: first.as_deref(),
    };
    who.note(store, new).await
}

fn as_value(thing: &impl Serialize) -> Value {
    serde_json::to_value(thing).unwrap_or_default()
}

impl User {
    /// Signs in to a device, once, if it is admitted. Changes nothing there.
    async fn ask(
        &self,
        recognised: Recognised,
        admission: Result<Admission, devices::Error>,
        endpoint: &Endpoint,
        recipes: &Recipes,
    ) -> Known {
        let mut known = Known::default();
        let failed = |e: devices::Error| as_value(&e);
        let admission = match admission {
            Ok(admission) => admission,
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        };
        let found = match recognised.enter(&admission, recipes, self.credentials.clone()).await {
            Ok(found) => found,
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        };
        known.spoken = Some((found.driver().to_owned(), found.abilities().clone(), found.clock_offset()));
        let mut driver = found.connect();
        match driver.identify().await {
            Ok(device) => {
                known.failed = admission.is_still(&device).err().map(failed);
                known.device = device;
                if known.failed.is_some() {
                    return known;
                }
            }
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        }
        let Some(keep) = &self.keep else { return known };
        match driver.picture().await {
            Ok(picture) => match keep(&endpoint.host, endpoint.port, &picture) {
                Ok(file) => known.picture = Some(file),
                Err(e) => known.failed = Some(e),
            },
            // Not every device has one to give.
            Err(devices::Error::NotOffered { .. }) => {}
            Err(e) => known.failed = Some(failed(e)),
        }
        known
    }
}

impl Known {
    /// Whether both are the same device: one maker does not give a number twice.
    fn is_same(&self, other: &Known) -> bool {
        self.device.serial_number.as_ref().is_some_and(|number| !number.is_empty())
            && (&self.device.manufacturer, &self.device.serial_number)
                == (&other.device.manufacturer, &other.device.serial_number)
    }
}
