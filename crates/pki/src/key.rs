use std::{fmt, str::FromStr};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        self, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey, VerificationAlgorithm,
    },
};
use der::{
    Decode, Encode, Sequence, Tag, Tagged,
    asn1::{AnyRef, ObjectIdentifier, UintRef},
};
use serde::{Deserialize, Serialize};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use zeroize::Zeroizing;

use crate::{Error, elements::elements, pem, weak};

pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// The kinds of key that Camlock makes. P-521 and Ed25519 are not among them: Chromium refuses both in
/// server certificates (ERR_SSL_VERSION_OR_CIPHER_MISMATCH).
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// RSA, 2048 bits: what every camera takes.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA, 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA, 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
}

impl KeyKind {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            KeyKind::Rsa2048 => "rsa-2048",
            KeyKind::Rsa3072 => "rsa-3072",
            KeyKind::Rsa4096 => "rsa-4096",
            KeyKind::P256 => "p256",
            KeyKind::P384 => "p384",
        }
    }
}

impl FromStr for KeyKind {
    type Err = Error;

    fn from_str(s: &str) -> Result<KeyKind, Error> {
        [KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096, KeyKind::P256, KeyKind::P384]
            .into_iter()
            .find(|k| k.name() == s)
            .ok_or_else(|| Error::UnsupportedKey { key: s.chars().take(40).collect() })
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A private key in this process's memory. Shows nothing of itself.
pub enum PrivateKey {
    /// RSA, signs with PKCS#1 v1.5 and SHA-256.
    Rsa(RsaKeyPair),
    /// ECDSA, signs with the hash of the curve's size.
    Ec(EcdsaKeyPair, KeyKind),
}

impl PrivateKey {
    /// A new key. RSA takes tens of milliseconds to a second: not for an async thread.
    pub fn generate(kind: KeyKind) -> Result<PrivateKey, Error> {
        let failed = |_| Error::Crypto { operation: format!("generating a {kind} key") };
        let rsa = |size| RsaKeyPair::generate(size).map(PrivateKey::Rsa).map_err(failed);
        match kind {
            KeyKind::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyKind::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyKind::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)
                .map(|k| PrivateKey::Ec(k, kind))
                .map_err(failed),
            KeyKind::P384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING)
                .map(|k| PrivateKey::Ec(k, kind))
                .map_err(failed),
        }
    }

    /// Reads unencrypted PKCS#8 DER (RFC 5208).
    pub fn from_pkcs8(der: &[u8]) -> Result<PrivateKey, Error> {
        if let Ok(k) = RsaKeyPair::from_pkcs8(der) {
            return Ok(PrivateKey::Rsa(k));
        }
        for (alg, kind) in [
            (&ECDSA_P256_SHA256_ASN1_SIGNING, KeyKind::P256),
            (&ECDSA_P384_SHA384_ASN1_SIGNING, KeyKind::P384),
        ] {
            if let Ok(k) = EcdsaKeyPair::from_pkcs8(alg, der) {
                return Ok(PrivateKey::Ec(k, kind));
            }
        }
        Err(Error::Crypto { operation: "reading a private key".into() })
    }

    /// Unencrypted PKCS#8 DER.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |_| Error::Crypto { operation: "writing a private key".into() };
        match self {
            PrivateKey::Rsa(k) => AsDer::<Pkcs8V1Der<'_>>::as_der(k)
                .map(|d| Zeroizing::new(d.as_ref().to_vec()))
                .map_err(failed),
            PrivateKey::Ec(k, _) => {
                k.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(failed)
            }
        }
    }

    /// Unencrypted PKCS#8 in PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        Ok(pem::block("PRIVATE KEY", &self.to_pkcs8()?))
    }

    /// The public half.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        let failed = |_| Error::Crypto { operation: "writing a public key".into() };
        let der = match self {
            PrivateKey::Rsa(k) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(k.public_key()).map_err(failed)?.as_ref().to_vec()
            }
            PrivateKey::Ec(k, _) => {
                AsDer::<PublicKeyX509Der<'_>>::as_der(k.public_key()).map_err(failed)?.as_ref().to_vec()
            }
        };
        PublicKey::from_der(&der)
    }

    pub(crate) fn signature_algorithm(&self) -> AlgorithmIdentifierOwned {
        match self {
            // RFC 4055, section 5: the parameters of RSA signatures are NULL; RFC 5758: ECDSA has none.
            PrivateKey::Rsa(_) => {
                AlgorithmIdentifierOwned { oid: SHA256_WITH_RSA, parameters: Some(AnyRef::NULL.into()) }
            }
            PrivateKey::Ec(_, KeyKind::P384) => {
                AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA384, parameters: None }
            }
            PrivateKey::Ec(..) => AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let failed = |_| Error::Crypto { operation: "signing".into() };
        let rng = SystemRandom::new();
        match self {
            PrivateKey::Rsa(k) => {
                let mut signature = vec![0; k.public_modulus_len()];
                k.sign(&signature::RSA_PKCS1_SHA256, &rng, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            PrivateKey::Ec(k, _) => Ok(k.sign(&rng, message).map_err(failed)?.as_ref().to_vec()),
        }
    }

    /// Whether the signature is this key's.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, public): (&dyn VerificationAlgorithm, &[u8]) = match self {
            PrivateKey::Rsa(k) => (&signature::RSA_PKCS1_2048_8192_SHA256, k.public_key().as_ref()),
            PrivateKey::Ec(k, KeyKind::P384) => (&signature::ECDSA_P384_SHA384_ASN1, k.public_key().as_ref()),
            PrivateKey::Ec(k, _) => (&signature::ECDSA_P256_SHA256_ASN1, k.public_key().as_ref()),
        };
        algorithm.verify_sig(public, message, signature).is_ok()
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}

