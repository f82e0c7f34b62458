//! A certificate as Chromium reads it (the library pki of BoringSSL).

use std::sync::Arc;

use super::{
    constraints::NameConstraints,
    der::{Moment, Reader, only, only_bits, only_sequence, optional_boolean, small, time},
    keys::{Algorithm, public_key},
    names::{GeneralNames, Name, can_be_shown, read_name},
    policies::{Policies, has_known_qualifiers},
};
use crate::{
    der::{BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, constructed, context},
    signature::{PublicKey, Signed},
};

/// One certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) signed: Arc<Signed>,
    /// Of the signature, named twice: here outside, and whether what it says inside is the same, if it is something else that
    /// is known.
    pub(crate) algorithm: Option<Algorithm>,
    pub(crate) algorithms_agree: Option<bool>,
    /// What a server's must be: an issuer's is not.
    pub(crate) can_be_shown: bool,
    /// As written, with tag and length.
    pub(crate) issuer_der: Vec<u8>,
    pub(crate) subject_der: Vec<u8>,
    pub(crate) issuer: Name,
    pub(crate) subject: Name,
    pub(crate) not_before: Moment,
    pub(crate) not_after: Moment,
    pub(crate) key_info: Vec<u8>,
    /// None if it is of no kind that Chromium knows.
    pub(crate) key: Option<PublicKey>,
    pub(crate) constraints: Option<BasicConstraints>,
    /// The first eight bits of keyUsage.
    pub(crate) usage: Option<u8>,
    /// Whether it may be a server's, if it says so.
    pub(crate) may_serve: Option<bool>,
    pub(crate) names: Option<GeneralNames>,
    /// The subjectAltName as written.
    pub(crate) names_der: Vec<u8>,
    pub(crate) name_constraints: Option<NameConstraints>,
    pub(crate) policies: Policies,
    pub(crate) key_identifier: Option<Vec<u8>>,
    pub(crate) authority_key: Option<Vec<u8>>,
    pub(crate) has_unknown_critical: bool,
}

/// basicConstraints.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BasicConstraints {
    pub(crate) is_authority: bool,
    pub(crate) path_length: Option<u8>,
}

/// How far reading came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unreadable {
    /// Its frame, or a name that would be shown to people.
    Frame,
    /// An extension, or a name that cannot be compared.
    Content,
}

/// The signed part, as far as its frame goes.
struct Frame<'a> {
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// The signature's BIT STRING has whole bytes.
    is_whole: bool,
    inner_algorithm: &'a [u8],
    issuer: &'a [u8],
    validity: (Moment, Moment),
    subject: &'a [u8],
    key_info: &'a [u8],
    /// The content of the SEQUENCE.
    extensions: Option<&'a [u8]>,
}

impl Certificate {
    pub(crate) fn read(der: &[u8]) -> Result<Certificate, Unreadable> {
        let frame = Frame::read(der).ok_or(Unreadable::Frame)?;
        let can_be_shown = [frame.issuer, frame.subject].into_iter().all(|name| can_be_shown(name).is_some());
        let unreadable = if can_be_shown { Unreadable::Content } else { Unreadable::Frame };
        let mut certificate = frame.certificate(der).ok_or(unreadable)?;
        certificate.can_be_shown = can_be_shown;
        if let Some(extensions) = frame.extensions {
            certificate.read_extensions(extensions).ok_or(unreadable)?;
        }
        Ok(certificate)
    }

    /// Whether a key usage, if there is one, leaves out the use with this number.
    pub(crate) fn may_not(&self, number: u8) -> bool {
        self.usage.is_some_and(|bits| bits & (0x80 >> number) == 0)
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn read_extensions(&mut self, content: &[u8]) -> Option<()> {
        let extensions = extensions(content)?;
        for extension in &extensions {
            self.read_extension(extension)?;
        }
        // Microsoft's application policies say what the extended key usage says.
        const APPLICATION_POLICIES: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x15, 0x0a];
        let has_purposes = self.may_serve.is_some();
        self.has_unknown_critical = extensions.iter().any(|e| {
            e.is_critical
                && match e.oid {
                    // Constraints, usages, names; policyMappings, policyConstraints, inhibitAnyPolicy.
                    [0x55, 0x1d, 0x13 | 0x0f | 0x25 | 0x1e | 0x11 | 0x21 | 0x24 | 0x36] => false,
                    [0x55, 0x1d, 0x20] => !has_known_qualifiers(e.value),
                    oid => oid != APPLICATION_POLICIES || !has_purposes,
                }
        });
        Some(())
    }

