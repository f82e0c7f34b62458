//! Odd authorities: roots that a program has written otherwise than the standard has it, each with what browsers refuse of
//! them. They are read by our own reader, so that they could be taken over.
#![allow(clippy::unwrap_used, missing_docs)] // Used by tests alone.

use aws_lc_rs::{
    encoding::{AsDer, EcPrivateKeyRfc5915Der},
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};

use crate::requests::{EC, P256, bit_string, ec_key, extension, number, oid, spki, tlv};

/// A root with its key, and the codes of what browsers refuse.
pub struct Case {
    pub name: &'static str,
    pub root: Vec<u8>,
    /// SEC1, DER
    pub key: Vec<u8>,
    pub refused: &'static [&'static str],
}

/// All of them, with new keys each time.
pub fn cases() -> Vec<Case> {
    [of_names(), of_extensions(), of_contents()]
        .into_iter()
        .flatten()
        .map(|(name, draft, refused)| draft.signed(name, refused))
        .collect()
}

/// A root of version 1: no extensions, so that it cannot say that it is an authority.
pub fn version_1() -> Case {
    Draft { version: 0, ..Draft::default() }.signed("version 1", &[])
}

/// A root whose curve, P-256, is not named but written out.
pub fn curve_in_numbers() -> Case {
    Draft { curve_in_numbers: true, ..Draft::default() }.signed("curve in numbers", &[])
}

