//! A node as tests of the node's parts make it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Config, Node};
use crate::cluster::portion::Portion;
use crate::holdings::Holdings;
use crate::keyring::Keyring;
use crate::record::HybridClock;
use crate::table::{self, Table};
use crate::time::Now;
use crate::wire::header::Incarnation;

/// Where the node of that number is.
pub(super) fn address(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 7_700 + u16::try_from(number).expect("a few")))
}

/// The node of that number, in a group, with a small ring and so much memory.
pub(super) fn node(number: u8, keyring: Keyring, capacity_bytes: usize, now: Now) -> Node {
    let placement_secret = keyring.placement_secret();
    let table = table::Config { capacity_bytes, placement_secret, own_secret: [3; 32] };
    let config = Config {
        name: format!("node-{number}"),
        incarnation: Incarnation(u128::from(number) + 1),
        keyring,
        begins_after: 0,
        address: address(number.into()),
        multicast: true,
        peers: Vec::new(),
        ring_bytes: 64 << 10,
        credit: 100,
        portion: Portion::default(),
        compare_every: Config::COMPARE_EVERY,
        lookup_timeout: Config::LOOKUP_TIMEOUT,
        seed: [number; 32],
    };
    let holdings = Arc::new(Holdings::new(Table::new(table)));
    Node::new(config, holdings, Arc::new(HybridClock::default()), now)
}
