/// What an error asks of whoever meets it: exit codes follow from it, and the statuses of HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorKind {
    /// What was asked cannot be asked so: the command line or the form must change.
    WrongUse,
    /// What was asked does not hold, or is refused.
    Refused,
    /// Something named is not there.
    NotFound,
    /// Somebody else works on it at this moment.
    Busy,
    /// A secret that opens it is missing or wrong.
    Locked,
    /// This machine, or data on it, is not in order.
    Broken,
}
