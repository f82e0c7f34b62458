//! What looking for guessable keys costs, beside the signature check of the request that it belongs to:
//! `cargo run --release -p pki --example key_cost`.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey},
};
use pki::{KeyKind, PrivateKey, PublicKey};

fn main() {
    for (kind, size) in [(KeyKind::Rsa2048, KeySize::Rsa2048), (KeyKind::Rsa4096, KeySize::Rsa4096)] {
        let public = PrivateKey::generate(kind).unwrap().public_key().unwrap().to_der().unwrap();
        microseconds(&format!("{kind}: reading and looking at the key"), || {
            PublicKey::from_der(&public).unwrap();
        });
        let pair = KeyPair::generate(size).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), b"text", &mut signature).unwrap();
        microseconds(&format!("{kind}: checking a signature"), || {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref());
            key.verify(b"text", &signature).unwrap();
        });
    }
}

fn microseconds(name: &str, what: impl Fn()) {
    const TIMES: u32 = 50;
    // The best of some: what else the machine does is no cost of this.
    let once = || {
        let since = Instant::now();
        (0..TIMES).for_each(|_| what());
        since.elapsed() / TIMES
    };
    let best = (0..1_000).map(|_| once()).min().unwrap_or_default();
    println!("{name}: {:.1} µs", best.as_secs_f64() * 1e6);
}
