//! `find` as a user of the devices: what they tell, and what they see.

use crate::common::{Site, camera};
use camera_sim::{Fault, Model};
use serde_json::Value;

fn find(site: &Site, words: &[&str]) -> Value {
    let user = ["--user", "admin", "--password-file", "password", "--pictures", "pictures"];
    tokio::task::block_in_place(|| site.json(&[&["find"], words, &user].concat(), 0))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_told_who_made_it_and_what_it_sees() {
    let site = Site::founded();
    let cameras = [
        (camera(Model::OnvifSecurity, &[]).await, true),
        (camera(Model::OnvifDevice, &[]).await, true),
        (camera(Model::OnvifDevice, &[Fault::UsernameToken]).await, true),
        (camera(Model::OnvifDevice, &[Fault::AnnouncesElsewhere]).await, true),
        (camera(Model::Hanwha, &[]).await, false),
    ];
    for (camera, has_picture) in &cameras {
        let found = find(&site, &[&camera.http_url()]);
        let found = &found[0];
        assert_eq!(found["sign_in"], Value::Null, "{found}");
        assert!(found["model"].is_string() && found["abilities"]["source"].is_string(), "{found}");
        let state = camera.state();
        assert_eq!((state.logins_refused, state.basic_credentials), (0, 0));
        match found["picture"].as_str() {
            Some(file) => {
                assert!(*has_picture && std::fs::read(site.path(file)).unwrap().starts_with(b"\xff\xd8"))
            }
            None => assert!(!has_picture, "{found}"),
        }
    }
    // One that is met under two names is one.
    let port = cameras[0].0.http_address().port();
    let twice = find(&site, &[&format!("127.0.0.1:{port}"), &format!("localhost:{port}")]);
    assert_eq!(twice.as_array().unwrap().len(), 1, "{twice}");
    assert_eq!(twice[0]["addresses"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_user_is_tried_once() {
    let site = Site::founded();
    std::fs::write(site.path("password"), "another\n").unwrap();
    for model in [Model::OnvifSecurity, Model::Hanwha] {
        let camera = camera(model, &[Fault::Locks]).await;
        let found = find(&site, &[&camera.http_url()]);
        assert!(found[0]["sign_in"]["text"].as_str().unwrap().contains("tried once"), "{found}");
        assert_eq!(found[0]["driver"], model.name());
        let state = camera.state();
        assert!(state.logins_refused == 1 && !state.account_locked, "{state:?}");
    }
}
