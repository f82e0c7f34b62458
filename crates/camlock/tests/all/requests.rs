//! `camlock sign` and every odd request there is: refused with the reason, or signed with each change said.

use crate::common::{Site, text};
use authority::{Wish, effective};
use fuzz::requests::{Case, Outcome, SECRET, cases};
use pki::{Certificate, Request};
use serde_json::Value;
use words::Words;

/// What is expected by looking, without the program: the code of the error, or the codes of the changes.
fn looked_at(case: &Case) -> Result<(Vec<Value>, Option<String>), Value> {
    let request = Request::read(&case.bytes).map_err(|e| serde_json::to_value(e).unwrap())?;
    let effective =
        effective(Some(&request), &Wish::default()).map_err(|e| serde_json::to_value(e).unwrap())?;
    let changes = effective.changes.iter().map(|c| serde_json::to_value(c).unwrap()).collect();
    Ok((changes, effective.common_name))
}

fn signs(site: &Site, number: usize, case: &Case) {
    let (file, out) = (format!("{number}.csr"), format!("{number}.crt"));
    std::fs::write(site.path(&file), &case.bytes).unwrap();
    let output = site.run(&["sign", &file, "--out", &out, "--json"]);
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(!said.contains(SECRET) && !said.contains('\x1b'), "{}: {said}", case.name);
    let words = Words::english();
    let expected = looked_at(case);

    match case.outcome {
        Outcome::Refused(code) => {
            assert!(!site.path(&out).exists(), "{}", case.name);
            let exit = if code.starts_with("no-") { 2 } else { 1 };
            assert_eq!(output.status.code(), Some(exit), "{}: {said}", case.name);
            assert!(
                text(&output).starts_with("error: ") && text(&output).contains("→"),
                "{}: {said}",
                case.name
            );
            match expected {
                Err(error) => {
                    assert_eq!(error["code"], code, "{}", case.name);
                    assert!(said.contains(&words.say(&error).text), "{}: {said}", case.name);
                }
                Ok(_) => assert!(code == "names-outside" && said.contains("may not speak for"), "{said}"),
            }
        }
        Outcome::Signed(codes, common_name) => {
            assert_eq!(output.status.code(), Some(0), "{}: {said}", case.name);
            let (changes, effective_common_name) = expected.unwrap();
            assert_eq!(changes.iter().map(|c| &c["code"]).collect::<Vec<_>>(), codes, "{}", case.name);
            assert_eq!(effective_common_name.as_deref(), common_name, "{}", case.name);
            let sentences: Vec<String> = changes.iter().map(|c| words.say(c).text).collect();
            let document = crate::common::document(&output);
            assert_eq!(document["changes"], serde_json::json!(sentences), "{}", case.name);

            let chain = std::fs::read(site.path(&out)).unwrap();
            let leaf = Certificate::read_all(&chain).unwrap().remove(0);
            let subject = common_name.map(|name| format!("CN={name}")).unwrap_or_default();
            assert_eq!(leaf.subject(), subject, "{}", case.name);
            assert_eq!(leaf.public_key().unwrap(), Request::read(&case.bytes).unwrap().key);
            assert!(leaf.alt_names().len() == leaf.summary().sans.len(), "{}: {document}", case.name);
        }
    }
}

#[test]
fn every_odd_request_is_refused_or_repaired_with_the_reason() {
    let site = Site::founded();
    let listed = || site.json(&["list", "certificates"], 0).as_array().unwrap().len();
    let before = listed();
    let cases = cases();
    assert!(cases.len() > 70, "{}", cases.len());
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get().min(4) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    signs(&site, number, case);
                }
            });
        }
    });
    let signed = cases.iter().filter(|c| matches!(c.outcome, Outcome::Signed(..))).count();
    assert_eq!(listed(), before + signed);
}

/// A device that never ends is not read to its end.
#[cfg(unix)]
#[test]
fn a_file_without_an_end_is_too_large() {
    let site = Site::founded();
    let refused = site.run(&["sign", "/dev/zero", "--out", "never.crt"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(text(&refused).contains("too many for a certificate request"), "{refused:?}");
}

#[test]
fn the_document_says_what_happens() {
    let document = include_str!("../../../../docs/requests.md");
    let row = |case: &Case| {
        let outcome = match case.outcome {
            Outcome::Refused(code) => format!("refused: `{code}`"),
            Outcome::Signed([], _) => "signed".to_owned(),
            Outcome::Signed(codes, _) => format!("signed; `{}`", codes.join("`, `")),
        };
        format!("| {} | {outcome} |", case.name)
    };
    let rows: Vec<String> = cases().iter().map(row).collect();
    for row in &rows {
        assert!(document.lines().any(|line| line == row), "not in the document: {row}");
    }
    for line in document.lines().filter(|l| l.contains("| refused: ") || l.contains("| signed")) {
        assert!(rows.iter().any(|row| row == line), "no case: {line}");
    }
}
