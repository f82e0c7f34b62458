//! What makes an RSA modulus guessable although it is long enough. Moduli are public: nothing here has to take
//! the same time for each.
//!
//! Debian's weak keys of 2008 (CVE-2008-0166) are not looked for: their list has megabytes, and nothing that makes
//! requests today dates from then.

use std::sync::LazyLock;

use num_bigint::BigUint;

use crate::Error;

/// As far as trial division goes.
const SMALL_PRIMES_BELOW: u64 = 752;
/// Rounds of Fermat's method (CA/Browser Forum Baseline Requirements, section 6.1.1.3).
const FERMAT_ROUNDS: u64 = 100;
/// Of the primes up to this one the product is the base of ROCA's primes, whatever their size (Nemec et al., "The
/// Return of Coppersmith's Attack", 2017, section 2.1).
const ROCA_PRIMES_TO: u64 = 167;

/// Refuses a modulus with a small factor, one whose primes are close or equal, and one with ROCA's fingerprint.
/// `key` is its name, for the error. Big-endian.
pub(crate) fn check(modulus: &[u8], key: &str) -> Result<(), Error> {
    let n = BigUint::from_bytes_be(modulus);
    let key = key.to_owned();
    if !n.bit(0) {
        return Err(Error::KeySmallFactor { key, factor: 2 });
    }
    let residues = small_residues(&n);
    if let Some((factor, _)) = residues.iter().find(|(_, residue)| *residue == 0) {
        return Err(Error::KeySmallFactor { key, factor: *factor });
    }
    let mut roca = residues.iter().take_while(|(prime, _)| *prime <= ROCA_PRIMES_TO);
    if roca.all(|(prime, residue)| is_power_of_65537(*residue, *prime)) {
        return Err(Error::KeyRoca { key });
    }
    if has_close_primes(&n) { Err(Error::KeyClosePrimes { key }) } else { Ok(()) }
}

/// Each small odd prime, and what is left of `n` when divided by it. One long division by the product of all, and
/// short ones of what is left of that.
fn small_residues(n: &BigUint) -> Vec<(u64, u64)> {
    /// Primes whose product fits a word.
    struct Group {
        product: u64,
        primes: Vec<u64>,
    }
    static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
        let mut groups = vec![Group { product: 1, primes: Vec::new() }];
        let is_prime = |n: &u64| (3..*n).step_by(2).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
        for prime in (3..SMALL_PRIMES_BELOW).step_by(2).filter(is_prime) {
            match groups.last_mut() {
                Some(group) if group.product <= u64::MAX / prime => {
                    group.product *= prime;
                    group.primes.push(prime);
                }
                _ => groups.push(Group { product: prime, primes: vec![prime] }),
            }
        }
        groups
    });
    static PRODUCT: LazyLock<BigUint> = LazyLock::new(|| GROUPS.iter().map(|group| group.product).product());

    let rest = n % &*PRODUCT;
    let mut residues = Vec::with_capacity(SMALL_PRIMES_BELOW as usize / 4);
    for group in GROUPS.iter() {
        // By hand, because num-bigint would make a number of its own for each.
        let longer =
            |rest, digit| ((u128::from(rest) << 64 | u128::from(digit)) % u128::from(group.product)) as u64;
        let rest = rest.iter_u64_digits().rev().fold(0, longer);
        residues.extend(group.primes.iter().map(|prime| (*prime, rest % prime)));
    }
    residues
}

/// ROCA's primes are k * M + 65537^a mod M, M being a product of small primes: modulo each of these, the product
/// of two of them is a power of 65537 as well, which any other number is by chance.
fn is_power_of_65537(residue: u64, prime: u64) -> bool {
    let mut power = 1;
    loop {
        if power == residue {
            return true;
        }
        power = power * 65537 % prime;
        if power == 1 {
            return false;
        }
    }
}

/// Fermat's method: n = (a + b)(a - b), so for primes close to each other one of the first a from the root of n
/// upwards makes a^2 - n a square. Equal primes are found at once.
fn has_close_primes(n: &BigUint) -> bool {
    /// The squares modulo each of these, a bit each. One number of 400 passes as a square modulo all.
    const MODULI: [(u64, u128); 6] = [
        (64, squares(64)),
        (63, squares(63)),
        (65, squares(65)),
        (11, squares(11)),
        (17, squares(17)),
        (19, squares(19)),
    ];
    const PRODUCT: u64 = 64 * 63 * 65 * 11 * 17 * 19;

    let root = root(n);
    let first = if &root * &root == *n { root } else { root + 1_u64 };
    let word = |n: BigUint| n.iter_u64_digits().next().unwrap_or(0);
    let (n_rest, first_rest) = (word(n % PRODUCT), word(&first % PRODUCT));
    (0..FERMAT_ROUNDS).any(|round| {
        let a = (first_rest + round) % PRODUCT;
        let rest = (a * a + PRODUCT - n_rest) % PRODUCT;
        MODULI.iter().all(|(modulus, squares)| squares >> (rest % modulus) & 1 == 1) && {
            let a = &first + round;
            let rest = &a * &a - n;
            let root = rest.sqrt();
            &root * &root == rest
        }
    })
}

