//! `secure`: the eight steps, shown as they happen.

use std::{collections::HashMap, io::IsTerminal, path::PathBuf, sync::Arc, time::Duration};

use devices::Credentials;
use domain::{Scheme, Step, StepState, Target};
use fleet::{Fleet, HandOrder, Limits, Order, Outcome, StepOutcome};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use store::DeviceRow;
use tokio::{sync::Semaphore, task::JoinSet};
use words::Words;

use crate::{
    args::Secure,
    failure::Failure,
    files::write_new,
    setting::{self, Setting},
    talk::{self, paint, print, print_json, tell},
    targets,
};

/// So many devices at once: more would only wait for each other on a small machine.
const AT_ONCE: usize = 8;

pub async fn run(secure: &Secure, setting: &Setting) -> Result<bool, Failure> {
    let mut targets = secure.targets.iter().map(|t| t.parse()).collect::<Result<Vec<Target>, _>>()?;
    if let Some(file) = &secure.list {
        targets.extend(targets::list(file)?);
    }
    if secure.all {
        targets = known(setting).await?;
    }
    if targets.is_empty() {
        talk::warn(&json!({"code": "no-devices"}));
    }
    let orders = match secure.by_hand {
        true => by_hand(secure, targets)?,
        false => by_driver(secure, targets, setting)?,
    };
    let (store, authority) = setting.authority().await?;
    let fleet = Arc::new(Fleet { store, authority, limits: Limits::default() });
    let outcomes = all(&fleet, orders).await;

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

/// Every device in the ledger that a driver speaks to.
async fn known(setting: &Setting) -> Result<Vec<Target>, Failure> {
    let devices = setting.store().await?.devices(None).await?;
    let target = |device: DeviceRow| {
        // Where both usual ports may answer the device is named by its host alone.
        let port = Some(device.port).filter(|port| *port != Scheme::Http.default_port());
        let plain = Target { text: String::new(), host: device.host, port, scheme: None };
        let text = match port {
            Some(port) => format!("{}:{port}", plain.url_host()),
            None => plain.dial_host(),
        };
        Target { text, ..plain }
    };
    Ok(devices.into_iter().filter(|device| device.driver != fleet::BY_HAND).map(target).collect())
}

/// How a device is to be secured.
pub enum Way {
    /// By its driver.
    Driver(Order),
    /// By a person, who gets this file (if it is named), and so much time.
    Hand { target: Target, out: Option<PathBuf>, wait: Duration },
}

fn by_hand(secure: &Secure, targets: Vec<Target>) -> Result<Vec<(String, Way)>, Failure> {
    if secure.out.is_some() && targets.len() > 1 {
        return Err(Failure::usage("one-file-each"));
    }
    let wait = Duration::from_secs(secure.wait.saturating_mul(60));
    let way = |target: Target| (target.text.clone(), Way::Hand { target, out: secure.out.clone(), wait });
    Ok(targets.into_iter().map(way).collect())
}

fn by_driver(
    secure: &Secure,
    targets: Vec<Target>,
    setting: &Setting,
) -> Result<Vec<(String, Way)>, Failure> {
    let user = match &secure.user {
        Some(user) => user.clone(),
        None => setting::ask_openly("User name on the device: ", "user-missing")?,
    };
    let password = match &secure.password_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask(&format!("Password of {user} on the device: "), "password-missing")?,
    };
    let credentials = Credentials { user, password };
    let way = |target: Target| {
        let name = target.text.clone();
        let credentials = credentials.clone();
        let (disable_http, set_clock, consent) = (secure.disable_http, secure.set_clock, setting.yes);
        (name, Way::Driver(Order { target, credentials, disable_http, set_clock, consent }))
    };
    Ok(targets.into_iter().map(way).collect())
}

/// Where the package goes: a name of its own for each certificate, so that none is written over.
fn package_file(target: &Target, serial: &str) -> PathBuf {
    let host = target.dial_host().replace(':', "-");
    format!("{host}-{}.pem", serial.get(..8).unwrap_or(serial)).into()
}

async fn secured(fleet: &Fleet, way: Way, line: &Line) -> Outcome {
    let progress = |step, ended: Option<&StepOutcome>| line.show(step, ended);
    match way {
        Way::Driver(order) => fleet.secure(&order, &progress).await,
        Way::Hand { target, out, wait } => {
            let hand = HandOrder {
                file: &|serial| out.clone().unwrap_or_else(|| package_file(&target, serial)),
                write: &|file, pem| write_new(file, pem.as_bytes(), 0o600).map_err(|failure| failure.said),
                target: target.clone(),
                wait,
            };
            fleet.secure_by_hand(&hand, &progress).await
        }
    }
}

/// Walks the steps for all devices, some at once, and shows them live; outcomes in the order of the orders.
pub async fn all(fleet: &Arc<Fleet>, orders: Vec<(String, Way)>) -> Vec<Outcome> {
    let lines = MultiProgress::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let count = orders.len();
    for (index, (name, way)) in orders.into_iter().enumerate() {
        let line = Line::new(&lines, &name);
        let (fleet, places) = (fleet.clone(), places.clone());
        running.spawn(async move {
            let _place = places.acquire().await;
            let outcome = secured(&fleet, way, &line).await;
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
        let Some(outcome) = ended else { return };
        let text = Words::english().say(&outcome.text).text;
        if !self.live {
            tell(&format!("{}  {mark} {step:8} {text} ({:.2} s)", self.name, outcome.seconds));
        } else if outcome.state == StepState::Waiting {
            // Somebody is to do it while the lines go on.
            self.bar.println(format!("{}  {text}", self.name));
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
