//! What a service sees to while it runs: the authority as it is now, the page's certificate, the next root, the lists of
//! revoked certificates. While nothing happens it writes nothing.

use std::net::IpAddr;

use authority::{Ailment, Authority, Public, doubt_of_clock};
use rustls::ServerConfig;
use time::OffsetDateTime;

use crate::{
    Error, Notice, Site, Tell,
    own_pages::{self, Kind, PageCertificate},
};

/// What is kept up, and with what.
pub struct Upkeep {
    site: Site,
    tell: Tell,
    /// The one address that it was told to listen on, if it was.
    named: Option<IpAddr>,
    certificate: Option<PageCertificate>,
    complained: bool,
    /// What was said against the clock.
    doubt: Option<Ailment>,
}

impl Upkeep {
    /// Of this site, whose service was told to listen on one address only if there is one in `named`.
    pub fn new(site: Site, named: Option<IpAddr>, tell: Tell) -> Upkeep {
        let certificate = PageCertificate::load(site.files(), Kind::Page);
        Upkeep { site, tell, named, certificate, complained: false, doubt: None }
    }

    /// What the page serves, if there is anything.
    pub fn certificate(&self) -> Option<&PageCertificate> {
        self.certificate.as_ref()
    }

    /// Looks what the time or another process has changed. What the page serves from now on, if that is another
    /// certificate. A failure is told, and is no reason to end.
    pub async fn look(&mut self) -> Option<ServerConfig> {
        // After a mistake in the policy, for example, what was read before holds on.
        if let Err(e) = self.site.refresh().await {
            self.failed(e);
        }
        let renewed = self.renew_certificate().await.unwrap_or_else(|e| {
            self.failed(e);
            false
        });
        self.begin_what_is_due().await;
        let certificate = self.certificate.as_ref().filter(|_| renewed)?;
        certificate.tls().map_err(|e| self.failed(e)).ok()
    }

    fn failed(&self, e: impl Into<Error>) {
        (self.tell)(Notice::Failed(e.into()));
    }

    /// Whether this computer's clock can be believed. If not, what could wait is not begun.
    async fn is_on_time(&mut self, now: OffsetDateTime) -> bool {
        let doubt = match doubt_of_clock(self.site.store(), now).await {
            Ok(doubt) => doubt,
            Err(e) => {
                self.failed(e);
                return false;
            }
        };
        if let Some(said) = doubt.clone().filter(|_| doubt != self.doubt) {
            (self.tell)(Notice::Doubt(said));
        }
        self.doubt = doubt;
        self.doubt.is_none()
    }

    /// All but the page's certificate: the next root, the trust page's test, the lists of revoked certificates.
    pub async fn begin_what_is_due(&mut self) {
        let now = self.site.now();
        if self.is_on_time(now).await {
            self.begin_rollover(now).await;
            self.renew_proof().await;
            self.refresh_lists(now).await;
        }
    }

    /// Makes the next root when its time has come. Nothing moves to it before the operator confirms. With two tiers the
    /// root's key has to be carried away, and without constraints there is something to decide, so a person has to be there.
    async fn begin_rollover(&self, now: OffsetDateTime) {
        let Ok(authority) = self.site.authority() else { return };
        let made = async {
            let public = self.site.public().await?;
            let is_due = public.ends_soon(now) && public.root.not_after() > now && public.next.is_none();
            // Another root without constraints is nothing to be made unasked.
            if !is_due || !public.issuers.is_empty() || !public.constrained {
                return Ok(None);
            }
            let next = authority.make_next(public.successor(), now).await?;
            next.store(self.site.store()).await?;
            Ok::<_, Error>(Some(next.root().subject()))
        };
        match made.await {
            Ok(Some(root)) => (self.tell)(Notice::RolloverBegun { root }),
            Ok(None) => {}
            Err(e) => self.failed(e),
        }
    }

