//! What `serve` sees to while it runs: the authority as it is now, the page's certificate, the lists of revoked
//! certificates. While nothing happens it writes nothing.

use std::net::IpAddr;

use authority::{Authority, Policy, Public};
use fleet::RENEW_DAYS;
use rustls::ServerConfig;
use serde_json::json;
use store::Store;
use time::OffsetDateTime;

use crate::{
    failure::Failure,
    page_certificate::{self, PageCertificate},
    talk::{Level, log},
};

/// What is kept up, and with what.
pub struct Upkeep {
    store: Store,
    /// `None`: it is locked.
    pub authority: Option<Authority>,
    /// The one address that it was told to listen on, if it was.
    named: Option<IpAddr>,
    pub certificate: Option<PageCertificate>,
    complained: bool,
}

impl Upkeep {
    pub fn new(store: Store, authority: Option<Authority>, named: Option<IpAddr>) -> Upkeep {
        let certificate = PageCertificate::load(store.directory());
        Upkeep { store, authority, named, certificate, complained: false }
    }

    /// Looks what the time or another process has changed. What the page serves from now on, if that is another
    /// certificate. A failure is said in the log, and is no reason to end.
    pub async fn look(&mut self) -> Option<ServerConfig> {
        if let Some(authority) = &self.authority {
            match authority.reopened().await {
                Ok(authority) => self.authority = Some(authority),
                // A mistake in the policy, say: what was read before holds on.
                Err(e) => log(Level::Error, &e),
            }
        }
        let renewed = self.renew_certificate().await.unwrap_or_else(|failure| {
            log(Level::Error, &failure.said);
            false
        });
        self.refresh_lists().await;
        let certificate = self.certificate.as_ref().filter(|_| renewed)?;
        certificate.tls().map_err(|failure| log(Level::Error, &failure.said)).ok()
    }

    /// Sees that the page's certificate is of the root in use, fits this machine's names and has time left; whether
    /// another one is there now. An old one is better than none: the log says then why it stays.
    pub async fn renew_certificate(&mut self) -> Result<bool, Failure> {
        let public = Public::read(&self.store).await?;
        let policy = match &self.authority {
            Some(authority) => authority.policy().clone(),
            // Locked, nothing is issued, and a mistake in the policy harms nobody.
            None => Policy::read(self.store.directory()).unwrap_or_default(),
        };
        let names = page_certificate::names(&public, &policy, self.named);
        if self.certificate.as_ref().is_some_and(|c| c.is_good(&public, &names, RENEW_DAYS)) {
            return Ok(false);
        }
        let said: Vec<String> = names.iter().map(ToString::to_string).collect();
        match (&self.authority, &self.certificate) {
            (Some(authority), old) => match self.issue(authority, &names).await {
                Ok(certificate) => {
                    let until = certificate.not_after().date();
                    log(
                        Level::Info,
                        &json!({"code": "page-certificate-issued", "names": said, "until": until}),
                    );
                    self.certificate = Some(certificate);
                    return Ok(true);
                }
                Err(failure) if old.is_none() => return Err(failure),
                Err(failure) => log(Level::Error, &failure.said),
            },
            (None, Some(old)) if !self.complained => {
                self.complained = true;
                let until = old.not_after().date();
                log(Level::Warning, &json!({"code": "page-certificate-old", "names": said, "until": until}));
            }
            (None, _) => {}
        }
        Ok(false)
    }

    async fn issue(
        &self,
        authority: &Authority,
        names: &[domain::AltName],
    ) -> Result<PageCertificate, Failure> {
        let certificate = PageCertificate::issue(authority, names).await?;
        certificate.save(self.store.directory())?;
        Ok(certificate)
    }

    /// Signs the lists of revoked certificates that are missing or half over.
    pub async fn refresh_lists(&self) {
        let Some(authority) = &self.authority else { return };
        match authority.refresh_crls(OffsetDateTime::now_utc()).await {
            Ok(0) => {}
            Ok(count) => log(Level::Info, &json!({"code": "crls-signed", "count": count})),
            Err(e) => log(Level::Error, &e),
        }
    }
}
