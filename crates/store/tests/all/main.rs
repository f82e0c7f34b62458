//! All tests of `store` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod backup;
mod ledger;
