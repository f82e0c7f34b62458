//! `find`: the devices on the network, which driver speaks to each, and what a browser says of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::IsTerminal,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use comfy_table::{Cell, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use devices::{
    Abilities, Endpoint, PublicKeyPin, Recipes, Recognised,
    discovery::{self, By, Sighting, neighbours},
};
use domain::{AltName, Finding, Report, Scheme, Target, Told, Verdict};
use fleet::{Stranger, who_is};
use indicatif::{ProgressBar, ProgressStyle};
use inspect::Options;
use serde_json::{Value, json};
use store::{NewDevice, Store};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, sync::mpsc, task::JoinSet};
use words::Words;

use crate::{
    args::Find,
    check::roots_of,
    failure::Failure,
    know::{Known, User},
    setting::Setting,
    talk::{self, print, print_json, tell, verdict_cell},
    targets::{self, Named},
};

/// How long to listen: WS-Discovery lets a device wait half a second before it answers, cameras take longer.
const LISTEN: Duration = Duration::from_secs(4);
/// Time for a port on a network of one's own.
const CONNECT: Duration = Duration::from_secs(1);
/// Devices that are asked at once who they are.
const AT_ONCE: usize = 32;
/// More devices than any network has that answers to this; what comes after is not kept.
const DEVICES_MAX: usize = 100_000;
/// Characters of the table where no terminal has a width.
const TABLE_WIDTH: u16 = 120;
/// Devices that one address may announce.
const AT_ADDRESS_MAX: usize = 16;

pub async fn run(find: &Find, setting: &Setting) -> Result<bool, Failure> {
    let mut ranges = BTreeSet::new();
    let mut named = Vec::new();
    for text in &find.targets {
        match targets::named(text)? {
            Named::Range(addresses) => ranges.extend(addresses),
            Named::One(target) => named.push(target),
        }
    }
    if let Some(file) = &find.list {
        named.extend(targets::read_list(file)?);
    }
    let (store, recipes) = match setting.directory() {
        Ok(directory) => (Store::open(&directory).await.ok(), Recipes::read(&directory)?),
        Err(_) => (None, Recipes::default()),
    };
    let user = User::of(find)?;
    let progress = Progress::new();
    let mut devices = Devices::default();
    let listens = find.targets.is_empty() && find.list.is_none();
    if listens {
        // Whoever this computer spoke to lately is near.
        ranges.extend(neighbours().into_keys());
        listen(&mut devices, &progress).await?;
        // Whoever answered may have more pages than it said.
        ranges.extend(devices.addresses());
    }
    sweep(&mut devices, ranges.into_iter().collect(), &progress).await?;
    devices.join(&neighbours());
    devices.name(named);

    let options = Options {
        connect: CONNECT * 2,
        answer: Duration::from_secs(5),
        ..Options::trusting(roots_of(store.as_ref()).await, OffsetDateTime::now_utc())
    };
    if let Some(store) = &store {
        devices.remember(store).await?;
    }
    let mut met = one_each(meet_all(devices, &options, recipes, user, store.as_ref(), &progress).await?);
    progress.bar.finish_and_clear();
    if let Some(store) = &store {
        for device in &mut met {
            // All were met at once, and one that moved perhaps later than whoever has its place.
            if let Some(who) = &mut device.who
                && who.is_somebody_else(store, &device.host).await?
            {
                device.changed = None;
            }
            keep(store, device).await?;
        }
    }

    let words = Words::english();
    if setting.json {
        print_json(&met.iter().map(|device| device.as_json(&words)).collect::<Vec<_>>());
    } else if met.is_empty() {
        print("Nothing.");
    } else {
        print(&table(&met, &words).to_string());
    }
    if listens && !met.iter().any(|device| device.seen.by.iter().any(|by| *by != By::Port)) {
        talk::warn(&json!({"code": "multicast-silent"}));
    }
    Ok(true)
}

