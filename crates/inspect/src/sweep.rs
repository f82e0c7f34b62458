//! Many targets looked at, some at once: bounded in sockets and memory, told in their order.

use std::{collections::BTreeMap, pin::pin, sync::Arc};

use domain::{AltName, Report, Target};
use tokio::task::JoinSet;

use crate::{Options, check};

/// So many targets at once. Most of a sweep is waiting for addresses where nothing is, five seconds each; a neighbour
/// table, where each of them has an entry meanwhile, holds 1024.
const TARGETS_AT_ONCE: usize = 900;
/// Files for what else the program has open, out of those that the system allows it.
const OTHER_FILES: usize = 32;

/// Looks at all targets. `seen` gets each report as it comes, `told` with the target's place in the order of the targets;
/// how many there were is the answer: all of them, or fewer if `stop` came first.
///
/// # Errors
///
/// What `told` answers ends the sweep.
pub async fn sweep<E>(
    targets: &[Target],
    options: Options,
    stop: impl Future<Output = ()>,
    mut seen: impl FnMut(&Report),
    mut told: impl FnMut(usize, Report) -> Result<(), E>,
) -> Result<usize, E> {
    let mut stop = pin!(stop);
    let options = Arc::new(options);
    let (files_max, mut files) = (files_allowed(), 0);
    let mut left = targets.iter().enumerate().peekable();
    let mut running = JoinSet::new();
    // Seen, and waiting for those before them.
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    loop {
        while let Some((index, target)) = left.peek().copied()
            && running.len() < TARGETS_AT_ONCE
            && (running.is_empty() || files + files_for(target) <= files_max)
        {
            left.next();
            files += files_for(target);
            let (target, options) = (target.clone(), options.clone());
            running.spawn(async move { (index, check(&target, &options).await) });
        }
        tokio::select! {
            ended = running.join_next() => match ended {
                None => break,
                Some(Ok((index, mut report))) => {
                    files -= files_for(&targets[index]);
                    // Described; its bytes are not needed any more.
                    report.leaf = None;
                    seen(&report);
                    waiting.insert(index, report);
                }
                Some(Err(e)) => std::panic::resume_unwind(e.into_panic()),
            },
            () = &mut stop => break,
        }
        while let Some(report) = waiting.remove(&next) {
            told(next, report)?;
            next += 1;
        }
    }
    let count = next + waiting.len();
    waiting.into_iter().try_for_each(|(index, report)| told(index, report))?;
    Ok(count)
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
