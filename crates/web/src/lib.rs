//! The door for people: the page that shows what was done for each camera, and hands out the root.
//!
//! The room holds no rule of its own. Whoever starts it gives it a [`Page`] of plain values; [`router`] turns
//! that into documents *once*, and from then on the server only hands out bytes. Nothing of a request (path,
//! Host, query) reaches a document, there is no script, and no document asks for anything from elsewhere.
//!
//! [`Server`] puts a router behind TLS, with a limit on everything that a client could hold on to.

mod guard;
mod page;
mod routes;
mod server;
mod view;

pub use page::{Camera, Page, Root, SignIn, StepLine};
pub use routes::router;
pub use server::Server;
