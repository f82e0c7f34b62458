//! The ONVIF Security service (advancedsecurity.wsdl 26.06): keys, requests, certificates, and what TLS serves.
//!
//! Fault codes are those of the ONVIF Security Service Specification, each under its operation.

use std::sync::Arc;

use roxmltree::Node;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::core::Core;
use crate::csr;
use crate::keys::{self, Algorithm, Contents, Pair, RsaBits};
use crate::keystore::{ASSIGNMENTS, CERTIFICATES, Certificate, KEYS, Keystore, PATHS, Refusal};
use crate::options::{CapabilityNames, Fault, Options};
#[cfg(feature = "makers")]
use crate::security_pkcs12;
use crate::security_store::with_store;
use crate::soap::{self, Children, SoapFault, TAS, alias, binary, element, one_id, optional, text};

/// Where this camera has it; a client finds it with GetServices.
pub(crate) const PATH: &str = "/onvif/security";

const NO_PASSPHRASES: &str = "MaximumNumberOfPassphrases=\"0\"";

/// Performs one operation; gives the response element.
pub(crate) fn perform(core: &Arc<Core>, request: Node<'_, '_>) -> Result<String, SoapFault> {
    let operation = request.tag_name().name();
    let arguments = Children::of(request, TAS);
    let content = match operation {
        "GetServiceCapabilities" => arguments.end().map(|()| capabilities(&core.options))?,
        "CreateRSAKeyPair" | "CreateECCKeyPair" | "CreatePKCS10CSR" if !makes_keys(&core.options) => {
            return Err(SoapFault::unsupported(operation));
        }
        "UploadKeyPairInPKCS8" if core.options.has(Fault::NoKeyGeneration) => {
            upload_key_pair(core, arguments)?
        }
        "CreateRSAKeyPair" => create_rsa_key_pair(core, arguments)?,
        "CreateECCKeyPair" => create_ecc_key_pair(core, arguments)?,
        "GetKeyStatus" => get_key_status(core, arguments)?,
        "GetAllKeys" => get_all_keys(core, arguments)?,
        "DeleteKey" => on_id(core, arguments, "KeyID", |store, id| store.delete_key(id))?,
        "CreatePKCS10CSR" => create_request(core, arguments)?,
        "CreateSelfSignedCertificate" => create_self_signed(core, arguments)?,
        "UploadCertificate" => upload_certificate(core, arguments)?,
        "GetCertificate" => {
            let id = one_id(arguments, "CertificateID")?;
            with_store(core, |store| store.certificate(&id).map(certificate))?
        }
        "GetAllCertificates" => {
            arguments.end()?;
            with_store(core, |store| Ok(store.certificates.iter().map(certificate).collect::<String>()))?
        }
        "DeleteCertificate" => {
            on_id(core, arguments, "CertificateID", |store, id| store.delete_certificate(id))?
        }
        "CreateCertificationPath" => create_path(core, arguments)?,
        "GetCertificationPath" => get_path(core, arguments)?,
        "GetAllCertificationPaths" => {
            arguments.end()?;
            with_store(core, |store| Ok(path_ids(store.paths.iter().map(|path| path.id.as_str()))))?
        }
        "DeleteCertificationPath" => {
            on_id(core, arguments, "CertificationPathID", |store, id| store.delete_path(id))?
        }
        "AddServerCertificateAssignment" => {
            on_id(core, arguments, "CertificationPathID", |store, id| store.assign(id))?
        }
        "ReplaceServerCertificateAssignment" => replace_assignment(core, arguments)?,
        "RemoveServerCertificateAssignment" => {
            let https_on = core.look(|live| live.https_on);
            on_id(core, arguments, "CertificationPathID", |store, id| store.unassign(id, https_on))?
        }
        "GetEnabledTLSVersions" => arguments.end().map(|()| tls_versions(core))?,
        "SetEnabledTLSVersions" => set_tls_versions(core, arguments)?,
        "GetAssignedServerCertificates" => {
            arguments.end()?;
            with_store(core, |store| Ok(path_ids(store.assigned.iter().map(String::as_str))))?
        }
        #[cfg(feature = "makers")]
        _ if core.options.has(Fault::Pkcs12Alone) => security_pkcs12::perform(core, request)
            .unwrap_or_else(|| Err(SoapFault::unsupported(operation)))?,
        other => return Err(SoapFault::unsupported(other)),
    };
    Ok(format!("<tas:{operation}Response>{content}</tas:{operation}Response>"))
}

/// Whether it makes keys; otherwise it takes them.
fn makes_keys(options: &Options) -> bool {
    !options.has(Fault::NoKeyGeneration) && !takes_pkcs12(options)
}

