//! What a message means, given where its sender and this node stand.
//!
//! What is said about registers and the next roster counts only between nodes
//! that go by the same roster; that is what fences those that go by an earlier
//! one. Of two rosters that meet, one prevails ([`Stand`]'s order).

use std::time::Duration;

use super::members::Told;
use super::message::{About, Envelope, Message};
use super::proposer::attempt::Promise;
use super::roster::{Roster, Stand, majority};
use super::{Agree, Event};
use crate::record::Key;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How often a node tells where it stands.
const TELLING: Duration = Duration::from_millis(250);
/// How many others it tells then, beside the first living voter: in a farm of
/// a hundred all have heard of a new roster after some five tellings.
const TOLD: u64 = 3;

impl Agree {
    /// Takes a message.
    pub(super) fn handle_envelope(&mut self, from: Incarnation, envelope: Envelope) {
        let Envelope { stand, message, .. } = envelope;
        let own = self.stand();
        match message {
            Message::Roster(roster) => self.handle_roster(*roster),
            Message::Ask => self.tell_roster(from),
            Message::Answer { ticket, result } => self.handle_answer(from, ticket, result),
            Message::Know { .. }
            | Message::StepPrepare(_)
            | Message::StepPromise(..)
            | Message::StepAccept(..)
            | Message::StepAccepted(_)
            | Message::StepReject(_)
            | Message::Register(..)
            | Message::Submit { .. } => {
                if stand < own {
                    self.tell_roster(from);
                } else if stand > own {
                    self.send(from, Message::Ask);
                }
                self.handle_placed(from, stand, message);
            }
        }
    }

    /// A message that means something given where its sender stands.
    fn handle_placed(&mut self, from: Incarnation, stand: Stand, message: Message) {
        let own = self.stand();
        if let Message::Know { swept } = message {
            self.members.told(from, Told { stand, swept, at: self.now.instant });
        } else if let Message::Submit { ticket, id, key, hash, operation } = message {
            // A node that is behind may ask for what is brought about ahead.
            if stand <= own {
                let now = self.now.instant;
                self.handle_submit(now, (from, ticket), (key, hash), (id, operation));
            }
        } else if stand == own {
            self.handle_equal(from, message);
        }
    }

    /// A message of a node that stands where this one does.
    fn handle_equal(&mut self, from: Incarnation, message: Message) {
        let now = self.now.instant;
        match message {
            Message::StepPrepare(ballot) => {
                let answer = self.council.prepare(ballot);
                self.send(from, answer);
            }
            Message::StepAccept(ballot, roster) => {
                let answer = self.council.accept(ballot, roster);
                self.send(from, answer);
            }
            Message::StepPromise(ballot, accepted) => {
                self.council.handle_promise(now, from, ballot, accepted);
            }
            Message::StepAccepted(ballot) => {
                if let Some(roster) = self.council.handle_accepted(from, ballot) {
                    self.decided(*roster);
                }
            }
            Message::StepReject(promised) => self.council.handle_reject(promised),
            Message::Register(key, about) if self.roster.is_some() => {
                self.handle_about(from, key, about);
            }
            Message::Register(..)
            | Message::Know { .. }
            | Message::Ask
            | Message::Roster(_)
            | Message::Submit { .. }
            | Message::Answer { .. } => {}
        }
    }

    /// Something about a register.
    fn handle_about(&mut self, from: Incarnation, key: Key, about: About) {
        let now = self.now.instant;
        let answer = match about {
            About::Prepare(ballot) => Some(self.acceptor.prepare(now, key, ballot)),
            About::Accept(proposal) => Some(self.acceptor.accept(now, key, proposal)),
            About::Forget(ballot) => {
                self.acceptor.forget(&key, ballot);
                None
            }
            About::Promise { ballot, accepted, room } => {
                let promise = Promise { from, accepted, room };
                self.with_proposer(|it, scene| it.handle_promise(scene, key, ballot, promise));
                None
            }
            About::Accepted { ballot, room } => {
                self.with_proposer(|it, scene| {
                    it.handle_accepted(scene, key, from, (ballot, room));
                });
                None
            }
            About::Reject { ballot, promised } => {
                self.with_proposer(|it, scene| it.handle_reject(scene, key, ballot, promised));
                None
            }
            About::Full(ballot) => {
                self.with_proposer(|it, scene| it.handle_full(scene, key, from, ballot));
                None
            }
        };
        if let Some(about) = answer {
            self.send(from, Message::Register(key, about));
        }
    }

