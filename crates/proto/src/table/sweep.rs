//! Goes through a shard's log: for what has ended, and for scans.

use super::KeyRanges;
use super::cursor::Queue;
use super::entry::{self, Meta};
use super::range::KeyRange;
use super::segment::Segments;
use super::shard::Shard;
use crate::record::{KeyHash, Record};
use crate::time::Wall;

/// How many segments are walked at a time: about a thousand entries.
const WALKS: usize = 64;

/// What expiring a part of a shard came to.
pub(super) struct Swept {
    /// Records dropped.
    pub(super) dropped: usize,
    /// Where to go on, if there is more.
    pub(super) next: Option<usize>,
}

impl Shard {
    /// Drops at most `limit` records that have ended at `now`, from segment
    /// `from` on, and walks at most [`WALKS`] segments. `tell` is told of values.
    pub(super) fn expire(
        &mut self,
        from: usize,
        now: Wall,
        limit: usize,
        tell: &mut impl FnMut(&Record<'_>),
    ) -> Swept {
        let mut swept = Swept { dropped: 0, next: Some(from) };
        for _ in 0..WALKS {
            let due = swept.next.and_then(|from| self.segments.due(from, now));
            swept.next = due.map(|segment| segment + 1);
            let Some(segment) = due else { break };
            swept.dropped += self.expire_segment(segment, now, limit - swept.dropped, tell);
            if swept.dropped == limit {
                swept.next = due;
                break;
            }
        }
        swept
    }

    /// Drops at most `limit` ended records of a segment.
    fn expire_segment(
        &mut self,
        segment: usize,
        now: Wall,
        limit: usize,
        tell: &mut impl FnMut(&Record<'_>),
    ) -> usize {
        let mut dropped = 0;
        let mut earliest = Wall::MAX;
        let mut next = self.segments.first(segment);
        while let Some(at) = next {
            next = self.next_in_segment(at);
            let meta = Meta::read(self.log(), at);
            if meta.is_dead() {
                continue;
            }
            let end = entry::end(self.log(), at);
            if end > now {
                earliest = earliest.min(end);
            } else if dropped < limit {
                if !meta.is_deleted() {
                    tell(&entry::record(self.log(), at, entry::key(self.log(), at)));
                }
                let found = self.found_at(at);
                self.remove(found);
                dropped += 1;
            } else {
                earliest = earliest.min(end);
            }
        }
        self.stats.expired += dropped as u64;
        self.segments.set_earliest(segment, earliest);
        dropped
    }

    /// Visits the records of `ranges` in `queue` from `position` on, until
    /// `budget` bytes of the log are walked. Gives the position to go on
    /// from, or `None` at the queue's head.
    pub(super) fn scan(
        &self,
        queue: Queue,
        position: u64,
        ranges: &KeyRanges,
        budget: &mut usize,
        visit: &mut impl FnMut(&Record<'_>),
    ) -> Option<u64> {
        let ring = self.ring(queue);
        let mut position = self.boundary(queue, position)?;
        while position < ring.pushed() {
            if *budget == 0 {
                return Some(position);
            }
            let at = ring.at(position);
            let meta = Meta::read(self.log(), at);
            if !meta.is_dead() && self.is_in(at, ranges) {
                visit(&entry::record(self.log(), at, entry::key(self.log(), at)));
            }
            position += meta.footprint() as u64;
            *budget = budget.saturating_sub(meta.footprint());
        }
        None
    }

    /// Drops the records in `queue` that are not `kept`, from
    /// `position` on, until `budget` bytes of the log are walked. Gives the
    /// position to go on from, or `None` at the queue's head.
    pub(super) fn release(
        &mut self,
        queue: Queue,
        position: u64,
        budget: &mut usize,
        kept: &impl Fn(KeyHash, bool) -> bool,
    ) -> Option<u64> {
        let mut position = self.boundary(queue, position)?;
        while position < self.ring(queue).pushed() {
            if *budget == 0 {
                return Some(position);
            }
            let at = self.ring(queue).at(position);
            let meta = Meta::read(self.log(), at);
            let hash = || self.hashes.place(entry::key_bytes(self.log(), at));
            if !meta.is_dead() && !kept(hash(), meta.is_deleted()) {
                let found = self.found_at(at);
                self.remove(found);
            }
            position += meta.footprint() as u64;
            *budget = budget.saturating_sub(meta.footprint());
        }
        None
    }

    fn is_in(&self, at: usize, ranges: &KeyRanges) -> bool {
        let hash = || self.hashes.place(entry::key_bytes(self.log(), at));
        *ranges == KeyRanges::ALL || ranges.contains(KeyRange::of(hash()))
    }

    /// The first position of an entry from `position` on. A cursor may come
    /// from anywhere, so only what a segment says of itself is believed.
    fn boundary(&self, queue: Queue, position: u64) -> Option<u64> {
        let ring = self.ring(queue);
        let mut position = position.max(ring.popped());
        while position < ring.pushed() {
            let at = ring.at(position);
            let first = self.segments.first(Segments::of(at));
            let begins = std::iter::successors(first, |&at| self.next_in_segment(at));
            // Where the ring's head and tail meet in one segment, the entries
            // at its start are the last of the ring: hence the least of all.
            let ahead = begins.map(|at| ring.position(at)).filter(|&other| other >= position);
            if let Some(found) = ahead.min() {
                return Some(found);
            }
            position += (Segments::end(at) - at) as u64;
        }
        None
    }

    /// Where the next entry of the same segment begins, if there is one.
    fn next_in_segment(&self, at: usize) -> Option<usize> {
        let ring = self.ring(self.queue_of(at));
        let next = at + Meta::read(self.log(), at).footprint();
        let beyond = Segments::end(at);
        // Behind the head is free space; the tail may follow it in the same
        // segment. In a full ring it follows at once.
        let next = if next == ring.head() { ring.tail() } else { next };
        (at < next && next < beyond).then_some(next)
    }
}
