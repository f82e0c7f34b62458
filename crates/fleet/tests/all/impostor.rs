//! What an impostor must not get by waiting, listening or failing. Who gets nothing at once stands in the table of
//! `conformance.rs`.

use std::time::Duration;

use camera_sim::{Camera, Fault, Given, Model, OldTls, Options, Shown};
use devices::{Before, Credentials, Recipes};
use domain::{Finding, RevocationReason, Verdict};
use fleet::{Consents, Error, Fleet, Limits, Order, Outcome};
use zeroize::Zeroizing;

const PASSWORD: &str = "open sesame";

struct Site {
    _folder: tempfile::TempDir,
    fleet: Fleet,
}

impl Site {
    async fn new(verify: Duration) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { verify, restart: verify, ..Limits::default() };
        let fleet = crate::common::site(folder.path(), false, limits, Recipes::default()).await;
        Site { _folder: folder, fleet }
    }

    async fn secure(&self, url: &str, change: impl FnOnce(&mut Order)) -> Outcome {
        let credentials = Credentials::new("admin", Zeroizing::new(PASSWORD.into()));
        let mut order = Order { consent: Consents::ALL, ..Order::new(url.parse().unwrap(), credentials) };
        change(&mut order);
        self.fleet.secure(&order, &|_, _| ()).await
    }

    async fn only_row(&self) -> store::DeviceRow {
        let mut rows = self.fleet.store.devices(None).await.unwrap();
        assert_eq!(rows.len(), 1);
        rows.pop().unwrap()
    }
}

fn options(model: Model, change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::new(model, "admin", PASSWORD);
    options.key_generation = Duration::from_millis(10);
    change(&mut options);
    options
}

/// A first contact takes the key, and is never seen to serve the certificate: whoever has the key is nobody.
#[tokio::test]
async fn a_key_that_was_given_away_unverified_is_revoked_and_not_known() {
    for model in [
        Model::OnvifDevice,
        Model::PemPage,
        Model::Hanwha,
        Model::Mobotix,
        Model::Reolink,
        Model::Synology,
        Model::Uniview,
    ] {
        // The old certificate is served for ever: nothing is missed however soon patience ends.
        let mut site = Site::new(Duration::from_millis(500)).await;
        let never = options(model, |o| o.faults = vec![Fault::ServesOldCertificate]);
        let camera = Camera::start(never).await.unwrap();
        let url = camera.https_url();
        let failed = site.secure(&url, |_| ()).await;
        assert!(matches!(failed.error, Some(Error::OtherCertificateServed { .. })), "{model}: {failed:?}");
        let revoked = failed.findings.iter().find_map(|finding| match finding {
            Finding::GivenAwayRevoked { serial } => Some(serial.clone()),
            _ => None,
        });
        let serial = revoked.unwrap_or_else(|| panic!("{model}: {:?}", failed.findings));
        let store = &site.fleet.store;
        let certificate = store.certificate(&serial).await.unwrap().unwrap();
        assert!(certificate.compromised, "{model}");
        let listed = store.revocations(certificate.authority_id).await.unwrap();
        assert!(
            listed.iter().any(|r| r.serial == serial && r.reason == RevocationReason::KeyCompromise),
            "{model}: {listed:?}"
        );
        let row = site.only_row().await;
        assert!(row.serial.is_none() && row.verdict != Verdict::Secure, "{model}");
        let certificates = store.device_certificates(row.id).await.unwrap();
        assert!(certificates.iter().all(|certificate| certificate.compromised), "{model}");

        // It comes back with that key and that certificate.
        let der = certificate.der.unwrap();
        let shows = camera.shown().into_iter().find(|shown| shown.leaf() == der);
        assert!(shows.is_some(), "{model}");
        let thief = camera.replace(options(model, |o| o.shows = shows)).await.unwrap();
        let unnamed = site.secure(&url, |o| o.named = false).await;
        let not_accepted = devices::Error::NotAccepted { host: url.clone() };
        assert_eq!(unnamed.error, Some(Error::Device(not_accepted)), "{model}");
        assert_eq!(thief.state().given, Given::default(), "{model}");
        thief.unplug().await;

        // Whom the operator names is met for the first time: with a certificate of its own.
        site.fleet.limits.verify = Duration::from_secs(20);
        site.fleet.limits.restart = Duration::from_secs(20);
        let named = Camera::start(options(model, |o| o.factory_certificate = true)).await.unwrap();
        let done = site.secure(&named.https_url(), |_| ()).await;
        assert!(done.is_done() && done.serial.is_some_and(|s| s != serial), "{model}: {:?}", done.error);
        let kept = |finding: &Finding| matches!(finding, Finding::GivenAwayRevoked { .. });
        assert!(!done.findings.iter().any(kept), "{model}");
    }
}

