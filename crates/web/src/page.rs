//! What the page shows, as its caller says it.

use std::{future::Future, path::PathBuf};

use domain::{KeyTransport, Step, StepState, Verdict};
use serde::Serialize;
use time::Date;

/// What is behind the pages, asked anew for each request.
pub trait Site: Clone + Send + Sync + 'static {
    /// What the page shows now; `None` if it cannot be read.
    fn page(&self) -> impl Future<Output = Option<Page>> + Send;
    /// How the service is; `None` if its data cannot be read.
    fn health(&self) -> impl Future<Output = Option<Health>> + Send;
}

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
    /// The site's name.
    pub site: String,
    /// The root to introduce to browsers.
    pub root: Root,
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

/// The root as it is handed out.
#[derive(Clone, Debug)]
pub struct Root {
    /// The certificate in DER, handed out as `/root.crt`.
    pub der: Vec<u8>,
    /// The same in PEM, handed out as `/root.pem`.
    pub pem: String,
    /// Its name, as the browsers' lists show it; RFC 4514 with a single `CN=` is shown without the `CN=`.
    pub subject: String,
    /// SHA-256 over the DER, hexadecimal without separators.
    pub sha256: String,
    /// The last day of its validity.
    pub not_after: Date,
    /// Where the PEM lies on the reader's own computer, for the commands that are shown; `None` if the reader
    /// has to download it first.
    pub file: Option<PathBuf>,
    /// Whether the root itself says what it may speak for.
    pub constrained: bool,
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
