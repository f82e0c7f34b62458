//! Looking at a target, and finding out which device of the ledger it is, before a word with it.

use devices::{Endpoint, PublicKeyPin};
use domain::{Finding, Report, Scheme, Verdict};
use store::{CertificateRow, DeviceRow, Lease};
use tokio::time::{Duration, Instant, sleep};

use crate::{
    Error, Fleet, Order,
    contact::{Contact, Ours, factory_identity, look, options, why_unusable},
    identity::{Arrival, arrives, expected, seen, served},
};

/// Looks at the target, and decides how to speak to it; `told`: where it says that its HTTPS is.
pub(crate) async fn find(fleet: &Fleet, order: &Order, told: Option<u16>) -> Result<Contact, Error> {
    let contact = meet(fleet, order, told).await?;
    if let Some(shown) = &contact.shown
        && contact.endpoint.pin.is_some()
        && why_unusable(shown).is_some()
    {
        return Err(contact.unreached(fleet, shown, &order.target).await?);
    }
    if contact.endpoint.pin.is_none() {
        let report = &contact.report;
        // A device that hangs is not asked again; and of one that is known by its keys nothing is to be had without TLS.
        let hangs = matches!(report.findings.first(), Some(Finding::TimedOut { .. }));
        let has_keys = contact.expected.as_ref().is_some_and(|expected| expected.secured);
        if hangs || order.target.scheme == Some(Scheme::Https) {
            return Err(contact.unreached(fleet, report, &order.target).await?);
        }
        // That nothing listens there any more is a change; that it does not answer, or not as it should, is none.
        let tls = contact.shown.as_ref().and_then(|shown| shown.findings.first());
        let is_off = matches!(
            tls,
            Some(Finding::ConnectionRefused { .. } | Finding::NotTls { .. } | Finding::PlainHttp { .. })
                | None
        );
        if has_keys && !order.new_device && (!is_off || report.verdict == Verdict::Unreachable) {
            let shown = contact.shown.as_ref().filter(|_| !is_off).unwrap_or(report);
            return Err(contact.unreached(fleet, shown, &order.target).await?);
        }
    }
    Ok(contact)
}

/// How long a run waits for another one that has the same device under another address. An enrolment takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks at the target, whether anything answers or not.
pub(crate) async fn meet(fleet: &Fleet, order: &Order, told: Option<u16>) -> Result<Contact, Error> {
    let mut meeting = Meeting::begin(fleet, order).await?;
    meeting.look_at_https(told).await;
    meeting.find_ours().await?;
    match meeting.ours_at() {
        Some((https_port, id)) => meeting.meet_ours(https_port, id).await?,
        None => {
            if let Some(id) = meeting.known.as_ref().map(|known| known.id) {
                meeting.take_device(id).await?;
            }
        }
    }
    meeting.end().await
}

/// What is known of a target while it is looked at.
struct Meeting<'a> {
    fleet: &'a Fleet,
    order: &'a Order,
    /// The port that the target stands for.
    named: u16,
    /// The device of the ledger that is expected there, and later the one that answers.
    known: Option<DeviceRow>,
    /// The port that names the device in the ledger.
    port: u16,
    /// What a browser says of the target.
    report: Report,
    /// Where that look met HTTPS, if it looked for it.
    looked: Option<u16>,
    https_port: Option<u16>,
    /// What was seen at `https_port`.
    shown: Option<Report>,
    /// The certificate of ours that is served there.
    row: Option<CertificateRow>,
    moved: Option<Finding>,
    leases: Vec<Lease>,
}

