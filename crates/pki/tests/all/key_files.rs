//! Private keys and packages as OpenSSL, Java, NSS and people make them (`keys/make`), and as nobody should.

use pki::{Certificate, Error, MAX_KEY_FILE, PrivateKey, package};
use proptest::prelude::*;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn key(name: &str, passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    PrivateKey::read(&bytes(name), passphrase)
}

fn p12(name: &str, passphrase: Option<&str>) -> Result<package::Unpacked, Error> {
    package::read_pkcs12(&bytes(name), passphrase)
}

fn leaf(name: &str) -> Certificate {
    Certificate::read_all(&bytes(name)).unwrap().remove(0)
}

/// That it is the key of this certificate.
fn assert_fits(key: &PrivateKey, leaf: &Certificate) {
    assert_eq!(key.public_key().unwrap(), leaf.public_key().unwrap());
}

#[test]
fn a_plain_key_is_read_in_every_form() {
    let (ec, rsa) = (leaf("ec-leaf.pem"), leaf("rsa-leaf.pem"));
    for name in [
        "ec-pkcs8.pem",
        "ec-pkcs8-no-public.pem",
        "ec-sec1.pem",
        "ec-sec1.der",
        "ec-sec1-no-public.pem",
        "rsa-pkcs8.pem",
        "rsa-pkcs8.der",
        "rsa-pkcs1.pem",
        "rsa-pkcs1.der",
    ] {
        let leaf = if name.starts_with("ec") { &ec } else { &rsa };
        for passphrase in [None, Some("not needed")] {
            assert_fits(&key(name, passphrase).unwrap_or_else(|e| panic!("{name}: {e}")), leaf);
        }
    }
    assert_eq!(key("ec384-sec1.pem", None).unwrap().public_key().unwrap().name(), "p384");
}

#[test]
fn an_encrypted_key_needs_its_passphrase() {
    let (ec, rsa) = (leaf("ec-leaf.pem"), leaf("rsa-leaf.pem"));
    let forms = [
        "pkcs8-aes256-sha256.pem",
        "pkcs8-aes192-sha384.pem",
        "pkcs8-aes128-sha512.pem",
        "pkcs8-3des-sha1.pem",
        "pkcs8-scrypt.pem",
        "pkcs8-pbe-3des.pem",
        "pkcs8-pbe-rc2-40.pem",
        "pkcs8-pbe-rc2-128.pem",
        "pkcs8-pbe-sha1-des.pem",
        "pkcs8-pbe-md5-des.pem",
        "pkcs8-encrypted.der",
        "pkcs8-long-salt.pem",
        "pkcs8-long-salt-sha1.pem",
        "pkcs8-long-salt-scrypt.pem",
        "sec1-aes128.pem",
        "sec1-aes192.pem",
        "sec1-aes256.pem",
        "sec1-des3.pem",
        "sec1-des.pem",
    ];
    let names = forms.map(|form| (format!("ec-{form}"), "secret", &ec)).into_iter().chain([
        ("rsa-pkcs1-aes256.pem".into(), "secret", &rsa),
        ("rsa-pkcs1-des3-accent.pem".into(), "titkós", &rsa),
        ("ec-pkcs8-accent-3des-utf8.pem".into(), "titkós", &ec),
        ("ec-pkcs8-accent-3des-latin1.pem".into(), "titkós", &ec),
        ("ec-pkcs8-accent-aes256-utf8.pem".into(), "titkós", &ec),
        ("ec-pkcs8-accent-aes256-latin1.pem".into(), "titkós", &ec),
    ]);
    for (name, passphrase, leaf) in names {
        let key = |passphrase| key(&name, passphrase);
        assert_fits(&key(Some(passphrase)).unwrap_or_else(|e| panic!("{name}: {e}")), leaf);
        assert_eq!(key(None).unwrap_err(), Error::FilePassphraseMissing, "{name}");
        for wrong in ["Secret", "", "titkos", "titkős", "titkòs"] {
            assert_eq!(key(Some(wrong)).unwrap_err(), Error::FilePassphraseWrong, "{name}");
        }
    }
}

/// Padding and even the first byte can come out right by accident.
#[test]
fn no_wrong_passphrase_makes_a_file_something_else() {
    let file = bytes("ec-sec1-des3.pem");
    for i in 0..20_000 {
        let error = PrivateKey::read(&file, Some(&i.to_string())).unwrap_err();
        assert_eq!(error, Error::FilePassphraseWrong, "{i}");
    }
}

