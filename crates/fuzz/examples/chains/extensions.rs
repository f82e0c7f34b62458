//! Extensions, usual and odd.

use fuzz::Dice;

use crate::{
    names::{chance, pick},
    tree::{Tree, bits, boolean, integer, null, octets, oid, sequence, set},
};

/// What one certificate has.
pub fn all(dice: &mut Dice, own_key: u8, above_key: u8, is_leaf: bool, oddness: u64) -> Vec<Tree> {
    let mut all = Vec::new();
    let mut add = |dice: &mut Dice, id: &str, critical: bool, value: Tree| {
        let critical = critical != chance(dice, oddness, 40);
        let mut parts = vec![oid(id)];
        if critical {
            parts.push(boolean(pick(dice, oddness / 2, 0xff, &[1, 0])));
        }
        parts.push(Tree::parts(0x04, vec![value]));
        all.push(sequence(parts));
    };
    if is_leaf {
        if !chance(dice, oddness, 25) {
            let names = alt_names(dice, oddness);
            add(dice, "2.5.29.17", false, names);
        }
        if dice.below(4) > 0 {
            let value = basic(dice, false, oddness);
            add(dice, "2.5.29.19", true, value);
        }
    } else if !chance(dice, oddness, 25) {
        let value = basic(dice, true, oddness);
        add(dice, "2.5.29.19", true, value);
    }
    if dice.below(4) > 0 {
        let usual: &[u8] = if is_leaf { &[7, 0x80] } else { &[1, 0x06] };
        let value: &[u8] = pick(
            dice,
            oddness,
            usual,
            &[
                &[7, 0x80],
                &[2, 0x04],
                &[5, 0xa0],
                &[5, 0x20],
                &[3, 0x08],
                &[1, 0x02],
                &[0, 0],
                &[7],
                &[7, 0, 0x80],
                &[0, 0x81],
            ],
        );
        add(dice, "2.5.29.15", true, Tree::value(0x03, value));
    }
    let has_purposes = if is_leaf { dice.below(4) > 0 } else { dice.below(8) == 0 };
    if has_purposes {
        let value = purposes(dice, oddness);
        add(dice, "2.5.29.37", false, value);
    }
    if dice.below(4) > 0 {
        add(dice, "2.5.29.14", false, octets(&[own_key; 20]));
    }
    if dice.below(4) > 0 {
        let value = authority_key(dice, above_key, oddness);
        add(dice, "2.5.29.35", false, value);
    }
    rare(dice, is_leaf, oddness, &mut add);
    if chance(dice, oddness, 40) && !all.is_empty() {
        // Twice, or in another order.
        let one = all[dice.below(all.len() as u64) as usize].clone();
        match dice.below(2) {
            0 => all.push(one),
            _ => all.reverse(),
        }
    }
    all
}

fn rare(dice: &mut Dice, is_leaf: bool, oddness: u64, add: &mut impl FnMut(&mut Dice, &str, bool, Tree)) {
    if dice.below(if is_leaf { 30 } else { 4 }) == 0 {
        let value = name_constraints(dice, oddness);
        add(dice, "2.5.29.30", true, value);
    }
    if dice.below(5) == 0 {
        let value = policies(dice, oddness);
        add(dice, "2.5.29.32", false, value);
    }
    if chance(dice, oddness, 10) {
        let mut parts = Vec::new();
        for number in 0..2 {
            if dice.below(2) == 0 {
                parts.push(Tree::value(0x80 + number, &[dice.below(3) as u8]));
            }
        }
        add(dice, "2.5.29.36", true, sequence(parts));
    }
    if chance(dice, oddness, 25) {
        let any = ["2.5.29.32.0", "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2"];
        let mapping = (0..2).map(|_| oid(any[dice.below(3) as usize])).collect();
        add(dice, "2.5.29.33", false, sequence(vec![sequence(mapping)]));
    }
    if chance(dice, oddness, 25) {
        let value = integer(&[dice.below(3) as u8]);
        add(dice, "2.5.29.54", true, value);
    }
    if dice.below(6) == 0 {
        let place = Tree::value(
            0x86,
            pick(dice, oddness, b"http://nas.lan/", &[b"http://n\xe9s.lan/", b"http://nas\0lan/"]),
        );
        let method = ["1.3.6.1.5.5.7.48.1", "1.3.6.1.5.5.7.48.2"][dice.below(2) as usize];
        let access = vec![sequence(vec![oid(method), place])];
        let access = if chance(dice, oddness, 30) { vec![] } else { access };
        add(dice, "1.3.6.1.5.5.7.1.1", false, sequence(access));
    }
    if dice.below(8) == 0 {
        let place =
            Tree::parts(0xa0, vec![Tree::parts(0xa0, vec![Tree::value(0x86, b"http://nas.lan/crl")])]);
        add(dice, "2.5.29.31", false, sequence(vec![sequence(vec![place])]));
    }
    if chance(dice, oddness, 25) {
        let feature = sequence(vec![integer(&[5])]);
        let value = if dice.below(4) == 0 { sequence(vec![]) } else { feature };
        add(dice, "1.3.6.1.5.5.7.1.24", false, value);
    }
    for (id, critical, value) in [
        ("1.3.6.1.5.5.7.48.1.5", false, null()),
        ("2.16.840.1.113730.1.1", false, bits(6, &[0x40])),
        ("1.3.6.1.4.1.55738.1", false, null()),
        ("1.3.6.1.4.1.55738.2", true, null()),
        ("1.3.6.1.4.1.311.21.10", false, sequence(vec![])),
        ("1.3.6.1.4.1.11129.2.4.2", false, octets(&[0, 2, 0, 0])),
        ("1.3.6.1.4.1.11129.2.4.3", true, null()),
        ("2.5.29.18", false, sequence(vec![Tree::value(0x82, b"nas.lan")])),
    ] {
        if chance(dice, oddness, 80) {
            add(dice, id, critical, value);
        }
    }
}

