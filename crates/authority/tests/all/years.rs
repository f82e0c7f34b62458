//! Three years of a site, by a clock that is moved.

use authority::{
    Ailment, Authority, Days, Founding, Issued, MANAGED_DAYS, New, Order, Public, crl_at, crl_path, examine,
};
use domain::{AltName, Clock, RevocationReason};
use pki::{
    KeyKind, Permitted, PrivateKey, Profile,
    profile::{ROOT_BACKDATE_DAYS, ROOT_DAYS},
};
use store::Store;
use time::Duration;

const WEEK: Duration = Duration::days(7);
const THREE_YEARS: Duration = Duration::days(3 * 365);

fn founding() -> Founding {
    let permitted = Permitted::local(None);
    Founding { site: "Shop".into(), key: KeyKind::P256, permitted, constrained: true, two_tier: false }
}

async fn issue(authority: &Authority) -> Issued {
    let key = PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap();
    let names: [AltName; 2] = ["192.168.1.64".parse().unwrap(), "gate.lan".parse().unwrap()];
    let order = Order {
        profile: Profile::Device,
        key: &key,
        common_name: None,
        names: &names,
        days: Days::AtMost(MANAGED_DAYS),
        clock_behind: Duration::ZERO,
        device_id: None,
    };
    authority.issue(&order, authority.store().clock().now()).await.unwrap()
}

/// The root ends with the three years. Certificates are renewed and are no longer than it, lists are signed anew and lose
/// what has ended, the next root takes over, and in the end nothing depends on the first one.
#[tokio::test]
async fn three_years_of_a_site() {
    let clock = Clock::system();
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).await.unwrap().with_clock(clock.clone());
    let begin = clock.now();
    let founded = begin - Duration::days(ROOT_DAYS - ROOT_BACKDATE_DAYS) + THREE_YEARS;
    let new = New::make(founding(), "words", founded).await.unwrap();
    let (mut authority, _) = new.found(&store).await.unwrap();
    let first = authority.public().root.clone();

    let stolen = issue(&authority).await.certificate;
    let reason = RevocationReason::KeyCompromise;
    assert!(authority.revoke(&stolen.serial(), reason, clock.now()).await.unwrap());

    let mut leaves = vec![issue(&authority).await.certificate];
    let mut lists = 0;
    while clock.now() - begin < THREE_YEARS - Duration::days(60) {
        clock.advance(WEEK);
        let now = clock.now();
        lists += authority.refresh_crls(now).await.unwrap();
        let (_, end) = crl_at(&store, &crl_path(&first)).await.unwrap().unwrap();
        assert!(end - now > WEEK, "the list of {now} ends at {end}");
        // So long after its end a revoked certificate stays on the list.
        let is_listed = stolen.not_after() + Duration::days(62) > now;
        assert_eq!(store.revocations(1).await.unwrap().len(), usize::from(is_listed), "{now}");
        if leaves.last().unwrap().not_after() - now < Duration::days(30) {
            leaves.push(issue(&authority).await.certificate);
        }
    }
    assert_eq!(lists, 49, "each third week");
    assert_eq!(leaves.len(), 3);
    for pair in leaves.windows(2) {
        assert!(pair[0].not_after() > pair[1].not_before() + Duration::days(23), "renewed in time");
    }
    assert_eq!(
        leaves[1].not_after() - leaves[1].not_before(),
        Duration::days(MANAGED_DAYS) - Duration::SECOND
    );
    // The ledger dates by the same clock.
    let row = store.certificate(&leaves[2].serial()).await.unwrap().unwrap();
    assert!((row.intended_at - leaves[2].not_before() - Duration::DAY).abs() < Duration::MINUTE);
    assert_eq!(leaves[2].not_after(), first.not_after(), "cut short");

    let found = examine(&store, clock.now()).await.unwrap();
    assert!(found.iter().any(|a| matches!(a, Ailment::RolloverDue { .. })), "{found:?}");
    authority.make_next(founding(), clock.now()).await.unwrap().store(&store).await.unwrap();
    Authority::confirm_next(&store).await.unwrap();
    authority = authority.reopened().await.unwrap();
    let after = issue(&authority).await.certificate;
    assert!(after.not_after() > first.not_after());
    assert_eq!(authority.public().old.len(), 1, "the last leaf of the first root is still valid");

    clock.advance(Duration::days(90));
    assert!(first.not_after() < clock.now());
    assert!(Public::read(&store).await.unwrap().old.is_empty());
    assert_eq!(
        authority.refresh_crls(clock.now()).await.unwrap(),
        0,
        "nobody asks for the list of an ended root"
    );
    let found = examine(&store, clock.now()).await.unwrap();
    assert!(
        !found.iter().any(|a| matches!(a, Ailment::RootEnded { .. } | Ailment::CrlLate { .. })),
        "{found:?}"
    );
}
