use proptest::prelude::*;

use super::*;

const WAYS: [SignIn; 3] = [SignIn::Readable, SignIn::Digest, SignIn::DigestSha256];

fn pin(number: u8) -> PublicKeyPin {
    PublicKeyPin([number; 32])
}

fn seen(key: Option<u8>) -> Seen {
    Seen::at(&"192.0.2.7".parse().unwrap(), key.map(pin))
}

/// Its key is 1; at its first contact it showed 2.
fn secured() -> Expected {
    Expected {
        accepted: true,
        secured: true,
        keys: vec![pin(1)],
        first_keys: vec![pin(2)],
        device: device("A1"),
        ..Expected::default()
    }
}

/// Met and let in; nothing was verified on it.
fn accepted() -> Expected {
    Expected { accepted: true, first_keys: vec![pin(2)], ..Expected::default() }
}

fn device(number: &str) -> DeviceInfo {
    DeviceInfo {
        manufacturer: Some("Maker".into()),
        model: Some("Model".into()),
        serial_number: Some(number.into()),
        ..DeviceInfo::default()
    }
}

const UNNAMED: Consent = Consent { named: false, readable: false, new_device: false, hidden_only: false };
const NAMED: Consent = Consent { named: true, readable: false, new_device: false, hidden_only: false };
const READABLE: Consent = Consent { named: true, readable: true, new_device: false, hidden_only: false };
const NEW: Consent = Consent { named: true, readable: false, new_device: true, hidden_only: false };
const ALL: Consent = Consent { named: true, readable: true, new_device: true, hidden_only: false };

fn decide(seen: &Seen, expected: &Expected, consent: Consent) -> Result<Admission, Error> {
    Admission::decide(seen, Some(expected), consent)
}

/// Known or met for the first time; or the code of the error.
fn outcome(decided: Result<Admission, Error>) -> String {
    match decided {
        Ok(admission) if admission.is_known() => "known".to_owned(),
        Ok(_) => "first contact".to_owned(),
        Err(e) => serde_json::to_value(e).unwrap()["code"].as_str().unwrap().to_owned(),
    }
}

#[test]
fn whom_nobody_knows_must_be_named() {
    let found = Expected::default();
    for key in [None, Some(9)] {
        for expected in [None, Some(&found)] {
            let decided = |consent| outcome(Admission::decide(&seen(key), expected, consent));
            assert_eq!(decided(UNNAMED), "not-accepted");
            // The other consents accept nobody.
            assert_eq!(decided(Consent { named: false, ..ALL }), "not-accepted");
            assert_eq!(decided(NAMED), "first contact");
        }
    }
}

#[test]
fn a_secured_device_is_known_by_its_keys_alone() {
    let expected = secured();
    for consent in [UNNAMED, NAMED, READABLE, NEW] {
        assert_eq!(outcome(decide(&seen(Some(1)), &expected, consent)), "known");
    }
    for key in [None, Some(2), Some(9)] {
        for consent in [UNNAMED, NAMED, READABLE] {
            assert_eq!(outcome(decide(&seen(key), &expected, consent)), "device-changed", "{key:?}");
        }
        for consent in [NEW, ALL] {
            assert_eq!(outcome(decide(&seen(key), &expected, consent)), "first contact", "{key:?}");
        }
    }
    // In the middle of an installation it may show the key of its first contact, and no other.
    let unfinished = Expected { unfinished: true, ..secured() };
    assert_eq!(outcome(decide(&seen(Some(2)), &unfinished, UNNAMED)), "known");
    for key in [None, Some(9)] {
        assert_eq!(outcome(decide(&seen(key), &unfinished, NAMED)), "device-changed");
    }
    // All its certificates are compromised: nothing is left to know it by.
    let keyless = Expected { keys: Vec::new(), first_keys: Vec::new(), ..secured() };
    for key in [None, Some(1), Some(2)] {
        assert_eq!(outcome(decide(&seen(key), &keyless, NAMED)), "device-changed");
    }
}

