//! A CA that was made elsewhere: what is found in files, which CA is taken, and what is refused.

use authority::{Ca, Error, ImportError, MAX_IMPORT, Pile};
use fuzz::roots;
use pki::Permitted;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P521_SHA512, PKCS_ED25519, date_time_ymd,
};
use time::OffsetDateTime;

type Made = CertifiedIssuer<'static, KeyPair>;

fn parameters(name: &str, change: impl Fn(&mut CertificateParams)) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.distinguished_name.push(DnType::CommonName, name);
    change(&mut parameters);
    parameters
}

fn root(name: &str, change: impl Fn(&mut CertificateParams)) -> Made {
    Made::self_signed(parameters(name, change), KeyPair::generate().unwrap()).unwrap()
}

fn below(issuer: &Made, name: &str, change: impl Fn(&mut CertificateParams)) -> Made {
    Made::signed_by(parameters(name, change), KeyPair::generate().unwrap(), issuer).unwrap()
}

fn key(of: &Made) -> String {
    of.key().serialize_pem()
}

fn pair(of: &Made) -> String {
    of.pem() + &key(of)
}

fn choose(files: &[&[u8]], passphrase: Option<&str>, wanted: Option<&str>) -> Result<Ca, ImportError> {
    let mut pile = Pile::new(passphrase);
    for (number, bytes) in files.iter().enumerate() {
        pile.add(&format!("file{number}"), bytes)?;
    }
    pile.choose(wanted, OffsetDateTime::now_utc())
}

/// The names of root and issuer of the CA in these texts.
fn taken(files: &[&str]) -> (String, Option<String>) {
    names(choose(&files.iter().map(|f| f.as_bytes()).collect::<Vec<_>>(), None, None))
}

fn names(ca: Result<Ca, ImportError>) -> (String, Option<String>) {
    let (adopted, left_out) = ca.unwrap().adopt(Permitted::local(None), &[], false).unwrap();
    assert!(left_out.is_empty());
    let chain = adopted.issuer.as_ref().unwrap_or(&adopted.root);
    assert_eq!(adopted.key.public_key(), chain.public_key());
    (adopted.root.common_name(), adopted.issuer.map(|i| i.common_name()))
}

fn code(refused: Result<Ca, ImportError>) -> String {
    let refused = refused.err().unwrap();
    let said = words::Words::english().say(&refused);
    assert!(!said.text.contains('{'), "{said:?}");
    said.code
}

fn refused(files: &[&str]) -> String {
    code(choose(&files.iter().map(|f| f.as_bytes()).collect::<Vec<_>>(), None, None))
}

#[test]
fn the_certificate_of_the_key_is_taken_among_others() {
    let (ours, other) = (root("Ours", |_| {}), root("Other", |_| {}));
    let leaf = below(&ours, "leaf", |p| p.is_ca = IsCa::ExplicitNoCa);
    let expected = ("Ours".to_owned(), None);
    assert_eq!(taken(&[&pair(&ours)]), expected);
    assert_eq!(taken(&[&key(&ours), &(other.pem() + &ours.pem())]), expected);
    assert_eq!(taken(&[&pair(&leaf), &pair(&ours)]), expected, "a leaf with its key is no CA");
    assert_eq!(taken(&[&pair(&ours), &pair(&ours), "no word of it"]), expected, "the same twice");
    let (der, key) = (ours.der().to_vec(), ours.key().serialize_der());
    assert_eq!(names(choose(&[&key, &der], None, None)), expected);
    let utf16: Vec<u8> = pair(&ours).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(names(choose(&[&utf16], None, None)), expected);
}

