//! A connection to the tier above, whatever is there: what is said over it, and
//! what comes of that.

use std::time::Duration;

use proto::record::Key;
#[cfg(feature = "redis")]
use proto::upstream::Name;

use super::node::{self, Answered};
use super::queue::Write;
#[cfg(feature = "redis")]
use super::redis;

/// How long a connection may take to be made: a lost packet or two and the
/// handshakes of TCP and TLS, or of QUIC and of the farm's key.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// How long an answer to writes may take, beside what their bytes take on a slow
/// way.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// The slowest way that what is written still goes up by, in bytes a second:
/// half a megabit. The longest record takes 16 seconds then.
const SLOWEST: u64 = 64 << 10;

/// How long an answer to writes may take, while so many bytes are under way.
pub(crate) const fn patience(bytes: usize) -> Duration {
    ANSWER.saturating_add(Duration::from_millis((bytes as u64).saturating_mul(1_000) / SLOWEST))
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// The upstream has it.
    Written,
    /// The engine has a later version.
    #[cfg(feature = "redis")]
    Superseded,
    /// The upstream knows that the id was deleted.
    Deleted,
    /// The upstream does not want it, and will not later.
    Refused(String),
    /// One node above has it, and no other one there has confirmed it; it is to
    /// be sent again.
    Unconfirmed,
    /// There is no answer in time, and the connection may stand all the same;
    /// it may be sent again.
    Late,
    /// It is not known whether the upstream has it; it may be sent again.
    Unanswered(String),
}

/// What is looked for, and how far.
pub(super) struct Wanted<'a> {
    pub(super) key: &'a Key,
    /// What an engine knows it by.
    #[cfg(feature = "redis")]
    pub(super) name: Name,
    /// How many tiers a node above may ask in its turn.
    pub(super) hops: u8,
}

/// What there is.
pub(super) enum Found {
    Nothing,
    /// A sealed value.
    #[cfg(feature = "redis")]
    Value(Vec<u8>),
    /// Something that no value of ours can be.
    #[cfg(feature = "redis")]
    OtherType,
    /// A node's answer with a record.
    Record(Answered),
}

/// A connection that stands.
#[derive(Clone)]
pub(super) enum Session {
    #[cfg(feature = "redis")]
    Redis(redis::Session),
    Node(node::Session),
}

impl Session {
    /// Stores a batch, for which there is so much time. `each` is told what
    /// became of each write as soon as that is known.
    pub(super) async fn store(
        &self,
        batch: Vec<Write>,
        time: Duration,
        each: impl FnMut(Write, Stored),
    ) {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(session) => session.store(batch, time, each).await,
            Self::Node(session) => session.store_all(batch, time, each).await,
        }
    }

    /// Looks something up; whoever asks waits no longer than `patience`.
    pub(super) async fn get(
        &self,
        wanted: &Wanted<'_>,
        patience: Duration,
    ) -> Result<Found, String> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(session) => {
                session.get(&wanted.name).await.map_err(|error| error.to_string())
            }
            Self::Node(session) => {
                let answered = session.get(wanted.key, patience, wanted.hops).await;
                let answered = answered.map_err(|error| error.to_string())?;
                let is_there = answered.record().is_some();
                Ok(if is_there { Found::Record(answered) } else { Found::Nothing })
            }
        }
    }

    /// Asks whether the upstream is there.
    pub(super) async fn ping(&self) -> Result<(), String> {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(session) => session.ping().await.map_err(|error| error.to_string()),
            Self::Node(session) => session.probe().await.map_err(|error| error.to_string()),
        }
    }

    /// Whether some of it can be lost while the rest goes on.
    pub(super) const fn has_parts(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(session) => session.has_parts(),
            Self::Node(_) => false,
        }
    }
}