#[cfg(feature = "makers")]
fn takes_pkcs12(options: &Options) -> bool {
    options.has(Fault::Pkcs12Alone)
}

#[cfg(not(feature = "makers"))]
fn takes_pkcs12(_: &Options) -> bool {
    false
}

/// The service's capabilities, as GetServiceCapabilities and GetServices tell them.
///
/// 23.12 gave most of them new names and deprecated the old; cameras answer with either or both.
pub(crate) fn capabilities(options: &Options) -> String {
    let (kinds, ecc) = if options.has(Fault::RsaOnly) { ("RSA", false) } else { ("RSA ECC", true) };
    let makes = makes_keys(options);
    let (pkcs8, pkcs12) = (options.has(Fault::NoKeyGeneration), takes_pkcs12(options));
    #[cfg(feature = "makers")]
    let passphrases = if pkcs12 { security_pkcs12::capabilities(options) } else { NO_PASSPHRASES.to_owned() };
    #[cfg(not(feature = "makers"))]
    let passphrases = NO_PASSPHRASES;
    let generation = if makes { format!("KeyPairGeneration=\"{kinds}\" ") } else { String::new() };
    let new = format!(
        "{generation}PKCS10=\"{makes}\" SelfSignedCertificateCreation=\"{makes}\" PKCS8=\"{pkcs8}\" PKCS12=\"{pkcs12}\""
    );
    let old = format!(
        "RSAKeyPairGeneration=\"{makes}\" ECCKeyPairGeneration=\"{}\" \
         PKCS10ExternalCertificationWithRSA=\"{makes}\" SelfSignedCertificateCreationWithRSA=\"{makes}\" \
         PKCS8RSAKeyPairUpload=\"{pkcs8}\" PKCS12CertificateWithRSAPrivateKeyUpload=\"{pkcs12}\"",
        ecc && makes,
    );
    let named = match options.capability_names {
        CapabilityNames::Both => format!("{new} {old}"),
        CapabilityNames::New => new,
        CapabilityNames::Old => old,
    };
    let algorithms: String = keys::SIGNATURES
        .iter()
        .map(|oid| {
            format!("<tas:SignatureAlgorithms><tas:algorithm>{oid}</tas:algorithm></tas:SignatureAlgorithms>")
        })
        .collect();
    format!(
        "<tas:Capabilities><tas:KeystoreCapabilities MaximumNumberOfKeys=\"{KEYS}\" \
         MaximumNumberOfCertificates=\"{CERTIFICATES}\" MaximumNumberOfCertificationPaths=\"{PATHS}\" \
         RSAKeyLengths=\"2048 3072 4096\" EllipticCurves=\"secp256r1\" X509Versions=\"3\" \
         {passphrases} {named}>{algorithms}</tas:KeystoreCapabilities>\
         <tas:TLSServerCapabilities TLSServerSupported=\"1.2 1.3\" EnabledVersionsSupported=\"true\" \
         MaximumNumberOfTLSCertificationPaths=\"{ASSIGNMENTS}\" SetupDuration=\"PT1S\"/></tas:Capabilities>"
    )
}

/// The versions of TLS that it has, oldest first.
const VERSIONS: [(&str, &SupportedProtocolVersion); 2] =
    [("1.2", &rustls::version::TLS12), ("1.3", &rustls::version::TLS13)];

fn tls_versions(core: &Core) -> String {
    let on = core.look(|live| live.tls.clone());
    let on = VERSIONS.iter().filter(|(_, version)| on.contains(version)).map(|(name, _)| *name);
    element("tas:Versions", on.collect::<Vec<_>>().join(" "))
}

fn set_tls_versions(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let wanted = text(arguments.required("Versions")?);
    arguments.end()?;
    let found = wanted.split_whitespace().map(|name| VERSIONS.iter().find(|(known, _)| *known == name));
    let found: Option<Vec<_>> = found.collect();
    let on: Vec<_> = found.into_iter().flatten().map(|(_, version)| *version).collect();
    if on.is_empty() {
        return Err(SoapFault::invalid("TLSVersions", "There is no such version of TLS here."));
    }
    if !core.options.has(Fault::TlsPretended) {
        core.change(|live| {
            live.tls = on;
            live.served = None;
            live.refresh();
        });
    }
    Ok(String::new())
}

fn create_rsa_key_pair(core: &Arc<Core>, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let length = arguments.required("KeyLength")?;
    let alias = alias(&mut arguments, "Alias");
    arguments.end()?;
    let bits = match text(length).as_str() {
        "2048" => RsaBits::B2048,
        "3072" => RsaBits::B3072,
        "4096" => RsaBits::B4096,
        _ => return Err(SoapFault::invalid("KeyLength", "This RSA key length is not supported.")),
    };
    generate(core, Algorithm::Rsa(bits), alias)
}