    /// The next roster is decided: all are told.
    fn decided(&mut self, roster: Roster) {
        let me = self.config.incarnation;
        let before = self.roster.iter().flat_map(|roster| &roster.electorate.voters);
        let mut to: Vec<Incarnation> = before
            .chain(&roster.electorate.voters)
            .map(|voter| voter.incarnation)
            .chain(self.members.alive().map(|known| known.member.incarnation))
            .filter(|&to| to != me)
            .collect();
        to.sort_unstable();
        to.dedup();
        self.handle_roster(roster);
        to.into_iter().for_each(|to| self.tell_roster(to));
    }

    /// Goes by a roster that was decided, if it prevails over the present one.
    fn handle_roster(&mut self, roster: Roster) {
        let own = self.stand();
        if roster.stand <= own {
            return;
        }
        self.figures.rosters += 1;
        self.adopted = self.now.instant;
        if own.lineage != roster.stand.lineage {
            // What was swept was swept under another one's numbers.
            self.swept = 0;
        }
        let kin = own.lineage.is_kin(roster.stand.lineage);
        if !kin {
            self.proposer.begin_anew();
            let given_up = self.acceptor.clear();
            if own != Stand::NONE {
                self.figures.absorbed += given_up as u64;
                self.event(Event::Absorbed(given_up));
            }
        } else if may_lose(&roster) > self.roster.as_ref().map_or(0, |before| may_lose(before)) {
            self.figures.may_be_lost += 1;
            self.event(Event::MayBeLost);
        }
        self.acceptor.drop_before(roster.base());
        let stand = roster.stand;
        self.roster = Some(Box::new(roster));
        self.council.begin_again();
        self.with_proposer(|proposer, scene| proposer.handle_roster(scene));
        self.begin_sweep();
        self.event(Event::Roster(stand));
    }

    fn tell_roster(&mut self, to: Incarnation) {
        if let Some(roster) = self.roster.clone() {
            self.send(to, Message::Roster(roster));
        }
    }

    /// Tells some others where this node stands.
    pub(super) fn tell_stand(&mut self, now: Instant) {
        if self.tells_from > now {
            return;
        }
        self.tells_from = now + TELLING;
        let me = self.config.incarnation;
        let alive: Vec<Incarnation> =
            self.members.alive().map(|known| known.member.incarnation).collect();
        let to: Vec<Incarnation> = if self.roster.is_none() || alive.len() as u64 <= TOLD {
            alive
        } else {
            let mut pick =
                || alive[usize::try_from(self.rng.below(alive.len() as u64)).unwrap_or(0)];
            let mut to: Vec<Incarnation> = (0..TOLD).map(|_| pick()).collect();
            to.extend(self.chair());
            to
        };
        let message = Message::Know { swept: self.swept };
        to.into_iter().filter(|&to| to != me).for_each(|to| self.send(to, message.clone()));
    }
}

/// How many of the gone were in lists of which so many are gone that what they
/// had chosen may have been nobody else's.
fn may_lose(roster: &Roster) -> usize {
    let lists = roster.earlier.iter().chain([&roster.electorate]);
    lists
        .map(|list| {
            let gone = list.voters.iter().filter(|voter| roster.gone.contains(&voter.incarnation));
            let of_key = list.voters.len().min(roster.voters_of_key.into());
            let gone = gone.count();
            if gone >= majority(of_key) { gone } else { 0 }
        })
        .sum()
}
