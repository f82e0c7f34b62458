//! Enrolments over a camera's life: renewals, what earlier runs left, ways back. Against simulated cameras.

use std::{sync::Arc, time::Duration};

use camera_sim::{Camera, CapabilityNames, Fault, Maker, Model, Options};
use clap::ValueEnum as _;
use devices::{Before, Credentials, DeviceInfo, Recipes};
use domain::{AltName, EnrolmentState, Finding, KeyTransport, StepState, Verdict};
use fleet::{Consents, Error, Fleet, Limits, Order, Outcome};
use pki::Certificate;
use store::NewDevice;
use time::OffsetDateTime;
use zeroize::Zeroizing;

const PASSWORD: &str = "open sesame";
const MAKERS: [Model; 3] = [Model::Reolink, Model::Uniview, Model::Mobotix];
struct Site {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

impl Site {
    async fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let patience = Duration::from_secs(5);
        let limits = Limits { verify: patience, restart: patience, ..Limits::default() };
        let fleet =
            crate::common::site(folder.path(), false, limits, crate::common::recipes(folder.path())).await;
        Site { folder, fleet }
    }

    async fn secure(&self, target: &str, change: impl FnOnce(&mut Order)) -> Outcome {
        let credentials = Credentials::new("admin", Zeroizing::new(PASSWORD.into()));
        let target = target.parse().unwrap();
        let mut order = Order::new(target, credentials);
        change(&mut order);
        self.fleet.secure(&order, &|_, _| ()).await
    }

    /// Makes the ledger believe that every certificate ends in so many days. The certificates themselves do not
    /// change: it is the ledger that decides when to renew.
    async fn age(&self, days: i64) {
        let file = self.folder.path().join("camlock.db");
        let pool = sqlx::SqlitePool::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        let end = (OffsetDateTime::now_utc() + time::Duration::days(days)).unix_timestamp();
        sqlx::query("UPDATE certificate SET not_after = $1, not_before = $1 - 397 * 86400")
            .bind(end)
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }

    async fn device(&self, camera: &Camera) -> store::DeviceRow {
        let host: AltName = "127.0.0.1".parse().unwrap();
        let port = camera.url().rsplit(':').next().unwrap().parse().unwrap();
        self.fleet.store.device_at(&host, port).await.unwrap().unwrap()
    }
}

/// The operator accepts that the password is shown to whoever answers.
fn readable(order: &mut Order) {
    order.consent.readable = true;
}

async fn camera(model: Model, change: impl FnOnce(&mut Options)) -> Camera {
    let mut options = Options::new(model, "admin", PASSWORD);
    options.key_generation = Duration::from_millis(10);
    change(&mut options);
    Camera::start(options).await.unwrap()
}

fn has(outcome: &Outcome, wanted: impl Fn(&Finding) -> bool) -> bool {
    outcome.findings.iter().any(wanted)
}

/// Each renewal goes over the camera's own HTTPS, whose key changes in the middle of it; the camera's room does not
/// fill up; and a key that was sent in clear once is not sent so again.
#[tokio::test]
async fn a_camera_is_renewed_again_and_again() {
    let site = Site::new().await;
    for model in Model::value_variants().iter().copied() {
        let camera = camera(model, |_| ()).await;
        let (disable_http, factory) = (model.switches_http(), camera.state().certificates);
        let first =
            site.secure(&camera.url(), |o| (o.disable_http, o.consent) = (disable_http, Consents::ALL)).await;
        assert!(first.is_done(), "{model}: {:?}", first.error);
        let mut serial = first.serial;
        for round in 1..=6 {
            site.age(20).await;
            let renewed = site.secure(&camera.url(), |_| ()).await;
            assert!(renewed.is_done(), "{model}, round {round}: {:?} {:?}", renewed.error, renewed.findings);
            assert_ne!(renewed.serial, serial, "{model}, round {round}");
            serial = renewed.serial.clone();
            let expected = if model.makes_key() { KeyTransport::None } else { KeyTransport::PinnedTls };
            assert_eq!(renewed.key_transport, Some(expected));
            assert!(!has(&renewed, |f| matches!(f, Finding::NotTidied { .. } | Finding::KeySentInClear)));
            let mut state = camera.state();
            // What the factory put in stays.
            state.certificates.retain(|certificate| !factory.contains(certificate));
            assert!(
                state.keys.len() <= 1 && state.certificates.len() <= 1 && state.paths.len() <= 1,
                "{state:?}"
            );
            assert_eq!(state.http_on, !disable_http);
            assert_eq!((state.logins_refused, state.basic_credentials), (0, 0));
        }
        assert_eq!(site.device(&camera).await.serial, serial);
        camera.unplug().await;
    }
}

/// What the operator's certificate was is lost for good on a camera with one place: nothing is done before that is
/// accepted, and afterwards nobody says that it was brought back.
#[tokio::test]
async fn the_one_place_is_overwritten_only_with_consent() {
    let site = Site::new().await;
    let camera_ = camera(Model::PemPage, |o| o.factory_certificate = true).await;
    let was = camera_.state().served_chain;
    let refused = site.secure(&camera_.http_url(), |_| ()).await;
    assert!(matches!(refused.error, Some(Error::WouldOverwrite)), "{:?}", refused.error);
    assert_eq!(camera_.state().served_chain, was);
    let done = site.secure(&camera_.http_url(), |o| o.consent = Consents::ALL).await;
    assert!(done.is_done(), "{:?}", done.error);
    assert!(has(&done, |f| matches!(f, Finding::OneSlot)));
    // Our own certificate in that place is no loss.
    site.age(5).await;
    let renewed = site.secure(&camera_.http_url(), |_| ()).await;
    assert!(renewed.is_done() && !has(&renewed, |f| matches!(f, Finding::OneSlot)), "{:?}", renewed.error);
    camera_.unplug().await;

    let camera = camera(Model::PemPage, |o| o.faults = vec![Fault::ServesOldCertificate]).await;
    let failed = site.secure(&camera.http_url(), |o| o.consent = Consents::ALL).await;
    assert!(matches!(failed.error, Some(Error::OtherCertificateServed { .. })), "{:?}", failed.error);
    assert!(has(&failed, |f| matches!(f, Finding::SlotOverwritten)), "{:?}", failed.findings);
    assert!(failed.steps.iter().all(|s| s.state != StepState::RolledBack), "{:?}", failed.steps);
    camera.unplug().await;
}

