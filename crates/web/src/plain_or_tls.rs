//! The port of the trust page: plain HTTP, and TLS for a browser that proves that it trusts the root.

use std::{future::Future, io, pin::Pin, time::Duration};

use axum::{Extension, middleware::AddExtension};
use axum_server::accept::Accept;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;
use tower_layer::Layer;

use crate::{
    guard::{Answered, Guard, Guarded},
    page::Site,
    proof::Proven,
};

/// Lets in who speaks plain HTTP or TLS, by the first byte.
#[derive(Clone)]
pub(crate) struct PlainOrTls<S> {
    pub(crate) site: S,
    pub(crate) guard: Guard,
    /// For the first byte.
    pub(crate) first: Duration,
    pub(crate) handshake: Duration,
}

/// What the first byte of a TLS connection is (RFC 8446, section 5.1): a record of the handshake.
const HANDSHAKE: u8 = 22;

type PlainOrTlsStream = Either<Guarded<TcpStream>, TlsStream<Guarded<TcpStream>>>;

impl<S: Site> PlainOrTls<S> {
    async fn open(&self, stream: TcpStream) -> io::Result<(PlainOrTlsStream, Option<Proven>, Answered)> {
        let address = stream.peer_addr()?.ip().to_canonical();
        let mut stream = self.guard.admit(stream)?;
        let answered = stream.answered();
        if timeout(self.first, stream.first_byte()).await?? != HANDSHAKE {
            return Ok((Either::Left(stream), None, answered));
        }
        let prover = self.site.prover().ok_or(io::ErrorKind::ConnectionRefused)?;
        let tls = TlsAcceptor::from(prover.tls.clone()).accept(stream);
        let stream = timeout(self.handshake, tls).await??;
        Ok((Either::Right(stream), Some(Proven { root: prover.root.clone(), address }), answered))
    }
}

impl<S: Site, V: Send + 'static> Accept<TcpStream, V> for PlainOrTls<S> {
    type Stream = PlainOrTlsStream;
    type Service = AddExtension<AddExtension<V, Answered>, Option<Proven>>;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: TcpStream, service: V) -> Self::Future {
        let acceptor = self.clone();
        Box::pin(async move {
            let (stream, proven, answered) = acceptor.open(stream).await?;
            Ok((stream, Extension(proven).layer(Extension(answered).layer(service))))
        })
    }
}
