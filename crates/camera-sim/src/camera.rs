//! [`Camera`]: one simulated camera, plugged in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::Core;
use crate::discovery;
use crate::options::{Model, Options};
use crate::shown::Shown;
use crate::state::State;

/// A running camera. Dropping it unplugs it; [`Camera::stop`] also waits until its ports are free.
pub struct Camera {
    core: Arc<Core>,
}

impl Camera {
    /// Plugs a camera in. When this returns it accepts connections. A fault that this model cannot have is an error.
    pub async fn start(options: Options) -> io::Result<Camera> {
        let core = tokio::task::spawn_blocking(|| Core::new(options)).await.map_err(io::Error::other)??;
        let core = Arc::new(core);
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
        let core =
            tokio::task::spawn_blocking(|| Core::on(ports, options)).await.map_err(io::Error::other)??;
        let core = Arc::new(core);
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
