//! The operator's own recipes, from outside: the real binary, the folder in its data directory, a camera that no driver
//! knows.

use crate::common::{Site, camera, text};
use camera_sim::Model;

/// The example of the page for installers.
fn example() -> &'static str {
    let (_, example) = include_str!("../../../../docs/recipes.md").split_once("```toml\n").unwrap();
    example.split_once("```").unwrap().0
}

fn founded() -> Site {
    let site = Site::founded();
    std::fs::create_dir(site.path("data/recipes")).unwrap();
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_nobody_knows_gets_a_recipe() {
    let site = founded();
    let camera = camera(Model::FormPage, &[]).await;
    let address = camera.https_url();
    let secure = ["--yes", "secure", &address, "--user", "admin", "--password-file", "password"];
    let driver = || site.json(&["find", &address], 0)[0]["driver"].clone();
    assert_eq!(driver(), serde_json::Value::Null);
    assert_eq!(site.run(&secure).status.code(), Some(1));

    std::fs::write(site.path("data/recipes/form-page.toml"), example()).unwrap();
    assert_eq!(driver(), "recipe:form-page");
    let secured = site.json(&secure, 0)[0].clone();
    assert_eq!(secured["driver"], "recipe:form-page", "{secured}");
    assert_eq!(secured["verdict"], "secure", "{secured}");
    let state = camera.state();
    assert_eq!((state.restarts, state.logins_refused, state.basic_credentials), (1, 0, 0));
    camera.stop().await;
}

#[test]
fn a_mistake_in_a_recipe_is_named_with_file_and_line() {
    let site = founded();
    let file = site.path("data/recipes/mine.toml");
    std::fs::write(&file, example().replace("one_slot = true", "one_slots = true")).unwrap();
    for command in [&["find", "127.0.0.1:1"][..], &["secure", "127.0.0.1:1", "--user", "admin"]] {
        let output = site.run(command);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let said = text(&output);
        assert!(said.contains("mine.toml, line 5") && said.contains("one_slots"), "{said}");
    }
    // The same name twice, too much, and what is no text.
    std::fs::write(&file, example()).unwrap();
    for (content, said) in [
        (example().as_bytes().to_vec(), "another file"),
        (vec![b'#'; 70_000], "too large"),
        (b"name = \"\xff\"".to_vec(), "UTF-8"),
    ] {
        std::fs::write(site.path("data/recipes/other.toml"), content).unwrap();
        let output = site.run(&["find", "127.0.0.1:1"]);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output).contains(said), "{output:?}");
    }
    // Only recipes are recipes.
    std::fs::rename(site.path("data/recipes/other.toml"), site.path("data/recipes/other.txt")).unwrap();
    std::fs::write(site.path("data/recipes/._mine.toml"), b"\0").unwrap();
    assert_eq!(site.run(&["find", "127.0.0.1:1"]).status.code(), Some(0));
}
