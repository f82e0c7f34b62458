//! ONVIF Security service (advancedsecurity.wsdl, "tas"): the camera makes its key, and the key never leaves it; where it
//! makes none, it takes one in PKCS#8 or PKCS#12. Everything an enrolment leaves on the camera carries its mark as alias,
//! or is of a path that does, so that the way back finds it.

use std::time::Duration;

use async_trait::async_trait;
use domain::AltName;
use pki::{
    Certificate, PrivateKey,
    package::{self, Protection},
};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    Before, DeviceInfo, Driver, Error, Package, TlsVersions,
    onvif::Onvif,
    soap::{Element, Service, element},
    xsd,
};

pub(crate) const TAS: &str = "http://www.onvif.org/ver10/advancedsecurity/wsdl";

/// The driver; `key_kind` is what the camera is asked for: `rsa-2048`, `p256`, ...
pub(crate) struct OnvifSecurity {
    pub(crate) onvif: Onvif,
    pub(crate) key_kind: String,
    pub(crate) origin: KeyOrigin,
}

/// Where a camera's key comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyOrigin {
    /// The camera makes it, and a request for it.
    Camera,
    /// It takes one in PKCS#8.
    Pkcs8,
    /// It takes one in PKCS#12, with its certificates.
    Pkcs12 {
        /// What it can decrypt.
        protection: Protection,
        /// The passphrase is uploaded beforehand, and named; otherwise it goes along.
        keeps_passphrases: bool,
    },
}

/// A certification path that carries a mark.
struct MarkedPath {
    id: String,
    certificates: Vec<String>,
}

/// Certification paths that are looked at, each by a question of its own. A keystore holds some tens.
const PATHS_MAX: usize = 100;

#[async_trait]
impl Driver for OnvifSecurity {
    async fn note(&mut self) -> Result<Before, Error> {
        let before = self.onvif.note().await?;
        Ok(Before { assigned_paths: self.assigned().await?, ..before })
    }

    async fn identify(&mut self) -> Result<DeviceInfo, Error> {
        self.onvif.device_info().await
    }

    fn lets_everyone_in(&self) -> bool {
        self.onvif.lets_everyone_in()
    }

    async fn set_clock(&mut self) -> Result<time::Duration, Error> {
        self.onvif.set_clock().await
    }

    async fn picture(&mut self) -> Result<Vec<u8>, Error> {
        self.onvif.picture().await
    }

    async fn follow_clock(&mut self, server: &AltName) -> Result<time::Duration, Error> {
        self.onvif.follow_clock(server).await
    }

    async fn tls_versions(&mut self) -> Result<TlsVersions, Error> {
        let answer = self.call("GetServiceCapabilities", "").await?;
        let tls = answer.find(TAS, "TLSServerCapabilities");
        let attribute = |name: &str| tls.and_then(|tls| tls.attribute(&[name])).unwrap_or_default();
        if xsd::boolean(attribute("EnabledVersionsSupported")) != Some(true) {
            return Err(Error::NotOffered { operation: "choice of TLS versions".to_owned() });
        }
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let on = self.call("GetEnabledTLSVersions", "").await?;
        let on = on.need(TAS, "Versions", "GetEnabledTLSVersions")?;
        Ok(TlsVersions { has: list(attribute("TLSServerSupported")), on: list(on) })
    }

    async fn set_tls_versions(&mut self, on: &[String]) -> Result<(), Error> {
        self.call("SetEnabledTLSVersions", &element("tas:Versions", &on.join(" "))).await.map(drop)
    }

