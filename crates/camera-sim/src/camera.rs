//! [`Camera`]: one simulated camera, plugged in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::Core;
use crate::models::Model;
use crate::options::Options;
use crate::port::Port;
use crate::shown::Shown;
use crate::state::State;
use crate::{discovery, server};

/// A running camera. Dropping it unplugs it; [`Camera::stop`] also waits until its ports are free.
pub struct Camera {
    core: Arc<Core>,
}

impl Camera {
    /// Plugs a camera in. When this returns it accepts connections. A fault that this model cannot have is an error.
    pub async fn start(options: Options) -> io::Result<Camera> {
        let port = |number| Port::reserve(SocketAddr::new(options.bind, number)).map(Arc::new);
        let ports = [port(options.http_port)?, port(options.https_port)?];
        let core = made(ports, options).await?;
        if core.options.discovery {
            let sockets = discovery::open(core.options.bind)?;
            tokio::spawn(discovery::serve(Arc::clone(&core), sockets));
        }
        core.start().await?;
        Ok(Camera { core })
    }

    /// Unplugs this camera and puts another one in its place, on the same ports; on the other one of the two, if the
    /// options name it so. [`Camera::unplug`] takes that one away, [`Camera::plug_in`] puts this one back.
    pub async fn replace(&self, options: Options) -> io::Result<Camera> {
        self.unplug().await;
        let mut ports = [Arc::clone(&self.core.http), Arc::clone(&self.core.https)];
        if options.http_port == self.https_address().port() {
            ports.reverse();
        }
        let core = made(ports, options).await?;
        core.start().await?;
        Ok(Camera { core })
    }

    /// Unplugs it and keeps its ports: connections to them are refused when this returns. It stays as it is.
    pub async fn unplug(&self) {
        self.core.unplug().await;
    }

    /// Plugs it in again, as it was.
    pub async fn plug_in(&self) -> io::Result<()> {
        self.core.plug_in().await
    }

    /// `http://host:port`, whether or not HTTP is on.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http_address())
    }

    /// `https://host:port`, whether or not HTTPS is on.
    pub fn https_url(&self) -> String {
        format!("https://{}", self.https_address())
    }

    /// Where it is spoken to when it is new: over HTTPS, if it comes with that.
    pub fn url(&self) -> String {
        if self.model().comes_with_https() { self.https_url() } else { self.http_url() }
    }

    /// The address of the HTTP port.
    pub fn http_address(&self) -> SocketAddr {
        self.core.http.address()
    }

    /// The address of the HTTPS port.
    pub fn https_address(&self) -> SocketAddr {
        self.core.https.address()
    }

    /// How it takes its certificate.
    pub fn model(&self) -> Model {
        self.core.options.model
    }

    /// All that its TLS was to serve so far, in order, with the keys: what a thief has who got everything.
    pub fn shown(&self) -> Vec<Shown> {
        self.core.look(|live| live.shown.clone())
    }

    /// The camera as it is now.
    pub fn state(&self) -> State {
        self.core.news().borrow().clone()
    }

    /// Waits until the camera is in a state that `condition` holds for, and gives that state.
    pub async fn wait_for(&self, condition: impl Fn(&State) -> bool) -> State {
        let mut news = self.core.news();
        // The sender lives in `self.core`, so the channel cannot close while this waits.
        match news.wait_for(|state| condition(state)).await {
            Ok(state) => state.clone(),
            Err(_) => self.state(),
        }
    }

    /// Does what the next request for this operation or path asks, and keeps the answer until [`Camera::let_go`]:
    /// so a test stops a client in the middle of its work, as a slow camera would.
    pub fn hold(&self, operation: &str) {
        self.core.change(|live| live.hold = Some(operation.to_owned()));
    }

    /// Lets every answer go that is held back.
    pub fn let_go(&self) {
        self.core.let_go.notify_waiters();
    }

    /// Unplugs it: connections are cut, and both ports are free when this returns.
    pub async fn stop(self) {
        self.core.stopping.send_replace(true);
        self.core.http.release().await;
        self.core.https.release().await;
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.core.stopping.send_replace(true);
    }
}

/// A camera on these ports, HTTP and HTTPS; nothing listens yet.
async fn made(ports: [Arc<Port>; 2], options: Options) -> io::Result<Arc<Core>> {
    let model = options.model;
    if let Some(fault) = options.faults.iter().find(|fault| !fault.fits(model)) {
        let reason = format!("a camera of the kind {model} cannot have the fault {}", fault.name());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let dialect = model.dialect();
    let serve = move |core, listener, tls, drained| {
        tokio::spawn(server::accept(core, dialect, listener, tls, drained))
    };
    let make = move || Core::new(ports, dialect.kind(), dialect.store(), Box::new(serve), options);
    let core = tokio::task::spawn_blocking(make).await.map_err(io::Error::other)??;
    Ok(Arc::new(core))
}
