//! Requests: those of the application on their way to a key's home, and those
//! of other nodes that this one brings about.
//!
//! A request goes to one home only, as often as it takes to be heard. Were it
//! given to another when the first does not answer, both could bring it about.
//! One that is asked [`At::Here`] goes to nobody: this node proposes it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Agree;
use super::ballot::Term;
use super::message::{Failure, Message};
use super::operation::{Operation, Outcome};
use super::proposer::{Done, Job, Origin};
use super::state::RequestId;
use super::{At, Event, Request};
use crate::record::{Key, KeyHash};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// When a request is sent again that is not answered; doubled each time.
const RESEND: Duration = Duration::from_millis(40);
const LONGEST_RESEND: Duration = Duration::from_millis(320);
/// How much longer than its home the asker waits, so that the home's answer
/// is heard.
const GRACE: Duration = Duration::from_millis(500);
/// How long a request of another node is remembered, to be answered the same
/// however often it comes: longer than it is sent again for. One that comes
/// later still is not done again either, see [`Front::forgotten`].
const REMEMBERED: Duration = Duration::from_secs(6);
/// The most requests of other nodes that are remembered: some 20 MB.
pub(super) const MAX_REMEMBERED: usize = 1 << 17;
/// The most nodes of which the last forgotten request is remembered: more than
/// start within a day, in a farm of 1,000 that all start again each hour.
const MAX_ASKERS: usize = 1 << 15;
/// How long no request goes to a home that has not answered one: it may not
/// hear this node, although it is heard.
const DEAF: Duration = Duration::from_secs(5);
/// The most bytes of values in requests that wait for their home's answer.
pub(super) const MAX_ASKED_BYTES: usize = 64 << 20;
/// The most bytes of values in remembered answers. An answer that is forgotten
/// earlier is not given twice: who lost it does not know.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// The application's.
    Own,
    /// To have a register brought under the present roster.
    Sweep(Term),
}

/// A request that this node has made.
#[derive(Debug)]
struct Asked {
    request: Request,
    purpose: Purpose,
    deadline: Instant,
    /// Whom it was sent to.
    home: Option<Incarnation>,
    due: Instant,
    resend: Duration,
}

/// A request of another node.
#[derive(Debug)]
enum Seen {
    UnderWay,
    Answered(Result<Outcome, Failure>),
    Forgotten,
}

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Front {
    asked: BTreeMap<u64, Asked>,
    seen: BTreeMap<(Incarnation, u64), Seen>,
    order: VecDeque<(Instant, (Incarnation, u64))>,
    answers: VecDeque<(Incarnation, u64)>,
    answer_bytes: usize,
    /// Each asker's highest number that was forgotten. Whatever comes with it
    /// or a lower one, and is not remembered, may have been done: it is late.
    forgotten: BTreeMap<Incarnation, u64>,
    asked_bytes: usize,
    last_ticket: u64,
    /// Nodes that have not answered, and until when they are not asked.
    deaf: BTreeMap<Incarnation, Instant>,
}

impl Front {
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn asked_bytes(&self) -> usize {
        self.asked_bytes
    }

    pub(super) fn seen(&self) -> usize {
        self.seen.len()
    }

    fn put_asked(&mut self, asked: Asked) -> u64 {
        self.last_ticket += 1;
        self.asked_bytes += asked.request.operation.bytes();
        self.asked.insert(self.last_ticket, asked);
        self.last_ticket
    }

    fn take_asked(&mut self, ticket: u64) -> Option<Asked> {
        let asked = self.asked.remove(&ticket)?;
        self.asked_bytes -= asked.request.operation.bytes();
        Some(asked)
    }

    /// Whether a request of another node is new.
    fn is_new(&self, (asker, ticket): (Incarnation, u64)) -> bool {
        self.forgotten.get(&asker).is_none_or(|&forgotten| forgotten < ticket)
    }

