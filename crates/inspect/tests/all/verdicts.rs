//! What browsers would say of servers that are there: real listeners on loopback, real handshakes.
//!
//! The pages are those that Chromium 156 and Firefox ESR 153 showed for certificates made alike.

// Clippy knows a test by its attribute, and the helpers here have none.

use std::{future::pending, time::Duration};

use crate::common::{
    Authority, NOW, PAGE, Rsa1024, Served, answering, certificates, day, dns, hear, https, https_at,
    impatient, ip, plain_http, self_signed, tcp, trusting,
};
use domain::{Finding, Report, Severity, Verdict};
use inspect::{Options, check};
use rcgen::{
    CertificateParams, CidrSubnet, CustomExtension, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair,
    KeyUsagePurpose, NameConstraints,
};
use tokio::{
    io::AsyncWriteExt,
    net::TcpListener,
    time::{Instant, interval},
};

const SECURE: (Option<&str>, Option<&str>) = (None, None);

async fn look(target: &str, options: &Options) -> Report {
    check(&target.parse().unwrap(), options).await
}

async fn look_at(served: Served, options: &Options) -> Report {
    look(&format!("https://127.0.0.1:{}/", https(served).await), options).await
}

/// The findings' names, as in the enum.
fn names(report: &Report) -> Vec<String> {
    let name = |f| format!("{f:?}").split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    report.findings.iter().map(name).collect()
}

#[track_caller]
fn assert_report(
    report: &Report,
    verdict: Verdict,
    (chromium, firefox): (Option<&str>, Option<&str>),
    findings: &[&str],
) {
    assert_eq!(names(report), findings, "{report:?}");
    assert_eq!((report.chromium, report.firefox), (chromium, firefox), "{report:?}");
    assert_eq!(report.verdict, verdict, "{report:?}");
}

/// One certificate, what each browser shows, and what there is to find.
type Case = (&'static str, Served, (Option<&'static str>, Option<&'static str>), &'static [&'static str]);

async fn assert_cases(cases: Vec<Case>, options: &Options) {
    for (name, served, pages, findings) in cases {
        println!("{name}");
        let leaf = served.chain[0].clone();
        let report = look_at(served, options).await;
        let verdict = if pages == SECURE { Verdict::Secure } else { Verdict::NotSecure };
        assert_report(&report, verdict, pages, findings);
        assert_eq!(report.leaf, Some(leaf));
        assert_eq!(report.tls, Some("TLSv1.3"));
        assert!(report.certificate.is_some());
    }
}

fn pages(chromium: &'static str, firefox: &'static str) -> (Option<&'static str>, Option<&'static str>) {
    (Some(chromium), Some(firefox))
}

fn expired(p: &mut CertificateParams) {
    (p.not_before, p.not_after) = (day(-300), day(-2));
}

fn other_name(p: &mut CertificateParams) {
    p.subject_alt_names = vec![ip("10.1.2.3")];
}

fn client_only(p: &mut CertificateParams) {
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn an_authority(p: &mut CertificateParams) {
    p.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
}

fn no_signing(p: &mut CertificateParams) {
    p.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
}

fn unknown_critical(p: &mut CertificateParams) {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    p.custom_extensions = vec![extension];
}

#[tokio::test]
async fn plain_http_is_not_secure_and_no_error_page() {
    let to_https = "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n\r\n";
    let unclosed = tcp(|mut stream| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.0 200 OK\n\nhello").await;
        pending::<()>().await;
    })
    .await;
    for (port, patience) in [
        (plain_http(PAGE).await, trusting(&[])),
        (plain_http(to_https).await, trusting(&[])),
        (answering("HTTP/1.1 401 Unauthorized\r\n\r\n").await, trusting(&[])),
        (unclosed, impatient()),
    ] {
        let report = look(&format!("http://127.0.0.1:{port}/"), &patience).await;
        assert_report(&report, Verdict::NotSecure, SECURE, &["PlainHttp"]);
        assert_eq!(report.findings, [Finding::PlainHttp { port }]);
        assert_eq!((report.tls, report.leaf, report.certificate), (None, None, None));
    }
}

#[tokio::test]
async fn http_is_asked_for_as_a_browser_asks() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let port = tcp(move |mut stream| {
        let told = told.clone();
        async move {
            told.send(String::from_utf8(hear(&mut stream).await).unwrap()).unwrap();
            let _ = stream.write_all(PAGE.as_bytes()).await;
        }
    })
    .await;
    look(&format!("http://127.0.0.1:{port}/"), &trusting(&[])).await;
    let request = heard.recv().await.unwrap();
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{request}");
}

#[tokio::test]
async fn a_port_without_a_scheme_is_taken_for_what_it_speaks() {
    let root = Authority::new("Root");
    let options = Options { answer: Duration::from_secs(2), ..trusting(&[&root]) };
    let look = async |port: u16| look(&format!("127.0.0.1:{port}"), &options).await;

    let port = https(root.leaf(|_| {})).await;
    assert_report(&look(port).await, Verdict::Secure, SECURE, &[]);
    // A handshake to a web server without TLS: it closes, complains, or waits for the end of the line.
    let complains = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let waits = tcp(|mut stream| async move {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            match hear(&mut stream).await {
                more if more.is_empty() => return,
                more => heard.extend(more),
            }
        }
        let _ = stream.write_all(PAGE.as_bytes()).await;
    })
    .await;
    for port in [plain_http(PAGE).await, complains, waits] {
        assert_report(&look(port).await, Verdict::NotSecure, SECURE, &["PlainHttp"]);
    }
    let port = answering("SSH-2.0-dropbear_2019.78\r\n").await;
    assert_report(&look(port).await, Verdict::Unreachable, SECURE, &["NotAWebServer"]);
    // Nothing at all, whatever is asked.
    let port = tcp(|_| async {}).await;
    assert_eq!(look(port).await.verdict, Verdict::NotSecure);
    // TLS that refuses is TLS.
    let port = answering([21, 3, 3, 0, 2, 2, 40]).await;
    let page = pages("ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_NO_CYPHER_OVERLAP");
    assert_report(&look(port).await, Verdict::NotSecure, page, &["NoCommonCipher"]);
}

