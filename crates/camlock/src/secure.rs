//! `secure`: the eight steps, shown as they happen.

use std::{
    collections::HashMap, io::IsTerminal, net::IpAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration,
};

use devices::Credentials;
use domain::{AltName, Named, Step, StepState, Target};
use fleet::{Consents, Consequence, Error, Event, Fleet, HandOrder, Order, Outcome, StepOutcome, Stop, Way};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use site::{place_of, write_new};
use store::Store;
use tokio::sync::watch;
use words::Words;
use zeroize::Zeroizing;

use crate::{
    args::Secure,
    failure::Failure,
    setting::{self, Setting},
    talk::{self, paint, print, print_json, say, tell},
    targets,
};

/// So many lines of progress have room on a terminal; of more devices only their number is shown.
const FEW: usize = 16;

pub async fn run(secure: &Secure, setting: &Setting) -> Result<bool, Failure> {
    let (named, logins) = named(secure)?;
    let has_every_login = is_covered(&named, &logins);
    let is_one = matches!(named.as_slice(), [Named::One(_)]) && secure.list.is_none();
    if !is_one
        && (secure.new_device
            || secure.fingerprint.is_some()
            || secure.new_password_file.is_some()
            || secure.otp.is_some())
    {
        return Err(Failure::usage("one-device"));
    }
    if secure.by_hand {
        let fleet = setting.unlocked().await?.fleet().await?;
        let orders = by_hand(secure, known(&fleet.store, named).await?)?;
        return show_all(&all(&fleet, orders).await?, setting);
    }
    // What nobody can be asked for is missing before anything else is.
    let asked = if secure.all || has_every_login { None } else { Some(user(secure)?) };
    let fleet = setting.unlocked().await?.fleet().await?;
    let targets = if secure.all {
        let due = fleet.due().await?;
        if !due.strange.is_empty() {
            let names: Vec<String> = due.strange.iter().map(|d| place_of(d).text).collect();
            say(&json!({"code": "not-accepted-yet", "count": names.len(), "targets": names.join(" ")}));
        }
        if due.devices.is_empty() {
            say(&json!({"code": if due.known == 0 { "no-device-known" } else { "nothing-due" }}));
            return show_all(&[], setting);
        }
        due.devices.iter().map(place_of).collect()
    } else {
        known(&fleet.store, named).await?
    };
    let credentials = if has_every_login { None } else { Some(login(secure, asked)?) };
    let new_password = match &secure.new_password_file {
        Some(file) => Some(setting::first_line(file)?),
        None => None,
    };
    ask_first(secure, setting)?;
    let consent = Consents {
        overwrite: setting.yes,
        // Of a device that answers for one which was accepted, nobody is there to say that it is the one.
        readable: setting.yes && !secure.all,
        outside: setting.yes,
    };
    let order = |target: Target| {
        let credentials = logins.get(&target).or(credentials.as_ref())?.clone();
        Some(Order {
            disable_http: secure.disable_http,
            enable_http: secure.enable_http,
            tls_floor: secure.tls_floor.clone(),
            new_password: new_password.clone(),
            set_clock: secure.set_clock,
            time_server: secure.ntp.clone(),
            named: !secure.all,
            new_device: secure.new_device,
            fingerprint: secure.fingerprint.clone(),
            consent,
            ..Order::new(target, credentials)
        })
    };
    let orders: Vec<Order> = targets.into_iter().filter_map(order).collect();
    let outcomes = with_consent(&fleet, orders, secure.all).await?;
    show_all(&outcomes, setting)
}

