//! Targets as people have them: on the command line, or in a list that another program wrote.

use std::{net::Ipv4Addr, path::Path};

use domain::Target;
use ipnet::Ipv4Net;
use serde_json::json;

use crate::failure::Failure;

/// A list of a hundred thousand cameras, with room for what else stands in its lines.
const LIST_MAX: u64 = 32 << 20;
/// Addresses of one sweep: a /16 is what a site has at most.
const RANGE_MAX: usize = 1 << 16;
/// First columns that name the column.
const HEADINGS: [&str; 10] =
    ["address", "camera", "device", "host", "hostname", "ip", "ip address", "ipv4", "target", "url"];

/// The first column of each line: comma, semicolon or tab after it; empty lines, `#` and a heading are left out.
pub fn list(file: &Path) -> Result<Vec<Target>, Failure> {
    let unreadable = |e| Failure::file("file-unreadable", file, &e);
    if file.metadata().map_err(unreadable)?.len() > LIST_MAX {
        return Err(Failure {
            exit: 2,
            ..Failure::refused("list-too-long", "file", &file.display().to_string())
        });
    }
    let bytes = std::fs::read(file).map_err(unreadable)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut targets = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let first = line.split([',', ';', '\t']).next().unwrap_or_default();
        let first = first.trim().trim_matches('"').trim();
        let is_heading = targets.is_empty() && HEADINGS.contains(&first.to_ascii_lowercase().as_str());
        if first.is_empty() || first.starts_with('#') || is_heading {
            continue;
        }
        let target = first.parse().map_err(|reason: domain::InvalidTarget| Failure {
            said: json!({"code": "list-line", "file": file.display().to_string(), "line": number + 1, "reason": reason}),
            exit: 2,
        })?;
        targets.push(target);
    }
    Ok(targets)
}

/// What a range or an address stands for.
pub enum Named {
    /// Addresses to sweep.
    Range(Vec<Ipv4Addr>),
    /// One device.
    One(Target),
}

/// Reads `192.168.1.0/24`, or a target.
pub fn named(text: &str) -> Result<Named, Failure> {
    let too_large = || Failure { exit: 2, ..Failure::refused("range-too-large", "range", text) };
    match text.parse::<Ipv4Net>() {
        Ok(net) if 1_usize << (32 - net.prefix_len()) > RANGE_MAX => Err(too_large()),
        Ok(net) => Ok(Named::Range(net.hosts().collect())),
        // Of IPv6 no range is small enough to ask each address.
        Err(_) if text.parse::<ipnet::Ipv6Net>().is_ok() => Err(too_large()),
        Err(_) => Ok(Named::One(text.parse()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Ok(list(file.path())?.into_iter().map(|target| target.text).collect())
    }

    #[test]
    fn lists_are_read_as_other_programs_write_them() {
        for text in [
            "192.168.1.64\n192.168.1.65:8080\n",
            "\u{feff}IP Address;Name\r\n\"192.168.1.64\";\"Gate\"\r\n192.168.1.65:8080;\r\n",
            "# cameras\n\nhost,port\n192.168.1.64 ,80\n192.168.1.65:8080,\n",
            "Address\tModel\n192.168.1.64\tX\n192.168.1.65:8080\tY",
        ] {
            assert_eq!(read(text).unwrap(), ["192.168.1.64", "192.168.1.65:8080"], "{text:?}");
        }
        let wrong = read("address\n10.0.0.1\nno camera here\n").unwrap_err();
        assert_eq!((wrong.exit, wrong.said["line"].as_u64()), (2, Some(3)));
        assert_eq!(wrong.said["reason"]["code"], "invalid-target");
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
        for large in ["10.0.0.0/15", "0.0.0.0/0", "fd00::/64"] {
            assert_eq!(named(large).err().map(|e| e.exit), Some(2), "{large}");
        }
        assert!(matches!(named("gate.lan:8443"), Ok(Named::One(_))));
        assert!(named("1.2.3.4/33").is_err());
    }
}
