//! Packages: key and certificate in the form that a camera's firmware takes.

use zeroize::Zeroizing;

use crate::{Certificate, Error, PrivateKey};

/// One PEM: private key (PKCS#8), leaf, issuers below the root. What a camera's upload form takes.
pub fn pem(
    key: &PrivateKey,
    leaf: &Certificate,
    issuers: &[Certificate],
) -> Result<Zeroizing<String>, Error> {
    Ok(Zeroizing::new([key.to_pem()?.as_str(), &chain(leaf, issuers)].concat()))
}

/// Leaf and issuers below the root, for a device that has its key already.
pub fn chain(leaf: &Certificate, issuers: &[Certificate]) -> String {
    std::iter::once(leaf).chain(issuers).map(Certificate::to_pem).collect()
}