/// Walks all orders; then, on a terminal, asks once for each consequence that some of them wait for, and walks those again.
async fn with_consent(
    fleet: &Arc<Fleet>,
    mut orders: Vec<Order>,
    is_all: bool,
) -> Result<Vec<Outcome>, Failure> {
    let way = |order: &Order| (order.target.text.clone(), Way::Driver(order.clone()));
    let mut outcomes = all(fleet, orders.iter().map(way).collect()).await?;
    if !std::io::stdin().is_terminal() {
        return Ok(outcomes);
    }
    for consequence in [Consequence::OutsideTheSite, Consequence::PasswordShown, Consequence::Overwritten] {
        if is_all && consequence == Consequence::PasswordShown {
            continue;
        }
        let waits =
            |outcome: &Outcome| outcome.error.as_ref().and_then(Error::wants_consent) == Some(consequence);
        let waiting: Vec<usize> = (0..outcomes.len()).filter(|index| waits(&outcomes[*index])).collect();
        if waiting.is_empty() {
            continue;
        }
        let names: Vec<&str> = waiting.iter().map(|index| orders[*index].target.text.as_str()).collect();
        let question = json!({
            "code": match consequence {
                Consequence::OutsideTheSite => "ask-outside",
                Consequence::PasswordShown => "ask-readable",
                Consequence::Overwritten => "ask-overwrite",
            },
            "count": names.len(),
            "targets": names.join(", "),
        });
        if !setting::agrees(&question)? {
            continue;
        }
        for index in &waiting {
            let consent = &mut orders[*index].consent;
            match consequence {
                Consequence::OutsideTheSite => consent.outside = true,
                Consequence::PasswordShown => consent.readable = true,
                Consequence::Overwritten => consent.overwrite = true,
            }
        }
        let again = all(fleet, waiting.iter().map(|index| way(&orders[*index])).collect()).await?;
        for (index, outcome) in waiting.into_iter().zip(again) {
            outcomes[index] = outcome;
        }
    }
    Ok(outcomes)
}

/// What stops recorders is said first.
fn ask_first(secure: &Secure, setting: &Setting) -> Result<(), Failure> {
    for (is_asked, question) in [
        (secure.disable_http, json!({"code": "ask-http-off"})),
        (secure.tls_floor.is_some(), json!({"code": "ask-tls-floor"})),
        (secure.new_password_file.is_some(), json!({"code": "ask-new-password"})),
    ] {
        if is_asked && !setting.yes && std::io::stdin().is_terminal() && !setting::agrees(&question)? {
            return Err(Failure::usage("nothing-done"));
        }
    }
    Ok(())
}

/// The devices that the command line and its list name, and who signs in where the list says it.
fn named(secure: &Secure) -> Result<(Vec<Named>, HashMap<Target, Credentials>), Failure> {
    let mut named = secure.targets.iter().map(|text| domain::named(text)).collect::<Result<Vec<_>, _>>()?;
    let mut logins = HashMap::new();
    let listed = secure.list.as_deref().map(targets::read_list).transpose()?.unwrap_or_default();
    for listed in listed {
        match (listed.user, listed.password) {
            (Some(user), Some(password)) => {
                logins.insert(listed.target.clone(), Credentials::new(user, password));
            }
            (None, None) => {}
            _ => {
                let said = json!({"code": "list-login-half", "target": listed.target.text});
                return Err(Failure { said, exit: 2 });
            }
        }
        named.push(Named::One(listed.target));
    }
    Ok((named, logins))
}

/// Whether the list has user and password of each device that was named.
fn is_covered(named: &[Named], logins: &HashMap<Target, Credentials>) -> bool {
    let has = |named: &Named| matches!(named, Named::One(target) if logins.contains_key(target));
    !named.is_empty() && named.iter().all(has)
}

/// Who signs in where a list does not say it.
fn login(secure: &Secure, asked: Option<String>) -> Result<Credentials, Failure> {
    let user = match asked {
        Some(user) => user,
        None => user(secure)?,
    };
    let password = match &secure.password_file {
        Some(file) => setting::first_line(file)?,
        None => setting::ask(&format!("Password of {user} on the device: "), "password-missing")?,
    };
    let credentials = Credentials::new(user, password);
    Ok(match &secure.otp {
        Some(code) => credentials.with_code(Zeroizing::new(code.clone())),
        None => credentials,
    })
}

