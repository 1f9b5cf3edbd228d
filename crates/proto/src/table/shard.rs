//! One shard: an index over a log, and what happens to a record that comes.
//!
//! Room is made in [`room`](super::room), ended records leave in
//! [`sweep`](super::sweep), figures and digests are kept in
//! [`tally`](super::tally); this file finds, merges, stores and removes.

use std::sync::Arc;

use super::cursor::Queue;
use super::entry::{self, Meta};
use super::ghost::Ghosts;
use super::hashes::{Hashes, OwnHash};
use super::index::{self, Index, Location, Slot};
use super::layout::Layout;
use super::outcome::{Applied, Put, Refusal, Stats, Touched};
use super::region::Region;
use super::ring::Ring;
use super::segment::Segments;
use super::{Prefetch, RANGES};
use crate::record::merge::{Merge, merge};
use crate::record::{Body, Deadlines, Hlc, Key, KeyHash, Record, Touch, normal};
use crate::time::Wall;

/// What a processor fetches of memory at a time.
const LINE_BYTES: usize = 64;
/// Of larger entries the processor sees by itself that they are read on and on.
const PREFETCHED_BYTES: usize = 512;

/// What a table's lock guards: all records of some ranges.
pub(super) struct Shard {
    pub(super) hashes: Arc<Hashes>,
    memory: Memory,
    pub(super) small: Ring,
    pub(super) main: Ring,
    pub(super) segments: Segments,
    pub(super) ghosts: Ghosts,
    /// By the lower bits of the range, or of the slot.
    pub(super) digests: Vec<u64>,
    /// How many records the index takes.
    pub(super) record_limit: usize,
    /// What of each queue is dead, in bytes.
    small_dead: usize,
    pub(super) main_dead: usize,
    /// What tombstones take of the log, in bytes.
    pub(super) tombstone_bytes: usize,
    /// The latest version among the tombstones that were forgotten for room.
    pub(super) forgotten_to: Option<Hlc>,
    pub(super) stats: Stats,
}

/// The memory of a shard: the index, then the log.
struct Memory {
    region: Box<dyn Region>,
    index_bytes: usize,
}

/// A key's two hashes.
#[derive(Clone, Copy, Default)]
pub(super) struct Hashed {
    pub(super) hash: KeyHash,
    pub(super) own: OwnHash,
}

/// An entry that was found.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) own: OwnHash,
    slot: Slot,
    /// The byte of the log that it begins at.
    pub(super) at: usize,
}

/// A record on its way into the log.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    record: &'a Record<'a>,
    hashed: Hashed,
    /// What it will take of the log, in bytes.
    footprint: usize,
}

impl Shard {
    /// An empty shard of `shards`, over zeroed memory of the layout's size.
    pub(super) fn new(
        hashes: Arc<Hashes>,
        region: Box<dyn Region>,
        layout: &Layout,
        shards: usize,
    ) -> Self {
        Self {
            hashes,
            memory: Memory { region, index_bytes: layout.index_bytes },
            small: Ring::new(0, layout.small_bytes),
            main: Ring::new(layout.small_bytes, layout.log_bytes),
            segments: Segments::new(layout.log_bytes),
            ghosts: Ghosts::new(layout.ghosts),
            digests: vec![0; RANGES / shards],
            record_limit: layout.records,
            small_dead: 0,
            main_dead: 0,
            tombstone_bytes: 0,
            forgotten_to: None,
            stats: Stats::default(),
        }
    }

    /// Merges `record` into what is held under its key.
    pub(super) fn apply(&mut self, hashed: Hashed, record: &Record<'_>, now: Wall) -> Applied {
        let found = self.find(hashed.own, &record.key);
        self.apply_at(found, hashed, record, now)
    }

    /// The same, unless the live value is the same already: then only its idle
    /// deadline moves on.
    pub(super) fn put(&mut self, hashed: Hashed, record: &Record<'_>, now: Wall) -> Put {
        let found = self.find(hashed.own, &record.key);
        if let Some(Found { at, .. }) = found
            && let Some(held) = self.same_value(at, record, now)
        {
            let Record { version, deadlines, .. } = held;
            let moved = record.deadlines.idle > deadlines.idle.max(now);
            if moved {
                self.touch_at(at, record.deadlines.idle);
            }
            return Put::Same { version, moved };
        }
        Put::Applied(self.apply_at(found, hashed, record, now))
    }