async fn listen(devices: &mut Devices, progress: &Progress) -> Result<(), Failure> {
    let (to, mut seen) = mpsc::channel(100);
    let listening = tokio::spawn(async move { discovery::listen(LISTEN, &to).await });
    while let Some(sighting) = seen.recv().await {
        devices.add(sighting);
        progress.bar.set_message(format!("listening: {} devices", devices.0.len()));
    }
    match listening.await {
        Ok(Ok(0)) | Err(_) => talk::warn(&json!({"code": "no-network"})),
        Ok(Ok(_)) => {}
        Ok(Err(e)) => return Err(Failure::broken("no-interfaces", "reason", &e.to_string())),
    }
    Ok(())
}

async fn sweep(devices: &mut Devices, addresses: Vec<Ipv4Addr>, progress: &Progress) -> Result<(), Failure> {
    if addresses.is_empty() {
        return Ok(());
    }
    let count = addresses.len();
    let (to, mut seen) = mpsc::channel(100);
    let bar = progress.bar.clone();
    let sweeping = tokio::spawn(async move {
        let told = |done| bar.set_message(format!("asked {done} of {count} addresses"));
        discovery::sweep(addresses, CONNECT, &to, told).await
    });
    while let Some(sighting) = seen.recv().await {
        devices.add(sighting);
    }
    match sweeping.await {
        Ok(Err(e)) => Err(Failure::broken("no-interfaces", "reason", &e.to_string())),
        _ => Ok(()),
    }
}

/// What was seen of one device, or of one address of it.
#[derive(Default)]
struct Seen {
    hosts: BTreeSet<AltName>,
    ports: BTreeSet<u16>,
    by: BTreeSet<By>,
    id: Option<Told>,
    name: Option<Told>,
    model: Option<Told>,
    elsewhere: Option<Told>,
    mac: Option<String>,
    /// As the operator named it.
    target: Option<Target>,
}

/// Every device once.
#[derive(Default)]
struct Devices(Vec<Seen>);

impl Devices {
    fn add(&mut self, sighting: Sighting) {
        let Sighting { address, by, ports, id, name, model, elsewhere } = sighting;
        let host = AltName::Ip(address.to_canonical());
        // By its identifier where both have one: behind one address may be two, forwarded.
        let by_id = id.as_ref().and_then(|id| {
            // Whoever tells another's identifier from an address of its own is not that one before it was asked.
            self.0.iter().position(|seen| seen.id.as_ref() == Some(id) && seen.hosts.contains(&host))
        });
        let may_be = |seen: &Seen| seen.hosts.contains(&host) && (seen.id.is_none() || id.is_none());
        let here = self.0.iter().filter(|seen| seen.hosts.contains(&host)).count();
        let at = match by_id.or_else(|| self.0.iter().position(may_be)) {
            Some(at) => at,
            // No honest address has so many behind it.
            None if here >= AT_ADDRESS_MAX || self.0.len() >= DEVICES_MAX => return,
            None => {
                self.0.push(Seen::default());
                self.0.len() - 1
            }
        };
        let Some(seen) = self.0.get_mut(at) else { return };
        seen.hosts.insert(host);
        seen.by.insert(by);
        // A port that it was told to have says more than one that is open.
        if by == By::Port && seen.by.contains(&By::WsDiscovery) && !seen.ports.is_empty() {
            seen.ports.extend(ports.into_iter().filter(|port| *port == 443));
        } else {
            seen.ports.extend(ports);
        }
        seen.id = seen.id.take().or(id);
        // What the camera itself is called says more than what its web server is.
        seen.name = match by {
            By::WsDiscovery => name.or(seen.name.take()),
            By::Mdns | By::Port => seen.name.take().or(name),
        };
        seen.model = seen.model.take().or(model);
        seen.elsewhere = seen.elsewhere.take().or(elsewhere);
    }

