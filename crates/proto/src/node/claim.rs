//! Claims on tickets, between who is about to accept their early data and who
//! issued them.
//!
//! A claim is asked for until it is answered, under one number, so that a lost
//! answer is told again and no ticket is lost by it. It is asked of the very
//! start of a node that issued the ticket, and of nobody else: another start
//! does not know what was claimed before. What is remembered of claims, and for
//! how long, is [`crate::claims`]'s to say.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Event, Node};
use crate::claims::{Answer, Claimant};
use crate::load::Load;
use crate::record::KeyHash;
use crate::time::Instant;
use crate::wire::control::Message;
use crate::wire::header::Incarnation;

/// How long an answer is waited for by default: as long as a look-up waits for
/// other nodes.
pub const PATIENCE: Duration = Duration::from_millis(30);
/// When a claim is first asked again: after many round trips of a LAN, so that
/// a busy issuer is not asked twice for nothing. Then after twice as long, and
/// so on: within [`PATIENCE`] four times in all.
const FIRST_PAUSE: Duration = Duration::from_millis(4);
/// The most claims that wait for an answer: with [`PATIENCE`], 34,000 a second
/// of issuers that do not answer. Beyond that, early data is refused.
const MAX_WAITING: usize = 1_024;

/// The claims of this node that wait for an answer.
#[derive(Debug, Default)]
pub(super) struct Claiming {
    waiting: BTreeMap<u64, Waiting>,
    /// Nothing is due before; a look in vain puts it right.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    issuer: Incarnation,
    ticket: KeyHash,
    again: Instant,
    pause: Duration,
    ends: Instant,
}

impl Claiming {
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn load(&self) -> Load {
        Load::new("claims without an answer", self.waiting.len(), MAX_WAITING)
    }
}

impl Node {
    /// Claims a ticket at the other node that issued it, under a number that was
    /// never used before: [`Event::Claimed`] tells what came of it within
    /// `patience`.
    pub fn claim(
        &mut self,
        now: Instant,
        number: u64,
        (issuer, ticket): (Incarnation, KeyHash),
        patience: Duration,
    ) {
        let is_there = self.peers.get(&issuer).is_some_and(|peer| peer.is_alive());
        if !is_there || self.claiming.waiting.len() >= MAX_WAITING {
            self.event(Event::Claimed(number, None));
            return;
        }
        self.ask_for(number, (issuer, ticket));
        let (again, ends) = (now + FIRST_PAUSE, now + patience);
        let waiting = Waiting { issuer, ticket, again, pause: FIRST_PAUSE, ends };
        self.claiming.waiting.insert(number, waiting);
        let next = again.min(ends);
        self.claiming.due = Some(self.claiming.due.map_or(next, |due| due.min(next)));
    }

    /// Another node claims a ticket.
    pub(super) fn handle_claim(
        &mut self,
        now: Instant,
        sender: Incarnation,
        number: u64,
        (issuer, ticket): (Incarnation, KeyHash),
    ) {
        let Some(peer) = self.peers.get(&sender) else { return };
        let answer = if issuer == self.config.incarnation {
            self.claims.claim(now, ticket, Claimant { node: sender, number })
        } else {
            Answer::Unable
        };
        self.outbox.push_to_node(peer.address, &Message::Claimed { number, answer });
    }

    /// An answer has come. Whether it is asked for, and by whom it must come, is
    /// known here: anything else is old, or false.
    pub(super) fn handle_claimed(&mut self, sender: Incarnation, number: u64, answer: Answer) {
        let asked = self.claiming.waiting.get(&number);
        if asked.is_some_and(|asked| asked.issuer == sender) {
            self.claiming.waiting.remove(&number);
            self.event(Event::Claimed(number, Some(answer)));
        }
    }

    /// Asks again for what is not answered, and gives up what waited for too
    /// long.
    pub(super) fn claim_again(&mut self, now: Instant) {
        let mut waiting = std::mem::take(&mut self.claiming.waiting);
        self.claiming.due = None;
        waiting.retain(|&number, asked| {
            if asked.ends <= now {
                self.event(Event::Claimed(number, None));
                return false;
            }
            if asked.again <= now {
                self.ask_for(number, (asked.issuer, asked.ticket));
                asked.pause *= 2;
                asked.again = now + asked.pause;
            }
            let next = asked.again.min(asked.ends);
            self.claiming.due = Some(self.claiming.due.map_or(next, |due| due.min(next)));
            true
        });
        self.claiming.waiting = waiting;
    }

    fn ask_for(&mut self, number: u64, (issuer, ticket): (Incarnation, KeyHash)) {
        if let Some(peer) = self.peers.get(&issuer) {
            let claim = Message::Claim { number, issuer, ticket };
            self.outbox.push_to_node(peer.address, &claim);
        }
    }
}
