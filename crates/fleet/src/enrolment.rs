//! One enrolment from beginning to end.

use std::{num::NonZero, sync::LazyLock, time::Duration};

use authority::{
    Authority, Days, Issued, MANAGED_DAYS, Order as CertificateOrder, Wish, doubt_of_clock, effective,
};
use devices::{Abilities, Admission, Before, Credentials, Driver, Endpoint, Found, Package};
use domain::{AltName, Finding, KeyTransport, Report, Scheme, Step, StepState, Told, Verdict, slug};
use pki::{Certificate, KeyKind, PrivateKey, Profile, PublicKey, Request, Serial, package};
use store::{CertificateRow, DeviceRow, NewDevice};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, time::Instant};
use zeroize::Zeroizing;

use crate::{
    Error, Fleet, Order, Outcome, Progress, Said,
    contact::{self, Contact, Ours, stays_on_site},
    error::reason,
    identity::{self, is_same_device, served},
    journal::Journal,
    meeting, renew_from,
};

pub(crate) async fn run(fleet: &Fleet, order: &Order, progress: Progress<'_>) -> Outcome {
    let mut run = match Run::new(fleet, order, progress) {
        Ok(run) => run,
        Err(locked) => return Outcome::not_begun(&order.target, Some(locked)),
    };
    let walked = run.walk().await;
    run.end(walked).await
}

pub(crate) struct Run<'a> {
    pub(crate) fleet: &'a Fleet,
    /// The authority, open.
    pub(crate) issuer: &'a Authority,
    pub(crate) order: &'a Order,
    pub(crate) journal: Journal<'a>,
    pub(crate) outcome: Outcome,
    /// To whom credentials and keys go; `None` until it was decided.
    pub(crate) admission: Option<Admission>,
    /// The names under which the device is known, the one that was asked for first.
    pub(crate) hosts: Vec<AltName>,
    /// The marks under which this run may have left something on the device, in order.
    pub(crate) begun: Vec<String>,
    /// A certificate was on its way to the device.
    pub(crate) uploaded: bool,
    /// The certificate that went to a device that nobody knew, until it was seen to serve it.
    pub(crate) given: Option<String>,
    /// The operator says that the device was reset: once it shows its new certificate, the earlier ones are nobody's.
    pub(crate) was_reset: bool,
}

/// A device that let us in, and what it says of itself.
struct Noted {
    driver: Box<dyn Driver>,
    name: String,
    abilities: Abilities,
    clock_offset: time::Duration,
    before: Before,
}

/// A device that let us in.
pub(crate) struct Session {
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) before: Before,
    pub(crate) device_id: i64,
    pub(crate) makes_key: bool,
    serves_chain: bool,
    /// The device has one place for a certificate, which cannot be emptied.
    pub(crate) one_slot: bool,
    pub(crate) key_kind: KeyKind,
    pub(crate) clock_behind: time::Duration,
    /// Installing overwrites a certificate that cannot be brought back.
    pub(crate) overwrites: bool,
    /// The ledger had a certificate of ours on it when the run began.
    pub(crate) was_secured: bool,
    /// What is overwritten is of our own, so nothing of the operator's is lost.
    pub(crate) renews: bool,
    /// The way that a private key takes to the device.
    pub(crate) key_transport: KeyTransport,
    /// Where plain HTTP is, or would be.
    pub(crate) http_ports: Vec<u16>,
    /// Where its TLS is, if it is spoken to that way.
    pub(crate) tls_port: Option<u16>,
    /// How long it may take until it serves what it was given.
    pub(crate) patience: Duration,
}

