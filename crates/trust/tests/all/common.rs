//! A computer made of a temporary folder, with stand-ins for the tools (tests/stand-in).

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use trust::{Act, Kind, Machine, Os, Problem, Root, State, Store, Wish};

pub struct Tree {
    /// Goes with it.
    _folder: tempfile::TempDir,
    pub machine: Machine,
}

impl Tree {
    /// A computer with these folders and these tools.
    pub fn new(os: Os, folders: &[&str], tools: &[&str]) -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().canonicalize().unwrap();
        let machine = Machine {
            os,
            home: Some(files.join("home/user")),
            data_home: None,
            config_home: None,
            java_home: None,
            programs: vec![files.join("bin")],
            files,
        };
        let tree = Tree { _folder: folder, machine };
        for name in [&["bin", "home/user"], folders].concat() {
            fs::create_dir_all(tree.at(name)).unwrap();
        }
        for tool in tools {
            let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in");
            symlink(stand_in, tree.at("bin").join(tool)).unwrap();
        }
        tree
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.machine.files.join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), text).unwrap();
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// What the tools were called with, since the last time.
    pub fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let _ = fs::remove_file(self.at("calls"));
        let tree = self.machine.files.display().to_string();
        calls.lines().map(|line| line.replace(&tree, "")).collect()
    }

    /// Every file and folder with its content, but for the record of calls.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let (mut all, mut folders) = (BTreeMap::new(), vec![self.machine.files.clone()]);
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path.clone());
                }
                if path != self.at("calls") {
                    all.insert(path.clone(), fs::read(&path).unwrap_or_default());
                }
            }
        }
        all
    }

    pub fn stores(&self) -> Vec<Store> {
        trust::stores(&self.machine)
    }

    /// The only store of its kind.
    pub fn store(&self, kind: &str) -> Store {
        let mut of_kind = self.stores().into_iter().filter(|store| store.kind.name() == kind);
        let store = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(of_kind.next(), None);
        store
    }

    pub fn change(&self, store: &Store, wish: Wish, root: &Root) -> Result<State, Problem> {
        trust::perform(&store.plan(wish, root, &self.machine)?.acts)?;
        store.verify(wish, root, &self.machine)
    }

    pub fn install(&self, store: &Store, root: &Root) -> Result<State, Problem> {
        self.change(store, Wish::Install, root)
    }

    pub fn uninstall(&self, store: &Store, root: &Root) -> Result<State, Problem> {
        self.change(store, Wish::Uninstall, root)
    }

    pub fn acts(&self, store: &Store, wish: Wish, root: &Root) -> Vec<Act> {
        store.plan(wish, root, &self.machine).unwrap().acts
    }
}

/// The bytes of no certificate: for the stores they are bytes. The fingerprint begins with the number.
pub fn root(number: u8) -> Root {
    Root { der: vec![0x30, 0x82, number, number], sha256: format!("{number:02x}").repeat(32) }
}

pub fn is_system(store: &Store) -> bool {
    matches!(store.kind, Kind::System(_))
}