    fn answered(&mut self, from: (Incarnation, u64), result: &Result<Outcome, Failure>) {
        if let Some(seen) = self.seen.get_mut(&from) {
            *seen = Seen::Answered(result.clone());
            self.answer_bytes += answer_bytes(result);
            self.answers.push_back(from);
        }
        while self.answer_bytes > MAX_ANSWER_BYTES {
            let Some(oldest) = self.answers.pop_front() else { break };
            if let Some(seen) = self.seen.get_mut(&oldest) {
                if let Seen::Answered(result) = seen {
                    self.answer_bytes -= answer_bytes(result);
                }
                *seen = Seen::Forgotten;
            }
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, from)) = self.order.front().copied()
            && (at + REMEMBERED <= now || self.seen.len() > MAX_REMEMBERED)
        {
            self.order.pop_front();
            if let Some(Seen::Answered(result)) = self.seen.remove(&from) {
                self.answer_bytes -= answer_bytes(&result);
            }
            let (asker, ticket) = from;
            let last = self.forgotten.entry(asker).or_default();
            *last = ticket.max(*last);
            while self.forgotten.len() > MAX_ASKERS {
                self.forgotten.pop_first();
            }
        }
        while self.answers.front().is_some_and(|from| !self.seen.contains_key(from)) {
            self.answers.pop_front();
        }
    }
}

fn answer_bytes(result: &Result<Outcome, Failure>) -> usize {
    result.as_ref().map_or(0, Outcome::bytes)
}

impl Agree {
    /// Takes a request of the application, which the caller has found room for.
    pub(super) fn ask_own(&mut self, now: Instant, request: Request) {
        self.ask(now, Asked::new(request, Purpose::Own, now));
    }

    /// Has a register brought under the present roster.
    pub(super) fn ask_sweep(&mut self, now: Instant, key: Key, hash: KeyHash, since: Term) {
        let id =
            RequestId((u128::from(self.rng.next_u64()) << 64) | u128::from(self.rng.next_u64()));
        let request = Request { id, key, hash, operation: Operation::Get, at: At::Home };
        self.ask(now, Asked::new(request, Purpose::Sweep(since), now));
    }

    fn ask(&mut self, now: Instant, mut asked: Asked) {
        asked.deadline = now + self.config.patience;
        let ticket = self.front.put_asked(asked);
        self.send_asked(now, ticket);
    }

    /// Sends a request to its home, or has it brought about here.
    fn send_asked(&mut self, now: Instant, ticket: u64) {
        let Some(roster) = &self.roster else { return };
        let Some(asked) = self.front.asked.get_mut(&ticket) else { return };
        let me = self.config.incarnation;
        let home = asked.home.unwrap_or_else(|| {
            let voters = roster.voters_of(asked.request.hash);
            if asked.request.at == At::Here && voters.contains(&me) {
                return me;
            }
            let answers = |voter: &Incarnation| {
                *voter == me
                    || (self.members.is_alive(*voter) && !self.front.deaf.contains_key(voter))
            };
            voters.into_iter().find(answers).unwrap_or(me)
        });
        if home == me {
            let Some(asked) = self.front.take_asked(ticket) else { return };
            let Request { id, key, hash, operation, .. } = asked.request;
            let origin = match asked.purpose {
                Purpose::Own => Origin::Own,
                Purpose::Sweep(since) => Origin::Sweep(since),
            };
            return self.bring_about(key, Job::new(id, hash, operation, origin, asked.deadline));
        }
        if asked.home.is_none() {
            // Its patience begins when it asks.
            asked.deadline = now + self.config.patience + GRACE;
        }
        asked.home = Some(home);
        asked.due = now + asked.resend;
        asked.resend = (asked.resend * 2).min(LONGEST_RESEND);
        let Request { id, key, hash, operation, .. } = asked.request.clone();
        self.send(home, Message::Submit { ticket, id, key, hash, operation });
    }

