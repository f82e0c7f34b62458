//! `vault`: which secrets open the authority, and the change of each.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use authority::keys_for_recovery;
use qrcode::{QrCode, render::unicode};
use serde_json::{Value, json};
use store::{Site, Store};
use vault::{RecoveryKey, Vault, Wrapping};
use zeroize::Zeroizing;

use crate::{
    args::{self, VaultAction},
    failure::Failure,
    files,
    setting::{self, Setting},
    talk::{paint, print, print_json, say, warn},
};

pub async fn run(vault: &args::Vault, setting: &Setting) -> Result<bool, Failure> {
    let secrets = Secrets::read(setting).await?;
    match &vault.action {
        VaultAction::Show => show(&secrets, setting),
        VaultAction::Passphrase { new_passphrase_file } => {
            passphrase(secrets, new_passphrase_file.as_deref(), setting).await?;
        }
        VaultAction::RecoveryKey => recovery_key(secrets, setting).await?,
        VaultAction::KeyFile { file: Some(file), .. } => key_file(secrets, file, setting).await?,
        VaultAction::KeyFile { file: None, .. } => remove_key_file(secrets, setting).await?,
    }
    Ok(true)
}

/// Shows a recovery key, once: as text, and as a picture on a terminal.
pub fn show_recovery_key(heading: &str, key: &RecoveryKey) {
    let advice = "print this and keep it away from this machine. It is shown only now.";
    print(&paint("1", &format!("{heading}: {advice}")));
    print(&format!("  {}", key.text()));
    if std::io::stdout().is_terminal()
        && let Ok(code) = QrCode::new(key.text())
    {
        let picture = Zeroizing::new(code.render::<unicode::Dense1x2>().build());
        print(&picture);
    }
}

/// The wrappings of the master key, as they are stored and as they are to be.
struct Secrets {
    store: Store,
    site: Site,
    wrapping: Wrapping,
}

impl Secrets {
    async fn read(setting: &Setting) -> Result<Secrets, Failure> {
        let store = setting.store().await?;
        let site = store.site().await?;
        let wrapping = serde_json::from_str(&site.vault).map_err(store::Error::from)?;
        Ok(Secrets { store, site, wrapping })
    }

    /// Opens the vault with any one of the present secrets.
    fn open(&self, setting: &Setting) -> Result<Vault, Failure> {
        let secret = setting.passphrase("Present passphrase (or recovery key): ")?;
        Ok(tokio::task::block_in_place(|| Vault::open(&self.wrapping, &secret))?)
    }

    /// Stores what was changed, if what it was changed from is still there. A new recovery key comes with the `keys`
    /// that it opens.
    async fn save(self, keys: Option<&[(i64, String)]>) -> Result<(), Failure> {
        let changed = serde_json::to_string(&self.wrapping).map_err(store::Error::from)?;
        self.store.replace_vault(&self.site.vault, &changed, keys).await?;
        self.store.close().await;
        Ok(())
    }

    fn description(&self) -> Value {
        json!({
            "passphrase": true,
            "recovery_key": true,
            "recovery_recipient": self.wrapping.recovery_recipient,
            "key_file": self.wrapping.has_key_file(),
        })
    }
}

fn show(secrets: &Secrets, setting: &Setting) {
    if setting.json {
        return print_json(&secrets.description());
    }
    let key_file =
        if secrets.wrapping.has_key_file() { "yes: the service can start without anybody" } else { "no" };
    print("The authority is opened by");
    print("  passphrase    yes");
    print(&format!("  recovery key  yes ({})", secrets.wrapping.recovery_recipient));
    print(&format!("  key file      {key_file}"));
}

async fn passphrase(mut secrets: Secrets, new: Option<&Path>, setting: &Setting) -> Result<(), Failure> {
    let vault = secrets.open(setting)?;
    let new = setting::new_passphrase(new, "new-passphrase-missing")?;
    tokio::task::block_in_place(|| vault.change_passphrase(&mut secrets.wrapping, &new))?;
    let description = secrets.description();
    secrets.save(None).await?;
    say(&json!({"code": "passphrase-changed"}));
    if setting.json {
        print_json(&description);
    }
    Ok(())
}

/// The key is shown before it is stored: whatever happens in between, one that was seen opens the authority.
async fn recovery_key(mut secrets: Secrets, setting: &Setting) -> Result<(), Failure> {
    let vault = secrets.open(setting)?;
    let key = vault.change_recovery_key(&mut secrets.wrapping)?;
    let escrowed = keys_for_recovery(&vault, &secrets.site, &secrets.wrapping.recovery_recipient)?;
    if setting.json {
        let mut shown = secrets.description();
        shown["recovery_key"] = json!(key.text());
        print_json(&shown);
    } else {
        show_recovery_key("New recovery key", &key);
    }
    secrets.save(Some(&escrowed)).await?;
    say(&json!({"code": "recovery-key-changed"}));
    Ok(())
}

/// The file is written first: one that opens nothing yet does no harm, and a wrapping whose key is lost would have
/// taken the place of one that opened.
async fn key_file(mut secrets: Secrets, file: &PathBuf, setting: &Setting) -> Result<(), Failure> {
    if files::is_standard(file) {
        return Err(Failure::usage("key-to-terminal"));
    }
    files::must_be_new(file)?;
    let vault = secrets.open(setting)?;
    let key = vault.make_key_file(&mut secrets.wrapping)?;
    let mut line = Zeroizing::new(String::with_capacity(key.len() + 1));
    line.extend([key.as_str(), "\n"]);
    files::write_new(file, line.as_bytes(), 0o600)?;
    let mut description = secrets.description();
    if let Err(failure) = secrets.save(None).await {
        let _ = std::fs::remove_file(file);
        return Err(failure);
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

/// Asks for no secret: whoever may write to the data directory could take the wrapping away by hand.
async fn remove_key_file(mut secrets: Secrets, setting: &Setting) -> Result<(), Failure> {
    secrets.wrapping.remove_key_file();
    let description = secrets.description();
    secrets.save(None).await?;
    say(&json!({"code": "key-file-removed"}));
    if setting.json {
        print_json(&description);
    }
    Ok(())
}
