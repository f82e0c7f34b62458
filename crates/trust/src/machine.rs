//! The computer, as far as it decides which trust stores there are.

use std::{
    env, fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use crate::Problem;

/// No bundle of certificates and no policy is larger.
const LARGEST_FILE: u64 = 16 << 20;

/// The operating systems whose stores are known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(missing_docs)]
pub enum Os {
    Linux,
    Macos,
    Windows,
}

/// Where things are on a computer.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Which stores it has.
    pub os: Os,
    /// Where its files begin: `/`, or a folder that is laid out like it.
    pub files: PathBuf,
    /// The user's home, if there is one.
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`, if it is set.
    pub data_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`, if it is set.
    pub config_home: Option<PathBuf>,
    /// `JAVA_HOME`, if it is set.
    pub java_home: Option<PathBuf>,
    /// The folders in which programs are looked for.
    pub programs: Vec<PathBuf>,
}

impl Machine {
    /// This one.
    pub fn this() -> Machine {
        let os = match env::consts::OS {
            "windows" => Os::Windows,
            "macos" => Os::Macos,
            _ => Os::Linux,
        };
        let folder = |name| env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let mut programs: Vec<PathBuf> =
            env::var_os("PATH").iter().flat_map(env::split_paths).filter(|p| p.is_absolute()).collect();
        if os != Os::Windows {
            // A user's PATH often lacks the administrator's programs.
            programs.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        }
        Machine {
            os,
            files: PathBuf::from("/"),
            home: env::home_dir().filter(|h| h.is_absolute()),
            data_home: folder("XDG_DATA_HOME"),
            config_home: folder("XDG_CONFIG_HOME"),
            java_home: folder("JAVA_HOME"),
            programs,
        }
    }

    /// A place of the system, by its absolute path.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.files.join(path.trim_start_matches('/'))
    }

    /// A program, if it is installed.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        let name = if self.os == Os::Windows { format!("{name}.exe") } else { name.to_owned() };
        self.programs.iter().map(|folder| folder.join(&name)).find(|file| file.is_file())
    }

    /// A tool that must be there.
    pub(crate) fn tool(&self, name: &str) -> Result<PathBuf, Problem> {
        let tool = name.to_owned();
        self.program(name).ok_or_else(|| match self.bringing(name) {
            Some(install) => Problem::ToolMissing { tool, install },
            None => Problem::ToolAbsent { tool },
        })
    }

    /// The command that installs a tool on this distribution, where it is known.
    fn bringing(&self, tool: &str) -> Option<String> {
        let release = fs::read_to_string(self.at("/etc/os-release")).unwrap_or_default();
        let value = |line: &str| line.split_once('=').map(|(_, v)| v.trim_matches('"').to_owned());
        let ids: Vec<String> = release
            .lines()
            .filter(|l| l.starts_with("ID=") || l.starts_with("ID_LIKE="))
            .filter_map(value)
            .collect();
        let is = |family: &str| ids.iter().any(|id| id.split(' ').any(|word| word.starts_with(family)));
        let (_, install, packages) = PACKAGES.iter().find(|(families, ..)| families.iter().any(|f| is(f)))?;
        let (_, package) = packages.iter().find(|(of, _)| *of == tool)?;
        Some(format!("{install} {package}"))
    }

    /// Whether this process may change what is at a place, or make it.
    pub(crate) fn may_write(&self, place: &Path) -> bool {
        let there = place.ancestors().find(|a| a.exists()).unwrap_or(place);
        writable(there) && (there.is_dir() || there.parent().is_none_or(writable))
    }

    /// The home must be this user's own: root must leave nothing of root's in another's.
    pub(crate) fn must_own_home(&self) -> Result<(), Problem> {
        match &self.home {
            Some(home) if home.is_dir() && !is_own(home) => {
                Err(Problem::HomeOfAnother { home: home.display().to_string() })
            }
            _ => Ok(()),
        }
    }
}

/// Families of distributions by their `ID` or `ID_LIKE`, how they install, and what brings each tool.
type Packages = (&'static [&'static str], &'static str, &'static [(&'static str, &'static str)]);
const PACKAGES: [Packages; 5] = [
    (
        &["debian", "ubuntu"],
        "apt install",
        &[
            ("certutil", "libnss3-tools"),
            ("update-ca-certificates", "ca-certificates"),
            ("keytool", "default-jre-headless"),
        ],
    ),
    (
        &["fedora", "rhel", "centos"],
        "dnf install",
        &[
            ("certutil", "nss-tools"),
            ("update-ca-trust", "ca-certificates"),
            ("keytool", "java-latest-openjdk-headless"),
        ],
    ),
    (
        &["arch"],
        "pacman -S",
        &[("certutil", "nss"), ("trust", "p11-kit"), ("keytool", "jre-openjdk-headless")],
    ),
    (
        &["suse", "opensuse", "sles"],
        "zypper install",
        &[
            ("certutil", "mozilla-nss-tools"),
            ("update-ca-certificates", "ca-certificates"),
            ("keytool", "java-headless"),
        ],
    ),
    (
        &["alpine"],
        "apk add",
        &[
            ("certutil", "nss-tools"),
            ("update-ca-certificates", "ca-certificates"),
            ("keytool", "openjdk21-jre-headless"),
        ],
    ),
];

#[cfg(unix)]
fn writable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// There the tool itself says so.
#[cfg(not(unix))]
fn writable(_: &Path) -> bool {
    true
}

#[cfg(unix)]
fn is_own(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(folder).map(|m| m.uid());
    owner.is_ok_and(|uid| uid == rustix::process::geteuid().as_raw())
}

#[cfg(not(unix))]
fn is_own(_: &Path) -> bool {
    true
}

/// A file's bytes; none if there is no such file.
pub(crate) fn read(file: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let mut bytes = Vec::new();
    let opened = match fs::metadata(file) {
        // What is no file (a pipe, say) might never end.
        Ok(meta) if !meta.is_file() => return Err(Problem::odd(file, "not a file")),
        Ok(_) => fs::File::open(file),
        Err(e) => Err(e),
    };
    match opened.and_then(|f| f.take(LARGEST_FILE + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > LARGEST_FILE => Err(Problem::odd(file, "too large")),
        Ok(_) => Ok(Some(bytes)),
        // A dangling link is somebody's, too.
        Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(file).is_err() => Ok(None),
        Err(e) => Err(Problem::file(file, &e)),
    }
}

/// A file's text; none if there is no such file.
pub(crate) fn read_text(file: &Path) -> Result<Option<String>, Problem> {
    let Some(bytes) = read(file)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| Problem::odd(file, "not UTF-8"))
}

/// The paths in a folder, sorted; none if there is no such folder.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}