impl<'a> Run<'a> {
    /// An error if the authority is locked: before the first word to a device.
    pub(crate) fn new(fleet: &'a Fleet, order: &'a Order, progress: Progress<'a>) -> Result<Run<'a>, Error> {
        Ok(Run {
            fleet,
            issuer: fleet.issuer.as_deref().ok_or(authority::Error::Locked)?,
            order,
            journal: Journal::new(&fleet.store, progress),
            outcome: Outcome::not_begun(&order.target, None),
            admission: None,
            hosts: vec![order.target.host.clone()],
            begun: Vec::new(),
            uploaded: false,
            given: None,
            was_reset: false,
        })
    }

    pub(crate) async fn end(mut self, walked: Result<(), Error>) -> Outcome {
        if let Err(e) = walked {
            // The step that was under way is the one that failed. That the ledger cannot be written any more
            // must not hide why.
            let _ = self.journal.end(StepState::Failed, &e).await;
            self.outcome.error = Some(e);
        }
        self.outcome.steps = self.journal.steps;
        self.outcome.refused = self.admission.and_then(|admission| admission.refusal()).is_some();
        self.outcome
    }
}

impl Run<'_> {
    async fn walk(&mut self) -> Result<(), Error> {
        self.journal.begin(Step::Find);
        let mut contact = meeting::find(self.fleet, self.order, None).await?;
        self.meets(&contact);
        if let Some(ours) = self.stays(&contact) {
            return self.already_secure(contact, ours).await;
        }

        self.settle_names(&contact).await?;
        let found = self.first_word(&contact).await?;
        self.journal.done(&Said::Found { driver: found.driver().to_owned() }).await?;

        self.journal.begin(Step::Inspect);
        let mut noted = self.note(found).await?;
        if let Some(port) = self.shows_ours_on(&contact, &noted.before).await? {
            // It is known after all, and spoken to over that from here on.
            drop(contact);
            contact = meeting::find(self.fleet, self.order, Some(port)).await?;
            self.meets(&contact);
            self.settle_names(&contact).await?;
            let found = self.first_word(&contact).await?;
            noted = self.note(found).await?;
        }
        let mut session = self.enter(noted, &contact).await?;
        match contact.report.findings.first() {
            Some(finding) => self.journal.done(finding).await?,
            None => self.journal.done(&Said::LookedAt { page: self.order.target.text.clone() }).await?,
        }
        if let Some(ours) = self.take_up(&mut session).await? {
            return self.finish(&mut session, ours).await;
        }
        if !session.serves_chain && !self.fleet.public.issuers.is_empty() {
            return Err(Error::ServesLeafAlone);
        }
        if session.overwrites && !session.renews && !self.order.consent.overwrite {
            return Err(Error::WouldOverwrite);
        }

        let mark = new_mark()?;
        match self.enrol(&mut session, &mark).await {
            Ok(ours) => self.finish(&mut session, ours).await,
            Err(e) => {
                self.go_back(&mut session, &e).await;
                Err(e)
            }
        }
    }

    /// What a look from outside says of the device.
    pub(crate) fn meets(&mut self, contact: &Contact) {
        self.outcome.verdict = contact.report.verdict;
        self.outcome.before = contact.report.verdict;
        self.outcome.findings.extend(contact.moved.clone());
        // The names of a device are for whoever proved to be it.
        if contact.by_ours
            && let Some(device) = &contact.known
        {
            self.names_of(device);
        }
    }

    /// What its certificate covers: every address and name of the device that the authority may vouch for.
    fn names_of(&mut self, device: &DeviceRow) {
        let permitted = &self.fleet.public.permitted;
        let mut outside = Vec::new();
        self.hosts.truncate(1);
        for host in device.places().map(|place| place.host) {
            if self.hosts.contains(&host) || self.hosts.len() > HOSTS_MAX {
                continue;
            }
            let alone = std::slice::from_ref(&host);
            match permitted.allows(&host) && self.issuer.may_issue(Profile::Device, alone).is_ok() {
                true => self.hosts.push(host),
                false => outside.push(host.plain()),
            }
        }
        self.outcome.findings.retain(|finding| !matches!(finding, Finding::NamesLeftOut { .. }));
        if !outside.is_empty() {
            self.outcome.findings.push(Finding::NamesLeftOut { names: outside });
        }
    }

    /// Before a certificate is made: where the device is not seen any more, it has no name.
    async fn settle_names(&mut self, contact: &Contact) -> Result<(), Error> {
        let (true, Some(device), Some(https_port)) = (contact.by_ours, &contact.known, contact.https_port)
        else {
            return Ok(());
        };
        let store = &self.fleet.store;
        let options = contact::options(self.fleet);
        let host = &self.order.target.host;
        let arrival =
            identity::arrives(store, &options, true, device, host, contact.port, https_port).await?;
        if let identity::Arrival::Here(Some(moved)) = arrival {
            self.outcome.findings.push(moved);
        }
        if let Some(device) = store.device(device.id).await? {
            self.names_of(&device);
        }
        Ok(())
    }

