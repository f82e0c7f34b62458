//! Many devices at once.

use std::sync::{Arc, Mutex};

use camera_sim::{Camera, Fault, Model, Options};
use devices::{Credentials, Recipes};
use domain::{Step, Verdict};
use fleet::{Error, Event, Fleet, Limits, Order, Outcome, Stop, Way};
use tokio::sync::watch;
use zeroize::Zeroizing;

async fn fleet(folder: &std::path::Path) -> Arc<Fleet> {
    Arc::new(crate::common::site(folder, false, Limits::default(), Recipes::default()).await)
}

async fn camera(password: &str, faults: &[Fault]) -> Camera {
    let mut options = Options::new(Model::OnvifSecurity, "admin", password);
    options.faults = faults.to_vec();
    Camera::start(options).await.unwrap()
}

fn way(url: &str) -> Way {
    let credentials = Credentials::new("admin", Zeroizing::new("open sesame".into()));
    Way::Driver(Order::new(url.parse().unwrap(), credentials))
}

fn ends(outcomes: &[Outcome]) -> Vec<Option<&Error>> {
    outcomes.iter().map(|outcome| outcome.error.as_ref()).collect()
}

/// Whoever asks for it, command line or page: the simulator locks the account at the second wrong try.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_tried_once_however_the_device_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let strange = camera("another password", &[Fault::Locks]).await;
    let other = camera("open sesame", &[]).await;
    let named = strange.http_url();
    let by_name = format!("http://localhost:{}", strange.http_address().port());
    let ways = [&named, &by_name, &other.http_url(), &named].map(|url| way(url)).into();
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let tell = move |index, event: Event<'_>| {
        told.lock().unwrap().push((index, matches!(event, Event::Ended(_))));
    };
    let (_stop, stopped) = watch::channel(Stop::Never);
    let outcomes = fleet(folder.path()).await.secure_many(ways, tell, stopped).await.unwrap();
    let refused_before = Some(&Error::RefusedBefore { target: named.clone() });
    let ends = ends(&outcomes);
    assert!(matches!(ends[0], Some(Error::Device(devices::Error::WrongPassword { .. }))), "{ends:?}");
    assert_eq!((ends[1], ends[2], ends[3]), (refused_before, None, refused_before));
    assert_eq!(outcomes[2].verdict, Verdict::Secure);
    // Each is told to have ended once, and nothing of it afterwards.
    let events = events.lock().unwrap();
    for index in 0..outcomes.len() {
        let of_one: Vec<bool> = events.iter().filter(|(i, _)| *i == index).map(|(_, ended)| *ended).collect();
        assert_eq!(of_one.iter().filter(|ended| **ended).count(), 1, "{of_one:?}");
        assert_eq!(of_one.last(), Some(&true), "{of_one:?}");
    }
}

/// The second target is the same camera, so that it waits for the first.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_finished_or_cut_off_as_told() {
    for (wanted, finishes) in [(Stop::AfterThese, true), (Stop::Now, false)] {
        let folder = tempfile::tempdir().unwrap();
        let camera = camera("open sesame", &[]).await;
        let url = camera.http_url();
        let (stop, stopped) = watch::channel(Stop::Never);
        let tell = move |_, event: Event<'_>| {
            if matches!(event, Event::Begun(Step::Inspect)) {
                stop.send_replace(wanted);
            }
        };
        let ways = vec![way(&url), way(&url)];
        let outcomes = fleet(folder.path()).await.secure_many(ways, tell, stopped).await.unwrap();
        assert_eq!(outcomes[0].is_done(), finishes, "{:?}", outcomes[0]);
        assert_eq!(outcomes[1].error, Some(Error::Interrupted));
        if !finishes {
            assert_eq!(outcomes[0].error, Some(Error::Interrupted));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_fleet_lists_and_speaks_to_no_device() {
    let folder = tempfile::tempdir().unwrap();
    let open = crate::common::site(folder.path(), false, Limits::default(), Recipes::default()).await;
    let locked = Arc::new(Fleet { issuer: None, ..open });
    let device = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    device.set_nonblocking(true).unwrap();
    let url = format!("http://{}", device.local_addr().unwrap());
    let (_stop, stopped) = watch::channel(Stop::Never);
    let outcomes = locked.secure_many(vec![way(&url)], |_, _| {}, stopped).await.unwrap();
    assert_eq!(outcomes[0].error, Some(Error::Authority(authority::Error::Locked)));
    assert_eq!(device.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "not one connection");
    assert!(locked.due().await.unwrap().devices.is_empty());
}
