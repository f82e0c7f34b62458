//! Finds devices on the network: who answers WS-Discovery and DNS-SD, and who has a web server.
//!
//! Everything is asked from ephemeral ports, because 3702 and 5353 are taken on a NAS. Nothing that an answer says is
//! followed to another host: a device is where its packet came from. What may come in is bounded in size and number.

mod mdns;
mod wsd;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use domain::Told;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpStream, UdpSocket},
    sync::{Semaphore, mpsc::Sender, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

pub use mdns::read as read_announcement;
pub use wsd::read as read_probe_matches;

/// Ports of web pages that cameras have, plain ones first.
const PORTS: [u16; 5] = [80, 443, 8080, 8443, 8000];
/// Sockets that a sweep has open at once: well below the 1,024 files that a process usually may have.
const AT_ONCE: usize = 400;
/// Between first and second question: a datagram may be lost, and WS-Discovery asks to repeat (SOAP-over-UDP, section
/// 3.1).
const REPEAT: Duration = Duration::from_millis(400);
/// Room for answers that come while another one is read, bytes: each takes some kilobytes in the system's books, and a
/// hundred devices may answer at once. The system may give less.
const ROOM: usize = 4 << 20;
/// Answers looked at, from one socket. A network of this kind has thousands of cameras at most.
const ANSWERS_MAX: usize = 20_000;

/// How a device made itself known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// It answered a WS-Discovery probe, as every ONVIF device has to.
    WsDiscovery,
    /// It answered a DNS-SD question over multicast DNS.
    Mdns,
    /// It has a port open on which web pages are.
    Port,
}

/// A sign of life of one device.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sighting {
    /// Where it is: the sender of the packet.
    pub address: IpAddr,
    /// How it was seen.
    pub by: By,
    /// Its web ports, as far as this sign tells.
    pub ports: BTreeSet<u16>,
    /// Its stable identifier (WS-Discovery's endpoint reference, `urn:uuid:...`).
    pub id: Option<Told>,
    /// A name for people.
    pub name: Option<Told>,
    /// The model (ONVIF's scope `hardware`).
    pub model: Option<Told>,
    /// Another host that it says it is at. Not followed.
    pub elsewhere: Option<Told>,
}

/// The hardware addresses of whoever this computer spoke to lately, as far as the system tells (Linux).
pub fn neighbours() -> BTreeMap<Ipv4Addr, String> {
    let table = std::fs::read_to_string("/proc/net/arp").unwrap_or_default();
    let entry = |line: &str| {
        let mut columns = line.split_whitespace();
        let address = columns.next()?.parse().ok()?;
        let mac = columns.nth(2)?;
        // An entry without an answer has zeros.
        (mac != "00:00:00:00:00:00").then(|| (address, mac.to_owned()))
    };
    table.lines().skip(1).filter_map(entry).collect()
}

/// Asks by multicast on every interface, and passes on what answers within `wait`. How many interfaces were asked.
pub async fn listen(wait: Duration, to: &Sender<Sighting>) -> io::Result<usize> {
    let mut asked = 0;
    let mut running = JoinSet::new();
    for own in own_addresses()? {
        // An interface that cannot be asked (a tunnel, say) is no reason not to ask the others.
        let Ok(socket) = multicast(own) else { continue };
        asked += 1;
        running.spawn(ask(socket, wait, to.clone()));
    }
    running.join_all().await;
    Ok(asked)
}

/// Asks each address for itself: a look at its ports, and a probe where somebody is. `connect` is the time for a port.
/// `progress` is told how many addresses are done.
pub async fn sweep(
    addresses: Vec<Ipv4Addr>,
    connect: Duration,
    to: &Sender<Sighting>,
    progress: impl Fn(usize) + Send + Sync,
) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    make_room(&socket);
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    let socket = Arc::new(UdpSocket::from_std(socket.into())?);
    let (stop, stopped) = oneshot::channel::<()>();
    let listening = tokio::spawn({
        let (socket, to) = (socket.clone(), to.clone());
        async move {
            tokio::select! {
                () = receive(&socket, None, &to) => {}
                _ = stopped => {}
            }
        }
    });
    let probes: Arc<[String]> = wsd::probes().into();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    let mut done = 0;
    for address in addresses {
        while running.try_join_next().is_some() {
            done += 1;
            progress(done);
        }
        let Ok(place) = places.clone().acquire_many_owned(PORTS.len() as u32).await else { break };
        let (socket, probes, to) = (socket.clone(), probes.clone(), to.clone());
        running.spawn(async move {
            let look = look(address, connect).await;
            drop(place);
            let Some(ports) = look else { return };
            if !ports.is_empty() {
                let _ = to.send(Sighting::at(address.into(), By::Port, ports)).await;
            }
            // Only now: datagrams to nobody would wait in the socket until the network gives them up, each 3 s.
            for _ in 0..2 {
                for probe in probes.iter() {
                    let _ = socket.send_to(probe.as_bytes(), (address, wsd::PORT)).await;
                }
                sleep(REPEAT).await;
            }
        });
    }
    while running.join_next().await.is_some() {
        done += 1;
        progress(done);
    }
    sleep(connect).await;
    let _ = stop.send(());
    let _ = listening.await;
    Ok(())
}

