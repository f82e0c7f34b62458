//! `vault`: which secrets open the authority, and the change of each.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use domain::visible;
use qrcode::{QrCode, render::unicode};
use serde_json::{Value, json};
use site::Secrets;
use vault::{RecoveryKey, Wrapping, escrow::short_form};
use zeroize::Zeroizing;

use crate::{
    args::{self, VaultAction},
    failure::Failure,
    files,
    setting::{self, Setting},
    talk::{paint, print, print_json, say, warn},
};

pub async fn run(vault: &args::Vault, setting: &Setting) -> Result<bool, Failure> {
    match &vault.action {
        VaultAction::Show => return show(setting).await,
        VaultAction::Passphrase { new_passphrase_file } => {
            passphrase(new_passphrase_file.as_deref(), setting).await?;
        }
        VaultAction::RecoveryKey => recovery_key(setting).await?,
        VaultAction::KeyFile { file: Some(file), .. } => key_file(file, setting).await?,
        VaultAction::KeyFile { file: None, .. } => remove_key_file(setting).await?,
    }
    Ok(true)
}

/// Shows a recovery key, once: as text, and as a picture on a terminal.
pub fn show_recovery_key(heading: &str, key: &RecoveryKey) {
    let advice = "print this and keep it away from this machine. It is shown only now.";
    print(&paint("1", &format!("{heading}: {advice}")));
    print(&format!("  {}", key.text()));
    print(&format!("  public half  {}", key.recipient()));
    print(&format!(
        "  short form   {} (print this, too: camlock vault show says it again)",
        short_form(key.recipient())
    ));
    if std::io::stdout().is_terminal()
        && let Ok(code) = QrCode::new(key.text())
    {
        let picture = Zeroizing::new(code.render::<unicode::Dense1x2>().build());
        print(&picture);
    }
}

/// The present secrets, opened by one of them.
async fn opened(setting: &Setting) -> Result<Secrets, Failure> {
    let site = setting.site().await?;
    let secret = setting.passphrase("Present passphrase (or recovery key): ")?;
    Ok(site.secrets(&secret).await?)
}

fn description(wrapping: &Wrapping) -> Value {
    let (memory_kib, passes) = wrapping.costs();
    json!({
        "passphrase": true,
        "passphrase_costs": {"memory_kib": memory_kib, "passes": passes},
        "recovery_key": true,
        "recovery_recipient": wrapping.recovery_recipient,
        "recovery_short": short_form(&wrapping.recovery_recipient),
        "key_file": wrapping.has_key_file(),
    })
}

/// What the ledger says, and then whether the authority stands behind it.
async fn show(setting: &Setting) -> Result<bool, Failure> {
    let site = setting.site().await?;
    let wrapping = site.wrapping().await?;
    let unsigned = site.recovery_is_unsigned().await;
    site.close().await;
    if setting.json {
        print_json(&description(&wrapping));
    } else {
        let (memory_kib, passes) = wrapping.costs();
        let key_file =
            if wrapping.has_key_file() { "yes: the service can start without anybody" } else { "no" };
        print("The authority is opened by");
        print(&format!("  passphrase    yes (Argon2id, {} MiB, {passes} passes)", memory_kib / 1024));
        print(&format!("  recovery key  yes ({})", visible(&wrapping.recovery_recipient)));
        print(&format!("  short form    {}", short_form(&wrapping.recovery_recipient)));
        print(&format!("  key file      {key_file}"));
    }
    if unsigned? {
        warn(&authority::Error::RecoveryUnsigned);
    }
    Ok(true)
}

async fn passphrase(new: Option<&Path>, setting: &Setting) -> Result<(), Failure> {
    let mut secrets = opened(setting).await?;
    let new = setting::new_passphrase(new, "new-passphrase-missing")?;
    secrets.change_passphrase(&new)?;
    let description = description(secrets.wrapping());
    secrets.save().await?;
    say(&json!({"code": "passphrase-changed"}));
    if setting.json {
        print_json(&description);
    }
    Ok(())
}

async fn recovery_key(setting: &Setting) -> Result<(), Failure> {
    let mut secrets = opened(setting).await?;
    let key = secrets.change_recovery_key()?;
    if setting.json {
        let mut shown = description(secrets.wrapping());
        shown["recovery_key"] = json!(key.text());
        print_json(&shown);
    } else {
        show_recovery_key("New recovery key", &key);
    }
    secrets.save().await?;
    say(&json!({"code": "recovery-key-changed"}));
    Ok(())
}

async fn key_file(file: &PathBuf, setting: &Setting) -> Result<(), Failure> {
    if files::is_standard(file) {
        return Err(Failure::usage("key-to-terminal"));
    }
    site::must_be_new(file)?;
    let mut secrets = opened(setting).await?;
    let key = secrets.make_key_file()?;
    let mut description = description(secrets.wrapping());
    let mut line = Zeroizing::new(String::with_capacity(key.len() + 1));
    line.extend([key.as_str(), "\n"]);
    site::write_new(file, line.as_bytes(), 0o600)?;
    if let Err(e) = secrets.save().await {
        let _ = std::fs::remove_file(file);
        return Err(e.into());
    }
    let name = file.display().to_string();
    say(&json!({"code": "key-file-written", "file": name}));
    warn(&json!({"code": "key-file-thief", "file": name}));
    if setting.json {
        description["files"] = json!([name]);
        print_json(&description);
    }
    Ok(())
}

/// Asks for a secret: what is taken away by hand is damage.
async fn remove_key_file(setting: &Setting) -> Result<(), Failure> {
    let mut secrets = opened(setting).await?;
    secrets.remove_key_file()?;
    let description = description(secrets.wrapping());
    secrets.save().await?;
    say(&json!({"code": "key-file-removed"}));
    if setting.json {
        print_json(&description);
    }
    Ok(())
}
