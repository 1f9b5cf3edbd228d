//! The gaps in one stream, and when each is asked for.

use std::time::Duration;

use crate::load::Load;
use crate::nak::rtt::Rtt;
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::control::{MAX_NAK_RANGES, Range};

/// The shortest time that a gap is waited for: packets overtake each other.
const MIN_PATIENCE: Duration = Duration::from_micros(100);
/// The longest time between two requests for one gap. Also for a peer that is
/// farther away: it repairs once in a round trip, however often it is asked,
/// and a round trip that was measured while a large farm met may be far too
/// long, and is seldom measured again.
const MAX_INTERVAL: Duration = Duration::from_millis(64);
/// More gaps than this are not told apart: what would add one is taken as
/// not received.
pub const MAX_GAPS: usize = 4_096;

/// A run of missing numbers.
#[derive(Debug, Clone, Copy)]
struct Gap {
    range: Range,
    /// When it is asked for next; `None` while it is recovered otherwise.
    due: Option<Instant>,
    /// How long after that it is asked for again.
    interval: Duration,
    /// When it was asked for, if it was exactly once: then the repair tells
    /// the round trip (Karn's rule).
    asked_once: Option<Instant>,
    asked: bool,
}

/// All gaps of a stream, in order.
#[derive(Debug, Clone, Default)]
pub struct Gaps(Vec<Gap>);

impl Gaps {
    /// Whether there is no gap.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is no room for another gap.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.0.len() >= MAX_GAPS
    }

    /// How many there are.
    pub(crate) const fn load(&self) -> Load {
        Load::new("gaps", self.0.len(), MAX_GAPS)
    }

    /// Adds a gap above all others. It is asked for after the stream's
    /// patience and `back_off`.
    pub fn open(&mut self, now: Instant, range: Range, rtt: &Rtt, back_off: Duration) {
        let due = now + (rtt.mean() / 4).max(MIN_PATIENCE) + back_off;
        self.0.push(Gap {
            range,
            due: Some(due),
            interval: rtt.patience().min(MAX_INTERVAL),
            asked_once: None,
            asked: false,
        });
    }

    /// Adds a gap below all others, to be asked for at once.
    pub fn open_below(&mut self, now: Instant, range: Range, rtt: &Rtt) {
        let interval = rtt.patience().min(MAX_INTERVAL);
        let gap = Gap { range, due: Some(now), interval, asked_once: None, asked: false };
        self.0.insert(0, gap);
    }

    /// Whether a number is in a gap that was asked for.
    #[must_use]
    pub fn was_asked(&self, sequence: u64) -> bool {
        self.find(sequence).is_some_and(|at| self.0[at].asked)
    }

    /// Whether `range` can be taken out: out of the middle of a gap it makes
    /// two of that.
    #[must_use]
    pub fn has_room_to_close(&self, range: Range) -> bool {
        let splits = |at: usize| {
            let gap = self.0[at].range;
            gap.first < range.first && range.last < gap.last
        };
        !self.is_full() || !self.find(range.first).is_some_and(splits)
    }

    /// Takes a number that has come out of its gap. Gives the time since it
    /// was asked for, when that tells the round trip.
    pub fn close(&mut self, now: Instant, sequence: u64) -> Option<Duration> {
        let at = self.find(sequence)?;
        let gap = self.0[at];
        self.cut(at, Range { first: sequence, last: sequence });
        gap.asked_once.map(|asked| now - asked)
    }

    /// Takes a whole range out.
    pub fn close_range(&mut self, range: Range) {
        self.for_each_part(range, |gaps, at, part| gaps.cut(at, part));
    }

    /// Stops asking for what of `range` is missing, because it is recovered
    /// otherwise. Whether any of it was being asked for: when there is no room
    /// for the parts of the gaps at its ends, it goes on being asked for.
    pub fn suspend(&mut self, range: Range) -> bool {
        if self.0.len() + 2 > MAX_GAPS {
            return false;
        }
        let mut any = false;
        self.for_each_part(range, |gaps, at, part| {
            let gap = gaps.0[at];
            if gap.due.is_some() {
                any = true;
                gaps.cut(at, part);
                let at = gaps.0.partition_point(|other| other.range.first < part.first);
                gaps.0.insert(at, Gap { range: part, due: None, ..gap });
            }
        });
        any
    }

    /// Asks again, at `now`, for what was suspended.
    pub fn resume(&mut self, now: Instant) {
        for gap in self.0.iter_mut().filter(|gap| gap.due.is_none()) {
            gap.due = Some(now);
        }
    }

    /// No answer tells the round trip of what was asked for up to here: nobody
    /// was there to take it.
    pub fn excuse(&mut self) {
        self.0.iter_mut().for_each(|gap| gap.asked_once = None);
    }

    /// Another receiver asked for these: waits for its repair instead of
    /// asking too, and for `back_off` beyond that, since many others wait as
    /// long and would ask at once if the repair is lost (RFC 5401, section
    /// 5.2). How many gaps of ours that spared.
    pub fn suppress(&mut self, now: Instant, ranges: &[Range], back_off: Duration) -> u64 {
        let mut spared = 0;
        for gap in &mut self.0 {
            // In order, as every message has them.
            let at = ranges.partition_point(|other| other.last < gap.range.last);
            let covered = ranges.get(at).is_some_and(|other| other.first <= gap.range.first);
            if let (true, Some(due)) = (covered, gap.due) {
                spared += u64::from(due <= now + gap.interval);
                gap.due = Some(due.max(now + gap.interval + back_off));
                // Whose request the repair answers is not known: if ours was
                // lost it tells no round trip (Karn's rule).
                gap.asked_once = None;
            }
        }
        spared
    }

    /// The ranges to ask for at `now`, at most [`MAX_NAK_RANGES`]; each is
    /// then due again after its interval, which doubles, with jitter, and
    /// `back_off`. What lies beyond `limit` is not asked for yet: it could not
    /// be taken in.
    pub fn take_due(
        &mut self,
        now: Instant,
        limit: u64,
        rng: &mut Rng,
        back_off: Duration,
    ) -> Vec<Range> {
        let mut ranges = Vec::new();
        for gap in &mut self.0 {
            if ranges.len() == MAX_NAK_RANGES {
                break;
            }
            if gap.due.is_none_or(|due| due > now) {
                continue;
            }
            gap.due = Some(now + jittered(gap.interval, rng) + back_off);
            if gap.range.first <= limit {
                ranges.push(Range { last: gap.range.last.min(limit), ..gap.range });
                gap.interval = (gap.interval * 2).min(MAX_INTERVAL);
                gap.asked_once = (!gap.asked).then_some(now);
                gap.asked = true;
            }
        }
        ranges
    }

    /// When the next gap is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(|gap| gap.due).min()
    }

    /// Where the gap with that number stands.
    fn find(&self, sequence: u64) -> Option<usize> {
        let at = self.0.partition_point(|gap| gap.range.last < sequence);
        self.0.get(at).is_some_and(|gap| gap.range.first <= sequence).then_some(at)
    }

    /// Calls `act` with each part of `range` that lies in one gap.
    fn for_each_part(&mut self, range: Range, mut act: impl FnMut(&mut Self, usize, Range)) {
        let mut from = range.first;
        loop {
            let at = self.0.partition_point(|gap| gap.range.last < from);
            let Some(gap) = self.0.get(at).map(|gap| gap.range) else { return };
            let part = Range { first: gap.first.max(from), last: gap.last.min(range.last) };
            if part.first > part.last {
                return;
            }
            act(self, at, part);
            from = part.last + 1;
        }
    }

    /// Takes `part` out of the gap at `at`, which it lies in.
    fn cut(&mut self, at: usize, part: Range) {
        let gap = self.0[at];
        let (keep_left, keep_right) = (gap.range.first < part.first, part.last < gap.range.last);
        let left = Gap { range: Range { last: part.first.wrapping_sub(1), ..gap.range }, ..gap };
        let right = Gap { range: Range { first: part.last + 1, ..gap.range }, ..gap };
        match (keep_left, keep_right) {
            (true, true) => {
                self.0[at] = left;
                self.0.insert(at + 1, right);
            }
            (true, false) => self.0[at] = left,
            (false, true) => self.0[at] = right,
            (false, false) => {
                self.0.remove(at);
            }
        }
    }
}

