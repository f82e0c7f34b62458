//! Connections: accepted, secured, served, ended. Everything here is bounded in number and in time.

use std::convert::Infallible;
use std::pin::pin;
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
use crate::dialect::Dialect;
use crate::options::Fault;
use crate::tls::Arrival;
use crate::{old_tls, router};

/// Most connections to one port at a time.
const CONNECTIONS: usize = 64;
/// Time for a TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest life of a connection.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// Pause after the system could not accept (out of file descriptors), lest this loop spins.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until told to drain, or until the camera is unplugged.
pub(crate) async fn accept(
    core: Arc<Core>,
    dialect: &'static dyn Dialect,
    listener: TcpListener,
    tls: bool,
    mut drained: watch::Receiver<bool>,
) {
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
        let connection = connection(Arc::clone(&core), dialect, stream, tls, drained.clone());
        let mut stopping = stopping.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => {}
                _ = timeout(CONNECTION_LIFE, connection) => {}
            }
        });
    }
}

async fn connection(
    core: Arc<Core>,
    dialect: &'static dyn Dialect,
    stream: TcpStream,
    tls: bool,
    mut drained: watch::Receiver<bool>,
) {
    if core.options.has(Fault::Hangs) {
        // Holds the connection and says nothing; ends with the camera, the port or the connection's life.
        let _ = drained.wait_for(|drain| *drain).await;
        return;
    }
    let Ok(local) = stream.local_addr() else { return };
    // Small answers should not wait for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    if !tls {
        serve(core, dialect, stream, Arrival { tls: None, local: local.to_string() }, drained).await;
        return;
    }
    let Some(served) = core.look(|live| live.served.clone()) else { return };
    if let Some(old) = core.options.old_tls {
        let _ = timeout(PATIENCE, old_tls::show(stream, old, &served.chain)).await;
        return;
    }
    let handshake = TlsAcceptor::from(Arc::clone(&served.config)).accept(stream);
    if let Ok(Ok(stream)) = timeout(PATIENCE, handshake).await {
        serve(core, dialect, stream, Arrival { tls: Some(served), local: local.to_string() }, drained).await;
    }
}

async fn serve<S>(
    core: Arc<Core>,
    dialect: &'static dyn Dialect,
    stream: S,
    arrival: Arrival,
    mut drained: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service =
        service_fn(move |request| router::answer(Arc::clone(&core), dialect, arrival.clone(), request));
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
