//! [`Kind`]: what all cameras of one model have in common, as data.

use crate::options::Fault;

/// What is known of a model's cameras before one of them runs.
pub(crate) struct Kind {
    /// The name on the command line, and in GetDeviceInformation.
    pub(crate) name: &'static str,
    /// What people call the one that is simulated.
    pub(crate) called: &'static str,
    /// The realm of its digest challenge.
    pub(crate) realm: &'static str,
    /// Its `Server` header.
    pub(crate) server: &'static str,
    /// How it takes its certificate, for its start page.
    pub(crate) takes: &'static str,
    pub(crate) page: Page,
    /// What it can do wrong beside what every camera can ([`crate::Fault::fits`]).
    pub(crate) faults: &'static [Fault],
    /// Whether it makes its own key.
    pub(crate) makes_key: bool,
    /// Whether it leaves the factory with HTTPS on.
    pub(crate) comes_with_https: bool,
    /// Whether plain HTTP can be switched off.
    pub(crate) switches_http: bool,
}

/// What the models' start pages differ in.
pub(crate) struct Page {
    /// What the camera sees: an image in SVG.
    pub(crate) scene: &'static str,
    /// Links beside its name.
    pub(crate) menu: &'static str,
    /// Where it answers to ONVIF, if it does.
    pub(crate) onvif: Option<&'static str>,
}

impl Page {
    /// That of the makers' models, which have no picture of their own.
    #[cfg(feature = "makers")]
    pub(crate) const PLAIN: Page = Page { scene: include_str!("scenes/yard.svg"), menu: "", onvif: None };
}
