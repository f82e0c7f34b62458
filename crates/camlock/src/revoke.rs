//! `revoke`

use std::io::IsTerminal;

use domain::RevocationReason;
use serde_json::{Value, json};
use site::{By, Revocable, place_of};
use time::format_description::well_known::Rfc3339;

use crate::{
    args::{Reason, Revoke},
    failure::Failure,
    setting::{self, Setting},
    talk::{print_json, say, warn},
};

/// What is about to be revoked: whose it is, for what, until when.
fn question(found: &Revocable) -> Value {
    match &found.row {
        None => json!({"code": "ask-revoke-lost", "serial": found.serial}),
        Some(row) => json!({
            "code": "ask-revoke",
            "name": row.device.as_ref().or(row.name.as_ref()).unwrap_or(&row.serial),
            "names": row.names,
            "until": row.not_after.date(),
        }),
    }
}

pub async fn run(revoke: &Revoke, setting: &Setting) -> Result<bool, Failure> {
    let reason = match revoke.reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    };
    let site = setting.site().await?;
    let found = site.revocable(&revoke.what).await?;
    // Whoever types a whole serial number has said which; a script has nobody to ask.
    let is_plain = found.by == By::Serial && !std::io::stdin().is_terminal();
    let is_revoked = found.row.as_ref().is_some_and(|row| row.revoked_at.is_some());
    if !setting.yes && !is_plain && !is_revoked && !setting::agrees(&question(&found))? {
        return Err(Failure::usage("nothing-done"));
    }
    setting.unlock(&site).await?;
    let revoked = site.revoke(&found, reason).await?;
    say(
        &json!({"code": if revoked.is_new { "revoked" } else { "already-revoked" }, "serial": revoked.serial}),
    );
    if let Some(id) = found.row.as_ref().and_then(|row| row.device_id)
        && let Some(device) = site.store().device(id).await?
    {
        warn(&json!({"code": "revoked-in-use", "device": device.name, "place": place_of(&device).text}));
    }
    if revoked.published.is_none() {
        warn(&json!({"code": "crl-not-published"}));
    }
    if setting.json {
        print_json(&json!({
            "serial": revoked.serial,
            "revoked_at": revoked.at.and_then(|at| at.format(&Rfc3339).ok()),
            "published": revoked.published,
        }));
    }
    Ok(true)
}
