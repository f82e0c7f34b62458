//! A certificate as Firefox reads it (mozilla::pkix).

use std::sync::Arc;

use super::der::{BAD_DER, Page, Reader, only};
use crate::{
    der::{OCTET_STRING, OID, SEQUENCE, constructed, context},
    signature::Signed,
};

pub(crate) const EXTENSION_INVALID: Page = "SEC_ERROR_EXTENSION_VALUE_INVALID";
const UNKNOWN_CRITICAL: Page = "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION";

/// One certificate. Much of it is looked at only when it is needed, and is what it is until then.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) signed: Arc<Signed>,
    /// The content of each AlgorithmIdentifier: outside, and inside of what is signed.
    pub(crate) algorithm: Vec<u8>,
    pub(crate) inner_algorithm: Vec<u8>,
    /// 1 to 4.
    pub(crate) version: u8,
    pub(crate) serial: Vec<u8>,
    /// With tag and length.
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) key_info: Vec<u8>,
    /// The content of the SEQUENCE.
    pub(crate) validity: Vec<u8>,
    pub(crate) key_usage: Option<Vec<u8>>,
    pub(crate) names: Option<Vec<u8>>,
    pub(crate) constraints: Option<Vec<u8>>,
    pub(crate) name_constraints: Option<Vec<u8>>,
    pub(crate) purposes: Option<Vec<u8>>,
    pub(crate) tls_features: Option<Vec<u8>>,
    /// authorityInfoAccess.
    pub(crate) access: Option<Vec<u8>>,
    /// Signed certificate timestamps.
    pub(crate) timestamps: Option<Vec<u8>>,
    /// Extensions that are known and not used; none of them may come twice.
    unused: [Option<()>; 5],
}

/// The longest that is read.
const SIZE_MAX: usize = 0xffff;

impl Certificate {
    pub(crate) fn read(der: &[u8]) -> Result<Certificate, Page> {
        if der.len() > SIZE_MAX {
            return Err(BAD_DER);
        }
        let mut outer = only(der, SEQUENCE)?;
        let tbs = outer.element(SEQUENCE)?;
        let algorithm = outer.value(SEQUENCE)?;
        let signature = outer.whole_bits().map_err(|_| super::BAD_SIGNATURE)?;
        outer.end()?;

        let mut reader = Reader(tbs.value);
        let version = version(&mut reader)?;
        let serial = reader.integer()?;
        let inner_algorithm = reader.value(SEQUENCE)?;
        let issuer = reader.element(SEQUENCE)?.whole;
        let validity = reader.value(SEQUENCE)?;
        let subject = reader.element(SEQUENCE)?.whole;
        let key_info = reader.element(SEQUENCE)?.whole;
        for number in [1, 2] {
            if reader.is_next(context(number)) {
                reader.any()?;
            }
        }
        let mut certificate = Certificate {
            der: der.to_vec(),
            signed: Arc::new(Signed::new(tbs.whole, signature)),
            algorithm: algorithm.to_vec(),
            inner_algorithm: inner_algorithm.to_vec(),
            version,
            serial: serial.to_vec(),
            issuer: issuer.to_vec(),
            subject: subject.to_vec(),
            key_info: key_info.to_vec(),
            validity: validity.to_vec(),
            key_usage: None,
            names: None,
            constraints: None,
            name_constraints: None,
            purposes: None,
            tls_features: None,
            access: None,
            timestamps: None,
            unused: [None; 5],
        };
        if reader.is_next(constructed(3)) {
            let mut wrapped = reader.inside(constructed(3))?;
            let mut extensions = wrapped.inside(SEQUENCE)?;
            while !extensions.is_empty() {
                let mut extension = extensions.inside(SEQUENCE)?;
                certificate.read_extension(&mut extension)?;
                extension.end()?;
            }
            wrapped.end()?;
        }
        let is_old_type = certificate.unused[NETSCAPE_TYPE].is_some();
        // What it says must be said by these two, too.
        if is_old_type && (certificate.constraints.is_none() || certificate.purposes.is_none()) {
            return Err(UNKNOWN_CRITICAL);
        }
        reader.end()?;
        Ok(certificate)
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn read_extension(&mut self, extension: &mut Reader<'_>) -> Result<(), Page> {
        let oid = extension.value(OID)?;
        let is_critical = extension.optional_boolean()?;
        let value = extension.value(OCTET_STRING)?;
        let place = match oid {
            [0x55, 0x1d, 0x0f] => &mut self.key_usage,
            [0x55, 0x1d, 0x11] => &mut self.names,
            [0x55, 0x1d, 0x13] => &mut self.constraints,
            [0x55, 0x1d, 0x1e] => &mut self.name_constraints,
            [0x55, 0x1d, 0x25] => &mut self.purposes,
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18] => &mut self.tls_features,
            [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01] => &mut self.access,
            [0x2b, 0x06, 0x01, 0x04, 0x01, 0xd6, 0x79, 0x02, 0x04, 0x02] => &mut self.timestamps,
            _ => {
                return match unused(oid, is_critical) {
                    Some(number) if value.is_empty() && number != NO_CHECK => Err(EXTENSION_INVALID),
                    // Of this one Firefox remembers nothing.
                    Some(POLICY_CONSTRAINTS | NO_CHECK) => Ok(()),
                    Some(number) => {
                        self.unused[number].replace(()).map_or(Ok(()), |()| Err(EXTENSION_INVALID))
                    }
                    None if is_critical => Err(UNKNOWN_CRITICAL),
                    None => Ok(()),
                };
            }
        };
        if value.is_empty() || place.is_some() {
            return Err(EXTENSION_INVALID);
        }
        *place = Some(value.to_vec());
        Ok(())
    }
}

const POLICY_CONSTRAINTS: usize = 1;
const NO_CHECK: usize = 3;
const NETSCAPE_TYPE: usize = 4;

/// The place of an extension that Firefox knows and makes nothing of.
fn unused(oid: &[u8], is_critical: bool) -> Option<usize> {
    match oid {
        // certificatePolicies, policyConstraints, inhibitAnyPolicy.
        [0x55, 0x1d, 0x20] => Some(0),
        [0x55, 0x1d, 0x24] => Some(POLICY_CONSTRAINTS),
        [0x55, 0x1d, 0x36] => Some(2),
        // id-pkix-ocsp-nocheck and Netscape's certificate type, which are looked at only where they must be understood.
        [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05] if is_critical => Some(NO_CHECK),
        [0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x01] if is_critical => Some(NETSCAPE_TYPE),
        _ => None,
    }
}

fn version(reader: &mut Reader<'_>) -> Result<u8, Page> {
    if !reader.is_next(constructed(0)) {
        return Ok(1);
    }
    let mut inside = reader.inside(constructed(0))?;
    let version = inside.small()?;
    inside.end()?;
    if version <= 3 { Ok(version + 1) } else { Err(BAD_DER) }
}
