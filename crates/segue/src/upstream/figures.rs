//! What an engine did, counted; and whether it is to be asked.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::status::{UpstreamState, UpstreamStatus};

/// So many look-ups in a row without an answer, and the engine is not asked
/// any more until it answers a probe. Fewer could be one pause of its.
const UNANSWERED: u32 = 8;

/// Counters of one engine, and its state.
#[derive(Default)]
pub(super) struct Figures {
    pub(super) written: Counter,
    /// Writes that the engine had a later version of.
    pub(super) superseded: Counter,
    /// Writes that it refused, as when its memory is full.
    pub(super) refused: Counter,
    /// Writes that there was no room for.
    pub(super) dropped: Counter,
    /// Writes that went up again, as nobody else there had confirmed them.
    pub(super) repeated: Counter,
    /// Writes that nobody else there ever confirmed.
    pub(super) given_up: Counter,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    /// Values that were not what the farm had put there.
    pub(super) rejected: Counter,
    /// Answers that did not come in time.
    pub(super) timeouts: Counter,
    /// Look-ups that failed otherwise.
    pub(super) failed: Counter,
    /// Look-ups that were spared, as the engine was not up.
    pub(super) spared: Counter,
    pub(super) reconnects: Counter,
    latency_micros: AtomicU64,
    /// Look-ups without an answer since the last one with.
    unanswered: AtomicU32,
    state: AtomicU8,
    /// What went wrong last.
    error: Mutex<Option<String>>,
}

/// One figure that only grows.
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Counts one more, and gives how many there are.
    pub(super) fn add(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Counts so many more.
    pub(super) fn add_all(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figures {
    pub(super) fn state(&self) -> UpstreamState {
        match self.state.load(Ordering::Relaxed) {
            UP => UpstreamState::Up,
            SLOW => UpstreamState::Slow,
            _ => UpstreamState::Down,
        }
    }

    /// The engine answers. Gives whether that is news.
    pub(super) fn up(&self) -> bool {
        self.unanswered.store(0, Ordering::Relaxed);
        self.state.swap(UP, Ordering::Relaxed) != UP
    }

    /// The engine is lost.
    pub(super) fn down(&self, error: String) {
        self.state.store(DOWN, Ordering::Relaxed);
        self.trouble(error);
    }

    /// Something went wrong that does not end the connection.
    pub(super) fn trouble(&self, error: String) {
        *self.error.lock() = Some(error);
    }

    /// A look-up had an answer after this time.
    pub(super) fn answered(&self, latency: Duration) {
        self.unanswered.store(0, Ordering::Relaxed);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros.max(1), Ordering::Relaxed);
    }

    /// A look-up had no answer in a fair time. Gives whether the engine is not to be
    /// asked from here on.
    pub(super) fn unanswered(&self) -> bool {
        let row = self.unanswered.fetch_add(1, Ordering::Relaxed) + 1;
        let slow = || self.state.compare_exchange(UP, SLOW, Ordering::Relaxed, Ordering::Relaxed);
        row >= UNANSWERED && slow().is_ok()
    }

    pub(super) fn status(
        &self,
        address: String,
        (queued, bytes): (usize, usize),
    ) -> UpstreamStatus {
        let latency_micros = self.latency_micros.load(Ordering::Relaxed);
        UpstreamStatus {
            address,
            state: self.state(),
            queued: queued as u64,
            queued_bytes: bytes as u64,
            written: self.written.get(),
            superseded: self.superseded.get(),
            refused: self.refused.get(),
            dropped: self.dropped.get(),
            repeated: self.repeated.get(),
            given_up: self.given_up.get(),
            hits: self.hits.get(),
            misses: self.misses.get(),
            rejected: self.rejected.get(),
            timeouts: self.timeouts.get(),
            failed: self.failed.get(),
            spared: self.spared.get(),
            reconnects: self.reconnects.get(),
            latency: (latency_micros > 0).then(|| Duration::from_micros(latency_micros)),
            error: self.error.lock().clone(),
        }
    }
}

const DOWN: u8 = 0;
const UP: u8 = 1;
const SLOW: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_leaves_some_unanswered_is_slow_until_it_answers_a_probe() {
        let figures = Figures::default();
        assert_eq!(figures.state(), UpstreamState::Down);
        assert!(figures.up() && !figures.up());
        for _ in 1..UNANSWERED {
            assert!(!figures.unanswered());
        }
        figures.answered(Duration::from_micros(3));
        for _ in 1..UNANSWERED {
            assert!(!figures.unanswered());
        }
        assert!(figures.unanswered() && !figures.unanswered());
        assert_eq!(figures.state(), UpstreamState::Slow);
        assert!(figures.up());
        assert_eq!(figures.state(), UpstreamState::Up);
        figures.down("gone".to_owned());
        assert!(!figures.unanswered(), "an engine that is down is not slow");
        assert_eq!(figures.state(), UpstreamState::Down);
    }
}
