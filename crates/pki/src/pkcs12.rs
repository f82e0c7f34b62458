//! PKCS#12 (RFC 7292): one private key and its certificates under a passphrase.
//!
//! The structures are few, and what reads them must share one [`Budget`] over everything in the file, wipe the key
//! wherever it stood, and take BER: no crate does all three.

use aws_lc_rs::{digest, hmac};
use der::{
    Any, Decode, Encode, Sequence, Tag, TagNumber, Tagged,
    asn1::{AnyRef, ObjectIdentifier, OctetStringRef, SetOfVec},
};
use x509_cert::{attr::Attribute, spki::AlgorithmIdentifierRef};
use zeroize::Zeroizing;

use crate::{
    Certificate, Error, MAX_KEY_FILE, PrivateKey, ber,
    key_file::EncryptedKey,
    pbe::{self, Budget, Password, Protection, Purpose},
};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");
const FRIENDLY_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.20");
const LOCAL_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.21");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SHA224: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4");

/// What a PKCS#12 package held.
#[derive(Debug)]
pub struct Unpacked {
    /// The one private key.
    pub key: PrivateKey,
    /// The certificate of this key first, if there is one; then the others as they stood.
    pub certificates: Vec<Certificate>,
}

/// RFC 7292, section 4
#[derive(Sequence)]
struct Pfx<'a> {
    version: u8,
    safes: ContentInfo<'a>,
    mac: Option<MacData<'a>>,
}

#[derive(Sequence)]
struct MacData<'a> {
    mac: DigestInfo<'a>,
    salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    iterations: u32,
}

#[derive(Sequence)]
struct DigestInfo<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    digest: &'a OctetStringRef,
}

/// RFC 5652, section 3
#[derive(Sequence)]
struct ContentInfo<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: AnyRef<'a>,
}

/// RFC 5652, section 8
#[derive(Sequence)]
struct EncryptedData<'a> {
    version: u8,
    content: EncryptedContent<'a>,
}

#[derive(Sequence)]
struct EncryptedContent<'a> {
    kind: ObjectIdentifier,
    algorithm: AlgorithmIdentifierRef<'a>,
    /// An octet string under the implicit tag 0, in BER also in pieces.
    data: AnyRef<'a>,
}

/// RFC 7292, section 4.2
#[derive(Sequence)]
struct SafeBag<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    value: AnyRef<'a>,
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
struct CertificateBag<'a> {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    certificate: &'a OctetStringRef,
}

fn one() -> u32 {
    1
}

/// Reads a package that holds exactly one private key, in DER or BER, with the protections that OpenSSL, Java, Windows
/// and browsers have used. Without `passphrase` it is tried with none and an empty one.
pub fn read(bytes: &[u8], passphrase: Option<&str>) -> Result<Unpacked, Error> {
    if bytes.len() > MAX_KEY_FILE {
        return Err(Error::FileTooLarge { bytes: bytes.len(), limit: MAX_KEY_FILE });
    }
    let der = ber::to_der(bytes).ok_or_else(|| damaged("neither DER nor BER"))?;
    let pfx = Pfx::from_der(&der).map_err(|_| damaged("other contents"))?;
    if pfx.version != 3 || pfx.safes.kind != DATA {
        return Err(damaged("another version, or signed with a certificate"));
    }
    let safes = octets(pfx.safes.content)?;
    let mut reading = Reading { budget: Budget::new(), keys: Vec::new(), certificates: Vec::new() };
    let password = reading.password(pfx.mac.as_ref(), safes, passphrase)?;

    let safes = ber::to_der(safes).ok_or_else(|| damaged("its contents are damaged"))?;
    for safe in read_all::<ContentInfo<'_>>(&safes)? {
        match safe.kind {
            DATA => {
                let bags = ber::to_der(octets(safe.content)?).ok_or_else(|| damaged("a part is damaged"))?;
                reading.take(&bags, &password)?;
            }
            ENCRYPTED_DATA => {
                let encrypted: EncryptedData<'_> =
                    safe.content.decode_as().map_err(|_| damaged("an encrypted part is damaged"))?;
                let bags = reading.decrypt(&encrypted.content, &password)?;
                reading.take(&bags, &password)?;
            }
            _ => return Err(Error::UnsupportedEncryption { algorithm: safe.kind.to_string() }),
        }
    }
    reading.finish()
}

struct Reading {
    budget: Budget,
    keys: Vec<PrivateKey>,
    certificates: Vec<Certificate>,
}

