//! What Chromium and Firefox refuse in the certificate of an authority, so that every page under it shows an error.
//!
//! It is for certificates that were made elsewhere: Camlock's own are linted before they are signed. Chromium reads
//! stricter than our own reader (its library is BoringSSL's `pki`), and Firefox (`mozilla::pkix`) otherwise.

use der::{
    Decode, Tag, TagNumber, Tagged,
    asn1::{AnyRef, Ia5StringRef, ObjectIdentifier, OctetStringRef, PrintableStringRef},
};

use crate::{
    Certificate, Lint,
    elements::{elements, elements_of},
    lint::rules,
    profile::SERVER_AUTH,
};

type Element<'a> = AnyRef<'a>;

const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const PURPOSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");
const INFORMATION_ACCESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1");
const TLS_FEATURE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.24");
const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");
/// A GeneralName that is a host name.
const DNS_NAME: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(2) };
/// Qualifiers of policies, the only ones that the policy for all may have.
const QUALIFIERS: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.2.1"), ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.2.2")];

/// What both browsers know how to heed, if it is critical. Chromium knows the mappings of policies, too; Firefox, the
/// access to information and the TLS feature.
const HEEDED: [ObjectIdentifier; 8] = [
    KEY_USAGE,
    ALT_NAME,
    BASIC_CONSTRAINTS,
    NAME_CONSTRAINTS,
    POLICIES,
    POLICY_CONSTRAINTS,
    PURPOSES,
    INHIBIT_ANY_POLICY,
];

/// The parts of a subject that Chromium shows, and so reads as text: common name, country, locality, state,
/// organisation, unit.
const SHOWN: [ObjectIdentifier; 6] = [
    ObjectIdentifier::new_unwrap("2.5.4.3"),
    ObjectIdentifier::new_unwrap("2.5.4.6"),
    ObjectIdentifier::new_unwrap("2.5.4.7"),
    ObjectIdentifier::new_unwrap("2.5.4.8"),
    ObjectIdentifier::new_unwrap("2.5.4.10"),
    ObjectIdentifier::new_unwrap("2.5.4.11"),
];

impl Certificate {
    /// For what browsers refuse every page under this authority. `is_root`: it is trusted itself, so that its
    /// signature counts for nothing.
    pub fn lint_for_browsers(&self, is_root: bool) -> Vec<Lint> {
        let mut findings = Vec::new();
        let Some(parts) = Parts::of(self.der()) else {
            rules! { findings: false => "lint-unreadable", "Chromium: ERR_CERT_INVALID"; }
            return findings;
        };
        let names = || [parts.issuer, parts.subject].into_iter().map(attributes);
        let every = |holds: fn(&(ObjectIdentifier, Element<'_>)) -> bool| {
            names().all(|name| name.is_none_or(|name| name.iter().all(holds)))
        };
        let value = |kind| parts.extensions.iter().find(|e| e.kind == kind).map(|e| e.value);
        let mut kinds: Vec<_> = parts.extensions.iter().map(|e| e.kind).collect();
        kinds.sort();
        rules! { findings:
            every(is_in_its_alphabet) => "lint-name-characters", "Chromium: ERR_SSL_SERVER_CERT_BAD_FORMAT";
            every(is_shown_as_text) => "lint-name-kind", "Chromium: ERR_SSL_SERVER_CERT_BAD_FORMAT";
            names().all(|name| name.is_some()) => "lint-name-damaged", "Chromium: ERR_SSL_SERVER_CERT_BAD_FORMAT";
            !parts.issuer.value().is_empty() && !parts.subject.value().is_empty()
                => "lint-name-empty", "Firefox: SEC_ERROR_BAD_DER";
            kinds.windows(2).all(|pair| pair[0] != pair[1])
                => "lint-extension-twice", "Chromium: ERR_CERT_AUTHORITY_INVALID";
            parts.extensions.iter().all(|e| !e.says_not_critical)
                => "lint-critical-false", "Chromium: ERR_CERT_AUTHORITY_INVALID";
            parts.extensions.iter().all(|e| !e.critical || HEEDED.contains(&e.kind))
                => "lint-critical-unknown",
                "Chromium: ERR_CERT_INVALID; Firefox: SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION";
            parts.extensions.iter().all(|e| is_readable(e, parts.subject))
                => "lint-extension-damaged",
                "Chromium: ERR_CERT_AUTHORITY_INVALID; Firefox: SEC_ERROR_EXTENSION_VALUE_INVALID";
            value(TLS_FEATURE).is_none()
                => "lint-tls-feature", "Firefox: MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING";
            value(POLICY_CONSTRAINTS).is_none_or(asks_for_no_policy)
                => "lint-explicit-policy", "Chromium: ERR_CERT_INVALID";
            value(PURPOSES).is_none_or(|purposes| oids(purposes).is_none_or(|p| p.contains(&SERVER_AUTH)))
                => "lint-any-purpose", "Firefox: SEC_ERROR_INADEQUATE_CERT_TYPE";
            is_root || parts.signed_as == parts.signed_with
                => "lint-signature-differs", "RFC 5280, 4.1.1.2; Chromium: ERR_CERT_INVALID";
        }
        findings
    }
}

/// A certificate as its bytes stand.
struct Parts<'a> {
    issuer: Element<'a>,
    subject: Element<'a>,
    extensions: Vec<Extension<'a>>,
    /// The algorithm of the signature, as it is signed and as it is not.
    signed_as: Element<'a>,
    signed_with: Element<'a>,
}

