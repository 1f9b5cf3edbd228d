//! When the roster changes, and to what.
//!
//! The first living voter proposes: to drop voters that have been silent for a
//! while, to add nodes that are ready, and to let go of earlier electorates
//! whose registers have all been brought under later ones. Any proposal of any
//! node is safe, since the council decides; this is about which are sensible.

use std::collections::BTreeSet;
use std::time::Duration;

use super::council::Electors;
use super::members::{Member, Standing};
use super::message::Failure;
use super::roster::{Electorate, Lineage, MAX_EARLIER, MAX_VOTERS, Roster, Stand, Voter, majority};
use super::{Agree, Event};
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// How long a voter is silent before it is dropped: twice what the membership
/// takes to call it dead, so that a short partition changes no roster.
const DROPPED_AFTER: Duration = Duration::from_secs(2);
/// The same where a majority of the others is as many as before: of three, two
/// can do no more without the third than with it, and once the third is heard
/// again it counts at once. Not for long: what is over is forgotten only when all
/// voters have, and if another starts again meanwhile, there is no majority.
const DROPPED_IN_VAIN_AFTER: Duration = Duration::from_secs(15);
/// How long a node is there before it becomes a voter.
const ADDED_AFTER: Duration = Duration::from_millis(500);
/// How fresh what a member said of itself has to be: some five tellings.
const FRESH: Duration = Duration::from_millis(1_500);
/// How long a node without a roster looks for others that have one.
const LOOKED_FOR: Duration = Duration::from_secs(1);
/// After what time it proposes a first roster although it is another's turn.
const HESITATED: Duration = Duration::from_secs(6);
/// How long there is no roster before the operator is told, and how often then.
pub(super) const UNFOUNDED: Duration = Duration::from_secs(15);
const COMPLAINING: Duration = Duration::from_secs(60);
/// The least time between two proposals of one node; a random time of this
/// length is added, so that two that disturb each other part.
const PAUSE: Duration = Duration::from_millis(200);

impl Agree {
    /// Proposes another roster, if one is due and it is this node's turn.
    pub(super) fn tend_roster(&mut self, now: Now) {
        if let Some(failure) = self.unfounded().filter(|_| self.complains_from <= now.instant) {
            self.complains_from = now.instant + COMPLAINING;
            self.event(Event::Unfounded(failure));
        }
        if self.council.is_busy() || self.proposes_from > now.instant {
            return;
        }
        let proposal = match &self.roster {
            Some(roster) => self.next_roster(now.instant, roster),
            None => self.first_roster(now),
        };
        if let Some((electors, roster)) = proposal {
            let micros = u64::try_from(PAUSE.as_micros()).expect("milliseconds");
            let wait = Duration::from_micros(self.rng.below(micros));
            self.proposes_from = now.instant + PAUSE + wait;
            let term = self.stand().term();
            self.council.propose(now.instant, term, electors, Box::new(roster));
        }
    }

    /// The first living voter.
    pub(super) fn chair(&self) -> Option<Incarnation> {
        let voters = self.roster.as_ref()?.electorate.voters.iter();
        let mut voters = voters.map(|voter| voter.incarnation);
        voters.find(|&voter| voter == self.config.incarnation || self.members.is_alive(voter))
    }

    /// Why nothing that needs one answer is done here.
    pub(super) fn no_roster(&self) -> Failure {
        let number = |count| u16::try_from(count).unwrap_or(u16::MAX);
        let here = self.standing_at(self.now.instant, Stand::NONE).len();
        Failure::NoRoster { here: number(here), needed: number(self.farm()) }
    }

    /// How many nodes the farm has: whoever was met counts, configured or not,
    /// unless it is certainly gone.
    fn farm(&self) -> usize {
        self.config.nodes.max(self.members.not_gone() + 1)
    }

    /// This node, and those that live and said a moment ago that they stand
    /// there.
    fn standing_at(&self, now: Instant, stand: Stand) -> Vec<Voter> {
        let others = self.members.alive().filter_map(|known| {
            let told = known.told.filter(|told| now - told.at < FRESH)?;
            let Member { incarnation, place, .. } = known.member;
            (told.stand == stand).then_some(Voter { incarnation, place })
        });
        let me = Voter { incarnation: self.config.incarnation, place: self.config.place };
        let mut here: Vec<Voter> = others.chain([me]).collect();
        here.sort_unstable();
        here
    }