/// An enrolment as a run that died left it.
async fn leave(site: &Site, camera: &Camera, mark: &str, before: Before, serial: Option<&str>) -> i64 {
    let host: AltName = "127.0.0.1".parse().unwrap();
    let new = NewDevice {
        id: None,
        host: &host,
        port: camera.url().rsplit(':').next().unwrap().parse().unwrap(),
        name: "x",
        model: None,
        told: None,
        mac: None,
        driver: "onvif-security",
        makes_key: false,
        https_port: None,
        accepted: true,
        first_verdict: Verdict::NotSecure,
        first_finding: None,
    };
    let store = &site.fleet.store;
    let id = store.save_device(&new).await.unwrap();
    store.begin_enrolment(mark, id, &serde_json::to_string(&before).unwrap()).await.unwrap();
    if let Some(serial) = serial {
        store.record_installing(mark, serial, KeyTransport::Clear).await.unwrap();
    }
    id
}

fn before(serial_number: Option<&str>) -> Before {
    Before {
        device: DeviceInfo { serial_number: serial_number.map(Into::into), ..DeviceInfo::default() },
        https_on: false,
        https_port: 443,
        http_on: true,
        ..Before::default()
    }
}

/// The camera that a dead run worked on was replaced: its HTTPS is not switched off because of the old one.
#[tokio::test]
async fn what_was_left_on_another_camera_is_not_taken_back_on_this_one() {
    let site = Site::new().await;
    let camera = camera(Model::OnvifSecurity, |o| {
        o.factory_certificate = true;
        // Nothing gets further than the request, so what is seen is the taking back alone.
        o.faults = vec![Fault::CsrFails];
    })
    .await;
    let id = leave(&site, &camera, "camlock-1", before(Some("of the old camera")), None).await;
    let outcome = site.secure(&camera.http_url(), |_| ()).await;
    assert!(outcome.error.is_some());
    assert!(camera.state().https_on);
    let open = site.fleet.store.unfinished_enrolments(id).await.unwrap();
    assert!(open.iter().all(|e| e.id != "camlock-1" && e.state != EnrolmentState::Open), "{open:?}");
    camera.unplug().await;
}

/// A run died after its certificate was live: the next one notes that all is well, with the way that the key took,
/// and when it is time to renew nothing stands in the way.
#[tokio::test]
async fn a_run_that_died_after_it_was_done_is_settled() {
    let site = Site::new().await;
    for model in Model::value_variants().iter().copied() {
        let camera = camera(model, |_| ()).await;
        let done = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
        assert!(done.is_done(), "{:?}", done.error);
        let store = &site.fleet.store;
        for renew in [false, true] {
            let serial = site.device(&camera).await.serial;
            let mark = format!("camlock-{model}-{renew}");
            let id = leave(&site, &camera, &mark, before(None), serial.as_deref()).await;
            if renew {
                site.age(20).await;
            }
            let next = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
            assert!(next.is_done(), "{model}, {renew}: {:?}", next.error);
            assert_eq!(next.serial != serial, renew, "{model}");
            assert!(store.unfinished_enrolments(id).await.unwrap().is_empty());
        }
        camera.unplug().await;
    }
}

/// Met over its own TLS, which ends when an earlier run's work is taken back: no key crosses the plain HTTP that is left.
#[tokio::test]
async fn a_way_that_is_no_longer_private_is_not_taken_for_one() {
    let site = Site::new().await;
    let camera = camera(Model::OnvifDevice, |o| o.factory_certificate = true).await;
    let port = camera.https_address().port();
    let was = Before { https_port: port, ..before(None) };
    let id = leave(&site, &camera, "camlock-1", was, None).await;
    site.fleet.store.record_verdict(id, Verdict::NotSecure, Some(port), None, None).await.unwrap();
    let outcome = site.secure(&camera.http_url(), |o| o.consent = Consents::ALL).await;
    assert!(outcome.is_done(), "{:?}", outcome.error);
    assert_eq!(outcome.key_transport, Some(KeyTransport::ThrowAwayTls));
    camera.unplug().await;
}

/// The certificate of ours that the device was met by is taken back: what it shows then is what it showed first.
#[tokio::test]
async fn a_key_of_the_first_contact_is_taken_on_the_way_back() {
    let site = Site::new().await;
    let camera = camera(Model::OnvifDevice, |o| o.factory_certificate = true).await;
    let factory = camera.state().certificates[0].id.clone();
    let unchecked = |outcome: &Outcome| has(outcome, |f| matches!(f, Finding::FirstContactUnchecked));
    let first = site.secure(&camera.http_url(), |_| ()).await;
    assert!(first.is_done() && unchecked(&first), "{:?}", first.error);
    site.age(20).await;
    let renewed = site.secure(&camera.http_url(), |_| ()).await;
    assert!(renewed.is_done() && !unchecked(&renewed), "{:?}", renewed.error);

    site.age(20).await;
    // Noted while somebody had gone back to the factory's for a moment.
    let now = camera.state().certificates;
    let certificates = now.iter().map(|c| (c.id.clone(), c.id == factory)).collect();
    let port = camera.https_address().port();
    let was = Before { https_on: true, https_port: port, certificates, ..before(None) };
    leave(&site, &camera, "camlock-0", was, None).await;
    let outcome = site.secure(&camera.http_url(), |_| ()).await;
    assert!(outcome.is_done() && !unchecked(&outcome), "{:?} {:?}", outcome.error, outcome.findings);
    assert_eq!(outcome.key_transport, Some(KeyTransport::PinnedTls));
    camera.unplug().await;
}