#[tokio::test]
async fn a_trusted_certificate_with_the_right_name_is_secure() {
    let root = Authority::new("Root");
    let served = root.leaf(|_| {});
    let report = look_at(served, &trusting(&[&root])).await;
    assert_report(&report, Verdict::Secure, SECURE, &[]);
    assert_eq!(report.tls, Some("TLSv1.3"));
    assert_eq!(report.name.unwrap().to_string(), "IP:127.0.0.1");
    let certificate = report.certificate.unwrap();
    assert_eq!(certificate.subject, "CN=Camera 1");
    assert_eq!(certificate.issuer, "CN=Root");
    assert_eq!(certificate.sans, ["IP:127.0.0.1"]);
    assert_eq!((certificate.not_before, certificate.not_after), (day(-1), day(300)));
    assert_eq!(certificate.key, "p256");
    assert_eq!(certificate.sha256.len(), 64);
}

#[tokio::test]
async fn an_ipv6_address_is_a_target() {
    let root = Authority::new("Root");
    let served = root.leaf(|p| p.subject_alt_names = vec![ip("::1")]);
    match https_at("::1".parse().unwrap(), served).await {
        Ok(port) => {
            let options = trusting(&[&root]);
            for target in [format!("https://[::1]:{port}/"), format!("[::1]:{port}")] {
                assert_report(&look(&target, &options).await, Verdict::Secure, SECURE, &[]);
            }
        }
        Err(e) => println!("skipped: no IPv6 loopback here ({e})"),
    }
}

