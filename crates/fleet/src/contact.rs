//! How a device is reached: over the HTTPS that it got from us, else over the TLS that it has, else over plain HTTP.

use devices::{Endpoint, PublicKeyPin};
use domain::{Finding, Report, Scheme, Severity, Target, Verdict};
use inspect::Options;
use pki::Certificate;
use store::{CertificateRow, DeviceRow, Lease};
use time::OffsetDateTime;

use crate::{Error, Fleet, enrolment::reason};

/// The way to a device, and what its HTTPS shows if that is ours.
pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    /// The port that names the device in the ledger.
    pub(crate) port: u16,
    /// Where its HTTPS is or would be, if that is known.
    pub(crate) https_port: Option<u16>,
    /// The device, if it is in the ledger.
    pub(crate) known: Option<DeviceRow>,
    /// Our certificate, if it is served and a browser would accept it.
    pub(crate) ours: Option<Ours>,
    /// The way is pinned to the key of a certificate of ours; else the key was seen for the first time now.
    pub(crate) by_ours: bool,
    /// What a browser says of the target today.
    pub(crate) report: Report,
    /// Taken before the first word to the device: what is seen from here on, no other run changes.
    _leases: Vec<Lease>,
}

/// A certificate of ours that a device serves.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) port: u16,
    pub(crate) row: CertificateRow,
}

/// Looks at the target, and decides how to speak to it.
pub(crate) async fn find(fleet: &Fleet, target: &Target) -> Result<Contact, Error> {
    let contact = meet(fleet, target).await?;
    // Nor is a device that hangs asked again.
    let hangs = matches!(contact.report.findings.first(), Some(Finding::TimedOut { .. }));
    if contact.endpoint.pin.is_none() && (hangs || target.scheme == Some(Scheme::Https)) {
        let report = &contact.report;
        return Err(not_met(report).unwrap_or_else(|| tls_unusable(target, report)));
    }
    Ok(contact)
}

/// Looks at the target, whether anything answers or not.
pub(crate) async fn meet(fleet: &Fleet, target: &Target) -> Result<Contact, Error> {
    let named = target.port.unwrap_or(Scheme::Http.default_port());
    let known = fleet.store.device_at(&target.host, named).await?;
    // A port that is named as that of plain HTTP is no device's port of HTTPS.
    let mut known = known.filter(|d| d.port == named || target.scheme != Some(Scheme::Http));
    let mut port = known.as_ref().map_or(named, |d| d.port);
    let busy = || Error::Busy { target: target.text.clone() };
    let mut leases = vec![fleet.store.lease_device(&target.host, port)?.ok_or_else(busy)?];

    let report = inspect::check(target, &options(fleet, OffsetDateTime::now_utc())).await;
    // Where that look met HTTPS, if it did.
    let looked = match target.scheme {
        Some(Scheme::Http) => None,
        _ => Some(target.port.unwrap_or(Scheme::Https.default_port())),
    };
    let https_port = match (&known, target.scheme) {
        (Some(DeviceRow { https_port: Some(port), .. }), _) => Some(*port),
        (_, Some(Scheme::Https)) => looked,
        // A bare host stands for both of its usual ports; a port that was named, for no other.
        _ => target.port.is_none().then_some(Scheme::Https.default_port()),
    };
    let mut ours = None;
    let mut endpoint = Endpoint { host: target.host.clone(), port, pin: None };
    let seen = match https_port {
        // Seen already.
        Some(_) if https_port == looked => Some(report.clone()),
        Some(port) => Some(look(fleet, target, port).await),
        None => None,
    };
    let is_ours = match (https_port, &seen) {
        (Some(https_port), Some(seen)) => served(fleet, target, https_port, seen).await?,
        _ => None,
    };
    let mut by_ours = false;
    if let (Some(https_port), Some((row, pinned, secure))) = (https_port, is_ours) {
        let of = match row.device_id {
            Some(id) => fleet.store.device(id).await?,
            None => None,
        };
        // Another device's certificate there proves that another device is there.
        let another = matches!((&known, &of), (Some(known), Some(of)) if known.id != of.id);
        if !another {
            by_ours = true;
            endpoint = pinned;
            ours = secure.then_some(Ours { port: https_port, row });
        }
        // The same device under its other port.
        if known.is_none()
            && let Some(of) = of.filter(|of| of.host == target.host)
        {
            if of.port != port {
                port = of.port;
                leases.push(fleet.store.lease_device(&target.host, port)?.ok_or_else(busy)?);
            }
            known = Some(of);
        }
    } else if let (Some(https_port), Some(leaf)) = (https_port, seen.and_then(|seen| seen.leaf)) {
        // Its own TLS, from the factory, say: whoever listens hears nothing.
        endpoint.pin = PublicKeyPin::of_certificate(&leaf);
        endpoint.port = endpoint.pin.map_or(port, |_| https_port);
    }
    Ok(Contact { endpoint, port, https_port, known, ours, by_ours, report, _leases: leases })
}

