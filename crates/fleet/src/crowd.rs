//! Many devices at once: each device in one run at a time, and a refused password tried nowhere else.

use std::{net::IpAddr, sync::Arc, time::Duration};

use domain::{AltName, Scheme, Step, Target};
use store::Store;
use tokio::{sync::watch, task::JoinSet};

use crate::{Error, Fleet, HandOrder, Order, Outcome, StepOutcome};

/// Devices that are worked on at the same time. A device mostly keeps us waiting: for its key, for its web server to start
/// again. 200 whose keys take 5 seconds took 38 s, and 130 s with eight at once. Each needs two or three file descriptors,
/// of the 256 that some systems allow.
const DEVICES_AT_ONCE: usize = 32;
/// How long the addresses of a host name are waited for. Whoever connects to it will find out why there are none.
const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// How one device of a crowd is secured.
pub enum Way {
    /// By its driver.
    Driver(Order),
    /// By a person.
    Hand(HandOrder),
}

impl Way {
    /// The device.
    pub fn target(&self) -> &Target {
        match self {
            Way::Driver(order) => &order.target,
            Way::Hand(hand) => &hand.target,
        }
    }
}

/// What happens to one device of a crowd, in the order in which it happens.
pub enum Event<'a> {
    /// The step begins.
    Begun(Step),
    /// The step has ended, or waits for a person.
    Stepped(&'a StepOutcome),
    /// Nothing more happens to this device.
    Ended(&'a Outcome),
}

/// How far the work is to go on. It only ever gets less.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Stop {
    /// To its end.
    #[default]
    Never,
    /// The devices under way are finished, and no other is begun.
    AfterThese,
    /// At once: the steps of what was cut off are in the ledger like those of a process that died.
    Now,
}

impl Fleet {
    /// Secures all of these, some at once; the outcomes in the order of `ways`. What was not begun or was cut off ends with
    /// [`Error::Interrupted`].
    ///
    /// Targets that may be one device come one after the other, and after a refused password no more of them: another try
    /// could lock the account. `tell` is told what happens to which of `ways`; it must not block.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub async fn secure_many(
        self: &Arc<Fleet>,
        ways: Vec<Way>,
        tell: impl Fn(usize, Event<'_>) + Send + Sync + 'static,
        mut stop: watch::Receiver<Stop>,
    ) -> Result<Vec<Outcome>, Error> {
        let places = places(&self.store, ways.iter().map(Way::target)).await?;
        let tell = Arc::new(tell);
        let mut crowd = Crowd {
            running: JoinSet::new(),
            ended: vec![false; ways.len()],
            outcomes: ways
                .iter()
                .map(|way| Outcome::not_begun(way.target(), Some(Error::Interrupted)))
                .collect(),
        };
        for (index, way) in ways.into_iter().enumerate() {
            let same: Vec<usize> = (0..index).filter(|i| places[*i].may_be(&places[index])).collect();
            let mut may_begin = *stop.borrow() == Stop::Never;
            while may_begin
                && (crowd.running.len() >= DEVICES_AT_ONCE || same.iter().any(|i| !crowd.ended[*i]))
            {
                may_begin = crowd.wait(&mut stop).await == Stop::Never;
            }
            if !may_begin {
                break;
            }
            if let Some(refused) = same.iter().find(|i| crowd.outcomes[**i].was_refused()) {
                let error = Error::RefusedBefore { target: crowd.outcomes[*refused].target.clone() };
                crowd.outcomes[index] = Outcome::not_begun(way.target(), Some(error));
                crowd.ended[index] = true;
                tell(index, Event::Ended(&crowd.outcomes[index]));
                continue;
            }
            let (fleet, tell) = (self.clone(), tell.clone());
            crowd.running.spawn(async move {
                let progress = |step: Step, ended: Option<&StepOutcome>| {
                    tell(index, ended.map_or(Event::Begun(step), Event::Stepped));
                };
                let outcome = match &way {
                    Way::Driver(order) => fleet.secure(order, &progress).await,
                    Way::Hand(hand) => fleet.secure_by_hand(hand, &progress).await,
                };
                tell(index, Event::Ended(&outcome));
                (index, outcome)
            });
        }
        while !crowd.running.is_empty() {
            crowd.wait(&mut stop).await;
        }
        Ok(crowd.outcomes)
    }
}

/// The enrolments that are under way, and how those went that have ended.
struct Crowd {
    running: JoinSet<(usize, Outcome)>,
    ended: Vec<bool>,
    outcomes: Vec<Outcome>,
}

impl Crowd {
    /// Waits until one ends or somebody stops them; how far the work is to go on.
    async fn wait(&mut self, stop: &mut watch::Receiver<Stop>) -> Stop {
        let wanted = *stop.borrow_and_update();
        if wanted == Stop::Now {
            self.running.abort_all();
        }
        tokio::select! {
            ended = self.running.join_next() => match ended {
                Some(Ok((index, outcome))) => {
                    self.outcomes[index] = outcome;
                    self.ended[index] = true;
                }
                Some(Err(e)) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
                // Cut off.
                Some(Err(_)) | None => {}
            },
            // Whoever could stop them may be gone; then they go on to their end.
            Ok(()) = stop.changed() => {}
        }
        *stop.borrow()
    }
}

/// Where a target meets its device, as far as can be known before a word with it.
struct Place {
    /// Its number in the ledger, if it is there.
    device: Option<i64>,
    addresses: Vec<AltName>,
    ports: Vec<u16>,
    https: bool,
}

impl Place {
    /// Whether two targets may be one device. Two other ports of one host may be two cameras behind a router, but of
    /// one's HTTP and HTTPS the one is named by an https URL.
    fn may_be(&self, other: &Place) -> bool {
        let is_same = self.device.is_some() && self.device == other.device;
        let is_near = self.addresses.iter().any(|a| other.addresses.contains(a));
        is_same
            || is_near && (self.https != other.https || self.ports.iter().any(|p| other.ports.contains(p)))
    }
}

/// The places of all targets, in their order.
async fn places(store: &Store, targets: impl Iterator<Item = &Target>) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    let mut names = JoinSet::new();
    for target in targets {
        let usual = [Scheme::Http.default_port(), Scheme::Https.default_port()];
        let port = target.port.unwrap_or(usual[0]);
        let mut ports = vec![port];
        let known = store.device_at(&target.host, port).await?;
        let device = known.as_ref().map(|known| known.id);
        if let Some(known) = known {
            ports.extend([Some(known.port), known.https_port].into_iter().flatten());
        }
        if ports.iter().any(|port| usual.contains(port)) {
            ports.extend(usual);
        }
        if let AltName::Dns(_) = &target.host {
            let (index, host) = (places.len(), target.dial_host());
            names.spawn(async move { (index, resolved(host).await) });
        }
        places.push(Place {
            device,
            addresses: vec![target.host.clone()],
            ports,
            https: target.scheme == Some(Scheme::Https),
        });
    }
    while let Some(resolved) = names.join_next().await {
        if let Ok((index, addresses)) = resolved {
            places[index].addresses.extend(addresses.into_iter().map(AltName::Ip));
        }
    }
    Ok(places)
}

/// The addresses of a host name; none if that takes long.
async fn resolved(host: String) -> Vec<IpAddr> {
    let found = tokio::time::timeout(LOOKUP_WAIT, tokio::net::lookup_host((host, 0))).await;
    found.into_iter().flatten().flatten().map(|address| address.ip().to_canonical()).collect()
}
