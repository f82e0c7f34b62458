//! Which device of the ledger stands at an address: the one whose key is shown there, wherever it was before; else the
//! one that was there last.

use devices::{DeviceInfo, Expected, PublicKeyPin, Seen};
use domain::{AltName, Finding, Report, Scheme, Target};
use inspect::Options;
use store::{CertificateRow, DeviceRow, Place, Store};

use crate::Error;

/// What the ledger expects of a device.
pub(crate) async fn expected(store: &Store, device: &DeviceRow) -> Result<Expected, Error> {
    let certificates = store.device_certificates(device.id).await?;
    let first_keys = store.device_keys(device.id).await?;
    let unfinished = store.unfinished_enrolments(device.id).await?;
    Ok(Expected {
        name: device.name.to_string(),
        accepted: device.accepted,
        secured: device.serial.is_some(),
        keys: certificates.iter().filter(|row| !row.compromised).filter_map(key_of).collect(),
        lost_keys: certificates.iter().filter(|row| row.compromised).filter_map(key_of).collect(),
        first_keys: first_keys.iter().filter_map(|key| PublicKeyPin::from_hex(key)).collect(),
        unfinished: unfinished.iter().any(|enrolment| enrolment.handed_out().is_none()),
        driver: Some(device.driver.clone()),
        makes_key: device.makes_key,
        device: told(device),
        mac: device.mac.clone(),
        sign_in: device.sign_in,
        sign_in_plain: device.sign_in_plain,
    })
}

/// What the ledger knows that a device says of itself.
pub(crate) fn told(device: &DeviceRow) -> DeviceInfo {
    serde_json::from_str(&device.told).unwrap_or_default()
}

/// The key of an issued certificate.
pub(crate) fn key_of(row: &CertificateRow) -> Option<PublicKeyPin> {
    PublicKeyPin::of_certificate(row.der.as_deref()?)
}

/// A certificate of ours that is served by whoever has its key, if it still says who that is. It does so whatever else
/// has become of it (it expired, say); but not once somebody else may have the key.
pub(crate) async fn served(
    store: &Store,
    host: &AltName,
    seen: &Report,
) -> Result<Option<CertificateRow>, Error> {
    let Some(summary) = seen.certificate.as_ref().filter(|_| seen.proven) else { return Ok(None) };
    let row = store.issued(&summary.serial, &summary.sha256).await?.filter(|row| !row.compromised);
    let Some(row) = row else { return Ok(None) };
    let is_proof = match row.device_id {
        Some(id) => store.device_certificates(id).await?.iter().any(|known| known.serial == row.serial),
        // What was issued for no device of the ledger is at home where it says.
        None => row.revoked_at.is_none() && row.names.contains(host),
    };
    Ok(is_proof.then_some(row))
}

/// What became of a key that was shown where the ledger does not have its device.
pub(crate) enum Arrival {
    /// The device is there; what is to be said of it.
    Here(Option<Finding>),
    /// The device is where it was, and nobody said that it is here, too.
    Elsewhere,
}

/// Where a device is spoken to that has just shown its key at a place where the ledger does not have it. The places where
/// it is no longer are free from now on; what is to be said of it. Where it is still at another place, the new one is added
/// if the operator named it (`is_named`): somebody who passes everything on to a device could show its key at any address.
pub(crate) async fn arrives(
    store: &Store,
    options: &Options,
    is_named: bool,
    device: &DeviceRow,
    host: &AltName,
    port: u16,
    https_port: u16,
) -> Result<Arrival, Error> {
    let keys = expected(store, device).await?.keys;
    let mut left = Vec::new();
    if device.left_at.is_some() {
        // Where somebody else was seen since.
        let (host, port) = (device.host.clone(), device.port);
        left.push(Place { host, port, https_port: None, left_at: device.left_at });
    }
    for place in device.places().filter(|place| place.host != *host || place.port != port) {
        if !is_still_at(options, &place, &keys).await {
            left.push(place);
        }
    }
    // A name may lead to the new address.
    let is_address = |place: &Place| matches!(place.host, AltName::Ip(_));
    let is_elsewhere = device.places().any(|place| is_address(&place) && !left.contains(&place));
    if is_elsewhere && !is_named {
        return Ok(Arrival::Elsewhere);
    }
    store.move_device(device.id, host, port, Some(https_port), &left).await?;
    let from: Vec<String> =
        left.iter().map(|place| place.host.plain()).filter(|from| *from != host.plain()).collect();
    Ok(Arrival::Here((!from.is_empty()).then(|| Finding::Moved {
        name: device.name.to_string(),
        from,
        to: host.plain(),
    })))
}

/// Whether the device answers there too. An address that is silent is free: a device has that of the moment. A name is
/// the operator's, and leads to the device until somebody else answers to it.
async fn is_still_at(options: &Options, place: &Place, keys: &[PublicKeyPin]) -> bool {
    let port = place.https_port.unwrap_or(Scheme::Https.default_port());
    let report = inspect::check(&https_page(&place.host, port), options).await;
    match report.leaf.as_deref().filter(|_| report.proven).and_then(PublicKeyPin::of_certificate) {
        Some(key) => keys.contains(&key),
        None => matches!(place.host, AltName::Dns(_)),
    }
}

/// The https page of a host on `port`.
pub(crate) fn https_page(host: &AltName, port: u16) -> Target {
    let target =
        Target { text: String::new(), host: host.clone(), port: Some(port), scheme: Some(Scheme::Https) };
    Target { text: target.url(Scheme::Https, port), ..target }
}

/// Where a device was met, as a browser looks for it there.
pub(crate) fn met_at(place: &Place) -> Target {
    Target { text: String::new(), host: place.host.clone(), port: Some(place.port), scheme: None }
}

/// What was seen of whoever answers at `host`, of which the report tells the key.
pub(crate) async fn seen(
    store: &Store,
    host: &AltName,
    target: &str,
    key: Option<PublicKeyPin>,
    known: Option<&DeviceRow>,
) -> Result<Seen, Error> {
    let mac = own_mac(store, host, known).await?;
    Ok(Seen { target: target.to_owned(), mac, ..Seen::at(host, key) })
}

/// The hardware address of whoever answers at `host`, unless it is that of several devices: of a router or a repeater.
async fn own_mac(store: &Store, host: &AltName, known: Option<&DeviceRow>) -> Result<Option<String>, Error> {
    let AltName::Ip(std::net::IpAddr::V4(ip)) = host else { return Ok(None) };
    let neighbours = devices::discovery::neighbours();
    let Some(mac) = neighbours.get(ip) else { return Ok(None) };
    let here = neighbours.values().filter(|other| *other == mac).count();
    let of_others = store.has_other_with_mac(mac, known.map(|known| known.id)).await?;
    Ok((here == 1 && !of_others).then(|| mac.clone()))
}

/// Whether the device that let us in, at the address of one that the operator says was reset or replaced, is that one.
pub(crate) fn is_same_device(was: &DeviceRow, is: &DeviceInfo, mac: Option<&str>) -> bool {
    let before = told(was);
    match (&before.serial_number, &is.serial_number) {
        (Some(one), Some(two)) => one == two && before.manufacturer == is.manufacturer,
        _ => {
            was.mac.is_some() && was.mac.as_deref() == mac && devices::other_identity(&before, is).is_empty()
        }
    }
}
