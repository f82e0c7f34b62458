//! What browsers refuse in the certificate of an authority, as real Chromium and Firefox did with these very kinds.

use fuzz::roots;
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Serial, profile, profile::NewAuthority};
use proptest::{prelude::*, sample::Index};
use time::macros::datetime;

fn codes(certificate: &Certificate) -> Vec<String> {
    certificate.lint_for_browsers(true).into_iter().map(|lint| lint.code.into_owned()).collect()
}

#[test]
fn what_a_browser_refuses_is_found_and_nothing_else() {
    let cases = roots::cases();
    assert!(cases.len() > 60, "{}", cases.len());
    for case in cases {
        let root = Certificate::from_der(&case.root).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(codes(&root), case.refused, "{}", case.name);
        assert_eq!(root.is_signed_by(&root), Ok(true), "{}", case.name);
    }
}

#[test]
fn our_own_authorities_are_refused_by_nobody() {
    let now = datetime!(2026-11-23 12:00 UTC);
    for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa3072] {
        for permitted in [None, Some(Permitted::local(Some("nvr")))] {
            let key = PrivateKey::generate(kind).unwrap();
            let new = NewAuthority::root("Camlock Bolt_& 2026", permitted.as_ref(), 0, now);
            let unsigned = profile::root(&new, &key, Serial::random().unwrap()).unwrap();
            let root = unsigned.lint_root().unwrap().sign(&key).unwrap();
            assert_eq!(codes(&root), [""; 0]);
            assert_eq!(root.lint_for_browsers(false), []);
        }
    }
}

/// Text that has no place in its kind of text is text all the same.
#[test]
fn an_odd_name_is_shown_as_it_reads() {
    let named = |case: &str| {
        let case = roots::cases().into_iter().find(|c| c.name == case).unwrap();
        let root = Certificate::from_der(&case.root).unwrap();
        let no_name = root.lint_as_root().iter().any(|lint| lint.code == "lint-no-common-name");
        assert!(!no_name);
        (root.subject(), root.common_name())
    };
    for (case, name) in [
        ("PrintableString with an underscore", "Bolt_CA"),
        ("PrintableString with an at sign", "ca@bolt.lan"),
        ("BMPString", "Kapu ő"),
        ("TeletexString", "Bolt_ö"),
    ] {
        assert_eq!(named(case), (format!("CN={name}"), name.to_owned()));
    }
}

proptest! {
    #[test]
    fn no_changed_root_makes_the_reader_panic(
        case in any::<Index>(),
        changes in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        static CASES: std::sync::LazyLock<Vec<roots::Case>> = std::sync::LazyLock::new(roots::cases);
        let mut der = CASES[case.index(CASES.len())].root.clone();
        for (at, to) in changes {
            let at = at.index(der.len());
            der[at] = to;
        }
        fuzz::certificate(&der);
    }
}