struct Extension<'a> {
    kind: ObjectIdentifier,
    critical: bool,
    /// Which DER leaves unsaid.
    says_not_critical: bool,
    value: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(der: &'a [u8]) -> Option<Parts<'a>> {
        let whole = elements(der)?;
        let [tbs, signed_with, signature] = whole.as_slice() else { return None };
        is_bits(*signature).then_some(())?;
        let mut fields = elements_of(tbs.value()).0.into_iter().peekable();
        fields.next_if(|field| field.tag() == context(0));
        let (_serial, signed_as, issuer) = (fields.next()?, fields.next()?, fields.next()?);
        let (_validity, subject, _key) = (fields.next()?, fields.next()?, fields.next()?);
        let mut extensions = Vec::new();
        for field in fields {
            match field.tag() {
                Tag::ContextSpecific { constructed: false, number: TagNumber(1 | 2) } => {
                    is_bits_value(field.value()).then_some(())?;
                }
                tag if tag == context(3) => {
                    let list = elements(field.value()).filter(|list| !list.is_empty())?;
                    extensions = list.into_iter().map(Extension::of).collect::<Option<_>>()?;
                }
                _ => return None,
            }
        }
        Some(Parts { issuer, subject, extensions, signed_as, signed_with: *signed_with })
    }
}

