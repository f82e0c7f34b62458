//! `revoke`

use authority::Policy;
use domain::RevocationReason;
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    args::{Reason, Revoke},
    failure::Failure,
    setting::Setting,
    talk::{print_json, say, warn},
};

pub async fn run(revoke: &Revoke, setting: &Setting) -> Result<bool, Failure> {
    // As people copy it: from openssl in capitals, from a browser with colons.
    let serial = revoke.serial.replace([':', ' '], "").to_ascii_lowercase();
    let reason = match revoke.reason {
        Reason::Unspecified => RevocationReason::Unspecified,
        Reason::KeyCompromise => RevocationReason::KeyCompromise,
        Reason::AffiliationChanged => RevocationReason::AffiliationChanged,
        Reason::Superseded => RevocationReason::Superseded,
        Reason::CessationOfOperation => RevocationReason::CessationOfOperation,
        Reason::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    };
    let (store, authority) = setting.authority().await?;
    let new = authority.revoke(&serial, reason, OffsetDateTime::now_utc()).await?;
    say(&json!({"code": if new { "revoked" } else { "already-revoked" }, "serial": serial}));
    let published = Policy::read(store.directory()).ok().and_then(|policy| policy.crl_url);
    if published.is_none() {
        warn(&json!({"code": "crl-not-published"}));
    }
    if setting.json {
        let row = store.certificate(&serial).await?;
        print_json(&json!({
            "serial": serial,
            "revoked_at": row.and_then(|r| r.revoked_at?.format(&Rfc3339).ok()),
            "published": published,
        }));
    }
    Ok(true)
}
