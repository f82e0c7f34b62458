//! docs/policy.md tells the truth.

use authority::{BackupPlan, Policy};
use words::Words;

const DOCUMENT: &str = include_str!("../../../../docs/policy.md");

/// The examples in the document, in order.
fn examples() -> Vec<&'static str> {
    DOCUMENT.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_example_is_a_policy() {
    let examples = examples();
    assert_eq!(examples.len(), 5);
    for example in examples {
        Policy::parse(example).unwrap_or_else(|e| panic!("{e}\n{example}"));
    }
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let (_, defaults) = DOCUMENT.split_once("## The defaults\n\n```toml\n").unwrap();
    assert_eq!(Policy::parse(defaults.split("```").next().unwrap()).unwrap(), Policy::default());
    // Those of a backup, which stands in no policy unasked.
    let folder = "[backup]\nfolder = \"/volume1/backup\"\n";
    let backup = Policy::parse(folder).unwrap().backup;
    assert_eq!(backup, Some(BackupPlan { folder: "/volume1/backup".into(), days: 1, keep: 14 }));
    assert_eq!(backup, Policy::parse(examples()[4]).unwrap().backup);
}

#[test]
fn the_documented_mistake_is_said_so() {
    let error = Policy::parse("[names]\nperimt = [\"lan\"]\n").unwrap_err();
    let said = Words::english().say(&error).text;
    assert_eq!(said, "policy.toml, line 2: perimt is not known here; permit is. Allowed are permit, deny.");
    assert!(DOCUMENT.contains(&format!("\n    {said}\n")));
}
