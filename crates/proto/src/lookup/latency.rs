//! How long answers take: a histogram that forgets.

use std::time::Duration;

/// The first bucket's upper bound, in microseconds: no network answers faster.
const FIRST_MICROS: u64 = 32;
/// Buckets whose bounds double by two steps: 32 us to 49 ms, past the
/// usual timeout. The last has everything above, too.
const BUCKETS: usize = 22;
/// Fewer answers say nothing about one in twenty.
const ENOUGH: u32 = 40;
/// So many answers are remembered: then all counts are halved, so that a
/// network that got slower or faster shows after as many look-ups.
const REMEMBERED: u32 = 1_024;
/// What is taken for the 95th percentile before enough answers have come: a
/// busy LAN's.
const INITIAL: Duration = Duration::from_millis(2);

/// How long the answers of the farm took lately.
#[derive(Debug, Clone, Default)]
pub(super) struct Latency {
    counts: [u32; BUCKETS],
    total: u32,
}

impl Latency {
    /// An answer took so long.
    pub(super) fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = (0..BUCKETS - 1).find(|&bucket| micros <= bound_micros(bucket));
        self.counts[bucket.unwrap_or(BUCKETS - 1)] += 1;
        self.total += 1;
        if self.total >= REMEMBERED {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
    }

    /// What 95 of 100 answers took at the most, rounded up to a bucket's bound.
    pub(super) fn p95(&self) -> Duration {
        if self.total < ENOUGH {
            return INITIAL;
        }
        let late = self.total / 20;
        let mut later = 0;
        let slowest = (0..BUCKETS).rev().find(|&bucket| {
            later += self.counts[bucket];
            later > late
        });
        Duration::from_micros(bound_micros(slowest.unwrap_or(0)))
    }
}

/// 32, 48, 64, 96, 128, ...: no bound is more than half above the one before.
const fn bound_micros(bucket: usize) -> u64 {
    let whole = FIRST_MICROS << (bucket / 2);
    if bucket.is_multiple_of(2) { whole } else { whole + whole / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_twenty_may_take_longer() {
        let check = |usual: u64, slow: u64, in_a_hundred: u64, expected: u64| {
            let mut latency = Latency::default();
            for answer in 0..400 {
                let took = if answer % 100 < in_a_hundred { slow } else { usual };
                latency.record(Duration::from_micros(took));
            }
            assert_eq!(latency.p95(), Duration::from_micros(expected));
        };
        check(100, 5_000, 4, 128);
        check(100, 5_000, 8, 6_144);
        check(1, 1, 0, 32);
        check(1_000_000, 0, 0, 49_152);
    }

    #[test]
    fn too_few_answers_say_nothing() {
        let mut latency = Latency::default();
        for _ in 1..ENOUGH {
            latency.record(Duration::from_micros(50));
            assert_eq!(latency.p95(), INITIAL);
        }
        latency.record(Duration::from_micros(50));
        assert_eq!(latency.p95(), Duration::from_micros(64));
    }

    #[test]
    fn what_was_is_forgotten() {
        let mut latency = Latency::default();
        (0..REMEMBERED).for_each(|_| latency.record(Duration::from_millis(20)));
        (0..8 * REMEMBERED).for_each(|_| latency.record(Duration::from_micros(60)));
        assert_eq!(latency.p95(), Duration::from_micros(64));
    }
}
