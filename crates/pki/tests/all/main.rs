//! All tests of `pki` from outside in one program: linking many takes longer than running them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should fail")]

mod browsers;
mod issuing;
mod key_files;
mod limits;
mod requests;
mod webpki;
