//! What kind of camera to simulate, and what is wrong with it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use crate::maker::Maker;
use crate::shown::Shown;

/// How a simulated camera takes its certificate. By how much ONVIF it speaks, least last; then the makers' own.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
#[non_exhaustive]
pub enum Model {
    /// ONVIF with the Security service: makes its own key and request, takes a chain.
    OnvifSecurity,
    /// ONVIF with the device service alone: takes certificate and private key, serves only the leaf.
    OnvifDevice,
    /// No ONVIF: a form on the camera's own web page takes one PEM file.
    PemPage,
    /// AXIS OS 11.11 and later: makes its own key and request; REST and SOAP.
    #[cfg(feature = "makers")]
    Axis,
    /// A camera of no maker: a login form, two files, a choice and a restart on its pages. HTTPS is on from the factory.
    #[cfg(feature = "makers")]
    FormPage,
    /// SUNAPI of Hanwha Vision: takes certificate and private key, serves only the leaf.
    #[cfg(feature = "makers")]
    Hanwha,
    /// A maker's dialect: Bosch, RCP+; makes its own key and request. HTTPS is on from the factory.
    #[cfg(feature = "makers")]
    Bosch,
    /// A maker's dialect: Mobotix, two files and a restart. HTTPS is on from the factory.
    #[cfg(feature = "makers")]
    Mobotix,
    /// A maker's dialect: Reolink, JSON commands under a token. HTTPS is on from the factory.
    #[cfg(feature = "makers")]
    Reolink,
    /// No camera: a NAS with Synology DSM, its Web API. HTTPS is on from the factory.
    #[cfg(feature = "makers")]
    Synology,
    /// A maker's dialect: Uniview, LAPI.
    #[cfg(feature = "makers")]
    Uniview,
}

