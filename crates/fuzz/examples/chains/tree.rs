//! DER to be damaged: elements that know their parts until they are written.

/// One element.
#[derive(Clone, Debug)]
pub enum Tree {
    /// Of bytes.
    Value { tag: u8, value: Vec<u8> },
    /// Of elements.
    Parts { tag: u8, parts: Vec<Tree> },
    /// Written already.
    Encoded(Vec<u8>),
    /// With a length that is longer than it must be, by so many bytes.
    Longer(Box<Tree>, usize),
}

impl Tree {
    pub fn value(tag: u8, value: &[u8]) -> Tree {
        Tree::Value { tag, value: value.to_vec() }
    }

    pub fn parts(tag: u8, parts: Vec<Tree>) -> Tree {
        Tree::Parts { tag, parts }
    }

    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(0)
    }

    fn encode_with(&self, longer: usize) -> Vec<u8> {
        let (tag, value) = match self {
            Tree::Value { tag, value } => (*tag, value.clone()),
            Tree::Parts { tag, parts } => (*tag, parts.iter().flat_map(Tree::encode).collect()),
            Tree::Encoded(bytes) => return bytes.clone(),
            Tree::Longer(inner, by) => return inner.encode_with(*by),
        };
        let mut out = vec![tag];
        let length = value.len().to_be_bytes();
        let bytes = &length[length.iter().take_while(|b| **b == 0).count()..];
        match value.len() {
            0..0x80 if longer == 0 => out.push(value.len() as u8),
            _ => {
                out.push(0x80 | (bytes.len() + longer) as u8);
                out.extend(std::iter::repeat_n(0, longer));
                out.extend(bytes);
            }
        }
        out.extend(value);
        out
    }

    /// How many elements there are below this one.
    pub fn count(&self) -> usize {
        match self {
            Tree::Parts { parts, .. } => parts.iter().map(|part| 1 + part.count()).sum(),
            _ => 0,
        }
    }

    /// The list that the `n`th element below this one stands in, and its place there.
    pub fn find(&mut self, mut n: usize) -> Option<(&mut Vec<Tree>, usize)> {
        let Tree::Parts { parts, .. } = self else { return None };
        for at in 0..parts.len() {
            if n == 0 {
                return Some((parts, at));
            }
            n -= 1;
            let below = parts[at].count();
            if n < below {
                return parts[at].find(n);
            }
            n -= below;
        }
        None
    }
}

pub fn sequence(parts: Vec<Tree>) -> Tree {
    Tree::parts(0x30, parts)
}

pub fn set(parts: Vec<Tree>) -> Tree {
    Tree::parts(0x31, parts)
}

pub fn integer(value: &[u8]) -> Tree {
    Tree::value(0x02, value)
}

pub fn octets(value: &[u8]) -> Tree {
    Tree::value(0x04, value)
}

pub fn boolean(value: u8) -> Tree {
    Tree::value(0x01, &[value])
}

pub fn null() -> Tree {
    Tree::value(0x05, &[])
}

pub fn bits(unused: u8, bytes: &[u8]) -> Tree {
    Tree::value(0x03, &[&[unused], bytes].concat())
}

/// From `2.5.29.17`.
pub fn oid(text: &str) -> Tree {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut value = Vec::new();
    for arc in [&[40 * arcs[0] + arcs[1]], &arcs[2..]].concat() {
        let digits = (1..10).find(|n| arc >> (7 * n) == 0).unwrap();
        value.extend((0..digits).rev().map(|n| (arc >> (7 * n)) as u8 & 0x7f | if n > 0 { 0x80 } else { 0 }));
    }
    Tree::value(0x06, &value)
}
