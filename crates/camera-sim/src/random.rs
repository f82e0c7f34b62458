//! Random names and numbers from the system's generator.

use std::sync::atomic::{AtomicU64, Ordering};

static FALLBACK: AtomicU64 = AtomicU64::new(1);

/// `N` random bytes.
///
/// Should the system's generator fail, they are a counter: what a simulated camera needs of its ids and nonces
/// is that they differ.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        let count = FALLBACK.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in bytes.iter_mut().zip(count.iter().rev()) {
            *to = *from;
        }
    }
    bytes
}

/// `N` random bytes in hexadecimal.
pub(crate) fn hex_token<const N: usize>() -> String {
    hex(&bytes::<N>())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 0x0f)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
