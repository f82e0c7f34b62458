//! A connection to a port.

use std::{io, net::SocketAddr, time::Duration};

use domain::{AltName, Target};
use tokio::{net::TcpStream, time::timeout};

/// Why there was no connection.
#[derive(Debug)]
pub(crate) enum Refusal {
    Refused,
    /// After that many seconds.
    TimedOut(u64),
    NameNotFound,
    Other(String),
}

pub(crate) async fn connect(target: &Target, port: u16, patience: Duration) -> Result<TcpStream, Refusal> {
    let addresses = match &target.host {
        AltName::Ip(ip) => vec![SocketAddr::new(*ip, port)],
        AltName::Dns(name) => match timeout(patience, tokio::net::lookup_host((name.as_str(), port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => return Err(Refusal::NameNotFound),
        },
    };
    match timeout(patience, TcpStream::connect(addresses.as_slice())).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Err(Refusal::Refused),
        Ok(Err(e)) => Err(Refusal::Other(e.to_string())),
        Err(_) => Err(Refusal::TimedOut(patience.as_secs())),
    }
}
