//! The browsers' policies.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::common::{Tree, root};
use serde_json::{Value, json};
use trust::{Os, Problem, State, Wish};

const POLICIES: &str = "etc/firefox/policies/policies.json";
const BESIDE: &str = "usr/lib/firefox-esr/distribution/policies.json";

fn firefox() -> Tree {
    Tree::new(Os::Linux, &["usr/lib/firefox-esr", "etc"], &[])
}

#[test]
fn a_policy_of_our_own_comes_and_goes() {
    let tree = firefox();
    let (store, before) = (tree.store("firefox-policy"), tree.contents());
    tree.acts(&store, Wish::Install, &root(1));
    assert_eq!(tree.contents(), before, "a plan writes nothing");

    assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours));
    let file = tree.at("etc/firefox/policies/camlock-0101010101010101.pem");
    let document: Value = serde_json::from_str(&tree.text(POLICIES)).unwrap();
    assert_eq!(document, json!({"policies": {"Certificates": {"Install": [file]}}}));
    assert_eq!(fs::metadata(tree.at(POLICIES)).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(tree.acts(&store, Wish::Install, &root(1)), []);

    // A second root, in the middle of a rollover, and back in either order.
    for order in [[1, 2], [2, 1]] {
        tree.install(&store, &root(1)).unwrap();
        tree.install(&store, &root(2)).unwrap();
        assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Ours));
        tree.uninstall(&store, &root(order[0])).unwrap();
        assert_eq!(store.look(&root(order[1]), &tree.machine), Ok(State::Ours));
        tree.uninstall(&store, &root(order[1])).unwrap();
        assert_eq!(tree.contents(), before);
    }
}

#[test]
fn other_policies_keep_their_order_and_their_looks() {
    let odd_but_fine = r#"{ "policies": {"Homepage": {"URL":"http://nas/", "Locked" : true},
	"Certificates": { "ImportEnterpriseRoots": true,   "Install": ["/opt/a.pem",
  "b.crt"] }, "DisableTelemetry":true, "x": 1.50e1, "é": "\u00e9" } , "z": [ ] }"#;
    for text in [
        odd_but_fine,
        "{\"policies\": {}}",
        "{\n  \"policies\": {\n    \"DisableTelemetry\": true\n  }\n}\n",
        "{\r\n\t\"policies\": {\r\n\t\t\"Certificates\": {\r\n\t\t\t\"Install\": [\"/a\"]\r\n\t\t}\r\n\t}\r\n}",
        "{\"policies\":{\"Certificates\":{\"ImportEnterpriseRoots\":true}}}",
        "{}",
    ] {
        let tree = firefox();
        tree.write(POLICIES, text);
        fs::set_permissions(tree.at(POLICIES), fs::Permissions::from_mode(0o640)).unwrap();
        let (store, before) = (tree.store("firefox-policy"), tree.contents());
        assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours), "{text}");

        let mut merged: Value = serde_json::from_str(&tree.text(POLICIES)).unwrap();
        let install = merged["policies"]["Certificates"]["Install"].as_array_mut().unwrap();
        let ours = install.pop().unwrap();
        assert!(ours.as_str().unwrap().ends_with("/camlock-0101010101010101.pem"));
        let original: Value = serde_json::from_str(text).unwrap();
        for (key, value) in original["policies"].as_object().into_iter().flatten() {
            if key != "Certificates" {
                assert_eq!(merged["policies"][key], *value);
            }
        }
        assert_eq!(fs::metadata(tree.at(POLICIES)).unwrap().permissions().mode() & 0o777, 0o640);

        assert_eq!(tree.uninstall(&store, &root(1)), Ok(State::Absent), "{text}");
        assert_eq!(tree.contents().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        let words = |text: &str| text.split_whitespace().collect::<String>();
        let after = tree.text(POLICIES);
        match text.contains("policies") {
            // Written in lines, as nearly all are, it is as it was to the byte.
            true if text.starts_with("{\n") => assert_eq!(after, text),
            true => assert_eq!(words(&after), words(text)),
            false => assert_eq!(words(&after), "{\"policies\":{}}"),
        }
    }
}

#[test]
fn what_is_odd_is_left_alone() {
    let deep = "[".repeat(100_000);
    for text in [
        "",
        "[]",
        "{\"policies\": []}",
        "{\"policies\": {\"Certificates\": 1}}",
        "\u{feff}{}",
        "{\"policies\": {\"Certificates\": {\"Install\": \"/a\"}}}",
        "{\"policies\": {}} // a comment",
        "{,}",
        &deep,
    ] {
        let tree = firefox();
        tree.write(POLICIES, text);
        let (store, before) = (tree.store("firefox-policy"), tree.contents());
        for wish in [Wish::Install, Wish::Uninstall] {
            let refused = tree.change(&store, wish, &root(1));
            assert!(matches!(refused, Err(Problem::OddFile { .. })), "{text:.40}: {refused:?}");
        }
        assert_eq!(tree.contents(), before);
    }
    let tree = firefox();
    fs::create_dir_all(tree.at(POLICIES)).unwrap();
    assert!(matches!(tree.install(&tree.store("firefox-policy"), &root(1)), Err(Problem::OddFile { .. })));
}

