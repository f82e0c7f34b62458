//! Key pairs, and what is signed with them: requests and self-signed certificates.

use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, KeyPair, PublicKeyData as _, RsaKeySize,
    SerialNumber, SignatureAlgorithm,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use time::OffsetDateTime;

use crate::maker::Maker;
use crate::random;

/// What kind of key pair.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Algorithm {
    /// The NIST curve P-256, which TLS calls secp256r1.
    P256,
    /// RSA with a modulus of so many bits: 2048, 3072 or 4096.
    Rsa(RsaBits),
}

/// The RSA key lengths this camera makes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RsaBits {
    B2048,
    B3072,
    B4096,
}

/// The signature algorithms this camera has, by OID.
pub(crate) const SIGNATURES: [&str; 4] =
    ["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13", "1.2.840.10045.4.3.2"];

/// A private key and the public key that belongs to it.
#[derive(Debug)]
pub(crate) struct Pair {
    /// PKCS#8, PKCS#1 or SEC1.
    pub(crate) private: PrivateKeyDer<'static>,
    /// SubjectPublicKeyInfo in DER.
    pub(crate) public: Vec<u8>,
}

impl Clone for Pair {
    fn clone(&self) -> Self {
        Pair { private: self.private.clone_key(), public: self.public.clone() }
    }
}

impl Pair {
    /// Makes one. Takes a moment of a whole processor for RSA.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, rcgen::Error> {
        let key = match algorithm {
            Algorithm::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?,
            Algorithm::Rsa(bits) => {
                let size = match bits {
                    RsaBits::B2048 => RsaKeySize::_2048,
                    RsaBits::B3072 => RsaKeySize::_3072,
                    RsaBits::B4096 => RsaKeySize::_4096,
                };
                KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)?
            }
        };
        let private =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Pair { private, public: key.subject_public_key_info() })
    }

    /// Takes a private key from outside; none if TLS could not use it.
    pub(crate) fn from_private(private: PrivateKeyDer<'static>) -> Option<Self> {
        let signer = any_supported_type(&private).ok()?;
        let public = signer.public_key()?.as_ref().to_vec();
        Some(Pair { private, public })
    }

    /// A key as uploaded: PKCS#8, PKCS#1 or SEC1 in DER, not encrypted.
    pub(crate) fn from_der(der: &[u8]) -> Option<Self> {
        Pair::from_private(PrivateKeyDer::try_from(der.to_vec()).ok()?)
    }

    /// Whether it can sign this way: an RSA key cannot make an ECDSA signature.
    pub(crate) fn can_sign(&self, algorithm: &'static SignatureAlgorithm) -> bool {
        self.signer(algorithm).is_ok()
    }

    fn signer(&self, algorithm: &'static SignatureAlgorithm) -> Result<KeyPair, rcgen::Error> {
        KeyPair::from_der_and_sign_algo(&self.private, algorithm)
    }
}

/// How the camera signs, by OID; none if it cannot.
pub(crate) fn signature(oid: &str) -> Option<&'static SignatureAlgorithm> {
    match oid {
        "1.2.840.113549.1.1.11" => Some(&rcgen::PKCS_RSA_SHA256),
        "1.2.840.113549.1.1.12" => Some(&rcgen::PKCS_RSA_SHA384),
        "1.2.840.113549.1.1.13" => Some(&rcgen::PKCS_RSA_SHA512),
        "1.2.840.10045.4.3.2" => Some(&rcgen::PKCS_ECDSA_P256_SHA256),
        _ => None,
    }
}

/// Who and what a request or a certificate is about.
pub(crate) struct Contents {
    pub(crate) subject: DistinguishedName,
    pub(crate) extensions: Vec<CustomExtension>,
}

impl Contents {
    fn parameters(self) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = self.subject;
        parameters.custom_extensions = self.extensions;
        parameters
    }
}

/// A PKCS#10 request in DER (RFC 2986), signed by its own key.
pub(crate) fn request(
    pair: &Pair,
    algorithm: &'static SignatureAlgorithm,
    contents: Contents,
) -> Result<Vec<u8>, rcgen::Error> {
    let signer = pair.signer(algorithm)?;
    Ok(contents.parameters().serialize_request(&signer)?.der().to_vec())
}

/// A certificate in DER with a random serial number, signed by its maker or, where there is none, by itself.
pub(crate) fn certificate(
    pair: &Pair,
    algorithm: &'static SignatureAlgorithm,
    contents: Contents,
    validity: (OffsetDateTime, OffsetDateTime),
    maker: Option<&Maker>,
) -> Result<Vec<u8>, rcgen::Error> {
    let signer = pair.signer(algorithm)?;
    let mut parameters = contents.parameters();
    (parameters.not_before, parameters.not_after) = validity;
    // Positive and without a leading zero, as RFC 5280 section 4.1.2.2 wants it.
    let mut serial = random::bytes::<16>();
    serial[0] = serial[0] & 0x3f | 0x40;
    parameters.serial_number = Some(SerialNumber::from_slice(&serial));
    let certificate = match maker {
        Some(maker) => parameters.signed_by(&signer, maker.issuer())?,
        None => parameters.self_signed(&signer)?,
    };
    Ok(certificate.der().to_vec())
}
