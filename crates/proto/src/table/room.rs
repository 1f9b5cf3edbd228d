//! Makes room: S3-FIFO over the two rings of a shard.
//!
//! New keys enter a small queue. What was used there goes on into the main
//! queue, the rest is dropped and remembered as a ghost; a ghost that comes
//! back enters the main queue at once. At the main queue's tail, what was
//! used goes round again with one use less, the rest is dropped (Yang et al.,
//! "FIFO queues are all you need for cache eviction", SOSP 2023).
//!
//! The queues are logs, so dead space must come by the tail before it is used
//! again. Nothing is dropped for room while there is enough of that: then
//! whatever lives goes round, and the tail finds the dead.
//!
//! Tombstones go round whatever their use, as long as they take less than a
//! quarter of the log. One that has to be forgotten leaves its version time:
//! see [`Refusal::Forgotten`](super::Refusal::Forgotten).

use super::cursor::Queue;
use super::entry::{self, Meta};
use super::layout::SMALL_PART;
use super::ring::Spot;
use super::shard::{Found, Shard};
use crate::time::Wall;

/// How often an entry must have been used in the small queue to be kept.
const PROMOTED_AT: u32 = 1;
/// Tombstones are kept as long as they take less than this part of the log.
const TOMBSTONE_PART: usize = 4;
/// A queue with more than this part dead has its living moved together
/// instead of dropped.
const DEAD_PART: usize = 8;
/// What may go round for the sake of one record, in parts of the queue's
/// length, before values are dropped whatever their use: bounds the time that
/// a single write may take.
const PATIENCE_PART: usize = 4;
/// The same for tombstones, in lengths of the queue: after two rounds nothing
/// else is left in it.
const PATIENCE_ROUNDS: usize = 2;

/// Why an entry leaves for good.
#[derive(Clone, Copy)]
enum Loss {
    Ended,
    Evicted,
    Forgotten,
}

/// What becomes of the entry at a tail.
enum Fate {
    /// It is dead already.
    Discard,
    Lose(Loss),
    /// It goes to the main queue's head, with so many visits.
    Keep(u32),
}

impl Shard {
    /// Makes room for one more entry of `footprint` bytes in `queue`, which
    /// is not shorter than that.
    pub(super) fn make_room(&mut self, queue: Queue, footprint: usize, now: Wall) -> Spot {
        let mut gone_round = 0;
        while self.held() >= self.record_limit {
            let small = self.small.used() > self.main.used() / SMALL_PART;
            self.pop(if small { Queue::Small } else { Queue::Main }, &mut gone_round, now);
        }
        self.clear(queue, footprint, now)
    }

    /// Lets entries leave the tail of `queue` until there is a spot.
    fn clear(&mut self, queue: Queue, footprint: usize, now: Wall) -> Spot {
        let mut gone_round = 0;
        loop {
            if let Some(spot) = self.ring(queue).spot(footprint) {
                return spot;
            }
            self.pop(queue, &mut gone_round, now);
        }
    }

    /// Decides about the entry at the tail of `queue`, which is not empty,
    /// and adds what goes round to `gone_round`, in bytes.
    fn pop(&mut self, queue: Queue, gone_round: &mut usize, now: Wall) {
        let at = self.ring(queue).tail();
        let meta = Meta::read(self.log(), at);
        let fate = match queue {
            _ if meta.is_dead() => Fate::Discard,
            _ if entry::end(self.log(), at) <= now => Fate::Lose(Loss::Ended),
            Queue::Small => self.fate_in_small(meta),
            Queue::Main => self.fate_in_main(meta, *gone_round),
        };
        match (fate, queue) {
            (Fate::Discard, _) => self.discard(queue),
            (Fate::Lose(loss), _) => self.lose(queue, loss),
            (Fate::Keep(visits), Queue::Small) => self.promote(visits, now),
            (Fate::Keep(visits), Queue::Main) => {
                *gone_round += meta.footprint();
                self.go_round(visits);
            }
        }
    }

