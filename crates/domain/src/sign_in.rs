use std::fmt;

use serde::{Deserialize, Serialize};

/// How a user proves to a device who they are. A later one is stronger.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignIn {
    /// The password goes out as it is, inside TLS: HTTP Basic, a login form, a login in JSON.
    Readable,
    /// HTTP Digest with MD5, or ONVIF's UsernameToken.
    Digest,
    /// HTTP Digest with SHA-256.
    DigestSha256,
}

impl SignIn {
    /// As people who set up cameras call it.
    pub fn name(self) -> &'static str {
        match self {
            SignIn::Readable => "the readable password",
            SignIn::Digest => "Digest (MD5)",
            SignIn::DigestSha256 => "Digest (SHA-256)",
        }
    }
}

impl fmt::Display for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
