//! What the HTTPS port serves: exactly the chain that was assigned, whatever its dates and names say.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::keys::Pair;
use crate::x509::{self, Facts};

/// A chain ready to be served.
pub(crate) struct Served {
    /// Leaf first, in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    /// What its leaf says.
    pub(crate) facts: Option<Facts>,
    /// TLS with it. A new one for every chain, so that no session of an old one is resumed.
    pub(crate) config: Arc<ServerConfig>,
}

/// How a request came.
#[derive(Clone)]
pub(crate) struct Arrival {
    /// The certificate its connection was secured with; none over plain HTTP.
    pub(crate) tls: Option<Arc<Served>>,
    /// The camera's own address on that connection.
    pub(crate) local: String,
}

impl Served {
    /// Makes ready to serve `chain`, whose leaf has the key `pair`, over these versions of TLS.
    pub(crate) fn new(
        chain: Vec<Vec<u8>>,
        pair: &Pair,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self, rustls::Error> {
        let key = aws_lc_rs::sign::any_supported_type(&pair.private)?;
        let certificates = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        // Not `with_single_cert`: that looks into the leaf, and a camera serves what it was told to.
        let resolver = SingleCertAndKey::from(CertifiedKey::new(certificates, key));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let facts = chain.first().and_then(|leaf| x509::read(leaf));
        Ok(Served { chain, facts, config: Arc::new(config) })
    }
}
