//! Carries what waits up to an engine, and keeps the connection to it.
//!
//! A connection that broke is made again after a pause that doubles; what was
//! under way waits again then, and is sent once more: storing is idempotent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::record::Key;
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout};

use super::engine::Engine;
use super::landing::Landing;
use super::pace::{Pace, Sent, UNDER_WAY};
use super::queue::Write;
use super::session::{ANSWER, CONNECT, Session};
use super::source::Source;
use crate::status::UpstreamState;

/// The first pause before a connection is tried again, and the longest: an
/// engine that has started anew is used within five seconds, and one that is
/// gone costs a connection every five.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
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
/// After so many batches in a row without any answer in time the next node or
/// engine is called, whether this one answers probes or not: twice the four that
/// are under way, since the pace is found by some that are late.
const MOST_UNANSWERED: u32 = 8;

/// Deletes that are asked for at a time, by each batch: with a round trip of 100
/// milliseconds a whole batch is known within two seconds.
const LEARNED_AT_ONCE: usize = 16;

/// Works for one engine until `stopped` says so, and then for as long as what
/// waits takes to go up, but no longer than is configured.
pub(super) async fn work(
    engine: Arc<Engine>,
    source: Arc<Source>,
    mut stopped: watch::Receiver<bool>,
) {
    let patience = engine.config.drain_timeout;
    let work = Work { engine: &engine, source: &source, pace: Pace::default() };
    tokio::select! {
        () = work.run(stopped.clone()) => {}
        () = async {
            until_stopped(&mut stopped).await;
            sleep(patience).await;
        } => {}
    }
    let writes = engine.queue.left();
    if writes > 0 {
        let upstream = &engine.config.address;
        tracing::warn!(
            %upstream, writes, ?patience,
            "the node ends, and writes are lost that did not come up in time"
        );
    }
}

/// The work for one engine.
struct Work<'a> {
    engine: &'a Arc<Engine>,
    source: &'a Arc<Source>,
    /// How much goes at a time: what was learned of a way holds for the next
    /// connection.
    pace: Pace,
}

impl Work<'_> {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut pauses = Pauses::default();
        loop {
            let ended = tokio::select! {
                opened = timeout(CONNECT, self.engine.open()) => Some(opened),
                () = until_drained(&mut stopped, self.engine) => None,
            };
            let began = Instant::now();
            match ended {
                None => return,
                Some(Ok(Ok(session))) => {
                    self.engine.begin(session.clone());
                    self.pace.begin_anew();
                    let shift = Shift {
                        work: &mut self,
                        session,
                        unanswered: 0,
                        waits_until: None,
                        learning: JoinSet::new(),
                    };
                    match shift.serve(&mut stopped).await {
                        End::Stopped => return,
                        End::Lost => {}
                    }
                }
                Some(Ok(Err(error))) => self.engine.end(error),
                Some(Err(_)) => self.engine.end(format!("no connection within {CONNECT:?}")),
            }
            if began.elapsed() > 2 * PROBE_EVERY {
                pauses = Pauses::default();
            }
            tokio::select! {
                () = sleep(pauses.next()) => {}
                () = until_drained(&mut stopped, self.engine) => return,
            }
        }
    }
}

