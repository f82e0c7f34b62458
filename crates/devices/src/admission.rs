//! To whom a password, a private key or a certificate goes: the one place that decides it.
//!
//! Whoever answers at an address is first recognised without credentials. What was seen is then held against what the
//! ledger expects there, and the outcome is an [`Admission`], which nobody else can make. No session begins without one,
//! and it goes along through everything that is said to the device in one run: which keys may be spoken to, and that the
//! way of signing in never gets weaker.
//!
//! - A device that has a certificate of ours is known by its keys alone, and that set is closed.
//! - Everything else is a first contact, for which the operator named the device. It hides the password (Digest), unless
//!   the operator accepted that it is shown to whoever answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{AltName, SignIn, Told};
use serde::{Deserialize, Serialize};

use crate::{Abilities, DeviceInfo, Error, PublicKeyPin};

/// What the ledger knows of the device that is expected at an address.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What people call it.
    pub name: String,
    /// The operator accepted it once, by name or address.
    pub accepted: bool,
    /// A certificate of ours was verified on it: no key but its own is it.
    pub secured: bool,
    /// The keys of our certificates for it.
    pub keys: Vec<PublicKeyPin>,
    /// Those of them that somebody else may have: they prove nothing any more.
    pub lost_keys: Vec<PublicKeyPin>,
    /// The keys that it showed at its first contact. It may show one of them again in the middle of an installation.
    pub first_keys: Vec<PublicKeyPin>,
    /// An enrolment died, or could not be taken back: it may stand in the middle of an installation.
    pub unfinished: bool,
    /// Its driver, if it has one.
    pub driver: Option<String>,
    /// It makes its own keys.
    pub makes_key: bool,
    /// What it says of itself.
    pub device: DeviceInfo,
    /// Its hardware address.
    pub mac: Option<String>,
    /// How it was signed in to inside TLS.
    pub sign_in: Option<SignIn>,
    /// How it was signed in to over plain HTTP.
    pub sign_in_plain: Option<SignIn>,
}

/// What was seen of whoever answers, without credentials.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where.
    pub host: AltName,
    /// The same as the operator wrote it, to be written again.
    pub target: String,
    /// The key of the server, proven by a TLS handshake; `None` over plain HTTP.
    pub key: Option<PublicKeyPin>,
    /// The subject of a certificate for that key below one of the makers' roots that the operator has.
    pub maker_subject: Option<String>,
    /// The operator told the fingerprint of the certificate that is served.
    pub confirmed: bool,
    /// Its hardware address, if it can be known.
    pub mac: Option<String>,
}

impl Seen {
    /// Somebody at this host with this key, of whom nothing more is known.
    pub fn at(host: &AltName, key: Option<PublicKeyPin>) -> Seen {
        let (host, target) = (host.clone(), host.plain());
        Seen { host, target, key, maker_subject: None, confirmed: false, mac: None }
    }
}

/// What the operator agreed to for one device.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Consent {
    /// The operator named this device, by itself or in a list: it may be met for the first time.
    pub named: bool,
    /// At a first contact the password may be shown to whoever answers.
    pub readable: bool,
    /// At the address of a device of the ledger stands a new one, or the same after a reset.
    pub new_device: bool,
    /// The password is hidden from everybody, known or not.
    pub hidden_only: bool,
}

