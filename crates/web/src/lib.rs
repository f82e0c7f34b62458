//! The door for people: the page that shows what was done for each camera, and hands out the
//! roots and the lists of revoked certificates.
//!
//! The room holds no rule of its own. A [`Site`], mostly the [`LiveSite`] of a ledger, gives a [`Page`] of plain values for
//! each request; [`router`] turns that into a document. Nothing of a request (path, Host, query) reaches a
//! document, there is no script, and no document asks for anything from elsewhere: the trust page asks its own host for
//! one file more, which only a browser that trusts the root can read.
//!
//! [`Sweep`] writes what `camlock check` saw as one file, for no server.
//!
//! [`Server`] puts a router behind TLS, or the trust page on plain HTTP, with a limit on everything that a client
//! could hold on to.

mod downloads;
mod guard;
mod guides;
mod live;
mod page;
mod plain_or_tls;
mod proof;
mod routes;
mod server;
mod sweep;
mod trust;
mod view;
mod visitor;

pub use guard::Clients;
pub use live::{LiveSite, trust};
pub use page::{Camera, Count, Crl, Health, Page, Reach, Root, SignIn, Site, StepLine, Trust, Unreadable};
pub use proof::Prover;
pub use routes::router;
pub use server::Server;
pub use sweep::{Sweep, SweptCertificate, SweptFinding, SweptPage};
