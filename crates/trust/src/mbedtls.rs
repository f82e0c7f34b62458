//! Software with mbedTLS. Given a bundle with one root that has critical name constraints, mbedTLS reads none of its
//! certificates (Mbed-TLS issues 8759 and 9324), so whoever changes the system's store wants to know of it first.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    Machine, Tool,
    machine::{entries, read_text},
};

/// What was found of mbedTLS. What has it built in, and what a container brings, is not seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mbedtls {
    /// Its shared libraries.
    pub libraries: Vec<PathBuf>,
    /// The installed packages that ask for it, but for its own.
    pub packages: BTreeSet<String>,
}

/// The folders of shared libraries; below them one for each kind of processor.
const LIBRARIES: [&str; 4] = ["/usr/lib", "/usr/lib64", "/lib", "/usr/local/lib"];
/// How the names of its files and packages begin. `libmbedcrypto` reads no certificates.
const NAMES: [&str; 3] = ["libmbedtls", "libmbedx509", "mbedtls"];

/// Looks for it.
pub fn mbedtls(machine: &Machine) -> Mbedtls {
    let mut found = Mbedtls::default();
    let mut seen = BTreeSet::new();
    for folder in LIBRARIES.map(|folder| machine.at(folder)) {
        let triples = entries(&folder).into_iter().filter(|f| f.is_dir() && name(f).contains("-linux-"));
        for file in triples.chain([folder.clone()]).flat_map(|folder| entries(&folder)) {
            let real = file.canonicalize().unwrap_or_else(|_| file.clone());
            if is_mbedtls(&name(&file)) && name(&file).contains(".so") && seen.insert(real.clone()) {
                found.libraries.push(real);
            }
        }
    }
    found.packages = debian(machine).chain(arch(machine)).chain(rpm(machine)).collect();
    found
}

fn name(path: &std::path::Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_mbedtls(name: &str) -> bool {
    NAMES.iter().any(|begin| name.starts_with(begin))
}

/// Whether any of these words names it, and the package is not itself a part of it.
fn asks<'a>(package: &str, mut words: impl Iterator<Item = &'a str>) -> bool {
    !is_mbedtls(package) && !package.starts_with("libmbed") && words.any(is_mbedtls)
}

fn debian(machine: &Machine) -> impl Iterator<Item = String> {
    let status = read_text(&machine.at("/var/lib/dpkg/status")).ok().flatten().unwrap_or_default();
    let asking = |paragraph: &str| {
        let field = |name: &str| paragraph.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        let depends =
            ["Depends", "Pre-Depends"].into_iter().filter_map(field).flat_map(|d| d.split([' ', ',', '|']));
        let package = field("Package")?;
        (field("Status")?.ends_with(" installed") && asks(package, depends)).then(|| package.to_owned())
    };
    status.split("\n\n").filter_map(asking).collect::<Vec<_>>().into_iter()
}

fn arch(machine: &Machine) -> impl Iterator<Item = String> {
    entries(&machine.at("/var/lib/pacman/local")).into_iter().filter_map(|folder| {
        let text = read_text(&folder.join("desc")).ok()??;
        let section = |name: &str| text.split("\n\n").find_map(|s| s.trim_start().strip_prefix(name));
        let package = section("%NAME%\n")?.trim();
        asks(package, section("%DEPENDS%\n")?.lines()).then(|| package.to_owned())
    })
}

fn rpm(machine: &Machine) -> impl Iterator<Item = String> {
    // Where dpkg rules, an rpm beside it knows nothing.
    let rpm = machine.program("rpm").filter(|_| !machine.at("/var/lib/dpkg/status").exists());
    let list =
        rpm.and_then(|rpm| Tool::new(&rpm, ["-qa", "--queryformat", "%{NAME} [%{REQUIRES} ]\\n"]).run().ok());
    let asking = |line: &str| {
        let (package, requires) = line.split_once(' ')?;
        asks(package, requires.split(' ')).then(|| package.to_owned())
    };
    list.unwrap_or_default().lines().filter_map(asking).collect::<Vec<_>>().into_iter()
}
