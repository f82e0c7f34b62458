use std::path::Path;

use domain::Severity;
use pki::Lint;
use serde::{Deserialize, Serialize};
use store::{AuthorityState, Site, Store};
use time::{Date, Duration, OffsetDateTime};

use vault::escrow::short_form;

use crate::{
    Error, Policy, Public,
    import::refused_by_browsers,
    recovery::{forged_escrows, wrapping},
    revocation::begins,
    stored_certificate,
};

/// A list that ends sooner than this should have been signed anew long ago.
const CRL_LATE: Duration = Duration::days(7);
/// An issuer below an offline root that ends sooner shortens what is issued.
const ISSUER_LATE: Duration = Duration::days(crate::BY_HAND_DAYS);

/// A backup that is older lacks what was issued in a month.
const BACKUP_OLD: Duration = Duration::days(31);

/// A clock that is behind what the ledger has seen by more than this is wrong: local time for UTC is less, and
/// certificates are dated a day back.
const CLOCK_BEHIND: Duration = Duration::DAY;
/// Longer than a page's certificate lasts: where a service is at work, the ledger has seen something since.
const CLOCK_AHEAD: Duration = Duration::days(crate::MANAGED_DAYS + 3);
/// Scheduled backups that have not come for so much longer than they should take do not come.
const BACKUP_LATE: Duration = Duration::days(2);

/// What an examination of the authority found.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Ailment {
    ThisClockBehind { now: Date, seen: Date },
    ThisClockAhead { now: Date, seen: Date },
    RolloverDue { root: String, ends: Date },
    RootBegins { root: String, begins: Date },
    RootEnded { root: String, ends: Date },
    RootEndedNext { root: String, ends: Date },
    NextRoot { root: String },
    NextRootDue { root: String, ends: Date },
    OldRoot { root: String, devices: usize, certificates: usize },
    OldIssuer { root: String, devices: usize, certificates: usize },
    IssuerEndsSoon { issuer: String, ends: Date },
    CrlLate { issuer: String, ends: Date },
    CrlMissing { issuer: String },
    CrlBegins { issuer: String, begins: Date },
    IssuerEnded { issuer: String, ends: Date },
    Unconstrained { root: String },
    RootLint { root: String, reason: Lint },
    BrowsersRefuse { certificate: String, reason: Lint },
    NoBackup,
    BackupOld { at: Date, file: String },
    BackupLate { at: Date, file: String, folder: String },
    BackupGone { at: Date, file: String },
    BackupOfOtherRoot { at: Date, file: String },
    BackupForOtherKey { at: Date, file: String },
    LastBackup { at: Date, file: String },
    BackupUntried { at: Date, file: String },
    KeyFile,
    RecoverySigned { recovery: String },
    RecoveryUnsigned,
    RecoveryForged { authority: String, recovery: String },
    IssuerLint { issuer: String, reason: Lint },
    DeviceJoined { device: String, place: String },
    DeviceUnverified { device: String, serial: String },
    DeviceUnverifiedRevoked { device: String, serial: String },
}

impl Ailment {
    /// How much it weighs.
    pub fn severity(&self) -> Severity {
        match self {
            Ailment::ThisClockBehind { .. }
            | Ailment::RootBegins { .. }
            | Ailment::RootEnded { .. }
            | Ailment::RootEndedNext { .. }
            | Ailment::IssuerEnded { .. }
            | Ailment::CrlBegins { .. }
            | Ailment::BackupOfOtherRoot { .. }
            | Ailment::BackupForOtherKey { .. }
            | Ailment::CrlLate { .. }
            | Ailment::BrowsersRefuse { .. }
            | Ailment::RecoveryForged { .. } => Severity::Error,
            Ailment::ThisClockAhead { .. }
            | Ailment::RolloverDue { .. }
            | Ailment::NextRootDue { .. }
            | Ailment::IssuerEndsSoon { .. }
            | Ailment::CrlMissing { .. }
            | Ailment::Unconstrained { .. }
            | Ailment::RootLint { .. }
            | Ailment::NoBackup
            | Ailment::BackupOld { .. }
            | Ailment::BackupLate { .. }
            | Ailment::BackupGone { .. }
            | Ailment::RecoveryUnsigned
            | Ailment::IssuerLint { .. }
            | Ailment::DeviceUnverified { .. } => Severity::Warning,
            Ailment::NextRoot { .. }
            | Ailment::OldRoot { .. }
            | Ailment::OldIssuer { .. }
            | Ailment::LastBackup { .. }
            | Ailment::BackupUntried { .. }
            | Ailment::DeviceJoined { .. }
            | Ailment::DeviceUnverifiedRevoked { .. }
            | Ailment::RecoverySigned { .. }
            | Ailment::KeyFile => Severity::Info,
        }
    }
}

