//! `doctor`: what is wrong with this installation, and what to do.

use std::collections::HashMap;

use authority::{Ailment, Authority, Policy, check, examine};
use domain::Severity;
use serde::Serialize;
use serde_json::{Value, json};
use site::{LEDGER, PAGE, PROOF, in_use};
use store::Store;
use time::OffsetDateTime;
use words::{Sentence, Words};

use crate::{
    failure::Failure,
    setting::{Setting, open_to_others},
    talk::{self, print, print_json},
};

/// So many flaws of stored certificates are shown one by one.
const SHOWN: usize = 50;
/// And so many devices or certificates with the same trouble.
const FEW: usize = 20;

pub async fn run(setting: &Setting) -> Result<bool, Failure> {
    // Whoever looks changes nothing.
    let store = Store::open_to_read(&setting.directory()?).await?;
    let examined = examined(&store, setting).await;
    // Or the ledger's log stays behind.
    store.close().await;
    let report = examined?;

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

async fn examined(store: &Store, setting: &Setting) -> Result<Report, Failure> {
    let (directory, now) = (store.directory(), OffsetDateTime::now_utc());
    let mut report = Report::new();
    let ailments = examine(store, now).await?;
    for ailment in &ailments {
        report.add(ailment.severity(), ailment);
    }
    // With the passphrase in a file it sees also what the master key alone can tell.
    if let Some(secret) = setting.told()?
        && let Err(e) = Authority::open(store, &secret).await
    {
        let failure = Failure::from(e);
        let code = failure.said["code"].as_str().unwrap_or_default();
        let is_unbound = ailments.contains(&Ailment::RecoveryUnsigned);
        match code {
            "vault-damaged" => report.add(Severity::Error, &failure.said),
            // The examination says it of each authority.
            "recovery-forged" => {}
            // Opened by whoever may write, an older ledger would be bound now.
            "database" if is_unbound => {}
            _ => return Err(failure),
        }
    }
    let [log, shared] = ["wal", "shm"].map(|end| format!("{LEDGER}-{end}"));
    let files = [LEDGER, &log, &shared, PAGE, PROOF].map(|name| directory.join(name));
    for path in [directory.to_owned()].into_iter().chain(files) {
        if let Some(said) = path.metadata().ok().and_then(|metadata| open_to_others(&path, &metadata)) {
            report.add(Severity::Warning, &said);
        }
    }

    if let Some(trouble) = site::examine_disk(directory) {
        report.add(trouble.severity(), &trouble);
    }
    match Policy::read(directory) {
        Ok(Policy { backup: Some(plan), .. }) => {
            if let Err(e) = site::must_be_writable(&plan.folder) {
                report.add(Severity::Error, &e);
            }
        }
        Ok(_) => {}
        // Until it is corrected nothing is issued.
        Err(e) => report.add(Severity::Error, &e),
    }

    let mut told = HashMap::<_, usize>::new();
    for trouble in in_use(store, now).await? {
        let same = told.entry(std::mem::discriminant(&trouble)).or_default();
        *same += 1;
        if *same <= FEW {
            report.add(trouble.severity(), &trouble);
        }
    }
    let more: usize = told.values().map(|count| count.saturating_sub(FEW)).sum();
    if more > 0 {
        report.add(Severity::Warning, &json!({"code": "more-in-use", "count": more}));
    }
    let (count, flaws) = check(store, now).await?;
    for flaw in flaws.iter().take(SHOWN) {
        report.add(flaw.severity(), flaw);
    }
    if flaws.len() > SHOWN {
        report.add(Severity::Error, &json!({"code": "more-flaws", "count": flaws.len() - SHOWN}));
    }
    report.add(Severity::Info, &json!({"code": "certificates-checked", "count": count}));
    Ok(report)
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
