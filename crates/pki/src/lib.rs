//! Bytes: keys, requests, certificates, profiles, lints, chains, packages.
//!
//! No input or output, no clock (the time is an argument), no async: everything here is a function of its
//! arguments, except that keys and serial numbers come from the system's random source.
//!
//! A certificate is made in three moves that cannot be reordered: a [`profile`] builds an [`Unsigned`],
//! [`Unsigned::lint_root`], [`Unsigned::lint_issuer`] or [`Unsigned::lint_leaf`] turns it into a [`Linted`] or says
//! what is wrong, and [`Linted::sign`] consumes that token. There is no other way to a signature, so nothing unlinted
//! can be signed.

mod ber;
mod browsers;
mod certificate;
pub mod chain;
mod constraints;
pub mod crl;
mod elements;
mod error;
mod key;
mod key_file;
mod limits;
mod lint;
mod long_salt;
pub mod package;
mod pbe;
pub mod pem;
mod pkcs12;
pub mod pkcs7;
pub mod profile;
mod request;
mod role;
mod statement;
mod tbs;
mod weak;

pub use certificate::{Certificate, general_name_text, hex};
pub use constraints::Permitted;
pub use error::Error;
pub use key::{KeyKind, PrivateKey, PublicKey};
pub use key_file::MAX_KEY_FILE;
pub use limits::{Allowed, Limits};
pub use lint::{Lint, Linted};
pub use profile::Profile;
pub use request::{MAX_REQUEST, Request, Unusable};
pub use tbs::{Serial, Unsigned};