#[tokio::test]
async fn what_browsers_accept() {
    let root = Authority::new("Root");
    let below = root.below("Below", |_| {});
    let narrow = Authority::with("Narrow Root", |p| permit(p, [127, 0, 0, 0]));
    let weak = Rsa1024Leaf(&root);
    let ended = |p: &mut CertificateParams| (p.not_before, p.not_after) = (day(-1), day(12));
    let long = |p: &mut CertificateParams| (p.not_before, p.not_after) = (day(-1), day(900));
    let critical_only = |p: &mut CertificateParams| p.distinguished_name = rcgen::DistinguishedName::new();
    let both = |p: &mut CertificateParams| p.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    let cases: Vec<Case> = vec![
        ("intermediate sent", below.leaf(|_| {}).and(&below), SECURE, &[]),
        ("root sent too", root.leaf(|_| {}).and(&root), SECURE, &[]),
        ("inside constraints", narrow.leaf(|_| {}), SECURE, &["CommonNameOutside"]),
        ("empty subject", root.leaf(critical_only), SECURE, &[]),
        ("no EKU", root.leaf(|p| p.extended_key_usages = vec![]), SECURE, &["NoPurposeForApple"]),
        ("two EKUs", root.leaf(both), SECURE, &[]),
        ("no key usage", root.leaf(|p| p.key_usages = vec![]), SECURE, &[]),
        ("P-384", root.leaf_with(key(&rcgen::PKCS_ECDSA_P384_SHA384), |_| {}), SECURE, &[]),
        ("soon over", root.leaf(ended), SECURE, &["Expiring"]),
        ("over 825 days", root.leaf(long), SECURE, &["TooLongForApple"]),
        ("825 days", root.leaf(|p| p.not_after = day(824)), SECURE, &[]),
        ("RSA-1024", weak.served(), SECURE, &["WeakKey"]),
        ("underscore", root.leaf(|p| p.subject_alt_names.push(dns("cam_1.lan"))), SECURE, &[]),
    ];
    let report = look_at(weak.served(), &trusting(&[&root])).await;
    assert_eq!(report.findings, [Finding::WeakKey { key: "rsa-1024".into() }]);
    assert_eq!(report.findings[0].severity(), Severity::Warning);
    assert_eq!(report.certificate.unwrap().key, "rsa-1024");
    assert_cases(cases, &trusting(&[&root, &narrow])).await;
}

fn key(kind: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(kind).unwrap()
}

/// No key of 1024 bits can sign here: another one does in its stead.
struct Rsa1024Leaf<'a>(&'a Authority);

impl Rsa1024Leaf<'_> {
    fn served(&self) -> Served {
        let leaf = crate::common::leaf(|_| {}).signed_by(&Rsa1024, &self.0.issuer).unwrap();
        Served { chain: vec![leaf.der().to_vec()], key: key(&rcgen::PKCS_RSA_SHA256) }
    }
}

fn permit(p: &mut CertificateParams, network: [u8; 4]) {
    let network = GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix(network, 8));
    let domain = GeneralSubtree::DnsName("lan".into());
    p.name_constraints =
        Some(NameConstraints { permitted_subtrees: vec![network, domain], excluded_subtrees: vec![] });
}

