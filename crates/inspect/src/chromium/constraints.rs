//! Name constraints, as Chromium reads and applies them.

use super::{
    der::{Reader, only_sequence},
    names::{DIRECTORY, DNS, GeneralNames, IP, MAIL, Name, is_below, mail_addresses},
};
use crate::der::constructed;

/// More comparisons than that are refused: they would be a way to make a verifier work for ever.
const COMPARISONS_MAX: usize = 1 << 20;

/// What an issuer may speak for.
#[derive(Debug)]
pub(crate) struct NameConstraints {
    permitted: GeneralNames,
    excluded: GeneralNames,
    /// The kinds that are constrained; those that Chromium cannot compare count if the extension is critical.
    kinds: u16,
}

impl NameConstraints {
    pub(crate) fn read(value: &[u8], is_critical: bool) -> Option<NameConstraints> {
        let mut reader = only_sequence(value)?;
        let permitted = reader.optional(constructed(0))?.map(subtrees);
        let excluded = reader.optional(constructed(1))?.map(subtrees);
        reader.end()?;
        if permitted.is_none() && excluded.is_none() {
            return None;
        }
        let permitted = permitted.unwrap_or_else(|| Some(GeneralNames::default()))?;
        let excluded = excluded.unwrap_or_else(|| Some(GeneralNames::default()))?;
        let counted = if is_critical { u16::MAX } else { MAIL | DNS | DIRECTORY | IP };
        let kinds = (permitted.kinds | excluded.kinds) & counted;
        Some(NameConstraints { permitted, excluded, kinds })
    }

    /// Whether all names of a certificate lie inside. `subject` is the content of the name.
    pub(crate) fn permit(&self, subject: &[u8], name: &Name, names: Option<&GeneralNames>) -> bool {
        let is_named = names.is_some();
        let no_names = GeneralNames::default();
        let names = names.unwrap_or(&no_names);
        let comparisons = if is_named {
            names.count() * (self.permitted.count() + self.excluded.count())
        } else {
            subject.len() * (self.permitted.directory.len() + self.excluded.directory.len())
        };
        let cannot_compare = self.kinds & names.kinds & !(MAIL | DNS | DIRECTORY | IP) != 0;
        if comparisons > COMPARISONS_MAX || cannot_compare {
            return false;
        }
        if self.kinds & MAIL != 0 {
            // Only without a subjectAltName the subject is looked at, and upper case does not hide what is excluded.
            let in_subject = if is_named { Some(Vec::new()) } else { mail_addresses(name) };
            let Some(in_subject) = in_subject else { return false };
            if !names.mail.iter().all(|mail| self.permits_mail(mail, false))
                || !in_subject.iter().all(|mail| self.permits_mail(mail, true))
            {
                return false;
            }
        }
        let permits_directory = |name: &[u8]| {
            self.permits(DIRECTORY, |list, _| list.directory.iter().any(|base| is_below(name, base)))
        };
        names.dns.iter().all(|name| self.permits_dns(name))
            && names.directory.iter().all(|name| permits_directory(name))
            && names
                .ip
                .iter()
                .all(|ip| self.permits(IP, |list, _| list.ip.iter().any(|base| holds(base, ip))))
            && (is_named && subject.is_empty() || permits_directory(subject))
    }

    /// Not in an excluded subtree; and in a permitted one, if there is one of its kind. `reaches` is told whether it is
    /// asked about the excluded.
    fn permits(&self, kind: u16, reaches: impl Fn(&GeneralNames, bool) -> bool) -> bool {
        !reaches(&self.excluded, true)
            && (self.permitted.kinds & kind == 0 || reaches(&self.permitted, false))
    }

    fn permits_dns(&self, name: &str) -> bool {
        self.permits(DNS, |list, excluded| list.dns.iter().any(|base| domain_holds(base, name, excluded)))
    }

    fn permits_mail(&self, mail: &str, any_case: bool) -> bool {
        let Some((local, domain)) = mail.split_once('@').filter(|(l, d)| is_local(l) && is_domain(d)) else {
            return false;
        };
        self.permits(MAIL, |list, excluded| {
            list.mail.iter().any(|base| mail_holds(base, local, domain, excluded, excluded && any_case))
        })
    }
}

/// One at least; without the minimum and maximum that RFC 5280 has no use for.
fn subtrees(content: &[u8]) -> Option<GeneralNames> {
    let mut reader = Reader(content);
    let mut names = GeneralNames::default();
    while !reader.is_empty() {
        let mut subtree = reader.sequence()?;
        names.add(subtree.any()?.whole, is_network)?;
        subtree.end()?;
    }
    (names.kinds != 0).then_some(names)
}

/// An address and a mask without holes.
fn is_network(bytes: &[u8]) -> bool {
    let mask = &bytes[bytes.len() / 2..];
    let ones: u32 = mask.iter().take_while(|b| **b == 0xff).map(|b| b.count_ones()).sum();
    let partial = mask.get(ones as usize / 8).map_or(0, |b| b.leading_ones());
    matches!(bytes.len(), 8 | 32) && mask.iter().map(|b| b.count_ones()).sum::<u32>() == ones + partial
}

/// Whether a network holds an address of its own version.
fn holds(network: &[u8], ip: &[u8]) -> bool {
    let (base, mask) = network.split_at(network.len() / 2);
    ip.len() == base.len() && ip.iter().zip(base).zip(mask).all(|((a, b), m)| a & m == b & m)
}

/// Whether a domain is a name or holds it; if `excluded`, also whether a wildcard might stand for it.
fn domain_holds(base: &str, name: &str, excluded: bool) -> bool {
    if base.is_empty() {
        return true;
    }
    let base = base.strip_suffix('.').unwrap_or(base);
    let name = name.strip_suffix('.').unwrap_or(name);
    if excluded
        && let Some(behind) = name.strip_prefix("*.").filter(|behind| !behind.is_empty())
        && base.split_once('.').is_some_and(|(_, parent)| parent.eq_ignore_ascii_case(behind))
    {
        return true;
    }
    let Some(start) = name.len().checked_sub(base.len()) else { return false };
    if !name[start..].eq_ignore_ascii_case(base) {
        return false;
    }
    // With a dot before it, which RFC 5280 does not know, it only holds names.
    start == 0 || base.starts_with('.') || name[..start].ends_with('.')
}

fn mail_holds(base: &str, local: &str, domain: &str, excluded: bool, any_case: bool) -> bool {
    // What cannot be compared is never permitted, and always excluded.
    let unknown = excluded;
    let (base_local, base_domain) = match base.split_once('@') {
        None => (None, base),
        Some((l, d)) if is_local(l) => (Some(l), d),
        Some(_) => return unknown,
    };
    if !is_domain(base_domain) {
        return unknown;
    }
    match base_local {
        Some(base) => {
            (base == local || any_case && base.eq_ignore_ascii_case(local))
                && base_domain.eq_ignore_ascii_case(domain)
        }
        None if base_domain.starts_with('.') => {
            domain.to_ascii_lowercase().ends_with(&base_domain.to_ascii_lowercase())
        }
        None => base_domain.eq_ignore_ascii_case(domain),
    }
}

fn is_local(text: &str) -> bool {
    let is_one = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    !text.is_empty() && text.chars().all(is_one)
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
}
