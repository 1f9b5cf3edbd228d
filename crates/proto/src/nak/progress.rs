//! How far the others have come with the node's own stream.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::header::Incarnation;

/// The most packets that may be sent past the slowest healthy receiver.
pub const FLOW_PACKETS: u64 = 1_024;
/// The fewest: a receiver's credit does not shut the window altogether.
const MIN_FLOW_PACKETS: u64 = 16;
/// A receiver that holds the window shut for so long without any progress is
/// moved to catch-up.
const STALL: Duration = Duration::from_millis(250);

/// One receiver's progress.
#[derive(Debug, Clone, Copy)]
struct Receiver {
    /// What it had before it began to follow the stream is not known.
    after: u64,
    watermark: u64,
    /// How many packets its socket holds at the most.
    credit: u64,
    /// When its watermark last moved, or had nothing to move for.
    moved: Instant,
    /// Whether it is in catch-up: it holds nobody back.
    catching_up: bool,
}

impl Receiver {
    /// The last number that it lets be sent.
    fn limit(&self) -> u64 {
        self.watermark.saturating_add(self.credit.clamp(MIN_FLOW_PACKETS, FLOW_PACKETS))
    }

    const fn has(&self, sequence: u64) -> bool {
        self.after < sequence && sequence <= self.watermark
    }
}

/// What a receiver says of its progress.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// It has nothing up to here, or does not know.
    pub after: u64,
    /// It has everything from there up to here.
    pub watermark: u64,
    /// How many packets its socket holds at the most.
    pub credit: u32,
}

/// Every live receiver's progress.
#[derive(Debug, Default)]
pub struct Progress(BTreeMap<Incarnation, Receiver>);

impl Progress {
    /// A receiver begins, or begins again, to follow the stream. Until its
    /// first status says how far it is, it counts as catching up.
    pub fn join(&mut self, now: Instant, receiver: Incarnation) {
        self.0.entry(receiver).or_insert(Receiver {
            after: 0,
            watermark: 0,
            credit: FLOW_PACKETS,
            moved: now,
            catching_up: true,
        });
    }

    /// A receiver left or died.
    pub fn leave(&mut self, receiver: Incarnation) {
        self.0.remove(&receiver);
    }

    /// A receiver's status, about a stream that has come to `high`. Gives
    /// whether its watermark moved.
    pub fn report(
        &mut self,
        now: Instant,
        receiver: Incarnation,
        report: &Report,
        high: u64,
    ) -> bool {
        let Some(known) = self.0.get_mut(&receiver) else { return false };
        let watermark = report.watermark.min(high);
        let moved = watermark > known.watermark;
        if moved || watermark == high {
            known.moved = now;
        }
        known.watermark = if report.after == known.after {
            // Statuses overtake each other.
            known.watermark.max(watermark)
        } else {
            // It follows the stream from elsewhere, perhaps with gaps below
            // what it had before.
            watermark
        };
        known.after = report.after;
        known.credit = report.credit.into();
        if known.catching_up && high - known.watermark <= FLOW_PACKETS / 2 {
            known.catching_up = false;
        }
        moved
    }

    /// The last number that may be sent.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.healthy().map(Receiver::limit).min().unwrap_or(u64::MAX)
    }

    /// Moves the receivers that hold the window shut at `high` and stalled to
    /// catch-up. Gives them.
    pub fn drop_stalled(&mut self, now: Instant, high: u64) -> Vec<Incarnation> {
        let mut stalled = Vec::new();
        for (&incarnation, receiver) in &mut self.0 {
            let shut = receiver.limit() <= high;
            if shut && !receiver.catching_up && now - receiver.moved >= STALL {
                receiver.catching_up = true;
                stalled.push(incarnation);
            }
        }
        stalled
    }

    /// How many receivers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether at least one receiver has that packet.
    #[must_use]
    pub fn one_has(&self, sequence: u64) -> bool {
        self.0.values().any(|receiver| receiver.has(sequence))
    }

    /// Whether every receiver has that packet; true when there is none.
    #[must_use]
    pub fn all_have(&self, sequence: u64) -> bool {
        self.0.values().all(|receiver| receiver.has(sequence))
    }

    /// Whether every receiver has come to that packet, wherever it began.
    #[must_use]
    pub fn all_reached(&self, sequence: u64) -> bool {
        self.0.values().all(|receiver| receiver.watermark >= sequence)
    }

    fn healthy(&self) -> impl Iterator<Item = &Receiver> {
        self.0.values().filter(|receiver| !receiver.catching_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(2);

    fn report(watermark: u64) -> Report {
        Report { after: 0, watermark, credit: 1_024 }
    }

    /// Receivers whose statuses said these watermarks.
    fn reported(watermarks: [(Incarnation, u64); 2], high: u64) -> Progress {
        let mut progress = Progress::default();
        for (receiver, watermark) in watermarks {
            progress.join(Instant::default(), receiver);
            progress.report(Instant::default(), receiver, &report(watermark), high);
        }
        progress
    }

    #[test]
    fn the_slowest_receiver_holds_the_window() {
        assert_eq!(Progress::default().limit(), u64::MAX);
        let mut progress = reported([(ONE, 0), (OTHER, 100)], 400);
        assert_eq!(progress.limit(), FLOW_PACKETS);
        let slow = Report { credit: 50, ..report(300) };
        progress.report(Instant::default(), ONE, &slow, 400);
        assert_eq!(progress.limit(), 350);
        assert!(progress.one_has(300) && !progress.one_has(301));
        assert!(progress.all_have(100) && !progress.all_have(101));
    }

    #[test]
    fn a_new_receiver_neither_holds_the_window_nor_confirms_anything() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        assert_eq!(progress.limit(), u64::MAX);
        assert!(!progress.one_has(1) && !progress.all_have(1));
    }

    #[test]
    fn a_receiver_that_is_still_fetching_confirms_only_what_it_followed() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        progress.report(Instant::default(), ONE, &Report { after: 5, ..report(9) }, 9);
        assert!(!progress.one_has(5) && progress.one_has(6));
    }

    #[test]
    fn a_receiver_that_follows_from_earlier_on_confirms_no_more_than_it_says() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        progress.report(Instant::default(), ONE, &Report { after: 100, ..report(105) }, 105);
        progress.report(Instant::default(), ONE, &report(92), 105);
        assert!(progress.one_has(92) && !progress.one_has(93));
    }

    #[test]
    fn a_stalled_receiver_holds_nobody_back_until_it_has_caught_up() {
        let start = Instant::default();
        let high = 4 * FLOW_PACKETS;
        let mut progress = reported([(ONE, 0), (OTHER, 0)], 0);
        progress.report(start + STALL, OTHER, &report(high), high);
        assert_eq!(progress.drop_stalled(start + STALL, high), [ONE]);
        assert!(progress.drop_stalled(start + STALL, high).is_empty());
        assert_eq!(progress.limit(), high + FLOW_PACKETS);
        progress.report(start + STALL, ONE, &report(high - 1), high);
        assert_eq!(progress.limit(), high - 1 + FLOW_PACKETS);
    }

    #[test]
    fn a_status_cannot_claim_what_was_never_sent() {
        let progress = reported([(ONE, u64::MAX), (OTHER, 0)], 7);
        assert!(progress.one_has(7) && !progress.one_has(8));
    }
}
