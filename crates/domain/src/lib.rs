//! Plain types that several rooms of the house name. No behaviour beyond parsing and printing them; and the
//! [`Clock`].
//!
//! What is said to people is never a sentence here: a [`Finding`] or an error is a *code with typed
//! arguments*, written as an enum that serialises with `#[serde(tag = "code")]`. The crate `words` turns
//! anything serialised that way into a sentence of its catalogue.

mod clock;
mod enrolment;
mod finding;
mod kind;
mod name;
mod report;
mod revocation;
mod rule;
mod sign_in;
mod target;
mod targets;
mod told;

pub use clock::Clock;
pub use enrolment::{EnrolmentState, KeyTransport, Step, StepState};
pub use finding::{Finding, Severity};
pub use kind::ErrorKind;
pub use name::{AltName, InvalidName, slug};
pub use report::{CertificateSummary, Report, Verdict};
pub use revocation::RevocationReason;
pub use rule::Rule;
pub use sign_in::SignIn;
pub use target::{InvalidTarget, Scheme, Target};
pub use targets::{Listed, Mistakes, Named, named, read_list};
pub use told::{Told, is_invisible, visible};
