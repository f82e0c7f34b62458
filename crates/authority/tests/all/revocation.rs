//! Lists of revoked certificates over the years.

use authority::{Ailment, CRL_DAYS, Founding, New, crl_at, crl_path, examine};
use pki::{KeyKind, Permitted};
use store::Store;
use time::{Duration, OffsetDateTime, macros::datetime};

const FOUNDED: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

#[tokio::test]
async fn a_list_is_signed_when_half_of_it_is_over_and_never_past_the_end_of_its_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).await.unwrap();
    let permitted = Permitted::local(None);
    let founding =
        Founding { site: "Shop".into(), key: KeyKind::P256, permitted, constrained: true, two_tier: false };
    let (authority, _) = New::make(founding, "words", FOUNDED).await.unwrap().found(&store).await.unwrap();
    let path = crl_path(&authority.public().root);
    assert_eq!(authority.refresh_crls(FOUNDED).await.unwrap(), 0, "the site publishes none");
    assert!(crl_at(&store, &path).await.unwrap().is_none());

    std::fs::write(folder.path().join("policy.toml"), "[crl]\nurl = \"http://nas.lan\"\n").unwrap();
    let authority = authority.reopened().await.unwrap();
    let end = authority.public().root.not_after();
    let half = Duration::days(CRL_DAYS) / 2;
    let second = Duration::SECOND;
    for (now, signed, until) in [
        (FOUNDED, 1, FOUNDED + half * 2),
        (FOUNDED + half, 0, FOUNDED + half * 2),
        (FOUNDED + half + second, 1, FOUNDED + half * 3 + second),
        // The last one, and none after that.
        (end - Duration::DAY, 1, end),
        (end - Duration::HOUR, 0, end),
        (end + Duration::DAY, 0, end),
    ] {
        assert_eq!(authority.refresh_crls(now).await.unwrap(), signed, "{now}");
        assert_eq!(crl_at(&store, &path).await.unwrap().unwrap().1, until, "{now}");
    }
    let late = examine(&store, end - Duration::HOUR).await.unwrap();
    assert!(!late.iter().any(|a| matches!(a, Ailment::CrlLate { .. })), "{late:?}");
    for other in ["/crl/.crl", "/crl/00.crl", "", &path.to_uppercase(), &format!("{path}x")] {
        assert!(crl_at(&store, other).await.unwrap().is_none(), "{other}");
    }
}
