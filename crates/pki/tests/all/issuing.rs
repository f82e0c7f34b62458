//! Root and device certificates: built, linted, signed, and judged by webpki.

use der::Decode;
use domain::{AltName, RevocationReason};
use pki::{
    Certificate, Error, KeyKind, Permitted, PrivateKey, Profile, Serial,
    chain::{self, Fault},
    crl,
    package::{self, Content, Form, KeyForm, Order, Protection},
    profile::{self, NewAuthority},
};
use time::{Duration, OffsetDateTime, macros::datetime};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

struct Ca {
    key: PrivateKey,
    root: Certificate,
    permitted: Permitted,
}

fn ca(kind: KeyKind) -> Ca {
    ca_with(kind, 0)
}

fn ca_with(kind: KeyKind, below: u8) -> Ca {
    let key = PrivateKey::generate(kind).unwrap();
    let permitted = Permitted::local(None);
    let name = format!("Camlock Shop {kind} 2026");
    let new = NewAuthority::root(&name, Some(&permitted), below, NOW);
    let unsigned = profile::root(&new, &key, Serial::random().unwrap()).unwrap();
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
    let device = profile::Leaf {
        profile: Profile::Device,
        key: &key.public_key()?,
        common_name,
        names: &names(alt),
        not_before: NOW - Duration::DAY,
        not_after: NOW - Duration::DAY + Duration::days(days) - Duration::SECOND,
        crl: None,
    };
    let unsigned = profile::leaf(&device, &ca.root, &ca.key, Serial::random()?)?;
    unsigned.lint_leaf(Profile::Device, &ca.root, &ca.permitted)?.sign(&ca.key)
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

fn lints(result: Result<impl std::fmt::Debug, Error>) -> Vec<String> {
    match result {
        Err(Error::LintFailed { findings }) => findings.into_iter().map(|f| f.code.into_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_breaks_a_rule_is_not_signed() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    for (common_name, names, days, code) in [
        (None, &["192.168.1.64", "gate.lan"][..], 825, "lint-too-long"),
        (None, &["8.8.8.8", "gate.lan"], 30, "lint-names-outside"),
        (None, &["192.168.1.64"], 30, "lint-no-host-name"),
        (Some("gate.lan"), &["gate.lan"], 30, "lint-common-name-host"),
        (Some("x".repeat(65).as_str()), &["gate.lan"], 30, "lint-common-name-length"),
        (Some("Gate\u{202e}1"), &["gate.lan"], 30, "lint-subject-invisible"),
        (Some("Gate\u{e0041}"), &["gate.lan"], 30, "lint-subject-invisible"),
        (None, &["gate.lan"], -5, "lint-validity"),
    ] {
        assert_eq!(lints(issue(&ca, &key, common_name, names, days)), [code]);
    }
    assert!(issue(&ca, &key, None, &["192.168.1.64", "gate.lan"], 824).is_ok());
}

#[test]
fn a_leaf_cannot_outlive_its_issuer() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let end = ca.root.not_after();
    let device = profile::Leaf {
        profile: Profile::Device,
        key: &key.public_key().unwrap(),
        common_name: None,
        names: &names(&["gate.lan"]),
        not_before: end - Duration::days(10),
        not_after: end + Duration::SECOND,
        crl: None,
    };
    let unsigned = profile::leaf(&device, &ca.root, &ca.key, Serial::random().unwrap()).unwrap();
    let linted = unsigned.lint_leaf(Profile::Device, &ca.root, &ca.permitted);
    assert_eq!(lints(linted), ["lint-outlives-issuer"]);
}

#[test]
fn the_root_constrains_itself() {
    // Even a certificate that the door would never let out is refused by whoever trusts the root.
    let ca = ca(KeyKind::P256);
    let everything = Permitted::try_from(vec!["0.0.0.0/0".to_owned(), "com".to_owned()]).unwrap();
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let device = profile::Leaf {
        profile: Profile::Device,
        key: &key.public_key().unwrap(),
        common_name: None,
        names: &names(&["8.8.8.8", "bank.com"]),
        not_before: NOW - Duration::DAY,
        not_after: NOW + Duration::DAY,
        crl: None,
    };
    let unsigned = profile::leaf(&device, &ca.root, &ca.key, Serial::random().unwrap()).unwrap();
    let leaf = unsigned.lint_leaf(Profile::Device, &ca.root, &everything).unwrap().sign(&ca.key).unwrap();
    assert_eq!(chain::verify(leaf.der(), &[], &[ca.root], NOW), Err(Fault::OutsideConstraints));
}

/// An issuer below an offline root.
fn issuer(root: &Ca, kind: KeyKind) -> Ca {
    let key = PrivateKey::generate(kind).unwrap();
    let new = NewAuthority {
        common_name: "Camlock Shop CA ab12 2026",
        permitted: Some(&root.permitted),
        below: 0,
        not_before: NOW - Duration::DAY,
        not_after: NOW + Duration::days(1000),
    };
    let (public, serial) = (key.public_key().unwrap(), Serial::random().unwrap());
    let unsigned = profile::issuer(&new, &public, &root.root, &root.key, serial).unwrap();
    let certificate = unsigned.lint_issuer(&root.root).unwrap().sign(&root.key).unwrap();
    Ca { key, root: certificate, permitted: root.permitted.clone() }
}

#[test]
fn below_an_issuer_a_chain_holds_with_the_issuer_only() {
    let root = ca_with(KeyKind::P384, 1);
    let issuer = issuer(&root, KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let leaf = issue(&issuer, &key, None, &["192.168.1.64", "gate.lan"], 30).unwrap();
    assert!(issuer.root.is_signed_by(&root.root).unwrap() && leaf.is_signed_by(&issuer.root).unwrap());
    assert!(!leaf.is_signed_by(&root.root).unwrap());
    let roots = std::slice::from_ref(&root.root);
    assert_eq!(chain::verify(leaf.der(), &[], roots, NOW), Err(Fault::UnknownIssuer));
    assert_eq!(chain::verify(leaf.der(), &[issuer.root.der().to_vec()], roots, NOW), Ok(()));
}

#[test]
fn an_issuer_cannot_outlive_its_root_or_have_issuers_below() {
    let key = PrivateKey::generate(KeyKind::P256).unwrap();
    let root = ca_with(KeyKind::P256, 1);
    let new = NewAuthority {
        common_name: "Camlock Shop CA ab12 2026",
        permitted: None,
        below: 1,
        not_before: NOW,
        not_after: root.root.not_after() + Duration::DAY,
    };
    let public = key.public_key().unwrap();
    let unsigned = profile::issuer(&new, &public, &root.root, &root.key, Serial::random().unwrap()).unwrap();
    assert_eq!(lints(unsigned.lint_issuer(&root.root)), ["lint-outlives-issuer", "lint-path-length"]);
}

#[test]
fn each_profile_is_linted_as_itself() {
    let ca = ca(KeyKind::P256);
    let key = PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap();
    for profile in Profile::ALL {
        let names = names(&["192.168.1.64", "gate.lan"]);
        let leaf = profile::Leaf {
            profile,
            key: &key,
            common_name: None,
            names: &names,
            not_before: NOW,
            not_after: NOW + Duration::DAY,
            crl: Some("http://nas.lan:8080/crl/00.crl"),
        };
        for judge in Profile::ALL {
            let unsigned = profile::leaf(&leaf, &ca.root, &ca.key, Serial::random().unwrap()).unwrap();
            let alike = (profile == Profile::DeviceDual) == (judge == Profile::DeviceDual);
            let linted = unsigned.lint_leaf(judge, &ca.root, &ca.permitted);
            assert_eq!(linted.is_ok(), alike, "{profile:?} {judge:?}");
        }
    }
}

#[test]
fn a_list_names_what_was_revoked() {
    let ca = ca(KeyKind::P256);
    let entry = |serial: &str, reason| crl::Entry { serial: serial.into(), at: NOW, reason };
    let entries =
        [entry("41ff", RevocationReason::KeyCompromise), entry("00c0", RevocationReason::Unspecified)];
    for entries in [&entries[..], &[]] {
        let list =
            crl::List { number: 300, this_update: NOW, next_update: NOW + Duration::days(31), entries };
        let der = crl::sign(&list, &ca.root, &ca.key).unwrap();
        let read =
            x509_cert::crl::CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der).unwrap();
        let serials: Vec<String> = read
            .tbs_cert_list
            .revoked_certificates
            .iter()
            .flatten()
            .map(|r| pki::hex(r.serial_number.as_bytes()))
            .collect();
        let expected: &[&str] = if entries.is_empty() { &[] } else { &["41ff", "00c0"] };
        assert_eq!(serials, expected);
    }
    let odd = [entry("xyz", RevocationReason::Superseded)];
    let list = crl::List { number: 1, this_update: NOW, next_update: NOW, entries: &odd };
    assert!(crl::sign(&list, &ca.root, &ca.key).is_err());
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

#[test]
fn a_package_is_read_as_it_was_written() {
    let ca = ca(KeyKind::P256);
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384] {
        let key = PrivateKey::generate(kind).unwrap();
        let leaf = issue(&ca, &key, Some("Kapu ő 🎥"), &["192.168.1.64", "gate.lan"], 397).unwrap();
        let certificates = [&leaf, &ca.root];
        let public = key.public_key().unwrap();
        let write = |form: Form<'_>| package::write(&key, &certificates, &form).unwrap();
        let holds = |form: Form<'_>, order: &[Content]| {
            let parts = write(form);
            assert_eq!(parts.iter().map(|part| part.content).collect::<Vec<_>>(), order);
            for part in parts {
                let expected: &[_] = match part.content {
                    Content::Key => &[],
                    Content::Issuer(_) => &[&ca.root],
                    Content::Certificate if matches!(form, Form::Der { .. }) => &[&leaf],
                    Content::Certificate | Content::Whole => &certificates,
                };
                if !expected.is_empty() {
                    let read = Certificate::read_all(&part.bytes).unwrap();
                    assert_eq!(read.iter().collect::<Vec<_>>(), expected);
                }
                match PrivateKey::read(&part.bytes, None) {
                    Ok(read) => assert_eq!(read.public_key().unwrap(), public),
                    Err(_) => assert!(!part.content.has_key()),
                }
            }
        };
        for key in [KeyForm::Pkcs8, KeyForm::Traditional] {
            holds(Form::Pem { order: Order::KeyFirst, key }, &[Content::Whole]);
            holds(Form::Pem { order: Order::CertificateFirst, key }, &[Content::Whole]);
            holds(Form::Pem { order: Order::Separate, key }, &[Content::Certificate, Content::Key]);
            holds(Form::Der { key }, &[Content::Certificate, Content::Issuer(1), Content::Key]);
        }
        for protection in [Protection::Modern, Protection::Aes128, Protection::Legacy] {
            let [part] = write(Form::Pkcs12 { protection, passphrase: "Jelszó 🎥" }).try_into().ok().unwrap();
            assert_eq!(part.content, Content::Whole);
            let read = package::read_pkcs12(&part.bytes, Some("Jelszó 🎥")).unwrap();
            assert_eq!(read.key.public_key().unwrap(), public);
            assert_eq!(read.certificates.iter().collect::<Vec<_>>(), certificates);
            let wrong = package::read_pkcs12(&part.bytes, Some("Jelszó")).unwrap_err();
            assert_eq!(wrong, Error::FilePassphraseWrong);
        }
    }
}

#[test]
fn where_key_and_certificate_stand_is_as_asked() {
    let ca = ca(KeyKind::P256);
    for (kind, old) in [(KeyKind::Rsa2048, "RSA PRIVATE KEY"), (KeyKind::P256, "EC PRIVATE KEY")] {
        let key = PrivateKey::generate(kind).unwrap();
        let leaf = issue(&ca, &key, None, &["gate.lan"], 397).unwrap();
        let labels = |order, key_form| -> Vec<String> {
            let parts = package::write(&key, &[&leaf], &Form::Pem { order, key: key_form }).unwrap();
            let text: Vec<_> = parts.iter().map(|p| String::from_utf8(p.bytes.to_vec()).unwrap()).collect();
            let labels = text.iter().flat_map(|t| t.lines().filter_map(|l| l.strip_prefix("-----BEGIN ")));
            labels.map(|label| label.trim_end_matches('-').to_owned()).collect()
        };
        for (form, label) in [(KeyForm::Pkcs8, "PRIVATE KEY"), (KeyForm::Traditional, old)] {
            assert_eq!(labels(Order::KeyFirst, form), [label, "CERTIFICATE"]);
            assert_eq!(labels(Order::CertificateFirst, form), ["CERTIFICATE", label]);
            assert_eq!(labels(Order::Separate, form), ["CERTIFICATE", label]);
        }
    }
}