/// A key that the device made was not given away, but its certificate was.
#[tokio::test]
async fn what_a_stranger_made_itself_is_revoked_too() {
    for model in [Model::OnvifSecurity, Model::Axis, Model::Bosch] {
        let site = Site::new(Duration::from_millis(500)).await;
        let never = options(model, |o| o.faults = vec![Fault::ServesOldCertificate]);
        let camera = Camera::start(never).await.unwrap();
        let failed = site.secure(&camera.https_url(), |_| ()).await;
        assert!(matches!(failed.error, Some(Error::OtherCertificateServed { .. })), "{model}: {failed:?}");
        let given = |f: &Finding| matches!(f, Finding::GivenAwayRevoked { .. } | Finding::GivenAway { .. });
        assert!(failed.findings.iter().any(given), "{model}: {:?}", failed.findings);
        assert_eq!(camera.state().given.private_keys, 0, "{model}");
    }
}

/// The other cameras with ONVIF that take a key from outside: over plain HTTP they hide the password, and inside the TLS of
/// the throw-away certificate they would have it.
#[tokio::test]
async fn a_keystore_that_asks_for_basic_later_gets_no_password() {
    for fault in [Fault::NoKeyGeneration, Fault::Pkcs12Alone] {
        let site = Site::new(Duration::from_secs(20)).await;
        let faults = vec![fault, Fault::BasicInsideTls];
        let camera = Camera::start(options(Model::OnvifSecurity, |o| o.faults = faults)).await.unwrap();
        let outcome = site.secure(&camera.http_url(), |_| ()).await;
        let code = serde_json::to_value(&outcome.error).unwrap()["code"].clone();
        assert_eq!(code, "weaker-sign-in", "{fault:?}: {outcome:?}");
        let given = camera.state().given;
        let throw_away = Given { digest: given.digest, private_keys: 1, ..Given::default() };
        assert_eq!(Given { certificates: 0, ..given }, throw_away, "{fault:?}");
        let row = site.only_row().await;
        assert!(site.fleet.store.device_certificates(row.id).await.unwrap().is_empty(), "{fault:?}");
    }
}

/// The operator took an impostor for the camera after a reset, and it never served what it was given. The camera itself is
/// as it was.
#[tokio::test]
async fn a_reset_that_was_none_does_not_lose_the_camera() {
    for model in [Model::OnvifSecurity, Model::OnvifDevice, Model::PemPage, Model::Reolink] {
        let mut site = Site::new(Duration::from_secs(20)).await;
        let number = |o: &mut Options| (o.serial, o.factory_certificate) = (Some("0A1B2C".to_owned()), true);
        let camera = Camera::start(options(model, number)).await.unwrap();
        let url = camera.https_url();
        let first = site.secure(&url, |_| ()).await;
        assert!(first.is_done(), "{model}: {:?}", first.error);
        let row = site.only_row().await;

        let never = options(model, |o| {
            number(o);
            o.faults = vec![Fault::ServesOldCertificate];
        });
        let impostor = camera.replace(never).await.unwrap();
        // What it never serves is not missed.
        site.fleet.limits.verify = Duration::from_millis(500);
        let failed = site.secure(&url, |o| o.new_device = true).await;
        assert!(matches!(failed.error, Some(Error::OtherCertificateServed { .. })), "{model}: {failed:?}");
        let revoked = failed.findings.iter().any(|f| matches!(f, Finding::GivenAwayRevoked { .. }));
        assert!(revoked, "{model}");
        impostor.unplug().await;

        site.fleet.limits.verify = Duration::from_secs(20);
        camera.plug_in().await.unwrap();
        let back = site.secure(&url, |o| o.consent = Consents::default()).await;
        assert!(back.is_done(), "{model}: {:?}", back.error);
        assert_eq!(back.serial, first.serial, "{model}");
        let now = site.fleet.store.device(row.id).await.unwrap().unwrap();
        assert_eq!((now.serial, now.left_at, now.port), (first.serial, None, row.port), "{model}");
    }
}

