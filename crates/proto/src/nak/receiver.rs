//! One other node's stream, as it arrives here.

use std::time::Duration;

use crate::load::Load;
use crate::nak::gaps::Gaps;
use crate::nak::reassembly::{Assembled, Fragment, Reassembly};
use crate::nak::rtt::Rtt;
use crate::nak::spacing::Spacing;
use crate::nak::window::{Arrival, WINDOW_PACKETS, Window};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::control::Range;

/// What is here of a stream, as whole frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remains {
    /// Up to where everything is.
    pub through: u64,
    /// What is beyond that, in order.
    pub beyond: Vec<Range>,
}

impl Remains {
    /// Whether all that `other` has is here too.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        other.through <= self.through && other.beyond.iter().all(|&range| self.covers(range))
    }

    fn covers(&self, range: Range) -> bool {
        let at = self.beyond.partition_point(|ours| ours.last < range.last);
        range.last <= self.through
            || self.beyond.get(at).is_some_and(|ours| ours.first <= range.first)
    }
}

/// The receiving side of one stream.
#[derive(Debug)]
pub struct Receiver {
    window: Window,
    gaps: Gaps,
    reassembly: Reassembly,
    /// The highest number that the sender is known to have used.
    high: u64,
    /// The highest number that has arrived.
    reached: u64,
    /// Packets since the last status.
    unreported: u32,
    /// When the first of them came.
    progressed: Option<Instant>,
    /// Whether a writer waits to hear of one of them.
    is_waited: bool,
    /// When the next status is due if no packet comes, and the pause before it.
    idle_due: Instant,
    pause: Duration,
}

impl Receiver {
    /// A receiver that follows the stream from `position` on.
    #[must_use]
    pub fn new(now: Instant, position: u64) -> Self {
        Self {
            window: Window::new(position),
            gaps: Gaps::default(),
            reassembly: Reassembly::default(),
            high: position,
            reached: position,
            unreported: 0,
            progressed: None,
            is_waited: false,
            idle_due: now,
            pause: Duration::ZERO,
        }
    }

    /// The number up to which nothing is missing.
    #[must_use]
    pub const fn watermark(&self) -> u64 {
        self.window.watermark()
    }

