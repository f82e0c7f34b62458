//! All tests of `inspect` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod common;
mod encodings;
mod groups;
mod limbo;
mod verdicts;

// `common` is a module of the crate's own tests, too, and finds this in its root there.
use inspect::Options;
