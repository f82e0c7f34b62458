//! What Chromium makes of a chain: it looks at every way to a root, takes the first without a fault, and else shows
//! the gravest fault of one. Its rules are those of its verifier, the library pki of BoringSSL; the order of its pages, and
//! where it differs from the library, was learned from Chromium 156 (`tests/outside/test_verdicts.py`).

mod certificate;
mod constraints;
mod der;
mod handshake;
mod keys;
mod names;
mod paths;
mod policies;
mod verify;

use domain::AltName;
use time::OffsetDateTime;

pub(crate) use certificate::{Certificate, Unreadable};
pub(crate) use handshake::{USAGE, page as handshake_page};
use names::GeneralNames;
use paths::Search;

/// The error page, if there is one. Roots and others are those that it can read.
pub(crate) fn page(
    roots: &[&Certificate],
    leaf: Result<&Certificate, Unreadable>,
    others: &[&Certificate],
    name: &AltName,
    now: OffsetDateTime,
) -> Option<&'static str> {
    let leaf = match leaf {
        Ok(leaf) if leaf.can_be_shown => leaf,
        Err(Unreadable::Content) => return Some("ERR_CERT_INVALID"),
        Ok(_) | Err(Unreadable::Frame) => return Some("ERR_SSL_SERVER_CERT_BAD_FORMAT"),
    };
    let now = now.to_offset(time::UtcOffset::UTC);
    let (date, time) = (now.date(), now.time());
    let year = u16::try_from(date.year()).unwrap_or_default();
    let now = (year, date.month().into(), date.day(), time.hour(), time.minute(), time.second());
    let faults = Search::new(roots, others, now).best(leaf);
    let wrong_name = !leaf.names.as_ref().is_some_and(|names| is_for(names, name));
    let other = faults.other && !(faults.authority || faults.weak || faults.date);
    [
        (faults.algorithm, "ERR_CERT_INVALID"),
        (faults.authority, "ERR_CERT_AUTHORITY_INVALID"),
        (other, "ERR_CERT_INVALID"),
        (wrong_name, "ERR_CERT_COMMON_NAME_INVALID"),
        (faults.weak, "ERR_CERT_WEAK_KEY"),
        (faults.date, "ERR_CERT_DATE_INVALID"),
    ]
    .into_iter()
    .find_map(|(is_so, page)| is_so.then_some(page))
}

/// Whether a certificate is for this host. A wildcard stands for one whole label.
fn is_for(names: &GeneralNames, host: &AltName) -> bool {
    match host {
        AltName::Ip(std::net::IpAddr::V4(ip)) => names.ip.iter().any(|bytes| *bytes == ip.octets()),
        AltName::Ip(std::net::IpAddr::V6(ip)) => names.ip.iter().any(|bytes| *bytes == ip.octets()),
        AltName::Dns(host) => {
            let host = host.strip_suffix('.').unwrap_or(host);
            names.dns.iter().any(|pattern| matches_host(pattern.strip_suffix('.').unwrap_or(pattern), host))
        }
    }
}

fn matches_host(pattern: &str, host: &str) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return !host.is_empty();
    }
    let (Some(behind), Some((_, parent))) = (pattern.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    behind.eq_ignore_ascii_case(parent) && !is_public_suffix(parent)
}

/// Whether everybody can have names below this domain, so that nobody may stand for all of them. Of those with more than
/// one label the list of public suffixes has thousands; this is the one that is for networks like those of cameras.
fn is_public_suffix(domain: &str) -> bool {
    !domain.contains('.') || domain.eq_ignore_ascii_case("home.arpa")
}