    /// Our certificate that the device serves, if there is nothing to do about it.
    pub(crate) fn stays(&self, contact: &Contact) -> Option<Ours> {
        let ours = contact.ours.clone()?;
        let covers = |host: &AltName| ours.row.names.contains(host);
        let is_fresh = !is_due(&ours.row, self.fleet.now()) && self.fleet.public.stands_behind(&ours.row);
        (is_fresh && self.hosts.iter().all(covers)).then_some(ours)
    }

    /// Decides who answers, and in which dialect it is spoken to. Nothing secret was sent before this.
    async fn first_word(&mut self, contact: &Contact) -> Result<Found, Error> {
        if !self.order.consent.outside {
            stays_on_site(&self.order.target.host, &self.fleet.public.permitted).await?;
        }
        self.names()?;
        let admission = contact.admit(self.fleet, self.order).await?;
        self.admission = Some(admission);
        self.speak(&contact.endpoint).await
    }

    /// Our certificate is served and has time left: nothing to do but what was asked beside it.
    pub(crate) async fn already_secure(&mut self, contact: Contact, ours: Ours) -> Result<(), Error> {
        let said = Said::AlreadySecure { until: ours.row.not_after.date() };
        self.journal.done(&said).await?;
        for step in [Step::Inspect, Step::Request, Step::Sign, Step::Package, Step::Install] {
            self.journal.skip(step, &said).await?;
        }
        if let Some(device) = &contact.known {
            self.outcome.driver = Some(device.driver.clone());
            self.outcome.model = device.model.clone();
        }
        // A run that died before its end has not removed what it needed on the way. By hand nothing was left.
        let has_left = match &contact.known {
            Some(device) => {
                let left = self.fleet.store.unfinished_enrolments(device.id).await?;
                left.iter().any(|enrolment| enrolment.handed_out().is_none())
            }
            None => false,
        };
        if !self.order.asks_more() && !has_left {
            self.journal.begin(Step::Verify);
            let report = self.look(ours.port).await;
            if let Some(device) = &contact.known {
                self.settle(device.id, &ours, &report).await?;
                self.outcome.key_transport = self.outcome.key_transport.or(device.key_transport);
            }
            return self.verified(&ours, report).await;
        }
        let found = self.first_word(&contact).await?;
        let noted = self.note(found).await?;
        let mut session = self.enter(noted, &contact).await?;
        let done = self.finish(&mut session, ours).await;
        let before = contact.known.and_then(|device| device.key_transport);
        self.outcome.key_transport = self.outcome.key_transport.or(before);
        done
    }

    /// The way in over this endpoint, for the user of the order.
    pub(crate) async fn speak(&mut self, endpoint: &Endpoint) -> Result<Found, Error> {
        let found = self.speak_as(endpoint, self.order.credentials.clone()).await?;
        self.outcome.driver = Some(found.driver().to_owned());
        Ok(found)
    }

    /// The way in over this endpoint, for any user.
    pub(crate) async fn speak_as(&self, endpoint: &Endpoint, by: Credentials) -> Result<Found, Error> {
        let Fleet { store, limits, recipes, .. } = self.fleet;
        let not_admitted = || devices::Error::NotAccepted { host: endpoint.host.plain() };
        let admission = self.admission.as_ref().ok_or_else(not_admitted)?;
        let recognised = devices::recognise(endpoint, &limits.device, recipes, store.clock()).await?;
        Ok(recognised.enter(admission, recipes, by).await?)
    }

    /// Whether the device proved who it is; otherwise it is a first contact.
    pub(crate) fn is_known(&self) -> bool {
        self.admission.as_ref().is_some_and(Admission::is_known)
    }

    /// The first authenticated call: who it says it is.
    async fn note(&mut self, found: Found) -> Result<Noted, Error> {
        let abilities = found.abilities().clone();
        let name = found.driver().to_owned();
        let clock_offset = found.clock_offset().unwrap_or_default();
        let mut driver = found.connect();
        let before = driver.note().await?;
        if let Some(admission) = &self.admission {
            admission.is_still(&before.device)?;
        }
        Ok(Noted { driver, name, abilities, clock_offset, before })
    }

