//! `device`: a known device gets a name, or goes out of the list.

use domain::{RevocationReason, Target, Told};
use serde_json::json;
use store::{DeviceRow, Place, Store};
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

/// The one device that is at that address; otherwise the one of that name.
async fn one(store: &Store, text: &str) -> Result<DeviceRow, Failure> {
    let devices = store.devices(None).await?;
    let target = text.parse::<Target>().ok();
    let is_there = |device: &&DeviceRow| {
        let is_it = |target: &Target, place: &Place| {
            let port = target.port.is_none_or(|port| port == place.port || Some(port) == place.https_port);
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
        [] => Err(Failure { exit: 2, ..Failure::refused("device-unknown", "device", text) }),
        _ => Err(Failure { exit: 2, ..Failure::refused("device-ambiguous", "device", text) }),
    }
}

fn show(setting: &Setting, row: &DeviceRow, name: &str) {
    if setting.json {
        print_json(&json!({"device": name, "host": row.host.plain()}));
    }
}
