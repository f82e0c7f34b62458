//! What is done once HTTPS is verified, each on request alone, and believed only once it is seen.

use std::time::Duration;

use devices::{Credentials, Endpoint, TlsVersions};
use domain::{Finding, Report, Scheme, Target, Verdict};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    Error, contact,
    contact::Ours,
    enrolment::{Run, Session},
    error::reason,
    identity::key_of,
};

impl Run<'_> {
    /// What a browser says after all of it.
    pub(crate) async fn afterwards(
        &mut self,
        session: &mut Session,
        ours: &Ours,
        mut report: Report,
    ) -> Result<Report, Error> {
        if self.order.enable_http {
            session.driver.switch_http(true).await?;
            report = self.look(ours.port).await;
        }
        if report.verdict != Verdict::Secure {
            return Ok(report);
        }
        if let Some(floor) = &self.order.tls_floor {
            report = self.set_tls_floor(session, ours.port, floor).await?;
        }
        if self.order.disable_http {
            let http_off = self.switch_http_off(session, ours.port).await;
            report = self.look(ours.port).await;
            self.record(session.device_id, &report, Some(ours)).await?;
            http_off?;
            self.outcome.findings.push(Finding::HttpOff);
        }
        if let Some(new) = &self.order.new_password
            && report.verdict == Verdict::Secure
        {
            self.change_password(ours, new).await?;
        }
        Ok(report)
    }

    /// Over the TLS that has just been verified, and believed only once the device lets the new password in.
    async fn change_password(&mut self, ours: &Ours, new: &Zeroizing<String>) -> Result<(), Error> {
        // What is verified is spoken to over its own key and no other.
        let Some(pin) = key_of(&ours.row) else {
            return Err(Error::OtherCertificateServed { port: ours.port });
        };
        if let Some(admission) = &self.admission {
            admission.verified(pin);
        }
        let endpoint = Endpoint { host: self.order.target.host.clone(), port: ours.port, pin: Some(pin) };
        let mut driver = self.speak(&endpoint).await?.connect();
        driver.note().await?;
        let is_first = driver.lets_everyone_in();
        driver.set_password(new).await?;
        let user = self.order.credentials.user.clone();
        let credentials = Credentials::new(user, new.clone());
        let still_open = match self.speak_as(&endpoint, credentials).await {
            Ok(found) => {
                let mut driver = found.connect();
                driver.note().await.map(|_| driver.lets_everyone_in()).map_err(Error::from)
            }
            Err(e) => Err(e),
        };
        if still_open.map_err(|e| Error::PasswordUnsure { reason: reason(&e) })? {
            return Err(Error::PasswordNotAsked);
        }
        self.outcome.findings.retain(|finding| *finding != Finding::NoPassword);
        self.outcome.findings.push(if is_first { Finding::PasswordSet } else { Finding::PasswordChanged });
        Ok(())
    }

    /// Leaves on what the device has from `floor` upwards, and looks. What does not hold is taken back.
    async fn set_tls_floor(
        &mut self,
        session: &mut Session,
        port: u16,
        floor: &str,
    ) -> Result<Report, Error> {
        let TlsVersions { has, on: before } = session.driver.tls_versions().await?;
        let (on, off): (Vec<String>, Vec<String>) = has.into_iter().partition(|v| v.as_str() >= floor);
        if on.is_empty() {
            return Err(Error::NoSuchTls { version: floor.to_owned(), has: off });
        }
        session.driver.set_tls_versions(&on).await?;
        let deadline = Instant::now() + self.fleet.limits.verify;
        let options = contact::options(self.fleet);
        let refused = loop {
            let mut spoken = None;
            for version in &off {
                if inspect::old::speaks(&self.order.target, port, version, &options).await {
                    spoken = Some(version.clone());
                }
            }
            let report = self.look(port).await;
            match spoken {
                None if report.verdict == Verdict::Secure => {
                    self.outcome.findings.push(Finding::TlsFloor { versions: on });
                    return Ok(report);
                }
                Some(version) if Instant::now() >= deadline => break Error::TlsStillSpoken { version },
                None if Instant::now() >= deadline => {
                    let page = report.chromium.or(report.firefox).unwrap_or_default();
                    break Error::StillNotSecure { page: page.to_owned() };
                }
                _ => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        session.driver.set_tls_versions(&before).await?;
        Err(refused)
    }

    async fn switch_http_off(&mut self, session: &mut Session, https_port: u16) -> Result<(), Error> {
        match session.driver.switch_http(false).await {
            // It may have closed the door that the question came through. What counts is what answers now.
            Err(e) if e.is_of_connection() => {}
            other => other?,
        }
        let deadline = Instant::now() + self.fleet.limits.verify;
        for port in session.http_ports.iter().copied().filter(|port| *port != https_port) {
            let target = &self.order.target;
            let http = Target {
                text: target.url(Scheme::Http, port),
                host: target.host.clone(),
                port: Some(port),
                scheme: Some(Scheme::Http),
            };
            let options = contact::options(self.fleet);
            while inspect::check(&http, &options).await.verdict != Verdict::Unreachable {
                if Instant::now() >= deadline {
                    return Err(Error::HttpStillOpen { port });
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }
}
