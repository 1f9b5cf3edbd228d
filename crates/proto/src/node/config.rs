//! What a node is made from. Who reads it from where, it does not know.

use std::net::SocketAddr;
use std::time::Duration;

use crate::cluster::portion::Portion;
use crate::keyring::Keyring;
use crate::wire::header::Incarnation;

/// What a node is made from.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name, for people.
    pub name: String,
    /// This start of it: fresh random bits, never used before.
    pub incarnation: Incarnation,
    /// The farm's keys.
    pub keyring: Keyring,
    /// The number that its packets' numbers begin after: 0, but where a test
    /// is to reach the end of an epoch of keys.
    pub begins_after: u64,
    /// Where it takes unicast packets, as others are told.
    pub address: SocketAddr,
    /// Whether there is a group: what is for the farm goes there, unless nobody
    /// hears it, and reaches nodes that are not known yet.
    pub multicast: bool,
    /// Where the other nodes may be: all of them, where operations that need one
    /// answer are asked, each once, and not this one.
    pub peers: Vec<SocketAddr>,
    /// How many bytes of sealed packets are kept for repair.
    pub ring_bytes: usize,
    /// How many packets the receiving socket holds at the most.
    pub credit: u32,
    /// Which of the farm's records it keeps.
    pub portion: Portion,
    /// How often it tells digests of what it holds to the others.
    pub compare_every: Duration,
    /// How long a look-up at other nodes takes at the most.
    pub lookup_timeout: Duration,
    /// What everything that looks random comes from.
    pub seed: [u8; 32],
}

impl Config {
    /// The default of `ring_bytes`: 32 MiB, some 24,000 packets.
    pub const RING_BYTES: usize = 32 << 20;
    /// The default of `lookup_timeout`. A handshake takes a client's round trip
    /// and some more; this is little beside one over the internet, and a hundred
    /// round trips of a LAN.
    pub const LOOKUP_TIMEOUT: Duration = Duration::from_millis(30);
    /// The default of `compare_every`. Two packets of 1.1 KB then, so that in
    /// an idle farm a node sends 0.15 KB/s of them, to each other node where
    /// there is no multicast: three nodes send less than 1 KB/s together. A
    /// node that found a difference tells once a second until there is none.
    pub const COMPARE_EVERY: Duration = Duration::from_secs(15);
}
