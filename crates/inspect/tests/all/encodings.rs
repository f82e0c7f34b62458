//! Certificates whose encoding is odd, and what the browsers make of them.
//!
//! The pages are those that Chromium 156 and Firefox ESR 153 showed for the very same bytes.

use crate::common::{Served, https};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use domain::{AltName, Severity, Verdict};
use inspect::{Options, Roots, check, pages};
use rcgen::KeyPair as ServerKey;
use time::{Duration, OffsetDateTime};

/// Tag, length, content.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..=0x7f => vec![tag, length as u8],
        0x80..=0xff => vec![tag, 0x81, length as u8],
        _ => vec![tag, 0x82, (length >> 8) as u8, length as u8],
    };
    [head.as_slice(), content].concat()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, &parts.concat())
}

fn named(tag: u8, value: &[u8]) -> Vec<u8> {
    let attribute = sequence(&[&element(0x06, &[0x55, 0x04, 0x03]), &element(tag, value)]);
    sequence(&[&element(0x31, &attribute)])
}

fn time(days: i64) -> Vec<u8> {
    let at = OffsetDateTime::now_utc() + Duration::days(days);
    let text = format!("{:02}{:02}{:02}120000Z", at.year() % 100, u8::from(at.month()), at.day());
    element(0x17, text.as_bytes())
}

fn extension(oid: &[u8], critical: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&element(0x06, oid), critical, &element(0x04, value)])
}

const CRITICAL: &[u8] = &[1, 1, 0xff];
const NAMES: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC: &[u8] = &[0x55, 0x1d, 0x13];
const USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x1e];
const POLICY_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x24];
const TLS_FEATURE: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18];
const ACCESS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01];
/// Any use of an elliptic curve's key with SHA-256.
const ALGORITHM: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const LOOPBACK: &[u8] = &[0x87, 4, 127, 0, 0, 1];

/// What one certificate says, each part in DER.
struct Parts {
    version: Vec<u8>,
    serial: Vec<u8>,
    algorithm: Vec<u8>,
    issuer: Vec<u8>,
    begins: Vec<u8>,
    ends: Vec<u8>,
    subject: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    after: Vec<u8>,
}

impl Parts {
    fn new(subject: &str) -> Parts {
        Parts {
            version: vec![0xa0, 3, 2, 1, 2],
            serial: vec![2, 2, 0x12, 0x34],
            algorithm: ALGORITHM.to_vec(),
            issuer: named(0x0c, b"Root"),
            begins: time(-2),
            ends: time(300),
            subject: named(0x0c, subject.as_bytes()),
            extensions: Vec::new(),
            after: Vec::new(),
        }
    }

    fn signed(&self, own: &EcdsaKeyPair, above: &EcdsaKeyPair) -> Vec<u8> {
        const P256: &[u8] = &[
            0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7,
        ];
        let key = [&[0], own.public_key().as_ref()].concat();
        let extensions = element(0xa3, &element(0x30, &self.extensions.concat()));
        let extensions = if self.extensions.is_empty() { Vec::new() } else { extensions };
        let tbs = sequence(&[
            &self.version,
            &self.serial,
            &self.algorithm,
            &self.issuer,
            &sequence(&[&self.begins, &self.ends]),
            &self.subject,
            &sequence(&[P256, &element(0x03, &key)]),
            &extensions,
        ]);
        let signature = above.sign(&SystemRandom::new(), &tbs).unwrap();
        let signature = element(0x03, &[&[0], signature.as_ref()].concat());
        [sequence(&[&tbs, ALGORITHM, &signature]), self.after.clone()].concat()
    }
}

type Pages = (Option<&'static str>, Option<&'static str>);
/// A change to the leaf and to the root, and what comes of it.
type Case = (&'static str, fn(&mut Parts, &mut Parts), Pages);

fn names(entries: &[&[u8]]) -> Vec<u8> {
    extension(NAMES, &[], &sequence(entries))
}

/// The root, and a server with the leaf.
fn made(change: fn(&mut Parts, &mut Parts)) -> (Roots, Served) {
    let (root_key, leaf_key) = (key(), key());
    let (mut leaf, mut root) = (Parts::new("Camera"), Parts::new("Root"));
    leaf.extensions = vec![names(&[LOOPBACK])];
    root.extensions = vec![extension(BASIC, CRITICAL, &[0x30, 3, 1, 1, 0xff])];
    root.serial = vec![2, 1, 7];
    change(&mut leaf, &mut root);
    let roots = Roots::read([root.signed(&root_key, &root_key).as_slice()]);
    let key = leaf_key.to_pkcs8v1().unwrap();
    let key = ServerKey::try_from(key.as_ref()).unwrap();
    (roots, Served { chain: vec![leaf.signed(&leaf_key, &root_key)], key })
}

fn judge(change: fn(&mut Parts, &mut Parts)) -> Pages {
    let (roots, served) = made(change);
    pages(&roots, &served.chain, &AltName::Ip([127, 0, 0, 1].into()), OffsetDateTime::now_utc())
}

fn key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()
}

