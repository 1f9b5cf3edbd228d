//! The hybrid logical clock that every version comes from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Hlc;
use crate::time::Wall;

/// How far ahead of ours another node's clock may be. What is further ahead
/// is merged by its version all the same, but does not drag our clock along.
pub const MAX_SKEW: Duration = Duration::from_millis(500);

/// What [`HybridClock::observe`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// The time is near ours.
    InStep,
    /// The time is more than [`MAX_SKEW`] ahead of the given wall clock; our
    /// clock moved only that far.
    Clamped,
}

/// A hybrid logical clock (Kulkarni et al., 2014): follows the wall clock,
/// never goes back, and never gives one time twice. Shared by every writer
/// of a node without a lock.
#[derive(Debug, Default)]
pub struct HybridClock {
    /// The last time given or seen.
    last: AtomicU64,
    /// The last time given that is later than one too far ahead to follow.
    past: AtomicU64,
}

impl HybridClock {
    /// A time later than every one given or observed before.
    pub fn tick(&self, wall: Wall) -> Hlc {
        let floor = Hlc::at(wall).0;
        let next = |last: u64| floor.max(last + 1);
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .expect("the closure always gives a value");
        Hlc(next(last))
    }

    /// A time later than `held`, which a clock too far ahead has given: what
    /// is held in that version can be written again. It is given once, and
    /// does not drag our clock along. None when there is no later one.
    pub fn tick_past(&self, held: Hlc) -> Option<Hlc> {
        let next = |past: u64| past.max(held.0).checked_add(1);
        let past = self.past.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        next(past).map(Hlc)
    }

    /// Takes note of another node's time, so that our next is later.
    pub fn observe(&self, seen: Hlc, wall: Wall) -> Observed {
        let limit = furthest_ahead(wall);
        self.last.fetch_max(seen.min(limit).0, Ordering::Relaxed);
        if seen > limit { Observed::Clamped } else { Observed::InStep }
    }
}

/// The latest time that is not too far ahead of a wall clock.
#[must_use]
pub fn furthest_ahead(wall: Wall) -> Hlc {
    Hlc::at(wall + MAX_SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_times_past_one_that_is_far_ahead_and_stays_where_it_is() {
        let (clock, wall) = (HybridClock::default(), Wall::from_millis(1_000));
        let ahead = Hlc::at(wall + 10_000 * MAX_SKEW);
        let times = [ahead, ahead, Hlc(7)].map(|held| clock.tick_past(held).unwrap());
        assert!(ahead < times[0] && times.is_sorted_by(|one, next| one < next), "{times:?}");
        assert_eq!(clock.tick(wall), Hlc::at(wall));
        assert_eq!(clock.tick_past(Hlc(u64::MAX)), None);
    }

    #[test]
    fn never_gives_a_time_twice_and_never_goes_back() {
        let clock = HybridClock::default();
        let walls = [5, 5, 5, 9, 3, 3, 10];
        let times: Vec<Hlc> =
            walls.iter().map(|&wall| clock.tick(Wall::from_millis(wall))).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        assert_eq!(times[3].wall(), Wall::from_millis(9));
        assert_eq!(times[4].wall(), Wall::from_millis(9), "the wall clock went back, we did not");
    }

    #[test]
    fn ticks_past_what_it_observed() {
        let clock = HybridClock::default();
        let wall = Wall::from_millis(1_000);
        let seen = Hlc::at(Wall::from_millis(1_400));
        assert_eq!(clock.observe(seen, wall), Observed::InStep);
        assert!(clock.tick(wall) > seen);
    }

    #[test]
    fn a_clock_far_ahead_is_clamped() {
        let clock = HybridClock::default();
        let wall = Wall::from_millis(1_000);
        let seen = Hlc::at(Wall::from_millis(3_600_000));
        assert_eq!(clock.observe(seen, wall), Observed::Clamped);
        assert!(clock.tick(wall).wall() <= wall + MAX_SKEW);
    }
}
