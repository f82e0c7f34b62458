//! The line on the terminal that says how far a sweep is.

use std::{io::IsTerminal, time::Duration};

use domain::{Report, Target, Verdict};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use inspect::Options;

use crate::{failure::Failure, secure::interrupts};

/// A line of progress is for more than so many.
const FEW: usize = 8;

/// Looks at all targets until Ctrl-C. `told` gets each report with the target's place, in the order of the targets; how
/// many there were is the answer.
pub async fn run(
    targets: &[Target],
    options: Options,
    told: impl FnMut(usize, Report) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let mut interrupts = interrupts()?;
    let stop = async {
        interrupts.recv().await;
    };
    let mut progress = Progress::new(targets.len());
    let bar = progress.bar.clone();
    let seen = inspect::sweep(targets, options, stop, |report| progress.count(report.verdict), told).await;
    bar.finish_and_clear();
    seen
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
