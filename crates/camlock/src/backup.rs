//! `backup`: one file, encrypted to the recovery key's public half.

use serde_json::json;
use time::format_description::well_known::Rfc3339;
use vault::escrow::short_form;

use crate::{
    args,
    failure::Failure,
    setting::Setting,
    talk::{print, print_json},
};

pub async fn run(backup: &args::Backup, setting: &Setting) -> Result<bool, Failure> {
    let site = setting.site().await?;
    if site.recovery_is_unsigned().await? {
        let unsigned = |_| authority::Error::RecoveryUnsigned;
        site.unlock(&setting.passphrase("Passphrase of Camlock: ").map_err(unsigned)?).await?;
    }
    let made = site.back_up(&backup.file).await?;
    site.close().await;
    let file = backup.file.display().to_string();
    let bytes = std::fs::metadata(&backup.file).map_or(0, |m| m.len());
    if setting.json {
        let at = made.at.format(&Rfc3339).unwrap_or_default();
        print_json(&json!({"files": [file], "bytes": bytes, "at": at, "recovery_recipient": made.recipient}));
        return Ok(true);
    }
    print(&format!("Wrote {file} ({} kB)", bytes.div_ceil(1000)));
    print(&format!("  opened by  the recovery key alone ({})", made.recipient));
    print(&format!("  short form {}", short_form(&made.recipient)));
    print(&format!(
        "  how        camlock restore {file}, or: age --decrypt -i RECOVERY-KEY-FILE {file} | tar x"
    ));
    Ok(true)
}
