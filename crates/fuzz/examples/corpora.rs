//! Writes what the corpora begin with: `cargo run -p fuzz --example corpora`. The keys are new each time, so files
//! change; what fuzzing adds is named by hashes and stays.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use der::{Decode, Encode, ErrorKind, asn1::AnyRef};
use pki::pem;
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CrlDistributionPoint, CustomExtension, DnType, DnValue,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints, OtherNameValue,
    SanType, SerialNumber, SignatureAlgorithm, date_time_ymd,
};

/// Larger ones slow the fuzzer down, and it finds the way to them.
const MAX_FILE: usize = 4096;

fn main() {
    for case in fuzz::requests::cases() {
        write("request", case.name, &case.bytes);
        if let Ok(wishes) = wishes(&case.bytes) {
            write("wishes", case.name, &wishes);
        }
        if case.bytes.windows(5).any(|w| w == b"-----") {
            write("pem", case.name, &case.bytes);
        }
    }
    for (name, bytes) in chains() {
        write("chain", &name, &bytes);
    }
    let certificates = certificates();
    for (name, der) in &certificates {
        write("certificate", name, der);
    }
    for case in fuzz::roots::cases() {
        let pair = [pem::block("CERTIFICATE", &case.root), pem::block("EC PRIVATE KEY", &case.key)];
        write("certificate", case.name, &case.root);
        write("import", case.name, pair.map(|block| block.to_string()).concat().as_bytes());
    }
    for (name, text) in pem_files(&certificates[0].1) {
        write("pem", name, text.as_bytes());
    }
}

fn write(corpus: &str, name: &str, bytes: &[u8]) {
    if bytes.len() <= MAX_FILE {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(corpus);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(domain::slug(name)), bytes).unwrap();
    }
}

/// The path-validation cases of `inspect`, as [`fuzz::chain`] takes them.
fn chains() -> Vec<(String, Vec<u8>)> {
    let cases = include_str!("../../inspect/tests/fixtures/limbo.json");
    let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
    let framed = |case: &serde_json::Value| {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let list = |name: &str| case[name].as_array().unwrap().iter().map(text).collect::<String>();
        let all = text(&case["peer_certificate"]) + &list("untrusted_intermediates") + &list("trusted_certs");
        let blocks = pem::blocks(&all).into_iter().filter_map(|(_, der)| der);
        blocks.flat_map(|der| [&(der.len() as u16).to_be_bytes()[..], &der].concat()).collect()
    };
    let cases = cases["testcases"].as_array().unwrap();
    cases.iter().map(|case| (case["id"].as_str().unwrap().to_owned(), framed(case))).collect()
}

/// As [`fuzz::requests::wishing`] takes them.
fn wishes(request: &[u8]) -> Result<Vec<u8>, der::Error> {
    let outer: Vec<AnyRef<'_>> = Vec::from_der(request)?;
    let info: Vec<AnyRef<'_>> = outer.first().ok_or(ErrorKind::Failed)?.decode_as()?;
    let [_, subject, _, attributes] = info[..] else { return Err(ErrorKind::Failed.into()) };
    let subject = subject.to_der()?;
    let length = u16::try_from(subject.len()).map_err(|_| ErrorKind::Overlength)?;
    Ok([&length.to_be_bytes()[..], &subject, attributes.value()].concat())
}

