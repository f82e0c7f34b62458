//! `kill -9` at every moment of an enrolment and of `init`: whatever is left, the next run ends well.

use std::{process::Stdio, time::Duration};

use crate::common::{PATIENCE, Site, camera, document, models, options, text, transport};
use camera_sim::{Camera, Model};
use fuzz::Dice;
use serde_json::Value;
use store::Store;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::{Instant, timeout},
};

/// When to kill.
#[derive(Clone, Debug)]
enum Moment {
    /// The camera has done what this request asks, and has not answered.
    Held(String),
    /// The program has said that this step is done.
    Done(&'static str),
}

use Moment::{Done, Held};

/// Every kind of request that an undisturbed run makes (before the key, with the key half made, in the middle of the
/// upload, with HTTPS on and nobody told), and the end of every step.
async fn moments(site: &Site, model: Model) -> Vec<Moment> {
    let camera = camera(model, &[]).await;
    site.secure_at(&camera.url(), &["--yes"], 0).await;
    let mut moments: Vec<Moment> = Vec::new();
    for request in camera.state().requests {
        // One without credentials is repeated with them, and changes nothing.
        let is_new = !moments.iter().any(|m| matches!(m, Held(known) if *known == request.operation));
        // Nor has one a name to wait for that holds the mark of its run.
        if is_new && request.status == 200 && !request.operation.contains("camlock-") {
            moments.push(Held(request.operation));
        }
    }
    moments.extend(["request", "package", "install", "verify"].map(Done));
    moments
}

/// Starts `secure` and kills it at that moment.
async fn kill(site: &Site, camera: &Camera, moment: &Moment) {
    let before = camera.state().answers_held;
    if let Held(operation) = moment {
        camera.hold(operation);
    }
    let mut child = site.securing(&camera.url(), &["--yes"]).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reached = async {
        match moment {
            Held(_) => drop(camera.wait_for(|s| s.answers_held > before).await),
            Done(step) => {
                let end = format!("✓ {step} ");
                while !lines.next_line().await.unwrap().unwrap().contains(&end) {}
            }
        }
    };
    timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("{moment:?} never came"));
    child.kill().await.unwrap();
    camera.let_go();
}