#[test]
fn what_changed_is_said() {
    let mac = |mac: &str| Some(mac.to_owned());
    let expected = Expected { mac: mac("00:00:5e:00:53:01"), ..secured() };
    let changes = |key, mac| match decide(&Seen { mac, ..seen(key) }, &expected, NAMED).unwrap_err() {
        Error::DeviceChanged { host, device: _, changes } => {
            assert_eq!(host, "192.0.2.7");
            changes
        }
        other => panic!("{other}"),
    };
    let other_key = Change::OtherKey { is: pin(9).short() };
    let same = Change::SameMac { mac: "00:00:5e:00:53:01".into() };
    let other = Change::OtherMac { was: "00:00:5e:00:53:01".into(), is: "00:00:5e:00:53:02".into() };
    assert_eq!(changes(Some(9), None), vec![other_key.clone()]);
    assert_eq!(changes(Some(9), expected.mac.clone()), [other_key, same]);
    assert_eq!(changes(None, mac("00:00:5e:00:53:02")), [Change::NoHttps, other]);
}

#[test]
fn a_fingerprint_that_the_operator_told_is_as_good_as_a_key() {
    for (expected, key, said) in [
        (secured(), Some(9), "known"),
        (accepted(), Some(9), "known"),
        (Expected::default(), Some(9), "known"),
        // Without TLS there is no certificate that it could be of.
        (secured(), None, "device-changed"),
        (accepted(), None, "first contact"),
    ] {
        assert_eq!(outcome(decide(&Seen { confirmed: true, ..seen(key) }, &expected, NAMED)), said);
    }
}

#[test]
fn a_maker_vouches_for_a_number_that_the_ledger_has() {
    let by_maker = |subject: &str| Seen { maker_subject: Some(subject.to_owned()), ..seen(Some(9)) };
    let expected = Expected { device: device("ACCC8E012345"), ..secured() };
    let genuine = by_maker("O=Axis,CN=axis-accc8e012345-eccp256-1");
    assert_eq!(outcome(decide(&genuine, &expected, UNNAMED)), "known");
    for subject in ["O=Axis,CN=axis-accc8e012346-eccp256-1", "CN=xaccc8e012345", "", "O=Axis"] {
        assert_eq!(outcome(decide(&by_maker(subject), &expected, NAMED)), "device-changed", "{subject}");
    }
    for nameless in [device(""), device(":-"), DeviceInfo::default()] {
        let expected = Expected { device: nameless, ..secured() };
        assert_eq!(outcome(decide(&genuine, &expected, NAMED)), "device-changed");
    }
    // Nor does a word about a certificate that nobody showed help.
    let unseen = Seen { key: None, confirmed: true, ..genuine.clone() };
    assert_eq!(outcome(decide(&unseen, &expected, NAMED)), "device-changed");
    let unsecured = Expected { secured: false, ..expected };
    assert_eq!(outcome(decide(&unseen, &unsecured, NAMED)), "first contact");
    // Genuine is not yet this one.
    let first = Expected { device: device("ACCC8E012345"), ..accepted() };
    assert_eq!(outcome(decide(&genuine, &first, NAMED)), "first contact");
}

#[test]
fn a_number_is_a_whole_part_of_a_subject() {
    for (subject, number, is_named) in [
        ("CN=axis-accc8e012345-eccp256-1,O=Axis", "ACCC8E012345", true),
        ("CN=AC:CC:8E:01:23:45", "accc8e012345", true),
        ("2.5.4.5=SN1 + CN=x", "sn-1", true),
        ("CN=axis-accc8e012345-eccp256-1", "accc8e", false),
        ("CN=camera 12", "2", false),
        ("CN=", "", false),
        ("", "1", false),
    ] {
        assert_eq!(names_number(subject, number), is_named, "{subject} {number}");
    }
}

