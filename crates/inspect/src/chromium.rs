//! What Chromium makes of a chain: it looks at every way to a root, takes the first without a fault, and else shows
//! the gravest fault of one. Learned from Chromium 156 (`tests/outside/test_verdicts.py`).

use domain::AltName;
use time::OffsetDateTime;
use x509_cert::{
    der::oid::AssociatedOid,
    ext::pkix::{KeyUsage, SubjectAltName, name::GeneralName},
};

use crate::{
    facts::{ANY_PURPOSE, BadSignature, Facts, Key, SERVER_AUTH},
    names,
    paths::{Path, Pool},
};

/// The faults of a way, as far as they have pages of their own.
#[derive(Clone, Copy, Default, PartialEq)]
struct Faults {
    /// It ends at no root.
    is_adrift: bool,
    /// Nothing takes the place of this one.
    unreadable: bool,
    authority: bool,
    weak: bool,
    date: bool,
    /// Shown if there is nothing else.
    other: bool,
}

/// The error page, if there is one.
pub(crate) fn page(
    pool: Pool<'_>,
    leaf: &Facts,
    name: &AltName,
    now: OffsetDateTime,
) -> Option<&'static str> {
    let found: Vec<Faults> = pool.paths(leaf).iter().map(|path| faults(path, now)).collect();
    let good = found.iter().find(|faults| **faults == Faults::default());
    // Else one that ends at a root.
    let best = good.or_else(|| found.iter().find(|f| !f.is_adrift)).or(found.first());
    let mut faults = best.copied().unwrap_or_default();
    faults.unreadable |= is_unreadable(leaf);
    let wrong_name = !leaf.is_for(name);
    faults.other &= !(faults.authority || faults.weak || faults.date);
    [
        (faults.unreadable, "ERR_CERT_INVALID"),
        (faults.authority, "ERR_CERT_AUTHORITY_INVALID"),
        (faults.other, "ERR_CERT_INVALID"),
        (wrong_name, "ERR_CERT_COMMON_NAME_INVALID"),
        (faults.weak, "ERR_CERT_WEAK_KEY"),
        (faults.date, "ERR_CERT_DATE_INVALID"),
    ]
    .into_iter()
    .find_map(|(is_so, page)| is_so.then_some(page))
}

/// What its parser refuses.
fn is_unreadable(leaf: &Facts) -> bool {
    let names_count = leaf.names.is_empty() || leaf.is_critical(SubjectAltName::OID);
    leaf.unreadable.is_some() || leaf.subject_name().is_empty() && !names_count
}

fn faults(path: &Path<'_>, now: OffsetDateTime) -> Faults {
    // It looks no further.
    if !path.is_anchored {
        return Faults { is_adrift: true, authority: true, ..Faults::default() };
    }
    let mut faults = Faults::default();
    for certificate in &path.certificates {
        faults.date |= !certificate.is_valid_at(now);
        faults.weak |= matches!(certificate.key, Key::Rsa(..1024));
        faults.other |= certificate.has_unknown_critical();
        faults.other |= certificate
            .purposes
            .as_ref()
            .is_some_and(|p| !p.contains(&SERVER_AUTH) && !p.contains(&ANY_PURPOSE));
        if !path.is_top(certificate) {
            faults.unreadable |= !certificate.has_modern_signature();
        }
    }
    for (issuer, below) in path.issuers() {
        faults.other |= may_not_issue(issuer, path.is_top(issuer));
        let length = issuer.constraints.as_ref().and_then(|c| c.path_len_constraint);
        faults.other |= length.is_some_and(|length| Path::counted(below) > usize::from(length));
        if let Some(constraints) = &issuer.name_constraints {
            let outside = below
                .iter()
                .enumerate()
                .filter(|(n, c)| *n == 0 || !c.is_self_issued())
                .any(|(_, c)| names::violate(constraints, &names_of(c)));
            faults.other |= outside;
        }
        if let Some(signed) = below.last() {
            faults.authority |= signed.check_signature(issuer) == Err(BadSignature::Forged);
        }
    }
    // The leaf is trusted itself, as an authority.
    if let ([leaf], true) = (path.certificates.as_slice(), path.is_anchored) {
        faults.other |= may_not_issue(leaf, true);
        faults.authority |= leaf.check_signature(leaf).is_err();
    }
    faults
}

/// A root need not say that it is one, but must not say that it is none.
pub(crate) fn may_not_issue(issuer: &Facts, is_root: bool) -> bool {
    let is_none = match &issuer.constraints {
        Some(constraints) => !constraints.ca,
        None => !is_root,
    };
    is_none || issuer.may_not(KeyUsage::key_cert_sign)
}

/// All that name constraints are about: subjectAltNames, and a subject that is not empty.
fn names_of(certificate: &Facts) -> Vec<GeneralName> {
    let mut names = certificate.names.clone();
    if !certificate.subject_name().is_empty() {
        names.push(GeneralName::DirectoryName(certificate.subject_name().clone()));
    }
    names
}
