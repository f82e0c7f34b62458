//! rustls-webpki as a judge, asked directly: what it accepts, and what it refuses with one thing changed.

use std::time::Duration as StdDuration;

use domain::AltName;
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Profile, Serial, profile};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime, macros::datetime};
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};

const NOW: OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

/// What webpki says of a leaf for `name`, as a TLS client asks it: first the path, then the name.
fn judge(root: &Certificate, leaf: &Certificate, name: &str, at: OffsetDateTime) -> Result<(), Error> {
    let (root, leaf) = (CertificateDer::from(root.der()), CertificateDer::from(leaf.der()));
    let anchors = [anchor_from_trusted_cert(&root).unwrap()];
    let at = UnixTime::since_unix_epoch(StdDuration::from_secs(at.unix_timestamp() as u64));
    let usage = KeyUsage::server_auth();
    let leaf = EndEntityCert::try_from(&leaf)?;
    leaf.verify_for_usage(webpki::ALL_VERIFICATION_ALGS, &anchors, &[], at, usage, None, None)?;
    leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name).unwrap())
}

/// An authority with the default constraints, whose door is open to every name.
fn authority(kind: KeyKind) -> (PrivateKey, Certificate) {
    let key = PrivateKey::generate(kind).unwrap();
    let permitted = Permitted::local(None);
    let root = profile::root(
        &profile::NewAuthority::root("Camlock Shop 2026", Some(&permitted), 0, NOW),
        &key,
        Serial::random().unwrap(),
    )
    .unwrap();
    let root = root.lint_root().unwrap().sign(&key).unwrap();
    (key, root)
}

fn issue((key, root): &(PrivateKey, Certificate), names: &[&str]) -> Certificate {
    let everything = ["0.0.0.0/0", "::/0", "com", "lan"].map(str::to_owned).to_vec().try_into().unwrap();
    let names: Vec<AltName> = names.iter().map(|n| n.parse().unwrap()).collect();
    let device = profile::Leaf {
        profile: Profile::Device,
        crl: None,
        key: &PrivateKey::generate(KeyKind::P256).unwrap().public_key().unwrap(),
        common_name: Some("Gate"),
        names: &names,
        not_before: NOW - Duration::DAY,
        not_after: NOW + Duration::DAY,
    };
    let unsigned = profile::leaf(&device, root, key, Serial::random().unwrap()).unwrap();
    unsigned.lint_leaf(Profile::Device, root, &everything).unwrap().sign(key).unwrap()
}

#[test]
fn only_the_right_name_at_the_right_time_under_the_right_root() {
    for kind in [KeyKind::Rsa3072, KeyKind::P256, KeyKind::P384] {
        let authority = authority(kind);
        let root = &authority.1;
        let leaf = issue(&authority, &["192.168.1.64", "fd00::64", "gate.lan"]);
        for name in ["192.168.1.64", "fd00::64", "gate.lan"] {
            assert_eq!(judge(root, &leaf, name, NOW), Ok(()), "{kind} {name}");
        }
        for name in ["192.168.1.65", "fd00::65", "yard.lan", "x.gate.lan"] {
            let refused = judge(root, &leaf, name, NOW);
            assert!(matches!(refused, Err(Error::CertNotValidForName(_))), "{kind} {name} {refused:?}");
        }
        let refused = judge(root, &leaf, "gate.lan", NOW + Duration::days(2));
        assert!(matches!(refused, Err(Error::CertExpired { .. })), "{kind} {refused:?}");
        let refused = judge(root, &leaf, "gate.lan", NOW - Duration::days(2));
        assert!(matches!(refused, Err(Error::CertNotValidYet { .. })), "{kind} {refused:?}");
    }
}

#[test]
fn an_impostor_with_the_authority_s_name_is_refused() {
    let (authority, impostor) = (authority(KeyKind::P256), authority(KeyKind::P256));
    assert_eq!(authority.1.subject(), impostor.1.subject());
    let leaf = issue(&impostor, &["gate.lan"]);
    assert_eq!(judge(&impostor.1, &leaf, "gate.lan", NOW), Ok(()));
    let refused = judge(&authority.1, &leaf, "gate.lan", NOW);
    assert_eq!(refused, Err(Error::InvalidSignatureForPublicKey));
}

#[test]
fn a_name_outside_the_constraints_is_refused() {
    let authority = authority(KeyKind::P256);
    assert_eq!(judge(&authority.1, &issue(&authority, &["gate.lan"]), "gate.lan", NOW), Ok(()));
    for name in ["8.8.8.8", "2001:db8::1", "www.example.com"] {
        let leaf = issue(&authority, &[name, "gate.lan"]);
        for asked in [name, "gate.lan"] {
            let refused = judge(&authority.1, &leaf, asked, NOW);
            assert_eq!(refused, Err(Error::NameConstraintViolation), "{name} {asked}");
        }
    }
}
