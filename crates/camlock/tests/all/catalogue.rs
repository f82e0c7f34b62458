//! Every code that can be said has its sentence, every sentence its code, and no sentence an argument that its code
//! does not give.

use std::path::Path;

use serde::de::DeserializeOwned;
use words::Words;

/// The codes of an enum, as serde lists them when it meets one that it does not know.
fn codes<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>(r#"{"code":"?"}"#).err().unwrap().to_string();
    let (_, expected) = error.split_once("expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

const CATALOGUE: &str = include_str!("../../../words/languages/en.ftl");

/// The sources of all crates that say something.
fn sources() -> String {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut text = String::new();
    for entry in std::fs::read_dir(crates).unwrap().map(Result::unwrap) {
        if entry.file_name() != "camera-sim" && entry.file_name() != "words" {
            // Some sentences are said by the templates of pages.
            for folder in ["src", "templates"] {
                for file in std::fs::read_dir(entry.path().join(folder)).into_iter().flatten() {
                    text += &std::fs::read_to_string(file.unwrap().path()).unwrap_or_default();
                }
            }
        }
    }
    text
}

/// Codes that stand in the sources as texts: in `json!({"code": ...})` and where a `Failure` is made.
fn codes_in_quotes() -> Vec<String> {
    let sources = sources();
    let markers = ["\"code\": \"", "Failure::usage(\"", "Failure::broken(\"", "Failure::file(\""];
    let after = markers.iter().flat_map(|m| sources.split(m).skip(1));
    let codes = after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).filter(|code| code != "?");
    // The trust page's steps for each system are lists of codes.
    let steps = sources.split("\"trust-").skip(1).filter_map(|rest| rest.split_once('"'));
    let steps = steps.map(|(rest, _)| format!("trust-{rest}")).filter(|code| !code.ends_with("-{}"));
    codes.chain(steps).collect()
}

/// The codes of rules for certificates, each between its condition and its source.
fn lints() -> Vec<String> {
    let sources = sources();
    let codes = sources.split("=> \"lint-").skip(1);
    codes.filter_map(|rest| Some(format!("lint-{}", rest.split_once('"')?.0))).collect()
}

/// What the sources give beside each mention of a code: the fields of the variant, or what follows its text.
fn mentions(sources: &str, code: &str) -> Vec<String> {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let variant: String = code.split('-').map(capital).collect();
    let after = |text: &str, end: char| -> Vec<String> {
        let rests = sources.split(text).skip(1);
        rests.map(|rest| rest.split(end).next().unwrap_or_default().to_owned()).collect()
    };
    let fields = after(&format!("{variant} {{"), '}');
    let no_fields = after(&format!("{variant},"), ',').into_iter().map(|_| String::new());
    let texts = after(&format!("\"{code}\""), ';');
    // A lint says where its rule comes from.
    let rules = after(&format!("=> \"{code}\""), ';').into_iter().map(|_| "source".into());
    let files = after(&format!("Failure::file(\"{code}\""), ';').into_iter().map(|_| "file reason".into());
    fields.into_iter().chain(no_fields).chain(texts).chain(files).chain(rules).collect()
}

#[test]
fn every_sentence_has_a_code_that_gives_its_arguments() {
    let sources = sources();
    let mut checked = 0;
    let mut code = "";
    let mut given = Vec::new();
    for line in CATALOGUE.lines() {
        if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with([' ', '#'])) {
            code = name;
            given = mentions(&sources, code);
            if code.starts_with("trust-system-") {
                given.push(String::new());
            } else if code.starts_with("trust-") {
                // Whatever the trust page says can name these.
                given.iter_mut().for_each(|given| given.push_str(" root file"));
            }
            assert!(!given.is_empty(), "nothing says {code}");
            checked += 1;
        }
        for rest in line.split("{ $").skip(1) {
            let argument = rest.split([' ', '}']).next().unwrap();
            let gives = |given: &String| {
                given.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == argument)
            };
            // Whoever speaks of a device names it.
            assert!(argument == "target" || given.iter().any(gives), "{code} gives no {argument}");
        }
    }
    assert!(checked > 100);
}

#[test]
fn every_code_has_a_sentence() {
    let words = Words::english();
    let all = [
        codes::<domain::Finding>(),
        codes::<domain::InvalidTarget>(),
        codes::<domain::InvalidName>(),
        codes::<devices::Error>(),
        codes::<devices::Change>(),
        codes::<devices::RecipeError>(),
        codes::<devices::RecipeMistake>(),
        codes::<pki::Error>(),
        codes::<vault::Error>(),
        codes::<store::Error>(),
        codes::<authority::Change>(),
        codes::<authority::Ailment>(),
        codes::<authority::Flaw>(),
        codes::<authority::ImportError>(),
        codes::<authority::Mistake>(),
        codes::<fleet::Said>(),
        codes::<trust::Problem>(),
        // Enums that pass on the errors of others list no codes; these are their own.
        [
            "busy",
            "interrupted",
            "refused-before",
            "tls-unusable",
            "would-overwrite",
            "outside-the-site",
            "other-fingerprint",
            "other-device-there",
            "other-certificate-served",
            "still-not-secure",
            "https-does-not-answer",
            "http-still-open",
            "site-name",
            "no-names",
            "no-usable-names",
            "import-refused",
            "names-outside",
            "days",
            "common-name",
            "outlives-issuer",
            "issuer-ends",
            "key-elsewhere",
            "unknown-serial",
            "one-tier",
            "other-root-key",
            "policy-file",
            "policy-unreadable",
            "policy-too-large",
            "policy-denies",
            "policy-permits",
            "policy-key",
            "policy-days",
            "locked",
            "tells-users-only",
            "no-interfaces",
            "already-serving",
            "file-exists",
            "file-unreadable",
            "file-unwritable",
            "folder-too-full",
            "page-certificate",
            "backup-running",
            "backup-folder",
            "not-a-backup",
            "backup-damaged",
            "backup-other-key",
            "restore-running",
            "restore-unfinished",
            "restore-not-empty",
            "device-unknown",
            "device-ambiguous",
            "serial-ambiguous",
            "device-name",
            "rollover-begun",
            "page-certificate-issued",
            "page-certificate-old",
            "crls-signed",
            "backup-written",
            // Named by a variable.
            "passphrase-missing",
            "package-passphrase-missing",
            "new-passphrase-missing",
            "password-missing",
            "user-missing",
            "recovery-key-missing",
            "revoked",
            "already-revoked",
            "serving",
            "serving-locked",
            "trust-absent",
            "trust-added",
            "trust-follows",
            "trust-foreign",
            "trust-ours",
            "trust-partial",
            "trust-removed",
            "trust-will-add",
            "trust-will-remove",
        ]
        .map(str::to_owned)
        .to_vec(),
        codes_in_quotes(),
        lints(),
    ]
    .concat();
    assert!(all.len() > 90, "{all:?}");
    for code in all {
        let said = words.say(&serde_json::json!({ "code": code }));
        assert!(!said.text.starts_with(&format!("{code}: {{")), "no sentence for {code}");
    }
}
