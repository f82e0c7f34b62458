//! What a camera was to serve, for another one to show.

use crate::http;
use crate::keys::{Algorithm, Pair, RsaBits};
use crate::tls::Served;
use crate::x509;

/// rsaEncryption, in DER.
const RSA_ENCRYPTION: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1];

/// Certificates that were served, and the key to them, if it came along.
#[derive(Clone)]
pub struct Shown {
    /// Leaf first, in DER.
    pub(crate) chain: Vec<Vec<u8>>,
    pair: Option<Pair>,
}

impl Shown {
    /// Certificates (DER, leaf first) as everybody can see them. Whoever shows them has a key of the same kind, and not the
    /// one that belongs to them.
    pub fn only(chain: Vec<Vec<u8>>) -> Shown {
        Shown { chain, pair: None }
    }

    pub(crate) fn with_key(chain: Vec<Vec<u8>>, pair: Pair) -> Shown {
        Shown { chain, pair: Some(pair) }
    }

    /// The leaf, in DER.
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    pub(crate) fn served(&self) -> Result<Served, Box<dyn std::error::Error + Send + Sync>> {
        let pair = match &self.pair {
            Some(pair) => pair.clone(),
            None => {
                let leaf = x509::read(self.leaf()).ok_or("the certificate to show is unreadable")?;
                let is_rsa = http::find(&leaf.public_key, RSA_ENCRYPTION).is_some();
                Pair::generate(if is_rsa { Algorithm::Rsa(RsaBits::B2048) } else { Algorithm::P256 })?
            }
        };
        Ok(Served::new(self.chain.clone(), &pair, rustls::ALL_VERSIONS)?)
    }
}
