//! What the page shows, as its caller says it.

use std::{future::Future, net::IpAddr, sync::Arc};

use domain::{AltName, KeyTransport, Step, StepState, Verdict};
use serde::Serialize;
use time::{Date, OffsetDateTime};
use words::Words;

use crate::proof::Prover;

/// What is behind the pages, asked anew for each request.
pub trait Site: Clone + Send + Sync + 'static {
    /// What the page shows now.
    fn page(&self) -> impl Future<Output = Result<Page, Unreadable>> + Send;
    /// What a computer is to trust now.
    fn trust(&self) -> impl Future<Output = Result<Trust, Unreadable>> + Send;
    /// The list of revoked certificates that is published at this path (`/crl/...`), if one is.
    fn crl(&self, path: &str) -> impl Future<Output = Result<Option<Crl>, Unreadable>> + Send;
    /// How the service is.
    fn health(&self) -> impl Future<Output = Result<Health, Unreadable>> + Send;
    /// What time it is.
    fn now(&self) -> OffsetDateTime;
    /// The sentences that are said to people.
    fn words(&self) -> &Words;
    /// What a browser proves itself by beside plain HTTP; `None` while there is nothing.
    fn prover(&self) -> Option<Arc<Prover>>;
    /// A browser at this address has proven that it trusts the root with this SHA-256.
    fn proven(&self, root: &str, address: IpAddr) -> impl Future<Output = ()> + Send;
}

/// The site's data cannot be read.
#[derive(Clone, Copy, Debug)]
pub struct Unreadable;

/// What the health endpoint tells, as JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Health {
    /// Whether the authority's key is locked: then nothing is issued, and everything else goes on.
    pub locked: bool,
}

/// All that the page shows.
// No `Debug` here and on `SignIn`: what can be printed ends in a log one day.
#[derive(Clone)]
pub struct Page {
    /// The site, and the roots to introduce to browsers.
    pub trust: Trust,
    /// The cameras, in the order in which they are shown.
    pub cameras: Vec<Camera>,
    /// How many of all cameras are secure, and how many there are; `cameras` may hold fewer.
    pub count: Count,
    /// Whether the authority's key is locked.
    pub locked: bool,
    /// How to log in to simulated cameras. Its presence makes the page a demonstration: it then says that
    /// the authority is a throw-away one.
    pub sign_in: Option<SignIn>,
}

/// Cameras in numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Count {
    /// Verdict secure.
    pub secure: usize,
    /// All of them.
    pub total: usize,
}

impl Count {
    /// All of them are here.
    pub fn of(cameras: &[Camera]) -> Count {
        let secure = cameras.iter().filter(|c| c.after == Verdict::Secure).count();
        Count { secure, total: cameras.len() }
    }
}

/// What a computer is to trust.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The site's name.
    pub site: String,
    /// The root of what is issued now.
    pub root: Root,
    /// The root that everything moves to once it is on every computer.
    pub next: Option<Root>,
    /// Earlier roots that something still depends on.
    pub old: Vec<Root>,
    /// How the service is reached.
    pub reach: Reach,
    /// Whether the authority belongs to a demonstration, and ends with it.
    pub throw_away: bool,
}

/// How browsers reach the service.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The names that the site's page has a certificate for.
    pub names: Vec<AltName>,
    /// The port of the site's page.
    pub https_port: u16,
    /// The port of the trust page over plain HTTP, if it is served there.
    pub http_port: Option<u16>,
}

impl Trust {
    /// The one that a computer lacks if it was here before.
    pub(crate) fn newest(&self) -> &Root {
        self.next.as_ref().unwrap_or(&self.root)
    }

    /// All of them, the newest first.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Root> {
        self.next.iter().chain([&self.root]).chain(self.old.iter().rev())
    }
}

/// A root as it is handed out.
#[derive(Clone, Debug)]
pub struct Root {
    /// The certificate in DER.
    pub der: Vec<u8>,
    /// The same in PEM.
    pub pem: String,
    /// Its name, as the browsers' lists show it; RFC 4514 with a single `CN=` is shown without the `CN=`.
    pub subject: String,
    /// SHA-256 over the DER, hexadecimal without separators.
    pub sha256: String,
    /// The last day of its validity.
    pub not_after: Date,
    /// Whether the root itself says what it may speak for.
    pub constrained: bool,
}

impl Root {
    /// Its name for people.
    pub(crate) fn name(&self) -> &str {
        match self.subject.strip_prefix("CN=") {
            Some(cn) if !cn.contains(['=', '\\']) => cn,
            _ => &self.subject,
        }
    }

    /// What tells it from the site's other roots in the names of its files.
    pub(crate) fn tag(&self) -> &str {
        self.sha256.get(..16).unwrap_or(&self.sha256)
    }
}

/// A list of revoked certificates.
#[derive(Clone, Debug)]
pub struct Crl {
    /// The list in DER.
    pub der: Vec<u8>,
    /// When the next one has to be there.
    pub next_update: OffsetDateTime,
}

/// Name and password of the simulated cameras, made for one run.
#[derive(Clone)]
pub struct SignIn {
    /// The user's name.
    pub user: String,
    /// The password; shown, so that one can log in.
    pub password: String,
}

/// One camera, before and after.
#[derive(Clone, Debug)]
pub struct Camera {
    /// The operator's name for it.
    pub name: String,
    /// Maker and model.
    pub model: String,
    /// How it comes by its key, in plain words: "makes its own key".
    pub way: String,
    /// The driver that speaks to it.
    pub driver: String,
    /// The verdict before the enrolment.
    pub before: Verdict,
    /// The sentence for it.
    pub before_text: String,
    /// The verdict after it.
    pub after: Verdict,
    /// The sentence for it.
    pub after_text: String,
    /// Where it answered before; without one, it is taken to have been met over https.
    pub http_url: Option<String>,
    /// Where it answers now.
    pub https_url: String,
    /// How the private key came to the camera.
    pub key_transport: KeyTransport,
    /// What somebody should know, as sentences.
    pub warnings: Vec<String>,
    /// What was done, in the order of doing; a step may come more than once, the last one counts.
    pub steps: Vec<StepLine>,
    /// How long all of it took.
    pub seconds: f64,
    /// The last day of the certificate.
    pub valid_until: Option<Date>,
    /// The day on which the verdict was given, if that is not today's run.
    pub verified: Option<Date>,
}

/// One thing that was done for a camera.
#[derive(Clone, Debug)]
pub struct StepLine {
    /// Which of the eight.
    pub step: Step,
    /// How it ended.
    pub state: StepState,
    /// How long it took.
    pub seconds: f64,
    /// What happened, as a sentence.
    pub text: String,
}
