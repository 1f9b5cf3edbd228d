//! What a node holds: its portion of the farm's records, and beside it a few
//! others that it was asked for lately.
//!
//! It decides which of two tables a record belongs into, by the [`Slots`] that
//! the node keeps. What these are it is told; of other nodes it knows nothing.
//! A key is looked for in the portion, then among the near records, and what
//! is written to a key goes where the key is held, so that both never differ.
//! Near records stay current, as every write passes here.
//!
//! What a node lets pass that it does not keep leaves no trace, with one
//! exception: a delete is remembered among the near records for a while. An
//! answer that is on its way may bring what was deleted.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::cluster::slots::{Slot, Slots};
use crate::record::{Body, Deadlines, Key, KeyHash, Record, Touch};
use crate::table::{Applied, Cursor, KeyRange, KeyRanges, Put, Stats, Table, Touched};
use crate::time::Wall;

/// How long a delete of what is not kept is remembered: longer than any answer
/// is on its way, and longer than the one who gives it lacks the delete.
const PASSED_DELETE: Duration = Duration::from_secs(60);

/// What a node holds, shared by all its threads.
#[derive(Debug)]
pub struct Holdings {
    portion: Table,
    near: Option<Table>,
    kept: Slots,
    arrived: Slots,
}

impl Holdings {
    /// Holdings of a node that keeps every slot, so far, and nothing beside.
    #[must_use]
    pub fn new(portion: Table) -> Self {
        Self { portion, near: None, kept: Slots::default(), arrived: Slots::default() }
    }

    /// Has records that are not kept held in `near`, as long as it has room.
    /// Both tables hash by the same placement secret.
    #[must_use]
    pub fn with_near(self, near: Table) -> Self {
        Self { near: Some(near), ..self }
    }

    /// The slots that are kept.
    #[must_use]
    pub const fn kept(&self) -> &Slots {
        &self.kept
    }

    /// The slots that are not on their way here.
    #[must_use]
    pub const fn arrived(&self) -> &Slots {
        &self.arrived
    }

    /// Whether the records under `hash` are kept, and those from before they
    /// were are here: what is not held then is nowhere.
    #[must_use]
    pub fn has_all(&self, hash: KeyHash) -> bool {
        self.kept.keeps(hash) && self.arrived.keeps(hash)
    }

    /// The table of what is kept.
    #[must_use]
    pub const fn portion(&self) -> &Table {
        &self.portion
    }

    /// The hash that places `key`: the same on every node of the farm.
    #[must_use]
    #[inline]
    pub fn hash(&self, key: &Key) -> KeyHash {
        self.portion.hash(key)
    }

    /// Reads the live value of `key`, marks it used, and counts a hit; counts
    /// a miss where there is none.
    ///
    /// A part of a table is locked while `read` runs: it must not call back.
    pub fn get<R>(&self, key: &Key, now: Wall, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        let Some(near) = &self.near else { return self.portion.get(key, now, read) };
        // Among near records a key of the portion is looked for as well: its
        // slot may have become the node's own with the record still there.
        let hash = self.hash(key);
        if self.portion.holds(hash) || !near.holds(hash) {
            self.portion.get(key, now, read)
        } else {
            near.get(key, now, read)
        }
    }

    /// Has memory fetched that look-ups of these keys in the portion will need,
    /// of each entry so many bytes.
    pub fn fetch(&self, keys: &[KeyHash], entry_bytes: usize) {
        self.portion.fetch(keys, entry_bytes);
    }

