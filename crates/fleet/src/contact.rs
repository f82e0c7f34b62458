//! How a device is reached: over the HTTPS that it got from us, else over the TLS that it has, else over plain HTTP; and
//! which device of the ledger it is.

use devices::{Admission, Endpoint, Expected, PublicKeyPin, Seen};
use domain::{AltName, Finding, Report, Scheme, Severity, Target, Verdict};
use inspect::Options;
use pki::{Certificate, KeyKind, Permitted};
use store::{CertificateRow, DeviceRow, Lease};
use time::OffsetDateTime;
use tokio::{
    net::lookup_host,
    time::{Duration, Instant, sleep},
};

use crate::{
    Error, Fleet, Order,
    enrolment::reason,
    identity::{Arrival, arrives, expected, https_page, seen, served},
};

/// The way to a device, who it is, and what its HTTPS shows if that is ours.
pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    /// The port that names the device at its host in the ledger.
    pub(crate) port: u16,
    /// Where its HTTPS is or would be, if that is known.
    pub(crate) https_port: Option<u16>,
    /// The device, if it is in the ledger.
    pub(crate) known: Option<DeviceRow>,
    /// Our certificate, if it is served and a browser would accept it.
    pub(crate) ours: Option<Ours>,
    /// The way is pinned to the key of a certificate of ours; else the key was seen for the first time now.
    pub(crate) by_ours: bool,
    /// Who answers, as far as can be seen without credentials.
    pub(crate) seen: Seen,
    /// Who should, by the ledger.
    pub(crate) expected: Option<Expected>,
    /// It was found at another address than before.
    pub(crate) moved: Option<Finding>,
    /// What a browser says of the target today.
    pub(crate) report: Report,
    /// What was seen where its HTTPS is or would be.
    shown: Option<Report>,
    /// Taken before the first word to the device: what is seen from here on, no other run changes.
    _leases: Vec<Lease>,
}

/// A certificate of ours that a device serves.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) port: u16,
    pub(crate) row: CertificateRow,
}

