use std::collections::HashSet;

use authority::{PAGE_NAME, PROOF_NAME};
use domain::{AltName, Finding, Severity, Verdict};
use fleet::{BY_HAND, renew_from};
use serde::Serialize;
use store::{CertificateRow, DeviceRow, Store};
use time::{Date, Duration, OffsetDateTime};

use crate::{Error, devices::place_of};

/// What is due later than this is not looked for: renewal begins 30 days before an end, or earlier in a shorter life.
const SOON: Duration = Duration::days(31);

/// What is wrong with a device or a certificate that is in use, by what the ledger knows. `place` is what the command line
/// takes for the device; `way`, how its certificate comes to it: `by-hand` or `driver`; `options`, by which `camlock issue`
/// makes the same certificate again.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum InUse {
    DeviceRevoked { device: String, place: String, way: &'static str, on: Date },
    DeviceEnded { device: String, place: String, way: &'static str, ends: Date },
    DeviceDue { device: String, place: String, way: &'static str, ends: Date },
    DeviceNotSecure { device: String, place: String, way: &'static str, seen: Date },
    DeviceUnreachable { device: String, place: String, since: Date },
    DeviceAway { device: String, was: String, since: Date },
    CertificateEnded { name: String, options: String, serial: String, ends: Date },
    CertificateDue { name: String, options: String, serial: String, ends: Date },
}

impl InUse {
    /// It is another certificate that is wanting.
    pub fn wants_certificate(&self) -> bool {
        matches!(
            self,
            InUse::DeviceRevoked { .. }
                | InUse::DeviceEnded { .. }
                | InUse::DeviceDue { .. }
                | InUse::CertificateEnded { .. }
                | InUse::CertificateDue { .. }
        )
    }

    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            InUse::DeviceRevoked { .. } | InUse::DeviceEnded { .. } | InUse::CertificateEnded { .. } => {
                Severity::Error
            }
            InUse::DeviceDue { .. }
            | InUse::DeviceNotSecure { .. }
            | InUse::DeviceUnreachable { .. }
            | InUse::DeviceAway { .. }
            | InUse::CertificateDue { .. } => Severity::Warning,
        }
    }
}

/// What is to be said of a device now: what the last look saw is past if its certificate has ended or was revoked since.
pub fn standing(device: &DeviceRow, now: OffsetDateTime) -> (Verdict, Option<Finding>) {
    let lapsed = match (device.revoked_at, device.not_after) {
        _ if device.verdict != Verdict::Secure => None,
        (Some(at), _) => Some(Finding::Revoked { revoked: at.date() }),
        (None, Some(end)) if end < now => Some(Finding::Expired { not_after: end.date() }),
        _ => None,
    };
    (if lapsed.is_some() { Verdict::NotSecure } else { device.verdict }, lapsed)
}

/// Looks through the devices that were accepted and the certificates that were carried by hand.
///
/// # Errors
///
/// The ledger cannot be read.
pub async fn in_use(store: &Store, now: OffsetDateTime) -> Result<Vec<InUse>, Error> {
    let mut found = Vec::new();
    for device in store.devices(None).await?.iter().filter(|d| d.accepted || d.serial.is_some()) {
        let certificate = match &device.serial {
            Some(serial) if device.not_after.is_some_and(|end| end - now < SOON) => {
                store.certificate(serial).await?
            }
            _ => None,
        };
        found.extend(of_device(device, certificate.as_ref(), now));
    }
    let replaced = store.replaced().await?;
    for row in store.certificates(Some(now + SOON), None).await? {
        if is_carried(&row, &replaced) && now >= renew_from(row.not_before, row.not_after) {
            let first = || row.names.first().map(AltName::plain).unwrap_or_default();
            let name = row.name.clone().unwrap_or_else(first);
            let option = |name: &AltName| match name {
                AltName::Ip(ip) => format!(" --ip {ip}"),
                AltName::Dns(name) => format!(" --dns {name}"),
            };
            let names: String = row.names.iter().map(option).collect();
            let (options, ends) = (format!("--name {}{names}", quoted(&name)), row.not_after.date());
            found.push(match row.not_after < now {
                true => InUse::CertificateEnded { name, options, serial: row.serial, ends },
                false => InUse::CertificateDue { name, options, serial: row.serial, ends },
            });
        }
    }
    Ok(found)
}

/// For a shell, which reads nothing between single quotes: the name may come from somebody's request.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "'\\''"))
}

/// It was carried by hand to where nobody but the operator looks after it, and is needed there as far as is known.
fn is_carried(row: &CertificateRow, replaced: &HashSet<String>) -> bool {
    let is_own = [PAGE_NAME, PROOF_NAME].contains(&row.name.as_deref().unwrap_or_default());
    row.device_id.is_none()
        && row.revoked_at.is_none()
        && !row.laid_aside
        && !is_own
        && !replaced.contains(&row.serial)
}

/// The weightiest that is to be said of a device.
fn of_device(device: &DeviceRow, certificate: Option<&CertificateRow>, now: OffsetDateTime) -> Option<InUse> {
    let (name, place) = (device.name.to_string(), place_of(device).text);
    let way = if device.driver == BY_HAND { BY_HAND } else { "driver" };
    let seen = device.verified_at.unwrap_or(now).date();
    let since = device.verdict_since.map_or(seen, OffsetDateTime::date);
    if let Some(left) = device.left_at {
        return Some(InUse::DeviceAway { device: name, was: device.host.plain(), since: left.date() });
    }
    if let Some(on) = device.revoked_at.map(OffsetDateTime::date) {
        return Some(InUse::DeviceRevoked { device: name, place, way, on });
    }
    match (certificate, device.verdict) {
        (Some(row), _) if row.not_after < now => {
            Some(InUse::DeviceEnded { device: name, place, way, ends: row.not_after.date() })
        }
        (_, Verdict::Unreachable) => Some(InUse::DeviceUnreachable { device: name, place, since }),
        (_, Verdict::NotSecure) => Some(InUse::DeviceNotSecure { device: name, place, way, seen }),
        (Some(row), Verdict::Secure) if now >= renew_from(row.not_before, row.not_after) => {
            Some(InUse::DeviceDue { device: name, place, way, ends: row.not_after.date() })
        }
        (_, Verdict::Secure) => None,
    }
}
