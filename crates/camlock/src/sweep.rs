//! Many targets looked at, some at once: bounded in sockets and memory, told in their order as they come.

use std::{collections::BTreeMap, io::IsTerminal, sync::Arc, time::Duration};

use domain::{AltName, Report, Target, Verdict};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use inspect::Options;
use tokio::task::JoinSet;

use crate::{failure::Failure, secure::interrupts};

/// So many targets at once. Most of a sweep is waiting for addresses where nothing is, five seconds each; a neighbour
/// table, where each of them has an entry meanwhile, holds 1024.
const AT_ONCE: usize = 900;
/// Files for what else the program has open, out of those that the system allows it.
const OTHER_FILES: usize = 32;
/// A line of progress is for more than so many.
const FEW: usize = 8;

/// Looks at all targets. `told` gets each report with the target's place, in the order of the targets; how many there
/// were is the answer: all of them, or fewer after Ctrl-C.
pub async fn run(
    targets: &[Target],
    options: Options,
    mut told: impl FnMut(usize, Report) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let mut interrupts = interrupts()?;
    let options = Arc::new(options);
    let (files_max, mut files) = (files_allowed(), 0);
    let mut left = targets.iter().enumerate().peekable();
    let mut running = JoinSet::new();
    // Seen, and waiting for those before them.
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    let mut progress = Progress::new(targets.len());
    loop {
        while let Some((index, target)) = left.peek().copied()
            && running.len() < AT_ONCE
            && (running.is_empty() || files + files_for(target) <= files_max)
        {
            left.next();
            files += files_for(target);
            let (target, options) = (target.clone(), options.clone());
            running.spawn(async move { (index, inspect::check(&target, &options).await) });
        }
        tokio::select! {
            ended = running.join_next() => match ended {
                None => break,
                Some(Ok((index, mut report))) => {
                    files -= files_for(&targets[index]);
                    // Described; its bytes are not needed any more.
                    report.leaf = None;
                    progress.count(report.verdict);
                    waiting.insert(index, report);
                }
                Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
            },
            Some(()) = interrupts.recv() => break,
        }
        while let Some(report) = waiting.remove(&next) {
            told(next, report)?;
            next += 1;
        }
    }
    progress.bar.finish_and_clear();
    let seen = next + waiting.len();
    waiting.into_iter().try_for_each(|(index, report)| told(index, report))?;
    Ok(seen)
}

/// How many files may be open for the targets.
fn files_allowed() -> usize {
    #[cfg(unix)]
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    let limit: Option<u64> = None;
    limit.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES))
}

/// How many files are open at most while a target is looked at.
fn files_for(target: &Target) -> usize {
    // https and http at once; and the system's resolver has a socket and a file.
    let ports = if target.port.is_none() { 2 } else { 1 };
    ports + if matches!(target.host, AltName::Dns(_)) { 2 * ports } else { 0 }
}

/// A line on the terminal: how far, how fast, how long yet, and what was seen.
struct Progress {
    bar: ProgressBar,
    secure: u64,
    not_secure: u64,
}

impl Progress {
    fn new(count: usize) -> Progress {
        let bar = match std::io::stderr().is_terminal() && count > FEW {
            true => ProgressBar::new(count as u64),
            false => ProgressBar::hidden(),
        };
        let rate = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = write!(to, "{:.0}/s", state.per_sec());
        };
        let left = |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            if state.pos() > 0 {
                let _ = write!(to, "{:#} left", HumanDuration(state.eta()));
            }
        };
        let template = "{bar:24.green/black.bright} {pos} of {len}  {rate}  {left}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("rate", rate).with_key("left", left).progress_chars("━━─"));
        }
        if !bar.is_hidden() {
            // Also while nothing answers.
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Progress { bar, secure: 0, not_secure: 0 }
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Secure => self.secure += 1,
            Verdict::NotSecure => self.not_secure += 1,
            Verdict::Unreachable => {}
        }
        self.bar.inc(1);
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} secure, {} not secure", self.secure, self.not_secure));
        }
    }
}
