//! What can go wrong.

use std::io;
use std::net::SocketAddr;

use proto::record::MAX_PAYLOAD_BYTES;
use sys::multicast::OpenError;

use crate::ack::Ack;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The name is empty, too long, or has control characters.
    #[error("{name:?} is no node name: 1 to 64 bytes without control characters are")]
    Name {
        /// The name.
        name: String,
    },
    /// The portion cannot be.
    #[error("the portion cannot be: found {found}, expected {expected}")]
    Portion {
        /// What is wrong with it.
        found: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A socket could not be opened.
    #[error("cannot open the farm's sockets: {0}")]
    Socket(#[from] OpenError),
    /// An address is taken.
    #[error("the address {address} is in use by another process")]
    AddressInUse {
        /// The address.
        address: SocketAddr,
    },
    /// The thread that drives the node could not be started.
    #[error("cannot start the node's thread: {0}")]
    Thread(io::Error),
    /// The system gave no memory for the cache.
    #[error("cannot get the cache's memory: {0}")]
    Memory(io::Error),
    /// The endpoint of links could not be opened.
    #[error("cannot open the endpoint of links: {0}")]
    Links(io::Error),
    /// The operating system gave no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
    /// An upstream on an engine is configured, and the library was built
    /// without the feature that engines need.
    #[error(
        "an upstream on Redis is configured, but the library was built without its `redis` feature"
    )]
    NoEngine,
    /// An upstream on a node is configured, and the node is not started on a
    /// runtime, which links need.
    #[error("an upstream on a node is configured, but the node is not started on a Tokio runtime")]
    NoRuntime,
}

/// Why a write failed, or is not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The payload is larger than a record may be. Nothing was written.
    #[error("a payload of {found} bytes; at most {MAX_PAYLOAD_BYTES} are allowed")]
    TooLarge {
        /// Its size, in bytes.
        found: usize,
    },
    /// The deadline has passed. Nothing was written.
    #[error("the record's deadline has passed")]
    Expired,
    /// The id was deleted, and ids of this kind are never used again; or it
    /// may have been deleted, and the cache has no memory left to tell.
    /// Nothing was written.
    #[error("the id was deleted")]
    Deleted,
    /// The cache is too small for this record. Nothing was written.
    #[error("the cache is too small for this record")]
    NoRoom,
    /// There is no live record of that key.
    #[error("there is no live record of that key")]
    NotFound,
    /// The write is in this node's cache and on its way, but the holders that
    /// it was to wait for have not said in time that they have it.
    #[error("written here, but not acknowledged in time (asked for: {wanted:?})")]
    Unacknowledged {
        /// What the write was to wait for.
        wanted: Ack,
    },
    /// The write is in this node's cache and on its way to the others, but not
    /// at the tier above, which it was to wait for.
    #[error("written here, but not at the tier above: {0}")]
    Upstream(#[from] UpstreamError),
    /// The node has shut down.
    #[error("the node has shut down")]
    Closed,
}

/// Why a write is not at the tier above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpstreamError {
    /// There is none.
    #[error("no upstream is configured")]
    None,
    /// It cannot be reached, or was lost before it answered. The write goes up
    /// when it is back.
    #[error("the upstream is down")]
    Down,
    /// It did not answer in time. Whether it has the write is not known.
    #[error("the upstream has not answered in time")]
    TimedOut,
    /// So much waits for it already that the write was not added.
    #[error("too many writes wait for the upstream")]
    QueueFull,
    /// It does not want the write.
    #[error("the upstream refuses the write: {0}")]
    Refused(String),
    /// One node of the farm above has the write, and no other one there has
    /// confirmed it. It goes up again, for half a minute at the most.
    #[error("one node above has the write, and no other one there has confirmed it")]
    Unconfirmed,
    /// The id was deleted, as the upstream knows.
    #[error("the upstream knows that the id was deleted")]
    Deleted,
}
