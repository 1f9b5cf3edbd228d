//! What others want of the carrier's thread.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use proto::connection::epoch::{Answer, Ask};
use tls_rustls::records::Records;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::registers::Asker;
use super::splice::Permit;

/// A client's connection whose TLS handshake is done, to be gone on with.
pub struct Handed {
    /// Its socket, on which nothing is under way in this process.
    pub client: TcpStream,
    /// Its records.
    pub records: Records,
    /// What the client has said already.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What is still to be written to the client.
    pub unsent: Vec<u8>,
    /// What the client has sent beyond the handshake.
    pub unread: Vec<u8>,
    /// Where it is passed on to.
    pub backend: SocketAddr,
    /// What the backend is told before all of that.
    pub preface: Vec<u8>,
    /// Dropped when the connection is over.
    pub permit: Permit,
}

impl std::fmt::Debug for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handed").field("backend", &self.backend).finish_non_exhaustive()
    }
}

/// What others want. Their number is bounded by what they are about: connections
/// have permits, and each group asks one question at a time.
pub(super) enum Order {
    Carry(Box<Handed>),
    Answer(Asker, Box<(Ask, Answer)>),
    /// Move all connections, to that node or to the understudy.
    Drain(Option<String>),
    Stop(oneshot::Sender<()>),
}

/// Where orders are given.
#[derive(Debug, Clone)]
pub(super) struct Orders {
    sender: Sender<Order>,
    waker: Arc<mio::Waker>,
}

impl Orders {
    pub(super) fn new(waker: mio::Waker) -> (Self, Receiver<Order>) {
        let (sender, receiver) = channel();
        (Self { sender, waker: Arc::new(waker) }, receiver)
    }

    /// Gives an order; false when nobody takes any.
    pub(super) fn give(&self, order: Order) -> bool {
        self.sender.send(order).is_ok() && self.waker.wake().is_ok()
    }
}
