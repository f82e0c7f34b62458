use std::net::IpAddr;

use der::{
    Decode, Encode, Sequence, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef},
    oid::{AssociatedOid, db::rfc4519::COMMON_NAME},
};
use domain::{AltName, is_invisible, visible};
use x509_cert::{
    ext::pkix::{BasicConstraints, SubjectAltName, name::GeneralName},
    name::Name,
    request::ExtensionReq,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
};

use crate::{
    Error, PublicKey,
    certificate::{alt_name, general_name_text, text},
    elements::elements_of,
    pem,
    profile::MAX_COMMON_NAME,
};

/// The largest request that is read, bytes. A camera's takes about 1,000.
pub const MAX_REQUEST: usize = 64 * 1024;

/// More names, or extensions, than any device has.
const MAX_WISHES: usize = 100;

/// A certificate request (PKCS#10, RFC 2986) whose signature fits its public key: only such a request exists
/// as a value of this type. Everything in it but the key is a wish. No text in it has invisible characters.
///
/// `docs/requests.md` says what becomes of each kind of odd request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The key that the certificate is asked for, checked for strength.
    pub key: PublicKey,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// A common name that cannot be used, as far as it can be shown.
    pub unusable_common_name: Option<String>,
    /// The subjectAltNames that are addresses or host names. An address written as a host name is here as
    /// an address.
    pub names: Vec<AltName>,
    /// Those of the names that were written as host names and are addresses.
    pub misplaced_names: Vec<AltName>,
    /// Names that no certificate for a web server can hold.
    pub unusable_names: Vec<Unusable>,
    /// Whether the list of names ends in something that is no name, so that others may be lost.
    pub names_damaged: bool,
    /// Whether it asks to become an authority.
    pub asks_for_ca: bool,
    /// OIDs of the other extensions that it asks for.
    pub extensions: Vec<String>,
    /// Whether the file has a private key beside the request. It was not read.
    pub beside_private_key: bool,
}

/// A name of a request that is left out, as far as it can be shown, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unusable {
    /// Of another kind, or one that no browser would match.
    Unmatched(String),
    /// A host name with letters beyond ASCII, which certificates hold in their form with `xn--` alone.
    Letters(String),
    /// An address written as text, where its 4 or 16 bytes belong.
    AddressAsText(String),
    /// Not written as its kind demands.
    Damaged(String),
}

impl Unusable {
    /// The name.
    pub fn text(&self) -> &str {
        let (Unusable::Unmatched(text)
        | Unusable::Letters(text)
        | Unusable::AddressAsText(text)
        | Unusable::Damaged(text)) = self;
        text
    }
}

/// RFC 2986, section 4.2, with what is signed as it was sent: a SET that is not in DER's order, as some devices
/// write it, would be put in order and not verify any more.
#[derive(Sequence)]
struct Signed<'a> {
    info: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: der::asn1::BitString,
}

/// RFC 2986, section 4.1, as wide as devices write it: 1 and 2 for the version, which says nothing that is used here,
/// and no attributes at all. Their firmware cannot be mended, and key and proof are good.
#[derive(Sequence)]
struct Info<'a> {
    version: u8,
    subject: AnyRef<'a>,
    public_key: SubjectPublicKeyInfoOwned,
    attributes: Option<AnyRef<'a>>,
}

impl Request {
    /// Reads one request in PEM or DER and checks its signature (proof of possession).
    pub fn read(bytes: &[u8]) -> Result<Request, Error> {
        if bytes.len() > MAX_REQUEST {
            return Err(Error::RequestTooLarge { bytes: bytes.len(), limit: MAX_REQUEST });
        }
        // A SEQUENCE whose length takes more than a byte, which no text begins like.
        if matches!(bytes, [0x30, 0x80..=0xff, ..]) {
            return Request::from_der(bytes);
        }
        let text = pem::text(bytes);
        let blocks = pem::blocks(&text);
        let beside_private_key = blocks.iter().any(|(label, _)| label.ends_with("PRIVATE KEY"));
        let requests: Vec<_> =
            blocks.iter().filter(|(label, _)| label.ends_with("CERTIFICATE REQUEST")).collect();
        match requests.as_slice() {
            [(_, Some(der))] => Ok(Request { beside_private_key, ..Request::from_der(der)? }),
            [(_, None)] => Err(not_a_request("the PEM block is damaged")),
            [] if beside_private_key => Err(Error::PrivateKeyAlone),
            [] if blocks.is_empty() => Err(not_a_request("it is neither PEM nor DER")),
            [] => Err(not_a_request("no CERTIFICATE REQUEST block in the file")),
            several => Err(Error::SeveralRequests { count: several.len() }),
        }
    }

