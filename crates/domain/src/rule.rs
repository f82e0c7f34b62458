use serde::{Deserialize, Serialize};

/// A rule that a certificate breaks (RFC 5280 where nothing else is named), as a code with typed arguments; `words`
/// holds the sentence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the sentence that they complete.
pub enum Rule {
    /// It cannot be read at all.
    Unreadable { detail: String },
    /// An extension of it cannot be read.
    UnreadableExtension { extension: String },
    /// A browser refuses it with this page, for no reason that is told apart here.
    BrowserRefuses { page: String },
    /// A critical extension that no browser knows.
    UnknownCritical,
    /// A signature with MD5, SHA-1 or an algorithm that browsers do not know.
    OldSignature,
    /// The signature is not by the issuer's key.
    WrongSignature,
    /// An issuer that is not marked as an authority.
    IssuerIsNoAuthority,
    /// An issuer whose key usage leaves out keyCertSign.
    MayNotCertify,
    /// More authorities below one than its path length allows.
    PathTooLong,
    /// A server's certificate that is marked as an authority: Firefox refuses it.
    ServerIsAuthority,
    /// A server's key usage without digitalSignature: Chromium refuses it.
    MayNotSign,
    /// Nothing in the subject, and names that are not critical: Chromium refuses it.
    EmptySubject,
    /// A critical subjectAltName beside a subject (CA/Browser Forum, Baseline Requirements, section 7.1.2.7.12).
    NeedlesslyCriticalNames,
    /// Not version 3.
    OldVersion,
    /// The algorithm of the signature is named twice, and differently.
    AlgorithmsDiffer,
    /// The same extension twice.
    ExtensionTwice { extension: String },
    /// An extension that must not be critical.
    Critical { extension: String },
    /// An extension that must be critical.
    NotCritical { extension: String },
    /// Without the key identifier of its issuer.
    NoAuthorityKeyIdentifier,
    /// The key identifier of its issuer is not one key identifier, or not the root's own.
    OddAuthorityKeyIdentifier,
    /// An authority without a key identifier.
    NoSubjectKeyIdentifier,
    /// An empty name of the issuer.
    EmptyIssuer,
    /// An authority with an empty subject.
    NamelessAuthority,
    /// keyCertSign in the key usage of a certificate that is no authority.
    CertifiesWithoutAuthority,
    /// A key usage that allows nothing.
    EmptyKeyUsage,
    /// Name constraints in a server's certificate.
    ConstraintsInLeaf,
    /// Name constraints that say nothing.
    EmptyConstraints,
    /// A name constraint that is malformed.
    MalformedConstraint,
    /// A subjectAltName that is malformed.
    MalformedName { name: String },
    /// A serial number that is zero, negative, or longer than 20 octets.
    SerialNumber,
    /// A key that can be computed from its public half.
    KeyTooShort { key: String },
    /// More than six authorities between root and leaf: Firefox goes no further.
    TooManyIssuers,
    /// A root that excludes a directoryName: Firefox takes it to exclude everybody.
    ExcludedDirectoryName,
    /// A server's certificate that is trusted itself, and says that it is no authority.
    RootWithoutAuthority,
    /// A key of a kind or curve that browsers do not know.
    UnknownKey { key: String },
    /// A modulus whose length is no multiple of eight bits (Baseline Requirements, section 6.1.5).
    OddModulus,
}

impl Rule {
    /// Whether Chromium or Firefox refuses what breaks it.
    pub fn is_enforced(&self) -> bool {
        matches!(
            self,
            Rule::Unreadable { .. }
                | Rule::BrowserRefuses { .. }
                | Rule::UnknownCritical
                | Rule::OldSignature
                | Rule::WrongSignature
                | Rule::IssuerIsNoAuthority
                | Rule::MayNotCertify
                | Rule::PathTooLong
                | Rule::ServerIsAuthority
                | Rule::MayNotSign
                | Rule::EmptySubject
                | Rule::KeyTooShort { .. }
                | Rule::TooManyIssuers
                | Rule::ExcludedDirectoryName
                | Rule::RootWithoutAuthority
                | Rule::UnknownKey { .. }
        )
    }
}
