//! The file that lists the devices that a command is for.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
};

use domain::Target;
use serde_json::json;

use crate::failure::Failure;

/// A line has some thirty bytes; this is room for every device of a large site, and for a bound on memory.
const MAX_BYTES: u64 = 1 << 20;

/// The targets that `file` (`-`: standard input) lists, in its order. A file that cannot be read, is larger than 1 MB or lists nothing is
/// wrong use; so is a line that is no target, and the failure names its number.
pub fn read_list(file: &Path) -> Result<Vec<Target>, Failure> {
    let name = file.display().to_string();
    let unreadable = |e: std::io::Error| Failure::file("file-unreadable", file, &e);
    let mut bytes = Vec::new();
    let mut read = |from: &mut dyn Read| from.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    match file.to_str() {
        Some("-") => read(&mut stdin()),
        _ => File::open(file).and_then(|mut file| read(&mut file)),
    }
    .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure { said: json!({"code": "list-too-large", "file": name}), exit: 2 });
    }
    // Other columns may hold a name in any encoding.
    let targets = domain::read_list(&String::from_utf8_lossy(&bytes)).map_err(|(line, reason)| Failure {
        said: json!({"code": "list-line", "file": name, "line": line, "reason": reason}),
        exit: 2,
    })?;
    if targets.is_empty() {
        return Err(Failure { said: json!({"code": "list-empty", "file": name}), exit: 2 });
    }
    Ok(targets)
}
