//! The ways that lead from a served certificate to a trusted root.

use std::cmp::Reverse;

use crate::facts::Facts;

/// Bounds that no honest chain reaches: names in circles would have ways without end.
const DEPTH_MAX: usize = 20;
const STEPS_MAX: usize = 2000;
const PATHS_MAX: usize = 100;

/// What there is to build from.
#[derive(Clone, Copy)]
pub(crate) struct Pool<'a> {
    pub(crate) roots: &'a [&'a Facts],
    /// As served, in any order.
    pub(crate) others: &'a [&'a Facts],
}

/// From the leaf upwards; the last one is a trusted root, or its issuer was not found.
#[derive(Clone)]
pub(crate) struct Path<'a> {
    pub(crate) certificates: Vec<&'a Facts>,
    pub(crate) is_anchored: bool,
}

impl<'a> Pool<'a> {
    pub(crate) fn is_root(&self, certificate: &Facts) -> bool {
        self.roots.iter().any(|root| root.certificate == certificate.certificate)
    }

    /// Those whose subject is the issuer of this one: roots first, then the newest, as Chromium tries them.
    pub(crate) fn issuers_of(&self, certificate: &Facts) -> Vec<&'a Facts> {
        let is_issuer = |other: &&&Facts| other.subject == certificate.issuer;
        let mut found: Vec<&Facts> = self.roots.iter().filter(is_issuer).copied().collect();
        for other in self.others.iter().filter(is_issuer) {
            if !found.iter().any(|known| known.certificate == other.certificate) {
                found.push(other);
            }
        }
        found.sort_by_key(|f| {
            let certificate = &f.certificate;
            (!self.is_root(f), Reverse(certificate.not_before()), Reverse(certificate.not_after()))
        });
        found
    }

    /// Every way, those that end soonest at a root first; at least one.
    pub(crate) fn paths(&self, leaf: &'a Facts) -> Vec<Path<'a>> {
        let mut found = Vec::new();
        let mut steps = 0;
        self.extend(&mut vec![leaf], &mut steps, &mut found);
        found
    }

    fn extend(&self, path: &mut Vec<&'a Facts>, steps: &mut usize, found: &mut Vec<Path<'a>>) {
        *steps += 1;
        let Some(last) = path.last().copied() else { return };
        if self.is_root(last) {
            found.push(Path { certificates: path.clone(), is_anchored: true });
            return;
        }
        let mut is_end = true;
        for issuer in self.issuers_of(last) {
            // The same authority twice is a circle.
            let is_new =
                !path.iter().any(|p| p.subject == issuer.subject && p.public_key == issuer.public_key);
            if is_new && path.len() < DEPTH_MAX && *steps < STEPS_MAX && found.len() < PATHS_MAX {
                is_end = false;
                path.push(issuer);
                self.extend(path, steps, found);
                path.pop();
            }
        }
        if is_end {
            found.push(Path { certificates: path.clone(), is_anchored: false });
        }
    }
}

impl<'a> Path<'a> {
    /// Each issuer with what lies below it, the leaf first.
    pub(crate) fn issuers(&self) -> impl Iterator<Item = (&'a Facts, &[&'a Facts])> {
        self.certificates.iter().enumerate().skip(1).map(|(n, issuer)| (*issuer, &self.certificates[..n]))
    }

    pub(crate) fn is_top(&self, certificate: &Facts) -> bool {
        self.is_anchored && self.certificates.last().is_some_and(|top| std::ptr::eq(*top, certificate))
    }

    /// How many authorities between an issuer and the leaf count for a path length: those that issued to themselves
    /// do not (RFC 5280, section 4.2.1.9).
    pub(crate) fn counted(below: &[&Facts]) -> usize {
        below.iter().skip(1).filter(|c| !c.is_self_issued()).count()
    }
}