/// The lease is taken before the first word: of two runs on one camera at most one speaks to it.
#[tokio::test]
async fn of_two_runs_one_is_busy_and_says_nothing() {
    let site = Site::new().await;
    let camera = camera(Model::OnvifSecurity, |_| ()).await;
    camera.hold("GetDeviceInformation");
    let url = camera.http_url();
    let one = site.secure(&url, |_| ());
    let other = async {
        camera.wait_for(|state| state.answers_held > 0).await;
        let requests = camera.state().requests.len();
        let other = site.secure(&url, |_| ()).await;
        assert_eq!(camera.state().requests.len(), requests);
        camera.let_go();
        other
    };
    let (one, other) = tokio::join!(one, other);
    assert!(one.is_done(), "{:?}", one.error);
    assert!(matches!(other.error, Some(Error::Busy { .. })), "{:?}", other.error);
    camera.unplug().await;
}

/// Another camera of ours answers where this one was expected (port forwarding changed, say): it is not taken for it.
#[tokio::test]
async fn another_cameras_certificate_is_not_this_ones() {
    let site = Site::new().await;
    let one = camera(Model::OnvifSecurity, |_| ()).await;
    assert!(site.secure(&one.http_url(), |_| ()).await.is_done());
    let port = one.https_address().port();
    let two = camera(Model::OnvifSecurity, |_| ()).await;
    let id = leave(&site, &two, "camlock-2", before(None), None).await;
    site.fleet.store.record_verdict(id, Verdict::Secure, Some(port), None, None).await.unwrap();
    let outcome = site.secure(&two.http_url(), |_| ()).await;
    assert!(outcome.is_done(), "{:?}", outcome.error);
    assert_ne!(outcome.serial, site.device(&one).await.serial);
    assert!(two.state().https_on);
}

/// A camera that was reset is no longer called secure after a run that failed.
#[tokio::test]
async fn the_ledger_believes_the_last_look() {
    let site = Site::new().await;
    let (http, https) = {
        let camera = camera(Model::OnvifSecurity, |_| ()).await;
        assert!(site.secure(&camera.http_url(), |_| ()).await.is_done());
        let ports = (camera.http_address().port(), camera.https_address().port());
        camera.unplug().await;
        ports
    };
    let camera = camera(Model::OnvifSecurity, |o| {
        (o.http_port, o.https_port, o.faults) = (http, https, vec![Fault::CsrFails]);
    })
    .await;
    let outcome = site.secure(&camera.http_url(), |_| ()).await;
    assert!(outcome.error.is_some());
    assert_eq!(site.device(&camera).await.verdict, Verdict::NotSecure);
    camera.unplug().await;
}

/// With consent the clock is set, and the certificate is not dated back for what it was.
#[tokio::test]
async fn a_wrong_clock_is_set_only_with_consent() {
    let site = Site::new().await;
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        for faults in [vec![Fault::WrongClock], vec![Fault::WrongClock, Fault::UsernameToken]] {
            let camera = camera(model, |o| o.faults = faults).await;
            let left = site.secure(&camera.http_url(), |_| ()).await;
            assert!(
                has(&left, |f| matches!(f, Finding::ClockBehind { hours: 479..=480 })),
                "{:?}",
                left.findings
            );
            site.age(5).await;
            let set = site.secure(&camera.http_url(), |o| o.set_clock = true).await;
            assert!(set.is_done(), "{:?}", set.error);
            assert!(has(&set, |f| matches!(f, Finding::ClockSet { hours: 479..=480 })), "{:?}", set.findings);
            site.age(5).await;
            let after = site.secure(&camera.http_url(), |o| o.set_clock = true).await;
            let of_the_clock =
                |f: &Finding| matches!(f, Finding::ClockSet { .. } | Finding::ClockBehind { .. });
            assert!(after.is_done() && !has(&after, of_the_clock), "{:?}", after.findings);
            assert_eq!(camera.state().logins_refused, 0);
            camera.unplug().await;
        }
    }
}

/// A small device makes a key for minutes; no other answer may take that long.
#[tokio::test]
async fn a_key_takes_as_long_as_it_takes() {
    let mut site = Site::new().await;
    site.fleet.limits.device.answer = Duration::from_secs(6);
    let models =
        Model::value_variants().iter().copied().filter(|model| model.makes_key()).collect::<Vec<_>>();
    assert!(models.len() >= 3, "{models:?}");
    let made = models.into_iter().map(async |model| {
        let camera = camera(model, |o| o.key_generation = Duration::from_secs(9)).await;
        let outcome = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
        assert!(outcome.is_done(), "{model}: {:?}", outcome.error);
    });
    futures_util::future::join_all(made).await;
}

/// A computer whose own clock is in doubt gives its time to no camera.
#[tokio::test]
async fn a_clock_in_doubt_is_spread_to_nobody() {
    let site = Site::new().await;
    let camera = camera(Model::OnvifSecurity, |o| o.faults = vec![Fault::WrongClock]).await;
    let at = time::OffsetDateTime::now_utc() + time::Duration::days(40);
    let last = store::BackupRow { at, file: "a".into(), root: None, recovery: None, tried: false };
    site.fleet.store.record_backup(&last).await.unwrap();
    let outcome = site.secure(&camera.http_url(), |o| o.set_clock = true).await;
    assert!(outcome.is_done(), "{:?}", outcome.error);
    let said =
        |f: &Finding| matches!(f, Finding::ClockNotSet { reason } if reason["code"] == "this-clock-behind");
    assert!(has(&outcome, said), "{:?}", outcome.findings);
    assert!(has(&outcome, |f| matches!(f, Finding::ClockBehind { .. })), "{:?}", outcome.findings);
}

