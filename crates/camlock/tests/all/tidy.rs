//! The invariants of ARCHITECTURE.md, as far as they can be read in the sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The rooms, each with those before it below: a crate uses none that comes after it.
const FLOORS: [&str; 12] = [
    "domain",
    "words",
    "pki",
    "vault",
    "store",
    "inspect",
    "devices",
    "authority",
    "fleet",
    "site",
    "web",
    "camlock",
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every source file of a crate, as its module's path (`makers::axis`; the crate's own is empty), without its tests and
/// comments.
fn sources(name: &str) -> BTreeMap<String, String> {
    let folder = crates().join(name).join("src");
    let (mut folders, mut found) = (vec![folder.clone()], BTreeMap::new());
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "rs") {
                let path = entry.strip_prefix(&folder).unwrap().with_extension("");
                let parts = path.iter().map(|part| part.to_str().unwrap());
                let parts: Vec<&str> = parts.filter(|part| !["lib", "main", "mod"].contains(part)).collect();
                let text = std::fs::read_to_string(entry).unwrap();
                // What is only there for tests stands at the end.
                let end = text.lines().position(|line| line == "mod tests {").unwrap_or(usize::MAX);
                let code = text.lines().take(end).filter(|line| !line.trim_start().starts_with("//"));
                found.insert(parts.join("::"), code.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    found.retain(|module, _| !module.ends_with("_tests"));
    found
}

fn dependencies(name: &str) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap();
    section.lines().filter_map(|line| Some(line.split(['.', ' ', '=']).next()?.to_owned())).collect()
}

#[test]
fn no_floor_uses_a_higher_one() {
    for (floor, name) in FLOORS.iter().enumerate() {
        let used = dependencies(name);
        let higher: Vec<_> = FLOORS[floor..].iter().filter(|other| used.contains(**other)).collect();
        assert!(higher.is_empty(), "{name} uses {higher:?}");
    }
    for name in ["trust", "camera-sim"] {
        let used = dependencies(name);
        assert!(FLOORS.iter().all(|room| !used.contains(*room)), "{name} uses {used:?}");
    }
}

/// The modules of its crate that this code names.
fn named(module: &str, code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let outer = module.rsplit_once("::").map_or("", |(outer, _)| outer);
    for (prefix, base) in [("crate::", ""), ("super::", outer)] {
        for rest in code.split(prefix).skip(1) {
            // Of a group, each path begins behind a brace or a comma of its own depth.
            let is_group = rest.starts_with('{');
            let end = if is_group {
                rest.find(';')
            } else {
                rest.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c))
            };
            let (mut depth, mut path) = (0, String::new());
            let mut paths = Vec::new();
            for c in rest[..end.unwrap_or(rest.len())].chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth <= 1 => paths.push(std::mem::take(&mut path)),
                    c if depth <= 1 && !c.is_whitespace() => path.push(c),
                    _ => {}
                }
            }
            paths.push(path);
            for path in paths {
                let parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
                for length in 1..=parts.len() {
                    let named = parts[..length].join("::");
                    found.insert(if base.is_empty() { named } else { format!("{base}::{named}") });
                }
            }
        }
    }
    found
}

/// Two files that need each other are one thing in two places.
#[test]
fn no_two_files_use_each_other() {
    let mut circles = Vec::new();
    for entry in std::fs::read_dir(crates()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let sources = sources(&name);
        let uses: BTreeMap<&String, BTreeSet<String>> = sources
            .iter()
            .filter(|(module, _)| !module.is_empty())
            .map(|(m, code)| (m, named(m, code)))
            .collect();
        for (one, used) in &uses {
            let both = used.iter().filter(|other| *one < *other);
            let both = both.filter(|other| uses.get(other).is_some_and(|back| back.contains(*one)));
            circles.extend(both.map(|other| format!("{name}: {one} and {other}")));
        }
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The files of these crates that say one of these words.
fn that_say(names: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        for (module, code) in sources(name) {
            found.extend(
                words
                    .iter()
                    .filter(|word| code.contains(**word))
                    .map(|word| format!("{name} {module}: {word}")),
            );
        }
    }
    found
}

#[test]
fn only_the_store_speaks_to_a_database() {
    for name in FLOORS.iter().filter(|name| **name != "store") {
        assert!(!dependencies(name).contains("sqlx"), "{name}");
    }
}

#[test]
fn pki_has_no_clock_and_no_input_or_output() {
    let words =
        ["std::fs", "TcpStream", "UdpSocket", "std::env", "tokio", "now_utc", "SystemTime", "Instant"];
    assert_eq!(that_say(&["pki"], &words), [] as [&str; 0]);
}

#[test]
fn only_the_program_talks_to_a_terminal() {
    let rooms = &FLOORS[..FLOORS.len() - 1];
    let words = ["println!", "eprintln!", "print!(", "eprint!(", "stdout()", "stderr()", "stdin()"];
    assert_eq!(that_say(rooms, &words), [] as [&str; 0]);
}

/// A test that moves the clock moves it for all of them. Tokio's `Instant`, by which one waits, is another thing.
#[test]
fn no_room_asks_the_computer_what_time_it_is() {
    let asks = |code: &String| {
        let mut imports = code.split("use std::").skip(1).map(|rest| rest.split(';').next().unwrap());
        let words = ["now_utc", "now_local", "UtcDateTime::now", "SystemTime::now", "std::time::Instant"];
        words.iter().any(|word| code.contains(word)) || imports.any(|import| import.contains("Instant"))
    };
    let rooms = FLOORS.iter().filter(|name| **name != "camlock");
    let asking = rooms.flat_map(|name| {
        sources(name).into_iter().filter(|(_, code)| asks(code)).map(move |(m, _)| format!("{name} {m}"))
    });
    assert_eq!(asking.collect::<Vec<_>>(), ["domain clock"]);
}