/// What speaks against this computer's clock, if anything does: then nothing is to be begun unasked. It is held against
/// what the ledger saw last, which one certificate or backup that somebody asks for sets right.
pub async fn doubt_of_clock(store: &Store, now: OffsetDateTime) -> Result<Option<Ailment>, Error> {
    let Some(seen) = store.last_seen().await? else { return Ok(None) };
    let (ahead, now, seen) = (now - seen, now.date(), seen.date());
    Ok(match ahead {
        ahead if ahead < -CLOCK_BEHIND => Some(Ailment::ThisClockBehind { now, seen }),
        ahead if ahead > CLOCK_AHEAD => Some(Ailment::ThisClockAhead { now, seen }),
        _ => None,
    })
}

/// Looks at the clock, roots, issuers, lists, backups and the vault. No key is needed for it.
pub async fn examine(store: &Store, now: OffsetDateTime) -> Result<Vec<Ailment>, Error> {
    let site = store.site().await?;
    let public = Public::of(store, &site).await?;
    let mut found: Vec<Ailment> = doubt_of_clock(store, now).await?.into_iter().collect();
    let (root, ends) = (public.root.subject(), public.root.not_after().date());
    if public.root.not_before() > now {
        found.push(Ailment::RootBegins { root: root.clone(), begins: public.root.not_before().date() });
    }
    if public.root.not_after() < now {
        found.push(match public.next {
            None => Ailment::RootEnded { root: root.clone(), ends },
            Some(_) => Ailment::RootEndedNext { root: root.clone(), ends },
        });
    } else if public.ends_soon(now) {
        found.push(match public.next {
            None => Ailment::RolloverDue { root: root.clone(), ends },
            Some(_) => Ailment::NextRootDue { root: root.clone(), ends },
        });
    }
    if !public.constrained {
        found.push(Ailment::Unconstrained { root: root.clone() });
    }
    let refused = refused_by_browsers(&public.root, &public.issuers).into_iter();
    found.extend(refused.map(|(certificate, reason)| Ailment::BrowsersRefuse { certificate, reason }));
    let lints = public.root.lint_as_root();
    found.extend(lints.into_iter().map(|reason| Ailment::RootLint { root: root.clone(), reason }));
    for issuer in &public.issuers {
        let lints = issuer.lint_as_issuer(&public.root).into_iter();
        found.extend(lints.map(|reason| Ailment::IssuerLint { issuer: issuer.subject(), reason }));
    }
    for issuer in &public.issuers {
        let (name, ends) = (issuer.subject(), issuer.not_after().date());
        if issuer.not_after() < now {
            found.push(Ailment::IssuerEnded { issuer: name, ends });
        // One that lasts as long as its root is not made longer by another one.
        } else if issuer.not_after() - now < ISSUER_LATE && issuer.not_after() < public.root.not_after() {
            found.push(Ailment::IssuerEndsSoon { issuer: name, ends });
        }
    }
    found.extend(public.next.iter().map(|next| Ailment::NextRoot { root: next.subject() }));
    found.extend(public.old.iter().map(|old| {
        let (devices, certificates) = (old.dependents.devices.len(), old.dependents.by_hand.len());
        match old.root == public.root {
            true => Ailment::OldIssuer { root: root.clone(), devices, certificates },
            false => Ailment::OldRoot { root: old.root.subject(), devices, certificates },
        }
    }));
    found.extend(late_lists(store, &site, now).await?);
    let wrapping = wrapping(&site)?;
    found.push(backup(store, &public, &wrapping.recovery_recipient, now).await?);
    if wrapping.has_key_file() {
        found.push(Ailment::KeyFile);
    }
    found.extend(store.joined_devices().await?.into_iter().map(|joined| Ailment::DeviceJoined {
        device: joined.device,
        place: format!("{}:{}", joined.host.plain(), joined.port),
    }));
    found.extend(store.given_away().await?.into_iter().map(|given| {
        let (device, serial) = (given.device, given.serial);
        match given.revoked {
            true => Ailment::DeviceUnverifiedRevoked { device, serial },
            false => Ailment::DeviceUnverified { device, serial },
        }
    }));
    let recovery = short_form(&wrapping.recovery_recipient);
    let forged = forged_escrows(&site)?;
    if wrapping.is_unbound() {
        found.push(Ailment::RecoveryUnsigned);
    } else if forged.is_empty() {
        found.push(Ailment::RecoverySigned { recovery });
    } else {
        let forged = forged.into_iter();
        found.extend(
            forged.map(|authority| Ailment::RecoveryForged { authority, recovery: recovery.clone() }),
        );
    }
    Ok(found)
}

