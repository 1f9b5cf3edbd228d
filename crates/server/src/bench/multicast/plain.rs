//! The limit: full packets to the group by plain `sendmmsg`, with nothing in
//! them and nobody asking for any of them again.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;
use std::time::{Duration, Instant};

use proto::wire::header::{HEADER_BYTES, Header, Incarnation, PacketType};
use sys::batch::{ReceiveBatch, SendError, SendQueue};
use sys::multicast::{Buffers, Group, open_group, open_unicast};
use sys::wait::Sleeper;

use super::orders::{Forgery, Place, Reply};

/// The size of a full packet of the multicast, without UDP and IP headers.
const PACKET_BYTES: usize = 1_400;

/// How many numbers forged packets bear.
const NUMBERS: u64 = 1_000;

/// Packets between two calls to the kernel.
const BATCH: usize = 64;

/// What both sides ask of the kernel, as a node does.
const BUFFERS: Buffers = Buffers { receive: 8 << 20, send: 4 << 20 };

/// Sends, and takes what others send.
pub(super) struct Plain {
    own: UdpSocket,
    group: SocketAddr,
}

impl Plain {
    /// Takes everything from here on, on a thread of its own.
    pub(super) fn new(place: &Place) -> anyhow::Result<Self> {
        let group = Group {
            address: place.group,
            interface: place.interface.parse()?,
            ttl: 1,
            sources: Vec::new(),
        };
        let own = open_unicast((place.address, 0).into(), Some(&group), BUFFERS)?.socket;
        let heard = open_group(&group, BUFFERS)?.socket;
        sys::multicast::block_source(&heard, &group, place.address.into())?;
        let taken = Arc::new(AtomicU64::new(0));
        std::thread::spawn(move || take(&heard, &taken));
        Ok(Self { own, group: place.group })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.own.local_addr()
    }

    /// Sends for so many seconds.
    pub(super) fn flood(&self, seconds: f64) -> anyhow::Result<Reply> {
        self.send(seconds, |_| {})
    }

    /// Sends data packets that look well but for their tag, as fast as it can.
    pub(super) fn forge(&self, forgery: &Forgery) -> anyhow::Result<Reply> {
        let [high, low] = forgery.sender.unwrap_or_default();
        let sender = u128::from(high) << 64 | u128::from(low);
        let mut header = Header {
            packet_type: PacketType::Data,
            flags: 0,
            key_id: forgery.key_id,
            incarnation: Incarnation(sender),
            sequence: 0,
        };
        let mut count = 0;
        self.send(forgery.seconds, |packet| {
            count += 1;
            // Few numbers, so that a member's are within its window.
            header.sequence = forgery.after + 1 + count % NUMBERS;
            if forgery.sender.is_none() {
                header.incarnation = Incarnation(count.into());
            }
            packet[..HEADER_BYTES].copy_from_slice(&header.encode());
        })
    }

    /// Sends packets that `fill` writes into.
    fn send(&self, seconds: f64, mut fill: impl FnMut(&mut [u8])) -> anyhow::Result<Reply> {
        let mut queue = SendQueue::new(BATCH, PACKET_BYTES);
        queue.disable_segmentation();
        let began = Instant::now();
        let ends = began + Duration::from_secs_f64(seconds);
        while Instant::now() < ends {
            while let Some(room) = queue.room() {
                fill(room);
                queue.commit(PACKET_BYTES, &[self.group]);
            }
            match queue.flush(&self.own) {
                Ok(()) => {}
                Err(SendError::Blocked | SendError::NoBuffers) => yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        Ok(Reply::Done { count: queue.sent().packets, seconds })
    }
}

/// Takes packets for as long as the process lives.
fn take(socket: &UdpSocket, taken: &AtomicU64) -> io::Result<()> {
    let (sleeper, _waker, _alarm) = Sleeper::new(&[socket])?;
    let mut batch = ReceiveBatch::new(socket, 16);
    loop {
        match batch.receive(socket) {
            Ok(_) => {
                let packets = batch.packets().count() as u64;
                taken.fetch_add(packets, Ordering::Relaxed);
            }
            Err(_) => drop(sleeper.sleep(false)?),
        }
    }
}