impl Model {
    /// The name on the command line, and in GetDeviceInformation.
    pub fn name(self) -> &'static str {
        match self {
            Model::OnvifSecurity => "onvif-security",
            Model::OnvifDevice => "onvif-device",
            Model::PemPage => "pem-page",
            #[cfg(feature = "makers")]
            Model::Axis => "axis",
            #[cfg(feature = "makers")]
            Model::FormPage => "form-page",
            #[cfg(feature = "makers")]
            Model::Hanwha => "hanwha",
            #[cfg(feature = "makers")]
            Model::Bosch => "bosch",
            #[cfg(feature = "makers")]
            Model::Mobotix => "mobotix",
            #[cfg(feature = "makers")]
            Model::Reolink => "reolink",
            #[cfg(feature = "makers")]
            Model::Synology => "synology",
            #[cfg(feature = "makers")]
            Model::Uniview => "uniview",
        }
    }

    /// The realm of its digest challenge.
    pub(crate) fn realm(self) -> &'static str {
        match self {
            Model::OnvifSecurity | Model::OnvifDevice => "Simulated camera",
            Model::PemPage => "PemCam",
            #[cfg(feature = "makers")]
            Model::Axis => crate::makers::axis::REALM,
            #[cfg(feature = "makers")]
            Model::Hanwha => crate::makers::hanwha::REALM,
            #[cfg(feature = "makers")]
            model => crate::makers::realm(model),
        }
    }

    /// Its `Server` header.
    pub(crate) fn server(self) -> &'static str {
        match self {
            Model::OnvifSecurity | Model::OnvifDevice => "SimCam/1.0",
            Model::PemPage => "PemCam/1.0",
            #[cfg(feature = "makers")]
            Model::Axis => "Apache",
            #[cfg(feature = "makers")]
            Model::FormPage => "FormCam/2.1",
            #[cfg(feature = "makers")]
            Model::Hanwha => "Hanwha",
            #[cfg(feature = "makers")]
            Model::Bosch => "VCS-VideoJet-Webserver",
            #[cfg(feature = "makers")]
            _ => "nginx",
        }
    }

    /// Whether it answers to ONVIF at all.
    pub(crate) fn speaks_onvif(self) -> bool {
        matches!(self, Model::OnvifSecurity | Model::OnvifDevice)
    }

    /// Whether it leaves the factory with HTTPS on.
    fn comes_with_https(self) -> bool {
        #[cfg(feature = "makers")]
        return matches!(
            self,
            Model::Bosch | Model::FormPage | Model::Mobotix | Model::Reolink | Model::Synology
        );
        #[cfg(not(feature = "makers"))]
        return false;
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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

    /// Whether a camera of this kind can have it.
    pub fn fits(self, model: Model) -> bool {
        let is_onvif = matches!(model, Model::OnvifSecurity | Model::OnvifDevice);
        match self {
            Fault::CsrKillsKey | Fault::NoKeyGeneration | Fault::TlsPretended => {
                model == Model::OnvifSecurity
            }
            #[cfg(feature = "makers")]
            Fault::Pkcs12Alone => model == Model::OnvifSecurity,
            Fault::AnnouncesElsewhere
            | Fault::FullStore
            | Fault::LocalTimeAsUtc
            | Fault::NoPassword
            | Fault::UsernameToken
            | Fault::WrongClock => is_onvif,
            Fault::RefusesChains => matches!(model, Model::OnvifSecurity | Model::PemPage),
            Fault::RsaOnly => is_onvif || model == Model::PemPage,
            // They do so anyway, or have a login of their own.
            #[cfg(feature = "makers")]
            Fault::BasicInsideTls => !matches!(
                model,
                Model::Axis | Model::Bosch | Model::FormPage | Model::Reolink | Model::Synology
            ),
            #[cfg(feature = "makers")]
            Fault::CsrFails => matches!(model, Model::OnvifSecurity | Model::Axis | Model::Bosch),
            // It answers in words and whole files, of which a half is a word and a file too.
            #[cfg(feature = "makers")]
            Fault::MalformedAnswers => model != Model::Mobotix,
            // They have no nonces, and a login of their own.
            #[cfg(feature = "makers")]
            Fault::ShortNonces | Fault::Sha256Digest => {
                !matches!(model, Model::FormPage | Model::Reolink | Model::Synology)
            }
            #[cfg(feature = "makers")]
            Fault::NoAdministrator | Fault::SecondFactor => model == Model::Synology,
            #[cfg(feature = "makers")]
            Fault::HttpsRefused | Fault::HttpsPretended => !model.comes_with_https(),
            #[cfg(not(feature = "makers"))]
            Fault::CsrFails => model == Model::OnvifSecurity,
            _ => true,
        }
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
    /// A camera on loopback with ports chosen by the system, no faults, and keys that take 300 ms.
    pub fn new(model: Model, user: impl Into<String>, password: impl Into<String>) -> Self {
        let name = match model {
            Model::OnvifSecurity => "Shop front",
            Model::OnvifDevice => "Gate",
            Model::PemPage => "Yard",
            #[cfg(feature = "makers")]
            Model::Axis => "Ramp",
            #[cfg(feature = "makers")]
            Model::Hanwha => "Stairs",
            #[cfg(feature = "makers")]
            model => crate::makers::name(model),
        };
        Options {
            model,
            name: name.to_owned(),
            model_told: None,
            serial: None,
            user: user.into(),
            password: password.into(),
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            http_port: 0,
            https_port: 0,
            faults: Vec::new(),
            key_generation: Duration::from_millis(300),
            capability_names: CapabilityNames::Both,
            factory_certificate: false,
            https_off: false,
            shows: None,
            old_tls: None,
            maker: None,
            discovery: false,
            transcript: None,
        }
    }

    /// Whether this fault is on.
    pub fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// Whether it starts with a certificate of its own and HTTPS on.
    pub(crate) fn starts_with_certificate(&self) -> bool {
        let needing = [Fault::CsrKillsKey, Fault::ServesOldCertificate, Fault::ServesOldForAWhile];
        !self.https_off
            && (self.factory_certificate
                || self.shows.is_some()
                || self.model.comes_with_https()
                || needing.into_iter().any(|fault| self.has(fault)))
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
