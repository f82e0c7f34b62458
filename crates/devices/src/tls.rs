//! TLS to a server that is known by its public key alone.
//!
//! The certificate on a camera that is not enrolled yet says nothing (self-signed, expired, X.509 version 1,
//! for another name), so nothing of it is judged but its key: the one that the operator or an earlier look
//! pinned. Possession of that key is proven by the handshake's signature, as always.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use der::{Decode, Reader, SliceReader, asn1::AnyRef};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerMisbehaved, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key},
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
};
use tokio_rustls::TlsConnector;

/// SHA-256 over the SubjectPublicKeyInfo (DER) of the certificate that a server shows: the pin of RFC 7469,
/// section 2.4. It survives a new certificate for the same key.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct PublicKeyPin(pub [u8; 32]);

impl PublicKeyPin {
    /// The pin of a certificate in DER; `None` if no public key can be found in it.
    pub fn of_certificate(certificate: &[u8]) -> Option<PublicKeyPin> {
        Some(PublicKeyPin::of_public_key(subject_public_key_info(certificate).ok()?))
    }

    /// As the ledger keeps it: 64 lower-case hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The pin that [`PublicKeyPin::hex`] wrote.
    pub fn from_hex(hex: &str) -> Option<PublicKeyPin> {
        let mut pin = [0; 32];
        if hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        for (index, byte) in pin.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(PublicKeyPin(pin))
    }

    /// Enough of it to tell two keys apart.
    pub fn short(&self) -> String {
        self.hex().chars().take(16).collect()
    }

    fn of_public_key(info: &[u8]) -> PublicKeyPin {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, info);
        let mut pin = [0; 32];
        pin.copy_from_slice(digest.as_ref());
        PublicKeyPin(pin)
    }
}

impl fmt::Debug for PublicKeyPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKeyPin({})", self.hex())
    }
}

/// The keys that a server may have: one, and a second one from the moment on in which it is given a new
/// certificate.
pub(crate) type Pins = Arc<Mutex<Vec<PublicKeyPin>>>;

/// A connector that speaks only to a server with one of those keys; or, if it `learns`, to any server, whose key is
/// from then on one of them.
pub(crate) fn connector(pins: Pins, learns: bool) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = PinnedServer { pins, learns, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The SubjectPublicKeyInfo inside a certificate (RFC 5280, section 4.1), whatever else is wrong with it.
fn subject_public_key_info(certificate: &[u8]) -> der::Result<&[u8]> {
    let mut outer = SliceReader::new(AnyRef::from_der(certificate)?.value())?;
    let mut fields = SliceReader::new(AnyRef::from_der(outer.tlv_bytes()?)?.value())?;
    // The version [0] is absent in X.509 version 1, which old cameras still serve.
    if fields.tlv_bytes()?.first() == Some(&0xa0) {
        fields.tlv_bytes()?;
    }
    // After the serial number: signature, issuer, validity, subject.
    for _ in 0..4 {
        fields.tlv_bytes()?;
    }
    fields.tlv_bytes()
}

#[derive(Debug)]
struct PinnedServer {
    pins: Pins,
    learns: bool,
    provider: Arc<CryptoProvider>,
}

impl PinnedServer {
    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match (PublicKeyPin::of_certificate(end_entity), self.pins.lock()) {
            (Some(pin), Ok(pins)) if pins.contains(&pin) => Ok(ServerCertVerified::assertion()),
            (Some(pin), Ok(mut pins)) if self.learns => {
                pins.push(pin);
                Ok(ServerCertVerified::assertion())
            }
            _ => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    /// As `rustls::crypto::verify_tls12_signature`, with the bare key: webpki reads no version 1 certificate.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let info = public_key(certificate)?;
        let key = webpki::RawPublicKeyEntity::try_from(&info).map_err(|_| CertificateError::BadEncoding)?;
        let (_, candidates) = self
            .algorithms()
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == dss.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        // In TLS 1.2 a scheme does not name the curve, so each is tried.
        if candidates.iter().any(|a| key.verify_signature(*a, message, dss.signature()).is_ok()) {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(CertificateError::BadSignature.into())
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(certificate)?, dss, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'a>, rustls::Error> {
    let info = subject_public_key_info(certificate).map_err(|_| CertificateError::BadEncoding)?;
    Ok(SubjectPublicKeyInfoDer::from(info))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    #[test]
    fn the_pin_is_over_the_key_and_not_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let one = CertificateParams::new(["a.lan".to_owned()]).unwrap().self_signed(&key).unwrap();
        let two = CertificateParams::new(["b.lan".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pin = PublicKeyPin::of_certificate(one.der());
        assert_eq!(pin, PublicKeyPin::of_certificate(two.der()));
        assert_eq!(pin, Some(PublicKeyPin::of_public_key(&key.subject_public_key_info())));
    }

    #[test]
    fn a_version_1_certificate_has_a_key_too() {
        // Certificate { tbs { serial, signature, issuer, validity, subject, key }, ... }, all but empty.
        let tbs = [0x30, 17, 2, 1, 1, 0x30, 0, 0x30, 0, 0x30, 0, 0x30, 0, 0x30, 4, 5, 0, 5, 0];
        let certificate = [&[0x30, 23][..], &tbs, &[0x30, 0, 5, 0]].concat();
        assert_eq!(subject_public_key_info(&certificate).unwrap(), [0x30, 4, 5, 0, 5, 0]);
    }

    #[test]
    fn what_is_no_certificate_has_no_pin() {
        let key = KeyPair::generate().unwrap();
        let whole = CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
        for cut in 0..whole.len() {
            assert_eq!(PublicKeyPin::of_certificate(&whole[..cut]), None);
        }
        assert_eq!(PublicKeyPin::of_certificate(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
