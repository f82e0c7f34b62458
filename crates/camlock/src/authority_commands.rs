//! `init`, `authority show`, `trust export`.

use std::io::IsTerminal;

use authority::{Authority, Founding, Public};
use pki::{KeyKind, Permitted};
use qrcode::{QrCode, render::unicode};
use serde_json::json;
use store::Store;
use time::OffsetDateTime;
use words::Words;
use zeroize::Zeroizing;

use crate::{
    args::{Constraints, Init, RootKey, Trust, TrustAction},
    failure::Failure,
    files, host,
    page_certificate::{self, PageCertificate},
    setting::{self, Setting},
    talk::{grouped, paint, print, print_json, say, tell, warn},
};

/// Fewer characters than this are said to be few.
const SHORT_PASSPHRASE: usize = 12;

pub async fn init(init: &Init, setting: &Setting) -> Result<bool, Failure> {
    let mut permitted = Permitted::local(host::name().as_deref());
    for text in &init.permit {
        permitted.permit(text)?;
    }
    let directory = setting.directory()?;
    // An existing authority is known before anybody is asked for a passphrase.
    if let Ok(store) = Store::open(&directory).await
        && let Ok(site) = store.site().await
    {
        return Err(store::Error::AuthorityExists { site: site.name }.into());
    }
    if init.permit.is_empty() && !setting.yes && std::io::stdin().is_terminal() {
        // Now, because constraints cannot be widened later.
        let question = format!("{} ", Words::english().say(&json!({"code": "ask-permit"})).text);
        let answer = setting::ask_openly(&question, "ask-permit").unwrap_or_default();
        for text in answer.split_whitespace() {
            permitted.permit(text)?;
        }
    }
    let passphrase = setting.new_passphrase()?;
    if passphrase.is_empty() {
        return Err(vault::Error::PassphraseEmpty.into());
    }
    if passphrase.chars().count() < SHORT_PASSPHRASE {
        warn(&json!({"code": "passphrase-short"}));
    }
    if init.constraints == Constraints::None {
        warn(&json!({"code": "no-constraints"}));
    }
    let founding = Founding {
        site: init.site.clone(),
        key: match init.key {
            RootKey::Rsa3072 => KeyKind::Rsa3072,
            RootKey::Rsa4096 => KeyKind::Rsa4096,
            RootKey::P256 => KeyKind::P256,
            RootKey::P384 => KeyKind::P384,
        },
        permitted,
        constrained: init.constraints == Constraints::Default,
    };
    let store = Store::create(&directory).await?;
    let (authority, recovery) =
        Authority::found(&store, founding, &passphrase, OffsetDateTime::now_utc()).await?;
    let public = authority.public().clone();
    // Now, while the authority is open: `serve` can then begin locked.
    PageCertificate::issue(&authority, &page_certificate::names(&public, None)).await?.save(&directory)?;
    store.close().await;

    if setting.json {
        let mut shown = description(&public);
        shown["data"] = json!(directory.display().to_string());
        shown["recovery_key"] = json!(recovery.text());
        print_json(&shown);
        return Ok(true);
    }
    print(&format!("Made the authority in {}", directory.display()));
    describe(&public);
    print("");
    print(&paint("1", "Recovery key: print this and keep it away from this machine. It is shown only now."));
    print(&format!("  {}", recovery.text()));
    if std::io::stdout().is_terminal()
        && let Ok(code) = QrCode::new(recovery.text())
    {
        let picture = Zeroizing::new(code.render::<unicode::Dense1x2>().build());
        print(&picture);
    }
    print("");
    print("Next: camlock trust export --out root.pem, and camlock secure ADDRESS --user admin");
    Ok(true)
}

pub async fn show(setting: &Setting) -> Result<bool, Failure> {
    let public = Public::read(&setting.store().await?).await?;
    if setting.json {
        print_json(&description(&public));
    } else {
        describe(&public);
    }
    Ok(true)
}

pub async fn trust(trust: &Trust, setting: &Setting) -> Result<bool, Failure> {
    let TrustAction::Export { out } = &trust.action;
    let public = Public::read(&setting.store().await?).await?;
    let file = match out {
        Some(file) if !files::is_standard(file) => {
            files::write_new(file, public.root.to_pem().as_bytes(), 0o644)?;
            say(&json!({"code": "root-written", "file": file.display().to_string()}));
            tell(&format!("SHA-256 {}", grouped(&public.root.sha256())));
            vec![file.display().to_string()]
        }
        _ if setting.json => Vec::new(),
        _ => {
            print(public.root.to_pem().trim_end());
            return Ok(true);
        }
    };
    if setting.json {
        let mut shown = description(&public);
        shown["pem"] = json!(public.root.to_pem());
        shown["files"] = json!(file);
        print_json(&shown);
    }
    Ok(true)
}

fn description(public: &Public) -> serde_json::Value {
    let mut shown = json!(public.root.summary());
    shown["site"] = json!(public.site);
    shown["constrained"] = json!(public.constrained);
    shown["permitted"] = json!(public.permitted.entries());
    shown
}

fn describe(public: &Public) {
    print(&format!("  site         {}", public.site));
    print(&format!("  root         {} ({})", public.root.subject(), public.root.key_name()));
    print(&format!("  valid until  {}", public.root.not_after().date()));
    print(&format!("  SHA-256      {}", grouped(&public.root.sha256())));
    print(&format!("  issues for   {}", public.permitted));
    if !public.constrained {
        print(&format!("  {}", Words::english().say(&json!({"code": "no-constraints"})).text));
    }
}