    /// The port on which the device shows a certificate of ours that is for a device of the ledger, if it was met on another
    /// one: which port that is, a port that was named does not tell, but the device does.
    async fn shows_ours_on(&self, contact: &Contact, before: &Before) -> Result<Option<u16>, Error> {
        let port = before.https_port;
        if contact.by_ours || !before.https_on || contact.https_port == Some(port) {
            return Ok(None);
        }
        let report = self.look(port).await;
        let host = &self.order.target.host;
        let Some(id) = served(&self.fleet.store, host, &report).await?.and_then(|row| row.device_id) else {
            return Ok(None);
        };
        if contact.known.as_ref().is_some_and(|known| known.id == id) {
            // What an earlier run of its own left.
            return Ok(None);
        }
        // Another device of this host, with ports of its own.
        let device = self.fleet.store.device(id).await?;
        if device.is_some_and(|device| device.places().any(|place| place.host == *host)) {
            return Err(Error::OtherDeviceThere { port });
        }
        Ok(Some(port))
    }

    /// What an enrolment has to know of a device that let us in.
    async fn enter(&mut self, noted: Noted, contact: &Contact) -> Result<Session, Error> {
        let Noted { mut driver, name: driver_name, abilities, clock_offset, before } = noted;
        if driver.lets_everyone_in() {
            self.outcome.findings.push(Finding::NoPassword);
        }
        let clock_behind = self.clock(&mut *driver, clock_offset).await;
        self.outcome.model = model(&before);
        self.outcome
            .findings
            .push(Finding::DriverUnproven { driver: driver_name.clone(), source: abilities.source.clone() });
        let overwrites = abilities.one_slot && before.https_on;
        let renews = contact.by_ours;
        if overwrites && !renews {
            self.outcome.findings.push(Finding::OneSlot);
        }
        if abilities.restarts {
            self.outcome.findings.push(Finding::Restarts);
        }

        let device_id = self.save(contact, &before, &driver_name, abilities.makes_key).await?;
        let key_transport = key_transport(abilities.makes_key, &contact.endpoint);
        let http_ports = match before.http_ports.clone() {
            told if !told.is_empty() => told,
            _ if contact.port == before.https_port => vec![Scheme::Http.default_port()],
            _ => vec![contact.port],
        };
        let kinds = abilities.key_kinds.iter();
        let policy = self.issuer.policy()?;
        Ok(Session {
            driver,
            before,
            device_id,
            makes_key: abilities.makes_key,
            serves_chain: abilities.serves_chain,
            one_slot: abilities.one_slot,
            key_kind: kinds
                .flat_map(|k| k.parse().ok())
                .find(|kind| policy.takes(Profile::Device, *kind))
                .unwrap_or(KeyKind::Rsa2048),
            clock_behind,
            overwrites,
            was_secured: contact.known.as_ref().is_some_and(|known| known.serial.is_some()),
            renews,
            key_transport,
            http_ports,
            tls_port: contact.endpoint.pin.map(|_| contact.endpoint.port),
            patience: match abilities.restarts {
                true => self.fleet.limits.restart,
                false => self.fleet.limits.verify,
            },
        })
    }

    /// Which device of the ledger it is that let us in, and what is known of it from now on.
    async fn save(
        &mut self,
        contact: &Contact,
        before: &Before,
        driver: &str,
        makes_key: bool,
    ) -> Result<i64, Error> {
        let (store, target) = (&self.fleet.store, &self.order.target);
        let mut id = contact.known.as_ref().map(|known| known.id);
        let mac = contact.seen.mac.as_deref();
        if let (Some(known), true, false) = (&contact.known, self.order.new_device, self.is_known()) {
            if is_same_device(known, &before.device, mac) {
                // It may be an impostor yet: until the new certificate is seen, the old ones stay the device's.
                store.forget_device_keys(known.id).await?;
                self.was_reset = true;
            } else {
                store.device_left(&known.host, known.port).await?;
                id = None;
            }
        }
        // What was agreed to for one key is not agreed to for another one.
        if let (Some(known), Some(key), Some(expected)) =
            (&contact.known, contact.seen.key, &contact.expected)
            && !expected.secured
            && !expected.first_keys.contains(&key)
            && !expected.keys.contains(&key)
        {
            store.forget_device_keys(known.id).await?;
        }
        let name = self.outcome.model.clone().unwrap_or_else(|| target.dial_host().into());
        let first = contact.report.findings.first().and_then(|f| serde_json::to_string(f).ok());
        let told = serde_json::to_string(&before.device).map_err(store::Error::from)?;
        let device = NewDevice {
            id,
            host: &target.host,
            port: contact.port,
            name: &name,
            model: self.outcome.model.as_deref(),
            told: Some(&told),
            mac,
            driver,
            makes_key,
            https_port: contact.https_port.filter(|_| contact.endpoint.pin.is_some()),
            accepted: true,
            first_verdict: contact.report.verdict,
            first_finding: first.as_deref(),
        };
        let id = store.save_device(&device).await?;
        self.remember(id).await?;
        Ok(id)
    }

