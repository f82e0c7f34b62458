//! Rules that nobody keeps by heart, read off the sources.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// The rooms that take the time from `domain::Clock`, or as an argument.
const ROOMS: [&str; 9] =
    ["authority", "devices", "domain", "fleet", "inspect", "pki", "store", "vault", "web"];

/// A test that moves the clock moves it for all of them. Tokio's `Instant`, by which one waits, is another thing.
#[test]
fn no_room_asks_the_computer_what_time_it_is() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let clock = crates.join("domain/src/clock.rs");
    let mut asking = Vec::new();
    for file in ROOMS.iter().flat_map(|room| sources(&crates.join(room).join("src"))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let is_test = file.file_stem().unwrap().to_str().unwrap().ends_with("_tests");
        if asks(code) && !is_test && file != clock {
            asking.push(file);
        }
    }
    assert!(asking.is_empty(), "{asking:?}");
    assert!(asks(&std::fs::read_to_string(clock).unwrap()));
}

#[test]
fn every_way_of_asking_is_seen() {
    for code in [
        "OffsetDateTime::now_utc()",
        "let at = SystemTime::now();",
        "std::time::Instant::now()",
        "use std::time::Instant;",
        "use std::{\n    path::Path,\n    time::{Duration, Instant},\n};",
    ] {
        assert!(asks(code), "{code}");
    }
    for code in ["use std::time::Duration;\nuse tokio::time::Instant;", "Instant::now() + PATIENCE"] {
        assert!(!asks(code), "{code}");
    }
}

fn asks(code: &str) -> bool {
    let mut imports = code.split("use std::").skip(1).map(|rest| rest.split(';').next().unwrap());
    ["now_utc", "now_local", "UtcDateTime::now", "SystemTime", "std::time::Instant"]
        .iter()
        .any(|asking| code.contains(asking))
        || imports.any(|import| import.contains("Instant"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files.into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