/// How long a run waits for another one that has the same device under another address. An enrolment takes seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks at the target, and decides how to speak to it; `told`: where it says that its HTTPS is.
pub(crate) async fn find(fleet: &Fleet, order: &Order, told: Option<u16>) -> Result<Contact, Error> {
    let contact = meet(fleet, order, told).await?;
    if let Some(shown) = &contact.shown
        && contact.endpoint.pin.is_some()
        && old_cipher(shown).is_some()
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

/// Looks at the target, whether anything answers or not.
pub(crate) async fn meet(fleet: &Fleet, order: &Order, told: Option<u16>) -> Result<Contact, Error> {
    let (store, target) = (&fleet.store, &order.target);
    let named = target.port.unwrap_or(Scheme::Http.default_port());
    let known = store.device_at(&target.host, named).await?;
    // A port that is named as that of plain HTTP is no device's port of HTTPS.
    let mut known = known.filter(|d| d.port == named || target.scheme != Some(Scheme::Http));
    let mut port = known.as_ref().map_or(named, |d| d.port);
    let busy = || Error::Busy { target: target.text.clone() };
    let mut leases = vec![store.lease_device(&target.host, port)?.ok_or_else(busy)?];

    let mut report = inspect::check(target, &options(fleet, OffsetDateTime::now_utc())).await;
    // Where that look met HTTPS, if it did.
    let looked = match target.scheme {
        Some(Scheme::Http) => None,
        _ => Some(target.port.unwrap_or(Scheme::Https.default_port())),
    };
    let mut https_port = match (&known, target.scheme) {
        _ if told.is_some() => told,
        (Some(DeviceRow { https_port: Some(port), .. }), _) => Some(*port),
        (_, Some(Scheme::Https)) => looked,
        // A bare host stands for both of its usual ports; a port that was named, for no other.
        _ => target.port.is_none().then_some(Scheme::Https.default_port()),
    };
    // What a browser finds at a bare host may be the plain page, which says nothing of why there was no HTTPS. For a
    // device that is known by its keys, that matters: it may be off, or behind a wall.
    let is_past = matches!(report.findings.first(), Some(Finding::PlainHttp { .. }))
        && known.as_ref().is_some_and(|device| device.serial.is_some());
    let mut shown = match https_port {
        // Seen already.
        Some(_) if https_port == looked && !is_past => Some(report.clone()),
        Some(port) => Some(look(fleet, target, port).await),
        None => None,
    };
    // Another device may be there by now, on the usual port.
    if shown.as_ref().is_some_and(|shown| shown.leaf.is_none()) && report.leaf.is_some() {
        (https_port, shown) = (looked, Some(report.clone()));
    }
    let mut row = match &shown {
        Some(shown) => served(store, &target.host, shown).await?,
        None => None,
    };
    // Made for this place by hand: it says nothing of a device that is known.
    row = row.filter(|row| row.device_id.is_some() || known.is_none());
    if let (Some(https_port), Some(id)) = (https_port, row.as_ref().and_then(|row| row.device_id))
        && let Some(device) = store.device(id).await?
        && known.as_ref().is_some_and(|known| known.id != id && known.accepted)
        && device.places().any(|p| p.host == target.host && p.https_port == Some(https_port))
    {
        // It is at home on that port: what the ledger says of the port of this one is past.
        (row, shown) = (None, None);
    }
    let mut moved = None;
    if let (Some(https_port), Some(id)) = (https_port, row.as_ref().and_then(|row| row.device_id)) {
        let (lease, waited) = lease_of(fleet, id).await?;
        leases.push(lease.ok_or_else(busy)?);
        if waited {
            // Another run worked on it under another address: what was seen before is past.
            let again = look(fleet, target, https_port).await;
            if https_port == looked.unwrap_or_default() {
                report = again.clone();
            }
            row = served(store, &target.host, &again).await?.filter(|row| row.device_id == Some(id));
            shown = Some(again);
        }
        if row.is_some()
            && let Some(device) = store.device(id).await?
        {
            let is_here = |host_port: u16| host_port == named || https_port == named;
            match device.places().find(|place| place.host == target.host && is_here(place.port)) {
                // The same device under its other port.
                Some(place) if place.port != port => {
                    port = place.port;
                    leases.push(store.lease_device(&target.host, port)?.ok_or_else(busy)?);
                }
                Some(_) => {}
                None => {
                    let options = options(fleet, OffsetDateTime::now_utc());
                    let arrival =
                        arrives(store, &options, order.named, &device, &target.host, port, https_port);
                    match arrival.await? {
                        Arrival::Here(finding) => moved = finding,
                        Arrival::Elsewhere => row = None,
                    }
                }
            }
            if row.is_some() {
                known = store.device(id).await?;
            }
        }
    } else if let Some(known) = &known {
        let (lease, _) = lease_of(fleet, known.id).await?;
        leases.push(lease.ok_or_else(busy)?);
    }

    // Over its own TLS, from the factory, say, whoever listens hears nothing.
    let key = shown.as_ref().and_then(|shown| PublicKeyPin::of_certificate(shown.leaf.as_deref()?));
    let endpoint = Endpoint {
        host: target.host.clone(),
        port: https_port.filter(|_| key.is_some()).unwrap_or(port),
        pin: key,
    };
    let by_ours = row.is_some();
    let expected = match &known {
        Some(device) => Some(expected(store, device).await?),
        None => None,
    };
    let is_secure = shown.as_ref().is_some_and(|shown| shown.verdict == Verdict::Secure);
    let ours = match (https_port, row) {
        (Some(port), Some(row)) if is_secure => Some(Ours { port, row }),
        _ => None,
    };
    let mut seen = seen(store, &target.host, &target.text, key, known.as_ref()).await?;
    seen.confirmed = match (&order.fingerprint, shown.as_ref().and_then(|shown| shown.certificate.as_ref())) {
        (Some(told), Some(certificate)) => *told == certificate.sha256,
        _ => false,
    };
    if !by_ours && let (Some(port), Some(key)) = (https_port, key) {
        let identity = factory_identity(fleet, target, port, &[key]).await;
        seen.maker_subject = identity.map(|certificate| certificate.subject());
    }
    Ok(Contact {
        endpoint,
        port,
        https_port,
        known,
        ours,
        by_ours,
        seen,
        expected,
        moved,
        report,
        shown,
        _leases: leases,
    })
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

impl Contact {
    /// The kind of the key that it serves, if that is one that Camlock makes for a package.
    pub(crate) fn served_kind(&self) -> Option<KeyKind> {
        match self.shown.as_ref()?.certificate.as_ref()?.key.as_str() {
            "p256" => Some(KeyKind::P256),
            "p384" => Some(KeyKind::P384),
            _ => None,
        }
    }

    /// Why there is no way to the device. What the ledger says of it is past.
    async fn unreached(&self, fleet: &Fleet, seen: &Report, target: &Target) -> Result<Error, Error> {
        if let Some(known) = &self.known {
            fleet.store.record_verdict(known.id, self.report.verdict, None, None, None).await?;
        }
        Ok(not_met(seen).unwrap_or_else(|| tls_unusable(target, seen)))
    }

    /// To whom the credentials go, before the first of them does. Of a device that has changed the ledger knows it from now
    /// on.
    pub(crate) async fn admit(&self, fleet: &Fleet, order: &Order) -> Result<Admission, Error> {
        let consent = devices::Consent {
            named: order.named,
            readable: order.consent.readable,
            new_device: order.new_device,
            hidden_only: false,
        };
        if order.fingerprint.is_some() && !self.seen.confirmed {
            return Err(Error::OtherFingerprint { host: order.target.dial_host() });
        }
        let admission = Admission::decide(&self.seen, self.expected.as_ref(), consent);
        if let (Some(known), Err(devices::Error::DeviceChanged { .. })) = (&self.known, &admission) {
            fleet.store.record_verdict(known.id, self.report.verdict, None, None, None).await?;
        }
        Ok(admission?)
    }
}

/// The way to a device that was in contact a moment ago: over HTTPS with one of the keys that it may have, or else over
/// plain HTTP, if it may be spoken to there.
pub(crate) async fn again(
    fleet: &Fleet,
    target: &Target,
    https_port: u16,
    http_port: u16,
    admission: &Admission,
) -> Endpoint {
    let seen = look(fleet, target, https_port).await;
    let pin = seen.leaf.and_then(|leaf| PublicKeyPin::of_certificate(&leaf));
    let pin = pin.filter(|pin| admission.returns_to(*pin));
    let port = pin.map_or(http_port, |_| https_port);
    Endpoint { host: target.host.clone(), port, pin }
}

/// Who the device is by the certificate that its maker gave it, if the key there is one of `met`. What stands in it for a
/// browser is not asked: a maker knows no addresses.
pub(crate) async fn factory_identity(
    fleet: &Fleet,
    target: &Target,
    port: u16,
    met: &[PublicKeyPin],
) -> Option<Certificate> {
    if fleet.maker_roots.is_empty() {
        return None;
    }
    let options =
        Options { roots: fleet.maker_roots.clone().into(), ..options(fleet, OffsetDateTime::now_utc()) };
    let report = inspect::check(&https_page(&target.host, port), &options).await;
    let of_names = |f: &Finding| matches!(f, Finding::WrongName { .. } | Finding::NoAltName { .. });
    let is_whole = report.findings.iter().all(|f| of_names(f) || f.severity() > Severity::Error);
    let leaf = report.leaf.filter(|_| is_whole && report.proven)?;
    PublicKeyPin::of_certificate(&leaf).filter(|pin| met.contains(pin))?;
    Certificate::from_der(&leaf).ok()
}

/// A name that leads to an address outside the site's would carry password and key there. This machine is no stranger.
pub async fn stays_on_site(host: &AltName, permitted: &Permitted) -> Result<(), Error> {
    let AltName::Dns(name) = host else { return Ok(()) };
    let found = lookup_host((name.as_str(), 0)).await;
    let addresses = found.into_iter().flatten().map(|address| address.ip().to_canonical());
    let mut strangers = addresses.filter(|ip| !ip.is_loopback()).map(AltName::Ip);
    match strangers.find(|address| !permitted.allows(address)) {
        Some(address) => Err(Error::OutsideTheSite { host: name.clone(), address: address.plain() }),
        None => Ok(()),
    }
}

/// Nothing can be said to the device over its TLS, as `seen` tells.
pub fn tls_unusable(target: &Target, seen: &Report) -> Error {
    let why = old_cipher(seen).or(seen.findings.first());
    Error::TlsUnusable { host: target.dial_host(), reason: why.map(reason).unwrap_or_default() }
}

/// Browsers still speak what the device offers (RSA key exchange, say), and Camlock's TLS library does not.
pub fn old_cipher(seen: &Report) -> Option<&Finding> {
    seen.findings.iter().find(|finding| matches!(finding, Finding::OldCipher { .. }))
}

/// Why there was no connection at all.
fn not_met(report: &Report) -> Option<Error> {
    let error = match report.findings.first()?.clone() {
        Finding::ConnectionRefused { host, port } => devices::Error::ConnectionRefused { host, port },
        Finding::TimedOut { host, port, seconds } => devices::Error::TimedOut { host, port, seconds },
        Finding::NameNotFound { host } => devices::Error::NameNotFound { host },
        Finding::NoConnection { host, port, reason } => devices::Error::NoConnection { host, port, reason },
        _ => return None,
    };
    Some(error.into())
}

/// What is on the HTTPS port of the target's host.
pub(crate) async fn look(fleet: &Fleet, target: &Target, port: u16) -> Report {
    inspect::check(&https_page(&target.host, port), &options(fleet, OffsetDateTime::now_utc())).await
}

/// What a browser that trusts our root alone says.
pub(crate) fn options(fleet: &Fleet, now: OffsetDateTime) -> Options {
    let mut options = Options::trusting(fleet.authority.public().roots(), now);
    options.connect = fleet.limits.device.connect;
    options.answer = fleet.limits.device.answer;
    options
}
