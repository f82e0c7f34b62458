//! Names, serial numbers and times, usual and odd.

use fuzz::Dice;
use time::{Duration, OffsetDateTime};

use crate::tree::{Tree, integer, oid, sequence, set};

/// More seldom than once in so many times, at the usual oddness of 1: never at 0.
pub fn chance(dice: &mut Dice, oddness: u64, one_in: u64) -> bool {
    dice.below(2 * one_in) < oddness
}

/// The usual value, or now and then another one.
pub fn pick<T: Copy>(dice: &mut Dice, oddness: u64, usual: T, others: &[T]) -> T {
    if chance(dice, oddness, 50) { others[dice.below(others.len() as u64) as usize] } else { usual }
}

fn attribute(kind: &str, tag: u8, value: &[u8]) -> Tree {
    sequence(vec![oid(kind), Tree::value(tag, value)])
}

/// Of its own for each chain: browsers remember what they saw.
pub fn authority(dice: &mut Dice, number: &str, oddness: u64) -> Tree {
    named(dice, &format!("Authority {number}"), oddness)
}

pub fn leaf(dice: &mut Dice, oddness: u64) -> Tree {
    if chance(dice, oddness, 20) {
        return sequence(vec![]);
    }
    let names = ["Camera", "127.0.0.1", "cam.home.arpa", "10.1.2.3"];
    let name = if chance(dice, oddness, 5) { names[dice.below(4) as usize] } else { "Camera" };
    named(dice, name, oddness)
}

fn named(dice: &mut Dice, name: &str, oddness: u64) -> Tree {
    let tag = pick(dice, oddness, 0x0c, &[0x0c, 0x13, 0x13, 0x14, 0x16, 0x1e, 0x1c, 0x1a, 0x12, 0x03]);
    let text = match dice.below(12) {
        0 if oddness > 0 => format!("{name} {}", ["_", "&", "@", "*", "\u{e9}", "#"][dice.below(6) as usize]),
        1 if oddness > 0 => format!("  {name} "),
        _ => name.to_owned(),
    };
    let value: Vec<u8> = match tag {
        0x1e => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        0x1c => text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect(),
        _ => text.into_bytes(),
    };
    let mut relatives =
        vec![set(vec![attribute("2.5.4.10", 0x0c, b"Home")]), set(vec![attribute("2.5.4.3", tag, &value)])];
    if chance(dice, oddness, 15) {
        let mail =
            attribute("1.2.840.113549.1.9.1", [0x16, 0x0c, 0x13][dice.below(3) as usize], b"a@cams.lan");
        match dice.below(2) {
            0 => relatives.push(set(vec![mail])),
            _ => relatives.push(set(vec![mail, attribute("2.5.4.5", 0x13, b"7")])),
        }
    }
    sequence(relatives)
}

/// The same name, perhaps written in another way.
pub fn spelt(dice: &mut Dice, name: &Tree, oddness: u64) -> Tree {
    let mut name = name.clone();
    if chance(dice, oddness, 60)
        && let Some((parts, at)) = name.find(3)
        && let Tree::Value { tag, value } = &mut parts[at]
    {
        match dice.below(3) {
            0 => value.make_ascii_uppercase(),
            1 => *tag = 0x13,
            _ => value.push(b' '),
        }
    }
    name
}

pub fn serial(dice: &mut Dice, oddness: u64) -> Tree {
    let mut random: Vec<u8> = (0..16).map(|_| dice.below(256) as u8).collect();
    random[0] = random[0] & 0x7f | 1;
    if chance(dice, oddness, 15) {
        match dice.below(7) {
            0 => random = vec![0],
            1 => random[0] |= 0x80,
            2 => random = [vec![0, 0], random].concat(),
            3 => random = [vec![0xff, 0xff], random].concat(),
            4 => random = [random.clone(), random].concat(),
            5 => random.clear(),
            _ => random = vec![0x7f; 200],
        }
    }
    integer(&random)
}

pub fn validity(dice: &mut Dice, oddness: u64) -> Tree {
    let days = pick(
        dice,
        oddness,
        (-2, 300),
        &[(-300, -2), (2, 300), (-2, 9000), (-20000, 300), (3, -3), (-2, 99000)],
    );
    sequence(vec![moment(dice, days.0, oddness), moment(dice, days.1, oddness)])
}

fn moment(dice: &mut Dice, days: i64, oddness: u64) -> Tree {
    let at = OffsetDateTime::now_utc() + Duration::days(days);
    let is_short = (1950..2050).contains(&at.year()) && !chance(dice, oddness, 20);
    let year = if is_short { format!("{:02}", at.year() % 100) } else { format!("{:04}", at.year()) };
    let date = format!("{year}{:02}{:02}", u8::from(at.month()), at.day());
    let usual = format!("{date}120000Z");
    let text = if chance(dice, oddness, 20) {
        match dice.below(14) {
            0 => format!("{date}1200Z"),
            1 => format!("{date}120000+0100"),
            2 => format!("{date}120000.5Z"),
            3 => format!("{date}240000Z"),
            4 => format!("{date}235960Z"),
            5 => format!("{date}120000"),
            6 => format!("{date}120000z"),
            7 => format!("{date}126000Z"),
            8 => format!("{year}0229120000Z"),
            9 => format!("{year}1301120000Z"),
            10 => format!("{year}0431120000Z"),
            11 => {
                if is_short {
                    "500101000000Z".into()
                } else {
                    "19490101000000Z".into()
                }
            }
            12 => {
                if is_short {
                    "491231235959Z".into()
                } else {
                    "19700101000000Z".into()
                }
            }
            _ => String::new(),
        }
    } else {
        usual
    };
    Tree::value(if is_short { 0x17 } else { 0x18 }, text.as_bytes())
}