    /// Sees that the page's certificate is of the root in use, fits this machine's names and has time left; whether
    /// another one is there now. An old one is better than none: the notice says then why it stays.
    ///
    /// # Errors
    ///
    /// There is none, and none can be made; or the ledger or the policy cannot be read.
    pub async fn renew_certificate(&mut self) -> Result<bool, Error> {
        let public = self.site.public().await?;
        let authority = self.site.authority().ok();
        let policy = match &authority {
            Some(authority) => match authority.policy() {
                Ok(policy) => policy.clone(),
                // Until the mistake is mended nothing is issued; what there is goes on.
                Err(e) if self.certificate.is_some() => {
                    self.failed(e);
                    return Ok(false);
                }
                Err(e) => return Err(e.into()),
            },
            // Locked, nothing is issued, and a mistake in the policy harms nobody.
            None => self.site.files().policy().unwrap_or_default(),
        };
        let names = own_pages::names(&public, &policy, self.named);
        if let Some(certificate) = &self.certificate
            && certificate.is_good(&public, &names, self.site.now())
            && !is_revoked(&self.site, certificate).await?
        {
            return Ok(false);
        }
        // Without one there is no service, which somebody has asked for.
        if self.certificate.is_some() && !self.is_on_time(self.site.now()).await {
            return Ok(false);
        }
        let said: Vec<String> = names.iter().map(ToString::to_string).collect();
        match (authority, &self.certificate) {
            (Some(authority), old) => match self.issue(&authority, &names).await {
                Ok(certificate) => {
                    let until = certificate.not_after().date();
                    (self.tell)(Notice::PageCertificateIssued { names: said, until });
                    self.certificate = Some(certificate);
                    return Ok(true);
                }
                Err(e) if old.is_none() => return Err(e),
                Err(e) => self.failed(e),
            },
            (None, Some(old)) if !self.complained => {
                self.complained = true;
                let until = old.not_after().date();
                (self.tell)(Notice::PageCertificateOld { names: said, until });
            }
            (None, _) => {}
        }
        Ok(false)
    }

    async fn issue(
        &self,
        authority: &Authority,
        names: &[domain::AltName],
    ) -> Result<PageCertificate, Error> {
        let certificate = PageCertificate::issue(authority, Kind::Page, names).await?;
        certificate.save(self.site.files())?;
        Ok(certificate)
    }

    /// Sees that there is a certificate by which browsers prove that they trust the newest root. Without one the trust
    /// page says that it cannot test.
    async fn renew_proof(&self) {
        if let Ok(authority) = self.site.authority()
            && let Err(e) = renew_proof(&self.site, &authority, self.named).await
        {
            self.failed(e);
        }
    }

    /// Signs the lists of revoked certificates that are missing or half over.
    async fn refresh_lists(&self, now: OffsetDateTime) {
        let Ok(authority) = self.site.authority() else { return };
        match authority.refresh_crls(now).await {
            Ok(0) => {}
            Ok(count) => (self.tell)(Notice::CrlsSigned { count }),
            Err(e) => self.failed(e),
        }
    }
}

/// Of the keys of these certificates anybody who reads the disk has a copy.
async fn is_revoked(site: &Site, certificate: &PageCertificate) -> Result<bool, Error> {
    let row = site.store().issued(&certificate.leaf().serial(), &certificate.leaf().sha256()).await?;
    Ok(row.is_some_and(|row| row.revoked_at.is_some()))
}

/// Issues the certificate of [`Kind::Proof`] again if the one that is there does not fit any more.
pub(crate) async fn renew_proof(
    site: &Site,
    authority: &Authority,
    named: Option<IpAddr>,
) -> Result<(), Error> {
    let public = Public::newest(site.store()).await?;
    let names = own_pages::names(&public, authority.policy()?, named);
    let held = PageCertificate::load(site.files(), Kind::Proof);
    if let Some(held) = held
        && held.is_good(&public, &names, site.now())
        && !is_revoked(site, &held).await?
    {
        return Ok(());
    }
    PageCertificate::issue(authority, Kind::Proof, &names).await?.save(site.files())
}

#[cfg(test)]
mod tests {
    use authority::{Founding, New, Policy};
    use pki::{KeyKind, Permitted, Profile};
    use store::{BackupRow, Store};
    use time::Duration;

