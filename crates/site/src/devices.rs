use domain::{AltName, RevocationReason, Scheme, Target, Told};
use store::{DeviceRow, Place};

use crate::{Error, Site};

/// Characters of a name for people.
const NAME_MAX: usize = 64;

impl Site {
    /// The one device that is at that address; otherwise the one of that name.
    ///
    /// # Errors
    ///
    /// There is none, or several.
    pub async fn device(&self, text: &str) -> Result<DeviceRow, Error> {
        let devices = self.store().devices(None).await?;
        let target = text.parse::<Target>().ok();
        let is_there = |device: &&DeviceRow| {
            let is_it = |target: &Target, place: &Place| {
                let port =
                    target.port.is_none_or(|port| port == place.port || Some(port) == place.https_port);
                place.host == target.host && port
            };
            target.as_ref().is_some_and(|target| device.places().any(|place| is_it(target, &place)))
        };
        let mut found: Vec<&DeviceRow> = devices.iter().filter(is_there).collect();
        if found.is_empty() {
            found = devices.iter().filter(|device| *device.name == *text).collect();
        }
        match found.as_slice() {
            [device] => Ok((*device).clone()),
            [] => Err(Error::DeviceUnknown { device: text.to_owned() }),
            _ => Err(Error::DeviceAmbiguous { device: text.to_owned() }),
        }
    }

    /// Gives a device a name; the name as it is now.
    ///
    /// # Errors
    ///
    /// It is no name for people.
    pub async fn rename_device(&self, device: &DeviceRow, name: &str) -> Result<String, Error> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX || *Told::new(name) != *name {
            return Err(Error::DeviceName);
        }
        self.store().rename_device(device.id, name).await?;
        Ok(name.to_owned())
    }

    /// Takes a device out of the list; its certificates stay valid.
    ///
    /// # Errors
    ///
    /// The ledger cannot be written.
    pub async fn forget_device(&self, device: &DeviceRow) -> Result<(), Error> {
        Ok(self.store().forget_device(device.id).await?)
    }

    /// Revokes all certificates of a device that are still valid.
    ///
    /// # Errors
    ///
    /// The authority is locked.
    pub async fn revoke_device(&self, device: &DeviceRow) -> Result<(), Error> {
        let (authority, now) = (self.authority()?, self.now());
        for certificate in self.store().device_certificates(device.id).await? {
            if certificate.not_after > now && certificate.revoked_at.is_none() {
                let reason = RevocationReason::CessationOfOperation;
                authority.revoke(&certificate.serial, reason, now).await?;
            }
        }
        Ok(())
    }
}

/// A device of the ledger as a target: one that was only ever seen by HTTPS on its port stays with that.
pub fn place_of(device: &DeviceRow) -> Target {
    let target = target_at(&device.host, device.port);
    if device.https_port != Some(device.port) {
        return target;
    }
    let scheme = Scheme::Https;
    let text = target.url(scheme, device.port).trim_end_matches('/').to_owned();
    Target { text, port: Some(device.port), scheme: Some(scheme), ..target }
}

/// The page of a device: its https page if it is known to have one; on the usual ports, both.
pub fn page_of(device: &DeviceRow) -> Target {
    let port = match device.https_port {
        Some(port) if port == Scheme::Https.default_port() => Scheme::Http.default_port(),
        Some(port) => port,
        None => device.port,
    };
    target_at(&device.host, port)
}

/// A place as a target: where both usual ports may answer, by its host alone.
pub fn target_at(host: &AltName, port: u16) -> Target {
    let port = Some(port).filter(|port| *port != Scheme::Http.default_port());
    let target = Target { text: String::new(), host: host.clone(), port, scheme: None };
    let text = match port {
        Some(port) => format!("{}:{port}", target.url_host()),
        None => target.dial_host(),
    };
    Target { text, ..target }
}
