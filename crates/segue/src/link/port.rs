//! The farm's port, as the QUIC endpoint sees it.
//!
//! One UDP port serves packets and links. The driver reads it and leaves here
//! what has the bit that every QUIC packet has (RFC 9000, 17.2 and 17.3) and no
//! packet of ours; the endpoint takes it from here, and sends by the same
//! socket. What comes from strangers is bounded before any of it is looked at.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};

use parking_lot::Mutex;
use proto::time::Instant;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use super::gate::Gate;

/// The bit that QUIC packets have and ours do not, since their first byte is
/// the version of their format. The endpoint is told to keep it (no greasing,
/// RFC 9287).
const FIXED_BIT: u8 = 0x40;
/// The bit of packets that belong to a handshake: they have the long header.
const LONG_HEADER: u8 = 0x80;
/// What waits for the endpoint at the most, in bytes: what arrives within ten
/// milliseconds at a gigabit a second.
const INBOX_BYTES: usize = 1 << 20;
/// The same, in datagrams: so many that are half full.
const INBOX_DATAGRAMS: usize = 2 * INBOX_BYTES / proto::wire::MAX_PACKET_BYTES;
/// Packets of handshakes that are taken a second. A handshake takes about
/// eight at each end, and one that fails some fifty microseconds of work: a
/// flood of them costs a tenth of one processor.
const HANDSHAKE_PACKETS_A_SECOND: u32 = 2_000;

/// Whether a datagram is one of a link.
#[inline]
pub(crate) fn is_link(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & FIXED_BIT != 0)
}

/// How many datagrams, and of how many bytes, went by.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received_bytes: AtomicU64,
    pub(super) sent_bytes: AtomicU64,
    /// Datagrams that found no room, or too many others of strangers.
    pub(super) dropped: AtomicU64,
}

/// The driver's end: where it leaves datagrams.
#[derive(Debug)]
pub(crate) struct Inlet {
    inbox: Arc<Inbox>,
    gate: Gate,
    left: bool,
}

/// The endpoint's end.
#[derive(Debug)]
pub(super) struct Port {
    inbox: Arc<Inbox>,
    /// Gone when the node has ended, though the endpoint still says goodbye:
    /// the next node may have the port then.
    socket: Weak<UdpSocket>,
    address: SocketAddr,
    /// Whether the socket took no more when it was last given something.
    blocked: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbox {
    arrived: Mutex<Arrived>,
    traffic: Traffic,
}

#[derive(Debug, Default)]
struct Arrived {
    /// Datagrams, one behind the other. None before `read` waits any more.
    bytes: Vec<u8>,
    read: usize,
    datagrams: VecDeque<(SocketAddr, usize)>,
    waker: Option<Waker>,
}

/// The two ends of the port that `socket` has.
pub(super) fn open(socket: &Arc<UdpSocket>) -> io::Result<(Inlet, Port)> {
    let inbox = Arc::new(Inbox::default());
    let gate = Gate::new(HANDSHAKE_PACKETS_A_SECOND);
    let inlet = Inlet { inbox: Arc::clone(&inbox), gate, left: false };
    let address = socket.local_addr()?;
    Ok((
        inlet,
        Port { inbox, socket: Arc::downgrade(socket), address, blocked: AtomicBool::new(false) },
    ))
}

impl Inlet {
    /// Leaves a datagram for the endpoint, if there is room.
    pub(crate) fn leave(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let is_handshake = datagram.first().is_some_and(|first| first & LONG_HEADER != 0);
        let passes = !is_handshake || self.gate.passes(now);
        let left = passes && self.inbox.arrived.lock().push(from, datagram);
        let traffic = &self.inbox.traffic;
        if left {
            self.left = true;
            traffic.received_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
        } else {
            traffic.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Has the endpoint look, if anything was left for it.
    pub(crate) fn tell(&mut self) {
        if std::mem::take(&mut self.left)
            && let Some(waker) = self.inbox.arrived.lock().waker.take()
        {
            waker.wake();
        }
    }
}

impl Arrived {
    fn push(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        let fits = self.datagrams.len() < INBOX_DATAGRAMS
            && self.bytes.len() + datagram.len() <= INBOX_BYTES;
        if fits {
            self.bytes.extend_from_slice(datagram);
            self.datagrams.push_back((from, datagram.len()));
        }
        fits
    }

    /// Copies the next datagrams out. Gives how many.
    fn take(&mut self, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut taken = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((addr, datagram)) = self.datagrams.pop_front() else { break };
            // What is longer than the endpoint has room for does not open.
            let len = datagram.min(buffer.len());
            buffer[..len].copy_from_slice(&self.bytes[self.read..][..len]);
            self.read += datagram;
            *meta = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
            taken += 1;
        }
        if self.datagrams.is_empty() {
            self.bytes.clear();
            self.read = 0;
        }
        taken
    }
}

impl Port {
    pub(super) fn traffic(&self) -> &Traffic {
        &self.inbox.traffic
    }
}

impl AsyncUdpSocket for Port {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable { port: self, registered: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(socket) = self.socket.upgrade() else { return Ok(()) };
        match socket.send_to(transmit.contents, transmit.destination) {
            Ok(sent) => {
                self.inbox.traffic.sent_bytes.fetch_add(sent as u64, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.blocked.store(true, Ordering::Relaxed);
                Err(error)
            }
            // A datagram that is too long for the path, a route that is missing,
            // a peer that is gone: to QUIC it is a datagram that was lost, and
            // no reason to end all links.
            Err(error) => {
                tracing::debug!(%error, to = %transmit.destination, "a datagram was not sent");
                Ok(())
            }
        }
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.inbox.arrived.lock();
        match arrived.take(buffers, meta) {
            0 => {
                arrived.waker = Some(context.waker().clone());
                Poll::Pending
            }
            taken => Poll::Ready(Ok(taken)),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    /// The socket has DF set.
    fn may_fragment(&self) -> bool {
        false
    }
}

/// Waits until the socket takes datagrams again, if it did not. The runtime
/// watches it only then: the endpoint asks before everything that it sends, and
/// the driver's own waiting for the socket stays as quick as it is.
#[derive(Debug)]
struct Writable {
    port: Arc<Port>,
    registered: Option<tokio::net::UdpSocket>,
}

impl UdpPoller for Writable {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.registered.is_none() {
            if !self.port.blocked.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            let Some(socket) = self.port.socket.upgrade() else { return Poll::Ready(Ok(())) };
            // The runtime knows a socket by its descriptor, and each link waits
            // by itself.
            self.registered = Some(tokio::net::UdpSocket::from_std(socket.try_clone()?)?);
        }
        let registered = self.registered.as_ref().expect("it was just seen to");
        ready!(registered.poll_send_ready(context))?;
        self.registered = None;
        self.port.blocked.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proto::wire::header::FORMAT;

    use super::*;

    fn taken(port: &Port) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut room = vec![[0; 1_500]; 7];
        let mut meta = [RecvMeta::default(); 7];
        let mut buffers: Vec<_> = room.iter_mut().map(|one| IoSliceMut::new(one)).collect();
        let count = port.inbox.arrived.lock().take(&mut buffers, &mut meta);
        let datagrams = meta[..count].iter().zip(&room);
        datagrams.map(|(meta, bytes)| (meta.addr, bytes[..meta.len].to_vec())).collect()
    }

    fn port() -> (Arc<UdpSocket>, Inlet, Port) {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("any port"));
        let (inlet, port) = open(&socket).expect("it has an address");
        (socket, inlet, port)
    }

