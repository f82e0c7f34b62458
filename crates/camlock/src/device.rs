//! `device`: a known device gets a name, or goes out of the list.

use serde_json::json;
use store::DeviceRow;

use crate::{
    args::{Device, DeviceAction},
    failure::Failure,
    setting::Setting,
    talk::{print_json, say},
};

pub async fn run(device: &Device, setting: &Setting) -> Result<bool, Failure> {
    match &device.action {
        DeviceAction::Name { device, name } => {
            let site = setting.site().await?;
            let row = site.device(device).await?;
            let name = site.rename_device(&row, name).await?;
            say(&json!({"code": "device-named", "was": row.name, "name": name}));
            show(setting, &row, &name);
        }
        DeviceAction::Forget { device, revoke: false } => {
            let site = setting.site().await?;
            let row = site.device(device).await?;
            site.forget_device(&row).await?;
            match row.serial {
                Some(_) => say(&json!({"code": "device-forgotten-valid", "name": row.name})),
                None => say(&json!({"code": "device-forgotten", "name": row.name})),
            }
            show(setting, &row, &row.name);
        }
        DeviceAction::Forget { device, revoke: true } => {
            let site = setting.unlocked().await?;
            let row = site.device(device).await?;
            site.revoke_device(&row).await?;
            site.forget_device(&row).await?;
            say(&json!({"code": "device-forgotten-revoked", "name": row.name}));
            show(setting, &row, &row.name);
        }
    }
    Ok(true)
}

fn show(setting: &Setting, row: &DeviceRow, name: &str) {
    if setting.json {
        print_json(&json!({"device": name, "host": row.host.plain()}));
    }
}
