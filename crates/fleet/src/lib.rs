//! The eight steps as one enrolment: found, inspected, requested, signed, packaged, installed, verified, watched;
//! stored step by step, taken up again after a crash, taken back after a failure.
//!
//! `fleet` decides the order of things. What a device can do is data from its driver; what a browser would say
//! comes from `inspect`; certificates come through the authority's one door.

mod afterwards;
mod back;
mod by_hand;
mod contact;
mod crowd;
mod enrolment;
mod error;
mod identity;
mod journal;
mod meeting;
mod private_way;
mod search;
mod sightings;
mod visit;

use std::{sync::Arc, time::Duration};

use authority::{Authority, Public};
use devices::{Credentials, Recipes};
use domain::{AltName, Finding, KeyTransport, Step, StepState, Target, Told, Verdict};
use futures_util::StreamExt;
use pki::Certificate;
use serde::Serialize;
use store::{DeviceRow, Store};
use time::OffsetDateTime;
use zeroize::Zeroizing;

pub use by_hand::{BY_HAND, HandOrder, WritePackage};
pub use crowd::{Event, Stop, Way};
pub use error::{Consequence, Error, Said};
pub use search::{Found, KeepPicture, Known, Met, Progress as SearchProgress, Search, Spoken, User};
pub use sightings::Sighted;
pub use visit::Stranger;

/// When a certificate is to be renewed: 30 days before its end, or when two thirds of a short life are over.
pub fn renew_from(not_before: OffsetDateTime, not_after: OffsetDateTime) -> OffsetDateTime {
    let life: time::Duration = not_after - not_before;
    let third: time::Duration = life / 3_i32;
    not_after - third.min(time::Duration::days(30))
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Speaking to the device.
    pub device: devices::Limits,
    /// Until the device serves its new certificate.
    pub verify: Duration,
    /// The same for a device that has to restart for it.
    pub restart: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        // Some web servers take several seconds to start again with another certificate.
        // Mobotix cameras are away for several minutes.
        Limits {
            device: devices::Limits::default(),
            verify: Duration::from_secs(20),
            restart: Duration::from_secs(600),
        }
    }
}

/// What enrolments need.
pub struct Fleet {
    /// The ledger.
    pub store: Store,
    /// What everybody may know of the authority: by it devices are looked at, listed and verified.
    pub public: Public,
    /// The authority while it is open: without it no run begins.
    pub issuer: Option<Arc<Authority>>,
    /// How long things may take.
    pub limits: Limits,
    /// The recipes to recognise devices by.
    pub recipes: Recipes,
    /// The roots under which makers give their devices an identity at the factory, as far as the operator has them.
    pub maker_roots: Vec<Certificate>,
}

/// What is to be done for one device.
#[derive(Clone, Debug)]
pub struct Order {
    /// The device.
    pub target: Target,
    /// A user of the device with administrator's rights.
    pub credentials: Credentials,
    /// Switch plain HTTP off once HTTPS is verified.
    pub disable_http: bool,
    /// Switch plain HTTP on again: the way back from `disable_http`.
    pub enable_http: bool,
    /// The oldest version of TLS that the device is to speak, once HTTPS is verified: `1.0` to `1.3`. What it has from there
    /// upwards is on afterwards, so that an older one is the way back.
    pub tls_floor: Option<String>,
    /// Another password for this user, given to the device inside TLS once that is verified: the old one may have been
    /// seen. The first one, on a device that has none.
    pub new_password: Option<Zeroizing<String>>,
    /// The operator accepts that a clock which is more than an hour off is set to this computer's time.
    pub set_clock: bool,
    /// The NTP server from which the device is to take its time from now on.
    pub time_server: Option<AltName>,
    /// The operator named this device, by itself or in a list; otherwise only one is signed in to that was accepted before.
    pub named: bool,
    /// At the address of a device of the ledger stands a new one, or the same after a reset.
    pub new_device: bool,
    /// SHA-256 of the certificate that the device shows, lower-case hexadecimal, as the operator read it elsewhere: by it
    /// the device is known.
    pub fingerprint: Option<String>,
    /// What the operator agreed to.
    pub consent: Consents,
}

