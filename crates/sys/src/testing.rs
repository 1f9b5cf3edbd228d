//! What the tests of this crate share: waiting with a deadline, and sockets.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::batch::ReceiveBatch;

/// How long a test waits for what must come, in milliseconds: far longer than
/// it takes on a busy machine, as only a failing test waits that long.
const PATIENCE: u16 = 10_000;

/// Whether there is something to read within the time that tests wait.
pub(crate) fn readable(file: impl AsFd) -> bool {
    let mut files = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
    poll(&mut files, PollTimeout::from(PATIENCE)).unwrap() > 0
}

/// Reads `count` packets, with their senders; fails when they do not come.
pub(crate) fn read_packets(
    batch: &mut ReceiveBatch,
    socket: &UdpSocket,
    count: usize,
) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut packets = Vec::new();
    while packets.len() < count {
        assert!(readable(socket), "{} of {count} packets came", packets.len());
        batch.receive(socket).unwrap();
        packets.extend(batch.packets().map(|packet| (packet.from, packet.bytes.to_vec())));
    }
    packets
}