/// The way to a device that was in contact a moment ago: over the HTTPS that shows a certificate of ours or one of the
/// keys `met`, or else over plain HTTP.
pub(crate) async fn again(
    fleet: &Fleet,
    target: &Target,
    https_port: u16,
    http_port: u16,
    met: &[PublicKeyPin],
) -> Result<Endpoint, Error> {
    let seen = look(fleet, target, https_port).await;
    if let Some((_, endpoint, _)) = served(fleet, target, https_port, &seen).await? {
        return Ok(endpoint);
    }
    let pin = seen.leaf.and_then(|leaf| PublicKeyPin::of_certificate(&leaf)).filter(|pin| met.contains(pin));
    let port = pin.map_or(http_port, |_| https_port);
    Ok(Endpoint { host: target.host.clone(), port, pin })
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
    let report = inspect::check(&at(target, port), &options).await;
    let of_names = |f: &Finding| matches!(f, Finding::WrongName { .. } | Finding::NoAltName { .. });
    let is_whole = report.findings.iter().all(|f| of_names(f) || f.severity() > Severity::Error);
    let leaf = report.leaf.filter(|_| is_whole)?;
    PublicKeyPin::of_certificate(&leaf).filter(|pin| met.contains(pin))?;
    Certificate::from_der(&leaf).ok()
}

/// Nothing can be said to the device over its TLS, as `seen` tells.
pub(crate) fn tls_unusable(target: &Target, seen: &Report) -> Error {
    let reason = seen.findings.first().map(reason).unwrap_or_default();
    Error::TlsUnusable { host: target.dial_host(), reason }
}

/// A certificate of ours that is served there, the way to its key, and whether a browser would accept it. It
/// proves which device it is whatever else has become of it: expired, say.
async fn served(
    fleet: &Fleet,
    target: &Target,
    port: u16,
    seen: &Report,
) -> Result<Option<(CertificateRow, Endpoint, bool)>, Error> {
    let (Some(leaf), Some(summary)) = (&seen.leaf, &seen.certificate) else { return Ok(None) };
    let row = fleet.store.issued(&summary.serial, &summary.sha256).await?;
    let Some(row) = row else { return Ok(None) };
    let pin = Some(PublicKeyPin(Certificate::from_der(leaf)?.public_key_sha256()?));
    let endpoint = Endpoint { host: target.host.clone(), port, pin };
    Ok(Some((row, endpoint, seen.verdict == Verdict::Secure)))
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
    inspect::check(&at(target, port), &options(fleet, OffsetDateTime::now_utc())).await
}

/// What a browser that trusts our root alone says.
pub(crate) fn options(fleet: &Fleet, now: OffsetDateTime) -> Options {
    let mut options = Options::trusting(fleet.authority.public().roots(), now);
    options.connect = fleet.limits.device.connect;
    options.answer = fleet.limits.device.answer;
    options
}

/// The https page of the same host on `port`.
fn at(target: &Target, port: u16) -> Target {
    Target {
        text: target.url(Scheme::Https, port),
        host: target.host.clone(),
        port: Some(port),
        scheme: Some(Scheme::Https),
    }
}
