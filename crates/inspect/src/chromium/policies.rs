//! Certificate policies, as Chromium reads and processes them (RFC 9618). They count only where an authority demands a
//! policy: any will do then.

use std::collections::{BTreeMap, BTreeSet};

use super::der::{Reader, only_sequence, only_small, small};
use crate::der::{OID, context};

type Policy = Vec<u8>;

const ANY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];
/// The two kinds of qualifiers that there are (RFC 5280, section 4.2.1.4): below this, 1 and 2.
const QUALIFIERS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x02];

/// What a certificate says of policies.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) policies: Option<Vec<Policy>>,
    mappings: Vec<(Policy, Policy)>,
    require_explicit: Option<u8>,
    inhibit_mapping: Option<u8>,
    inhibit_any: Option<u8>,
}

impl Policies {
    pub(crate) fn read_policies(&mut self, value: &[u8]) -> Option<()> {
        self.policies = Some(policies(value, false)?);
        Some(())
    }

    pub(crate) fn read_mappings(&mut self, value: &[u8]) -> Option<()> {
        let mut reader = only_sequence(value)?;
        while !reader.is_empty() {
            let mut mapping = reader.sequence()?;
            self.mappings.push((mapping.value(OID)?.to_vec(), mapping.value(OID)?.to_vec()));
            mapping.end()?;
        }
        (!self.mappings.is_empty()).then_some(())
    }

    pub(crate) fn read_constraints(&mut self, value: &[u8]) -> Option<()> {
        let mut reader = only_sequence(value)?;
        if reader.is_empty() {
            return None;
        }
        self.require_explicit = reader.optional(context(0))?.map(small).unwrap_or(Some(u8::MAX));
        let inhibit = reader.optional(context(1))?.map(small).unwrap_or(Some(u8::MAX));
        self.require_explicit?;
        self.inhibit_mapping = Some(inhibit?);
        reader.end()
    }

    pub(crate) fn read_inhibit_any(&mut self, value: &[u8]) -> Option<()> {
        self.inhibit_any = Some(only_small(value)?);
        Some(())
    }
}

/// Whether a critical extension with policies has no qualifiers but those that are known.
pub(crate) fn has_known_qualifiers(value: &[u8]) -> bool {
    policies(value, true).is_some()
}

fn policies(value: &[u8], known_qualifiers: bool) -> Option<Vec<Policy>> {
    let mut reader = only_sequence(value)?;
    let mut found: Vec<Policy> = Vec::new();
    while !reader.is_empty() {
        let mut policy = reader.sequence()?;
        let oid = policy.value(OID)?;
        if found.iter().any(|known| known == oid) {
            return None;
        }
        found.push(oid.to_vec());
        if !policy.is_empty() {
            let list = policy.sequence()?;
            policy.end()?;
            qualifiers(list, known_qualifiers || oid == ANY)?;
        }
    }
    (!found.is_empty()).then_some(found)
}

fn qualifiers(mut list: Reader<'_>, known: bool) -> Option<()> {
    if list.is_empty() {
        return None;
    }
    while !list.is_empty() {
        let mut qualifier = list.sequence()?;
        let is_known = matches!(qualifier.value(OID)?, [start @ .., 1 | 2] if start == QUALIFIERS);
        qualifier.any()?;
        qualifier.end()?;
        if known && !is_known {
            return None;
        }
    }
    Some(())
}

/// Where the policies stand on the way down from the root.
pub(crate) struct State {
    /// Certificates until each takes effect.
    explicit: usize,
    mapping: usize,
    any: usize,
    /// Any policy is valid.
    has_any: bool,
    /// Valid policies, and whether each is mapped to another one.
    valid: BTreeMap<Policy, bool>,
    /// What those are called below.
    expected: BTreeSet<Policy>,
}

impl State {
    /// Before the first of so many certificates below a root.
    pub(crate) fn new(certificates: usize) -> State {
        let never = certificates + 1;
        State {
            explicit: never,
            mapping: never,
            any: never,
            has_any: true,
            valid: BTreeMap::new(),
            expected: BTreeSet::new(),
        }
    }

    fn none_is_valid(&self) -> bool {
        !self.has_any && self.valid.is_empty()
    }

    fn clear(&mut self) {
        self.has_any = false;
        self.valid.clear();
        self.expected.clear();
    }

    /// A certificate's own policies; false if one is demanded and none is valid. `may_say_any` if it is an issuer that
    /// issued to itself.
    pub(crate) fn apply(&mut self, policies: &Policies, may_say_any: bool) -> bool {
        match &policies.policies {
            None => self.clear(),
            Some(own) if !self.none_is_valid() => self.go_down(own, may_say_any || self.any > 0),
            Some(_) => {}
        }
        self.explicit > 0 || !self.none_is_valid()
    }

    fn go_down(&mut self, own: &[Policy], may_say_any: bool) {
        let unmapped = self.valid.iter().filter(|(_, mapped)| !**mapped).map(|(policy, _)| policy.clone());
        self.expected.extend(unmapped);
        let mut expected = std::mem::take(&mut self.expected);
        let had_any = std::mem::take(&mut self.has_any);
        self.valid.clear();
        for policy in own.iter().filter(|policy| *policy != ANY) {
            if expected.remove(policy) || had_any {
                self.valid.insert(policy.clone(), false);
            }
        }
        if may_say_any && own.iter().any(|policy| policy == ANY) {
            self.valid.extend(expected.into_iter().map(|policy| (policy, false)));
            self.has_any = had_any;
        }
    }

    /// What an issuer maps; false if it maps any policy, which it must not.
    pub(crate) fn map(&mut self, policies: &Policies) -> bool {
        if policies.mappings.iter().any(|(issuer, subject)| issuer == ANY || subject == ANY) {
            self.clear();
            return false;
        }
        for (issuer, subject) in &policies.mappings {
            if self.mapping == 0 {
                self.valid.remove(issuer);
            } else if self.has_any || self.valid.contains_key(issuer) {
                self.valid.insert(issuer.clone(), true);
                self.expected.insert(subject.clone());
            }
        }
        true
    }

    /// One certificate further down.
    pub(crate) fn count_down(&mut self) {
        for left in [&mut self.explicit, &mut self.mapping, &mut self.any] {
            *left = left.saturating_sub(1);
        }
    }

    /// An issuer's constraints on what lies below it.
    pub(crate) fn constrain(&mut self, policies: &Policies) {
        for (left, most) in [
            (&mut self.explicit, policies.require_explicit),
            (&mut self.mapping, policies.inhibit_mapping),
            (&mut self.any, policies.inhibit_any),
        ] {
            // What is not said is as if it took effect after 255 certificates, of which no way has so many.
            *left = most.map_or(*left, |most| (*left).min(most.into()));
        }
    }

    /// Whether the policies are right at the end of the way.
    pub(crate) fn end(&mut self, leaf: &Policies) -> bool {
        let is_demanded = self.explicit <= 1 || leaf.require_explicit == Some(0);
        !is_demanded || !self.none_is_valid()
    }
}