    /// What has one address is one device, unless it is several by its own word. One hardware address does not make one
    /// device of many addresses: a router or a repeater answers for all behind it.
    fn join(&mut self, neighbours: &BTreeMap<Ipv4Addr, String>) {
        let mut joined: Vec<Seen> = Vec::new();
        for mut seen in std::mem::take(&mut self.0) {
            let mac = |host: &AltName| match host {
                AltName::Ip(IpAddr::V4(ip)) => neighbours.get(ip).cloned(),
                _ => None,
            };
            seen.mac = seen.hosts.iter().find_map(mac);
            let same = |other: &&mut Seen| {
                !other.hosts.is_disjoint(&seen.hosts) && (other.id.is_none() || seen.id.is_none())
            };
            match joined.iter_mut().find(same) {
                Some(other) => {
                    other.hosts.extend(seen.hosts);
                    other.ports.extend(seen.ports);
                    other.by.extend(seen.by);
                    other.id = other.id.take().or(seen.id);
                    other.name = other.name.take().or(seen.name);
                    other.model = other.model.take().or(seen.model);
                    other.elsewhere = other.elsewhere.take().or(seen.elsewhere);
                }
                None => joined.push(seen),
            }
        }
        self.0 = joined;
    }

    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.0.iter().flat_map(|seen| &seen.hosts).filter_map(|host| match host {
            AltName::Ip(IpAddr::V4(ip)) => Some(*ip),
            _ => None,
        })
    }

    /// Adds where the ledger knows that HTTPS is.
    async fn remember(&mut self, store: &Store) -> Result<(), Failure> {
        for seen in &mut self.0 {
            for host in &seen.hosts {
                for port in seen.ports.clone() {
                    let known = store.device_at(host, port).await?;
                    seen.ports.extend(known.and_then(|device| device.https_port));
                }
            }
        }
        Ok(())
    }

    /// Those that the operator named, whether they gave a sign of life or not.
    fn name(&mut self, targets: Vec<Target>) {
        for target in targets {
            let mut seen = Seen::default();
            seen.hosts.insert(target.host.clone());
            seen.ports.extend(target.port);
            seen.target = Some(target);
            self.0.push(seen);
        }
    }
}

/// A device that was asked who it is.
struct Met {
    seen: Seen,
    /// Where it was spoken to.
    host: AltName,
    port: u16,
    driver: Option<Spoken>,
    /// Why no driver speaks to it, as a code with its arguments.
    no_driver: Option<Value>,
    /// Where its HTTPS was seen, and the key there.
    https: Option<(u16, PublicKeyPin)>,
    /// Which device of the ledger it is, if there is a ledger.
    who: Option<Stranger>,
    /// Why it is not the device that the ledger expects there, as a code with its arguments.
    changed: Option<Value>,
    report: Report,
}

/// What is known of a device that a driver speaks to.
struct Spoken {
    driver: String,
    abilities: Abilities,
    /// Its clock minus ours, if it tells.
    clock_offset: Option<time::Duration>,
    /// What it tells a user, if there is one.
    known: Known,
}

/// Asks all of them, some at once; told as they come, in order of their addresses at the end.
async fn meet_all(
    devices: Devices,
    options: &Options,
    recipes: Recipes,
    user: Option<User>,
    store: Option<&Store>,
    progress: &Progress,
) -> Result<Vec<Met>, Failure> {
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
        progress.tell(&device);
        met.push(device);
        progress.bar.set_message(format!("asked {} of {count} devices", met.len()));
    }
    met.sort_by(|a, b| (&a.host, a.port).cmp(&(&b.host, b.port)));
    Ok(met)
}

