//! Simulated IP cameras, for Camlock's tests and for `camlock demo`.
//!
//! A [`Camera`] has an HTTP port, an HTTPS port, a web page, one account behind HTTP Digest, and one of several
//! ways to take a certificate ([`Model`]). It can be made to go wrong in the ways real cameras do ([`Fault`]), and a
//! test sees from behind what happened to it ([`State`]).
//!
//! Its messages are written from the official ONVIF WSDL and specifications, those of the makers' dialects from what
//! is known of them; never from the `devices` crate, with which it shares no code: both are judged by the official
//! schema, or by other programs, so that one mistake cannot hide in two mirrors.
//!
//! **Not for use on a network that matters.** Private keys are held in memory, anyone may see the start page.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use camera_sim::{Camera, Fault, Model, Options};
//!
//! let mut options = Options::new(Model::OnvifSecurity, "admin", "secret");
//! options.faults = vec![Fault::ShortNonces];
//! let camera = Camera::start(options).await?;
//! println!("{}/onvif/device_service", camera.http_url());
//! camera.wait_for(|state| state.https_on).await;
//! camera.stop().await;
//! # Ok(())
//! # }
//! ```

mod camera;
mod core;
mod csr;
mod device_certificates;
mod device_service;
mod dialect;
mod dialects;
mod digest;
mod discovery;
mod form;
mod given;
mod http;
mod keys;
mod keystore;
mod kind;
mod maker;
#[cfg(feature = "makers")]
mod makers;
mod media_service;
mod models;
mod old_tls;
mod onvif;
mod options;
mod page;
mod pem_file;
mod pem_page;
#[cfg(feature = "makers")]
mod place;
mod port;
mod random;
mod router;
#[cfg(feature = "makers")]
mod security_pkcs12;
mod security_service;
mod security_store;
mod server;
mod shown;
mod soap;
mod state;
mod store;
mod tls;
mod transcript;
mod username_token;
mod x509;

pub use camera::Camera;
pub use given::Given;
pub use maker::Maker;
pub use models::Model;
pub use options::{CapabilityNames, Fault, OldTls, Options};
pub use shown::Shown;
pub use state::{CertificateSummary, KeySummary, PathSummary, RequestSummary, State};