#[test]
fn an_accepted_device_is_met_again_only_as_it_was() {
    for (key, expected, said) in [
        (Some(2), accepted(), "first contact"),
        (Some(1), Expected { keys: vec![pin(1)], ..accepted() }, "first contact"),
        (Some(9), accepted(), "not-accepted"),
        // It had TLS, and was never signed in to without.
        (None, accepted(), "not-accepted"),
        (None, Expected { sign_in_plain: Some(SignIn::Digest), ..accepted() }, "first contact"),
        (None, Expected { first_keys: Vec::new(), ..accepted() }, "first contact"),
        (Some(2), Expected { accepted: false, ..accepted() }, "not-accepted"),
    ] {
        assert_eq!(outcome(decide(&seen(key), &expected, UNNAMED)), said, "{key:?} {expected:?}");
        assert_eq!(outcome(decide(&seen(key), &expected, NAMED)), "first contact");
    }
}

#[test]
fn it_is_spoken_to_over_the_keys_that_it_may_have() {
    let over = |admission: &Admission| {
        let keys: Vec<u8> = (0..10).filter(|key| admission.speaks_over(Some(pin(*key)))).collect();
        (keys, admission.speaks_over(None))
    };
    let expected = Expected { keys: vec![pin(1), pin(3)], ..secured() };
    let known = decide(&seen(Some(1)), &expected, NAMED).unwrap();
    assert_eq!(over(&known), (vec![1, 3], false));
    // Never over plain HTTP, and over no key that it never had.
    known.goes_back_to_plain();
    assert!(!known.meets(pin(9)) && known.meets(pin(2)));
    assert_eq!(over(&known), (vec![1, 2, 3], false));
    known.gives(pin(4));
    assert_eq!(over(&known), (vec![1, 2, 3, 4], false));
    assert!(!known.keys_met().contains(&pin(4)));

    let first = decide(&seen(Some(5)), &accepted(), NAMED).unwrap();
    assert_eq!(over(&first), (vec![5], false));
    assert!(first.meets(pin(6)));
    first.goes_back_to_plain();
    first.gives(pin(7));
    assert_eq!(over(&first), (vec![5, 6, 7], true));
    assert_eq!(first.keys_met(), [pin(5), pin(6)]);
    let again = decide(&seen(Some(2)), &accepted(), UNNAMED).unwrap();
    assert_eq!(over(&again), (vec![2], false));

    // Of the one before, nothing counts.
    let new = decide(&seen(Some(9)), &expected, NEW).unwrap();
    assert_eq!(over(&new), (vec![9], false));
    let plain = decide(&seen(None), &expected, NEW).unwrap();
    assert_eq!(over(&plain), (vec![], true));
}

#[test]
fn a_readable_password_is_shown_inside_tls_to_whom_it_may_be_shown() {
    let was_readable = Expected { sign_in: Some(SignIn::Readable), ..accepted() };
    for (key, expected, consent, said) in [
        (Some(1), secured(), UNNAMED, "ok"),
        (Some(9), secured(), NEW, "readable-password"),
        (Some(9), secured(), ALL, "ok"),
        (Some(9), Expected::default(), NAMED, "readable-password"),
        (Some(9), Expected::default(), READABLE, "ok"),
        // It was agreed to once, for whoever has that key.
        (Some(2), was_readable.clone(), UNNAMED, "ok"),
        (Some(2), was_readable.clone(), NAMED, "readable-password"),
        (Some(9), was_readable.clone(), NAMED, "readable-password"),
        (None, was_readable.clone(), NAMED, "readable-password"),
        (None, Expected { first_keys: Vec::new(), ..was_readable.clone() }, NAMED, "readable-password"),
        (
            None,
            Expected { sign_in_plain: Some(SignIn::Readable), ..was_readable },
            NAMED,
            "readable-password",
        ),
        (None, Expected::default(), NAMED, "readable-password"),
    ] {
        let permits = |inside_tls| {
            let admission = decide(&seen(key), &expected, consent).unwrap();
            let said = admission.permits(SignIn::Readable, inside_tls);
            if said.is_err() {
                assert_eq!(admission.signed_in(), [None, None]);
            }
            said.map_or_else(|e| serde_json::to_value(e).unwrap()["code"].clone(), |()| "ok".into())
        };
        assert_eq!(permits(true), said, "{key:?} {consent:?} {expected:?}");
        assert_eq!(permits(false), "password-in-clear", "{key:?} {consent:?}");
    }
}