    /// What the ledger is to know of a device the next time: how it was signed in to, and the keys of its first contact.
    pub(crate) async fn remember(&self, device_id: i64) -> Result<(), Error> {
        let Some(admission) = &self.admission else { return Ok(()) };
        self.fleet.store.record_sign_in(device_id, admission.signed_in()).await?;
        if admission.is_of_new_device() {
            for key in admission.keys_met() {
                self.fleet.store.record_device_key(device_id, &key.hex(), false).await?;
            }
        }
        Ok(())
    }

    /// How far the certificate is to be dated back, and what to say of the device's clock. It is set with consent alone,
    /// since recordings carry its time.
    async fn clock(&mut self, driver: &mut dyn Driver, mut offset: time::Duration) -> time::Duration {
        if self.order.set_clock && offset.abs() > time::Duration::HOUR {
            match self.set_clock(driver).await {
                Ok(after) => {
                    if after.abs() <= time::Duration::MINUTE {
                        self.outcome.findings.push(Finding::ClockSet { hours: offset.whole_hours().abs() });
                    }
                    offset = after;
                }
                Err(reason) => self.outcome.findings.push(Finding::ClockNotSet { reason }),
            }
        }
        if let Some(server) = &self.order.time_server {
            match driver.follow_clock(server).await {
                Ok(after) => {
                    self.outcome.findings.push(Finding::ClockFollows { server: server.plain() });
                    offset = after;
                }
                Err(e) => self.outcome.findings.push(Finding::ClockNotSet { reason: reason(&e) }),
            }
        }
        let behind = -offset;
        if behind > time::Duration::days(29) || behind < -time::Duration::days(300) {
            self.outcome.findings.push(Finding::ClockOff { hours: behind.whole_hours().abs() });
        } else if behind > time::Duration::HOUR {
            self.outcome.findings.push(Finding::ClockBehind { hours: behind.whole_hours() });
        }
        behind.max(time::Duration::ZERO)
    }

    /// Sets the device's clock by this computer's, unless that is the one that is wrong: no camera is to follow it. How far
    /// it is off after that, or why it was not set.
    async fn set_clock(&self, driver: &mut dyn Driver) -> Result<time::Duration, serde_json::Value> {
        match doubt_of_clock(&self.fleet.store, self.fleet.now()).await {
            Ok(Some(doubt)) => Err(serde_json::to_value(doubt).unwrap_or_default()),
            Ok(None) => driver.set_clock().await.map_err(|e| reason(&e)),
            Err(e) => Err(serde_json::to_value(e).unwrap_or_default()),
        }
    }