fn create_ecc_key_pair(core: &Arc<Core>, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let curve = text(arguments.required("EllipticCurve")?);
    let alias = alias(&mut arguments, "Alias");
    arguments.end()?;
    if curve != "secp256r1" || core.options.has(Fault::RsaOnly) {
        return Err(SoapFault::invalid("UnsupportedEllipticCurve", "This elliptic curve is not supported."));
    }
    generate(core, Algorithm::P256, alias)
}

/// UploadKeyPairInPKCS8, without encryption.
fn upload_key_pair(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let key = soap::bytes(arguments.required("KeyPair")?)?;
    let alias = alias(&mut arguments, "Alias");
    arguments.end()?;
    let is_pkcs8 = PrivatePkcs8KeyDer::from(key.as_slice());
    let pair = Pair::from_private(is_pkcs8.clone_key().into());
    let pair = pair.filter(|pair| core.takes(pair)).ok_or_else(|| {
        SoapFault::invalid(
            "BadPKCS8File",
            "The key cannot be read, or is of a kind this camera does not know.",
        )
    })?;
    let id = with_store(core, |store| store.add_pair(alias, pair))?;
    Ok(element("tas:KeyID", id))
}

/// Starts to make a key, which takes as long as the options say at least, and answers at once.
fn generate(core: &Arc<Core>, algorithm: Algorithm, alias: Option<String>) -> Result<String, SoapFault> {
    let id = with_store(core, |store| store.begin_key(alias))?;
    let least = core.options.key_generation;
    let (core, made_id) = (Arc::clone(core), id.clone());
    tokio::spawn(async move {
        let (made, ()) = tokio::join!(spawn_blocking(move || Pair::generate(algorithm)), sleep(least));
        let made = made.ok().and_then(Result::ok);
        core.change(|live| {
            if let Some(store) = live.store_mut::<Keystore>() {
                store.finish_key(&made_id, made);
            }
        });
    });
    let estimate = format!("PT{:.3}S", least.as_secs_f64());
    Ok(element("tas:KeyID", id) + &element("tas:EstimatedCreationTime", estimate))
}

fn get_key_status(core: &Core, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let id = one_id(arguments, "KeyID")?;
    with_store(core, |store| store.key(&id).map(|key| element("tas:KeyStatus", key.status())))
}

fn get_all_keys(core: &Core, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    arguments.end()?;
    with_store(core, |store| {
        let attributes = store.keys.iter().map(|key| {
            format!(
                "<tas:KeyAttribute>{}{}{}{}{}</tas:KeyAttribute>",
                element("tas:KeyID", &key.id),
                optional("tas:Alias", key.alias.as_deref()),
                element("tas:hasPrivateKey", key.has_private_key().to_string()),
                element("tas:KeyStatus", key.status()),
                element("tas:externallyGenerated", "false"),
            )
        });
        Ok(attributes.collect::<String>())
    })
}

fn create_request(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let subject = csr::subject(arguments.required("Subject")?)?;
    let id = text(arguments.required("KeyID")?);
    let attributes = arguments.list("CSRAttribute");
    let algorithm = csr::algorithm(arguments.required("SignatureAlgorithm")?)?;
    arguments.end()?;
    let extensions = csr::requested_extensions(&attributes)?;
    let failed =
        || SoapFault::receiver(&["Action", "CSRCreationFailed"], "The request could not be created.");
    if core.options.has(Fault::CsrFails) {
        return Err(failed());
    }
    let pair = with_store(core, |store| store.signing_pair(&id).cloned())?;
    csr::must_match(&pair, algorithm)?;
    if core.options.has(Fault::CsrKillsKey) {
        with_store(core, |store| {
            store.assigned.clear();
            Ok(())
        })?;
    }
    let contents = Contents { subject, extensions };
    let request = keys::request(&pair, algorithm, contents).map_err(|_| failed())?;
    Ok(binary("tas:PKCS10CSR", &request))
}

