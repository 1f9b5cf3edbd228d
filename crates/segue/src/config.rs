//! What a node is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::node::CLAIM_PATIENCE;
use sys::interface::Interface;

use crate::portion::Portion;
use crate::upstream::{UpstreamAddress, UpstreamTarget};

/// What a [`crate::Node`] is started with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name, at most 64 bytes, without control characters. Two
    /// live nodes of a farm should not share one.
    pub name: String,
    /// The farm's keys: the first seals, all open.
    pub keys: Keyring,
    /// Where the node takes unicast packets (UDP). Port 0 lets the kernel
    /// choose.
    pub listen: SocketAddr,
    /// Other nodes' `listen` addresses; any living one is enough to join.
    pub peers: Vec<SocketAddr>,
    /// How what is for all nodes travels.
    pub transport: Transport,
    /// Whether nobody else has the keys, nor ever will: then no write is sealed
    /// and sent for others. Default false.
    pub alone: bool,
    /// All memory that the cache may use, in bytes. Default 256 MiB.
    pub memory_bytes: usize,
    /// The tier above: nodes of other farms, or engines. Every write goes to
    /// each of them, and what the farm does not have is looked for there.
    /// Default none.
    pub upstreams: Vec<UpstreamConfig>,
    /// Which of the farm's records the node keeps. Default: all. With less, an
    /// eighth of the memory is for records that it does not keep and was asked
    /// for.
    pub portion: Portion,
    /// How long a write waits for its acknowledgement. Default 1 s.
    pub ack_timeout: Duration,
    /// How long a look-up at other nodes takes at the most. Default
    /// 30 ms.
    pub lookup_timeout: Duration,
    /// How long a claim waits for the node that issued the ticket. Default 30 ms.
    pub claim_timeout: Duration,
    /// The share of received packets, from 0 to 1, that is dropped unread, to
    /// see repair at work. Default 0; for tests and demonstrations only.
    pub drop_received: f64,
}

/// One upstream of the tier above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamConfig {
    /// What it is, and where.
    pub address: UpstreamTarget,
    /// The authorities that its certificate must come from, in PEM, where it is
    /// reached by TLS. Default: those of the system.
    pub ca: Option<Vec<u8>>,
    /// How many writes may wait for it. Default 65,536.
    pub queue_records: usize,
    /// How many bytes they may take. Default 32 MiB.
    pub queue_bytes: usize,
    /// How long they have to go up when the node ends. Default 2 s.
    pub drain_timeout: Duration,
}

impl UpstreamConfig {
    /// An engine at an address, with the defaults.
    #[must_use]
    pub const fn new(address: UpstreamAddress) -> Self {
        Self::of(UpstreamTarget::Engine(address))
    }

    /// Nodes of one farm, at the addresses that they `listen` at, with the
    /// defaults.
    #[must_use]
    pub const fn nodes(addresses: Vec<SocketAddr>) -> Self {
        Self::of(UpstreamTarget::Nodes(addresses))
    }

    const fn of(address: UpstreamTarget) -> Self {
        Self {
            address,
            ca: None,
            queue_records: 65_536,
            queue_bytes: 32 << 20,
            drain_timeout: Duration::from_secs(2),
        }
    }
}

/// How packets for all nodes travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// By IP multicast.
    Multicast(Multicast),
    /// By unicast to each known node.
    Unicast,
}

/// Where a farm multicasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multicast {
    /// The group's address and port. Default 239.255.77.1:7799.
    pub group: SocketAddr,
    /// The interface, by one of its addresses or by its name. Default 127.0.0.1.
    pub interface: Interface,
    /// How many routers a packet may pass, plus one. Default 1: none.
    pub ttl: u8,
    /// Whether the kernel is given runs of packets, which it or the device
    /// cuts up (UDP_SEGMENT). Default true; where it refuses, packets go
    /// singly.
    pub segmentation: bool,
}

impl Default for Multicast {
    fn default() -> Self {
        Self {
            group: SocketAddr::from((Ipv4Addr::new(239, 255, 77, 1), 7799)),
            interface: Interface::Address(Ipv4Addr::LOCALHOST.into()),
            ttl: 1,
            segmentation: true,
        }
    }
}

impl Config {
    /// A node of a farm with these keys, on loopback with a port that the
    /// kernel chooses, multicasting to the default group.
    #[must_use]
    pub fn new(name: impl Into<String>, keys: Keyring) -> Self {
        Self {
            name: name.into(),
            keys,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            peers: Vec::new(),
            transport: Transport::Multicast(Multicast::default()),
            alone: false,
            memory_bytes: 256 << 20,
            upstreams: Vec::new(),
            portion: Portion::default(),
            ack_timeout: Duration::from_secs(1),
            lookup_timeout: proto::node::Config::LOOKUP_TIMEOUT,
            claim_timeout: CLAIM_PATIENCE,
            drop_received: 0.0,
        }
    }

    /// A node by itself: a farm key that nobody else has, and no multicast.
    ///
    /// # Panics
    ///
    /// When the operating system has no random numbers to give.
    #[must_use]
    pub fn single(name: impl Into<String>) -> Self {
        let mut bytes = [0; FARM_KEY_BYTES];
        getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
        let keys = Keyring::new(vec![FarmKey::new(bytes)]).expect("one key makes a keyring");
        Self { transport: Transport::Unicast, alone: true, ..Self::new(name, keys) }
    }
}
