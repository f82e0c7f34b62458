//! How a browser proves that it trusts a root: the port of the trust page answers TLS, too, with a certificate under
//! that root and of its own. Whoever reads something there has accepted the certificate. It is not the one of the site's
//! page, since an exception that somebody once made for that one would prove nothing.

use std::{net::IpAddr, sync::Arc};

use domain::AltName;
use rustls::ServerConfig;

/// A certificate that a browser accepts only if it trusts a root.
pub struct Prover {
    pub(crate) tls: Arc<ServerConfig>,
    /// SHA-256 of the root, hexadecimal.
    pub(crate) root: String,
    /// The names in the certificate.
    pub(crate) names: Vec<AltName>,
}

impl Prover {
    /// Of what serves the certificate, the SHA-256 of its root, and the names in it.
    pub fn new(tls: ServerConfig, root: String, names: Vec<AltName>) -> Prover {
        Prover { tls: http1_only(tls), root, names }
    }
}

/// What a connection has proven: a request's extension, as an `Option`.
#[derive(Clone)]
pub(crate) struct Proven {
    /// The root that the browser trusts.
    pub(crate) root: String,
    /// Where the browser is.
    pub(crate) address: IpAddr,
}

pub(crate) fn http1_only(mut tls: rustls::ServerConfig) -> Arc<rustls::ServerConfig> {
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(tls)
}
