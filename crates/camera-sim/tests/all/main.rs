//! All tests of `camera-sim` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod common;
#[cfg(feature = "makers")]
mod faults;
mod lives;
#[cfg(feature = "makers")]
mod makers;
