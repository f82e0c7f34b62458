//! `restore`: a backup into a data directory without an authority.

use serde_json::json;
use site::Restore;
use time::format_description::well_known::Rfc3339;
use vault::escrow;
use zeroize::Zeroizing;

use crate::{
    args,
    authority_commands::{describe, description},
    failure::Failure,
    setting::{self, Setting},
    talk::{print, print_json, say},
};

pub async fn run(restore: &args::Restore, setting: &Setting) -> Result<bool, Failure> {
    let files = setting.files()?;
    if restore.check {
        return check(restore, setting).await;
    }
    // Before anybody is asked for a key.
    let prepared = Restore::prepare(&files, &restore.file).await?;
    let restored = prepared.finish(&recovery_key(restore, setting)?).await?;
    let directory = files.path().display().to_string();
    if setting.json {
        let mut said = description(&restored.public);
        said["data"] = json!(directory);
        said["as_of"] = json!(restored.at.format(&Rfc3339).unwrap_or_default());
        print_json(&said);
        return Ok(true);
    }
    print(&format!("Restored the authority into {directory}, as it was on {} (UTC)", restored.at.date()));
    describe(&restored.public);
    say(&json!({"code": "restored", "at": restored.at.date().to_string()}));
    Ok(true)
}

async fn check(restore: &args::Restore, setting: &Setting) -> Result<bool, Failure> {
    let key = recovery_key(restore, setting)?;
    let checked = site::check_backup(&setting.files()?, &restore.file, &key).await?;
    if setting.json {
        let mut said = description(&checked.public);
        said["as_of"] = json!(checked.at.format(&Rfc3339).unwrap_or_default());
        print_json(&said);
    }
    say(&json!({"code": "backup-checked", "at": checked.at.date().to_string()}));
    Ok(true)
}

fn recovery_key(restore: &args::Restore, setting: &Setting) -> Result<Zeroizing<String>, Failure> {
    if let Some(file) = &restore.recovery_key_file {
        return setting::first_line(file);
    }
    match setting.told()? {
        Some(secret) if escrow::is_recovery_key(&secret) => Ok(secret),
        _ => setting::ask("Recovery key: ", "recovery-key-missing"),
    }
}
