use der::{
    Decode, Encode, Sequence, Tag, Tagged,
    asn1::{Any, AnyRef, ObjectIdentifier},
    oid::{AssociatedOid, db::rfc4519::COMMON_NAME},
};
use domain::{AltName, is_invisible, visible};
use x509_cert::{
    ext::pkix::{BasicConstraints, SubjectAltName, name::GeneralName},
    name::Name,
    request::{CertReqInfo, ExtensionReq},
    spki::AlgorithmIdentifierOwned,
};

use crate::{
    Error, PublicKey,
    certificate::{alt_name, general_name_text},
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
    /// Names of other kinds or that no browser would match, as text.
    pub unusable_names: Vec<String>,
    /// Whether it asks to become an authority.
    pub asks_for_ca: bool,
    /// OIDs of the other extensions that it asks for.
    pub extensions: Vec<String>,
    /// Whether the file has a private key beside the request. It was not read.
    pub beside_private_key: bool,
}

/// RFC 2986, section 4.2, with what is signed as it was sent: a SET that is not in DER's order, as some devices
/// write it, would be put in order and not verify any more.
#[derive(Sequence)]
struct Signed<'a> {
    info: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: der::asn1::BitString,
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
        let info: CertReqInfo = request.info.decode_as().map_err(not_a_request)?;
        let key = PublicKey::new(info.public_key)?;
        let signature = request.signature.as_bytes().ok_or(Error::BadRequestSignature)?;
        if !key.verify(&request.algorithm, &request.info.to_der()?, signature)? {
            return Err(Error::BadRequestSignature);
        }

        let (common_name, unusable_common_name) = common_name(&info.subject);
        let mut wishes = Request {
            key,
            common_name,
            unusable_common_name,
            names: Vec::new(),
            misplaced_names: Vec::new(),
            unusable_names: Vec::new(),
            asks_for_ca: false,
            extensions: Vec::new(),
            beside_private_key: false,
        };
        // Any other attribute, a challengePassword for one, is neither wanted nor shown.
        let lists =
            info.attributes.iter().filter(|a| a.oid == ExtensionReq::OID).flat_map(|a| a.values.iter());
        let mut seen = Vec::new();
        for list in lists {
            let list: ExtensionReq =
                list.decode_as().map_err(|_| not_a_request("its extensions are damaged"))?;
            let count = seen.len() + list.0.len();
            if count > MAX_WISHES {
                return Err(Error::TooManyExtensions { count, limit: MAX_WISHES });
            }
            for extension in list.0 {
                // Which of the two would be meant, readers do not agree on.
                if seen.contains(&extension.extn_id) {
                    return Err(Error::RepeatedExtension { extension: extension.extn_id.to_string() });
                }
                seen.push(extension.extn_id);
                wishes.take(extension.extn_id, extension.extn_value.as_bytes())?;
            }
        }
        Ok(wishes)
    }

    fn take(&mut self, oid: ObjectIdentifier, value: &[u8]) -> Result<(), Error> {
        if oid == SubjectAltName::OID {
            let names = SubjectAltName::from_der(value)
                .map_err(|_| not_a_request("its subjectAltName is damaged"))?
                .0;
            if names.len() > MAX_WISHES {
                return Err(Error::TooManyNames { count: names.len(), limit: MAX_WISHES });
            }
            names.iter().for_each(|name| self.take_name(name));
        } else if oid == BasicConstraints::OID {
            self.asks_for_ca = BasicConstraints::from_der(value).is_ok_and(|b| b.ca);
        } else {
            self.extensions.push(oid.to_string());
        }
        Ok(())
    }

    fn take_name(&mut self, name: &GeneralName) {
        // Some firmware writes its address as a host name, which browsers do not accept.
        let misplaced = match name {
            GeneralName::DnsName(dns) => AsRef::<str>::as_ref(dns).parse().ok().map(AltName::Ip),
            _ => None,
        };
        match misplaced.clone().or_else(|| alt_name(name)) {
            Some(name) if !self.names.contains(&name) => {
                self.misplaced_names.extend(misplaced);
                self.names.push(name);
            }
            Some(_) => {}
            None => self.unusable_names.push(shown(&general_name_text(name))),
        }
    }
}

fn not_a_request(detail: impl ToString) -> Error {
    Error::NotARequest { detail: detail.to_string() }
}

/// The first common name: as it is, or, if it cannot be used, as it can be shown.
fn common_name(subject: &Name) -> (Option<String>, Option<String>) {
    let Some(value) = subject.iter().find(|a| a.oid == COMMON_NAME).map(|a| &a.value) else {
        return (None, None);
    };
    match text(value) {
        Some(text) if text.trim().is_empty() => (None, None),
        Some(text) if text.chars().count() > MAX_COMMON_NAME || text.chars().any(is_invisible) => {
            (None, Some(shown(&text)))
        }
        Some(text) => (Some(text), None),
        None => (None, Some(shown(&String::from_utf8_lossy(value.value())))),
    }
}

/// The kinds of text that a DirectoryString may be (RFC 5280, section 4.1.2.4), and IA5String, which some write.
/// What stands in the bytes counts, not which of them the kind allows.
pub(crate) fn text(value: &Any) -> Option<String> {
    let bytes = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(bytes.to_vec()).ok(),
        // By the letter an alphabet of its own; in fact Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|b| *b as char).collect()),
        Tag::BmpString => {
            let (pairs, []) = bytes.as_chunks::<2>() else { return None };
            char::decode_utf16(pairs.iter().map(|pair| u16::from_be_bytes(*pair)))
                .collect::<Result<_, _>>()
                .ok()
        }
        _ => None,
    }
}

/// Text from outside, short enough for a line and without anything that would change how the line looks.
fn shown(text: &str) -> String {
    visible(&text.chars().take(80).collect::<String>())
}
