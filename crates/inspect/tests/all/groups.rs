//! Servers that take none of the key shares that come with the first message: they ask for another one.

// Clippy knows a test by its attribute, and the helpers here have none.

use std::sync::Arc;

use crate::common::{Authority, tcp, trusting};
use domain::Verdict;
use inspect::{Options, check};
use rustls::{
    ServerConfig,
    crypto::{SupportedKxGroup, aws_lc_rs, aws_lc_rs::kx_group},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;

/// A server on 127.0.0.1 that knows this group alone; its port.
async fn https(root: &Authority, group: &'static dyn SupportedKxGroup) -> u16 {
    let served = root.leaf(|_| {});
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![group];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(served.key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(served.chain.into_iter().map(CertificateDer::from).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tcp(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1]).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn every_group_of_a_browser_is_found_by_whoever_has_only_that_one() {
    let root = Authority::new("Root");
    let options: Options = trusting(&[&root]);
    for group in [kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1, kx_group::X25519MLKEM768] {
        let target = format!("https://127.0.0.1:{}/", https(&root, group).await);
        let report = check(&target.parse().unwrap(), &options).await;
        assert_eq!(report.verdict, Verdict::Secure, "{group:?}: {report:?}");
    }
}
