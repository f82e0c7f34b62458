//! Connections: accepted, secured, served, ended. Everything here is bounded in number and in time.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::core::Core;
use crate::options::Fault;
use crate::tls::Served;
use crate::{old_tls, router};

/// Most connections to one port at a time.
const CONNECTIONS: usize = 64;
/// Time for a TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// Pause after the system could not accept (out of file descriptors), lest this loop spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a request came.
#[derive(Clone)]
pub(crate) struct Arrival {
    /// The certificate its connection was secured with; none over plain HTTP.
    pub(crate) tls: Option<Arc<Served>>,
    /// The camera's own address on that connection.
    pub(crate) local: String,
}

/// Accepts connections until told to drain, or until the camera is unplugged.
///
/// Boxed, because serving a request may switch a port on and so spawn this again.
pub(crate) fn accept(
    core: Arc<Core>,
    listener: TcpListener,
    tls: bool,
    mut drained: watch::Receiver<bool>,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let places = if core.options.has(Fault::OneConnection) { 1 } else { CONNECTIONS };
        let places = Arc::new(Semaphore::new(places));
        let mut stopping = core.stopping.subscribe();
        loop {
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                _ = drained.wait_for(|drain| *drain) => return,
                _ = stopping.wait_for(|stop| *stop) => return,
                accepted = accepted => accepted,
            };
            let Ok((stream, _)) = accepted else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let connection = connection(Arc::clone(&core), stream, tls, drained.clone());
            let mut stopping = stopping.clone();
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    _ = stopping.wait_for(|stop| *stop) => {}
                    _ = timeout(CONNECTION_LIFE, connection) => {}
                }
            });
        }
    })
}

async fn connection(core: Arc<Core>, stream: TcpStream, tls: bool, mut drained: watch::Receiver<bool>) {
    if core.options.has(Fault::Hangs) {
        // Holds the connection and says nothing; ends with the camera, the port or the connection's life.
        let _ = drained.wait_for(|drain| *drain).await;
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    // Small answers should not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    if !tls {
        serve(core, stream, Arrival { tls: None, local: local.to_string() }, drained).await;
        return;
    }
    let Some(served) = core.look(|live| live.served.clone()) else { return };
    if let Some(old) = core.options.old_tls {
        let _ = timeout(PATIENCE, old_tls::show(stream, old, &served.chain)).await;
        return;
    }
    let handshake = TlsAcceptor::from(Arc::clone(&served.config)).accept(stream);
    if let Ok(Ok(stream)) = timeout(PATIENCE, handshake).await {
        serve(core, stream, Arrival { tls: Some(served), local: local.to_string() }, drained).await;
    }
}

async fn serve<S>(core: Arc<Core>, stream: S, arrival: Arrival, mut drained: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| router::answer(Arc::clone(&core), arrival.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let drain = async {
        // An error means that the port is gone; either way nothing new is served.
        let _ = drained.wait_for(|drain| *drain).await;
        Ok::<(), Infallible>(())
    };
    // How a connection ends is the client's affair: nothing to report.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = drain => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
