//! Packages: key and certificate in the form that a camera's firmware takes.

use zeroize::Zeroizing;

use crate::{Certificate, Error, PrivateKey, pem};

/// One PEM: private key (PKCS#8), leaf, issuers below the root. What a camera's upload form takes.
pub fn pem(
    key: &PrivateKey,
    leaf: &Certificate,
    issuers: &[Certificate],
) -> Result<Zeroizing<String>, Error> {
    let pkcs8 = key.to_pkcs8()?;
    let key = pem::block("PRIVATE KEY", &pkcs8);
    Ok(Zeroizing::new([key.as_str(), &chain(leaf, issuers)].concat()))
}

/// Leaf and issuers below the root, for a device that has its key already.
pub fn chain(leaf: &Certificate, issuers: &[Certificate]) -> String {
    std::iter::once(leaf).chain(issuers).map(Certificate::to_pem).collect()
}