#[test]
fn the_way_of_signing_in_gets_no_weaker_than_it_was() {
    let ways = |[sign_in, sign_in_plain]: [Option<SignIn>; 2], key| {
        let expected = Expected { sign_in, sign_in_plain, ..accepted() };
        decide(&seen(key), &expected, READABLE).unwrap()
    };
    let weaker = |was, is| Err(Error::WeakerSignIn { host: "192.0.2.7".into(), was, is });
    let (strong, digest) = (SignIn::DigestSha256, SignIn::Digest);
    // By the ledger, for each of the two transports by itself.
    for (ledger, key, inside_tls) in [
        ([Some(strong), None], Some(9), true),
        ([None, Some(strong)], None, false),
        ([Some(strong), None], None, true),
        ([Some(strong), Some(digest)], None, true),
        ([None, Some(strong)], Some(9), false),
    ] {
        assert_eq!(ways(ledger, key).permits(digest, inside_tls), weaker(strong, digest), "{ledger:?}");
    }
    for (ledger, key, inside_tls) in
        [([Some(strong), None], None, false), ([None, Some(strong)], Some(9), true)]
    {
        assert_eq!(ways(ledger, key).permits(digest, inside_tls), Ok(()), "{ledger:?}");
    }
    // In one run, whatever lies between.
    let run = ways([None, None], None);
    assert_eq!(run.permits(digest, false), Ok(()));
    assert_eq!(run.permits(SignIn::Readable, true), weaker(digest, SignIn::Readable));
    assert_eq!((run.floor(true), run.signed_in()), (Some(digest), [None, Some(digest)]));
    assert_eq!(run.permits(strong, true), Ok(()));
    assert_eq!(run.signed_in(), [Some(strong), Some(digest)]);
    // Whatever weaker way the ledger has.
    let run = ways([Some(SignIn::Readable), Some(digest)], None);
    assert_eq!(run.permits(strong, false), Ok(()));
    assert_eq!(run.permits(digest, true), weaker(strong, digest));
    // Of the one before, nothing counts.
    let was = Expected { sign_in: Some(strong), sign_in_plain: Some(strong), ..secured() };
    let new = decide(&seen(Some(9)), &was, NEW).unwrap();
    assert_eq!((new.floor(true), new.permits(digest, true)), (None, Ok(())));
}

#[test]
fn one_that_made_its_own_keys_is_given_none() {
    let expected = Expected { makes_key: true, driver: Some("onvif-security".to_owned()), ..secured() };
    let abilities = |makes_key| Abilities {
        makes_key,
        key_kinds: Vec::new(),
        serves_chain: false,
        one_slot: false,
        restarts: false,
        source: String::new(),
    };
    let known = decide(&seen(Some(1)), &expected, NAMED).unwrap();
    assert_eq!(known.fits("onvif-security", &abilities(true)), Ok(()));
    let was = "onvif-security".to_owned();
    let changes = vec![Change::KeyFromOutside { was, is: "onvif-device".to_owned() }];
    let changed = Error::DeviceChanged { host: "192.0.2.7".into(), device: String::new(), changes };
    assert_eq!(known.fits("onvif-device", &abilities(false)), Err(changed));
    for (other, consent, key) in [
        (Expected { makes_key: false, ..expected.clone() }, NAMED, 1),
        (Expected { secured: false, ..expected.clone() }, NAMED, 9),
        (expected, NEW, 9),
    ] {
        let admission = decide(&seen(Some(key)), &other, consent).unwrap();
        assert_eq!(admission.fits("onvif-device", &abilities(false)), Ok(()));
    }
}