    /// Reads what is held under `hash`, a tombstone or an ended value too.
    /// Neither counted nor marked as used: answers for repairs.
    ///
    /// A part of a table is locked while `read` runs: it must not call back.
    pub fn peek_hash<R>(&self, hash: KeyHash, read: impl FnOnce(&Record<'_>) -> R) -> Option<R> {
        match &self.near {
            Some(near) if !self.portion.holds(hash) => near.peek_hash(hash, read),
            _ => self.portion.peek_hash(hash, read),
        }
    }

    /// Reads what is held under `hash` and has not ended, a tombstone too, and
    /// marks it used: answers for nodes that ask. Not counted.
    ///
    /// A part of a table is locked while `read` runs: it must not call back.
    pub fn answer<R>(
        &self,
        hash: KeyHash,
        now: Wall,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        match &self.near {
            Some(near) if !self.portion.holds(hash) => near.answer(hash, now, read),
            _ => self.portion.answer(hash, now, read),
        }
    }

    /// Merges a record that comes from another node into what is held under
    /// its key; `None` when the record is of no concern to this node: neither
    /// kept nor held.
    pub fn apply(&self, record: &Record<'_>, now: Wall) -> Option<Applied> {
        let Some(near) = &self.near else { return Some(self.portion.apply(record, now)) };
        let hash = self.hash(&record.key);
        if self.kept.keeps(hash) {
            self.settle(near, hash, record, now);
            Some(self.portion.apply(record, now))
        } else {
            self.pass(near, hash, record, now)
        }
    }

    /// The same with many records; tells of each that is of concern what
    /// became of it.
    pub fn apply_all(
        &self,
        records: &mut Vec<Record<'_>>,
        now: Wall,
        mut tell: impl FnMut(&Record<'_>, Applied),
    ) {
        if let Some(near) = &self.near {
            records.retain(|record| {
                let hash = self.hash(&record.key);
                if self.kept.keeps(hash) {
                    self.settle(near, hash, record, now);
                    return true;
                }
                if let Some(applied) = self.pass(near, hash, record, now) {
                    tell(record, applied);
                }
                false
            });
        }
        self.portion.apply_all(records, now, tell);
    }

    /// Merges a record that this node itself writes. It is held, kept or not:
    /// others may ask for it before they have it.
    pub fn admit(&self, record: &Record<'_>, now: Wall) -> Applied {
        self.place(self.hash(&record.key), |table| table.apply(record, now))
    }

    /// Merges a write that begins here, whose key has this `hash`. Where the
    /// live value is the same already, with the same absolute deadline and an
    /// idle one that is not later, only that moves on.
    pub fn put(&self, hash: KeyHash, record: &Record<'_>, now: Wall) -> Put {
        self.place(hash, |table| table.put(hash, record, now))
    }

    /// Takes in what another node answered: into the portion where it is kept,
    /// else among the near records. `None` without room for such.
    pub fn remember(&self, record: &Record<'_>, now: Wall) -> Option<Applied> {
        let hash = self.hash(&record.key);
        let has_room = self.kept.keeps(hash) || self.near.is_some();
        has_room.then(|| self.place(hash, |table| table.apply(record, now)))
    }

    /// Moves an idle deadline on, and marks the value used. What is neither
    /// kept nor held is not missing: the touch is stale to this node.
    pub fn touch(&self, touch: &Touch, now: Wall) -> Touched {
        let portion = self.portion.touch(touch, now);
        let Some(near) = &self.near else { return portion };
        let near = near.touch(touch, now);
        match (portion, near) {
            (Touched::Missing, Touched::Missing) if !self.concerns(touch.hash) => Touched::Stale,
            (Touched::Missing, Touched::Missing) => Touched::Missing,
            (Touched::Missing, near) => near,
            (portion, _) => portion,
        }
    }

    /// Whether the records under `hash` are kept, or one is held.
    #[must_use]
    pub fn concerns(&self, hash: KeyHash) -> bool {
        self.kept.keeps(hash) || self.peek_hash(hash, |_| ()).is_some()
    }

    /// Drops records that have ended at `now`, at most `limit` of them in
    /// either table, and gives how many. `tell` is told of each value of the
    /// portion.
    ///
    /// A part of a table is locked while `tell` runs: it must not call back.
    pub fn expire(&self, now: Wall, limit: usize, tell: impl FnMut(&Record<'_>)) -> usize {
        let near = self.near.as_ref().map_or(0, |near| near.expire(now, limit, |_| ()));
        self.portion.expire(now, limit, tell) + near
    }

    /// Visits records of the portion, as [`Table::scan`] does.
    pub fn scan(
        &self,
        cursor: Cursor,
        ranges: KeyRanges,
        limit_bytes: usize,
        visit: impl FnMut(&Record<'_>),
    ) -> Option<Cursor> {
        self.portion.scan(cursor, ranges, limit_bytes, visit)
    }

    /// The digest of what the portion holds in `range`.
    #[must_use]
    pub fn digest(&self, range: KeyRange) -> u64 {
        self.portion.digest(range)
    }

    /// The digest of what the portion holds in a slot.
    #[must_use]
    pub fn digest_of_slot(&self, slot: Slot) -> u64 {
        self.portion.digest_of_slot(slot)
    }

    /// Drops what the portion holds of slots that are not kept, as
    /// [`Table::release`] does.
    pub fn release(&self, cursor: Cursor, limit_bytes: usize) -> Option<Cursor> {
        self.portion.release(cursor, limit_bytes, |hash, _| self.kept.keeps(hash))
    }

    /// Drops what is held beside the portion, but for deletes, as
    /// [`Table::release`] does: something may have passed unseen that put an
    /// end to it.
    pub fn forget_near(&self, cursor: Cursor, limit_bytes: usize) -> Option<Cursor> {
        self.near.as_ref()?.release(cursor, limit_bytes, |_, deleted| deleted)
    }

    /// Takes near records of slots that are kept into the portion, as far as a
    /// scan of `limit_bytes` comes. Gives where to go on.
    pub fn adopt(&self, cursor: Cursor, limit_bytes: usize, now: Wall) -> Option<Cursor> {
        let near = self.near.as_ref()?;
        near.scan(cursor, KeyRanges::ALL, limit_bytes, |record| {
            if self.kept.keeps(self.hash(&record.key)) {
                self.portion.apply(record, now);
            }
        })
    }

    /// Whether the portion holds nothing, not even a tombstone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.portion.is_empty()
    }

    /// What the portion holds, and what was done with it. A hit among the near
    /// records is a hit.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.portion.stats();
        if let Some(near) = self.near_stats() {
            stats.hits += near.hits;
            stats.misses += near.misses;
        }
        stats
    }

    /// What is held beside the portion.
    #[must_use]
    pub fn near_stats(&self) -> Option<Stats> {
        self.near.as_ref().map(Table::stats)
    }

    /// Writes to the table that a key belongs into.
    fn place<R>(&self, hash: KeyHash, write: impl Fn(&Table) -> R) -> R {
        let Some(near) = &self.near else { return write(&self.portion) };
        if self.kept.keeps(hash) || self.portion.holds(hash) {
            if near.holds(hash) {
                write(near);
            }
            return write(&self.portion);
        }
        let written = write(near);
        // The slot may have become the node's own meanwhile.
        if self.kept.keeps(hash) { write(&self.portion) } else { written }
    }

    /// What is kept may be near as well, from before it was.
    fn settle(&self, near: &Table, hash: KeyHash, record: &Record<'_>, now: Wall) {
        if near.holds(hash) {
            near.apply(record, now);
        }
    }

    /// A record passes that is not kept.
    fn pass(&self, near: &Table, hash: KeyHash, record: &Record<'_>, now: Wall) -> Option<Applied> {
        if self.portion.holds(hash) {
            // The slot was the node's own until lately.
            self.settle(near, hash, record, now);
            return Some(self.portion.apply(record, now));
        }
        if near.holds(hash) {
            return Some(near.apply(record, now));
        }
        if record.body == Body::Deleted {
            let ends = record.deadlines.absolute.min(now + PASSED_DELETE);
            near.apply(&Record { deadlines: Deadlines::at(ends), ..*record }, now);
        }
        None
    }
}
