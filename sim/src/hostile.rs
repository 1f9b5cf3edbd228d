//! Packets from those who mean no good, given to a node.
//!
//! Nothing here checks more than that the machine survives: no panic, and
//! every call ends. The fuzzers and the tests call the same functions.

use std::time::Duration;

use proto::cluster::identity::Identity;
use proto::cluster::swim::Swim;
use proto::node::Counters;
use proto::rng::Rng;
use proto::time::Instant;
use proto::wire::MAX_BODY_BYTES;
use proto::wire::header::{FLAG_FRAGMENT, PacketType};

use crate::target::{MEMBER, NODE, Target, address};

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

/// Gives what keeps the members whatever a member says of them: each message is
/// a byte that tells how much time passes before it, one that tells its length,
/// and so many of the message.
///
/// # Panics
///
/// When something grows that is bounded.
pub fn gossip(mut bytes: &[u8]) {
    /// What one message, or one moment, makes a node say at the most: an
    /// answer, and to four members each that it has news, or is up.
    const MOST_SAID: usize = 64;
    let mut swim = Swim::new(Identity::new(NODE, address(1)), Rng::from_u64(1));
    let mut now = Instant::from_micros(1);
    swim.handle_alive(now, MEMBER, address(2));
    while let Some((&[pause, len], rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(usize::from(len).min(rest.len()));
        bytes = rest;
        // Some pass at once, some see suspects go down, some are long.
        now += Duration::from_millis(u64::from(pause).pow(2));
        swim.handle_gossip(now, (MEMBER, address(2)), message);
        swim.handle_timeout(now);
        let said = std::iter::from_fn(|| swim.poll_transmit()).count();
        assert!(said <= MOST_SAID, "{said} messages for one");
        while swim.poll_event().is_some() {}
        for load in swim.loads() {
            assert!(load.used <= load.limit, "{load:?}");
        }
    }
}
