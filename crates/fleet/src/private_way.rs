//! The way for a private key to a device that was met over plain HTTP: inside TLS, whose key is pinned for the session.
//!
//! Whoever listens hears nothing, since only ciphers with forward secrecy are spoken. That nobody stands in between and
//! answers as the device cannot be known at a first contact.

use devices::{Endpoint, Package, PublicKeyPin};
use domain::{AltName, Finding, KeyTransport};
use pki::{Certificate, KeyKind, Permitted, PrivateKey, Profile, Serial, profile};
use time::{Duration, OffsetDateTime};

use crate::{
    Error,
    contact::tls_unusable,
    enrolment::{Run, Session, is_served, make_for, new_mark, pack},
};

impl Run<'_> {
    /// From here on the device is spoken to over TLS: the one that it has, or that of a certificate that serves for
    /// this only.
    pub(crate) async fn private_way(
        &mut self,
        session: &mut Session,
        names: &[AltName],
    ) -> Result<(), Error> {
        if session.before.https_on {
            let port = session.before.https_port;
            let report = self.look(port).await;
            if let Some(pin) = report.leaf.as_deref().and_then(PublicKeyPin::of_certificate) {
                return self.go_over(session, port, pin, KeyTransport::PinnedTls).await;
            }
            // Another certificate would change nothing about that, for Camlock or for a browser.
            if let Some(
                Finding::TlsTooOld { .. } | Finding::NoCommonCipher { .. } | Finding::HandshakeFailed { .. },
            ) = report.findings.first()
            {
                return Err(tls_unusable(&self.order.target, &report));
            }
        }
        self.throw_away(session, names).await
    }

    /// Installs a certificate whose key may be known to whoever listens; over the TLS that it gives the real one follows.
    /// An enrolment of its own, so that it is found and removed like what any other run left.
    async fn throw_away(&mut self, session: &mut Session, names: &[AltName]) -> Result<(), Error> {
        let mark = new_mark()?;
        self.begin(session.device_id, &mark, &session.before).await?;
        let (kind, names) = (session.key_kind, names.to_vec());
        let now = self.fleet.now() - session.clock_behind;
        let (key, leaf) =
            make_for(&mut session.driver, move || throw_away_certificate(kind, &names, now)).await?;
        let (pkcs8, pem) = pack(Some(&key), &leaf, &[])?;
        let package = Package {
            certificate: leaf.der(),
            issuers: &[],
            key: pkcs8.as_ref().map(|key| key.as_slice()),
            pem: &pem,
        };
        self.uploaded = true;
        // The device may show it when a later run finds it, if this one dies.
        let pin = PublicKeyPin(leaf.public_key_sha256()?);
        self.fleet.store.record_device_key(session.device_id, &pin.hex(), true).await?;
        session.driver.install(&mark, &package).await?;
        let port = session.driver.enable_https().await?;
        is_served(&leaf, port, &self.wait_for(&leaf, port, session.patience).await)?;
        self.go_over(session, port, pin, KeyTransport::ThrowAwayTls).await
    }

    async fn go_over(
        &mut self,
        session: &mut Session,
        port: u16,
        pin: PublicKeyPin,
        key_transport: KeyTransport,
    ) -> Result<(), Error> {
        if let Some(admission) = &self.admission {
            admission.meets(pin);
        }
        self.remember(session.device_id).await?;
        let endpoint = Endpoint { host: self.order.target.host.clone(), port, pin: Some(pin) };
        let mut driver = self.speak(&endpoint).await?.connect();
        // Until it lets us in over there, the way back is the one that it was met on.
        driver.note().await?;
        session.driver = driver;
        (session.key_transport, session.tls_port) = (key_transport, Some(port));
        // The key over there was met just now, whatever the device showed when this run began.
        session.renews = false;
        Ok(())
    }
}

/// A leaf below an authority that nobody trusts and whose key is gone when this returns: what may be known to others
/// must not be able to stand for the device afterwards.
fn throw_away_certificate(
    kind: KeyKind,
    names: &[AltName],
    now: OffsetDateTime,
) -> Result<(PrivateKey, Certificate), pki::Error> {
    let above = PrivateKey::generate(KeyKind::P256)?;
    let everything: Vec<String> = names.iter().map(AltName::plain).collect();
    let authority = profile::NewAuthority::root("Camlock throw-away", None, 0, now);
    let authority = profile::root(&authority, &above, Serial::random()?)?.lint_root()?.sign(&above)?;
    let key = PrivateKey::generate(kind)?;
    let leaf = profile::Leaf {
        profile: Profile::Device,
        key: &key.public_key()?,
        common_name: Some("Camlock throw-away"),
        names,
        not_before: now - Duration::DAY,
        not_after: now + Duration::DAY,
        crl: None,
    };
    let leaf = profile::leaf(&leaf, &authority, &above, Serial::random()?)?;
    let leaf =
        leaf.lint_leaf(Profile::Device, &authority, &Permitted::try_from(everything)?)?.sign(&above)?;
    Ok((key, leaf))
}
