//! Carries what waits up to an engine, and keeps the connection to it.
//!
//! A connection that broke is made again after a pause that doubles; what was
//! under way waits again then, and is sent once more: storing is idempotent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::record::KeyHash;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::engine::Engine;
use super::queue::{Full, Write};
use super::session::{CONNECT, Session, Stored};
use crate::error::UpstreamError;
use crate::status::UpstreamState;

/// The first pause before a connection is tried again, and the longest: an
/// engine that has started anew is used within five seconds, and one that is
/// gone costs a connection every five.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Batches under way at once: while the engine works on one, the next is on
/// its way and the answer to another comes back.
const UNDER_WAY: usize = 4;
/// How often an engine is probed. Each probe is a packet; one that is slow is
/// asked again within so long.
const PROBE_EVERY: Duration = Duration::from_millis(500);
/// An engine that answers a probe within so long is asked by look-ups again:
/// theirs have 30 milliseconds.
const PROMPT: Duration = Duration::from_millis(100);
/// Touches gather for so long: a session that is used a thousand times a
/// second goes up once, and loses a second of its idle time at worst.
const TOUCH_EVERY: Duration = Duration::from_secs(1);
/// Touched records that are sealed at one go: some microseconds each.
const TOUCHES: usize = 256;
/// While a Cluster leaves batch after batch without any answer, the next waits
/// for up to so many of the first pauses: a quarter of a second, since it may
/// have writes for nodes that live.
const LONGEST_WAIT: u32 = 5;
/// How long what waits has to go up when the node ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Works for one engine until `stopped` says so. `seal` gives the sealed value
/// of a record that was touched.
pub(super) async fn work(
    engine: Arc<Engine>,
    seal: impl Fn(KeyHash) -> Option<Write>,
    stopped: watch::Receiver<bool>,
) {
    work_on(&engine, seal, stopped).await;
    let (writes, bytes) = engine.queue.load();
    if writes > 0 {
        let upstream = &engine.config.address;
        tracing::warn!(%upstream, writes, bytes, "the node ends with writes that did not go up");
    }
}

async fn work_on(
    engine: &Arc<Engine>,
    seal: impl Fn(KeyHash) -> Option<Write>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pauses = Pauses::default();
    loop {
        let opened = tokio::select! {
            opened = timeout(CONNECT, engine.open()) => opened,
            () = until_stopped(&mut stopped) => return,
        };
        let began = Instant::now();
        match opened {
            Ok(Ok(session)) => {
                engine.begin(session.clone());
                let shift =
                    Shift { engine, session, seal: &seal, unanswered: 0, waits_until: None };
                match shift.serve(&mut stopped).await {
                    End::Stopped => return,
                    End::Lost => {}
                }
            }
            Ok(Err(error)) => engine.end(error),
            Err(_) => engine.end(format!("no connection within {CONNECT:?}")),
        }
        if began.elapsed() > 2 * PROBE_EVERY {
            pauses = Pauses::default();
        }
        tokio::select! {
            () = sleep(pauses.next()) => {}
            () = until_stopped(&mut stopped) => return,
        }
    }
}

async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    // It fails when the node is gone: that is an end too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Pauses that double, each shortened at random by up to a half: else all
/// nodes of a farm would come back in the same moment.
#[derive(Default)]
struct Pauses {
    last: Option<Duration>,
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = self.last.map_or(FIRST_PAUSE, |last| (2 * last).min(LONGEST_PAUSE));
        self.last = Some(pause);
        let mut byte = [0];
        getrandom::fill(&mut byte).expect("the operating system gives random numbers");
        pause - pause * u32::from(byte[0]) / 512
    }
}

/// Why there is no connection any more.
enum End {
    Stopped,
    Lost,
}

/// The work over one connection.
struct Shift<'a, S> {
    engine: &'a Arc<Engine>,
    session: Session,
    seal: &'a S,
    /// Batches in a row that had no answer at all.
    unanswered: u32,
    /// When the next one goes, after such.
    waits_until: Option<tokio::time::Instant>,
}

/// What became of something that was under way.
enum Landed {
    Batch(Landing),
    /// The engine answered a probe after this time.
    Probe(Duration),
    Lost(String),
}

