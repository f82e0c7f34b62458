use std::path::Path;

use serde::{Deserialize, Serialize};

/// Why a trust store could not be read or changed: a code with typed arguments. The sentence for people is made by
/// `words` from the code; what is written here is for developers.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the sentence that they complete.
pub enum Problem {
    /// Only an administrator can change it.
    #[error("it can be changed by root alone")]
    NeedsRoot,
    /// The home is another user's: what root made in it would be root's, and the browser's no more.
    #[error("{home} belongs to another user")]
    HomeOfAnother { home: String },
    /// The tool that changes the store is not installed; `install` is the command that brings it.
    #[error("{tool} is missing")]
    ToolMissing { tool: String, install: String },
    /// The same, where nothing is known of the distribution.
    #[error("{tool} is missing")]
    ToolAbsent { tool: String },
    /// The tool ended with an error; `said` is what it wrote.
    #[error("{tool} failed: {said}")]
    ToolFailed { tool: String, said: String },
    /// The tool did not end.
    #[error("{tool} did not end in {seconds} s")]
    ToolHangs { tool: String, seconds: u64 },
    /// A file cannot be read or written.
    #[error("{file}: {reason}")]
    StoreFile { file: String, reason: String },
    /// A file is not what its program would read; it was left as it is.
    #[error("{file} is odd: {detail}")]
    OddFile { file: String, detail: String },
    /// Another certificate has the name that this one would get.
    #[error("{name} in {place} is another certificate")]
    NameTaken { place: String, name: String },
    /// The root is in it, put there by another hand.
    #[error("the root is in {place} as {name}, by another hand")]
    PutByAnother { place: String, name: String },
    /// The root is in it, and its trust was taken away.
    #[error("the root is in {place} as {name}, without trust")]
    WithoutTrust { place: String, name: String },
    /// Another file sets the same policy, and the browser takes one.
    #[error("{file} sets the same policy")]
    PolicyTaken { file: String },
    /// Every tool said that all is well, and the store is as before.
    #[error("{place} did not take it")]
    NotTaken { place: String },
}

impl Problem {
    pub(crate) fn file(file: &Path, reason: &std::io::Error) -> Problem {
        Problem::StoreFile { file: file.display().to_string(), reason: reason.to_string() }
    }

    pub(crate) fn odd(file: &Path, detail: impl ToString) -> Problem {
        Problem::OddFile { file: file.display().to_string(), detail: detail.to_string() }
    }
}
