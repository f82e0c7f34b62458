//! All tests of `camlock` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod backup;
mod by_hand;
mod catalogue;
mod common;
mod faults;
mod find;
mod forged;
mod founding;
mod hostile;
mod identity;
mod import;
mod kills;
mod many;
mod packages;
mod program;
mod recipes;
mod requests;
mod rollover;
#[cfg(unix)]
mod serve;
mod status;
mod sweep;
#[cfg(target_os = "linux")]
mod terminal;
mod tidy;
mod told;
#[cfg(unix)]
mod trust;
mod vault;