    /// Request, sign, package, install.
    async fn enrol(&mut self, session: &mut Session, mark: &str) -> Result<Ours, Error> {
        self.journal.begin(Step::Request);
        let names = self.names()?;
        if session.key_transport == KeyTransport::Clear {
            self.private_way(session, &names).await?;
        }
        self.begin(session.device_id, mark, &session.before).await?;
        let (public, private) = self.key(session, mark, &names).await?;

        self.journal.begin(Step::Sign);
        let issued =
            self.sign(&public, &names, MANAGED_DAYS, session.clock_behind, session.device_id).await?;
        let leaf = issued.certificate;
        // Stored before it is done: from then on whoever listens may have the key.
        let transport = session.key_transport;
        self.fleet.store.record_installing(mark, &leaf.serial(), transport).await?;
        self.signed(&leaf, &names).await?;

        self.journal.begin(Step::Package);
        let (key, pem) = pack(private.as_ref(), &leaf, &issued.issuers)?;
        let said = if private.is_some() { Said::PackagedPem } else { Said::PackagedCertificate };
        self.journal.done(&said).await?;

        self.journal.begin(Step::Install);
        let issuers: Vec<Vec<u8>> = issued.issuers.iter().map(|c| c.der().to_vec()).collect();
        let package = Package {
            certificate: leaf.der(),
            issuers: &issuers,
            key: key.as_ref().map(|k| k.as_slice()),
            pem: &pem,
        };
        self.key_travels(transport);
        if transport == KeyTransport::PinnedTls && !self.is_known() {
            self.met_at_first(session).await;
        }
        self.uploaded = true;
        self.given = (!session.renews || !self.is_known()).then(|| leaf.serial());
        let installed = session.driver.install(mark, &package).await;
        // It may have shown another key on the way.
        self.remember(session.device_id).await?;
        installed?;
        let port = session.driver.enable_https().await?;
        self.journal.done(&Said::Installed { port }).await?;

        self.journal.begin(Step::Verify);
        let report = self.wait_for(&leaf, port, session.patience).await;
        self.outcome.verdict = report.verdict;
        is_served(&leaf, port, &report)?;
        if report.verdict != Verdict::Secure {
            let page = report.chromium.or(report.firefox).unwrap_or_default();
            return Err(Error::StillNotSecure { page: page.to_owned() });
        }
        self.given = None;
        let row = self.fleet.store.issued(&leaf.serial(), &leaf.sha256()).await?;
        let row =
            row.ok_or(store::Error::StoredData { detail: "the certificate just issued is gone".into() })?;
        Ok(Ours { port, row })
    }

    /// From now on the ledger knows what may be found on the device under `mark`.
    pub(crate) async fn begin(&mut self, device_id: i64, mark: &str, before: &Before) -> Result<(), Error> {
        self.begun.push(mark.to_owned());
        let before = serde_json::to_string(before).map_err(store::Error::from)?;
        self.fleet.store.begin_enrolment(mark, device_id, &before).await?;
        self.journal.store_under(mark).await
    }

    /// The certificate, through the one door.
    pub(crate) async fn sign(
        &self,
        key: &PublicKey,
        names: &[AltName],
        days: i64,
        clock_behind: time::Duration,
        device_id: i64,
    ) -> Result<Issued, Error> {
        let people = self.outcome.model.as_deref();
        let order = CertificateOrder {
            profile: Profile::Device,
            key,
            common_name: people.filter(|n| !n.contains(['.', ':']) && n.chars().count() <= 64),
            names,
            days: Days::AtMost(days),
            clock_behind,
            device_id: Some(device_id),
        };
        Ok(self.issuer.issue(&order, self.fleet.now()).await?)
    }

    pub(crate) async fn signed(&mut self, leaf: &Certificate, names: &[AltName]) -> Result<(), Error> {
        let names = names.iter().map(AltName::to_string).collect();
        self.journal.done(&Said::Signed { names, until: leaf.not_after().date() }).await
    }

    /// The names of the certificate, decided here and by policy, before anything is changed on the device.
    pub(crate) fn names(&self) -> Result<Vec<AltName>, Error> {
        let wish = Wish { names: self.hosts.clone(), common_name: None };
        let names = effective(None, &wish)?.within(&self.fleet.public.permitted).names;
        self.issuer.may_issue(Profile::Device, &names)?;
        Ok(names)
    }

    /// The key: the device makes it if it can, else it is made here.
    async fn key(
        &mut self,
        session: &mut Session,
        mark: &str,
        names: &[AltName],
    ) -> Result<(PublicKey, Option<PrivateKey>), Error> {
        if session.makes_key {
            let csr = session.driver.request(mark, names).await?;
            let request = Request::read(&csr)?;
            self.journal.done(&Said::KeyOnDevice { key: request.key.name().to_owned() }).await?;
            return Ok((request.key, None));
        }
        let kind = session.key_kind;
        let key = make_for(&mut session.driver, move || PrivateKey::generate(kind)).await?;
        self.journal.done(&Said::KeyMadeHere { key: kind.to_string() }).await?;
        Ok((key.public_key()?, Some(key)))
    }