/// In what a device differs from the one that is expected.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs)] // The arguments are described by the sentence that they complete.
pub enum Change {
    /// It has none of its keys; the first bytes of the one that it shows.
    OtherKey { is: String },
    /// It has the key of a certificate that was revoked because somebody else may have that key.
    LostKey,
    /// It answers over plain HTTP only.
    NoHttps,
    /// It made its own keys and now wants to be given one.
    KeyFromOutside { was: String, is: String },
    /// Another maker.
    OtherMaker { was: String, is: String },
    /// Another model.
    OtherModel { was: String, is: String },
    /// Another serial number.
    OtherSerialNumber { was: String, is: String },
    /// Another network card.
    OtherMac { was: String, is: String },
    /// The same network card.
    SameMac { mac: String },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Grounds {
    /// It proved to have a key of this device.
    Known,
    /// Nobody can know who it is; `readable`: it may be shown the password all the same.
    FirstContact { readable: bool },
}

/// The leave to give a device credentials, keys and certificates, for one run.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    target: String,
    grounds: Grounds,
    hidden_only: bool,
    expected: Expected,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// It may be spoken to over plain HTTP.
    plain: bool,
    /// The keys that may be spoken to.
    keys: Vec<PublicKeyPin>,
    /// Those of them that came with a certificate of this run.
    installed: Vec<PublicKeyPin>,
    /// The key of the certificate of this run, once a browser would accept it.
    verified: Option<PublicKeyPin>,
    /// The first way of signing in that was used: no weaker one is taken.
    first: Option<SignIn>,
    /// How it was signed in to, inside TLS and over plain HTTP.
    used: [Option<SignIn>; 2],
    /// Why the device does not let this user in: in this run nobody signs in to it any more.
    refusal: Option<Error>,
}

impl Admission {
    /// Why the device refused to let the user in during this run, if it did.
    pub fn refusal(&self) -> Option<Error> {
        self.0.state.lock().ok()?.refusal.clone()
    }

    /// The device refused the user, and another try may lock the account.
    pub(crate) fn remember_refusal(&self, error: &Error) {
        if let Ok(mut state) = self.0.state.lock() {
            state.refusal.get_or_insert_with(|| error.clone());
        }
    }

    /// Whether whoever was `seen` may be given what is for the device that is `expected`.
    ///
    /// Fails with [`Error::DeviceChanged`] for a device that has a certificate of ours and is not the one that was seen,
    /// and with [`Error::NotAccepted`] for one that nobody named.
    pub fn decide(seen: &Seen, expected: Option<&Expected>, consent: Consent) -> Result<Admission, Error> {
        let mut expected = expected.cloned().unwrap_or_default();
        let has = |keys: &[PublicKeyPin]| seen.key.is_some_and(|key| keys.contains(&key));
        let is_own = has(&expected.keys) || expected.unfinished && has(&expected.first_keys);
        // Without TLS nobody has shown a certificate that the operator or a maker could vouch for.
        let is_known = is_own || seen.key.is_some() && (seen.confirmed || is_proven(seen, &expected));
        if expected.secured && !is_known && !consent.new_device {
            return Err(Error::DeviceChanged {
                host: seen.target.clone(),
                device: expected.name.clone(),
                changes: changes(seen, &expected),
            });
        }
        let mut first_keys = Vec::new();
        let grounds = if is_known && (expected.secured || seen.confirmed) {
            Grounds::Known
        } else if expected.secured || consent.new_device {
            if !consent.named {
                return Err(Error::NotAccepted { host: seen.target.clone() });
            }
            // What the one before did says nothing about this one.
            expected = Expected::default();
            Grounds::FirstContact { readable: consent.readable }
        } else {
            // The device that the operator accepted, as far as that can be known.
            let is_accepted = expected.accepted
                && match seen.key {
                    Some(_) => is_own || has(&expected.first_keys),
                    None => expected.sign_in_plain.is_some() || expected.first_keys.is_empty(),
                };
            if !consent.named && !is_accepted {
                return Err(Error::NotAccepted { host: seen.target.clone() });
            }
            // Agreed to once, for whoever has that key; whoever names the device is asked again.
            let was_readable = !consent.named
                && is_accepted
                && seen.key.is_some()
                && expected.sign_in == Some(SignIn::Readable);
            if is_accepted {
                first_keys.clone_from(&expected.first_keys);
            }
            Grounds::FirstContact { readable: consent.readable || was_readable }
        };
        Ok(Admission::new(seen, grounds, consent.hidden_only, expected, first_keys))
    }

    fn new(
        seen: &Seen,
        grounds: Grounds,
        hidden_only: bool,
        expected: Expected,
        first_keys: Vec<PublicKeyPin>,
    ) -> Admission {
        let keys: Vec<PublicKeyPin> = match grounds {
            Grounds::Known => expected.keys.iter().copied().chain(seen.key).collect(),
            Grounds::FirstContact { .. } => seen.key.into_iter().chain(first_keys).collect(),
        };
        let state = State { plain: seen.key.is_none(), keys, ..State::default() };
        Admission(Arc::new(Inner {
            target: seen.target.clone(),
            grounds,
            hidden_only,
            expected,
            state: Mutex::new(state),
        }))
    }

