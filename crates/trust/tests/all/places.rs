//! Where the stores are, and what is run on systems that this one is not.

use std::path::PathBuf;

use crate::common::{Tree, root};
use trust::{Act, Kind, Os, Problem, State, Wish};

/// Reader and place, below the tree, of the NSS databases.
fn databases(tree: &Tree) -> Vec<(&'static str, String)> {
    let below = |place: &PathBuf| place.strip_prefix(&tree.machine.files).unwrap().display().to_string();
    let stores = tree.stores().into_iter().filter(|store| matches!(store.kind, Kind::Nss { .. }));
    stores.map(|store| (store.reader, below(&store.place))).collect()
}

#[test]
fn chromium_has_the_old_place_or_else_the_new_one() {
    let tree = Tree::new(Os::Linux, &[], &[]);
    assert_eq!(databases(&tree), []);
    let mut tree = Tree::new(Os::Linux, &[], &["google-chrome"]);
    assert_eq!(databases(&tree), [("Google Chrome", "home/user/.local/share/pki/nssdb".into())]);
    tree.machine.data_home = Some(tree.at("elsewhere"));
    assert_eq!(databases(&tree), [("Google Chrome", "elsewhere/pki/nssdb".into())]);
    // Even if nothing is in it: Chromium looks whether it is there, and not what it holds.
    std::fs::create_dir_all(tree.at("home/user/.pki/nssdb")).unwrap();
    assert_eq!(databases(&tree), [("Google Chrome", "home/user/.pki/nssdb".into())]);
    // Without the program, but used.
    let tree = Tree::new(Os::Linux, &["home/user/.config/chromium"], &[]);
    assert_eq!(databases(&tree), [("Chromium", "home/user/.local/share/pki/nssdb".into())]);
}

#[test]
fn sandboxes_have_homes_of_their_own() {
    let folders = ["home/user/snap/chromium/current/.pki/nssdb", "home/user/.var/app/org.chromium.Chromium"];
    let tree = Tree::new(Os::Linux, &folders, &[]);
    let expected = [
        ("Chromium (snap)", "home/user/snap/chromium/current/.pki/nssdb".to_owned()),
        ("Chromium (flatpak)", "home/user/.var/app/org.chromium.Chromium/data/pki/nssdb".to_owned()),
    ];
    assert_eq!(databases(&tree), expected);
}

#[test]
fn every_profile_of_firefox_is_found() {
    let tree = Tree::new(Os::Linux, &["home/user/.mozilla/firefox/never-run"], &[]);
    let profiles = [
        "home/user/.mozilla/firefox/a.default",
        "home/user/.mozilla/firefox/b.work \"é\"",
        "elsewhere/profile",
        "home/user/snap/firefox/common/.mozilla/firefox/c",
        "home/user/.var/app/org.mozilla.firefox/.mozilla/firefox/d",
        "home/user/.config/mozilla/firefox/e",
    ];
    for profile in profiles {
        tree.write(&format!("{profile}/cert9.db"), "");
    }
    let ini = format!(
        "[Profile0]\nIsRelative=1\nPath=a.default\n[Profile1]\nIsRelative=0\nPath={}\n",
        tree.at("elsewhere/profile").display()
    );
    tree.write("home/user/.mozilla/firefox/profiles.ini", &ini);
    let found: Vec<String> = databases(&tree).into_iter().map(|(_, place)| place).collect();
    assert_eq!(found, profiles);
}

#[test]
fn a_missing_certutil_is_named_by_its_package() {
    for (release, install) in [
        ("ID=debian", "apt install libnss3-tools"),
        ("ID=fedora", "dnf install nss-tools"),
        ("ID=arch", "pacman -S nss"),
        ("ID=\"opensuse-tumbleweed\"", "zypper install mozilla-nss-tools"),
    ] {
        let tree = Tree::new(Os::Linux, &[], &["chromium"]);
        tree.write("etc/os-release", release);
        let missing = Problem::ToolMissing { tool: "certutil".into(), install: install.into() };
        assert_eq!(tree.install(&tree.store("nss"), &root(1)), Err(missing));
    }
}

/// What is run, without the names of temporary files.
fn commands(acts: &[Act]) -> Vec<String> {
    acts.iter()
        .map(|act| if let Act::Run(tool, _) = act { tool.to_string() } else { format!("{act:?}") })
        .collect()
}

#[test]
fn windows_is_changed_by_certutil() {
    for (groups, place, user, listed) in [
        ("\"x\",\"Label\",\"S-1-16-8192\"", r"CurrentUser\Root", "-user ", "CurrentUser"),
        ("\"x\",\"Label\",\"S-1-16-12288\"", r"LocalMachine\Root", "", "LocalMachine"),
    ] {
        let tree = Tree::new(Os::Windows, &[], &["certutil.exe", "powershell.exe", "whoami.exe"]);
        tree.write("whoami.exe.says", groups);
        // Another certificate comes first; its bytes begin like ours.
        tree.write("powershell.exe.says", "0011AA MIIBAQEB\r\n");
        let store = tree.store("windows");
        assert_eq!(store.place, PathBuf::from(place));
        tree.calls();
        assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Absent));
        assert!(tree.calls()[0].contains(&format!(r"Cert:\{listed}\Root")));
        let acts = tree.acts(&store, Wish::Install, &root(1));
        assert_eq!(commands(&acts), [format!("certutil.exe {user}-addstore -f Root")]);
        tree.calls();
        trust::perform(&acts).unwrap();
        let call = &tree.calls()[0];
        assert!(
            call.starts_with(&format!("certutil.exe {user}-addstore -f Root /")) && call.ends_with(".crt")
        );

        tree.write("powershell.exe.says", "0011AA MIIBAQEB\r\nBB22 MIIBAQ==\r\n");
        assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Ours));
        let acts = tree.acts(&store, Wish::Uninstall, &root(1));
        assert_eq!(commands(&acts), [format!("certutil.exe {user}-delstore Root BB22")]);
        assert!(
            matches!(tree.uninstall(&store, &root(1)), Err(Problem::NotTaken { .. })),
            "it is still listed"
        );
    }
}

#[test]
fn macos_is_changed_by_security() {
    let tree = Tree::new(Os::Macos, &["Library/Keychains"], &["security"]);
    tree.write("Library/Keychains/System.keychain", "");
    let (store, keychain) =
        (tree.store("macos"), tree.at("Library/Keychains/System.keychain").display().to_string());
    tree.write("security.says", &root(2).pem());
    assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Absent));
    let acts = tree.acts(&store, Wish::Install, &root(1));
    assert_eq!(commands(&acts), [format!("security add-trusted-cert -d -r trustRoot -k {keychain}")]);
    tree.write("security.says", &(root(2).pem() + &root(1).pem()));
    assert_eq!(store.look(&root(1), &tree.machine), Ok(State::Ours));
    let fingerprint = "01".repeat(32);
    let expected = [
        "security remove-trusted-cert -d".to_owned(),
        format!("security delete-certificate -Z {fingerprint} {keychain}"),
    ];
    assert_eq!(commands(&tree.acts(&store, Wish::Uninstall, &root(1))), expected);

    // Without the user's word it is taken out of the keychain again.
    tree.write("security.says", "");
    tree.write("security.fails", "");
    tree.calls();
    assert!(matches!(trust::perform(&acts), Err(Problem::ToolFailed { .. })));
    let calls = tree.calls();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[1].starts_with(&format!("security delete-certificate -Z {fingerprint} ")));
}