    async fn request(&mut self, mark: &str, names: &[AltName]) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + self.onvif.limits().key_generation;
        let key = match self.key_of(mark).await? {
            Some(key) => key,
            None => self.create_key(mark, deadline).await?,
        };
        self.wait_for_key(&key, deadline).await?;
        self.create_csr(&key, names).await
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        self.onvif.expect(package.certificate);
        match (package.key, self.origin) {
            (Some(key), KeyOrigin::Pkcs12 { protection, keeps_passphrases }) => {
                let path = self.upload_pkcs12(mark, package, key, protection, keeps_passphrases).await?;
                return self.assign(&path).await;
            }
            (Some(key), _) => self.upload_key(mark, package.certificate, key).await?,
            (None, _) => {}
        }
        let stored = self.call("GetAllCertificates", "").await?;
        let mut path = String::new();
        path.push_str(&self.upload(&stored, mark, package.certificate, true).await?);
        for issuer in package.issuers {
            path.push_str(&self.upload(&stored, mark, issuer, false).await?);
        }
        let arguments = format!("<tas:CertificateIDs>{path}</tas:CertificateIDs>{}", alias(mark));
        let answer = self.call("CreateCertificationPath", &arguments).await?;
        let path = answer.need(TAS, "CertificationPathID", "CreateCertificationPath")?;
        self.assign(path).await
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        self.onvif.enable_https().await
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        self.onvif.open_again(before).await?;
        let marks = [mark.to_owned()];
        let (all, ours) = self.paths(&marks).await?;
        let ours_ids: Vec<String> = ours.iter().map(|path| path.id.clone()).collect();
        self.assign_again(&all, &ours_ids, before).await?;
        self.onvif.secure_again(before).await?;
        self.remove(&ours, &marks).await
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        let assigned = self.assigned().await?;
        let (_, mut theirs) = self.paths(marks).await?;
        theirs.retain(|path| !assigned.contains(&path.id));
        self.remove(&theirs, marks).await
    }

    async fn set_password(&mut self, new: &Zeroizing<String>) -> Result<(), Error> {
        self.onvif.set_password(new).await
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        self.onvif.switch_http(on).await
    }
}

impl OnvifSecurity {
    pub(crate) async fn call(&mut self, operation: &str, arguments: &str) -> Result<Element, Error> {
        self.onvif.call(Service::Security, operation, arguments).await
    }

    /// The key that an earlier, broken run left under this mark.
    async fn key_of(&mut self, mark: &str) -> Result<Option<String>, Error> {
        let answer = self.call("GetAllKeys", "").await?;
        let mut keys = answer.all(TAS, "KeyAttribute");
        let ours = keys.find(|key| key.text_of(TAS, "Alias") == Some(mark));
        ours.map(|key| key.need(TAS, "KeyID", "GetAllKeys").map(str::to_owned)).transpose()
    }

    /// UploadKeyPairInPKCS8, in place of one that a broken run left under this mark. What is refused is sent once more as
    /// PKCS#1: in one firmware that is what was taken.
    async fn upload_key(&mut self, mark: &str, certificate: &[u8], key: &[u8]) -> Result<(), Error> {
        const OPERATION: &str = "UploadKeyPairInPKCS8";
        if self.key_of(mark).await?.is_some() {
            self.remove(&[], &[mark.to_owned()]).await?;
        }
        let arguments = |key: &[u8]| {
            let key = Zeroizing::new(xsd::to_base64(key));
            Zeroizing::new(["<tas:KeyPair>", &key, "</tas:KeyPair>", &alias(mark)].concat())
        };
        let Err(fault) = self.onvif.try_call_secret(Service::Security, OPERATION, arguments(key)).await?
        else {
            return Ok(());
        };
        let Some(traditional) = traditional(certificate, key) else {
            return Err(fault.into_error(OPERATION));
        };
        match self.onvif.try_call_secret(Service::Security, OPERATION, arguments(&traditional)).await? {
            Ok(_) => Ok(()),
            Err(_) => Err(fault.into_error(OPERATION)),
        }
    }

    async fn create_key(&mut self, mark: &str, deadline: Instant) -> Result<String, Error> {
        let (operation, kind) = match self.key_kind.strip_prefix("rsa-") {
            Some(bits) => ("CreateRSAKeyPair", element("tas:KeyLength", bits)),
            // The IANA name, RFC 8422.
            None => ("CreateECCKeyPair", element("tas:EllipticCurve", "secp256r1")),
        };
        let answer = self.call(operation, &format!("{kind}{}", alias(mark))).await?;
        let key = answer.need(TAS, "KeyID", operation)?.to_owned();
        let estimate = answer.text_of(TAS, "EstimatedCreationTime").and_then(xsd::duration);
        // A camera that thinks of nothing but its key is not to be asked every moment.
        let left = deadline.saturating_duration_since(Instant::now());
        tokio::time::sleep(estimate.unwrap_or_default().min(left)).await;
        Ok(key)
    }

