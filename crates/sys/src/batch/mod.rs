//! Many UDP packets with one system call, both ways, without an allocation a
//! packet.
//!
//! Two savings work together. `sendmmsg` and `recvmmsg` carry many messages a
//! call; and a run of equal-sized packets to one destination is one message
//! for the kernel, which cuts it up on the way out (UDP_SEGMENT) and may hand
//! it over uncut on the way in (UDP_GRO). Where the kernel or the device knows
//! no segmentation, packets go singly. What is in the packets is the
//! callers' matter.

mod control;
mod receive;
mod send;
#[cfg(test)]
mod tests;

pub use receive::{Packet, ReceiveBatch};
pub use send::{SendError, SendQueue, Sent};

/// How many packets the kernel is given as one run: of packets for an Ethernet
/// as many as one message has room for, less a few. What the kernel does for a
/// run, and waking those who wait for it, is shared by all packets in it.
pub const RUN_PACKETS: usize = 40;

/// The most bytes that a UDP message has over IPv4: 65,535 less a header of 20
/// and one of 8.
const MESSAGE_BYTES: usize = 65_507;

/// How many messages a system call carries at most. Beyond some ten the call's
/// own cost is no longer seen; this bounds what stands on the stack.
const CALL_MESSAGES: usize = 32;