    /// The key of the TLS on the way was seen for the first time now: who has it, as far as the device's maker says.
    async fn met_at_first(&mut self, session: &mut Session) {
        let port = session.tls_port.unwrap_or(session.before.https_port);
        let met = self.admission.as_ref().map(Admission::keys_met).unwrap_or_default();
        let identity = contact::factory_identity(self.fleet, &self.order.target, port, &met).await;
        // A genuine device of the same maker is not yet this one: its number must be the one that the device tells.
        let number = session.before.device.serial_number.as_deref().unwrap_or_default();
        match identity {
            Some(identity) if devices::names_number(&identity.subject(), number) => {
                let subject = identity.subject();
                self.outcome.findings.push(Finding::FactoryIdentity { subject, issuer: identity.issuer() });
            }
            _ => self.unchecked(),
        }
    }

    /// The key on the way was seen for the first time. Said once.
    fn unchecked(&mut self) {
        if !self.outcome.findings.contains(&Finding::FirstContactUnchecked) {
            self.outcome.findings.push(Finding::FirstContactUnchecked);
        }
    }

    pub(crate) fn key_travels(&mut self, transport: KeyTransport) {
        self.outcome.key_transport = Some(transport);
        match transport {
            KeyTransport::Clear => self.outcome.findings.push(Finding::KeySentInClear),
            KeyTransport::ThrowAwayTls => self.unchecked(),
            KeyTransport::None | KeyTransport::PinnedTls | KeyTransport::ByHand => {}
        }
    }

    /// The device serves our certificate: what came before it is removed, HTTP goes off if that was asked, and
    /// after a last look verdict and expiry go into the ledger.
    async fn finish(&mut self, session: &mut Session, ours: Ours) -> Result<(), Error> {
        self.journal.begin(Step::Verify);
        let marks = self.fleet.store.other_marks(session.device_id, &ours.row.serial).await?;
        if !marks.is_empty()
            && let Err(e) = session.driver.tidy(&marks).await
        {
            self.outcome.findings.push(Finding::NotTidied { reason: reason(&e) });
        }
        // A web server may start again once more, for what was removed, say.
        let answers = |report: &Report| report.leaf.is_some();
        let report = self.look_until(ours.port, session.patience, answers).await;
        // Before HTTP goes off: after that only the ledger tells a later run where the device is.
        self.settle(session.device_id, &ours, &report).await?;
        let report = self.afterwards(session, &ours, report).await?;
        self.verified(&ours, report).await
    }

    /// What a look at the device's HTTPS saw goes into the ledger, whatever it was.
    pub(crate) async fn record(
        &self,
        device_id: i64,
        report: &Report,
        ours: Option<&Ours>,
    ) -> Result<(), Error> {
        let (port, serial) = (ours.map(|o| o.port), ours.map(|o| o.row.serial.as_str()));
        let transport = ours.and(self.outcome.key_transport);
        Ok(self.fleet.store.record_verdict(device_id, report.verdict, port, serial, transport).await?)
    }

    /// The end of it: what the last look saw.
    pub(crate) async fn verified(&mut self, ours: &Ours, report: Report) -> Result<(), Error> {
        self.outcome.verdict = report.verdict;
        if report.verdict != Verdict::Secure {
            let page = report.chromium.or(report.firefox).unwrap_or("ERR_CONNECTION_REFUSED");
            return Err(Error::StillNotSecure { page: page.to_owned() });
        }
        let issuer = report.certificate.map(|c| c.issuer).unwrap_or_default();
        let said = match self.order.disable_http {
            true => Said::VerifiedHttpOff { issuer },
            false => Said::Verified { issuer },
        };
        self.journal.done(&said).await?;

        self.journal.begin(Step::Watch);
        let until = ours.row.not_after;
        let renew = renew_from(ours.row.not_before, until).date();
        self.journal.done(&Said::Watching { until: until.date(), renew }).await?;
        self.outcome.url = Some(self.order.target.url(Scheme::Https, ours.port));
        self.outcome.serial = Some(ours.row.serial.clone());
        self.outcome.not_after = Some(until);
        self.outcome.findings.extend(report.findings);
        Ok(())
    }

