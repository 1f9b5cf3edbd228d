//! The operations that this node brings about, one at a time on each key.
//!
//! CASPaxos (Rystsov, "`CASPaxos`: Replicated State Machines without logs",
//! 2018): read the register's state from a quorum, apply the operation, have
//! the new state accepted. Any node may do this for any key; one node does it
//! for most of a key's requests (its *home*), which saves the first of the two
//! rounds. What each round has come to stands in [`attempt`]; who asked for an
//! operation is known to the caller only.

pub(super) mod attempt;
mod finish;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use attempt::{Accepting, Phase, Preparing};

use super::ballot::{Ballot, Term};
use super::message::{About, Failure, Proposal};
use super::operation::{Operation, Outcome, apply};
use super::roster::{Roster, majority};
use super::state::{RequestId, State};
use crate::load::Load;
use crate::record::{Key, KeyHash};
use crate::rng::Rng;
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// The most requests that wait for one key.
const MAX_WAITING: usize = 1_024;
/// The most keys that something is done on at a time.
const MAX_KEYS: usize = 16_384;
/// The most bytes of values in requests that wait here.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// The most states that are remembered for the next proposal, and how large
/// one may be: 16 MiB at the most.
const MAX_LEADS: usize = 4_096;
const MAX_LEAD_BYTES: usize = 4_096;
/// When a message is sent again that is not answered: a hundred round trips of
/// a LAN, so that a busy voter is not asked for nothing. Doubled each time.
const RESEND: Duration = Duration::from_millis(20);
const LONGEST_RESEND: Duration = Duration::from_millis(320);
/// The longest wait after a first conflict; doubled up to 2^7 times.
const BACK_OFF: Duration = Duration::from_millis(2);

/// Who asked for an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The application here.
    Own,
    /// Another node, under this number of its own.
    Node(Incarnation, u64),
    /// This node itself, to bring a register under the roster of that term.
    Sweep(Term),
    /// This node itself, to forget a register.
    Retire,
    /// This node itself, to tell the others of what may have come about.
    Tell,
}

/// A request that is to be brought about.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    /// The key's placement hash.
    pub(super) hash: KeyHash,
    pub(super) operation: Operation,
    pub(super) origin: Origin,
    pub(super) deadline: Instant,
    /// The first ballot under which a change was proposed: from there on it
    /// may have happened.
    pub(super) tried: Option<Ballot>,
}

impl Job {
    pub(super) const fn new(
        id: RequestId,
        hash: KeyHash,
        operation: Operation,
        origin: Origin,
        deadline: Instant,
    ) -> Self {
        Self { id, hash, operation, origin, deadline, tried: None }
    }
}

/// What has come of a job.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) job: Job,
    pub(super) key: Key,
    pub(super) result: Result<Outcome, Failure>,
    /// The state that was chosen, where it is another than before.
    pub(super) chosen: Option<State>,
}

/// What a proposer has to know of where it is.
pub(super) struct Scene<'a> {
    pub(super) now: Now,
    pub(super) roster: &'a Roster,
    pub(super) rng: &'a mut Rng,
}

/// What is done on one key.
#[derive(Debug)]
struct Desk {
    hash: KeyHash,
    /// The first is being brought about.
    jobs: VecDeque<Job>,
    phase: Phase,
    due: Instant,
    resend: Duration,
    conflicts: u32,
}

/// What the next proposal on a key can begin with: a quorum has promised the
/// ballot and accepted no later state.
#[derive(Debug)]
struct Lead {
    ballot: Ballot,
    state: State,
    room: u64,
}

/// All that a node proposes.
#[derive(Debug)]
pub(super) struct Proposer {
    me: Incarnation,
    desks: BTreeMap<Key, Desk>,
    leads: BTreeMap<Key, Lead>,
    waiting_bytes: usize,
    /// When the next of those that wait after a conflict begins again.
    begins_again: Option<Instant>,
    /// The highest round that was heard of.
    round: u64,
    pub(super) out: Vec<(Incarnation, Key, About)>,
    pub(super) done: Vec<Done>,
    pub(super) conflicts: u64,
}

