//! Three years of a camera, by a clock that is moved.

use camera_sim::{Camera, Model, Options};
use devices::{Credentials, Recipes};
use domain::{Finding, Verdict};
use fleet::{Consents, Limits, Order};
use time::Duration;
use zeroize::Zeroizing;

const MONTH: Duration = Duration::days(30);
const THREE_YEARS: Duration = Duration::days(3 * 365);

/// Month after month nothing is due, until thirty days before the end of a certificate; and the browser never meets one
/// that has ended.
#[tokio::test]
async fn a_camera_is_renewed_in_time_for_three_years() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = crate::common::site(folder.path(), false, Limits::default(), Recipes::default()).await;
    let clock = fleet.store.clock();
    let mut options = Options::new(Model::OnvifSecurity, "admin", "open sesame");
    options.key_generation = std::time::Duration::from_millis(10);
    let camera = Camera::start(options).await.unwrap();
    let credentials = Credentials::new("admin", Zeroizing::new("open sesame".into()));
    let mut order = Order::new(camera.http_url().parse().unwrap(), credentials);
    order.consent = Consents::ALL;
    // The simulated camera's own clock stays where it is.
    order.set_clock = true;

    let begin = clock.now();
    let mut ends = Vec::new();
    while clock.now() - begin < THREE_YEARS {
        let is_due = ends.is_empty() || !fleet.due().await.unwrap().devices.is_empty();
        assert_eq!(is_due, ends.last().is_none_or(|end| *end - clock.now() <= MONTH), "{}", clock.now());
        if is_due {
            let outcome = fleet.secure(&order, &|_, _| ()).await;
            assert_eq!((outcome.is_done(), outcome.verdict), (true, Verdict::Secure), "{:?}", outcome.error);
            let was_set = outcome.findings.iter().any(|f| matches!(f, Finding::ClockSet { .. }));
            assert_eq!(was_set, !ends.is_empty(), "{:?}", outcome.findings);
            ends.extend(outcome.not_after);
        }
        assert!(ends.last().is_some_and(|end| *end > clock.now()));
        clock.advance(MONTH);
    }
    assert_eq!(ends.len(), 3);
    assert!(fleet.due().await.unwrap().devices.is_empty());
    // Left alone, it ends.
    clock.advance(Duration::days(365));
    assert_eq!(fleet.due().await.unwrap().devices.len(), 1);
}