/// What a browser says of it, which driver speaks to it, and which device of the ledger it is. Nothing but a web page is a
/// device.
async fn meet(
    seen: Seen,
    options: &Options,
    recipes: &Recipes,
    user: Option<&User>,
    store: Option<&Store>,
) -> Result<Option<Met>, Failure> {
    let Some(host) = seen.hosts.iter().next().cloned() else { return Ok(None) };
    let clock = store.map_or_else(domain::Clock::system, |store| store.clock().clone());
    let mut limits = devices::Limits::default();
    (limits.connect, limits.answer) = (options.connect, options.answer);
    let whole = seen.target.clone().unwrap_or_else(|| whole(&host, &seen.ports));
    let mut report = inspect::check(&whole, options).await;
    // Plain pages first: they are open to everyone's questions.
    let mut ports: Vec<u16> = seen.ports.iter().copied().collect();
    if ports.is_empty() {
        ports.extend([Scheme::Http.default_port(), Scheme::Https.default_port()]);
    }
    ports.sort_by_key(|port| (matches!(port, 443 | 8443), *port));
    let mut spoken = None;
    let mut no_driver = None;
    let mut tls: Option<(u16, Report)> = None;
    let mut refused = Vec::new();
    for port in ports.iter().copied() {
        let target = Target {
            text: format!("{}:{port}", host.plain()),
            host: host.clone(),
            port: Some(port),
            scheme: None,
        };
        let here = inspect::check(&target, options).await;
        let is_better =
            report.verdict == Verdict::Unreachable || (here.leaf.is_some() && report.leaf.is_none());
        let pin = here.leaf.as_deref().and_then(PublicKeyPin::of_certificate);
        let answers = here.verdict != Verdict::Unreachable;
        let tls_unusable = fleet::why_unusable(&here).map(|_| fleet::tls_unusable(&target, &here));
        if matches!(
            here.findings.first(),
            Some(Finding::ConnectionRefused { .. } | Finding::NotTls { .. } | Finding::PlainHttp { .. })
        ) {
            refused.push(port);
        }
        if pin.is_some() && tls.is_none() {
            tls = Some((port, here.clone()));
        }
        if is_better && seen.target.is_none() {
            report = here;
        }
        let endpoint = Endpoint { host: host.clone(), port, pin };
        if spoken.is_some() {
            continue;
        }
        match devices::recognise(&endpoint, &limits, recipes, &clock).await {
            Ok(recognised) if recognised.spoken().is_ok() || user.is_some() => {
                spoken = Some((endpoint, recognised));
            }
            Ok(_) => no_driver = Some(json!({"code": "tells-users-only", "target": target.text})),
            // Of several ports the one that answers says why; a port that is closed says nothing.
            Err(e) if answers || no_driver.is_none() => {
                let why = tls_unusable.map_or_else(|| serde_json::to_value(e), serde_json::to_value);
                no_driver = Some(why.unwrap_or_default());
            }
            Err(_) => {}
        }
    }
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
        .map(|e| serde_json::to_value(e).unwrap_or_default());
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
        Some(_) if outside.is_some() => {
            Known { failed: outside.map(|e| serde_json::to_value(e).unwrap_or_default()), ..Known::default() }
        }
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
async fn keep(store: &Store, device: &Met) -> Result<(), Failure> {
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
    Ok(who.note(store, new).await?)
}

impl Met {
    fn driver_name(&self) -> &str {
        self.driver.as_ref().map_or("none", |spoken| &spoken.driver)
    }

    fn address(&self) -> String {
        match &self.seen.target {
            Some(target) => target.text.clone(),
            None if matches!(self.port, 80 | 443) => self.host.plain(),
            None => format!("{}:{}", self.host.plain(), self.port),
        }
    }

    fn named(&self) -> String {
        let told = self.driver.as_ref().map(|spoken| spoken.known.named()).filter(|told| !told.is_empty());
        let text = |told: &Option<Told>| told.as_ref().map(Told::to_string);
        let parts = [text(&self.seen.name), told.or(text(&self.seen.model))];
        let mut parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.dedup();
        parts.join(", ")
    }

    fn as_json(&self, words: &Words) -> serde_json::Value {
        let spoken = self.driver.as_ref();
        let known = spoken.map(|spoken| &spoken.known);
        let mut shown = json!({
            "target": self.address(),
            "addresses": self.seen.hosts.iter().map(AltName::plain).collect::<Vec<_>>(),
            "port": self.port,
            "name": self.seen.name,
            "model": known.and_then(|known| known.device.model.as_ref()).or(self.seen.model.as_ref()),
            "mac": self.seen.mac,
            "id": self.seen.id,
            "announces": self.seen.elsewhere,
            "seen_by": self.seen.by,
            "driver": spoken.map(|spoken| &spoken.driver),
            "abilities": spoken.map(|spoken| &spoken.abilities),
            "clock_offset": spoken.and_then(|spoken| spoken.clock_offset).map(time::Duration::whole_seconds),
            "verdict": self.report.verdict,
            "chromium": self.report.chromium,
            "firefox": self.report.firefox,
            "findings": talk::findings(&self.report.findings, words),
            "reason": self.no_driver.as_ref().map(|why| words.say(why)),
            "sign_in": known.and_then(|known| known.failed.as_ref()).map(|e| words.say(e)),
            "device": self.who.as_ref().and_then(|who| Some(&who.device.as_ref()?.name)),
            "changed": self.changed.as_ref().map(|changed| words.say(changed)),
            "moved": self.who.as_ref().and_then(|who| who.moved.as_ref()).map(|moved| words.say(moved)),
        });
        if let (Some(shown), Some(Value::Object(known))) = (shown.as_object_mut(), known.map(Known::as_json))
        {
            shown.extend(known);
        }
        shown
    }
}

fn table(met: &[Met], words: &Words) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(TABLE_WIDTH);
    }
    table.set_header(["Address", "Device", "Driver", "Verdict"]);
    for device in met {
        let mut addresses = vec![device.address()];
        let others = device.seen.hosts.iter().filter(|host| **host != device.host);
        addresses.extend(others.map(|host| format!("also {}", host.plain())));
        let known = device.driver.as_ref().map(|spoken| &spoken.known);
        let mut named = vec![device.named()];
        named.extend(known.and_then(|known| known.picture.as_ref()).map(|file| file.display().to_string()));
        let failed = known.and_then(|known| known.failed.as_ref());
        named.extend(failed.or(device.no_driver.as_ref()).map(|why| words.say(why).text));
        named.extend(device.changed.as_ref().map(|changed| words.say(changed).text));
        let moved = device.who.as_ref().and_then(|who| who.moved.as_ref());
        named.extend(moved.map(|moved| words.say(moved).text));
        addresses.extend(device.seen.elsewhere.iter().map(|host| format!("says it is {host}")));
        table.add_row([
            Cell::new(addresses.join("\n")),
            Cell::new(named.join("\n")),
            Cell::new(device.driver_name()),
            verdict_cell(device.report.verdict, device.report.chromium.unwrap_or_default()),
        ]);
    }
    table
}