fn refused_in_clear(outcome: &Outcome) -> bool {
    matches!(outcome.error, Some(Error::Device(devices::Error::PasswordInClear { .. })))
}

/// A login that holds the password as it is happens inside TLS or not at all.
#[tokio::test]
async fn no_password_is_sent_where_others_can_read_it() {
    let site = Site::new().await;
    for model in [Model::Reolink, Model::Mobotix, Model::Bosch, Model::Synology] {
        let camera = camera(model, |_| ()).await;
        let was = camera.state();
        let outcome = site.secure(&camera.http_url(), |o| o.consent = Consents::ALL).await;
        assert!(refused_in_clear(&outcome), "{model}: {:?}", outcome.error);
        let state = camera.state();
        assert_eq!((state.basic_credentials, &state.served_chain), (0, &was.served_chain));
        assert!(
            state.requests.iter().all(|r| !r.authenticated && !r.operation.to_lowercase().contains("login")),
            "{state:?}"
        );
        camera.unplug().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_by_every_driver() {
    let site = Site::new().await;
    for model in Model::value_variants().iter().copied() {
        let camera = camera(model, |o| o.faults = vec![Fault::Locks]).await;
        let outcome = site
            .secure(&camera.url(), |o| {
                o.credentials.password = Zeroizing::new("open barley".into());
                o.consent = Consents::ALL;
            })
            .await;
        let wrong = matches!(outcome.error, Some(Error::Device(devices::Error::WrongPassword { .. })));
        assert!(wrong, "{model}: {:?}", outcome.error);
        assert_eq!(camera.state().logins_refused, 1, "{model}");
        camera.unplug().await;
    }
}

/// The operator hears what it costs before anything is changed, and it costs no more than that.
#[tokio::test]
async fn a_restart_is_told_before_it_comes() {
    let site = Site::new().await;
    let camera = camera(Model::Mobotix, |_| ()).await;
    let asked = site.secure(&camera.url(), |_| ()).await;
    assert!(matches!(asked.error, Some(Error::WouldOverwrite)), "{:?}", asked.error);
    assert!(has(&asked, |f| *f == Finding::Restarts) && has(&asked, |f| *f == Finding::OneSlot));
    assert_eq!(camera.state().restarts, 0);
    let done = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
    assert!(done.is_done(), "{:?}", done.error);
    assert_eq!((done.key_transport, camera.state().restarts), (Some(KeyTransport::PinnedTls), 1));
    camera.unplug().await;
}

/// Between the old certificate and the new one it shows the factory's, whose key the first contact has seen.
#[tokio::test]
async fn a_key_of_the_first_contact_is_expected_in_the_middle_of_a_renewal() {
    let site = Site::new().await;
    let camera = camera(Model::Reolink, |_| ()).await;
    let first = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
    assert!(first.is_done(), "{:?}", first.error);
    site.age(20).await;
    let renewed = site.secure(&camera.url(), |_| ()).await;
    assert!(renewed.is_done(), "{:?}", renewed.error);
    let unchecked = |f: &&Finding| **f == Finding::FirstContactUnchecked;
    for (outcome, count) in [(first, 1), (renewed, 0)] {
        assert_eq!(outcome.findings.iter().filter(unchecked).count(), count, "{:?}", outcome.findings);
    }
    assert_eq!(camera.state().restarts, 4);
    // It has few places for sessions, and none of them was left taken.
    assert_eq!(camera.state().count("Login"), camera.state().count("Logout") + 4);
    camera.unplug().await;
}

/// What fails leaves the maker's camera as it was: its ports, and the certificate that it showed.
#[tokio::test]
async fn a_makers_camera_that_fails_is_as_it_was() {
    let site = Site::new().await;
    for model in MAKERS {
        for fault in [Fault::DropsUpload, Fault::ServesOldCertificate, Fault::HttpsRefused] {
            if fault == Fault::HttpsRefused && model != Model::Uniview {
                continue;
            }
            let camera = camera(model, |o| o.faults = vec![fault]).await;
            let was = camera.state();
            let outcome = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
            assert!(outcome.error.is_some(), "{model}, {fault:?}");
            assert!(!has(&outcome, |f| matches!(f, Finding::NotPutBack { .. })), "{:?}", outcome.findings);
            let now = camera.wait_for(|now| now.https_on == was.https_on && now.http_on).await;
            // Its one place keeps what it was given, with HTTPS off.
            if model != Model::Uniview {
                assert_eq!(now.served_chain, was.served_chain, "{model}, {fault:?}");
            }
            assert_eq!((now.logins_refused, now.basic_credentials), (0, 0));
            camera.unplug().await;
        }
    }
}

/// What a factory certificate and its protocols were is what they are again, whatever went wrong, and over whatever
/// connection the way back leads.
#[tokio::test]
async fn a_makers_camera_is_put_back_as_it_was() {
    let site = Site::new().await;
    for model in [Model::Axis, Model::Hanwha, Model::Bosch] {
        for factory_certificate in [false, true] {
            for fault in
                [Fault::DropsUpload, Fault::HttpsRefused, Fault::CsrFails, Fault::ServesOldCertificate]
            {
                let old = fault == Fault::ServesOldCertificate;
                // HTTPS that is on already cannot fail to be switched on.
                let on = factory_certificate || old || model == Model::Bosch;
                if (model == Model::Hanwha && fault == Fault::CsrFails)
                    || (on && fault == Fault::HttpsRefused)
                {
                    continue;
                }
                let camera = camera(model, |o| {
                    o.factory_certificate = factory_certificate;
                    o.faults = vec![fault];
                })
                .await;
                let was = camera.state();
                let outcome = site.secure(&camera.url(), |_| ()).await;
                assert!(outcome.error.is_some(), "{model}, {fault:?}: {outcome:?}");
                assert!(
                    !has(&outcome, |f| matches!(f, Finding::NotPutBack { .. })),
                    "{model}, {fault:?}: {outcome:?}"
                );
                let is = camera.state();
                assert_eq!((is.http_on, is.https_on), (was.http_on, was.https_on), "{model}, {fault:?}");
                assert_eq!((is.keys, is.certificates), (was.keys, was.certificates), "{model}, {fault:?}");
                assert_eq!(is.assigned, was.assigned, "{model}, {fault:?}");
                assert_eq!((is.logins_refused, is.basic_credentials), (0, 0), "{model}, {fault:?}");
                camera.unplug().await;
            }
        }
    }
}

/// Cleared and not imported, or imported and nobody told: the next run finds the one or the other and ends well.
#[tokio::test]
async fn a_run_that_died_between_two_restarts_is_followed_by_one_that_ends_well() {
    let site = Site::new().await;
    for renewal in [false, true] {
        for (held, is_first_contact) in [("CertificateClear", true), ("ImportCertificate", false)] {
            let camera = camera(Model::Reolink, |_| ()).await;
            if renewal {
                assert!(site.secure(&camera.url(), |o| o.consent = Consents::ALL).await.is_done());
                site.age(20).await;
            }
            camera.hold(held);
            let address = camera.url();
            let dies = site.secure(&address, |o| o.consent = Consents::ALL);
            tokio::select! {
                outcome = dies => panic!("{:?}", outcome.error),
                _ = camera.wait_for(|state| state.answers_held == 1) => {}
            }
            camera.let_go();
            let restarts = if renewal { 3 } else { 1 };
            camera.wait_for(|state| state.restarts >= restarts && state.https_on).await;
            let next = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
            assert!(next.is_done(), "{held}, {renewal}: {:?}", next.error);
            // A key of the first contact is expected in the middle of a renewal.
            if is_first_contact && !renewal {
                assert!(has(&next, |f| *f == Finding::FirstContactUnchecked), "{:?}", next.findings);
            }
            let id = site.device(&camera).await.id;
            assert!(site.fleet.store.unfinished_enrolments(id).await.unwrap().is_empty());
            camera.unplug().await;
        }
    }
}

#[tokio::test]
async fn nonces_that_end_soon_do_not_stop_a_makers_driver() {
    let site = Site::new().await;
    for model in [Model::Uniview, Model::Mobotix] {
        let camera = camera(model, |o| o.faults = vec![Fault::ShortNonces]).await;
        let outcome = site.secure(&camera.url(), |o| o.consent = Consents::ALL).await;
        assert!(outcome.is_done(), "{model}: {:?}", outcome.error);
        assert_eq!(camera.state().logins_refused, 0);
        camera.unplug().await;
    }
}

/// HTTP that was switched off is switched on again, by every driver that switches it.
#[tokio::test]
async fn plain_http_goes_off_and_on_again() {
    let site = Site::new().await;
    for model in Model::value_variants().iter().copied().filter(|model| model.switches_http()) {
        let camera = camera(model, |_| ()).await;
        for (off, on) in [(true, false), (false, true)] {
            let change =
                |o: &mut Order| (o.disable_http, o.enable_http, o.consent) = (off, on, Consents::ALL);
            let outcome = site.secure(&camera.url(), change).await;
            assert!(outcome.is_done(), "{model}: {:?}", outcome.error);
            assert_eq!(camera.state().http_on, on, "{model}");
        }
        camera.unplug().await;
    }
}

/// What comes after HTTPS, each with its way back, and a password that is believed only once it lets somebody in.
#[tokio::test]
async fn http_goes_off_and_on_and_the_password_changes_inside_tls() {
    let site = Site::new().await;
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        let camera = camera(model, |_| ()).await;
        let off = site.secure(&camera.http_url(), |o| o.disable_http = true).await;
        assert!(off.is_done() && has(&off, |f| *f == Finding::HttpOff), "{off:?}");
        assert!(!camera.state().http_on);
        let on = site.secure(&camera.http_url(), |o| o.enable_http = true).await;
        assert!(on.is_done() && camera.state().http_on, "{on:?}");

        let new = || Some(Zeroizing::new("open barley".to_owned()));
        let changed = site.secure(&camera.http_url(), |o| o.new_password = new()).await;
        assert!(changed.is_done() && has(&changed, |f| *f == Finding::PasswordChanged), "{changed:?}");
        let state = camera.state();
        assert_eq!((state.logins_refused, state.basic_credentials), (0, 0));
        let set = state.requests.iter().find(|r| r.operation == "SetUser").unwrap();
        assert!(set.tls && set.authenticated);
        site.age(5).await;
        let old = site.secure(&camera.http_url(), |_| ()).await;
        assert!(matches!(old.error, Some(Error::Device(devices::Error::WrongPassword { .. }))), "{old:?}");
        let renewed = site.secure(&camera.http_url(), |o| o.credentials.password = new().unwrap()).await;
        assert!(renewed.is_done(), "{renewed:?}");
        camera.unplug().await;
    }

    // A password that the camera refuses changes nothing.
    let camera = camera(Model::OnvifDevice, |_| ()).await;
    let weak =
        site.secure(&camera.http_url(), |o| o.new_password = Some(Zeroizing::new("short".into()))).await;
    assert!(matches!(weak.error, Some(Error::Device(devices::Error::Refused { .. }))), "{weak:?}");
    site.age(5).await;
    assert!(site.secure(&camera.http_url(), |_| ()).await.is_done());
    camera.unplug().await;
}

/// Its first password, which makes its first user, goes the same way; and afterwards it asks for it.
#[tokio::test]
async fn a_camera_without_a_password_gets_its_first_one_inside_tls() {
    let site = Site::new().await;
    let new = Zeroizing::new("open barley".to_owned());
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        let camera = camera(model, |o| o.faults = vec![Fault::NoPassword]).await;
        let change = |o: &mut Order| {
            (o.credentials.user, o.credentials.password) = ("owner".into(), Zeroizing::default());
            o.new_password = Some(new.clone());
        };
        let outcome = site.secure(&camera.http_url(), change).await;
        assert!(outcome.is_done() && has(&outcome, |f| *f == Finding::PasswordSet), "{outcome:?}");
        assert!(!has(&outcome, |f| *f == Finding::NoPassword));
        let made = camera.state().requests.into_iter().find(|r| r.operation == "CreateUsers").unwrap();
        assert!(made.tls);
        site.age(5).await;
        let as_owner = |password: &str| Credentials::new("owner", Zeroizing::new(password.into()));
        let renewed = site.secure(&camera.http_url(), |o| o.credentials = as_owner(&new)).await;
        assert!(renewed.is_done() && !has(&renewed, |f| *f == Finding::NoPassword), "{renewed:?}");
        site.age(5).await;
        let without = site.secure(&camera.http_url(), |o| o.credentials = as_owner("")).await;
        assert!(
            matches!(without.error, Some(Error::Device(devices::Error::WrongPassword { .. }))),
            "{without:?}"
        );
        camera.unplug().await;
    }
}

