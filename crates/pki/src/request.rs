use der::{Decode, Encode};
use domain::AltName;
use x509_cert::{
    ext::pkix::{BasicConstraints, SubjectAltName},
    request::{CertReq, ExtensionReq},
};

use der::oid::AssociatedOid;

use crate::{
    Error, PublicKey,
    certificate::{alt_name, general_name_text},
    pem,
};

/// The largest request that is read, bytes. A camera's takes about 1,000.
pub const MAX_REQUEST: usize = 64 * 1024;

/// More names than any device has.
const MAX_NAMES: usize = 100;

/// A certificate request (PKCS#10, RFC 2986) whose signature fits its public key: only such a request exists
/// as a value of this type. Everything in it but the key is a wish.
#[derive(Clone, Debug)]
pub struct Request {
    /// The key that the certificate is asked for, checked for strength.
    pub key: PublicKey,
    /// The subject's common name.
    pub common_name: Option<String>,
    /// The subjectAltNames that are addresses or host names. An address written as a host name is here as
    /// an address.
    pub names: Vec<AltName>,
    /// Names of other kinds or that no browser would match, as text.
    pub unusable_names: Vec<String>,
    /// Whether it asks to become an authority.
    pub asks_for_ca: bool,
    /// OIDs of the other extensions that it asks for.
    pub extensions: Vec<String>,
}

impl Request {
    /// Reads one request in PEM or DER and checks its signature (proof of possession).
    pub fn read(bytes: &[u8]) -> Result<Request, Error> {
        if bytes.len() > MAX_REQUEST {
            return Err(Error::RequestTooLarge { bytes: bytes.len(), limit: MAX_REQUEST });
        }
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let blocks = pem::blocks(text);
        if blocks.is_empty() {
            return Request::from_der(bytes);
        }
        let requests: Vec<_> =
            blocks.into_iter().filter(|(label, _)| label.ends_with("CERTIFICATE REQUEST")).collect();
        match requests.as_slice() {
            [(_, Some(der))] => Request::from_der(der),
            [(_, None)] => Err(Error::NotARequest { detail: "the PEM block is damaged".into() }),
            [] => Err(Error::NotARequest { detail: "no CERTIFICATE REQUEST block in the file".into() }),
            several => Err(Error::SeveralRequests { count: several.len() }),
        }
    }

    fn from_der(der: &[u8]) -> Result<Request, Error> {
        let request = CertReq::from_der(der).map_err(|e| Error::NotARequest { detail: e.to_string() })?;
        let key = PublicKey::new(request.info.public_key.clone())?;
        // The signature is over the bytes as sent. An encoding that differs from DER would not verify here,
        // which is as it should be.
        let signed = request.info.to_der()?;
        let signature = request.signature.as_bytes().ok_or(Error::BadRequestSignature)?;
        if !key.verify(&request.algorithm, &signed, signature)? {
            return Err(Error::BadRequestSignature);
        }

        let mut wishes = Request {
            key,
            common_name: common_name(&request),
            names: Vec::new(),
            unusable_names: Vec::new(),
            asks_for_ca: false,
            extensions: Vec::new(),
        };
        for attribute in request.info.attributes.iter().filter(|a| a.oid == ExtensionReq::OID) {
            for value in attribute.values.iter() {
                let damaged = |_| Error::NotARequest { detail: "its extensions are damaged".into() };
                for extension in ExtensionReq::from_der(&value.to_der()?).map_err(damaged)?.0 {
                    wishes.take(extension.extn_id, extension.extn_value.as_bytes())?;
                }
            }
        }
        Ok(wishes)
    }

    fn take(&mut self, oid: der::oid::ObjectIdentifier, value: &[u8]) -> Result<(), Error> {
        if oid == SubjectAltName::OID {
            let names = SubjectAltName::from_der(value)
                .map_err(|_| Error::NotARequest { detail: "its subjectAltName is damaged".into() })?;
            for name in &names.0 {
                // Some firmware writes its address as a host name, which browsers do not accept.
                let text = general_name_text(name);
                let address = text.strip_prefix("DNS:").and_then(|n| n.parse().ok()).map(AltName::Ip);
                match address.or_else(|| alt_name(name)) {
                    Some(name) if !self.names.contains(&name) => self.names.push(name),
                    Some(_) => {}
                    None => self.unusable_names.push(text.chars().take(80).collect()),
                }
            }
            if self.names.len() + self.unusable_names.len() > MAX_NAMES {
                return Err(Error::NotARequest {
                    detail: format!("it asks for more than {MAX_NAMES} names"),
                });
            }
        } else if oid == BasicConstraints::OID {
            self.asks_for_ca |= BasicConstraints::from_der(value).is_ok_and(|b| b.ca);
        } else if self.extensions.len() < MAX_NAMES {
            self.extensions.push(oid.to_string());
        }
        Ok(())
    }
}

fn common_name(request: &CertReq) -> Option<String> {
    let name = request.info.subject.common_name().ok()??;
    let text: String = name.value().chars().take(64).collect();
    (!text.is_empty()).then_some(text)
}
