//! The keystore's rules, without any SOAP around them.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
use rustls::pki_types::PrivateKeyDer;

use super::{CERTIFICATES, KEYS, KeyLife, Keystore, PATHS, Refusal};
use crate::keys::{Algorithm, Pair};
use crate::store::Store as _;

struct Authority {
    root: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    let root = parameters.self_signed(&key).unwrap().der().to_vec();
    Authority { root, issuer: Issuer::new(parameters, key) }
}

/// A ready key in the store and a certificate for it.
fn leaf(store: &mut Keystore, authority: &Authority) -> (String, Vec<u8>) {
    let id = store.begin_key(None).unwrap();
    let key = KeyPair::generate().unwrap();
    let der =
        CertificateParams::new(vec!["camera.home.arpa".into()]).unwrap().signed_by(&key, &authority.issuer);
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    store.finish_key(&id, Some(Pair { private, public: key.subject_public_key_info() }));
    (id, der.unwrap().der().to_vec())
}

#[test]
fn a_certificate_is_linked_by_its_public_key() {
    let mut store = Keystore::default();
    let authority = authority("Root A");
    let (key, der) = leaf(&mut store, &authority);
    let (_, linked) = store.add_certificate(der.clone(), None, None, true).unwrap();
    assert_eq!(linked, key);
    assert_eq!(store.add_certificate(der, None, None, true), Err(Refusal::Duplicate));
    assert_eq!(
        store.add_certificate(authority.root.clone(), None, None, true),
        Err(Refusal::NoMatchingPrivateKey)
    );
    let (_, public_only) = store.add_certificate(authority.root, None, None, false).unwrap();
    assert!(!store.key(&public_only).unwrap().has_private_key());
    assert!(matches!(store.signing_pair(&public_only), Err(Refusal::UnknownKey)));
    assert_eq!(store.add_certificate(b"nonsense".to_vec(), None, None, false), Err(Refusal::BadCertificate));
}

#[test]
fn a_path_is_checked_and_protects_its_members() {
    let mut store = Keystore::default();
    let (right, wrong) = (authority("Root A"), authority("Root A"));
    let (key, der) = leaf(&mut store, &right);
    let (leaf, _) = store.add_certificate(der, None, None, true).unwrap();
    let (root, _) = store.add_certificate(right.root, None, None, false).unwrap();
    let (other, _) = store.add_certificate(wrong.root, None, None, false).unwrap();
    assert_eq!(store.create_path(vec![root.clone(), leaf.clone()], None), Err(Refusal::InvalidPath));
    assert_eq!(store.create_path(vec![leaf.clone(), other], None), Err(Refusal::InvalidPath));
    assert_eq!(store.create_path(vec!["none".into()], None), Err(Refusal::UnknownCertificate));
    let path = store.create_path(vec![leaf.clone(), root.clone()], None).unwrap();

    store.assign(&path).unwrap();
    store.assign(&path).unwrap();
    assert_eq!(store.assigned.len(), 1);
    assert_eq!(store.identity().unwrap().0.len(), 2);
    assert_eq!(store.delete_key(&key), Err(Refusal::ReferenceExists));
    assert_eq!(store.delete_certificate(&leaf), Err(Refusal::ReferenceExists));
    assert_eq!(store.delete_path(&path), Err(Refusal::ReferenceExists));
    assert_eq!(store.unassign(&path, true), Err(Refusal::ReferenceExists));
    assert_eq!(store.unassign("none", false), Err(Refusal::UnknownOldPath));

    let public = store.create_path(vec![root], None).unwrap();
    assert_eq!(store.assign(&public), Err(Refusal::NoPrivateKey));
    assert_eq!(store.replace(&path, &public), Err(Refusal::NoPrivateKey));
    assert_eq!(store.replace(&public, &path), Err(Refusal::UnknownOldPath));
    assert_eq!(store.replace(&path, "none"), Err(Refusal::UnknownNewPath));

    store.unassign(&path, false).unwrap();
    store.delete_path(&path).unwrap();
    store.delete_certificate(&leaf).unwrap();
    store.delete_key(&key).unwrap();
    assert_eq!(store.delete_key(&key), Err(Refusal::UnknownKey));
}

#[test]
fn a_renewal_replaces_the_assignment() {
    let mut store = Keystore::default();
    let authority = authority("Root A");
    let mut path = || {
        let (_, der) = leaf(&mut store, &authority);
        let (id, _) = store.add_certificate(der, None, None, true).unwrap();
        store.create_path(vec![id], None).unwrap()
    };
    let (old, new) = (path(), path());
    store.assign(&old).unwrap();
    assert_eq!(store.assign(&new), Err(Refusal::TooManyAssignments));
    let before = store.identity().unwrap().0;
    store.replace(&old, &new).unwrap();
    assert_ne!(store.identity().unwrap().0, before);
    store.delete_path(&old).unwrap();
}

#[test]
fn deleting_a_key_aborts_its_generation() {
    let mut store = Keystore::default();
    let id = store.begin_key(None).unwrap();
    assert!(matches!(store.signing_pair(&id), Err(Refusal::KeyNotReady)));
    store.delete_key(&id).unwrap();
    store.finish_key(&id, Pair::generate(Algorithm::P256).ok());
    assert!(store.keys.is_empty());

    let id = store.begin_key(None).unwrap();
    store.finish_key(&id, None);
    assert_eq!(store.key(&id).unwrap().status(), "corrupt");
}

#[test]
fn there_is_only_so_much_room() {
    let mut store = Keystore::default();
    for _ in 0..KEYS {
        store.begin_key(None).unwrap();
    }
    assert_eq!(store.begin_key(None), Err(Refusal::TooManyKeys));
    assert_eq!(
        store.add_certificate(authority("Root A").root, None, None, false),
        Err(Refusal::TooManyKeys),
        "an issuer's public key takes a place too"
    );
    let mut store = Keystore::default();
    let authority = authority("Root A");
    let (_, first) = leaf(&mut store, &authority);
    let pair = match &store.keys[0].life {
        KeyLife::Pair(pair) => KeyPair::try_from(&pair.private).unwrap(),
        _ => unreachable!(),
    };
    let (id, _) = store.add_certificate(first, None, None, true).unwrap();
    for number in 1..CERTIFICATES {
        let parameters = CertificateParams::new(vec![format!("c{number}.home.arpa")]).unwrap();
        let der = parameters.signed_by(&pair, &authority.issuer).unwrap().der().to_vec();
        store.add_certificate(der, None, None, true).unwrap();
    }
    let one_more =
        CertificateParams::new(vec!["x".into()]).unwrap().signed_by(&pair, &authority.issuer).unwrap();
    let refused = store.add_certificate(one_more.der().to_vec(), None, None, true);
    assert_eq!(refused, Err(Refusal::TooManyCertificates));
    for _ in 0..PATHS {
        store.create_path(vec![id.clone()], None).unwrap();
    }
    assert_eq!(store.create_path(vec![id], None), Err(Refusal::TooManyPaths));
}
