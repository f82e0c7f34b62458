//! Private keys as files hold them: PEM or DER; PKCS#8 (RFC 5208), PKCS#1 (RFC 8017) and SEC1 (RFC 5915), each plain
//! or encrypted.

use aws_lc_rs::{
    encoding::AsDer,
    rsa::KeyPair as RsaKeyPair,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair},
};
use der::{
    Decode, Sequence, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef},
};
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use crate::{
    Error, KeyKind, PrivateKey,
    elements::elements,
    key::{EC_PUBLIC_KEY, P256, P384, RSA_ENCRYPTION},
    pbe::{self, Budget, Password},
    pem,
};

/// The largest file with a key or a package that is read, bytes. With a long chain it takes about 20,000.
pub const MAX_KEY_FILE: usize = 256 * 1024;

/// Kinds of keys that are named when they are refused.
const KNOWN: [(&str, &str); 6] = [
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.840.10040.4.1", "DSA"),
];

impl PrivateKey {
    /// Reads the one private key of a file: PEM with any text and other blocks around it, or DER. An encrypted one
    /// needs `passphrase`; a plain one ignores it.
    pub fn read(bytes: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, Error> {
        let text = text_of(bytes)?;
        let blocks = pem::raw_blocks(&text);
        if blocks.is_empty() {
            return from_der(bytes, passphrase);
        }
        match key_blocks(blocks).as_slice() {
            [(label, body)] => from_block(label, *body, passphrase),
            [] => Err(Error::NotAPrivateKey { detail: "no PRIVATE KEY block in the file".into() }),
            several => Err(Error::SeveralPrivateKeys { count: several.len() }),
        }
    }

    /// Reads each private key of a file as [`PrivateKey::read`] reads one.
    pub fn read_all(bytes: &[u8], passphrase: Option<&str>) -> Result<Vec<Result<PrivateKey, Error>>, Error> {
        let text = text_of(bytes)?;
        let blocks = pem::raw_blocks(&text);
        if blocks.is_empty() {
            return Ok(vec![from_der(bytes, passphrase)]);
        }
        Ok(key_blocks(blocks).into_iter().map(|(label, body)| from_block(label, body, passphrase)).collect())
    }

    /// Reads plain PKCS#8, PKCS#1 or SEC1 in DER.
    pub(crate) fn from_plain(der: &[u8]) -> Result<PrivateKey, Error> {
        let rsa = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der));
        let p256 = || EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der);
        let p384 = || EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_ASN1_SIGNING, der);
        let key = match rsa {
            Ok(key) => PrivateKey::Rsa(key),
            Err(_) => match (p256(), p384()) {
                (Ok(key), _) => PrivateKey::Ec(key, KeyKind::P256),
                (_, Ok(key)) => PrivateKey::Ec(key, KeyKind::P384),
                _ => return Err(why_not(der)),
            },
        };
        // What is asked of others' keys is asked of this one.
        key.public_key()?;
        Ok(key)
    }

    /// The key as OpenSSL wrote it before PKCS#8, in DER, with the label of its PEM block.
    pub(crate) fn to_traditional(&self) -> Result<(&'static str, Zeroizing<Vec<u8>>), Error> {
        let failed = || Error::Crypto { operation: "writing a private key".into() };
        match self {
            PrivateKey::Rsa(_) => {
                let pkcs8 = self.to_pkcs8()?;
                let key = pkcs8_parts(&pkcs8).ok_or_else(failed)?.1;
                Ok(("RSA PRIVATE KEY", Zeroizing::new(key.as_bytes().to_vec())))
            }
            PrivateKey::Ec(key, _) => {
                let der = key.private_key().as_der().map_err(|_| failed())?;
                Ok(("EC PRIVATE KEY", Zeroizing::new(der.as_ref().to_vec())))
            }
        }
    }
}

fn text_of(bytes: &[u8]) -> Result<Zeroizing<String>, Error> {
    if bytes.len() > MAX_KEY_FILE {
        return Err(Error::FileTooLarge { bytes: bytes.len(), limit: MAX_KEY_FILE });
    }
    Ok(pem::text(bytes))
}

/// A PEM block: its label and its body, `None` where it does not end.
type Block<'a> = (&'a str, Option<&'a str>);

fn key_blocks(blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
    blocks.into_iter().filter(|(label, _)| label.ends_with("PRIVATE KEY")).collect()
}

fn from_block(label: &str, body: Option<&str>, passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    if label == "OPENSSH PRIVATE KEY" {
        return Err(Error::UnsupportedKey { key: "OpenSSH".into() });
    }
    let damaged = || Error::NotAPrivateKey { detail: "the PEM block is damaged".into() };
    from_pem(body.ok_or_else(damaged)?, passphrase)?.ok_or_else(damaged)
}