/// The operator told a fingerprint, and another certificate is shown: whoever it is, it gets nothing.
#[tokio::test]
async fn another_fingerprint_than_the_one_that_was_told_gets_nothing() {
    for model in [Model::OnvifDevice, Model::Reolink] {
        let site = Site::new(Duration::from_secs(20)).await;
        for https_off in [false, true] {
            let stranger = options(model, |o| (o.factory_certificate, o.https_off) = (true, https_off));
            let stranger = Camera::start(stranger).await.unwrap();
            let url = if https_off { stranger.http_url() } else { stranger.https_url() };
            let outcome = site.secure(&url, |o| o.fingerprint = Some("0".repeat(64))).await;
            let expected = Error::OtherFingerprint { host: "127.0.0.1".into() };
            assert_eq!(
                (outcome.error, stranger.state().given),
                (Some(expected), Given::default()),
                "{model}"
            );
        }
    }
}

/// The camera proved who it is, and in the middle of the run somebody else takes its place.
#[tokio::test]
async fn whoever_comes_in_the_middle_of_a_run_gets_nothing() {
    for model in [Model::OnvifSecurity, Model::OnvifDevice] {
        let site = Site::new(Duration::from_secs(20)).await;
        let camera = Camera::start(options(model, |_| ())).await.unwrap();
        let url = camera.http_url();
        assert!(site.secure(&url, |_| ()).await.is_done(), "{model}");
        for held in ["GetServices", "GetDeviceInformation"] {
            let before = camera.state().answers_held;
            camera.hold(held);
            let run = site.secure(&url, |o| o.enable_http = true);
            let comes = async {
                camera.wait_for(|state| state.answers_held > before).await;
                let another = options(model, |o| o.factory_certificate = true);
                let impostor = camera.replace(another).await.unwrap();
                camera.let_go();
                impostor
            };
            let (outcome, impostor) = tokio::join!(run, comes);
            let code = serde_json::to_value(&outcome.error).unwrap()["code"].clone();
            assert_eq!(impostor.state().given, Given::default(), "{model}, {held}: {code}");
            assert_eq!(code, "not-the-pinned-key", "{model}, {held}");
            impostor.unplug().await;
            camera.plug_in().await.unwrap();
            let back = site.secure(&url, |o| o.consent = Consents::default()).await;
            assert!(back.is_done(), "{model}, {held}: {:?}", back.error);
        }
    }
}

/// Whoever listened when the camera was met for the first time, over plain HTTP, has the key of the throw-away
/// certificate. It stands for nothing, then and later, whatever state the ledger is in.
#[tokio::test]
async fn the_key_of_the_throw_away_certificate_is_never_known() {
    let mut wrong = Vec::new();
    for model in [Model::OnvifDevice, Model::PemPage, Model::Hanwha, Model::Uniview] {
        for unfinished in [false, true] {
            let site = Site::new(Duration::from_secs(20)).await;
            let number = Some("0A1B2C".to_owned());
            let camera = Camera::start(options(model, |o| o.serial.clone_from(&number))).await.unwrap();
            let url = camera.http_url();
            assert!(site.secure(&url, |_| ()).await.is_done(), "{model}");
            let row = site.only_row().await;
            let overheard = camera.shown().into_iter().next();
            let served = camera.state().served_chain;
            assert!(overheard.as_ref().is_some_and(|o| o.leaf() != served[0]), "{model}");
            if unfinished {
                // A renewal that died.
                let https_port = camera.https_address().port();
                let before = Before { https_on: true, https_port, http_on: true, ..Before::default() };
                let before = serde_json::to_string(&before).unwrap();
                site.fleet.store.begin_enrolment("camlock-1", row.id, &before).await.unwrap();
            }
            let listener = options(model, |o| (o.shows, o.serial) = (overheard, number));
            let listener = camera.replace(listener).await.unwrap();
            let outcome = site.secure(&url, |_| ()).await;
            let given = listener.state().given;
            let code = serde_json::to_value(&outcome.error).unwrap()["code"].clone();
            if given != Given::default() || code != "device-changed" {
                wrong.push(format!("{model}, unfinished: {unfinished}: {code} {given:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What merely shows the camera's certificate, in a TLS that takes no key for that, is not that camera for a look either.
#[tokio::test]
async fn a_look_believes_no_certificate_without_its_key() {
    let site = Site::new(Duration::from_secs(20)).await;
    let camera = Camera::start(options(Model::OnvifDevice, |_| ())).await.unwrap();
    assert!(site.secure(&camera.http_url(), |_| ()).await.is_done());
    for old_tls in [None, Some(OldTls::Tls10), Some(OldTls::Tls12Rsa)] {
        let shows = Some(Shown::only(camera.state().served_chain));
        let thief = options(Model::OnvifDevice, |o| (o.shows, o.old_tls) = (shows, old_tls));
        let thief = camera.replace(thief).await.unwrap();
        let due = site.fleet.due().await.unwrap();
        assert_eq!(due.devices.len(), 1, "{old_tls:?}");
        thief.unplug().await;
    }
}
