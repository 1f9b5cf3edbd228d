//! What the two rounds of a proposal have come to.
//!
//! The quorum of the first round depends on the roster. A majority of the
//! key's present voters has to promise; and as long as none of them shows a
//! state that was accepted since they became the voters, a quorum of each
//! earlier electorate that may hold one has to promise too, which fences it
//! (Lamport, Malkhi and Zhou, "Vertical Paxos", 2009). A state that was
//! accepted by a present voter since came from a proposer that had asked the
//! earlier ones.

use std::collections::BTreeSet;

use super::{Answered, count, is_majority};
use crate::agree::ballot::Ballot;
use crate::agree::operation::Outcome;
use crate::agree::roster::{Roster, read_quorum};
use crate::agree::state::State;
use crate::record::KeyHash;
use crate::wire::header::Incarnation;

/// Where a proposal is.
#[derive(Debug)]
pub(super) enum Phase {
    /// It waits until others that were in conflict with it are through.
    Waiting,
    /// It asks for promises.
    Preparing(Preparing),
    /// It asks voters to accept.
    Accepting(Accepting),
}

/// The first round.
#[derive(Debug)]
pub(super) struct Preparing {
    pub(super) ballot: Ballot,
    /// The key's voters.
    voters: Vec<Incarnation>,
    /// The key's voters in earlier electorates, oldest first.
    earlier: Vec<Vec<Incarnation>>,
    promised: Answered,
    full: Answered,
    /// Which voters told which ballot as the highest that they accepted.
    told: Vec<(Incarnation, Ballot)>,
    best: Option<(Ballot, State)>,
    room: u64,
}

/// What the first round has found.
pub(super) struct Read {
    pub(super) best: Option<(Ballot, State)>,
    /// How large a state all who promised have room for.
    pub(super) room: u64,
    /// Whether the state is known to have been chosen by the present voters.
    pub(super) settled: bool,
}

/// What a voter promised.
pub(in crate::agree) struct Promise {
    pub(in crate::agree) from: Incarnation,
    pub(in crate::agree) accepted: Option<(Ballot, State)>,
    pub(in crate::agree) room: u64,
}

impl Preparing {
    pub(super) fn new(ballot: Ballot, roster: &Roster, hash: KeyHash) -> Self {
        let of_key = usize::from(roster.voters_of_key);
        let earlier = roster.earlier.iter().map(|earlier| earlier.voters_of(hash, of_key));
        Self {
            ballot,
            voters: roster.voters_of(hash),
            earlier: earlier.collect(),
            promised: BTreeSet::new(),
            full: BTreeSet::new(),
            told: Vec::new(),
            best: None,
            room: u64::MAX,
        }
    }

    /// Whom to ask, or to ask again.
    pub(super) fn missing(&self) -> BTreeSet<Incarnation> {
        let all = self.voters.iter().chain(self.earlier.iter().flatten()).copied();
        all.filter(|voter| !self.promised.contains(voter)).collect()
    }

    pub(super) fn promise(&mut self, promise: Promise) {
        let Promise { from, accepted, room } = promise;
        if !self.missing().contains(&from) {
            return;
        }
        self.promised.insert(from);
        if self.voters.contains(&from) {
            self.room = self.room.min(room);
        }
        if let Some((ballot, state)) = accepted {
            self.told.push((from, ballot));
            if self.best.as_ref().is_none_or(|(best, _)| *best < ballot) {
                self.best = Some((ballot, state));
            }
        }
    }

    /// A voter has no memory. Whether so many have none that it cannot be done.
    pub(super) fn full(&mut self, from: Incarnation) -> bool {
        self.full.insert(from);
        !is_majority(
            &self.voters.iter().copied().filter(|voter| !self.full.contains(voter)).collect(),
            &self.voters,
        )
    }

    /// What was found, once enough have promised.
    pub(super) fn read(&self, roster: &Roster) -> Option<Read> {
        if !is_majority(&self.promised, &self.voters) {
            return None;
        }
        let since = roster.electorate.since;
        let moved = self.best.as_ref().is_some_and(|(ballot, _)| ballot.term >= since);
        for voters in self.earlier.iter().filter(|_| !moved) {
            let heard = count(&self.promised, voters);
            // Where the others' memory is gone, nobody knows more than the rest.
            let silent = |voter: &&Incarnation| !self.promised.contains(voter);
            let all_gone = || voters.iter().filter(silent).all(|voter| roster.gone.contains(voter));
            if heard < read_quorum(voters.len()) && !all_gone() {
                return None;
            }
        }
        let settled = self.best.as_ref().is_none_or(|(best, _)| {
            let agree =
                |(from, told): &&(Incarnation, Ballot)| told == best && self.voters.contains(from);
            let agree = self.told.iter().filter(agree).map(|(from, _)| *from).collect();
            moved && is_majority(&agree, &self.voters)
        });
        Some(Read { best: self.best.clone(), room: self.room, settled })
    }

    /// How many answer of the voters that are too few, and how many are needed.
    pub(super) fn lacks(&self) -> (usize, usize) {
        let present = (count(&self.promised, &self.voters), self.voters.len() / 2 + 1);
        let earlier = self.earlier.iter();
        let lacking = earlier
            .map(|voters| (count(&self.promised, voters), read_quorum(voters.len())))
            .find(|(alive, needed)| alive < needed);
        if present.0 < present.1 { present } else { lacking.unwrap_or(present) }
    }
}

/// The second round.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) ballot: Ballot,
    pub(super) state: State,
    pub(super) outcome: Outcome,
    /// Whether others are to be told of the state: it is another than the one
    /// that was found, or that one was perhaps never told.
    pub(super) changed: bool,
    pub(super) accepted: Answered,
    pub(super) room: u64,
}

impl Accepting {
    pub(super) const fn new(ballot: Ballot, state: State, outcome: Outcome, changed: bool) -> Self {
        Self { ballot, state, outcome, changed, accepted: BTreeSet::new(), room: u64::MAX }
    }

    /// Whom to ask, or to ask again.
    pub(super) fn missing(&self, voters: &[Incarnation]) -> BTreeSet<Incarnation> {
        voters.iter().copied().filter(|voter| !self.accepted.contains(voter)).collect()
    }

    /// Whether it has been chosen; what is to be forgotten has to be accepted
    /// by all.
    pub(super) fn is_chosen(&self, voters: &[Incarnation]) -> bool {
        if self.outcome == Outcome::Retired {
            count(&self.accepted, voters) == voters.len()
        } else {
            is_majority(&self.accepted, voters)
        }
    }
}