    fn fate_in_small(&self, meta: Meta) -> Fate {
        let used = meta.is_deleted() || meta.visits() >= PROMOTED_AT;
        let slack = self.has_slack() || self.main.spot(meta.footprint()).is_some();
        if used || slack { Fate::Keep(0) } else { Fate::Lose(Loss::Evicted) }
    }

    fn fate_in_main(&self, meta: Meta, gone_round: usize) -> Fate {
        let len = self.main.len();
        if meta.is_deleted() {
            let few = self.tombstone_bytes <= self.log().len() / TOMBSTONE_PART;
            let keep = few && gone_round < PATIENCE_ROUNDS * len;
            if keep { Fate::Keep(0) } else { Fate::Lose(Loss::Forgotten) }
        } else {
            let keep = meta.visits() > 0 || self.has_slack();
            let patient = gone_round < len / PATIENCE_PART;
            let visits = meta.visits().saturating_sub(1);
            if keep && patient { Fate::Keep(visits) } else { Fate::Lose(Loss::Evicted) }
        }
    }

    /// Whether so much of the main queue is dead that nothing need be
    /// dropped.
    const fn has_slack(&self) -> bool {
        self.main_dead > self.main.len() / DEAD_PART
    }

    fn lose(&mut self, queue: Queue, loss: Loss) {
        let at = self.ring(queue).tail();
        let found = self.found_at(at);
        match loss {
            Loss::Ended => self.stats.expired += 1,
            Loss::Forgotten => {
                let time = entry::version(self.log(), at).time;
                self.forgotten_to = self.forgotten_to.max(Some(time));
                self.stats.forgotten += 1;
            }
            Loss::Evicted => {
                if queue == Queue::Small {
                    self.ghosts.remember(found.own, self.held());
                }
                self.stats.evicted += 1;
            }
        }
        self.remove(found);
        self.discard(queue);
    }

    /// Lets the dead entry at the tail of `queue` leave.
    fn discard(&mut self, queue: Queue) {
        let footprint = Meta::read(self.log(), self.ring(queue).tail()).footprint();
        *self.dead_mut(queue) -= footprint;
        self.leave(queue, footprint);
    }

    /// Moves the entry at the small queue's tail to the main queue.
    fn promote(&mut self, visits: u32, now: Wall) {
        let at = self.small.tail();
        let footprint = Meta::read(self.log(), at).footprint();
        let spot = self.clear(Queue::Main, footprint, now);
        let found = self.found_at(at);
        self.settle(found, spot, visits);
        entry::wipe(self.log_mut(), at..at + footprint);
        self.leave(Queue::Small, footprint);
    }

    /// Moves the entry at the main queue's tail to its head.
    fn go_round(&mut self, visits: u32) {
        let at = self.main.tail();
        let footprint = Meta::read(self.log(), at).footprint();
        let found = self.found_at(at);
        self.leave(Queue::Main, footprint);
        // As much room as it needs has just become free behind the head, or
        // at the start when a filler is due; it may overlap where it was.
        let spot = self.main.spot(footprint).expect("as much just left");
        self.settle(found, spot, visits);
        let kept = if spot.at <= at { spot.at + footprint } else { at };
        entry::wipe(self.log_mut(), kept.max(at)..at + footprint);
    }

    /// Copies a live entry to `spot` in the main queue.
    fn settle(&mut self, found: Found, spot: Spot, visits: u32) {
        let footprint = Meta::read(self.log(), found.at).footprint();
        self.main.push(spot, footprint);
        if let Some((at, len)) = spot.filler {
            self.fill(at, len);
        }
        let log = self.log_mut();
        log.copy_within(found.at..found.at + footprint, spot.at);
        entry::set_visits(log, spot.at, visits);
        let end = entry::end(log, spot.at);
        self.segments.begins(spot.at, end);
        self.relocate(found, spot.at);
    }

    /// Moves the tail of `queue` past its first entry.
    fn leave(&mut self, queue: Queue, footprint: usize) {
        let ring = self.ring_mut(queue);
        let at = ring.tail();
        ring.pop(footprint);
        let next = (!ring.is_empty()).then(|| ring.tail());
        self.segments.left(at, next);
    }
}