    fn from_der(der: &[u8]) -> Result<Request, Error> {
        let request = Signed::from_der(der).map_err(not_a_request)?;
        let info: Info<'_> = request.info.decode_as().map_err(not_a_request)?;
        let attributes = attributes(info.attributes)?;
        let key = PublicKey::new(info.public_key)?;
        let signature = request.signature.as_bytes().ok_or(Error::BadRequestSignature)?;
        if !key.verify(&request.algorithm, &request.info.to_der()?, signature)? {
            return Err(Error::BadRequestSignature);
        }

        let (common_name, unusable_common_name) = common_name(info.subject)?;
        let mut wishes = Request {
            key,
            common_name,
            unusable_common_name,
            names: Vec::new(),
            misplaced_names: Vec::new(),
            unusable_names: Vec::new(),
            names_damaged: false,
            asks_for_ca: false,
            extensions: Vec::new(),
            beside_private_key: false,
        };
        let mut seen = Vec::new();
        for list in extension_lists(&attributes)? {
            let (extensions, whole) = elements_of(list.value());
            if list.tag() != Tag::Sequence || !whole {
                return Err(damaged_extensions());
            }
            let count = seen.len() + extensions.len();
            if count > MAX_WISHES {
                return Err(Error::TooManyExtensions { count, limit: MAX_WISHES });
            }
            for extension in extensions {
                let (oid, value) = extension_parts(extension).ok_or_else(damaged_extensions)?;
                // Which of the two would be meant, readers do not agree on.
                if seen.contains(&oid) {
                    return Err(Error::RepeatedExtension { extension: oid.to_string() });
                }
                seen.push(oid);
                wishes.take(oid, value)?;
            }
        }
        Ok(wishes)
    }

    fn take(&mut self, oid: ObjectIdentifier, value: &[u8]) -> Result<(), Error> {
        if oid == SubjectAltName::OID {
            let list = AnyRef::from_der(value).ok().filter(|list| list.tag() == Tag::Sequence);
            let (names, whole) = list.map_or((Vec::new(), false), |list| elements_of(list.value()));
            if names.len() > MAX_WISHES {
                return Err(Error::TooManyNames { count: names.len(), limit: MAX_WISHES });
            }
            self.names_damaged = !whole;
            names.into_iter().for_each(|name| self.take_name(name));
        } else if oid == BasicConstraints::OID {
            self.asks_for_ca = BasicConstraints::from_der(value).is_ok_and(|b| b.ca);
        } else {
            self.extensions.push(oid.to_string());
        }
        Ok(())
    }

    fn take_name(&mut self, element: AnyRef<'_>) {
        let name = match read_name(element) {
            Ok(name) => name,
            Err(unusable) => return self.unusable_names.push(unusable),
        };
        // Some firmware writes its address as a host name, which browsers do not accept.
        let misplaced = match &name {
            GeneralName::DnsName(dns) => AsRef::<str>::as_ref(dns).parse().ok().map(AltName::Ip),
            _ => None,
        };
        match misplaced.clone().or_else(|| alt_name(&name)) {
            Some(name) if !self.names.contains(&name) => {
                self.misplaced_names.extend(misplaced);
                self.names.push(name);
            }
            Some(_) => {}
            None => self.unusable_names.push(Unusable::Unmatched(shown(&general_name_text(&name)))),
        }
    }
}