/// A camera that takes keys gets them in the form that it names, with the issuers of two tiers, again and again, and
/// nothing of it is left behind.
#[tokio::test]
async fn a_camera_that_makes_no_key_takes_one_in_pkcs8_or_pkcs12() {
    let folder = tempfile::tempdir().unwrap();
    let fleet = crate::common::site(folder.path(), true, Limits::default(), Recipes::default()).await;
    let site = Site { folder, fleet };
    for (fault, names) in [
        (Fault::NoKeyGeneration, CapabilityNames::Old),
        (Fault::NoKeyGeneration, CapabilityNames::New),
        (Fault::Pkcs12Alone, CapabilityNames::Old),
        (Fault::Pkcs12Alone, CapabilityNames::New),
        (Fault::Pkcs12Alone, CapabilityNames::Both),
    ] {
        let change = |o: &mut Options| (o.faults, o.capability_names) = (vec![fault], names);
        let camera = camera(Model::OnvifSecurity, change).await;
        for round in 0..4 {
            let outcome = site.secure(&camera.http_url(), |_| ()).await;
            assert!(outcome.is_done(), "{fault:?}, {names:?}, round {round}: {outcome:?}");
            assert!(!has(&outcome, |f| matches!(f, Finding::NotTidied { .. })), "{outcome:?}");
            let state = camera.state();
            assert_eq!(
                (state.served_chain.len(), state.paths.len()),
                (2, 1),
                "{fault:?}, {names:?}: {state:?}"
            );
            assert!(
                state.certificates.len() == 2 && state.keys.len() <= 3,
                "{fault:?}, {names:?}: {state:?}"
            );
            let secret =
                ["UploadKeyPairInPKCS8", "UploadCertificateWithPrivateKeyInPKCS12", "UploadPassphrase"];
            let uploads = state.requests.iter().filter(|r| secret.contains(&r.operation.as_str()));
            // The throw-away key, for the TLS that all others go through.
            let kept = (fault, names) == (Fault::Pkcs12Alone, CapabilityNames::Old);
            let in_clear = uploads.clone().filter(|request| !request.tls).count();
            assert_eq!(in_clear, if kept { 2 } else { 1 }, "{fault:?}, {names:?}, round {round}");
            assert!(uploads.clone().all(|request| request.authenticated));
            site.age(5).await;
        }
        camera.unplug().await;
    }
}

