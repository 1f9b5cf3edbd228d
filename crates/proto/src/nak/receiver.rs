//! One other node's stream, as it arrives here.

use std::time::Duration;

use crate::nak::gaps::Gaps;
use crate::nak::reassembly::{Assembled, Fragment, Reassembly};
use crate::nak::rtt::Rtt;
use crate::nak::window::{Arrival, WINDOW_PACKETS, Window};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::control::Range;

/// Progress is told after so many packets, or after [`STATUS_DELAY`].
const STATUS_PACKETS: u32 = 128;
const STATUS_DELAY: Duration = Duration::from_millis(1);
/// Progress is told this often when there is none.
pub const STATUS_IDLE: Duration = Duration::from_millis(50);
/// Receivers up to this many ask for repairs at once and by unicast.
pub const FEW_RECEIVERS: usize = 8;

/// The receiving side of one stream.
#[derive(Debug)]
pub struct Receiver {
    window: Window,
    gaps: Gaps,
    reassembly: Reassembly,
    /// The highest number that the sender is known to have used.
    high: u64,
    /// Packets since the last status.
    unreported: u32,
    status_due: Instant,
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
            unreported: 0,
            status_due: now,
        }
    }

    /// The number up to which nothing is missing.
    #[must_use]
    pub const fn watermark(&self) -> u64 {
        self.window.watermark()
    }

    /// The number up to which every frame is here as a whole: fragments that
    /// wait for others of their frame may make it less than the watermark.
    #[must_use]
    pub fn whole_through(&self) -> u64 {
        let unfinished = self.reassembly.first_unfinished();
        unfinished.map_or(u64::MAX, |first| first - 1).min(self.watermark())
    }

    /// The highest number received.
    #[must_use]
    pub const fn highest(&self) -> u64 {
        self.window.highest()
    }

    /// The highest number that the sender is known to have used.
    #[must_use]
    pub const fn high(&self) -> u64 {
        self.high
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
        } else if let Some(sample) = self.gaps.close(now, sequence) {
            rtt.sample(sample);
        }
        self.window.insert(sequence);
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

    /// The stream must be followed from an earlier position.
    pub fn reopen(&mut self, now: Instant, position: u64, rtt: &Rtt) {
        let watermark = self.window.watermark();
        self.window.reopen(position);
        if self.window.watermark() < watermark {
            let missing: Vec<Range> = self.window.missing(0, watermark).collect();
            for &range in missing.iter().rev() {
                self.gaps.open_below(now, range, rtt);
            }
        }
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

    /// These have been recovered otherwise.
    pub fn fill(&mut self, now: Instant, range: Range) {
        let known = Range { last: range.last.min(self.high), ..range };
        if known.first <= known.last {
            self.gaps.close_range(known);
            self.window.fill(known);
            self.progressed(now);
        }
    }

    /// Another receiver asked for these ranges. Gives how many requests of
    /// ours that spared.
    pub fn suppress(&mut self, now: Instant, ranges: &[Range]) -> u64 {
        self.gaps.suppress(now, ranges)
    }

    /// The ranges to ask for, when any are due.
    pub fn poll_nak(&mut self, now: Instant, rng: &mut Rng) -> Option<Vec<Range>> {
        let ranges = self.gaps.take_due(now, rng);
        (!ranges.is_empty()).then_some(ranges)
    }

    /// Whether a status is due; taking it schedules the next.
    pub fn poll_status(&mut self, now: Instant) -> bool {
        let due = self.status_due <= now;
        if due {
            self.unreported = 0;
            self.status_due = now + STATUS_IDLE;
        }
        due
    }

    /// When [`Receiver::poll_nak`] has something again.
    #[must_use]
    pub fn nak_timeout(&self) -> Option<Instant> {
        self.gaps.poll_timeout()
    }

    /// When [`Receiver::poll_status`] is due.
    #[must_use]
    pub const fn status_timeout(&self) -> Instant {
        self.status_due
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
        let soon = if self.unreported >= STATUS_PACKETS { now } else { now + STATUS_DELAY };
        self.status_due = self.status_due.min(soon);
    }
}
