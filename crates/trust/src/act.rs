//! What is done to a computer, as data: shown first, then performed.

use std::{
    ffi::OsString,
    fmt, fs, io,
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Problem, machine};

/// Longer than any tool takes on a slow machine (keytool does, 10 s).
const PATIENCE: Duration = Duration::from_secs(180);
/// More than any store prints.
const LARGEST_OUTPUT: u64 = 64 << 20;

/// One thing that is done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Act {
    /// A folder is made, with those above it.
    MakeFolder(PathBuf),
    /// A file is written whole, or not at all; one that is there keeps its mode, and a link to it stays a link.
    WriteFile(PathBuf, Vec<u8>),
    /// A file is removed.
    RemoveFile(PathBuf),
    /// A folder is removed, if nothing is in it.
    RemoveFolder(PathBuf),
    /// A tool runs; what takes back what it did, also if it failed half-way.
    Run(Tool, Vec<Act>),
    /// A tool works on a copy of a file (its last word), which then takes the file's place.
    Rewrite(PathBuf, Tool),
}

/// A tool with its words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tool {
    /// Where it is.
    pub program: PathBuf,
    /// Its words.
    pub words: Vec<OsString>,
    /// What it is given.
    pub input: Input,
}

/// What a tool is given beside its words.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Input {
    /// Nothing.
    None,
    /// On standard input.
    Standard(Vec<u8>),
    /// In a file, whose name is its last word.
    File(Vec<u8>),
}

/// Does one after the other. If one fails, those before it are taken back.
///
/// # Errors
///
/// What kept it from being done.
pub fn perform(acts: &[Act]) -> Result<(), Problem> {
    let mut done: Vec<Act> = Vec::new();
    for act in acts {
        let opposite = act.opposite()?;
        let failed = act.perform().err();
        if failed.is_none() || matches!(act, Act::Run(..)) {
            done.extend(opposite);
        }
        if let Some(problem) = failed {
            // The first failure is the one to tell.
            done.iter().rev().for_each(|back| drop(back.perform()));
            return Err(problem);
        }
    }
    Ok(())
}

impl Act {
    /// What takes it back, asked before it is done.
    fn opposite(&self) -> Result<Vec<Act>, Problem> {
        let restored = |file: &PathBuf| {
            Ok(match machine::read(file)? {
                Some(bytes) => vec![Act::WriteFile(file.clone(), bytes)],
                None => vec![Act::RemoveFile(file.clone())],
            })
        };
        match self {
            Act::MakeFolder(folder) => {
                let missing = folder.ancestors().take_while(|f| !f.exists());
                let mut folders: Vec<Act> = missing.map(|f| Act::RemoveFolder(f.to_owned())).collect();
                folders.reverse();
                Ok(folders)
            }
            Act::RemoveFolder(folder) => Ok(vec![Act::MakeFolder(folder.clone())]),
            Act::Run(_, back) => Ok(back.clone()),
            Act::WriteFile(file, _) | Act::RemoveFile(file) | Act::Rewrite(file, _) => restored(file),
        }
    }

    fn perform(&self) -> Result<(), Problem> {
        match self {
            Act::MakeFolder(folder) => fs::create_dir_all(folder).map_err(|e| Problem::file(folder, &e)),
            Act::WriteFile(file, bytes) => write(file, bytes).map_err(|e| Problem::file(file, &e)),
            Act::RemoveFile(file) => fs::remove_file(file).map_err(|e| Problem::file(file, &e)),
            Act::RemoveFolder(folder) => {
                // Somebody may have put a file there meanwhile; then it stays.
                let _ = fs::remove_dir(folder);
                Ok(())
            }
            Act::Run(tool, _) => tool.run().map(drop),
            Act::Rewrite(file, tool) => rewrite(file, tool),
        }
    }
}

/// The removal of a folder, and of so many above it, as far as nothing is left in them once `gone` is gone: an empty
/// folder says nothing to a browser.
pub(crate) fn emptied(folder: &Path, levels: usize, mut gone: Vec<PathBuf>) -> Vec<Act> {
    let mut acts = Vec::new();
    for folder in folder.ancestors().take(levels) {
        if !machine::entries(folder).iter().all(|left| gone.contains(left)) {
            break;
        }
        acts.push(Act::RemoveFolder(folder.to_owned()));
        gone = vec![folder.to_owned()];
    }
    acts
}

impl Tool {
    pub(crate) fn new<W: Into<OsString>>(program: &Path, words: impl IntoIterator<Item = W>) -> Tool {
        let words = words.into_iter().map(Into::into).collect();
        Tool { program: program.to_owned(), words, input: Input::None }
    }

    pub(crate) fn given(self, input: Input) -> Tool {
        Tool { input, ..self }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or(self.program.as_os_str()).to_string_lossy().into_owned()
    }