/// The floor under TLS is seen to hold, or taken back; an older version is the way back.
#[tokio::test]
async fn old_tls_goes_off_and_on() {
    let site = Site::new().await;
    let options = inspect::Options::trusting(Vec::new(), OffsetDateTime::now_utc());
    for fault in [None, Some(Fault::TlsPretended)] {
        let camera = camera(Model::OnvifSecurity, |o| o.faults.extend(fault)).await;
        for (floor, is_spoken) in [("1.3", false), ("1.2", true)] {
            let outcome = site.secure(&camera.http_url(), |o| o.tls_floor = Some(floor.into())).await;
            let target = camera.https_url().parse().unwrap();
            let port = camera.https_url().rsplit(':').next().unwrap().parse().unwrap();
            let spoken = inspect::old::speaks(&target, port, "1.2", &options).await;
            if fault.is_none() || is_spoken {
                assert!(outcome.is_done(), "{outcome:?}");
                assert_eq!(spoken, is_spoken);
                assert!(has(&outcome, |f| matches!(f, Finding::TlsFloor { .. })), "{outcome:?}");
            } else {
                let still = Error::TlsStillSpoken { version: "1.2".into() };
                assert_eq!(outcome.error, Some(still), "{:?}", outcome.findings);
                assert!(spoken && outcome.verdict == Verdict::Secure);
            }
        }
        camera.unplug().await;
    }
    let camera = camera(Model::OnvifDevice, |_| ()).await;
    let outcome = site.secure(&camera.http_url(), |o| o.tls_floor = Some("1.2".into())).await;
    assert!(matches!(outcome.error, Some(Error::Device(devices::Error::NotOffered { .. }))), "{outcome:?}");
    assert!(camera.state().https_on);
    camera.unplug().await;
}

