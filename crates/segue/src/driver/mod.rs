//! The node's I/O: what is done around the core's machine.
//!
//! A [`Driver`] hands packets, writes and the time to the machine, and what
//! comes out of it to the sockets ([`sockets`]) and to those who wait. A thread
//! of its own ([`thread`]) works it whenever packets arrive or time is up. While
//! that thread sleeps, it is lent to writers: in a quiet farm what they write
//! leaves by their own call, and no thread has to be woken for it. Writers never
//! wait for the driver: who finds it taken wakes the thread.

mod agreement;
pub(crate) mod clock;
mod report;
mod sockets;
mod thread;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use proto::agree::state::{RequestId, State};
use proto::claims::Answer;
use proto::keyring::Keyring;
use proto::nak::acks::WriteId;
use proto::nak::sender::RUN_PACKETS;
use proto::nak::stage::Stage;
use proto::node::{Event, Node};
use proto::record::{Key, KeyHash};
use proto::time::{Instant, Now};
use sys::wait::{Alarm, Readable, Sleeper};
use tokio::sync::{oneshot, watch};

use crate::asks::Asker;
use crate::cache::Shared;
use crate::claims::Asked;
use crate::status::Histogram;
use report::Report;
pub(crate) use report::Snapshot;
use sockets::Poll;
pub(crate) use sockets::Sockets;
pub(crate) use thread::spawn;

/// Writes that follow one another within this time go out together. Sending
/// one takes some ten microseconds: a writer that does nothing else would keep
/// the processor with packets of one record.
const LINGER: Duration = Duration::from_micros(100);
/// So much earlier than needed the alarm may go off: with many writes a
/// millisecond, each of which puts the next heartbeat off, it is set for one in
/// some of them, and still goes off no more than once a heartbeat's pause.
const EARLY: Duration = Duration::from_micros(300);
/// More packets than this are the thread's to send: a writer serves clients.
const LENT_PACKETS: u64 = 2 * RUN_PACKETS;
/// What a driver is made of.
pub(crate) struct Parts {
    pub(crate) node: Node,
    pub(crate) sockets: Sockets,
    pub(crate) shared: Arc<Shared>,
    pub(crate) alarm: Alarm,
    /// The farm's keys: others when they are to be changed.
    pub(crate) keys: watch::Receiver<Keyring>,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) snapshot: Arc<Mutex<Snapshot>>,
}

/// The machine, with everything that it is driven with.
pub(crate) struct Driver {
    parts: Parts,
    /// When the alarm goes off.
    alarm_at: Option<Instant>,
    /// When what was written was last sent.
    sent_at: Instant,
    /// Whether something waits to be sent with more.
    lingers: bool,
    /// Who waits for which write.
    waiting: HashMap<WriteId, oneshot::Sender<()>>,
    /// Who waits for which claim.
    claiming: HashMap<u64, oneshot::Sender<Option<Answer>>>,
    /// Who waits for which answer.
    askers: HashMap<RequestId, Asker>,
    /// What was agreed on and waits for room among the writes.
    unpublished: VecDeque<(Key, State)>,
    /// What was taken of the writes; empty between two calls.
    taken: Stage,
    /// Keys that others are to be asked for; empty between two calls.
    asked: Vec<KeyHash>,
    lag: Histogram,
    report: Report,
}

