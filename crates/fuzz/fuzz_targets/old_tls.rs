//! [`fuzz::old_tls`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::old_tls(bytes));
