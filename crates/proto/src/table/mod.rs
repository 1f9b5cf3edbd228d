//! The cache memory of a node: a bounded hash table of records.
//!
//! It decides what is held, for how long, and which of two versions stays;
//! it knows nothing of the farm, the wire or the clock. Every method takes
//! `&self`: the table is shared by all threads of a node.
//!
//! Its records are spread over shards by the upper bits of their key hash, so
//! that a range of keys is one shard's. A shard is an index over a log, both
//! in one stretch of memory that is taken once: no record is allocated, and
//! the table never takes more than its capacity, every byte counted. What a
//! record's bytes lay in is wiped when it leaves.
//!
//! In reading order: `layout` divides the capacity; `entry` is a record in
//! the log, `ring` and `segment` are the log's arithmetic and its summaries;
//! `index` and `hashes` find an entry; `shard` brings them together, `batch`
//! has it take many records at a time, `tally` counts, `room` evicts, `ghost` remembers what
//! was evicted, `sweep` expires and scans.

mod batch;
mod cursor;
mod entry;
mod ghost;
mod hashes;
mod index;
mod layout;
mod outcome;
mod range;
mod region;
mod ring;
mod room;
mod segment;
mod shard;
mod sweep;
mod tally;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use parking_lot::Mutex;

pub use cursor::Cursor;
pub use outcome::{Applied, Put, Refusal, Stats, Touched};
pub use range::{KeyRange, KeyRanges, RANGES};
pub use region::Region;

use cursor::{Place, Queue};
use hashes::Hashes;
use layout::Layout;
use region::Heap;
use shard::{Hashed, Shard};

use crate::cluster::slots::Slot;
use crate::record::{Key, KeyHash, Record, Touch};
use crate::time::Wall;

/// What a [`Table`] is made from.
#[derive(Clone)]
pub struct Config {
    /// All memory the table may use, in bytes: payloads, keys and overhead.
    /// Less than about 40 KiB is taken for that.
    pub capacity_bytes: usize,
    /// Draws the hash that is the same on every node of the farm.
    pub placement_secret: [u8; 32],
    /// Draws the hash that finds a bucket: random per process.
    pub own_secret: [u8; 32],
}

/// Asks the processor to fetch a byte's cache line, which will be used soon.
pub type Prefetch = fn(&u8);

/// A bounded hash table of records, shared by all threads of a node.
///
/// ```
/// use proto::record::{Body, Deadlines, Key, Kind, Record, Version};
/// use proto::table::{Applied, Config, Table};
/// use proto::time::Wall;
///
/// let table = Table::new(Config {
///     capacity_bytes: 1 << 20,
///     placement_secret: [1; 32],
///     own_secret: [2; 32],
/// });
/// let now = Wall::from_millis(1_000);
/// let key = Key::new(Kind::Web, b"session")?;
/// let record = Record {
///     key,
///     version: Version::default(),
///     deadlines: Deadlines::at(Wall::from_millis(61_000)),
///     body: Body::Value(b"cart"),
/// };
/// assert_eq!(table.apply(&record, now), Applied::New);
/// assert_eq!(table.get(&key, now, |held| held.body == record.body), Some(true));
/// # Ok::<(), proto::record::IdTooLong>(())
/// ```
pub struct Table {
    hashes: Arc<Hashes>,
    /// A power of two of them.
    shards: Box<[Mutex<Shard>]>,
    capacity_bytes: usize,
    prefetch: Prefetch,
}

