//! Whether two nodes hold the same, found by digests of ranges of keys.
//!
//! It owns what each other node told of its ranges, and when ours are told and
//! fetched. It is the last resort: streams and what survivors tell of them
//! account for packets, but a record may come without one, in a page of a dead
//! node's records whose giver dies before the rest has come. Nothing else says
//! that such a record is here and not there. What differs, and why, it does
//! not know: it fetches the range, and merging does the rest.
//!
//! Packets on their way make ranges differ as well, for a moment. So a range
//! is fetched when it differs still at the next telling; of those that differ
//! otherwise by then, which may be chance again, one in each interval. What
//! was fetched for a pair of digests is not fetched for that pair again: two
//! nodes whose clocks differ may never come to hold the same.
//!
//! One pull at a time, of few ranges, whoever tells: what several nodes have
//! comes from one of them, and who tells false digests costs no more than
//! that. While it lasts the other differences stay as they are, and the next
//! telling decides anew.
//!
//! Digests are of versions. Idle deadlines are no part of them, so a touch
//! that is not here makes no difference: the record ends early here, differs
//! from then on, and is fetched with its later deadline. Until then a look-up
//! of it is a miss.
//!
//! A node that dropped records for room within the longest lifetime neither
//! tells nor compares: it would fetch what it could not keep.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Node;
use crate::cluster::portion::Keep;
use crate::table::{KeyRange, RANGES};
use crate::time::Instant;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{MAX_DIGESTS, Message, Source};
use crate::wire::header::Incarnation;

/// How soon a node tells its digests when it found that a range differs more
/// than once: longer than a repair takes, so that what was on its way has come.
const TELL_SOON: Duration = Duration::from_secs(1);
/// A node's ranges are not fetched twice within this time: less than there is
/// between two tellings, of which one may be longer on its way.
const FETCH_PAUSE: Duration = Duration::from_millis(500);
/// The most ranges of a pull, a 64th of the table: what is more urgent waits
/// for the pull that runs.
const MAX_FETCHED: usize = 4;
/// A session lives at most so long: what was dropped for room longer ago has
/// ended on the other nodes as well.
pub(super) const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

const _: () = assert!(RANGES.is_multiple_of(MAX_DIGESTS), "whole messages");

/// When comparing goes on.
#[derive(Debug)]
pub(super) struct Pace {
    /// When our digests are told.
    tell_due: Instant,
    /// When a range that differs otherwise may be fetched.
    otherwise_due: Instant,
    shortage: Shortage,
}

/// Whether records were dropped for room that may live on elsewhere.
#[derive(Debug, Default)]
struct Shortage {
    /// How many were dropped since the node began.
    dropped: u64,
    /// When the last of them has ended everywhere.
    until: Option<Instant>,
}

/// The ranges in which another node differs from us, as it told last.
#[derive(Debug, Default)]
pub(super) struct Differences {
    ranges: BTreeMap<KeyRange, Difference>,
    /// When ranges may be fetched from it.
    fetch_due: Instant,
}

/// A range that differs.
#[derive(Debug)]
struct Difference {
    /// Their digest, then ours.
    digests: [u64; 2],
    /// Whether the range was fetched since.
    fetched: bool,
}

/// What a comparison of a range came to.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Both hold the same, or what was fetched already did not make it so.
    Nothing,
    /// The range differs for the first time.
    Differs,
    /// It did before, by other digests: other packets may be on their way.
    DiffersOtherwise,
    /// It did before, by the same digests.
    DiffersStill,
}

impl Pace {
    pub(super) fn new(now: Instant, every: Duration) -> Self {
        Self { tell_due: now + every, otherwise_due: now, shortage: Shortage::default() }
    }
}

impl Shortage {
    /// Takes note of how many records were dropped for room so far.
    fn look(&mut self, now: Instant, dropped: u64) {
        if dropped > self.dropped {
            self.dropped = dropped;
            self.until = Some(now + LONGEST_LIFETIME);
        } else {
            self.until = self.until.filter(|&until| until > now);
        }
    }
}

impl Differences {
    /// Takes note of their digest of a range, and ours.
    fn compare(&mut self, range: KeyRange, digests: [u64; 2]) -> Found {
        let [theirs, ours] = digests;
        if theirs == ours {
            self.ranges.remove(&range);
            return Found::Nothing;
        }
        match self.ranges.get_mut(&range) {
            Some(before) if before.digests == digests && before.fetched => Found::Nothing,
            Some(before) if before.digests == digests => Found::DiffersStill,
            Some(before) => {
                *before = Difference { digests, fetched: false };
                Found::DiffersOtherwise
            }
            None => {
                self.ranges.insert(range, Difference { digests, fetched: false });
                Found::Differs
            }
        }
    }

    /// These ranges are being fetched, for the digests that were compared last.
    fn fetch(&mut self, now: Instant, ranges: &[KeyRange]) {
        self.fetch_due = now + FETCH_PAUSE;
        for range in ranges {
            if let Some(difference) = self.ranges.get_mut(range) {
                difference.fetched = true;
            }
        }
    }
}