/// What an operator can agree to, each for what it does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Consents {
    /// A certificate that cannot be brought back is overwritten.
    pub overwrite: bool,
    /// At a first contact the password is shown to whoever answers.
    pub readable: bool,
    /// The host name leads to an address outside the site's.
    pub outside: bool,
}

impl Consents {
    /// To all of it.
    pub const ALL: Consents = Consents { overwrite: true, readable: true, outside: true };
}

impl Order {
    /// The enrolment and nothing beside it.
    pub fn new(target: Target, credentials: Credentials) -> Order {
        Order {
            target,
            credentials,
            disable_http: false,
            enable_http: false,
            tls_floor: None,
            new_password: None,
            set_clock: false,
            time_server: None,
            named: true,
            new_device: false,
            fingerprint: None,
            consent: Consents::default(),
        }
    }

    /// Whether something is to be done on a device that is secure already.
    fn asks_more(&self) -> bool {
        self.disable_http
            || self.enable_http
            || self.set_clock
            || self.tls_floor.is_some()
            || self.new_password.is_some()
            || self.time_server.is_some()
    }
}

/// How one step went.
#[derive(Clone, Debug, Serialize)]
pub struct StepOutcome {
    /// Which.
    pub step: Step,
    /// How it stands.
    pub state: StepState,
    /// How long it took.
    pub seconds: f64,
    /// A code with its arguments, for `words`.
    pub text: serde_json::Value,
}

/// How an enrolment went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The target as the operator wrote it.
    pub target: String,
    /// What a browser says now.
    pub verdict: Verdict,
    /// What a browser said before.
    pub before: Verdict,
    /// The driver that spoke to it.
    pub driver: Option<String>,
    /// Manufacturer and model, if the device told.
    pub model: Option<Told>,
    /// How the key came to the device.
    pub key_transport: Option<KeyTransport>,
    /// Every step that was begun, in order.
    pub steps: Vec<StepOutcome>,
    /// The device's https URL, once verified.
    pub url: Option<String>,
    /// Serial number of its certificate.
    pub serial: Option<String>,
    /// The last second of that certificate.
    pub not_after: Option<time::OffsetDateTime>,
    /// What the operator should know.
    pub findings: Vec<Finding>,
    /// What went wrong.
    pub error: Option<Error>,
    /// The device refused the user or the password, in whichever step.
    pub(crate) refused: bool,
}

impl Outcome {
    /// Of an enrolment that has not begun, and why if it is not going to.
    pub fn not_begun(target: &Target, error: Option<Error>) -> Outcome {
        Outcome {
            target: target.text.clone(),
            verdict: Verdict::Unreachable,
            before: Verdict::Unreachable,
            driver: None,
            model: None,
            key_transport: None,
            steps: Vec::new(),
            url: None,
            serial: None,
            not_after: None,
            findings: Vec::new(),
            error,
            refused: false,
        }
    }

    /// Whether what was asked holds.
    pub fn is_done(&self) -> bool {
        self.error.is_none() && self.verdict == Verdict::Secure
    }

    /// Whether the device refused the user or the password: another try may lock the account.
    pub fn was_refused(&self) -> bool {
        self.refused || matches!(&self.error, Some(Error::Device(e)) if e.is_refusal())
    }
}

/// So many devices are looked at at once.
const LOOKS_AT_ONCE: usize = 32;

/// What is to be done on a site.
#[derive(Clone, Debug)]
pub struct Due {
    /// The devices that there is something to do for.
    pub devices: Vec<DeviceRow>,
    /// How many the operator accepted, and were looked at.
    pub known: usize,
    /// Those that were found, and that the operator never accepted: nobody signs in to them by itself.
    pub strange: Vec<DeviceRow>,
}

/// Told of every step as it begins (`None`) and ends.
pub type Progress<'a> = &'a (dyn Fn(Step, Option<&StepOutcome>) + Send + Sync);

