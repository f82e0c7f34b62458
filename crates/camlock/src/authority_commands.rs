//! `init`, `authority show`.

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
};

use authority::{Founding, New, Public};
use domain::{AltName, slug};
use pki::{Certificate, KeyKind, Permitted};
use serde_json::json;
use site::DataDir;
use store::Proofs;
use time::OffsetDateTime;
use vault::RecoveryKey;
use words::Words;

use crate::{
    args::{Constraints, Init, RootKey},
    failure::Failure,
    setting::{self, Setting},
    talk::{grouped, print, print_json, say, warn},
    vault_commands,
};

/// So many things that depend on an old root are shown by name.
const SHOWN: usize = 20;
/// So many of the recovery key's last characters are typed back.
const RECOVERY_END: usize = 4;

pub async fn init(init: &Init, setting: &Setting) -> Result<bool, Failure> {
    // A name that a container or a network gave for the moment would stay in the root for ten years.
    let host = site::host_name().filter(|name| !init.no_host_name && AltName::dns(name).is_ok());
    let mut permitted = Permitted::local(host.as_deref());
    for text in &init.permit {
        permitted.permit(text)?;
    }
    let data = setting.files()?;
    site::must_be_vacant(&data).await?;
    if let Some(name) = &host {
        say(&json!({"code": "host-name-permitted", "name": name}));
    }
    if init.permit.is_empty() && !setting.yes && std::io::stdin().is_terminal() {
        // Now, because constraints cannot be widened later.
        permitted = ask_permitted(&permitted)?;
    }
    let passphrase = setting.first_passphrase()?;
    if init.constraints == Constraints::None {
        warn(&json!({"code": "no-constraints"}));
    }
    let founding = Founding {
        site: init.site.clone(),
        key: kind(init.key),
        permitted,
        constrained: init.constraints == Constraints::Default,
        two_tier: init.two_tier,
    };
    let root_key = two_tier_file(init.two_tier, init.root_key_file.as_deref(), &init.site)?;
    let new = New::make(founding, &passphrase, OffsetDateTime::now_utc()).await?;
    // What is stored nowhere goes out first, so that no crash leaves an authority without it.
    if let (Some(file), Some(armored)) = (&root_key, &new.offline_root) {
        site::write_new(file, armored.as_bytes(), 0o600)?;
    }
    let founded = found(new, &data, setting).await;
    if let (Err(_), Some(file)) = (&founded, &root_key)
        && site::is_vacant(&data).await
    {
        // Of no use without its authority.
        let _ = std::fs::remove_file(file);
    }
    let (public, recovery) = founded?;

    if setting.json {
        let mut shown = description(&public);
        shown["data"] = json!(data.path().display().to_string());
        shown["recovery_key"] = json!(recovery.text());
        shown["recovery_recipient"] = json!(recovery.recipient());
        shown["recovery_short"] = json!(vault::escrow::short_form(recovery.recipient()));
        shown["host_name"] = json!(host);
        shown["root_key_file"] = json!(root_key.map(|f| f.display().to_string()));
        print_json(&shown);
        return Ok(true);
    }
    print(&format!("Made the authority in {}", data.path().display()));
    describe(&public);
    if let Some(name) = host {
        print(&format!("  host name    {name}, this machine's own, is among them"));
    }
    if let Some(file) = root_key {
        print("");
        print(&said("root-key-written", &file));
    }
    print("");
    print("Next: camlock trust export --out root.pem, and camlock secure ADDRESS --user admin");
    Ok(true)
}

/// What the authority may speak for beside the usual.
fn ask_permitted(usual: &Permitted) -> Result<Permitted, Failure> {
    let own = site::search_domains().into_iter().filter(|name| !usual.allows(name));
    let question = match own.map(|name| name.plain()).collect::<Vec<_>>().as_slice() {
        [] => json!({"code": "ask-permit"}),
        own => json!({"code": "ask-permit-own", "domains": own}),
    };
    let question = format!("{} ", Words::english().say(&question).text);
    setting::tried(|| {
        let answer = setting::ask_openly(&question, "ask-permit").unwrap_or_default();
        let mut permitted = usual.clone();
        let added = answer.split_whitespace().try_for_each(|text| permitted.permit(text));
        Ok(added.map(|()| permitted).map_err(Failure::from))
    })
}

/// Whether the recovery key was kept shows by its end; Enter leaves that for later.
fn ask_for_end(key: &RecoveryKey) -> Result<(), Failure> {
    setting::tried(|| {
        let question = Words::english().say(&json!({"code": "ask-recovery-end"})).text;
        let answer = setting::ask_openly(&format!("{question} "), "nothing-done").unwrap_or_default();
        let is_end = answer.len() == RECOVERY_END
            && key.text().to_ascii_lowercase().ends_with(&answer.to_ascii_lowercase());
        Ok(match answer.is_empty() || is_end {
            true => Ok(()),
            false => Err(Failure::usage("recovery-end-differs")),
        })
    })
}