#[tokio::test]
async fn one_fault_gives_its_finding_and_its_pages() {
    let root = Authority::new("Root");
    let stranger = Authority::new("Stranger");
    let below = root.below("Below", |_| {});
    let ended = root.below("Ended", expired);
    let old_root = Authority::with("Old Root", expired);
    let narrow = Authority::with("Narrow Root", |p| permit(p, [10, 0, 0, 0]));
    let renewed = Authority::new("Root");
    let any = |p: &mut CertificateParams| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any];
    let early = |p: &mut CertificateParams| (p.not_before, p.not_after) = (day(2), day(300));
    let cn_only = |p: &mut CertificateParams| {
        p.subject_alt_names = vec![];
        p.distinguished_name = crate::common::called("127.0.0.1");
    };
    let as_dns = |p: &mut CertificateParams| p.subject_alt_names = vec![dns("127.0.0.1")];
    let old = Served {
        chain: vec![include_bytes!("../fixtures/v1.der").to_vec()],
        key: key(&rcgen::PKCS_RSA_SHA256),
    };
    let authority = pages("ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER");
    let itself = pages("ERR_CERT_AUTHORITY_INVALID", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT");
    let name = pages("ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN");
    let issuer_date = pages("ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE");
    let cases: Vec<Case> = vec![
        ("untrusted", stranger.leaf(|_| {}), authority, &["UnknownIssuer"]),
        ("untrusted, root sent", stranger.leaf(|_| {}).and(&stranger), authority, &["UnknownIssuer"]),
        ("missing intermediate", below.leaf(|_| {}), authority, &["UnknownIssuer"]),
        ("self-signed", self_signed(|_| {}), itself, &["SelfSigned"]),
        ("self-signed, CA:TRUE", self_signed(an_authority), itself, &["SelfSigned", "InvalidCertificate"]),
        ("self-signed, version 1", old, itself, &["SelfSigned", "NoAltName", "TooLongForApple"]),
        (
            "signed by a root of the same name",
            renewed.leaf(|_| {}),
            pages("ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_BAD_SIGNATURE"),
            &["InvalidCertificate"],
        ),
        (
            "expired",
            root.leaf(expired),
            pages("ERR_CERT_DATE_INVALID", "SEC_ERROR_EXPIRED_CERTIFICATE"),
            &["Expired"],
        ),
        (
            "not yet valid",
            root.leaf(early),
            pages("ERR_CERT_DATE_INVALID", "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE"),
            &["NotYetValid"],
        ),
        ("expired intermediate", ended.leaf(|_| {}).and(&ended), issuer_date, &["IssuerNotValid"]),
        ("expired root", old_root.leaf(|_| {}), issuer_date, &["IssuerNotValid"]),
        ("wrong name", root.leaf(other_name), name, &["WrongName"]),
        ("address as dNSName", root.leaf(as_dns), name, &["WrongName", "AgainstStandard"]),
        ("common name only", root.leaf(cn_only), name, &["NoAltName"]),
        (
            "outside constraints",
            narrow.leaf(|_| {}),
            pages("ERR_CERT_INVALID", "SEC_ERROR_CERT_NOT_IN_NAME_SPACE"),
            &["OutsideConstraints", "CommonNameOutside"],
        ),
        (
            "clientAuth only",
            root.leaf(client_only),
            pages("ERR_CERT_INVALID", "SEC_ERROR_INADEQUATE_CERT_TYPE"),
            &["NotForServers"],
        ),
        ("any purpose", root.leaf(any), (None, Some("SEC_ERROR_INADEQUATE_CERT_TYPE")), &["NotForServers"]),
        (
            "CA:TRUE",
            root.leaf(an_authority),
            (None, Some("MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY")),
            &["InvalidCertificate"],
        ),
        (
            "no digitalSignature",
            root.leaf(no_signing),
            (Some("ERR_SSL_KEY_USAGE_INCOMPATIBLE"), None),
            &["InvalidCertificate"],
        ),
        (
            "unknown critical extension",
            root.leaf(unknown_critical),
            pages("ERR_CERT_INVALID", "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION"),
            &["InvalidCertificate"],
        ),
        (
            "SHA-1",
            with_sha1(|_| {}),
            pages("ERR_CERT_INVALID", "SEC_ERROR_BAD_SIGNATURE"),
            &["InvalidCertificate", "InvalidCertificate"],
        ),
        (
            "P-521",
            root.leaf_with(key(&rcgen::PKCS_ECDSA_P521_SHA512), |_| {}),
            (Some("ERR_SSL_VERSION_OR_CIPHER_MISMATCH"), None),
            &["NoCommonCipher"],
        ),
        (
            "Ed25519",
            root.leaf_with(key(&rcgen::PKCS_ED25519), |_| {}),
            pages("ERR_SSL_VERSION_OR_CIPHER_MISMATCH", "SSL_ERROR_NO_CYPHER_OVERLAP"),
            &["NoCommonCipher"],
        ),
    ];
    let mut roots = certificates(&[&root, &narrow, &old_root]);
    roots.push(SHA1_ROOT.with(|root| root.certificate()));
    let options = Options::trusting(roots, NOW);
    assert_cases(cases, &options).await;
}

thread_local! {
    /// RSA, whose identifiers with SHA-256 and SHA-1 have the same length.
    static SHA1_ROOT: Authority = {
        let mut params = crate::common::leaf(an_authority);
        params.distinguished_name = crate::common::called("RSA Root");
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        (params.not_before, params.not_after) = (day(-1000), day(1000));
        let issuer = rcgen::CertifiedIssuer::self_signed(params, key(&rcgen::PKCS_RSA_SHA256)).unwrap();
        Authority { issuer }
    };
}