impl Proposer {
    pub(super) const fn new(me: Incarnation) -> Self {
        Self {
            me,
            desks: BTreeMap::new(),
            leads: BTreeMap::new(),
            waiting_bytes: 0,
            begins_again: None,
            round: 0,
            out: Vec::new(),
            done: Vec::new(),
            conflicts: 0,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.desks.is_empty()
    }

    /// When something that was in another's way is to begin again.
    pub(super) const fn begins_again(&self) -> Option<Instant> {
        self.begins_again
    }

    pub(super) const fn load(&self) -> Load {
        Load::new("one-answer bytes at their home", self.waiting_bytes, MAX_WAITING_BYTES)
    }

    /// Begins above this round from here on.
    pub(super) fn raise(&mut self, round: u64) {
        self.round = self.round.max(round);
    }

    /// Takes a job on, unless too many wait.
    pub(super) fn submit(&mut self, scene: &mut Scene<'_>, key: Key, job: Job) {
        let waiting = self.desks.get(&key).map(|desk| desk.jobs.len());
        if waiting.map_or(self.desks.len() >= MAX_KEYS, |waiting| waiting >= MAX_WAITING)
            || self.waiting_bytes >= MAX_WAITING_BYTES
        {
            return self.refuse(key, job);
        }
        let desk = self.desks.entry(key).or_insert_with(|| Desk {
            hash: job.hash,
            jobs: VecDeque::new(),
            phase: Phase::Waiting,
            due: scene.now.instant,
            resend: RESEND,
            conflicts: 0,
        });
        self.waiting_bytes += job.operation.bytes();
        desk.jobs.push_back(job);
        if desk.jobs.len() == 1 {
            self.start(scene, key);
        }
    }

    /// Another roster is agreed: what was begun is begun again under it. But
    /// no register is retired while an earlier electorate counts.
    pub(super) fn handle_roster(&mut self, scene: &Scene<'_>) {
        self.leads.clear();
        self.give_up(|job| job.origin == Origin::Retire);
        let keys: Vec<Key> = self.desks.keys().copied().collect();
        for key in keys {
            self.prepare(scene, key);
        }
    }

    /// The roster that all was done under is no more. What has not been tried
    /// yet is begun under the one that prevails, of the rest nothing is known.
    pub(super) fn begin_anew(&mut self) {
        self.leads.clear();
        self.give_up(|job| job.tried.is_some());
    }

    /// Gives up such jobs: nobody knows what may have come of them.
    fn give_up(&mut self, which: impl Fn(&Job) -> bool) {
        let keys: Vec<Key> = self.desks.keys().copied().collect();
        for key in keys {
            let Some(desk) = self.desks.get_mut(&key) else { continue };
            let (ended, kept) = desk.jobs.drain(..).partition::<Vec<_>, _>(|job| which(job));
            desk.jobs = kept.into();
            ended.into_iter().for_each(|job| self.end(key, job, Err(Failure::Unknown), None));
        }
        self.desks.retain(|_, desk| !desk.jobs.is_empty());
    }

    /// Sends again what was not answered, begins again what had to wait, and
    /// gives up what took too long.
    pub(super) fn handle_tick(&mut self, scene: &mut Scene<'_>) {
        self.begins_again = None;
        let keys: Vec<Key> = self.desks.keys().copied().collect();
        for key in keys {
            self.expire(scene, key);
            let Some(desk) = self.desks.get_mut(&key) else { continue };
            let due = desk.due;
            if due > scene.now.instant {
                if matches!(desk.phase, Phase::Waiting) {
                    self.wait_until(due);
                }
                continue;
            }
            match &desk.phase {
                Phase::Waiting => self.prepare(scene, key),
                Phase::Preparing(_) | Phase::Accepting(_) => {
                    desk.due = scene.now.instant + desk.resend;
                    desk.resend = (desk.resend * 2).min(LONGEST_RESEND);
                    self.send(scene.roster, key);
                }
            }
        }
    }

    /// Sees to it that what waits until then is looked at.
    fn wait_until(&mut self, due: Instant) {
        self.begins_again = Some(self.begins_again.map_or(due, |begins| begins.min(due)));
    }

    /// Begins the first job of a key.
    fn start(&mut self, scene: &mut Scene<'_>, key: Key) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        (desk.resend, desk.conflicts) = (RESEND, 0);
        let Some(job) = desk.jobs.front() else {
            self.desks.remove(&key);
            return;
        };
        // To read costs one round either way, and a promise carries no state
        // to the voters.
        let reads = matches!(job.operation, Operation::Get);
        let lead = self.leads.remove(&key);
        match lead.filter(|lead| lead.ballot.term == scene.roster.stand.term() && !reads) {
            Some(Lead { ballot, state, room }) => {
                // Others may have changed it since: what is answered has to be
                // accepted first, even where it changes nothing.
                let known = Known { ballot, state, room, settled: false, is_told: true };
                self.propose(scene, key, known);
            }
            None => self.prepare(scene, key),
        }
    }

    /// Phase 1 under a new ballot.
    fn prepare(&mut self, scene: &Scene<'_>, key: Key) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        self.round += 1;
        let term = scene.roster.stand.term();
        let ballot = Ballot { term, round: self.round, proposer: self.me };
        desk.phase = Phase::Preparing(Preparing::new(ballot, scene.roster, desk.hash));
        desk.due = scene.now.instant + desk.resend;
        self.send(scene.roster, key);
    }

    /// Phase 2, or no more than an answer, now that the state is known.
    fn propose(&mut self, scene: &mut Scene<'_>, key: Key, known: Known) {
        let Some(desk) = self.desks.get_mut(&key) else { return };
        let Some(job) = desk.jobs.front_mut() else { return };
        let Known { ballot, state, room, settled, is_told } = known;
        let accepting = |state: State, outcome, changed| {
            Phase::Accepting(Accepting::new(ballot, state, outcome, changed))
        };
        let again = state.last.as_ref().filter(|(request, _)| *request == job.id);
        if let Some((_, outcome)) = again {
            let outcome = outcome.clone();
            if settled {
                self.remember(key, ballot, state.clone(), room);
                return self.finish(scene, key, Ok(outcome), Some(state));
            }
            job.tried.get_or_insert(ballot);
            desk.phase = accepting(state, outcome, true);
        } else {
            let applied = apply(&job.operation, job.id, &state, scene.now.wall);
            match applied.state {
                Some(changed) if room < changed.bytes() as u64 => {
                    let failure =
                        if job.tried.is_some() { Failure::Unknown } else { Failure::Full };
                    return self.finish(scene, key, Err(failure), None);
                }
                Some(changed) => {
                    job.tried.get_or_insert(ballot);
                    desk.phase = accepting(changed, applied.outcome, true);
                }
                // What was tried before may still be accepted somewhere, under
                // a lower ballot: only what is accepted now keeps it from
                // being taken up after this answer.
                None if settled && job.tried.is_none() => {
                    let told = (job.origin == Origin::Tell).then(|| state.clone());
                    self.remember(key, ballot, state, room);
                    return self.finish(scene, key, Ok(applied.outcome), told);
                }
                // Who brought it about may have died before others were told.
                None => desk.phase = accepting(state, applied.outcome, !is_told),
            }
        }
        (desk.resend, desk.due) = (RESEND, scene.now.instant + RESEND);
        self.send(scene.roster, key);
    }

    /// Sends what the phase asks of those who have not answered.
    fn send(&mut self, roster: &Roster, key: Key) {
        let Some(desk) = self.desks.get(&key) else { return };
        let (to, about) = match &desk.phase {
            Phase::Waiting => return,
            Phase::Preparing(preparing) => (preparing.missing(), About::Prepare(preparing.ballot)),
            Phase::Accepting(accepting) => {
                let Accepting { ballot, state, .. } = accepting;
                let proposal = Proposal { ballot: *ballot, hash: desk.hash, state: state.clone() };
                (accepting.missing(&roster.voters_of(desk.hash)), About::Accept(proposal))
            }
        };
        self.out.extend(to.into_iter().map(|to| (to, key, about.clone())));
    }

    /// Keeps what the next proposal can begin with. Its round counts as used,
    /// so that phase 1 never takes the same ballot for another state.
    fn remember(&mut self, key: Key, ballot: Ballot, state: State, room: u64) {
        self.raise(ballot.round);
        if state.bytes() <= MAX_LEAD_BYTES {
            if self.leads.len() >= MAX_LEADS {
                self.leads.pop_first();
            }
            self.leads.insert(key, Lead { ballot, state, room });
        }
    }

    /// A job has come to its end.
    fn end(&mut self, key: Key, job: Job, result: Result<Outcome, Failure>, chosen: Option<State>) {
        self.waiting_bytes -= job.operation.bytes();
        self.done.push(Done { job, key, result, chosen });
    }

    fn refuse(&mut self, key: Key, job: Job) {
        self.done.push(Done { job, key, result: Err(Failure::Busy), chosen: None });
    }
}

/// What is known of a register when something is proposed.
struct Known {
    ballot: Ballot,
    state: State,
    /// How large a state the voters have room for.
    room: u64,
    /// Whether the state has been chosen.
    settled: bool,
    /// Whether the others have been told of it.
    is_told: bool,
}

/// The voters that have answered in one way.
type Answered = BTreeSet<Incarnation>;

/// How many of `voters` have answered.
fn count(answered: &Answered, voters: &[Incarnation]) -> usize {
    voters.iter().filter(|voter| answered.contains(voter)).count()
}

fn is_majority(answered: &Answered, voters: &[Incarnation]) -> bool {
    count(answered, voters) >= majority(voters.len())
}