/// Shows the recovery key, then stores the authority; with `--json` the key is part of the document that follows.
pub async fn found(new: New, files: &DataDir, setting: &Setting) -> Result<(Public, RecoveryKey), Failure> {
    if !setting.json {
        vault_commands::show_recovery_key("Recovery key", &new.recovery);
        print("");
        if std::io::stdin().is_terminal() && !setting.yes {
            ask_for_end(&new.recovery)?;
        }
    }
    let founded = site::found(new, files).await?;
    if let Err(e) = &founded.page {
        warn(e);
    }
    Ok((founded.public, founded.recovery))
}

/// Where the key of an offline root goes; asked before anything is made.
pub fn two_tier_file(two_tier: bool, named: Option<&Path>, site: &str) -> Result<Option<PathBuf>, Failure> {
    if !two_tier {
        return Ok(None);
    }
    let name = match slug(site) {
        empty if empty.is_empty() => "camlock".to_owned(),
        slug => slug,
    };
    let file = named.map_or_else(|| PathBuf::from(format!("{name}-root-key.age")), Path::to_owned);
    site::must_be_new(&file)?;
    Ok(Some(file))
}

/// The sentence of a code about a file.
pub fn said(code: &str, file: &Path) -> String {
    Words::english().say(&json!({"code": code, "file": file.display().to_string()})).text
}

pub fn kind(key: RootKey) -> KeyKind {
    match key {
        RootKey::Rsa3072 => KeyKind::Rsa3072,
        RootKey::Rsa4096 => KeyKind::Rsa4096,
        RootKey::P256 => KeyKind::P256,
        RootKey::P384 => KeyKind::P384,
    }
}

pub async fn show(setting: &Setting) -> Result<bool, Failure> {
    let site = setting.site().await?;
    let public = site.public().await?;
    let proofs = site.store().proofs(&public.next.as_ref().unwrap_or(&public.root).sha256()).await?;
    if setting.json {
        let mut shown = description(&public);
        shown["proven"] = json!(proofs);
        print_json(&shown);
        return Ok(true);
    }
    describe(&public);
    if let Some(proofs) = proofs {
        print(&format!("  {}", Words::english().say(&proven(&proofs)).text));
    }
    Ok(true)
}

/// What browsers have proven of the newest root.
pub fn proven(proofs: &Proofs) -> serde_json::Value {
    let (computers, last) = (proofs.computers, proofs.last);
    match proofs.at_limit {
        true => json!({"code": "root-proven-limit", "last": last}),
        false => json!({"code": "root-proven", "computers": computers, "last": last}),
    }
}

pub fn description(public: &Public) -> serde_json::Value {
    let mut shown = json!(public.root.summary());
    shown["site"] = json!(public.site);
    shown["constrained"] = json!(public.constrained);
    shown["permitted"] = json!(public.permitted.entries());
    shown["issuers"] = json!(public.issuers.iter().map(Certificate::summary).collect::<Vec<_>>());
    shown["next"] = json!(public.next.as_ref().map(Certificate::summary));
    shown["old"] = json!(
        public
            .old
            .iter()
            .map(|old| json!({
                "root": old.root.summary(),
                "devices": old.dependents.devices,
                "certificates": old.dependents.by_hand,
            }))
            .collect::<Vec<_>>()
    );
    shown
}

pub fn describe(public: &Public) {
    print(&format!("  site         {}", public.site));
    describe_root("root", &public.root);
    for issuer in &public.issuers {
        print(&format!("  issuer       {} ({})", issuer.subject(), issuer.key_name()));
        print(&format!("  valid until  {}", issuer.not_after().date()));
    }
    print(&format!("  issues for   {}", public.permitted));
    if !public.constrained {
        print(&format!("  {}", Words::english().say(&json!({"code": "no-constraints"})).text));
    }
    if let Some(next) = &public.next {
        print("");
        describe_root("next root", next);
        print(&format!("  {}", Words::english().say(&json!({"code": "next-root-waits"})).text));
    }
    for old in &public.old {
        print("");
        match old.root == public.root {
            true => print("  below this root, of an earlier issuer:"),
            false => describe_root("old root", &old.root),
        }
        for (kind, names) in [("device", &old.dependents.devices), ("by hand", &old.dependents.by_hand)] {
            names.iter().take(SHOWN).for_each(|name| print(&format!("  {kind:12} {name}")));
            if names.len() > SHOWN {
                print(&format!("  {kind:12} and {} more", names.len() - SHOWN));
            }
        }
    }
}

fn describe_root(word: &str, root: &Certificate) {
    print(&format!("  {word:12} {} ({})", root.subject(), root.key_name()));
    print(&format!("  valid until  {}", root.not_after().date()));
    print(&format!("  SHA-256      {}", grouped(&root.sha256())));
}
