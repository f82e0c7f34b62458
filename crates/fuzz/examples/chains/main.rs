//! Chains of certificates by chance, good ones and odd ones: what browsers make of them is asked by
//! tests/outside/test_chains.py.
//!
//! ```console
//! $ cargo run --release -p fuzz --example chains -- FOLDER COUNT SEED [keys]
//! ```
//!
//! The certificates go to the folder; for each chain a line `ID ROOT.der LEAF.der OTHER.der...` is printed. With `keys` there
//! is a file `ID.key` (PKCS#8) for each leaf, so that a server can show it.
#![allow(clippy::unwrap_used)]

mod extensions;
mod keys;
mod mutate;
mod names;
mod tree;

use std::{
    io::{BufWriter, Write},
    path::Path,
};

use fuzz::Dice;
use keys::{Algorithm, Key, Keys};
use mutate::mutate;
use tree::{Tree, bits, integer, octets, sequence};

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().unwrap();
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (count, seed) = (number(), number());
    let with_keys = words.next().is_some();
    let keys = Keys::make();
    let mut out = BufWriter::new(std::io::stdout().lock());
    for id in 0..count {
        // Each by a seed of its own: one can be made again without the others.
        let mut dice =
            Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(id).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (key, chain) = chain(&mut dice, &keys, id);
        if with_keys {
            std::fs::write(Path::new(&folder).join(format!("{id}.key")), key.to_pkcs8()).unwrap();
        }
        let files: Vec<String> = chain
            .iter()
            .enumerate()
            .map(|(n, der)| {
                let file = Path::new(&folder).join(format!("{id}-{n}.der"));
                std::fs::write(&file, der).unwrap();
                file.display().to_string()
            })
            .collect();
        writeln!(out, "{id} {}", files.join(" ")).unwrap();
    }
}

/// An authority, or what is about to be one.
struct Party<'a> {
    key: &'a Key,
    name: Tree,
    key_identifier: u8,
}

/// Root, leaf, and what is sent beside it; and the leaf's key.
fn chain<'a>(dice: &mut Dice, keys: &'a Keys, id: u64) -> (&'a Key, Vec<Vec<u8>>) {
    let issuers = [0, 0, 0, 1, 1, 2, 3, 4][dice.below(8) as usize];
    // Nothing but what is usual, so that what is odd is seen for itself.
    let oddness = [0, 1, 1, 1, 2, 6][dice.below(6) as usize];
    let mut parties: Vec<Party<'a>> = (0..=issuers)
        .map(|n| Party {
            key: keys.any(dice, oddness),
            name: names::authority(dice, &format!("{n} of {id}"), oddness),
            key_identifier: n as u8 + 1,
        })
        .collect();
    let key = keys.any(dice, oddness);
    parties.push(Party { key, name: names::leaf(dice, oddness), key_identifier: 99 });
    // Mostly the leaf, often another one, often none.
    let damaged = match dice.below(8) {
        0..4 => parties.len(),
        4 | 5 => parties.len() - 1,
        _ => dice.below(parties.len() as u64) as usize,
    };
    let mut made: Vec<Vec<u8>> = Vec::new();
    for (n, party) in parties.iter().enumerate() {
        let above = &parties[n.saturating_sub(1)];
        let is_leaf = n + 1 == parties.len();
        made.push(certificate(dice, party, above, is_leaf, oddness, damaged == n));
    }
    let mut others: Vec<Vec<u8>> = made[1..=issuers].iter().rev().cloned().collect();
    more(dice, keys, &parties, &mut others, &made[0], oddness);
    let leaf = made.last().unwrap().clone();
    let root = made.swap_remove(0);
    (key, [vec![root, leaf], others].concat())
}

/// What else is sent, or not: the root, a namesake, an issuer's other certificates, in any order.
fn more(
    dice: &mut Dice,
    keys: &Keys,
    parties: &[Party<'_>],
    others: &mut Vec<Vec<u8>>,
    root: &[u8],
    oddness: u64,
) {
    if dice.below(12) == 0 {
        others.push(root.to_vec());
    }
    if dice.below(12) == 0 {
        // Two roots, or issuers, of one name.
        let party = &parties[dice.below(parties.len() as u64 - 1) as usize];
        let namesake = Party { key: keys.any(dice, oddness), name: party.name.clone(), key_identifier: 77 };
        let above = if dice.below(2) == 0 { &namesake } else { &parties[0] };
        others.push(certificate(dice, &namesake, above, false, oddness, false));
    }
    if parties.len() > 2 && dice.below(8) == 0 {
        let n = 1 + dice.below(parties.len() as u64 - 2) as usize;
        let above = &parties[dice.below(n as u64) as usize];
        let is_damaged = dice.below(3) == 0;
        others.push(certificate(dice, &parties[n], above, false, oddness + 2, is_damaged));
    }
    if dice.below(10) == 0 && !others.is_empty() {
        others.remove(dice.below(others.len() as u64) as usize);
    }
    if dice.below(4) == 0 {
        others.reverse();
    }
}

fn certificate(
    dice: &mut Dice,
    party: &Party<'_>,
    above: &Party<'_>,
    is_leaf: bool,
    oddness: u64,
    is_damaged: bool,
) -> Vec<u8> {
    let algorithm = above.key.algorithm(dice, oddness);
    let mut parts = Vec::new();
    let version = names::pick(dice, oddness, 2, &[1, 0, 3, 4, 0x7f]);
    let has_extensions = version == 2 || dice.below(2) == 0;
    if version != 0 || dice.below(4) == 0 {
        parts.push(Tree::parts(0xa0, vec![integer(&[version])]));
    }
    parts.push(names::serial(dice, oddness));
    parts.push(algorithm.tree.clone());
    parts.push(names::spelt(dice, &above.name, oddness));
    parts.push(names::validity(dice, oddness));
    parts.push(party.name.clone());
    parts.push(party.key.info(dice, oddness));
    if names::chance(dice, oddness, 60) {
        parts.push(Tree::value(0x81, &[0, 1, 2]));
        parts.push(Tree::value(0x82, &[4, 0xf0]));
    }
    if has_extensions {
        let all = extensions::all(dice, party.key_identifier, above.key_identifier, is_leaf, oddness);
        parts.push(Tree::parts(0xa3, vec![sequence(all)]));
    }
    let mut tbs = sequence(parts);
    if is_damaged {
        mutate(dice, &mut tbs);
    }
    signed(dice, &tbs, &algorithm, above.key, oddness)
}

fn signed(dice: &mut Dice, tbs: &Tree, algorithm: &Algorithm, key: &Key, oddness: u64) -> Vec<u8> {
    let message = tbs.encode();
    let mut signature = key.sign(&message, algorithm);
    if names::chance(dice, oddness, 80) {
        let at = dice.below(signature.len() as u64) as usize;
        signature[at] ^= 1 << dice.below(8);
    }
    let mut outer = algorithm.tree.clone();
    if names::chance(dice, oddness, 60) {
        outer = key.algorithm(dice, 10).tree;
    }
    let unused = names::pick(dice, oddness / 2, 0, &[1, 7, 8]);
    let mut whole = sequence(vec![Tree::Encoded(message), outer, bits(unused, &signature)]);
    if names::chance(dice, oddness, 150)
        && let Tree::Parts { parts, .. } = &mut whole
    {
        parts.push(octets(b"more"));
    }
    let mut der = whole.encode();
    if names::chance(dice, oddness, 150) {
        der.push(0);
    }
    der
}