/// What the thread does after a turn.
enum Next {
    /// There is more to do.
    Turn,
    /// It sleeps; if `writable`, also until there is room to send.
    Sleep { writable: bool },
    /// It ends.
    End,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            alarm_at: None,
            sent_at: Instant::default(),
            lingers: false,
            waiting: HashMap::new(),
            claiming: HashMap::new(),
            askers: HashMap::new(),
            unpublished: VecDeque::new(),
            taken: Stage::default(),
            asked: Vec::new(),
            lag: Histogram::default(),
            report: Report::default(),
        }
    }

    /// Does all that there is to do, with what has come over the `readable`
    /// sockets first. Who leaves a write after the sleeper drowses wakes it.
    fn turn(&mut self, readable: Readable, sleeper: &Sleeper) -> io::Result<Next> {
        let now = self.now();
        // Ahead of the packets that they may open, and of those that come late.
        self.take_keys(now.instant);
        self.parts.sockets.receive(now, readable, &mut self.parts.node)?;
        self.parts.node.handle_timeout(now);
        sleeper.drowse();
        self.take_keys(now.instant);
        self.take_asked(now);
        self.send(now)?;
        self.take_events();
        self.publish_snapshot(now.instant);
        if self.parts.shared.closed.load(Ordering::SeqCst) {
            self.leave()?;
            return Ok(Next::End);
        }
        if self.parts.sockets.has_unread() {
            return Ok(Next::Turn);
        }
        self.set_alarm(self.now().instant)?;
        Ok(Next::Sleep { writable: self.parts.sockets.waits_for_room() })
    }

    /// Sends what a writer has just left, or sees to it that it is sent within
    /// [`LINGER`]; and asks at once for what a reader misses. If not, the thread
    /// is to be woken: for an error, for want of room in the socket, or where
    /// there is more to do than a writer should.
    pub(crate) fn send_for_others(&mut self) -> bool {
        let node = &self.parts.node;
        let busy = node.sender().unsent() > LENT_PACKETS || node.is_urgent();
        if busy || self.parts.shared.closed.load(Ordering::SeqCst) {
            return false;
        }
        let now = self.now();
        self.take_asked(now);
        self.send(now).is_ok() && {
            self.take_events();
            !self.parts.sockets.waits_for_room() && self.set_alarm(now.instant).is_ok()
        }
    }

    /// Sends what the machine has to send. What was written waits for more: a
    /// packet until it is full, and full ones until they are a run, but none
    /// longer than [`LINGER`] after the last ones were sent. Repairs and what
    /// nodes tell each other do not wait.
    fn send(&mut self, now: Now) -> io::Result<()> {
        self.take_claims(now.instant);
        self.take_asks(now);
        self.publish_rest(now);
        self.take_writes(false);
        let node = &self.parts.node;
        let time_is_up = now.instant >= self.sent_at + LINGER;
        let is_run = node.sender().unsent() >= RUN_PACKETS;
        if !time_is_up && !is_run && !self.parts.sockets.waits_for_room() {
            self.lingers = node.sender().unsent() > 0 || !self.parts.shared.writes.is_empty();
            return if node.is_urgent() { self.send_some(now, Node::poll_urgent) } else { Ok(()) };
        }
        if time_is_up && !is_run {
            self.take_writes(true);
        }
        let sent = self.parts.node.sender().sent_high();
        self.send_some(now, Node::poll_transmit)?;
        let sender = self.parts.node.sender();
        if sender.sent_high() > sent {
            self.sent_at = now.instant;
        }
        // What the others have no room for goes when they tell of some.
        self.lingers = sender.unsent() == 0 && !self.parts.shared.writes.is_empty();
        Ok(())
    }

    fn send_some(&mut self, now: Now, poll: Poll) -> io::Result<()> {
        self.parts.sockets.send(now, &mut self.parts.node, poll)
    }

    /// Has the thread woken when the machine or a lingering write wants it.
    fn set_alarm(&mut self, now: Instant) -> io::Result<()> {
        let due = [
            self.parts.node.poll_timeout().map(|(due, _)| due),
            self.parts.sockets.pause_end(now),
            self.lingers.then(|| self.sent_at + LINGER),
        ]
        .into_iter()
        .flatten()
        .min();
        let stands = match (self.alarm_at, due) {
            (Some(at), Some(due)) => at > now && at <= due && due - at < EARLY,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !stands {
            self.parts.alarm.set(due.map(|due| due - now))?;
            self.alarm_at = due;
        }
        Ok(())
    }

    fn now(&self) -> Now {
        self.parts.shared.clock.now()
    }

    /// Hands packets that writers have filled to the machine, and the one that
    /// they are filling too if `all` are to go. While the others are slow they
    /// stay, and writers wait.
    fn take_writes(&mut self, all: bool) {
        if self.parts.node.has_room() && self.parts.node.may_wait() {
            self.take_staged(all);
        }
    }

    fn take_staged(&mut self, all: bool) {
        let Self { parts, taken, waiting, .. } = self;
        parts.shared.writes.take(taken, all, |(write, done)| drop(waiting.insert(write, done)));
        parts.node.take(taken);
    }

    /// Has the machine look for the keys that were missed here.
    fn take_asked(&mut self, now: Now) {
        self.parts.shared.lookups.take(&mut self.asked);
        for key in self.asked.drain(..) {
            self.parts.node.look_up(now, key);
        }
    }

    /// Has the machine make the claims that wait for it.
    fn take_claims(&mut self, now: Instant) {
        for Asked { number, issuer, ticket, done } in self.parts.shared.claims.take() {
            self.claiming.insert(number, done);
            let patience = self.parts.shared.claim_timeout;
            self.parts.node.claim(now, number, (issuer, ticket), patience);
        }
    }

    /// Has the machine use other keys, if it is to.
    fn take_keys(&mut self, now: Instant) {
        // An error says that the node is gone, which ends the driver soon.
        if self.parts.keys.has_changed().unwrap_or(false) {
            let keys = self.parts.keys.borrow_and_update().clone();
            if let Err(error) = self.parts.node.rekey(now, keys) {
                tracing::error!(%error, "the keys stay as they are");
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.parts.node.poll_event() {
            match event {
                Event::Ready => {
                    tracing::info!("the portion has arrived");
                    self.parts.shared.lookups.be_ready();
                    self.parts.ready.send_replace(true);
                }
                Event::Acknowledged(write) => {
                    if let Some(done) = self.waiting.remove(&write) {
                        // The writer may have stopped waiting.
                        let _ = done.send(());
                    }
                }
                // Its writer sees the channel end: not acknowledged.
                Event::GivenUp(write) => drop(self.waiting.remove(&write)),
                Event::LookedUp(key, outcome) => self.parts.shared.lookups.tell(key, &outcome),
                Event::Claimed(number, answer) => {
                    if let Some(done) = self.claiming.remove(&number) {
                        // Whoever asked may have stopped waiting.
                        let _ = done.send(answer);
                    }
                }
                Event::Lag(lag) => self.lag.record(lag),
                Event::Agreement(event) => self.take_agreement(event),
                Event::MemberAlive(_)
                | Event::MemberDead(_)
                | Event::MemberLeft(_)
                | Event::MemberStalled(_)
                | Event::MemberReached(..)
                | Event::KeyRetired(_)
                | Event::NameTwice(..)
                | Event::KeysDiffer(_)
                | Event::PlacementDiffers(..)
                | Event::NobodyAnswers(_)
                | Event::PortionTrouble(_)
                | Event::ReplicasDiffer(..)
                | Event::ClockAhead(_) => self.report.log(&event),
            }
        }
    }

    fn publish_snapshot(&mut self, now: Instant) {
        if self.report.is_due(now) {
            self.waiting.retain(|_, waiting| !waiting.is_closed());
            if !self.parts.node.may_wait() {
                // Writers who have stopped waiting make room for others.
                let Self { parts, waiting, .. } = self;
                parts.node.forget_waits(|write| !waiting.contains_key(&write));
            }
            self.claiming.retain(|_, waiting| !waiting.is_closed());
            self.askers.retain(|_, asker| !asker.is_closed());
            self.parts.shared.claims.report();
            self.parts.sockets.settle_echo(&self.parts.node);
            *self.parts.snapshot.lock() = report::snapshot(&self.parts.node, &self.lag);
        }
    }

    /// Takes no more writes, sends what is left, as far as the others and the
    /// socket take it, and says goodbye.
    fn leave(&mut self) -> io::Result<()> {
        let now = self.now();
        self.parts.shared.writes.close();
        self.parts.node.hurry();
        loop {
            // Nobody begins to wait any more.
            if self.parts.node.has_room() {
                self.take_staged(true);
            }
            let sent = self.parts.node.sender().sent_high();
            self.send_some(now, Node::poll_transmit)?;
            if self.parts.node.sender().sent_high() == sent {
                break;
            }
        }
        self.parts.node.leave();
        self.send_some(now, Node::poll_transmit)
    }
}

impl Drop for Driver {
    /// However it ended: nobody takes a write any more.
    fn drop(&mut self) {
        self.parts.shared.closed.store(true, Ordering::SeqCst);
        self.parts.shared.writes.give_up();
        self.parts.shared.lookups.close();
        self.parts.shared.asks.close();
    }
}
