//! `device`: a known device gets a name, or goes out of the list.

use domain::{AltName, RevocationReason, Told};
use serde_json::json;
use store::{DeviceRow, Store};
use time::OffsetDateTime;

use crate::{
    args::{Device, DeviceAction},
    failure::Failure,
    setting::Setting,
    talk::{print_json, say},
};

/// Characters of a name for people.
const NAME_MAX: usize = 64;

pub async fn run(device: &Device, setting: &Setting) -> Result<bool, Failure> {
    match &device.action {
        DeviceAction::Name { device, name } => {
            let store = setting.store().await?;
            let row = one(&store, device).await?;
            let name = name.trim();
            if name.is_empty() || name.chars().count() > NAME_MAX || *Told::new(name) != *name {
                return Err(Failure::usage("device-name"));
            }
            store.rename_device(row.id, name).await?;
            say(&json!({"code": "device-named", "was": row.name, "name": name}));
            show(setting, &row, name);
        }
        DeviceAction::Forget { device, revoke: false } => {
            let store = setting.store().await?;
            let row = one(&store, device).await?;
            store.forget_device(row.id).await?;
            match row.serial {
                Some(_) => say(&json!({"code": "device-forgotten-valid", "name": row.name})),
                None => say(&json!({"code": "device-forgotten", "name": row.name})),
            }
            show(setting, &row, &row.name);
        }
        DeviceAction::Forget { device, revoke: true } => {
            let (store, authority) = setting.authority().await?;
            let row = one(&store, device).await?;
            let now = OffsetDateTime::now_utc();
            for certificate in store.device_certificates(row.id).await? {
                if certificate.not_after > now && certificate.revoked_at.is_none() {
                    let reason = RevocationReason::CessationOfOperation;
                    authority.revoke(&certificate.serial, reason, now).await?;
                }
            }
            store.forget_device(row.id).await?;
            say(&json!({"code": "device-forgotten-revoked", "name": row.name}));
            show(setting, &row, &row.name);
        }
    }
    Ok(true)
}

/// The one device of that name or address.
async fn one(store: &Store, text: &str) -> Result<DeviceRow, Failure> {
    let host = text.parse::<AltName>().ok();
    let is_it = |device: &DeviceRow| {
        device.name == text
            || host.as_ref().is_some_and(|host| {
                device.host == *host || device.others.iter().any(|place| place.host == *host)
            })
    };
    let mut found: Vec<DeviceRow> = store.devices(None).await?.into_iter().filter(is_it).collect();
    match (found.pop(), found.len()) {
        (Some(device), 0) => Ok(device),
        (Some(_), _) => Err(Failure { exit: 2, ..Failure::refused("device-ambiguous", "device", text) }),
        (None, _) => Err(Failure { exit: 2, ..Failure::refused("device-unknown", "device", text) }),
    }
}

fn show(setting: &Setting, row: &DeviceRow, name: &str) {
    if setting.json {
        print_json(&json!({"device": name, "host": row.host.plain()}));
    }
}