impl<'a> Extension<'a> {
    fn of(element: Element<'a>) -> Option<Extension<'a>> {
        let parts = members(element)?;
        let (kind, critical, value) = match parts.as_slice() {
            [kind, value] => (kind, None, value),
            [kind, critical, value] => (kind, Some(critical.decode_as::<bool>().ok()?), value),
            _ => return None,
        };
        let value: &OctetStringRef = value.decode_as().ok()?;
        let (critical, says_not_critical) = (critical == Some(true), critical == Some(false));
        Some(Extension { kind: kind.decode_as().ok()?, critical, says_not_critical, value: value.as_bytes() })
    }
}

/// Kinds and values of a name; `None` if it is none.
fn attributes(name: Element<'_>) -> Option<Vec<(ObjectIdentifier, Element<'_>)>> {
    let mut found = Vec::new();
    for set in all(name.value())? {
        for member in all(set.value()).filter(|all| set.tag() == Tag::Set && !all.is_empty())? {
            let pair = members(member)?;
            let [kind, value] = pair.as_slice() else { return None };
            found.push((kind.decode_as().ok()?, *value));
        }
    }
    Some(found)
}

/// A PrintableString has no `_`, `&`, `@`, an IA5String no letters beyond ASCII, and a BMPString nothing beyond its
/// plane.
fn is_in_its_alphabet((_, value): &(ObjectIdentifier, Element<'_>)) -> bool {
    match value.tag() {
        // As `der` has it, and an asterisk, with which Chromium is lenient.
        Tag::PrintableString => {
            let text = value.value();
            let others: Vec<u8> = text.iter().copied().filter(|b| *b != b'*').collect();
            PrintableStringRef::new(&others).is_ok()
        }
        Tag::Ia5String => Ia5StringRef::new(value.value()).is_ok(),
        Tag::BmpString => {
            let (pairs, rest) = value.value().as_chunks::<2>();
            let is_letter = |pair: &[u8; 2]| is_letter(u16::from_be_bytes(*pair));
            rest.is_empty() && pairs.iter().all(is_letter)
        }
        _ => true,
    }
}

fn is_letter(unit: u16) -> bool {
    // Halves of pairs, and what Unicode keeps for no character.
    !matches!(unit, 0xd800..=0xdfff | 0xfdd0..=0xfdef | 0xfffe | 0xffff)
}

fn is_shown_as_text((kind, value): &(ObjectIdentifier, Element<'_>)) -> bool {
    let texts = [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::TeletexString, Tag::BmpString];
    !SHOWN.contains(kind) || texts.contains(&value.tag())
}

/// Whether browsers can read an extension that they look into.
fn is_readable(extension: &Extension<'_>, subject: Element<'_>) -> bool {
    let value = extension.value;
    match extension.kind {
        SUBJECT_KEY_ID => <&OctetStringRef>::from_der(value).is_ok(),
        KEY_USAGE => AnyRef::from_der(value)
            .is_ok_and(|bits| is_bits(bits) && bits.value().iter().skip(1).any(|byte| *byte != 0)),
        // Chromium insists on it where a certificate has no other name.
        ALT_NAME => are_names(value) && (extension.critical || !subject.value().is_empty()),
        BASIC_CONSTRAINTS => is_basic(value),
        NAME_CONSTRAINTS => are_constraints(value),
        POLICIES => are_policies(value, extension.critical),
        POLICY_MAPPINGS => elements(value).is_some_and(|list| {
            !list.is_empty() && list.iter().all(|pair| oids_of(*pair).is_some_and(|pair| pair.len() == 2))
        }),
        AUTHORITY_KEY_ID => is_authority_key_id(value),
        POLICY_CONSTRAINTS => elements(value).is_some_and(|list| {
            let numbers =
                [0, 1].map(|number| Tag::ContextSpecific { constructed: false, number: TagNumber(number) });
            let in_order = list.windows(2).all(|pair| pair[0].tag() < pair[1].tag());
            let is_number = |n: &Element<'_>| numbers.contains(&n.tag()) && small(n.value()).is_some();
            !list.is_empty() && in_order && list.iter().all(is_number)
        }),
        PURPOSES => oids(value).is_some_and(|purposes| !purposes.is_empty()),
        INHIBIT_ANY_POLICY => u8::from_der(value).is_ok(),
        INFORMATION_ACCESS => are_places(value),
        _ => true,
    }
}

fn is_basic(value: &[u8]) -> bool {
    let mut parts = match elements(value) {
        Some(parts) => parts.into_iter().peekable(),
        None => return false,
    };
    parts.next_if(|part| part.decode_as::<bool>().is_ok());
    // Firefox reads up to 127, Chromium up to 255.
    let length = parts.next().is_none_or(|length| length.decode_as::<u8>().is_ok_and(|n| n <= 127));
    length && parts.next().is_none()
}

/// Subtrees to permit or to exclude, one at least of each that is there, with neither minimum nor maximum.
fn are_constraints(value: &[u8]) -> bool {
    let Some(lists) = elements(value).filter(|lists| !lists.is_empty()) else { return false };
    let in_order = lists.iter().map(|list| list.tag()).is_sorted()
        && lists.iter().all(|list| [context(0), context(1)].contains(&list.tag()));
    in_order
        && lists.iter().all(|list| {
            all(list.value()).filter(|subtrees| !subtrees.is_empty()).is_some_and(|subtrees| {
                subtrees.into_iter().all(|subtree| match members(subtree).as_deref() {
                    Some([base]) => {
                        is_name(*base, is_range) && (base.tag() != DNS_NAME || is_domain(base.value()))
                    }
                    _ => false,
                })
            })
        })
}

fn are_names(value: &[u8]) -> bool {
    let is_address = |bytes: &[u8]| [4, 16].contains(&bytes.len());
    elements(value)
        .is_some_and(|names| !names.is_empty() && names.into_iter().all(|name| is_name(name, is_address)))
}

/// One GeneralName; how an iPAddress looks depends on where it stands.
fn is_name(name: Element<'_>, is_address: impl Fn(&[u8]) -> bool) -> bool {
    let Tag::ContextSpecific { constructed, number } = name.tag() else { return false };
    match (number.value(), constructed) {
        (1 | 2 | 6, false) => name.value().is_ascii(),
        (4, true) => matches!(all(name.value()).as_deref(), Some([inner]) if inner.tag() == Tag::Sequence),
        (7, false) => is_address(name.value()),
        (0 | 3 | 5, true) | (8, false) => true,
        _ => false,
    }
}

/// Nothing for all of them, or what may stand in a host name, for Firefox.
fn is_domain(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(b))
}

/// An address and a mask without holes.
fn is_range(bytes: &[u8]) -> bool {
    let mask = &bytes[bytes.len() / 2..];
    let bits = mask.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1));
    [8, 32].contains(&bytes.len()) && bits.is_sorted_by(|a, b| a >= b)
}