    async fn wait_for_key(&mut self, key: &str, deadline: Instant) -> Result<(), Error> {
        let mut pause = Duration::from_millis(200);
        loop {
            match self.call("GetKeyStatus", &id("KeyID", key)).await {
                Ok(answer) => match answer.need(TAS, "KeyStatus", "GetKeyStatus")? {
                    "ok" => return Ok(()),
                    "corrupt" => return Err(Error::KeyBroken),
                    _ => {}
                },
                // Weak processors answer nothing while they look for primes.
                Err(Error::TimedOut { .. }) => {}
                Err(e) => return Err(e),
            }
            if Instant::now() + pause > deadline {
                return Err(Error::KeyNotReady { seconds: self.onvif.limits().key_generation.as_secs() });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(5));
        }
    }

    async fn create_csr(&mut self, key: &str, names: &[AltName]) -> Result<Vec<u8>, Error> {
        const OPERATION: &str = "CreatePKCS10CSR";
        let sha256_with =
            if self.key_kind.starts_with("rsa-") { "1.2.840.113549.1.1.11" } else { "1.2.840.10045.4.3.2" };
        let with = |attribute: &str| {
            format!(
                "<tas:Subject>{}</tas:Subject>{}{attribute}<tas:SignatureAlgorithm>{}</tas:SignatureAlgorithm>",
                common_name(names).map(|name| element("tas:CommonName", &name)).unwrap_or_default(),
                id("KeyID", key),
                element("tas:algorithm", sha256_with),
            )
        };
        let wish = alt_name_attribute(names);
        let answer = match self.call(OPERATION, &with(&wish)).await {
            // The names are a wish (the authority decides them), not worth failing for.
            Err(Error::Refused { .. }) if !wish.is_empty() => self.call(OPERATION, &with("")).await?,
            other => other?,
        };
        let csr = answer.need(TAS, "PKCS10CSR", OPERATION)?;
        xsd::der(csr).ok_or_else(|| Error::UnexpectedAnswer {
            operation: OPERATION.to_owned(),
            detail: "a request that is not base64".into(),
        })
    }

    /// UploadCertificate, unless the keystore has it already: from an earlier enrolment (an issuer), or from
    /// a run that broke (the leaf). The `CertificateID` element for the path.
    async fn upload(
        &mut self,
        stored: &Element,
        mark: &str,
        der: &[u8],
        private_key_required: bool,
    ) -> Result<String, Error> {
        const OPERATION: &str = "UploadCertificate";
        let same = stored.all(TAS, "Certificate").find(|c| {
            c.text_of(TAS, "CertificateContent").and_then(xsd::base64).is_some_and(|have| have == der)
        });
        if let Some(id_of_same) = same.and_then(|c| c.text_of(TAS, "CertificateID")) {
            return Ok(id("CertificateID", id_of_same));
        }
        let certificate = element("tas:Certificate", &xsd::to_base64(der));
        // An issuer brings a public key of its own into the keystore, which is to go with it.
        let rest = if private_key_required {
            "<tas:PrivateKeyRequired>true</tas:PrivateKeyRequired>".to_owned()
        } else {
            let key_alias = element("tas:KeyAlias", mark);
            format!("{key_alias}<tas:PrivateKeyRequired>false</tas:PrivateKeyRequired>")
        };
        let answer = self.call(OPERATION, &format!("{certificate}{}{rest}", alias(mark))).await?;
        Ok(id("CertificateID", answer.need(TAS, "CertificateID", OPERATION)?))
    }

    async fn assigned(&mut self) -> Result<Vec<String>, Error> {
        let answer = self.call("GetAssignedServerCertificates", "").await?;
        Ok(answer.all(TAS, "CertificationPathID").map(|path| path.text().to_owned()).collect())
    }

    /// Makes `path` the one that the web server shows. Of several old ones the first is replaced and the
    /// others are left alone: which of them a browser met is not known, and *verify* looks.
    async fn assign(&mut self, path: &str) -> Result<(), Error> {
        let assigned = self.assigned().await?;
        match assigned.first() {
            _ if assigned.iter().any(|a| a == path) => Ok(()),
            Some(old) => self.replace(old, path).await,
            None => {
                let arguments = id("CertificationPathID", path);
                self.call("AddServerCertificateAssignment", &arguments).await.map(drop)
            }
        }
    }