/// What a maker's root says of the key on the way is told in place of a warning, if it names this very device.
#[tokio::test]
async fn a_factory_identity_is_checked_at_first_contact() {
    let (maker, other) = (Maker::new("Maker").unwrap(), Maker::new("Maker").unwrap());
    let roots = |maker: &Maker| Certificate::read_all(maker.root().as_bytes()).unwrap();
    let (genuine, strange) = (roots(&maker), roots(&other));
    let maker = Arc::new(maker);
    for (known, by, is_checked) in
        [(&genuine, Some(&maker), true), (&strange, Some(&maker), false), (&genuine, None, false)]
    {
        let mut site = Site::new().await;
        site.fleet.maker_roots = known.clone();
        let camera =
            camera(Model::OnvifDevice, |o| (o.factory_certificate, o.maker) = (true, by.cloned())).await;
        let outcome = site.secure(&camera.http_url(), |_| ()).await;
        assert!(outcome.is_done(), "{outcome:?}");
        assert_eq!(outcome.key_transport, Some(KeyTransport::PinnedTls));
        let identity = |f: &Finding| matches!(f, Finding::FactoryIdentity { .. });
        assert_eq!(has(&outcome, identity), is_checked, "{:?}", outcome.findings);
        assert_eq!(has(&outcome, |f| *f == Finding::FirstContactUnchecked), !is_checked);
        camera.unplug().await;
    }
}

/// The camera's clock follows a time server from then on.
#[tokio::test]
async fn the_clock_follows_a_time_server_with_consent() {
    let site = Site::new().await;
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        for server in ["192.0.2.7", "2001:db8::7", "time.lan"] {
            let camera = camera(model, |o| o.faults = vec![Fault::WrongClock]).await;
            let server: AltName = server.parse().unwrap();
            let outcome = site.secure(&camera.http_url(), |o| o.time_server = Some(server.clone())).await;
            assert!(outcome.is_done(), "{outcome:?}");
            let follows = Finding::ClockFollows { server: server.plain() };
            assert!(has(&outcome, |f| *f == follows), "{:?}", outcome.findings);
            assert!(!has(&outcome, |f| matches!(f, Finding::ClockBehind { .. })), "{:?}", outcome.findings);
            camera.unplug().await;
        }
    }
}

/// Fresh from its box: nobody is asked who they are, and the operator hears of it.
#[tokio::test]
async fn a_camera_without_a_password_is_secured_and_told() {
    let site = Site::new().await;
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        for (faults, is_told) in
            [(vec![Fault::NoPassword], true), (vec![Fault::UsernameToken], false), (vec![], false)]
        {
            let camera = camera(model, |o| o.faults = faults).await;
            let outcome = site.secure(&camera.http_url(), |_| ()).await;
            assert!(outcome.is_done(), "{outcome:?}");
            assert_eq!(has(&outcome, |f| *f == Finding::NoPassword), is_told, "{:?}", outcome.findings);
            camera.unplug().await;
        }
    }
}

const SYNOLOGY: Model = Model::Synology;

/// What the NAS's own page shows, what its FTP server shows, and the default.
fn bound(camera: &Camera) -> [String; 3] {
    camera.state().assigned.try_into().unwrap()
}

/// Its own page and the default become ours, what else is bound to the factory's certificate stays bound to it. A renewal
/// takes the place of the one before, so that what was bound to that since goes along.
#[tokio::test]
async fn a_nas_keeps_its_other_services_bound() {
    let site = Site::new().await;
    let camera = camera(SYNOLOGY, |_| ()).await;
    let factory = bound(&camera)[0].clone();
    assert!(bound(&camera).iter().all(|id| *id == factory));
    let first = site.secure(&camera.url(), readable).await;
    assert!(first.is_done(), "{:?}", first.error);
    assert!(has(&first, |f| matches!(f, Finding::FirstContactUnchecked)));
    let [page, ftp, default] = bound(&camera);
    assert_eq!((&ftp, &page), (&factory, &default));
    assert_ne!(page, factory);
    site.age(20).await;
    let renewed = site.secure(&camera.url(), |_| ()).await;
    assert!(renewed.is_done() && renewed.serial != first.serial, "{:?}", renewed.error);
    assert!(!has(&renewed, |f| matches!(f, Finding::FirstContactUnchecked)), "{:?}", renewed.findings);
    assert_eq!(bound(&camera), [page, factory, default]);
    assert_eq!(camera.state().certificates.len(), 2);
    let binds = camera.state().count("SYNO.Core.Certificate.Service set");
    assert_eq!(binds, 1, "bound to what it was bound to already");
    let (logins, logouts) = ("SYNO.API.Auth login", "SYNO.API.Auth logout");
    assert_eq!(camera.state().count(logins), camera.state().count(logouts));
    camera.unplug().await;
}

/// A run died at one of its changes: the next one takes back what is there or goes on with it, and one certificate of
/// ours is left.
#[tokio::test]
async fn a_run_that_died_on_a_nas_is_followed_by_one_that_ends_well() {
    let site = Site::new().await;
    for held in ["SYNO.Core.Certificate import", "SYNO.Core.Certificate.Service set"] {
        let camera = camera(SYNOLOGY, |_| ()).await;
        let factory = bound(&camera)[0].clone();
        camera.hold(held);
        let address = camera.url();
        tokio::select! {
            outcome = site.secure(&address, readable) => panic!("{held}: {:?}", outcome.error),
            _ = camera.wait_for(|state| state.answers_held == 1) => {}
        }
        camera.let_go();
        camera.wait_for(|state| state.restarts == 1 && state.https_on && state.http_on).await;
        let next = site.secure(&address, readable).await;
        assert!(next.is_done(), "{held}: {:?} {:?}", next.error, next.findings);
        assert!(!has(&next, |f| matches!(f, Finding::NotPutBack { .. })), "{held}: {:?}", next.findings);
        let id = site.device(&camera).await.id;
        assert!(site.fleet.store.unfinished_enrolments(id).await.unwrap().is_empty());
        assert_eq!(camera.state().certificates.len(), 2, "{held}");
        assert_eq!(bound(&camera)[1], factory, "{held}");
        camera.unplug().await;
    }
}

