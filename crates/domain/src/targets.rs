//! The devices that somebody names: ranges of addresses, and lists with a line for each device, as on the command line
//! (`192.168.1.64`, `gate.lan:8080`, `[fe80::1]:80`, a URL), of a CSV the first column.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::{InvalidTarget, Target};

/// Addresses of one sweep: a /16 is what a site has at most.
const RANGE_MAX: usize = 1 << 16;
/// What stands at the top of such lists. Only these: a mistyped address in the first line is a mistake like any other.
const HEADERS: [&str; 11] = [
    "address",
    "camera",
    "device",
    "host",
    "host:port",
    "host[:port]",
    "hostname",
    "ip",
    "ip address",
    "target",
    "url",
];

/// Empty lines and those that begin with `#` are passed over, and so is a header. The first mistake with its line,
/// counted from 1.
///
/// # Errors
///
/// The number of the line, and what is wrong there.
pub fn read_list(text: &str) -> Result<Vec<Target>, (usize, InvalidTarget)> {
    let mut targets = Vec::new();
    let mut is_first = true;
    // Spreadsheets write a byte order mark.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let column = line.split([',', ';', '\t']).next().unwrap_or_default().trim();
        let column = column.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(column).trim();
        if line.trim().is_empty() || column.starts_with('#') {
            continue;
        }
        if !std::mem::take(&mut is_first) || !HEADERS.contains(&column.to_lowercase().as_str()) {
            targets.push(column.parse().map_err(|e| (index + 1, e))?);
        }
    }
    Ok(targets)
}

/// What a range or an address stands for.
#[derive(Clone, Debug)]
pub enum Named {
    /// Addresses to sweep.
    Range(Vec<Ipv4Addr>),
    /// One device.
    One(Target),
}

/// Reads `192.168.1.0/24`, `192.168.1.10-192.168.1.50` (or shorter, `192.168.1.10-50`), or a target.
///
/// # Errors
///
/// It is none of these, or a range with too many addresses.
pub fn named(text: &str) -> Result<Named, InvalidTarget> {
    let too_large = || InvalidTarget::RangeTooLarge { range: text.to_owned() };
    // A host name may have a hyphen, too, but not behind a whole address.
    if let Some((first, last)) = text.split_once('-')
        && let Ok(first) = first.trim().parse::<Ipv4Addr>()
    {
        let last = end_of(first, last.trim())
            .ok_or_else(|| InvalidTarget::InvalidTarget { target: text.chars().take(80).collect() })?;
        return match last.to_bits().checked_sub(first.to_bits()) {
            None => Err(InvalidTarget::RangeBackwards { range: text.to_owned() }),
            Some(more) if more as usize >= RANGE_MAX => Err(too_large()),
            Some(_) => {
                Ok(Named::Range((first.to_bits()..=last.to_bits()).map(Ipv4Addr::from_bits).collect()))
            }
        };
    }
    match text.parse::<Ipv4Net>() {
        Ok(net) if 1_usize << (32 - net.prefix_len()) > RANGE_MAX => Err(too_large()),
        Ok(net) => Ok(Named::Range(net.hosts().collect())),
        // Of IPv6 no range is small enough to ask each address.
        Err(_) if text.parse::<ipnet::Ipv6Net>().is_ok() => Err(too_large()),
        Err(_) => text.parse().map(Named::One),
    }
}

/// The last address of a range, or its last number alone.
fn end_of(first: Ipv4Addr, last: &str) -> Option<Ipv4Addr> {
    let [a, b, c, _] = first.octets();
    let in_same = |number: u8| Ipv4Addr::new(a, b, c, number);
    last.parse().ok().or_else(|| last.parse().ok().map(in_same))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(list: &str) -> Vec<String> {
        read_list(list).unwrap().into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn lists_and_tables_are_read() {
        for list in [
            "192.168.1.64\ngate.lan:8080\n",
            "\u{feff}Host[:port];Name\r\n192.168.1.64;Gate\r\n\r\ngate.lan:8080;Yard",
            "# from the installer\nIP address,Name\n \"192.168.1.64\" ,\"Gate, left\"\n# old\ngate.lan:8080,",
            "target\tname\n192.168.1.64\tGate\ngate.lan:8080\tYard\n",
        ] {
            assert_eq!(texts(list), ["192.168.1.64", "gate.lan:8080"], "{list:?}");
        }
        assert_eq!(texts("\n#\nhost\n"), [] as [&str; 0]);
        // A host may be called that, anywhere but at the top.
        assert_eq!(texts("camera\ncamera"), ["camera"]);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        for (list, line) in [
            ("192.168.1.300\n", 1),
            ("host\n192.168.1.64\n\nftp://gate.lan\n", 4),
            (",Gate\n", 1),
            ("http://admin:secret@gate.lan", 1),
        ] {
            assert_eq!(read_list(list).unwrap_err().0, line, "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_at_one_of_its_lines(list in "(?s).{0,200}") {
            match read_list(&list) {
                Ok(targets) => prop_assert!(targets.len() <= list.lines().count()),
                Err((line, _)) => prop_assert!((1..=list.lines().count()).contains(&line)),
            }
        }
    }

    #[test]
    fn ranges_have_an_end() {
        let count = |text: &str| match named(text) {
            Ok(Named::Range(addresses)) => Some(addresses.len()),
            _ => None,
        };
        assert_eq!(count("192.168.1.0/24"), Some(254));
        assert_eq!(count("192.168.1.64/32"), Some(1));
        assert_eq!(count("10.0.0.0/16"), Some(65_534));
        assert_eq!(count("192.168.1.10-192.168.2.9"), Some(256));
        assert_eq!(count("192.168.1.10-50"), Some(41));
        assert_eq!(count("192.168.1.10 - 192.168.1.10"), Some(1));
        assert_eq!(count("10.0.0.0-10.0.255.255"), Some(65_536));
        for bad in [
            "10.0.0.0/15",
            "0.0.0.0/0",
            "fd00::/64",
            "10.0.0.0-10.1.0.0",
            "0.0.0.0-255.255.255.255",
            "10.0.0.9-8",
        ] {
            let (too_large, backwards) = (
                InvalidTarget::RangeTooLarge { range: bad.into() },
                InvalidTarget::RangeBackwards { range: bad.into() },
            );
            assert!([too_large, backwards].contains(&named(bad).unwrap_err()), "{bad}");
        }
        assert!(matches!(named("gate.lan:8443"), Ok(Named::One(_))));
        assert!(matches!(named("10-0-0-1.lan"), Ok(Named::One(_))));
        for bad in ["1.2.3.4/33", "1.2.3.4-256", "1.2.3.4-", "1.2.3.4-x"] {
            assert!(named(bad).is_err(), "{bad}");
        }
    }
}