    /// Sends again what was not heard, and gives up what took too long.
    pub(super) fn tend_requests(&mut self, now: Instant) {
        self.front.forget_old(now);
        self.front.deaf.retain(|_, until| *until > now);
        let late: Vec<u64> = self
            .front
            .asked
            .iter()
            .filter(|(_, asked)| asked.deadline <= now)
            .map(|(&ticket, _)| ticket)
            .collect();
        for ticket in late {
            let Some(asked) = self.front.take_asked(ticket) else { continue };
            self.front.deaf.extend(asked.home.map(|home| (home, now + DEAF)));
            let sent = asked.home.is_some();
            let failure = if sent { Failure::Unknown } else { self.no_roster() };
            self.asked_done(asked, Err(failure));
        }
        let due = |asked: &Asked| asked.due <= now;
        let due: Vec<u64> =
            self.front.asked.iter().filter(|(_, it)| due(it)).map(|(&ticket, _)| ticket).collect();
        for ticket in due {
            self.send_asked(now, ticket);
        }
    }

    /// Another node asks for something.
    pub(super) fn handle_submit(
        &mut self,
        now: Instant,
        from: (Incarnation, u64),
        (key, hash): (Key, KeyHash),
        (id, operation): (RequestId, Operation),
    ) {
        let (to, ticket) = from;
        match self.front.seen.get(&from) {
            Some(Seen::Answered(result)) => {
                let answer = Message::Answer { ticket, result: result.clone() };
                return self.send(to, answer);
            }
            Some(Seen::UnderWay | Seen::Forgotten) => return,
            None if !self.front.is_new(from) => return,
            None => {}
        }
        self.front.seen.insert(from, Seen::UnderWay);
        self.front.order.push_back((now, from));
        // Only the node itself takes registers away.
        if self.roster.is_none() || operation == Operation::Retire {
            let failure = self.no_roster();
            return self.answer(to, ticket, Err(failure));
        }
        let (origin, deadline) = (Origin::Node(to, ticket), now + self.config.patience);
        self.bring_about(key, Job::new(id, hash, operation, origin, deadline));
    }

    /// A request's home has answered.
    pub(super) fn handle_answer(
        &mut self,
        from: Incarnation,
        ticket: u64,
        result: Result<Outcome, Failure>,
    ) {
        if self.front.asked.get(&ticket).is_some_and(|asked| asked.home == Some(from))
            && let Some(asked) = self.front.take_asked(ticket)
        {
            self.asked_done(asked, result);
        }
    }

    /// A job of this node's proposer has ended.
    pub(super) fn handle_done(&mut self, done: Done) {
        let Done { job, key, result, chosen } = done;
        if let Some(state) = chosen.filter(|_| result.is_ok())
            && job.origin != Origin::Retire
        {
            self.event(Event::Chosen { key, state });
        }
        if job.tried.is_some() && result.is_err() && job.origin != Origin::Retire {
            // It may have come about all the same; where too few answer now, it
            // is the sweep after them that tells.
            let deadline = self.now.instant + self.config.patience;
            let tell = Job::new(job.id, job.hash, Operation::Get, Origin::Tell, deadline);
            self.bring_about(key, tell);
        }
        match job.origin {
            Origin::Own => self.own_done(job.id, result),
            Origin::Node(to, ticket) => self.answer(to, ticket, result),
            Origin::Sweep(since) => self.sweep_done(&key, since, result.is_ok()),
            Origin::Retire => {
                self.sweep.retire_done();
                self.figures.retired += u64::from(result == Ok(Outcome::Retired));
            }
            Origin::Tell => {}
        }
    }

    fn answer(&mut self, to: Incarnation, ticket: u64, result: Result<Outcome, Failure>) {
        self.front.answered((to, ticket), &result);
        self.send(to, Message::Answer { ticket, result });
    }

    fn asked_done(&mut self, asked: Asked, result: Result<Outcome, Failure>) {
        match asked.purpose {
            Purpose::Own => self.own_done(asked.request.id, result),
            Purpose::Sweep(since) => self.sweep_done(&asked.request.key, since, result.is_ok()),
        }
    }

    fn own_done(&mut self, request: RequestId, result: Result<Outcome, Failure>) {
        match result {
            Ok(_) => self.figures.answered += 1,
            Err(Failure::Unknown) => self.figures.unknown += 1,
            Err(_) => self.figures.failed += 1,
        }
        self.event(Event::Done { request, result });
    }
}

impl Asked {
    const fn new(request: Request, purpose: Purpose, now: Instant) -> Self {
        Self { request, purpose, deadline: now, home: None, due: now, resend: RESEND }
    }
}
