//! From a record's writing until another node holds it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::orders::LagFigures;

/// Lags are counted by the microsecond up to here, and as this beyond.
const MOST_MICROS: usize = 500_000;

/// Lags since the last look. Room is made once, so that counting one costs a
/// memory access and nothing more.
pub(super) struct Lags {
    counts: Vec<u32>,
    worst: Duration,
}

/// The time of day that a record carries: members are on one machine, which
/// has one clock.
pub(super) fn stamp() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

impl Lags {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; MOST_MICROS + 1], worst: Duration::ZERO }
    }

    /// Counts a record that was written at `written`.
    pub(super) fn count(&mut self, written: u64) {
        let lag = Duration::from_nanos(stamp().saturating_sub(written));
        let micros = usize::try_from(lag.as_micros()).unwrap_or(MOST_MICROS);
        self.counts[micros.min(MOST_MICROS)] += 1;
        self.worst = self.worst.max(lag);
    }

    /// What was counted; begins anew.
    pub(super) fn take(&mut self) -> LagFigures {
        let figures = LagFigures {
            p50: self.quantile(500),
            p99: self.quantile(990),
            p999: self.quantile(999),
            worst: self.worst.as_secs_f64(),
        };
        self.counts.fill(0);
        self.worst = Duration::ZERO;
        figures
    }

    /// The lag that so many of a thousand records do not exceed, in seconds.
    fn quantile(&self, of_thousand: u64) -> f64 {
        let all: u64 = self.counts.iter().map(|&count| u64::from(count)).sum();
        let wanted = (all * of_thousand).div_ceil(1_000);
        let mut counted = 0;
        for (micros, &count) in (0_u32..).zip(&self.counts) {
            counted += u64::from(count);
            if counted >= wanted && counted > 0 {
                return f64::from(micros) / 1e6;
            }
        }
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_by_count() {
        let mut lags = Lags::new();
        assert_eq!(lags.take().worst, 0.0);
        lags.counts[100] = 989;
        lags.counts[7_000] = 10;
        lags.counts[9_000] = 1;
        let LagFigures { p50, p99, p999, .. } = lags.take();
        assert_eq!((p50, p99, p999), (0.000_1, 0.007, 0.007));
        assert_eq!(lags.take().p50, 0.0);
    }
}