/// A public key of a kind that a camera's certificate may hold: RSA of 2048 to 8192 bits with an ordinary
/// exponent and a modulus without a known weakness, P-256 or P-384.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey {
    spki: SubjectPublicKeyInfoOwned,
    name: String,
}

/// RFC 8017, appendix A.1.1
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) and refuses what is weak or unusual.
    pub fn from_der(der: &[u8]) -> Result<PublicKey, Error> {
        let spki = SubjectPublicKeyInfoOwned::from_der(der)
            .map_err(|e| Error::UnsupportedKey { key: e.to_string() })?;
        PublicKey::new(spki)
    }

    pub(crate) fn new(mut spki: SubjectPublicKeyInfoOwned) -> Result<PublicKey, Error> {
        let name = describe(&spki);
        match name.as_str() {
            "rsa" => return Err(why_unreadable(&spki)),
            "ec" => return Err(Error::CurveNotNamed),
            _ => {}
        }
        if let Some(bits) = name.strip_prefix("rsa-").and_then(|b| b.parse::<usize>().ok()) {
            if bits < 2048 {
                return Err(Error::KeyTooWeak { key: name });
            }
            // RFC 3279, section 2.3.1: the parameters are NULL. Some leave them out, which Go refuses.
            let parameters = spki.algorithm.parameters.get_or_insert(AnyRef::NULL.into());
            if bits > 8192 || *parameters != AnyRef::NULL.into() {
                return Err(Error::UnsupportedKey { key: name });
            }
            check_rsa(&spki, &name)?;
        } else {
            // RFC 5480, section 2.2: browsers want the point as it is, not compressed.
            let point = spki.subject_public_key.as_bytes().unwrap_or_default();
            match (name.as_str(), point.first(), point.len()) {
                ("p256", Some(4), 65) | ("p384", Some(4), 97) => {}
                _ => return Err(Error::UnsupportedKey { key: known_as(name) }),
            }
        }
        Ok(PublicKey { spki, name })
    }

    /// `rsa-2048`, `p256`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the key is RSA: then TLS 1.2 may use it for key encipherment.
    pub fn is_rsa(&self) -> bool {
        self.name.starts_with("rsa-")
    }

    pub(crate) fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        &self.spki
    }

    /// The key bits without their algorithm: PKCS#1 for RSA, the point for ECDSA.
    pub(crate) fn bits(&self) -> &[u8] {
        self.spki.subject_public_key.raw_bytes()
    }

    /// The whole SubjectPublicKeyInfo in DER.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        Ok(self.spki.to_der()?)
    }

    /// Checks a signature made with `algorithm` over `message`.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool, Error> {
        // The signature does not cover its own algorithm's parameters, so nothing may hide there (RFC 4055,
        // section 5: NULL or absent; RFC 5758: absent).
        if algorithm.parameters.as_ref().is_some_and(|p| *p != AnyRef::NULL.into()) {
            return Err(Error::UnsupportedSignature { algorithm: known_as(algorithm.oid.to_string()) });
        }
        let alg: &'static dyn VerificationAlgorithm = match (self.name.as_str(), algorithm.oid) {
            ("p256", ECDSA_WITH_SHA256) => &signature::ECDSA_P256_SHA256_ASN1,
            ("p256", ECDSA_WITH_SHA384) => &signature::ECDSA_P256_SHA384_ASN1,
            ("p256", ECDSA_WITH_SHA512) => &signature::ECDSA_P256_SHA512_ASN1,
            ("p384", ECDSA_WITH_SHA256) => &signature::ECDSA_P384_SHA256_ASN1,
            ("p384", ECDSA_WITH_SHA384) => &signature::ECDSA_P384_SHA384_ASN1,
            ("p384", ECDSA_WITH_SHA512) => &signature::ECDSA_P384_SHA512_ASN1,
            (_, SHA256_WITH_RSA) if self.is_rsa() => &signature::RSA_PKCS1_2048_8192_SHA256,
            (_, SHA384_WITH_RSA) if self.is_rsa() => &signature::RSA_PKCS1_2048_8192_SHA384,
            (_, SHA512_WITH_RSA) if self.is_rsa() => &signature::RSA_PKCS1_2048_8192_SHA512,
            _ => return Err(Error::UnsupportedSignature { algorithm: known_as(algorithm.oid.to_string()) }),
        };
        Ok(UnparsedPublicKey::new(alg, self.bits()).verify(message, signature).is_ok())
    }

    /// Checks a signature that [`PrivateKey::sign`] made over `message`.
    pub(crate) fn verify_own(&self, message: &[u8], signature: &[u8]) -> Result<bool, Error> {
        let oid = match self.name.as_str() {
            "p256" => ECDSA_WITH_SHA256,
            "p384" => ECDSA_WITH_SHA384,
            _ => SHA256_WITH_RSA,
        };
        self.verify(&AlgorithmIdentifierOwned { oid, parameters: None }, message, signature)
    }
}

