//! What this machine is called, and where it is.

use std::net::IpAddr;

/// This machine's own name, as the kernel tells it.
pub fn name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("COMPUTERNAME").ok())?;
    let name = name.trim().to_owned();
    (!name.is_empty() && name != "localhost").then_some(name)
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
