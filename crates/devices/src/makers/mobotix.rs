//! Mobotix: certificate and key are two files among the camera's media, and a restart makes the web server take them.
//!
//! No way is known to ask whether HTTPS or HTTP is on, or to switch them; the only program that this could be written
//! from speaks HTTPS alone, and so does this driver. The file of the certificate can be read back, the key cannot.

use async_trait::async_trait;
use domain::AltName;
use hyper::{Method, StatusCode, header::WWW_AUTHENTICATE};
use pki::pem;
use zeroize::Zeroizing;

use super::Maker;
use crate::{
    Abilities, Before, DeviceInfo, Driver, Error, Package,
    form::{self, File},
    http::{Answer, Http, Request},
    session::Session,
};

const MEDIA: &str = "/config/camera/media";
const RESTART: &str = "/admin/rcontrol?action=reboot";
/// What is uploaded under these names is what the web server takes.
const CERTIFICATE: &str = "httpd_cert.pem";
const KEY: &str = "httpd_privkey.pem";

pub(crate) const MAKER: Maker = Maker { name: "mobotix", probe, recognise, connect };

fn probe(http: &Http) -> Request {
    Request::get(http.place("/"))
}

/// The maker's name on the start page, or in the challenge before it.
fn recognise(answer: &Answer) -> Option<Abilities> {
    let in_challenge = || {
        let mut challenges = answer.headers.get_all(WWW_AUTHENTICATE).iter();
        challenges.any(|c| String::from_utf8_lossy(c.as_bytes()).contains("MOBOTIX"))
    };
    (answer.text().contains("MOBOTIX") || in_challenge()).then(|| Abilities {
        makes_key: false,
        key_kinds: vec!["rsa-2048".to_owned()],
        serves_chain: false,
        one_slot: true,
        restarts: true,
        source: "another program for Mobotix cameras".to_owned(),
    })
}

fn connect(session: Session) -> Box<dyn Driver> {
    Box::new(Mobotix { session })
}

struct Mobotix {
    session: Session,
}

#[async_trait]
impl Driver for Mobotix {
    async fn note(&mut self) -> Result<Before, Error> {
        // Whatever it asks for, over plain HTTP this leads nowhere.
        self.session.inside_tls()?;
        let own = self.certificate().await?.is_some();
        Ok(Before {
            device: DeviceInfo { manufacturer: Some("MOBOTIX".into()), ..DeviceInfo::default() },
            // This was asked over it.
            https_on: true,
            https_port: self.session.http().endpoint.port,
            // Not told, and nothing here changes it.
            http_on: true,
            certificates: own.then(|| (CERTIFICATE.to_owned(), true)).into_iter().collect(),
            ..Before::default()
        })
    }

    async fn request(&mut self, _mark: &str, _names: &[AltName]) -> Result<Vec<u8>, Error> {
        Err(Error::NotOffered { operation: "making of a key".to_owned() })
    }

    async fn install(&mut self, _mark: &str, package: &Package) -> Result<(), Error> {
        let Some(key) = package.key else {
            return Err(Error::NotOffered { operation: "installation without a key".to_owned() });
        };
        self.session.inside_tls()?;
        self.session.expect(package.certificate);
        // With it there is a challenge before the key goes out.
        let was = self.certificate().await?;
        self.upload(CERTIFICATE, &pem::block("CERTIFICATE", package.certificate)).await?;
        let key = Zeroizing::new(pem::block("PRIVATE KEY", key));
        if let Err(e) = self.upload(KEY, &key).await {
            // A certificate beside another's key might leave the next restart without HTTPS.
            if let (Some(was), false) = (was, e.is_of_credentials()) {
                let _ = self.upload(CERTIFICATE, &was).await;
            }
            return Err(e);
        }
        self.restart().await
    }

    /// It is on. The new certificate is there when the restart is over.
    async fn enable_https(&mut self) -> Result<u16, Error> {
        self.session.inside_tls()?;
        Ok(self.session.http().endpoint.port)
    }

    /// What was in the one place cannot be brought back, and nothing else was changed.
    async fn roll_back(&mut self, _mark: &str, _before: &Before) -> Result<(), Error> {
        self.session.inside_tls()
    }

    async fn tidy(&mut self, _marks: &[String]) -> Result<(), Error> {
        Ok(())
    }
}

impl Mobotix {
    /// The file of the certificate; none if nobody has uploaded one.
    async fn certificate(&mut self) -> Result<Option<String>, Error> {
        let request = Request::get(self.session.http().place(&format!("{MEDIA}?file={CERTIFICATE}")));
        let answer = self.session.send(&request).await?;
        match answer.status {
            StatusCode::OK => {
                Ok(Some(answer.text()).filter(|text| text.contains("-----BEGIN CERTIFICATE-----")))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(request.unexpected(&format!("HTTP {status}"))),
        }
    }

    async fn upload(&mut self, name: &str, content: &str) -> Result<(), Error> {
        let file = File { field: "some_file", name, content_type: "application/x-x509-ca-cert", content };
        let request = form::upload(self.session.http().place(MEDIA), &file)?;
        let answer = self.session.send(&request).await?;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(request.unexpected(&format!("HTTP {}", answer.status))),
        }
    }

    async fn restart(&mut self) -> Result<(), Error> {
        let place = self.session.http().place(RESTART);
        let request =
            Request { method: Method::POST, operation: format!("POST {RESTART}"), ..Request::get(place) };
        let answer = self.session.send(&request).await?;
        match answer.text().contains("OK - Reboot") {
            true => Ok(()),
            false => Err(request.unexpected(&answer.text())),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, body::Bytes};

    use super::*;
    use crate::fake::{Fake, challenge};

    #[test]
    fn it_is_recognised_by_its_makers_name() {
        let says = |challenge: &str, body: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
            let body = Bytes::copy_from_slice(body.as_bytes());
            recognise(&Answer { status: StatusCode::UNAUTHORIZED, headers, body })
        };
        assert!(says("Basic realm=\"MOBOTIX Camera User\"", "").is_some_and(|a| a.restarts));
        assert!(says("Basic realm=\"x\"", "<title>MOBOTIX M73</title>").is_some());
        assert!(says("Basic realm=\"x\"", "<title>Camera</title>").is_none());
    }

    #[tokio::test]
    async fn over_plain_http_nothing_is_sent() {
        let fake = Fake::start(|_| challenge(r#"nonce="n""#)).await;
        let refused = Err(Error::PasswordInClear { host: "127.0.0.1".into() });
        assert_eq!(connect(fake.session()).note().await, refused);
        assert!(fake.requests().is_empty());
    }
}
