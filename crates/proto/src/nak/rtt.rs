//! Round-trip time, smoothed as RFC 6298 has it.

use std::time::Duration;

/// What a peer's round trip is taken for before it was measured: a LAN's.
const INITIAL: Duration = Duration::from_millis(1);
/// No sample counts for more; one that does was held up elsewhere.
const MAX_SAMPLE: Duration = Duration::from_secs(2);

/// A smoothed round-trip time and its variation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rtt {
    smoothed: Option<(Duration, Duration)>,
}

impl Rtt {
    /// Takes a sample in (RFC 6298, section 2).
    pub fn sample(&mut self, sample: Duration) {
        let sample = sample.min(MAX_SAMPLE);
        self.smoothed = Some(match self.smoothed {
            None => (sample, sample / 2),
            Some((mean, variation)) => {
                let off = mean.abs_diff(sample);
                ((mean * 7 + sample) / 8, (variation * 3 + off) / 4)
            }
        });
    }

    /// The smoothed round trip.
    #[must_use]
    pub fn mean(&self) -> Duration {
        self.smoothed.map_or(INITIAL, |(mean, _)| mean)
    }

    /// How long an answer may take before the question is asked again: twice
    /// the mean and four variations, at least two milliseconds.
    #[must_use]
    pub fn patience(&self) -> Duration {
        let variation = self.smoothed.map_or(INITIAL / 2, |(_, variation)| variation);
        (self.mean() * 2 + variation * 4).max(Duration::from_millis(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_its_samples() {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.sample(Duration::from_micros(200));
        }
        assert!(rtt.mean().abs_diff(Duration::from_micros(200)) < Duration::from_micros(10));
        assert_eq!(rtt.patience(), Duration::from_millis(2));
        for _ in 0..100 {
            rtt.sample(Duration::from_secs(9));
        }
        assert!(rtt.mean() <= MAX_SAMPLE);
    }
}
