//! Speaks to cameras: one trait, [`Driver`], one file for each dialect, and below them what they share
//! (HTTP, Digest, SOAP, TLS with a pinned key).
//!
//! ```text
//! recognise -> Recognised -> Admission::decide -> enter -> Found -> connect
//!           -> Driver: note, request, install, enable_https, tidy, switch_http | roll_back
//! ```
//!
//! - [`recognise`] asks without credentials who answers and which dialect it speaks.
//! - [`Admission`] decides whether credentials and keys may go there. Nobody signs in without one.
//! - A driver says what it can do as data: [`Abilities`]. None was tried on hardware; each says what it was
//!   written from.
//! - The host is the one the operator named. Of an address that a device gives only port and path are used.
//! - The password goes out only as the answer to a Digest challenge (inside TLS pinned to the device's key also to a
//!   Basic one, if there is no other, and the admission permits it), never again after it was refused, and a private key only after a challenge. Whether a key may cross plain HTTP at all is the caller's decision:
//!   an [`Endpoint`] without a pin is plain HTTP.

#[cfg(test)]
mod fake;

mod admission;
mod digest;
pub mod discovery;
mod error;
mod form;
mod http;
mod length;
mod makers;
mod onvif;
mod onvif_device;
mod onvif_pkcs12;
mod onvif_security;
mod page;
mod random;
mod recipe;
mod recipe_file;
mod recognise;
#[cfg(test)]
mod recognise_tests;
mod session;
mod soap;
mod tls;
mod xml;
mod xsd;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use domain::{AltName, Told};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use admission::{Admission, Change, Consent, Expected, Seen, names_number, other_identity};
pub use error::Error;
pub use recipe_file::{RecipeError, RecipeMistake, Recipes, try_recipe};
pub use recognise::{Found, Recognised, Spoken, recognise};
pub use tls::PublicKeyPin;

/// How long a device may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Until the TCP connection stands.
    pub connect: Duration,
    /// From there until the whole answer is read, TLS handshake included.
    pub answer: Duration,
    /// Until a key that the device makes is ready.
    pub key_generation: Duration,
    /// Until a web server that starts again in the middle of an installation answers once more.
    pub restart: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(10),
            key_generation: Duration::from_secs(180),
            restart: Duration::from_secs(60),
        }
    }
}

/// Where a device's web server is, and by what it is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Address or host name, as the operator named it. No other host is ever contacted.
    pub host: AltName,
    /// Its port.
    pub port: u16,
    /// The key of the server: HTTPS with this key alone. `None` is plain HTTP.
    pub pin: Option<PublicKeyPin>,
}

/// Who speaks to the device: a user of the device with administrator's rights.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password; never printed.
    pub password: Zeroizing<String>,
    /// Shared by all clones: a one-time code is good for one of them.
    second_factor: Arc<Mutex<SecondFactor>>,
}

/// What is asked for beside a password.
#[derive(Default)]
pub(crate) struct SecondFactor {
    /// A one-time code that was not used yet.
    pub(crate) code: Option<Zeroizing<String>>,
    /// What a device gave for a code: with it no further code is asked for.
    pub(crate) device_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// A user and a password.
    pub fn new(user: impl Into<String>, password: Zeroizing<String>) -> Credentials {
        Credentials { user: user.into(), password, second_factor: Arc::default() }
    }

    /// With a one-time code for a device that asks for one (Synology). What the device gives for it is known to this value
    /// and its clones alone, and stored nowhere.
    pub fn with_code(self, code: Zeroizing<String>) -> Credentials {
        let code = SecondFactor { code: Some(code), device_token: None };
        Credentials { second_factor: Arc::new(Mutex::new(code)), ..self }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a driver can do with a device, as data.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Abilities {
    /// The device makes its key and a CSR ([`Driver::request`]); otherwise the package brings the key.
    pub makes_key: bool,
    /// The kinds of key that it makes or takes, the best default first: `rsa-2048`, `rsa-3072`, `p256`.
    pub key_kinds: Vec<String>,
    /// The device sends the issuers too; otherwise the leaf alone.
    pub serves_chain: bool,
    /// Installing overwrites the one certificate there is, and [`Driver::roll_back`] cannot bring it back.
    pub one_slot: bool,
    /// The device has to restart before it shows a new certificate, and is away for minutes.
    #[serde(default)]
    pub restarts: bool,
    /// What the driver was written from; it was not tried on hardware.
    pub source: String,
}

/// What a device says about itself.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceInfo {
    /// Who made it.
    pub manufacturer: Option<Told>,
    /// Model name.
    pub model: Option<Told>,
    /// Version of its firmware.
    pub firmware: Option<Told>,
    /// Serial number.
    pub serial_number: Option<Told>,
}

/// How a device was before an enrolment: what [`Driver::roll_back`] goes back to. Kept as JSON by the caller.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Before {
    /// Which device it is.
    pub device: DeviceInfo,
    /// HTTPS was on.
    pub https_on: bool,
    /// The port on which it was, or would have been.
    pub https_port: u16,
    /// Plain HTTP was on.
    pub http_on: bool,
    /// The ports on which it was, or would have been; empty if the device does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http_ports: Vec<u16>,
    /// Security service: the certification paths assigned to the web server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assigned_paths: Vec<String>,
    /// Old device service: every certificate id, and whether the web server showed it. Reolink, Mobotix: the file of
    /// the certificate that somebody had uploaded, if there was one. Synology: every certificate, and whether it was the
    /// default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<String, bool>,
    /// The maker's own word for which of HTTP and HTTPS are on (Axis: connection policy; Hanwha: Policy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the web server shows, by the maker's name for it (Axis: aliases; Hanwha: CertificateInUse; Bosch: a name;
    /// Synology: the certificate of the desktop's service).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_use: Vec<String>,
}