#[test]
fn one_that_says_that_it_is_another_is_another() {
    let known = decide(&seen(Some(1)), &secured(), NAMED).unwrap();
    let told = device("A1");
    let silent = DeviceInfo::default();
    let firmware = DeviceInfo { firmware: Some("2".into()), ..told.clone() };
    for same in [&told, &silent, &firmware] {
        assert_eq!(known.is_still(same), Ok(()));
    }
    let other = || Some("Other".into());
    let said = |was: &str| (was.to_owned(), "Other".to_owned());
    for (told, change) in [
        (DeviceInfo { serial_number: other(), ..told.clone() }, {
            let (was, is) = said("A1");
            Change::OtherSerialNumber { was, is }
        }),
        (DeviceInfo { manufacturer: other(), ..told.clone() }, {
            let (was, is) = said("Maker");
            Change::OtherMaker { was, is }
        }),
        (DeviceInfo { model: other(), ..told.clone() }, {
            let (was, is) = said("Model");
            Change::OtherModel { was, is }
        }),
    ] {
        let changed =
            Error::DeviceChanged { host: "192.0.2.7".into(), device: String::new(), changes: vec![change] };
        assert_eq!(known.is_still(&told), Err(changed));
        // Whoever is met for the first time says what it likes.
        for (expected, consent) in [(accepted(), NAMED), (secured(), NEW)] {
            assert_eq!(decide(&seen(Some(9)), &expected, consent).unwrap().is_still(&told), Ok(()));
        }
    }
}

#[test]
fn a_new_password_goes_to_the_known_and_the_verified() {
    let known = decide(&seen(Some(1)), &secured(), NAMED).unwrap();
    let first = decide(&seen(Some(9)), &accepted(), READABLE).unwrap();
    assert!(known.takes_new_password(Some(pin(1))) && !first.takes_new_password(Some(pin(9))));
    // What was given is not yet shown.
    first.gives(pin(3));
    assert!(!first.takes_new_password(Some(pin(3))));
    first.verified(pin(3));
    assert!(first.takes_new_password(Some(pin(3))) && !first.takes_new_password(Some(pin(9))));
    assert!(!known.takes_new_password(None) && !first.takes_new_password(None));
}

fn keys() -> impl Strategy<Value = Vec<PublicKeyPin>> {
    prop::collection::vec((0..4_u8).prop_map(pin), 0..3)
}

fn ways() -> impl Strategy<Value = SignIn> {
    prop::sample::select(&WAYS[..])
}

fn numbers() -> impl Strategy<Value = DeviceInfo> {
    prop::option::of("[A-C][0-2]?|").prop_map(|number| DeviceInfo {
        serial_number: number.map(|number| number.as_str().into()),
        ..DeviceInfo::default()
    })
}

prop_compose! {
    fn any_expected()(
        (accepted, secured, unfinished, makes_key) in any::<(bool, bool, bool, bool)>(),
        (keys, first_keys) in (keys(), keys()),
        device in numbers(),
        sign_in in prop::option::of(ways()),
        sign_in_plain in prop::option::of(ways()),
    ) -> Expected {
        Expected {
            name: String::new(),
            lost_keys: Vec::new(),
            accepted, secured, keys, first_keys, unfinished, driver: None, makes_key, device, mac: None, sign_in,
            sign_in_plain,
        }
    }
}

prop_compose! {
    fn any_seen()(
        key in prop::option::of(0..4_u8),
        maker_subject in prop::option::of("CN=([a-c][0-2]?|x-[a-c][0-2]?-1)|"),
        confirmed: bool,
    ) -> Seen {
        Seen { maker_subject, confirmed, ..seen(key) }
    }
}