    /// Whether it proved who it is. Otherwise it was met for the first time, and may be an impostor.
    pub fn is_known(&self) -> bool {
        self.0.grounds == Grounds::Known
    }

    /// The keys that the device has shown in this run, but those of certificates that this run installed: what to expect
    /// of it in the middle of a later installation.
    pub fn keys_met(&self) -> Vec<PublicKeyPin> {
        let state = self.state();
        state.keys.iter().copied().filter(|key| !state.installed.contains(key)).collect()
    }

    /// How it was signed in to: inside TLS, and over plain HTTP.
    pub fn signed_in(&self) -> [Option<SignIn>; 2] {
        self.state().used
    }

    /// Whether over this key (`None`: over plain HTTP) it may be spoken to.
    pub fn speaks_over(&self, key: Option<PublicKeyPin>) -> bool {
        let state = self.state();
        key.map_or(state.plain, |key| state.keys.contains(&key))
    }

    /// From now on the device may have the key of this certificate, which it is about to be given, or which gives it the
    /// TLS inside which it is given the next one.
    pub fn gives(&self, key: PublicKeyPin) {
        let mut state = self.state();
        state.keys.push(key);
        state.installed.push(key);
    }

    /// The device shows the certificate with this key, and a browser accepts it.
    pub fn verified(&self, key: PublicKeyPin) {
        self.state().verified = Some(key);
    }

    /// Whether the ledger is to remember which keys the device shows: it had no certificate of ours.
    pub fn is_of_new_device(&self) -> bool {
        !self.0.expected.secured
    }

    /// At a first contact with a device that had no HTTPS: it may be put back to that. A device that is known is spoken to
    /// over its keys alone.
    pub fn goes_back_to_plain(&self) {
        if !self.is_known() {
            self.state().plain = true;
        }
    }

    /// At a first contact: the device has another port with TLS, whose key is seen for the first time, too. What was
    /// seen to change its key in the middle of an installation may show a key from its first contact. Whether it may be
    /// spoken to.
    pub fn meets(&self, key: PublicKeyPin) -> bool {
        let is_possible = match self.0.grounds {
            Grounds::Known => self.0.expected.first_keys.contains(&key),
            Grounds::FirstContact { .. } => true,
        };
        if is_possible {
            self.state().keys.push(key);
        }
        is_possible
    }

    /// Whether the device may be spoken to over this key, to which it goes back: one that this run has met, or one of its
    /// first contact.
    pub fn returns_to(&self, key: PublicKeyPin) -> bool {
        self.speaks_over(Some(key)) || self.is_known() && self.meets(key)
    }

    /// Whether a device that shows another key in the middle of an installation can be followed there.
    pub(crate) fn knows_first_keys(&self) -> bool {
        self.is_of_new_device() || !self.0.expected.first_keys.is_empty()
    }

    /// Whether the device may be shown the password that it is to have from now on: inside the TLS of a certificate that
    /// is verified, or by which it is known.
    pub(crate) fn takes_new_password(&self, key: Option<PublicKeyPin>) -> bool {
        key.is_some() && (self.is_known() || key == self.state().verified)
    }

    /// Whether the user may sign in this way, inside TLS or over plain HTTP. Asked before anything is sent; from then on
    /// no weaker way is taken.
    pub(crate) fn permits(&self, way: SignIn, inside_tls: bool) -> Result<(), Error> {
        let host = || self.0.target.clone();
        if let Some(was) = self.floor(inside_tls).filter(|floor| way < *floor) {
            return Err(Error::WeakerSignIn { host: host(), was, is: way });
        }
        if way == SignIn::Readable {
            if !inside_tls {
                return Err(Error::PasswordInClear { host: host() });
            }
            if self.0.hidden_only || self.0.grounds == (Grounds::FirstContact { readable: false }) {
                return Err(Error::ReadablePassword { host: host() });
            }
        }
        let mut state = self.state();
        state.first.get_or_insert(way);
        state.used[usize::from(!inside_tls)].get_or_insert(way);
        Ok(())
    }

