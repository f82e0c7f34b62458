//! By hand: a device that no driver speaks to, or that its operator would rather serve in person. Camlock makes key,
//! certificate and package and watches until the device serves it; a person carries the file.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use authority::BY_HAND_DAYS;
use devices::{Before, Credentials};
use domain::{EnrolmentState, Finding, KeyTransport, Report, Scheme, Step, Target, Verdict};
use pki::{KeyKind, PrivateKey};
use store::NewDevice;
use zeroize::Zeroizing;

use crate::{
    Error, Fleet, Order, Outcome, Progress, Said,
    contact::{Contact, Ours},
    enrolment::{Run, make, new_mark, pack},
    meeting::meet,
};

/// What the ledger has for the driver of such a device.
pub const BY_HAND: &str = "by-hand";

/// Writes a package to a file; an error is a code with arguments.
pub type WritePackage = Box<dyn Fn(&Path, &str) -> Result<(), serde_json::Value> + Send + Sync>;

/// What is to be done for one device by hand.
pub struct HandOrder {
    /// The device.
    pub target: Target,
    /// At the address of a device of the ledger stands a new one, or the same after a reset.
    pub new_device: bool,
    /// How long to watch for the certificate. Whatever comes later is seen by the next run.
    pub wait: Duration,
    /// Where the package of the certificate with this serial number goes, or is since an earlier run.
    pub file: Box<dyn Fn(&str) -> PathBuf + Send + Sync>,
    /// Writes the package there, never over a file, readable by its owner only.
    pub write: WritePackage,
}

impl Fleet {
    /// Walks the eight steps for a device to which a person carries the package. As long as the device does not serve
    /// it, the step *install* is waiting; the next run goes on with the same package while its file is there.
    pub async fn secure_by_hand(&self, hand: &HandOrder, progress: Progress<'_>) -> Outcome {
        // Nobody signs in.
        let nobody = Credentials::new(String::new(), Zeroizing::default());
        let order = Order { new_device: hand.new_device, ..Order::new(hand.target.clone(), nobody) };
        let mut run = match Run::new(self, &order, progress) {
            Ok(run) => run,
            Err(locked) => return Outcome::not_begun(&hand.target, Some(locked)),
        };
        let walked = run.by_hand(hand).await;
        run.end(walked).await
    }
}

