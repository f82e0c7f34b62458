//! PKCS#12 in the Security service: passphrases kept for it, and UploadCertificateWithPrivateKeyInPKCS12.

use p12_keystore::Pkcs12Archive;
use roxmltree::Node;
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::core::Core;
use crate::keys::Pair;
use crate::keystore::Passphrase;
use crate::options::{CapabilityNames, Options};
use crate::random;
use crate::security_store::with_store;
use crate::soap::{self, Children, SoapFault, TAS, alias, element, one_id, optional, text};

/// Most passphrases kept.
const PASSPHRASES: usize = 2;
/// pbeWithSHAAnd3-KeyTripleDES-CBC, in DER.
const TRIPLE_DES: &[u8] = &[6, 10, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 12, 1, 3];
/// aes128-CBC, in DER.
const AES_128: &[u8] = &[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];

/// Whether it is of the time before 23.12: Triple DES, and the passphrase beforehand.
fn is_old(options: &Options) -> bool {
    options.capability_names == CapabilityNames::Old
}

/// The attributes of KeystoreCapabilities.
pub(crate) fn capabilities(options: &Options) -> String {
    let (room, algorithm) =
        if is_old(options) { (PASSPHRASES, "pbeWithSHAAnd3-KeyTripleDES-CBC") } else { (0, "PBES2") };
    format!("MaximumNumberOfPassphrases=\"{room}\" PasswordBasedEncryptionAlgorithms=\"{algorithm}\"")
}

/// Performs one of these operations; `None` if it is another one.
pub(crate) fn perform(core: &Core, request: Node<'_, '_>) -> Option<Result<String, SoapFault>> {
    let arguments = Children::of(request, TAS);
    Some(match request.tag_name().name() {
        "UploadCertificateWithPrivateKeyInPKCS12" => upload(core, arguments),
        "UploadPassphrase" if is_old(&core.options) => upload_passphrase(core, arguments),
        "GetAllPassphrases" if is_old(&core.options) => passphrases(core, arguments),
        "DeletePassphrase" if is_old(&core.options) => delete_passphrase(core, arguments),
        _ => return None,
    })
}

fn upload_passphrase(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let value = text(arguments.required("Passphrase")?);
    let alias = alias(&mut arguments, "PassphraseAlias");
    arguments.end()?;
    if value.len() > 40 || !value.is_ascii() {
        return Err(SoapFault::invalid("BadPassphrase", "The passphrase is too long, or not ASCII."));
    }
    let id = format!("passphrase-{}", random::hex_token::<6>());
    let made = Passphrase { id: id.clone(), alias, value };
    let is_room = with_store(core, |store| {
        let is_room = store.passphrases.len() < PASSPHRASES;
        store.passphrases.extend(is_room.then_some(made));
        Ok(is_room)
    })?;
    if !is_room {
        let reason = "There is no room for another passphrase.";
        return Err(SoapFault::receiver(&["Action", "MaximumNumberOfPassphrasesReached"], reason));
    }
    Ok(element("tas:PassphraseID", id))
}

fn passphrases(core: &Core, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    arguments.end()?;
    with_store(core, |store| {
        let all = store.passphrases.iter().map(|kept| {
            let alias = optional("tas:Alias", kept.alias.as_deref());
            format!(
                "<tas:PassphraseAttribute>{}{alias}</tas:PassphraseAttribute>",
                element("tas:PassphraseID", &kept.id)
            )
        });
        Ok(all.collect::<String>())
    })
}

fn delete_passphrase(core: &Core, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let id = one_id(arguments, "PassphraseID")?;
    let was_there = with_store(core, |store| {
        let before = store.passphrases.len();
        store.passphrases.retain(|kept| kept.id != id);
        Ok(store.passphrases.len() < before)
    })?;
    if was_there { Ok(String::new()) } else { Err(unknown_passphrase()) }
}

fn unknown_passphrase() -> SoapFault {
    SoapFault::invalid("PassphraseID", "There is no passphrase of this id.")
}

fn upload(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let file = soap::bytes(arguments.required("CertWithPrivateKey")?)?;
    let path_alias = alias(&mut arguments, "CertificationPathAlias");
    let key_alias = alias(&mut arguments, "KeyAlias");
    let first_alone = arguments.optional("IgnoreAdditionalCertificates").map(soap::boolean).transpose()?;
    let integrity = arguments.optional("IntegrityPassphraseID").map(text);
    let encryption = arguments.optional("EncryptionPassphraseID").map(text);
    let inline = arguments.optional("Passphrase").map(text);
    arguments.end()?;
    let old = is_old(&core.options);
    let passphrase = match (inline, integrity) {
        (Some(inline), None) if !old => inline,
        (None, Some(id)) if encryption.as_ref() == Some(&id) => with_store(core, |store| {
            Ok(store.passphrases.iter().find(|kept| kept.id == id).map(|kept| kept.value.clone()))
        })?
        .ok_or_else(unknown_passphrase)?,
        _ => return Err(SoapFault::sender(&["InvalidArgVal"], "Not the passphrase that this camera wants.")),
    };
    let bad_file = || SoapFault::invalid("BadPKCS12File", "The file or its passphrase is not right.");
    let algorithm = if old { TRIPLE_DES } else { AES_128 };
    if !file.windows(algorithm.len()).any(|window| window == algorithm) {
        return Err(SoapFault::invalid("UnsupportedEncryption", "The file is encrypted in another way."));
    }
    let archive = Pkcs12Archive::from_pkcs12(&file, &passphrase).map_err(|_| bad_file())?;
    let [key] = archive.keys.as_slice() else { return Err(bad_file()) };
    let pair = Pair::from_private(PrivatePkcs8KeyDer::from(key.key.as_der().to_vec()).into());
    let pair = pair.filter(|pair| core.takes(pair)).ok_or_else(bad_file)?;
    let take = if first_alone == Some(true) { 1 } else { archive.certs.len() };
    let (path, key) = with_store(core, |store| {
        let key = store.add_pair(key_alias, pair)?;
        let mut ids = Vec::new();
        for (i, bag) in archive.certs.iter().take(take).enumerate() {
            let der = bag.cert.as_der();
            let known =
                store.certificates.iter().find(|known| known.der == der).map(|known| known.id.clone());
            ids.push(match known {
                Some(known) => known,
                None => store.add_certificate(der.to_vec(), None, None, i == 0)?.0,
            });
        }
        Ok((store.create_path(ids, path_alias)?, key))
    })?;
    Ok(element("tas:CertificationPathID", path) + &element("tas:KeyID", key))
}
