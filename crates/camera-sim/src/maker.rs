//! A maker who gives each camera an identity at the factory, as Axis and Hanwha Vision do.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

/// A maker's root. It goes with [`Options::maker`](crate::Options::maker).
pub struct Maker {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Maker {
    /// A new root of this name.
    pub fn new(name: &str) -> Result<Maker, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.remove(DnType::CommonName);
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.not_before = OffsetDateTime::now_utc() - Duration::days(1000);
        let root = parameters.self_signed(&key)?.pem();
        Ok(Maker { issuer: Issuer::new(parameters, key), root })
    }

    /// The root's certificate, PEM.
    pub fn root(&self) -> &str {
        &self.root
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }
}
