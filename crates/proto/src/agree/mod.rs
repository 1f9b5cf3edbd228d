//! Operations that need one answer: linearizable, or an error.
//!
//! [`Agree`] is a machine without I/O: it takes messages, the membership's
//! opinion and the time (`handle_*`), and gives messages and events
//! (`poll_*`). Each key has a *register* at a few voters, on which `CASPaxos`
//! agrees on one state after another. Nothing is kept on disk, so a node that
//! starts again is another voter, one that knows nothing; who votes is itself
//! agreed on. What is promised, and why it holds, stands in
//! `docs/one-answer.md`; the arguments about each part stand with it:
//!
//! - `config`: what a machine is made from;
//! - `request`: what it is asked, and where that is brought about;
//! - [`ballot`]: what orders proposals;
//! - [`state`], [`operation`]: what a register holds, and what may be asked;
//! - [`roster`]: who votes, and which of them on a key;
//! - [`members`]: what this node thinks of the others;
//! - [`message`], `codec`: what nodes say to each other, as bytes;
//! - `acceptor`: the registers that this node votes on;
//! - `proposer`: what it brings about;
//! - `front`: requests on their way to a key's home, and those of others;
//! - `council`, `chair`: how the roster changes, and when;
//! - `sweep`: what is brought under a new roster, and what is forgotten;
//! - `stand`: what happens when nodes stand at different places.

mod acceptor;
pub mod ballot;
mod chair;
mod codec;
mod config;
mod council;
mod front;
pub mod members;
pub mod message;
pub mod operation;
mod proposer;
mod request;
pub mod roster;
mod stand;
pub mod state;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use zeroize::Zeroizing;

use acceptor::Acceptor;
pub use config::Config;
use council::Council;
use front::{Front, MAX_ASKED_BYTES};
use members::{Member, Members};
use message::{Envelope, Failure, Message};
use operation::Outcome;
use proposer::{Job, Proposer, Scene};
pub use request::{At, Request};
use roster::{MAX_VOTERS_OF_KEY, Roster, Stand};
use state::{RequestId, State};
use sweep::Sweep;

use crate::load::Load;
use crate::record::Key;
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// The longest name of a lock's owner, in bytes.
pub const MAX_OWNER_BYTES: usize = 64;
/// The most requests of the application that wait at a time.
const MAX_ASKED: usize = 16_384;
/// The most bytes of messages that wait to be sent; each is sent again when
/// its effect does not come.
const MAX_OUT_BYTES: usize = 64 << 20;
/// The most events that wait to be fetched; the driver fetches after each call.
const MAX_EVENTS: usize = 65_536;
/// How often the machine looks at what is due, while it does something: a
/// quarter of the first time after which something is sent again.
const BUSY_TICK: Duration = Duration::from_millis(5);
/// The same while it does nothing.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// Something that the driver should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A request has come to its end.
    Done {
        /// Which.
        request: RequestId,
        /// What came of it.
        result: Result<Outcome, Failure>,
    },
    /// This node brought about a change of a key: it is to tell the others.
    Chosen {
        /// Which key.
        key: Key,
        /// What is there.
        state: State,
    },
    /// Another roster is agreed.
    Roster(Stand),
    /// There has been none for long: this is why.
    Unfounded(Failure),
    /// Nodes that held one-answer state are gone, so many that some of it may
    /// be lost.
    MayBeLost,
    /// This node's farm met another that was founded by itself and prevails;
    /// so many registers were given up.
    Absorbed(usize),
}