type Row = (&'static str, Draft, &'static [&'static str]);

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;

const CHARACTERS: &[&str] = &["lint-name-characters"];
const KIND: &[&str] = &["lint-name-kind"];
const DAMAGED: &[&str] = &["lint-extension-damaged"];
const CRITICAL: &[&str] = &["lint-critical-unknown"];

fn of_names() -> Vec<Row> {
    let named = |kind: u8, text: &[u8]| Draft::default().named(&[part(COMMON_NAME, kind, text)]);
    let beside = |other: Vec<u8>| Draft::default().named(&[part(COMMON_NAME, UTF8, b"Bolt CA"), other]);
    let bmp: Vec<u8> = "Kapu ő".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let pair: Vec<u8> = "Kapu 🔒".encode_utf16().flat_map(u16::to_be_bytes).collect();
    vec![
        ("UTF8String", named(UTF8, "Bolt_CA & ő".as_bytes()), &[]),
        ("UTF8String in Latin-1", named(UTF8, b"Bolt \xf6"), &[]),
        ("UTF8String in Latin-1 in the unit", beside(part("2.5.4.11", UTF8, b"Bolt \xf6")), &[]),
        ("PrintableString", named(PRINTABLE, b"Bolt CA (1), 2+3=5: a/b.c-d'e?"), &[]),
        ("PrintableString with an asterisk", named(PRINTABLE, b"*.bolt.lan"), &[]),
        ("PrintableString with an underscore", named(PRINTABLE, b"Bolt_CA"), CHARACTERS),
        ("PrintableString with an ampersand", named(PRINTABLE, b"Bolt & Co"), CHARACTERS),
        ("PrintableString with an at sign", named(PRINTABLE, b"ca@bolt.lan"), CHARACTERS),
        ("PrintableString with an exclamation mark", named(PRINTABLE, b"Bolt!"), CHARACTERS),
        ("PrintableString in UTF-8", named(PRINTABLE, "Boltő".as_bytes()), CHARACTERS),
        ("PrintableString with a zero behind it", named(PRINTABLE, b"Bolt\0"), CHARACTERS),
        (
            "PrintableString with an underscore in the unit",
            beside(part("2.5.4.11", PRINTABLE, b"a_b")),
            CHARACTERS,
        ),
        (
            "PrintableString with an underscore in the serial number",
            beside(part("2.5.4.5", PRINTABLE, b"a_b")),
            CHARACTERS,
        ),
        ("IA5String", named(IA5, b"Bolt_CA & @"), &[]),
        ("IA5String in Latin-1", named(IA5, b"Bolt\xf6"), CHARACTERS),
        ("TeletexString", named(TELETEX, b"Bolt_\xf6"), &[]),
        ("BMPString", named(BMP, &bmp), &[]),
        ("BMPString of an odd length", named(BMP, b"\0B\0"), CHARACTERS),
        ("BMPString with a pair for one character", named(BMP, &pair), CHARACTERS),
        ("NumericString", named(0x12, b"12"), KIND),
        ("VisibleString", named(0x1a, b"Bolt"), KIND),
        ("VisibleString in the title", beside(part("2.5.4.12", 0x1a, b"Bolt")), &[]),
        ("octets for the state", beside(part("2.5.4.8", 0x04, b"Bolt")), KIND),
        ("no name", Draft::default().named(&[]), &["lint-name-empty"]),
        (
            "a set of nothing in the name",
            Draft { subject: tlv(0x30, &tlv(0x31, b"")), ..Draft::default() },
            &["lint-name-damaged"],
        ),
    ]
}

fn of_extensions() -> Vec<Row> {
    let with = |extension: Vec<u8>| Draft::default().with(extension);
    let anything = |critical| extension("1.2.3.4", critical, b"\x05\x00");
    let says = |critical: u8| {
        let parts = [oid("1.2.3.4"), tlv(0x01, &[critical]), tlv(0x04, b"\x05\x00")].concat();
        with(tlv(0x30, &parts))
    };
    vec![
        ("an ordinary root", Draft::default(), &[]),
        ("an unknown extension", with(anything(false)), &[]),
        ("an unknown critical extension", with(anything(true)), CRITICAL),
        (
            "an unknown extension twice",
            with(anything(false)).with(anything(false)),
            &["lint-extension-twice"],
        ),
        ("an extension that says that it is not critical", says(0), &["lint-critical-false"]),
        ("a critical subject key identifier", Draft { key_id_critical: true, ..Draft::default() }, CRITICAL),
        (
            "critical Netscape certificate type",
            with(extension("2.16.840.1.113730.1.1", true, b"\x03\x02\x00\x04")),
            CRITICAL,
        ),
        (
            "TLS feature",
            with(extension("1.3.6.1.5.5.7.1.24", false, &tlv(0x30, b"\x02\x01\x05"))),
            &["lint-tls-feature"],
        ),
        ("a serial number of 20 bytes", Draft { serial: vec![0x7f; 20], ..Draft::default() }, &[]),
        ("a negative serial number", Draft { serial: vec![0xff, 0x01], ..Draft::default() }, &[]),
        ("serial number 0", Draft { serial: vec![0], ..Draft::default() }, &[]),
        (
            "an identifier of the subject beside the key",
            Draft { unique: tlv(0x82, b"\x00\x01"), ..Draft::default() },
            &[],
        ),
    ]
}

fn of_contents() -> Vec<Row> {
    let with = |kind: &str, value: &[u8]| Draft::default().with(extension(kind, false, value));
    let list = |parts: &[Vec<u8>]| tlv(0x30, &parts.concat());
    let basic = |parts: &[u8]| Draft { basic: tlv(0x30, parts), ..Draft::default() };
    let constraints =
        |content: &[u8]| Draft::default().with(extension("2.5.29.30", true, &tlv(0x30, content)));
    let subtree = |base: Vec<u8>| tlv(0xa0, &tlv(0x30, &base));
    let lan = || tlv(0x82, b"lan");
    let policy = |kind: &str| tlv(0x30, &oid(kind));
    let qualified =
        |kind: &str, qualifier: &str| list(&[oid(kind), list(&[list(&[oid(qualifier), tlv(0x16, b"x")])])]);
    let policies = |policies: &[Vec<u8>]| with("2.5.29.32", &list(policies));
    let places =
        |uri: &[u8]| with("1.3.6.1.5.5.7.1.1", &list(&[list(&[oid("1.3.6.1.5.5.7.48.2"), tlv(0x86, uri)])]));
    vec![
        ("path length 1", basic(b"\x01\x01\xff\x02\x01\x01"), &[]),
        ("path length 127", basic(b"\x01\x01\xff\x02\x01\x7f"), &[]),
        ("path length 128", basic(b"\x01\x01\xff\x02\x02\x00\x80"), DAMAGED),
        ("name constraints", constraints(&subtree(lan())), &[]),
        (
            "name constraints for addresses",
            constraints(&subtree(tlv(0x87, &[10, 0, 0, 0, 255, 0, 0, 0]))),
            &[],
        ),
        ("name constraints for all host names", constraints(&subtree(tlv(0x82, b""))), &[]),
        ("name constraints that are no host name", constraints(&subtree(tlv(0x82, b"l\x7fn"))), DAMAGED),
        (
            "name constraints with a mask with holes",
            constraints(&subtree(tlv(0x87, &[10, 0, 0, 0, 255, 0, 255, 0]))),
            DAMAGED,
        ),
        ("name constraints with an address alone", constraints(&subtree(tlv(0x87, &[10, 0, 0, 0]))), DAMAGED),
        (
            "name constraints with the minimum 0",
            constraints(&subtree([lan(), tlv(0x80, &[0])].concat())),
            DAMAGED,
        ),
        (
            "purposes of servers and more",
            with("2.5.29.37", &list(&[oid("1.3.6.1.5.5.7.3.1"), oid("1.2.3")])),
            &[],
        ),
        ("any purpose alone", with("2.5.29.37", &list(&[oid("2.5.29.37.0")])), &["lint-any-purpose"]),
        ("alternative names", with("2.5.29.17", &list(&[tlv(0x81, b"ca@bolt.lan")])), &[]),
        (
            "alternative names, a mail address in Latin-1",
            with("2.5.29.17", &list(&[tlv(0x81, b"\xf6@bolt.lan")])),
            DAMAGED,
        ),
        (
            "alternative names, an address of 3 bytes",
            with("2.5.29.17", &list(&[tlv(0x87, &[1, 2, 3])])),
            DAMAGED,
        ),
        ("no alternative names", with("2.5.29.17", &list(&[])), DAMAGED),
        ("policies", policies(&[policy("2.5.29.32.0")]), &[]),
        ("no policies", policies(&[]), DAMAGED),
        (
            "policies that are no sequences",
            with("2.5.29.32", &list(&[tlv(0x80, &oid("2.5.29.32.0"))])),
            DAMAGED,
        ),
        (
            "what is asked of policies, under another tag",
            with("2.5.29.36", &list(&[tlv(0x12, &[1])])),
            DAMAGED,
        ),
        (
            "key usage with a bit where none may be",
            Draft { usage: b"\x03\x02\x01\x07", ..Draft::default() },
            DAMAGED,
        ),
        ("a policy twice", policies(&[policy("1.2.3"), policy("1.2.3")]), DAMAGED),
        ("a policy with a qualifier of its own", policies(&[qualified("1.2.3", "1.2.4")]), &[]),
        (
            "the policy for all with a qualifier of its own",
            policies(&[qualified("2.5.29.32.0", "1.2.4")]),
            DAMAGED,
        ),
        ("no policy asked for", with("2.5.29.36", &list(&[tlv(0x81, &[0])])), &[]),
        (
            "a policy asked for at once",
            with("2.5.29.36", &list(&[tlv(0x80, &[0])])),
            &["lint-explicit-policy"],
        ),
        (
            "a policy asked for after one",
            with("2.5.29.36", &list(&[tlv(0x80, &[1])])),
            &["lint-explicit-policy"],
        ),
        ("a policy asked for after ten", with("2.5.29.36", &list(&[tlv(0x80, &[10])])), &[]),
        ("nothing asked of policies", with("2.5.29.36", &list(&[])), DAMAGED),
        ("no policy for all", with("2.5.29.54", &[2, 1, 0]), &[]),
        ("no policy for all, after a word", with("2.5.29.54", &tlv(0x0c, b"x")), DAMAGED),
        ("policies mapped", with("2.5.29.33", &list(&[list(&[oid("1.2.3"), oid("1.2.4")])])), &[]),
        ("authority key identifier", with("2.5.29.35", &list(&[tlv(0x80, b"key")])), &[]),
        (
            "authority key identifier with a serial number alone",
            with("2.5.29.35", &list(&[tlv(0x82, b"\x01")])),
            DAMAGED,
        ),
        ("authority key identifier that is none", with("2.5.29.35", &tlv(0x04, b"x")), DAMAGED),
        ("access to information", places(b"http://ca.lan/ca.crt"), &[]),
        ("access to information in Latin-1", places(b"http://ca.lan/\xf6"), DAMAGED),
        ("no access to information", with("1.3.6.1.5.5.7.1.1", &list(&[])), DAMAGED),
    ]
}

const COMMON_NAME: &str = "2.5.4.3";

/// A root before it is signed: an ordinary one, and what is changed about it.
struct Draft {
    version: u8,
    curve_in_numbers: bool,
    serial: Vec<u8>,
    subject: Vec<u8>,
    unique: Vec<u8>,
    basic: Vec<u8>,
    key_id_critical: bool,
    usage: &'static [u8],
    more: Vec<u8>,
}

impl Default for Draft {
    fn default() -> Draft {
        let draft = Draft {
            version: 2,
            curve_in_numbers: false,
            serial: serial(),
            subject: Vec::new(),
            unique: Vec::new(),
            basic: tlv(0x30, &tlv(0x01, &[0xff])),
            key_id_critical: false,
            usage: b"\x03\x02\x01\x06",
            more: Vec::new(),
        };
        // A name of its own for each: among many of one name browsers give up.
        let unit = pki::hex(&serial());
        draft.named(&[part("2.5.4.11", UTF8, unit.as_bytes()), part(COMMON_NAME, UTF8, b"Bolt CA")])
    }
}

impl Draft {
    fn named(self, parts: &[Vec<u8>]) -> Draft {
        Draft { subject: tlv(0x30, &parts.concat()), ..self }
    }

    fn with(self, extension: Vec<u8>) -> Draft {
        Draft { more: [self.more, extension].concat(), ..self }
    }

    fn signed(self, name: &'static str, refused: &'static [&'static str]) -> Case {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let point = key.public_key().as_ref();
        let public = match self.curve_in_numbers {
            true => spki(&[oid(EC), p256_in_numbers()].concat(), point),
            false => ec_key(P256, point),
        };
        let algorithm = tlv(0x30, &oid("1.2.840.10045.4.3.2"));
        let validity = tlv(0x30, &[tlv(0x17, b"260101000000Z"), tlv(0x17, b"400101000000Z")].concat());
        let serial = tlv(0x02, &self.serial);
        let (name_of_both, unique) = (&self.subject, &self.unique);
        let (version, extensions) = match self.version {
            0 => (Vec::new(), Vec::new()),
            version => (tlv(0xa0, &tlv(0x02, &[version])), tlv(0xa3, &tlv(0x30, &self.extensions()))),
        };
        let parts = [
            &version,
            &serial,
            &algorithm,
            name_of_both,
            &validity,
            name_of_both,
            &public,
            unique,
            &extensions,
        ];
        let tbs = tlv(0x30, &parts.map(Vec::as_slice).concat());
        let signature = key.sign(&SystemRandom::new(), &tbs).unwrap();
        let root = tlv(0x30, &[tbs, algorithm, bit_string(signature.as_ref())].concat());
        let key = AsDer::<EcPrivateKeyRfc5915Der<'_>>::as_der(&key.private_key()).unwrap().as_ref().to_vec();
        Case { name, root, key, refused }
    }

    fn extensions(&self) -> Vec<u8> {
        let key_id = extension("2.5.29.14", self.key_id_critical, &tlv(0x04, b"bolt"));
        let usage = extension("2.5.29.15", true, self.usage);
        [extension("2.5.29.19", true, &self.basic), usage, key_id, self.more.clone()].concat()
    }
}

/// The curve as SEC 1, appendix C.2, has it: field, coefficients, base point, order, cofactor.
fn p256_in_numbers() -> Vec<u8> {
    let prime = number("00ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
    let a = number("ffffffff00000001000000000000000000000000fffffffffffffffffffffffc");
    let b = number("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");
    let base = number(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
         4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    );
    let order = number("00ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let field = tlv(0x30, &[oid("1.2.840.10045.1.1"), tlv(0x02, &prime)].concat());
    let curve = tlv(0x30, &[tlv(0x04, &a), tlv(0x04, &b)].concat());
    let parts = [tlv(0x02, &[1]), field, curve, tlv(0x04, &base), tlv(0x02, &order), tlv(0x02, &[1])];
    tlv(0x30, &parts.concat())
}

/// Browsers refuse two certificates of one name with the same.
fn serial() -> Vec<u8> {
    let mut serial = vec![0x40; 16];
    SystemRandom::new().fill(&mut serial[1..]).unwrap();
    serial
}

fn part(kind: &str, tag: u8, text: &[u8]) -> Vec<u8> {
    tlv(0x31, &tlv(0x30, &[oid(kind), tlv(tag, text)].concat()))
}
