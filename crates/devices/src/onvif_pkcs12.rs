//! PKCS#12 for the Security service: for a camera that makes no key and takes none by itself.

use pki::{
    Certificate, PrivateKey,
    package::{self, Protection},
};
use zeroize::Zeroizing;

use crate::{
    Driver, Error, Package,
    onvif_security::{OnvifSecurity, TAS, id},
    random::random,
    soap::{Service, element},
    xsd,
};

impl OnvifSecurity {
    /// UploadCertificateWithPrivateKeyInPKCS12, in place of what a broken run left under this mark. The path that it makes.
    pub(crate) async fn upload_pkcs12(
        &mut self,
        mark: &str,
        package: &Package<'_>,
        key: &[u8],
        protection: Protection,
        keeps_passphrases: bool,
    ) -> Result<String, Error> {
        const OPERATION: &str = "UploadCertificateWithPrivateKeyInPKCS12";
        self.tidy(&[mark.to_owned()]).await?;
        // 32 characters: the specification promises room for 40.
        let passphrase = Zeroizing::new(random::<16>()?);
        let passphrase: Zeroizing<String> =
            Zeroizing::new(passphrase.iter().map(|byte| format!("{byte:02x}")).collect());
        let file = pkcs12(package, key, protection, &passphrase)?;
        let kept =
            if keeps_passphrases { Some(self.upload_passphrase(mark, &passphrase).await?) } else { None };
        let under = match &kept {
            Some(kept) => {
                element("tas:IntegrityPassphraseID", kept) + &element("tas:EncryptionPassphraseID", kept)
            }
            None => element("tas:Passphrase", &passphrase),
        };
        let file = Zeroizing::new(xsd::to_base64(&file));
        let arguments = Zeroizing::new(
            [
                "<tas:CertWithPrivateKey>",
                &file,
                "</tas:CertWithPrivateKey>",
                &element("tas:CertificationPathAlias", mark),
                &element("tas:KeyAlias", mark),
                &Zeroizing::new(under),
            ]
            .concat(),
        );
        let answer = self.onvif.try_call_secret(Service::Security, OPERATION, arguments).await?;
        if let Some(kept) = kept {
            self.call("DeletePassphrase", &id("PassphraseID", &kept)).await?;
        }
        let answer = answer.map_err(|fault| fault.into_error(OPERATION))?;
        answer.need(TAS, "CertificationPathID", OPERATION).map(str::to_owned)
    }

    /// UploadPassphrase. Its id.
    async fn upload_passphrase(&mut self, mark: &str, passphrase: &str) -> Result<String, Error> {
        const OPERATION: &str = "UploadPassphrase";
        let passphrase = element("tas:Passphrase", passphrase);
        let arguments = Zeroizing::new(passphrase + &element("tas:PassphraseAlias", mark));
        let answer = self.onvif.try_call_secret(Service::Security, OPERATION, arguments).await?;
        let answer = answer.map_err(|fault| fault.into_error(OPERATION))?;
        answer.need(TAS, "PassphraseID", OPERATION).map(str::to_owned)
    }
}

/// Key, certificate and issuers in one file.
fn pkcs12(
    package: &Package,
    key: &[u8],
    protection: Protection,
    passphrase: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |error| match error {
        // The key is whole and the package is ours: what can fail is to draw salts for it.
        pki::Error::Crypto { .. } => Error::NoRandomNumbers,
        _ => Error::KeyBroken,
    };
    let key = PrivateKey::from_pkcs8(key).map_err(|_| Error::KeyBroken)?;
    let chain = std::iter::once(package.certificate).chain(package.issuers.iter().map(Vec::as_slice));
    let chain: Vec<Certificate> =
        chain.map(Certificate::from_der).collect::<Result<_, _>>().map_err(failed)?;
    let form = package::Form::Pkcs12 { protection, passphrase };
    let parts = package::write(&key, &chain.iter().collect::<Vec<_>>(), &form).map_err(failed)?;
    parts.into_iter().next().map(|part| part.bytes).ok_or(Error::KeyBroken)
}
