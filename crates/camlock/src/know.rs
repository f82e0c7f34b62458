//! What `find` learns of a device as one of its users: who made it, and what it sees.

use std::path::PathBuf;

use devices::{Abilities, Admission, Credentials, DeviceInfo, Endpoint, Recipes, Recognised};
use domain::Told;
use serde_json::{Value, json};

use crate::{args::Find, failure::Failure, setting};

/// A user of the devices, and where their pictures go.
pub struct User {
    credentials: Credentials,
    pictures: Option<PathBuf>,
}

/// What a device tells this user.
#[derive(Default)]
pub struct Known {
    pub device: DeviceInfo,
    /// The file with what it sees.
    pub picture: Option<PathBuf>,
    /// The driver with its abilities and the device's clock minus ours, as it tells its users.
    pub spoken: Option<(String, Abilities, Option<time::Duration>)>,
    /// Why there is not more, as a code with its arguments.
    pub failed: Option<Value>,
}

impl User {
    /// The user that the operator named, if there is one.
    pub fn of(find: &Find) -> Result<Option<User>, Failure> {
        let Some(user) = find.user.clone() else { return Ok(None) };
        let password = match &find.password_file {
            Some(file) => setting::first_line(file)?,
            None => setting::ask(&format!("Password of {user} on the devices: "), "password-missing")?,
        };
        if let Some(folder) = &find.pictures {
            std::fs::create_dir_all(folder).map_err(|e| Failure::file("file-unwritable", folder, &e))?;
        }
        Ok(Some(User { credentials: Credentials::new(user, password), pictures: find.pictures.clone() }))
    }

    /// Signs in to a device, once, if it is admitted. Changes nothing there.
    pub async fn ask(
        &self,
        recognised: Recognised,
        admission: Result<Admission, devices::Error>,
        endpoint: &Endpoint,
        recipes: &Recipes,
    ) -> Known {
        let mut known = Known::default();
        let failed = |e: devices::Error| serde_json::to_value(e).unwrap_or_default();
        let admission = match admission {
            Ok(admission) => admission,
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        };
        let found = match recognised.enter(&admission, recipes, self.credentials.clone()).await {
            Ok(found) => found,
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        };
        known.spoken = Some((found.driver().to_owned(), found.abilities().clone(), found.clock_offset()));
        let mut driver = found.connect();
        match driver.identify().await {
            Ok(device) => {
                known.failed = admission.is_still(&device).err().map(failed);
                known.device = device;
                if known.failed.is_some() {
                    return known;
                }
            }
            Err(e) => return Known { failed: Some(failed(e)), ..known },
        }
        let Some(folder) = &self.pictures else { return known };
        let file = folder.join(format!("{}-{}.jpg", endpoint.host.plain().replace(':', "-"), endpoint.port));
        match driver.picture().await {
            Ok(picture) => match site::write_over(&file, &picture, 0o600) {
                Ok(()) => known.picture = Some(file),
                Err(e) => known.failed = serde_json::to_value(e).ok(),
            },
            // Not every device has one to give.
            Err(devices::Error::NotOffered { .. }) => {}
            Err(e) => known.failed = Some(failed(e)),
        }
        known
    }
}

impl Known {
    /// Maker, model, firmware and serial number, as far as they are told.
    pub fn named(&self) -> String {
        let DeviceInfo { manufacturer, model, firmware, serial_number } = &self.device;
        let labelled = |label: &str, text: &Option<Told>| text.as_ref().map(|text| format!("{label}{text}"));
        let parts = [
            labelled("", manufacturer),
            labelled("", model),
            labelled("firmware ", firmware),
            labelled("no. ", serial_number),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// Whether both are the same device: one maker does not give a number twice.
    pub fn is_same(&self, other: &Known) -> bool {
        self.device.serial_number.as_ref().is_some_and(|number| !number.is_empty())
            && (&self.device.manufacturer, &self.device.serial_number)
                == (&other.device.manufacturer, &other.device.serial_number)
    }

    pub fn as_json(&self) -> Value {
        json!({
            "manufacturer": self.device.manufacturer,
            "firmware": self.device.firmware,
            "serial_number": self.device.serial_number,
            "picture": self.picture.as_ref().map(|file| file.display().to_string()),
        })
    }
}
