//! What fuzzing has found, and what it began with: every file of each corpus goes through its target.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fuzz::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_file_of_the_corpora_goes_through_its_target() {
    for (name, target) in TARGETS {
        let corpus = folder("corpus").join(name);
        let files = names(&corpus);
        assert!(files.len() >= 24, "{name} has {} files", files.len());
        for file in files {
            println!("{name}/{file}");
            let bytes = std::fs::read(corpus.join(file)).unwrap();
            let since = Instant::now();
            target(&bytes);
            assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus() {
    let targets = TARGETS.map(|(name, _)| name.to_owned());
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("fuzz_targets")), targets.map(|name| name + ".rs"));
}

#[test]
fn the_odd_requests_come_to_nothing_worse_than_an_error() {
    for case in fuzz::requests::cases() {
        println!("{}", case.name);
        fuzz::request(&case.bytes);
    }
}
