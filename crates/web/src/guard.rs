//! Who is let in, and limits on what one client, or many, can hold on to.
//!
//! hyper bounds the time for a request's head; nothing bounds a client that asks and then does not read. A
//! [`Guarded`] stream ends when its peer has taken nothing for a while, and when another client needs its place more.

use std::{
    cmp::Reverse,
    collections::HashMap,
    future::{Future, Ready, poll_fn, ready},
    io,
    net::{IpAddr, Ipv6Addr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Extension,
    extract::Request,
    middleware::{AddExtension, Next},
    response::Response,
};
use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
    time::{Sleep, sleep},
};
use tower_layer::Layer;

/// Who is answered.
#[derive(Clone)]
pub struct Clients {
    /// What is called, once, with the first address that is not.
    refused: Option<fn(IpAddr)>,
    was_told: Arc<AtomicBool>,
}

impl Clients {
    /// Whoever comes.
    pub fn all() -> Clients {
        Clients { refused: None, was_told: Arc::default() }
    }

    /// Those with an address of a house: private, link-local, shared (100.64.0.0/10) or this machine's own. `refused` is
    /// called with the first one that has another, and for no other.
    pub fn private(refused: fn(IpAddr)) -> Clients {
        Clients { refused: Some(refused), was_told: Arc::default() }
    }

    fn answered(&self, address: IpAddr) -> bool {
        let Some(refused) = self.refused.filter(|_| !is_private(address)) else { return true };
        if !self.was_told.swap(true, Ordering::Relaxed) {
            refused(address);
        }
        false
    }
}

fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_shared = first == 100 && second & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || is_shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

/// Lets connections in, each one guarded.
#[derive(Clone)]
pub(crate) struct Guard {
    clients: Clients,
    places: Arc<Mutex<Places>>,
    stall: Duration,
}

impl Guard {
    /// At most `all` connections at a time, and `each` of one client; one whose peer takes nothing for `stall` ends.
    pub(crate) fn new(clients: Clients, all: usize, each: usize, stall: Duration) -> Guard {
        let places = Places { all, each, taken: Vec::new(), number: 0 };
        Guard { clients, places: Arc::new(Mutex::new(places)), stall }
    }

    /// Whoever is answered is let in. If there is no place, another connection ends for it: waiting would only move the
    /// queue into our memory, and to refuse would shut everybody out while one client holds all places.
    pub(crate) fn admit(&self, stream: TcpStream) -> io::Result<Guarded<TcpStream>> {
        let address = stream.peer_addr()?.ip();
        if !self.clients.answered(address) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a private address"));
        }
        let (number, was_answered, gone) = locked(&self.places).take(client(address));
        let place = Place { places: self.places.clone(), number, was_answered, gone: Some(gone) };
        Ok(Guarded { inner: stream, stall: self.stall, waiting: None, place })
    }
}

impl<S> Accept<TcpStream, S> for Guard {
    type Stream = Guarded<TcpStream>;
    type Service = AddExtension<S, Answered>;
    type Future = Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.admit(stream).map(|stream| {
            let answered = stream.answered();
            (stream, Extension(answered).layer(service))
        }))
    }
}

/// Who counts as one: an address, of IPv6 the network of 64 bits, of which a computer takes addresses as it likes.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

struct Places {
    all: usize,
    each: usize,
    /// The oldest first.
    taken: Vec<Taken>,
    number: u64,
}

struct Taken {
    number: u64,
    client: IpAddr,
    was_answered: Arc<AtomicBool>,
    /// Dropped, the connection ends.
    _stay: oneshot::Sender<()>,
}

impl Places {
    fn take(&mut self, client: IpAddr) -> (u64, Arc<AtomicBool>, oneshot::Receiver<()>) {
        // On this machine one address may be many clients: a reverse proxy's. It leaves others a half all the same.
        let most = if client.is_loopback() { self.all / 2 } else { self.each };
        if self.taken.iter().filter(|taken| taken.client == client).count() >= most {
            self.end_one(|taken| taken.client == client);
        } else if self.taken.len() >= self.all {
            self.end_one(|_| true);
        }
        self.number += 1;
        let (stay, gone) = oneshot::channel();
        let was_answered = Arc::<AtomicBool>::default();
        let (number, was_answered_too) = (self.number, was_answered.clone());
        self.taken.push(Taken { number, client, was_answered: was_answered_too, _stay: stay });
        (number, was_answered, gone)
    }

    /// One that had no answer yet goes first, of these one of the client that holds the most, of these the oldest.
    fn end_one(&mut self, may_go: impl Fn(&Taken) -> bool) {
        let mut held = HashMap::new();
        self.taken.iter().for_each(|taken| *held.entry(taken.client).or_insert(0) += 1);
        let candidates = self.taken.iter().enumerate().filter(|(_, taken)| may_go(taken));
        let first = candidates.min_by_key(|(_, taken)| {
            (taken.was_answered.load(Ordering::Relaxed), Reverse(held.get(&taken.client)), taken.number)
        });
        if let Some((at, _)) = first {
            self.taken.remove(at);
        }
    }
}

