//! `authority rollover` and `authority issuer`: the next root, and the next issuer below an offline root.

use std::io::IsTerminal;

use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    args::{Constraints, Issuer, Rollover},
    authority_commands::{kind, proven, said, show, two_tier_file},
    failure::Failure,
    setting::{self, Setting},
    talk::{grouped, print, print_json, say, warn},
};

pub async fn run(rollover: &Rollover, setting: &Setting) -> Result<bool, Failure> {
    if rollover.confirm || rollover.cancel {
        let site = setting.site().await?;
        if rollover.confirm {
            if let Some(next) = &site.public().await?.next {
                match site.store().proofs(&next.sha256()).await? {
                    Some(proofs) => say(&proven(&proofs)),
                    None => {
                        say(&json!({"code": "root-unproven"}));
                        let is_asked = std::io::stdin().is_terminal() && !setting.yes;
                        if is_asked && !setting::agrees(&json!({"code": "ask-rollover"}))? {
                            return Err(Failure::usage("nothing-done"));
                        }
                    }
                }
            }
            site.confirm_next().await?;
            say(&json!({"code": "rollover-confirmed"}));
        } else {
            let next = site.public().await?.next;
            site.cancel_next().await?;
            let (root, sha256) = next.map(|next| (next.subject(), grouped(&next.sha256()))).unzip();
            say(&json!({"code": "rollover-cancelled", "root": root, "sha256": sha256}));
        }
        return show(setting).await;
    }

    let mut founding = setting.site().await?.successor().await?;
    for text in &rollover.permit {
        founding.permitted.permit(text)?;
    }
    founding.two_tier = (founding.two_tier || rollover.two_tier) && !rollover.one_tier;
    if let Some(key) = rollover.key {
        founding.key = kind(key);
    }
    if let Some(constraints) = rollover.constraints {
        founding.constrained = constraints == Constraints::Default;
    }
    let file = two_tier_file(founding.two_tier, rollover.root_key_file.as_deref(), &founding.site)?;
    if founding.two_tier
        && site::status(setting.site().await?.store(), OffsetDateTime::now_utc()).await?.devices.count > 0
    {
        warn(&json!({"code": "two-tier-leaf-alone"}));
    }
    if !founding.constrained {
        warn(&json!({"code": "no-constraints"}));
    }
    let site = setting.unlocked().await?;
    let next = site.make_next(founding).await?;
    if let (Some(file), Some(armored)) = (&file, &next.offline_root) {
        site::write_new(file, armored.as_bytes(), 0o600)?;
    }
    match site.store_next(&next).await {
        Ok(Ok(())) => {}
        // The next root is there, and the service tries again.
        Ok(Err(e)) => warn(&e),
        Err(e) => {
            if let Some(file) = &file {
                let _ = std::fs::remove_file(file);
            }
            return Err(e.into());
        }
    }
    if setting.json {
        let mut shown = json!(next.root().summary());
        shown["root_key_file"] = json!(file.map(|f| f.display().to_string()));
        print_json(&shown);
        return Ok(true);
    }
    print(&format!("Made the next root: {}", next.root().subject()));
    print(&format!("  valid until  {}", next.root().not_after().date()));
    print(&format!("  SHA-256      {}", grouped(&next.root().sha256())));
    if let Some(file) = file {
        print(&said("root-key-written", &file));
    }
    say(&json!({"code": "next-root-waits"}));
    Ok(true)
}

pub async fn issuer(issuer: &Issuer, setting: &Setting) -> Result<bool, Failure> {
    let unreadable = |e| Failure::file("file-unreadable", &issuer.root_key, &e);
    let root_key = std::fs::read_to_string(&issuer.root_key).map_err(unreadable)?;
    let site = setting.unlocked().await?;
    let recovery_key: Zeroizing<String> = match &issuer.recovery_key_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask("Recovery key: ", "recovery-key-missing")?,
    };
    site.replace_issuer(root_key, recovery_key, kind(issuer.key)).await?;
    say(&json!({"code": "issuer-replaced"}));
    show(setting).await
}