/// What the machine did, counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests of the application that were answered.
    pub answered: u64,
    /// Requests that failed, and nothing was done.
    pub failed: u64,
    /// Requests of which it is not known.
    pub unknown: u64,
    /// Proposals that were in another's way.
    pub conflicts: u64,
    /// Registers that were forgotten, since what they held was over.
    pub retired: u64,
    /// Rosters that were adopted.
    pub rosters: u64,
    /// How often one-answer state may have been lost.
    pub may_be_lost: u64,
    /// Registers given up to a farm that was founded by itself.
    pub absorbed: u64,
    /// Messages that are none.
    pub malformed: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Agree {
    config: Config,
    rng: Rng,
    members: Members,
    roster: Option<Box<Roster>>,
    acceptor: Acceptor,
    proposer: Proposer,
    council: Council,
    front: Front,
    sweep: Sweep,
    /// All that is held here was chosen under this roster or later ones.
    swept: u64,
    /// Messages on their way to other nodes.
    out: VecDeque<(Incarnation, Zeroizing<Vec<u8>>)>,
    out_bytes: usize,
    /// Messages of this node to itself.
    own: VecDeque<Message>,
    events: VecDeque<Event>,
    figures: Figures,
    began: Instant,
    adopted: Instant,
    proposes_from: Instant,
    complains_from: Instant,
    tells_from: Instant,
    looks_from: Instant,
    tick_due: Instant,
    now: Now,
}