    /// Runs it to its end; what it printed.
    pub(crate) fn run(&self) -> Result<String, Problem> {
        let broken = |e: io::Error| Problem::ToolFailed { tool: self.name(), said: e.to_string() };
        let (mut command, _file) = self.command().map_err(broken)?;
        let (mut output, mut talk) =
            (tempfile::tempfile().map_err(broken)?, tempfile::tempfile().map_err(broken)?);
        command.stdout(output.try_clone().map_err(broken)?).stderr(talk.try_clone().map_err(broken)?);
        let mut child = command.spawn().map_err(broken)?;
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().map_err(broken)? {
                Some(status) => break status,
                // certutil asks for a password again and again, also where nobody hears it.
                None if Instant::now() < deadline && !is_endless(&talk) && !is_endless(&output) => {
                    thread::sleep(Duration::from_millis(5));
                }
                None => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(Problem::ToolHangs { tool: self.name(), seconds: PATIENCE.as_secs() });
                }
            }
        };
        let output = text(&mut output).map_err(broken)?;
        if status.success() {
            return Ok(output);
        }
        let said = text(&mut talk).map_err(broken)? + &output;
        Err(Problem::ToolFailed { tool: self.name(), said: shortened(&said) })
    }

    /// Ready to start, and the file that it reads.
    fn command(&self) -> io::Result<(Command, Option<tempfile::NamedTempFile>)> {
        let mut command = Command::new(&self.program);
        // Whatever is read of a tool's output is read in English.
        command.args(&self.words).env("LC_ALL", "C").stdin(Stdio::null());
        match &self.input {
            Input::None => {}
            Input::Standard(bytes) => {
                let mut file = tempfile::tempfile()?;
                file.write_all(bytes)?;
                file.rewind()?;
                command.stdin(file);
            }
            Input::File(bytes) => {
                let mut file = tempfile::Builder::new().suffix(".crt").tempfile()?;
                file.write_all(bytes)?;
                command.arg(file.path());
                return Ok((command, Some(file)));
            }
        }
        Ok((command, None))
    }
}

/// As it would be typed in, for people.
impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        for word in &self.words {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%".contains(c);
            match !word.is_empty() && word.chars().all(plain) {
                true => write!(f, " {word}")?,
                // What a terminal would obey is shown, not obeyed.
                false => write!(f, " '{}'", word.replace('\'', r"'\''").replace(char::is_control, "?"))?,
            }
        }
        Ok(())
    }
}

fn is_endless(file: &fs::File) -> bool {
    file.metadata().is_ok_and(|meta| meta.len() > LARGEST_OUTPUT)
}

fn text(file: &mut fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(LARGEST_OUTPUT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The beginning of what a tool said, on one line and harmless.
fn shortened(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().filter(|c| !c.is_control()).take(300).collect()
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = &fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut new = beside(file)?;
    new.write_all(bytes)?;
    put(new, file)
}

/// A new file in the same folder.
fn beside(file: &Path) -> io::Result<tempfile::NamedTempFile> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    // No tool takes it for a certificate or a policy by its name.
    tempfile::Builder::new().prefix(".camlock-").suffix(".tmp").tempfile_in(folder)
}

/// The new file takes the place of the old one.
fn put(new: tempfile::NamedTempFile, file: &Path) -> io::Result<()> {
    dress(new.path(), file)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// Mode and owner of the old file; if there is none, everybody may read the new one.
#[cfg(unix)]
fn dress(new: &Path, file: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    match fs::metadata(file) {
        Ok(old) => {
            chown(new, Some(old.uid()), Some(old.gid()))?;
            fs::set_permissions(new, old.permissions())
        }
        Err(_) => fs::set_permissions(new, fs::Permissions::from_mode(0o644)),
    }
}

#[cfg(not(unix))]
fn dress(_: &Path, _: &Path) -> io::Result<()> {
    Ok(())
}

fn rewrite(file: &Path, tool: &Tool) -> Result<(), Problem> {
    let broken = |e: io::Error| Problem::file(file, &e);
    let file = &fs::canonicalize(file).map_err(broken)?;
    let copy = beside(file).map_err(broken)?;
    fs::copy(file, copy.path()).map_err(broken)?;
    let mut tool = tool.clone();
    tool.words.push(copy.path().into());
    tool.run()?;
    // The tool may have made a new file of that name: it is what counts, not the one that is open.
    dress(copy.path(), file).map_err(broken)?;
    let synced = fs::File::open(copy.path()).and_then(|f| f.sync_all());
    synced.map_err(broken)?;
    copy.into_temp_path().persist(file).map_err(|e| broken(e.error))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_could_be_typed_in_and_is_harmless() {
        let tool =
            Tool::new(Path::new("/usr/bin/certutil"), ["-d", "sql:/home/o'neil x", "", "\u{1b}[2J", "$(id)"]);
        assert_eq!(tool.to_string(), r"certutil -d 'sql:/home/o'\''neil x' '' '?[2J' '$(id)'");
    }

    #[test]
    fn what_a_tool_says_is_shortened_to_a_harmless_line() {
        let said = format!("first\n\tsecond \u{1b}[31m{}", "x".repeat(1000));
        assert!(shortened(&said).starts_with("first second [31mxxx"));
        assert_eq!(shortened(&said).chars().count(), 300);
    }

    #[test]
    fn what_failed_half_way_is_taken_back_in_reverse() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("old"), "old").unwrap();
        let acts = [
            Act::WriteFile(at("old"), b"new".to_vec()),
            Act::MakeFolder(at("a/b")),
            Act::WriteFile(at("a/b/file"), b"x".to_vec()),
            Act::RemoveFile(at("old")),
            Act::Run(Tool::new(&at("no-such-tool"), [""; 0]), vec![]),
        ];
        assert!(matches!(perform(&acts), Err(Problem::ToolFailed { .. })));
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "old");
        assert!(!at("a").exists());
        perform(&acts[..4]).unwrap();
        assert!(!at("old").exists() && at("a/b/file").exists());
    }
}
