//! The system's store in each layout, with stand-ins for the tools: Debian's real one is in the tests from outside.

use crate::common::{Tree, is_system, root};
use trust::{Os, Problem, State, Wish, mbedtls};

/// Anchors, where the bundle is made, the tool's call when the root has come (Debian's has one word more when it has
/// gone), and how the root's file ends.
const LAYOUTS: [(&str, &str, &str, &str); 4] = [
    ("etc/pki/ca-trust/source/anchors", "etc/pki/ca-trust/extracted/pem", "update-ca-trust extract", "pem"),
    ("usr/local/share/ca-certificates", "etc/ssl/certs", "update-ca-certificates ", "crt"),
    (
        "etc/ca-certificates/trust-source/anchors",
        "etc/ca-certificates/extracted",
        "trust extract-compat",
        "crt",
    ),
    ("usr/share/pki/trust/anchors", "var/lib/ca-certificates", "update-ca-certificates ", "pem"),
];

fn tree(layout: usize) -> Tree {
    let (anchors, bundle, ..) = LAYOUTS[layout];
    Tree::new(Os::Linux, &[anchors, bundle], &["update-ca-trust", "update-ca-certificates", "trust"])
}

#[test]
fn each_layout_takes_the_root_and_gives_it_back() {
    for (number, (anchors, _, call, suffix)) in LAYOUTS.into_iter().enumerate() {
        let tree = tree(number);
        // Others' certificates are there already, and an older root of our own.
        tree.write(&format!("{anchors}/company.{suffix}"), &root(9).pem());
        let store = tree.store("system");
        tree.install(&store, &root(8)).unwrap();
        let before = tree.contents();
        tree.calls();

        assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Absent));
        tree.acts(&store, Wish::Install, &root(1));
        assert_eq!((tree.contents(), tree.calls()), (before.clone(), vec![]), "a plan writes nothing");

        assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours));
        assert_eq!(tree.calls(), [call]);
        assert_eq!(tree.text(&format!("{anchors}/camlock-0101010101010101.{suffix}")), root(1).pem());
        assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours));
        assert_eq!(tree.calls(), [""; 0], "nothing is done twice");

        assert_eq!(tree.uninstall(&store, &root(1)), Ok(State::Absent));
        assert_eq!(tree.contents(), before);
        assert_eq!(tree.calls(), [format!("{call}{}", if number == 1 { "--fresh" } else { "" })]);
        assert_eq!(tree.uninstall(&store, &root(1)), Ok(State::Absent));
        assert_eq!(tree.calls(), [""; 0]);
        assert_eq!(store.look(&root(8), &tree.machine), Ok(State::Ours));
    }
}

#[test]
fn layouts_are_looked_for_in_the_order_of_mkcert() {
    let every: Vec<&str> = LAYOUTS.iter().map(|(anchors, ..)| *anchors).collect();
    for first in 0..LAYOUTS.len() {
        let tree = Tree::new(Os::Linux, &every[first..], &[]);
        assert_eq!(tree.store("system").place, tree.at(every[first]));
    }
    assert!(!Tree::new(Os::Linux, &[], &[]).stores().iter().any(is_system));
}

#[test]
fn a_root_that_another_hand_put_there_is_seen_and_left() {
    let tree = tree(1);
    tree.write("usr/local/share/ca-certificates/shop.crt", &root(1).pem());
    tree.write("etc/ssl/certs/ca-certificates.crt", &root(1).pem());
    let (store, before) = (tree.store("system"), tree.contents());
    let name = tree.at("usr/local/share/ca-certificates/shop.crt").display().to_string();
    assert_eq!(tree.install(&store, &root(1)), Ok(State::Foreign { name: name.clone() }));
    let refused = tree.uninstall(&store, &root(1));
    assert_eq!(refused, Err(Problem::PutByAnother { place: store.place.display().to_string(), name }));
    assert_eq!((tree.contents(), tree.calls()), (before, vec![]));
}

