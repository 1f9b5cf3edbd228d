//! How far the others have come with the node's own stream.

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use crate::time::Instant;
use crate::wire::control::Range;
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
    /// The highest number that has arrived there.
    reached: u64,
    /// How many packets its socket has room for at the most.
    credit: u64,
    /// How many packets may be sent past a hole that waits for repair: half of
    /// what is kept.
    repairable: u64,
    losses: Losses,
    /// When it last said anything.
    reported: Option<Instant>,
    /// When it last let more be sent, or had everything.
    moved: Instant,
    /// Whether it is in catch-up: it holds nobody back.
    catching_up: bool,
}

impl Receiver {
    /// The last number that it lets be sent. What arrived past a hole takes no
    /// room there, only in the sender's ring.
    fn limit(&self) -> u64 {
        let window = self.credit.clamp(MIN_FLOW_PACKETS, FLOW_PACKETS);
        let arriving = self.reached.saturating_add(window);
        arriving.min(self.watermark.saturating_add(self.repairable))
    }

    const fn has(&self, sequence: u64) -> bool {
        self.after < sequence && sequence <= self.watermark
    }
}

/// What a receiver lost, in this epoch.
#[derive(Debug, Clone, Copy, Default)]
struct Losses {
    /// The packets that it asked for.
    asked: u64,
    /// The last one that it ever asked for: again is not anew.
    asked_to: u64,
    /// How many its socket has dropped for want of room, since it began.
    overflowed: u32,
    /// Whether it dropped some in this epoch.
    overflows: bool,
}

/// What a receiver says of its progress.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// It has nothing up to here, or does not know.
    pub after: u64,
    /// It has everything from there up to here.
    pub watermark: u64,
    /// The highest number that has arrived.
    pub reached: u64,
    /// How many packets of this stream its socket has room for at the most.
    pub credit: u32,
    /// How many packets its socket has dropped for want of room.
    pub overflowed: u32,
}

/// Every live receiver's progress.
#[derive(Debug, Default)]
pub struct Progress(BTreeMap<Incarnation, Receiver>);

impl Progress {
    /// A receiver begins, or begins again, to follow the stream. Until its
    /// first status says how far it is, it counts as catching up.
    pub fn join(&mut self, now: Instant, receiver: Incarnation) {
        self.0.entry(receiver).or_insert_with(|| Receiver {
            after: 0,
            watermark: 0,
            reached: 0,
            credit: FLOW_PACKETS,
            repairable: FLOW_PACKETS,
            losses: Losses::default(),
            reported: None,
            moved: now,
            catching_up: true,
        });
    }

    /// A receiver left or died.
    pub fn leave(&mut self, receiver: Incarnation) {
        self.0.remove(&receiver);
    }

    /// A receiver's status, about a stream that has come to `high` and keeps
    /// `kept` packets for repair. Gives whether its watermark moved.
    pub fn report(
        &mut self,
        now: Instant,
        receiver: Incarnation,
        report: &Report,
        (high, kept): (u64, u64),
    ) -> bool {
        let Some(known) = self.0.get_mut(&receiver) else { return false };
        known.reported = Some(now);
        let watermark = report.watermark.min(high);
        let moved = watermark > known.watermark;
        let limit = known.limit();
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
        known.losses.overflows |= report.overflowed != known.losses.overflowed;
        known.losses.overflowed = report.overflowed;
        known.reached = known.reached.max(report.reached.min(high)).max(known.watermark);
        known.repairable = (kept / 2).max(FLOW_PACKETS);
        let behind = high - known.watermark;
        let is_near = behind <= FLOW_PACKETS / 2 || moved && behind <= kept / 4;
        if is_near && mem::take(&mut known.catching_up) {
            // What it asks for from before says nothing of the network.
            known.losses = Losses { asked: 0, asked_to: high, ..known.losses };
        }
        if moved || watermark == high || known.limit() > limit {
            known.moved = now;
        }
        moved
    }

    /// A receiver asked for these packets of a stream that was sent up to
    /// `high`.
    pub fn asked(&mut self, receiver: Incarnation, ranges: &[Range], high: u64) {
        let Some(Receiver { losses, .. }) = self.0.get_mut(&receiver) else { return };
        for range in ranges {
            // What was never sent is not lost.
            let (first, last) = (range.first.max(losses.asked_to + 1), range.last.min(high));
            losses.asked += (last + 1).saturating_sub(first);
            losses.asked_to = losses.asked_to.max(last);
        }
    }

