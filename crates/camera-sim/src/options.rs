//! What kind of camera to simulate, and what is wrong with it.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::maker::Maker;
use crate::models::Model;
use crate::shown::Shown;

/// A host that is not the camera (TEST-NET-3, RFC 5737).
pub(crate) const ELSEWHERE: &str = "203.0.113.9";

/// Something a real camera was seen, or feared, to do wrong. Several may be on at once.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Fault {
    /// GetServices and WS-Discovery name another host in every address.
    AnnouncesElsewhere,
    /// Inside TLS it asks for Basic alone, whatever it asks for over plain HTTP.
    BasicInsideTls,
    /// CreatePKCS10CSR fails (env:Receiver, ter:Action, ter:CSRCreationFailed).
    CsrFails,
    /// Creating a request takes away the certificate that is served, as ACTi's firmware does.
    CsrKillsKey,
    /// Drops the TCP connection in the middle of the body which carries the certificate.
    DropsUpload,
    /// The store of certificates has no room left: it is full of the operator's own.
    FullStore,
    /// Accepts connections and never answers.
    Hangs,
    /// Says that HTTPS was switched on, and it was not.
    HttpsPretended,
    /// Switching HTTPS on always fails.
    HttpsRefused,
    /// Whoever is logged in gets 100 MB of nothing.
    HugeAnswers,
    /// Tells its local time (UTC-5) as UTC.
    LocalTimeAsUtc,
    /// After three wrong passwords the account is locked: 401 for ever.
    Locks,
    /// What whoever is logged in gets breaks off in the middle.
    MalformedAnswers,
    /// The account is not one of an administrator.
    #[cfg(feature = "makers")]
    NoAdministrator,
    /// Makes no keys and no requests: takes keys in PKCS#8.
    NoKeyGeneration,
    /// Has no password yet, and lets everyone do everything, as ONVIF has it for a device fresh from its box.
    NoPassword,
    /// Answers one connection at a time, on each port; the next one waits.
    OneConnection,
    /// Makes no keys and no requests: takes them in PKCS#12, with their certificates. Of before 23.12 (by its capability
    /// names) it wants Triple DES and keeps the passphrase; else AES-128 and the passphrase along with the file.
    #[cfg(feature = "makers")]
    Pkcs12Alone,
    /// Starts again in the middle of the upload, which it stores, and is away for a second.
    Reboots,
    /// Every request is sent to another host.
    RedirectsElsewhere,
    /// Every request is sent to where it went already.
    RedirectsToItself,
    /// A certificate is taken alone or not at all.
    RefusesChains,
    /// Takes and makes RSA keys alone.
    RsaOnly,
    /// The account wants a one-time code beside the password: 271828, once.
    #[cfg(feature = "makers")]
    SecondFactor,
    /// Starts with HTTPS on and a factory certificate, says OK to everything, serves the old one for ever.
    ServesOldCertificate,
    /// Serves the old certificate for two more seconds.
    ServesOldForAWhile,
    /// Offers Digest with SHA-256 alone.
    Sha256Digest,
    /// Each nonce is good for three requests, then stale.
    ShortNonces,
    /// Says that a version of TLS was switched off, and it was not.
    TlsPretended,
    /// Knows users by the UsernameToken of WS-Security alone, and takes none that is older than five seconds.
    UsernameToken,
    /// The camera's clock is twenty days behind.
    WrongClock,
}

impl Fault {
    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Which names of the Security service's capabilities are answered (they were renamed in 23.12).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum CapabilityNames {
    /// New and old names side by side, as the 26.06 schema allows.
    #[default]
    Both,
    /// The names of firmware after 23.12 alone.
    New,
    /// The names of firmware before 23.12 alone.
    Old,
}

/// TLS that no library speaks any more: its beginning, up to the certificate, of which it takes no key to show it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OldTls {
    /// TLS 1.0.
    Tls10,
    /// TLS 1.2 with the key exchange of RSA, which browsers still speak.
    Tls12Rsa,
}

/// Everything that makes one simulated camera.
#[derive(Clone)]
pub struct Options {
    /// How it takes its certificate.
    pub model: Model,
    /// The name people gave it; on its web page and in its factory certificate.
    pub name: String,
    /// What it tells as its model in GetDeviceInformation, if not its kind.
    pub model_told: Option<String>,
    /// Its serial number, if not a random one: a camera keeps it over a reset.
    pub serial: Option<String>,
    /// The one account.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The HTTP port; 0 lets the system choose.
    pub http_port: u16,
    /// The HTTPS port, taken from the start even while connections to it are refused; 0 lets the system choose.
    pub https_port: u16,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// The least time in which a key pair comes to be.
    pub key_generation: Duration,
    /// Which capability names it answers with.
    pub capability_names: CapabilityNames,
    /// Leaves the factory with a certificate and HTTPS on.
    pub factory_certificate: bool,
    /// Leaves the factory with HTTPS off and no certificate, even if its kind has them.
    pub https_off: bool,
    /// What another camera was to serve, which it shows in the place of its own from the factory.
    pub shows: Option<Shown>,
    /// Where its HTTPS would be, this is all there is.
    pub old_tls: Option<OldTls>,
    /// Who signs that certificate, for the camera's serial number; without a maker the camera itself, for its name.
    pub maker: Option<Arc<Maker>>,
    /// Answers WS-Discovery on UDP port 3702: multicast, and unicast at its own address.
    pub discovery: bool,
    /// Where to write every SOAP message; never holds a password or a private key.
    pub transcript: Option<PathBuf>,
}

impl Options {
    /// Whether this fault is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }
}

impl fmt::Debug for Options {
    /// Everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("model", &self.model)
            .field("name", &self.name)
            .field("user", &self.user)
            .field("bind", &self.bind)
            .field("http_port", &self.http_port)
            .field("https_port", &self.https_port)
            .field("faults", &self.faults)
            .finish_non_exhaustive()
    }
}
