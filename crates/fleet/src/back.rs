//! What earlier runs left, and the way back after a failure.

use std::time::Duration;

use devices::{Before, other_identity};
use domain::{EnrolmentState, Finding, KeyTransport, Report, RevocationReason, Step, StepState, Verdict};
use store::EnrolmentRow;
use tokio::time::Instant;

use crate::{
    Error, Said,
    contact::{self, Ours},
    enrolment::{Run, Session, is_due, key_transport},
    error::reason,
};

impl Run<'_> {
    /// Ends what an earlier run left: if the device serves the certificate of that run, the run is completed;
    /// else the device is put back, and the enrolment begins anew.
    pub(crate) async fn take_up(&mut self, session: &mut Session) -> Result<Option<Ours>, Error> {
        let left = self.fleet.store.unfinished_enrolments(session.device_id).await?;
        let Some(last) = left.last() else { return Ok(None) };
        let report = self.look(session.before.https_port).await;
        let served = report.certificate.as_ref().filter(|c| Some(&c.serial) == last.serial.as_ref());
        if let Some(served) = served
            && let Some(row) = self.fleet.store.issued(&served.serial, &served.sha256).await?
        {
            let ours = Ours { port: session.before.https_port, row };
            let stays = self.fleet.public.stands_behind(&ours.row);
            if report.verdict == Verdict::Secure && !is_due(&ours.row, self.fleet.now()) && stays {
                self.journal.store_under(&last.id).await?;
                for step in [Step::Request, Step::Sign, Step::Package, Step::Install] {
                    self.journal.skip(step, &Said::Resumed).await?;
                }
                if let Some(transport) = last.key_transport {
                    self.key_travels(transport);
                }
                return Ok(Some(ours));
            }
            // That run had come through, long ago: there is nothing to go back to.
            self.settle(session.device_id, &ours, &report).await?;
            return Ok(None);
        }
        // The newest first: the oldest knows what the device had before all of them.
        for enrolment in left.iter().rev() {
            let before: Before = serde_json::from_str(&enrolment.before).map_err(store::Error::from)?;
            // What a person did, or did not, is not ours to take back.
            let state = if enrolment.handed_out().is_some()
                || !other_identity(&before.device, &session.before.device).is_empty()
            {
                EnrolmentState::Superseded
            } else {
                match self.back(session, &enrolment.id, &before).await {
                    Ok(()) => EnrolmentState::RolledBack,
                    Err(e) if e.is_of_connection() || e.is_of_credentials() => return Err(e.into()),
                    // It must not stand in the way for ever. What it left goes once the new one is verified.
                    Err(e) => {
                        self.outcome.findings.push(Finding::NotPutBack { reason: reason(&e) });
                        EnrolmentState::Superseded
                    }
                }
            };
            self.fleet.store.end_enrolment(&enrolment.id, state).await?;
            // The run that died had met a stranger, and what it gave away was never seen again.
            if let (false, Some(serial)) = (session.was_secured, given_away(enrolment)) {
                self.revoke_given(serial).await;
            }
        }
        session.before = session.driver.note().await?;
        session.overwrites &= session.before.https_on;
        Ok(None)
    }

    /// Our certificate is served, as `report` saw: the enrolment that brought it is done, and those that it
    /// left behind are over.
    pub(crate) async fn settle(&mut self, device_id: i64, ours: &Ours, report: &Report) -> Result<(), Error> {
        let left = self.fleet.store.unfinished_enrolments(device_id).await?;
        let brought_it = |e: &EnrolmentRow| e.serial.as_ref() == Some(&ours.row.serial);
        // A run that did not live to say so, if it was not this one.
        if self.outcome.key_transport.is_none()
            && let Some(transport) = left.iter().find(|e| brought_it(e)).and_then(|e| e.key_transport)
        {
            self.key_travels(transport);
        }
        // First: an enrolment that is over is not taken up again, and what it knew must be in the ledger.
        self.record(device_id, report, Some(ours)).await?;
        if self.was_reset {
            self.fleet.store.disown_earlier(device_id, &ours.row.serial).await?;
        }
        for enrolment in left {
            let state =
                if brought_it(&enrolment) { EnrolmentState::Done } else { EnrolmentState::Superseded };
            self.fleet.store.end_enrolment(&enrolment.id, state).await?;
        }
        Ok(())
    }

    /// Puts the device back, looks at it, and stores how that went.
    pub(crate) async fn go_back(&mut self, session: &mut Session, why: &Error) {
        let _ = self.journal.end(StepState::Failed, why).await;
        if let Some(serial) = self.given.take() {
            self.revoke_given(&serial).await;
        }
        let lost = self.uploaded && session.overwrites;
        let before = session.before.clone();
        let mut is_back = true;
        for mark in std::mem::take(&mut self.begun).iter().rev() {
            let state = match self.back(session, mark, &before).await {
                Ok(()) if lost => EnrolmentState::Failed,
                Ok(()) => EnrolmentState::RolledBack,
                Err(e) => {
                    is_back = false;
                    self.outcome.findings.push(Finding::NotPutBack { reason: reason(&e) });
                    EnrolmentState::Failed
                }
            };
            let _ = self.fleet.store.end_enrolment(mark, state).await;
        }
        if is_back && lost {
            self.outcome.findings.push(Finding::SlotOverwritten);
        } else if is_back {
            if self.uploaded && session.one_slot {
                self.outcome.findings.push(Finding::CertificateLeft);
            }
            let _ = self.journal.taken_back(&Said::TakenBack).await;
        }
        let report = match before.https_on {
            true => self.look(before.https_port).await,
            false => {
                let options = contact::options(self.fleet);
                inspect::check(&self.order.target, &options).await
            }
        };
        let _ = self.record(session.device_id, &report, None).await;
        self.outcome.verdict = report.verdict;
    }

    /// Whoever was given the key of this certificate at a first contact was not seen to be the device.
    async fn revoke_given(&mut self, serial: &str) {
        let now = self.fleet.now();
        let revoked = self.issuer.revoke(serial, RevocationReason::KeyCompromise, now).await;
        let serial = serial.to_owned();
        self.outcome.findings.push(match revoked {
            Ok(_) => Finding::GivenAwayRevoked { serial },
            Err(e) => Finding::GivenAway { serial, reason: reason(&e) },
        });
    }

    /// Puts the device back. What is put back may cut the connection that asked for it (HTTPS goes off, another
    /// key is shown), and a web server that starts again answers nothing for a while: so, until patience ends,
    /// once more over whatever answers then.
    async fn back(&self, session: &mut Session, mark: &str, before: &Before) -> Result<(), devices::Error> {
        let deadline = Instant::now() + session.patience;
        let mut pause = Duration::from_millis(50);
        loop {
            match session.driver.roll_back(mark, before).await {
                Err(e) if e.is_of_connection() && Instant::now() < deadline => {}
                other => return other,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
            let target = &self.order.target;
            let http_port = session.http_ports.first().copied().unwrap_or(80);
            let Some(admission) = &self.admission else { continue };
            if !before.https_on {
                admission.goes_back_to_plain();
            }
            let endpoint = contact::again(self.fleet, target, before.https_port, http_port, admission).await;
            match self.speak_as(&endpoint, self.order.credentials.clone()).await {
                Ok(found) => {
                    session.driver = found.connect();
                    session.key_transport = key_transport(session.makes_key, &endpoint);
                }
                // Once more would lock the account.
                Err(Error::Device(e)) if e.is_of_credentials() => return Err(e),
                Err(_) => {}
            }
        }
    }
}

/// The certificate that left this machine in an enrolment by a driver.
fn given_away(enrolment: &EnrolmentRow) -> Option<&str> {
    enrolment.serial.as_deref().filter(|_| enrolment.key_transport != Some(KeyTransport::ByHand))
}