#[test]
fn a_file_of_our_name_with_another_certificate_is_left() {
    let tree = tree(1);
    let file = "usr/local/share/ca-certificates/camlock-0101010101010101.crt";
    for content in [root(2).pem(), "no certificate".into(), root(1).pem() + &root(2).pem()] {
        tree.write(file, &content);
        let (store, before) = (tree.store("system"), tree.contents());
        for wish in [Wish::Install, Wish::Uninstall] {
            assert!(matches!(tree.change(&store, wish, &root(1)), Err(Problem::NameTaken { .. })));
        }
        assert_eq!((tree.contents(), tree.calls()), (before, vec![]));
    }
}

#[test]
fn a_tool_that_fails_leaves_nothing_behind() {
    let tree = tree(1);
    let store = tree.store("system");
    tree.write("update-ca-certificates.fails", "");
    let before = tree.contents();
    let failed = Problem::ToolFailed {
        tool: "update-ca-certificates".into(),
        said: "update-ca-certificates: it cannot be done".into(),
    };
    assert_eq!(tree.install(&store, &root(1)), Err(failed.clone()));
    assert_eq!(tree.contents(), before);

    std::fs::remove_file(tree.at("update-ca-certificates.fails")).unwrap();
    tree.install(&store, &root(1)).unwrap();
    tree.write("update-ca-certificates.fails", "");
    let before = tree.contents();
    assert_eq!(tree.uninstall(&store, &root(1)), Err(failed));
    assert_eq!(tree.contents(), before, "so that it can be tried again");
}

#[test]
fn a_tool_that_does_nothing_is_not_believed() {
    let tree = Tree::new(Os::Linux, &["usr/local/share/ca-certificates"], &["update-ca-certificates"]);
    let store = tree.store("system");
    // There is no folder for the bundle.
    assert!(matches!(tree.install(&store, &root(1)), Err(Problem::NotTaken { .. })));
    assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Partial));
    // Once it works, it is completed.
    std::fs::create_dir_all(tree.at("etc/ssl/certs")).unwrap();
    assert_eq!(tree.install(&store, &root(1)), Ok(State::Ours));
}

#[test]
fn a_missing_tool_is_named_with_what_brings_it() {
    for (release, install) in [
        ("ID=debian\n", "apt install ca-certificates"),
        ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt install ca-certificates"),
        ("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n", "zypper install ca-certificates"),
    ] {
        let tree = Tree::new(Os::Linux, &[LAYOUTS[1].0], &[]);
        tree.write("etc/os-release", release);
        let missing = Problem::ToolMissing { tool: "update-ca-certificates".into(), install: install.into() };
        assert_eq!(tree.install(&tree.store("system"), &root(1)), Err(missing), "{release}");
    }
    let tree = Tree::new(Os::Linux, &[LAYOUTS[1].0], &[]);
    let absent = Problem::ToolAbsent { tool: "update-ca-certificates".into() };
    assert_eq!(tree.install(&tree.store("system"), &root(1)), Err(absent));
}

#[test]
fn mbedtls_is_found_by_its_libraries_and_by_who_asks_for_it() {
    let tree = Tree::new(Os::Linux, &["usr/lib/x86_64-linux-gnu"], &[]);
    assert_eq!(mbedtls(&tree.machine), Default::default());
    tree.write("usr/lib/x86_64-linux-gnu/libmbedtls.so.14", "");
    tree.write("usr/lib/x86_64-linux-gnu/libmbedcrypto.so.7", "");
    let package = |name: &str, status: &str, depends: &str| {
        format!("Package: {name}\nStatus: {status}\nArchitecture: amd64\nDepends: {depends}\n\n")
    };
    let status = [
        package("libmbedtls14", "install ok installed", "libmbedx509-1 (= 2.28.3-1), libc6"),
        package("recorder", "install ok installed", "libc6 (>= 2.34), libmbedtls14 (>= 2.28.0) | other"),
        package("was-there", "deinstall ok config-files", "libmbedtls14"),
        package("hasher", "install ok installed", "libmbedcrypto7"),
    ];
    tree.write("var/lib/dpkg/status", &status.concat());
    tree.write("var/lib/pacman/local/viewer-1/desc", "%NAME%\nviewer\n\n%DEPENDS%\nglibc\nmbedtls2\n\n");
    let found = mbedtls(&tree.machine);
    assert_eq!(found.libraries, [tree.at("usr/lib/x86_64-linux-gnu/libmbedtls.so.14")]);
    assert_eq!(found.packages.into_iter().collect::<Vec<_>>(), ["recorder", "viewer"]);
}