/// `None` where headers or base64 are damaged.
fn from_pem(body: &str, passphrase: Option<&str>) -> Result<Option<PrivateKey>, Error> {
    let headers = body.lines().filter_map(|line| line.split_once(':'));
    let cipher = headers.filter(|(name, _)| name.trim() == "DEK-Info").map(|(_, value)| value).next();
    let Some(cipher) = cipher else {
        return pem::decode(body).map(|der| from_der(&der, passphrase)).transpose();
    };
    let base64 = &body[body.rfind(':').unwrap_or_default()..];
    let data = base64.split_once('\n').and_then(|(_, base64)| pem::decode(base64));
    let parts = cipher.split_once(',').and_then(|(name, iv)| Some((name.trim(), unhex(iv.trim())?)));
    let (Some((cipher, iv)), Some(data)) = (parts, data) else { return Ok(None) };
    let passphrase = passphrase.ok_or(Error::FilePassphraseMissing)?;
    let password = Password::new(passphrase);
    PrivateKey::from_plain(&pbe::decrypt_traditional(cipher, &iv, &password, &data)?).map(Some)
}

fn from_der(der: &[u8], passphrase: Option<&str>) -> Result<PrivateKey, Error> {
    match EncryptedKey::from_der(der) {
        Ok(encrypted) => {
            let password = Password::new(passphrase.ok_or(Error::FilePassphraseMissing)?);
            encrypted.open(&password, &mut Budget::new())
        }
        Err(_) => PrivateKey::from_plain(der),
    }
}

/// RFC 5208, section 6
#[derive(Sequence)]
pub(crate) struct EncryptedKey<'a> {
    pub(crate) algorithm: AlgorithmIdentifierRef<'a>,
    pub(crate) data: &'a OctetStringRef,
}

impl EncryptedKey<'_> {
    pub(crate) fn open(&self, password: &Password, budget: &mut Budget) -> Result<PrivateKey, Error> {
        let plain = pbe::decrypt(&self.algorithm, password, self.data.as_bytes(), budget)?;
        PrivateKey::from_plain(&plain)
    }
}

/// Why bytes are no key that can be used, as exactly as they allow.
fn why_not(der: &[u8]) -> Error {
    let Some(parts) = elements(der) else {
        return Error::NotAPrivateKey { detail: "neither PEM nor DER".into() };
    };
    let kind = match pkcs8_parts(der) {
        Some((algorithm, key)) => match algorithm.oid {
            RSA_ENCRYPTION => elements(key.as_bytes()).and_then(|parts| rsa_name(&parts)),
            EC_PUBLIC_KEY => algorithm.parameters.and_then(curve),
            other => Some(known(other)),
        },
        None => match parts.get(1).map(Tagged::tag) {
            // Version, modulus, exponents, primes and their relations.
            Some(Tag::Integer) if parts.len() >= 9 => rsa_name(&parts),
            // Version, p, q, g, and the two halves.
            Some(Tag::Integer) if parts.len() == 6 => Some("DSA".into()),
            Some(Tag::OctetString) => parts.iter().find_map(|part| {
                let parameters = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
                (part.tag() == parameters).then(|| AnyRef::from_der(part.value()).ok().and_then(curve))?
            }),
            _ => None,
        },
    };
    let unusable = |key: String| match key.strip_prefix("rsa-").and_then(|bits| bits.parse::<usize>().ok()) {
        Some(bits) if bits < 2048 => Error::KeyTooWeak { key },
        Some(2048..=8192) => {
            Error::NotAPrivateKey { detail: format!("its parts ({key}) do not fit together") }
        }
        None if key == "ec" => Error::CurveNotNamed,
        _ => Error::UnsupportedKey { key },
    };
    kind.map_or_else(|| Error::NotAPrivateKey { detail: "of no form that is known".into() }, unusable)
}

/// Algorithm and key of PKCS#8 (RFC 5208, section 5).
fn pkcs8_parts(der: &[u8]) -> Option<(AlgorithmIdentifierRef<'_>, &OctetStringRef)> {
    let parts = elements(der)?;
    let [version, algorithm, key, ..] = parts.as_slice() else { return None };
    version.decode_as::<u8>().ok()?;
    Some((algorithm.decode_as().ok()?, key.decode_as().ok()?))
}

fn rsa_name(parts: &[AnyRef<'_>]) -> Option<String> {
    let modulus: UintRef<'_> = parts.get(1)?.decode_as().ok()?;
    let bytes = modulus.as_bytes();
    Some(format!("rsa-{}", bytes.len() * 8 - bytes.first()?.leading_zeros() as usize))
}

/// The curve's name; `None` for the two that are good, since then something else is wrong.
fn curve(parameters: AnyRef<'_>) -> Option<String> {
    match parameters.decode_as::<ObjectIdentifier>() {
        Ok(P256 | P384) => None,
        Ok(other) => Some(known(other)),
        Err(_) => Some("ec".into()),
    }
}

fn known(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    KNOWN.into_iter().find(|(known, _)| *known == oid).map_or(oid, |(_, name)| name.to_owned())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: &u8| char::from(*c).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair.first()?)? * 16 + digit(pair.get(1)?)?) as u8);
    text.as_bytes().chunks(2).map(pair).collect()
}
