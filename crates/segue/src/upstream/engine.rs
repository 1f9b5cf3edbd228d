//! One engine, as those who write and look up see it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use proto::record::KeyHash;
use tokio::time::timeout;

use super::caller::Caller;
use super::figures::Figures;
use super::queue::{Bounds, Full, Queue, Write};
use super::session::{Found, Session, Wanted};
use crate::config::UpstreamConfig;
use crate::error::UpstreamError;
use crate::status::{UpstreamState, UpstreamStatus};

/// Whoever has less time left does not ask: no answer comes in less.
const LEAST: Duration = Duration::from_millis(1);
/// An upstream that has no answer within so long is slow. Whoever had less left
/// of his own 30 milliseconds says nothing of it.
const FAIR: Duration = Duration::from_millis(15);

/// One engine.
pub(super) struct Engine {
    pub(super) config: UpstreamConfig,
    pub(super) queue: Queue,
    pub(super) figures: Figures,
    /// None while there is no connection.
    session: Mutex<Option<Session>>,
    /// Connects, by its target.
    caller: Caller,
}

impl Engine {
    pub(super) fn new(config: UpstreamConfig, caller: Caller) -> Self {
        let bounds = Bounds { records: config.queue_records, bytes: config.queue_bytes };
        let (figures, session) = (Figures::default(), Mutex::default());
        Self { config, queue: Queue::new(bounds), figures, session, caller }
    }

    /// Has a write go up. If somebody waits for it, it fails at once where the
    /// engine is down; it goes up all the same when the engine is back.
    pub(super) fn write(&self, mut write: Write) {
        if self.figures.state() == UpstreamState::Down {
            write.settle(Err(UpstreamError::Down));
        }
        if let Err(Full) = self.queue.push(write) {
            self.dropped();
        }
    }

    /// Has the moved deadline of a record go up.
    pub(super) fn touch(&self, hash: KeyHash) {
        if !self.queue.touch(hash) {
            self.dropped();
        }
    }

    /// Counts a write that there was no room for, and says so now and then.
    pub(super) fn dropped(&self) {
        if self.figures.dropped.add().is_power_of_two() {
            let upstream = &self.config.address;
            tracing::warn!(%upstream, "writes are dropped: more come than the upstream takes");
        }
    }

    /// Counts a write that nobody else above has confirmed, however often it was
    /// sent.
    pub(super) fn gave_up(&self) {
        if self.figures.given_up.add().is_power_of_two() {
            let upstream = &self.config.address;
            tracing::warn!(
                %upstream,
                "a write was given up: one node above has it, and no other one confirms it"
            );
        }
    }

    /// Whether what goes up is to be sealed.
    pub(super) const fn seals(&self) -> bool {
        self.caller.seals()
    }

    /// Connects.
    pub(super) async fn open(&self) -> Result<Session, String> {
        self.caller.open(&self.config).await
    }

    /// What there is of what is wanted; none if that is not known within `budget`.
    pub(super) async fn get(&self, wanted: &Wanted<'_>, budget: Duration) -> Option<Found> {
        if budget < LEAST {
            return None;
        }
        let session = self.session.lock().clone();
        let Some(session) = session.filter(|_| self.figures.state() == UpstreamState::Up) else {
            self.figures.spared.add();
            return None;
        };
        let asked = Instant::now();
        let found = match timeout(budget, session.get(wanted, budget)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(upstream = %self.config.address, %error, "a look-up failed");
                self.figures.failed.add();
                return None;
            }
            Err(_) => {
                self.figures.timeouts.add();
                if budget >= FAIR && self.figures.unanswered() {
                    let upstream = &self.config.address;
                    tracing::warn!(%upstream, "the upstream is slow: it is not asked for a while");
                }
                return None;
            }
        };
        self.figures.answered(asked.elapsed());
        match found {
            #[cfg(feature = "redis")]
            Found::Value(_) => {}
            Found::Record(_) => {}
            Found::Nothing => {
                self.figures.misses.add();
            }
            #[cfg(feature = "redis")]
            Found::OtherType => self.rejected(&"a value of another type"),
        }
        Some(found)
    }

    /// Counts a value that is not what the farm has put there.
    pub(super) fn rejected(&self, why: &dyn std::fmt::Display) {
        if self.figures.rejected.add().is_power_of_two() {
            let upstream = &self.config.address;
            tracing::warn!(%upstream, %why, "a value was rejected, and counts as missing");
        }
    }

    /// There is a connection from here on.
    pub(super) fn begin(&self, session: Session) {
        *self.session.lock() = Some(session);
        self.answers();
    }

    /// The engine answers.
    pub(super) fn answers(&self) {
        if self.figures.up() {
            tracing::info!(upstream = %self.config.address, "the upstream is up");
        }
    }

    /// There is no connection any more, or none could be made.
    pub(super) fn end(&self, error: String) {
        let upstream = &self.config.address;
        let (had_one, times) =
            (self.session.lock().take().is_some(), self.figures.reconnects.add());
        if had_one || times == 1 {
            tracing::warn!(%upstream, error, "the upstream is down");
        } else {
            tracing::debug!(%upstream, error, "the upstream is still down");
        }
        self.figures.down(error);
    }

    pub(super) fn status(&self) -> UpstreamStatus {
        self.figures.status(self.config.address.to_string(), self.queue.load())
    }
}