/// A duration between three quarters and five quarters of `interval`, so that
/// receivers do not ask in step.
pub(super) fn jittered(interval: Duration, rng: &mut Rng) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(micros - micros / 4 + rng.below(micros / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000);

    fn gaps(ranges: &[(u64, u64)]) -> Gaps {
        let mut gaps = Gaps::default();
        for &(first, last) in ranges {
            gaps.open(START, Range { first, last }, &Rtt::default(), Duration::ZERO);
        }
        gaps
    }

    fn ranges(gaps: &Gaps) -> Vec<(u64, u64)> {
        gaps.0.iter().map(|gap| (gap.range.first, gap.range.last)).collect()
    }

    #[test]
    fn numbers_come_out_of_their_gaps() {
        let mut gaps = gaps(&[(1, 5), (10, 10)]);
        for sequence in [3, 10, 7, 1] {
            gaps.close(START, sequence);
        }
        assert_eq!(ranges(&gaps), [(2, 2), (4, 5)]);
        gaps.close_range(Range { first: 0, last: 4 });
        assert_eq!(ranges(&gaps), [(5, 5)]);
    }

    #[test]
    fn asks_after_patience_then_less_and_less_often() {
        let mut gaps = gaps(&[(1, 5)]);
        let mut rng = Rng::from_u64(1);
        assert!(gaps.take_due(START, u64::MAX, &mut rng, Duration::ZERO).is_empty());
        let mut intervals = Vec::new();
        let mut asked = gaps.poll_timeout().unwrap();
        for _ in 0..12 {
            assert_eq!(
                gaps.take_due(asked, u64::MAX, &mut rng, Duration::ZERO),
                [Range { first: 1, last: 5 }]
            );
            let next = gaps.poll_timeout().unwrap();
            intervals.push(next - asked);
            asked = next;
        }
        assert!(intervals[0] < Duration::from_millis(6), "{intervals:?}");
        assert!(intervals[11] <= MAX_INTERVAL * 5 / 4, "{intervals:?}");
        assert!(intervals[11] >= MAX_INTERVAL * 3 / 4, "{intervals:?}");
    }

    #[test]
    fn a_round_trip_that_seems_long_does_not_make_it_wait() {
        let mut rtt = Rtt::default();
        rtt.sample(Duration::from_secs(1));
        let mut gaps = Gaps::default();
        gaps.open(START, Range { first: 1, last: 1 }, &rtt, Duration::ZERO);
        let asked = gaps.poll_timeout().unwrap();
        gaps.take_due(asked, u64::MAX, &mut Rng::from_u64(1), Duration::ZERO);
        assert!(gaps.poll_timeout().unwrap() - asked <= MAX_INTERVAL * 5 / 4);
    }

    #[test]
    fn only_the_first_repair_tells_the_round_trip() {
        let mut gaps = gaps(&[(1, 2)]);
        let mut rng = Rng::from_u64(1);
        let asked = gaps.poll_timeout().unwrap();
        gaps.take_due(asked, u64::MAX, &mut rng, Duration::ZERO);
        let later = asked + Duration::from_micros(300);
        assert_eq!(gaps.close(later, 1), Some(Duration::from_micros(300)));
        gaps.take_due(asked + Duration::from_secs(1), u64::MAX, &mut rng, Duration::ZERO);
        assert_eq!(gaps.close(asked + Duration::from_secs(2), 2), None);
    }

    #[test]
    fn what_is_recovered_otherwise_is_not_asked_for() {
        let mut gaps = gaps(&[(1, 5), (8, 9)]);
        assert!(gaps.suspend(Range { first: 4, last: 8 }));
        assert!(!gaps.suspend(Range { first: 4, last: 8 }));
        assert_eq!(ranges(&gaps), [(1, 3), (4, 5), (8, 8), (9, 9)]);
        let later = START + Duration::from_secs(1);
        let asked = gaps.take_due(later, u64::MAX, &mut Rng::from_u64(1), Duration::ZERO);
        assert_eq!(asked, [Range { first: 1, last: 3 }, Range { first: 9, last: 9 }]);
    }

    #[test]
    fn what_could_not_be_taken_in_is_not_asked_for_yet() {
        let mut gaps = gaps(&[(1, 5), (8, 9)]);
        let (soon, mut rng) = (START + Duration::from_secs(1), Rng::from_u64(1));
        assert_eq!(gaps.take_due(soon, 3, &mut rng, Duration::ZERO), [Range { first: 1, last: 3 }]);
        assert!(gaps.poll_timeout().unwrap() > soon);
        let later = soon + Duration::from_secs(1);
        let asked = gaps.take_due(later, 9, &mut rng, Duration::ZERO);
        assert_eq!(asked, [Range { first: 1, last: 5 }, Range { first: 8, last: 9 }]);
    }

    #[test]
    fn another_receivers_request_spares_ours() {
        let mut gaps = gaps(&[(1, 1), (4, 4)]);
        let back_off = Duration::from_millis(3);
        assert_eq!(gaps.suppress(START, &[Range { first: 1, last: 2 }], back_off), 1);
        let soon = START + Duration::from_millis(1);
        let asked = gaps.take_due(soon, u64::MAX, &mut Rng::from_u64(1), Duration::from_secs(1));
        assert_eq!(asked, [Range { first: 4, last: 4 }]);
        // Not before the repair may have come, and those who ask take turns.
        assert_eq!(gaps.poll_timeout(), Some(START + Rtt::default().patience() + back_off));
    }

    #[test]
    fn a_repair_that_another_asked_for_as_well_tells_no_round_trip() {
        let mut gaps = gaps(&[(1, 1)]);
        let asked = gaps.poll_timeout().unwrap();
        gaps.take_due(asked, u64::MAX, &mut Rng::from_u64(1), Duration::ZERO);
        gaps.suppress(
            asked + Duration::from_secs(1),
            &[Range { first: 1, last: 1 }],
            Duration::ZERO,
        );
        assert_eq!(gaps.close(asked + Duration::from_secs(2), 1), None);
    }

    #[test]
    fn what_would_split_a_gap_too_many_is_known() {
        let mut gaps = gaps(&[(1, 3)]);
        let single = |number: u64| Range { first: number, last: number };
        for number in 1..MAX_GAPS as u64 {
            gaps.open(START, single(10 * number), &Rtt::default(), Duration::ZERO);
        }
        let check = |sequence: u64, room: bool| {
            assert_eq!(gaps.has_room_to_close(single(sequence)), room, "{sequence}");
        };
        check(1, true);
        check(2, false);
        check(3, true);
        check(10, true);
        check(11, true);
    }
}