    pub(crate) async fn look(&self, port: u16) -> Report {
        contact::look(self.fleet, &self.order.target, port).await
    }

    /// Looks until the device serves `leaf`, or patience ends. What was seen last.
    pub(crate) async fn wait_for(&self, leaf: &Certificate, port: u16, patience: Duration) -> Report {
        let served = |report: &Report| report.certificate.as_ref().is_some_and(|c| c.sha256 == leaf.sha256());
        self.look_until(port, patience, served).await
    }

    /// Looks until what is seen is what was waited for, or patience ends; ever less often. What was seen last.
    pub(crate) async fn look_until(
        &self,
        port: u16,
        patience: Duration,
        is_it: impl Fn(&Report) -> bool,
    ) -> Report {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(20);
        loop {
            let report = self.look(port).await;
            if is_it(&report) || Instant::now() >= deadline {
                return report;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

/// So many addresses and names of one device stand in its certificate.
const HOSTS_MAX: usize = 15;

/// Keys are made beside the conversations with devices, and no more at once than there are processors: many together
/// would only keep each other, and those conversations, waiting.
static MAKERS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)));

/// Makes a key for this device. Where that, or waiting for it, took long, the device is asked something again: the request
/// that follows holds the key, and some firmware forgets a nonce meanwhile and takes the answer to it for a wrong password.
pub(crate) async fn make_for<T: Send + 'static>(
    driver: &mut Box<dyn Driver>,
    work: impl FnOnce() -> Result<T, pki::Error> + Send + 'static,
) -> Result<T, Error> {
    let since = Instant::now();
    let made = make(work).await?;
    if since.elapsed() > Duration::from_secs(5) {
        driver.note().await?;
    }
    Ok(made)
}

/// Makes a key beside the runtime, as soon as a processor is free for it.
pub(crate) async fn make<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, pki::Error> + Send + 'static,
) -> Result<T, Error> {
    let place = MAKERS.acquire().await;
    let made = tokio::task::spawn_blocking(work).await;
    drop(place);
    Ok(made.map_err(|e| pki::Error::Crypto { operation: e.to_string() })??)
}

pub(crate) fn is_due(certificate: &CertificateRow, now: OffsetDateTime) -> bool {
    now >= renew_from(certificate.not_before, certificate.not_after)
}

/// The way that a private key takes to the device over this endpoint, if nothing is done about it.
pub(crate) fn key_transport(makes_key: bool, endpoint: &Endpoint) -> KeyTransport {
    match (makes_key, endpoint.pin) {
        (true, _) => KeyTransport::None,
        (false, Some(_)) => KeyTransport::PinnedTls,
        (false, None) => KeyTransport::Clear,
    }
}

/// Whether `report` saw `leaf` on `port`.
pub(crate) fn is_served(leaf: &Certificate, port: u16, report: &Report) -> Result<(), Error> {
    let served = report.certificate.as_ref().map(|c| c.sha256.as_str());
    if report.leaf.is_none() {
        return Err(Error::HttpsDoesNotAnswer { port });
    } else if served != Some(leaf.sha256().as_str()) {
        return Err(Error::OtherCertificateServed { port });
    }
    Ok(())
}

/// The alias of everything that one enrolment leaves on a device.
pub(crate) fn new_mark() -> Result<String, Error> {
    let serial = Serial::random()?.to_string();
    Ok(format!("camlock-{}", slug(&serial[24..])))
}

fn model(before: &Before) -> Option<Told> {
    let parts: Vec<&str> = [&before.device.manufacturer, &before.device.model]
        .into_iter()
        .filter_map(Option::as_deref)
        .collect();
    (!parts.is_empty()).then(|| parts.join(" ").chars().take(64).collect::<String>().into())
}

pub(crate) type Packed = (Option<Zeroizing<Vec<u8>>>, Zeroizing<String>);

pub(crate) fn pack(
    key: Option<&PrivateKey>,
    leaf: &Certificate,
    issuers: &[Certificate],
) -> Result<Packed, Error> {
    match key {
        Some(key) => Ok((Some(key.to_pkcs8()?), package::pem(key, leaf, issuers)?)),
        None => Ok((None, Zeroizing::new(package::chain(leaf, issuers)))),
    }
}
