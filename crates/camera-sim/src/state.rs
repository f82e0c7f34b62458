//! What a test may see of a simulated camera from behind: [`State`], a picture taken at one moment.

use crate::given::Given;

/// The camera at one moment. A new one is published after every change.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Connections to the HTTP port are accepted.
    pub http_on: bool,
    /// Connections to the HTTPS port are accepted.
    pub https_on: bool,
    /// Keys in the keystore (`onvif-security` only).
    pub keys: Vec<KeySummary>,
    /// Certificates on the camera.
    pub certificates: Vec<CertificateSummary>,
    /// Certification paths (`onvif-security` only).
    pub paths: Vec<PathSummary>,
    /// What is assigned to the TLS server: path ids, or the enabled certificate's id.
    pub assigned: Vec<String>,
    /// The chain in DER that a TLS client is sent, leaf first; empty if there is none.
    pub served_chain: Vec<Vec<u8>>,
    /// Requests with a wrong user name or password.
    pub logins_refused: u32,
    /// Digest answers refused because their nonce count had been used before.
    pub replays_refused: u32,
    /// Requests with Basic credentials, and logins over plain HTTP: a password readable on the wire.
    pub basic_credentials: u32,
    /// The account is locked ([`crate::Fault::Locks`]).
    pub account_locked: bool,
    /// Connections dropped in the middle of an upload ([`crate::Fault::DropsUpload`]).
    pub uploads_dropped: u32,
    /// How often it has started again by itself.
    pub restarts: u32,
    /// Answers held back so far ([`crate::Camera::hold`]).
    pub answers_held: u32,
    /// What it was given that a thief would keep.
    pub given: Given,
    /// The last requests, oldest first; at most [`State::REQUESTS`] of them.
    pub requests: Vec<RequestSummary>,
}

impl State {
    /// How many requests are remembered.
    pub const REQUESTS: usize = 500;

    /// The leaf in DER that a TLS client is sent.
    pub fn served_leaf(&self) -> Option<&[u8]> {
        self.served_chain.first().map(Vec::as_slice)
    }

    /// How many of the remembered requests were for this operation or path, whatever came of them.
    pub fn count(&self, operation: &str) -> usize {
        self.requests.iter().filter(|request| request.operation == operation).count()
    }
}

/// A key pair in the keystore.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySummary {
    /// Its KeyID.
    pub id: String,
    /// `ok`, `generating` or `corrupt` (tas:KeyStatus).
    pub status: &'static str,
    /// False for the public key of an uploaded issuer.
    pub has_private_key: bool,
}

/// A certificate on the camera.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateSummary {
    /// Its CertificateID.
    pub id: String,
    /// Its bytes.
    pub der: Vec<u8>,
}

/// A certification path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathSummary {
    /// Its CertificationPathID.
    pub id: String,
    /// The certificates in it, leaf first.
    pub certificates: Vec<String>,
}

/// One request, without its contents.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestSummary {
    /// The SOAP operation, or method and path of anything else (`POST /settings/https`).
    pub operation: String,
    /// It came over TLS.
    pub tls: bool,
    /// It carried credentials that were accepted.
    pub authenticated: bool,
    /// The HTTP status of the answer; 0 if the connection was dropped instead.
    pub status: u16,
}
