//! Packets from those who mean no good, given to a node.
//!
//! Nothing here checks more than that the machine survives: no panic, and
//! every call ends. The fuzzers and the tests call the same functions.

use proto::node::Counters;
use proto::wire::MAX_BODY_BYTES;
use proto::wire::header::{FLAG_FRAGMENT, PacketType};

use crate::target::Target;

/// A ring of few packets: what was sent is soon gone.
const RING_BYTES: usize = 64 << 10;
/// More packets than the ring has.
const PACKETS: u64 = 100;

/// Gives a node a datagram of somebody without the farm's key. Gives what the
/// node counted.
pub fn stranger(bytes: &[u8]) -> Counters {
    let mut target = Target::new(RING_BYTES);
    target.receive(&mut bytes.to_vec());
    *target.node.counters()
}

/// Gives a node packets of a member that says whatever it likes: each is a
/// byte that tells its type and flags, two that tell its length, and so many
/// of the body.
pub fn member(mut bytes: &[u8]) -> Counters {
    let mut target = Target::new(RING_BYTES);
    target.let_member_in();
    target.publish(PACKETS);
    while let Some((&[how, high, low], rest)) = bytes.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([high, low])) % (MAX_BODY_BYTES + 1);
        let (body, rest) = rest.split_at(len.min(rest.len()));
        bytes = rest;
        let flags = if how & 2 == 0 { 0 } else { FLAG_FRAGMENT };
        if how & 1 == 0 {
            target.receive_sealed(PacketType::Control, 0, body);
        } else {
            target.receive_sealed(PacketType::Data, flags, body);
        }
    }
    *target.node.counters()
}
