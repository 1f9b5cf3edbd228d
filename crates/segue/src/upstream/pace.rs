//! How much goes up at a time: as much as the way carries. It knows neither the
//! way nor what goes, only how long the answers took.

use std::time::{Duration, Instant};

use super::session::{ANSWER, patience};
use crate::link::LINK_BYTES;

/// Batches under way at once: while the upstream works on one, the next is on
/// its way and the answer to another comes back.
pub(super) const UNDER_WAY: usize = 4;
/// The most bytes that go together, but for one write that is longer: four
/// milliseconds of a gigabit. A node above that reads none of what is under way
/// has room for a question all the same.
const BATCH_BYTES: usize = 512 << 10;
const _: () = assert!(UNDER_WAY * BATCH_BYTES < LINK_BYTES as usize, "there is room beside them");
/// What is under way at first: two seconds of a megabit, so that nothing is
/// late on a way that is slower than most.
const FIRST_BYTES: usize = 256 << 10;
/// What is under way at the least, but for one write that is longer: by the
/// slowest way that counts a quarter of a second.
const LEAST_BYTES: usize = 16 << 10;
/// An answer within so long says that the way carries more: with twice as much
/// under way it would still come in half of the time that there is.
const QUICK: Duration = ANSWER.checked_div(4).expect("by a number that is not 0");

/// How much may be under way, and how much is.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    under_way: usize,
}

/// A batch that goes up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    bytes: usize,
    pub(super) at: Instant,
    /// Whether it is all that was allowed to go, or nearly.
    is_full: bool,
    /// How long its answer may take.
    pub(super) time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { limit: FIRST_BYTES, under_way: 0 }
    }
}

impl Pace {
    /// How many bytes the next batch may have; none if it is to wait. A write
    /// that is longer goes when nothing else is under way.
    pub(super) const fn room(&self) -> Option<usize> {
        let bytes = self.limit / UNDER_WAY;
        let has_room = self.under_way == 0 || self.under_way + bytes <= self.limit;
        if has_room { Some(bytes) } else { None }
    }

    /// A batch of so many bytes goes.
    pub(super) fn send(&mut self, bytes: usize) -> Sent {
        let is_full = 2 * bytes >= self.limit / UNDER_WAY;
        self.under_way += bytes;
        Sent { bytes, at: Instant::now(), is_full, time: self.patience() }
    }

    /// What became of it was known after this time, or is not.
    pub(super) fn landed(&mut self, sent: Sent, took: Duration, is_late: bool) {
        self.under_way = self.under_way.saturating_sub(sent.bytes);
        if is_late || took > ANSWER {
            self.limit = (self.limit / 2).max(LEAST_BYTES);
        } else if sent.is_full && took < QUICK {
            self.limit = (2 * self.limit).min(UNDER_WAY * BATCH_BYTES);
        }
    }

    /// Nothing is under way any more: the connection has ended.
    pub(super) const fn begin_anew(&mut self) {
        self.under_way = 0;
    }

    /// How long an answer may take behind what is under way.
    pub(super) fn patience(&self) -> Duration {
        patience(self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_quickly_grows_up_to_a_bound_and_what_is_late_shrinks() {
        let mut pace = Pace::default();
        let check = |pace: &Pace, limit: usize| assert_eq!(pace.room(), Some(limit / UNDER_WAY));
        let land = |pace: &mut Pace, bytes, took, is_late| {
            let sent = pace.send(bytes);
            pace.landed(sent, took, is_late);
        };
        check(&pace, FIRST_BYTES);
        for _ in 0..10 {
            let bytes = pace.room().unwrap();
            land(&mut pace, bytes, Duration::ZERO, false);
        }
        check(&pace, UNDER_WAY * BATCH_BYTES);
        land(&mut pace, BATCH_BYTES, 2 * QUICK, false);
        check(&pace, UNDER_WAY * BATCH_BYTES);
        land(&mut pace, BATCH_BYTES, 2 * ANSWER, false);
        land(&mut pace, BATCH_BYTES, Duration::ZERO, true);
        check(&pace, BATCH_BYTES);
        for _ in 0..20 {
            land(&mut pace, 1, Duration::ZERO, true);
        }
        check(&pace, LEAST_BYTES);
        // A little that is answered quickly says nothing of much.
        land(&mut pace, LEAST_BYTES / UNDER_WAY / 4, Duration::ZERO, false);
        check(&pace, LEAST_BYTES);
    }

    #[test]
    fn a_long_write_goes_alone_and_has_the_time_that_it_takes() {
        let mut pace = Pace::default();
        let long = pace.send(1 << 20);
        assert_eq!(pace.room(), None);
        assert_eq!(long.time, ANSWER + Duration::from_secs(16));
        pace.landed(long, long.time, true);
        let short = (0..UNDER_WAY).map(|_| pace.send(pace.room().unwrap())).last().unwrap();
        assert_eq!(pace.room(), None);
        let before = Duration::from_secs(2);
        assert_eq!(short.time, ANSWER + before, "what is before it takes its time");
        pace.begin_anew();
        assert!(pace.room().is_some());
    }
}