const FINE: Pages = (None, None);
const BAD_FORMAT: Option<&str> = Some("ERR_SSL_SERVER_CERT_BAD_FORMAT");
const INVALID: Option<&str> = Some("ERR_CERT_INVALID");
const AUTHORITY: Option<&str> = Some("ERR_CERT_AUTHORITY_INVALID");
const PROTOCOL: Option<&str> = Some("ERR_SSL_PROTOCOL_ERROR");
const TIME: Option<&str> = Some("SEC_ERROR_INVALID_TIME");
const UNDECODABLE: Option<&str> = Some("SEC_ERROR_LIBRARY_FAILURE");
const BAD_DER: Option<&str> = Some("SEC_ERROR_BAD_DER");
const INTEGER: Option<&str> = Some("MOZILLA_PKIX_ERROR_INVALID_INTEGER_ENCODING");
const EXTENSION: Option<&str> = Some("SEC_ERROR_EXTENSION_VALUE_INVALID");

/// An authorityInfoAccess with one place, which has this tag.
fn place(tag: u8) -> Vec<u8> {
    const ISSUERS: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2];
    element(0x30, &element(0x30, &[ISSUERS, &element(tag, b"http://nas.lan/")].concat()))
}

const CASES: &[Case] = &[
    ("faultless", |_, _| {}, FINE),
    // Times.
    ("no-seconds", |leaf, _| leaf.ends = element(0x17, b"4001011200Z"), (BAD_FORMAT, TIME)),
    ("offset", |leaf, _| leaf.ends = element(0x17, b"400101120000+0100"), (BAD_FORMAT, TIME)),
    ("fraction", |leaf, _| leaf.ends = element(0x18, b"20400101120000.5Z"), (BAD_FORMAT, TIME)),
    ("24:00", |leaf, _| leaf.ends = element(0x17, b"400101240000Z"), (BAD_FORMAT, TIME)),
    ("leap-second", |leaf, _| leaf.ends = element(0x17, b"400101235960Z"), (None, TIME)),
    ("1949", |leaf, _| leaf.begins = element(0x18, b"19490101000000Z"), (None, TIME)),
    ("1950", |leaf, _| leaf.begins = element(0x17, b"500101000000Z"), (None, TIME)),
    ("no-such-day", |leaf, _| leaf.ends = element(0x17, b"410229000000Z"), (BAD_FORMAT, TIME)),
    ("generalized-before-2050", |leaf, _| leaf.ends = element(0x18, b"20400101000000Z"), FINE),
    // Integers and booleans.
    ("serial-of-30-bytes", |leaf, _| leaf.serial = element(2, &[0x11; 30]), FINE),
    ("serial-negative", |leaf, _| leaf.serial = vec![2, 2, 0x81, 1], FINE),
    ("serial-zero", |leaf, _| leaf.serial = vec![2, 1, 0], FINE),
    ("serial-padded", |leaf, _| leaf.serial = vec![2, 3, 0, 0x12, 0x34], (None, INTEGER)),
    ("serial-empty", |leaf, _| leaf.serial = vec![2, 0], (None, UNDECODABLE)),
    (
        "critical-of-1",
        |leaf, _| leaf.extensions.push(extension(BASIC, &[1, 1, 1], &[0x30, 0])),
        (INVALID, BAD_DER),
    ),
    (
        "critical-false",
        |leaf, _| leaf.extensions.push(extension(BASIC, &[1, 1, 0], &[0x30, 0])),
        (INVALID, None),
    ),
    ("authority-false", |leaf, _| leaf.extensions.push(extension(BASIC, &[], &[0x30, 3, 1, 1, 0])), FINE),
    (
        "authority-of-1",
        |leaf, _| leaf.extensions.push(extension(BASIC, &[], &[0x30, 3, 1, 1, 1])),
        (INVALID, EXTENSION),
    ),
    (
        "serial-of-the-root",
        |leaf, root| root.serial = leaf.serial.clone(),
        (None, Some("SEC_ERROR_REUSED_ISSUER_AND_SERIAL")),
    ),
    // Extensions.
    ("names-twice", |leaf, _| leaf.extensions.push(leaf.extensions[0].clone()), (INVALID, EXTENSION)),
    (
        "unknown-twice",
        |leaf, _| {
            leaf.extensions.extend([extension(&[42, 3], &[], &[5, 0]), extension(&[42, 3], &[], &[5, 0])]);
        },
        (INVALID, None),
    ),
    (
        "usage-empty",
        |leaf, _| leaf.extensions.push(extension(USAGE, &[], &[3, 1, 0])),
        (Some("ERR_SSL_KEY_USAGE_INCOMPATIBLE"), Some("SEC_ERROR_INADEQUATE_KEY_USAGE")),
    ),
    (
        "usage-unreadable",
        |leaf, _| leaf.extensions.push(extension(USAGE, &[], &[4, 0])),
        (PROTOCOL, Some("SEC_ERROR_INADEQUATE_KEY_USAGE")),
    ),
    (
        "access-unreadable",
        |leaf, _| leaf.extensions.push(extension(ACCESS, &[], &[4, 0])),
        (INVALID, Some("SEC_ERROR_CERT_BAD_ACCESS_LOCATION")),
    ),
    (
        "place-without-tag",
        |leaf, _| leaf.extensions.push(extension(ACCESS, &[], &place(0))),
        (INVALID, Some("SEC_ERROR_CERT_BAD_ACCESS_LOCATION")),
    ),
    (
        "place-of-null",
        |leaf, _| leaf.extensions.push(extension(ACCESS, &[], &place(5))),
        (None, Some("SEC_ERROR_CERT_BAD_ACCESS_LOCATION")),
    ),
    (
        "must-staple",
        |leaf, _| leaf.extensions.push(extension(TLS_FEATURE, &[], &[0x30, 3, 2, 1, 5])),
        (None, Some("MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING")),
    ),
    (
        "explicit-policy",
        |_, root| root.extensions.push(extension(POLICY_CONSTRAINTS, CRITICAL, &[0x30, 3, 0x80, 1, 0])),
        (INVALID, None),
    ),
    // Versions.
    ("version-1-written", |leaf, _| leaf.version = vec![0xa0, 3, 2, 1, 0], (BAD_FORMAT, None)),
    ("version-1-with-extensions", |leaf, _| leaf.version = Vec::new(), (BAD_FORMAT, None)),
    ("version-2-with-extensions", |leaf, _| leaf.version = vec![0xa0, 3, 2, 1, 1], (BAD_FORMAT, None)),
    ("version-4", |leaf, _| leaf.version = vec![0xa0, 3, 2, 1, 3], (BAD_FORMAT, None)),
    ("version-5", |leaf, _| leaf.version = vec![0xa0, 3, 2, 1, 4], (BAD_FORMAT, BAD_DER)),
    // Names.
    (
        "odd-address-beside",
        |leaf, _| leaf.extensions = vec![names(&[LOOPBACK, &[0x87, 3, 1, 2, 3]])],
        (INVALID, None),
    ),
    (
        "odd-address-before",
        |leaf, _| leaf.extensions = vec![names(&[&[0x87, 3, 1, 2, 3], LOOPBACK])],
        (INVALID, None),
    ),
    (
        "latin-1-domain-beside",
        |leaf, _| leaf.extensions = vec![names(&[LOOPBACK, &[0x82, 2, b'c', 0xe9]])],
        (INVALID, None),
    ),
    (
        "unknown-name-before",
        |leaf, _| leaf.extensions = vec![names(&[&[0x89, 1, 1], LOOPBACK])],
        (INVALID, Some("SSL_ERROR_BAD_CERT_DOMAIN")),
    ),
    (
        "unknown-name-after",
        |leaf, _| leaf.extensions = vec![names(&[LOOPBACK, &[0x89, 1, 1]])],
        (INVALID, None),
    ),
    ("printable-with-underscore", |leaf, _| leaf.subject = named(0x13, b"cam_1"), (BAD_FORMAT, None)),
    ("printable-with-at", |leaf, _| leaf.subject = named(0x13, b"a@b & c"), (BAD_FORMAT, None)),
    ("printable-with-star", |leaf, _| leaf.subject = named(0x13, b"cam*"), FINE),
    ("teletex", |leaf, _| leaf.subject = named(0x14, b"Cam\xe9ra"), FINE),
    ("ia5-latin-1", |leaf, _| leaf.subject = named(0x16, b"Cam\xe9ra"), (BAD_FORMAT, None)),
    ("utf8-broken", |leaf, _| leaf.subject = named(0x0c, b"Cam\xe9ra"), FINE),
    ("bmp-odd", |leaf, _| leaf.subject = named(0x1e, b"\0C\0"), (BAD_FORMAT, None)),
    ("visible-string", |leaf, _| leaf.subject = named(0x1a, b"Camera"), (BAD_FORMAT, None)),
    (
        "issuer-in-another-case",
        |leaf, _| leaf.issuer = named(0x0c, b"ROOT"),
        (AUTHORITY, Some("SEC_ERROR_UNKNOWN_ISSUER")),
    ),
    (
        "issuer-of-another-string",
        |leaf, _| leaf.issuer = named(0x13, b"Root"),
        (AUTHORITY, Some("SEC_ERROR_UNKNOWN_ISSUER")),
    ),
    // Signatures.
    (
        "algorithm-with-null",
        |leaf, _| {
            leaf.algorithm = vec![0x30, 0x0c, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2, 5, 0];
        },
        (INVALID, None),
    ),
    ("bytes-after-it", |leaf, _| leaf.after = vec![0], (PROTOCOL, UNDECODABLE)),
    // Name constraints.
    (
        "constraints-empty",
        |_, root| root.extensions.push(extension(CONSTRAINTS, CRITICAL, &[0x30, 0])),
        (AUTHORITY, BAD_DER),
    ),
    (
        "constraints-with-holes",
        |_, root| {
            let base = [0x30, 10, 0x87, 8, 127, 0, 0, 0, 255, 0, 255, 0];
            root.extensions.push(extension(CONSTRAINTS, CRITICAL, &sequence(&[&element(0xa0, &base)])));
        },
        (AUTHORITY, None),
    ),
    (
        "constraints-with-minimum",
        |_, root| {
            let base = [0x30, 13, 0x87, 8, 127, 0, 0, 0, 255, 0, 0, 0, 0x80, 1, 0];
            root.extensions.push(extension(CONSTRAINTS, CRITICAL, &sequence(&[&element(0xa0, &base)])));
        },
        (AUTHORITY, BAD_DER),
    ),
];