impl Run<'_> {
    async fn by_hand(&mut self, hand: &HandOrder) -> Result<(), Error> {
        self.journal.begin(Step::Find);
        let contact = meet(self.fleet, self.order, None).await?;
        self.meets(&contact);
        self.outcome.driver = Some(BY_HAND.to_owned());
        if let Some(ours) = self.stays(&contact) {
            return self.already_secure(contact, ours).await;
        }
        // Nobody signs in; but a package for a device that is another one by now would be for nobody.
        if contact.report.verdict != Verdict::Unreachable {
            contact.admit(self.fleet, self.order).await?;
        }
        self.journal.done(&Said::Found { driver: BY_HAND.to_owned() }).await?;

        self.journal.begin(Step::Inspect);
        match contact.report.findings.first() {
            Some(finding) => self.journal.done(finding).await?,
            None => self.journal.done(&Said::LookedAt { page: self.order.target.text.clone() }).await?,
        }
        let device_id = self.save_by_hand(&contact).await?;
        let port = contact.https_port.unwrap_or(Scheme::Https.default_port());
        let left = self.fleet.store.unfinished_enrolments(device_id).await?;
        let there = left.iter().rev().find_map(|enrolment| {
            let file = (hand.file)(enrolment.handed_out()?);
            file.exists().then_some((enrolment, file))
        });
        let (serial, file) = match there {
            Some((enrolment, file)) => {
                self.journal.store_under(&enrolment.id).await?;
                for step in [Step::Request, Step::Sign, Step::Package] {
                    self.journal.skip(step, &Said::Resumed).await?;
                }
                (enrolment.serial.clone().unwrap_or_default(), file)
            }
            None => self.package_for_hand(hand, device_id, &contact).await?,
        };

        self.journal.begin(Step::Install);
        // The page to upload it on: over TLS, whoever vouches for it, nobody overhears the key.
        let has_https = contact.endpoint.pin.is_some();
        let target = &self.order.target;
        let page = match has_https {
            true => target.url(Scheme::Https, port),
            // The port that names it may be that of the https page to come.
            false if contact.https_port == Some(contact.port) => {
                target.url(Scheme::Http, Scheme::Http.default_port())
            }
            false => target.url(Scheme::Http, contact.port),
        };
        if !has_https {
            self.outcome.findings.push(Finding::UploadInClear);
        }
        let file = file.display().to_string();
        self.journal.wait(&Said::WaitsForHand { page, file }).await?;
        let is_there = |report: &Report| report.certificate.as_ref().is_some_and(|c| c.serial == serial);
        let report = self.look_until(port, hand.wait, is_there).await;
        let served = report.certificate.as_ref().filter(|c| c.serial == serial);
        let row = match served {
            Some(served) => self.fleet.store.issued(&served.serial, &served.sha256).await?,
            None => None,
        };
        let Some(row) = row else {
            self.outcome.serial = Some(serial);
            return Ok(());
        };
        self.journal.done(&Said::Installed { port }).await?;

        self.journal.begin(Step::Verify);
        self.outcome.key_transport = Some(KeyTransport::ByHand);
        let ours = Ours { port, row };
        self.settle(device_id, &ours, &report).await?;
        self.verified(&ours, report).await
    }

    async fn save_by_hand(&self, contact: &Contact) -> Result<i64, Error> {
        let first = contact.report.findings.first().and_then(|f| serde_json::to_string(f).ok());
        let name = self.order.target.dial_host();
        let (store, known) = (&self.fleet.store, contact.known.as_ref());
        if let (Some(known), true, false) = (known, self.order.new_device, contact.by_ours) {
            // Whether it is the same one, nobody can see.
            store.device_left(&known.host, known.port).await?;
        }
        let device = NewDevice {
            id: known.filter(|_| !self.order.new_device || contact.by_ours).map(|known| known.id),
            host: &self.order.target.host,
            port: contact.port,
            name: &name,
            model: known.and_then(|known| known.model.as_deref()),
            told: None,
            mac: contact.seen.mac.as_deref(),
            driver: BY_HAND,
            makes_key: false,
            https_port: contact.https_port.filter(|_| contact.endpoint.pin.is_some()),
            accepted: true,
            first_verdict: contact.report.verdict,
            first_finding: first.as_deref(),
        };
        Ok(store.save_device(&device).await?)
    }

    /// Request, sign, package: everything that Camlock can do. The serial number and where the package is.
    async fn package_for_hand(
        &mut self,
        hand: &HandOrder,
        device_id: i64,
        contact: &Contact,
    ) -> Result<(String, PathBuf), Error> {
        self.journal.begin(Step::Request);
        let names = self.names()?;
        let mark = new_mark()?;
        self.begin(device_id, &mark, &as_met(contact)).await?;
        // Some firmware takes P-256 and nothing else, and some old one RSA: what it serves it can.
        let kind = contact.served_kind().unwrap_or(KeyKind::Rsa2048);
        let key = make(move || PrivateKey::generate(kind)).await?;
        self.journal.done(&Said::KeyMadeHere { key: kind.to_string() }).await?;

        self.journal.begin(Step::Sign);
        let issued =
            self.sign(&key.public_key()?, &names, BY_HAND_DAYS, time::Duration::ZERO, device_id).await?;
        let serial = issued.certificate.serial();
        self.fleet.store.record_installing(&mark, &serial, KeyTransport::ByHand).await?;
        self.signed(&issued.certificate, &names).await?;

        self.journal.begin(Step::Package);
        let (_, pem) = pack(Some(&key), &issued.certificate, &issued.issuers)?;
        let file = (hand.file)(&serial);
        if let Err(reason) = (hand.write)(&file, &pem) {
            // Nobody will ever serve it.
            self.fleet.store.end_enrolment(&mark, EnrolmentState::Superseded).await?;
            return Err(Error::PackageNotWritten { reason });
        }
        self.journal.done(&Said::PackagedFile { file: file.display().to_string() }).await?;
        Ok((serial, file))
    }
}

/// What was seen from outside: nobody was let in to see more.
fn as_met(contact: &Contact) -> Before {
    Before {
        https_on: contact.endpoint.pin.is_some(),
        https_port: contact.https_port.unwrap_or(Scheme::Https.default_port()),
        http_on: contact.report.verdict != Verdict::Unreachable,
        ..Before::default()
    }
}
