use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the eight steps that Camlock walks for a camera, in this order everywhere: in the code, in the
/// ledger, on the command line and in the pictures.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Which driver speaks to the device.
    Find,
    /// What a browser meets there today.
    Inspect,
    /// The key and the names that the certificate is to hold.
    Request,
    /// The authority signs.
    Sign,
    /// Key and certificate in the form that the firmware takes.
    Package,
    /// Upload, assignment to the web server, HTTPS on.
    Install,
    /// Reconnect as a browser would, and judge.
    Verify,
    /// Expiry noted, so that nothing lapses unseen.
    Watch,
}

impl Step {
    /// All eight, in order.
    pub const ALL: [Step; 8] = [
        Step::Find,
        Step::Inspect,
        Step::Request,
        Step::Sign,
        Step::Package,
        Step::Install,
        Step::Verify,
        Step::Watch,
    ];

    /// The step's one name, as printed and stored.
    pub fn name(self) -> &'static str {
        match self {
            Step::Find => "find",
            Step::Inspect => "inspect",
            Step::Request => "request",
            Step::Sign => "sign",
            Step::Package => "package",
            Step::Install => "install",
            Step::Verify => "verify",
            Step::Watch => "watch",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How a step of an enrolment stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Done, and looked at.
    Done,
    /// Not needed for this device.
    Skipped,
    /// Begun, or waiting for a person.
    Waiting,
    /// Failed; the text says why.
    Failed,
    /// Was done, and has been taken back.
    RolledBack,
}

/// How an enrolment as a whole stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    /// Begun and not ended: by a run that goes on now, or by one that died.
    Open,
    /// The device was verified.
    Done,
    /// Ended without success, and the device has what it had before.
    RolledBack,
    /// Ended without success, and something of it is still on the device.
    Failed,
    /// Left unfinished, and a later one took its place; what it left on the device is removed by that one.
    Superseded,
}

/// How the private key came to the device. Recorded for every enrolment and shown.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyTransport {
    /// The device made its key itself: nothing secret was sent.
    None,
    /// Sent inside TLS that was held to one public key: known before, or seen for the first time, as a finding then says.
    PinnedTls,
    /// Sent inside TLS of a certificate that served for this only.
    ThrowAwayTls,
    /// Sent over plain HTTP: whoever listened has it.
    Clear,
    /// Carried by a person.
    ByHand,
}
