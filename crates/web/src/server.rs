//! The router behind TLS, or on plain HTTP.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{Router, http::Request, middleware::from_fn};
use axum_server::{
    Handle,
    accept::Accept,
    from_tcp,
    service::SendService,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    guard::{Clients, Guard, note_answer},
    page::Site,
    plain_or_tls::PlainOrTls,
    proof::http1_only,
    routes::trust_router,
};

/// How long a client may hold on to something.
#[derive(Clone, Copy)]
struct Limits {
    /// For the TLS handshake.
    handshake: Duration,
    /// For the head of a request, and for silence between two of them.
    head: Duration,
    /// For taking nothing of an answer.
    stall: Duration,
    /// Connections at a time.
    connections: usize,
    /// Those of one client, not on this machine. A browser has six, and some are left over from before.
    each: usize,
}

const LIMITS: Limits = Limits {
    handshake: Duration::from_secs(5),
    head: Duration::from_secs(10),
    stall: Duration::from_secs(20),
    connections: 256,
    each: 32,
};

impl Limits {
    fn guard(&self, clients: Clients) -> Guard {
        Guard::new(clients, self.connections, self.each, self.stall)
    }
}

/// What a request in flight is given when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// A running server. Dropping it ends it at once; [`Server::stop`] lets requests in flight finish.
pub struct Server {
    address: SocketAddr,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
    tls: Option<RustlsConfig>,
}

impl Server {
    /// Serves `router` on `listener` to `clients` inside TLS. Only HTTP/1.1 is spoken, whatever `tls` says of ALPN.
    pub async fn start(
        listener: TcpListener,
        clients: Clients,
        tls: rustls::ServerConfig,
        router: Router,
    ) -> io::Result<Server> {
        Server::start_with(listener, clients, tls, router, LIMITS).await
    }

    /// Serves the trust page on `listener` to `clients` over plain HTTP; and over TLS, with the site's prover, what proves trust.
    pub async fn start_trust<S: Site>(
        listener: TcpListener,
        clients: Clients,
        site: S,
    ) -> io::Result<Server> {
        Server::start_trust_with(listener, clients, site, LIMITS).await
    }

    /// Shows another certificate to connections that begin from now on.
    pub fn replace_tls(&self, tls: rustls::ServerConfig) {
        if let Some(config) = &self.tls {
            config.reload_from_config(http1_only(tls));
        }
    }

    async fn start_trust_with<S: Site>(
        listener: TcpListener,
        clients: Clients,
        site: S,
        limits: Limits,
    ) -> io::Result<Server> {
        let acceptor = PlainOrTls {
            site: site.clone(),
            guard: limits.guard(clients),
            first: limits.head,
            handshake: limits.handshake,
        };
        Server::run(listener, acceptor, trust_router(site), limits.head, None).await
    }

    async fn start_with(
        listener: TcpListener,
        clients: Clients,
        tls: rustls::ServerConfig,
        router: Router,
        limits: Limits,
    ) -> io::Result<Server> {
        let tls = RustlsConfig::from_config(http1_only(tls));
        let acceptor = RustlsAcceptor::new(tls.clone())
            .handshake_timeout(limits.handshake)
            .acceptor(limits.guard(clients));
        Server::run(listener, acceptor, router, limits.head, Some(tls)).await
    }

