//! How a device is reached: over the HTTPS that it got from us, else over the TLS that it has, else over plain HTTP; and
//! which device of the ledger it is.

use devices::{Admission, Endpoint, Expected, PublicKeyPin, Seen};
use domain::{AltName, Finding, Report, Severity, Target};
use inspect::Options;
use pki::{Certificate, KeyKind, Permitted};
use store::{CertificateRow, DeviceRow, Lease};
use tokio::net::lookup_host;

use crate::{Error, Fleet, Order, error::reason, identity::https_page};

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
    pub(crate) shown: Option<Report>,
    /// Taken before the first word to the device: what is seen from here on, no other run changes.
    pub(crate) _leases: Vec<Lease>,
}

/// A certificate of ours that a device serves.
#[derive(Clone)]
pub(crate) struct Ours {
    pub(crate) port: u16,
    pub(crate) row: CertificateRow,
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
    pub(crate) async fn unreached(
        &self,
        fleet: &Fleet,
        seen: &Report,
        target: &Target,
    ) -> Result<Error, Error> {
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
    let options = Options { roots: fleet.maker_roots.clone().into(), ..options(fleet) };
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
    let why = why_unusable(seen).or(seen.findings.first());
    Error::TlsUnusable { host: target.dial_host(), reason: why.map(reason).unwrap_or_default() }
}

/// Why Camlock cannot speak the TLS of a device, where browsers may: an old cipher (RSA key exchange, for example), a
/// certificate that it demands of the client, or a server that does not have the key of what it shows.
pub fn why_unusable(seen: &Report) -> Option<&Finding> {
    let is_why = |finding: &&Finding| {
        matches!(
            finding,
            Finding::OldCipher { .. } | Finding::WantsClientCertificate | Finding::HandshakeFailed { .. }
        )
    };
    seen.findings.iter().find(is_why)
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
    inspect::check(&https_page(&target.host, port), &options(fleet)).await
}

/// What a browser that trusts our root alone says.
pub(crate) fn options(fleet: &Fleet) -> Options {
    let mut options = Options::trusting(fleet.public.roots(), fleet.now());
    options.connect = fleet.limits.device.connect;
    options.answer = fleet.limits.device.answer;
    options
}
