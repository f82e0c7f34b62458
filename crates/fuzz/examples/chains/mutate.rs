//! Damage to anything, anywhere.

use fuzz::Dice;

use crate::tree::Tree;

const TAGS: [u8; 26] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1c, 0x1e,
    0x30, 0x31, 0x80, 0x81, 0x82, 0x87, 0xa0, 0xa3, 0x1f,
];

/// One to three changes.
pub fn mutate(dice: &mut Dice, tree: &mut Tree) {
    for _ in 0..[1, 1, 1, 2, 3][dice.below(5) as usize] {
        let count = tree.count() as u64;
        if count > 0
            && let Some((parts, at)) = tree.find(dice.below(count) as usize)
        {
            change(dice, parts, at);
        }
    }
}

fn change(dice: &mut Dice, parts: &mut Vec<Tree>, at: usize) {
    let other = dice.below(parts.len() as u64) as usize;
    let tag = TAGS[dice.below(TAGS.len() as u64) as usize];
    match dice.below(10) {
        0 => drop(parts.remove(at)),
        1 => parts.insert(at, parts[at].clone()),
        2 => parts.swap(at, other),
        3 => {
            let value: &[u8] =
                [&b""[..], &b"\x01"[..], &b"cam.lan"[..], &b"\x7f\0\0\x01"[..]][dice.below(4) as usize];
            parts.insert(at, Tree::value(tag, value));
        }
        4 => parts[at] = Tree::Longer(Box::new(parts[at].clone()), 1 + dice.below(3) as usize),
        5 => match &mut parts[at] {
            Tree::Value { tag: known, .. } | Tree::Parts { tag: known, .. } => *known = tag,
            _ => {}
        },
        _ => {
            if let Tree::Value { value, .. } = &mut parts[at] {
                damage(dice, value);
            }
        }
    }
}

fn damage(dice: &mut Dice, value: &mut Vec<u8>) {
    let length = value.len() as u64;
    match dice.below(6) {
        0 if length > 0 => drop(value.pop()),
        1 => value.push([0, 0x5a, 0xff, 0x20, 0x5f][dice.below(5) as usize]),
        2 => {
            *value =
                [&b""[..], &b"\0"[..], &b"\xff"[..], &[0; 5], &b"\x80"[..]][dice.below(5) as usize].to_vec()
        }
        3 => value.insert(0, [0, 0xff][dice.below(2) as usize]),
        4 => *value = value.repeat(2),
        _ if length > 0 => value[dice.below(length) as usize] ^= 1 << dice.below(8),
        _ => {}
    }
}
