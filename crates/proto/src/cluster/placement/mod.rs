//! Which nodes hold which slots: weighted rendezvous hashing.
//!
//! Every node computes the same from the same members: their names, weights and
//! portions, and the farm's placement secret. A slot's holders are the
//! `replicas` best of those that keep a share, by a score of the slot and the
//! name; then those that keep everything; then those that keep what one of
//! these keeps. A node that comes takes from the others just what it is best
//! for, and what a node that goes leaves is spread over all others.
//!
//! It knows nothing of packets or tables, nor of who is heard: it is told the
//! members.

mod resolve;
mod score;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use resolve::Trouble;
use score::Scorer;

use super::portion::{Keep, MAX_REPLICAS, Portion};
use super::slots::{SLOTS, Slot, SlotSet};
use crate::wire::header::Incarnation;

/// A member as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name: a node that starts again under its name has its portion again.
    pub name: String,
    /// Its portion.
    pub portion: Portion,
}

/// A member that keeps a share.
#[derive(Debug, Clone)]
struct Sharer {
    incarnation: Incarnation,
    name_hash: u64,
    weight: u32,
    /// What it holds: 8 KiB, so that nobody has to look through all slots.
    slots: SlotSet,
}

/// Whose place in a slot's list of holders is vacant, as there are fewer
/// sharers than replicas, and the score of such a place.
const NOBODY: u16 = u16::MAX;
const VACANT: f64 = f64::INFINITY;

/// Which nodes hold which slots.
#[derive(Debug, Clone)]
pub struct Placement {
    scorer: Scorer,
    members: BTreeMap<Incarnation, Member>,
    /// Vacant places are taken again.
    sharers: Vec<Option<Sharer>>,
    replicas: usize,
    /// The best sharers of each slot, `replicas` of them, in order, by their
    /// places among the sharers, and the scores of these. Empty while nobody
    /// shares. Apart, as the scores are looked at only when members change.
    ranked: Vec<u16>,
    scores: Vec<f64>,
    /// Those that keep everything.
    whole: Vec<Incarnation>,
    /// What those keep that keep what others keep.
    of: BTreeMap<Incarnation, SlotSet>,
}

impl Placement {
    /// A placement without members.
    #[must_use]
    pub fn new(placement_secret: &[u8; 32]) -> Self {
        Self {
            scorer: Scorer::new(placement_secret),
            members: BTreeMap::new(),
            sharers: Vec::new(),
            replicas: 0,
            ranked: Vec::new(),
            scores: Vec::new(),
            whole: Vec::new(),
            of: BTreeMap::new(),
        }
    }

    /// Takes these for the members. Only what changed is computed: a newcomer
    /// is compared with each slot's holders, and the slots of those that went
    /// are given anew. Gives whether anything changed.
    pub fn update(&mut self, members: BTreeMap<Incarnation, Member>) -> bool {
        if members == self.members {
            return false;
        }
        let replicas = replicas_of(&members);
        if replicas != self.replicas {
            self.replicas = replicas;
            self.members.clear();
            self.sharers.clear();
            self.ranked.clear();
            self.scores.clear();
        }
        let before = std::mem::replace(&mut self.members, members);
        let gone: Vec<Incarnation> = before
            .iter()
            .filter(|(incarnation, member)| self.members.get(incarnation) != Some(member))
            .map(|(&incarnation, _)| incarnation)
            .collect();
        self.leave(&gone);
        let come: Vec<Incarnation> = self
            .members
            .iter()
            .filter(|(incarnation, member)| before.get(incarnation) != Some(member))
            .map(|(&incarnation, _)| incarnation)
            .collect();
        come.into_iter().for_each(|incarnation| self.join(incarnation));
        let whole = self.members.iter().filter(|(_, member)| member.portion.keep == Keep::All);
        self.whole = whole.map(|(&member, _)| member).collect();
        self.resolve();
        true
    }

    /// Takes the members and all that follows from them over from another
    /// placement of the same farm, in the memory that is here.
    pub fn copy(&mut self, other: &Self) {
        self.members.clone_from(&other.members);
        self.sharers.clone_from(&other.sharers);
        self.replicas = other.replicas;
        self.ranked.clone_from(&other.ranked);
        self.scores.clone_from(&other.scores);
        self.whole.clone_from(&other.whole);
        self.of.clone_from(&other.of);
    }