/// The elements of the attributes, of which there may be none.
fn attributes(list: Option<AnyRef<'_>>) -> Result<Vec<AnyRef<'_>>, Error> {
    let Some(list) = list else { return Ok(Vec::new()) };
    match (list.tag(), elements_of(list.value())) {
        (Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, (attributes, true)) => {
            Ok(attributes)
        }
        _ => Err(not_a_request("its attributes are damaged")),
    }
}

/// The lists of extensions among the attributes. Any other attribute, a challengePassword for one, is neither wanted
/// nor shown.
fn extension_lists<'a>(attributes: &[AnyRef<'a>]) -> Result<Vec<AnyRef<'a>>, Error> {
    let mut lists = Vec::new();
    for attribute in attributes {
        let (parts, _) = elements_of(attribute.value());
        match parts.as_slice() {
            [kind, values] if kind.decode_as() == Ok(ExtensionReq::OID) => {
                let (values, whole) = elements_of(values.value());
                whole.then(|| lists.extend(values)).ok_or_else(damaged_extensions)?;
            }
            // Names that stand in it would be lost without a word.
            [kind, ..] if kind.decode_as() == Ok(ExtensionReq::OID) => return Err(damaged_extensions()),
            _ => {}
        }
    }
    Ok(lists)
}

/// Kind and value. Whether it is critical, and how that is written, changes nothing.
fn extension_parts(extension: AnyRef<'_>) -> Option<(ObjectIdentifier, &[u8])> {
    let (parts, _) = elements_of(extension.value());
    let (kind, value) = match parts.as_slice() {
        [kind, value] => (kind, value),
        [kind, critical, value] if critical.tag() == Tag::Boolean => (kind, value),
        _ => return None,
    };
    let value: &OctetStringRef = value.decode_as().ok()?;
    Some((kind.decode_as().ok()?, value.as_bytes()))
}

/// One name, or why it cannot be used, so that it does not end the others.
fn read_name(element: AnyRef<'_>) -> Result<GeneralName, Unusable> {
    let (number, bytes) = match element.tag() {
        Tag::ContextSpecific { number, .. } => (number.value(), element.value()),
        _ => (u32::MAX, element.value()),
    };
    let text = shown(String::from_utf8_lossy(bytes).trim_matches(['\0', ' ']));
    let printable = !bytes.is_empty() && bytes.iter().all(|b| matches!(b, 0 | b' '..=b'~'));
    match number {
        // 16 bytes may be either; those of an address that can be read as one are no address.
        7 if printable && (text.parse::<IpAddr>().is_ok() || ![4, 16].contains(&bytes.len())) => {
            return Err(Unusable::AddressAsText(text));
        }
        2 if !bytes.is_ascii() => return Err(Unusable::Letters(text)),
        _ => {}
    }
    let name = element.to_der().and_then(|der| GeneralName::from_der(&der));
    name.map_err(|_| {
        let kinds =
            ["otherName", "email:", "DNS:", "x400Address", "dirName", "ediPartyName", "URI:", "IP:", "RID"];
        match kinds.get(number as usize) {
            Some(kind) if kind.ends_with(':') => Unusable::Damaged(format!("{kind}{text}")),
            Some(kind) => Unusable::Damaged((*kind).to_owned()),
            None => Unusable::Damaged("?".to_owned()),
        }
    })
}

fn damaged_extensions() -> Error {
    not_a_request("its extensions are damaged")
}

fn not_a_request(detail: impl ToString) -> Error {
    Error::NotARequest { detail: detail.to_string() }
}

/// The first common name: as it is, or, if it cannot be used, as it can be shown.
fn common_name(subject: AnyRef<'_>) -> Result<(Option<String>, Option<String>), Error> {
    let subject = match subject.decode_as::<Name>() {
        Ok(subject) => subject,
        // A kind of text that nobody reads any more; the name is for people alone.
        Err(_) if subject.tag() == Tag::Sequence => return Ok((None, Some("?".to_owned()))),
        Err(e) => return Err(not_a_request(e)),
    };
    let Some(value) = subject.iter().find(|a| a.oid == COMMON_NAME).map(|a| &a.value) else {
        return Ok((None, None));
    };
    Ok(match text(value) {
        Some(text) if text.trim().is_empty() => (None, None),
        Some(text) if text.chars().count() > MAX_COMMON_NAME || text.chars().any(is_invisible) => {
            (None, Some(shown(&text)))
        }
        Some(text) => (Some(text), None),
        None => (None, Some(shown(&String::from_utf8_lossy(value.value())))),
    })
}

/// Text from outside, short enough for a line and without anything that would change how the line looks.
fn shown(text: &str) -> String {
    visible(&text.chars().take(80).collect::<String>())
}
