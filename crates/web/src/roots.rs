//! The roots' values as the templates print them.

use crate::{
    page::{Root, Trust},
    view::DateView,
};

/// The roots that a computer is to trust.
pub(crate) struct RootsView<'a> {
    /// A computer that was here before lacks no other.
    pub(crate) newest: RootView<'a>,
    pub(crate) others: Vec<RootView<'a>>,
    /// Whether everything is to move to the newest one, and does not yet.
    pub(crate) moving: bool,
    /// The reader's system, whose steps stand open: this computer's, or the most usual one where the page is read
    /// elsewhere.
    pub(crate) system: &'static str,
    pub(crate) constrained: bool,
}

impl<'a> RootsView<'a> {
    pub(crate) fn new(trust: &'a Trust) -> RootsView<'a> {
        let moving = trust.next.is_some();
        let alone = !moving && trust.old.is_empty();
        let newest = trust.next.as_ref().unwrap_or(&trust.root);
        let present = trust.next.as_ref().map(|_| RootView::new(&trust.root, "Present root", alone));
        let old = trust.old.iter().rev().map(|root| RootView::new(root, "Earlier root", alone));
        RootsView {
            newest: RootView::new(newest, "New root", alone),
            others: present.into_iter().chain(old).collect(),
            moving,
            system: system(newest),
            constrained: trust.roots().all(|root| root.constrained),
        }
    }

    /// The newest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &RootView<'a>> {
        [&self.newest].into_iter().chain(&self.others)
    }
}

fn system(root: &Root) -> &'static str {
    if root.file.is_some() { std::env::consts::OS } else { "windows" }
}

pub(crate) struct RootView<'a> {
    /// What it is beside the others.
    pub(crate) role: &'static str,
    pub(crate) name: &'a str,
    pub(crate) not_after: DateView,
    pub(crate) fingerprint: Vec<String>,
    /// The path of its download without the ending.
    pub(crate) path: String,
    pub(crate) file: Option<String>,
    /// The root's name, quoted for a POSIX shell.
    pub(crate) name_sh: String,
    // Where the root lies, quoted for each system's command line: the file itself on this one, what was
    // downloaded on the others.
    pub(crate) windows: String,
    pub(crate) macos: String,
    pub(crate) linux: String,
}

impl<'a> RootView<'a> {
    /// `alone`: the only one; its files are then called `root` and no more.
    fn new(root: &'a Root, role: &'static str, alone: bool) -> RootView<'a> {
        let name = match root.subject.strip_prefix("CN=") {
            Some(cn) if !cn.contains(['=', '\\']) => cn,
            _ => &root.subject,
        };
        let file = root.file.as_ref().map(|f| f.display().to_string());
        let digits: Vec<char> = root.sha256.to_uppercase().chars().collect();
        let path = if alone { "root".to_owned() } else { format!("root-{}", root.tag()) };
        let here = system(root);
        let on = |os| match &file {
            Some(file) if here == os => quoted(file),
            _ => format!("~/Downloads/camlock-{path}.pem"),
        };
        RootView {
            role,
            name,
            not_after: DateView::new(root.not_after),
            fingerprint: digits.chunks(4).map(String::from_iter).collect(),
            name_sh: quoted(name),
            // A path on Windows holds no quotation mark.
            windows: match &file {
                Some(file) if here == "windows" => format!("\"{}\"", file.replace('"', "")),
                _ => format!(r#""%USERPROFILE%\Downloads\camlock-{path}.crt""#),
            },
            macos: on("macos"),
            linux: on("linux"),
            path: format!("/{path}"),
            file,
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(quoted("/tmp/it's here/root.pem"), r"'/tmp/it'\''s here/root.pem'");
    }
}