impl Fleet {
    /// Walks the eight steps for one device. An error is part of the outcome: what was done until then is, too.
    pub async fn secure(&self, order: &Order, progress: Progress<'_>) -> Outcome {
        enrolment::run(self, order, progress).await
    }

    /// The devices that the operator accepted and that [`Fleet::secure`] has something to do for: a look shows another
    /// certificate than theirs or none, an enrolment failed or never ended, or their certificate is due for renewal,
    /// revoked, or that of an authority before the present one. By name; without those that are served by hand, and those
    /// that have no address any more.
    pub async fn due(&self) -> Result<Due, Error> {
        let devices = self.store.devices(None).await?;
        let is_here = |device: &DeviceRow| device.driver != BY_HAND && device.left_at.is_none();
        let (accepted, strange): (Vec<_>, Vec<_>) =
            devices.into_iter().filter(is_here).partition(|device| device.accepted);
        let known = accepted.len();
        let (mut due, mut seen) = (Vec::new(), Vec::new());
        let mut looks =
            futures_util::stream::iter(accepted.into_iter().map(async |device| self.look_at(device).await))
                .buffered(LOOKS_AT_ONCE);
        while let Some(looked) = looks.next().await {
            let (device, verdict, is_due) = looked?;
            seen.push((device.id, verdict));
            due.extend(is_due.then_some(device));
        }
        self.store.record_looks(&seen).await?;
        Ok(Due { devices: due, known, strange })
    }

    /// What time it is, by the ledger's clock.
    fn now(&self) -> OffsetDateTime {
        self.store.clock().now()
    }

    /// The device where it answers, what a browser says of it now, and whether there is something to do for it.
    async fn look_at(&self, mut device: DeviceRow) -> Result<(DeviceRow, Verdict, bool), Error> {
        let certificate = match &device.serial {
            Some(serial) => self.store.certificate(serial).await?,
            None => None,
        };
        let has_left = !self.store.unfinished_enrolments(device.id).await?.is_empty();
        let is_fresh = certificate
            .as_ref()
            .is_some_and(|c| !enrolment::is_due(c, self.now()) && self.public.stands_behind(c));
        let sha256 = certificate.and_then(|certificate| certificate.sha256);
        // What the ledger remembers may be past: another device has its address, say, while a name still leads to it.
        let (mut is_well, mut begins_at, mut verdict) = (false, None, Verdict::Unreachable);
        for place in device.places() {
            let port = place.https_port.unwrap_or(domain::Scheme::Https.default_port());
            let options = contact::options(self);
            let report = inspect::check(&identity::https_page(&place.host, port), &options).await;
            // One that was reset answers over plain http alone.
            if report.verdict != Verdict::Unreachable
                || inspect::check(&identity::met_at(&place), &options).await.verdict != Verdict::Unreachable
            {
                verdict = Verdict::NotSecure;
            }
            let shown = report.certificate.filter(|_| report.proven).map(|shown| shown.sha256);
            let is_shown = shown.is_some() && shown == sha256;
            is_well |= is_shown && report.verdict == Verdict::Secure;
            if shown.is_some() && !is_shown {
                begins_at = Some(place);
                is_well = false;
                break;
            }
            if is_shown && begins_at.is_none() {
                begins_at = Some(place);
            }
        }
        if is_well {
            verdict = Verdict::Secure;
        }
        if is_well && is_fresh && !has_left && device.verdict != Verdict::NotSecure {
            return Ok((device, verdict, false));
        }
        let begins_at = begins_at.and_then(|begins| device.others.iter().position(|place| *place == begins));
        if let Some(index) = begins_at {
            device.lead_with(index);
        }
        Ok((device, verdict, true))
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, macros::datetime};

    use super::*;

    #[test]
    fn a_short_life_is_not_renewed_over_and_over() {
        let begin = datetime!(2026-11-25 12:00 UTC);
        for (days, renewed_after) in [(397, 367), (90, 60), (30, 20), (3, 2)] {
            let from = renew_from(begin, begin + Duration::days(days));
            assert_eq!((from - begin).whole_days(), renewed_after, "{days}");
        }
    }
}