    use super::*;
    use crate::DataDir;

    fn founding(two_tier: bool) -> Founding {
        let permitted = Permitted::local(None);
        Founding { site: "Shop".into(), key: KeyKind::P256, permitted, constrained: true, two_tier }
    }

    async fn upkeep(folder: &std::path::Path, two_tier: bool) -> Upkeep {
        let store = Store::create(folder).await.unwrap();
        let new = New::make(founding(two_tier), "words", OffsetDateTime::now_utc()).await.unwrap();
        let (authority, _) = new.found(&store).await.unwrap();
        upkept(Site::of(DataDir::new(folder), store, Some(authority)))
    }

    fn upkept(site: Site) -> Upkeep {
        Upkeep::new(site, None, std::sync::Arc::new(|_| {}))
    }

    fn served(upkeep: &Upkeep) -> OffsetDateTime {
        upkeep.certificate.as_ref().unwrap().not_after()
    }

    #[tokio::test]
    async fn a_rollover_by_another_process_moves_the_page_at_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let mut upkeep = upkeep(folder.path(), false).await;
        assert!(upkeep.look().await.is_some() && upkeep.look().await.is_none());

        let store = upkeep.site.store().clone();
        let other = upkeep.site.authority().unwrap().reopened().await.unwrap();
        other
            .make_next(founding(true), OffsetDateTime::now_utc())
            .await
            .unwrap()
            .store(&store)
            .await
            .unwrap();
        let proof = || PageCertificate::load(&DataDir::new(folder.path()), Kind::Proof).unwrap();
        let public = Public::read(&store).await.unwrap();
        assert!(proof().is_good(&public, &proof().leaf().alt_names(), OffsetDateTime::now_utc()));
        assert!(upkeep.look().await.is_none(), "nothing moves before it is confirmed");
        // But browsers can prove that they know what is to come.
        let newest = Public::newest(&store).await.unwrap();
        let names = proof().leaf().alt_names();
        assert!(
            proof().is_good(&newest, &names, OffsetDateTime::now_utc())
                && !proof().is_good(&public, &names, OffsetDateTime::now_utc())
        );
        let serial = proof().leaf().serial();
        Authority::confirm_next(&store).await.unwrap();
        assert!(upkeep.look().await.is_some());
        assert_eq!(proof().leaf().serial(), serial, "it is of the right root already");
        let public = Public::read(&store).await.unwrap();
        let names = own_pages::names(&public, &Policy::default(), None);
        assert!(upkeep.certificate.as_ref().unwrap().is_good(&public, &names, OffsetDateTime::now_utc()));
        // What a restart finds is the same one.
        let again = upkept(Site::of(DataDir::new(folder.path()), store, None));
        assert_eq!(served(&again), served(&upkeep));
        assert!(again.certificate.unwrap().is_good(&public, &names, OffsetDateTime::now_utc()));
        assert!(upkeep.look().await.is_none());
    }

    /// An authority whose root ends in so many days.
    async fn ending(folder: &std::path::Path, days: i64, two_tier: bool) -> Upkeep {
        let store = Store::create(folder).await.unwrap();
        let made = OffsetDateTime::now_utc() - Duration::days(3650 - days);
        let new = New::make(founding(two_tier), "words", made).await.unwrap();
        let (authority, _) = new.found(&store).await.unwrap();
        upkept(Site::of(DataDir::new(folder), store, Some(authority)))
    }

    #[tokio::test]
    async fn the_next_root_is_begun_in_time_and_once() {
        for (days, two_tier, is_begun) in [(1300, false, true), (1300, true, false), (2000, false, false)] {
            let folder = tempfile::tempdir().unwrap();
            let mut upkeep = ending(folder.path(), days, two_tier).await;
            upkeep.look().await;
            let next = || async { Public::read(upkeep.site.store()).await.unwrap().next };
            let first = next().await;
            assert_eq!(first.is_some(), is_begun, "{days} {two_tier}");
            if is_begun {
                // The trust page tests it at once.
                let newest = Public::newest(upkeep.site.store()).await.unwrap();
                let proof = PageCertificate::load(&DataDir::new(folder.path()), Kind::Proof).unwrap();
                assert!(proof.is_good(&newest, &proof.leaf().alt_names(), OffsetDateTime::now_utc()));
            }
            upkeep.look().await;
            assert_eq!(Public::read(upkeep.site.store()).await.unwrap().next, first);
        }
    }

    #[tokio::test]
    async fn with_a_clock_that_is_wrong_nothing_is_begun() {
        for days in [2, -401] {
            let folder = tempfile::tempdir().unwrap();
            let mut upkeep = ending(folder.path(), 1300, false).await;
            std::fs::write(folder.path().join("policy.toml"), "[crl]\nurl = \"http://nas.lan:8080\"\n")
                .unwrap();
            let seen = OffsetDateTime::now_utc() + Duration::days(days);
            upkeep
                .site
                .store()
                .record_backup(&BackupRow {
                    at: seen,
                    file: "a".into(),
                    root: None,
                    recovery: None,
                    tried: false,
                })
                .await
                .unwrap();
            // The page has one, which is of no use any more.
            let page = || {
                PageCertificate::load(&DataDir::new(folder.path()), Kind::Page)
                    .map(|page| page.leaf().serial())
            };
            let other = tempfile::tempdir().unwrap();
            let mut elsewhere = ending(other.path(), 2000, false).await;
            elsewhere.look().await;
            elsewhere.certificate.as_ref().unwrap().save(upkeep.site.files()).unwrap();
            upkeep.certificate = PageCertificate::load(&DataDir::new(folder.path()), Kind::Page);
            let before = page();
            assert!(upkeep.look().await.is_none(), "{days}");
            assert_eq!(page(), before);
            assert!(PageCertificate::load(&DataDir::new(folder.path()), Kind::Proof).is_none());
            assert!(Public::read(upkeep.site.store()).await.unwrap().next.is_none());
            assert!(upkeep.site.store().crl(1).await.unwrap().is_none());

            // A backup that somebody makes is what the ledger has seen last.
            upkeep
                .site
                .store()
                .record_backup(&BackupRow {
                    at: OffsetDateTime::now_utc(),
                    file: "a".into(),
                    root: None,
                    recovery: None,
                    tried: false,
                })
                .await
                .unwrap();
            assert!(upkeep.look().await.is_some());
            assert!(Public::read(upkeep.site.store()).await.unwrap().next.is_some());
            assert!(upkeep.site.store().crl(1).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_mistake_in_the_policy_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        let mut upkeep = upkeep(folder.path(), false).await;
        upkeep.look().await;
        std::fs::write(&file, "[crl]\nurl = \"http://nas.lan:8080\"\n").unwrap();
        upkeep.look().await;
        let crl = || async { upkeep.site.store().crl(1).await.unwrap().map(|(der, _)| der) };
        let list = crl().await;
        assert!(list.is_some(), "the site publishes lists from now on");

        std::fs::write(&file, "[crl]\nurl = 7\n").unwrap();
        assert!(upkeep.look().await.is_none());
        let authority = upkeep.site.authority().unwrap();
        let policy = authority.policy().unwrap();
        assert_eq!(policy.crl_url.as_deref(), Some("http://nas.lan:8080"));
        // A list that is good for long is not signed again.
        assert_eq!(upkeep.site.store().crl(1).await.unwrap().map(|(der, _)| der), list);

        // The names that a policy denies are not asked for.
        std::fs::write(&file, "[names]\npermit = [\"home.arpa\"]\n").unwrap();
        let public = upkeep.site.authority().unwrap().public().clone();
        upkeep.certificate = None;
        assert!(upkeep.look().await.is_some());
        let narrow = upkeep.site.authority().unwrap().policy().unwrap().clone();
        let names = own_pages::names(&public, &narrow, None);
        assert!(
            names
                .iter()
                .all(|name| narrow.permits_names(Profile::Server, std::slice::from_ref(name)).is_ok())
                && !names.is_empty()
        );
    }
}
