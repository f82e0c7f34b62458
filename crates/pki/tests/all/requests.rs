//! Requests as OpenSSL and cameras write them, and as nobody should.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use fuzz::requests::{Case, Outcome, cases};
use pki::{Error, MAX_REQUEST, Request, Unusable};
use proptest::{prelude::*, sample::Index};

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
    let unmatched = ["DNS:*.lan", "email:a@b.lan"].map(|name| Unusable::Unmatched(name.into()));
    assert_eq!(request.unusable_names, unmatched);
    assert!(request.asks_for_ca);
    assert_eq!(request.extensions, ["2.5.29.15", "1.2.3.4"]);
}

#[test]
fn a_request_that_is_none_is_refused_with_the_reason() {
    assert!(matches!(read("bad-signature.der"), Err(Error::BadRequestSignature)));
    assert_eq!(read("rsa-1024.pem").unwrap_err(), Error::KeyTooWeak { key: "rsa-1024".into() });
    assert_eq!(read("two.pem").unwrap_err(), Error::SeveralRequests { count: 2 });
    assert!(matches!(read("ed25519.pem"), Err(Error::UnsupportedKey { key }) if key == "Ed25519"));
    assert!(matches!(read("p521.pem"), Err(Error::UnsupportedKey { key }) if key == "P-521"));
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

/// No signature is checked of a key that is not worth it, so the time depends on the size alone.
#[test]
fn the_largest_and_worst_request_is_read_at_once() {
    let letters = |fragment: &str| fragment.repeat(MAX_REQUEST / fragment.len()).into_bytes();
    let many =
        [letters("-----BEGIN A-----"), letters("-----BEGIN "), letters("-----"), vec![0x30; MAX_REQUEST]];
    for bytes in cases().into_iter().map(|case| case.bytes).chain(many) {
        let since = Instant::now();
        let _ = Request::read(&bytes);
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    }
}

/// Requests that are signed, each in DER or PEM as it came.
static GOOD: LazyLock<Vec<Case>> = LazyLock::new(|| {
    cases()
        .into_iter()
        .filter(|case| matches!(case.outcome, Outcome::Signed(..)) && case.bytes.len() < 4000)
        .collect()
});

/// What may happen to a byte, or to all from there on.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
    End(Index),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, bytes: &Vec<u8>| index.index(bytes.len().max(1)).min(bytes.len());
        match self {
            Mutation::Set(at, to) => {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).take(1).for_each(|b| *b = *to);
            }
            Mutation::Flip(at, bit) => {
                let at = place(at, bytes);
                bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (bit % 8));
            }
            Mutation::Insert(at, more) => {
                let at = place(at, bytes);
                bytes.splice(at..at, more.iter().copied());
            }
            Mutation::Remove(at, count) => {
                let at = place(at, bytes);
                bytes.drain(at..(at + usize::from(*count)).min(bytes.len()));
            }
            Mutation::Repeat(at, count) => {
                let at = place(at, bytes);
                let piece = bytes[at..(at + usize::from(*count)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            Mutation::End(at) => bytes.truncate(place(at, bytes)),
        }
    }
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, to)| Mutation::Set(at, to)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), proptest::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, more)| Mutation::Insert(at, more)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (at(), any::<u8>()).prop_map(|(at, count)| Mutation::Repeat(at, count)),
        at().prop_map(Mutation::End),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::request(&bytes);
        fuzz::request(&[b"\x30\x82", &bytes[..]].concat());
    }

    /// Pieces that mean something to the reader, in any order.
    #[test]
    fn no_pieces_make_the_reader_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                (any::<Index>(), any::<Index>(), any::<Index>()).prop_map(|(which, from, to)| {
                    let bytes = &GOOD[which.index(GOOD.len())].bytes;
                    let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                    bytes[from.min(to)..from.max(to)].to_vec()
                }),
                Just(b"-----BEGIN CERTIFICATE REQUEST-----\n".to_vec()),
                Just(b"\n-----END CERTIFICATE REQUEST-----\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 1..9),
            ],
            0..9,
        )
    ) {
        fuzz::request(&pieces.concat());
    }

    /// However a request is changed: it is refused, or it is as good as before and still for the same key. What is
    /// asked for is covered by the signature, so it does not change either.
    #[test]
    fn a_changed_request_is_refused_or_the_same(
        which in any::<Index>(),
        mutations in proptest::collection::vec(mutation(), 1..4),
    ) {
        let good = &GOOD[which.index(GOOD.len())].bytes;
        let before = Request::read(good).unwrap();
        let mut bytes = good.clone();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes));
        if let Ok(after) = Request::read(&bytes) {
            prop_assert_eq!(after.key, before.key);
            prop_assert_eq!(after.common_name, before.common_name);
            prop_assert_eq!(after.names, before.names);
            prop_assert_eq!(after.asks_for_ca, before.asks_for_ca);
        }
    }

    /// One changed byte anywhere in a real request in DER: refused, since the signature covers it.
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
