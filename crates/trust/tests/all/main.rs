//! All tests of `trust` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod common;
#[cfg(unix)]
mod places;
#[cfg(unix)]
mod policies;
#[cfg(unix)]
mod system;