impl Node {
    /// Whether this node compares what it holds with what others hold: not
    /// before its portion has arrived, and not for a day after it dropped a
    /// record for room.
    #[must_use]
    pub const fn comparing(&self) -> bool {
        self.is_ready() && self.pace.shortage.until.is_none()
    }

    /// Tells the digests of our ranges when it is time.
    pub(super) fn tell_digests(&mut self, now: Instant) {
        // What the others cannot have would only differ.
        let all_sent = self.sender.sent_high() == self.sender.high();
        if self.pace.tell_due > now || !all_sent {
            return;
        }
        self.pace.tell_due = now + self.config.compare_every;
        self.look_for_shortage(now);
        if !self.comparing() || self.alive().next().is_none() {
            return;
        }
        if self.portions.sharing {
            self.tell_common();
            if !self.has_whole_peer() {
                return;
            }
        }
        let ranges: Vec<KeyRange> = KeyRange::all().collect();
        let hearers = self.alive().count();
        for ranges in ranges.chunks(MAX_DIGESTS) {
            let digests = ranges.iter().map(|&range| self.holdings.digest(range)).collect();
            let message = Message::Digests { first: ranges[0], digests };
            self.counters.digest_bytes += (self.outbox.push_to_farm(&message) * hearers) as u64;
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
        self.look_for_shortage(now);
        let whole = self.peers.get(&from).is_some_and(|peer| peer.portion.keep == Keep::All);
        if !self.comparing() || !whole || self.config.portion.keep != Keep::All {
            return;
        }
        let ranges = (first.0..=u8::MAX).map(KeyRange);
        let ours: Vec<u64> = ranges.map(|range| self.holdings.digest(range)).collect();
        self.compare_digests(now, from, first, digests.iter().copied().zip(ours));
    }

    /// Compares digests of ranges from `first` on, theirs with ours, and fetches
    /// what differs.
    pub(super) fn compare_digests(
        &mut self,
        now: Instant,
        from: Incarnation,
        first: KeyRange,
        digests: impl Iterator<Item = (u64, u64)>,
    ) {
        // Of one whose history is not merged much may be missing: that is
        // fetched otherwise.
        let Some(peer) = self.peers.get_mut(&from).filter(|peer| !peer.unmerged) else { return };
        let (mut still, mut otherwise) = (Vec::new(), Vec::new());
        for (range, (theirs, ours)) in (first.0..=u8::MAX).map(KeyRange).zip(digests) {
            match peer.differences.compare(range, [theirs, ours]) {
                Found::Nothing | Found::Differs => {}
                Found::DiffersOtherwise => otherwise.push(range),
                Found::DiffersStill => still.push(range),
            }
        }
        if still.is_empty() && otherwise.is_empty() {
            return;
        }
        // Who lacks something hears it from us as well.
        self.pace.tell_due = self.pace.tell_due.min(now + TELL_SOON);
        self.fetch_ranges(now, from, still, &otherwise);
    }

    /// Fetches some of the ranges in which a node differs: those that differ
    /// `still`, and now and then one of those that differ `otherwise`.
    fn fetch_ranges(
        &mut self,
        now: Instant,
        from: Incarnation,
        still: Vec<KeyRange>,
        otherwise: &[KeyRange],
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        if self.puller.has(&Purpose::Differs) || peer.differences.fetch_due > now {
            return;
        }
        let mut ranges = still;
        // Of a share each range is a pull of its own.
        let most = if self.portions.sharing { 1 } else { MAX_FETCHED };
        ranges.truncate(most);
        if ranges.len() < most && !otherwise.is_empty() && self.pace.otherwise_due <= now {
            self.pace.otherwise_due = now + self.config.compare_every;
            let at = self.rng.below(otherwise.len() as u64);
            ranges.push(otherwise[usize::try_from(at).expect("below a usize")]);
        }
        if ranges.is_empty() {
            return;
        }
        peer.differences.fetch(now, &ranges);
        self.counters.ranges_fetched += ranges.len() as u64;
        let source = match ranges[..] {
            [range] if self.config.portion.keep != Keep::All => self.source_in_common(from, range),
            _ => Source::Ranges(ranges.into_iter().collect()),
        };
        self.pull(now, Pull { from, source, purpose: Purpose::Differs });
    }

    /// Ranges in which a node differs could not be fetched from it: it is
    /// compared anew, and asked again after an interval at the soonest.
    pub(super) fn differences_missed(&mut self, now: Instant, from: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&from) {
            let fetch_due = now + self.config.compare_every;
            peer.differences = Differences { ranges: BTreeMap::new(), fetch_due };
        }
    }

    /// Whether this node and another both keep everything.
    fn has_whole_peer(&self) -> bool {
        self.config.portion.keep == Keep::All
            && self.alive().any(|peer| peer.portion.keep == Keep::All)
    }

    fn look_for_shortage(&mut self, now: Instant) {
        let stats = self.holdings.stats();
        self.pace.shortage.look(now, stats.evicted + stats.forgotten);
    }
}
