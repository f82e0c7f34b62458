//! How Chromium verifies one way, from the root down to the leaf.

use super::{
    certificate::Certificate, constraints::NameConstraints, der::Moment, keys::Algorithm, policies::State,
};
use crate::signature::{Kind, PublicKey};

/// The number of keyCertSign in keyUsage.
const CERT_SIGN: u8 = 5;

/// The faults of a way, as far as they have pages of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    /// A signature with a hash that is refused: nothing takes the place of this one.
    pub(crate) algorithm: bool,
    pub(crate) authority: bool,
    pub(crate) weak: bool,
    pub(crate) date: bool,
    /// Shown if there is nothing else.
    pub(crate) other: bool,
}

impl Faults {
    /// Of a way that ends at no root: it is hardly looked at.
    pub(crate) fn adrift(path: &[&Certificate]) -> Faults {
        Faults { authority: true, algorithm: has_unknown_algorithm(path), ..Faults::default() }
    }
}

/// Whether a signature is of an unknown kind: that of the last certificate, which may be a root, is not looked at.
fn has_unknown_algorithm(path: &[&Certificate]) -> bool {
    let signed = &path[..path.len().saturating_sub(1)];
    signed.iter().any(|certificate| certificate.algorithm.is_none() || certificate.algorithms_agree.is_none())
}

/// The way from the leaf, which is the first, to the root.
pub(crate) fn verify(path: &[&Certificate], now: Moment) -> Faults {
    let mut verifier = Verifier {
        now,
        faults: Faults { algorithm: has_unknown_algorithm(path), ..Faults::default() },
        policies: State::new(path.len() - 1),
        constraints: Vec::new(),
        key: None,
        path_length: path.len() - 1,
    };
    let Some((root, below)) = path.split_last() else { return Faults::adrift(path) };
    verifier.root(root);
    for (n, certificate) in below.iter().enumerate().rev() {
        let is_leaf = n == 0;
        // What lies below a certificate that nobody can be shown to have signed is not looked at.
        if verifier.any(certificate, is_leaf).is_none() {
            break;
        }
        if is_leaf { verifier.leaf(certificate) } else { verifier.issuer(certificate) }
    }
    verifier.faults
}

struct Verifier<'a> {
    now: Moment,
    faults: Faults,
    policies: State,
    constraints: Vec<&'a NameConstraints>,
    /// Of the issuer.
    key: Option<&'a PublicKey>,
    /// How many issuers may still come.
    path_length: usize,
}

impl<'a> Verifier<'a> {
    /// A root need not say that it is one, but must not say that it is none.
    fn root(&mut self, root: &'a Certificate) {
        self.date(root);
        if root.policies.policies.is_some() {
            self.faults.other |= !self.policies.apply(&root.policies, root.is_self_issued());
        }
        self.faults.other |= !self.policies.map(&root.policies);
        self.policies.constrain(&root.policies);
        self.usages(root);
        self.constraints.extend(&root.name_constraints);
        if let Some(constraints) = root.constraints {
            self.faults.other |= !constraints.is_authority;
            self.path_length = constraints.path_length.map_or(self.path_length, usize::from);
        }
        self.faults.other |= root.has_unknown_critical;
        self.take_key(root);
    }

    /// What holds for all below the root; `None` if its signature does not.
    fn any(&mut self, certificate: &'a Certificate, is_leaf: bool) -> Option<()> {
        let faults = &mut self.faults;
        faults.algorithm |= certificate.algorithms_agree.is_none();
        faults.other |= certificate.algorithms_agree == Some(false);
        let scheme = match certificate.algorithm.filter(|algorithm| !algorithm.is_sha1()) {
            None => {
                faults.algorithm = true;
                return None;
            }
            Some(Algorithm::Known(scheme)) => Some(scheme),
            Some(Algorithm::MlDsa(_)) => None,
        };
        match self.key {
            Some(key) if scheme.is_some_and(|scheme| certificate.signed.is_by(key, scheme)) => {}
            Some(_) => {
                faults.authority = true;
                return None;
            }
            None => return None,
        }
        if certificate.algorithms_agree != Some(true) {
            return None;
        }
        self.date(certificate);
        let names = certificate.names.as_ref();
        if !certificate.is_self_issued() || is_leaf {
            let subject = content(&certificate.subject_der);
            let is_inside = |c: &&NameConstraints| c.permit(subject, &certificate.subject, names);
            self.faults.other |= !self.constraints.iter().all(is_inside);
        }
        let may_say_any = !is_leaf && certificate.is_self_issued();
        self.faults.other |= !self.policies.apply(&certificate.policies, may_say_any);
        self.faults.other |= certificate.may_serve == Some(false);
        Some(())
    }

    fn issuer(&mut self, issuer: &'a Certificate) {
        self.faults.other |= !self.policies.map(&issuer.policies);
        self.take_key(issuer);
        self.constraints.extend(&issuer.name_constraints);
        let counts = !issuer.is_self_issued();
        if counts {
            self.policies.count_down();
        }
        self.policies.constrain(&issuer.policies);
        self.faults.other |= !issuer.constraints.is_some_and(|c| c.is_authority);
        match self.path_length.checked_sub(usize::from(counts)) {
            // Chromium counts it among the ways that lead nowhere.
            None => self.faults.other = true,
            Some(left) => self.path_length = left,
        }
        if let Some(length) = issuer.constraints.and_then(|c| c.path_length) {
            self.path_length = self.path_length.min(length.into());
        }
        self.faults.other |= issuer.may_not(CERT_SIGN) || issuer.has_unknown_critical;
    }

    fn leaf(&mut self, leaf: &'a Certificate) {
        self.faults.other |= leaf.has_unknown_critical || !self.policies.end(&leaf.policies);
        self.take_key(leaf);
    }

    fn date(&mut self, certificate: &Certificate) {
        self.faults.date |= !(certificate.not_before..=certificate.not_after).contains(&self.now);
    }

    fn usages(&mut self, issuer: &Certificate) {
        self.faults.other |= issuer.may_not(CERT_SIGN) || issuer.may_serve == Some(false);
    }

    fn take_key(&mut self, certificate: &'a Certificate) {
        self.key = certificate.key.as_ref();
        match self.key {
            Some(key) => self.faults.weak |= matches!(key.kind, Kind::Rsa(..1024)),
            None => self.faults.other = true,
        }
    }
}

/// Of a name that was read already.
fn content(name: &[u8]) -> &[u8] {
    super::der::only(name, crate::der::SEQUENCE).unwrap_or_default()
}