fn any_consent() -> impl Strategy<Value = Consent> {
    any::<(bool, bool, bool, bool)>().prop_map(|(named, readable, new_device, hidden_only)| Consent {
        hidden_only,
        named,
        readable,
        new_device,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// The rules again, as whoever reads the specification would write them.
    #[test]
    fn nobody_is_admitted_against_the_rules(
        seen in any_seen(), expected in prop::option::of(any_expected()), consent in any_consent(),
    ) {
        let decided = Admission::decide(&seen, expected.as_ref(), consent);
        let was = expected.unwrap_or_default();
        let is_own = seen.key.is_some_and(|key| {
            was.keys.contains(&key) || was.unfinished && was.first_keys.contains(&key)
        });
        let is_confirmed = seen.confirmed && seen.key.is_some();
        let by_maker = match (&seen.maker_subject, &was.device.serial_number) {
            (Some(subject), Some(number)) => seen.key.is_some() && names_number(subject, number),
            _ => false,
        };
        match decided {
            Ok(admission) if was.secured => {
                prop_assert_eq!(admission.is_known(), is_own || is_confirmed || by_maker);
                prop_assert!(admission.is_known() || consent.new_device && consent.named);
            }
            Ok(admission) => {
                prop_assert_eq!(admission.is_known(), is_confirmed);
                prop_assert!(admission.is_known() || consent.named || was.accepted);
                // An accepted one shows no key that was never seen on it.
                if !admission.is_known() && !consent.named && let Some(key) = seen.key {
                    prop_assert!(was.keys.contains(&key) || was.first_keys.contains(&key));
                }
            }
            Err(Error::DeviceChanged { .. }) => {
                prop_assert!(was.secured && !consent.new_device);
                prop_assert!(!is_own && !is_confirmed && !by_maker);
            }
            Err(Error::NotAccepted { .. }) => prop_assert!((!was.secured || consent.new_device) && !consent.named),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    /// Whoever is admitted is spoken to over what was seen of it; a known one over its own keys and never in clear.
    #[test]
    fn nobody_else_is_spoken_to(seen in any_seen(), expected in any_expected(), consent in any_consent()) {
        let Ok(admission) = Admission::decide(&seen, Some(&expected), consent) else { return Ok(()) };
        prop_assert!(admission.speaks_over(seen.key));
        for key in (0..5).map(pin) {
            let was = if admission.is_known() { &expected.keys } else { &expected.first_keys };
            prop_assert!(!admission.speaks_over(Some(key)) || seen.key == Some(key) || was.contains(&key));
        }
        admission.goes_back_to_plain();
        prop_assert_eq!(admission.speaks_over(None), seen.key.is_none() || !admission.is_known());
    }

    /// No way is weaker than the first one of the run, or than the ledger has it for that transport; and the password is
    /// shown inside TLS alone, to whom it may be shown.
    #[test]
    fn the_password_is_hidden_as_well_as_before(
        seen in any_seen(), expected in any_expected(), consent in any_consent(),
        tries in prop::collection::vec((ways(), any::<bool>()), 1..8),
    ) {
        let Ok(admission) = Admission::decide(&seen, Some(&expected), consent) else { return Ok(()) };
        let is_new = (expected.secured || consent.new_device) && !admission.is_known();
        let was_readable = expected.sign_in == Some(SignIn::Readable) && expected.accepted && !is_new && !consent.named
            && seen.key.is_some_and(|key| expected.keys.contains(&key) || expected.first_keys.contains(&key));
        let mut first = None;
        for (way, inside_tls) in tries {
            let before = admission.signed_in();
            if admission.permits(way, inside_tls).is_err() {
                prop_assert_eq!(admission.signed_in(), before);
                continue;
            }
            let ledger = if inside_tls { expected.sign_in } else { expected.sign_in_plain };
            prop_assert!(is_new || ledger.is_none_or(|ledger| way >= ledger), "{:?}", ledger);
            prop_assert!(way >= *first.get_or_insert(way));
            if way == SignIn::Readable {
                prop_assert!(inside_tls);
                prop_assert!(admission.is_known() || consent.readable || was_readable);
            }
        }
    }
}