fn are_policies(value: &[u8], critical: bool) -> bool {
    let Some(policies) = elements(value).filter(|policies| !policies.is_empty()) else { return false };
    let mut kinds = Vec::new();
    for policy in policies {
        let parts = members(policy).unwrap_or_default();
        let (kind, qualifiers) = match parts.as_slice() {
            [kind] => (kind, None),
            [kind, qualifiers] => (kind, Some(qualifiers)),
            _ => return false,
        };
        let Ok(kind) = kind.decode_as::<ObjectIdentifier>() else { return false };
        let known_alone = critical || kind == ANY_POLICY;
        if !qualifiers.is_none_or(|qualifiers| are_qualifiers(*qualifiers, known_alone))
            || kinds.contains(&kind)
        {
            return false;
        }
        kinds.push(kind);
    }
    true
}

fn are_qualifiers(list: Element<'_>, known_alone: bool) -> bool {
    let is_qualifier = |qualifier: &Element<'_>| match members(*qualifier).as_deref() {
        Some([kind, _]) => {
            kind.decode_as::<ObjectIdentifier>().is_ok_and(|kind| !known_alone || QUALIFIERS.contains(&kind))
        }
        _ => false,
    };
    members(list).is_some_and(|list| !list.is_empty() && list.iter().all(is_qualifier))
}

/// A key identifier, and issuer and serial number, which stand together or not at all.
fn is_authority_key_id(value: &[u8]) -> bool {
    let Some(parts) = elements(value) else { return false };
    let numbers: Option<Vec<(u32, bool)>> = parts
        .iter()
        .map(|part| match part.tag() {
            Tag::ContextSpecific { number, constructed } => Some((number.value(), constructed)),
            _ => None,
        })
        .collect();
    matches!(
        numbers.as_deref(),
        Some([] | [(0, false)] | [(1, true), (2, false)] | [(0, false), (1, true), (2, false)])
    )
}

fn are_places(value: &[u8]) -> bool {
    let is_place = |place: &Element<'_>| match members(*place).as_deref() {
        Some([kind, at]) => {
            let uri = Tag::ContextSpecific { constructed: false, number: TagNumber(6) };
            kind.decode_as::<ObjectIdentifier>().is_ok() && (at.tag() != uri || at.value().is_ascii())
        }
        _ => false,
    };
    elements(value).is_some_and(|places| !places.is_empty() && places.iter().all(is_place))
}

/// Whether a leaf without policies, as Camlock's are, may stand below: the number says after how many certificates
/// one is asked for.
fn asks_for_no_policy(constraints: &[u8]) -> bool {
    const FAR: u8 = 4;
    let first = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
    let list = elements(constraints).unwrap_or_default();
    list.iter().all(|n| n.tag() != first || small(n.value()).is_none_or(|n| n >= FAR))
}

fn small(number: &[u8]) -> Option<u8> {
    match number {
        [n @ 0..=0x7f] | [0, n @ 0x80..=0xff] => Some(*n),
        _ => None,
    }
}

fn oids(value: &[u8]) -> Option<Vec<ObjectIdentifier>> {
    AnyRef::from_der(value).ok().and_then(oids_of)
}

fn oids_of(list: Element<'_>) -> Option<Vec<ObjectIdentifier>> {
    members(list)?.iter().map(|oid| oid.decode_as().ok()).collect()
}

/// The elements of a sequence within another.
fn members(element: Element<'_>) -> Option<Vec<Element<'_>>> {
    all(element.value()).filter(|_| element.tag() == Tag::Sequence)
}

/// The elements that make up all of a content.
fn all(content: &[u8]) -> Option<Vec<Element<'_>>> {
    let (found, whole) = elements_of(content);
    whole.then_some(found)
}

fn context(number: u32) -> Tag {
    Tag::ContextSpecific { constructed: true, number: TagNumber(number) }
}

fn is_bits(element: Element<'_>) -> bool {
    element.tag() == Tag::BitString && is_bits_value(element.value())
}

/// The content of a BIT STRING whose unused bits are zero.
fn is_bits_value(value: &[u8]) -> bool {
    match value {
        [0] => true,
        [unused @ 0..=7, .., last] => last.trailing_zeros() >= u32::from(*unused),
        _ => false,
    }
}
