//! Fuzz targets: each a function of bytes that panics when something is wrong. `cargo test` replays the corpora in
//! `corpus`, a folder for each; `scripts/fuzz` looks for what they lack, with libFuzzer.
//!
//! A new target is a function here and its line in [`TARGETS`], a file in `fuzz_targets` with its `[[bin]]`, and a
//! folder of some dozens of small files.

mod dice;
pub mod requests;
pub mod roots;

pub use dice::Dice;

use std::net::{IpAddr, Ipv4Addr};

use authority::{Pile, Policy};
use devices::discovery::{self, Sighting};
use domain::{AltName, Finding, Severity};
use inspect::Roots;
use pki::{Certificate, Limits, Permitted, PrivateKey, Request, Unusable, package, pem};
use time::macros::datetime;

/// Takes any bytes, and panics when what is made of them is not as it should be.
pub type Target = fn(&[u8]);

/// Each target by the name of its corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("announcement", announcement),
    ("certificate", certificate),
    ("chain", chain),
    ("import", import),
    ("old_tls", old_tls),
    ("pem", pem),
    ("pkcs12", pkcs12),
    ("policy", policy),
    ("private_key", private_key),
    ("probe_matches", probe_matches),
    ("recipe", recipe),
    ("request", request),
    ("wishes", wishes),
];

/// The passphrase of what is encrypted in the corpora.
const PASSPHRASE: &str = "secret";

/// Where packets of discovery come from in the corpora.
const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// An answer of multicast DNS: the device is where it came from, and what is shown of it is one short line.
pub fn announcement(bytes: &[u8]) {
    discovery::read_announcement(bytes, SENDER).iter().for_each(sighting);
}

/// An answer to a probe of WS-Discovery.
pub fn probe_matches(bytes: &[u8]) {
    discovery::read_probe_matches(bytes, SENDER).iter().for_each(sighting);
}

fn sighting(seen: &Sighting) {
    assert_eq!(seen.address, SENDER);
    assert!(!seen.ports.contains(&0) && (seen.ports.is_empty() || seen.elsewhere.is_none()));
    for text in [&seen.id, &seen.name, &seen.model, &seen.elsewhere].into_iter().flatten() {
        assert!(
            !text.is_empty() && text.chars().count() <= 200 && !text.contains(domain::is_invisible),
            "{text:?}"
        );
    }
}

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
    if let Ok(allowed) = Limits::of(&[&certificate]).and_then(|l| l.allowed(Permitted::local(None), &[])) {
        assert_eq!(Permitted::try_from(allowed.permitted.entries()), Ok(allowed.permitted));
    }
    let _ = (certificate.lint_as_root(), certificate.is_signed_by(&certificate));
    // A root is asked no more than what is below one.
    let (root, issuer) = (certificate.lint_for_browsers(true), certificate.lint_for_browsers(false));
    assert!(root.iter().all(|lint| issuer.contains(lint)));
    let _ = (certificate.is_self_issued(), summary.not_before <= summary.not_after);
    assert_eq!(Certificate::read_all(certificate.to_pem().as_bytes()), Ok(vec![certificate]));
}

/// What a server sends, and last the root that is trusted, each behind its length in two bytes: without the root nothing is
/// believed, and each reason is given once.
pub fn chain(bytes: &[u8]) {
    let mut certificates = Vec::new();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (certificate, after) = after.split_at(after.len().min(u16::from_be_bytes(*length).into()));
        certificates.push(certificate.to_vec());
        rest = after;
    }
    let (Some(root), Some((leaf, others))) = (certificates.pop(), certificates.split_first()) else { return };
    let now = datetime!(2026-12-01 0:00 UTC);
    let name = AltName::Ip(SENDER);
    let is_error = |finding: &Finding| finding.severity() == Severity::Error;
    let nobody = inspect::verify(leaf, others, &[], Some(&name), now, None);
    assert!(nobody.iter().any(is_error), "{nobody:?}");
    // As browsers read it, who are strict elsewhere: without a root neither takes it.
    let chain: Vec<Vec<u8>> = [leaf].into_iter().chain(others).cloned().collect();
    let (chromium, firefox) = inspect::pages(&Roots::read([]), &chain, &name, now);
    assert!(chromium.is_some() && firefox.is_some(), "{chromium:?} {firefox:?}");
    inspect::pages(&Roots::read([root.as_slice()]), &chain, &name, now);
    let Ok(root) = Certificate::from_der(&root) else { return };
    let found = inspect::verify(leaf, others, &[root], Some(&name), now, Some(3));
    assert!((1..found.len()).all(|n| found[n] != found[n - 1]), "{found:?}");
}

