//! What a certificate that was made elsewhere may do as an authority.

use der::{Encode, oid::db::rfc4519::COMMON_NAME};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints};

use crate::{
    Certificate, Error,
    certificate::text,
    profile::{ANY_PURPOSE, SERVER_AUTH},
};

impl Certificate {
    /// Whether it is marked as an authority (RFC 5280, section 4.2.1.9). One of version 1 or 2 cannot be.
    pub fn is_ca(&self) -> bool {
        self.basic_constraints().is_some_and(|basic| basic.ca)
    }

    /// Its version, 1 to 3.
    pub fn version(&self) -> u8 {
        self.tbs().version() as u8 + 1
    }

    /// Whether an issuer may stand between it and a leaf.
    pub fn allows_an_issuer_below(&self) -> bool {
        self.basic_constraints().is_some_and(|basic| basic.path_len_constraint != Some(0))
    }

    /// Whether its key may sign certificates: so says its key usage, or there is none (RFC 5280, section 4.2.1.3).
    pub fn may_sign_certificates(&self) -> bool {
        match self.tbs().get_extension::<KeyUsage>() {
            Ok(Some((_, usage))) => usage.key_cert_sign(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether those below it may be web servers: browsers apply the extended key usage of an authority to all of
    /// them.
    pub fn may_vouch_for_servers(&self) -> bool {
        match self.tbs().get_extension::<ExtendedKeyUsage>() {
            Ok(Some((_, purposes))) => purposes.0.iter().any(|p| [SERVER_AUTH, ANY_PURPOSE].contains(p)),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Whether its issuer has the name of `other`.
    pub fn names_as_issuer(&self, other: &Certificate) -> bool {
        self.tbs().issuer() == other.tbs().subject()
    }

    /// The common name, or else the whole subject (RFC 4514).
    pub fn common_name(&self) -> String {
        let common_name = self.subject_name().iter().find(|a| a.oid == COMMON_NAME);
        common_name.and_then(|name| text(&name.value)).unwrap_or_else(|| self.subject())
    }

    /// Whether the subject is written in what is issued byte for byte as it stands here: some programs have sorted a
    /// set in it otherwise than DER does.
    pub fn keeps_its_subject(&self) -> bool {
        let written = self.subject_name().to_der().unwrap_or_default();
        !written.is_empty() && self.der().windows(written.len()).any(|bytes| bytes == written)
    }

    pub(crate) fn name_constraints(&self) -> Result<Option<NameConstraints>, Error> {
        let damaged = |_| Error::UnsupportedConstraint { constraint: "damaged".into() };
        let extension = self.tbs().get_extension::<NameConstraints>().map_err(damaged)?;
        Ok(extension.map(|(_, constraints)| constraints))
    }

    fn basic_constraints(&self) -> Option<BasicConstraints> {
        let (_, basic) = self.tbs().get_extension::<BasicConstraints>().ok()??;
        Some(basic)
    }
}
