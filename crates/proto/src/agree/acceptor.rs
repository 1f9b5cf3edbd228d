//! The registers that this node votes on.
//!
//! An acceptor promises and accepts as single-decree Paxos has it, and knows
//! nothing else: not who votes, nor what states mean. It is fenced by its
//! caller, which hands it no message of an earlier roster.
//!
//! A register that is forgotten leaves its promise behind in the *floor*, a
//! ballot that every register which is not there counts as having promised:
//! forgetting lets no late proposal in.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::ballot::{Ballot, Term};
use super::message::{About, Proposal};
use super::state::State;
use crate::load::Load;
use crate::record::{Key, KeyHash};
use crate::time::{Instant, Wall};

/// What a register costs beside its content: its key, ballots and place.
const OVERHEAD_BYTES: usize = 320;
/// How long a promise without a state is kept in a register of its own. The
/// proposer has long given up by then; keeping it longer would only spare
/// others a round.
const IDLE: Duration = Duration::from_secs(30);

/// A register's ballots and state.
#[derive(Debug)]
pub(super) struct Register {
    promised: Ballot,
    accepted: Option<(Ballot, State)>,
    hash: KeyHash,
    used: Instant,
}

/// All registers of a node.
#[derive(Debug)]
pub(super) struct Acceptor {
    registers: BTreeMap<Key, Register>,
    floor: Ballot,
    bytes: usize,
    capacity_bytes: usize,
    /// How far the last look for what can be forgotten came.
    looked: Option<Key>,
}

impl Register {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.accepted.as_ref().map_or(0, |(_, state)| state.bytes())
    }
}

impl Acceptor {
    pub(super) const fn new(capacity_bytes: usize) -> Self {
        Self {
            registers: BTreeMap::new(),
            floor: Ballot::NONE,
            bytes: 0,
            capacity_bytes,
            looked: None,
        }
    }

    pub(super) fn load(&self) -> Load {
        Load::new("register bytes", self.bytes, self.capacity_bytes)
    }

    pub(super) fn len(&self) -> usize {
        self.registers.len()
    }

    /// What a proposal on the key may not be below.
    pub(super) fn promised(&self, key: &Key) -> Ballot {
        self.registers.get(key).map_or(self.floor, |register| register.promised)
    }

    /// Phase 1: promises, and tells what was accepted.
    pub(super) fn prepare(&mut self, now: Instant, key: Key, ballot: Ballot) -> About {
        let promised = self.promised(&key);
        if ballot < promised {
            return About::Reject { ballot, promised };
        }
        if !self.has_room_for(&key, 0) {
            return About::Full(ballot);
        }
        let register = self.register(now, key);
        register.promised = ballot;
        let accepted = register.accepted.clone();
        About::Promise { ballot, accepted, room: self.room(&key) }
    }

    /// Phase 2: accepts, and promises the proposer's next ballot, so that it
    /// needs no phase 1 for its next proposal.
    pub(super) fn accept(&mut self, now: Instant, key: Key, proposal: Proposal) -> About {
        let Proposal { ballot, hash, state } = proposal;
        let promised = self.promised(&key);
        let again = self.registers.get(&key).and_then(|register| register.accepted.as_ref());
        if again.is_some_and(|(accepted, _)| *accepted == ballot) {
            return About::Accepted { ballot, room: self.room(&key) };
        }
        if ballot < promised {
            return About::Reject { ballot, promised };
        }
        if !self.has_room_for(&key, state.bytes()) {
            return About::Full(ballot);
        }
        let register = self.register(now, key);
        let before = register.bytes();
        *register =
            Register { promised: ballot.next(), accepted: Some((ballot, state)), hash, used: now };
        let after = register.bytes();
        self.bytes = self.bytes - before + after;
        About::Accepted { ballot, room: self.room(&key) }
    }

