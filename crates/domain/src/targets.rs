//! The devices that somebody names: ranges of addresses, and lists with a line for each device, as on the command line
//! (`192.168.1.64`, `gate.lan:8080`, `[fe80::1]:80`, a URL), or as spreadsheets write them.

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use zeroize::Zeroizing;

use crate::{InvalidTarget, Target};

/// Addresses of one sweep: a /16 is what a site has at most.
const RANGE_MAX: usize = 1 << 16;
/// So many mistakes of a list are told one by one.
const MISTAKES_MAX: usize = 20;
/// What stands between the columns of a line, the likeliest first: a name may hold a comma.
const SEPARATORS: [char; 4] = [';', '\t', '|', ','];

/// A device of a list.
#[derive(Clone, Eq, PartialEq)]
pub struct Listed {
    /// Where it is.
    pub target: Target,
    /// Who signs in to it, if the list has a column for that.
    pub user: Option<String>,
    /// With what, if the list has a column for that.
    pub password: Option<Zeroizing<String>>,
}

impl fmt::Debug for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No password gets into a log by way of this.
        f.debug_struct("Listed").field("target", &self.target).finish_non_exhaustive()
    }
}

/// What is wrong with a list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistakes {
    /// The first ones, each with the number of its line, counted from 1.
    pub first: Vec<(usize, InvalidTarget)>,
    /// How many more lines are wrong.
    pub more: usize,
}

/// What a column of a list holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Column {
    Address,
    /// What may stand over addresses as well as over names.
    Device,
    Port,
    User,
    Password,
}

/// What stands at the top of columns, in English, German and Hungarian. Only these words: a mistyped address in the first
/// line is a mistake like any other.
const HEADERS: [(Column, &[&str]); 5] = [
    (
        Column::Address,
        &[
            "address",
            "addresses",
            "host",
            "host:port",
            "host[:port]",
            "hostname",
            "host name",
            "ip",
            "ip address",
            "ip-address",
            "ipv4",
            "ipv4 address",
            "ip addr",
            "target",
            "url",
            "adresse",
            "ip-adresse",
            "ip adresse",
            "ipv4-adresse",
            "rechnername",
            "ziel",
            "cím",
            "ip cím",
            "ip-cím",
            "ipcím",
            "gépnév",
            "hálózati cím",
        ],
    ),
    (Column::Device, &["camera", "device", "kamera", "gerät", "eszköz", "készülék"]),
    (Column::Port, &["port", "http port", "http-port", "https port", "https-port", "web port"]),
    (
        Column::User,
        &[
            "user",
            "username",
            "user name",
            "login",
            "account",
            "benutzer",
            "benutzername",
            "anmeldename",
            "konto",
            "felhasználó",
            "felhasználónév",
            "felhasznalo",
            "felhasznalonev",
        ],
    ),
    (Column::Password, &["password", "passwort", "kennwort", "pass", "pwd", "jelszó", "jelszo"]),
];

/// Reads a list, whatever wrote it: UTF-8, UTF-16 with its mark or Windows' Latin letters; any of the usual separators and
/// line ends; the addresses in the column that its header names, or else in that which holds most. Empty lines and those
/// that begin with `#` are passed over, and so is what follows a ` #` in a cell.
///
/// # Errors
///
/// The lines that name no device.
pub fn read_list(bytes: &[u8]) -> Result<Vec<Listed>, Mistakes> {
    let text = decoded(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let rows: Vec<(usize, Vec<String>)> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, cells(line)))
        // Excel's own word for its separator, and the empty rows of a sheet.
        .filter(|(_, cells)| !cells.iter().all(String::is_empty) && !cells[0].starts_with(['#']))
        .filter(|(line, cells)| *line > 1 || !cells[0].to_ascii_lowercase().starts_with("sep="))
        .collect();
    let header: Vec<Option<Column>> = rows.first().map(|(_, cells)| headings(cells)).unwrap_or_default();
    let at = |wanted: Column| header.iter().position(|column| *column == Some(wanted));
    let begins = usize::from(header.iter().any(Option::is_some));
    let rows = rows.get(begins..).unwrap_or_default();
    let address = at(Column::Address).unwrap_or_else(|| busiest(rows, at(Column::Device)));
    let (mut listed, mut mistakes) = (Vec::new(), Mistakes { first: Vec::new(), more: 0 });
    for (line, cells) in rows {
        let cell = |column: Option<usize>| {
            let cell = cells.get(column?).map_or("", String::as_str);
            (!cell.is_empty()).then_some(cell)
        };
        match target(cell(Some(address)).unwrap_or_default(), cell(at(Column::Port))) {
            Ok(target) => listed.push(Listed {
                target,
                user: cell(at(Column::User)).map(str::to_owned),
                password: cell(at(Column::Password)).map(|cell| Zeroizing::new(cell.to_owned())),
            }),
            Err(reason) if mistakes.first.len() < MISTAKES_MAX => mistakes.first.push((*line, reason)),
            Err(_) => mistakes.more += 1,
        }
    }
    if mistakes.first.is_empty() { Ok(listed) } else { Err(mistakes) }
}

