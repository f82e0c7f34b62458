//! A site's ledger, as the pages show it.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use authority::{Public, crl_at};
use domain::{KeyTransport, Scheme, Target, Verdict};
use pki::Certificate;
use serde_json::{Value, json};
use site::{DataDir, Kind, Notice, PROOF, PageCertificate, Tell, standing};
use store::{DeviceRow, Store};
use time::OffsetDateTime;
use words::Words;

use crate::{
    page::{Camera, Count, Crl, Health, Page, Reach, Root, Site, StepLine, Trust, Unreadable},
    proof::Prover,
};

/// So many cameras are on the page; more would make it slow to read, for people too.
const SHOWN: usize = 200;

/// The ledger, as the page shows it.
#[derive(Clone)]
pub struct LiveSite {
    store: Store,
    locked: bool,
    words: Arc<Words>,
    reach: Reach,
    provers: Arc<Provers>,
    tell: Tell,
}

impl Site for LiveSite {
    async fn page(&self) -> Result<Page, Unreadable> {
        self.read().await.map_err(|e| self.unreadable(e))
    }

    async fn trust(&self) -> Result<Trust, Unreadable> {
        let public = Public::read(&self.store).await.map_err(|e| self.unreadable(e))?;
        Ok(self.reached(&public))
    }

    async fn crl(&self, path: &str) -> Result<Option<Crl>, Unreadable> {
        let list = crl_at(&self.store, path).await.map_err(|e| self.unreadable(e))?;
        Ok(list.map(|(der, next_update)| Crl { der, next_update }))
    }

    async fn health(&self) -> Result<Health, Unreadable> {
        // Who asks for it is told, and asks often: not for the log.
        self.store.site().await.map_err(|_| Unreadable)?;
        Ok(Health { locked: self.locked })
    }

    fn now(&self) -> OffsetDateTime {
        self.store.clock().now()
    }

    fn words(&self) -> &Words {
        &self.words
    }

    fn prover(&self) -> Option<Arc<Prover>> {
        self.provers.current()
    }

    async fn proven(&self, root: &str, address: IpAddr) {
        if let Err(e) = self.store.record_proof(root, address, self.now()).await {
            (self.tell)(Notice::Failed(e.into()));
        }
    }
}

impl LiveSite {
    /// The pages of this site, which is reached like that; whoever keeps the log is told what cannot be read.
    pub fn new(site: &site::Site, reach: Reach, tell: Tell) -> LiveSite {
        LiveSite {
            store: site.store().clone(),
            locked: site.authority().is_err(),
            words: Arc::new(Words::english()),
            reach,
            provers: Arc::new(Provers { files: site.files().clone(), held: Mutex::default() }),
            tell,
        }
    }

    fn unreadable(&self, e: authority::Error) -> Unreadable {
        (self.tell)(Notice::Failed(e.into()));
        Unreadable
    }

    fn reached(&self, public: &Public) -> Trust {
        Trust { reach: self.reach.clone(), ..trust(public) }
    }

    async fn read(&self) -> Result<Page, authority::Error> {
        let now = self.now();
        let devices = self.store.devices(None).await?;
        let secure = devices.iter().filter(|d| standing(d, now).0 == Verdict::Secure).count();
        let mut cameras = Vec::new();
        for device in devices.iter().take(SHOWN) {
            cameras.push(self.camera(device, &self.words, now).await?);
        }
        Ok(Page {
            trust: self.reached(&Public::read(&self.store).await?),
            cameras,
            count: Count { secure, total: devices.len() },
            locked: self.locked,
            sign_in: None,
        })
    }

    async fn camera(
        &self,
        device: &DeviceRow,
        words: &Words,
        now: OffsetDateTime,
    ) -> Result<Camera, store::Error> {
        let steps = self.store.latest_steps(device.id).await?.into_iter().map(|s| StepLine {
            step: s.step,
            state: s.state,
            seconds: s.milliseconds as f64 / 1000.0,
            text: said(words, &s.text),
        });
        let steps: Vec<_> = steps.collect();
        let host = Target { text: String::new(), host: device.host.clone(), port: None, scheme: None };
        let (after, finding) = standing(device, now);
        Ok(Camera {
            name: device.name.to_string(),
            model: device.model.as_deref().unwrap_or_default().to_owned(),
            way: device.key_transport.map_or("", way).to_owned(),
            driver: device.driver.clone(),
            before: device.first_verdict,
            before_text: device.first_finding.as_deref().map(|f| said(words, f)).unwrap_or_default(),
            after,
            after_text: match finding {
                Some(finding) => words.say(&finding).text,
                None if after == Verdict::Secure => words.say(&json!({"code": "no-warning"})).text,
                None => String::new(),
            },
            http_url: Some(host.url(Scheme::Http, device.port)),
            https_url: host.url(Scheme::Https, device.https_port.unwrap_or(443)),
            key_transport: device.key_transport.unwrap_or(KeyTransport::None),
            warnings: Vec::new(),
            seconds: steps.iter().map(|s| s.seconds).sum(),
            steps,
            valid_until: device.not_after.map(OffsetDateTime::date),
            verified: device.verified_at.map(OffsetDateTime::date),
        })
    }
}

fn said(words: &Words, stored: &str) -> String {
    words.say(&serde_json::from_str::<Value>(stored).unwrap_or_default()).text
}

fn way(transport: KeyTransport) -> &'static str {
    match transport {
        KeyTransport::None => "made on the camera",
        _ => "made by Camlock",
    }
}

/// The roots as the pages hand them out.
pub fn trust(public: &Public) -> Trust {
    Trust {
        site: public.site.clone(),
        root: root(&public.root),
        next: public.next.as_ref().map(root),
        old: public.old_roots().map(root).collect(),
        reach: Reach::default(),
        throw_away: false,
    }
}

fn root(root: &Certificate) -> Root {
    Root {
        der: root.der().to_vec(),
        pem: root.to_pem(),
        subject: root.subject(),
        sha256: root.sha256(),
        not_after: root.not_after().date(),
        constrained: root.has_name_constraints(),
    }
}

/// The prover of a data directory, read again when its file has changed: commands beside the service write it, too.
struct Provers {
    files: DataDir,
    held: Mutex<Option<(SystemTime, Arc<Prover>)>>,
}

impl Provers {
    /// The present one, if there is one that can be used.
    fn current(&self) -> Option<Arc<Prover>> {
        let changed = std::fs::metadata(self.files.path().join(PROOF)).ok()?.modified().ok()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_none_or(|(read, _)| *read != changed) {
            let proof = PageCertificate::load(&self.files, Kind::Proof)?;
            let root = proof.root()?;
            let prover = Prover::new(proof.tls().ok()?, root.sha256(), proof.leaf().alt_names());
            *held = Some((changed, Arc::new(prover)));
        }
        held.as_ref().map(|(_, prover)| prover.clone())
    }
}