    /// Every voter has accepted, under this ballot, that nothing is there.
    pub(super) fn forget(&mut self, key: &Key, ballot: Ballot) {
        let register = self.registers.get(key);
        if register.is_some_and(|it| it.accepted.as_ref().is_some_and(|(at, _)| *at == ballot)) {
            self.remove(key);
        }
    }

    /// What was accepted under rosters before `base` counts no more: whatever
    /// of it had been chosen has been chosen again since.
    pub(super) fn drop_before(&mut self, base: Term) {
        for register in self.registers.values_mut() {
            if register.accepted.as_ref().is_some_and(|(ballot, _)| ballot.term < base) {
                self.bytes -= register.bytes();
                register.accepted = None;
                self.bytes += register.bytes();
            }
        }
    }

    /// What was accepted here of a key before `since` counts no more.
    pub(super) fn drop_of(&mut self, key: &Key, since: Term) {
        if let Some(register) = self.registers.get_mut(key)
            && register.accepted.as_ref().is_some_and(|(ballot, _)| ballot.term < since)
        {
            self.bytes -= register.bytes();
            register.accepted = None;
            self.bytes += register.bytes();
        }
    }

    /// Forgets all states: they are of a farm that this one has nothing to do
    /// with. Gives how many there were.
    pub(super) fn clear(&mut self) -> usize {
        let held = self.registers.values().filter(|register| register.accepted.is_some()).count();
        self.registers.clear();
        (self.floor, self.bytes, self.looked) = (Ballot::NONE, 0, None);
        held
    }

    /// The keys of states that were accepted under rosters before `since`.
    pub(super) fn accepted_before(&self, since: Term) -> Vec<(Key, KeyHash)> {
        let old = self.registers.iter().filter(|(_, register)| {
            register.accepted.as_ref().is_some_and(|(ballot, _)| ballot.term < since)
        });
        old.map(|(key, register)| (*key, register.hash)).collect()
    }

    /// Looks at the next `count` registers. Forgets idle promises, and gives
    /// the keys of those that have a state, and when that ended or will.
    pub(super) fn look(&mut self, now: Instant, count: usize) -> Vec<(Key, KeyHash, Wall)> {
        let from = self.looked.map_or(Bound::Unbounded, Bound::Excluded);
        let keys: Vec<Key> = self
            .registers
            .range((from, Bound::Unbounded))
            .take(count)
            .map(|(key, _)| *key)
            .collect();
        self.looked = keys.last().copied();
        let mut states = Vec::new();
        for key in keys {
            let Some(register) = self.registers.get(&key) else { continue };
            match &register.accepted {
                Some((_, state)) => states.push((key, register.hash, state.end())),
                None if register.used + IDLE <= now => self.remove(&key),
                None => {}
            }
        }
        states
    }

    fn register(&mut self, now: Instant, key: Key) -> &mut Register {
        let (floor, bytes) = (self.floor, &mut self.bytes);
        let register = self.registers.entry(key).or_insert_with(|| {
            *bytes += OVERHEAD_BYTES;
            Register { promised: floor, accepted: None, hash: KeyHash(0), used: now }
        });
        register.used = now;
        register
    }

    fn remove(&mut self, key: &Key) {
        if let Some(register) = self.registers.remove(key) {
            self.bytes -= register.bytes();
            self.floor = self.floor.max(register.promised);
        }
    }

    /// How large a state of that key may be, in bytes.
    fn room(&self, key: &Key) -> u64 {
        let own = self.registers.get(key).map_or(0, Register::bytes);
        let free = (self.capacity_bytes + own).saturating_sub(self.bytes + OVERHEAD_BYTES);
        free as u64
    }

    fn has_room_for(&self, key: &Key, state_bytes: usize) -> bool {
        // What takes less room than is taken already always fits: deletes and
        // releases work when all is full.
        let own = self.registers.get(key).map_or(0, Register::bytes);
        let wanted = OVERHEAD_BYTES + state_bytes;
        wanted <= own || self.bytes - own + wanted <= self.capacity_bytes
    }
}

#[cfg(test)]
mod tests;