fn decoded(bytes: &[u8]) -> String {
    let wide = |read: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            // Of these letters only names and passwords have some: Latin-1 is Unicode's beginning.
            Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        },
    }
}

/// The cells of a line, at least one. In quotes a separator is a letter, and a quote is written twice.
fn cells(line: &str) -> Vec<String> {
    let outside: String = line.split('"').step_by(2).collect();
    let separator = SEPARATORS.into_iter().find(|separator| outside.contains(*separator)).unwrap_or(',');
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                cell.push(c);
            }
            c if c == separator && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    let plain = |cell: &String| {
        let cell = cell.trim();
        let within = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
        within.map_or_else(|| cell.to_owned(), |within| within.replace("\"\"", "\"")).trim().to_owned()
    };
    cells.iter().map(plain).collect()
}

/// What the columns are called, if this is a line with such words.
fn headings(cells: &[String]) -> Vec<Option<Column>> {
    let heading = |cell: &String| {
        let word = cell.trim_end_matches([':', '.']).to_lowercase();
        HEADERS.iter().find(|(_, words)| words.contains(&word.as_str())).map(|(column, _)| *column)
    };
    let found: Vec<_> = cells.iter().map(heading).collect();
    let is_header = found.iter().any(|column| matches!(column, Some(Column::Address | Column::Device)));
    if is_header { found } else { Vec::new() }
}

/// The column in which most cells are addresses; without any, the one that is called like devices, or the first.
fn busiest(rows: &[(usize, Vec<String>)], called: Option<usize>) -> usize {
    let columns = rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or_default();
    let is_address = |cell: &String| {
        let target = cell.parse::<Target>();
        target.is_ok_and(|target| matches!(target.host, crate::AltName::Ip(_)))
    };
    let count = |column: usize| {
        rows.iter().filter_map(|(_, cells)| cells.get(column)).filter(|cell| is_address(cell)).count()
    };
    let best = (0..columns).max_by_key(|column| (count(*column), usize::MAX - column));
    best.filter(|column| count(*column) > 0).or(called).unwrap_or_default()
}

