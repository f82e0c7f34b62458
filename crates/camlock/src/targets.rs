//! The file that lists the devices that a command is for.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
};

use domain::{Listed, Target};
use serde_json::json;

use words::Words;

use crate::{
    failure::Failure,
    setting,
    talk::{tell, warn},
};

/// A line has some thirty bytes; this is room for every device of a large site, and for a bound on memory.
const MAX_BYTES: u64 = 1 << 20;

/// The targets that `file` (`-`: standard input) lists, in its order. A file that cannot be read, is larger than 1 MB or lists nothing is
/// wrong use; so are lines that name no device, each of which is told with its number.
pub fn read_list(file: &Path) -> Result<Vec<Listed>, Failure> {
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
    let targets = domain::read_list(&bytes).map_err(|mistakes| {
        for (line, reason) in &mistakes.first {
            tell(
                &Words::english()
                    .say(&json!({"code": "list-line", "file": name, "line": line, "reason": reason}))
                    .text,
            );
        }
        let count = mistakes.first.len() + mistakes.more;
        Failure { said: json!({"code": "list-lines", "file": name, "count": count}), exit: 2 }
    })?;
    if targets.iter().any(|listed| listed.password.is_some())
        && let Some(said) = file.metadata().ok().and_then(|metadata| setting::open_to_others(file, &metadata))
    {
        warn(&said);
    }
    if targets.is_empty() {
        return Err(Failure { said: json!({"code": "list-empty", "file": name}), exit: 2 });
    }
    Ok(targets)
}

/// The same for a command that signs in to nothing by the list: that its users and passwords are not used is said.
pub fn read_addresses(file: &Path) -> Result<Vec<Target>, Failure> {
    let listed = read_list(file)?;
    if listed.iter().any(|listed| listed.user.is_some() || listed.password.is_some()) {
        warn(&json!({"code": "list-logins-unused", "file": file.display().to_string()}));
    }
    Ok(listed.into_iter().map(|listed| listed.target).collect())
}
