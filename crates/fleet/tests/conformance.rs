//! The conformance suite: every driver against its simulated camera, with every fault that a camera of that kind can
//! have. Each ends secure, or as it was, or says what could not be put back. `docs/conformance.md` holds the result.
//!
//! After a change that is meant, `CAMLOCK_WRITE=1 cargo test -p fleet --test conformance` writes the table anew.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::{collections::BTreeMap, fmt::Write as _, path::Path, sync::Arc, time::Duration};

use camera_sim::{Camera, Fault, Model, Options, State};
use clap::ValueEnum;
use devices::{Credentials, Recipes};
use domain::{Finding, Verdict};
use fleet::{Consents, Fleet, Limits, Order, Outcome};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use zeroize::Zeroizing;

const PASSWORD: &str = "open sesame";
/// What takes longer than all limits together hangs.
const PATIENCE: Duration = Duration::from_secs(90);

async fn site(folder: &Path, two_tier: bool) -> Fleet {
    let mut limits = Limits { verify: Duration::from_secs(15), ..Limits::default() };
    limits.device.answer = Duration::from_secs(4);
    // A simulated restart takes a second.
    (limits.restart, limits.device.restart) = (Duration::from_secs(15), Duration::from_secs(15));
    // The example of the page for installers, as an installer would put it there.
    let page = include_str!("../../../docs/recipes.md");
    let (_, example) = page.split_once("```toml\n").unwrap();
    std::fs::create_dir(folder.join("recipes")).unwrap();
    std::fs::write(folder.join("recipes/form-page.toml"), example.split_once("```").unwrap().0).unwrap();
    let recipes = Recipes::read(folder).unwrap();
    common::site(folder, two_tier, limits, recipes).await
}

/// What a failed run must leave as it was.
fn standing(state: &State) -> String {
    let State { http_on, https_on, keys, certificates, paths, assigned, served_chain, .. } = state;
    format!("{http_on} {https_on} {keys:?} {certificates:?} {paths:?} {assigned:?} {served_chain:?}")
}

/// One enrolment of a new camera. How it ended, in a few words.
async fn ending(fleet: &Fleet, model: Model, fault: Option<Fault>) -> String {
    let mut options = Options::new(model, "admin", PASSWORD);
    options.key_generation = Duration::from_millis(10);
    options.faults.extend(fault);
    let camera = Camera::start(options).await.unwrap();
    let before = standing(&camera.state());
    let password = if fault == Some(Fault::Locks) { "wrong" } else { PASSWORD };
    // These let nobody sign in over plain HTTP.
    let url = match model {
        Model::Bosch | Model::FormPage | Model::Mobotix | Model::Reolink | Model::Synology => {
            camera.https_url()
        }
        _ => camera.http_url(),
    };
    let credentials = Credentials::new("admin", Zeroizing::new(password.into()));
    let order = Order { consent: Consents::ALL, ..Order::new(url.parse().unwrap(), credentials) };
    let outcome = timeout(PATIENCE, fleet.secure(&order, &|_, _| ())).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("{model} {fault:?} hangs"));
    // One that restarts for the way back is as it was a moment later.
    let patience = Duration::from_secs(if outcome.error.is_some() { 4 } else { 0 });
    let back = timeout(patience, camera.wait_for(|state| standing(state) == before)).await;
    let state = camera.state();
    assert!(!state.account_locked, "{model} {fault:?}");
    assert_eq!(state.basic_credentials, 0, "{model} {fault:?}");
    let said = judged(&outcome, back.is_ok(), &format!("{model} {fault:?}"));
    camera.stop().await;
    said
}

fn judged(outcome: &Outcome, is_as_before: bool, which: &str) -> String {
    let Some(error) = &outcome.error else {
        assert_eq!(outcome.verdict, Verdict::Secure, "{which}");
        return "secure".to_owned();
    };
    let code = serde_json::to_value(error).unwrap()["code"].as_str().unwrap().to_owned();
    let told = |f: &Finding| {
        matches!(f, Finding::NotPutBack { .. } | Finding::SlotOverwritten | Finding::CertificateLeft)
    };
    let end = match (is_as_before, outcome.findings.iter().any(told)) {
        (true, _) => "as it was",
        (false, true) => "**says what is left**",
        (false, false) => panic!("{which}: {outcome:?}"),
    };
    format!("{end} ({code})")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_driver_with_every_fault() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one_tier = Arc::new(site(one.path(), false).await);
    let two_tiers = Arc::new(site(two.path(), true).await);
    // More at once would be late for reasons of their own.
    let places = Arc::new(Semaphore::new(24));
    let mut running = JoinSet::new();
    let faults = || [None].into_iter().chain(Fault::value_variants().iter().copied().map(Some));
    for model in Model::value_variants().iter().copied() {
        for fault in faults().filter(|fault| fault.is_none_or(|fault| fault.fits(model))) {
            // With one tier there is no chain to refuse.
            let fleet = if fault == Some(Fault::RefusesChains) { &two_tiers } else { &one_tier };
            let fleet = Arc::clone(fleet);
            let places = Arc::clone(&places);
            running.spawn(async move {
                let _place = places.acquire().await;
                ((name(fault), model.name()), ending(&fleet, model, fault).await)
            });
        }
    }
    let endings: BTreeMap<_, _> = running.join_all().await.into_iter().collect();

    let mut table = String::from("| fault |");
    for model in Model::value_variants() {
        let _ = write!(table, " {} |", model.name());
    }
    let _ = write!(table, "\n|{}\n", "---|".repeat(Model::value_variants().len() + 1));
    for fault in faults() {
        let name = name(fault);
        let _ = write!(table, "| {name} |");
        for model in Model::value_variants() {
            let ending = endings.get(&(name.clone(), model.name()));
            let _ = write!(table, " {} |", ending.map_or("–", String::as_str));
        }
        table.push('\n');
    }
    println!("{table}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/conformance.md");
    let page = std::fs::read_to_string(file).unwrap();
    let (text, kept) = page.split_at(page.find("| fault |").unwrap());
    if std::env::var_os("CAMLOCK_WRITE").is_some() {
        std::fs::write(file, format!("{text}{table}")).unwrap();
    } else {
        assert_eq!(kept, table, "CAMLOCK_WRITE=1 writes {file} anew");
    }
}

fn name(fault: Option<Fault>) -> String {
    fault.map_or_else(|| "none".to_owned(), Fault::name)
}
