//! Keys that sign, and what is said of them.

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair},
};
use fuzz::Dice;

use crate::{
    names::chance,
    tree::{Tree, bits, integer, null, oid, sequence},
};

pub enum Key {
    /// With the identifier of its curve.
    Ec(EcdsaKeyPair, &'static str),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

/// How a certificate is signed: what it says, and what is done.
#[derive(Clone)]
pub struct Algorithm {
    pub tree: Tree,
    hash: usize,
    is_pss: bool,
}

pub struct Keys {
    usual: Vec<Key>,
    odd: Vec<Key>,
}

impl Keys {
    pub fn make() -> Keys {
        let ec = |algorithm, curve| Key::Ec(EcdsaKeyPair::generate(algorithm).unwrap(), curve);
        let p256 = || ec(&signature::ECDSA_P256_SHA256_ASN1_SIGNING, "1.2.840.10045.3.1.7");
        let p384 = || ec(&signature::ECDSA_P384_SHA384_ASN1_SIGNING, "1.3.132.0.34");
        let rsa = |size| Key::Rsa(Box::new(RsaKeyPair::generate(size).unwrap()));
        let usual = (0..6).map(|_| p256()).chain([p384()]).collect();
        let odd = vec![
            p384(),
            ec(&signature::ECDSA_P521_SHA512_ASN1_SIGNING, "1.3.132.0.35"),
            ec(&signature::ECDSA_P256K1_SHA256_ASN1_SIGNING, "1.3.132.0.10"),
            rsa(KeySize::Rsa2048),
            rsa(KeySize::Rsa2048),
            rsa(KeySize::Rsa3072),
            Key::Ed25519(Ed25519KeyPair::generate().unwrap()),
        ];
        Keys { usual, odd }
    }

    /// An authority's.
    pub fn any(&self, dice: &mut Dice, oddness: u64) -> &Key {
        let from = if dice.below(8) == 0 || chance(dice, oddness, 20) { &self.odd } else { &self.usual };
        &from[dice.below(from.len() as u64) as usize]
    }
}

const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const HASHES: [&str; 4] =
    ["1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "2.16.840.1.101.3.4.2.3"];

impl Key {
    pub fn to_pkcs8(&self) -> Vec<u8> {
        match self {
            Key::Ec(pair, _) => pair.to_pkcs8v1().unwrap().as_ref().to_vec(),
            Key::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(&**pair).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.to_pkcs8().unwrap().as_ref().to_vec(),
        }
    }

    /// SubjectPublicKeyInfo.
    pub fn info(&self, dice: &mut Dice, oddness: u64) -> Tree {
        let algorithm = match self {
            Key::Ec(_, curve) => vec![oid("1.2.840.10045.2.1"), oid(curve)],
            Key::Rsa(_) => vec![oid(RSA_ENCRYPTION), null()],
            Key::Ed25519(_) => vec![oid("1.3.101.112")],
        };
        let mut key = match self {
            Key::Ec(pair, _) => pair.public_key().as_ref().to_vec(),
            Key::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        };
        if let (Key::Ec(..), true) = (self, chance(dice, oddness, 100)) {
            // Compressed, or cut, or beside its curve.
            let half = (key.len() - 1) / 2;
            match dice.below(3) {
                0 => {
                    key[0] = 2 | key[2 * half] & 1;
                    key.truncate(1 + half);
                }
                1 => drop(key.pop()),
                _ => key[half] ^= 1,
            }
        }
        sequence(vec![sequence(algorithm), bits(0, &key)])
    }

    /// One that fits this key, mostly.
    pub fn algorithm(&self, dice: &mut Dice, oddness: u64) -> Algorithm {
        let hash = if chance(dice, oddness, 25) { dice.below(4) as usize } else { 1 };
        let is_pss = matches!(self, Key::Rsa(_)) && dice.below(6) == 0;
        let mut parts = match self {
            Key::Ec(_, curve) => {
                let natural = match *curve {
                    "1.3.132.0.34" => 2,
                    "1.3.132.0.35" => 3,
                    _ => 1,
                };
                let hash = if chance(dice, oddness, 25) { hash } else { natural };
                let tree = match hash {
                    0 => oid("1.2.840.10045.4.1"),
                    _ => oid(&format!("1.2.840.10045.4.3.{}", hash + 1)),
                };
                return Algorithm { tree: parameters(dice, vec![tree], oddness), hash, is_pss };
            }
            Key::Ed25519(_) => vec![oid("1.3.101.112")],
            Key::Rsa(_) if is_pss => {
                let hash = hash.max(1);
                return Algorithm {
                    tree: sequence(vec![oid("1.2.840.113549.1.1.10"), pss(dice, hash, oddness)]),
                    hash,
                    is_pss,
                };
            }
            Key::Rsa(_) => vec![oid(&format!("1.2.840.113549.1.1.{}", [5, 11, 12, 13][hash])), null()],
        };
        if chance(dice, oddness, 200) {
            parts[0] =
                oid(["1.2.840.113549.1.1.4", "1.3.14.3.2.29", "2.16.840.1.101.3.4.3.17"]
                    [dice.below(3) as usize]);
        }
        Algorithm { tree: parameters(dice, parts, oddness), hash, is_pss }
    }

    pub fn sign(&self, message: &[u8], algorithm: &Algorithm) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::Ec(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Key::Rsa(pair) => {
                let padding: &dyn signature::RsaEncoding = match (algorithm.is_pss, algorithm.hash) {
                    (true, 2) => &signature::RSA_PSS_SHA384,
                    (true, 3) => &signature::RSA_PSS_SHA512,
                    (true, _) => &signature::RSA_PSS_SHA256,
                    (false, 2) => &signature::RSA_PKCS1_SHA384,
                    (false, 3) => &signature::RSA_PKCS1_SHA512,
                    (false, _) => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

/// With NULL where there is none, or without.
fn parameters(dice: &mut Dice, mut parts: Vec<Tree>, oddness: u64) -> Tree {
    if chance(dice, oddness, 60) {
        match parts.len() {
            1 => parts.push(null()),
            _ => drop(parts.pop()),
        }
    }
    sequence(parts)
}

/// RSASSA-PSS-params.
fn pss(dice: &mut Dice, hash: usize, oddness: u64) -> Tree {
    let mut identifier = |hash: usize| {
        let mut parts = vec![oid(HASHES[hash]), null()];
        if chance(dice, oddness, 40) {
            parts.pop();
        }
        sequence(parts)
    };
    let first = identifier(hash);
    let second = identifier(hash);
    let other = if chance(dice, oddness, 40) { identifier_of(dice.below(4) as usize) } else { second };
    let salt = if chance(dice, oddness, 40) { 20 } else { [20, 32, 48, 64][hash] };
    let mut parts = vec![
        Tree::parts(0xa0, vec![first]),
        Tree::parts(0xa1, vec![sequence(vec![oid("1.2.840.113549.1.1.8"), other])]),
        Tree::parts(0xa2, vec![integer(&[salt])]),
    ];
    if chance(dice, oddness, 40) {
        parts.push(Tree::parts(0xa3, vec![integer(&[1])]));
    }
    if chance(dice, oddness, 40) {
        parts.remove(dice.below(3) as usize);
    }
    sequence(parts)
}

fn identifier_of(hash: usize) -> Tree {
    sequence(vec![oid(HASHES[hash]), null()])
}