impl Reading {
    /// The passphrase under which the package's MAC holds.
    fn password(
        &mut self,
        mac: Option<&MacData<'_>>,
        safes: &[u8],
        passphrase: Option<&str>,
    ) -> Result<Password, Error> {
        let empty = passphrase.is_none_or(str::is_empty);
        let first = Password::new(passphrase.unwrap_or_default());
        let Some(mac) = mac else { return Ok(first) };
        let (hash, algorithm) = mac_algorithm(mac.mac.algorithm.oid)?;
        let salt = mac.salt.as_bytes();
        for password in [Some(first), empty.then(Password::none)].into_iter().flatten() {
            let fits = |bmp: &[u8]| {
                self.budget.spend(mac.iterations.into())?;
                let key = pbe::derive(hash, bmp, salt, mac.iterations, Purpose::Mac, hash.output_len());
                let key = hmac::Key::new(algorithm, &key);
                Ok(hmac::verify(&key, safes, mac.mac.digest.as_bytes()).is_ok())
            };
            if let Some(password) = password.whose_bmp(fits)? {
                return Ok(password);
            }
        }
        Err(if passphrase.is_none() { Error::FilePassphraseMissing } else { Error::FilePassphraseWrong })
    }

    fn decrypt(
        &mut self,
        content: &EncryptedContent<'_>,
        password: &Password,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let pieces;
        let data = match content.data.tag() {
            Tag::ContextSpecific { constructed: false, number: TagNumber(0) } => content.data.value(),
            Tag::ContextSpecific { constructed: true, number: TagNumber(0) } => {
                pieces = ber::joined(content.data.value()).ok_or_else(|| damaged("a part is damaged"))?;
                &pieces
            }
            _ => return Err(damaged("an encrypted part is damaged")),
        };
        pbe::decrypt(&content.algorithm, password, data, &mut self.budget)
    }

