//! Whether a key signed a certificate. Both browsers ask it of the same keys, and nothing costs more, so answers are kept.

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};

/// What is hashed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Hash),
    Ed25519,
}

/// The kind of a public key, as far as browsers tell them apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// Bits of the modulus.
    Rsa(u32),
    P256,
    P384,
    P521,
    Ed25519,
    Other,
}

/// A public key: what stands in the BIT STRING of a SubjectPublicKeyInfo.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PublicKey {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
}

impl PublicKey {
    /// Whether it is a point of its curve; true for keys without a curve.
    pub(crate) fn is_on_curve(&self) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            Kind::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Kind::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Kind::P521 => &signature::ECDSA_P521_SHA512_ASN1,
            _ => return true,
        };
        ParsedPublicKey::new(algorithm, &self.bytes).is_ok()
    }

    /// Whether a signature of this kind can be by this key at all.
    pub(crate) fn can_make(&self, scheme: Scheme) -> bool {
        match scheme {
            Scheme::RsaPkcs1(_) | Scheme::RsaPss(_) => matches!(self.kind, Kind::Rsa(_)),
            Scheme::Ecdsa(_) => matches!(self.kind, Kind::P256 | Kind::P384 | Kind::P521),
            Scheme::Ed25519 => self.kind == Kind::Ed25519,
        }
    }
}

/// What a certificate's signature is over, and the signature.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    answers: Mutex<Vec<(Scheme, PublicKey, bool)>>,
}

impl Signed {
    pub(crate) fn new(message: &[u8], signature: &[u8]) -> Signed {
        Signed { message: message.to_vec(), signature: signature.to_vec(), answers: Mutex::default() }
    }

    /// Whether this key made it. What RSA keys below 1024 bits signed counts as signed: it is refused anyway, and no
    /// library here computes with them.
    pub(crate) fn is_by(&self, key: &PublicKey, scheme: Scheme) -> bool {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((.., answer)) = answers.iter().find(|(s, k, _)| (s, k) == (&scheme, key)) {
            return *answer;
        }
        let answer = match key.kind {
            Kind::Rsa(..1024) => key.can_make(scheme),
            kind => verification(scheme, kind).is_some_and(|algorithm| {
                let key = signature::UnparsedPublicKey::new(algorithm, &key.bytes);
                key.verify(&self.message, &self.signature).is_ok()
            }),
        };
        answers.push((scheme, key.clone(), answer));
        answer
    }
}

fn verification(scheme: Scheme, key: Kind) -> Option<&'static dyn VerificationAlgorithm> {
    use Hash::{Sha1, Sha256, Sha384, Sha512};
    Some(match (scheme, key) {
        // Browsers take 1024 bits below a root that was added by hand.
        (Scheme::RsaPkcs1(Sha1), Kind::Rsa(_)) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Scheme::RsaPkcs1(Sha256), Kind::Rsa(_)) => {
            &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        (Scheme::RsaPkcs1(Sha384), Kind::Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Scheme::RsaPkcs1(Sha512), Kind::Rsa(_)) => {
            &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        (Scheme::RsaPss(Sha256), Kind::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA256,
        (Scheme::RsaPss(Sha384), Kind::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA384,
        (Scheme::RsaPss(Sha512), Kind::Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA512,
        (Scheme::Ecdsa(Sha1), Kind::P256) => &signature::ECDSA_P256_SHA1_ASN1,
        (Scheme::Ecdsa(Sha256), Kind::P256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Kind::P256) => &signature::ECDSA_P256_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Kind::P256) => &signature::ECDSA_P256_SHA512_ASN1,
        (Scheme::Ecdsa(Sha256), Kind::P384) => &signature::ECDSA_P384_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Kind::P384) => &signature::ECDSA_P384_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Kind::P384) => &signature::ECDSA_P384_SHA512_ASN1,
        (Scheme::Ecdsa(Sha1), Kind::P521) => &signature::ECDSA_P521_SHA1_ASN1,
        (Scheme::Ecdsa(Sha256), Kind::P521) => &signature::ECDSA_P521_SHA256_ASN1,
        (Scheme::Ecdsa(Sha384), Kind::P521) => &signature::ECDSA_P521_SHA384_ASN1,
        (Scheme::Ecdsa(Sha512), Kind::P521) => &signature::ECDSA_P521_SHA512_ASN1,
        (Scheme::Ed25519, Kind::Ed25519) => &signature::ED25519,
        _ => return None,
    })
}
