//! [`fuzz::pkcs12`] for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::pkcs12(bytes));
