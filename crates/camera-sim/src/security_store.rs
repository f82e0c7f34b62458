//! The keystore as the Security service reaches it: what it refuses is an ONVIF fault.
//!
//! Fault codes are those of the ONVIF Security Service Specification, each under its operation.

use crate::core::Core;
use crate::keystore::{Keystore, Refusal};
use crate::soap::SoapFault;

/// Does something in the keystore.
pub(crate) fn with_store<R>(
    core: &Core,
    act: impl FnOnce(&mut Keystore) -> Result<R, Refusal>,
) -> Result<R, SoapFault> {
    core.change(|live| match live.store_mut() {
        Some(store) => act(store).map_err(SoapFault::from),
        None => Err(SoapFault::unsupported("The Security service")),
    })
}

impl From<Refusal> for SoapFault {
    fn from(refusal: Refusal) -> Self {
        let invalid = SoapFault::invalid;
        let action = |code, reason: &str| SoapFault::receiver(&["Action", code], reason);
        match refusal {
            Refusal::BadCertificate => invalid("BadCertificate", "The certificate cannot be read."),
            Refusal::Duplicate => invalid("Duplicate", "The certificate is here already."),
            Refusal::InvalidPath => invalid(
                "InvalidCertificationPath",
                "A certificate in the path is not signed by the next one.",
            ),
            Refusal::KeyNotReady => invalid("InvalidKeyStatus", "The key is not ready."),
            Refusal::NoMatchingPrivateKey => {
                action("NoMatchingPrivateKey", "No private key in the keystore belongs to this certificate.")
            }
            Refusal::NoPrivateKey => {
                invalid("NoPrivateKey", "The path's first certificate has no private key.")
            }
            Refusal::ReferenceExists => invalid("ReferenceExists", "Something still refers to it."),
            Refusal::TooManyAssignments => {
                action("MaximumNumberOfTLSCertificationPathsReached", "A path is assigned already.")
            }
            Refusal::TooManyCertificates => {
                action("MaximumNumberOfCertificatesReached", "There is no room for another certificate.")
            }
            Refusal::TooManyKeys => action("MaximumNumberOfKeysReached", "There is no room for another key."),
            Refusal::TooManyPaths => {
                action("MaximumNumberOfCertificationPathsReached", "There is no room for another path.")
            }
            Refusal::UnknownCertificate => invalid("CertificateID", "There is no certificate of this id."),
            Refusal::UnknownKey => invalid("KeyID", "There is no key pair of this id."),
            Refusal::UnknownNewPath => invalid("NewCertificationPathID", "There is no path of this id."),
            Refusal::UnknownOldPath => invalid("OldCertificationPathID", "No such path is assigned."),
            Refusal::UnknownPath => invalid("CertificationPathID", "There is no path of this id."),
        }
    }
}