    /// Where the stream was first followed, or has been followed from since.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.window.start()
    }

    /// The number up to which every frame is here as a whole: fragments that
    /// wait for others of their frame may make it less than the watermark.
    #[must_use]
    pub fn whole_through(&self) -> u64 {
        let unfinished = self.reassembly.unfinished().next();
        unfinished.map_or(u64::MAX, |packets| packets.first - 1).min(self.watermark())
    }

    /// What is here as whole frames: the packets of unfinished frames are
    /// nothing to anybody else.
    #[must_use]
    pub fn remains(&self) -> Remains {
        let through = self.whole_through();
        let up_to_watermark = Range { first: through + 1, last: self.watermark() };
        let received = std::iter::once(up_to_watermark)
            .filter(|range| range.first <= range.last)
            .chain(self.window.beyond());
        let mut unfinished = self.reassembly.unfinished().peekable();
        let mut beyond = Vec::new();
        for mut range in received {
            while let Some(&packets) = unfinished.peek()
                && packets.first <= range.last
            {
                if range.first < packets.first {
                    beyond.push(Range { last: packets.first - 1, ..range });
                }
                range.first = range.first.max(packets.last + 1);
                if packets.last > range.last {
                    break;
                }
                unfinished.next();
            }
            if range.first <= range.last {
                beyond.push(range);
            }
        }
        Remains { through, beyond }
    }

    /// The highest number that the sender is known to have used.
    #[must_use]
    pub const fn high(&self) -> u64 {
        self.high
    }

    /// The highest number that has arrived.
    #[must_use]
    pub const fn reached(&self) -> u64 {
        self.reached
    }

    /// Whether nothing is missing of what the sender is known to have sent.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.window.watermark() >= self.high
    }

    /// Whether a packet is worth opening: new, and within the window.
    #[must_use]
    pub fn wants(&self, sequence: u64) -> bool {
        self.window.arrival(sequence) == Arrival::New
            && sequence <= self.window.watermark() + WINDOW_PACKETS
    }

    /// Whether a number is missing and was asked for.
    #[must_use]
    pub fn was_asked(&self, sequence: u64) -> bool {
        self.gaps.was_asked(sequence)
    }

    /// Takes note of an opened packet that [`Receiver::wants`]. False when it
    /// cannot be taken, and counts as not received.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        sequence: u64,
        rtt: &mut Rtt,
        back_off: Duration,
    ) -> bool {
        if sequence > self.high {
            if sequence > self.high + 1 && self.gaps.is_full() {
                return false;
            }
            self.raise_high(now, sequence - 1, rtt, back_off);
            self.high = sequence;
        } else if !self.gaps.has_room_to_close(Range { first: sequence, last: sequence }) {
            return false;
        } else if let Some(sample) = self.gaps.close(now, sequence) {
            rtt.sample(sample);
        }
        self.window.insert(sequence);
        self.reached = self.reached.max(sequence);
        self.progressed(now);
        true
    }

    /// Takes a fragment in, before [`Receiver::handle_packet`] is told.
    pub fn handle_fragment(&mut self, sequence: u64, fragment: &Fragment<'_>) -> Assembled {
        self.reassembly.insert(sequence, fragment)
    }

    /// The sender says how far its stream has come.
    pub fn handle_high(&mut self, now: Instant, high: u64, rtt: &Rtt, back_off: Duration) {
        if high > self.high && !self.gaps.is_full() {
            self.raise_high(now, high, rtt, back_off);
        }
    }

    /// The stream must be followed from an earlier position. False when that
    /// is too far back to be asked for.
    pub fn reopen(&mut self, now: Instant, position: u64, rtt: &Rtt) -> bool {
        let watermark = self.window.watermark();
        let reopened = self.window.reopen(position);
        if self.window.watermark() < watermark {
            let missing: Vec<Range> = self.window.missing(0, watermark).collect();
            for &range in missing.iter().rev() {
                self.gaps.open_below(now, range, rtt);
            }
        }
        reopened
    }

    /// The sender cannot repair these: they are recovered otherwise. Whether
    /// any of them is missing and was not being recovered already.
    pub fn suspend(&mut self, range: Range) -> bool {
        self.gaps.suspend(range)
    }

    /// The recovery of what was suspended failed: asks for it again.
    pub fn resume(&mut self, now: Instant) {
        self.gaps.resume(now);
    }

    /// Nobody was there to take what came meanwhile: answers to what was asked
    /// for before tell no round trip.
    pub fn excuse(&mut self) {
        self.gaps.excuse();
    }

    /// These have been recovered otherwise.
    pub fn fill(&mut self, now: Instant, range: Range) {
        let known = Range { last: range.last.min(self.high), ..range };
        if known.first <= known.last
            && self.gaps.has_room_to_close(known)
            && let Some(filled) = self.window.fill(known)
        {
            self.gaps.close_range(filled);
            self.reassembly.forget(filled);
            self.progressed(now);
        }
    }

    /// Another receiver asked for these ranges. Gives how many requests of
    /// ours that spared.
    pub fn suppress(&mut self, now: Instant, ranges: &[Range], back_off: Duration) -> u64 {
        self.gaps.suppress(now, ranges, back_off)
    }

    /// The ranges to ask for, when any are due. They are asked for again after
    /// their interval and `back_off`. Nothing beyond the window is asked for:
    /// its repairs would be dropped, and while what lies before is pulled they
    /// would only be in the way.
    pub fn poll_nak(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        back_off: Duration,
    ) -> Option<Vec<Range>> {
        let limit = self.window.watermark() + WINDOW_PACKETS;
        let ranges = self.gaps.take_due(now, limit, rng, back_off);
        (!ranges.is_empty()).then_some(ranges)
    }

    /// Whether a status is due; taking it schedules the next.
    pub fn poll_status(&mut self, now: Instant, spacing: &Spacing, rng: &mut Rng) -> bool {
        let due = self.status_timeout(spacing) <= now;
        if due {
            let progressed = self.progressed.take().is_some();
            (self.unreported, self.is_waited) = (0, false);
            self.pause = if progressed { Duration::ZERO } else { self.pause * 2 };
            self.pause = self.pause.clamp(spacing.repeat, spacing.idle);
            self.idle_due = spacing.idle_due(now, self.pause, rng);
        }
        due
    }

    /// Somebody waits to hear of progress: where receivers are few, the next one
    /// is told at once.
    pub const fn hurry(&mut self) {
        self.is_waited = true;
    }

    /// A status is due at once, and others soon after it.
    pub const fn tell(&mut self, now: Instant) {
        (self.idle_due, self.pause) = (now, Duration::ZERO);
    }

    /// How much is kept of the stream.
    pub(crate) fn loads(&self) -> [Load; 3] {
        [self.window.load(), self.gaps.load(), self.reassembly.load()]
    }

    /// When [`Receiver::poll_nak`] has something again.
    #[must_use]
    pub fn nak_timeout(&self) -> Option<Instant> {
        self.gaps.poll_timeout()
    }

    /// When [`Receiver::poll_status`] is due.
    #[must_use]
    pub fn status_timeout(&self, spacing: &Spacing) -> Instant {
        let hurries = self.is_waited && spacing.is_of_few();
        let at_once = hurries || self.unreported >= spacing.packets;
        let patience = if at_once { Duration::ZERO } else { spacing.delay };
        let told = self.progressed.map(|progressed| progressed + patience);
        told.map_or(self.idle_due, |told| told.min(self.idle_due))
    }

    /// Opens a gap for everything above the known high, through `high`.
    fn raise_high(&mut self, now: Instant, high: u64, rtt: &Rtt, back_off: Duration) {
        if high > self.high {
            let missing = Range { first: self.high + 1, last: high };
            self.gaps.open(now, missing, rtt, back_off);
            self.high = high;
        }
    }

    fn progressed(&mut self, now: Instant) {
        self.reassembly.forget_through(self.window.watermark());
        self.unreported += 1;
        self.progressed.get_or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nak::gaps::MAX_GAPS;
    use crate::nak::reassembly::FRAGMENT_BYTES;

    const START: Instant = Instant::from_micros(1_000_000);

    fn ranges(pairs: &[(u64, u64)]) -> Vec<Range> {
        pairs.iter().map(|&(first, last)| Range { first, last }).collect()
    }

    fn remains(through: u64, beyond: &[(u64, u64)]) -> Remains {
        Remains { through, beyond: ranges(beyond) }
    }

    fn take(receiver: &mut Receiver, sequence: u64) {
        assert!(receiver.wants(sequence));
        receiver.handle_packet(START, sequence, &mut Rtt::default(), Duration::ZERO);
    }

    fn take_fragment(receiver: &mut Receiver, sequence: u64, index: u16, count: u16) {
        let bytes = [0; FRAGMENT_BYTES];
        receiver.handle_fragment(sequence, &Fragment { index, count, bytes: &bytes });
        take(receiver, sequence);
    }

    #[test]
    fn gaps_do_not_outgrow_their_limit_when_they_are_split() {
        let mut receiver = Receiver::new(START, 0);
        receiver.handle_high(START, WINDOW_PACKETS, &Rtt::default(), Duration::ZERO);
        let mut rtt = Rtt::default();
        let taken = (1..=WINDOW_PACKETS / 2)
            .filter(|half| receiver.handle_packet(START, 2 * half, &mut rtt, Duration::ZERO))
            .count();
        // The last of them does not split a gap.
        assert_eq!(taken, MAX_GAPS);
        assert!(receiver.loads().iter().all(|load| load.used <= load.limit));
    }

    #[test]
    fn progress_is_told_soon_and_its_absence_less_and_less_often() {
        let spacing = Spacing::of(1_000);
        let mut receiver = Receiver::new(START, 0);
        let mut rng = Rng::from_u64(1);
        assert!(receiver.poll_status(START, &spacing, &mut rng));
        take(&mut receiver, 1);
        let mut told = receiver.status_timeout(&spacing);
        assert_eq!(told, START + spacing.delay);
        let pauses = std::iter::from_fn(|| {
            assert!(receiver.poll_status(told, &spacing, &mut rng));
            let next = receiver.status_timeout(&spacing);
            Some((next - std::mem::replace(&mut told, next)).as_millis())
        });
        let pauses: Vec<u128> = pauses.take(9).collect();
        assert!(pauses[0] <= 130 && pauses[8] >= 6_250 * 3 / 4, "{pauses:?}");
        assert!(pauses.iter().all(|&pause| pause <= 6_250 * 5 / 4 + 50), "{pauses:?}");
        // What else is to be told does not wait for that, even if it is lost.
        receiver.tell(told);
        assert!(receiver.poll_status(told, &spacing, &mut rng));
        assert!(receiver.status_timeout(&spacing) - told <= Duration::from_millis(130));
    }

    #[test]
    fn progress_that_is_waited_for_is_told_at_once_by_few() {
        let check = |receivers: usize, patience: Duration| {
            let (spacing, mut rng) = (Spacing::of(receivers), Rng::from_u64(1));
            let mut receiver = Receiver::new(START, 0);
            assert!(receiver.poll_status(START, &spacing, &mut rng));
            receiver.hurry();
            assert!(receiver.status_timeout(&spacing) > START, "there is no progress yet");
            take(&mut receiver, 1);
            assert_eq!(receiver.status_timeout(&spacing), START + patience);
            assert!(receiver.poll_status(START + patience, &spacing, &mut rng));
            // Once it was told, nobody waits.
            take(&mut receiver, 2);
            assert_eq!(receiver.status_timeout(&spacing), START + spacing.delay);
        };
        check(1, Duration::ZERO);
        check(1_000, Spacing::of(1_000).delay);
    }

    #[test]
    fn the_packets_of_unfinished_frames_do_not_remain() {
        let mut receiver = Receiver::new(START, 10);
        for sequence in [11, 15, 19, 20] {
            take(&mut receiver, sequence);
        }
        // Fragments of 12..=14, of 16..=18 and, finished, of 21..=22.
        for (sequence, index, count) in
            [(12, 0, 3), (14, 2, 3), (16, 0, 3), (18, 2, 3), (21, 0, 2), (22, 1, 2)]
        {
            take_fragment(&mut receiver, sequence, index, count);
        }
        assert_eq!(receiver.remains(), remains(11, &[(15, 15), (19, 22)]));
        receiver.fill(START, Range { first: 12, last: 14 });
        assert_eq!(receiver.remains(), remains(15, &[(19, 22)]));
        receiver.fill(START, Range { first: 16, last: 18 });
        assert_eq!(receiver.remains(), remains(22, &[]));
    }

    #[test]
    fn one_covers_another_that_has_nothing_more() {
        let check = |one: &Remains, other: &Remains, covers: bool| {
            assert_eq!(one.cover(other), covers, "{one:?} {other:?}");
        };
        let both = remains(5, &[(7, 9), (12, 12)]);
        check(&both, &both, true);
        check(&both, &remains(4, &[(8, 8), (12, 12)]), true);
        check(&both, &remains(4, &[(5, 5), (9, 10)]), false);
        check(&both, &remains(6, &[]), false);
        check(&remains(20, &[]), &both, true);
        check(&both, &remains(0, &[(4, 6)]), false);
    }

    #[test]
    fn what_is_recovered_far_behind_the_window_lets_the_stream_go_on() {
        let mut receiver = Receiver::new(START, 0);
        let high = 5 * WINDOW_PACKETS;
        receiver.handle_high(START, high, &Rtt::default(), Duration::ZERO);
        receiver.fill(START, Range { first: 1, last: high - 2 });
        assert_eq!(receiver.watermark(), high - 2);
        take(&mut receiver, high);
        let later = START + Duration::from_secs(1);
        let asked = receiver.poll_nak(later, &mut Rng::from_u64(1), Duration::ZERO);
        assert_eq!(asked, Some(ranges(&[(high - 1, high - 1)])));
    }
}
