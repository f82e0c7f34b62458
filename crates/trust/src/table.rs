//! The trust stores there can be, as data, and those that there are.

use std::path::{Path, PathBuf};

use crate::{
    Kind, Machine, Os, Store,
    machine::{entries, read_text},
    nss,
    system::Layout,
    windows,
};

/// Chromium and its relatives.
struct Chromium {
    name: &'static str,
    programs: &'static [&'static str],
    /// Its settings, below `XDG_CONFIG_HOME`.
    settings: &'static str,
    /// Where an administrator's policies are.
    policies: &'static str,
}

const CHROMIUMS: [Chromium; 4] = [
    Chromium {
        name: "Chromium",
        programs: &["chromium", "chromium-browser"],
        settings: "chromium",
        policies: "/etc/chromium/policies/managed",
    },
    Chromium {
        name: "Google Chrome",
        programs: &["google-chrome", "google-chrome-stable", "google-chrome-beta"],
        settings: "google-chrome",
        policies: "/etc/opt/chrome/policies/managed",
    },
    Chromium {
        name: "Microsoft Edge",
        programs: &["microsoft-edge", "microsoft-edge-stable"],
        settings: "microsoft-edge",
        policies: "/etc/opt/edge/policies/managed",
    },
    Chromium {
        name: "Brave",
        programs: &["brave-browser", "brave"],
        settings: "BraveSoftware",
        policies: "/etc/brave/policies/managed",
    },
];

/// Chromium of the snap: its files, and the folder of policies that its sandbox lets it see.
const CHROMIUM_SNAP: (&str, &str) = ("/snap/chromium", "/etc/chromium-browser/policies/managed");

/// Homes that sandboxes give to Chromium, below the user's own: name, home, and `XDG_DATA_HOME` below that.
const CHROMIUM_HOMES: [(&str, &str, &str); 3] = [
    ("Chromium (snap)", "snap/chromium/current", ".local/share"),
    ("Chromium (flatpak)", ".var/app/org.chromium.Chromium", "data"),
    ("Google Chrome (flatpak)", ".var/app/com.google.Chrome", "data"),
];

/// Where Firefox keeps its profiles, below the user's home.
const FIREFOX_PROFILES: [(&str, &str); 4] = [
    ("Firefox", ".mozilla/firefox"),
    ("Firefox (snap)", "snap/firefox/common/.mozilla/firefox"),
    ("Firefox (flatpak)", ".var/app/org.mozilla.firefox/.mozilla/firefox"),
    ("Firefox (flatpak)", ".var/app/org.mozilla.firefox/config/mozilla/firefox"),
];

/// Where Firefox is installed. The snap reads only the policies in /etc, the flatpak none of the host's.
const FIREFOX_FOLDERS: [&str; 6] = [
    "/usr/lib/firefox",
    "/usr/lib/firefox-esr",
    "/usr/lib/firefox-developer-edition",
    "/usr/lib64/firefox",
    "/opt/firefox",
    "/snap/firefox",
];
const FIREFOX_POLICIES: &str = "/etc/firefox/policies/policies.json";

/// Where distributions install Java.
const JAVA_FOLDERS: [&str; 2] = ["/usr/lib/jvm", "/usr/lib64/jvm"];

/// The trust stores of a computer, in the order in which they are to be changed: what is made from another comes after it.
pub fn stores(machine: &Machine) -> Vec<Store> {
    let mut stores = match machine.os {
        Os::Linux => linux(machine),
        Os::Macos => macos(machine),
        Os::Windows => windows(machine),
    };
    stores.extend(javas(machine));
    stores
}

fn linux(machine: &Machine) -> Vec<Store> {
    let system = Layout::of(machine).map(|layout| Store {
        kind: Kind::System(layout),
        reader: "",
        place: machine.at(layout.anchors),
    });
    system
        .into_iter()
        .chain(chromium_databases(machine))
        .chain(firefox_profiles(machine))
        .chain(chromium_policies(machine))
        .chain(firefox_policies(machine))
        .collect()
}

fn macos(machine: &Machine) -> Vec<Store> {
    let system = machine.at("/Library/Keychains/System.keychain");
    let user = machine.home.as_ref().map(|home| home.join("Library/Keychains/login.keychain-db"));
    // Who may write the one needs no other.
    let (system, place) = match machine.may_write(&system) {
        true => (true, Some(system)),
        false => (false, user),
    };
    place.map(|place| Store { kind: Kind::Macos { system }, reader: "", place }).into_iter().collect()
}

fn windows(machine: &Machine) -> Vec<Store> {
    let of_machine = windows::is_elevated(machine);
    let place = if of_machine { r"LocalMachine\Root" } else { r"CurrentUser\Root" };
    vec![Store { kind: Kind::Windows { machine: of_machine }, reader: "", place: place.into() }]
}

