//! Fuzz targets: each a function of bytes that panics when something is wrong. `cargo test` replays the corpora in
//! `corpus`, a folder for each; `scripts/fuzz` looks for what they lack, with libFuzzer.
//!
//! A new target is a function here and its line in [`TARGETS`], a file in `fuzz_targets` with its `[[bin]]`, and a
//! folder of some dozens of small files.

pub mod requests;

use pki::{Certificate, Request, pem};

/// Takes any bytes, and panics when what is made of them is not as it should be.
pub type Target = fn(&[u8]);

/// Each target by the name of its corpus.
pub const TARGETS: [(&str, Target); 4] =
    [("certificate", certificate), ("pem", pem), ("request", request), ("wishes", wishes)];

/// A certificate, as a device serves it: everything that is told of one.
pub fn certificate(bytes: &[u8]) {
    let Ok(certificate) = Certificate::from_der(bytes) else { return };
    let summary = certificate.summary();
    assert!(certificate.alt_names().len() <= summary.sans.len());
    assert_eq!(certificate.has_alt_names(), !summary.sans.is_empty());
    if let Ok(key) = certificate.public_key() {
        assert_eq!(key.name(), certificate.key_name());
        assert!(key.to_der().is_ok());
    }
    assert!(certificate.public_key_sha256().is_ok());
    let _ = (certificate.is_self_issued(), summary.not_before <= summary.not_after);
    assert_eq!(Certificate::read_all(certificate.to_pem().as_bytes()), Ok(vec![certificate]));
}

/// PEM in any encoding: what is found is found again when it is written properly.
pub fn pem(bytes: &[u8]) {
    let _ = Certificate::read_all(bytes);
    for (label, content) in pem::blocks(&pem::text(bytes)) {
        assert!(!label.contains("-----"));
        if let Some(content) = content {
            let block = pem::block(label, &content);
            assert_eq!(pem::blocks(&block), [(label, Some(content))]);
        }
    }
}

/// A request, in PEM or DER: no more comes out of it than there may be, and nothing that cannot be shown.
pub fn request(bytes: &[u8]) {
    let Ok(request) = Request::read(bytes) else { return };
    assert!(request.key.is_rsa() || ["p256", "p384"].contains(&request.key.name()));
    assert!(request.names.len() + request.unusable_names.len() <= 100);
    assert!(request.misplaced_names.iter().all(|name| request.names.contains(name)));
    assert!(request.extensions.len() <= 100);
    let shown = [&request.common_name, &request.unusable_common_name].into_iter().flatten();
    for text in shown.chain(&request.unusable_names).chain(&request.extensions) {
        assert!(text.len() <= 80 * 10 && !text.contains(char::is_control), "{text:?}");
    }
}

/// What a request asks for, which is only read once its signature fits: [`requests::wishing`] signs it.
pub fn wishes(bytes: &[u8]) {
    request(&requests::wishing(bytes));
}