fn basic(dice: &mut Dice, is_authority: bool, oddness: u64) -> Tree {
    let mut parts = Vec::new();
    match (is_authority != chance(dice, oddness, 40), chance(dice, oddness, 30)) {
        (true, false) => parts.push(boolean(0xff)),
        (true, true) => parts.push(boolean(1)),
        (false, true) => parts.push(boolean(0)),
        (false, false) => {}
    }
    if dice.below(if is_authority { 4 } else { 40 }) == 0 {
        let length: &[u8] =
            pick(dice, oddness, &[3], &[&[0], &[1], &[0, 200], &[0x7f], &[0xff], &[], &[0, 1], &[1, 0]]);
        parts.push(integer(length));
    }
    sequence(parts)
}

fn purposes(dice: &mut Dice, oddness: u64) -> Tree {
    const KINDS: [&str; 6] = [
        "1.3.6.1.5.5.7.3.1",
        "1.3.6.1.5.5.7.3.2",
        "2.5.29.37.0",
        "1.3.6.1.5.5.7.3.9",
        "2.16.840.1.113730.4.1",
        "1.3.6.1.5.5.7.3.3",
    ];
    if !chance(dice, oddness, 10) {
        return sequence(vec![oid(KINDS[0])]);
    }
    sequence((0..dice.below(4)).map(|_| oid(KINDS[dice.below(6) as usize])).collect())
}

fn authority_key(dice: &mut Dice, key: u8, oddness: u64) -> Tree {
    let key = if chance(dice, oddness, 30) { key + 1 } else { key };
    let mut parts = vec![Tree::value(0x80, &[key; 20])];
    if chance(dice, oddness, 30) {
        parts.push(Tree::parts(0xa1, vec![Tree::value(0x82, b"nas.lan")]));
    }
    if chance(dice, oddness, 30) {
        parts.push(Tree::value(0x82, &[7]));
    }
    if chance(dice, oddness, 30) {
        parts.remove(0);
    }
    sequence(parts)
}

fn alt_names(dice: &mut Dice, oddness: u64) -> Tree {
    let mut names = vec![Tree::value(0x87, &[127, 0, 0, 1])];
    if dice.below(2) == 0 {
        names.push(Tree::value(0x82, b"cam.home.arpa"));
    }
    while chance(dice, oddness, 8) {
        names.insert(dice.below(names.len() as u64 + 1) as usize, general_name(dice, false));
    }
    if chance(dice, oddness, 40) {
        names.remove(0);
    }
    sequence(names)
}

