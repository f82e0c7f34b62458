//! How Chromium looks for ways to a root: every one, until one is without a fault.

use std::cmp::Reverse;

use super::{
    certificate::Certificate,
    der::Moment,
    verify::{Faults, verify},
};

/// Bounds that no honest chain reaches: names in circles would have ways without end.
const DEPTH_MAX: usize = 20;
const STEPS_MAX: usize = 2000;

/// The search below the roots of this computer.
pub(crate) struct Search<'a> {
    pub(crate) roots: &'a [&'a Certificate],
    /// As served.
    pub(crate) others: &'a [&'a Certificate],
    pub(crate) now: Moment,
    steps: usize,
    /// The faults of the way to talk about, and whether it ends at a root.
    best: Option<(Faults, bool)>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(
        roots: &'a [&'a Certificate],
        others: &'a [&'a Certificate],
        now: Moment,
    ) -> Search<'a> {
        Search { roots, others, now, steps: 0, best: None }
    }

    /// The faults of the best way: none, if there is a good one; else the first that ends at a root.
    pub(crate) fn best(mut self, leaf: &'a Certificate) -> Faults {
        self.extend(&mut vec![leaf]);
        self.best.map_or(Faults::adrift(&[leaf]), |(faults, _)| faults)
    }

    fn is_found(&self) -> bool {
        matches!(self.best, Some((faults, true)) if faults == Faults::default())
    }

    fn record(&mut self, faults: Faults, is_anchored: bool) {
        let is_better = match self.best {
            None => true,
            Some((_, was_anchored)) => is_anchored && (!was_anchored || faults == Faults::default()),
        };
        if is_better && !self.is_found() {
            self.best = Some((faults, is_anchored));
        }
    }

    fn extend(&mut self, path: &mut Vec<&'a Certificate>) {
        let Some(last) = path.last().copied() else { return };
        if path.len() >= DEPTH_MAX {
            return self.record(Faults::adrift(path), false);
        }
        let mut is_end = true;
        for (issuer, is_root) in self.issuers_of(last) {
            self.steps += 1;
            if self.is_found() || self.steps > STEPS_MAX {
                return;
            }
            if is_root {
                is_end = false;
                path.push(issuer);
                let faults = verify(path, self.now);
                path.pop();
                self.record(faults, true);
            } else if !path.iter().any(|known| is_same_authority(known, issuer)) {
                is_end = false;
                path.push(issuer);
                self.extend(path);
                path.pop();
            }
        }
        if is_end {
            self.record(Faults::adrift(path), false);
        }
    }

    /// In the order in which they are tried: roots and those that the key identifier points to first, then those that issued
    /// to themselves, then the newest.
    fn issuers_of(&self, certificate: &Certificate) -> Vec<(&'a Certificate, bool)> {
        // The system's trust store compares names by their bytes.
        let roots = self.roots.iter().copied().filter(|root| root.subject_der == certificate.issuer_der);
        let others = self.others.iter().copied().filter(|other| other.subject == certificate.issuer);
        let mut found: Vec<(&Certificate, bool)> = Vec::new();
        for issuer in roots.chain(others) {
            if !found.iter().any(|(known, _)| known.der == issuer.der) {
                found.push((issuer, self.roots.iter().any(|root| root.der == issuer.der)));
            }
        }
        found.sort_by_key(|(issuer, is_root)| {
            let order = match (&certificate.authority_key, &issuer.key_identifier) {
                (Some(wanted), Some(own)) if wanted != own => 4,
                (Some(_), Some(_)) => 0,
                _ => 1,
            };
            let order =
                if *is_root || order == 4 { order + u8::from(order == 4 && !is_root) } else { order + 2 };
            (order, !issuer.is_self_issued(), Reverse(issuer.not_before), Reverse(issuer.not_after))
        });
        found
    }
}

/// The same authority twice is a circle.
fn is_same_authority(a: &Certificate, b: &Certificate) -> bool {
    a.subject == b.subject && a.names_der == b.names_der && a.key_info == b.key_info
}