    /// How many holders a slot has among those that keep a share.
    #[must_use]
    pub const fn replicas(&self) -> usize {
        self.replicas
    }

    /// The members.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<Incarnation, Member> {
        &self.members
    }

    /// The holders of a slot in order, its home first: the sharers, best first;
    /// those that keep everything, best first; then those that keep what
    /// others keep.
    #[must_use]
    pub fn holders(&self, slot: Slot) -> Vec<Incarnation> {
        let mut holders: Vec<Incarnation> = self.sharers_of(slot).collect();
        let mut whole: Vec<(f64, Incarnation)> = self
            .members
            .iter()
            .filter(|(_, member)| member.portion.keep == Keep::All)
            .map(|(&incarnation, member)| (self.scorer.score_of(member, slot), incarnation))
            .collect();
        whole.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        holders.extend(whole.into_iter().map(|(_, incarnation)| incarnation));
        let of = self.of.iter().filter(|(_, slots)| slots.contains(slot));
        holders.extend(of.map(|(&incarnation, _)| incarnation));
        holders
    }

    /// The first holder of a slot that is `wanted`, without looking at others.
    #[must_use]
    pub fn first_holder(
        &self,
        slot: Slot,
        wanted: impl Fn(Incarnation) -> bool,
    ) -> Option<Incarnation> {
        self.sharers_of(slot)
            .find(|&holder| wanted(holder))
            .or_else(|| self.holders(slot).into_iter().find(|&holder| wanted(holder)))
    }

    /// Whether a member holds a slot.
    #[must_use]
    pub fn holds(&self, member: Incarnation, slot: Slot) -> bool {
        match self.members.get(&member).map(|member| &member.portion.keep) {
            None => false,
            Some(Keep::All) => true,
            Some(Keep::Share) => self.sharers_of(slot).any(|holder| holder == member),
            Some(Keep::Of(_)) => self.of.get(&member).is_some_and(|slots| slots.contains(slot)),
        }
    }

    /// The members that hold a slot, in no order that means anything, and
    /// without looking at scores.
    pub fn all_holders(&self, slot: Slot) -> impl Iterator<Item = Incarnation> + '_ {
        let whole = self.whole.iter().copied();
        let of = self.of.iter().filter(move |(_, slots)| slots.contains(slot));
        self.sharers_of(slot).chain(whole).chain(of.map(|(&holder, _)| holder))
    }

    /// All slots that a member holds.
    #[must_use]
    pub fn slots_of(&self, member: Incarnation) -> SlotSet {
        match self.members.get(&member).map(|member| &member.portion.keep) {
            None => SlotSet::none(),
            Some(Keep::All) => SlotSet::all(),
            Some(Keep::Share) => {
                self.sharer(member).map_or_else(SlotSet::none, |sharer| sharer.slots.clone())
            }
            Some(Keep::Of(_)) => self.of.get(&member).cloned().unwrap_or_else(SlotSet::none),
        }
    }

    /// The members that hold a slot as a part of their shares, best first.
    pub fn sharers_of(&self, slot: Slot) -> impl Iterator<Item = Incarnation> + '_ {
        let first = usize::from(slot.0) * self.replicas;
        let ranked = self.ranked.get(first..first + self.replicas).unwrap_or_default();
        ranked.iter().filter_map(|&place| {
            let sharer = self.sharers.get(usize::from(place))?.as_ref()?;
            Some(sharer.incarnation)
        })
    }

    fn sharer(&self, member: Incarnation) -> Option<&Sharer> {
        self.sharers.iter().flatten().find(|sharer| sharer.incarnation == member)
    }

    /// Compares a newcomer with the holders of each slot.
    fn join(&mut self, incarnation: Incarnation) {
        let Some(member) = self.members.get(&incarnation) else { return };
        if member.portion.keep != Keep::Share {
            return;
        }
        let name_hash = self.scorer.name_hash(&member.name);
        let weight = member.portion.weight;
        let mut slots = SlotSet::none();
        let place = self.sharers.iter().position(Option::is_none).unwrap_or(self.sharers.len());
        // The farm has fewer members than there are places.
        let Some(place) = u16::try_from(place).ok().filter(|&place| place != NOBODY) else {
            return;
        };
        if usize::from(place) == self.sharers.len() {
            self.sharers.push(None);
        }
        if self.ranked.is_empty() {
            self.ranked = vec![NOBODY; SLOTS * self.replicas];
            self.scores = vec![VACANT; SLOTS * self.replicas];
        }
        for (slot, holders) in
            Slot::all().zip(lists(self.replicas, (&mut self.ranked, &mut self.scores)))
        {
            let score = self.scorer.score(slot, name_hash, weight);
            let first = |other| before(&self.sharers, other, incarnation);
            if let Some(last) = insert(holders, (place, score), first) {
                slots.insert(slot);
                if let Some(Some(sharer)) = self.sharers.get_mut(usize::from(last)) {
                    sharer.slots.remove(slot);
                }
            }
        }
        self.sharers[usize::from(place)] = Some(Sharer { incarnation, name_hash, weight, slots });
    }

    /// Gives the slots of those that went to the best of those that stay.
    fn leave(&mut self, gone: &[Incarnation]) {
        let mut left = vec![false; self.sharers.len()];
        for (place, sharer) in self.sharers.iter_mut().enumerate() {
            if sharer.as_ref().is_some_and(|sharer| gone.contains(&sharer.incarnation)) {
                *sharer = None;
                left[place] = true;
            }
        }
        if !left.contains(&true) {
            return;
        }
        let is_left = |&place: &u16| left.get(usize::from(place)) == Some(&true);
        for (slot, (holders, scores)) in
            Slot::all().zip(lists(self.replicas, (&mut self.ranked, &mut self.scores)))
        {
            if !holders.iter().any(is_left) {
                continue;
            }
            holders.fill(NOBODY);
            scores.fill(VACANT);
            for (place, sharer) in (0..).zip(&self.sharers) {
                let Some(sharer) = sharer else { continue };
                let score = self.scorer.score(slot, sharer.name_hash, sharer.weight);
                insert((&mut *holders, &mut *scores), (place, score), |other| {
                    before(&self.sharers, other, sharer.incarnation)
                });
            }
            // Who held the slot before holds it still.
            for &place in &*holders {
                if let Some(Some(sharer)) = self.sharers.get_mut(usize::from(place)) {
                    sharer.slots.insert(slot);
                }
            }
        }
    }
}

