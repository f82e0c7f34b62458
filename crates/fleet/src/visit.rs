//! Who answers where somebody was found, by the ledger. Nothing of it needs the authority to be open.

use devices::{Admission, Consent, Expected, PublicKeyPin, Seen};
use domain::{AltName, Finding, Report};
use inspect::Options;
use store::{DeviceRow, NewDevice, Store};

use crate::{
    Error,
    identity::{Arrival, arrives, expected, seen, served},
};

/// Whoever answers at an address, and the device of the ledger that it is or that was expected there.
pub struct Stranger {
    /// That device.
    pub device: Option<DeviceRow>,
    /// It proved to have a key of that device.
    by_key: bool,
    /// It was somewhere else before.
    pub moved: Option<Finding>,
    expected: Option<Expected>,
    seen: Seen,
}

/// Who answers at this host, of whose HTTPS `tls` was seen on that port. A device that proves its key where the ledger
/// does not have it is there from now on.
pub async fn who_is(
    store: &Store,
    options: &Options,
    host: &AltName,
    port: u16,
    tls: Option<(u16, &Report)>,
) -> Result<Stranger, Error> {
    let row = match tls {
        Some((_, report)) => served(store, host, report).await?,
        None => None,
    };
    let by_key = match row.and_then(|row| row.device_id) {
        Some(id) => store.device(id).await?,
        None => None,
    };
    let is_by_key = by_key.is_some();
    let mut moved = None;
    let device = match (by_key, tls) {
        (Some(device), Some((https_port, _))) => {
            let is_here = device.places().any(|place| {
                place.host == *host && (place.port == port || place.https_port == Some(https_port))
            });
            if !is_here
                && let Arrival::Here(finding) =
                    arrives(store, options, false, &device, host, port, https_port).await?
            {
                moved = finding;
            }
            store.device(device.id).await?
        }
        _ => match store.device_at(host, port).await? {
            Some(device) => Some(device),
            None => match tls {
                Some((https_port, _)) => store.device_at(host, https_port).await?,
                None => None,
            },
        },
    };
    let expected = match &device {
        Some(device) => Some(expected(store, device).await?),
        None => None,
    };
    let usual = domain::Scheme::Http.default_port();
    let target = if port == usual { host.plain() } else { format!("{}:{port}", host.plain()) };
    let key = tls.and_then(|(_, report)| PublicKeyPin::of_certificate(report.leaf.as_deref()?));
    let seen = seen(store, host, &target, key, device.as_ref()).await?;
    Ok(Stranger { device, by_key: is_by_key, moved, expected, seen })
}

impl Stranger {
    /// Somebody at this host with this key, where there is no ledger.
    pub fn unknown(host: &AltName, key: Option<PublicKeyPin>) -> Stranger {
        let seen = Seen::at(host, key);
        Stranger { device: None, by_key: false, moved: None, expected: None, seen }
    }

    /// Whether the name by which it was found stays on the site, as far as there is one.
    pub async fn stays_on_site(&self, store: &Store) -> Result<(), Error> {
        match authority::Public::read(store).await {
            Ok(public) => crate::contact::stays_on_site(&self.seen.host, &public.permitted).await,
            // Without an authority nothing says where the site ends.
            Err(_) => Ok(()),
        }
    }

    /// The leave to sign in, once, in a way that hides the password: the operator named no device by itself, but gave a
    /// user for all that are found. `inside_tls`: over the key that was seen; otherwise over plain HTTP.
    pub fn admit(&self, inside_tls: bool) -> Result<Admission, devices::Error> {
        let key = self.seen.key.filter(|_| inside_tls);
        let seen = Seen { key, ..self.seen.clone() };
        let consent = Consent { named: true, hidden_only: true, ..Consent::default() };
        Admission::decide(&seen, self.expected.as_ref(), consent)
    }

    /// Whether the ledger has a certificate of ours on the device that is expected there.
    pub fn is_secured(&self) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected.secured)
    }

    /// Whether the device that was expected here was met elsewhere meanwhile. Then nobody is expected here any more.
    pub async fn is_somebody_else(&mut self, store: &Store, host: &AltName) -> Result<bool, Error> {
        let Some(device) = self.device.as_ref().filter(|_| !self.by_key) else { return Ok(false) };
        let is_there = |device: DeviceRow| device.places().any(|place| place.host == *host);
        if store.device(device.id).await?.is_some_and(is_there) {
            return Ok(false);
        }
        (self.device, self.expected) = (None, None);
        Ok(true)
    }

    /// Notes a device that nobody knew, so that the operator can accept it. What the ledger knows stays as it is.
    pub async fn note(&self, store: &Store, new: NewDevice<'_>) -> Result<(), Error> {
        if self.device.is_none() {
            store.save_device(&NewDevice { accepted: false, mac: self.seen.mac.as_deref(), ..new }).await?;
        }
        Ok(())
    }
}