    /// What is held at `at`, where that is live and differs from `record` in
    /// nothing but its version and an idle deadline that is not later.
    #[inline]
    fn same_value(&self, at: usize, record: &Record<'_>, now: Wall) -> Option<Record<'_>> {
        let held = entry::record(self.log(), at, record.key);
        let same = held.deadlines.absolute == record.deadlines.absolute
            && held.deadlines.idle <= record.deadlines.idle
            && held.body == record.body
            && entry::is_live_value(self.log(), at, now);
        same.then_some(held)
    }

    fn apply_at(
        &mut self,
        found: Option<Found>,
        hashed: Hashed,
        record: &Record<'_>,
        now: Wall,
    ) -> Applied {
        let applied = match self.merge_in(found, hashed, &normal(record), now) {
            Ok(applied) => applied,
            Err(refusal) => Applied::Refused(refusal),
        };
        match applied {
            Applied::Refused(Refusal::Expired) => self.stats.refused_expired += 1,
            Applied::Refused(Refusal::Forgotten) => self.stats.refused_forgotten += 1,
            Applied::Refused(Refusal::TooLarge) => self.stats.refused_too_large += 1,
            Applied::New | Applied::Replaced | Applied::Touched | Applied::Kept => {}
        }
        applied
    }

    fn merge_in(
        &mut self,
        found: Option<Found>,
        hashed: Hashed,
        record: &Record<'_>,
        now: Wall,
    ) -> Result<Applied, Refusal> {
        let ended = entry::record_end(record) <= now;
        let Some(found) = found else {
            if ended {
                return Err(Refusal::Expired);
            }
            if Some(record.version.time) <= self.forgotten_to {
                return Err(Refusal::Forgotten);
            }
            let arrival = self.admit(record, hashed)?;
            let queue = self.queue_for(&arrival);
            self.store(queue, &arrival, 0, now);
            return Ok(Applied::New);
        };
        let held = entry::record(self.log(), found.at, record.key);
        match merge(&held, record) {
            Merge::Replace(_) if ended && held.body != Body::Deleted => {
                self.remove(found);
                self.stats.expired += 1;
                Err(Refusal::Expired)
            }
            Merge::Join(joined) => self.join(found, hashed, &joined.record(record.key), now),
            _ if ended => Err(Refusal::Expired),
            Merge::Keep => Ok(Applied::Kept),
            Merge::Touch(idle) => {
                self.touch_at(found.at, idle);
                Ok(Applied::Touched)
            }
            Merge::Replace(idle) => {
                let deadlines = Deadlines { idle, ..record.deadlines };
                let merged = Record { deadlines, ..*record };
                let arrival = self.admit(&merged, hashed)?;
                self.replace(found, &arrival, now);
                Ok(Applied::Replaced)
            }
        }
    }

    /// Writes what two records make together over the one that is held.
    fn join(
        &mut self,
        found: Found,
        hashed: Hashed,
        joined: &Record<'_>,
        now: Wall,
    ) -> Result<Applied, Refusal> {
        if entry::record_end(joined) <= now {
            self.remove(found);
            self.stats.expired += 1;
            return Err(Refusal::Expired);
        }
        let arrival = self.admit(joined, hashed)?;
        self.replace(found, &arrival, now);
        Ok(Applied::Replaced)
    }

    /// Has the bucket of a hash fetched, which is about to be looked at.
    #[inline]
    pub(super) fn prefetch_bucket(&self, own: OwnHash, prefetch: Prefetch) {
        let Memory { region, index_bytes } = &self.memory;
        prefetch(&region[index::bucket_at(own, *index_bytes)]);
    }

    /// Has what is most likely the entry of a hash fetched: `bytes` of it.
    #[inline]
    pub(super) fn prefetch_entry(&mut self, own: OwnHash, bytes: usize, prefetch: Prefetch) {
        let (index, log) = self.memory.parts();
        if let Some(location) = index.guess(own) {
            let bytes = log[location.at()..].iter().take(bytes.min(PREFETCHED_BYTES));
            bytes.step_by(LINE_BYTES).for_each(prefetch);
        }
    }

    /// Moves an idle deadline on.
    pub(super) fn touch(&mut self, own: OwnHash, touch: &Touch, now: Wall) -> Touched {
        let Some(found) = self.find_hash(Hashed { hash: touch.hash, own }) else {
            return Touched::Missing;
        };
        let log = self.log();
        let held = entry::version(log, found.at).time;
        if held < touch.time {
            return Touched::Missing;
        }
        let deleted = Meta::read(log, found.at).is_deleted();
        let late = touch.idle <= entry::deadlines(log, found.at).idle.max(now);
        if held > touch.time || late {
            return Touched::Stale;
        }
        // A tombstone notes it too: a value of the same time that is still on
        // its way, and wins, must find it.
        self.touch_at(found.at, touch.idle);
        if deleted { Touched::Stale } else { Touched::Moved }
    }

    /// Reads the live value of `key`, marks it used and counts.
    pub(super) fn get<R>(
        &mut self,
        hashed: Hashed,
        key: &Key,
        now: Wall,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        let (index, log) = self.memory.parts();
        let found = index.find(hashed.own, |location| entry::is_of(log, location.at(), key));
        let live = |&(_, location): &(_, Location)| entry::is_live_value(log, location.at(), now);
        let Some((_, location)) = found.filter(live) else {
            self.stats.misses += 1;
            return None;
        };
        self.stats.hits += 1;
        entry::visit(log, location.at());
        Some(read(&entry::record(log, location.at(), *key)))
    }

    /// Reads what is held under `hash`, whatever it is.
    pub(super) fn peek<R>(
        &mut self,
        hashed: Hashed,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        let at = self.find_hash(hashed)?.at;
        let log = self.log();
        Some(read(&entry::record(log, at, entry::key(log, at))))
    }

    /// Reads what is held under `hash` and has not ended, and marks it used.
    pub(super) fn answer<R>(
        &mut self,
        hashed: Hashed,
        now: Wall,
        read: impl FnOnce(&Record<'_>) -> R,
    ) -> Option<R> {
        let at = self.find_hash(hashed)?.at;
        let log = self.memory.parts().1;
        let key = entry::key(log, at);
        if entry::record_end(&entry::record(log, at, key)) <= now {
            return None;
        }
        entry::visit(log, at);
        Some(read(&entry::record(log, at, key)))
    }

    #[inline]
    pub(super) fn log(&self) -> &[u8] {
        self.memory.log()
    }

    #[inline]
    pub(super) fn log_mut(&mut self) -> &mut [u8] {
        self.memory.parts().1
    }

    pub(super) const fn ring(&self, queue: Queue) -> &Ring {
        match queue {
            Queue::Small => &self.small,
            Queue::Main => &self.main,
        }
    }

    pub(super) const fn ring_mut(&mut self, queue: Queue) -> &mut Ring {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }

    /// What of a queue is dead, in bytes.
    pub(super) const fn dead_mut(&mut self, queue: Queue) -> &mut usize {
        match queue {
            Queue::Small => &mut self.small_dead,
            Queue::Main => &mut self.main_dead,
        }
    }

    /// The queue that the entry at `at` lies in.
    pub(super) const fn queue_of(&self, at: usize) -> Queue {
        if at < self.main.start() { Queue::Small } else { Queue::Main }
    }

    /// Drops an entry: out of the index, the figures and the digest, and its
    /// bytes wiped. Its place in the log stays until the tail comes by.
    pub(super) fn remove(&mut self, found: Found) {
        let at = found.at;
        let log = self.log();
        let hash = self.hashes.place(entry::key_bytes(log, at));
        let footprint = Meta::read(log, at).footprint();
        self.uncount(at, hash);
        self.memory.parts().0.remove(found.own, found.slot);
        entry::bury(self.log_mut(), at, footprint);
        *self.dead_mut(self.queue_of(at)) += footprint;
    }

    /// The entry at `at`, which is alive, as the index has it.
    pub(super) fn found_at(&mut self, at: usize) -> Found {
        let hash = self.hashes.place(entry::key_bytes(self.log(), at));
        let own = self.hashes.own(hash);
        let location = Location::new(at);
        let found = self.memory.parts().0.find(own, |other| other == location);
        let (slot, _) = found.expect("a live entry is in the index");
        Found { own, slot, at }
    }

    /// Puts a filler or another dead stretch at `at`.
    pub(super) fn fill(&mut self, at: usize, len: usize) {
        entry::bury(self.log_mut(), at, len);
        self.segments.begins(at, Wall::MAX);
        *self.dead_mut(self.queue_of(at)) += len;
    }

    /// Lets the index know that `found` lies at `to`.
    pub(super) fn relocate(&mut self, found: Found, to: usize) {
        self.memory.parts().0.set_location(found.slot, Location::new(to));
    }

    /// Gives `record` its size, if it can fit.
    fn admit<'a>(&self, record: &'a Record<'a>, hashed: Hashed) -> Result<Arrival<'a>, Refusal> {
        let footprint = entry::footprint(record).filter(|&footprint| footprint <= self.main.len());
        let footprint = footprint.ok_or(Refusal::TooLarge)?;
        Ok(Arrival { record, hashed, footprint })
    }

    /// Where a new key goes: into the main queue when it left the small one
    /// lately.
    fn queue_for(&mut self, arrival: &Arrival<'_>) -> Queue {
        if self.ghosts.recall(arrival.hashed.own) { Queue::Main } else { Queue::Small }
    }

    /// Appends a record whose key is absent. One that would take most of the
    /// small queue goes into the main one.
    fn store(&mut self, queue: Queue, arrival: &Arrival<'_>, visits: u32, now: Wall) {
        let large = arrival.footprint > self.small.len() / 2;
        let queue = if large { Queue::Main } else { queue };
        let spot = self.make_room(queue, arrival.footprint, now);
        self.ring_mut(queue).push(spot, arrival.footprint);
        if let Some((at, len)) = spot.filler {
            self.fill(at, len);
        }
        self.write(spot.at, arrival, visits);
        self.memory.parts().0.insert(arrival.hashed.own, Location::new(spot.at));
    }

    /// Writes a record over what is held under its key: in place where it
    /// fits, else at the head of the same queue.
    fn replace(&mut self, found: Found, arrival: &Arrival<'_>, now: Wall) {
        let at = found.at;
        let meta = Meta::read(self.log(), at);
        let visits = meta.visits_after_one_more();
        let spare = meta.footprint().checked_sub(arrival.footprint);
        let deletes = arrival.record.body == Body::Deleted;
        if spare == Some(0) && meta.is_deleted() == deletes {
            // The figures stay as they are.
            self.mix_into_digest(at, arrival.hashed.hash);
            entry::write(self.log_mut(), at, arrival.record, visits);
            self.mix_into_digest(at, arrival.hashed.hash);
            self.segments.hasten(at, entry::record_end(arrival.record));
        } else if let Some(spare) = spare {
            self.uncount(at, arrival.hashed.hash);
            self.write(at, arrival, visits);
            if spare > 0 {
                self.fill(at + arrival.footprint, spare);
            }
        } else {
            self.remove(found);
            self.store(self.queue_of(at), arrival, visits, now);
        }
    }

    fn write(&mut self, at: usize, arrival: &Arrival<'_>, visits: u32) {
        entry::write(self.log_mut(), at, arrival.record, visits);
        self.segments.begins(at, entry::record_end(arrival.record));
        self.count(at, arrival.hashed.hash);
    }

    fn touch_at(&mut self, at: usize, idle: Wall) {
        let log = self.log_mut();
        entry::set_idle(log, at, idle);
        entry::visit(log, at);
    }

    /// The entry of `key`.
    #[inline]
    fn find(&mut self, own: OwnHash, key: &Key) -> Option<Found> {
        let (index, log) = self.memory.parts();
        let is = |location: Location| entry::is_of(log, location.at(), key);
        let (slot, location) = index.find(own, is)?;
        Some(Found { own, slot, at: location.at() })
    }

    /// The entry of the key that has this hash.
    fn find_hash(&mut self, hashed: Hashed) -> Option<Found> {
        let Hashed { hash, own } = hashed;
        let (index, log) = self.memory.parts();
        let is =
            |location: Location| self.hashes.place(entry::key_bytes(log, location.at())) == hash;
        let (slot, location) = index.find(own, is)?;
        Some(Found { own, slot, at: location.at() })
    }
}

impl Memory {
    #[inline]
    fn parts(&mut self) -> (Index<'_>, &mut [u8]) {
        let (index, log) = self.region.split_at_mut(self.index_bytes);
        (Index::new(index), log)
    }

    #[inline]
    fn log(&self) -> &[u8] {
        &self.region[self.index_bytes..]
    }
}

impl Drop for Shard {
    /// Wipes what holds records: no more of the log than was ever written,
    /// lest memory that was never used be fetched for it.
    fn drop(&mut self) {
        let (small, main) = (self.small.written(), self.main.written());
        let log = self.log_mut();
        entry::wipe(log, small);
        entry::wipe(log, main);
    }
}