#[test]
fn an_issuer_needs_its_root_and_no_more() {
    let top = root("Top", |_| {});
    let middle = below(&top, "Middle", |_| {});
    let low = below(&middle, "Low", |_| {});
    assert_eq!(taken(&[&pair(&middle), &top.pem()]), ("Top".into(), Some("Middle".into())));
    assert_eq!(refused(&[&pair(&middle)]), "import-root-missing");
    assert_eq!(refused(&[&pair(&low), &middle.pem(), &top.pem()]), "import-too-many-tiers");

    let namesake = root("Top", |_| {});
    assert_eq!(refused(&[&pair(&middle), &namesake.pem()]), "import-signature");
    let short = root("Short", |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert_eq!(refused(&[&pair(&below(&short, "x", |_| {})), &short.pem()]), "import-path-length");
    let ended = root("Ended", |p| p.not_after = date_time_ymd(2020, 1, 1));
    assert_eq!(refused(&[&pair(&below(&ended, "x", |_| {})), &ended.pem()]), "import-ended");

    // The same CA, signed by itself and by another one.
    let crossed = parameters("Middle", |_| {}).signed_by(middle.key(), &top).unwrap();
    let itself = parameters("Middle", |_| {}).self_signed(middle.key()).unwrap();
    let all = crossed.pem() + &itself.pem() + &top.pem() + &key(&middle);
    assert_eq!(taken(&[&all]), ("Middle".into(), None));
}

#[test]
fn what_cannot_be_an_authority_is_refused_with_the_reason() {
    let changed = |change: fn(&mut CertificateParams)| refused(&[&pair(&root("X", change))]);
    assert_eq!(changed(|p| p.is_ca = IsCa::NoCa), "import-no-root");
    assert_eq!(changed(|p| p.is_ca = IsCa::ExplicitNoCa), "import-no-root");
    let leaf = below(&root("One", |_| {}), "Leaf", |p| p.is_ca = IsCa::NoCa);
    assert_eq!(refused(&[&pair(&leaf)]), "import-not-ca");
    assert_eq!(changed(|p| p.key_usages = vec![KeyUsagePurpose::CrlSign]), "import-key-usage");
    assert_eq!(
        changed(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
        "import-purposes"
    );
    assert_eq!(changed(|p| p.not_after = date_time_ymd(2020, 1, 1)), "import-ended");
    assert_eq!(changed(|p| p.not_before = date_time_ymd(2100, 1, 1)), "import-not-begun");
    // No usage at all forbids nothing.
    let free = root("Free", |p| p.key_usages.clear());
    assert_eq!(taken(&[&pair(&free)]).0, "Free");

    let one = root("One", |_| {});
    let damaged = one.pem().replace("-----END CERTIFICATE", "%%%\n-----END CERTIFICATE");
    assert_eq!(refused(&[&damaged, &key(&one)]), "import-unread");
    assert_eq!(refused(&[&one.pem()]), "import-no-key");
    assert_eq!(refused(&[&key(&one)]), "import-no-certificate");
    assert_eq!(refused(&[&key(&one), &root("Other", |_| {}).pem()]), "import-no-match");
    assert_eq!(refused(&["text", "", "<html><ca/></html>", "<"]), "import-nothing");
    assert_eq!(refused(&["SQLite format 3\0..."]), "import-database");
    assert_eq!(refused(&["---- BEGIN config.xml ----\nVersion: x\n"]), "import-encrypted-configuration");
}

#[test]
fn a_forged_or_odd_certificate_is_refused() {
    let one = root("One", |_| {});
    let mut der = one.der().to_vec();
    let last = der.len() - 1;
    der[last] ^= 1;
    assert_eq!(code(choose(&[&der, key(&one).as_bytes()], None, None)), "import-signature");
}

/// DER: tag, length, content.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, 0x82], &(content.len() as u16).to_be_bytes()[..], content].concat()
}

/// What Windows exports as `.p7b`: signed data without content or signers.
fn p7b(certificates: &[u8]) -> Vec<u8> {
    let kind = |last| [b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", &[last][..]].concat();
    let signed = [b"\x02\x01\x01\x31\x00\x30\x0b", &kind(1)[..], &tlv(0xa0, certificates), b"\x31\x00"];
    tlv(0x30, &[kind(2), tlv(0xa0, &tlv(0x30, &signed.concat()))].concat())
}

#[test]
fn a_bundle_of_windows_is_opened() {
    let one = root("One", |_| {});
    let issuer = below(&one, "Issuer", |_| {});
    let both = p7b(&[issuer.der().as_ref(), one.der()].concat());
    let names = |files: &[&[u8]]| names(choose(files, None, None));
    assert_eq!(names(&[&both, key(&issuer).as_bytes()]), ("One".into(), Some("Issuer".into())));
    for label in ["PKCS7", "CMS"] {
        let pem = pki::pem::block(label, &both);
        assert_eq!(names(&[(pem.to_string() + &key(&issuer)).as_bytes()]).0, "One");
        assert_eq!(pki::Certificate::read_all(pem.as_bytes()).unwrap().len(), 2);
    }
    assert_eq!(pki::Certificate::read_all(&both).unwrap().len(), 2);
    for broken in [p7b(&[]), p7b(b"\x30\x00"), both[..both.len() - 1].to_vec()] {
        assert_eq!(code(choose(&[&broken, key(&one).as_bytes()], None, None)), "import-unread");
        assert!(pki::Certificate::read_all(&broken).is_err());
    }
}

#[test]
fn what_it_is_and_what_helps_is_said() {
    for start in [b"\xfe\xed\xfe\xed\0\0\0\x02", b"\xce\xce\xce\xce\0\0\0\x02"] {
        assert_eq!(code(choose(&[start], None, None)), "import-java");
    }
    let old = roots::version_1();
    let Err(ImportError::ImportNoRoot { version, .. }) = choose(&[&old.root, &old.key], None, None) else {
        panic!()
    };
    assert_eq!(version, 1);
    // The key does belong to the certificate.
    let odd = roots::curve_in_numbers();
    let Err(ImportError::ImportUnusable { reason, .. }) = choose(&[&odd.root, &odd.key], None, None) else {
        panic!()
    };
    assert_eq!(reason, pki::Error::CurveNotNamed);
}

#[test]
fn a_ca_that_browsers_refuse_is_taken_only_by_who_knows() {
    let mut taken = 0;
    for case in roots::cases() {
        // What our own rules refuse is not asked for.
        let ca = || choose(&[&case.root, &case.key], None, None);
        let Ok(adopted) = ca().map(|ca| ca.adopt(Permitted::local(None), &[], false)) else {
            assert!(!case.refused.is_empty(), "{}", case.name);
            continue;
        };
        match (adopted, case.refused) {
            (Ok(_), []) => taken += 1,
            (Err(Error::ImportRefused { reasons, .. }), refused) => {
                assert_eq!(reasons.iter().map(|r| &*r.code).collect::<Vec<_>>(), refused, "{}", case.name);
                let knowing = ca().unwrap().adopt(Permitted::local(None), &[], true);
                assert!(knowing.is_ok() || case.name.starts_with("name constraints"), "{}", case.name);
            }
            (other, _) => {
                assert!(case.name.starts_with("name constraints"), "{}: {}", case.name, other.is_ok())
            }
        }
    }
    assert!(taken > 20, "{taken}");
}

#[test]
fn keys_of_other_kinds_are_named() {
    for (kind, name) in [(&PKCS_ED25519, "Ed25519"), (&PKCS_ECDSA_P521_SHA512, "P-521")] {
        let key = KeyPair::generate_for(kind).unwrap();
        let made = Made::self_signed(parameters("X", |_| {}), key).unwrap();
        let Err(ImportError::ImportUnread { reason, .. }) = choose(&[pair(&made).as_bytes()], None, None)
        else {
            panic!("{name}")
        };
        assert_eq!(reason, pki::Error::UnsupportedKey { key: name.into() });
    }
    let weak = include_str!("../../../pki/tests/keys/no-rsa1024.pem");
    let Err(ImportError::ImportUnread { reason, .. }) = choose(&[weak.as_bytes()], None, None) else {
        panic!()
    };
    assert_eq!(reason, pki::Error::KeyTooWeak { key: "rsa-1024".into() });
}

#[test]
fn a_passphrase_is_missed_only_where_it_is_needed() {
    // Of another key, encrypted.
    let locked = include_bytes!("../../../pki/tests/keys/ec-pkcs8-scrypt.pem");
    let one = root("One", |_| {});
    assert_eq!(names(choose(&[locked, pair(&one).as_bytes()], None, None)).0, "One");
    let files = [locked, one.pem().as_bytes()].map(<[u8]>::to_vec);
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    assert_eq!(code(choose(&files, None, None)), "import-passphrase-missing");
    assert_eq!(code(choose(&files, Some("wrong"), None)), "import-passphrase-wrong");
    let many: Vec<&[u8]> = std::iter::repeat_n(&locked[..], 21).collect();
    assert_eq!(code(choose(&many, Some("wrong"), None)), "import-too-much");
}

#[test]
fn of_several_one_is_named() {
    let (one, two) = (root("One", |_| {}), root("Two", |_| {}));
    let both = pair(&one) + &pair(&two);
    let choose = |wanted| choose(&[both.as_bytes()], None, wanted);
    assert_eq!(code(choose(None)), "import-several");
    assert_eq!(code(choose(Some("Three"))), "import-unknown-ca");
    assert_eq!(names(choose(Some("Two"))).0, "Two");
    let sha256 = pki::Certificate::from_der(one.der()).unwrap().sha256().to_uppercase();
    assert_eq!(names(choose(Some(&format!("{}:{}", &sha256[..2], &sha256[2..12])))).0, "One");
    // The same key and name again, renewed: only the certificate tells them apart.
    let renewed =
        parameters("One", |p| p.not_after = date_time_ymd(2090, 1, 1)).self_signed(one.key()).unwrap();
    let all = pair(&one) + &renewed.pem();
    assert_eq!(refused(&[&all]), "import-several");
}

/// A firewall's configuration with these CAs: name, certificate, key.
fn configuration(authorities: &[(&str, &Made, bool)]) -> String {
    let base64 = |pem: &str| {
        // As `base64` does it, with the letters of an RFC 4648 alphabet.
        let body = pki::pem::block("X", pem.as_bytes());
        body.lines().filter(|l| !l.starts_with('-')).collect::<String>()
    };
    let mut text =
        "<?xml version=\"1.0\"?>\n<opnsense>\n  <system><hostname>fw</hostname></system>\n".to_owned();
    for (name, made, with_key) in authorities {
        let prv = if *with_key { base64(&key(made)) } else { String::new() };
        let crt = base64(&made.pem());
        text += &format!(
            "  <ca uuid=\"1\">\n    <refid>61b</refid>\n    <descr><![CDATA[{name}]]></descr>\n    <crt>{crt}</crt>\n    <prv>{prv}</prv>\n  </ca>\n"
        );
    }
    text + "</opnsense>\n"
}

#[test]
fn a_firewall_s_configuration_has_cas_by_name() {
    let (one, two) = (root("CN one", |_| {}), root("CN two", |_| {}));
    let public = root("public", |_| {});
    let text =
        configuration(&[("Cameras & more", &one, true), ("Office", &two, true), ("Public", &public, false)]);
    let choose = |text: &str, wanted| choose(&[text.as_bytes()], None, wanted);
    let Err(ImportError::ImportSeveral { candidates }) = choose(&text, None) else { panic!() };
    assert_eq!(candidates.len(), 2);
    assert!(candidates[0].starts_with("Cameras & more (until "), "{candidates:?}");
    assert_eq!(names(choose(&text, Some("Cameras & more"))).0, "CN one");
    assert_eq!(names(choose(&text, Some("CN two"))).0, "CN two");
    assert_eq!(code(choose(&text, Some("Public"))), "import-unknown-ca");
    let alone = configuration(&[("Public", &public, false), ("Cameras", &one, true)]);
    assert_eq!(names(choose(&format!("\u{feff}\n{alone}"), None)).0, "CN one");

    let issuer = below(&one, "below", |_| {});
    let tiers = configuration(&[("Root", &one, false), ("Issuer", &issuer, true)]);
    assert_eq!(taken(&[&tiers]), ("CN one".into(), Some("below".into())));
}

#[test]
fn hostile_xml_costs_little() {
    let since = std::time::Instant::now();
    let deep = "<ca>".repeat(MAX_IMPORT / 4);
    let attributes =
        format!("<x {}/>", (0..400_000).map(|i| format!("a{i}=''")).collect::<Vec<_>>().join(" "));
    let doctype =
        "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><x><ca><crt>&b;</crt></ca></x>";
    for text in [deep.as_str(), &attributes, doctype, "<x><ca><crt>%%%</crt><prv/></ca></x>"] {
        assert_eq!(refused(&[text]), "import-nothing");
    }
    assert!(since.elapsed().as_secs() < 20, "{:?}", since.elapsed());
}

/// An archive of files as they are; `lie` changes the sizes in its directory.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in files {
        let (mut entry, config) = archive.new_file(name).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        std::io::Write::write_all(&mut writer, bytes).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

#[test]
fn an_archive_is_looked_through_and_cannot_cost_much() {
    let one = root("One", |_| {});
    let (certificate, key) = (one.pem(), key(&one));
    let good = archive(&[
        ("../../etc/syno-ca-cert.pem", certificate.as_bytes()),
        ("syno-ca-privkey.pem", key.as_bytes()),
        ("large", &vec![0; 300 << 10]),
    ]);
    let choose = |bytes: &[u8]| choose(&[bytes], None, None);
    assert_eq!(names(choose(&good)).0, "One");
    let short = archive(&[("ca.pem", pair(&one).as_bytes())]);
    for length in 4..short.len() {
        assert!(choose(&short[..length]).is_err(), "{length}");
    }
    // A byte of the certificate, whose checksum is then another one.
    let mut changed = good.clone();
    changed[200] ^= 1;
    assert_eq!(code(choose(&changed)), "import-archive");
    let many: Vec<(String, &[u8])> = (0..201).map(|i| (format!("f{i}"), &b"x"[..])).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    assert_eq!(code(choose(&archive(&many))), "import-archive");
    let much = vec![0; 256 << 10];
    let much: Vec<(&str, &[u8])> = std::iter::repeat_n(("f", much.as_slice()), 17).collect();
    assert_eq!(code(choose(&archive(&much))), "import-archive");
}
