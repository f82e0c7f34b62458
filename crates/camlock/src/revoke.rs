//! `revoke`

use domain::RevocationReason;
use serde_json::json;
use time::format_description::well_known::Rfc3339;

use crate::{
    args::{Reason, Revoke},
    failure::Failure,
    setting::Setting,
    talk::{print_json, say, warn},
};

pub async fn run(revoke: &Revoke, setting: &Setting) -> Result<bool, Failure> {
    let reason = match revoke.reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    };
    let revoked = setting.unlocked().await?.revoke(&revoke.serial, reason).await?;
    say(
        &json!({"code": if revoked.is_new { "revoked" } else { "already-revoked" }, "serial": revoked.serial}),
    );
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