    /// The weakest way of signing in that is taken inside TLS or over plain HTTP: the first one of this run, and the one
    /// of the runs before. `None` as long as there was none.
    pub(crate) fn floor(&self, inside_tls: bool) -> Option<SignIn> {
        let Expected { sign_in, sign_in_plain, .. } = &self.0.expected;
        let before = if inside_tls { sign_in } else { sign_in_plain };
        self.state().first.max(*before)
    }

    /// Whether a driver that can do this speaks to the device that is expected: one that made its own keys is given none.
    pub(crate) fn fits(&self, driver: &str, abilities: &Abilities) -> Result<(), Error> {
        let Expected { secured, makes_key, driver: was, .. } = &self.0.expected;
        if !secured || !makes_key || abilities.makes_key {
            return Ok(());
        }
        let was = was.clone().unwrap_or_default();
        let changes = vec![Change::KeyFromOutside { was, is: driver.to_owned() }];
        Err(self.changed(changes))
    }

    /// Whether the device that lets the user in says that it is the expected one. Asked before a key is made for it.
    pub fn is_still(&self, told: &DeviceInfo) -> Result<(), Error> {
        let changes = match self.0.expected.secured {
            true => other_identity(&self.0.expected.device, told),
            false => Vec::new(),
        };
        match changes.is_empty() {
            true => Ok(()),
            false => Err(self.changed(changes)),
        }
    }

    fn changed(&self, changes: Vec<Change>) -> Error {
        let Inner { target, expected, .. } = &*self.0;
        Error::DeviceChanged { host: target.clone(), device: expected.name.clone(), changes }
    }

    /// A panic elsewhere leaves nothing half done here.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether its maker vouches for it by the serial number that the ledger has.
fn is_proven(seen: &Seen, expected: &Expected) -> bool {
    let (Some(subject), Some(number)) = (&seen.maker_subject, &expected.device.serial_number) else {
        return false;
    };
    names_number(subject, number)
}

/// Whether a maker's certificate is for the device with this serial number: a part of the subject is the number, whole.
pub fn names_number(subject: &str, number: &str) -> bool {
    let plain = |text: &str| text.replace([':', '-', ' '], "").to_ascii_uppercase();
    let number = plain(number);
    let mut parts = subject.split([',', '+', '=']).map(str::trim).flat_map(|part| {
        // Such as "axis-accc8e012345-eccp256-1".
        std::iter::once(part).chain(part.split('-'))
    });
    !number.is_empty() && parts.any(|part| plain(part) == number)
}

/// What a person is told who may have reset or replaced the device.
fn changes(seen: &Seen, expected: &Expected) -> Vec<Change> {
    let mut changes = vec![match seen.key {
        Some(key) if expected.lost_keys.contains(&key) => Change::LostKey,
        Some(key) => Change::OtherKey { is: key.short() },
        None => Change::NoHttps,
    }];
    match (&expected.mac, &seen.mac) {
        (Some(was), Some(is)) if was == is => changes.push(Change::SameMac { mac: is.clone() }),
        (Some(was), Some(is)) => changes.push(Change::OtherMac { was: was.clone(), is: is.clone() }),
        _ => {}
    }
    changes
}

/// In what two devices differ, as far as both tell.
pub fn other_identity(was: &DeviceInfo, is: &DeviceInfo) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut compare = |was: &Option<Told>, is: &Option<Told>, change: fn(String, String) -> Change| {
        if let (Some(was), Some(is)) = (was, is)
            && was != is
        {
            changes.push(change(was.to_string(), is.to_string()));
        }
    };
    compare(&was.serial_number, &is.serial_number, |was, is| Change::OtherSerialNumber { was, is });
    compare(&was.manufacturer, &is.manufacturer, |was, is| Change::OtherMaker { was, is });
    compare(&was.model, &is.model, |was, is| Change::OtherModel { was, is });
    changes
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
