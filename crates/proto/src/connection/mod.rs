//! Live connections: what is known of one, and who goes on with it.
//!
//! The machines of this module keep one rule: nothing that a peer could know is
//! unknown to the understudy. They own the ledger of each connection, the order
//! in which things may happen, and the fence between two owners. They know
//! nothing of sockets, netfilter, TLS or links: a driver hands in what it saw,
//! and does what comes out. In reading order:
//!
//! - [`segment`]: TCP segments, as they come from the network;
//! - [`sequence`]: TCP's 32-bit numbers, and positions that do not wrap;
//! - [`record`]: what a connection is, apart from its bytes;
//! - [`ledger`]: how far a connection has come, with the bytes in flight: the
//!   same type, changed by the same messages, at its owner and its understudy;
//! - [`stream`]: those messages, as bytes;
//! - [`frame`] and [`sealed`]: how they go from one node to the other;
//! - [`epoch`]: who owns a group of connections, by compare-and-set;
//! - [`owner`]: holds what comes in and goes out until it is known elsewhere;
//! - [`understudy`]: keeps copies, and takes over;
//! - [`handover`]: moves connections by plan, a few at a time.
//!
//! A connection that the front relays has two *ends*, the client's and the
//! backend's; one that the front answers itself has the client's only. What
//! comes in at one end is answered at the other, or at the only one.
//!
//! **The group.** All connections of one owner towards one understudy share a
//! term: epoch, owner, understudy. The design decides on a connection's epoch;
//! here the group's is that of each of its connections. Whoever takes over one
//! of them takes over all, since the reason is always the node and never the
//! connection, and thousands of them cost one operation and not thousands.

use std::fmt;

pub mod epoch;
pub mod frame;
pub mod handover;
pub mod ledger;
pub mod owner;
pub mod record;
pub mod sealed;
pub mod segment;
pub mod sequence;
pub mod stream;
pub mod understudy;

/// Names a connection in the whole farm: random, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u128);

impl fmt::Debug for ConnectionId {
    /// The first half: enough to tell connections apart in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0 >> 64)
    }
}

/// Names a group of connections in the whole farm: random, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u128);

/// A packet that the driver holds back until it hears what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One of a connection's TCP ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The client's.
    Client,
    /// That of the backend that a client's bytes are relayed to.
    Backend,
}

impl End {
    /// Both, in the order in which they begin.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Backend];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Backend,
            Self::Backend => Self::Client,
        }
    }
}
