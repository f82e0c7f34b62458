//! The project's own cases in the format of C2SP/x509-limbo, which `tests/outside/limbo_cases.py` wrote: what the
//! example says of each is what RFC 5280 and the browsers say.

use std::collections::HashMap;

use serde_json::Value;

#[path = "../../examples/limbo/cases.rs"]
mod cases;

const CASES: &str = include_str!("../fixtures/limbo.json");

#[test]
fn each_case_ends_as_expected() -> Result<(), serde_json::Error> {
    let suite: Value = serde_json::from_str(CASES)?;
    let results: Value = serde_json::from_str(&cases::results(CASES)?)?;
    assert_eq!((&results["version"], &results["harness"]), (&1.into(), &"camlock".into()));
    let list = |all: &Value, name: &str| all[name].as_array().cloned().unwrap_or_default();
    let results: HashMap<String, Value> =
        list(&results, "results").into_iter().map(|one| (one["id"].to_string(), one)).collect();
    let cases = list(&suite, "testcases");
    assert!(cases.len() >= 60 && cases.len() == results.len());
    for case in cases {
        let result = &results[&case["id"].to_string()];
        let skipped = case["id"].as_str().is_some_and(|id| id.starts_with("skipped::"));
        let expected = if skipped { &"SKIPPED".into() } else { &case["expected_result"] };
        assert_eq!(&result["actual_result"], expected, "{result}");
        assert_eq!(result["context"].is_null(), expected == "SUCCESS", "{result}");
    }
    Ok(())
}
