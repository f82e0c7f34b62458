//! Many devices in one call of `secure`.

use std::{fs::File, process::Output};

use crate::common::{PATIENCE, Site, camera, document, models, options};
use camera_sim::{Camera, Fault, Model, Options};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

/// `secure` with the password of every camera here.
async fn secure(site: &Site, words: &[&str], exit: i32) -> Output {
    let (first, more) = words.split_first().unwrap();
    let output = tokio::time::timeout(PATIENCE, site.securing(first, more).output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(exit), "{words:?}: {output:?}");
    output
}

async fn secured(site: &Site, words: &[&str], exit: i32) -> Vec<Value> {
    let output = secure(site, &[words, &["--json"]].concat(), exit).await;
    document(&output).as_array().unwrap().clone()
}

fn texts<'a>(outcomes: &'a [Value], pointer: &str) -> Vec<&'a str> {
    outcomes.iter().map(|o| o.pointer(pointer).and_then(Value::as_str).unwrap_or_default()).collect()
}

async fn with_another_password(model: Model) -> Camera {
    let mut options: Options = options(model, &[]);
    options.password = "another password".into();
    Camera::start(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_at_one_camera_stops_no_other() {
    let site = Site::founded();
    let mut cameras = Vec::new();
    for index in 0..20 {
        let model = models()[index % 3];
        cameras.push(match index {
            3 => with_another_password(model).await,
            7 => camera(Model::OnvifDevice, &[Fault::HttpsRefused]).await,
            12 => camera(Model::OnvifSecurity, &[Fault::CsrFails]).await,
            _ => camera(model, &[]).await,
        });
    }
    let urls: Vec<String> = cameras.iter().map(Camera::http_url).collect();
    let words: Vec<&str> = urls.iter().map(String::as_str).collect();
    let outcomes = secured(&site, &words, 1).await;
    assert_eq!(texts(&outcomes, "/target"), words);
    let is_faulty = |index: usize| [3, 7, 12].contains(&index);
    for (index, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome["verdict"] == "secure", !is_faulty(index), "{outcome}");
        assert_eq!(outcome["error"].is_null(), !is_faulty(index), "{outcome}");
    }
    assert_eq!(outcomes[3]["error"]["code"], "wrong-password");

    // Nothing is left under lease.
    for lease in std::fs::read_dir(site.path("data/leases")).unwrap() {
        File::open(lease.unwrap().path()).unwrap().try_lock().unwrap();
    }

    // Again: those that are secure keep their certificates, and of many only what failed is told at length.
    let again = secured(&site, &words, 1).await;
    let states = |outcome: &Value| texts(outcome["steps"].as_array().unwrap(), "/state").join(" ");
    for index in (0..20).filter(|i| !is_faulty(*i)) {
        assert_eq!(again[index]["serial"], outcomes[index]["serial"]);
        assert!(states(&again[index]).starts_with("done skipped skipped"), "{}", again[index]);
    }
    let output = secure(&site, &words, 1).await;
    let (shown, talk) = (String::from_utf8_lossy(&output.stdout), crate::common::text(&output));
    let lines = |mark: &str| talk.lines().filter(|line| line.contains(mark)).count();
    assert_eq!((lines("  ✓ secure"), lines("  ✗ ")), (17, 3), "{talk}");
    assert_eq!(shown.lines().filter(|line| line.contains("✓ secure  https://")).count(), 17, "{shown}");

    // Of the faulty ones those that let us in are known, and only they are not secure.
    let all = secured(&site, &["--all"], 1).await;
    let mut known = [7, 12].map(|i: usize| words[i].trim_start_matches("http://"));
    let mut told = texts(&all, "/target");
    known.sort();
    told.sort();
    assert_eq!(told, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_them_are_none_where_nothing_is_due() {
    let site = Site::founded();
    let camera = camera(Model::OnvifSecurity, &[]).await;
    // No user and no password is asked for.
    assert_eq!(site.json(&["secure", "--all"], 0), Value::Array(Vec::new()));
    site.secure(&camera, &[], 0).await;
    assert_eq!(site.json(&["secure", "--all"], 0), Value::Array(Vec::new()));
    let serial = site.secure(&camera, &[], 0).await["serial"].as_str().unwrap().to_owned();
    assert_eq!(site.run(&["revoke", &serial]).status.code(), Some(0));
    let renewed = secured(&site, &["--all"], 0).await;
    assert_eq!(renewed.len(), 1);
    assert_ne!(renewed[0]["serial"], serial);
    assert_eq!(site.run(&["secure"]).status.code(), Some(2));
    assert_eq!(site.run(&["secure", "--all", "127.0.0.1"]).status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_not_tried_again_under_another_name() {
    let site = Site::founded();
    // Its certificate makes an https URL of it answer, too.
    let mut options = options(Model::OnvifSecurity, &[Fault::Locks]);
    options.password = "another password".into();
    options.factory_certificate = true;
    let strange = Camera::start(options).await.unwrap();
    let other = camera(Model::OnvifSecurity, &[]).await;
    let port = strange.http_address().port();
    let (named, by_name) = (strange.http_url(), format!("http://localhost:{port}"));
    let (by_https, right) = (strange.https_url(), other.http_url());
    let words = [&named, &by_name, &by_https, &right, &named].map(String::as_str);
    let outcomes = secured(&site, &words, 1).await;
    assert_eq!(
        texts(&outcomes, "/error/code"),
        ["wrong-password", "refused-before", "refused-before", "", "refused-before"]
    );
    assert_eq!(outcomes[3]["verdict"], "secure");
    assert!(outcomes[1]["error"]["text"].as_str().unwrap().contains(&named), "{}", outcomes[1]);
    assert_eq!(texts(&outcomes, "/target"), words);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_camera_twice_is_secured_once() {
    let site = Site::founded();
    let camera = camera(Model::OnvifDevice, &[]).await;
    let url = camera.http_url();
    let outcomes = secured(&site, &[&url, url.trim_start_matches("http://")], 0).await;
    assert_eq!(outcomes[0]["serial"], outcomes[1]["serial"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_names_the_cameras() {
    let site = Site::founded();
    let cameras = [camera(Model::OnvifSecurity, &[]).await, camera(Model::PemPage, &[]).await];
    let addresses = cameras.each_ref().map(|c| c.http_address().to_string());
    let list = site.path("cameras.csv");
    let file = format!("--list={}", list.display());
    std::fs::write(&list, format!("host,name\n{},\"Gate, left\"\n\n{};Yard\n", addresses[0], addresses[1]))
        .unwrap();
    let outcomes = secured(&site, &[&file], 0).await;
    assert_eq!(texts(&outcomes, "/target"), addresses);

    std::fs::write(&list, "host\n127.0.0.1:80\n127.0.0.1:99999\n").unwrap();
    let output = secure(&site, &[&file], 2).await;
    assert!(crate::common::text(&output).contains("Line 3 of"), "{output:?}");
    // All mistakes in one answer.
    std::fs::write(&list, "host\n127.0.0.300\n127.0.0.1\nftp://a.lan\n127.0.0.01\n").unwrap();
    let output = secure(&site, &[&file], 2).await;
    let said = crate::common::text(&output);
    assert!(
        ["Line 2 of", "Line 4 of", "Line 5 of", "3 lines of"].iter().all(|one| said.contains(one)),
        "{said}"
    );
    for nothing in ["", "host\n"] {
        std::fs::write(&list, nothing).unwrap();
        secure(&site, &[&file], 2).await;
    }
    secure(&site, &["--list=no-such-file"], 2).await;
}

/// Each device is signed in to with its own user and password, and with no other one's.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_has_a_login_for_each() {
    let site = Site::founded();
    let mut other = crate::common::options(Model::OnvifSecurity, &[]);
    (other.user, other.password) = ("root".into(), "another; password".into());
    let cameras = [camera(Model::OnvifDevice, &[]).await, camera_sim::Camera::start(other).await.unwrap()];
    let at = cameras.each_ref().map(|camera| camera.http_address());
    let list = format!(
        "Name;IP;Port;Benutzer;Passwort\nTor;{};{};admin;camera password\nHof;{};{};root;\"another; password\"\n",
        at[0].ip(),
        at[0].port(),
        at[1].ip(),
        at[1].port(),
    );
    site.keep("list.csv", &list);
    let secured = |words: &'static [&'static str]| tokio::task::block_in_place(|| site.run(words));
    let output = secured(&["secure", "--list", "list.csv", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = format!("{}{}", crate::common::text(&output), String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("another; password") && !said.contains("camera password"), "{said}");
    for camera in &cameras {
        assert_eq!(camera.state().logins_refused, 0);
    }
    // A file with passwords is one that others should not read.
    site.set_mode("list.csv", 0o644);
    let output = secured(&["check", "--list", "list.csv"]);
    let said = crate::common::text(&output);
    assert!(said.contains("are not used") && (cfg!(not(unix)) || said.contains("list.csv")), "{said}");
    site.keep("half.csv", "IP;User;Password\n127.0.0.1;root;\n");
    assert_eq!(secured(&["secure", "--list", "half.csv"]).status.code(), Some(2));
}

/// Ctrl-C: what has not begun does not begin, what is under way ends; a second one cuts it off, and the next run takes
/// it up.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_run_leaves_what_the_next_one_takes_up() {
    let site = Site::founded();
    let (held, quick) = (camera(Model::OnvifSecurity, &[]).await, camera(Model::OnvifSecurity, &[]).await);
    held.hold("CreatePKCS10CSR");
    // One camera twice is one after the other, so the third place has not begun while the first is held.
    let (held_url, quick_url) = (held.http_url(), quick.http_url());
    let words = [&held_url, &quick_url, &held_url].map(String::as_str);
    let (first, more) = words.split_first().unwrap();
    let mut child = site.securing(first, &[more, &["--json"]].concat()).spawn().unwrap();
    let id = rustix::process::Pid::from_raw(child.id().unwrap() as i32).unwrap();
    let interrupt = || rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let stopped = async {
        held.wait_for(|state| state.answers_held > 0).await;
        let ended = format!("{quick_url}  ✓ watch");
        while !lines.next_line().await.unwrap().unwrap().starts_with(&ended) {}
        interrupt();
        while !lines.next_line().await.unwrap().unwrap().contains("No further device") {}
        interrupt();
        child.wait_with_output().await.unwrap()
    };
    let output = tokio::time::timeout(PATIENCE, stopped).await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let outcomes = document(&output).as_array().unwrap().clone();
    assert_eq!([0, 2].map(|i| outcomes[i]["error"]["code"].as_str()), [Some("interrupted"); 2]);
    held.let_go();
    let outcomes = secured(&site, &words, 0).await;
    assert_eq!(texts(&outcomes, "/verdict"), ["secure"; 3]);
}
