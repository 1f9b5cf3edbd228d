//! Which slots a node is to have and has not, and whom it asked for them.
//!
//! A slot that is *pending* is asked for at one node after the other, until
//! one gives it as a whole. When all that are pending were asked for in vain
//! the round ends, and after a pause the next begins. Nobody may have it all:
//! then what the others had of it is here after one round, and when a second
//! one, begun when all must have seen what this node has seen, ends the same
//! way, there is no more to be had. Such a slot is *doubtful*: it counts as
//! here, and is asked for anew when somebody comes back who may know more. Who
//! does not answer may have it; so it is asked for less and less often, and
//! after so many rounds it is *lacking*: not here, and asked for again when the
//! members change.
//!
//! It knows nothing of packets, and is told who is there to be asked.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::cluster::slots::{SlotRun, SlotSet};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// What a node gains is fetched so long after the last change: what passed it
/// before has come to the holders by then, repairs too, and of several changes
/// at once only the outcome counts.
const MOVE_AFTER: Duration = Duration::from_millis(500);
/// But no longer after the first of several changes: as long as four of them
/// by themselves. A farm in which nodes come and go without end restores all
/// the same.
const AT_THE_LATEST: Duration = Duration::from_millis(2_000);
/// The first pause between two rounds: after it all nodes have seen the change
/// that this one has seen, so that who kept a slot then has it or has given it.
const FIRST_PAUSE: Duration = Duration::from_millis(1_000);
/// The longest; it doubles up to here.
const LONGEST_PAUSE: Duration = Duration::from_secs(16);
/// The most rounds for one cause, 80 seconds. Who does not answer for so long
/// and is alive all the same comes back one day, and that is another cause.
const ROUNDS: u32 = 8;

/// The slots that are to be fetched.
#[derive(Debug)]
pub(super) struct Wanted {
    pending: SlotSet,
    lacking: SlotSet,
    doubtful: SlotSet,
    /// Slots that are kept only until others have them, and were never here as
    /// a whole, or are not any more.
    partial: SlotSet,
    /// Of what is pending or lacking, that which all who live answered for in
    /// the last round.
    answered: SlotSet,
    /// Who was asked in this round.
    asked: BTreeMap<Incarnation, Asked>,
    /// Rounds that ended since the last cause.
    round: u32,
    /// When the first of what is pending was gained, until it is asked for.
    gained: Option<Instant>,
    /// When asking begins, or goes on.
    due: Instant,
}

/// What a node was asked for in vain.
#[derive(Debug)]
struct Asked {
    /// It gave what it had, which was not all.
    lacks: SlotSet,
    /// It did not answer, and is not asked for more in this round.
    silent: bool,
}

impl Default for Asked {
    fn default() -> Self {
        Self { lacks: SlotSet::none(), silent: false }
    }
}

impl Default for Wanted {
    fn default() -> Self {
        let [pending, lacking, doubtful, partial, answered] = [(); 5].map(|()| SlotSet::none());
        Self {
            pending,
            lacking,
            doubtful,
            partial,
            answered,
            asked: BTreeMap::new(),
            round: 0,
            gained: None,
            due: Instant::default(),
        }
    }
}

impl Wanted {
    /// The members changed: of the slots that are `kept`, those that are
    /// `desired` are to be fetched, as far as they were `gained` or are not
    /// here.
    pub(super) fn divide(
        &mut self,
        now: Instant,
        gained: &SlotSet,
        (desired, kept): (&SlotSet, &SlotSet),
    ) {
        let mut missing = self.missing();
        missing.insert_all(&self.partial);
        // What nobody had is not here as a whole, and is not asked for again
        // where others are to have it.
        let mut not_whole = missing.clone();
        not_whole.insert_all(&self.doubtful);
        self.partial = not_whole.common(kept).without(desired);
        // Who did not answer may be gone: what is lacking is asked for again.
        let mut again = missing.common(desired).without(&self.pending);
        again.insert_all(gained);
        self.lacking = SlotSet::none();
        self.doubtful = self.doubtful.common(desired).without(gained);
        self.pending = self.pending.common(desired);
        self.want(now, &again);
    }

    /// Slots are not here as a whole, and are to be fetched.
    pub(super) fn want(&mut self, now: Instant, slots: &SlotSet) {
        if slots.is_empty() {
            return;
        }
        if self.pending.is_empty() {
            // What was gained before is here, or not to be had any more.
            self.gained = None;
        }
        self.pending.insert_all(slots);
        self.lacking = self.lacking.without(slots);
        self.doubtful = self.doubtful.without(slots);
        self.answered = self.answered.without(slots);
        self.round = 0;
        let first = *self.gained.get_or_insert(now);
        self.due = (now + MOVE_AFTER).min(first + AT_THE_LATEST);
    }

    /// Slots that are kept only until others have them may not be here as a
    /// whole any more.
    pub(super) fn doubt(&mut self, lingering: &SlotSet) {
        self.partial.insert_all(lingering);
    }