    /// A first roster, once the whole farm is here. A majority is not enough:
    /// nodes that started again know nothing, and the rest may have a roster,
    /// with which it goes on.
    fn first_roster(&self, now: Now) -> Option<(Electors, Roster)> {
        let waited = now.instant - self.began;
        let mut voters = self.standing_at(now.instant, Stand::NONE);
        let my_turn = voters.first().is_some_and(|it| it.incarnation == self.config.incarnation)
            || waited >= HESITATED;
        if waited < LOOKED_FOR || voters.len() < self.farm() || !my_turn {
            return None;
        }
        // All decide, so that two lists, which may differ by who was met, have
        // somebody in common who knows of the other's decision.
        let electors = all_of(&voters);
        voters.truncate(MAX_VOTERS);
        let lineage =
            Lineage { generation: 1, founded: now.wall, founder: self.config.incarnation };
        let stand = Stand { lineage, epoch: 1 };
        let roster = Roster {
            stand,
            voters_of_key: self.config.voters_of_key,
            electorate: Electorate { since: stand.term(), voters },
            earlier: Vec::new(),
            gone: Vec::new(),
        };
        Some((electors, roster))
    }

    /// The roster after this one, if it should be another: decided by a majority
    /// of its voters; or, once so many are certainly gone that there is none,
    /// by all who are left.
    fn next_roster(&self, now: Instant, roster: &Roster) -> Option<(Electors, Roster)> {
        let me = self.config.incarnation;
        let lives =
            |voter: &&Voter| voter.incarnation == me || self.members.is_alive(voter.incarnation);
        let voters = &roster.electorate.voters;
        let living = voters.iter().filter(lives).count();
        let generation = roster.stand.lineage.generation;
        let (electors, generation) = if living >= majority(voters.len()) {
            let is_my_turn = roster.has(me) && self.chair() == Some(me);
            let all = voters.iter().map(|voter| voter.incarnation).collect();
            is_my_turn.then_some((Electors { all, needed: majority(voters.len()) }, generation))?
        } else {
            (self.heirs(now, roster)?, generation + 1)
        };
        let next = self.after(roster, generation, self.sensible_voters(now, roster));
        let differs = next.electorate != roster.electorate
            || next.earlier != roster.earlier
            || next.gone != roster.gone;
        differs.then_some((electors, next))
    }

    /// All nodes that are left, once every voter but those among them is
    /// certainly gone. All of them decide together: whoever stands elsewhere may
    /// know of a later roster, and tells it first. With a voter among them most
    /// of the farm is enough, since no others can have one; without any it has
    /// to be the whole.
    fn heirs(&self, now: Instant, roster: &Roster) -> Option<Electors> {
        let me = self.config.incarnation;
        let here = self.standing_at(now, roster.stand);
        let is_here = |voter: &Voter| here.contains(voter);
        let voters = &roster.electorate.voters;
        let certain = voters.iter().all(|it| is_here(it) || self.members.is_gone(it, roster.stand));
        let needed = if voters.iter().any(is_here) { majority(self.farm()) } else { self.farm() };
        let all_agree = here.len() == self.members.alive().count() + 1;
        let my_turn = here.first().is_some_and(|it| it.incarnation == me);
        (certain && all_agree && my_turn && here.len() >= needed).then(|| all_of(&here))
    }

    /// The next roster, with these voters if it can have others.
    fn after(&self, roster: &Roster, generation: u32, voters: Vec<Voter>) -> Roster {
        let lineage = Lineage { generation, ..roster.stand.lineage };
        let stand = Stand { lineage, epoch: roster.stand.epoch + 1 };
        let earlier = roster.earlier.iter().filter(|it| !self.is_swept(roster, it));
        let mut next = Roster {
            stand,
            voters_of_key: roster.voters_of_key,
            electorate: roster.electorate.clone(),
            earlier: earlier.cloned().collect(),
            gone: Vec::new(),
        };
        if voters != next.electorate.voters && next.earlier.len() < MAX_EARLIER {
            let electorate = Electorate { since: stand.term(), voters };
            next.earlier.push(std::mem::replace(&mut next.electorate, electorate));
        }
        next.gone = self.gone(roster, &next);
        next
    }