    /// Removes these paths, and every certificate and key under the marks: in this order, because each refers to
    /// the next (`ter:ReferenceExists`).
    async fn remove(&mut self, paths: &[MarkedPath], marks: &[String]) -> Result<(), Error> {
        for path in paths {
            self.call("DeleteCertificationPath", &id("CertificationPathID", &path.id)).await?;
        }
        // What came in PKCS#12 has no alias of its own.
        let is_ours = |item: &Element, name: &str| match item.text_of(TAS, "Alias") {
            Some(alias) => marks.iter().any(|mark| mark == alias),
            None => item.text_of(TAS, name).is_some_and(|id| {
                paths.iter().any(|path| path.certificates.iter().any(|member| member == id))
            }),
        };
        let kept = matches!(self.origin, KeyOrigin::Pkcs12 { keeps_passphrases: true, .. });
        let passphrases = ("GetAllPassphrases", "PassphraseAttribute", "PassphraseID", "DeletePassphrase");
        for (list, item, name, delete) in [
            ("GetAllCertificates", "Certificate", "CertificateID", "DeleteCertificate"),
            ("GetAllKeys", "KeyAttribute", "KeyID", "DeleteKey"),
        ]
        .into_iter()
        .chain(kept.then_some(passphrases))
        {
            let answer = self.call(list, "").await?;
            for ours in answer.all(TAS, item).filter(|item| is_ours(item, name)) {
                let ours = id(name, ours.need(TAS, name, list)?);
                match self.onvif.try_call(Service::Security, delete, &ours).await? {
                    Ok(_) => {}
                    // An issuer that a later path needs too, or its key: it stays.
                    Err(fault) if fault.is("ReferenceExists") => {}
                    Err(fault) => return Err(fault.into_error(delete)),
                }
            }
        }
        Ok(())
    }

    async fn replace(&mut self, old: &str, new: &str) -> Result<(), Error> {
        let arguments = id("OldCertificationPathID", old) + &id("NewCertificationPathID", new);
        self.call("ReplaceServerCertificateAssignment", &arguments).await.map(drop)
    }

    /// All certification paths, and those of these marks.
    async fn paths(&mut self, marks: &[String]) -> Result<(Vec<String>, Vec<MarkedPath>), Error> {
        let answer = self.call("GetAllCertificationPaths", "").await?;
        let paths = answer.all(TAS, "CertificationPathID").take(PATHS_MAX);
        let all: Vec<String> = paths.map(|path| path.text().to_owned()).collect();
        let mut ours = Vec::new();
        for path in &all {
            let answer = self.call("GetCertificationPath", &id("CertificationPathID", path)).await?;
            if let Some(found) = answer.child(TAS, "CertificationPath").filter(|p| is_marked(p, marks)) {
                let members = found.all(TAS, "CertificateID").map(|member| member.text().to_owned());
                ours.push(MarkedPath { id: path.clone(), certificates: members.collect() });
            }
        }
        Ok((all, ours))
    }

    /// Puts the assignment back as it was, as far as the old paths still exist.
    async fn assign_again(&mut self, all: &[String], ours: &[String], before: &Before) -> Result<(), Error> {
        let mut assigned = self.assigned().await?;
        for old in before.assigned_paths.iter().filter(|old| all.contains(old)) {
            if assigned.contains(old) {
                continue;
            }
            match assigned.iter().position(|path| ours.contains(path)) {
                Some(at) => self.replace(&assigned.swap_remove(at), old).await?,
                None => {
                    let arguments = id("CertificationPathID", old);
                    self.call("AddServerCertificateAssignment", &arguments).await?;
                }
            }
        }
        for path in assigned.iter().filter(|path| ours.contains(path)) {
            self.remove_assignment(path, before).await?;
        }
        Ok(())
    }