fn create_self_signed(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    if let Some(version) = arguments.optional("X509Version")
        && text(version) != "3"
    {
        return Err(SoapFault::invalid("UnsupportedX509Version", "Only X.509 version 3 is supported."));
    }
    let subject = csr::subject(arguments.required("Subject")?)?;
    let id = text(arguments.required("KeyID")?);
    let alias = alias(&mut arguments, "Alias");
    let not_before = arguments.optional("notValidBefore").map(date).transpose()?;
    let not_after = arguments.optional("notValidAfter").map(date).transpose()?;
    let algorithm = csr::algorithm(arguments.required("SignatureAlgorithm")?)?;
    let extensions = csr::extensions(&arguments.list("Extension"))?;
    arguments.end()?;
    let not_before = not_before.unwrap_or_else(|| core.clock());
    // "If not specified, 99991231235959Z" (RFC 5280 section 4.1.2.5).
    let not_after = not_after.unwrap_or(time::macros::datetime!(9999-12-31 23:59:59 UTC));
    if not_after < not_before {
        return Err(SoapFault::invalid("InvalidDateTime", "The certificate would end before it begins."));
    }
    let pair = with_store(core, |store| store.signing_pair(&id).cloned())?;
    csr::must_match(&pair, algorithm)?;
    let contents = Contents { subject, extensions };
    let certificate =
        keys::certificate(&pair, algorithm, contents, (not_before, not_after), None).map_err(|_| {
            SoapFault::receiver(
                &["Action", "CertificateCreationFailed"],
                "The certificate could not be created.",
            )
        })?;
    let (id, _) = with_store(core, |store| store.add_certificate(certificate, alias, None, true))?;
    Ok(element("tas:CertificateID", id))
}

fn upload_certificate(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let certificate = soap::bytes(arguments.required("Certificate")?)?;
    let alias_of_certificate = alias(&mut arguments, "Alias");
    let alias_of_key = alias(&mut arguments, "KeyAlias");
    let private = arguments.optional("PrivateKeyRequired").map(soap::boolean).transpose()?.unwrap_or(false);
    arguments.end()?;
    let (id, key_id) = with_store(core, |store| {
        store.add_certificate(certificate, alias_of_certificate, alias_of_key, private)
    })?;
    Ok(element("tas:CertificateID", id) + &element("tas:KeyID", key_id))
}

fn create_path(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let mut list = Children::of(arguments.required("CertificateIDs")?, TAS);
    let alias = alias(&mut arguments, "Alias");
    arguments.end()?;
    let ids: Vec<String> = list.list("CertificateID").into_iter().map(text).collect();
    list.end()?;
    if core.options.has(Fault::RefusesChains) && ids.len() > 1 {
        return Err(Refusal::InvalidPath.into());
    }
    let id = with_store(core, |store| store.create_path(ids, alias))?;
    Ok(element("tas:CertificationPathID", id))
}

fn get_path(core: &Core, arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let id = one_id(arguments, "CertificationPathID")?;
    with_store(core, |store| {
        let path = store.path(&id)?;
        let members: String = path.certificates.iter().map(|id| element("tas:CertificateID", id)).collect();
        let alias = optional("tas:Alias", path.alias.as_deref());
        Ok(format!("<tas:CertificationPath>{members}{alias}</tas:CertificationPath>"))
    })
}

fn replace_assignment(core: &Core, mut arguments: Children<'_, '_>) -> Result<String, SoapFault> {
    let old = text(arguments.required("OldCertificationPathID")?);
    let new = text(arguments.required("NewCertificationPathID")?);
    arguments.end()?;
    with_store(core, |store| store.replace(&old, &new))?;
    Ok(String::new())
}

/// A tas:X509Certificate.
fn certificate(certificate: &Certificate) -> String {
    format!(
        "<tas:Certificate>{}{}{}{}</tas:Certificate>",
        element("tas:CertificateID", &certificate.id),
        element("tas:KeyID", &certificate.key_id),
        optional("tas:Alias", certificate.alias.as_deref()),
        binary("tas:CertificateContent", &certificate.der),
    )
}

fn path_ids<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.map(|id| element("tas:CertificationPathID", id)).collect()
}

/// An operation that takes one id and answers nothing.
fn on_id(
    core: &Core,
    arguments: Children<'_, '_>,
    name: &str,
    act: impl FnOnce(&mut Keystore, &str) -> Result<(), Refusal>,
) -> Result<String, SoapFault> {
    let id = one_id(arguments, name)?;
    with_store(core, |store| act(store, &id))?;
    Ok(String::new())
}

/// An xs:dateTime; without a time zone it is taken as UTC.
fn date(node: Node<'_, '_>) -> Result<OffsetDateTime, SoapFault> {
    let given = text(node);
    OffsetDateTime::parse(&given, &Rfc3339)
        .or_else(|_| OffsetDateTime::parse(&format!("{given}Z"), &Rfc3339))
        .ok()
        // Before 1950 a certificate's date has no form in X.509 that every reader takes.
        .filter(|date| date.year() >= 1950)
        .ok_or_else(|| SoapFault::invalid("InvalidDateTime", "The date is not acceptable."))
}