/// The targets that were named; of a range, the devices of the ledger that are in it.
async fn known(store: &Store, named: Vec<Named>) -> Result<Vec<Target>, Failure> {
    let mut targets = Vec::new();
    for named in named {
        let addresses = match named {
            Named::One(target) => {
                targets.push(target);
                continue;
            }
            Named::Range(addresses) => addresses,
        };
        let before = targets.len();
        for device in store.devices(None).await?.iter().filter(|device| device.left_at.is_none()) {
            if matches!(&device.host, AltName::Ip(IpAddr::V4(ip)) if addresses.contains(ip)) {
                targets.push(place_of(device));
            }
        }
        if targets.len() == before {
            return Err(Failure::usage("range-unknown"));
        }
    }
    Ok(targets)
}

fn by_hand(secure: &Secure, targets: Vec<Target>) -> Result<Vec<(String, Way)>, Failure> {
    if secure.out.is_some() && targets.len() > 1 {
        return Err(Failure::usage("one-file-each"));
    }
    let wait = Duration::from_secs(secure.wait.saturating_mul(60));
    let (new_device, out) = (secure.new_device, &secure.out);
    let way = |target: Target| {
        let (named, out) = (target.clone(), out.clone());
        let hand = HandOrder {
            file: Box::new(move |serial| out.clone().unwrap_or_else(|| package_file(&named, serial))),
            write: Box::new(|file, pem| {
                write_new(file, pem.as_bytes(), 0o600)
                    .map_err(|e| serde_json::to_value(e).unwrap_or_default())
            }),
            target,
            new_device,
            wait,
        };
        (hand.target.text.clone(), Way::Hand(hand))
    };
    Ok(targets.into_iter().map(way).collect())
}

/// Where the package goes: a name of its own for each certificate, so that none is written over.
fn package_file(target: &Target, serial: &str) -> PathBuf {
    let host = target.dial_host().replace(':', "-");
    format!("{host}-{}.pem", serial.get(..8).unwrap_or(serial)).into()
}

fn user(secure: &Secure) -> Result<String, Failure> {
    match &secure.user {
        Some(user) => Ok(user.clone()),
        None => setting::ask_openly("User name on the device: ", "user-missing"),
    }
}

/// The result, in the order in which the devices were named, and whether what was asked holds for all of them.
fn show_all(outcomes: &[Outcome], setting: &Setting) -> Result<bool, Failure> {
    let words = Words::english();
    if setting.json {
        let shown: Vec<_> = outcomes.iter().map(|o| as_json(o, &words)).collect();
        print_json(&shown);
    } else {
        // Of many the one that failed must not drown among those that did not.
        let short = outcomes.len() > FEW;
        outcomes.iter().for_each(|o| show(o, short && o.is_done(), &words));
    }
    // A ledger that fails is no answer about a device.
    let mut failures = outcomes.iter().filter_map(|o| o.error.clone()).map(Failure::from);
    if let Some(broken) = failures.find(|failure| failure.exit == 3) {
        return Err(broken);
    }
    Ok(outcomes.iter().all(Outcome::is_done))
}

/// Secures all devices, under the names that they have for people, and shows it live; outcomes in the order of the orders.
/// The first Ctrl-C finishes the devices under way and begins no other, the second one ends everything.
pub async fn all(fleet: &Arc<Fleet>, orders: Vec<(String, Way)>) -> Result<Vec<Outcome>, Failure> {
    let mut interrupts = interrupts()?;
    let (names, ways): (Vec<String>, Vec<Way>) = orders.into_iter().unzip();
    let progress = Arc::new(Progress::new(names));
    let (stop, stopped) = watch::channel(Stop::Never);
    let shown = progress.clone();
    let securing = fleet.secure_many(ways, move |index, event| shown.show(index, event), stopped);
    let mut securing = pin!(securing);
    loop {
        tokio::select! {
            outcomes = &mut securing => {
                progress.close();
                return Ok(outcomes?);
            }
            Some(()) = interrupts.recv() => {
                if stop.send_replace(Stop::AfterThese) == Stop::Never {
                    say(&json!({"code": "stopping-devices"}));
                } else {
                    stop.send_replace(Stop::Now);
                }
            }
        }
    }
}

