//! Requests as OpenSSL and cameras write them, and as nobody should.
#![allow(clippy::unwrap_used, clippy::panic)]

use pki::{Error, MAX_REQUEST, Request};
use proptest::prelude::*;

fn read(name: &str) -> Result<Request, Error> {
    let path = format!("{}/tests/requests/{name}", env!("CARGO_MANIFEST_DIR"));
    Request::read(&std::fs::read(path).unwrap())
}

fn names(request: &Request) -> Vec<String> {
    request.names.iter().map(ToString::to_string).collect()
}

#[test]
fn a_request_is_read_in_pem_der_and_crooked_pem() {
    for file in ["cn-only.pem", "cn-only.der", "crooked.pem"] {
        let request = read(file).unwrap();
        assert_eq!(request.common_name.as_deref(), Some("192.168.1.64"), "{file}");
        assert_eq!(request.key.name(), "rsa-2048");
        assert!(request.names.is_empty());
    }
}

#[test]
fn wishes_are_sorted_into_what_can_be_granted_and_what_cannot() {
    let request = read("wishes.pem").unwrap();
    assert_eq!(names(&request), ["IP:192.168.1.64", "DNS:cam.lan", "IP:192.168.1.65"]);
    assert_eq!(request.unusable_names, ["DNS:*.lan", "email:a@b.lan"]);
    assert!(request.asks_for_ca);
    assert_eq!(request.extensions, ["2.5.29.15", "1.2.3.4"]);
}

#[test]
fn a_request_that_is_none_is_refused_with_the_reason() {
    assert!(matches!(read("bad-signature.der"), Err(Error::BadRequestSignature)));
    assert_eq!(read("rsa-1024.pem").unwrap_err(), Error::KeyTooWeak { key: "rsa-1024".into() });
    assert_eq!(read("two.pem").unwrap_err(), Error::SeveralRequests { count: 2 });
    assert!(matches!(read("ed25519.pem"), Err(Error::UnsupportedKey { key }) if key == "1.3.101.112"));
    assert!(matches!(read("p521.pem"), Err(Error::UnsupportedKey { key }) if key == "ec-1.3.132.0.35"));
    let big = vec![b'A'; 10 << 20];
    assert_eq!(
        Request::read(&big).unwrap_err(),
        Error::RequestTooLarge { bytes: 10 << 20, limit: MAX_REQUEST }
    );
    for junk in
        [&b""[..], b"hello", b"-----BEGIN CERTIFICATE REQUEST-----", b"\x30\x80\x30\x80", &[0x30; 5000]]
    {
        assert!(matches!(Request::read(junk), Err(Error::NotARequest { .. })), "{junk:?}");
    }
}

#[test]
fn ten_thousand_names_are_too_many() {
    let mut params = rcgen::CertificateParams::default();
    params.subject_alt_names =
        (0..3000).map(|i| rcgen::SanType::DnsName(format!("c{i}.lan").try_into().unwrap())).collect();
    let key = rcgen::KeyPair::generate().unwrap();
    let der = params.serialize_request(&key).unwrap();
    assert!(
        matches!(Request::read(der.der()), Err(Error::NotARequest { detail }) if detail.contains("names"))
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Request::read(&bytes);
    }

    /// One flipped byte anywhere in a real request: refused, since the signature covers it.
    #[test]
    fn a_changed_request_is_never_accepted_as_it_was(at in 0usize..600, to in any::<u8>()) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests/cn-only.der");
        let mut der = std::fs::read(path).unwrap();
        let at = at % der.len();
        prop_assume!(der[at] != to);
        der[at] = to;
        prop_assert!(Request::read(&der).is_err());
    }
}