/// Said to be signed with SHA-1, which nothing here does any more; Firefox looks at the signature all the same.
fn with_sha1(change: impl FnOnce(&mut CertificateParams)) -> Served {
    let mut served = SHA1_ROOT.with(|root| root.leaf(change));
    let (sha256, sha1) = (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05");
    let leaf = &mut served.chain[0];
    let places: Vec<usize> = (0..leaf.len() - 9).filter(|&at| leaf[at..at + 9] == sha256[..]).collect();
    assert_eq!(places.len(), 2);
    places.into_iter().for_each(|at| leaf[at..at + 9].copy_from_slice(sha1));
    served
}

#[tokio::test]
async fn several_faults_are_all_found_and_each_browser_shows_its_first() {
    let root = Authority::new("Root");
    let stranger = Authority::new("Stranger");
    let old_root = Authority::with("Old Root", expired);
    let narrow = Authority::with("Narrow Root", |p| permit(p, [10, 0, 0, 0]));
    let both = |one: fn(&mut CertificateParams), other: fn(&mut CertificateParams)| {
        move |p: &mut CertificateParams| {
            one(p);
            other(p);
        }
    };
    fn other_network(p: &mut CertificateParams) {
        p.subject_alt_names = vec![ip("192.168.1.1")];
    }
    let all = |p: &mut CertificateParams| {
        expired(p);
        other_name(p);
        client_only(p);
        an_authority(p);
    };
    let authority = pages("ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_ISSUER");
    let itself = pages("ERR_CERT_AUTHORITY_INVALID", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT");
    let name = pages("ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN");
    let purpose = "SEC_ERROR_INADEQUATE_CERT_TYPE";
    let space = "SEC_ERROR_CERT_NOT_IN_NAME_SPACE";
    let usage = "ERR_SSL_KEY_USAGE_INCOMPATIBLE";
    let issuer = "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE";
    let cases: Vec<Case> = vec![
        ("untrusted, expired", stranger.leaf(expired), authority, &["UnknownIssuer", "Expired"]),
        ("untrusted, name", stranger.leaf(other_name), authority, &["UnknownIssuer", "WrongName"]),
        ("untrusted, purpose", stranger.leaf(client_only), authority, &["UnknownIssuer", "NotForServers"]),
        (
            "untrusted, CA:TRUE",
            stranger.leaf(an_authority),
            authority,
            &["UnknownIssuer", "InvalidCertificate"],
        ),
        (
            "untrusted, key usage",
            stranger.leaf(no_signing),
            pages(usage, "SEC_ERROR_UNKNOWN_ISSUER"),
            &["UnknownIssuer", "InvalidCertificate"],
        ),
        (
            "self-signed and more",
            self_signed(all),
            itself,
            &["SelfSigned", "Expired", "NotForServers", "InvalidCertificate", "WrongName"],
        ),
        (
            "self-signed, unknown critical extension",
            self_signed(unknown_critical),
            pages("ERR_CERT_AUTHORITY_INVALID", "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION"),
            &["SelfSigned", "InvalidCertificate"],
        ),
        ("expired, name", root.leaf(both(expired, other_name)), name, &["Expired", "WrongName"]),
        (
            "expired, purpose",
            root.leaf(both(expired, client_only)),
            pages("ERR_CERT_DATE_INVALID", purpose),
            &["Expired", "NotForServers"],
        ),
        (
            "name, purpose",
            root.leaf(both(other_name, client_only)),
            pages("ERR_CERT_INVALID", purpose),
            &["NotForServers", "WrongName"],
        ),
        (
            "expired, constraints",
            narrow.leaf(expired),
            pages("ERR_CERT_DATE_INVALID", space),
            &["OutsideConstraints", "Expired", "CommonNameOutside"],
        ),
        (
            "constraints, name",
            narrow.leaf(other_network),
            pages("ERR_CERT_INVALID", space),
            &["OutsideConstraints", "WrongName", "CommonNameOutside"],
        ),
        (
            "expired, constraints, name",
            narrow.leaf(both(expired, other_network)),
            pages("ERR_CERT_COMMON_NAME_INVALID", space),
            &["OutsideConstraints", "Expired", "WrongName", "CommonNameOutside"],
        ),
        (
            "expired, CA:TRUE",
            root.leaf(both(expired, an_authority)),
            pages("ERR_CERT_DATE_INVALID", "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"),
            &["Expired", "InvalidCertificate"],
        ),
        (
            "expired, key usage",
            root.leaf(both(expired, no_signing)),
            pages(usage, "SEC_ERROR_EXPIRED_CERTIFICATE"),
            &["Expired", "InvalidCertificate"],
        ),
        (
            "expired, SHA-1",
            with_sha1(expired),
            pages("ERR_CERT_INVALID", "SEC_ERROR_BAD_SIGNATURE"),
            &["InvalidCertificate", "InvalidCertificate", "Expired"],
        ),
        (
            "expired with its root",
            old_root.leaf(expired),
            pages("ERR_CERT_DATE_INVALID", issuer),
            &["IssuerNotValid", "Expired"],
        ),
        (
            "expired root, name",
            old_root.leaf(other_name),
            pages("ERR_CERT_COMMON_NAME_INVALID", issuer),
            &["IssuerNotValid", "WrongName"],
        ),
    ];
    let mut roots = certificates(&[&root, &narrow, &old_root]);
    roots.push(SHA1_ROOT.with(|root| root.certificate()));
    let options = Options::trusting(roots, NOW);
    assert_cases(cases, &options).await;
}

#[tokio::test]
async fn a_self_signed_certificate_trusted_as_a_root() {
    let plain = |p: &mut CertificateParams| (p.is_ca, p.key_usages) = (IsCa::NoCa, vec![]);
    let root = |p: &mut CertificateParams| {
        an_authority(p);
        p.key_usages.push(KeyUsagePurpose::KeyCertSign);
    };
    let as_authority = (None, Some("MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"));
    let no_authority = (Some("ERR_CERT_INVALID"), None);
    for (served, page, findings) in [
        (self_signed(plain), SECURE, &[][..]),
        (self_signed(root), as_authority, &["InvalidCertificate"]),
        (self_signed(|_| {}), no_authority, &["InvalidCertificate"]),
        (self_signed(|p| p.is_ca = IsCa::NoCa), no_authority, &["InvalidCertificate"]),
        (self_signed(|p| p.key_usages = vec![]), no_authority, &["InvalidCertificate"]),
    ] {
        let roots = vec![pki::Certificate::from_der(&served.chain[0]).unwrap()];
        let report = look_at(served, &Options::trusting(roots, NOW)).await;
        let verdict = if page == SECURE { Verdict::Secure } else { Verdict::NotSecure };
        assert_report(&report, verdict, page, findings);
    }
}

#[tokio::test]
async fn a_renewed_root_with_the_old_ones_name_and_key_is_enough() {
    let mut old = Authority::with("Root", expired);
    let served = old.leaf(|_| {});
    let expired_root = old.certificate();
    let mut params = crate::common::leaf(an_authority);
    params.distinguished_name = crate::common::called("Root");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let renewed = rcgen::CertifiedIssuer::self_signed(
        params,
        KeyPair::try_from(old.issuer.key().serialize_der()).unwrap(),
    );
    old.issuer = renewed.unwrap();
    let options = Options { roots: vec![expired_root, old.certificate()].into(), ..trusting(&[]) };
    assert_report(&look_at(served, &options).await, Verdict::Secure, SECURE, &[]);
}

#[tokio::test]
async fn a_server_is_judged_by_the_name_given() {
    let root = Authority::new("Root");
    let served = || root.leaf(|p| p.subject_alt_names = vec![dns("cam1.lan"), ip("192.168.1.64")]);
    let wrong = pages("ERR_CERT_COMMON_NAME_INVALID", "SSL_ERROR_BAD_CERT_DOMAIN");
    for (name, verdict, page, findings) in [
        ("cam1.lan", Verdict::Secure, SECURE, &[][..]),
        ("CAM1.lan", Verdict::Secure, SECURE, &[]),
        ("192.168.1.64", Verdict::Secure, SECURE, &[]),
        ("cam2.lan", Verdict::NotSecure, wrong, &["WrongName"]),
        ("192.168.1.65", Verdict::NotSecure, wrong, &["WrongName"]),
    ] {
        let options = Options { name: Some(name.parse().unwrap()), ..trusting(&[&root]) };
        let report = look_at(served(), &options).await;
        assert_report(&report, verdict, page, findings);
        assert_eq!(report.name, options.name);
    }
}

#[tokio::test]
async fn a_garbled_certificate_is_described() {
    let good = Authority::new("Root").leaf(|_| {});
    let leaf = &good.chain[0];
    for garbled in
        [vec![], vec![0x30, 3, 2, 1, 5], b"\0\x01garbage".to_vec(), leaf[..leaf.len() - 20].to_vec()]
    {
        let served = Served { chain: vec![garbled.clone()], key: KeyPair::generate().unwrap() };
        let report = look_at(served, &trusting(&[])).await;
        let page = pages("ERR_SSL_PROTOCOL_ERROR", "SEC_ERROR_LIBRARY_FAILURE");
        if garbled.is_empty() {
            assert_eq!(report.verdict, Verdict::NotSecure);
            assert_eq!(report.chromium, page.0);
        } else {
            assert_report(&report, Verdict::NotSecure, page, &["InvalidCertificate"]);
            assert_eq!(report.leaf, Some(garbled));
            assert_eq!(report.certificate, None);
        }
    }
    // Garbage beside a good leaf harms nobody.
    let root = Authority::new("Root");
    let mut served = root.leaf(|_| {});
    served.chain.push(b"garbage".to_vec());
    assert_report(&look_at(served, &trusting(&[&root])).await, Verdict::Secure, SECURE, &[]);
}

#[tokio::test]
async fn a_server_without_the_key_is_no_server() {
    let root = Authority::new("Root");
    let mut served = root.leaf(|_| {});
    served.key = KeyPair::generate().unwrap();
    let report = look_at(served, &trusting(&[&root])).await;
    assert_eq!(names(&report), ["HandshakeFailed"]);
    assert_eq!(report.chromium, Some("ERR_SSL_PROTOCOL_ERROR"));
    assert_eq!(report.verdict, Verdict::NotSecure);
}

#[tokio::test]
async fn ports_that_speak_no_tls_or_refuse_it() {
    let alert = |kind: u8| vec![21, 3, 3, 0, 2, 2, kind];
    // TLS 1.0 with TLS_RSA_WITH_AES_128_CBC_SHA, whatever was offered.
    let tls10 = [&[22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1][..], &[0x11; 32], &[0, 0, 0x2f, 0]].concat();
    let mismatch = "ERR_SSL_VERSION_OR_CIPHER_MISMATCH";
    let not_tls = pages("ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_RX_RECORD_TOO_LONG");
    for (answer, page, finding) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), not_tls, "NotTls"),
        (
            b"SSH-2.0-dropbear_2019.78\r\n".to_vec(),
            pages("ERR_SSL_PROTOCOL_ERROR", "PR_END_OF_FILE_ERROR"),
            "NotTls",
        ),
        ((128..=255).cycle().take(512).collect(), not_tls, "NotTls"),
        (vec![], pages("ERR_CONNECTION_CLOSED", "PR_END_OF_FILE_ERROR"), "HandshakeFailed"),
        (alert(40), pages(mismatch, "SSL_ERROR_NO_CYPHER_OVERLAP"), "NoCommonCipher"),
        (alert(71), pages(mismatch, "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT"), "NoCommonCipher"),
        (alert(70), pages(mismatch, "SSL_ERROR_PROTOCOL_VERSION_ALERT"), "TlsTooOld"),
        (tls10, pages(mismatch, "SSL_ERROR_UNSUPPORTED_VERSION"), "TlsTooOld"),
        (alert(80), pages("ERR_SSL_PROTOCOL_ERROR", "SSL_ERROR_INTERNAL_ERROR_ALERT"), "HandshakeFailed"),
        (
            alert(112),
            pages("ERR_SSL_UNRECOGNIZED_NAME_ALERT", "SSL_ERROR_UNRECOGNIZED_NAME_ALERT"),
            "HandshakeFailed",
        ),
    ] {
        println!("{answer:?}");
        // What an old server chose is told though nothing came of it.
        let chosen = answer.starts_with(&[22, 3, 1]).then_some("TLSv1.0");
        let port = answering(answer).await;
        let report = look(&format!("https://127.0.0.1:{port}/"), &trusting(&[])).await;
        assert_report(&report, Verdict::NotSecure, page, &[finding]);
        assert_eq!((report.tls, report.leaf, report.certificate), (chosen, None, None));
    }
}

