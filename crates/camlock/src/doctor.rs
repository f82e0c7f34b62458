//! `doctor`: what is wrong with this installation, and what to do.

use authority::{Ailment, Authority, Policy, Public, check, examine};
use domain::Severity;
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use words::{Sentence, Words};

use crate::{
    failure::Failure,
    setting::Setting,
    talk::{self, print, print_json, warn},
    upkeep::renew_proof,
};

/// So many flaws of stored certificates are shown one by one.
const SHOWN: usize = 50;

pub async fn run(setting: &Setting) -> Result<bool, Failure> {
    let store = setting.store().await?;
    let now = OffsetDateTime::now_utc();
    let mut report = Report::new();
    // With the passphrase in a file it sees also what the master key alone can tell.
    let authority = match setting.authority_if_file(&store).await {
        Ok(authority) => authority,
        Err(failure) if failure.said["code"] == "vault-damaged" => {
            report.add(Severity::Error, &failure.said);
            None
        }
        // The examination says it of each authority.
        Err(failure) if failure.said["code"] == "recovery-forged" => None,
        Err(failure) => return Err(failure),
    };
    let ailments = examine(&store, now).await?;
    let due = ailments.iter().any(|a| matches!(a, Ailment::RolloverDue { .. }));
    let one_tier = Public::read(&store).await?.issuers.is_empty();
    for ailment in ailments {
        report.add(ailment.severity(), &ailment);
    }
    // With two tiers the root's key has to be carried away, so a person has to be there.
    if due
        && one_tier
        && let Some(authority) = &authority
    {
        let root = begin_rollover(authority, &store, now).await?;
        report.add(Severity::Info, &json!({"code": "rollover-begun", "root": root}));
    }

    // Until it is corrected nothing is issued.
    if let Err(e) = Policy::read(store.directory()) {
        report.add(Severity::Error, &e);
    }

    let (count, flaws) = check(&store, now).await?;
    for flaw in flaws.iter().take(SHOWN) {
        report.add(flaw.severity(), flaw);
    }
    if flaws.len() > SHOWN {
        report.add(Severity::Error, &json!({"code": "more-flaws", "count": flaws.len() - SHOWN}));
    }
    report.add(Severity::Info, &json!({"code": "certificates-checked", "count": count}));

    if setting.json {
        print_json(&report.json());
        return Ok(report.holds);
    }
    for (severity, said) in &report.said {
        talk::finding(*severity, said);
    }
    if report.holds {
        print(&report.words.say(&json!({"code": "nothing-wrong"})).text);
    }
    Ok(report.holds)
}

/// Nothing moves to it before the operator confirms.
async fn begin_rollover(
    authority: &Authority,
    store: &store::Store,
    now: OffsetDateTime,
) -> Result<String, Failure> {
    let next = authority.make_next(authority.public().successor(), now).await?;
    next.store(store).await?;
    if let Err(failure) = renew_proof(store, authority, None).await {
        warn(&failure.said);
    }
    Ok(next.root().subject())
}

/// What was found, in the order of looking.
struct Report {
    said: Vec<(Severity, Sentence)>,
    holds: bool,
    words: Words,
}

impl Report {
    fn new() -> Report {
        Report { said: Vec::new(), holds: true, words: Words::english() }
    }

    fn add(&mut self, severity: Severity, thing: &impl Serialize) {
        self.holds &= severity == Severity::Info;
        self.said.push((severity, self.words.say(thing)));
    }

    fn json(&self) -> Value {
        let findings = self.said.iter().map(|(severity, said)| talk::finding_json(*severity, said));
        json!({"holds": self.holds, "findings": findings.collect::<Vec<_>>()})
    }
}
