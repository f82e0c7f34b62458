//! What this machine is called, and where it is.

use std::net::IpAddr;

use domain::AltName;

/// This machine's own name, as the system tells it.
pub fn host_name() -> Option<String> {
    let name = hostname::get().ok()?.into_string().ok()?;
    (!name.is_empty() && name != "localhost").then_some(name)
}

/// The domains that the network gave this machine for names without a dot (resolv.conf(5)), the first three. Whoever runs
/// the network chose them, so they are something to ask about; a top-level domain is none.
pub fn search_domains() -> Vec<AltName> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let lists = text.lines().filter_map(|line| line.strip_prefix("search").or(line.strip_prefix("domain")));
    let names = lists.flat_map(str::split_whitespace).map(|name| name.trim_end_matches('.'));
    names.filter(|name| name.contains('.')).filter_map(|name| AltName::dns(name).ok()).take(3).collect()
}

/// The addresses at which others reach this machine. Link-local ones of IPv6 are not among them: a browser cannot
/// open them.
pub fn addresses() -> Vec<IpAddr> {
    let reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(|i| i.ip()).filter(reachable).collect()
}