/// The highest number of replicas that a member that shares was given.
fn replicas_of(members: &BTreeMap<Incarnation, Member>) -> usize {
    let shares = members.values().filter(|member| member.portion.keep == Keep::Share);
    let replicas = shares.map(|member| member.portion.replicas.clamp(1, MAX_REPLICAS));
    replicas.max().unwrap_or(1).into()
}

/// Two nodes of one name have one score: of these the lower incarnation is
/// first, everywhere.
fn before(sharers: &[Option<Sharer>], place: u16, incarnation: Incarnation) -> bool {
    let sharer = sharers.get(usize::from(place)).and_then(Option::as_ref);
    sharer.is_some_and(|sharer| sharer.incarnation < incarnation)
}

/// Each slot's list of holders, and that of their scores.
fn lists<'a>(
    replicas: usize,
    (ranked, scores): (&'a mut [u16], &'a mut [f64]),
) -> impl Iterator<Item = (&'a mut [u16], &'a mut [f64])> {
    ranked.chunks_mut(replicas).zip(scores.chunks_mut(replicas))
}

/// Puts a candidate to its place among the holders, if it is good enough, and
/// gives whose place that costs. Among equals `first` says who of those that
/// are there comes first.
fn insert(
    (holders, scores): (&mut [u16], &mut [f64]),
    (candidate, score): (u16, f64),
    first: impl Fn(u16) -> bool,
) -> Option<u16> {
    let better = |at: &usize| scores[*at] < score || (scores[*at] == score && first(holders[*at]));
    let at = (0..holders.len()).rev().find(better).map_or(0, |last| last + 1);
    let last = *holders.get(at..)?.last()?;
    holders[at..].rotate_right(1);
    scores[at..].rotate_right(1);
    (holders[at], scores[at]) = (candidate, score);
    Some(last)
}