#[test]
fn odd_encodings_are_judged_as_each_browser_reads_them() {
    let judged: Vec<_> = CASES.iter().map(|(name, change, _)| (*name, judge(*change))).collect();
    let expected: Vec<_> = CASES.iter().map(|(name, _, pages)| (*name, *pages)).collect();
    assert_eq!(judged, expected);
}

#[tokio::test]
async fn what_is_found_fits_the_pages() {
    for (name, change, pages) in CASES {
        let (roots, served) = made(*change);
        let mut options = Options::trusting(Vec::new(), OffsetDateTime::now_utc());
        options.roots = roots;
        let target = format!("https://127.0.0.1:{}/", https(served).await);
        let report = check(&target.parse().unwrap(), &options).await;
        assert_eq!((report.chromium, report.firefox), *pages, "{name}");
        let has_error = report.findings.iter().any(|finding| finding.severity() == Severity::Error);
        assert_eq!(has_error, *pages != FINE, "{name}: {:?}", report.findings);
        assert_eq!(report.verdict == Verdict::Secure, *pages == FINE, "{name}");
    }
}

#[test]
fn what_firefox_cannot_take_apart_matters_where_it_is_needed() {
    let (root_key, issuer_key, leaf_key) = (key(), key(), key());
    let authority = || extension(BASIC, CRITICAL, &[0x30, 3, 1, 1, 0xff]);
    let (mut root, mut issuer, mut leaf) = (Parts::new("Root"), Parts::new("Issuer"), Parts::new("Camera"));
    root.serial = vec![2, 1, 7];
    root.extensions = vec![authority()];
    // An extension of no kind: NSS knows none such.
    issuer.extensions = vec![authority(), extension(&[], &[], &[5, 0])];
    leaf.extensions = vec![names(&[LOOPBACK])];
    let roots = Roots::read([root.signed(&root_key, &root_key).as_slice()]);
    let issuer = issuer.signed(&issuer_key, &root_key);
    let good = leaf.signed(&leaf_key, &root_key);
    leaf.ends = time(-1);
    let ended = leaf.signed(&leaf_key, &root_key);
    leaf.ends = time(300);
    leaf.issuer = named(0x0c, b"Issuer");
    let below = leaf.signed(&leaf_key, &issuer_key);
    for (chain, pages) in [
        ([good, b"garbage".to_vec()], FINE),
        ([ended, b"garbage".to_vec()], (Some("ERR_CERT_DATE_INVALID"), Some("nssBadCert"))),
        ([below, issuer], (None, UNDECODABLE)),
    ] {
        let name = AltName::Ip([127, 0, 0, 1].into());
        assert_eq!(inspect::pages(&roots, &chain, &name, OffsetDateTime::now_utc()), pages);
    }
}