#[tokio::test]
async fn a_reset_is_told_from_an_end() {
    let port = tcp(|mut stream| async move {
        hear(&mut stream).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let report = look(&format!("https://127.0.0.1:{port}/"), &trusting(&[])).await;
    let page = pages("ERR_CONNECTION_RESET", "PR_CONNECT_RESET_ERROR");
    assert_report(&report, Verdict::NotSecure, page, &["HandshakeFailed"]);
}

#[tokio::test]
async fn where_no_page_is_the_verdict_is_unreachable() {
    let tarpit = tcp(|stream| async move {
        pending::<()>().await;
        drop(stream);
    })
    .await;
    let drip = tcp(|mut stream| async move {
        // A record that claims 16 KiB, or the endless head of an HTTP answer: neither is ever whole.
        let mut pace = interval(Duration::from_millis(5));
        for byte in [22, 3, 3, 64, 0].into_iter().chain(std::iter::repeat(0)) {
            pace.tick().await;
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    })
    .await;
    for port in [tarpit, drip] {
        for target in ["https://127.0.0.1", "http://127.0.0.1", "127.0.0.1"] {
            let begun = Instant::now();
            let report = look(&format!("{target}:{port}"), &impatient()).await;
            assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            assert_eq!(report.verdict, Verdict::Unreachable, "{report:?}");
            assert_report(&report, Verdict::Unreachable, SECURE, &["TimedOut"]);
        }
    }

    // A port that was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for target in ["https://127.0.0.1", "http://127.0.0.1", "127.0.0.1"] {
        let report = look(&format!("{target}:{closed}"), &impatient()).await;
        assert_report(&report, Verdict::Unreachable, SECURE, &["ConnectionRefused"]);
    }
    for target in ["https://camera.invalid", "http://camera.invalid", "camera.invalid:8443", "camera.invalid"]
    {
        let report = look(target, &trusting(&[])).await;
        assert_report(&report, Verdict::Unreachable, SECURE, &["NameNotFound"]);
    }
}

#[tokio::test]
async fn an_enormous_answer_is_read_in_part() {
    let (told, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let port = tcp(move |mut stream| {
        let told = told.clone();
        async move {
            hear(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
            let mut written = 0_u64;
            while stream.write_all(&[b'a'; 4096]).await.is_ok() {
                written += 4096;
            }
            told.send(written).unwrap();
        }
    })
    .await;
    let report = look(&format!("http://127.0.0.1:{port}/"), &trusting(&[])).await;
    assert_report(&report, Verdict::NotSecure, SECURE, &["PlainHttp"]);
    // The reader went away, or this would never end.
    assert!(ended.recv().await.unwrap() < 64 << 20);
}

#[tokio::test]
async fn the_clock_is_an_argument() {
    let root = Authority::new("Root");
    let options = Options { now: NOW + time::Duration::days(299), ..trusting(&[&root]) };
    let report = look_at(root.leaf(|_| {}), &options).await;
    assert_eq!(report.findings, [Finding::Expiring { days: 1 }]);
}

#[test]
fn no_certificate_makes_the_verdict_panic() {
    let root = Authority::with("Root", |p| permit(p, [127, 0, 0, 0]));
    let below = root.below("Below", |_| {});
    let chain = below.leaf(|_| {}).and(&below).chain;
    let verify = |leaf: &[u8], issuer: &[u8]| {
        inspect::verify(leaf, &[issuer.to_vec()], &[root.certificate()], None, NOW, None)
    };
    assert_eq!(verify(&chain[0], &chain[1]), []);
    for (which, whole) in chain.iter().enumerate() {
        for at in 0..whole.len() {
            for byte in [0, 1, 0x30, 0x7f, 0xff] {
                let mut changed = chain.clone();
                changed[which][at] = byte;
                let is_same = changed == chain;
                assert_eq!(verify(&changed[0], &changed[1]).is_empty(), is_same, "{which}, {at}: {byte}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_comes_before_that_its_key_is_missing() {
    let root = Authority::new("Root");
    let ended = |params: &mut CertificateParams| params.not_after = day(-1);
    let cases = [
        (root.leaf(|_| {}), Some("ERR_SSL_PROTOCOL_ERROR"), vec!["HandshakeFailed"]),
        (root.leaf(ended), Some("ERR_CERT_DATE_INVALID"), vec!["Expired", "HandshakeFailed"]),
    ];
    for (mut served, page, findings) in cases {
        served.key = KeyPair::generate().unwrap();
        let report = look_at(served, &trusting(&[&root])).await;
        assert_report(&report, Verdict::NotSecure, (page, Some("nssBadCert")), &findings);
        assert!(!report.proven);
    }
}

#[tokio::test]
async fn a_page_for_browsers_with_a_certificate_is_told_so() {
    let root = Authority::new("Root");
    let pages = (Some("ERR_BAD_SSL_CLIENT_AUTH_CERT"), Some("SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT"));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let port = crate::common::https_for_clients(root.leaf(|_| {}), version, &root).await;
        let report = check(&format!("https://127.0.0.1:{port}").parse().unwrap(), &trusting(&[&root])).await;
        assert_report(&report, Verdict::NotSecure, pages, &["WantsClientCertificate"]);
        assert!(report.proven);
    }
}
