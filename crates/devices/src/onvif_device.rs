//! The certificate operations of the old ONVIF device service (devicemgmt.wsdl, "tds"): deprecated since
//! 2016 and still what many cameras answer. The key is made outside and sent along.

use std::collections::BTreeMap;

use async_trait::async_trait;
use domain::AltName;
use pki::pem;
use zeroize::Zeroizing;

use crate::{
    Before, DeviceInfo, Driver, Error, Package,
    onvif::Onvif,
    soap::{Element, Service, TT, element},
    xsd,
};

const TDS: &str = "http://www.onvif.org/ver10/device/wsdl";

/// The driver.
pub(crate) struct OnvifDevice {
    pub(crate) onvif: Onvif,
}

#[async_trait]
impl Driver for OnvifDevice {
    async fn note(&mut self) -> Result<Before, Error> {
        let before = self.onvif.note().await?;
        Ok(Before { certificates: self.statuses().await?, ..before })
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

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, mark: &str, package: &Package) -> Result<(), Error> {
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        self.onvif.expect(package.certificate);
        // Harmless, so that a challenge is there before the key goes out; and the ids are needed below.
        let mut statuses = self.statuses().await?;
        let there = statuses.contains_key(mark) && self.is_stored(mark, package.certificate).await?;
        if !there {
            if statuses.contains_key(mark) {
                self.call("DeleteCertificates", &id("tds:CertificateID", mark)).await?;
            }
            self.load(mark, package.certificate, key).await?;
        }
        for status in statuses.values_mut() {
            *status = false;
        }
        statuses.insert(mark.to_owned(), true);
        self.set_statuses(&statuses).await
    }

    async fn enable_https(&mut self) -> Result<u16, Error> {
        self.onvif.enable_https().await
    }

    async fn roll_back(&mut self, mark: &str, before: &Before) -> Result<(), Error> {
        self.onvif.open_again(before).await?;
        let now = self.statuses().await?;
        let mut wanted = now.clone();
        for (id, status) in &mut wanted {
            *status =
                if id == mark { false } else { before.certificates.get(id).copied().unwrap_or(*status) };
        }
        if wanted != now {
            self.set_statuses(&wanted).await?;
        }
        if now.contains_key(mark) {
            self.call("DeleteCertificates", &id("tds:CertificateID", mark)).await?;
        }
        self.onvif.secure_again(before).await
    }

    async fn tidy(&mut self, marks: &[String]) -> Result<(), Error> {
        let statuses = self.statuses().await?;
        for mark in marks.iter().filter(|mark| statuses.get(*mark) == Some(&false)) {
            self.call("DeleteCertificates", &id("tds:CertificateID", mark)).await?;
        }
        Ok(())
    }

    async fn set_password(&mut self, new: &Zeroizing<String>) -> Result<(), Error> {
        self.onvif.set_password(new).await
    }

    async fn switch_http(&mut self, on: bool) -> Result<(), Error> {
        self.onvif.switch_http(on).await
    }
}

impl OnvifDevice {
    async fn call(&mut self, operation: &str, arguments: &str) -> Result<Element, Error> {
        self.onvif.call(Service::Device, operation, arguments).await
    }

    /// Which certificates there are, and which of them the web server shows.
    async fn statuses(&mut self) -> Result<BTreeMap<String, bool>, Error> {
        const OPERATION: &str = "GetCertificatesStatus";
        let answer = match self.onvif.try_call(Service::Device, OPERATION, "").await? {
            Ok(answer) => answer,
            Err(fault) if fault.is("ActionNotSupported") => {
                return Err(Error::NoCertificateService { host: self.onvif.host().to_owned() });
            }
            Err(fault) => return Err(fault.into_error(OPERATION)),
        };
        answer
            .all(TDS, "CertificateStatus")
            .map(|status| {
                let id = status.need(TT, "CertificateID", OPERATION)?;
                let on = status.text_of(TT, "Status").and_then(xsd::boolean).unwrap_or(false);
                Ok((id.to_owned(), on))
            })
            .collect()
    }

    /// Whether the certificate of that id is this one: left by a run that broke.
    async fn is_stored(&mut self, mark: &str, certificate: &[u8]) -> Result<bool, Error> {
        let answer = self.call("GetCertificates", "").await?;
        let found = answer.all(TDS, "NvtCertificate").find(|c| c.text_of(TT, "CertificateID") == Some(mark));
        let data = found.and_then(|c| c.child(TT, "Certificate")?.text_of(TT, "Data"));
        Ok(data.and_then(xsd::der).is_some_and(|stored| stored == certificate))
    }

    /// LoadCertificateWithPrivateKey: in DER, as the type says and Avigilon takes it; if that is refused once
    /// more in PEM, which is what Axis takes.
    async fn load(&mut self, mark: &str, certificate: &[u8], key: &[u8]) -> Result<(), Error> {
        const OPERATION: &str = "LoadCertificateWithPrivateKey";
        let der = load_arguments(mark, certificate, key);
        let Err(_) = self.onvif.try_call_secret(Service::Device, OPERATION, der).await? else {
            return Ok(());
        };
        let (certificate, key) = (pem::block("CERTIFICATE", certificate), pem::block("PRIVATE KEY", key));
        let pem = load_arguments(mark, certificate.as_bytes(), key.as_bytes());
        match self.onvif.try_call_secret(Service::Device, OPERATION, pem).await? {
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.into_error(OPERATION)),
        }
    }

    /// SetCertificatesStatus with every id: what is left out keeps its state on some devices, not on others.
    async fn set_statuses(&mut self, statuses: &BTreeMap<String, bool>) -> Result<(), Error> {
        let arguments: String = statuses
            .iter()
            .map(|(certificate, on)| {
                format!(
                    "<tds:CertificateStatus>{}<tt:Status>{on}</tt:Status></tds:CertificateStatus>",
                    id("tt:CertificateID", certificate)
                )
            })
            .collect();
        self.call("SetCertificatesStatus", &arguments).await.map(drop)
    }
}

fn id(name: &str, value: &str) -> String {
    element(name, value)
}

/// In one piece, so that no copy of the key is left behind.
fn load_arguments(mark: &str, certificate: &[u8], key: &[u8]) -> Zeroizing<String> {
    let key = Zeroizing::new(xsd::to_base64(key));
    Zeroizing::new(
        [
            "<tds:CertificateWithPrivateKey>",
            &id("tt:CertificateID", mark),
            "<tt:Certificate><tt:Data>",
            &xsd::to_base64(certificate),
            "</tt:Data></tt:Certificate><tt:PrivateKey><tt:Data>",
            &key,
            "</tt:Data></tt:PrivateKey></tds:CertificateWithPrivateKey>",
        ]
        .concat(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_have_the_order_of_the_schema() {
        assert_eq!(
            load_arguments("m", &[1, 2, 3], &[4, 5, 6]).as_str(),
            "<tds:CertificateWithPrivateKey><tt:CertificateID>m</tt:CertificateID>\
             <tt:Certificate><tt:Data>AQID</tt:Data></tt:Certificate>\
             <tt:PrivateKey><tt:Data>BAUG</tt:Data></tt:PrivateKey></tds:CertificateWithPrivateKey>"
        );
    }
}
