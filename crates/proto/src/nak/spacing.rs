//! How often a receiver says how far it has come.
//!
//! Every receiver says so to every sender by unicast, so what a sender gets
//! grows with the number of receivers. Up to [`FEW_RECEIVERS`] each speaks as
//! often as is useful; beyond that all of them together speak as often as so
//! many would, in time: 16,000 statuses a second of a stream that moves.

use std::time::Duration;

use crate::nak::gaps::jittered;
use crate::nak::progress::FLOW_PACKETS;
use crate::rng::Rng;
use crate::time::Instant;

/// Receivers up to this many ask for repairs at once and by unicast, and say
/// how far they have come as if there were no others.
pub const FEW_RECEIVERS: usize = 8;
/// Progress is told after so many packets, or after [`STATUS_DELAY`].
const STATUS_PACKETS: u32 = 128;
/// However many receivers there are: half of what may be sent past one, so
/// that the window does not shut for want of a status.
const MOST_PACKETS: u32 = 512;
const _: () = assert!(MOST_PACKETS as u64 == FLOW_PACKETS / 2, "half the window");
/// It is shorter than the pause before a sender's first heartbeat, which it
/// then makes unnecessary.
const STATUS_DELAY: Duration = Duration::from_micros(500);
/// Progress is told this often when there is none.
const STATUS_IDLE: Duration = Duration::from_millis(50);

/// The pauses between a receiver's statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// After so many packets one is due.
    pub(super) packets: u32,
    /// One is due so long after progress.
    pub(super) delay: Duration,
    /// The first pause without progress: the last status may be lost. It
    /// doubles.
    pub(super) repeat: Duration,
    /// The longest pause.
    pub(super) idle: Duration,
}

impl Spacing {
    /// The spacing when a sender has so many receivers.
    #[must_use]
    pub fn of(receivers: usize) -> Self {
        let many = u32::try_from(receivers.max(FEW_RECEIVERS)).unwrap_or(u32::MAX);
        let few = u32::try_from(FEW_RECEIVERS).expect("few");
        let stretched = |pause: Duration| pause * many / few;
        let delay = stretched(STATUS_DELAY);
        Self {
            packets: (STATUS_PACKETS.saturating_mul(many) / few).min(MOST_PACKETS),
            delay,
            repeat: STATUS_IDLE.max(delay),
            idle: stretched(STATUS_IDLE),
        }
    }

    /// Whether each receiver may speak as often as is useful.
    pub(super) fn is_of_few(&self) -> bool {
        self.idle == STATUS_IDLE
    }

    /// When to tell that there is still no progress, about `pause` from now.
    /// Many receivers do not speak in step, though they may have begun
    /// together; and a node that tells many senders wakes once for several.
    pub(super) fn idle_due(&self, now: Instant, pause: Duration, rng: &mut Rng) -> Instant {
        if self.is_of_few() {
            return now + pause;
        }
        let due = now + jittered(pause, rng);
        let step = u64::try_from(STATUS_IDLE.as_micros()).expect("short");
        Instant::from_micros(due.as_micros().next_multiple_of(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(receivers: usize, packets: u32, [delay, repeat, idle]: [u64; 3]) {
        let spacing = Spacing::of(receivers);
        let micros = [spacing.delay, spacing.repeat, spacing.idle].map(|pause| pause.as_micros());
        assert_eq!((spacing.packets, micros), (packets, [delay, repeat, idle].map(u128::from)));
    }

    #[test]
    fn a_sender_hears_as_much_of_many_receivers_as_of_few() {
        check(0, 128, [500, 50_000, 50_000]);
        check(8, 128, [500, 50_000, 50_000]);
        check(16, 256, [1_000, 50_000, 100_000]);
        check(1_000, 512, [62_500, 62_500, 6_250_000]);
    }
}