    /// All that is `desired` is to be fetched, at once.
    pub(super) fn want_all(&mut self, now: Instant, desired: &SlotSet) {
        *self = Self { pending: desired.clone(), due: now, ..Self::default() };
    }

    /// Nothing is to be fetched, for the time being.
    pub(super) fn want_nothing(&mut self) {
        *self = Self::default();
    }

    /// Somebody is there who may have what others had not.
    pub(super) fn ask_anew(&mut self, now: Instant) {
        let mut again = std::mem::replace(&mut self.lacking, SlotSet::none());
        again.insert_all(&self.doubtful);
        // And what others were asked for in vain: a round that he has no part in
        // says nothing of him.
        if self.round > 0 {
            again.insert_all(&self.pending);
        }
        for asked in self.asked.values() {
            again.insert_all(&asked.lacks.common(&self.pending));
        }
        self.asked.clear();
        self.want(now, &again);
    }

    /// A node gave these slots, but for those that it `lacks`.
    pub(super) fn given(&mut self, from: Incarnation, runs: &[SlotRun], lacks: &SlotSet) {
        let slots: SlotSet = runs.iter().collect();
        for set in [&mut self.pending, &mut self.lacking] {
            let here = slots.without(lacks);
            *set = set.without(&here);
        }
        self.asked.entry(from).or_default().lacks.insert_all(&slots.common(lacks));
    }

    /// A node did not answer.
    pub(super) fn unanswered(&mut self, from: Incarnation) {
        self.asked.entry(from).or_default().silent = true;
    }

    /// Whether nothing is to be asked for at this time.
    pub(super) fn rests(&self, now: Instant) -> bool {
        self.due > now
    }

    /// What is to be asked for in this round.
    pub(super) const fn pending(&self) -> &SlotSet {
        &self.pending
    }

    /// Begins to ask for what is pending.
    pub(super) const fn begin(&mut self) {
        self.gained = None;
    }

    /// Whether a node was asked for a slot in this round.
    pub(super) fn may_ask(&self, node: Incarnation, slot: crate::cluster::slots::Slot) -> bool {
        self.asked.get(&node).is_none_or(|asked| !asked.silent && !asked.lacks.contains(slot))
    }

    /// Gives all of `rest` to those that were not asked for it yet, one behind
    /// the other. What nobody is left for stays pending until the round ends.
    pub(super) fn share_out(
        &self,
        mut rest: SlotSet,
        nodes: &[Incarnation],
    ) -> BTreeMap<Incarnation, SlotSet> {
        let mut shares = BTreeMap::new();
        for &node in nodes {
            let mut open = rest.clone();
            if let Some(asked) = self.asked.get(&node) {
                if asked.silent {
                    continue;
                }
                open = open.without(&asked.lacks);
            }
            rest = rest.without(&open);
            if !open.is_empty() {
                shares.insert(node, open);
            }
        }
        shares
    }

    /// Everybody in `nodes` was asked for what is pending. Gives whether nothing
    /// is left to be fetched; else the next round begins after a pause, for a
    /// node that joins `for_good` without end.
    pub(super) fn end_round(
        &mut self,
        now: Instant,
        nodes: &[Incarnation],
        for_good: bool,
    ) -> bool {
        let silent = |node| self.asked.get(node).is_some_and(|asked| asked.silent);
        // What has been given up was not asked for.
        let open = std::mem::replace(&mut self.pending, SlotSet::none());
        let answered = if nodes.iter().any(silent) { SlotSet::none() } else { open.clone() };
        // Where nobody is, nobody can have seen another thing.
        let twice =
            if nodes.is_empty() { answered.clone() } else { answered.common(&self.answered) };
        self.doubtful.insert_all(&twice);
        self.lacking.insert_all(&open);
        self.lacking = self.lacking.without(&twice);
        self.answered = answered.without(&twice);
        self.asked.clear();
        if self.lacking.is_empty() {
            return true;
        }
        if self.round < ROUNDS || for_good {
            self.due = now + (FIRST_PAUSE * (1 << self.round.min(ROUNDS))).min(LONGEST_PAUSE);
            self.pending = std::mem::replace(&mut self.lacking, SlotSet::none());
        }
        self.round = self.round.saturating_add(1);
        false
    }

    /// What is not here as a whole and is to be.
    pub(super) fn missing(&self) -> SlotSet {
        let mut missing = self.pending.clone();
        missing.insert_all(&self.lacking);
        missing
    }

    /// Whether all is here that is to be.
    pub(super) fn is_at_rest(&self) -> bool {
        self.pending.is_empty() && self.lacking.is_empty()
    }

    /// What of `kept` is here as a whole.
    pub(super) fn here_of(&self, kept: &SlotSet) -> SlotSet {
        kept.without(&self.missing()).without(&self.partial)
    }
}

#[cfg(test)]
mod tests;
