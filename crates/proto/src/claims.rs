//! Whose early data was accepted: the tickets that were claimed here.
//!
//! The early data of a ticket may be accepted once in the whole farm (RFC 8446,
//! section 8.1), so who is about to accept it first claims the ticket at the
//! node that issued it. The first claim wins. This is what that node
//! remembers; how claims travel is not known here, and neither is TLS.
//!
//! # Nothing is forgotten early
//!
//! A claim is kept by the clock that only goes forward, for longer than any
//! ticket lives. No ticket outlives the claim to it, unless the time of day of
//! who claims is set back, or behind, by more than half an hour. When there is no more room, further claims are refused, which costs
//! clients a round trip and nothing else. A node that starts anew remembers
//! nothing, and is another incarnation, which nobody asks for the tickets of
//! the one before.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::load::Load;
use crate::record::KeyHash;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How long a claim is kept. A ticket ends at most 24 hours after the full
/// handshake that it goes back to, and whoever claims it sees to it that this was
/// not later than half an hour from then, by his clock. Another half an hour is
/// for nodes whose time of day is behind, which take it for valid for longer.
pub const KEPT: Duration = Duration::from_secs(25 * 60 * 60);

/// Claims are forgotten by the generation, of so long each: with 26 of them, a
/// claim is found by looking into as many tables.
const GENERATION: Duration = Duration::from_secs(60 * 60);

/// What a claim takes in memory at the most: 32 bytes and one of control in a
/// table that may be only 7/16 full after it has grown.
const CLAIM_BYTES: usize = 76;

/// Who claims: a node, and the number that it gave this claim of its own. A
/// question that is asked again is so known from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimant {
    /// The node that accepts the early data.
    pub node: Incarnation,
    /// Its number for the claim, never used before.
    pub number: u64,
}

/// What a claim came to at the node that issued the ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is the claimant's.
    Granted,
    /// Somebody else has claimed it.
    Taken,
    /// No further claim can be remembered, or the ticket is not this node's.
    Unable,
}

impl Answer {
    const ALL: [Self; 3] = [Self::Granted, Self::Taken, Self::Unable];

    /// The answer as a byte.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }

    /// The answer that a byte stands for, if it stands for one.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// The tickets that were claimed, shared by all threads of a node.
#[derive(Debug)]
pub struct Claims {
    held: Mutex<Held>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Held {
    /// The oldest first.
    generations: VecDeque<Generation>,
    count: usize,
    /// How many were refused, as there was no more room.
    refused: u64,
}

/// The claims of an hour.
#[derive(Debug)]
struct Generation {
    /// When its last claim can have been made.
    until: Instant,
    claims: HashTable<Claim>,
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    node: Incarnation,
    number: u64,
    ticket: KeyHash,
}

impl Claims {
    /// Room for as many claims as fit these bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { held: Mutex::default(), limit: bytes / CLAIM_BYTES }
    }

    /// Claims a ticket. Who asks again, by the same number, gets the same
    /// answer.
    pub fn claim(&self, now: Instant, ticket: KeyHash, claimant: Claimant) -> Answer {
        let mut held = self.held.lock();
        held.forget(now);
        if let Some(holder) = held.holder(ticket) {
            return if holder == claimant { Answer::Granted } else { Answer::Taken };
        }
        if held.count >= self.limit {
            held.refused += 1;
            return Answer::Unable;
        }
        held.insert(now, ticket, claimant);
        Answer::Granted
    }

    /// How many claims were refused, as no more can be kept.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.held.lock().refused
    }

    /// How many claims are kept, of how many at the most.
    #[must_use]
    pub fn load(&self) -> Load {
        Load::new("claims", self.held.lock().count, self.limit)
    }
}

impl Held {
    /// Lets the generations go whose claims are all old enough.
    fn forget(&mut self, now: Instant) {
        while let Some(oldest) = self.generations.front()
            && oldest.until + KEPT < now
        {
            self.count -= oldest.claims.len();
            self.generations.pop_front();
        }
    }

    fn holder(&self, ticket: KeyHash) -> Option<Claimant> {
        let found =
            |of: &Generation| of.claims.find(ticket.0, |held| held.ticket == ticket).copied();
        // Who asks again does so soon, and so does who replays.
        let Claim { node, number, .. } = self.generations.iter().rev().find_map(found)?;
        Some(Claimant { node, number })
    }

    fn insert(&mut self, now: Instant, ticket: KeyHash, Claimant { node, number }: Claimant) {
        if self.generations.back().is_none_or(|latest| latest.until < now) {
            let claims = HashTable::new();
            self.generations.push_back(Generation { until: now + GENERATION, claims });
        }
        let latest = self.generations.back_mut().expect("there is one, if only since here");
        let claim = Claim { node, number, ticket };
        latest.claims.insert_unique(ticket.0, claim, |held| held.ticket.0);
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Instant = Instant::from_micros(1);

    fn claimant(node: u128, number: u64) -> Claimant {
        Claimant { node: Incarnation(node), number }
    }

    #[test]
    fn the_first_claim_wins_and_is_told_so_again() {
        let claims = Claims::new(1 << 20);
        let check = |ticket, claimant, expected| {
            assert_eq!(claims.claim(START, KeyHash(ticket), claimant), expected);
        };
        check(7, claimant(1, 1), Answer::Granted);
        check(7, claimant(2, 1), Answer::Taken);
        check(7, claimant(1, 2), Answer::Taken);
        check(7, claimant(1, 1), Answer::Granted);
        check(8, claimant(2, 1), Answer::Granted);
        assert_eq!(claims.load().used, 2);
    }

    #[test]
    fn a_claim_is_kept_for_longer_than_a_ticket_lives() {
        let claims = Claims::new(1 << 20);
        let ticket = KeyHash(7);
        claims.claim(START, ticket, claimant(1, 1));
        assert_eq!(claims.claim(START + KEPT, ticket, claimant(2, 2)), Answer::Taken);
        let later = START + KEPT + GENERATION + Duration::from_micros(1);
        claims.claim(later, KeyHash(8), claimant(2, 2));
        assert_eq!(claims.load().used, 1, "what no ticket can ask for is forgotten");
    }

    #[test]
    fn without_room_no_claim_is_forgotten() {
        let claims = Claims::new(2 * CLAIM_BYTES);
        let all = |expected: [Answer; 3]| {
            for (ticket, expected) in (0..).zip(expected) {
                assert_eq!(claims.claim(START, KeyHash(ticket), claimant(1, ticket)), expected);
            }
        };
        all([Answer::Granted, Answer::Granted, Answer::Unable]);
        all([Answer::Granted, Answer::Granted, Answer::Unable]);
        assert_eq!(claims.claim(START, KeyHash(0), claimant(2, 0)), Answer::Taken);
        assert_eq!(claims.refused(), 2);
    }

    proptest! {
        /// Within 25 hours, whatever the order and whoever asks: one winner.
        #[test]
        fn a_ticket_has_one_winner(
            asked in prop::collection::vec((0_u64..4, 0_u128..3, 0_u64..3, 0_u64..1_500), 1..60),
        ) {
            let claims = Claims::new(1 << 20);
            let mut winners = std::collections::BTreeMap::new();
            let mut now = START;
            for (ticket, node, number, pause) in asked {
                now += Duration::from_secs(pause);
                let asking = claimant(node, number);
                let answer = claims.claim(now, KeyHash(ticket), asking);
                let winner = *winners.entry(ticket).or_insert(asking);
                let expected = if winner == asking { Answer::Granted } else { Answer::Taken };
                prop_assert_eq!(answer, expected);
            }
        }
    }
}
