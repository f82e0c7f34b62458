//! How a device is reached: over the HTTPS that it got from us, or over plain HTTP at the first time.

use devices::{Endpoint, PublicKeyPin};
use domain::{Report, Scheme, Target, Verdict};
use inspect::Options;
use pki::Certificate;
use store::{CertificateRow, DeviceRow};
use time::OffsetDateTime;

use crate::{Error, Fleet};

/// The way to a device, and what its HTTPS shows if that is ours.
pub(crate) struct Contact {
    pub(crate) endpoint: Endpoint,
    /// The port that names the device in the ledger.
    pub(crate) port: u16,
    /// Our certificate, if it is served and a browser would accept it.
    pub(crate) ours: Option<Ours>,
    /// What a browser says of the target today.
    pub(crate) report: Report,
}

/// A certificate of ours that a device serves.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) port: u16,
    pub(crate) row: CertificateRow,
}

/// Looks at the target, and decides how to speak to it.
pub(crate) async fn find(fleet: &Fleet, target: &Target) -> Result<Contact, Error> {
    let options = options(fleet, OffsetDateTime::now_utc());
    let report = inspect::check(target, &options).await;
    let named = target.port.unwrap_or(Scheme::Http.default_port());
    let known = fleet.store.device_at(&target.host, named).await?;
    let https_port = match (&known, target.scheme) {
        (Some(DeviceRow { https_port: Some(port), .. }), _) => *port,
        (_, Some(Scheme::Https)) => named,
        _ => Scheme::Https.default_port(),
    };
    let port = known.as_ref().map_or(named, |d| d.port);
    let host = target.host.clone();

    // A certificate of ours there proves which device it is, whatever else has become of it: expired, say.
    let https = at(target, https_port);
    let worth_a_look = known.is_some() || target.port.is_none() || target.scheme == Some(Scheme::Https);
    let seen = if worth_a_look { Some(inspect::check(&https, &options).await) } else { None };
    if let Some(seen) = seen
        && let Some((row, certificate)) = our_certificate(fleet, &seen).await?
    {
        let pin = Some(PublicKeyPin(certificate.public_key_sha256()?));
        let ours = (seen.verdict == Verdict::Secure).then_some(Ours { port: https_port, row });
        let endpoint = Endpoint { host, port: https_port, pin };
        return Ok(Contact { endpoint, port, ours, report });
    }
    if target.scheme == Some(Scheme::Https) {
        return Err(Error::NoFirstContact { host: target.dial_host() });
    }
    Ok(Contact { endpoint: Endpoint { host, port, pin: None }, port, ours: None, report })
}

/// What a browser that trusts our root alone says.
pub(crate) fn options(fleet: &Fleet, now: OffsetDateTime) -> Options {
    let mut options = Options::trusting(vec![fleet.authority.public().root.clone()], now);
    options.connect = fleet.limits.device.connect;
    options.answer = fleet.limits.device.answer;
    options
}

/// The https page of the same host on `port`.
pub(crate) fn at(target: &Target, port: u16) -> Target {
    Target {
        text: target.url(Scheme::Https, port),
        host: target.host.clone(),
        port: Some(port),
        scheme: Some(Scheme::Https),
    }
}

async fn our_certificate(
    fleet: &Fleet,
    report: &Report,
) -> Result<Option<(CertificateRow, Certificate)>, Error> {
    let (Some(leaf), Some(summary)) = (&report.leaf, &report.certificate) else { return Ok(None) };
    match fleet.store.certificate_by_sha256(&summary.sha256).await? {
        Some(row) => Ok(Some((row, Certificate::from_der(leaf)?))),
        None => Ok(None),
    }
}