/// Versions of TLS, as `1.0`, `1.1`, `1.2`, `1.3`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsVersions {
    /// Those that the device has.
    pub has: Vec<String>,
    /// Those that are on.
    pub on: Vec<String>,
}

/// What is to be installed.
#[derive(Clone, Copy)]
pub struct Package<'a> {
    /// The leaf, DER.
    pub certificate: &'a [u8],
    /// Issuers below the root, DER, the leaf's own first.
    pub issuers: &'a [Vec<u8>],
    /// The private key, PKCS#8 DER; `None` if the device made it.
    pub key: Option<&'a [u8]>,
    /// Key, leaf and issuers in one PEM, if there is a key.
    pub pem: &'a str,
}

impl fmt::Debug for Package<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Package").field("key", &self.key.is_some()).finish_non_exhaustive()
    }
}

/// One device, in its dialect, in the name of one user.
///
/// `mark` (such as `camlock-3f9a1c20`: an XML NCName of at most 64 characters) names an enrolment: it is the
/// alias of everything that the enrolment leaves on the device.
///
/// After the device refused the credentials every call fails with the same error and sends nothing.
#[async_trait]
pub trait Driver: Send {
    /// The first authenticated call: who it is, and what is needed to go back. Changes nothing.
    async fn note(&mut self) -> Result<Before, Error>;

    /// Who it is, from a device of which nothing else is wanted. Changes nothing.
    async fn identify(&mut self) -> Result<DeviceInfo, Error> {
        Ok(self.note().await?.device)
    }

    /// Whether the device let us in without asking who is there: it has no password yet, so anybody may change it.
    fn lets_everyone_in(&self) -> bool {
        false
    }

    /// What the camera sees, in JPEG, so that people recognise it.
    async fn picture(&mut self) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "picture".to_owned() })
    }

    /// Gives the device this computer's time, and reads it back: its clock minus ours, as it tells it afterwards.
    async fn set_clock(&mut self) -> Result<time::Duration, Error> {
        Err(Error::NotOffered { operation: "setting of the clock".to_owned() })
    }

    /// Has the device take its time from this NTP server from now on; its clock minus ours once it did, or after it had
    /// time for it.
    async fn follow_clock(&mut self, server: &AltName) -> Result<time::Duration, Error> {
        let _ = server;
        Err(Error::NotOffered { operation: "setting of a time server".to_owned() })
    }

    /// Has the device make a key, waits for it, and returns a CSR (PKCS#10, DER). The names in it are a wish.
    /// A key that a broken run left under this mark is used again.
    async fn request(&mut self, mark: &str, names: &[AltName]) -> Result<Vec<u8>, Error>;

    /// Uploads and assigns. HTTPS is not switched on by this; where it is on already, the new certificate may
    /// be served at once, so from here on a pinned connection accepts its key beside the old one.
    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error>;

    /// Switches HTTPS on and leaves HTTP as it is. The port that HTTPS is on.
    async fn enable_https(&mut self) -> Result<u16, Error>;

    /// Puts back what `note` saw and removes what carries `mark`. What is not there (any more) is no error:
    /// it may run twice, or after a crash at any point.
    ///
    /// Through a pinned endpoint it may cut its own connection where HTTPS was off before; HTTP is switched on
    /// again first, so that the caller can run it once more from there.
    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error>;

    /// Removes what earlier enrolments left under these marks and the web server does not show: its room is
    /// limited, and a renewal leaves the key and the certificate before it.
    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error>;

    /// Which versions of TLS the device's web server has, and which of them are on.
    async fn tls_versions(&mut self) -> Result<TlsVersions, Error> {
        Err(Error::NotOffered { operation: "choice of TLS versions".to_owned() })
    }

    /// Leaves these versions of TLS on, and no others.
    async fn set_tls_versions(&mut self, on: &[String]) -> Result<(), Error> {
        let _ = on;
        Err(Error::NotOffered { operation: "choice of TLS versions".to_owned() })
    }

    /// Gives this user another password, or makes this user where the device has none. Only inside TLS: it is readable in the request.
    async fn set_password(&mut self, new: &Zeroizing<String>) -> Result<(), Error> {
        let _ = new;
        Err(Error::NotOffered { operation: "changing of the password".to_owned() })
    }

    /// Switches plain HTTP on or off; off only after HTTPS was verified.
    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        let _ = on;
        Err(Error::NotOffered { operation: "switching of HTTP".to_owned() })
    }
}
