//! Enrolments by hand: Camlock makes the package, a person carries it.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use camera_sim::{Camera, Model, Options};
use devices::{Admission, Consent, Credentials, Endpoint, Package, Recipes, Seen};
use domain::{Clock, EnrolmentState, Finding, KeyTransport, Step, StepState, Verdict};
use fleet::{Error, Fleet, HandOrder, Limits, Order, Outcome};
use pki::pem;
use zeroize::Zeroizing;

struct Site {
    folder: tempfile::TempDir,
    fleet: Fleet,
}

impl Site {
    async fn new() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let fleet = crate::common::site(folder.path(), false, Limits::default(), Recipes::default()).await;
        Site { folder, fleet }
    }

    fn file(&self) -> Box<dyn Fn(&str) -> PathBuf + Send + Sync> {
        let folder = self.folder.path().to_owned();
        Box::new(move |serial| folder.join(format!("{serial}.pem")))
    }

    fn packages(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|e| e == "pem")).collect()
    }

    async fn by_hand(&self, camera: &Camera, seconds: u64) -> Outcome {
        let hand = HandOrder {
            target: camera.https_url().parse().unwrap(),
            new_device: false,
            wait: Duration::from_secs(seconds),
            file: self.file(),
            write: Box::new(|path, pem| std::fs::write(path, pem).map_err(|e| e.to_string().into())),
        };
        self.fleet.secure_by_hand(&hand, &|_, _| ()).await
    }
}

async fn camera() -> Camera {
    Camera::start(Options::new(Model::PemPage, "admin", "open sesame")).await.unwrap()
}

fn credentials() -> Credentials {
    Credentials::new("admin", Zeroizing::new("open sesame".into()))
}

/// What the person does on the camera's page.
async fn upload(camera: &Camera, file: &Path) {
    let package = std::fs::read_to_string(file).unwrap();
    let blocks = pem::blocks(&package);
    let block = |label: &str| blocks.iter().find(|(l, _)| *l == label).unwrap().1.as_ref().unwrap().to_vec();
    let (certificate, key) = (block("CERTIFICATE"), block("PRIVATE KEY"));
    let endpoint =
        Endpoint { host: "127.0.0.1".parse().unwrap(), port: camera.http_address().port(), pin: None };
    let recipes = Recipes::default();
    let limits = devices::Limits::default();
    let recognised = devices::recognise(&endpoint, &limits, &recipes, &Clock::system()).await.unwrap();
    let seen = Seen::at(&endpoint.host, None);
    let named = Consent { named: true, ..Consent::default() };
    let admission = Admission::decide(&seen, None, named).unwrap();
    let found = recognised.enter(&admission, &recipes, credentials()).await.unwrap();
    let mut driver = found.connect();
    driver.note().await.unwrap();
    let package = Package { certificate: &certificate, issuers: &[], key: Some(&key), pem: &package };
    driver.install("by-a-person", &package).await.unwrap();
    driver.enable_https().await.unwrap();
}

fn state(outcome: &Outcome, step: Step) -> StepState {
    outcome.steps.iter().find(|s| s.step == step).unwrap().state
}

#[tokio::test]
async fn the_certificate_is_seen_as_soon_as_the_camera_serves_it() {
    let site = Site::new().await;
    let camera = camera().await;
    let person = async {
        let mut packages = site.packages();
        while packages.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            packages = site.packages();
        }
        upload(&camera, &packages[0]).await;
    };
    let (outcome, ()) = tokio::join!(site.by_hand(&camera, 60), person);
    assert!(outcome.is_done(), "{outcome:?}");
    assert_eq!(outcome.key_transport, Some(KeyTransport::ByHand));
    assert!(outcome.steps.iter().all(|s| s.state == StepState::Done), "{:?}", outcome.steps);
    // There was no https page to upload it on.
    assert!(outcome.findings.contains(&Finding::UploadInClear));
    assert_eq!(outcome.url, Some(format!("{}/", camera.https_url())));

    // Nor does anybody have to sign in for the next look.
    let again = site.by_hand(&camera, 60).await;
    assert!(again.is_done() && again.serial == outcome.serial, "{again:?}");
    assert_eq!(state(&again, Step::Install), StepState::Skipped);
    assert_eq!(site.packages().len(), 1);
}

#[tokio::test]
async fn what_waits_is_gone_on_with_while_the_file_is_there() {
    let site = Site::new().await;
    let camera = camera().await;
    let first = site.by_hand(&camera, 0).await;
    assert!(first.error.is_none() && !first.is_done(), "{first:?}");
    assert_eq!(first.verdict, Verdict::Unreachable);
    assert_eq!(state(&first, Step::Install), StepState::Waiting);
    let second = site.by_hand(&camera, 0).await;
    assert_eq!((second.serial, site.packages().len()), (first.serial.clone(), 1));

    // A file that was lost is of no use to anyone.
    std::fs::remove_file(site.file()(first.serial.as_deref().unwrap())).unwrap();
    let third = site.by_hand(&camera, 0).await;
    assert!(third.serial != first.serial && site.packages().len() == 1, "{third:?}");
    upload(&camera, &site.packages()[0]).await;
    let done = site.by_hand(&camera, 0).await;
    assert!(done.is_done() && done.serial == third.serial, "{done:?}");
}

#[tokio::test]
async fn a_driver_takes_over_without_taking_back_what_a_person_did() {
    let site = Site::new().await;
    let camera = camera().await;
    site.by_hand(&camera, 0).await;
    let order = Order::new(camera.http_url().parse().unwrap(), credentials());
    let outcome = site.fleet.secure(&order, &|_, _| ()).await;
    assert!(outcome.is_done(), "{outcome:?}");
    assert_eq!(outcome.driver.as_deref(), Some("recipe:pem-page"));
}

#[tokio::test]
async fn a_package_that_cannot_be_written_leaves_nothing_open() {
    let site = Site::new().await;
    let camera = camera().await;
    let hand = HandOrder {
        target: camera.https_url().parse().unwrap(),
        new_device: false,
        wait: Duration::ZERO,
        file: site.file(),
        write: Box::new(|_, _| Err("no room".into())),
    };
    let outcome = site.fleet.secure_by_hand(&hand, &|_, _| ()).await;
    assert!(matches!(outcome.error, Some(Error::PackageNotWritten { .. })), "{outcome:?}");
    assert_eq!(state(&outcome, Step::Package), StepState::Failed);
    let id = site.fleet.store.devices(None).await.unwrap()[0].id;
    let left = site.fleet.store.unfinished_enrolments(id).await.unwrap();
    assert!(left.iter().all(|e| e.state != EnrolmentState::Open), "{left:?}");
}