/// Waits until the node ends while nothing waits to go up.
async fn until_drained(stopped: &mut watch::Receiver<bool>, engine: &Engine) {
    until_stopped(stopped).await;
    if engine.queue.left() > 0 {
        // Until the time is up, it may yet go.
        std::future::pending::<()>().await;
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
struct Shift<'a, 'w> {
    work: &'a mut Work<'w>,
    session: Session,
    /// Batches in a row that had no answer at all.
    unanswered: u32,
    /// When the next one goes, after such.
    waits_until: Option<tokio::time::Instant>,
    /// What is learned of deletes; given up with the connection.
    learning: JoinSet<()>,
}

/// What became of something that was under way.
enum Landed {
    /// The answers to a batch came, or did not, after this time.
    Batch {
        sent: Sent,
        took: Duration,
        landing: Landing,
    },
    /// The engine answered a probe after this time.
    Probe(Duration),
    Lost(String),
}

impl Shift<'_, '_> {
    async fn serve(mut self, stopped: &mut watch::Receiver<bool>) -> End {
        let (engine, mut ends) = (Arc::clone(self.work.engine), false);
        let (mut under_way, mut probed) = (JoinSet::new(), JoinSet::new());
        let (mut probe, mut touches) = (interval(PROBE_EVERY), interval(TOUCH_EVERY));
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touches.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if ends && engine.queue.left() == 0 {
                return End::Stopped;
            }
            let has_room = under_way.len() < UNDER_WAY && self.work.pace.room().is_some();
            let waits_until = self.waits_until;
            let next = async {
                if let Some(until) = waits_until {
                    sleep_until(until).await;
                }
                engine.queue.filled().await;
            };
            let landed = tokio::select! {
                Some(Ok(landed)) = under_way.join_next() => landed,
                Some(Ok(landed)) = probed.join_next() => landed,
                () = until_stopped(stopped), if !ends => {
                    ends = true;
                    self.gather_touches().await;
                    engine.queue.hurry();
                    continue;
                }
                () = next, if has_room => {
                    self.send(&mut under_way);
                    continue;
                }
                _ = probe.tick() => {
                    if probed.is_empty() {
                        let patience = CONNECT.max(self.work.pace.patience());
                        probed.spawn(ask(self.session.clone(), patience));
                    }
                    continue;
                }
                _ = touches.tick() => {
                    self.gather_touches().await;
                    continue;
                }
            };
            if let Err(error) = self.take_in(landed) {
                engine.end(error);
                while let Some(landed) = under_way.join_next().await {
                    // It is lost, whatever they say.
                    let _ = landed.map(|landed| self.take_in(landed));
                }
                return End::Lost;
            }
        }
    }

    /// Sends the next batch.
    fn send(&mut self, under_way: &mut JoinSet<Landed>) {
        let Some(room) = self.work.pace.room() else { return };
        let (engine, source) = (self.work.engine, self.work.source);
        let mut batch = engine.queue.take(room);
        let taken = batch.len();
        // Of what goes up again only the latest version does.
        batch.retain(|write| write.tries == 0 || !source.is_outdated(write));
        let outdated = taken - batch.len();
        engine.queue.landed(outdated);
        engine.figures.superseded.add_all(outdated);
        if batch.is_empty() {
            return;
        }
        let sent = self.work.pace.send(batch.iter().map(Write::bytes).sum());
        let (engine, session) = (Arc::clone(engine), self.session.clone());
        under_way.spawn(async move {
            let writes = batch.len();
            let mut landing = Landing::default();
            let settle = |write, stored| landing.settle(&engine, write, stored);
            session.store(batch, sent.time, settle).await;
            landing.come_back(&engine, writes);
            Landed::Batch { sent, took: sent.at.elapsed(), landing }
        });
    }

    /// Takes note of what has landed; an error if the connection is lost.
    fn take_in(&mut self, landed: Landed) -> Result<(), String> {
        let engine = self.work.engine;
        match landed {
            Landed::Batch { sent, took, landing } => {
                let Landing { answered, is_late, error, deleted, .. } = landing;
                self.learn(deleted);
                self.work.pace.landed(sent, took, is_late);
                if let Some(error) = &error {
                    engine.figures.trouble(error.clone());
                }
                if answered > 0 {
                    self.unanswered = 0;
                    self.waits_until = None;
                    return Ok(());
                }
                self.unanswered += 1;
                let pause = FIRST_PAUSE * self.unanswered.min(LONGEST_WAIT);
                self.waits_until = Some(tokio::time::Instant::now() + pause);
                match error {
                    // A Cluster goes on: these may be the slots of one node.
                    Some(_) | None if self.session.has_parts() => Ok(()),
                    None if self.unanswered < MOST_UNANSWERED => Ok(()),
                    None => Err(format!("{} batches had no answer in time", self.unanswered)),
                    Some(error) => Err(error),
                }
            }
            Landed::Probe(after) => {
                if after <= PROMPT && engine.figures.state() == UpstreamState::Slow {
                    engine.answers();
                }
                Ok(())
            }
            Landed::Lost(error) => Err(error),
        }
    }

    /// Learns of what was deleted above, beside what goes up: it may take as
    /// long as the one there likes. What there is no room for is learned when it
    /// is written next.
    fn learn(&mut self, deleted: Vec<Key>) {
        while self.learning.try_join_next().is_some() {}
        if !deleted.is_empty() && self.learning.len() < UNDER_WAY {
            let (source, session) = (Arc::clone(self.work.source), self.session.clone());
            self.learning.spawn(learn_all(source, session, deleted));
        }
    }

    /// Has the records go up whose deadlines moved.
    async fn gather_touches(&self) {
        let Work { engine, source, .. } = &*self.work;
        let sealed = engine.seals();
        loop {
            let touched = engine.queue.take_touched(TOUCHES);
            let is_last = touched.len() < TOUCHES;
            let writes = touched.into_iter().filter_map(|hash| source.touched(hash, sealed));
            writes.for_each(|write| engine.write(write));
            if is_last {
                return;
            }
            yield_now().await;
        }
    }
}

/// Asks for all that was deleted above, some at a time, and for no longer than
/// one answer may take.
async fn learn_all(source: Arc<Source>, session: Session, deleted: Vec<Key>) {
    let mut asking = JoinSet::new();
    let all = async {
        for key in deleted {
            if asking.len() == LEARNED_AT_ONCE {
                asking.join_next().await;
            }
            let (source, session) = (Arc::clone(&source), session.clone());
            asking.spawn(async move { source.learn_of_delete(&session, &key).await });
        }
        while asking.join_next().await.is_some() {}
    };
    // Else the next write of such a key is answered so again.
    let _ = timeout(ANSWER, all).await;
}

/// Asks whether the engine is there, behind what is under way.
async fn ask(session: Session, patience: Duration) -> Landed {
    let asked = Instant::now();
    match timeout(patience, session.ping()).await {
        Ok(Ok(())) => Landed::Probe(asked.elapsed()),
        Ok(Err(error)) => Landed::Lost(error),
        Err(_) => Landed::Lost(format!("no answer within {patience:?}")),
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