/// Any, or of a constraint.
fn general_name(dice: &mut Dice, is_constraint: bool) -> Tree {
    const DOMAINS: [&[u8]; 16] = [
        b"lan",
        b"home.arpa",
        b"cam.home.arpa",
        b"*.home.arpa",
        b"*.lan",
        b".arpa",
        b"",
        b".",
        b"cam_1.lan",
        b"-cam.lan",
        b"cam.lan.",
        b"127.0.0.1",
        b"CAM.HOME.ARPA",
        b"cam*.home.arpa",
        b"c\xe9m.lan",
        b"x.*.lan",
    ];
    const MAILS: [&[u8]; 8] =
        [b"a@cams.lan", b"cams.lan", b".lan", b"A@CAMS.lan", b"a@b@c", b"@", b"", b"a.@cams.lan"];
    const ADDRESSES: [&[u8]; 7] = [
        &[127, 0, 0, 1],
        &[10, 1, 2, 3],
        &[0; 16],
        &[127, 0, 0],
        &[],
        &[127, 0, 0, 1, 255, 0, 0, 0],
        &[1; 5],
    ];
    const NETWORKS: [&[u8]; 9] = [
        &[127, 0, 0, 0, 255, 0, 0, 0],
        &[10, 0, 0, 0, 255, 0, 0, 0],
        &[0; 8],
        &[127, 0, 0, 1, 255, 255, 255, 255],
        &[127, 0, 0, 0, 255, 0, 255, 0],
        &[127, 0, 0, 1],
        &[0; 32],
        &[127, 0, 0, 0, 255, 0, 0, 0, 0],
        &[126, 0, 0, 0, 254, 0, 0, 0],
    ];
    let any = |dice: &mut Dice, list: &[&'static [u8]]| list[dice.below(list.len() as u64) as usize];
    let named =
        |text: &[u8], tag| sequence(vec![set(vec![sequence(vec![oid("2.5.4.10"), Tree::value(tag, text)])])]);
    match dice.below(14) {
        0..4 => Tree::value(0x82, any(dice, &DOMAINS)),
        4..8 if is_constraint => Tree::value(0x87, any(dice, &NETWORKS)),
        4..8 => Tree::value(0x87, any(dice, &ADDRESSES)),
        8 => Tree::value(0x81, any(dice, &MAILS)),
        9 => Tree::parts(0xa4, vec![named(b"Home", [0x0c, 0x13][dice.below(2) as usize])]),
        10 => Tree::parts(0xa4, vec![named([&b"home"[..], b"Nobody"][dice.below(2) as usize], 0x13)]),
        11 => Tree::value(0x86, [&b"http://nas.lan/"[..], b"\xff"][dice.below(2) as usize]),
        12 => Tree::parts(
            0xa0,
            vec![oid("1.3.6.1.4.1.99999.5"), Tree::parts(0xa0, vec![Tree::value(0x0c, b"x")])],
        ),
        _ => Tree::value([0x88, 0x89, 0x84, 0x80][dice.below(4) as usize], &[42, 3]),
    }
}

fn name_constraints(dice: &mut Dice, oddness: u64) -> Tree {
    let mut parts = Vec::new();
    for number in 0..2 {
        if dice.below(2) == u64::from(number) || chance(dice, oddness, 8) {
            let subtrees = (0..dice.below(4) + u64::from(!chance(dice, oddness, 20)))
                .map(|_| {
                    let base = match (number, dice.below(3)) {
                        (0, 0) => Tree::value(0x87, &[127, 0, 0, 0, 255, 0, 0, 0]),
                        (0, 1) => Tree::value(0x82, b"home.arpa"),
                        _ if oddness == 0 => Tree::value(0x82, b"lan"),
                        _ => general_name(dice, true),
                    };
                    let mut subtree = vec![base];
                    if chance(dice, oddness, 40) {
                        subtree.push(Tree::value(0x80 + dice.below(2) as u8, &[0]));
                    }
                    sequence(subtree)
                })
                .collect();
            parts.push(Tree::parts(0xa0 + number, subtrees));
        }
    }
    sequence(parts)
}

fn policies(dice: &mut Dice, oddness: u64) -> Tree {
    const KINDS: [&str; 3] = ["1.3.6.1.4.1.99999.1", "2.5.29.32.0", "1.3.6.1.4.1.99999.2"];
    let count = if chance(dice, oddness, 20) { 0 } else { 1 + dice.below(2) };
    let policies = (0..count).map(|_| {
        let mut parts = vec![oid(KINDS[dice.below(3) as usize])];
        if dice.below(6) == 0 {
            let kind =
                ["1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2", "1.3.6.1.5.5.7.2.9"][dice.below(3) as usize];
            let qualifier = sequence(vec![oid(kind), Tree::value(0x16, b"http://nas.lan/")]);
            parts.push(sequence(if chance(dice, oddness, 20) { vec![] } else { vec![qualifier] }));
        }
        sequence(parts)
    });
    sequence(policies.collect())
}
