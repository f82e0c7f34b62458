//! A TCP port that is the camera's from the start, and answers only while it is switched on.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 64;

/// A reserved port.
pub(crate) struct Port {
    address: SocketAddr,
    slot: Mutex<Slot>,
}

enum Slot {
    /// Bound but not listening: the number is ours, a connection to it is refused.
    Reserved(TcpSocket),
    /// Accepting connections, until `drain` is told to stop.
    Listening { drain: watch::Sender<bool>, task: JoinHandle<()> },
    /// The number is lost: another program took it in the moment it was free.
    Lost,
}

impl Port {
    /// Takes the port of this address; 0 lets the system choose.
    pub(crate) fn reserve(address: SocketAddr) -> io::Result<Self> {
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        Ok(Port { address, slot: Mutex::new(Slot::Reserved(socket)) })
    }

    /// Its address and number.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen; `serve` is given the listener, and what tells it to close it. Listening already is fine.
    pub(crate) async fn open(
        &self,
        serve: impl FnOnce(TcpListener, watch::Receiver<bool>) -> JoinHandle<()>,
    ) -> io::Result<()> {
        let mut slot = self.slot.lock().await;
        let socket = match std::mem::replace(&mut *slot, Slot::Lost) {
            Slot::Reserved(socket) => socket,
            Slot::Lost => bind(self.address)?,
            listening @ Slot::Listening { .. } => {
                *slot = listening;
                return Ok(());
            }
        };
        // From now on, so that its connections do not keep the number from us when it is switched off; not
        // before, so that nobody else may bind a number that is merely reserved.
        socket.set_reuseaddr(true)?;
        let listener = socket.listen(BACKLOG)?;
        let (drain, drained) = watch::channel(false);
        *slot = Slot::Listening { drain, task: serve(listener, drained) };
        Ok(())
    }

    /// Stops listening and keeps the number. When this returns, connections are refused; those already made end
    /// after the answer they wait for.
    pub(crate) async fn close(&self) {
        let mut slot = self.slot.lock().await;
        if matches!(*slot, Slot::Listening { .. }) {
            end(std::mem::replace(&mut *slot, Slot::Lost)).await;
            *slot = bind(self.address).map_or(Slot::Lost, Slot::Reserved);
        }
    }

    /// Gives the number back.
    pub(crate) async fn release(&self) {
        let mut slot = self.slot.lock().await;
        end(std::mem::replace(&mut *slot, Slot::Lost)).await;
    }
}

/// Waits until the listener is closed.
async fn end(slot: Slot) {
    if let Slot::Listening { drain, task } = slot {
        drain.send_replace(true);
        // It ends by itself; a task that failed has closed its listener too.
        let _ = task.await;
    }
}

/// Binds without listening, so that nobody else can.
///
/// If connections of the last time still linger (TIME_WAIT), only SO_REUSEADDR helps; another program that asks for
/// this very number and uses it too could then share it, which is the lesser evil.
fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let bound = |reuse: bool| -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(reuse)?;
        socket.bind(address)?;
        Ok(socket)
    };
    match bound(false) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bound(true),
        result => result,
    }
}