fn target(cell: &str, port: Option<&str>) -> Result<Target, InvalidTarget> {
    let cell = cell.split(" #").next().unwrap_or_default().trim();
    let target: Target = cell.parse()?;
    let Some(text) = port else { return Ok(target) };
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    let port = port.ok_or_else(|| InvalidTarget::InvalidPort { port: text.chars().take(20).collect() })?;
    // Where both usual ports may answer, as without a column.
    if target.port.is_some() || port == crate::Scheme::Http.default_port() {
        return Ok(target);
    }
    let text = format!("{}:{port}", target.url_host());
    Ok(Target { text, port: Some(port), ..target })
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
        read_list(list.as_bytes()).unwrap().into_iter().map(|listed| listed.target.text).collect()
    }

    /// As installers export them.
    #[test]
    fn a_list_of_a_spreadsheet_is_read() {
        let two = ["192.168.77.101", "192.168.77.102"];
        for list in [
            "Name;IP address\nGate;192.168.77.101\nDoor;192.168.77.102\n",
            "No.;IP\n1;192.168.77.101\n2;192.168.77.102\n",
            "Name;IP-Adresse\nTor;192.168.77.101\nHof;192.168.77.102",
            "Kamera;Adresse\nTor;192.168.77.101\nHof;192.168.77.102",
            "Név|IP-cím\nKapu|192.168.77.101\nUdvar|192.168.77.102",
            "Gate,192.168.77.101\nDoor,192.168.77.102",
            "sep=;\r\nHost;Name\r\n192.168.77.101;Gate\r\n;;\r\n192.168.77.102;Door\r\n;\r\n",
            "host\r192.168.77.101\r192.168.77.102\r",
            "192.168.77.101 # door\n192.168.77.102 #",
            "\"Name, long\"\t\"IP\"\n\"The \"\"red\"\" door\"\t\"192.168.77.101 \"\nx\t192.168.77.102",
        ] {
            assert_eq!(texts(list), two, "{list:?}");
            let wide: Vec<u8> =
                [0xff, 0xfe].into_iter().chain(list.encode_utf16().flat_map(u16::to_le_bytes)).collect();
            assert_eq!(read_list(&wide).unwrap().len(), 2, "{list:?}");
        }
        let latin = b"Name;Adresse\nT\xfcr;192.168.77.101\nHof;192.168.77.102\n";
        assert_eq!(read_list(latin).unwrap().len(), 2);
        // Host names alone are in the first column, or where the header says.
        assert_eq!(texts("gate.lan;Gate\nyard.lan;Yard"), ["gate.lan", "yard.lan"]);
        assert_eq!(texts("Name;Host\nGate;gate.lan"), ["gate.lan"]);
    }

    #[test]
    fn ports_users_and_passwords_go_with_their_device() {
        let list =
            "IP;Port;User;Password\n10.0.0.1;8443;root;\"a;b\"\n10.0.0.2;80;;\n10.0.0.3:81;8443;other;c\n";
        let listed = read_list(list.as_bytes()).unwrap();
        let shown: Vec<_> = listed
            .iter()
            .map(|one| {
                (one.target.text.as_str(), one.user.as_deref(), one.password.as_ref().map(|p| p.as_str()))
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("10.0.0.1:8443", Some("root"), Some("a;b")),
                ("10.0.0.2", None, None),
                ("10.0.0.3:81", Some("other"), Some("c"))
            ]
        );
        assert!(!format!("{listed:?}").contains("a;b"));
        let mistakes = read_list(b"IP;Port\n10.0.0.1;x\n").unwrap_err();
        assert_eq!(mistakes.first, [(2, InvalidTarget::InvalidPort { port: "x".into() })]);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let list: String = (0..30).map(|n| if n % 10 == 0 { "10.0.0.1\n" } else { "10.0.0.300\n" }).collect();
        let mistakes = read_list(list.as_bytes()).unwrap_err();
        assert_eq!((mistakes.first.len(), mistakes.more, mistakes.first[0].0), (MISTAKES_MAX, 7, 2));
        let zeros = read_list(b"192.168.077.104").unwrap_err();
        assert_eq!(zeros.first, [(1, InvalidTarget::LeadingZero { target: "192.168.077.104".into() })]);
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
            assert_eq!(read_list(list.as_bytes()).unwrap_err().first[0].0, line, "{list:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_at_some_of_their_lines(
            list in prop_oneof![
                "(?s).{0,200}".prop_map(String::into_bytes),
                "[a-z0-9.;,|\"#\r\n\t=: ]{0,200}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..200),
            ]
        ) {
            let lines = list.len() + 1;
            match read_list(&list) {
                Ok(listed) => prop_assert!(listed.len() <= lines),
                Err(mistakes) => {
                    let is_there = |(line, _): &(usize, InvalidTarget)| (1..=lines).contains(line);
                    prop_assert!(!mistakes.first.is_empty() && mistakes.first.iter().all(is_there));
                }
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
