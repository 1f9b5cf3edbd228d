//! The cache memory of a node: a bounded hash table of records.
//!
//! It decides what is held, for how long, and which of two versions stays;
//! it knows nothing of the farm, the wire or the clock. Every method takes
//! `&self`: the table is shared by all threads of a node.

mod range;
mod simple;

use std::collections::BTreeMap;
use std::ops::Bound;

use parking_lot::Mutex;

use crate::buzhash::BuzHash;
use crate::record::{Key, KeyHash, Record, Touch};
use crate::time::Wall;

pub use range::{KeyRange, KeyRanges, RANGES};
use simple::{Held, State};

/// What a [`Table`] is made from.
#[derive(Clone)]
pub struct Config {
    /// All memory the table may use, in bytes: payloads, keys and overhead.
    pub capacity_bytes: usize,
    /// Draws the hash that is the same on every node of the farm.
    pub placement_secret: [u8; 32],
    /// Draws the hash that finds a bucket: random per process.
    pub own_secret: [u8; 32],
}

impl std::fmt::Debug for Config {
    /// The capacity only: the rest is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}

/// What became of a record that was given to [`Table::apply`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The key was absent; the record is held.
    New,
    /// The record took the place of an earlier one.
    Replaced,
    /// The same write was held; its idle deadline moved on.
    Touched,
    /// What was held stays: the record is older, or the same.
    Kept,
    /// The record is not held.
    Refused(Refusal),
}

/// Why a record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It had ended already.
    Expired,
    /// Its key is absent, and its version is not later than that of a
    /// tombstone that memory pressure made the table forget: the key may have
    /// been deleted.
    Forgotten,
    /// It is larger than any record that a table of this capacity can hold.
    TooLarge,
}

/// What became of a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// The idle deadline moved on.
    Moved,
    /// A newer version is held, a tombstone, or an idle deadline as late.
    Stale,
    /// The key is absent or held in an older version: the touched version is
    /// missing here and should be asked for.
    Missing,
}

/// Where a scan goes on. Travels as a `u64`; any value is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(u64);

impl Cursor {
    /// Where every scan begins.
    pub const START: Self = Self(0);

    /// The cursor of a number that came from [`Cursor::to_u64`], perhaps at
    /// another node.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number to carry over the wire.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }
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
    /// Memory in use, in bytes, overhead counted.
    pub bytes: u64,
    /// All memory the table may use, in bytes.
    pub capacity_bytes: u64,
    /// Calls of `get` that found a live value.
    pub hits: u64,
    /// Calls of `get` that found none.
    pub misses: u64,
    /// Values that were dropped for room.
    pub evicted: u64,
    /// Records that ended and were dropped.
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

/// A bounded hash table of records, shared by all threads of a node.
pub struct Table {
    placement: BuzHash,
    state: Mutex<State>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let placement = BuzHash::new(&config.placement_secret);
        Self { placement, state: Mutex::new(State::new(config.capacity_bytes)) }
    }

    /// The hash that places `key`: the same on every node of the farm.
    #[must_use]
    pub fn hash(&self, key: &Key) -> KeyHash {
        KeyHash(self.placement.hash(key.as_bytes()))
    }

    /// Reads the live value of `key`, marks it used, and counts a hit; counts
    /// a miss where there is none.
    pub fn get<R>(&self, key: &Key, now: Wall, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        let hash = self.hash(key);
        let mut state = self.state.lock();
        let found = state
            .held
            .get(&hash)
            .map(Held::record)
            .filter(|record| record.key == *key && simple::is_live_value(record, now))
            .map(|record| read(&record));
        state.count_get(found.is_some());
        found
    }

    /// Reads what is held under `hash`, a tombstone or an ended value too.
    /// Neither counted nor marked as used: answers for repairs.
    pub fn peek_hash<R>(&self, hash: KeyHash, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        self.state.lock().held.get(&hash).map(|held| read(&held.record()))
    }

    /// Merges `record` into what is held under its key.
    pub fn apply(&self, record: &Record<'_>, now: Wall) -> Applied {
        self.state.lock().apply(self.hash(&record.key), record, now)
    }

    /// Moves an idle deadline on.
    pub fn touch(&self, touch: &Touch, now: Wall) -> Touched {
        self.state.lock().touch(touch, now)
    }

    /// Drops records that have ended at `now`, at most `limit` of them, and
    /// gives how many.
    pub fn expire(&self, now: Wall, limit: usize) -> usize {
        self.state.lock().expire(now, limit)
    }

    /// Visits records of `ranges` from `cursor` on, at least `limit_bytes` of
    /// them if so many are left, and gives where to go on. `None`: all done.
    ///
    /// Every record that is held during the whole scan is visited at least
    /// once, however the table changes meanwhile.
    pub fn scan(
        &self,
        cursor: Cursor,
        ranges: KeyRanges,
        limit_bytes: usize,
        mut visit: impl FnMut(&Record<'_>),
    ) -> Option<Cursor> {
        let state = self.state.lock();
        let mut bytes = 0;
        for (&hash, held) in
            state.held.range((Bound::Included(KeyHash(cursor.0)), Bound::Unbounded))
        {
            if bytes >= limit_bytes {
                return Some(Cursor(hash.0));
            }
            if ranges.contains(KeyRange::of(hash)) {
                bytes += held.bytes();
                visit(&held.record());
            }
        }
        None
    }

    /// The digest of the versions held in `range`: equal on two nodes that
    /// hold the same versions of the same keys there. Touches do not change
    /// it.
    #[must_use]
    pub fn digest(&self, range: KeyRange) -> u64 {
        self.state.lock().digests[usize::from(range.0)]
    }

    /// What is held and was done up to this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.lock().stats()
    }
}

impl std::fmt::Debug for Table {
    /// The figures only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Records by the hash of their keys.
type Map = BTreeMap<KeyHash, Held>;