#[test]
fn text_and_other_blocks_around_a_key_do_not_matter() {
    let text = |name| String::from_utf8(bytes(name)).unwrap();
    let (leaf_pem, key_pem) = (text("ec-leaf.pem"), text("ec-sec1-aes256.pem"));
    let shapes = [
        format!("Bag Attributes\n    friendlyName: kapu: 1\n{leaf_pem}{key_pem}").into_bytes(),
        format!("{key_pem}{leaf_pem}").replace('\n', "\r\n").into_bytes(),
        [&b"\xef\xbb\xbfstra\xdfe\n"[..], key_pem.as_bytes()].concat(),
    ];
    for shape in shapes {
        assert_fits(&PrivateKey::read(&shape, Some("secret")).unwrap(), &leaf("ec-leaf.pem"));
    }
    let two = format!("{key_pem}{}", text("rsa-pkcs8.pem"));
    let error = PrivateKey::read(two.as_bytes(), Some("secret")).unwrap_err();
    assert_eq!(error, Error::SeveralPrivateKeys { count: 2 });
    for (from, to) in [("DEK-Info: AES-256-CBC", "DEK-Info: CAMELLIA-256-CBC"), ("AES-256", "AES-512")] {
        let error = PrivateKey::read(key_pem.replace(from, to).as_bytes(), Some("secret")).unwrap_err();
        assert!(matches!(error, Error::UnsupportedEncryption { .. }), "{error:?}");
    }
}

#[test]
fn what_is_no_usable_key_is_named() {
    for (name, named) in [
        ("no-ed25519.pem", "Ed25519"),
        ("no-p521.pem", "P-521"),
        ("no-p521-sec1.pem", "P-521"),
        ("no-secp256k1-sec1.pem", "secp256k1"),
        ("no-dsa.pem", "DSA"),
        ("no-dsa-traditional.pem", "DSA"),
    ] {
        assert_eq!(key(name, None).unwrap_err(), Error::UnsupportedKey { key: named.into() }, "{name}");
    }
    for name in ["no-rsa1024.pem", "no-rsa1024-pkcs1.pem"] {
        assert_eq!(key(name, None).unwrap_err(), Error::KeyTooWeak { key: "rsa-1024".into() });
    }
    assert_eq!(key("no-named-curve.pem", None).unwrap_err(), Error::CurveNotNamed);
    let openssh = b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    assert_eq!(PrivateKey::read(openssh, None).unwrap_err(), Error::UnsupportedKey { key: "OpenSSH".into() });
    let too_large = vec![b' '; MAX_KEY_FILE + 1];
    assert!(matches!(PrivateKey::read(&too_large, None), Err(Error::FileTooLarge { .. })));
    for other in [
        bytes("ec-leaf.pem"),
        bytes("modern.p12"),
        b"no key".to_vec(),
        Vec::new(),
        b"-----BEGIN PRIVATE KEY-----\nAAAA".to_vec(),
        b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----".to_vec(),
        b"-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: DES-CBC,0\n\n-----END RSA PRIVATE KEY-----".to_vec(),
    ] {
        let error = PrivateKey::read(&other, Some("secret")).unwrap_err();
        assert!(matches!(error, Error::NotAPrivateKey { .. }), "{error:?}");
    }
    // RSA whose parts do not belong together.
    let mut broken = bytes("rsa-pkcs1.der");
    broken[600] ^= 1;
    let error = PrivateKey::read(&broken, None).unwrap_err();
    assert!(matches!(&error, Error::NotAPrivateKey { detail } if detail.contains("rsa-2048")), "{error:?}");
}

#[test]
fn a_package_is_read_in_every_protection() {
    let ec = leaf("ec-leaf.pem");
    for (name, passphrase) in [
        ("modern.p12", Some("secret")),
        ("modern-accent.p12", Some("titkós")),
        ("modern-empty.p12", Some("")),
        ("modern-empty.p12", None),
        ("modern-sha512.p12", Some("secret")),
        ("modern-no-mac.p12", Some("secret")),
        ("legacy.p12", Some("secret")),
        ("legacy-3des.p12", Some("secret")),
        ("legacy-accent.p12", Some("titkós")),
        ("plain.p12", Some("secret")),
        ("java.p12", Some("secret")),
        ("nss.p12", Some("secret")),
        ("nss-old.p12", Some("secret")),
    ] {
        let read = p12(name, passphrase).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_fits(&read.key, &ec);
        let subjects: Vec<_> = read.certificates.iter().map(Certificate::subject).collect();
        assert_eq!(subjects, ["CN=Leaf ec", "CN=Root"], "{name}");
        assert_eq!(read.certificates[0], ec);
        assert_eq!(p12(name, Some("wrong")).unwrap_err(), Error::FilePassphraseWrong, "{name}");
        if passphrase.is_some_and(|p| !p.is_empty()) && name != "modern-no-mac.p12" {
            assert_eq!(p12(name, None).unwrap_err(), Error::FilePassphraseMissing, "{name}");
        }
    }
}

