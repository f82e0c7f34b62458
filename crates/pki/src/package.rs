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
    let mut package = Zeroizing::new(String::with_capacity(pkcs8.len() * 2 + leaf.der().len() * 2));
    package.push_str(&Zeroizing::new(pem::block("PRIVATE KEY", &pkcs8)));
    package.push_str(&chain(leaf, issuers));
    Ok(package)
}

/// Leaf and issuers below the root, for a device that has its key already.
pub fn chain(leaf: &Certificate, issuers: &[Certificate]) -> String {
    std::iter::once(leaf).chain(issuers).map(Certificate::to_pem).collect()
}