/// A file with a CA of another program: archive, configuration, PEM, DER, PKCS#12.
pub fn import(bytes: &[u8]) {
    let mut pile = Pile::new(Some(PASSPHRASE));
    if pile.add("file", bytes).is_err() {
        return;
    }
    let Ok(ca) = pile.choose(None, datetime!(2026-12-01 0:00 UTC)) else { return };
    let Ok((adopted, _)) = ca.adopt(Permitted::local(None), &[], true) else { return };
    let signs = adopted.issuer.as_ref().unwrap_or(&adopted.root);
    assert_eq!(adopted.key.public_key(), signs.public_key());
    assert!(adopted.root.is_ca() && signs.is_ca() && adopted.root.is_self_issued());
    assert!(adopted.issuer.is_none_or(|issuer| issuer.is_signed_by(&adopted.root) == Ok(true)));
}

/// The first answer of a server that is too old for our library.
pub fn old_tls(bytes: &[u8]) {
    let Some(old) = inspect::old::read(bytes) else { return };
    assert!(old.version.starts_with("SSL") || old.version.starts_with("TLS"));
    assert!(old.suite.starts_with("TLS_") || old.suite.starts_with("0x"));
    let size: usize = old.chain.iter().map(Vec::len).sum();
    assert!(size <= bytes.len() && old.chain.iter().all(|certificate| !certificate.is_empty()));
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

/// A PKCS#12 package: the certificate of its key comes first.
pub fn pkcs12(bytes: &[u8]) {
    let Ok(unpacked) = package::read_pkcs12(bytes, Some(PASSPHRASE)) else { return };
    let public = unpacked.key.public_key();
    assert!(public.is_ok());
    let own = unpacked.certificates.iter().map(|c| c.public_key() == public);
    assert!(own.is_sorted_by(|a, b| a >= b));
}

/// The policy: a mistake is on a line of it.
pub fn policy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(authority::Error::PolicyFile { line, .. }) = Policy::parse(text) {
        assert!((1..=text.split('\n').count()).contains(&line), "{line}");
    }
}

/// A file with private keys: what is read can be written and read again.
pub fn private_key(bytes: &[u8]) {
    for key in PrivateKey::read_all(bytes, Some(PASSPHRASE)).into_iter().flatten().flatten() {
        let again = key.to_pkcs8().and_then(|der| PrivateKey::read(&der, None));
        assert_eq!(again.and_then(|key| key.public_key()), key.public_key());
    }
}

/// A recipe, and after a zero byte the page of a device: a mistake is on a line of the recipe, and nothing longer comes out of
/// a page than is in it.
pub fn recipe(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (recipe, page) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let page = String::from_utf8_lossy(page);
    match devices::try_recipe(recipe, &page) {
        Ok(longest) => assert!(longest <= page.len(), "{longest}"),
        Err(devices::RecipeError::RecipeFile { line, .. }) => {
            assert!((1..=recipe.split(|byte| *byte == b'\n').count()).contains(&line), "{line}");
        }
        Err(_) => {}
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
    let unusable = request.unusable_names.iter().map(Unusable::text);
    for text in shown.chain(&request.extensions).map(String::as_str).chain(unusable) {
        assert!(text.len() <= 80 * 10 && !text.contains(domain::is_invisible), "{text:?}");
    }
}

/// What a request asks for, which is only read once its signature fits: [`requests::wishing`] signs it.
pub fn wishes(bytes: &[u8]) {
    request(&requests::wishing(bytes));
}
