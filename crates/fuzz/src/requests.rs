//! Odd requests, each with what is to become of it: `docs/requests.md` as code. Those that are to be signed, or are
//! refused for something else than their signature, are signed as they should be.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)] // Used by tests alone.

use std::sync::LazyLock;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use der::{Encode, asn1::ObjectIdentifier};
use pki::pem;

/// A request, and what `camlock sign` does with it.
pub struct Case {
    /// As in the table.
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// By an error with this code.
    Refused(&'static str),
    /// With these changes, and this common name.
    Signed(&'static [&'static str], Option<&'static str>),
}

use Outcome::{Refused, Signed};

/// Stands in the requests that have a challenge password or a private key beside them, and nowhere else.
pub const SECRET: &str = "challenge-of-a-camera";

const AS_IT_IS: Outcome = Signed(&[], Some("Gate"));

/// All of them, with new keys each time.
pub fn cases() -> Vec<Case> {
    let signers = Signers::new();
    [in_files(&signers), in_asn1(&signers), of_keys(&signers), of_names(&signers), of_extensions(&signers)]
        .into_iter()
        .flatten()
        .map(|(name, bytes, outcome)| Case { name, bytes, outcome })
        .collect()
}

/// A request that is signed as it should be, with a subject and attributes of any bytes. The first two are the
/// length of the subject.
pub fn wishing(bytes: &[u8]) -> Vec<u8> {
    static SIGNERS: LazyLock<Signers> = LazyLock::new(Signers::new);
    let (length, rest) = bytes.split_at(bytes.len().min(2));
    let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (subject, attributes) = rest.split_at(length.min(rest.len()));
    let draft = Draft { subject: subject.to_vec(), attributes: attributes.to_vec(), ..Draft::default() };
    draft.signed(&SIGNERS)
}

type Row = (&'static str, Vec<u8>, Outcome);

fn in_files(signers: &Signers) -> Vec<Row> {
    let der = Draft::default().signed(signers);
    let pem = pem::block("CERTIFICATE REQUEST", &der).to_string();
    let secret = pem::block("PRIVATE KEY", SECRET.as_bytes()).to_string();
    let encrypted = secret.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let around = format!("\u{feff}Request of the gate:\n{pem}\nend\n").replace('\n', "\r\n");
    vec![
        ("DER", der.clone(), AS_IT_IS),
        ("PEM", pem.clone().into(), AS_IT_IS),
        ("PEM, text around it, CRLF, byte order mark", around.clone().into(), AS_IT_IS),
        ("PEM in UTF-16", around.encode_utf16().flat_map(u16::to_le_bytes).collect(), AS_IT_IS),
        ("PEM, invalid UTF-8 around it", [b"K\xf6z\xe9p\n", pem.as_bytes(), b"\xff"].concat(), AS_IT_IS),
        (
            "PEM, `NEW CERTIFICATE REQUEST`",
            pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST").into(),
            AS_IT_IS,
        ),
        (
            "PEM out of JSON: line ends as the two characters `\\n`, a slash as `\\/`",
            pem.replace('\n', "\\n").replace('/', "\\/").into(),
            AS_IT_IS,
        ),
        ("PEM that does not end", pem.split("-----END").next().unwrap().into(), Refused("not-a-request")),
        ("two requests in one PEM file", pem.repeat(2).into(), Refused("several-requests")),
        (
            "PEM, a private key beside the request",
            [secret.clone(), pem.clone()].concat().into(),
            Signed(&["beside-private-key"], Some("Gate")),
        ),
        (
            "PEM, an encrypted private key beside the request",
            [pem.clone(), encrypted].concat().into(),
            Signed(&["beside-private-key"], Some("Gate")),
        ),
        ("PEM, a private key alone", secret.into(), Refused("private-key-alone")),
        ("PEM, something else", pem.replace(" REQUEST", "").into(), Refused("not-a-request")),
        ("bytes after the DER", [&der[..], b"\n"].concat(), Refused("not-a-request")),
        (
            "bytes after the DER, in PEM",
            pem::block("CERTIFICATE REQUEST", &[&der[..], b"\n"].concat()).to_string().into(),
            Refused("not-a-request"),
        ),
        ("nothing", Vec::new(), Refused("not-a-request")),
        ("a file of 10 MB", vec![b'A'; 10 << 20], Refused("request-too-large")),
    ]
}

fn in_asn1(signers: &Signers) -> Vec<Row> {
    let draft = Draft::default;
    let mut nested = Vec::new();
    let mut depth = 0;
    while nested.len() < 40_000 {
        nested = tlv(0x30, &nested);
        depth += 1;
    }
    assert!(depth > 8_000);
    let der = draft().signed(signers);
    // The outer SEQUENCE has a length of two bytes.
    let indefinite = [b"\x30\x80", &der[if der[1] == 0x81 { 3 } else { 4 }..], b"\0\0"].concat();
    let mut broken = der.clone();
    *broken.last_mut().unwrap() ^= 1;
    // Attributes in an order that DER's SET OF does not have: the first is the longer one.
    let unordered = [draft().attributes, attribute("1.2.3", &tlv(0x05, b""))].concat();
    vec![
        ("nested 8,000 deep", nested.clone(), Refused("not-a-request")),
        (
            "an attribute nested 8,000 deep",
            draft().with(attribute("1.2.3", &nested)).signed(signers),
            AS_IT_IS,
        ),
        ("indefinite length (BER)", indefinite, Refused("not-a-request")),
        ("version 1", Draft { version: 1, ..draft() }.signed(signers), AS_IT_IS),
        ("version 2", Draft { version: 2, ..draft() }.signed(signers), AS_IT_IS),
        ("version -1", Draft { version: 0xff, ..draft() }.signed(signers), Refused("not-a-request")),
        (
            "no attributes",
            Draft { no_attributes: true, ..draft().subject_address() }.signed(signers),
            Signed(&["added-from-common-name", "dropped-common-name", "added-host-name"], None),
        ),
        (
            "empty attributes",
            Draft { attributes: Vec::new(), ..draft().subject_address() }.signed(signers),
            Signed(&["added-from-common-name", "dropped-common-name", "added-host-name"], None),
        ),
        ("an attribute that cannot be read", draft().with(tlv(0x0c, b"x")).signed(signers), AS_IT_IS),
        ("attributes that break off", draft().with(vec![0x7f]).signed(signers), Refused("not-a-request")),
        (
            "attributes not in DER's order",
            Draft { attributes: unordered, ..draft() }.signed(signers),
            AS_IT_IS,
        ),
        (
            "challengePassword",
            draft().with(attribute("1.2.840.113549.1.9.7", &tlv(0x0c, SECRET.as_bytes()))).signed(signers),
            AS_IT_IS,
        ),
        ("signature that does not fit", broken, Refused("bad-request-signature")),
        (
            "parameters beside the signature's algorithm",
            draft().signed_as(signers, "1.2.840.10045.4.3.2", &tlv(0x0c, b"hidden")),
            Refused("unsupported-signature"),
        ),
    ]
}

fn of_keys(signers: &Signers) -> Vec<Row> {
    let with = |key: Vec<u8>| Draft { key: Some(key), ..Draft::default() };
    let e = [1, 0, 1];
    let odd = |bytes: usize| vec![0xff; bytes];
    let key = |modulus: &[u8], exponent: &[u8]| with(rsa_key(modulus, exponent)).signed(signers);
    let unpadded = |modulus: &[u8], exponent: &[u8]| {
        let key = tlv(0x30, &[tlv(0x02, modulus), tlv(0x02, exponent)].concat());
        with(spki(&[oid(RSA), tlv(0x05, b"")].concat(), &key)).signed(signers)
    };
    let explicit = tlv(0x30, &[tlv(0x02, &[1]), tlv(0x30, b"")].concat());
    let explicit = spki(&[oid(EC), explicit].concat(), signers.ec.public_key().as_ref());
    let good = number(include_str!("../../pki/tests/moduli/close.hex"));
    let rsa = |signature: &str| with(signers.rsa_key()).signed_as(signers, signature, &tlv(0x05, b""));
    let bare = spki(&oid(RSA), signers.rsa.public_key().as_ref());
    let mut compressed = signers.ec.public_key().as_ref()[..33].to_vec();
    compressed[0] = 2;
    let beside = [&[4][..], &[1; 64]].concat();
    vec![
        ("RSA, signed with SHA-256", rsa("1.2.840.113549.1.1.11"), AS_IT_IS),
        ("RSA, signed with SHA-1", rsa("1.2.840.113549.1.1.5"), Refused("unsupported-signature")),
        ("RSA, signed with MD5", rsa("1.2.840.113549.1.1.4"), Refused("unsupported-signature")),
        ("RSA, signed with PSS", rsa("1.2.840.113549.1.1.10"), Refused("unsupported-signature")),
        ("RSA, no NULL beside the key's algorithm", with(bare).signed_rsa(signers), AS_IT_IS),
        ("RSA, modulus without its leading zero", unpadded(&odd(256), &e), Refused("key-negative")),
        ("RSA, exponent without its leading zero", unpadded(&[0, 0xff], &[0xff]), Refused("key-negative")),
        (
            "RSA, modulus with a zero too many",
            unpadded(&[&[0, 0], &odd(256)[..]].concat(), &e),
            Refused("key-damaged"),
        ),
        ("RSA of 1024 bits", key(&odd(128), &e), Refused("key-too-weak")),
        ("RSA of 16384 bits", key(&odd(2048), &e), Refused("unsupported-key")),
        ("RSA of 480,000 bits", key(&odd(60_000), &e), Refused("unsupported-key")),
        ("RSA of 8 million bits", key(&odd(1 << 20), &e), Refused("request-too-large")),
        ("RSA, exponent 1", key(&good, &[1]), Refused("key-exponent")),
        ("RSA, even exponent", key(&good, &[1, 0, 0]), Refused("key-exponent")),
        ("RSA, exponent of 4096 bits", key(&good, &odd(512)), Refused("key-exponent")),
        ("RSA, even modulus", key(&[odd(255), vec![0xfe]].concat(), &e), Refused("key-small-factor")),
        (
            "RSA, modulus with a small factor",
            key(&number(include_str!("../../pki/tests/moduli/small-factor.hex")), &e),
            Refused("key-small-factor"),
        ),
        ("RSA, close primes", key(&good, &e), Refused("key-close-primes")),
        (
            "RSA, ROCA (CVE-2017-15361)",
            key(&number(include_str!("../../pki/tests/moduli/roca.hex")), &e),
            Refused("key-roca"),
        ),
        ("Ed25519", with(spki(&oid("1.3.101.112"), &[7; 32])).signed(signers), Refused("unsupported-key")),
        ("EC, a curve written out in numbers", with(explicit).signed(signers), Refused("curve-not-named")),
        ("P-521", with(ec_key("1.3.132.0.35", &[4; 133])).signed(signers), Refused("unsupported-key")),
        (
            "P-256, compressed point",
            with(ec_key(P256, &compressed)).signed(signers),
            Refused("unsupported-key"),
        ),
        (
            "P-256, a point that is not on the curve",
            with(ec_key(P256, &beside)).signed(signers),
            Refused("bad-request-signature"),
        ),
    ]
}

fn of_names(signers: &Signers) -> Vec<Row> {
    let named =
        |kind: u8, name: &[u8]| Draft::default().naming(&[tlv(kind, name), host()].concat()).signed(signers);
    let called = |kind: u8, name: &[u8]| {
        Draft { subject: common_name(kind, name), ..Draft::default() }.signed(signers)
    };
    let only =
        |names: &[u8]| Draft { subject: tlv(0x30, b""), ..Draft::default() }.naming(names).signed(signers);
    let unusable = Signed(&["dropped-unusable-name"], Some("Gate"));
    let uncalled = Signed(&["unusable-common-name"], None);
    let many: Vec<u8> = (0..10_000_u32).flat_map(|i| tlv(DNS, format!("{i:04}").as_bytes())).collect();
    let some: Vec<u8> = (0..101_u32).flat_map(|i| tlv(DNS, format!("c{i}").as_bytes())).collect();
    let bmp: Vec<u8> = "Kapu ő".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let by_common_name = Draft::default().subject_address().naming(b"").signed(signers);
    vec![
        (
            "address written as a host name",
            named(DNS, b"192.168.1.64"),
            Signed(&["address-as-host-name"], Some("Gate")),
        ),
        ("wildcard", named(DNS, b"*.lan"), unusable),
        ("NUL in a host name", named(DNS, b"gate.lan\0.example.com"), unusable),
        ("control characters in a host name", named(DNS, b"\x1b[2Jgate.lan\r\n"), unusable),
        ("mail address among the names", named(0x81, b"a@b.lan"), unusable),
        ("address of 3 bytes", named(IP, &[10, 0, 0]), unusable),
        ("address with a mask", named(IP, &[10, 0, 0, 0, 255, 0, 0, 0]), unusable),
        (
            "host name with letters beyond ASCII",
            named(DNS, "kapu-\u{151}r.lan".as_bytes()),
            Signed(&["dropped-letters"], Some("Gate")),
        ),
        ("host name in Latin-1", named(DNS, b"kapu-\xf6r.lan"), Signed(&["dropped-letters"], Some("Gate"))),
        ("address as text", named(IP, b"192.168.1.64"), Signed(&["dropped-address-as-text"], Some("Gate"))),
        (
            "address as text, 16 characters",
            named(IP, b"192.168.100.100\0"),
            Signed(&["dropped-address-as-text"], Some("Gate")),
        ),
        (
            "mail address with letters beyond ASCII",
            named(0x81, b"\xf6r@b.lan"),
            Signed(&["dropped-damaged-name"], Some("Gate")),
        ),
        (
            "directory name that is damaged",
            named(0xa4, b"x"),
            Signed(&["dropped-damaged-name"], Some("Gate")),
        ),
        (
            "kind of name that there is not",
            named(0x8f, b"x"),
            Signed(&["dropped-damaged-name"], Some("Gate")),
        ),
        (
            "names that break off",
            Draft::default().naming(&[host(), vec![DNS, 0x7f]].concat()).signed(signers),
            Signed(&["names-damaged"], Some("Gate")),
        ),
        ("address of the internet", named(IP, &[8, 8, 8, 8]), Refused("names-outside")),
        (
            "empty subjectAltName, address in the common name",
            by_common_name,
            Signed(&["added-from-common-name", "dropped-common-name", "added-host-name"], None),
        ),
        ("address and no host name", only(&tlv(IP, &[192, 168, 1, 64])), Signed(&["added-host-name"], None)),
        ("no name at all", only(b""), Refused("no-names")),
        (
            "no name but one with letters beyond ASCII",
            only(&tlv(DNS, "kapu-\u{151}r.lan".as_bytes())),
            Refused("no-usable-names"),
        ),
        ("no name but one that breaks off", only(&[DNS, 0x7f]), Refused("not-a-request")),
        ("101 names", Draft::default().naming(&some).signed(signers), Refused("too-many-names")),
        ("10,000 names", Draft::default().naming(&many).signed(signers), Refused("too-many-names")),
        (
            "subjectAltName that is damaged",
            Draft::default().wishing(&[extension(SAN, false, b"\x30\x05")]).signed(signers),
            Refused("not-a-request"),
        ),
        ("common name, PrintableString", called(0x13, b"Gate"), AS_IT_IS),
        (
            "common name, PrintableString with other characters",
            called(0x13, "Front_gate é".as_bytes()),
            Signed(&[], Some("Front_gate é")),
        ),
        ("common name, TeletexString", called(0x14, b"Port\xe3o"), Signed(&[], Some("Portão"))),
        ("common name, BMPString", called(0x1e, &bmp), Signed(&[], Some("Kapu ő"))),
        ("common name, IA5String", called(0x16, b"Gate"), AS_IT_IS),
        ("common name, invalid UTF-8", called(0x0c, b"Gate \xff"), uncalled),
        ("common name, UniversalString", called(0x1c, b"\0\0\0G"), uncalled),
        (
            "subject that is no sequence",
            Draft { subject: tlv(0x31, b""), ..Draft::default() }.signed(signers),
            Refused("not-a-request"),
        ),
        ("NUL in the common name", called(0x0c, b"gate\0.lan"), uncalled),
        ("common name that turns the line around", called(0x0c, "Gate \u{202e}lan".as_bytes()), uncalled),
        ("common name of 65 characters", called(0x0c, &[b'x'; 65]), uncalled),
        ("empty common name", called(0x0c, b""), Signed(&[], None)),
    ]
}

fn of_extensions(signers: &Signers) -> Vec<Row> {
    let wishing = |list: &[Vec<u8>]| Draft::default().wishing(list).signed(signers);
    let names = extension(SAN, false, &tlv(0x30, &host()));
    let ca = extension("2.5.29.19", true, &tlv(0x30, &tlv(0x01, &[0xff])));
    let unknown = extension("1.2.3.4", true, b"anything");
    let many: Vec<_> = (0..101).map(|i| extension(&format!("1.2.3.{i}"), false, b"")).collect();
    let list = |extensions: &[u8]| attribute(EXTENSIONS, &tlv(0x30, extensions));
    let lists =
        |more: &[u8]| Draft { attributes: list(&names), ..Draft::default() }.with(list(more)).signed(signers);
    vec![
        ("CA:TRUE", wishing(&[names.clone(), ca]), Signed(&["dropped-ca"], Some("Gate"))),
        (
            "unknown critical extension",
            wishing(&[names.clone(), unknown.clone()]),
            Signed(&["dropped-extension"], Some("Gate")),
        ),
        ("101 extensions", wishing(&many), Refused("too-many-extensions")),
        ("an extension twice", wishing(&[names.clone(), names.clone()]), Refused("repeated-extension")),
        ("two lists of extensions", lists(&unknown), Signed(&["dropped-extension"], Some("Gate"))),
        (
            "two lists with the same extension",
            lists(&extension(SAN, false, &tlv(0x30, &tlv(DNS, b"other.lan")))),
            Refused("repeated-extension"),
        ),
        (
            "list of extensions that is damaged",
            Draft { attributes: attribute(EXTENSIONS, &tlv(0x0c, b"x")), ..Draft::default() }.signed(signers),
            Refused("not-a-request"),
        ),
    ]
}

const SAN: &str = "2.5.29.17";
const EXTENSIONS: &str = "1.2.840.113549.1.9.14";
const RSA: &str = "1.2.840.113549.1.1.1";
pub(crate) const EC: &str = "1.2.840.10045.2.1";
pub(crate) const P256: &str = "1.2.840.10045.3.1.7";
/// Kinds of GeneralName.
const DNS: u8 = 0x82;
const IP: u8 = 0x87;

struct Signers {
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Signers {
    fn new() -> Signers {
        Signers {
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn rsa_key(&self) -> Vec<u8> {
        let algorithm = [oid(RSA), tlv(0x05, b"")].concat();
        spki(&algorithm, self.rsa.public_key().as_ref())
    }
}

/// A request before it is signed: an ordinary one, and what is changed about it.
struct Draft {
    version: u8,
    subject: Vec<u8>,
    /// The SubjectPublicKeyInfo; that of the EC signer if there is none.
    key: Option<Vec<u8>>,
    attributes: Vec<u8>,
    no_attributes: bool,
}

impl Default for Draft {
    fn default() -> Draft {
        let draft = Draft {
            version: 0,
            subject: common_name(0x0c, b"Gate"),
            key: None,
            attributes: Vec::new(),
            no_attributes: false,
        };
        draft.naming(&[host(), tlv(IP, &[192, 168, 1, 64])].concat())
    }
}

impl Draft {
    fn naming(self, names: &[u8]) -> Draft {
        self.wishing(&[extension(SAN, false, &tlv(0x30, names))])
    }

    fn subject_address(self) -> Draft {
        Draft { subject: common_name(0x13, b"192.168.1.64"), ..self }
    }

    fn wishing(self, extensions: &[Vec<u8>]) -> Draft {
        Draft { attributes: attribute(EXTENSIONS, &tlv(0x30, &extensions.concat())), ..self }
    }

    fn with(self, attribute: Vec<u8>) -> Draft {
        // In DER's order, by the bytes.
        let mut attributes = [self.attributes, attribute];
        attributes.sort();
        Draft { attributes: attributes.concat(), ..self }
    }

    fn signed(self, signers: &Signers) -> Vec<u8> {
        self.signed_as(signers, "1.2.840.10045.4.3.2", b"")
    }

    fn signed_rsa(self, signers: &Signers) -> Vec<u8> {
        self.signed_as(signers, "1.2.840.113549.1.1.11", &tlv(0x05, b""))
    }

    /// As a signature of this kind; what is made is one with SHA-256.
    fn signed_as(self, signers: &Signers, algorithm: &str, parameters: &[u8]) -> Vec<u8> {
        let key = self.key.unwrap_or_else(|| ec_key(P256, signers.ec.public_key().as_ref()));
        let version = tlv(0x02, &[self.version]);
        let attributes = if self.no_attributes { Vec::new() } else { tlv(0xa0, &self.attributes) };
        let info = tlv(0x30, &[version, self.subject, key, attributes].concat());
        let random = SystemRandom::new();
        let signature = if algorithm.starts_with("1.2.840.113549") {
            let mut signature = vec![0; signers.rsa.public_modulus_len()];
            signers.rsa.sign(&signature::RSA_PKCS1_SHA256, &random, &info, &mut signature).unwrap();
            signature
        } else {
            signers.ec.sign(&random, &info).unwrap().as_ref().to_vec()
        };
        let algorithm = tlv(0x30, &[oid(algorithm), parameters.to_vec()].concat());
        tlv(0x30, &[info, algorithm, bit_string(&signature)].concat())
    }
}

fn host() -> Vec<u8> {
    tlv(DNS, b"gate.lan")
}

fn common_name(kind: u8, name: &[u8]) -> Vec<u8> {
    tlv(0x30, &tlv(0x31, &tlv(0x30, &[oid("2.5.4.3"), tlv(kind, name)].concat())))
}

fn attribute(kind: &str, value: &[u8]) -> Vec<u8> {
    tlv(0x30, &[oid(kind), tlv(0x31, value)].concat())
}

pub(crate) fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(0x01, &[0xff]) } else { Vec::new() };
    tlv(0x30, &[oid(kind), critical, tlv(0x04, value)].concat())
}

pub(crate) fn spki(algorithm: &[u8], bits: &[u8]) -> Vec<u8> {
    tlv(0x30, &[tlv(0x30, algorithm), bit_string(bits)].concat())
}

pub(crate) fn ec_key(curve: &str, point: &[u8]) -> Vec<u8> {
    spki(&[oid(EC), oid(curve)].concat(), point)
}

fn rsa_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let positive = |n: &[u8]| tlv(0x02, &if n[0] > 0x7f { [&[0], n].concat() } else { n.to_vec() });
    let key = tlv(0x30, &[positive(modulus), positive(exponent)].concat());
    spki(&[oid(RSA), tlv(0x05, b"")].concat(), &key)
}

pub(crate) fn number(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let padded = [vec!['0'; digits.len() % 2], digits].concat();
    let (pairs, _) = padded.as_chunks::<2>();
    pairs.iter().map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    ObjectIdentifier::new(text).unwrap().to_der().unwrap()
}

pub(crate) fn bit_string(bits: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], bits].concat())
}

/// DER (X.690): tag, length, value.
pub(crate) fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|b| **b == 0).count()..];
    let length = match value.len() {
        short @ ..0x80 => vec![short as u8],
        _ => [&[0x80 | significant.len() as u8], significant].concat(),
    };
    [&[tag], &length[..], value].concat()
}