    fn read_extension(&mut self, extension: &Extension<'_>) -> Option<()> {
        let value = extension.value;
        match extension.oid {
            [0x55, 0x1d, 0x13] => self.constraints = Some(basic_constraints(value)?),
            [0x55, 0x1d, 0x0f] => self.usage = Some(usage(value)?),
            [0x55, 0x1d, 0x25] => self.may_serve = Some(may_serve(value)?),
            [0x55, 0x1d, 0x11] => {
                self.names = Some(GeneralNames::read(only(value, SEQUENCE)?)?);
                self.names_der = value.to_vec();
                // Without a subject the names are all there is.
                if self.subject.is_empty() && !extension.is_critical {
                    return None;
                }
            }
            [0x55, 0x1d, 0x1e] => {
                self.name_constraints = Some(NameConstraints::read(value, extension.is_critical)?);
            }
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01] => access(value)?,
            [0x55, 0x1d, 0x20] => self.policies.read_policies(value)?,
            [0x55, 0x1d, 0x24] => self.policies.read_constraints(value)?,
            [0x55, 0x1d, 0x21] => self.policies.read_mappings(value)?,
            [0x55, 0x1d, 0x36] => self.policies.read_inhibit_any(value)?,
            [0x55, 0x1d, 0x0e] => self.key_identifier = Some(only(value, OCTET_STRING)?.to_vec()),
            [0x55, 0x1d, 0x23] => self.authority_key = authority_key(value)?,
            _ => {}
        }
        Some(())
    }
}

impl<'a> Frame<'a> {
    fn read(der: &'a [u8]) -> Option<Frame<'a>> {
        let mut outer = only_sequence(der)?;
        let tbs = outer.element(SEQUENCE)?;
        let algorithm = outer.element(SEQUENCE)?.whole;
        let (unused, signature) = super::der::bits(outer.value(BIT_STRING)?)?;
        outer.end()?;

        let mut reader = Reader(tbs.value);
        let version = match reader.optional(constructed(0))? {
            None => 1,
            // The first version is the default, which is not written.
            Some(value) => match small(only(value, INTEGER)?)? {
                version @ 1..=2 => version + 1,
                _ => return None,
            },
        };
        // Any serial number will do.
        reader.value(INTEGER)?;
        let inner_algorithm = reader.element(SEQUENCE)?.whole;
        let issuer = reader.element(SEQUENCE)?.whole;
        let validity = {
            let mut validity = reader.sequence()?;
            let both = (time(validity.any()?)?, time(validity.any()?)?);
            validity.end()?;
            both
        };
        let subject = reader.element(SEQUENCE)?.whole;
        let key_info = reader.element(SEQUENCE)?.whole;
        for number in [1, 2] {
            if let Some(identifier) = reader.optional(context(number))? {
                super::der::bits(identifier)?;
                (version > 1).then_some(())?;
            }
        }
        let extensions = match reader.optional(constructed(3))? {
            None => None,
            Some(_) if version < 3 => return None,
            Some(value) => Some(only(value, SEQUENCE)?),
        };
        reader.end()?;
        Some(Frame {
            tbs: tbs.whole,
            algorithm,
            signature,
            is_whole: unused == 0,
            inner_algorithm,
            issuer,
            validity,
            subject,
            key_info,
            extensions,
        })
    }

    /// Without its extensions.
    fn certificate(&self, der: &[u8]) -> Option<Certificate> {
        let algorithm = Algorithm::read(self.algorithm);
        let inner = Algorithm::read(self.inner_algorithm);
        Some(Certificate {
            der: der.to_vec(),
            // No signature is of half a byte.
            signed: Arc::new(Signed::new(self.tbs, if self.is_whole { self.signature } else { &[] })),
            algorithm,
            algorithms_agree: match inner {
                _ if self.algorithm == self.inner_algorithm => Some(true),
                Some(inner) => Some(algorithm == Some(inner)),
                None => None,
            },
            issuer: read_name(only(self.issuer, SEQUENCE)?)?,
            subject: read_name(only(self.subject, SEQUENCE)?)?,
            issuer_der: self.issuer.to_vec(),
            subject_der: self.subject.to_vec(),
            not_before: self.validity.0,
            not_after: self.validity.1,
            key: public_key(self.key_info),
            key_info: self.key_info.to_vec(),
            can_be_shown: false,
            constraints: None,
            usage: None,
            may_serve: None,
            names: None,
            names_der: Vec::new(),
            name_constraints: None,
            policies: Policies::default(),
            key_identifier: None,
            authority_key: None,
            has_unknown_critical: false,
        })
    }
}

struct Extension<'a> {
    oid: &'a [u8],
    is_critical: bool,
    value: &'a [u8],
}