    /// The most that a healthy receiver lost in the epoch that ends, whose own
    /// socket had room. Begins another epoch.
    pub fn take_losses(&mut self) -> u64 {
        let mut most = 0;
        for receiver in self.0.values_mut() {
            let asked = mem::take(&mut receiver.losses.asked);
            if !mem::take(&mut receiver.losses.overflows) && !receiver.catching_up {
                most = most.max(asked);
            }
        }
        most
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

    /// Nobody was listened to for so long: that was no stall of theirs.
    pub fn excuse(&mut self, now: Instant, absence: Duration) {
        for receiver in self.0.values_mut() {
            receiver.moved = now.min(receiver.moved + absence);
        }
    }

    /// Whether a receiver is in catch-up, and holds nobody back.
    #[must_use]
    pub fn is_catching_up(&self, receiver: Incarnation) -> bool {
        self.0.get(&receiver).is_some_and(|known| known.catching_up)
    }

    /// How many receivers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// When a receiver last said how far it has come.
    #[must_use]
    pub fn reported(&self, receiver: Incarnation) -> Option<Instant> {
        self.0.get(&receiver)?.reported
    }

    /// What a receiver has of the stream: from behind the first number to the
    /// second.
    #[must_use]
    pub fn span(&self, receiver: Incarnation) -> Option<(u64, u64)> {
        self.0.get(&receiver).map(|known| (known.after, known.watermark))
    }

    /// Whether this receiver has that packet.
    #[must_use]
    pub fn has(&self, receiver: Incarnation, sequence: u64) -> bool {
        self.0.get(&receiver).is_some_and(|receiver| receiver.has(sequence))
    }

    /// The last packet that any receiver has everything up to.
    #[must_use]
    pub fn furthest(&self) -> u64 {
        self.0.values().map(|receiver| receiver.watermark).max().unwrap_or(u64::MAX)
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

    /// How many packets the sender keeps.
    const KEPT: u64 = 8 * FLOW_PACKETS;
    const ONE: Incarnation = Incarnation(1);
    const OTHER: Incarnation = Incarnation(2);

    fn report(watermark: u64) -> Report {
        Report { after: 0, watermark, reached: watermark, credit: 1_024, overflowed: 0 }
    }

    /// Receivers whose statuses said these watermarks.
    fn reported(watermarks: [(Incarnation, u64); 2], high: u64) -> Progress {
        let mut progress = Progress::default();
        for (receiver, watermark) in watermarks {
            progress.join(Instant::default(), receiver);
            progress.report(Instant::default(), receiver, &report(watermark), (high, KEPT));
        }
        progress
    }

    #[test]
    fn the_slowest_receiver_holds_the_window() {
        assert_eq!(Progress::default().limit(), u64::MAX);
        let mut progress = reported([(ONE, 0), (OTHER, 100)], 400);
        assert_eq!(progress.limit(), FLOW_PACKETS);
        let slow = Report { credit: 50, ..report(300) };
        progress.report(Instant::default(), ONE, &slow, (400, KEPT));
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
        progress.report(Instant::default(), ONE, &Report { after: 5, ..report(9) }, (9, KEPT));
        assert!(!progress.one_has(5) && progress.one_has(6));
    }

    #[test]
    fn a_receiver_that_follows_from_earlier_on_confirms_no_more_than_it_says() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        progress.report(
            Instant::default(),
            ONE,
            &Report { after: 100, ..report(105) },
            (105, KEPT),
        );
        progress.report(Instant::default(), ONE, &report(92), (105, KEPT));
        assert!(progress.one_has(92) && !progress.one_has(93));
    }

    #[test]
    fn a_stalled_receiver_holds_nobody_back_until_it_has_caught_up() {
        let start = Instant::default();
        let high = 4 * FLOW_PACKETS;
        let mut progress = reported([(ONE, 0), (OTHER, 0)], 0);
        progress.report(start + STALL, OTHER, &report(high), (high, KEPT));
        assert_eq!(progress.drop_stalled(start + STALL, high), [ONE]);
        assert!(progress.drop_stalled(start + STALL, high).is_empty());
        assert_eq!(progress.limit(), high + FLOW_PACKETS);
        progress.report(start + STALL, ONE, &report(high - 1), (high, KEPT));
        assert_eq!(progress.limit(), high - 1 + FLOW_PACKETS);
    }

    #[test]
    fn a_status_cannot_claim_what_was_never_sent() {
        let progress = reported([(ONE, u64::MAX), (OTHER, 0)], 7);
        assert!(progress.one_has(7) && !progress.one_has(8));
    }

    #[test]
    fn a_hole_does_not_hold_the_window_while_it_can_be_repaired() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        let check = |progress: &mut Progress, reached, limit| {
            let report = Report { reached, ..report(10) };
            progress.report(Instant::default(), ONE, &report, (reached, KEPT));
            assert_eq!(progress.limit(), limit);
        };
        check(&mut progress, 100, 100 + FLOW_PACKETS);
        check(&mut progress, 2_000, 2_000 + FLOW_PACKETS);
        check(&mut progress, KEPT, 10 + KEPT / 2);
    }

    #[test]
    fn who_is_too_far_behind_or_stands_still_does_not_hold_the_window() {
        let mut progress = Progress::default();
        progress.join(Instant::default(), ONE);
        let check = |progress: &mut Progress, watermark, high, limit| {
            progress.report(Instant::default(), ONE, &report(watermark), (high, KEPT));
            assert_eq!(progress.limit(), limit);
        };
        check(&mut progress, 1, 3 * FLOW_PACKETS, u64::MAX);
        check(&mut progress, 1, 2 * FLOW_PACKETS, u64::MAX);
        check(&mut progress, 2, 2 * FLOW_PACKETS, 2 + FLOW_PACKETS);
    }

    #[test]
    fn a_loss_counts_once_and_not_where_a_socket_had_no_room() {
        let mut progress = reported([(ONE, 0), (OTHER, 0)], 0);
        let range = |first, last| Range { first, last };
        progress.asked(ONE, &[range(1, 3), range(5, 5)], 30);
        progress.asked(OTHER, &[range(1, 2)], 30);
        progress.asked(ONE, &[range(2, 3), range(5, 6)], 30);
        assert_eq!(progress.take_losses(), 5);
        assert_eq!(progress.take_losses(), 0);
        progress.asked(ONE, &[range(7, 20), range(31, u64::MAX)], 30);
        progress.asked(OTHER, &[range(7, 7)], 30);
        let overflowed = Report { overflowed: 9, ..report(0) };
        progress.report(Instant::default(), ONE, &overflowed, (30, KEPT));
        assert_eq!(progress.take_losses(), 1);
    }
}