#[test]
fn what_is_no_usable_package_is_said() {
    let error = p12("two-keys.p12", Some("secret")).unwrap_err();
    assert_eq!(error, Error::SeveralPrivateKeys { count: 2 });
    let error = p12("no-key.p12", Some("secret")).unwrap_err();
    assert!(
        matches!(&error, Error::NotAPackage { detail } if detail.contains("no private key")),
        "{error:?}"
    );
    for other in ["ec-pkcs8.pem", "ec-sec1.der", "rsa-pkcs8.der", "ec-pkcs8-encrypted.der", "make"] {
        assert!(matches!(p12(other, Some("secret")), Err(Error::NotAPackage { .. })), "{other}");
    }
    let too_large = vec![0; MAX_KEY_FILE + 1];
    assert!(matches!(package::read_pkcs12(&too_large, None), Err(Error::FileTooLarge { .. })));
}

#[test]
fn an_absurd_cost_is_refused() {
    let costly = |error| assert!(matches!(error, Error::TooCostly { .. }), "{error:?}");
    costly(key("ec-pkcs8-costly-pbkdf2.pem", Some("secret")).unwrap_err());
    costly(p12("costly-mac.p12", Some("secret")).unwrap_err());
    // scrypt's N, r and p: too much memory, too much work, and two that would be divided by or counted in bits.
    let usual = b"\x02\x02\x40\x00\x02\x01\x08\x02\x01\x01";
    let der = pem_content("ec-pkcs8-scrypt.pem");
    let scrypt = |cost| PrivateKey::read(&replaced(&der, usual, cost), Some("secret"));
    costly(scrypt(b"\x02\x02\x40\x00\x02\x01\x7f\x02\x01\x01").unwrap_err());
    costly(scrypt(b"\x02\x02\x40\x00\x02\x01\x08\x02\x01\x7f").unwrap_err());
    for cost in [b"\x02\x02\x00\x80\x02\x01\x00\x02\x01\x01", b"\x02\x02\x40\x01\x02\x01\x08\x02\x01\x01"] {
        assert!(matches!(scrypt(cost), Err(Error::EncryptionDamaged)));
    }
    // N = 0, and nothing between it and r to keep the length.
    let zero = b"\x02\x01\x00\x02\x02\x00\x80\x02\x01\x01";
    assert!(matches!(scrypt(zero), Err(Error::EncryptionDamaged)));
}

/// A long salt is no way around the limits.
#[test]
fn a_long_salt_costs_no_more_than_a_short_one() {
    let der = pem_content("ec-pkcs8-long-salt.pem");
    let read = |from: &[u8], to: &[u8]| PrivateKey::read(&replaced(&der, from, to), Some("secret"));
    let scrypt = pem_content("ec-pkcs8-long-salt-scrypt.pem");
    let usual = b"\x02\x02\x40\x00\x02\x01\x08\x02\x01\x01";
    for cost in [b"\x02\x02\x40\x00\x02\x01\x7f\x02\x01\x01", b"\x02\x02\x40\x00\x02\x01\x08\x02\x01\x7f"] {
        let costly = PrivateKey::read(&replaced(&scrypt, usual, cost), Some("secret"));
        assert!(matches!(costly, Err(Error::TooCostly { .. })), "{costly:?}");
    }
    for (from, to) in [
        // No iterations; another hash than is known; a hash that is left to the other reader.
        (&b"\x02\x02\x27\x10"[..], &b"\x02\x02\x00\x00"[..]),
        (b"\x02\x02\x27\x10", b"\x04\x02\x27\x10"),
    ] {
        assert!(matches!(read(from, to), Err(Error::EncryptionDamaged)));
    }
    let hash = b"\x2a\x86\x48\x86\xf7\x0d\x02";
    for other in [8, 77] {
        let read = read(&[&hash[..], &[9]].concat(), &[&hash[..], &[other]].concat());
        assert!(matches!(read, Err(Error::UnsupportedEncryption { .. })), "{read:?}");
    }
}

fn pem_content(name: &str) -> Vec<u8> {
    let pem = String::from_utf8(bytes(name)).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, base64).unwrap()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// Files whose passphrase costs little to try, and that no MAC closes to changes.
const CHANGED: [&str; 9] = [
    "ec-pkcs8.pem",
    "ec-sec1.der",
    "ec-pkcs8-encrypted.der",
    "ec-sec1-aes256.pem",
    "rsa-pkcs1.der",
    "rsa-pkcs8.der",
    "modern-no-mac.p12",
    "plain.p12",
    "legacy-3des.p12",
];

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = PrivateKey::read(&bytes, Some("secret"));
        let _ = package::read_pkcs12(&bytes, Some("secret"));
    }

    #[test]
    fn no_changed_file_makes_the_readers_panic(
        file in 0..CHANGED.len(),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4),
        cut in any::<u16>(),
    ) {
        let mut bytes = bytes(CHANGED[file]);
        for (at, to) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = to;
        }
        if cut % 8 == 0 {
            bytes.truncate(usize::from(cut / 8) % bytes.len());
        }
        let _ = PrivateKey::read(&bytes, Some("secret"));
        let _ = package::read_pkcs12(&bytes, Some("secret"));
    }
}
