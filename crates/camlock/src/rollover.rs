//! `authority rollover` and `authority issuer`: the next root, and the next issuer below an offline root.

use authority::{Authority, Public};
use serde_json::json;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::{
    args::{Constraints, Issuer, Rollover},
    authority_commands::{kind, proven, said, show, two_tier_file},
    failure::Failure,
    files,
    setting::{self, Setting},
    talk::{grouped, print, print_json, say, warn},
    upkeep::renew_proof,
};

pub async fn run(rollover: &Rollover, setting: &Setting) -> Result<bool, Failure> {
    if rollover.confirm || rollover.cancel {
        let store = setting.store().await?;
        store.site().await?;
        if rollover.confirm {
            let public = Public::read(&store).await?;
            if let Some(next) = &public.next {
                match store.proofs(&next.sha256()).await? {
                    Some(proofs) => say(&proven(&proofs)),
                    None => say(&json!({"code": "root-unproven"})),
                }
            }
            Authority::confirm_next(&store).await?;
            say(&json!({"code": "rollover-confirmed"}));
        } else {
            store.cancel_next().await?;
            say(&json!({"code": "rollover-cancelled"}));
        }
        return show(setting).await;
    }

    let store = setting.store().await?;
    let public = Public::read(&store).await?;
    if public.next.is_some() {
        return Err(store::Error::RolloverUnderWay.into());
    }
    let mut founding = public.successor();
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
    let file = two_tier_file(founding.two_tier, rollover.root_key_file.as_deref(), &public.site)?;
    if !founding.constrained {
        warn(&json!({"code": "no-constraints"}));
    }
    let (store, authority) = setting.authority().await?;
    let next = authority.make_next(founding, OffsetDateTime::now_utc()).await?;
    if let (Some(file), Some(armored)) = (&file, &next.offline_root) {
        files::write_new(file, armored.as_bytes(), 0o600)?;
    }
    if let Err(e) = next.store(&store).await {
        if let Some(file) = &file {
            let _ = std::fs::remove_file(file);
        }
        return Err(e.into());
    }
    // Before it comes to computers: the service, locked perhaps, finds it in the data directory.
    if let Err(failure) = renew_proof(&store, &authority, None).await {
        warn(&failure.said);
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
    let (_store, authority) = setting.authority().await?;
    let recovery_key: Zeroizing<String> = match &issuer.recovery_key_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask("Recovery key: ", "recovery-key-missing")?,
    };
    let (key, now) = (kind(issuer.key), OffsetDateTime::now_utc());
    authority.replace_issuer(root_key, recovery_key, key, now).await?;
    say(&json!({"code": "issuer-replaced"}));
    show(setting).await
}
