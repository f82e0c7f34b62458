//! All tests of `authority` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod door;
mod import;
#[cfg(unix)]
mod kills;
mod later;
mod policy;
mod revocation;
mod years;