/// The root, rounded down. Newton's method from above, begun with the root of the upper half of the number, which has
/// half of the digits right; num-bigint's own begins with 53 bits and takes twice as long.
fn root(n: &BigUint) -> BigUint {
    if n.bits() <= 512 {
        return n.sqrt();
    }
    let quarter = n.bits() / 4;
    let mut root = (root(&(n >> (2 * quarter))) + 1_u64) << quarter;
    loop {
        let next = (&root + n / &root) >> 1_u32;
        if next >= root {
            return root;
        }
        root = next;
    }
}

const fn squares(modulus: u64) -> u128 {
    let (mut bits, mut i) = (0, 0);
    while i < modulus {
        bits |= 1 << (i * i % modulus);
        i += 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeyKind, PrivateKey};

    /// Two primes of 1024 bits, each k * M + 65537^a mod M, M being the product of the first 126 primes.
    const ROCA: &str = include_str!("../tests/moduli/roca.hex");
    /// A prime of 1024 bits times the next one, 200 further.
    const CLOSE: &str = include_str!("../tests/moduli/close.hex");
    /// The same prime times one so far from it that Fermat's method needs 61 rounds.
    const CLOSE_60: &str = include_str!("../tests/moduli/close-60.hex");
    /// 751 times a prime.
    const SMALL: &str = include_str!("../tests/moduli/small-factor.hex");

    fn number(hex: &str) -> BigUint {
        BigUint::parse_bytes(hex.replace(char::is_whitespace, "").as_bytes(), 16).unwrap()
    }

    fn judged(n: &BigUint) -> Result<(), Error> {
        check(&n.to_bytes_be(), "rsa-2048")
    }

    #[test]
    fn guessable_keys_are_refused_with_the_reason() {
        let key = "rsa-2048".to_owned();
        assert_eq!(judged(&number(ROCA)), Err(Error::KeyRoca { key: key.clone() }));
        let close = Err(Error::KeyClosePrimes { key: key.clone() });
        assert_eq!(judged(&number(CLOSE)), close);
        assert_eq!(judged(&number(CLOSE_60)), close);
        // The square of something without small factors.
        assert_eq!(judged(&number(CLOSE).pow(2)), close);
        assert_eq!(judged(&number(SMALL)), Err(Error::KeySmallFactor { key: key.clone(), factor: 751 }));
        for factor in [2, 3, 5, 7, 743, 751_u64] {
            let refused = judged(&(number(CLOSE) * factor));
            assert_eq!(refused, Err(Error::KeySmallFactor { key: key.clone(), factor }));
        }
        // One more is not small any more.
        assert_eq!(judged(&(number(CLOSE) * 757_u64)), Ok(()));
    }

    #[test]
    fn primes_are_as_close_as_the_rounds_say() {
        // a^2 - b^2 with an a that is so many rounds above the root of n.
        let a = number(CLOSE);
        for (rounds, close) in [(0, true), (1, true), (99, true), (100, false), (150, false)] {
            // b^2 = 2 * rounds * a is nearly what makes the root of n smaller than a by `rounds`.
            let b = (&a * (2 * rounds + 1_u64)).sqrt();
            assert_eq!(has_close_primes(&(&a * &a - &b * &b)), close, "{rounds}");
        }
    }

    #[test]
    fn every_small_prime_is_tried_once() {
        let residues = small_residues(&number(ROCA));
        assert_eq!(residues.len(), 132);
        let all: BigUint = residues.iter().map(|(prime, _)| *prime).product();
        assert!(small_residues(&all).iter().all(|(_, residue)| *residue == 0));
        for (prime, residue) in residues {
            assert_eq!(number(ROCA) % prime, residue.into());
        }
    }

    #[test]
    fn roots_are_rounded_down() {
        for bits in [2, 511, 512, 513, 1023, 2047, 2048, 2049, 4095, 8192] {
            let all = (BigUint::from(1_u64) << bits) - 1_u64;
            let cut: BigUint = number(ROCA).pow(4) >> (4 * 2048 - bits);
            let square = cut.sqrt().pow(2);
            for n in [&all + 1_u64, all, cut, &square - 1_u64, square] {
                assert_eq!(root(&n), n.sqrt(), "{bits}: {n}");
            }
        }
    }

    #[test]
    fn ordinary_keys_pass() {
        for _ in 0..5 {
            PrivateKey::generate(KeyKind::Rsa2048).unwrap().public_key().unwrap();
        }
        PrivateKey::generate(KeyKind::Rsa3072).unwrap().public_key().unwrap();
    }
}