/// Every Ctrl-C from its making on.
#[cfg(unix)]
pub type Interrupts = tokio::signal::unix::Signal;
#[cfg(windows)]
pub type Interrupts = tokio::signal::windows::CtrlC;

/// Listens for Ctrl-C.
pub fn interrupts() -> Result<Interrupts, Failure> {
    #[cfg(unix)]
    let interrupts = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt());
    #[cfg(windows)]
    let interrupts = tokio::signal::windows::ctrl_c();
    interrupts.map_err(|e| Failure::broken("cannot-start", "reason", &e.to_string()))
}

/// What is shown while it goes on: a line for each of a few devices with its steps, or one line for many.
struct Progress {
    lines: Vec<Line>,
    bar: ProgressBar,
    failed: std::sync::atomic::AtomicU64,
    names: Vec<String>,
}

impl Progress {
    fn new(names: Vec<String>) -> Progress {
        let few = names.len() <= FEW;
        let lines = MultiProgress::new();
        let bar = if few { ProgressBar::hidden() } else { ProgressBar::new(names.len() as u64) };
        let template = "{spinner} {bar:20} {pos} of {len}  {msg}  {per_sec}, {eta} left";
        if let (false, Ok(style)) = (few, ProgressStyle::with_template(template)) {
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let few_names = names.iter().filter(|_| few);
        Progress {
            lines: few_names.map(|n| Line::new(&lines, n)).collect(),
            bar,
            failed: Default::default(),
            names,
        }
    }

    fn show(&self, index: usize, event: Event<'_>) {
        let line = self.lines.get(index);
        match event {
            Event::Begun(step) => line.into_iter().for_each(|line| line.show(step, None)),
            Event::Stepped(step) => line.into_iter().for_each(|line| line.show(step.step, Some(step))),
            Event::Ended(outcome) => self.end(index, outcome),
        }
    }

    fn end(&self, index: usize, outcome: &Outcome) {
        if let Some(line) = self.lines.get(index) {
            return line.bar.finish();
        }
        let failed = u64::from(!outcome.is_done());
        let failed = failed + self.failed.fetch_add(failed, std::sync::atomic::Ordering::Relaxed);
        self.bar.inc(1);
        let ended = self.bar.position();
        let waiting = (self.names.len() as u64).saturating_sub(ended);
        self.bar.set_message(format!(
            "{} done, {failed} failed, {waiting} waiting",
            ended.saturating_sub(failed)
        ));
        let said = match &outcome.error {
            Some(error) => format!("✗ {}", Words::english().say(error).text),
            None => "✓ secure".to_owned(),
        };
        let line = format!("{}  {said}", self.names[index]);
        match std::io::stderr().is_terminal() {
            true if outcome.is_done() => {}
            true => self.bar.println(line),
            false => tell(&line),
        }
    }

    fn close(&self) {
        self.bar.finish_and_clear();
    }
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
        "findings": talk::findings(&outcome.findings, &outcome.target, words),
        "error": outcome.error.as_ref().map(|e| words.say_of(e, &outcome.target)),
    })
}

fn show(outcome: &Outcome, short: bool, words: &Words) {
    let (target, verdict) = (paint("1", &outcome.target), talk::verdict(outcome.verdict));
    if short {
        return print(&format!("{target}  {verdict}  {}", outcome.url.as_deref().unwrap_or_default()));
    }
    print(&format!("{target}  {verdict}"));
    for step in &outcome.steps {
        let text = words.say(&step.text).text;
        print(&format!("  {} {:8} {text}", mark(step.state), step.step));
    }
    for finding in &outcome.findings {
        talk::finding(finding.severity(), &words.say_of(finding, &outcome.target));
    }
    if let Some(error) = &outcome.error {
        talk::finding(domain::Severity::Error, &words.say_of(error, &outcome.target));
    }
    if let Some(url) = &outcome.url {
        print(&format!("  {url}"));
    }
}
