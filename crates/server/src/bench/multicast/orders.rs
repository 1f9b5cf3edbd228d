//! What the bench and its members say to each other: a line of JSON each.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::bail;
use serde::{Deserialize, Serialize};

/// Where a member is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    /// Its own address.
    pub(super) address: Ipv4Addr,
    /// The interface that the group is reached by: a name or an address.
    pub(super) interface: String,
    /// The multicast group, and its port.
    pub(super) group: SocketAddr,
}

/// What a member is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Role {
    /// A node of the farm.
    Node(NodeRole),
    /// Who sends plain packets to the group, or takes them.
    Plain,
    /// Who sends back by unicast what comes.
    Echo,
}

/// What a member is told that is a node.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NodeRole {
    /// The farm's key.
    pub(super) key: [u8; segue::FARM_KEY_BYTES],
    /// The share of received packets that it loses.
    pub(super) loss: f64,
    /// Whether the kernel is given runs of packets.
    pub(super) segmentation: bool,
    /// Whether it measures how late records come.
    pub(super) lags: bool,
    /// How much memory its cache has, in bytes.
    pub(super) memory_bytes: usize,
}

/// What a member is to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    /// Wait until so many other nodes are alive.
    Meet { others: usize },
    /// Write records, and wait until every node has the last one.
    Write(Work),
    /// Write so many records, each once, and wait until every node has the last.
    Fill { records: u64, bytes: usize },
    /// Watch how often digests are told, for so many times.
    WatchDigests { tellings: u32 },
    /// Send full packets for so many seconds.
    Flood { seconds: f64 },
    /// Send forged packets for so many seconds.
    Forge(Forgery),
    /// Measure the round trip to an echo.
    Ping { to: SocketAddr },
    /// Tell the figures since the last time.
    Look,
}

/// Packets that no farm key has sealed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Forgery {
    pub(super) seconds: f64,
    /// The farm key that each says it was sealed with.
    pub(super) key_id: u8,
    /// The node that each says it is of; each another one if there is none.
    pub(super) sender: Option<Sender>,
    /// The number that theirs come after.
    pub(super) after: u64,
}

/// An incarnation, in two halves: JSON's numbers have no 128 bits.
pub(super) type Sender = [u64; 2];

/// Records to be written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Work {
    pub(super) seconds: f64,
    /// The size of a record's payload.
    pub(super) bytes: usize,
    /// Records a second; as many as it can when there is none.
    pub(super) rate: Option<f64>,
}

/// What a member answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Reply {
    /// It is there; its unicast address.
    Ready(SocketAddr),
    /// It has met the others.
    Met,
    /// It has written, or sent, so many in so many seconds.
    Done { count: u64, seconds: f64 },
    /// The median round trip, in seconds.
    RoundTrip(f64),
    /// Bytes of digests a second.
    DigestBytes(f64),
    /// Its figures.
    Figures(Figures),
}

impl Reply {
    /// How many were written or sent, and in how many seconds.
    pub(super) fn done(self) -> anyhow::Result<(f64, f64)> {
        let Self::Done { count, seconds } = self else { bail!("not work done, but {self:?}") };
        Ok((count as f64, seconds))
    }

    /// The round trip, in seconds.
    pub(super) fn round_trip(self) -> anyhow::Result<f64> {
        let Self::RoundTrip(seconds) = self else { bail!("not a round trip, but {self:?}") };
        Ok(seconds)
    }

    /// Bytes of digests a second.
    pub(super) fn digest_bytes(self) -> anyhow::Result<f64> {
        let Self::DigestBytes(bytes) = self else { bail!("not digests, but {self:?}") };
        Ok(bytes)
    }

    /// The figures.
    pub(super) fn figures(self) -> anyhow::Result<Figures> {
        let Self::Figures(figures) = self else { bail!("not figures, but {self:?}") };
        Ok(figures)
    }
}

/// A member's figures.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Processor time, in seconds.
    pub(super) processor: f64,
    /// Data packets sent, each counted once, and sent again.
    pub(super) packets: u64,
    pub(super) repairs: u64,
    /// Packets that no repair could bring.
    pub(super) unrecovered: u64,
    /// Members that stalled.
    pub(super) stalled: u64,
    /// Packets that its sockets dropped.
    pub(super) overflowed: u32,
    /// Packets that did not open.
    pub(super) forged: u64,
    /// Ranges that were fetched since digests differed.
    pub(super) ranges_fetched: u64,
    /// Records that it holds, and other nodes that it knows.
    pub(super) holds: (u64, usize),
    /// Which start of a node it is.
    pub(super) incarnation: Sender,
    /// From a record's writing until it was held here.
    pub(super) lag: LagFigures,
}

/// Lags, in seconds; zero when nothing came.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct LagFigures {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) worst: f64,
}