#[test]
fn a_file_in_etc_does_not_hide_one_beside_the_program() {
    let tree = firefox();
    tree.write(BESIDE, "{\"policies\": {\"DisableTelemetry\": true}}");
    let store = tree.store("firefox-policy");
    assert_eq!(store.place, tree.at(BESIDE));
    tree.install(&store, &root(1)).unwrap();
    assert!(tree.text(BESIDE).contains("DisableTelemetry") && !tree.at(POLICIES).exists());
    // Firefox reads that in /etc as soon as it is there.
    tree.write(POLICIES, "{\"policies\": {}}");
    assert_eq!(tree.store("firefox-policy").place, tree.at(POLICIES));
}

#[test]
fn a_root_that_another_hand_named_is_left() {
    let tree = firefox();
    tree.write("opt/shop.der", "");
    fs::write(tree.at("opt/shop.der"), root(1).der).unwrap();
    let name = tree.at("opt/shop.der").display().to_string();
    tree.write(
        POLICIES,
        &json!({"policies": {"Certificates": {"Install": [name, "/opt/gone.pem"]}}}).to_string(),
    );
    let (store, before) = (tree.store("firefox-policy"), tree.contents());
    assert_eq!(tree.install(&store, &root(1)), Ok(State::Foreign { name }));
    assert!(matches!(tree.uninstall(&store, &root(1)), Err(Problem::PutByAnother { .. })));
    assert_eq!(tree.contents(), before);
}

#[test]
fn a_link_stays_a_link() {
    let tree = firefox();
    tree.write("srv/policies.json", "{\"policies\": {}}");
    fs::create_dir_all(tree.at("etc/firefox/policies")).unwrap();
    std::os::unix::fs::symlink(tree.at("srv/policies.json"), tree.at(POLICIES)).unwrap();
    tree.install(&tree.store("firefox-policy"), &root(1)).unwrap();
    assert!(fs::symlink_metadata(tree.at(POLICIES)).unwrap().is_symlink());
    assert!(tree.text("srv/policies.json").contains("camlock-"));
}

const MANAGED: &str = "etc/chromium/policies/managed";

#[test]
fn chromium_gets_a_file_of_its_own() {
    let tree = Tree::new(Os::Linux, &["etc/chromium"], &["chromium"]);
    tree.write("etc/chromium/master_preferences", "");
    let (store, before) = (tree.store("chromium-policy"), tree.contents());
    assert_eq!(store.place, tree.at(MANAGED));
    assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours));
    assert_eq!(tree.install(&store, &root(2)), Ok(State::Ours));
    assert_eq!(tree.acts(&store, Wish::Install, &root(1)), []);
    let text = tree.text(&format!("{MANAGED}/camlock.json"));
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({"CACertificates": ["MIIBAQ==", "MIICAg=="]})
    );

    assert_eq!(tree.uninstall(&store, &root(1)), Ok(State::Absent));
    assert_eq!(store.look(&root(2), &tree.machine), Ok(State::Ours), "the other root stays");
    assert_eq!(tree.uninstall(&store, &root(2)), Ok(State::Absent));
    assert_eq!(tree.contents(), before);
}

#[test]
fn a_list_that_another_file_sets_is_not_taken_away() {
    let tree = Tree::new(Os::Linux, &[MANAGED], &["chromium"]);
    tree.write(
        &format!("{MANAGED}/company.json"),
        r#"{"CACertificates": ["MIIJCQ=="], "ShowHomeButton": true}"#,
    );
    tree.write(&format!("{MANAGED}/broken.json"), "{");
    let (store, before) = (tree.store("chromium-policy"), tree.contents());
    let file = tree.at(MANAGED).join("company.json").display().to_string();
    assert_eq!(tree.install(&store, &root(1)), Err(Problem::PolicyTaken { file: file.clone() }));
    assert_eq!(tree.install(&store, &root(9)), Ok(State::Foreign { name: file }));
    assert_eq!(tree.contents(), before);
}

#[test]
fn a_file_of_our_name_that_we_did_not_write_is_left() {
    for text in [r#"{"CACertificates": ["MIIBAQ=="], "x": 1}"#, "[]", r#"{"CACertificates": [1]}"#, "?"] {
        let tree = Tree::new(Os::Linux, &[MANAGED], &["chromium"]);
        tree.write(&format!("{MANAGED}/camlock.json"), text);
        let (store, before) = (tree.store("chromium-policy"), tree.contents());
        for wish in [Wish::Install, Wish::Uninstall] {
            assert!(matches!(tree.change(&store, wish, &root(1)), Err(Problem::OddFile { .. })), "{text}");
        }
        assert_eq!(tree.contents(), before);
    }
}
