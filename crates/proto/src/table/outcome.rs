//! What the table answers: outcomes and figures.

use std::ops::AddAssign;

use crate::record::Version;

/// What became of a record that was given to [`Table::apply`].
///
/// [`Table::apply`]: super::Table::apply
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The key was absent; the record is held.
    New,
    /// The record took the place of an earlier one, or was joined with it.
    Replaced,
    /// The same write was held; its idle deadline moved on.
    Touched,
    /// What was held stays: the record is older, or the same.
    Kept,
    /// The record is not held.
    Refused(Refusal),
}

/// What became of a write that was given to [`Table::put`].
///
/// [`Table::put`]: super::Table::put
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The record was merged in.
    Applied(Applied),
    /// The same value is held, and stays in this version.
    Same {
        /// The version that is held.
        version: Version,
        /// Whether its idle deadline moved on.
        moved: bool,
    },
}

/// Why a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It had ended already. An earlier value that was held is dropped, since
    /// it was overwritten; a tombstone stays.
    Expired,
    /// Its key is absent, and its version is not later than that of a
    /// tombstone that memory pressure made the table forget: the key may have
    /// been deleted.
    Forgotten,
    /// It is larger than any record that a table of this capacity can hold.
    /// What was held stays.
    TooLarge,
}

/// What became of a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The idle deadline moved on.
    Moved,
    /// A newer version is held, a tombstone, or an idle deadline as late; or
    /// the new deadline has passed.
    Stale,
    /// The key is absent or held in an older version: the touched version is
    /// missing here and should be asked for.
    Missing,
}

/// What a table holds and has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Values held, tombstones not counted.
    pub records: u64,
    /// Values held by kind, in the order of `Kind::ALL`.
    pub by_kind: [u64; 5],
    /// Tombstones held.
    pub tombstones: u64,
    /// What the held values and tombstones take of the memory, in bytes,
    /// their overhead counted.
    pub bytes: u64,
    /// All memory the table may use, in bytes.
    pub capacity_bytes: u64,
    /// Calls of `get` that found a live value.
    pub hits: u64,
    /// Calls of `get` that found none.
    pub misses: u64,
    /// Values that were dropped for room.
    pub evicted: u64,
    /// Values and tombstones that ended and were dropped.
    pub expired: u64,
    /// Tombstones that were forgotten for room.
    pub forgotten: u64,
    /// Records refused because they had ended.
    pub refused_expired: u64,
    /// Records refused because a forgotten tombstone may have been theirs.
    pub refused_forgotten: u64,
    /// Records refused because they can never fit.
    pub refused_too_large: u64,
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        for (sum, one) in self.by_kind.iter_mut().zip(other.by_kind) {
            *sum += one;
        }
        self.tombstones += other.tombstones;
        self.bytes += other.bytes;
        self.capacity_bytes += other.capacity_bytes;
        self.hits += other.hits;
        self.misses += other.misses;
        self.evicted += other.evicted;
        self.expired += other.expired;
        self.forgotten += other.forgotten;
        self.refused_expired += other.refused_expired;
        self.refused_forgotten += other.refused_forgotten;
        self.refused_too_large += other.refused_too_large;
    }
}