    /// Keys and certificates of one part; what else may be there (CRLs, other secrets) is passed over.
    fn take(&mut self, bags: &[u8], password: &Password) -> Result<(), Error> {
        for bag in read_all::<SafeBag<'_>>(bags)? {
            match bag.kind {
                KEY_BAG => {
                    let key = Zeroizing::new(bag.value.to_der()?);
                    self.keys.push(PrivateKey::from_plain(&key)?);
                }
                SHROUDED_KEY_BAG => {
                    let key: EncryptedKey<'_> =
                        bag.value.decode_as().map_err(|_| damaged("its key is damaged"))?;
                    self.keys.push(key.open(password, &mut self.budget)?);
                }
                CERTIFICATE_BAG => {
                    let bag: CertificateBag<'_> =
                        bag.value.decode_as().map_err(|_| damaged("a certificate is damaged"))?;
                    if bag.kind == X509_CERTIFICATE {
                        self.certificates.push(Certificate::from_der(bag.certificate.as_bytes())?);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Unpacked, Error> {
        let key = match (self.keys.pop(), self.keys.len()) {
            (Some(key), 0) => key,
            (None, _) => return Err(damaged("it holds no private key")),
            (_, others) => return Err(Error::SeveralPrivateKeys { count: others + 1 }),
        };
        let public = key.public_key()?;
        // Stable: the others stay in their order.
        self.certificates.sort_by_key(|c| !c.public_key().is_ok_and(|p| p == public));
        Ok(Unpacked { key, certificates: self.certificates })
    }
}

/// Writes a package; `certificates` begin with the key's own, and `name` is what programs show.
pub(crate) fn write(
    key: &PrivateKey,
    certificates: &[&Certificate],
    name: &str,
    protection: Protection,
    passphrase: &str,
) -> Result<Vec<u8>, Error> {
    let password = Password::new(passphrase);
    // Any value does that is the same at both; OpenSSL's is this.
    let key_id = certificates
        .first()
        .map(|leaf| digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, leaf.der()).as_ref().to_vec());
    let attributes = attributes(name, &key_id.unwrap_or_default())?;

    let mut bags = Vec::new();
    for (i, certificate) in certificates.iter().enumerate() {
        let certificate = OctetStringRef::new(certificate.der())?;
        let value = Any::encode_from(&CertificateBag { kind: X509_CERTIFICATE, certificate })?;
        let attributes = (i == 0).then(|| AnyRef::from(&attributes));
        bags.push(SafeBag { kind: CERTIFICATE_BAG, value: (&value).into(), attributes }.to_der()?);
    }
    let (algorithm, data) = pbe::encrypt(protection, &password, &sequence_of(&bags)?)?;
    let algorithm = algorithm.to_der()?;
    let content = EncryptedContent {
        kind: DATA,
        algorithm: AlgorithmIdentifierRef::from_der(&algorithm)?,
        data: AnyRef::new(Tag::ContextSpecific { constructed: false, number: TagNumber(0) }, &data)?,
    };
    let encrypted = Any::encode_from(&EncryptedData { version: 0, content })?;
    let certificates = ContentInfo { kind: ENCRYPTED_DATA, content: (&encrypted).into() }.to_der()?;

    let (algorithm, data) = pbe::encrypt(protection, &password, &key.to_pkcs8()?)?;
    let algorithm = algorithm.to_der()?;
    let shrouded = EncryptedKey {
        algorithm: AlgorithmIdentifierRef::from_der(&algorithm)?,
        data: OctetStringRef::new(&data)?,
    };
    let shrouded = Any::encode_from(&shrouded)?;
    let attributes = Some((&attributes).into());
    let bag = SafeBag { kind: SHROUDED_KEY_BAG, value: (&shrouded).into(), attributes }.to_der()?;
    let keys = plain_content(&sequence_of(&[bag])?)?;

    let safes = sequence_of(&[certificates, keys])?;
    with_mac(&safes, protection, &password)
}

fn with_mac(safes: &[u8], protection: Protection, password: &Password) -> Result<Vec<u8>, Error> {
    let oid = if protection == Protection::Legacy { SHA1 } else { SHA256 };
    let (hash, algorithm) = mac_algorithm(oid)?;
    let (salt, iterations) = (pbe::random::<8>()?, protection.iterations());
    let key = pbe::derive(hash, password.first_bmp(), &salt, iterations, Purpose::Mac, hash.output_len());
    let mac = hmac::sign(&hmac::Key::new(algorithm, &key), safes);
    let content = plain_content(safes)?;
    let pfx = Pfx {
        version: 3,
        safes: ContentInfo::from_der(&content)?,
        mac: Some(MacData {
            mac: DigestInfo {
                algorithm: AlgorithmIdentifierRef { oid, parameters: Some(AnyRef::NULL) },
                digest: OctetStringRef::new(mac.as_ref())?,
            },
            salt: OctetStringRef::new(&salt)?,
            iterations,
        }),
    };
    Ok(pfx.to_der()?)
}

fn mac_algorithm(oid: ObjectIdentifier) -> Result<(&'static digest::Algorithm, hmac::Algorithm), Error> {
    Ok(match oid {
        SHA1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SHA224 => (&digest::SHA224, hmac::HMAC_SHA224),
        SHA256 => (&digest::SHA256, hmac::HMAC_SHA256),
        SHA384 => (&digest::SHA384, hmac::HMAC_SHA384),
        SHA512 => (&digest::SHA512, hmac::HMAC_SHA512),
        other => return Err(Error::UnsupportedEncryption { algorithm: other.to_string() }),
    })
}

/// Friendly name and key id, as a SET.
fn attributes(name: &str, key_id: &[u8]) -> Result<Any, Error> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let attribute = |oid, tag, value: Vec<u8>| -> Result<Attribute, Error> {
        Ok(Attribute { oid, values: SetOfVec::try_from(vec![Any::new(tag, value)?])? })
    };
    let attributes = vec![
        attribute(FRIENDLY_NAME, Tag::BmpString, name)?,
        attribute(LOCAL_KEY_ID, Tag::OctetString, key_id.to_vec())?,
    ];
    Ok(Any::encode_from(&SetOfVec::try_from(attributes)?)?)
}

fn plain_content(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let content = AnyRef::new(Tag::OctetString, bytes)?;
    Ok(ContentInfo { kind: DATA, content }.to_der()?)
}

fn sequence_of(elements: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    Ok(AnyRef::new(Tag::Sequence, &elements.concat())?.to_der()?)
}

fn read_all<'a, T: Decode<'a> + der::FixedTag>(der: &'a [u8]) -> Result<Vec<T>, Error>
where
    Vec<T>: Decode<'a>,
{
    Vec::<T>::from_der(der).map_err(|_| damaged("a part is damaged"))
}

fn octets(any: AnyRef<'_>) -> Result<&[u8], Error> {
    let octets: &OctetStringRef = any.decode_as().map_err(|_| damaged("a part is damaged"))?;
    Ok(octets.as_bytes())
}

fn damaged(detail: &str) -> Error {
    Error::NotAPackage { detail: detail.into() }
}
