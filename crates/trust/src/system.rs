//! The system's store: a folder of certificates, and a tool that makes of it what programs read.

use std::path::PathBuf;

use crate::{
    Act, Machine, Problem, Root, State, Tool, Wish,
    machine::{entries, read},
    pem,
};

/// How a family of distributions lays out its store.
#[derive(Debug, Eq, PartialEq)]
pub struct Layout {
    /// Where the administrator's certificates are, a file each.
    pub(crate) anchors: &'static str,
    /// How their files end; others are passed over.
    suffix: &'static str,
    /// The tool; its words when a file has come, and when one has gone.
    tool: (&'static str, &'static [&'static str], &'static [&'static str]),
    /// What it makes, in PEM.
    bundle: &'static str,
    /// What it, or a hook of it, makes for Java.
    pub(crate) java: &'static str,
}

/// In the order in which mkcert looks for them: the first whose folder is there is the one.
static LAYOUTS: [Layout; 4] = [
    // RHEL, Fedora
    Layout {
        anchors: "/etc/pki/ca-trust/source/anchors",
        suffix: "pem",
        tool: ("update-ca-trust", &["extract"], &["extract"]),
        bundle: "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
        java: "/etc/pki/ca-trust/extracted/java/cacerts",
    },
    // Debian, Ubuntu
    Layout {
        anchors: "/usr/local/share/ca-certificates",
        suffix: "crt",
        // Otherwise the links to a file that has gone stay.
        tool: ("update-ca-certificates", &[], &["--fresh"]),
        bundle: "/etc/ssl/certs/ca-certificates.crt",
        java: "/etc/ssl/certs/java/cacerts",
    },
    // Arch
    Layout {
        anchors: "/etc/ca-certificates/trust-source/anchors",
        suffix: "crt",
        tool: ("trust", &["extract-compat"], &["extract-compat"]),
        bundle: "/etc/ca-certificates/extracted/tls-ca-bundle.pem",
        java: "/etc/ssl/certs/java/cacerts",
    },
    // SUSE
    Layout {
        anchors: "/usr/share/pki/trust/anchors",
        suffix: "pem",
        tool: ("update-ca-certificates", &[], &[]),
        bundle: "/var/lib/ca-certificates/ca-bundle.pem",
        java: "/var/lib/ca-certificates/java-cacerts",
    },
];

impl Layout {
    /// That of this computer.
    pub(crate) fn of(machine: &Machine) -> Option<&'static Layout> {
        LAYOUTS.iter().find(|layout| machine.at(layout.anchors).is_dir())
    }

    /// Where the root is put.
    fn anchor(&self, root: &Root, machine: &Machine) -> PathBuf {
        machine.at(self.anchors).join(format!("{}.{}", root.mark(), self.suffix))
    }
}

pub(crate) fn look(layout: &Layout, root: &Root, machine: &Machine) -> Result<State, Problem> {
    let certificates = |bytes: Vec<u8>| pem::decode_all(&String::from_utf8_lossy(&bytes)).collect::<Vec<_>>();
    let bundle = read(&machine.at(layout.bundle))?.map(certificates).unwrap_or_default();
    let trusted = bundle.contains(&root.der);
    let anchor = layout.anchor(root, machine);
    match read(&anchor)?.map(certificates) {
        Some(held) if held != [root.der.clone()] => Err(Problem::NameTaken {
            place: layout.anchors.to_owned(),
            name: anchor.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }),
        Some(_) if trusted => Ok(State::Ours),
        Some(_) => Ok(State::Partial),
        None if trusted => {
            let holds = |file: &PathBuf| {
                let held = read(file).ok().flatten().map(certificates);
                held.is_some_and(|held| held.contains(&root.der))
            };
            let other = entries(&machine.at(layout.anchors)).into_iter().find(holds);
            let name = other.unwrap_or_else(|| machine.at(layout.bundle)).display().to_string();
            Ok(State::Foreign { name })
        }
        None => Ok(State::Absent),
    }
}

pub(crate) fn plan(layout: &Layout, wish: Wish, root: &Root, machine: &Machine) -> Result<Vec<Act>, Problem> {
    let anchor = layout.anchor(root, machine);
    let (name, come, gone) = layout.tool;
    let (change, words) = match wish {
        Wish::Install => (Act::WriteFile(anchor, root.pem().into_bytes()), come),
        Wish::Uninstall => (Act::RemoveFile(anchor), gone),
    };
    Ok(vec![change, Act::Run(Tool::new(&machine.tool(name)?, words), Vec::new())])
}
