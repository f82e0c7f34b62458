//! The table of the models. A new one is a file with its dialect, and a line here.

use clap::ValueEnum;

/// Gives the table to another macro: what each model is, its name, and its dialect.
///
/// Two make something of it: the names, which options are made of, must not know the dialects, which read the options.
macro_rules! models {
    ($make:ident) => {
        $make! {
            /// ONVIF with the Security service: makes its own key and request, takes a chain.
            OnvifSecurity: crate::onvif::SECURITY,
            /// ONVIF with the device service alone: takes certificate and private key, serves only the leaf.
            OnvifDevice: crate::onvif::DEVICE,
            /// No ONVIF: a form on the camera's own web page takes one PEM file.
            PemPage: crate::pem_page::PemPage,
            /// AXIS OS 11.11 and later: makes its own key and request; REST and SOAP.
            #[cfg(feature = "makers")]
            Axis: crate::makers::axis::Axis,
            /// A camera of no maker: a login form, two files, a choice and a restart on its pages. HTTPS is on from the factory.
            #[cfg(feature = "makers")]
            FormPage: crate::makers::form_page::FormPage,
            /// SUNAPI of Hanwha Vision: takes certificate and private key, serves only the leaf.
            #[cfg(feature = "makers")]
            Hanwha: crate::makers::hanwha::Hanwha,
            /// A maker's dialect: Bosch, RCP+; makes its own key and request. HTTPS is on from the factory.
            #[cfg(feature = "makers")]
            Bosch: crate::makers::bosch::Bosch,
            /// A maker's dialect: Mobotix, two files and a restart. HTTPS is on from the factory.
            #[cfg(feature = "makers")]
            Mobotix: crate::makers::mobotix::Mobotix,
            /// A maker's dialect: Reolink, JSON commands under a token. HTTPS is on from the factory.
            #[cfg(feature = "makers")]
            Reolink: crate::makers::reolink::Reolink,
            /// No camera: a NAS with Synology DSM, its Web API. HTTPS is on from the factory.
            #[cfg(feature = "makers")]
            Synology: crate::makers::synology::Synology,
            /// A maker's dialect: Uniview, LAPI.
            #[cfg(feature = "makers")]
            Uniview: crate::makers::uniview::Uniview,
        }
    };
}
pub(crate) use models;

macro_rules! names {
    ($($(#[$about:meta])* $name:ident: $dialect:path,)*) => {
        /// How a simulated camera takes its certificate. By how much ONVIF it speaks, least last; then the makers' own.
        #[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
        #[non_exhaustive]
        pub enum Model {
            $($(#[$about])* $name,)*
        }
    };
}
models!(names);