    #[test]
    fn packets_of_ours_are_none_of_a_link() {
        assert!(!is_link(&[FORMAT]));
        assert!(!is_link(&[]));
        assert!(is_link(&[FIXED_BIT]), "a short header");
        assert!(is_link(&[FIXED_BIT | LONG_HEADER]));
    }

    #[test]
    fn datagrams_are_taken_in_the_order_of_their_arrival() {
        let (_socket, mut inlet, port) = port();
        let from = |number: u8| SocketAddr::from(([10, 0, 0, number], 7_700));
        let expected: Vec<_> =
            (0..20).map(|number| (from(number), vec![FIXED_BIT; number.into()])).collect();
        for (from, datagram) in &expected[..10] {
            inlet.leave(Instant::default(), *from, datagram);
        }
        let mut all = taken(&port);
        for (from, datagram) in &expected[10..] {
            inlet.leave(Instant::default(), *from, datagram);
        }
        all.extend((0..2).flat_map(|_| taken(&port)));
        assert_eq!(all, expected);
        assert!(taken(&port).is_empty());
    }

    #[tokio::test]
    async fn a_socket_that_was_full_is_waited_for() {
        let (socket, _inlet, port) = port();
        socket.set_nonblocking(true).unwrap();
        let port = Arc::new(port);
        let mut writable = Arc::clone(&port).create_io_poller();
        port.blocked.store(true, Ordering::Relaxed);
        std::future::poll_fn(|context| writable.as_mut().poll_writable(context)).await.unwrap();
        assert!(!port.blocked.load(Ordering::Relaxed), "it has room");
        drop(socket);
        port.blocked.store(true, Ordering::Relaxed);
        std::future::poll_fn(|context| writable.as_mut().poll_writable(context)).await.unwrap();
    }

    #[test]
    fn what_finds_no_room_is_dropped_and_counted() {
        let (socket, mut inlet, port) = port();
        let from = socket.local_addr().unwrap();
        let datagram = [FIXED_BIT; 1_400];
        let room = INBOX_BYTES / datagram.len();
        for _ in 0..room + 3 {
            inlet.leave(Instant::default(), from, &datagram);
        }
        assert_eq!(port.traffic().dropped.load(Ordering::Relaxed), 3);
        let all = std::iter::from_fn(|| Some(taken(&port).len()).filter(|&taken| taken > 0));
        assert_eq!(all.sum::<usize>(), room);
        inlet.leave(Instant::default(), from, &datagram);
        assert_eq!(taken(&port).len(), 1, "there is room again");
    }

    #[test]
    fn a_flood_of_handshakes_leaves_room_for_links_that_are() {
        let (socket, mut inlet, port) = port();
        let from = socket.local_addr().unwrap();
        let mut passed = 0;
        for _ in 0..100_000 {
            inlet.leave(Instant::default(), from, &[FIXED_BIT | LONG_HEADER; 1_200]);
            inlet.leave(Instant::default(), from, &[FIXED_BIT; 30]);
            let taken = taken(&port);
            assert!(taken.iter().any(|(_, bytes)| bytes.len() == 30), "a link goes on");
            passed += taken.len() - 1;
        }
        assert_eq!(passed, usize::try_from(HANDSHAKE_PACKETS_A_SECOND).unwrap());
    }
}