    /// Those of the voters who live, or were heard a while ago; and those who
    /// are to vote with them.
    fn sensible_voters(&self, now: Instant, roster: &Roster) -> Vec<Voter> {
        let voters = self.voters_heard_within(now, roster, DROPPED_AFTER);
        let needed = |voters: usize| majority(voters.min(roster.voters_of_key.into()));
        let before = roster.electorate.voters.len();
        let in_vain = before <= roster.voters_of_key.into()
            && needed(voters.len()) == needed(before)
            && voters.iter().all(|voter| roster.has(voter.incarnation));
        if in_vain { self.voters_heard_within(now, roster, DROPPED_IN_VAIN_AFTER) } else { voters }
    }

    /// Those of the voters who live, or were heard within that time; and those
    /// who are to vote with them.
    fn voters_heard_within(&self, now: Instant, roster: &Roster, within: Duration) -> Vec<Voter> {
        let me = self.config.incarnation;
        let stays = |voter: &&Voter| match self.members.get(voter.incarnation) {
            _ if voter.incarnation == me => true,
            Some(known) => match known.member.standing {
                Standing::Alive => true,
                Standing::Silent => now - known.since < within,
                Standing::Gone => false,
            },
            None => now - self.adopted < within,
        };
        let mut voters: Vec<Voter> =
            roster.electorate.voters.iter().filter(stays).copied().collect();
        let joins = self.members.alive().filter(|known| {
            let told = known.told.filter(|told| now - told.at < FRESH);
            known.member.ready
                && now - known.since >= ADDED_AFTER
                && told.is_some_and(|told| told.stand == roster.stand)
                && !roster.has(known.member.incarnation)
        });
        voters.extend(joins.map(|known| Voter {
            incarnation: known.member.incarnation,
            place: known.member.place,
        }));
        if !roster.has(me) {
            voters.push(Voter { incarnation: me, place: self.config.place });
        }
        voters.truncate(MAX_VOTERS);
        voters
    }

    /// Whether nothing can have been chosen by an earlier electorate that has
    /// not been chosen again since: all but so few have swept that these few
    /// never were enough to accept anything.
    fn is_swept(&self, roster: &Roster, electorate: &Electorate) -> bool {
        let since = roster.electorate.since;
        let swept = |incarnation: Incarnation| {
            if incarnation == self.config.incarnation {
                return self.swept >= since.epoch;
            }
            let told = self.members.get(incarnation).and_then(|known| known.told);
            told.is_some_and(|told| {
                told.stand.lineage == roster.stand.lineage && told.swept >= since.epoch
            })
        };
        let unswept: BTreeSet<Incarnation> = electorate
            .voters
            .iter()
            .map(|voter| voter.incarnation)
            .filter(|&incarnation| !swept(incarnation))
            .collect();
        let of_key = electorate.voters.len().min(roster.voters_of_key.into());
        unswept.len() < majority(of_key)
            || unswept.iter().all(|incarnation| roster.gone.contains(incarnation))
    }

    /// Whose memory is certainly gone, of those that a roster names.
    fn gone(&self, roster: &Roster, next: &Roster) -> Vec<Incarnation> {
        let lists = next.earlier.iter().chain([&next.electorate]);
        let named: BTreeSet<Voter> = lists.flat_map(|list| list.voters.iter().copied()).collect();
        let gone = |voter: &Voter| {
            roster.gone.contains(&voter.incarnation) || self.members.is_gone(voter, roster.stand)
        };
        named.iter().filter(|voter| gone(voter)).map(|voter| voter.incarnation).collect()
    }
}

/// A decision that needs all.
fn all_of(voters: &[Voter]) -> Electors {
    let all: Vec<Incarnation> = voters.iter().map(|voter| voter.incarnation).collect();
    Electors { needed: all.len(), all }
}
