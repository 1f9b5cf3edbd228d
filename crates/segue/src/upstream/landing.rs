//! A batch of which the answers come in: who waits for a write is told, and what
//! is to go up again goes back to wait.

use std::time::Duration;

use proto::record::Key;
use tokio::time::Instant;

use super::engine::Engine;
use super::queue::{Full, Write};
use super::session::Stored;
use crate::error::UpstreamError;

/// How often a write goes up at the most that nobody else there confirms: with
/// the pauses between them, for half a minute. By then a member that is gone is
/// known to be, and one that started anew has what it lacked.
const MOST_TRIES: u32 = 6;
/// The first pause before it goes up again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What became of a batch.
#[derive(Default)]
pub(super) struct Landing {
    /// How many had an answer.
    pub(super) answered: usize,
    /// Whether answers did not come in time.
    pub(super) is_late: bool,
    /// Why the last of those without an answer has none.
    pub(super) error: Option<String>,
    /// What the upstream knows to be deleted.
    pub(super) deleted: Vec<Key>,
    /// What is to be sent again as soon as may be.
    back: Vec<Write>,
    /// What is to be sent again after a pause.
    later: Vec<Write>,
}

impl Landing {
    /// Tells who waits what became of a write, and counts it.
    pub(super) fn settle(&mut self, engine: &Engine, mut write: Write, stored: Stored) {
        let figures = &engine.figures;
        self.answered += 1;
        match stored {
            Stored::Written => {
                figures.written.add();
                write.settle(Ok(()));
            }
            #[cfg(feature = "redis")]
            Stored::Superseded => {
                figures.superseded.add();
                // What the engine has is what merging would have left.
                write.settle(Ok(()));
            }
            Stored::Deleted => {
                figures.superseded.add();
                write.settle(Err(UpstreamError::Deleted));
                self.deleted.push(write.key);
            }
            Stored::Refused(error) => {
                if figures.refused.add().is_power_of_two() {
                    let upstream = &engine.config.address;
                    tracing::warn!(%upstream, error, "the upstream refuses a write");
                }
                write.settle(Err(UpstreamError::Refused(error)));
            }
            Stored::Unconfirmed => {
                write.settle(Err(UpstreamError::Unconfirmed));
                write.tries += 1;
                self.later.push(write);
            }
            Stored::Late => {
                self.answered -= 1;
                self.is_late = true;
                write.settle(Err(UpstreamError::TimedOut));
                self.back.push(write);
            }
            Stored::Unanswered(error) => {
                self.answered -= 1;
                write.settle(Err(UpstreamError::Down));
                self.back.push(write);
                self.error = Some(error);
            }
        }
    }

    /// Has those wait again that are to be sent again. There were so many
    /// `writes` in all, and none is under way any more.
    pub(super) fn come_back(&mut self, engine: &Engine, writes: usize) {
        for write in self.back.drain(..) {
            if let Err(Full) = engine.queue.push(write) {
                engine.dropped();
            }
        }
        for write in self.later.drain(..) {
            if write.tries >= MOST_TRIES {
                engine.gave_up();
            } else {
                engine.figures.repeated.add();
                let due = Instant::now() + FIRST_PAUSE * 2_u32.pow(write.tries - 1);
                if let Err(Full) = engine.queue.push_later(write, due) {
                    engine.dropped();
                }
            }
        }
        engine.queue.landed(writes);
    }
}

#[cfg(all(test, feature = "redis"))]
mod tests {
    use super::super::caller::Caller;
    use super::super::queue::tests::write;
    use super::*;
    use crate::config::UpstreamConfig;

    /// What nobody confirms goes up again after ever longer pauses, and is then
    /// given up.
    #[tokio::test(start_paused = true)]
    async fn what_nobody_confirms_goes_up_a_few_times() {
        let address = "redis://localhost".parse().expect("an address");
        let engine = Engine::new(UpstreamConfig::new(address), Caller::Engine);
        let (done, told) = tokio::sync::oneshot::channel();
        engine.write(Write { done: Some(done), ..write(1, false) });
        let began = Instant::now();
        for tries in 1..=MOST_TRIES {
            engine.queue.filled().await;
            let mut batch = engine.queue.take(usize::MAX);
            let mut landing = Landing::default();
            landing.settle(&engine, batch.pop().expect("it waited"), Stored::Unconfirmed);
            landing.come_back(&engine, 1);
            assert_eq!(engine.queue.left(), usize::from(tries < MOST_TRIES));
        }
        assert_eq!(began.elapsed().as_secs(), (1 << (MOST_TRIES - 1)) - 1);
        let status = engine.status();
        assert_eq!((status.repeated, status.given_up), (u64::from(MOST_TRIES) - 1, 1));
        assert_eq!(told.await.expect("it was told"), Err(UpstreamError::Down));
    }
}
