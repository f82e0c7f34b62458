//! The root in this computer's trust stores: what there is ([`stores`]), whether the root is in it ([`Store::look`]),
//! what would be done ([`Store::plan`]), and the doing of it ([`perform`]).
//!
//! A certificate is known by its bytes, never by a name. What is put into a store carries the root's mark
//! ([`Root::mark`]) as file name, nickname or alias, so that what is taken out again is what was put in: the mark and
//! the bytes must both agree. A root that another hand put there is seen, and left.
//!
//! Windows and macOS have no place for a mark; there the bytes alone decide. Their command lines are made on every
//! system, so that they can be tested on each; they are written from the makers' documents.

mod act;
mod chromium_policy;
mod firefox_policy;
mod java;
mod machine;
mod macos;
mod mbedtls;
mod nss;
mod pem;
mod problem;
mod system;
mod table;
mod windows;

use std::path::PathBuf;

pub use act::{Act, Tool, perform};
pub use machine::{Machine, Os};
pub use mbedtls::{Mbedtls, mbedtls};
pub use problem::Problem;
pub use table::stores;

/// A root certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Root {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// Its SHA-256, lower-case hexadecimal.
    pub sha256: String,
}

impl Root {
    /// What it is called in the stores: letters and digits alone, whatever its subject holds.
    pub fn mark(&self) -> String {
        format!("camlock-{}", self.sha256.get(..16).unwrap_or(&self.sha256))
    }

    /// In PEM.
    pub fn pem(&self) -> String {
        pem::encode(&self.der)
    }
}

/// A trust store of this computer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Store {
    /// What kind it is.
    pub kind: Kind,
    /// Who reads it: the name of a program, or empty where many do.
    pub reader: &'static str,
    /// Where it is.
    pub place: PathBuf,
}

/// The kinds of stores.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The system's, made of a folder of certificates by a tool.
    System(&'static system::Layout),
    /// An NSS database: Chromium and its relatives on Linux, Firefox everywhere.
    Nss {
        /// A profile of Firefox, which keeps in it what a policy told it to trust.
        firefox: bool,
    },
    /// Firefox's `policies.json`.
    FirefoxPolicy,
    /// The folder of managed policies of Chromium and its relatives.
    ChromiumPolicy,
    /// Java's `cacerts`. One that the system's tool makes, `derived`, follows the system's store.
    Java {
        /// Made from the system's store.
        derived: bool,
    },
    /// The Root store of Windows: the computer's, or the user's.
    Windows {
        /// The computer's.
        machine: bool,
    },
    /// A keychain of macOS: the system's, or the user's.
    Macos {
        /// The system's.
        system: bool,
    },
}

impl Kind {
    /// Its name, for machines.
    pub fn name(self) -> &'static str {
        match self {
            Kind::System(_) => "system",
            Kind::Nss { .. } => "nss",
            Kind::FirefoxPolicy => "firefox-policy",
            Kind::ChromiumPolicy => "chromium-policy",
            Kind::Java { .. } => "java",
            Kind::Windows { .. } => "windows",
            Kind::Macos { .. } => "macos",
        }
    }
}

/// Whether a root is in a store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// It is not.
    Absent,
    /// Its file is there, and does not work (yet, or any more).
    Partial,
    /// It is, under its mark.
    Ours,
    /// It is, under another name: put there by another hand.
    Foreign {
        /// That name.
        name: String,
    },
}

impl State {
    /// Whether programs that read the store trust the root.
    pub fn is_trusted(&self) -> bool {
        matches!(self, State::Ours | State::Foreign { .. })
    }
}

/// What is wanted of a store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wish {
    /// The root in it.
    Install,
    /// The root out of it, if Camlock put it in.
    Uninstall,
}

/// What a store is like, and what is to be done to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// Whether the root is in it now.
    pub state: State,
    /// What is to be done, in this order. Nothing, if the wish holds, or will when another store has been changed.
    pub acts: Vec<Act>,
}

impl Store {
    /// Whether the root is in it; only reads.
    ///
    /// # Errors
    ///
    /// A store that cannot be read, a tool that is missing or fails, or another thing that has the root's mark.
    pub fn look(&self, root: &Root, machine: &Machine) -> Result<State, Problem> {
        match self.kind {
            Kind::System(layout) => system::look(layout, root, machine),
            Kind::Nss { firefox } => nss::look(&self.place, firefox, root, machine),
            Kind::FirefoxPolicy => firefox_policy::look(&self.place, root),
            Kind::ChromiumPolicy => chromium_policy::look(&self.place, root),
            Kind::Java { derived } => java::look(&self.place, derived, root, machine),
            Kind::Windows { machine: of_machine } => windows::look(of_machine, root, machine),
            Kind::Macos { .. } => macos::look(&self.place, root, machine),
        }
    }

    /// What has to be done so that the wish holds; only reads.
    ///
    /// # Errors
    ///
    /// As [`Store::look`]; and whatever keeps it from being done, so that nothing half done is begun.
    pub fn plan(&self, wish: Wish, root: &Root, machine: &Machine) -> Result<Plan, Problem> {
        let state = self.look(root, machine)?;
        match (wish, &state) {
            (Wish::Install, State::Ours | State::Foreign { .. }) | (Wish::Uninstall, State::Absent) => {
                return Ok(Plan { state, acts: Vec::new() });
            }
            (Wish::Uninstall, State::Foreign { name }) => {
                return Err(Problem::PutByAnother { place: self.shown(), name: name.clone() });
            }
            _ => self.must_be_writable(machine)?,
        }
        Ok(Plan { state, acts: self.acts(wish, root, machine)? })
    }

    fn acts(&self, wish: Wish, root: &Root, machine: &Machine) -> Result<Vec<Act>, Problem> {
        match self.kind {
            Kind::System(layout) => system::plan(layout, wish, root, machine),
            Kind::Nss { firefox } => nss::plan(&self.place, firefox, wish, root, machine),
            Kind::FirefoxPolicy => firefox_policy::plan(&self.place, wish, root),
            Kind::ChromiumPolicy => chromium_policy::plan(&self.place, wish, root),
            Kind::Java { derived } => java::plan(&self.place, derived, wish, root, machine),
            Kind::Windows { machine: of_machine } => windows::plan(of_machine, wish, root, machine),
            Kind::Macos { system } => macos::plan(&self.place, system, wish, root, machine),
        }
    }

    /// Looks whether the wish holds, after what [`Store::plan`] said was done.
    ///
    /// # Errors
    ///
    /// As [`Store::look`], and if the wish does not hold although every tool said that all is well.
    pub fn verify(&self, wish: Wish, root: &Root, machine: &Machine) -> Result<State, Problem> {
        let state = self.look(root, machine)?;
        if state.is_trusted() == (wish == Wish::Install) {
            return Ok(state);
        }
        Err(Problem::NotTaken { place: self.shown() })
    }

    fn must_be_writable(&self, machine: &Machine) -> Result<(), Problem> {
        if matches!(self.kind, Kind::Windows { .. } | Kind::Macos { .. }) || machine.may_write(&self.place) {
            return Ok(());
        }
        Err(Problem::NeedsRoot)
    }

    /// Where it is, as text.
    pub fn shown(&self) -> String {
        self.place.display().to_string()
    }
}
