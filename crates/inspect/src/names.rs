//! Name constraints (RFC 5280, section 4.2.1.10): whether the names of a certificate lie inside those of an issuer.

use x509_cert::{
    ext::pkix::{NameConstraints, constraints::name::GeneralSubtree, name::GeneralName},
    name::Name,
};

/// More comparisons than that are refused, as by browsers: they would be a way to make a verifier work for ever.
const COMPARISONS_MAX: usize = 1 << 18;

/// Whether one of `names` is excluded, or of a kind of which others alone are permitted. A name or a constraint that
/// cannot be read, of a kind that is constrained, is outside.
pub(crate) fn violate(constraints: &NameConstraints, names: &[GeneralName]) -> bool {
    let permitted = constraints.permitted_subtrees.as_deref().unwrap_or_default();
    let excluded = constraints.excluded_subtrees.as_deref().unwrap_or_default();
    if names.len().saturating_mul(permitted.len() + excluded.len()) > COMPARISONS_MAX {
        return true;
    }
    names.iter().any(|name| {
        let of_its_kind = |subtrees: &'_ [GeneralSubtree]| -> Vec<GeneralName> {
            subtrees.iter().map(|s| s.base.clone()).filter(|base| same_kind(base, name)).collect()
        };
        let (permitted, excluded) = (of_its_kind(permitted), of_its_kind(excluded));
        excluded.iter().any(|base| reaches(base, name, Reach::Some))
            || !permitted.is_empty() && !permitted.iter().any(|base| reaches(base, name, Reach::Whole))
    })
}

fn same_kind(a: &GeneralName, b: &GeneralName) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Whether a subtree holds all of a name, or some of what a wildcard stands for.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Whole,
    Some,
}

fn reaches(base: &GeneralName, name: &GeneralName, reach: Reach) -> bool {
    // What cannot be compared is never permitted, and always excluded.
    let unknown = reach == Reach::Some;
    match (base, name) {
        (GeneralName::DnsName(base), GeneralName::DnsName(name)) => {
            let (base, name) = (base.as_str().to_ascii_lowercase(), name.as_str().to_ascii_lowercase());
            match name.strip_prefix("*.") {
                Some(parent) if reach == Reach::Some => {
                    domain_holds(&base, parent)
                        // Below the wildcard's parent by one label.
                        || base.split_once('.').is_some_and(|(_, rest)| rest == parent)
                }
                Some(parent) => base.is_empty() || base == parent || domain_holds(&base, parent),
                None => domain_holds(&base, &name),
            }
        }
        (GeneralName::IpAddress(base), GeneralName::IpAddress(name)) => {
            let (base, name) = (base.as_bytes(), name.as_bytes());
            let (network, mask) = base.split_at(base.len() / 2);
            let masked = |bytes: &[u8]| bytes.iter().zip(mask).map(|(b, m)| b & m).collect::<Vec<_>>();
            match (name.len(), base.len()) {
                (4, 8) | (16, 32) => masked(name) == masked(network),
                // Addresses of the other version are outside (Chromium, Firefox).
                (4, 32) | (16, 8) => false,
                _ => unknown,
            }
        }
        (GeneralName::Rfc822Name(base), GeneralName::Rfc822Name(name)) => {
            let (base, name) = (base.as_str(), name.as_str());
            match (base.split_once('@'), name.split_once('@')) {
                (Some((local, host)), Some((name_local, name_host))) => {
                    local == name_local && host.eq_ignore_ascii_case(name_host)
                }
                (None, Some((_, host))) if base.starts_with('.') => {
                    host.len() > base.len() && host.to_ascii_lowercase().ends_with(&base.to_ascii_lowercase())
                }
                (None, Some((_, host))) => host.eq_ignore_ascii_case(base),
                _ => unknown,
            }
        }
        (GeneralName::DirectoryName(base), GeneralName::DirectoryName(name)) => begins_with(name, base),
        _ => unknown,
    }
}

/// Whether a domain is a name or holds it. With a dot before it, which RFC 5280 does not know, it only holds names.
pub(crate) fn domain_holds(domain: &str, name: &str) -> bool {
    match name.strip_suffix(domain) {
        Some(rest) if domain.starts_with('.') => !rest.is_empty(),
        Some(rest) => rest.is_empty() || rest.ends_with('.') || domain.is_empty(),
        None => false,
    }
}

fn begins_with(name: &Name, base: &Name) -> bool {
    name.len() >= base.len() && base.iter_rdn().zip(name.iter_rdn()).all(|(a, b)| a == b)
}
