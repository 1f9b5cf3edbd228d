//! What this node thinks of the others: an opinion, from outside.
//!
//! It decides whom to ask first and when to propose another roster, and never
//! what has been agreed: any opinion is safe.

use std::collections::BTreeMap;

use super::roster::{Stand, Voter};
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// Whether a node can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is heard.
    Alive,
    /// It is not heard. It may be heard again.
    Silent,
    /// It left, or was started again under its name and address: what it had
    /// in memory is certainly gone.
    Gone,
}

/// Another node, as the membership has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Which start of it.
    pub incarnation: Incarnation,
    /// What stands for its name where keys are placed.
    pub place: u64,
    /// Whether its portion has arrived.
    pub ready: bool,
    /// Whether it is heard.
    pub standing: Standing,
}

/// What is known of a member.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) member: Member,
    /// When its standing last changed.
    pub(super) since: Instant,
    /// Where it said that it stands, and what it said to have swept.
    pub(super) told: Option<Told>,
}

/// What a member said of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) stand: Stand,
    pub(super) swept: u64,
    pub(super) at: Instant,
}

/// All members but this node.
#[derive(Debug, Default)]
pub(super) struct Members(BTreeMap<Incarnation, Known>);

impl Members {
    /// Takes the present opinion, which lists all.
    pub(super) fn replace(&mut self, now: Now, members: &[Member]) {
        let mut before = std::mem::take(&mut self.0);
        for &member in members {
            let known = match before.remove(&member.incarnation) {
                Some(known) if known.member.standing == member.standing => {
                    Known { member, ..known }
                }
                known => {
                    Known { member, since: now.instant, told: known.and_then(|known| known.told) }
                }
            };
            self.0.insert(member.incarnation, known);
        }
    }

    pub(super) fn told(&mut self, from: Incarnation, told: Told) {
        if let Some(known) = self.0.get_mut(&from) {
            known.told = Some(told);
        }
    }

    pub(super) fn get(&self, incarnation: Incarnation) -> Option<&Known> {
        self.0.get(&incarnation)
    }

    pub(super) fn is_alive(&self, incarnation: Incarnation) -> bool {
        self.get(incarnation).is_some_and(|known| known.member.standing == Standing::Alive)
    }

    /// Whether what a voter of the roster at `stand` had in memory is certainly
    /// gone. One that the membership does not know, or no more, is gone when
    /// another start lives in its place and goes by that roster, which is from
    /// before that start.
    pub(super) fn is_gone(&self, voter: &Voter, stand: Stand) -> bool {
        let came_after = |known: &Known| {
            known.member.place == voter.place && known.told.is_some_and(|it| it.stand == stand)
        };
        self.get(voter.incarnation).map_or_else(
            || self.alive().any(came_after),
            |known| known.member.standing == Standing::Gone,
        )
    }

    /// How many may still have what they had in memory.
    pub(super) fn not_gone(&self) -> usize {
        let gone = |known: &&Known| known.member.standing == Standing::Gone;
        self.0.values().filter(|known| !gone(known)).count()
    }

    pub(super) fn alive(&self) -> impl Iterator<Item = &Known> {
        self.0.values().filter(|known| known.member.standing == Standing::Alive)
    }
}