impl<S: Fn(KeyHash) -> Option<Write>> Shift<'_, S> {
    async fn serve(mut self, stopped: &mut watch::Receiver<bool>) -> End {
        let mut under_way = JoinSet::new();
        let mut probed = JoinSet::new();
        let mut probe = interval(PROBE_EVERY);
        let mut touches = interval(TOUCH_EVERY);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touches.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let has_room = under_way.len() < UNDER_WAY;
            let next = async {
                if let Some(until) = self.waits_until {
                    sleep_until(until).await;
                }
                self.engine.queue.filled().await;
            };
            let landed = tokio::select! {
                Some(Ok(landed)) = under_way.join_next() => landed,
                Some(Ok(landed)) = probed.join_next() => landed,
                () = until_stopped(stopped) => {
                    // Whatever comes of it: the node ends.
                    let _ = timeout(LAST_WORDS, self.finish(&mut under_way)).await;
                    return End::Stopped;
                }
                () = next, if has_room => {
                    self.send(&mut under_way);
                    continue;
                }
                _ = probe.tick() => {
                    if probed.is_empty() {
                        probed.spawn(ask(self.session.clone()));
                    }
                    continue;
                }
                _ = touches.tick() => {
                    self.gather_touches().await;
                    continue;
                }
            };
            if let Err(error) = self.take_in(landed) {
                self.engine.end(error);
                while let Some(landed) = under_way.join_next().await {
                    // It is lost, whatever they say.
                    let _ = landed.map(|landed| self.take_in(landed));
                }
                return End::Lost;
            }
        }
    }

    /// Sends the next batch.
    fn send(&self, under_way: &mut JoinSet<Landed>) {
        let batch = self.engine.queue.take();
        if !batch.is_empty() {
            let (engine, session) = (Arc::clone(self.engine), self.session.clone());
            under_way.spawn(async move {
                let mut landing = Landing::default();
                session.store(batch, |write, stored| landing.settle(&engine, write, stored)).await;
                Landed::Batch(landing)
            });
        }
    }

    /// Takes note of what has landed; an error if the connection is lost.
    fn take_in(&mut self, landed: Landed) -> Result<(), String> {
        match landed {
            Landed::Batch(Landing { answered, back, error }) => {
                for write in back {
                    if let Err(Full(_)) = self.engine.queue.push(write) {
                        self.engine.dropped();
                    }
                }
                if !error.is_empty() {
                    self.engine.figures.trouble(error.clone());
                }
                if answered > 0 {
                    self.unanswered = 0;
                    self.waits_until = None;
                    return Ok(());
                }
                self.unanswered += 1;
                let pause = FIRST_PAUSE * self.unanswered.min(LONGEST_WAIT);
                self.waits_until = Some(tokio::time::Instant::now() + pause);
                // A Cluster goes on: these may be the slots of one node.
                if self.session.has_parts() { Ok(()) } else { Err(error) }
            }
            Landed::Probe(after) => {
                if after <= PROMPT && self.engine.figures.state() == UpstreamState::Slow {
                    self.engine.answers();
                }
                Ok(())
            }
            Landed::Lost(error) => Err(error),
        }
    }

    /// Has the records go up whose deadlines moved.
    async fn gather_touches(&self) {
        loop {
            let touched = self.engine.queue.take_touched(TOUCHES);
            let is_last = touched.len() < TOUCHES;
            touched.into_iter().filter_map(self.seal).for_each(|write| self.engine.write(write));
            if is_last {
                return;
            }
            yield_now().await;
        }
    }

    /// Sends all that waits, and waits for its answers.
    async fn finish(&mut self, under_way: &mut JoinSet<Landed>) {
        self.gather_touches().await;
        loop {
            while under_way.len() < UNDER_WAY && self.engine.queue.load().0 > 0 {
                self.send(under_way);
            }
            match under_way.join_next().await {
                Some(Ok(landed)) => {
                    if self.take_in(landed).is_err() {
                        return;
                    }
                }
                Some(Err(_)) | None => return,
            }
        }
    }
}

/// A batch of which the answers come in.
#[derive(Default)]
struct Landing {
    /// How many there were.
    answered: usize,
    /// Those without one, and why the last of them has none.
    back: Vec<Write>,
    error: String,
}

impl Landing {
    /// Tells who waits what became of a write, and counts it.
    fn settle(&mut self, engine: &Engine, mut write: Write, stored: Stored) {
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
            #[cfg(feature = "redis")]
            Stored::Deleted => {
                figures.superseded.add();
                write.settle(Err(UpstreamError::Deleted));
            }
            Stored::Refused(error) => {
                if figures.refused.add().is_power_of_two() {
                    let upstream = &engine.config.address;
                    tracing::warn!(%upstream, error, "the upstream refuses a write");
                }
                write.settle(Err(UpstreamError::Refused(error)));
            }
            Stored::Unanswered(error) => {
                self.answered -= 1;
                write.settle(Err(UpstreamError::Down));
                self.back.push(write);
                self.error = error;
            }
        }
    }
}

async fn ask(session: Session) -> Landed {
    let asked = Instant::now();
    match timeout(CONNECT, session.ping()).await {
        Ok(Ok(())) => Landed::Probe(asked.elapsed()),
        Ok(Err(error)) => Landed::Lost(error),
        Err(_) => Landed::Lost(format!("no answer within {CONNECT:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_shortened_by_half_at_most() {
        let mut pauses = Pauses::default();
        let mut whole = FIRST_PAUSE;
        for _ in 0..20 {
            let pause = pauses.next();
            assert!(pause <= whole && pause >= whole / 2, "{pause:?} of {whole:?}");
            whole = (2 * whole).min(LONGEST_PAUSE);
        }
    }
}
