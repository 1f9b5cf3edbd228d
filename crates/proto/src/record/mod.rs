//! What a cache memory holds, and how two versions of it merge.
//!
//! A [`Record`] is a borrowed view: the table and the wire both hand out
//! slices of their own bytes, so a record goes from a packet into the table
//! with one copy. Merging ([`merge`]) is commutative, associative and
//! idempotent for every kind, so that any order of arrival ends the same.

mod clock;
mod join;
mod key;
pub mod merge;
#[cfg(test)]
pub(crate) mod testing;

pub use clock::{HybridClock, MAX_SKEW, Observed, furthest_ahead};
pub use join::{Joined, joins, normal};
pub use key::{Id, IdTooLong, Key, Kind};
pub use merge::is_final;

use crate::time::Wall;

/// The longest id, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// The largest payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// A keyed 64-bit BUZhash of a record's key, the same on every node of the
/// farm: it places the record, names its range and stands for the key in
/// touches and in the sender's log.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A hybrid logical time: 48 bits of milliseconds, 16 bits of counter
/// (Kulkarni et al., "Logical Physical Clocks", 2014).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hlc(pub u64);

impl Hlc {
    /// The first logical time of the millisecond `wall`.
    #[must_use]
    pub const fn at(wall: Wall) -> Self {
        Self(wall.as_millis() << 16)
    }

    /// The millisecond this time lies in.
    #[must_use]
    pub const fn wall(self) -> Wall {
        Wall::from_millis(self.0 >> 16)
    }
}

/// The node that wrote a version: the first 32 bits of its incarnation. Of a
/// value that joins it is a fingerprint of the value instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Writer(pub u32);

/// The version of a record. Later versions win; a node never writes two
/// records with one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// When it was written.
    pub time: Hlc,
    /// Who wrote it: decides between two writes of one logical time.
    pub writer: Writer,
}

/// When a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deadlines {
    /// Moves with each touch, and merges by maximum.
    pub idle: Wall,
    /// Fixed when the session begins.
    pub absolute: Wall,
}

impl Deadlines {
    /// Both deadlines at `wall`.
    #[must_use]
    pub const fn at(wall: Wall) -> Self {
        Self { idle: wall, absolute: wall }
    }

    /// The earlier of the two.
    #[inline]
    #[must_use]
    pub fn end(self) -> Wall {
        self.idle.min(self.absolute)
    }

    /// Whether the record has ended at `now`.
    #[must_use]
    pub fn passed(self, now: Wall) -> bool {
        self.end() <= now
    }
}

/// What a version says of its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Body<'a> {
    /// The value, at most [`MAX_PAYLOAD_BYTES`] long.
    Value(&'a [u8]),
    /// A tombstone: the key was deleted. It lives to the absolute deadline.
    Deleted,
}

impl std::fmt::Debug for Body<'_> {
    /// The length only: payloads hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(payload) => write!(f, "Value({} bytes)", payload.len()),
            Self::Deleted => write!(f, "Deleted"),
        }
    }
}

/// One version of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is of.
    pub key: Key,
    /// Which of two records of that key wins.
    pub version: Version,
    /// When it ends.
    pub deadlines: Deadlines,
    /// The value, or that there is none any more.
    pub body: Body<'a>,
}

/// An idle deadline moved on, without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touch {
    /// The record's key.
    pub hash: KeyHash,
    /// The time of the version that was touched. A touch of an older version
    /// than the holder's says nothing about the holder's.
    pub time: Hlc,
    /// The new idle deadline; the later one wins.
    pub idle: Wall,
}