/// What a public key is, in one word, for any key: `rsa-1024`, `p256`, or the OID of what is not known.
pub(crate) fn describe(spki: &SubjectPublicKeyInfoOwned) -> String {
    match spki.algorithm.oid {
        RSA_ENCRYPTION => match rsa_parts(spki) {
            Some(key) => {
                let bytes = key.modulus.as_bytes();
                let leading = bytes.first().map_or(0, |b| b.leading_zeros() as usize);
                format!("rsa-{}", bytes.len() * 8 - leading)
            }
            None => "rsa".into(),
        },
        EC_PUBLIC_KEY => match spki.algorithm.parameters.as_ref().and_then(|p| p.decode_as().ok()) {
            Some(P256) => "p256".into(),
            Some(P384) => "p384".into(),
            Some(curve) => format!("ec-{curve}"),
            None => "ec".into(),
        },
        other => other.to_string(),
    }
}

/// Whether a signature algorithm hashes with SHA-2, and is one that Camlock uses.
pub(crate) fn is_sha2(algorithm: &AlgorithmIdentifierOwned) -> bool {
    [
        SHA256_WITH_RSA,
        SHA384_WITH_RSA,
        SHA512_WITH_RSA,
        ECDSA_WITH_SHA256,
        ECDSA_WITH_SHA384,
        ECDSA_WITH_SHA512,
    ]
    .contains(&algorithm.oid)
}

fn rsa_parts(spki: &SubjectPublicKeyInfoOwned) -> Option<RsaPublicKey<'_>> {
    RsaPublicKey::from_der(spki.subject_public_key.as_bytes()?).ok()
}

/// Why the numbers of an RSA key cannot be read. Some firmware leaves away the zero byte that keeps a number whose first
/// bit is set from being a negative one (X.690, section 8.3.3).
fn why_unreadable(spki: &SubjectPublicKeyInfoOwned) -> Error {
    let parts = spki.subject_public_key.as_bytes().and_then(elements).unwrap_or_default();
    let is_number = |part: &AnyRef<'_>| part.tag() == Tag::Integer;
    let is_negative = |part: &AnyRef<'_>| part.value().first().is_some_and(|b| *b > 0x7f);
    match parts.as_slice() {
        [modulus, exponent] if is_number(modulus) && is_number(exponent) => {
            let key = format!("rsa-{}", modulus.value().len() * 8);
            match is_negative(modulus) || is_negative(exponent) {
                true => Error::KeyNegative { key },
                false => Error::KeyDamaged { key },
            }
        }
        _ => Error::KeyDamaged { key: "rsa".into() },
    }
}

/// Refuses exponents and moduli with which RSA does not hold.
fn check_rsa(spki: &SubjectPublicKeyInfoOwned, name: &str) -> Result<(), Error> {
    let key = rsa_parts(spki).ok_or_else(|| Error::UnsupportedKey { key: name.to_owned() })?;
    let exponent = key.public_exponent.as_bytes();
    // An exponent of 1 signs nothing, an enormous one is a way to make verifiers work for ever.
    if exponent.len() > 4 || exponent == [1] || exponent.last().is_none_or(|b| b & 1 == 0) {
        return Err(Error::KeyExponent { key: name.to_owned() });
    }
    weak::check(key.modulus.as_bytes(), name)
}

/// A key's or a signature's algorithm by the name that people know it by.
fn known_as(oid: String) -> String {
    match oid.as_str() {
        "1.3.101.112" => "Ed25519".into(),
        "1.3.101.113" => "Ed448".into(),
        "1.2.840.10040.4.1" => "DSA".into(),
        "ec-1.3.132.0.10" => "secp256k1".into(),
        "ec-1.3.132.0.33" => "P-224".into(),
        "ec-1.3.132.0.35" => "P-521".into(),
        "1.2.840.113549.1.1.4" => "MD5 with RSA".into(),
        "1.2.840.113549.1.1.5" => "SHA-1 with RSA".into(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".into(),
        "1.2.840.10045.4.1" => "ECDSA with SHA-1".into(),
        _ => oid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_pkcs8_and_its_signature_verifies() {
        for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::P384] {
            let key = PrivateKey::generate(kind).unwrap();
            let again = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            let public = again.public_key().unwrap();
            assert_eq!(public.name(), kind.name());
            let signature = key.sign(b"text").unwrap();
            assert!(public.verify(&key.signature_algorithm(), b"text", &signature).unwrap());
            assert!(!public.verify(&key.signature_algorithm(), b"other", &signature).unwrap());
        }
    }

    #[test]
    fn a_key_shows_nothing_of_itself() {
        let key = PrivateKey::generate(KeyKind::P256).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(..)");
    }
}