    async fn run<A>(
        listener: TcpListener,
        acceptor: A,
        router: Router,
        head: Duration,
        tls: Option<RustlsConfig>,
    ) -> io::Result<Server>
    where
        A: Accept<TcpStream, Router> + Clone + Send + Sync + 'static,
        A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
        A::Service: SendService<Request<Incoming>> + Send,
        A::Future: Send,
    {
        let handle = Handle::new();
        let mut server = from_tcp(listener)?
            .acceptor(acceptor)
            .handle(handle.clone())
            .first_request_timeout(head)
            .http1_only();
        server.http_builder().http1().header_read_timeout(head);
        let task = tokio::spawn(server.serve(router.layer(from_fn(note_answer)).into_make_service()));
        match handle.listening().await {
            Some(address) => Ok(Server { address, handle, task, tls }),
            None => Err(io::Error::other("the listener has no address")),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, gives requests in flight up to two seconds, and ends.
    pub async fn stop(mut self) {
        self.handle.graceful_shutdown(Some(GRACE));
        // The server keeps to the grace by itself; the second bound is for a fault in it.
        let _ = timeout(GRACE * 2, &mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use std::net::IpAddr;

    use axum::routing::get;
    use rustls::{ClientConfig, RootCertStore, ServerConfig, pki_types::PrivateKeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::{TlsConnector, client::TlsStream};
    use words::Words;

    use super::*;
    use crate::{
        page::{Crl, Health, Page, Trust, Unreadable},
        proof::Prover,
    };

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);
    const PATIENT: Limits = Limits { handshake: LONG, head: LONG, stall: LONG, connections: 8, each: 2 };
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn identity() -> (ServerConfig, ClientConfig) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (tls, client)
    }

    /// A server whose one answer is larger than what the sockets between can hold.
    async fn serve(limits: Limits) -> (Server, TlsConnector) {
        let (tls, client) = identity();
        let router = Router::new().route("/", get(async || vec![b'x'; 16 << 20]));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start_with(listener, Clients::all(), tls, router, limits).await.unwrap();
        (server, TlsConnector::from(Arc::new(client)))
    }

    /// A site that has a prover, and else cannot be read.
    #[derive(Clone)]
    struct Bare(Arc<Prover>);

    impl Site for Bare {
        async fn page(&self) -> Result<Page, Unreadable> {
            Err(Unreadable)
        }

        async fn trust(&self) -> Result<Trust, Unreadable> {
            Err(Unreadable)
        }

        async fn crl(&self, _path: &str) -> Result<Option<Crl>, Unreadable> {
            Err(Unreadable)
        }

        async fn health(&self) -> Result<Health, Unreadable> {
            Err(Unreadable)
        }

        fn now(&self) -> time::OffsetDateTime {
            unreachable!("nothing is shown")
        }

        fn words(&self) -> &Words {
            unreachable!("nothing is shown")
        }

        fn prover(&self) -> Option<Arc<Prover>> {
            Some(self.0.clone())
        }

        async fn proven(&self, _root: &str, _address: IpAddr) {}
    }

    async fn connect(server: &Server, tls: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
        let tcp = TcpStream::connect(server.address()).await?;
        tls.connect("127.0.0.1".try_into().unwrap(), tcp).await
    }

    /// Reads until the server ends the connection, however it does so; a server that does not fails here.
    async fn ended(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
        let mut got = Vec::new();
        let _ = timeout(LONG / 2, stream.read_to_end(&mut got)).await.expect("the server ends it");
        got
    }

    #[tokio::test]
    async fn a_client_without_a_handshake_is_let_go() {
        let (server, _) = serve(Limits { handshake: SHORT, ..PATIENT }).await;
        let mut tcp = TcpStream::connect(server.address()).await.unwrap();
        assert_eq!(ended(&mut tcp).await, b"");
    }

    #[tokio::test]
    async fn beside_plain_http_nobody_waits_for_ever() {
        let site = Bare(Arc::new(Prover::new(identity().0, String::new(), Vec::new())));
        // Without a byte, and a first byte of TLS alone.
        for (first, limits) in
            [(&b""[..], Limits { head: SHORT, ..PATIENT }), (&[22], Limits { handshake: SHORT, ..PATIENT })]
        {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let server =
                Server::start_trust_with(listener, Clients::all(), site.clone(), limits).await.unwrap();
            let mut tcp = TcpStream::connect(server.address()).await.unwrap();
            tcp.write_all(first).await.unwrap();
            assert_eq!(ended(&mut tcp).await, b"", "{first:?}");
        }
    }

    #[tokio::test]
    async fn half_a_request_is_let_go_and_so_is_silence() {
        let (server, tls) = serve(Limits { head: SHORT, ..PATIENT }).await;
        let mut half = connect(&server, &tls).await.unwrap();
        half.write_all(&REQUEST[..20]).await.unwrap();
        assert!(!ended(&mut half).await.starts_with(b"HTTP/1.1 200"));
        let mut silent = connect(&server, &tls).await.unwrap();
        silent.write_all(REQUEST).await.unwrap();
        assert!(ended(&mut silent).await.len() > 16 << 20);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_let_go() {
        let (server, tls) = serve(Limits { stall: SHORT, ..PATIENT }).await;
        let mut deaf = connect(&server, &tls).await.unwrap();
        // Writing goes on until the server resets the connection.
        let writing = async { while deaf.write_all(REQUEST).await.is_ok() && deaf.flush().await.is_ok() {} };
        timeout(LONG / 2, writing).await.expect("the server ends it");
    }

    /// Connections from this address of this machine.
    async fn crowd(server: &Server, from: [u8; 4], count: usize) -> Vec<TcpStream> {
        let mut crowd = Vec::new();
        for _ in 0..count {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((from, 0).into()).unwrap();
            crowd.push(socket.connect(server.address()).await.unwrap());
        }
        crowd
    }

    /// Whoever comes has an answer, however many connections others hold; over TLS, and beside it on plain HTTP.
    #[tokio::test]
    async fn nobody_is_shut_out() {
        let (server, tls) = serve(PATIENT).await;
        let site = Bare(Arc::new(Prover::new(identity().0, String::new(), Vec::new())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let trust = Server::start_trust_with(listener, Clients::all(), site, PATIENT).await.unwrap();
        for from in 2..=4 {
            let mut over_tls = crowd(&server, [127, 0, 0, from], 300).await;
            let mut plain = crowd(&trust, [127, 0, 0, from], 300).await;
            // One that holds on to its place is kept, too.
            let mut asked = connect(&server, &tls).await.unwrap();
            asked.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            assert!(ended(&mut asked).await.len() > 16 << 20);
            let mut asked = TcpStream::connect(trust.address()).await.unwrap();
            asked.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            assert!(ended(&mut asked).await.starts_with(b"HTTP/1.1 503"));
            // Those that made way are closed, not forgotten.
            for stream in [&mut over_tls[0], &mut plain[0]] {
                ended(stream).await;
            }
        }
    }
}