    /// RemoveServerCertificateAssignment, which faults while HTTPS is on; then HTTPS goes off around it if
    /// the camera can still be reached by HTTP.
    async fn remove_assignment(&mut self, path: &str, before: &Before) -> Result<(), Error> {
        const OPERATION: &str = "RemoveServerCertificateAssignment";
        let arguments = id("CertificationPathID", path);
        let fault = match self.onvif.try_call(Service::Security, OPERATION, &arguments).await? {
            Ok(_) => return Ok(()),
            Err(fault) => fault,
        };
        if !fault.is("ReferenceExists") || !before.http_on || !before.https_on {
            return Err(fault.into_error(OPERATION));
        }
        self.onvif.open_again(&Before { https_on: false, ..before.clone() }).await?;
        self.call(OPERATION, &arguments).await.map(drop)
    }
}

/// The same key without PKCS#8 around it.
fn traditional(certificate: &[u8], key: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (certificate, key) = (Certificate::from_der(certificate).ok()?, PrivateKey::from_pkcs8(key).ok()?);
    let form = package::Form::Der { key: package::KeyForm::Traditional };
    let parts = package::write(&key, &[&certificate], &form).ok()?;
    parts.into_iter().find(|part| part.content == package::Content::Key).map(|part| part.bytes)
}

fn is_marked(item: &Element, marks: &[String]) -> bool {
    item.text_of(TAS, "Alias").is_some_and(|alias| marks.iter().any(|mark| mark == alias))
}

pub(crate) fn id(name: &str, value: &str) -> String {
    element(&format!("tas:{name}"), value)
}

fn alias(mark: &str) -> String {
    element("tas:Alias", mark)
}

/// The first name that a commonName may hold: 64 characters at most (RFC 5280, ub-common-name).
fn common_name(names: &[AltName]) -> Option<String> {
    names.iter().map(AltName::plain).find(|text| text.len() <= 64)
}

/// The names as requested extension subjectAltName, OID 2.5.29.17.
fn alt_name_attribute(names: &[AltName]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let all: Vec<u8> = names
        .iter()
        .flat_map(|name| match name {
            // GeneralName, RFC 5280, section 4.2.1.6: dNSName [2], iPAddress [7].
            AltName::Dns(name) => tlv(0x82, name.as_bytes()),
            AltName::Ip(std::net::IpAddr::V4(ip)) => tlv(0x87, &ip.octets()),
            AltName::Ip(std::net::IpAddr::V6(ip)) => tlv(0x87, &ip.octets()),
        })
        .collect();
    format!(
        "<tas:CSRAttribute><tas:X509v3Extension><tas:extnOID>2.5.29.17</tas:extnOID>\
         <tas:critical>false</tas:critical>{}</tas:X509v3Extension></tas:CSRAttribute>",
        element("tas:extnValue", &xsd::to_base64(tlv(0x30, &all)))
    )
}

/// Tag, length, value in DER.
fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = value.len().to_be_bytes();
    let length = &length[length.iter().take_while(|b| **b == 0).count()..];
    let mut out = vec![tag];
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        // At most eight bytes of length.
        long => {
            out.push(0x80 | long.len() as u8);
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(texts: &[&str]) -> Vec<AltName> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn the_names_are_asked_for_as_an_independent_stack_does() {
        // Serialised by zeep 4.3.3 from the official WSDL (facts/cameras.md, 1.6).
        assert_eq!(
            alt_name_attribute(&names(&["192.0.2.10"])),
            "<tas:CSRAttribute><tas:X509v3Extension><tas:extnOID>2.5.29.17</tas:extnOID>\
             <tas:critical>false</tas:critical><tas:extnValue>MAaHBMAAAgo=</tas:extnValue>\
             </tas:X509v3Extension></tas:CSRAttribute>"
        );
        assert_eq!(alt_name_attribute(&[]), "");
    }

    #[test]
    fn der_lengths_are_minimal() {
        assert_eq!(tlv(4, &[]), [4, 0]);
        assert_eq!(tlv(4, &[7; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn the_common_name_fits() {
        let long = format!("{}.home.arpa", "a".repeat(60));
        assert_eq!(common_name(&names(&[&long, "gate.lan"])).as_deref(), Some("gate.lan"));
        assert_eq!(common_name(&names(&["fe80::1"])).as_deref(), Some("fe80::1"));
        assert_eq!(common_name(&names(&[&long])), None);
    }
}
