//! `secure`: the eight steps, shown as they happen.

use std::{collections::HashMap, io::IsTerminal, sync::Arc, time::Duration};

use devices::Credentials;
use domain::{Step, StepState, Target};
use fleet::{Fleet, Limits, Order, Outcome, StepOutcome};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet};
use words::Words;

use crate::{
    args::Secure,
    failure::Failure,
    setting::{self, Setting},
    talk::{self, paint, print, print_json, tell},
};

/// So many devices at once: more would only wait for each other on a small machine.
const AT_ONCE: usize = 8;

pub async fn run(secure: &Secure, setting: &Setting) -> Result<bool, Failure> {
    let targets = secure.targets.iter().map(|t| t.parse()).collect::<Result<Vec<Target>, _>>()?;
    let user = match &secure.user {
        Some(user) => user.clone(),
        None => setting::ask_openly("User name on the device: ", "user-missing")?,
    };
    let (store, authority) = setting.authority().await?;
    let password = match &secure.password_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask(&format!("Password of {user} on the device: "), "password-missing")?,
    };
    let credentials = Credentials { user, password };
    let orders = targets.into_iter().map(|target| {
        let name = target.text.clone();
        (
            name,
            Order {
                target,
                credentials: credentials.clone(),
                disable_http: secure.disable_http,
                consent: setting.yes,
            },
        )
    });
    let fleet = Arc::new(Fleet { store, authority, limits: Limits::default() });
    let outcomes = all(&fleet, orders.collect()).await;

    let words = Words::english();
    if setting.json {
        let shown: Vec<_> = outcomes.iter().map(|o| as_json(o, &words)).collect();
        print_json(&shown);
    } else {
        outcomes.iter().for_each(|o| show(o, &words));
    }
    // A ledger that fails is no answer about a device.
    let mut failures = outcomes.iter().filter_map(|o| o.error.clone()).map(Failure::from);
    if let Some(broken) = failures.find(|failure| failure.exit == 3) {
        return Err(broken);
    }
    Ok(outcomes.iter().all(Outcome::is_done))
}

/// Walks the steps for all devices, some at once, and shows them live; outcomes in the order of the orders.
pub async fn all(fleet: &Arc<Fleet>, orders: Vec<(String, Order)>) -> Vec<Outcome> {
    let lines = MultiProgress::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let count = orders.len();
    for (index, (name, order)) in orders.into_iter().enumerate() {
        let line = Line::new(&lines, &name);
        let (fleet, places) = (fleet.clone(), places.clone());
        running.spawn(async move {
            let _place = places.acquire().await;
            let outcome = fleet.secure(&order, &|step, ended| line.show(step, ended)).await;
            line.bar.finish();
            (index, outcome)
        });
    }
    let mut outcomes: HashMap<usize, Outcome> = HashMap::new();
    while let Some(ended) = running.join_next().await {
        if let Ok((index, outcome)) = ended {
            outcomes.insert(index, outcome);
        }
    }
    (0..count).filter_map(|i| outcomes.remove(&i)).collect()
}

/// One device's line: its name and the eight steps, ticked off as they end.
struct Line {
    bar: ProgressBar,
    name: String,
    marks: std::sync::Mutex<HashMap<Step, char>>,
    live: bool,
}

impl Line {
    fn new(lines: &MultiProgress, name: &str) -> Line {
        let bar = lines.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:24} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        let live = std::io::stderr().is_terminal();
        if live {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Line { bar, name: name.to_owned(), marks: Default::default(), live }
    }

    fn show(&self, step: Step, ended: Option<&StepOutcome>) {
        let mark = match ended.map(|o| o.state) {
            None => '…',
            Some(state) => mark(state),
        };
        let Ok(mut marks) = self.marks.lock() else { return };
        marks.insert(step, mark);
        let steps: Vec<String> =
            Step::ALL.iter().map(|s| format!("{} {s}", marks.get(s).unwrap_or(&'·'))).collect();
        self.bar.set_message(steps.join("  "));
        if let (false, Some(outcome)) = (self.live, ended) {
            let text = Words::english().say(&outcome.text).text;
            tell(&format!("{}  {mark} {step:8} {text} ({:.2} s)", self.name, outcome.seconds));
        }
    }
}

fn mark(state: StepState) -> char {
    match state {
        StepState::Done => '✓',
        StepState::Skipped => '-',
        StepState::Waiting => '…',
        StepState::Failed => '✗',
        StepState::RolledBack => '↺',
    }
}

fn as_json(outcome: &Outcome, words: &Words) -> serde_json::Value {
    let steps: Vec<_> = outcome
        .steps
        .iter()
        .map(|s| json!({"step": s.step, "state": s.state, "seconds": s.seconds, "text": words.say(&s.text).text}))
        .collect();
    json!({
        "target": outcome.target,
        "verdict": outcome.verdict,
        "driver": outcome.driver,
        "key_transport": outcome.key_transport,
        "steps": steps,
        "url": outcome.url,
        "serial": outcome.serial,
        "findings": talk::findings(&outcome.findings, words),
        "error": outcome.error.as_ref().map(|e| words.say(e)),
    })
}

fn show(outcome: &Outcome, words: &Words) {
    print(&format!("{}  {}", paint("1", &outcome.target), talk::verdict(outcome.verdict)));
    for step in &outcome.steps {
        let text = words.say(&step.text).text;
        print(&format!("  {} {:8} {text}", mark(step.state), step.step));
    }
    for finding in &outcome.findings {
        talk::finding(finding.severity(), &words.say(finding));
    }
    if let Some(error) = &outcome.error {
        talk::finding(domain::Severity::Error, &words.say(error));
    }
    if let Some(url) = &outcome.url {
        print(&format!("  {url}"));
    }
}