/// Which of the usual ports are open; `None` if nobody is there, not even to refuse.
async fn look(address: Ipv4Addr, connect: Duration) -> Option<BTreeSet<u16>> {
    let mut running = JoinSet::new();
    for port in PORTS {
        running.spawn(async move {
            match timeout(connect, TcpStream::connect((address, port))).await {
                Ok(Ok(_)) => (true, Some(port)),
                Ok(Err(e)) => (e.kind() == io::ErrorKind::ConnectionRefused, None),
                Err(_) => (false, None),
            }
        });
    }
    let looks = running.join_all().await;
    let is_there = looks.iter().any(|(is_there, _)| *is_there);
    is_there.then(|| looks.into_iter().filter_map(|(_, port)| port).collect())
}

impl Sighting {
    fn at(address: IpAddr, by: By, ports: BTreeSet<u16>) -> Sighting {
        Sighting { address, by, ports, id: None, name: None, model: None, elsewhere: None }
    }
}

/// This machine's own addresses on networks, where devices may be.
fn own_addresses() -> io::Result<BTreeSet<Ipv4Addr>> {
    let interfaces = if_addrs::get_if_addrs()?;
    let usable = interfaces.iter().filter(|i| !i.is_loopback() && i.is_oper_up());
    Ok(usable
        .filter_map(|i| match i.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
        .collect())
}

/// As much as the system gives; of root also beyond what it gives to others (`rmem_max`, 208 kB).
fn make_room(socket: &Socket) {
    let _ = socket.set_recv_buffer_size(ROOM);
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(socket, ROOM);
}

/// A socket whose multicast goes out of the interface with this address.
fn multicast(own: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    make_room(&socket);
    socket.set_multicast_if_v4(&own)?;
    // Cameras behind a router are found by naming their range.
    socket.set_multicast_ttl_v4(1)?;
    socket.bind(&SocketAddr::from((own, 0)).into())?;
    UdpSocket::from_std(socket.into())
}

/// Both kinds of question on one interface.
async fn ask(socket: UdpSocket, wait: Duration, to: Sender<Sighting>) {
    let until = Instant::now() + wait;
    let probes = wsd::probes();
    let question = mdns::question();
    let send = async {
        // The last time when the burst of answers to the first two is over.
        for pause in [REPEAT, REPEAT * 2, REPEAT] {
            for probe in &probes {
                let _ = socket.send_to(probe.as_bytes(), wsd::GROUP).await;
            }
            if let Some(question) = &question {
                let _ = socket.send_to(question, mdns::GROUP).await;
            }
            sleep(pause).await;
        }
    };
    tokio::join!(send, receive(&socket, Some(until), &to));
}

/// Reads answers of either kind until the time is over, if there is one.
async fn receive(socket: &UdpSocket, until: Option<Instant>, to: &Sender<Sighting>) {
    let mut packet = vec![0; wsd::PACKET_MAX];
    for _ in 0..ANSWERS_MAX {
        let receiving = socket.recv_from(&mut packet);
        let received = match until {
            Some(until) => timeout_at(until, receiving).await,
            None => Ok(receiving.await),
        };
        let (length, from) = match received {
            Ok(Ok(received)) => received,
            // An error that belongs to one of the packets that were sent (port unreachable).
            Ok(Err(_)) => continue,
            Err(_) => return,
        };
        let packet = packet.get(..length).unwrap_or_default();
        let sightings = match from.port() {
            5353 => mdns::read(packet, from.ip()).into_iter().collect(),
            _ => wsd::read(packet, from.ip()),
        };
        for sighting in sightings {
            // Nobody listens any more.
            if to.send(sighting).await.is_err() {
                return;
            }
        }
    }
}
