//! [`fuzz::probe_matches`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::probe_matches(bytes));
