//! The last minutes of a node's figures, so that a page that is opened shows
//! them at once. It knows figures by name, and nothing of how they are drawn.

use std::collections::VecDeque;

use serde::Serialize;

use super::status::Status;

/// Samples that are kept: five minutes, at one a second.
pub(super) const SAMPLES: usize = 300;

/// What a sample is of, in the order of its values. Those that begin with `+` are
/// counters.
pub(super) const FIGURES: [&str; 18] = [
    "+sent_packets",
    "+received_packets",
    "+naks",
    "+repairs_sent",
    "+repairs_received",
    "+hits_own",
    "+hits_other",
    "+hits_upstream",
    "+misses",
    "+full",
    "+resumed_here",
    "+resumed_elsewhere",
    "live",
    "+handed_over",
    "+taken_over",
    "records",
    "bytes",
    "lag_ms",
];

/// The figures of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Sample([f64; FIGURES.len()]);

impl Sample {
    pub(super) fn new(status: &Status) -> Self {
        let Status { cache, multicast, tls, connections, members, .. } = status;
        let lags = members.iter().filter(|member| member.state == "alive");
        let lag = lags.filter_map(|member| member.lag_ms).fold(0.0, f64::max);
        let counts = [
            multicast.sent_packets,
            multicast.received_packets,
            multicast.naks_sent,
            multicast.repairs_sent,
            multicast.repairs_received,
            cache.hits_local + cache.hits_near,
            cache.hits_remote,
            cache.hits_upstream,
            cache.misses,
            tls.handshakes_full,
            tls.resumed_local,
            tls.resumed_remote,
            connections.live,
            connections.handed_over,
            connections.taken_over,
            cache.records,
            cache.bytes,
        ];
        let mut values = [lag; FIGURES.len()];
        // Above 2^53 the last digits are of no interest.
        values.iter_mut().zip(counts).for_each(|(value, count)| *value = count as f64);
        Self(values)
    }
}

/// Samples, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Sample>);

impl History {
    /// Takes one in; the oldest goes where there is no room.
    pub(super) fn push(&mut self, sample: Sample) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// All of them.
    pub(super) fn samples(&self) -> Vec<Sample> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        let mut history = History::default();
        for at in 0..SAMPLES + 7 {
            history.push(Sample([at as f64; FIGURES.len()]));
        }
        let samples = history.samples();
        assert_eq!(samples.len(), SAMPLES);
        assert!((samples[0].0[0] - 7.0).abs() < f64::EPSILON);
    }
}
