//! What Chromium's TLS looks at in a server's certificate before anything else of the browser sees it.

use super::{
    certificate::Certificate,
    der::{Reader, bits, only_sequence},
    keys::public_key,
};
use crate::der::{BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE, constructed, context};

pub(crate) const USAGE: &str = "ERR_SSL_KEY_USAGE_INCOMPATIBLE";
const PROTOCOL: &str = "ERR_SSL_PROTOCOL_ERROR";

/// The error page if it finds no public key, or one that may not be used as this number of keyUsage says.
pub(crate) fn page(der: &[u8], certificate: Option<&Certificate>, use_of_key: u8) -> Option<&'static str> {
    let may_use = match certificate {
        // It was read for the verifier, who is stricter.
        Some(certificate) => certificate.key.as_ref().map(|_| !certificate.may_not(use_of_key)),
        None => may_use(der, use_of_key),
    };
    match may_use {
        None => Some(PROTOCOL),
        Some(false) => Some(USAGE),
        Some(true) => None,
    }
}

/// Only what stands before the key usage is looked at.
fn may_use(der: &[u8], use_of_key: u8) -> Option<bool> {
    let mut tbs = only_sequence(der)?.sequence()?;
    tbs.optional(constructed(0))?;
    tbs.value(INTEGER)?;
    for _ in ["signature", "issuer", "validity", "subject"] {
        tbs.value(SEQUENCE)?;
    }
    public_key(tbs.element(SEQUENCE)?.whole)?;
    tbs.optional(context(1))?;
    tbs.optional(context(2))?;
    let Some(extensions) = tbs.optional(constructed(3))? else { return Some(true) };
    let mut extensions = Reader(extensions).sequence()?;
    while !extensions.is_empty() {
        let mut extension = extensions.sequence()?;
        let oid = extension.value(OID)?;
        extension.optional(BOOLEAN)?;
        let mut value = Reader(extension.value(OCTET_STRING)?);
        extension.end()?;
        if oid == [0x55, 0x1d, 0x0f] {
            let (_, bytes) = bits(value.value(BIT_STRING)?)?;
            value.end()?;
            let byte = bytes.get(usize::from(use_of_key / 8)).copied().unwrap_or_default();
            return Some(byte & (0x80 >> (use_of_key % 8)) != 0);
        }
    }
    Some(true)
}
