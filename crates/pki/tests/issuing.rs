//! Root and device certificates: built, linted, signed, and judged by webpki.
#![allow(clippy::unwrap_used, clippy::panic)]

use domain::AltName;
use pki::{
    Certificate, Error, KeyKind, Permitted, PrivateKey, Serial,
    chain::{self, Fault},
    package, profile,
};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

struct Ca {
    key: PrivateKey,
    root: Certificate,
    permitted: Permitted,
}

fn ca(kind: KeyKind) -> Ca {
    let key = PrivateKey::generate(kind).unwrap();
    let permitted = Permitted::local(None);
    let name = format!("Camlock Shop {kind} 2026");
    let unsigned = profile::root(&name, &key, Some(&permitted), Serial::random().unwrap(), NOW).unwrap();
    let root = unsigned.lint_root().unwrap().sign(&key).unwrap();
    Ca { key, root, permitted }
}

fn names(names: &[&str]) -> Vec<AltName> {
    names.iter().map(|n| n.parse().unwrap()).collect()
}

fn issue(
    ca: &Ca,
    key: &PrivateKey,
    common_name: Option<&str>,
    alt: &[&str],
    days: i64,
) -> Result<Certificate, Error> {
    let device = profile::Device {
        key: &key.public_key()?,
        common_name,
        names: &names(alt),
        not_before: NOW - Duration::DAY,
        not_after: NOW - Duration::DAY + Duration::days(days) - Duration::SECOND,
    };
    let unsigned = profile::device(&device, &ca.root, &ca.key, Serial::random()?)?;
    unsigned.lint_device(&ca.root, &ca.permitted)?.sign(&ca.key)
}

#[test]
fn a_chain_holds_for_every_kind_of_key() {
    for kind in [KeyKind::Rsa3072, KeyKind::P256, KeyKind::P384] {
        let ca = ca(kind);
        for leaf_kind in [KeyKind::Rsa2048, KeyKind::P256] {
            let key = PrivateKey::generate(leaf_kind).unwrap();
            let leaf = issue(&ca, &key, Some("Gate"), &["192.168.1.64", "gate.home.arpa"], 397).unwrap();
            assert_eq!(chain::verify(leaf.der(), &[], std::slice::from_ref(&ca.root), NOW), Ok(()));
            assert!(chain::is_for(leaf.der(), &"192.168.1.64".parse().unwrap()));
            assert!(chain::is_for(leaf.der(), &"gate.home.arpa".parse().unwrap()));
            assert!(!chain::is_for(leaf.der(), &"192.168.1.65".parse().unwrap()));
            assert_eq!(leaf.summary().sans, ["IP:192.168.1.64", "DNS:gate.home.arpa"]);
            assert_eq!(leaf.key_name(), leaf_kind.name());
            assert_eq!(leaf.serial().len(), 32);
        }
    }
}

#[test]
fn a_chain_breaks_for_each_reason() {
    let ca1 = ca(KeyKind::P256);
    let other = ca(KeyKind::P384);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let leaf = issue(&ca1, &key, None, &["192.168.1.64", "gate.lan"], 30).unwrap();
    let verify = |roots: &[Certificate], at| chain::verify(leaf.der(), &[], roots, at);
    assert_eq!(verify(&[other.root], NOW), Err(Fault::UnknownIssuer));
    assert_eq!(verify(&[], NOW), Err(Fault::UnknownIssuer));
    let roots = [ca1.root];
    assert_eq!(verify(&roots, NOW + Duration::days(31)), Err(Fault::Expired));
    assert_eq!(verify(&roots, NOW - Duration::days(2)), Err(Fault::NotYetValid));
    assert!(matches!(chain::verify(b"junk", &[], &roots, NOW), Err(Fault::Invalid(_))));
}

#[test]
fn what_breaks_a_rule_is_not_signed() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let rule = |result: Result<Certificate, Error>| match result {
        Err(Error::LintFailed { rules }) => rules,
        other => panic!("{other:?}"),
    };
    assert!(rule(issue(&ca, &key, None, &["192.168.1.64", "gate.lan"], 825)).contains("824 days"));
    assert!(rule(issue(&ca, &key, None, &["8.8.8.8", "gate.lan"], 30)).contains("may speak for"));
    assert!(rule(issue(&ca, &key, None, &["192.168.1.64"], 30)).contains("dNSName"));
    assert!(rule(issue(&ca, &key, Some("gate.lan"), &["gate.lan"], 30)).contains("no host name"));
    assert!(rule(issue(&ca, &key, Some(&"x".repeat(65)), &["gate.lan"], 30)).contains("64 characters"));
    assert!(rule(issue(&ca, &key, None, &["gate.lan"], -5)).contains("end before"));
    assert!(issue(&ca, &key, None, &["192.168.1.64", "gate.lan"], 824).is_ok());
}

#[test]
fn a_leaf_cannot_outlive_its_issuer() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let end = ca.root.not_after();
    let device = profile::Device {
        key: &key.public_key().unwrap(),
        common_name: None,
        names: &names(&["gate.lan"]),
        not_before: end - Duration::days(10),
        not_after: end + Duration::SECOND,
    };
    let unsigned = profile::device(&device, &ca.root, &ca.key, Serial::random().unwrap()).unwrap();
    assert!(
        unsigned
            .lint_device(&ca.root, &ca.permitted)
            .unwrap_err()
            .to_string()
            .contains("within the issuer's")
    );
}

#[test]
fn the_root_constrains_itself() {
    // Even a certificate that the door would never let out is refused by whoever trusts the root.
    let ca = ca(KeyKind::P256);
    let everything = Permitted::try_from(vec!["0.0.0.0/0".to_owned(), "com".to_owned()]).unwrap();
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let device = profile::Device {
        key: &key.public_key().unwrap(),
        common_name: None,
        names: &names(&["8.8.8.8", "bank.com"]),
        not_before: NOW - Duration::DAY,
        not_after: NOW + Duration::DAY,
    };
    let unsigned = profile::device(&device, &ca.root, &ca.key, Serial::random().unwrap()).unwrap();
    let leaf = unsigned.lint_device(&ca.root, &everything).unwrap().sign(&ca.key).unwrap();
    assert_eq!(chain::verify(leaf.der(), &[], &[ca.root], NOW), Err(Fault::OutsideConstraints));
}

#[test]
fn the_root_lasts_ten_years_from_a_month_ago() {
    let root = ca(KeyKind::P256).root;
    assert_eq!(root.not_before(), NOW - Duration::days(31));
    assert_eq!((root.not_after() - root.not_before()).whole_days(), 3651);
    assert_eq!(root.subject(), "CN=Camlock Shop p256 2026");
}

#[test]
fn a_package_holds_key_then_leaf() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::Rsa2048).unwrap();
    let leaf = issue(&ca, &key, Some("Gate"), &["192.168.1.64", "gate.lan"], 397).unwrap();
    let pem = package::pem(&key, &leaf, &[]).unwrap();
    let labels: Vec<&str> = pem.lines().filter(|l| l.starts_with("-----BEGIN")).collect();
    assert_eq!(labels, ["-----BEGIN PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"]);
    assert_eq!(Certificate::read_all(pem.as_bytes()).unwrap(), [leaf]);
    assert!(Certificate::read_all(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----").is_err());
}