fn chromium_databases(machine: &Machine) -> Vec<Store> {
    let Some(home) = &machine.home else { return Vec::new() };
    let config = machine.config_home.clone().unwrap_or_else(|| home.join(".config"));
    let data = machine.data_home.clone().unwrap_or_else(|| home.join(".local/share"));
    let mut stores = Vec::new();
    let here: Vec<&str> = CHROMIUMS
        .iter()
        .filter(|c| is_installed(c, machine) || config.join(c.settings).is_dir())
        .map(|c| c.name)
        .collect();
    let place = database(home, &data);
    // One database for all of them; where it is there, somebody reads it.
    if let Some(reader) = here.first().copied().or_else(|| place.is_dir().then_some("Chromium")) {
        stores.push(Store { kind: Kind::Nss { firefox: false }, reader, place });
    }
    for (reader, folder, data) in CHROMIUM_HOMES {
        let home = home.join(folder);
        if home.is_dir() {
            stores.push(Store {
                kind: Kind::Nss { firefox: false },
                reader,
                place: database(&home, &home.join(data)),
            });
        }
    }
    stores
}

/// Since M146 in the data home, unless the old place is there.
fn database(home: &Path, data: &Path) -> PathBuf {
    let old = home.join(".pki/nssdb");
    if old.is_dir() { old } else { data.join("pki/nssdb") }
}

fn is_installed(chromium: &Chromium, machine: &Machine) -> bool {
    chromium.programs.iter().any(|name| machine.program(name).is_some())
}

fn chromium_policies(machine: &Machine) -> Vec<Store> {
    let installed = CHROMIUMS.iter().filter(|c| is_installed(c, machine) || machine.at(c.policies).is_dir());
    let mut places: Vec<(&str, PathBuf)> = installed.map(|c| (c.name, machine.at(c.policies))).collect();
    let (snap, policies) = CHROMIUM_SNAP;
    if machine.at(snap).is_dir() {
        places.push(("Chromium (snap)", machine.at(policies)));
    }
    places.into_iter().map(|(reader, place)| Store { kind: Kind::ChromiumPolicy, reader, place }).collect()
}

fn firefox_profiles(machine: &Machine) -> Vec<Store> {
    let Some(home) = &machine.home else { return Vec::new() };
    let config = machine.config_home.clone().unwrap_or_else(|| home.join(".config"));
    let places = FIREFOX_PROFILES.iter().map(|(reader, folder)| (*reader, home.join(folder)));
    // Since Firefox 147, unless the old place is there.
    let places = places.chain([("Firefox", config.join("mozilla/firefox"))]);
    let mut stores: Vec<Store> = Vec::new();
    for (reader, folder) in places {
        for profile in entries(&folder).into_iter().chain(profiles_elsewhere(&folder)) {
            if profile.join(nss::DATABASE).is_file() && stores.iter().all(|store| store.place != profile) {
                stores.push(Store { kind: Kind::Nss { firefox: true }, reader, place: profile });
            }
        }
    }
    stores
}

/// The profiles that `profiles.ini` knows by their absolute path.
fn profiles_elsewhere(folder: &Path) -> Vec<PathBuf> {
    let text = read_text(&folder.join("profiles.ini")).ok().flatten().unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Path="))
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .collect()
}

/// Firefox reads one file: that in /etc, and only if there is none that beside the program. So a file that is made in
/// /etc must not hide one that somebody keeps there.
fn firefox_policies(machine: &Machine) -> Vec<Store> {
    let store = |place| Store { kind: Kind::FirefoxPolicy, reader: "Firefox", place };
    let common = machine.at(FIREFOX_POLICIES);
    let folders: Vec<PathBuf> =
        FIREFOX_FOLDERS.iter().map(|folder| machine.at(folder)).filter(|folder| folder.is_dir()).collect();
    let beside: Vec<PathBuf> =
        folders.iter().map(|folder| folder.join("distribution/policies.json")).collect();
    if !common.exists() && beside.iter().any(|file| file.exists()) {
        let snap = |file: &PathBuf| file.starts_with(machine.at("/snap"));
        return beside.into_iter().filter(|file| !snap(file)).map(store).collect();
    }
    match folders.is_empty() && !common.exists() {
        true => Vec::new(),
        false => vec![store(common)],
    }
}

fn javas(machine: &Machine) -> Vec<Store> {
    let installed = JAVA_FOLDERS.iter().flat_map(|folder| entries(&machine.at(folder)));
    let mut stores: Vec<Store> = Vec::new();
    for java in machine.java_home.clone().into_iter().chain(installed) {
        for cacerts in ["lib/security/cacerts", "jre/lib/security/cacerts"] {
            // Several Javas share one by links.
            let Ok(place) = java.join(cacerts).canonicalize() else { continue };
            if stores.iter().all(|store| store.place != place) {
                let derived = Layout::of(machine).is_some_and(|layout| place == machine.at(layout.java));
                stores.push(Store { kind: Kind::Java { derived }, reader: "Java", place });
            }
        }
    }
    stores
}