/// The next run ends well, and nothing of the killed ones is left: on the camera, in the ledger, in the lists.
async fn ends_well(site: &Site, camera: &Camera, target: &str) -> Value {
    // It may be starting again a moment later, for what the killed run asked.
    let mut outcome = Value::Null;
    for _ in 0..10 {
        let words = ["--yes", "--json"];
        let output = timeout(PATIENCE, site.securing(target, &words).output()).await.unwrap().unwrap();
        outcome = document(&output)[0].clone();
        if outcome["error"]["code"] != "connection-refused" {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(outcome["verdict"], "secure", "{outcome}");
    let transport = transport(camera.model());
    assert_eq!(outcome["key_transport"], transport, "{outcome}");

    let mut state = camera.state();
    assert_eq!((state.http_on, state.https_on), (true, true));
    // What the factory put in may stay.
    let comes_with_https = camera.model().comes_with_https();
    state.certificates.retain(|c| !(comes_with_https && c.der == camera.shown()[0].leaf()));
    assert_eq!(state.certificates.len(), 1, "{state:?}");
    assert!(state.keys.len() <= 1 && state.paths.len() <= 1, "{state:?}");
    let checked = tokio::task::block_in_place(|| site.json(&["check", &camera.https_url()], 0));
    assert_eq!(checked[0]["certificate"]["serial"], outcome["serial"]);

    let store = Store::open(&site.path("data")).await.unwrap();
    let host = "127.0.0.1".parse().unwrap();
    let port = camera.url().rsplit(':').next().unwrap().parse().unwrap();
    let device = store.device_at(&host, port).await.unwrap().unwrap();
    assert_eq!(store.unfinished_enrolments(device.id).await.unwrap().len(), 0);
    assert_eq!(device.serial.as_deref(), outcome["serial"].as_str());
    let stored = serde_json::to_value(device.key_transport).unwrap();
    assert_eq!(stored, transport);
    store.close().await;
    let listed = tokio::task::block_in_place(|| site.json(&["list", "certificates"], 0));
    let whole = |c: &Value| c["sha256"].is_string() && c["not_after"].is_string() && c["sans"].is_array();
    assert!(listed.as_array().unwrap().iter().all(whole), "{listed}");
    outcome
}

async fn killed_at_every_moment(model: Model) {
    let site = Site::founded();
    for moment in moments(&site, model).await {
        println!("{model}: {moment:?}");
        let camera = camera(model, &[]).await;
        kill(&site, &camera, &moment).await;
        let outcome = ends_well(&site, &camera, &camera.url()).await;
        // The operator is told, though the run that sent the key did not live to say so; of one that came
        // through only the ledger tells.
        if !matches!(moment, Done("verify")) && models().contains(&model) {
            let said = outcome["findings"].to_string().contains("first-contact-unchecked");
            assert_eq!(said, outcome["key_transport"] == "throw-away-tls", "{outcome}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn onvif_security_killed_at_every_moment() {
    killed_at_every_moment(Model::OnvifSecurity).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn onvif_device_killed_at_every_moment() {
    killed_at_every_moment(Model::OnvifDevice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pem_page_killed_at_every_moment() {
    killed_at_every_moment(Model::PemPage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn axis_killed_at_every_moment() {
    killed_at_every_moment(Model::Axis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bosch_killed_at_every_moment() {
    killed_at_every_moment(Model::Bosch).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hanwha_killed_at_every_moment() {
    killed_at_every_moment(Model::Hanwha).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mobotix_killed_at_every_moment() {
    killed_at_every_moment(Model::Mobotix).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reolink_killed_at_every_moment() {
    killed_at_every_moment(Model::Reolink).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn synology_killed_at_every_moment() {
    killed_at_every_moment(Model::Synology).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uniview_killed_at_every_moment() {
    killed_at_every_moment(Model::Uniview).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_camera_still_makes_its_key() {
    let site = Site::founded();
    let mut options = options(Model::OnvifSecurity, &[]);
    options.key_generation = Duration::from_millis(700);
    let camera = Camera::start(options).await.unwrap();
    kill(&site, &camera, &Held("CreateRSAKeyPair".into())).await;
    assert_eq!(camera.state().keys[0].status, "generating");
    ends_well(&site, &camera, &camera.http_url()).await;
}

/// Taking up is killed, too.
#[tokio::test(flavor = "multi_thread")]
async fn killed_again_while_it_takes_back() {
    let site = Site::founded();
    for (model, going_back) in [
        (
            Model::OnvifSecurity,
            &["GetAssignedServerCertificates", "DeleteCertificationPath", "DeleteKey"][..],
        ),
        (Model::OnvifDevice, &["SetCertificatesStatus", "DeleteCertificates"]),
        (Model::Axis, &["GET certificates", "DELETE certificates"]),
        (Model::Hanwha, &["ssl set", "ssl remove"]),
    ] {
        let camera = camera(model, &[]).await;
        let assigned = match model {
            Model::OnvifSecurity => "AddServerCertificateAssignment",
            // What switches HTTPS on names the certificate, and after that there is nothing to take back.
            Model::Axis => "PATCH certificates",
            Model::Hanwha => "ssl set",
            _ => "SetCertificatesStatus",
        };
        kill(&site, &camera, &Held(assigned.into())).await;
        for operation in going_back {
            kill(&site, &camera, &Held((*operation).into())).await;
        }
        ends_well(&site, &camera, &camera.http_url()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_http_went_off() {
    let site = Site::founded();
    for model in models() {
        let camera = camera(model, &[]).await;
        let mut child = site.securing(&camera.http_url(), &["--disable-http"]).spawn().unwrap();
        timeout(PATIENCE, camera.wait_for(|s| !s.http_on)).await.unwrap();
        child.kill().await.unwrap();
        let outcome = site.secure(&camera, &["--disable-http"], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
        assert!(!camera.state().http_on);
    }
}

/// Taken up through the HTTPS that the killed run switched on, which is how a bare address is met.
#[tokio::test(flavor = "multi_thread")]
async fn taken_up_over_https() {
    let site = Site::founded();
    for model in models() {
        let camera = camera(model, &[]).await;
        kill(&site, &camera, &Done("install")).await;
        ends_well(&site, &camera, &camera.https_url()).await;
    }
}

/// Three kills, or sixty where CAMLOCK_FULL is set.
fn rounds() -> usize {
    if std::env::var_os("CAMLOCK_FULL").is_some() { 60 } else { 3 }
}

async fn killed_at_random(model: Model) {
    let site = Site::founded();
    let mut dice = Dice::seeded();
    let undisturbed = camera(model, &[]).await;
    let since = Instant::now();
    site.secure(&undisturbed, &[], 0).await;
    let whole = since.elapsed().as_millis() as u64;
    for round in 0..rounds() {
        let camera = camera(model, &[]).await;
        for _ in 0..=dice.below(2) {
            let after = Duration::from_millis(dice.below(whole * 11 / 10));
            println!("{model}, round {round}: killed after {after:?} of {whole} ms");
            let mut child = site.securing(&camera.http_url(), &[]).spawn().unwrap();
            // It may have ended by itself before.
            let _ = timeout(after, child.wait()).await;
            child.kill().await.unwrap();
        }
        // What the killed run said is lost with it, and only that is not asked for here.
        let outcome = site.secure(&camera, &[], 0).await;
        assert_eq!(outcome["verdict"], "secure", "{outcome}");
        let state = camera.state();
        assert_eq!(state.certificates.len(), 1, "{state:?}");
        assert!(state.keys.len() <= 1 && state.paths.len() <= 1, "{state:?}");
        let store = Store::open(&site.path("data")).await.unwrap();
        for device in store.devices(None).await.unwrap() {
            assert_eq!(store.unfinished_enrolments(device.id).await.unwrap().len(), 0);
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn onvif_security_killed_at_random() {
    killed_at_random(Model::OnvifSecurity).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn onvif_device_killed_at_random() {
    killed_at_random(Model::OnvifDevice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pem_page_killed_at_random() {
    killed_at_random(Model::PemPage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_init_leaves_nothing_or_an_authority() {
    let mut dice = Dice::seeded();
    let init = ["init", "--site", "Test", "--key", "p256"];
    let since = Instant::now();
    Site::founded();
    let whole = since.elapsed().as_millis() as u64;
    for _ in 0..rounds() {
        let site = Site::new();
        let mut command = tokio::process::Command::from(site.command(&init));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let after = Duration::from_millis(dice.below(whole * 11 / 10));
        let _ = timeout(after, child.wait()).await;
        child.kill().await.unwrap();

        let again = tokio::task::block_in_place(|| site.run(&init));
        match again.status.code() {
            Some(0) => {}
            Some(1) => assert!(text(&again).contains("already"), "{after:?}: {again:?}"),
            _ => panic!("{after:?}: {again:?}"),
        }
        tokio::task::block_in_place(|| site.json(&["issue", "--name", "Gate", "--ip", "10.0.0.1"], 0));
    }
}
