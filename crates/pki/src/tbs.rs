use std::fmt;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use der::{
    Decode, Encode, Sequence,
    asn1::{AnyRef, BitString},
};
use time::OffsetDateTime;
use x509_cert::{
    certificate::Version,
    ext::Extensions,
    name::Name,
    serial_number::SerialNumber,
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
    time::Time,
};

use crate::{Error, PrivateKey, hex};

/// A serial number: 127 bits from the system's random source, never zero or negative, always 16 octets.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Serial([u8; 16]);

impl Serial {
    /// A new one.
    pub fn random() -> Result<Serial, Error> {
        let mut bytes = [0; 16];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Error::Crypto { operation: "drawing a serial number".into() })?;
        // Positive, and the same length for each: 126 bits are free, RFC 5280 asks for 64.
        bytes[0] = bytes[0] & 0x7f | 0x40;
        Ok(Serial(bytes))
    }

    pub(crate) fn number(self) -> Result<SerialNumber, Error> {
        Ok(SerialNumber::new(&self.0)?)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// TBSCertificate (RFC 5280, section 4.1) with fields that can be set; x509-cert keeps its own closed.
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(crate) struct Tbs {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub(crate) version: Version,
    pub(crate) serial_number: SerialNumber,
    pub(crate) signature: AlgorithmIdentifierOwned,
    pub(crate) issuer: Name,
    pub(crate) validity: Validity,
    pub(crate) subject: Name,
    pub(crate) subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Extensions>,
}

/// RFC 5280, section 4.1.2.5
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
pub(crate) struct Validity {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
}

impl Validity {
    /// Whole seconds; UTCTime until 2049 and GeneralizedTime after it, as RFC 5280 demands.
    pub(crate) fn new(not_before: OffsetDateTime, not_after: OffsetDateTime) -> Result<Validity, Error> {
        Ok(Validity { not_before: time(not_before)?, not_after: time(not_after)? })
    }
}

/// Whole seconds; UTCTime until 2049 and GeneralizedTime after it, as RFC 5280 demands.
pub(crate) fn time(t: OffsetDateTime) -> Result<Time, Error> {
    let seconds = u64::try_from(t.unix_timestamp())
        .map_err(|_| Error::Encoding { detail: "a date before 1970".into() })?;
    let date = der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))?;
    Ok(match der::asn1::UtcTime::from_date_time(date) {
        Ok(utc) => Time::UtcTime(utc),
        Err(_) => Time::GeneralTime(der::asn1::GeneralizedTime::from_date_time(date)),
    })
}

/// A certificate built from a profile, neither linted nor signed. Its lints are the only ways on.
#[derive(Debug)]
pub struct Unsigned(pub(crate) Vec<u8>);

impl Unsigned {
    pub(crate) fn new(tbs: &Tbs) -> Result<Unsigned, Error> {
        Ok(Unsigned(tbs.to_der()?))
    }
}

#[derive(Sequence)]
struct Signed<'a> {
    tbs: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// The SEQUENCE of `tbs`, algorithm and signature that certificates and CRLs are. The signature is checked with the
/// issuer's public key before anyone sees it: one that went wrong in the machine can give the RSA key away (Boneh,
/// DeMillo, Lipton 1997).
pub(crate) fn signed(
    tbs: &[u8],
    algorithm: AlgorithmIdentifierOwned,
    key: &PrivateKey,
) -> Result<Vec<u8>, Error> {
    if algorithm != key.signature_algorithm() {
        return Err(Error::Crypto { operation: "signing with another key than the profile names".into() });
    }
    let signature = key.sign(tbs)?;
    if !key.has_signed(tbs, &signature) {
        return Err(Error::Crypto { operation: "checking the signature just made".into() });
    }
    let signed =
        Signed { tbs: AnyRef::from_der(tbs)?, algorithm, signature: BitString::from_bytes(&signature)? };
    Ok(signed.to_der()?)
}
