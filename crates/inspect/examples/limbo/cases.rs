//! The cases, and what becomes of each.

use domain::{AltName, Finding, Rule};
use pki::Certificate;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_cert::der::Decode;

#[derive(Deserialize)]
struct Suite {
    testcases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    #[serde(default)]
    features: Vec<String>,
    validation_kind: String,
    trusted_certs: Vec<String>,
    untrusted_intermediates: Vec<String>,
    peer_certificate: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    validation_time: Option<OffsetDateTime>,
    #[serde(default)]
    signature_algorithms: Vec<String>,
    #[serde(default)]
    key_usage: Vec<String>,
    #[serde(default)]
    extended_key_usage: Vec<String>,
    expected_peer_name: Option<PeerName>,
    max_chain_depth: Option<usize>,
    #[serde(default)]
    crls: Vec<String>,
}

#[derive(Deserialize)]
struct PeerName {
    kind: String,
    value: String,
}

#[derive(Serialize)]
struct Results {
    version: u32,
    harness: &'static str,
    results: Vec<Outcome>,
}

#[derive(Serialize)]
struct Outcome {
    id: String,
    actual_result: &'static str,
    context: Option<String>,
}

/// The results of all cases, both as JSON.
pub(crate) fn results(suite: &str) -> Result<String, serde_json::Error> {
    let suite: Suite = serde_json::from_str(suite)?;
    let results = suite.testcases.iter().map(outcome).collect();
    serde_json::to_string_pretty(&Results { version: 1, harness: "camlock", results })
}

fn outcome(case: &Case) -> Outcome {
    let (actual_result, context) = match unclaimed(case) {
        Some(reason) => ("SKIPPED", Some(reason)),
        None => verdict(case),
    };
    Outcome { id: case.id.clone(), actual_result, context }
}

/// Why a case asks for something that no browser, and so no verdict here, looks at.
fn unclaimed(case: &Case) -> Option<String> {
    let feature = |name: &str| case.features.iter().any(|feature| feature == name);
    let reason = if case.validation_kind != "SERVER" {
        "only servers are judged"
    } else if !case.crls.is_empty() || feature("has-crl") {
        "browsers ask for no list of revoked certificates of a private authority"
    } else if feature("has-policy-constraints") || feature("has-cert-policies") {
        "browsers apply no certificate policies"
    } else if feature("rfc5280-incompatible-with-webpki") {
        "browsers take name constraints that are not critical"
    } else if feature("pedantic-webpki-eku") {
        "the roots here have an extended key usage, on purpose, and browsers take leaves without one"
    } else if !case.signature_algorithms.is_empty() {
        "the signature algorithms are those of browsers, no others can be chosen"
    } else if case.extended_key_usage.iter().any(|usage| usage != "serverAuth") {
        "only serverAuth is judged"
    } else if case.key_usage.iter().any(|usage| usage != "digitalSignature") {
        "only digitalSignature is judged"
    } else {
        return None;
    };
    Some(reason.into())
}

fn verdict(case: &Case) -> (&'static str, Option<String>) {
    let failed = |reason: String| ("FAILURE", Some(reason));
    let name = match &case.expected_peer_name {
        None => None,
        Some(PeerName { kind, value }) if kind == "DNS" || kind == "IP" => match value.parse::<AltName>() {
            Ok(name) => Some(name),
            Err(e) => return failed(e.to_string()),
        },
        Some(PeerName { kind, .. }) => {
            return ("SKIPPED", Some(format!("servers have no names of the kind {kind}")));
        }
    };
    let Some(leaf) = der(&case.peer_certificate) else { return failed("the certificate is no PEM".into()) };
    let others: Vec<Vec<u8>> = case.untrusted_intermediates.iter().filter_map(der).collect();
    let roots = case.trusted_certs.iter().filter_map(der);
    let roots: Vec<Certificate> = roots.filter_map(|root| Certificate::from_der(&root).ok()).collect();
    let now = case.validation_time.unwrap_or_else(OffsetDateTime::now_utc);
    // Certificates know whole seconds (RFC 5280, section 4.1.2.5).
    let now = now.replace_nanosecond(0).unwrap_or(now);
    let found = inspect::verify(&leaf, &others, &roots, name.as_ref(), now, case.max_chain_depth);
    let is_refused_as_server = |finding: &Finding| match finding {
        Finding::InvalidCertificate { rule, .. } => {
            matches!(rule, Rule::ServerIsAuthority | Rule::MayNotSign)
        }
        _ => false,
    };
    if found.is_empty() {
        ("SUCCESS", None)
    } else if may_certify(&leaf) && found.iter().all(is_refused_as_server) {
        ("SKIPPED", Some("an authority as a server: RFC 5280 allows it, browsers do not".into()))
    } else {
        failed(found.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join("\n"))
    }
}

fn may_certify(leaf: &[u8]) -> bool {
    let Ok(leaf) = x509_cert::Certificate::from_der(leaf) else { return false };
    let usage = leaf.tbs_certificate().get_extension::<x509_cert::ext::pkix::KeyUsage>();
    matches!(usage, Ok(Some((_, usage))) if usage.key_cert_sign())
}

fn der(pem: &String) -> Option<Vec<u8>> {
    let text = pki::pem::text(pem.as_bytes());
    let (_, der) = pki::pem::blocks(&text).into_iter().next()?;
    der.map(|der| der.to_vec())
}
