//! All tests of `fleet` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod by_hand;
mod common;
mod conformance;
mod crowd;
mod impostor;
mod lives;
mod years;
