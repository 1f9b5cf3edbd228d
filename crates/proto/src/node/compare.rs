//! Whether two nodes hold the same, found by digests of ranges of keys.
//!
//! Streams and what survivors tell of them account for packets. A record may
//! come without one: a page of a dead node's records is taken in, and the
//! node that gave it dies before the rest has come. What was taken in is then
//! here, nothing says so, and nobody asks for it. So every node tells the
//! others the digests of its ranges at intervals, and who finds a range
//! unlike fetches it.
//!
//! Packets on their way make ranges unlike as well, for a moment. So only
//! what is unlike twice in a row is fetched; of ranges that have changed
//! meanwhile, where it may be chance again, one in each interval. Two nodes
//! whose clocks differ may never come to hold the same: what was fetched once
//! for a pair of digests is not fetched for that pair again.
//!
//! A node that has dropped records for room neither tells nor compares: it
//! would fetch what it cannot keep.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use crate::table::{KeyRange, RANGES};
use crate::time::Instant;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{MAX_DIGESTS, Message, Source};
use crate::wire::header::Incarnation;

/// How soon a node tells its digests when it has found a range unlike: longer
/// than a repair takes, so that what was on its way has come.
const TELL_SOON: Duration = Duration::from_secs(1);

/// When comparing goes on.
#[derive(Debug)]
pub(super) struct Pace {
    /// When our digests are told.
    tell_due: Instant,
    /// When a range that keeps changing may be fetched.
    changed_due: Instant,
}

/// The ranges that another node holds unlike us, as it told last.
#[derive(Debug, Default)]
pub(super) struct Likeness(BTreeMap<KeyRange, Unlike>);

/// A range that is held unlike.
#[derive(Debug)]
struct Unlike {
    /// Their digest, then ours.
    digests: [u64; 2],
    /// Whether the range was fetched since.
    fetched: bool,
}

/// What a comparison came to.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Both hold the same, or what was fetched already did not make it so.
    Nothing,
    /// The range is unlike for the first time.
    Unlike,
    /// It is again, but has changed: other packets may be on their way.
    UnlikeAgain,
    /// It is still.
    UnlikeStill,
}

impl Pace {
    pub(super) fn new(now: Instant, every: Duration) -> Self {
        Self { tell_due: now + every, changed_due: now }
    }
}

impl Likeness {
    /// Takes note of their digest of a range, and ours.
    fn compare(&mut self, range: KeyRange, digests: [u64; 2]) -> Found {
        let [theirs, ours] = digests;
        if theirs == ours {
            self.0.remove(&range);
            return Found::Nothing;
        }
        let unlike = Unlike { digests, fetched: false };
        match self.0.insert(range, unlike) {
            None => Found::Unlike,
            Some(before) if before.digests != digests => Found::UnlikeAgain,
            Some(before) => {
                self.fetch(range);
                if before.fetched { Found::Nothing } else { Found::UnlikeStill }
            }
        }
    }

    /// A range is being fetched for the digests that were compared last.
    fn fetch(&mut self, range: KeyRange) {
        if let Some(unlike) = self.0.get_mut(&range) {
            unlike.fetched = true;
        }
    }
}

impl Node {
    /// Tells the digests of our ranges when it is time.
    pub(super) fn tell_digests(&mut self, now: Instant) {
        if self.pace.tell_due > now {
            return;
        }
        self.pace.tell_due = now + self.config.compare_every;
        if !self.compares() || self.peers.is_empty() {
            return;
        }
        let ranges: Vec<KeyRange> = KeyRange::all().collect();
        for ranges in ranges.chunks(MAX_DIGESTS) {
            let digests = ranges.iter().map(|&range| self.table.digest(range)).collect();
            self.outbox.push_to_farm(&Message::Digests { first: ranges[0], digests });
        }
    }

    /// Another node tells the digests of its ranges from `first` on.
    pub(super) fn handle_digests(
        &mut self,
        now: Instant,
        from: Incarnation,
        first: KeyRange,
        digests: &[u64],
    ) {
        if !self.compares() {
            return;
        }
        // Of one whose history is not merged much may be missing: that is
        // fetched otherwise.
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| !peer.unmerged) else { return };
        let mut fetched = Vec::new();
        let mut changed = Vec::new();
        let mut unlike = false;
        for (range, &theirs) in (first.0..=u8::MAX).map(KeyRange).zip(digests) {
            let ours = self.table.digest(range);
            let found = peer.likeness.compare(range, [theirs, ours]);
            unlike |= found != Found::Nothing;
            match found {
                Found::Nothing | Found::Unlike => {}
                Found::UnlikeAgain => changed.push(range),
                Found::UnlikeStill => fetched.push(range),
            }
        }
        if !changed.is_empty() && self.pace.changed_due <= now {
            self.pace.changed_due = now + self.config.compare_every;
            let at = usize::try_from(self.rng.below(changed.len() as u64)).expect("below a usize");
            peer.likeness.fetch(changed[at]);
            fetched.push(changed[at]);
        }
        if unlike {
            // Who lacks something hears it from us as well.
            self.pace.tell_due = self.pace.tell_due.min(now + TELL_SOON);
        }
        if !fetched.is_empty() {
            self.counters.ranges_fetched += fetched.len() as u64;
            let source = Source::Ranges(fetched.into_iter().collect());
            self.pull(now, Pull { from, source, purpose: Purpose::Unlike });
        }
    }

    /// What a node holds unlike us could not be fetched: it is compared anew.
    pub(super) fn unlike_missed(&mut self, from: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.likeness = Likeness::default();
        }
    }

    /// Whether what we hold can be compared with what others hold.
    fn compares(&self) -> bool {
        let stats = self.table.stats();
        self.is_ready() && stats.evicted + stats.forgotten == 0
    }
}

const _: () = assert!(RANGES.is_multiple_of(MAX_DIGESTS), "whole messages");

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: KeyRange = KeyRange(7);

    #[track_caller]
    fn check(told: &[[u64; 2]], expected: &[Found]) {
        let mut likeness = Likeness::default();
        let found: Vec<Found> =
            told.iter().map(|&digests| likeness.compare(RANGE, digests)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_on_its_way_is_not_fetched() {
        use Found::{Nothing, Unlike};
        check(&[[1, 2], [2, 2], [3, 2]], &[Unlike, Nothing, Unlike]);
    }

    #[test]
    fn what_stays_unlike_is_fetched_once() {
        use Found::{Nothing, Unlike, UnlikeAgain, UnlikeStill};
        check(&[[1, 2]; 4], &[Unlike, UnlikeStill, Nothing, Nothing]);
        check(&[[1, 2], [1, 2], [1, 3], [1, 3]], &[Unlike, UnlikeStill, UnlikeAgain, UnlikeStill]);
    }
}
