//! Every code that can be said has its sentence.
#![allow(clippy::unwrap_used)]

use serde::de::DeserializeOwned;
use words::Words;

/// The codes of an enum, as serde lists them when it meets one that it does not know.
fn codes<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>(r#"{"code":"?"}"#).err().unwrap().to_string();
    let (_, expected) = error.split_once("expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_code_has_a_sentence() {
    let words = Words::english();
    let all = [
        codes::<domain::Finding>(),
        codes::<domain::InvalidTarget>(),
        codes::<domain::InvalidName>(),
        codes::<devices::Error>(),
        codes::<pki::Error>(),
        codes::<vault::Error>(),
        codes::<store::Error>(),
        codes::<authority::Change>(),
        codes::<fleet::Said>(),
        // Enums that pass on the errors of others list no codes; these are their own.
        [
            "busy",
            "no-first-contact",
            "other-certificate-served",
            "still-not-secure",
            "https-does-not-answer",
            "http-still-open",
            "site-name",
            "no-names",
            "names-outside",
            "days",
            "common-name",
            "outlives-root",
        ]
        .map(str::to_owned)
        .to_vec(),
    ]
    .concat();
    assert!(all.len() > 90, "{all:?}");
    for code in all {
        let said = words.say(&serde_json::json!({ "code": code }));
        assert!(!said.text.starts_with(&format!("{code}: {{")), "no sentence for {code}");
    }
}