/// A line on the terminal that says what goes on, and a line for each device as it comes.
struct Progress {
    bar: ProgressBar,
}

impl Progress {
    fn new() -> Progress {
        let bar =
            if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Progress { bar }
    }

    fn tell(&self, device: &Met) {
        let line = format!("{}  {}  driver {}", device.address(), device.named(), device.driver_name());
        self.bar.suspend(|| tell(&line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(address: &str, id: Option<&str>) -> Sighting {
        Sighting {
            address: address.parse().unwrap(),
            by: if id.is_some() { By::WsDiscovery } else { By::Port },
            ports: [80].into(),
            id: id.map(Told::new),
            name: None,
            model: None,
            elsewhere: None,
        }
    }

    #[test]
    fn one_address_is_one_device_and_nothing_else_is() {
        let mut devices = Devices::default();
        for (address, id) in [
            // Seen by its port before it said who it is, and after.
            ("10.0.0.2", None),
            ("10.0.0.1", Some("urn:uuid:1")),
            ("10.0.0.2", Some("urn:uuid:1")),
            ("10.0.0.2", None),
            ("10.0.0.3", Some("urn:uuid:3")),
            ("10.0.0.4", None),
        ] {
            devices.add(sighting(address, id));
        }
        let mac = |address: &str, mac: &str| (address.parse().unwrap(), mac.to_owned());
        // Behind a repeater; and whoever tells the identifier of another one is asked before it is believed.
        devices.join(&BTreeMap::from([
            mac("10.0.0.3", "02:00:00:00:00:03"),
            mac("10.0.0.4", "02:00:00:00:00:03"),
        ]));
        let hosts: Vec<usize> = devices.0.iter().map(|seen| seen.hosts.len()).collect();
        assert_eq!(hosts, [1, 1, 1, 1]);
    }

    #[test]
    fn two_devices_behind_one_hardware_address_stay_two() {
        let mut devices = Devices::default();
        devices.add(sighting("10.0.0.1", Some("urn:uuid:1")));
        devices.add(sighting("10.0.0.2", Some("urn:uuid:2")));
        let router = "02:00:00:00:00:01".to_owned();
        let mac = |address: &str| (address.parse().unwrap(), router.clone());
        devices.join(&BTreeMap::from([mac("10.0.0.1"), mac("10.0.0.2")]));
        assert_eq!(devices.0.len(), 2);
    }
}