impl Table {
    /// An empty table in the allocator's memory.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let heap = |len| Ok::<_, Infallible>(Box::new(Heap::new(len)) as Box<dyn Region>);
        let Ok(table) = Self::with_memory(config, heap);
        table
    }

    /// An empty table in memory that `region` gives, by lengths in bytes.
    ///
    /// # Errors
    ///
    /// Those of `region`.
    pub fn with_memory<E>(
        config: Config,
        mut region: impl FnMut(usize) -> Result<Box<dyn Region>, E>,
    ) -> Result<Self, E> {
        let hashes = Arc::new(Hashes::new(&config.placement_secret, &config.own_secret));
        let count = layout::shards(config.capacity_bytes);
        let layout = Layout::fitting(config.capacity_bytes / count);
        let shard = |_| {
            let region = region(layout.region_bytes())?;
            Ok(Mutex::new(Shard::new(Arc::clone(&hashes), region, &layout, count)))
        };
        let shards = (0..count).map(shard).collect::<Result<_, E>>()?;
        let capacity_bytes = config.capacity_bytes;
        Ok(Self { hashes, shards, capacity_bytes, prefetch: |_| {} })
    }

    /// Has [`Table::apply_all`] fetch memory ahead by `prefetch`: there is no
    /// safe way to, so that it comes from outside.
    #[must_use]
    pub fn with_prefetch(self, prefetch: Prefetch) -> Self {
        Self { prefetch, ..self }
    }

    /// Has an empty table keep a digest of each slot, 512 KiB of them beside
    /// its capacity.
    #[must_use]
    pub fn with_slot_digests(self) -> Self {
        let count = self.shards.len();
        self.shards.iter().for_each(|shard| shard.lock().keep_slot_digests(count));
        self
    }

    /// The hash that places `key`: the same on every node of the farm.
    #[must_use]
    #[inline]
    pub fn hash(&self, key: &Key) -> KeyHash {
        self.hashes.place(key.as_bytes())
    }

    /// Reads the live value of `key`, marks it used, and counts a hit; counts
    /// a miss where there is none.
    ///
    /// A shard is locked while `read` runs: it must not call the table.
    pub fn get<R>(&self, key: &Key, now: Wall, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        let hashed = self.hashed(self.hash(key));
        self.shard(hashed.hash).lock().get(hashed, key, now, read)
    }

    /// Reads what is held under `hash`, a tombstone or an ended value too.
    /// Neither counted nor marked as used: answers for repairs.
    ///
    /// A shard is locked while `read` runs: it must not call the table.
    pub fn peek_hash<R>(&self, hash: KeyHash, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        self.shard(hash).lock().peek(self.hashed(hash), read)
    }

    /// Whether anything is held under `hash`, a tombstone or an ended value too.
    #[must_use]
    pub fn holds(&self, hash: KeyHash) -> bool {
        self.peek_hash(hash, |_| ()).is_some()
    }

    /// Reads what is held under `hash` and has not ended, a tombstone too, and
    /// marks it used: answers for nodes that were asked for it. Not counted.
    ///
    /// A shard is locked while `read` runs: it must not call the table.
    pub fn answer<R>(
        &self,
        hash: KeyHash,
        now: Wall,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        self.shard(hash).lock().answer(self.hashed(hash), now, read)
    }

    /// Merges `record` into what is held under its key.
    pub fn apply(&self, record: &Record<'_>, now: Wall) -> Applied {
        let hashed = self.hashed(self.hash(&record.key));
        self.shard(hashed.hash).lock().apply(hashed, record, now)
    }

    /// Merges a write that begins here, whose key has this `hash`. Where the
    /// live value is the same already, with the same absolute deadline and an
    /// idle one that is not later, only that moves on.
    pub fn put(&self, hash: KeyHash, record: &Record<'_>, now: Wall) -> Put {
        debug_assert_eq!(hash, self.hash(&record.key), "the hash is the key's");
        self.shard(hash).lock().put(self.hashed(hash), record, now)
    }

    /// Moves an idle deadline on, and marks the value used.
    pub fn touch(&self, touch: &Touch, now: Wall) -> Touched {
        let own = self.hashes.own(touch.hash);
        self.shard(touch.hash).lock().touch(own, touch, now)
    }

    /// Drops records that have ended at `now`, at most `limit` of them, and
    /// gives how many. `tell` is told of each value, not of tombstones. A lock
    /// is never held for more than about a thousand entries.
    ///
    /// A shard is locked while `tell` runs: it must not call the table.
    pub fn expire(&self, now: Wall, limit: usize, mut tell: impl FnMut(&Record<'_>)) -> usize {
        let mut dropped = 0;
        for shard in &self.shards {
            let mut next = Some(0);
            while let Some(segment) = next {
                let swept = shard.lock().expire(segment, now, limit - dropped, &mut tell);
                dropped += swept.dropped;
                if dropped == limit {
                    return dropped;
                }
                next = swept.next;
            }
        }
        dropped
    }

    /// Visits records of `ranges` from `cursor` on, walking about
    /// `limit_bytes` of memory, and gives where to go on; `None` when all is
    /// done. Records that have ended but are still held are visited too, and
    /// so are tombstones.
    ///
    /// Every record that is held during the whole scan is visited at least
    /// once, however the table changes meanwhile: what moves, moves ahead of
    /// the scan.
    ///
    /// A shard is locked while `visit` runs: it must not call the table.
    pub fn scan(
        &self,
        cursor: Cursor,
        ranges: KeyRanges,
        limit_bytes: usize,
        mut visit: impl FnMut(&Record<'_>),
    ) -> Option<Cursor> {
        let Place { shard: first, mut queue, mut position } = cursor.place();
        // A limit of nothing would never get on.
        let mut budget = limit_bytes.max(1);
        for shard in first..self.shards.len() {
            if self.ranges_of(shard).any(|range| ranges.contains(range)) {
                let place = |queue, position| Cursor::new(Place { shard, queue, position });
                let locked = self.shards[shard].lock();
                if queue == Queue::Small {
                    let next = locked.scan(queue, position, &ranges, &mut budget, &mut visit);
                    if let Some(next) = next {
                        return Some(place(Queue::Small, next));
                    }
                    position = 0;
                }
                let next = locked.scan(Queue::Main, position, &ranges, &mut budget, &mut visit);
                if let Some(next) = next {
                    return Some(place(Queue::Main, next));
                }
            }
            (queue, position) = (Queue::Small, 0);
        }
        None
    }

    /// The digest of the versions held in `range`: equal on two nodes that
    /// hold the same versions of the same keys there. Touches do not change
    /// it.
    ///
    /// What has ended counts until [`Table::expire`] drops it, so both nodes
    /// call that first; a record that ended on one clock only makes them look
    /// at a range once in vain. What a node evicted does not count: a node
    /// whose [`Stats::evicted`] grows is short of memory, and comparing it
    /// only shows what it could not keep.
    #[must_use]
    pub fn digest(&self, range: KeyRange) -> u64 {
        self.shards[self.shard_of(range)].lock().digest(range)
    }

    /// The digest of the versions held in `slot`; 0 of a table that keeps none
    /// of slots.
    #[must_use]
    pub fn digest_of_slot(&self, slot: Slot) -> u64 {
        self.shards[self.shard_of(slot.range())].lock().digest_of_slot(slot)
    }

    /// Drops records that are not `kept`, by their hash and whether they are
    /// tombstones, from `cursor` on, walking about `limit_bytes` of memory, and
    /// gives where to go on; `None` when all is done. They leave no tombstone:
    /// others hold them.
    pub fn release(
        &self,
        cursor: Cursor,
        limit_bytes: usize,
        kept: impl Fn(KeyHash, bool) -> bool,
    ) -> Option<Cursor> {
        let Place { shard: first, mut queue, mut position } = cursor.place();
        let mut budget = limit_bytes.max(1);
        for shard in first..self.shards.len() {
            let place = |queue, position| Some(Cursor::new(Place { shard, queue, position }));
            let mut locked = self.shards[shard].lock();
            if queue == Queue::Small {
                if let Some(next) = locked.release(queue, position, &mut budget, &kept) {
                    return place(Queue::Small, next);
                }
                position = 0;
            }
            if let Some(next) = locked.release(Queue::Main, position, &mut budget, &kept) {
                return place(Queue::Main, next);
            }
            (queue, position) = (Queue::Small, 0);
        }
        None
    }

    /// Whether nothing is held, not even a tombstone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let stats = self.stats();
        stats.records + stats.tombstones == 0
    }

    /// What is held and was done up to this moment.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        for shard in &self.shards {
            stats += shard.lock().stats;
        }
        stats.capacity_bytes = self.capacity_bytes as u64;
        stats
    }

    /// Both hashes, so that no lock is held meanwhile.
    #[inline]
    fn hashed(&self, hash: KeyHash) -> Hashed {
        Hashed { hash, own: self.hashes.own(hash) }
    }

    #[inline]
    fn shard(&self, hash: KeyHash) -> &Mutex<Shard> {
        &self.shards[self.shard_of(KeyRange::of(hash))]
    }

    /// Ranges that follow one another are one shard's.
    #[inline]
    fn shard_of(&self, range: KeyRange) -> usize {
        usize::from(range.0) * self.shards.len() / RANGES
    }

    fn ranges_of(&self, shard: usize) -> impl Iterator<Item = KeyRange> + use<'_> {
        KeyRange::all().filter(move |&range| self.shard_of(range) == shard)
    }
}

impl std::fmt::Debug for Config {
    /// The capacity only: the rest is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("capacity_bytes", &self.capacity_bytes)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Table {
    /// The figures only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
