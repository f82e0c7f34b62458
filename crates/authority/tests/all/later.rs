//! What comes after issuing: the next root, the next issuer, revocation, and the check of everything stored.

use authority::{
    Ailment, Authority, CRL_DAYS, Days, Error, Flaw, Founding, Issued, New, Order, Public, ROLLOVER_DAYS,
    check, doubt_of_clock, examine, recovery_recipient,
};
use domain::{AltName, RevocationReason};
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Profile, chain};
use store::{BackupRow, Store};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

struct Site {
    folder: tempfile::TempDir,
    store: Store,
    authority: Authority,
    recovery: String,
    offline_root: Option<String>,
}

fn founding(two_tier: bool) -> Founding {
    let permitted = Permitted::local(None);
    Founding { site: "Shop".into(), key: KeyKind::P256, permitted, constrained: true, two_tier }
}

async fn site(two_tier: bool, now: OffsetDateTime) -> Site {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).await.unwrap();
    let new = New::make(founding(two_tier), "words", now).await.unwrap();
    let offline_root = new.offline_root.clone();
    let (authority, recovery) = new.found(&store).await.unwrap();
    Site { folder, store, authority, recovery: recovery.text().to_owned(), offline_root }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

async fn issue(authority: &Authority) -> Result<Issued, Error> {
    let key = PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap();
    let names: [AltName; 2] = ["192.168.1.64".parse().unwrap(), "gate.lan".parse().unwrap()];
    let order = Order {
        profile: Profile::Device,
        key: &key,
        common_name: Some("Gate"),
        names: &names,
        days: Days::AtMost(100),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    authority.issue(&order, now()).await
}

fn holds(issued: &Issued, root: &Certificate) -> bool {
    let issuers: Vec<Vec<u8>> = issued.issuers.iter().map(|i| i.der().to_vec()).collect();
    chain::verify(issued.certificate.der(), &issuers, std::slice::from_ref(root), now()).is_ok()
}

#[tokio::test]
async fn nothing_moves_to_the_next_root_before_it_is_confirmed() {
    let site = site(false, now()).await;
    let first = site.authority.public().root.clone();
    issue(&site.authority).await.unwrap();
    let next = site.authority.make_next(founding(false), now()).await.unwrap();
    next.store(&site.store).await.unwrap();
    let waiting = Public::read(&site.store).await.unwrap();
    assert_eq!((&waiting.root, waiting.next.as_ref()), (&first, Some(next.root())));
    assert_eq!(waiting.trusted(), [first.clone(), next.root().clone()]);
    assert!(holds(&issue(&site.authority).await.unwrap(), &first));

    Authority::confirm_next(&site.store).await.unwrap();
    let refused = issue(&site.authority).await.unwrap_err();
    assert_eq!(refused, Error::Store(store::Error::NotTheIssuer), "who opened it before must look again");
    let authority = site.authority.reopened().await.unwrap();
    let issued = issue(&authority).await.unwrap();
    assert!(holds(&issued, next.root()) && !holds(&issued, &first));
    assert_ne!(next.root().subject(), first.subject());

    let old = &authority.public().old;
    assert_eq!(old.len(), 1);
    assert_eq!((&old[0].root, old[0].dependents.by_hand.len()), (&first, 2));
    assert_eq!(authority.public().roots(), [next.root().clone(), first]);
}

#[tokio::test]
async fn an_offline_root_is_needed_for_a_new_issuer_alone() {
    let site = site(true, now()).await;
    let root = site.authority.public().root.clone();
    let first = site.authority.public().issuer().clone();
    let issued = issue(&site.authority).await.unwrap();
    assert_eq!(issued.issuers, std::slice::from_ref(&first));
    assert!(holds(&issued, &root));
    let rows = site.store.site().await.unwrap().authorities;
    assert_eq!(rows.iter().map(|r| r.sealed_key.is_some()).collect::<Vec<_>>(), [false, true]);

    let armored = site.offline_root.clone().unwrap();
    let (_, _, stranger) = vault::Vault::create("x").unwrap();
    let replace = |armored: String, key: &str| {
        let key = Zeroizing::new(key.to_owned());
        site.authority.replace_issuer(armored, key, KeyKind::P384, now())
    };
    let wrong = replace(armored.clone(), stranger.text()).await.unwrap_err();
    assert_eq!(wrong, Error::Vault(vault::Error::WrongRecoveryKey));
    // What the ledger keeps for the recovery key is the issuer's key, not the root's.
    let issuers = rows[1].for_recovery.clone().unwrap();
    let wrong = replace(issuers, &site.recovery).await.unwrap_err();
    assert_eq!(wrong, Error::OtherRootKey { root: root.subject() });
    replace(armored, &site.recovery).await.unwrap();

    let authority = site.authority.reopened().await.unwrap();
    let public = authority.public();
    assert!(public.root == root && public.issuer() != &first && public.issuer().key_name() == "p384");
    assert!(holds(&issue(&authority).await.unwrap(), &root));
    assert_eq!(check(&site.store, now()).await.unwrap(), (2, Vec::new()));
}

#[tokio::test]
async fn one_tier_has_no_issuer_to_replace() {
    let site = site(false, now()).await;
    let key = Zeroizing::new(site.recovery.clone());
    let refused = site.authority.replace_issuer(String::new(), key, KeyKind::P256, now()).await.unwrap_err();
    assert_eq!(refused, Error::OneTier);
}

#[tokio::test]
async fn a_list_follows_each_revocation_and_is_signed_ahead_of_its_end() {
    let site = site(false, now()).await;
    let serial = issue(&site.authority).await.unwrap().certificate.serial();
    let list = async || site.store.crl(1).await.unwrap();
    assert_eq!(site.authority.refresh_crls(now()).await.unwrap(), 0, "not published, nothing revoked");
    let unknown = site.authority.revoke("ab", RevocationReason::Superseded, now()).await.unwrap_err();
    assert_eq!(unknown, Error::UnknownSerial { serial: "ab".into() });

    assert!(site.authority.revoke(&serial, RevocationReason::KeyCompromise, now()).await.unwrap());
    let (first, end) = list().await.unwrap();
    assert_eq!((end - now()).whole_days(), CRL_DAYS - 1);
    assert!(!site.authority.revoke(&serial, RevocationReason::Superseded, now()).await.unwrap());
    assert_ne!(list().await.unwrap().0, first, "signed anew all the same");

    let (second, _) = list().await.unwrap();
    let early = now() + Duration::days(CRL_DAYS / 2 - 1);
    assert_eq!(site.authority.refresh_crls(early).await.unwrap(), 0);
    let late = now() + Duration::days(CRL_DAYS / 2 + 1);
    assert_eq!(site.authority.refresh_crls(late).await.unwrap(), 1);
    assert_ne!(list().await.unwrap().0, second);
    // One that could not be signed for long is a finding.
    let found = examine(&site.store, late + Duration::days(CRL_DAYS)).await.unwrap();
    assert!(found.iter().any(|a| matches!(a, Ailment::CrlLate { .. })), "{found:?}");
}

#[tokio::test]
async fn the_old_root_still_signs_its_list() {
    let site = site(false, now()).await;
    let serial = issue(&site.authority).await.unwrap().certificate.serial();
    site.authority.make_next(founding(false), now()).await.unwrap().store(&site.store).await.unwrap();
    Authority::confirm_next(&site.store).await.unwrap();
    let authority = site.authority.reopened().await.unwrap();
    assert!(authority.revoke(&serial, RevocationReason::CessationOfOperation, now()).await.unwrap());
    assert!(site.store.crl(1).await.unwrap().is_some() && site.store.crl(2).await.unwrap().is_none());
    assert!(authority.public().old.len() == 1, "as it was when it was opened");
    assert!(Public::read(&site.store).await.unwrap().old.is_empty(), "nothing depends on it any more");
}

#[tokio::test]
async fn the_next_root_is_due_two_lifetimes_before_the_end() {
    let founded = now() - Duration::days(profile_days() - ROLLOVER_DAYS);
    for (late, due) in [(Duration::days(-40), false), (Duration::days(40), true)] {
        let site = site(false, founded - late).await;
        let found = examine(&site.store, now()).await.unwrap();
        assert_eq!(found.iter().any(|a| matches!(a, Ailment::RolloverDue { .. })), due, "{found:?}");
    }
    let site = site(false, now() - Duration::days(profile_days())).await;
    let found = examine(&site.store, now()).await.unwrap();
    assert!(found.iter().any(|a| matches!(a, Ailment::RootEnded { .. })), "{found:?}");
}

#[tokio::test]
async fn a_clock_is_held_against_what_was_seen_last() {
    let site = site(false, now() - Duration::days(900)).await;
    let doubt = async |at| doubt_of_clock(&site.store, at).await.unwrap();
    assert_eq!(doubt(now()).await, None, "nothing was seen yet");
    // Once while the clock was wrong, and once since: the later one counts, whatever their dates say.
    issue(&site.authority).await.unwrap();
    let file = site.folder.path().join("camlock.db");
    let pool = sqlx::SqlitePool::connect(file.to_str().unwrap()).await.unwrap();
    let future = (now() + Duration::days(300)).unix_timestamp();
    let change = sqlx::query("UPDATE certificate SET intended_at = $1, issued_at = $1");
    change.bind(future).execute(&pool).await.unwrap();
    assert!(matches!(doubt(now()).await, Some(Ailment::ThisClockBehind { .. })));
    issue(&site.authority).await.unwrap();
    for (off, code) in [
        (-Duration::hours(25), "this-clock-behind"),
        (-Duration::hours(23), "null"),
        (Duration::days(399), "null"),
        (Duration::days(401), "this-clock-ahead"),
    ] {
        let found = doubt(now() + off).await;
        let said = serde_json::to_value(&found).unwrap();
        assert_eq!(said["code"].as_str().unwrap_or("null"), code, "{off}");
        assert_eq!(
            examine(&site.store, now() + off).await.unwrap().first() == found.as_ref(),
            found.is_some()
        );
    }
    site.store
        .record_backup(&BackupRow {
            at: now() + Duration::days(300),
            file: "a".into(),
            root: None,
            recovery: None,
            tried: false,
        })
        .await
        .unwrap();
    assert!(matches!(doubt(now()).await, Some(Ailment::ThisClockBehind { .. })));
    site.store
        .record_backup(&BackupRow { at: now(), file: "a".into(), root: None, recovery: None, tried: false })
        .await
        .unwrap();
    assert_eq!(doubt(now()).await, None);
}

#[tokio::test]
async fn backups_that_do_not_come_are_found() {
    let site = site(false, now()).await;
    let policy = site.folder.path().join("policy.toml");
    let file = policy.display().to_string();
    let last = BackupRow { at: now() - Duration::days(4), file, root: None, recovery: None, tried: false };
    site.store.record_backup(&last).await.unwrap();
    for (plan, is_late) in [("", false), ("days = 7", false), ("days = 3", false), ("days = 1", true)] {
        let text =
            if plan.is_empty() { String::new() } else { format!("[backup]\nfolder = \"/b\"\n{plan}\n") };
        std::fs::write(&policy, text).unwrap();
        let found = examine(&site.store, now()).await.unwrap();
        assert_eq!(
            found.iter().any(|a| matches!(a, Ailment::BackupLate { .. })),
            is_late,
            "{plan}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_backup_that_brings_back_something_else_is_found() {
    let site = site(false, now()).await;
    let held = site.folder.path().join("held");
    std::fs::write(&held, "").unwrap();
    let (root, gone) = (site.authority.public().root.sha256(), site.folder.path().join("gone"));
    let recovery = authority::recovery_recipient(&site.store.site().await.unwrap()).unwrap();
    for (file, root, recovery, code) in [
        (&held, root.as_str(), recovery.as_str(), "backup-untried"),
        (&gone, &root, &recovery, "backup-gone"),
        (&held, "of another root", &recovery, "backup-of-other-root"),
        (&held, &root, "age1another", "backup-for-other-key"),
    ] {
        let (root, recovery) = (Some(root.to_owned()), Some(recovery.to_owned()));
        let row = BackupRow { at: now(), file: file.display().to_string(), root, recovery, tried: false };
        site.store.record_backup(&row).await.unwrap();
        let found = examine(&site.store, now()).await.unwrap();
        let codes: Vec<String> = found
            .iter()
            .map(|ailment| serde_json::to_value(ailment).unwrap()["code"].as_str().unwrap().to_owned())
            .filter(|code| code.contains("backup"))
            .collect();
        assert_eq!(codes, [code]);
    }
}

#[tokio::test]
async fn what_was_made_while_the_clock_was_ahead_is_found_and_made_again() {
    let site = site(false, now()).await;
    let ahead = Duration::days(365);
    site.authority
        .revoke(
            &issue(&site.authority).await.unwrap().certificate.serial(),
            RevocationReason::Unspecified,
            now() + ahead,
        )
        .await
        .unwrap();
    let has = |found: &[Ailment]| found.iter().any(|a| matches!(a, Ailment::CrlBegins { .. }));
    assert!(has(&examine(&site.store, now()).await.unwrap()));
    assert_eq!(site.authority.refresh_crls(now()).await.unwrap(), 1);
    assert!(!has(&examine(&site.store, now()).await.unwrap()));
    assert_eq!(site.authority.refresh_crls(now()).await.unwrap(), 0);

    let later = self::site(false, now() + Duration::days(400)).await;
    let found = examine(&later.store, now()).await.unwrap();
    assert!(found.iter().any(|a| matches!(a, Ailment::RootBegins { .. })), "{found:?}");
}

fn profile_days() -> i64 {
    pki::profile::ROOT_DAYS
}

#[tokio::test]
async fn whatever_is_changed_in_the_ledger_is_found() {
    let site = site(false, now()).await;
    let mut serials = Vec::new();
    for _ in 0..6 {
        serials.push(issue(&site.authority).await.unwrap().certificate.serial());
    }
    assert_eq!(check(&site.store, now()).await.unwrap(), (6, Vec::new()));

    // Another authority, whose certificate is put in the place of one of ours.
    let stranger = self::site(false, now()).await;
    let foreign = issue(&stranger.authority).await.unwrap().certificate;
    let file = site.folder.path().join("camlock.db");
    let pool = sqlx::SqlitePool::connect(file.to_str().unwrap()).await.unwrap();
    let change = async |statement: &'static str, serial: &str| {
        let done = sqlx::query(statement).bind(serial).execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    };
    change("UPDATE certificate SET der = x'3003' || substr(der, 3) WHERE serial = $1", &serials[0]).await;
    change("UPDATE certificate SET names = '[\"DNS:other.lan\"]' WHERE serial = $1", &serials[1]).await;
    change("UPDATE certificate SET not_after = not_after + 1 WHERE serial = $1", &serials[2]).await;
    change("UPDATE certificate SET profile = 'device-dual' WHERE serial = $1", &serials[3]).await;
    change(
        "UPDATE certificate SET der = NULL, sha256 = NULL, intended_at = intended_at - 3600 WHERE serial = $1",
        &serials[4],
    )
    .await;
    sqlx::query("UPDATE certificate SET der = $1, sha256 = $2 WHERE serial = $3")
        .bind(foreign.der())
        .bind(foreign.sha256())
        .bind(&serials[5])
        .execute(&pool)
        .await
        .unwrap();

    let (count, flaws) = check(&site.store, now()).await.unwrap();
    assert_eq!(count, 5);
    let of = |serial: &str| -> Vec<String> {
        let about = flaws.iter().map(|f| serde_json::to_value(f).unwrap());
        about
            .filter(|f| f["serial"] == serial)
            .map(|f| match f["what"].as_str() {
                Some(what) => format!("{} {what}", f["code"].as_str().unwrap()),
                None => f["code"].as_str().unwrap().to_owned(),
            })
            .collect()
    };
    assert_eq!(of(&serials[0]), ["digest-differs"]);
    assert_eq!(of(&serials[1]), ["intent-differs names"]);
    assert_eq!(of(&serials[2]), ["intent-differs not_after"]);
    assert_eq!(of(&serials[3]), ["stored-lint"]);
    assert_eq!(of(&serials[4]), ["intent-without-certificate"]);
    let foreign = of(&serials[5]);
    assert!(foreign.contains(&"intent-differs serial".to_owned()), "{foreign:?}");
    assert!(foreign.contains(&"signed-by-another".to_owned()), "{foreign:?}");
    assert!(flaws.contains(&Flaw::DigestDiffers { serial: serials[0].clone() }));
}

/// While it is open somebody names another recovery key in the ledger: nothing is encrypted to that, and what the process
/// held before holds on.
#[tokio::test]
async fn an_open_authority_encrypts_nothing_to_a_recovery_key_that_was_put_in() {
    for two_tier in [false, true] {
        let site = site(two_tier, now()).await;
        let replace = || {
            let root = site.offline_root.clone().unwrap_or_default();
            site.authority.replace_issuer(root, Zeroizing::new(site.recovery.clone()), KeyKind::P256, now())
        };
        let recipient = async || recovery_recipient(&site.store.site().await.unwrap());
        let own = recipient().await.unwrap();
        let (_, _, thief) = vault::Vault::create("x").unwrap();
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(site.folder.path().join("camlock.db"));
        let one = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1);
        let ledger = one.connect_with(options).await.unwrap();
        let name = async |recipient: &str| {
            let named = sqlx::query("UPDATE site SET vault = json_set(vault, '$.recovery_recipient', $1)");
            named.bind(recipient.to_owned()).execute(&ledger).await.unwrap();
        };

        name(thief.recipient()).await;
        let damaged = |e: Option<Error>| matches!(e, Some(Error::Vault(vault::Error::VaultDamaged { .. })));
        assert!(damaged(site.authority.make_next(founding(two_tier), now()).await.err()));
        assert!(damaged(site.authority.reopened().await.err()));
        assert!(!two_tier || damaged(replace().await.err()));
        assert!(matches!(recipient().await, Err(Error::RecoveryForged { .. })));
        issue(&site.authority).await.unwrap();

        name(&own).await;
        // Nobody's signature but the key's own.
        let signed = async |sql: &'static str| sqlx::query(sql).execute(&ledger).await.unwrap();
        signed("CREATE TEMP TABLE kept AS SELECT * FROM authority_key").await;
        signed("UPDATE authority_key SET vouched = randomblob(length(vouched))").await;
        assert!(matches!(recipient().await, Err(Error::RecoveryForged { .. })));
        assert!(matches!(site.authority.reopened().await.err(), Some(Error::RecoveryForged { .. })));
        signed("UPDATE authority_key SET vouched = kept.vouched FROM kept").await;

        // Each that comes later brings its own.
        if two_tier {
            replace().await.unwrap();
            assert_eq!(recipient().await.unwrap(), own);
        }
        let authority = site.authority.reopened().await.unwrap();
        authority.make_next(founding(false), now()).await.unwrap().store(&site.store).await.unwrap();
        assert_eq!(recipient().await.unwrap(), own);
        Authority::confirm_next(&site.store).await.unwrap();
        authority.reopened().await.unwrap();
        assert_eq!(recipient().await.unwrap(), own);
        let found = examine(&site.store, now()).await.unwrap();
        assert!(found.iter().any(|a| matches!(a, Ailment::RecoverySigned { .. })), "{found:?}");
    }
}
