//! What this machine is called, and where it is.

use std::net::IpAddr;

/// This machine's own name, as the system tells it.
pub fn host_name() -> Option<String> {
    let name = hostname::get().ok()?.into_string().ok()?;
    (!name.is_empty() && name != "localhost").then_some(name)
}

/// The addresses at which others reach this machine. Link-local ones of IPv6 are not among them: a browser cannot
/// open them.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_unspecified(),
    };
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.iter().map(|i| i.ip()).filter(reachable).collect()
}