/// A renewal died when the new certificate was in the place of the old one: it is there to stay.
#[tokio::test]
async fn a_renewal_that_died_on_a_nas_is_settled() {
    let site = Site::new().await;
    let camera = camera(SYNOLOGY, |_| ()).await;
    let ours = {
        assert!(site.secure(&camera.url(), readable).await.is_done());
        bound(&camera)[0].clone()
    };
    site.age(20).await;
    camera.hold("SYNO.Core.Certificate import");
    let address = camera.url();
    tokio::select! {
        outcome = site.secure(&address, |_| ()) => panic!("{:?}", outcome.error),
        _ = camera.wait_for(|state| state.answers_held == 1) => {}
    }
    camera.let_go();
    camera.wait_for(|state| state.restarts == 2 && state.https_on && state.http_on).await;
    let next = site.secure(&address, |_| ()).await;
    assert!(next.is_done(), "{:?} {:?}", next.error, next.findings);
    assert_eq!(bound(&camera)[0], ours);
    assert_eq!(camera.state().certificates.len(), 2);
    camera.unplug().await;
}

/// Who may not is told why, and not tried again.
#[tokio::test]
async fn an_account_that_a_nas_does_not_let_in_is_told_why() {
    let site = Site::new().await;
    for (fault, code) in [(Fault::SecondFactor, "second-factor"), (Fault::NoAdministrator, "not-allowed")] {
        let camera = camera(SYNOLOGY, |o| o.faults = vec![fault]).await;
        let outcome = site.secure(&camera.url(), readable).await;
        let error = serde_json::to_value(outcome.error.unwrap()).unwrap();
        assert_eq!(error["code"], code);
        assert_eq!(camera.state().count("SYNO.API.Auth login"), 1);
        assert_eq!(camera.state().logins_refused, 0);
        camera.unplug().await;
    }
}

/// One code is enough for a run, which signs in many times; a second run has none.
#[tokio::test]
async fn a_one_time_code_opens_a_nas_for_one_run() {
    let site = Site::new().await;
    let camera = camera(SYNOLOGY, |o| o.faults = vec![Fault::SecondFactor]).await;
    let with = |code: &str| {
        let code = Zeroizing::new(code.to_owned());
        move |o: &mut Order| {
            o.credentials = o.credentials.clone().with_code(code);
            readable(o);
        }
    };
    let wrong = site.secure(&camera.url(), with("000000")).await;
    assert!(matches!(wrong.error, Some(Error::Device(devices::Error::SecondFactor { .. }))), "{wrong:?}");
    let outcome = site.secure(&camera.url(), with("271828")).await;
    assert!(outcome.is_done(), "{outcome:?}");
    assert!(camera.state().count("SYNO.API.Auth login") > 2);
    site.age(5).await;
    let used = site.secure(&camera.url(), with("271828")).await;
    assert!(matches!(used.error, Some(Error::Device(devices::Error::SecondFactor { .. }))), "{used:?}");
    camera.unplug().await;
}

#[tokio::test]
async fn a_recipe_of_the_operator_serves_a_camera_that_nobody_knows() {
    let site = Site::new().await;
    let camera = camera(Model::FormPage, |_| ()).await;
    // Nobody can read the password along, or it is not sent.
    let plain = site.secure(&camera.http_url(), |o| o.consent = Consents::ALL).await;
    let in_clear = Error::Device(devices::Error::PasswordInClear { host: "127.0.0.1".into() });
    assert_eq!(plain.error, Some(in_clear));
    assert_eq!(camera.state().count("POST /login"), 0);

    let refused = site.secure(&camera.https_url(), readable).await;
    assert!(has(&refused, |f| matches!(f, Finding::OneSlot)), "{refused:?}");
    assert_eq!(camera.state().count("POST /security/key"), 0);
    for round in 0..3 {
        let done =
            site.secure(&camera.https_url(), |o| (o.consent, o.disable_http) = (Consents::ALL, true)).await;
        assert!(done.is_done(), "{round}: {:?} {:?}", done.error, done.findings);
        assert_eq!(done.driver.as_deref(), Some("recipe:form-page"));
        assert_eq!(done.key_transport, Some(KeyTransport::PinnedTls));
        assert!(has(&done, |f| matches!(f, Finding::Restarts)));
        let state = camera.state();
        assert!(!state.http_on && state.https_on);
        assert_eq!((state.restarts, state.logins_refused, state.basic_credentials), (round + 1, 0, 0));
        site.age(20).await;
    }
    camera.unplug().await;
}

#[tokio::test]
async fn a_login_form_gets_a_wrong_password_once() {
    let site = Site::new().await;
    let camera = camera(Model::FormPage, |_| ()).await;
    let wrong = site
        .secure(&camera.https_url(), |o| {
            readable(o);
            o.credentials.password = Zeroizing::new("no".into());
        })
        .await;
    let refused = Error::Device(devices::Error::WrongPassword { user: "admin".into() });
    assert_eq!((wrong.error, camera.state().logins_refused), (Some(refused), 1));
    assert_eq!(camera.state().count("POST /login"), 1);
    camera.unplug().await;
}