/// One at least, and none twice.
fn extensions(content: &[u8]) -> Option<Vec<Extension<'_>>> {
    let mut reader = Reader(content);
    let mut found: Vec<Extension<'_>> = Vec::new();
    while !reader.is_empty() {
        let mut extension = reader.sequence()?;
        let oid = extension.value(OID)?;
        let is_critical = match optional_boolean(&mut extension)? {
            // The default is not written.
            Some(false) => return None,
            critical => critical.is_some(),
        };
        let value = extension.value(OCTET_STRING)?;
        extension.end()?;
        if found.iter().any(|known| known.oid == oid) {
            return None;
        }
        found.push(Extension { oid, is_critical, value });
    }
    (!found.is_empty()).then_some(found)
}

fn basic_constraints(value: &[u8]) -> Option<BasicConstraints> {
    let mut reader = only_sequence(value)?;
    let is_authority = optional_boolean(&mut reader)?.unwrap_or(false);
    let path_length = match reader.optional(INTEGER)? {
        None => None,
        Some(length) => Some(small(length)?),
    };
    reader.end()?;
    Some(BasicConstraints { is_authority, path_length })
}

/// keyUsage, which says something.
fn usage(value: &[u8]) -> Option<u8> {
    let (_, bytes) = only_bits(value)?;
    let says_something = bytes.iter().any(|byte| *byte != 0);
    bytes.first().copied().filter(|_| says_something)
}

/// extendedKeyUsage, with one purpose at least: for servers, or for anything.
fn may_serve(value: &[u8]) -> Option<bool> {
    const SERVER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
    let mut reader = only_sequence(value)?;
    let mut purposes = Vec::new();
    while !reader.is_empty() {
        purposes.push(reader.value(OID)?);
    }
    (!purposes.is_empty()).then(|| purposes.iter().any(|purpose| [SERVER, ANY].contains(purpose)))
}

/// authorityInfoAccess: nothing is fetched, but it must be well-formed, whatever comes after it.
fn access(value: &[u8]) -> Option<()> {
    let mut reader = Reader(value).sequence()?;
    if reader.is_empty() {
        return None;
    }
    while !reader.is_empty() {
        let mut description = reader.sequence()?;
        description.value(OID)?;
        let location = description.any()?;
        description.end()?;
        if location.tag == context(6) && !location.value.is_ascii() {
            return None;
        }
    }
    Some(())
}

/// authorityKeyIdentifier: the key's, if it is named.
fn authority_key(value: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut reader = only_sequence(value)?;
    let key = reader.optional(context(0))?;
    let issuer = reader.optional(constructed(1))?;
    let serial = reader.optional(context(2))?;
    reader.end()?;
    (issuer.is_some() == serial.is_some()).then(|| key.map(<[u8]>::to_vec))
}
