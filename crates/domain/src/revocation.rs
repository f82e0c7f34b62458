use serde::{Deserialize, Serialize};

/// Why a certificate is revoked (RFC 5280, section 5.3.1). The others are for holding certificates back for a while
/// and for lists of other kinds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// Somebody else has or may have the private key.
    KeyCompromise,
    /// The device belongs to somebody else now.
    AffiliationChanged,
    /// Another certificate has taken its place.
    Superseded,
    /// The device is out of use.
    CessationOfOperation,
    /// It may no longer be what the certificate says.
    PrivilegeWithdrawn,
}
