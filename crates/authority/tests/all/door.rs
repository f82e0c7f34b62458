//! The one door from outside: what comes through it, and what does not.

use authority::{
    Authority, BY_HAND_DAYS, Days, Error, Founding, Issued, MANAGED_DAYS, New, Order, Public, Wish,
};
use domain::AltName;
use pki::{KeyKind, Permitted, PrivateKey, Profile};
use store::{AuthorityState, NewAuthority, NewSite, Store};
use time::{Duration, OffsetDateTime, macros::datetime};

const FOUNDED: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn founding(site: &str) -> Founding {
    let permitted = Permitted::local(None);
    Founding { site: site.into(), key: KeyKind::P256, permitted, constrained: true, two_tier: false }
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).await.unwrap();
    (folder, store)
}

async fn issue(authority: &Authority, days: Days, now: OffsetDateTime) -> Result<Issued, Error> {
    let key = PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap();
    let names = ["192.168.1.64".parse().unwrap(), "gate.lan".parse().unwrap()];
    let clock_behind = Duration::ZERO;
    let order = Order {
        profile: Profile::Device,
        key: &key,
        common_name: None,
        names: &names,
        days,
        clock_behind,
        device_id: None,
    };
    authority.issue(&order, now).await
}

#[tokio::test]
async fn near_the_end_of_the_root_only_what_was_asked_for_is_refused() {
    let (_folder, store) = store().await;
    let new = New::make(founding("Shop"), "words", FOUNDED).await.unwrap();
    let (authority, _) = new.found(&store).await.unwrap();
    let end = authority.public().root.not_after();
    let early = issue(&authority, Days::AtMost(MANAGED_DAYS), FOUNDED).await.unwrap().certificate;
    assert_eq!(early.not_after(), FOUNDED + Duration::days(MANAGED_DAYS - 1) - Duration::SECOND);
    for left in [1, 100, MANAGED_DAYS - 2] {
        let now = end - Duration::days(left);
        for days in [MANAGED_DAYS, BY_HAND_DAYS] {
            let leaf = issue(&authority, Days::AtMost(days), now).await.unwrap().certificate;
            assert_eq!(leaf.not_after(), end);
            let refused = issue(&authority, Days::Exactly(days), now).await.unwrap_err();
            assert_eq!(refused, Error::OutlivesIssuer { issuer_ends: end.date() });
        }
    }
    for days in [Days::AtMost(MANAGED_DAYS), Days::Exactly(1)] {
        for left in [Duration::DAY - Duration::SECOND, Duration::ZERO, -Duration::DAY] {
            let refused = issue(&authority, days, end - left).await.unwrap_err();
            assert_eq!(refused, Error::IssuerEnds { issuer_ends: end.date() });
        }
    }
}

#[tokio::test]
async fn a_site_has_a_name_that_can_be_shown() {
    for name in ["", "  ", "a\nb", "a\u{7f}", "\u{1b}[31m", "a\u{202e}b", "a\u{200b}b", &"x".repeat(41)] {
        let refused = New::make(founding(name), "words", FOUNDED).await.err().unwrap();
        assert_eq!(refused, Error::SiteName { limit: 40 }, "{name:?}");
    }
}

#[tokio::test]
async fn a_damaged_root_is_stored_data() {
    let (_folder, store) = store().await;
    let authority = NewAuthority {
        certificate: b"x",
        key: None,
        permitted: "[]",
        constrained: true,
        state: AuthorityState::Active,
    };
    store.found_site(&NewSite { name: "Shop", vault: "{}", authority: &[authority] }).await.unwrap();
    let error = Public::read(&store).await.unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::StoredData { .. })), "{error:?}");
}

#[test]
fn a_name_given_twice_is_there_once() {
    let names: Vec<AltName> =
        ["10.0.0.1", "10.0.0.2", "10.0.0.1", "gate.lan"].iter().map(|n| n.parse().unwrap()).collect();
    let wish = Wish { names: names.clone(), common_name: None };
    let effective = authority::effective(None, &wish).unwrap();
    assert_eq!(effective.names, [&names[..2], &names[3..]].concat());
}
