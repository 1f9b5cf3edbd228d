//! The step from one roster to the next, and the founding of the first.
//!
//! Each step is one decision of single-decree Paxos (Lamport, "Paxos Made
//! Simple", 2001) among the voters of the roster that it leads away from, so a
//! minority never changes the roster. The first roster is the same decision
//! among nodes without one. What the next roster should be, and who has a say,
//! comes from the caller.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ballot::{Ballot, Term};
use super::message::Message;
use super::roster::Roster;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// When a message is sent again that is not answered.
const RESEND: Duration = Duration::from_millis(50);
/// When a proposal is given up that too few answer: another node may try.
const GIVEN_UP: Duration = Duration::from_millis(400);

/// Who decides: so many of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Electors {
    pub(super) all: Vec<Incarnation>,
    pub(super) needed: usize,
}

/// A decision under way.
#[derive(Debug)]
struct Motion {
    ballot: Ballot,
    value: Box<Roster>,
    electors: Electors,
    accepting: bool,
    answered: BTreeSet<Incarnation>,
    best: Option<Ballot>,
    due: Instant,
    given_up: Instant,
}

/// This node's part in the decision that leads away from the present roster.
#[derive(Debug)]
pub(super) struct Council {
    me: Incarnation,
    promised: Ballot,
    accepted: Option<(Ballot, Box<Roster>)>,
    motion: Option<Motion>,
    round: u64,
    pub(super) out: Vec<(Incarnation, Message)>,
}

impl Council {
    pub(super) const fn new(me: Incarnation) -> Self {
        let (promised, accepted, motion) = (Ballot::NONE, None, None);
        Self { me, promised, accepted, motion, round: 0, out: Vec::new() }
    }

    /// Another roster is agreed: the decision that led to it is over.
    pub(super) fn begin_again(&mut self) {
        (self.promised, self.accepted, self.motion) = (Ballot::NONE, None, None);
        self.round = 0;
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.motion.is_some()
    }

    /// Proposes the next roster.
    pub(super) fn propose(
        &mut self,
        now: Instant,
        term: Term,
        electors: Electors,
        value: Box<Roster>,
    ) {
        self.round += 1;
        self.motion = Some(Motion {
            ballot: Ballot { term, round: self.round, proposer: self.me },
            value,
            electors,
            accepting: false,
            answered: BTreeSet::new(),
            best: None,
            due: now + RESEND,
            given_up: now + GIVEN_UP,
        });
        self.send();
    }

    pub(super) fn handle_tick(&mut self, now: Instant) {
        let Some(motion) = &mut self.motion else { return };
        if motion.given_up <= now {
            self.motion = None;
        } else if motion.due <= now {
            motion.due = now + RESEND;
            self.send();
        }
    }

    /// As a voter: promises, and tells what was accepted.
    pub(super) fn prepare(&mut self, ballot: Ballot) -> Message {
        if ballot < self.promised {
            return Message::StepReject(self.promised);
        }
        self.promised = ballot;
        Message::StepPromise(ballot, self.accepted.clone())
    }

    /// As a voter: accepts.
    pub(super) fn accept(&mut self, ballot: Ballot, value: Box<Roster>) -> Message {
        if ballot < self.promised {
            return Message::StepReject(self.promised);
        }
        self.promised = ballot;
        self.accepted = Some((ballot, value));
        Message::StepAccepted(ballot)
    }

    /// A voter promised something.
    pub(super) fn handle_promise(
        &mut self,
        now: Instant,
        from: Incarnation,
        under: Ballot,
        accepted: Option<(Ballot, Box<Roster>)>,
    ) {
        let Some(motion) = self.motion.as_mut().filter(|motion| motion.ballot == under) else {
            return;
        };
        if motion.accepting || !motion.electors.all.contains(&from) {
            return;
        }
        motion.answered.insert(from);
        // A decision of an earlier generation is one of voters of whom too few
        // are left: the later one prevails.
        let generation = motion.value.stand.lineage.generation;
        if let Some((ballot, value)) = accepted
            && value.stand.lineage.generation >= generation
            && motion.best.is_none_or(|best| best < ballot)
        {
            (motion.best, motion.value) = (Some(ballot), value);
        }
        if motion.answered.len() >= motion.electors.needed {
            motion.accepting = true;
            motion.answered.clear();
            motion.due = now + RESEND;
            self.send();
        }
    }

    /// A voter accepted something. The next roster, if that decides it.
    pub(super) fn handle_accepted(
        &mut self,
        from: Incarnation,
        under: Ballot,
    ) -> Option<Box<Roster>> {
        let motion = self.motion.as_mut().filter(|motion| motion.ballot == under)?;
        if !motion.accepting || !motion.electors.all.contains(&from) {
            return None;
        }
        motion.answered.insert(from);
        if motion.answered.len() < motion.electors.needed {
            return None;
        }
        self.motion.take().map(|motion| motion.value)
    }

    /// A voter has promised a higher ballot. The caller proposes again, later.
    pub(super) fn handle_reject(&mut self, promised: Ballot) {
        self.round = self.round.max(promised.round);
        if self.motion.as_ref().is_some_and(|motion| motion.ballot < promised) {
            self.motion = None;
        }
    }

    fn send(&mut self) {
        let Some(motion) = &self.motion else { return };
        let message = if motion.accepting {
            Message::StepAccept(motion.ballot, motion.value.clone())
        } else {
            Message::StepPrepare(motion.ballot)
        };
        let missing = motion.electors.all.iter().filter(|to| !motion.answered.contains(to));
        self.out.extend(missing.map(|to| (*to, message.clone())));
    }
}

#[cfg(test)]
mod tests;