fn locked(places: &Mutex<Places>) -> MutexGuard<'_, Places> {
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection's place, free again when it is dropped.
struct Place {
    places: Arc<Mutex<Places>>,
    number: u64,
    was_answered: Arc<AtomicBool>,
    /// `None`: another connection has it.
    gone: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// An error once another connection has it.
    fn held(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if let Some(gone) = &mut self.gone
            && Pin::new(gone).poll(cx).is_pending()
        {
            return Ok(());
        }
        self.gone = None;
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, "another connection needed the place"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.places).taken.retain(|taken| taken.number != self.number);
    }
}

/// Whether a connection has had an answer: an extension of its requests.
#[derive(Clone)]
pub(crate) struct Answered(Arc<AtomicBool>);

/// Notes at the connection that it has had an answer.
pub(crate) async fn note_answer(
    answered: Option<Extension<Answered>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if let Some(Extension(Answered(was_answered))) = answered {
        was_answered.store(true, Ordering::Relaxed);
    }
    response
}

/// A stream whose writes do not wait for ever, and that ends when its place is gone.
pub(crate) struct Guarded<S> {
    inner: S,
    stall: Duration,
    /// Runs while the peer takes nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    place: Place,
}

impl Guarded<TcpStream> {
    /// The first byte, which stays to be read; an error where the peer sends none.
    pub(crate) async fn first_byte(&mut self) -> io::Result<u8> {
        let mut first = [0];
        let mut buffer = ReadBuf::new(&mut first);
        let peek = poll_fn(|cx| {
            self.place.held(cx)?;
            self.inner.poll_peek(cx, &mut buffer)
        });
        match peek.await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(first[0]),
        }
    }

    /// What notes that it has had an answer.
    pub(crate) fn answered(&self) -> Answered {
        Answered(self.place.was_answered.clone())
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
        self.place.held(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.place.held(cx)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_house_ends_where_the_roots_constraints_end() {
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "169.254.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "::1",
            "::ffff:192.168.1.2",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
        ] {
            assert!(is_private(ip(inside)), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "8.8.8.8",
            "0.0.0.0",
            "::",
            "::ffff:8.8.8.8",
            "2001:db8::1",
            "fec0::1",
            "fbff::1",
            "fe00::1",
        ] {
            assert!(!is_private(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn one_client_is_an_address_or_a_network_of_ipv6() {
        assert_eq!(client(ip("::ffff:10.0.0.1")), ip("10.0.0.1"));
        assert_eq!(client(ip("fd00:0:0:1:2:3:4:5")), client(ip("fd00:0:0:1:ffff::")));
        assert_ne!(client(ip("fd00:0:0:1::1")), client(ip("fd00:0:0:2::1")));
        assert_ne!(client(ip("10.0.0.1")), client(ip("10.0.0.2")));
        assert!(client(ip("::1")).is_loopback());
    }

    /// The clients that hold the places, the oldest first.
    fn held(places: &Places) -> Vec<String> {
        places.taken.iter().map(|taken| taken.client.to_string()).collect()
    }

    #[test]
    fn a_client_that_holds_much_makes_way() {
        let mut places = Places { all: 6, each: 3, taken: Vec::new(), number: 0 };
        let mut take = |address: &str| {
            let (_, was_answered, gone) = places.take(ip(address));
            (held(&places), was_answered, gone)
        };
        // Its fourth ends its first, nobody else's.
        take("10.0.0.9");
        let (_, _, mut first) = take("10.0.0.1");
        take("10.0.0.1");
        let (_, was_answered, mut answered) = take("10.0.0.1");
        was_answered.store(true, Ordering::Relaxed);
        assert!(first.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        let (now, ..) = take("10.0.0.1");
        assert_eq!(now, ["10.0.0.9", "10.0.0.1", "10.0.0.1", "10.0.0.1"]);
        assert!(first.try_recv() == Err(oneshot::error::TryRecvError::Closed));
        // All are taken: one of those that hold the most makes way, and what had an answer stays longest.
        take("10.0.0.2");
        take("10.0.0.3");
        assert_eq!(take("10.0.0.4").0.iter().filter(|c| *c == "10.0.0.1").count(), 2);
        take("10.0.0.5");
        let (now, ..) = take("10.0.0.6");
        assert_eq!(now, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        assert!(answered.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    }

    #[test]
    fn on_this_machine_one_address_may_be_many_clients() {
        let mut places = Places { all: 8, each: 2, taken: Vec::new(), number: 0 };
        (0..9).for_each(|_| drop(places.take(ip("127.0.0.1"))));
        assert_eq!(held(&places).len(), 4);
    }
}
