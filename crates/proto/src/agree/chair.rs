//! When the roster changes, and to what.
//!
//! The first living voter proposes: to drop voters that have been silent for a
//! while, to add nodes that are ready, and to let go of earlier electorates
//! whose registers have all been brought under later ones. Any proposal of any
//! node is safe, since the council decides; this is about which are sensible.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Agree;
use super::council::Electors;
use super::members::Standing;
use super::roster::{Electorate, Lineage, MAX_EARLIER, MAX_VOTERS, Roster, Stand, Voter, majority};
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// How long a voter is silent before it is dropped: twice what the membership
/// takes to call it dead, so that a short partition changes no roster.
const DROPPED_AFTER: Duration = Duration::from_secs(2);
/// How long a node is there before it becomes a voter.
const ADDED_AFTER: Duration = Duration::from_millis(500);
/// How fresh what a member said of itself has to be: some five tellings.
const FRESH: Duration = Duration::from_millis(1_500);
/// How long a node without a roster looks for others that have one.
const LOOKED_FOR: Duration = Duration::from_secs(1);
/// How long it waits until all configured nodes are there, before a majority
/// of them is enough.
const WAITED_FOR_ALL: Duration = Duration::from_secs(3);
/// The least time between two proposals of one node; a random time of this
/// length is added, so that two that disturb each other part.
const PAUSE: Duration = Duration::from_millis(200);

impl Agree {
    /// Proposes another roster, if one is due and it is this node's turn.
    pub(super) fn tend_roster(&mut self, now: Now) {
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

    /// A first roster of those who are here, if they are enough.
    fn first_roster(&self, now: Now) -> Option<(Electors, Roster)> {
        let waited = now.instant - self.began;
        if waited < LOOKED_FOR {
            return None;
        }
        let me = Voter { incarnation: self.config.incarnation, place: self.config.place };
        let fresh = |told: Instant| now.instant - told < FRESH;
        let mut voters = vec![me];
        voters.extend(self.members.alive().filter_map(|known| {
            let told = known.told.filter(|told| fresh(told.at))?;
            let member = known.member;
            (told.stand == Stand::NONE)
                .then_some(Voter { incarnation: member.incarnation, place: member.place })
        }));
        voters.sort_unstable();
        voters.truncate(MAX_VOTERS);
        // Whoever is met counts, configured or not: two foundings share a node.
        let all = self.config.nodes.max(self.members.alive().count() + 1);
        let enough = voters.len() >= all.min(MAX_VOTERS)
            || (voters.len() >= majority(all) && waited >= WAITED_FOR_ALL);
        let first = voters.first().map(|voter| voter.incarnation);
        let my_turn = first == Some(me.incarnation) || waited >= 2 * WAITED_FOR_ALL;
        if !enough || !my_turn {
            return None;
        }
        let lineage =
            Lineage { generation: 1, founded: now.wall, founder: self.config.incarnation };
        let stand = Stand { lineage, epoch: 1 };
        let electors = Electors {
            all: voters.iter().map(|voter| voter.incarnation).collect(),
            needed: majority(all).min(voters.len()),
        };
        let roster = Roster {
            stand,
            voters_of_key: self.config.voters_of_key,
            electorate: Electorate { since: stand.term(), voters },
            earlier: Vec::new(),
            gone: Vec::new(),
        };
        Some((electors, roster))
    }

    /// The roster after this one, if it should be another.
    fn next_roster(&self, now: Instant, roster: &Roster) -> Option<(Electors, Roster)> {
        let me = self.config.incarnation;
        if !roster.has(me) || self.chair() != Some(me) {
            return None;
        }
        let present = &roster.electorate;
        let earlier: Vec<Electorate> =
            roster.earlier.iter().filter(|it| !self.is_swept(roster, it)).cloned().collect();
        let mut voters = self.sensible_voters(now, roster);
        if voters != present.voters && earlier.len() >= MAX_EARLIER {
            voters.clone_from(&present.voters);
        }
        if voters == present.voters && earlier == roster.earlier {
            return None;
        }
        let (electors, generation) = self.electors(roster)?;
        let lineage = Lineage { generation, ..roster.stand.lineage };
        let stand = Stand { lineage, epoch: roster.stand.epoch + 1 };
        let mut next = Roster {
            stand,
            voters_of_key: roster.voters_of_key,
            electorate: present.clone(),
            earlier,
            gone: Vec::new(),
        };
        if voters != present.voters {
            next.earlier.push(std::mem::replace(
                &mut next.electorate,
                Electorate { since: stand.term(), voters },
            ));
        }
        next.gone = self.gone(roster, &next);
        Some((electors, next))
    }

    /// Those of the voters who live, or were heard a moment ago; and those who
    /// are to vote with them.
    fn sensible_voters(&self, now: Instant, roster: &Roster) -> Vec<Voter> {
        let me = self.config.incarnation;
        let stays = |voter: &&Voter| match self.members.get(voter.incarnation) {
            _ if voter.incarnation == me => true,
            Some(known) => match known.member.standing {
                Standing::Alive => true,
                Standing::Silent => now - known.since < DROPPED_AFTER,
                Standing::Gone => false,
            },
            None => now - self.adopted < DROPPED_AFTER,
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
        voters.truncate(MAX_VOTERS);
        voters
    }

    /// Who decides on the next roster, and of which generation it is: a
    /// majority of the voters; or, once all others are certainly gone, all who
    /// are left, if they and whom they reach are most of the farm.
    fn electors(&self, roster: &Roster) -> Option<(Electors, u32)> {
        let me = self.config.incarnation;
        let all: Vec<_> = roster.electorate.voters.iter().map(|voter| voter.incarnation).collect();
        let generation = roster.stand.lineage.generation;
        let lives = |voter: &&Incarnation| **voter == me || self.members.is_alive(**voter);
        let living: Vec<_> = all.iter().filter(lives).copied().collect();
        let needed = majority(all.len());
        if living.len() >= needed {
            return Some((Electors { all, needed }, generation));
        }
        let certain =
            all.iter().all(|voter| living.contains(voter) || self.members.is_gone(*voter));
        let farm = self.members.alive().count() + 1;
        if !certain || farm < majority(self.config.nodes.max(all.len())) {
            return None;
        }
        let needed = living.len();
        Some((Electors { all: living, needed }, generation + 1))
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
        let named: BTreeSet<Incarnation> =
            lists.flat_map(|list| list.voters.iter().map(|voter| voter.incarnation)).collect();
        let gone =
            |voter: &Incarnation| roster.gone.contains(voter) || self.members.is_gone(*voter);
        named.into_iter().filter(gone).collect()
    }
}