/// A certificate with one thing special about it.
fn certificate(kind: &'static SignatureAlgorithm, change: impl Fn(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::new(["gate.lan".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(vec![1]));
    change(&mut params);
    let key = KeyPair::generate_for(kind).unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn certificates() -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: &dyn Fn(&mut CertificateParams)| certificate(&rcgen::PKCS_ECDSA_P256_SHA256, change);
    let names = |names: Vec<SanType>| with(&move |p| p.subject_alt_names = names.clone());
    let subject =
        |value: DnValue| with(&move |p| p.distinguished_name.push(DnType::CommonName, value.clone()));
    let dates = |from, to| {
        with(&move |p| (p.not_before, p.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 12, 31)))
    };
    let serial = |bytes: Vec<u8>| with(&move |p| p.serial_number = Some(SerialNumber::from(bytes.clone())));
    let ia5 = |text: &str| text.to_owned().try_into().unwrap();
    let constraints = NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName("lan".into()),
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8)),
        ],
        excluded_subtrees: vec![GeneralSubtree::Rfc822Name("b.lan".into())],
    };
    let mut negative = with(&|_| {});
    let at = negative.windows(3).position(|w| w == [2, 1, 1]).unwrap();
    negative[at + 2] = 0x81;
    vec![
        ("p256", with(&|_| {})),
        ("p384", certificate(&rcgen::PKCS_ECDSA_P384_SHA384, |_| {})),
        ("p521", certificate(&rcgen::PKCS_ECDSA_P521_SHA512, |_| {})),
        ("ed25519", certificate(&rcgen::PKCS_ED25519, |_| {})),
        ("rsa", certificate(&rcgen::PKCS_RSA_SHA256, |_| {})),
        ("rsa-sha512", certificate(&rcgen::PKCS_RSA_SHA512, |_| {})),
        ("version 1", include_bytes!("../../inspect/tests/fixtures/v1.der").to_vec()),
        ("no names", names(vec![])),
        (
            "addresses",
            names(vec![
                SanType::IpAddress([10, 0, 0, 1].into()),
                SanType::IpAddress([0xfe80, 0, 0, 0, 0, 0, 0, 1].into()),
            ]),
        ),
        (
            "mail and uri",
            names(vec![SanType::Rfc822Name(ia5("a@b.lan")), SanType::URI(ia5("http://b.lan/"))]),
        ),
        (
            "other name",
            names(vec![SanType::OtherName((vec![1, 3, 6, 1], OtherNameValue::Utf8String("x".into())))]),
        ),
        ("wildcard", names(vec![SanType::DnsName(ia5("*.lan"))])),
        ("fifty names", names((0..50).map(|i| SanType::DnsName(ia5(&format!("c{i}.lan")))).collect())),
        ("utf8 subject", subject(DnValue::Utf8String("Kapu ő".into()))),
        ("printable subject", subject(DnValue::PrintableString("Gate".try_into().unwrap()))),
        ("teletex subject", subject(DnValue::TeletexString("Gate".try_into().unwrap()))),
        ("bmp subject", subject(DnValue::BmpString("Kapu".try_into().unwrap()))),
        ("escapes in the subject", subject(DnValue::Utf8String("a,b=\"c\"+d\\#\n".into()))),
        ("dates of UTCTime", dates(1975, 2049)),
        ("dates of GeneralizedTime", dates(2050, 9999)),
        ("long serial", serial(vec![0x7f; 20])),
        ("serial with a high bit", serial(vec![0xff; 16])),
        ("negative serial", negative),
        ("authority", with(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("authority of one step", with(&|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)))),
        (
            "name constraints",
            with(&|p| {
                (p.is_ca, p.name_constraints) =
                    (IsCa::Ca(BasicConstraints::Unconstrained), Some(constraints.clone()))
            }),
        ),
        ("no authority", with(&|p| p.is_ca = IsCa::ExplicitNoCa)),
        (
            "usages",
            with(&|p| {
                p.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
                p.extended_key_usages =
                    vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any];
            }),
        ),
        (
            "revocation list",
            with(&|p| {
                p.crl_distribution_points = vec![CrlDistributionPoint { uris: vec!["http://a.lan/".into()] }]
            }),
        ),
        (
            "unknown critical extension",
            with(&|p| {
                let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x30, 0]);
                extension.set_criticality(true);
                p.custom_extensions = vec![extension];
            }),
        ),
        (
            "damaged names",
            with(&|p| {
                p.subject_alt_names = vec![];
                p.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 5])];
            }),
        ),
    ]
}

fn pem_files(der: &[u8]) -> Vec<(&'static str, String)> {
    let pem = pem::block("CERTIFICATE", der).to_string();
    let short = pem::block("A", b"content").to_string();
    vec![
        ("certificate", pem.clone()),
        ("two certificates", pem.repeat(2)),
        ("one line", short.replace("\nY", "Y")),
        ("short lines", short.replace('=', "\n=\n")),
        ("no padding", short.replace('=', "")),
        ("other end", short.replace("END A", "END B")),
        ("no end", short.replace("-----END A-----", "")),
        ("no beginning", short.replace("-----BEGIN A-----", "")),
        ("nested", format!("-----BEGIN B-----\n{short}-----END B-----\n")),
        ("empty", pem::block("EMPTY", b"").to_string()),
        ("empty label", pem::block("", b"x").to_string()),
        ("hyphens in the label", "-----BEGIN ------BEGIN A-----\n-----END A-----".into()),
        ("label of two lines", "-----BEGIN A\nB-----\n-----END A\nB-----".into()),
        ("headers", short.replace("A-----\n", "A-----\nProc-Type: 4,ENCRYPTED\n\n")),
        ("carriage returns alone", pem.replace('\n', "\r")),
        ("tabs", pem.replace('\n', "\t\n\t")),
    ]
}