/// What is to be said of the last backup: the weightiest.
async fn backup(
    store: &Store,
    public: &Public,
    recovery: &str,
    now: OffsetDateTime,
) -> Result<Ailment, Error> {
    let plan = Policy::read(store.directory()).ok().and_then(|policy| policy.backup);
    let Some(last) = store.last_backup().await? else { return Ok(Ailment::NoBackup) };
    let (at, file) = (last.at.date(), last.file);
    let is_other = |held: Option<&String>, now: &str| held.is_some_and(|held| held != now);
    Ok(if is_other(last.root.as_ref(), &public.root.sha256()) {
        Ailment::BackupOfOtherRoot { at, file }
    } else if is_other(last.recovery.as_ref(), recovery) {
        Ailment::BackupForOtherKey { at, file }
    } else if !Path::new(&file).exists() {
        Ailment::BackupGone { at, file }
    } else if let Some(plan) = plan
        && now - last.at > Duration::days(plan.days.into()) + BACKUP_LATE
    {
        Ailment::BackupLate { at, file, folder: plan.folder.display().to_string() }
    } else if now - last.at > BACKUP_OLD {
        Ailment::BackupOld { at, file }
    } else if !last.tried {
        Ailment::BackupUntried { at, file }
    } else {
        Ailment::LastBackup { at, file }
    })
}

async fn late_lists(store: &Store, site: &Site, now: OffsetDateTime) -> Result<Vec<Ailment>, Error> {
    let mut late = Vec::new();
    let published = Policy::read(store.directory()).is_ok_and(|p| p.crl_url.is_some());
    for row in &site.authorities {
        let issuer = stored_certificate(row)?;
        if row.state == AuthorityState::Active && published && store.crl(row.id).await?.is_none() {
            late.push(Ailment::CrlMissing { issuer: issuer.subject() });
        }
        if let Some((der, _)) = store.crl(row.id).await?
            && let Some(begins) = begins(&der)
            && begins > now
            && issuer.not_after() > now
        {
            late.push(Ailment::CrlBegins { issuer: issuer.subject(), begins: begins.date() });
        }
        if matches!(row.state, AuthorityState::Active | AuthorityState::Old)
            && issuer.not_after() > now
            && let Some((_, end)) = store.crl(row.id).await?
            && end - now < CRL_LATE
            // A list does not go past the end of who signed it.
            && end < issuer.not_after()
        {
            late.push(Ailment::CrlLate { issuer: issuer.subject(), ends: end.date() });
        }
    }
    Ok(late)
}
