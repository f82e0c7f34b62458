//! From a model to its dialect, and to what is known of it by that.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use crate::dialect::Dialect;
use crate::models::{Model, models};
use crate::options::{CapabilityNames, Fault, Options};

macro_rules! dialect_of {
    ($($(#[$about:meta])* $name:ident: $dialect:path,)*) => {
        impl Model {
            pub(crate) fn dialect(self) -> &'static dyn Dialect {
                #[allow(unused_doc_comments, reason = "what each model is has been said where they are named")]
                match self {
                    $($(#[$about])* Model::$name => &$dialect,)*
                }
            }
        }
    };
}
models!(dialect_of);

impl Model {
    /// The name on the command line, and in GetDeviceInformation.
    pub fn name(self) -> &'static str {
        self.dialect().kind().name
    }

    /// Whether it makes its own key; otherwise it takes one along with the certificate.
    pub fn makes_key(self) -> bool {
        self.dialect().kind().makes_key
    }

    /// Whether it leaves the factory with HTTPS on, and is spoken to there.
    pub fn comes_with_https(self) -> bool {
        self.dialect().kind().comes_with_https
    }

    /// Whether plain HTTP can be switched off, and on again.
    pub fn switches_http(self) -> bool {
        self.dialect().kind().switches_http
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Fault {
    /// Whether a camera of this kind can have it.
    pub fn fits(self, model: Model) -> bool {
        match self {
            Fault::DropsUpload
            | Fault::Hangs
            | Fault::HugeAnswers
            | Fault::Locks
            | Fault::OneConnection
            | Fault::Reboots
            | Fault::RedirectsElsewhere
            | Fault::RedirectsToItself
            | Fault::ServesOldCertificate
            | Fault::ServesOldForAWhile => true,
            of_some => model.dialect().kind().faults.contains(&of_some),
        }
    }
}

impl Options {
    /// A camera on loopback with ports chosen by the system, no faults, and keys that take 300 ms.
    pub fn new(model: Model, user: impl Into<String>, password: impl Into<String>) -> Self {
        Options {
            model,
            name: model.dialect().kind().called.to_owned(),
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
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_command_line_calls_each_model_as_it_calls_itself() {
        for model in Model::value_variants() {
            assert_eq!(model.to_possible_value().unwrap().get_name(), model.name());
        }
    }
}
