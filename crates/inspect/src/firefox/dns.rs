//! Host names and mail addresses, as Firefox compares them.

use super::der::{BAD_DER, Page};

/// Where a host name stands.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    /// In the address bar: it may end with a dot.
    Reference,
    /// In a certificate.
    Presented,
    /// In a constraint: it may begin with a dot, or be nothing.
    Constraint,
}

/// Whether it can stand as a dNSName.
pub(crate) fn is_presented(name: &[u8]) -> bool {
    is_valid(name, Role::Presented, true)
}

/// Whether a dNSName is for this host.
pub(crate) fn is_host(presented: &[u8], host: &[u8]) -> Result<bool, Page> {
    if !is_presented(presented) || !is_valid(host, Role::Reference, false) {
        return Err(BAD_DER);
    }
    Ok(matches(presented, host.strip_suffix(b".").unwrap_or(host)))
}

/// Whether a dNSName lies below a constraint.
pub(crate) fn is_below(base: &[u8], presented: &[u8]) -> Result<bool, Page> {
    domain_is_below(base, presented, true, true)
}

/// Whether an address lies below a constraint: an address, the domain of all its addresses, or with a dot before it that of
/// all domains below it.
pub(crate) fn mail_is_below(base: &[u8], presented: &[u8]) -> Result<bool, Page> {
    let domain = mail_domain(presented).ok_or(BAD_DER)?;
    if !base.contains(&b'@') {
        return domain_is_below(base, domain, false, false);
    }
    mail_domain(base).ok_or(BAD_DER)?;
    // It stops where the presented one ends, and both must end there.
    Ok(presented.eq_ignore_ascii_case(base))
}

fn domain_is_below(base: &[u8], presented: &[u8], wildcards: bool, without_dot: bool) -> Result<bool, Page> {
    if !is_valid(presented, Role::Presented, wildcards) || !is_valid(base, Role::Constraint, false) {
        return Err(BAD_DER);
    }
    let Some(longer) = presented.len().checked_sub(base.len()).filter(|longer| *longer > 0) else {
        return Ok(matches(presented, base));
    };
    Ok(match base.first() {
        None => true,
        Some(b'.') => matches(&presented[longer..], base),
        Some(_) if without_dot => presented[longer - 1] == b'.' && matches(&presented[longer..], base),
        Some(_) => matches(presented, base),
    })
}

/// A wildcard stands for a label.
fn matches(presented: &[u8], reference: &[u8]) -> bool {
    let Some(behind) = presented.strip_prefix(b"*") else { return presented.eq_ignore_ascii_case(reference) };
    // The label that it stands for has a character at least.
    let dot = reference.iter().skip(1).position(|byte| *byte == b'.').map(|n| n + 1);
    dot.is_some_and(|dot| behind.eq_ignore_ascii_case(&reference[dot..]))
}

/// The domain of a mail address, as far as it is one.
fn mail_domain(mail: &[u8]) -> Option<&[u8]> {
    let at = mail.iter().position(|byte| *byte == b'@')?;
    let (local, domain) = (&mail[..at], &mail[at + 1..]);
    let is_atom = |atom: &[u8]| {
        let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(byte);
        !atom.is_empty() && atom.iter().all(is_one)
    };
    let is_local = local.split(|byte| *byte == b'.').all(is_atom);
    (is_local && is_valid(domain, Role::Presented, false)).then_some(domain)
}

fn is_valid(name: &[u8], role: Role, wildcards: bool) -> bool {
    if name.len() > 253 {
        return false;
    }
    if name.is_empty() {
        return role == Role::Constraint;
    }
    let is_wildcard = wildcards && name[0] == b'*';
    let rest = match name.strip_prefix(b"*.") {
        Some(rest) if is_wildcard => rest,
        _ if is_wildcard => return false,
        _ => name,
    };
    let rest = if role == Role::Constraint { rest.strip_prefix(b".").unwrap_or(rest) } else { rest };
    let rest = if role == Role::Reference { rest.strip_suffix(b".").unwrap_or(rest) } else { rest };
    let labels: Vec<&[u8]> = rest.split(|byte| *byte == b'.').collect();
    let is_label = |label: &&[u8]| {
        let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.iter().all(is_one)
            && !label.starts_with(b"-")
            && !label.ends_with(b"-")
    };
    let is_number = labels.last().is_some_and(|label| label.iter().all(u8::is_ascii_digit));
    labels.iter().all(is_label) && !is_number && (!is_wildcard || labels.len() >= 2)
}
