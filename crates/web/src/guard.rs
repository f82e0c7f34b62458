//! Limits on what one client, or many, can hold on to.
//!
//! hyper bounds the time for a request's head; nothing bounds a client that asks and then does not read. A
//! [`Guarded`] stream ends when its peer has taken nothing for a while, and counts among a limited number.

use std::{
    future::{Future, Ready, ready},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// Lets a limited number of connections in, each one guarded.
#[derive(Clone)]
pub(crate) struct Guard {
    free: Arc<Semaphore>,
    stall: Duration,
}

impl Guard {
    /// At most `connections` at a time; one whose peer takes nothing for `stall` ends.
    pub(crate) fn new(connections: usize, stall: Duration) -> Guard {
        Guard { free: Arc::new(Semaphore::new(connections)), stall }
    }

    /// One too many is closed at once: waiting would only move the queue into our memory.
    pub(crate) fn admit<S>(&self, stream: S) -> io::Result<Guarded<S>> {
        match self.free.clone().try_acquire_owned() {
            Ok(place) => Ok(Guarded { inner: stream, stall: self.stall, waiting: None, _place: place }),
            Err(_) => Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections")),
        }
    }
}

impl<S> Accept<TcpStream, S> for Guard {
    type Stream = Guarded<TcpStream>;
    type Service = S;
    type Future = Ready<io::Result<(Self::Stream, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream).map(|stream| (stream, service)))
    }
}

/// A stream whose writes do not wait for ever.
pub(crate) struct Guarded<S> {
    inner: S,
    stall: Duration,
    /// Runs while the peer takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Guarded<TcpStream> {
    /// The first byte, which stays to be read; an error where the peer sends none.
    pub(crate) async fn first_byte(&self) -> io::Result<u8> {
        let mut first = [0];
        match self.inner.peek(&mut first).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }
}

impl<S> Guarded<S> {
    fn bounded<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(stall)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.bounded(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_flush(cx);
        // A flush of TCP is always ready and says nothing about the peer: it must not reset the time.
        if poll.is_ready() { poll } else { self.bounded(cx, poll) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, poll)
    }
}