impl<'a> Meeting<'a> {
    /// Takes the place, and looks at the target once.
    async fn begin(fleet: &'a Fleet, order: &'a Order) -> Result<Meeting<'a>, Error> {
        let target = &order.target;
        let named = target.port.unwrap_or(Scheme::Http.default_port());
        let known = fleet.store.device_at(&target.host, named).await?;
        // A port that is named as that of plain HTTP is no device's port of HTTPS.
        let known = known.filter(|d| d.port == named || target.scheme != Some(Scheme::Http));
        let port = known.as_ref().map_or(named, |d| d.port);
        let lease = fleet.store.lease_device(&target.host, port)?.ok_or_else(|| busy(order))?;
        let report = inspect::check(target, &options(fleet)).await;
        let looked = match target.scheme {
            Some(Scheme::Http) => None,
            _ => Some(target.port.unwrap_or(Scheme::Https.default_port())),
        };
        Ok(Meeting {
            fleet,
            order,
            named,
            known,
            port,
            report,
            looked,
            https_port: None,
            shown: None,
            row: None,
            moved: None,
            leases: vec![lease],
        })
    }

    /// Where its HTTPS is or would be, and what is seen there; `told`: where the device says that it is.
    async fn look_at_https(&mut self, told: Option<u16>) {
        let target = &self.order.target;
        self.https_port = match (&self.known, target.scheme) {
            _ if told.is_some() => told,
            (Some(DeviceRow { https_port: Some(port), .. }), _) => Some(*port),
            (_, Some(Scheme::Https)) => self.looked,
            // A bare host stands for both of its usual ports; a port that was named, for no other.
            _ => target.port.is_none().then_some(Scheme::Https.default_port()),
        };
        // What a browser finds at a bare host may be the plain page, which says nothing of why there was no HTTPS. For a
        // device that is known by its keys, that matters: it may be off, or behind a wall.
        let is_past = matches!(self.report.findings.first(), Some(Finding::PlainHttp { .. }))
            && self.known.as_ref().is_some_and(|device| device.serial.is_some());
        self.shown = match self.https_port {
            // Seen already.
            Some(_) if self.https_port == self.looked && !is_past => Some(self.report.clone()),
            Some(port) => Some(look(self.fleet, target, port).await),
            None => None,
        };
        // Another device may be there by now, on the usual port.
        if self.shown.as_ref().is_some_and(|shown| shown.leaf.is_none()) && self.report.leaf.is_some() {
            (self.https_port, self.shown) = (self.looked, Some(self.report.clone()));
        }
    }

    /// The certificate of ours that is served there, if it says which device this is.
    async fn find_ours(&mut self) -> Result<(), Error> {
        let (store, host) = (&self.fleet.store, &self.order.target.host);
        let row = match &self.shown {
            Some(shown) => served(store, host, shown).await?,
            None => None,
        };
        // Made for this place by hand: it says nothing of a device that is known.
        self.row = row.filter(|row| row.device_id.is_some() || self.known.is_none());
        if let Some((https_port, id)) = self.ours_at()
            && self.known.as_ref().is_some_and(|known| known.id != id && known.accepted)
            && let Some(device) = store.device(id).await?
            && device.places().any(|p| p.host == *host && p.https_port == Some(https_port))
        {
            // It is at home on that port: what the ledger says of the port of this one is past.
            (self.row, self.shown) = (None, None);
        }
        Ok(())
    }

    /// Where a certificate of ours is served, and the device that it was made for.
    fn ours_at(&self) -> Option<(u16, i64)> {
        Some((self.https_port?, self.row.as_ref()?.device_id?))
    }

    /// A certificate of ours says which device this is, at home or moved.
    async fn meet_ours(&mut self, https_port: u16, id: i64) -> Result<(), Error> {
        let (store, target) = (&self.fleet.store, &self.order.target);
        if self.take_device(id).await? {
            // Another run worked on it under another address: what was seen before is past.
            let again = look(self.fleet, target, https_port).await;
            if https_port == self.looked.unwrap_or_default() {
                self.report = again.clone();
            }
            let row = served(store, &target.host, &again).await?;
            self.row = row.filter(|row| row.device_id == Some(id));
            self.shown = Some(again);
        }
        if self.row.is_some()
            && let Some(device) = store.device(id).await?
        {
            let is_here = |host_port: u16| host_port == self.named || https_port == self.named;
            match device.places().find(|place| place.host == target.host && is_here(place.port)) {
                // The same device under its other port.
                Some(place) if place.port != self.port => {
                    self.port = place.port;
                    let lease = store.lease_device(&target.host, self.port)?;
                    self.leases.push(lease.ok_or_else(|| busy(self.order))?);
                }
                Some(_) => {}
                None => {
                    let options = options(self.fleet);
                    let (named, port) = (self.order.named, self.port);
                    match arrives(store, &options, named, &device, &target.host, port, https_port).await? {
                        Arrival::Here(finding) => self.moved = finding,
                        Arrival::Elsewhere => self.row = None,
                    }
                }
            }
        }
        if self.row.is_some() {
            self.known = store.device(id).await?;
        }
        Ok(())
    }

    /// Takes the device for this run; whether another run had it until now.
    async fn take_device(&mut self, id: i64) -> Result<bool, Error> {
        let (lease, waited) = lease_of(self.fleet, id).await?;
        self.leases.push(lease.ok_or_else(|| busy(self.order))?);
        Ok(waited)
    }

    async fn end(self) -> Result<Contact, Error> {
        let (store, order, target) = (&self.fleet.store, self.order, &self.order.target);
        let shown = self.shown.as_ref();
        // Over its own TLS, from the factory, say, whoever listens hears nothing.
        let key = shown.and_then(|shown| PublicKeyPin::of_certificate(shown.leaf.as_deref()?));
        let endpoint = Endpoint {
            host: target.host.clone(),
            port: self.https_port.filter(|_| key.is_some()).unwrap_or(self.port),
            pin: key,
        };
        let by_ours = self.row.is_some();
        let expected = match &self.known {
            Some(device) => Some(expected(store, device).await?),
            None => None,
        };
        let is_secure = shown.is_some_and(|shown| shown.verdict == Verdict::Secure);
        let mut seen = seen(store, &target.host, &target.text, key, self.known.as_ref()).await?;
        seen.confirmed = match (&order.fingerprint, shown.and_then(|shown| shown.certificate.as_ref())) {
            (Some(told), Some(certificate)) => *told == certificate.sha256,
            _ => false,
        };
        if !by_ours && let (Some(port), Some(key)) = (self.https_port, key) {
            let identity = factory_identity(self.fleet, target, port, &[key]).await;
            seen.maker_subject = identity.map(|certificate| certificate.subject());
        }
        let ours = match (self.https_port, self.row) {
            (Some(port), Some(row)) if is_secure => Some(Ours { port, row }),
            _ => None,
        };
        Ok(Contact {
            endpoint,
            port: self.port,
            https_port: self.https_port,
            known: self.known,
            ours,
            by_ours,
            seen,
            expected,
            moved: self.moved,
            report: self.report,
            shown: self.shown,
            _leases: self.leases,
        })
    }
}

fn busy(order: &Order) -> Error {
    Error::Busy { target: order.target.text.clone() }
}

/// The lease of a device of the ledger, `None` if another run keeps it for long; and whether it was waited for.
async fn lease_of(fleet: &Fleet, id: i64) -> Result<(Option<Lease>, bool), Error> {
    let deadline = Instant::now() + PATIENCE;
    let mut waited = false;
    loop {
        match fleet.store.lease_known_device(id)? {
            None if Instant::now() < deadline => waited = true,
            lease => return Ok((lease, waited)),
        }
        sleep(Duration::from_millis(100)).await;
    }
}