impl Agree {
    /// A machine that knows nobody and stands nowhere.
    #[must_use]
    pub fn new(mut config: Config, now: Now) -> Self {
        let of_key = usize::from(config.voters_of_key).clamp(1, MAX_VOTERS_OF_KEY) | 1;
        config.voters_of_key = u8::try_from(of_key).expect("at most five");
        Self {
            rng: Rng::new(config.seed),
            members: Members::default(),
            roster: None,
            acceptor: Acceptor::new(config.capacity_bytes),
            proposer: Proposer::new(config.incarnation),
            council: Council::new(config.incarnation),
            front: Front::default(),
            sweep: Sweep::default(),
            swept: 0,
            out: VecDeque::new(),
            out_bytes: 0,
            own: VecDeque::new(),
            events: VecDeque::new(),
            figures: Figures::default(),
            began: now.instant,
            adopted: now.instant,
            proposes_from: now.instant,
            complains_from: now.instant + chair::UNFOUNDED,
            tells_from: now.instant,
            looks_from: now.instant,
            tick_due: now.instant,
            now,
            config,
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    ///
    /// [`Failure::Busy`] when too many wait.
    pub fn submit(&mut self, now: Now, request: Request) -> Result<(), Failure> {
        self.now = now;
        if self.front.asked() >= MAX_ASKED || self.front.asked_bytes() >= MAX_ASKED_BYTES {
            self.figures.failed += 1;
            return Err(Failure::Busy);
        }
        self.ask_own(now.instant, request);
        self.settle();
        Ok(())
    }

    /// Takes the membership's present opinion, which lists all other nodes.
    pub fn handle_members(&mut self, now: Now, members: &[Member]) {
        self.now = now;
        self.members.replace(now, members);
    }

    /// Takes a message of another node.
    pub fn handle_message(&mut self, now: Now, from: Incarnation, bytes: &[u8]) {
        self.now = now;
        match Envelope::decode(bytes) {
            Ok(envelope) if envelope.to == self.config.incarnation => {
                self.handle_envelope(from, envelope);
            }
            // It was for the start before this one.
            Ok(_) => {}
            Err(_) => self.figures.malformed += 1,
        }
        self.settle();
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.now = now;
        if self.tick_due > now.instant {
            return;
        }
        self.tend_requests(now.instant);
        self.with_proposer(Proposer::handle_tick);
        self.council.handle_tick(now.instant);
        self.tend_sweep(now);
        self.tell_stand(now.instant);
        self.tend_roster(now);
        if self.looks_from <= now.instant {
            self.looks_from = now.instant + IDLE_TICK;
            self.tend_registers(now);
        }
        self.tend_retiring(now);
        self.tick_due = now.instant + IDLE_TICK;
        self.settle();
    }

    /// When [`Agree::handle_timeout`] is to be called next.
    #[must_use]
    pub const fn poll_timeout(&self) -> Instant {
        self.tick_due
    }

    /// The next message to another node.
    pub fn poll_transmit(&mut self) -> Option<(Incarnation, Zeroizing<Vec<u8>>)> {
        let (to, bytes) = self.out.pop_front()?;
        self.out_bytes -= bytes.len();
        Some((to, bytes))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The roster that this node goes by.
    #[must_use]
    pub fn roster(&self) -> Option<&Roster> {
        self.roster.as_deref()
    }

    /// Why nothing that needs one answer is done here, where there is no roster.
    #[must_use]
    pub fn unfounded(&self) -> Option<Failure> {
        self.roster.is_none().then(|| self.no_roster())
    }

    /// How many of the roster's voters this node takes for living.
    #[must_use]
    pub fn voters_alive(&self) -> usize {
        let me = self.config.incarnation;
        let voters = self.roster.iter().flat_map(|roster| &roster.electorate.voters);
        let lives = |voter: Incarnation| voter == me || self.members.is_alive(voter);
        voters.filter(|voter| lives(voter.incarnation)).count()
    }

    /// What it did.
    #[must_use]
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How many registers it votes on.
    #[must_use]
    pub fn registers(&self) -> usize {
        self.acceptor.len()
    }

    /// How full everything is that has a limit.
    #[must_use]
    pub fn loads(&self) -> [Load; 6] {
        [
            self.acceptor.load(),
            self.proposer.load(),
            Load::new("one-answer request bytes", self.front.asked_bytes(), MAX_ASKED_BYTES),
            Load::new("one-answer messages", self.out_bytes, MAX_OUT_BYTES),
            Load::new("one-answer requests", self.front.asked(), 2 * MAX_ASKED),
            Load::new("one-answer requests of others", self.front.seen(), front::MAX_REMEMBERED),
        ]
    }

    fn stand(&self) -> Stand {
        self.roster.as_ref().map_or(Stand::NONE, |roster| roster.stand)
    }

    fn event(&mut self, event: Event) {
        if self.events.len() < MAX_EVENTS {
            self.events.push_back(event);
        }
    }

    fn send(&mut self, to: Incarnation, message: Message) {
        if to == self.config.incarnation {
            self.own.push_back(message);
            return;
        }
        if self.out_bytes < MAX_OUT_BYTES {
            let bytes = Envelope { to, stand: self.stand(), message }.encode();
            self.out_bytes += bytes.len();
            self.out.push_back((to, bytes));
        }
    }

    /// Brings an operation about here. What another has proposed on the key
    /// since this node last did is above its round; where it votes on the key
    /// it knows by how much, and is not refused for nothing.
    fn bring_about(&mut self, key: Key, job: Job) {
        self.proposer.raise(self.acceptor.promised(&key).round);
        self.with_proposer(|proposer, scene| proposer.submit(scene, key, job));
    }

    /// Lets the proposer do something, where there is a roster to go by.
    fn with_proposer(&mut self, act: impl FnOnce(&mut Proposer, &mut Scene<'_>)) {
        if let Some(roster) = &self.roster {
            let mut scene = Scene { now: self.now, roster, rng: &mut self.rng };
            act(&mut self.proposer, &mut scene);
        }
    }

    /// Passes on what the parts have to say, until none has.
    fn settle(&mut self) {
        loop {
            for (to, key, about) in std::mem::take(&mut self.proposer.out) {
                self.send(to, Message::Register(key, about));
            }
            for (to, message) in std::mem::take(&mut self.council.out) {
                self.send(to, message);
            }
            for done in std::mem::take(&mut self.proposer.done) {
                self.handle_done(done);
            }
            let Some(message) = self.own.pop_front() else { break };
            let me = self.config.incarnation;
            self.handle_envelope(me, Envelope { to: me, stand: self.stand(), message });
        }
        self.figures.conflicts = self.proposer.conflicts;
        if self.is_busy() {
            let due = self.now.instant + BUSY_TICK;
            let due = self.proposer.begins_again().map_or(due, |begins| begins.min(due));
            self.tick_due = self.tick_due.min(due);
        }
    }

    fn is_busy(&self) -> bool {
        !self.proposer.is_idle()
            || !self.front.is_idle()
            || !self.sweep.is_idle()
            || self.council.is_busy()
    }
}
