//! Slots on their way to this node.
//!
//! Each slot comes from one of its holders, so that no more is moved than the
//! node's own. Only a node answers that keeps the slots and has them all: one
//! that is still fetching them itself leaves the request unanswered, and the
//! next holder is asked. When nobody has them, nobody has: the slots are the
//! node's all the same.
//!
//! A pull names slots, many of them, in their order: its provider walks only
//! the parts of its table where these lie.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Node;
use crate::cluster::slots::{Slot, SlotRun, SlotSet};
use crate::holdings::Holdings;
use crate::nak::receiver::Remains;
use crate::time::Instant;
use crate::transfer::page::Position;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{MAX_RUNS, Source};
use crate::wire::header::Incarnation;

/// What a node gains is fetched so long after the last change: what passed it
/// before has come to the holders by then, repairs too, and of several changes
/// at once only the outcome counts.
const MOVE_AFTER: Duration = Duration::from_millis(500);

/// What is to be fetched, from whom, and what was.
#[derive(Debug)]
pub(super) struct Moves {
    pending: SlotSet,
    due: Instant,
    /// The pulls that are planned.
    queue: VecDeque<(Incarnation, Vec<SlotRun>)>,
    /// What could not be had from whom.
    failed: BTreeMap<Incarnation, SlotSet>,
    /// While the node joins: where the streams stood at those who gave.
    joining: Option<Offers>,
    /// Records that have come.
    pub(super) records: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Where the streams stood at those who give a joining node its slots.
#[derive(Debug, Default)]
struct Offers {
    givers: BTreeSet<Incarnation>,
    /// The earliest position of each stream, and how many named one.
    positions: BTreeMap<Incarnation, (u64, usize)>,
}

impl Default for Moves {
    fn default() -> Self {
        Self {
            pending: SlotSet::none(),
            due: Instant::default(),
            queue: VecDeque::new(),
            failed: BTreeMap::new(),
            joining: None,
            records: 0,
            bytes: 0,
        }
    }
}

impl Moves {
    /// How many slots are to be fetched.
    pub(super) fn pending(&self) -> usize {
        self.pending.count()
    }

    /// The members changed: what was gained is to be fetched, and what is no
    /// longer `desired` is not.
    pub(super) fn changed(&mut self, now: Instant, gained: &SlotSet, desired: &SlotSet) {
        self.pending.insert_all(gained);
        self.pending = self.pending.common(desired);
        self.queue.clear();
        if self.joining.is_none() && !gained.is_empty() {
            self.due = now + MOVE_AFTER;
        }
    }

    /// A joining node that is given its slots by several.
    pub(super) const fn is_joining(&self) -> bool {
        self.joining.is_some()
    }

    /// Somebody began to give, and says where its copies of the streams stand.
    pub(super) fn offered(&mut self, giver: Incarnation, positions: &[Position]) {
        let Some(offers) = &mut self.joining else { return };
        if offers.givers.insert(giver) {
            for &(stream, position) in positions {
                let offer = offers.positions.entry(stream).or_insert((position, 0));
                *offer = (offer.0.min(position), offer.1 + 1);
            }
        }
    }

    /// Takes note of a pull that was not answered.
    fn fail(&mut self, from: Incarnation, runs: &[SlotRun]) {
        let failed = self.failed.entry(from).or_insert_with(SlotSet::none);
        failed.insert_all(&runs.iter().collect());
        self.queue.clear();
    }

    /// Has all threads know which of the slots that are `kept` are here.
    pub(super) fn tell_arrived(&self, kept: &SlotSet, holdings: &Holdings) {
        holdings.arrived().set(&kept.without(&self.pending));
    }

    fn arrived(&mut self, runs: &[SlotRun]) {
        self.pending = self.pending.without(&runs.iter().collect());
    }

    /// Whether a slot may be asked for there.
    fn may_ask(&self, holder: Incarnation, slot: Slot) -> bool {
        self.failed.get(&holder).is_none_or(|failed| !failed.contains(slot))
    }
}

impl Node {
    /// Begins to fetch the portion of a node that joins.
    pub(super) fn join_shares(&mut self, now: Instant) {
        self.review_members(now);
        let desired = self.portions.desired().clone();
        let moves = &mut self.portions.moves;
        moves.joining = Some(Offers::default());
        moves.failed.clear();
        moves.queue.clear();
        (moves.pending, moves.due) = (desired, now);
        self.review_arrived();
        self.go_on_moving(now);
    }

    /// Asks for the next of what is on its way here.
    pub(super) fn go_on_moving(&mut self, now: Instant) {
        let moves = &self.portions.moves;
        if moves.due > now || self.puller.has(&Purpose::Move) {
            return;
        }
        if !self.is_ready() && !moves.is_joining() {
            // What it gains while it looks for others it fetches when it joins.
            if !self.portions.moves.pending.is_empty() {
                self.portions.moves.pending = SlotSet::none();
                self.review_arrived();
            }
            return;
        }
        if self.portions.moves.queue.is_empty() && !self.portions.moves.pending.is_empty() {
            self.plan();
        }
        if let Some((from, runs)) = self.portions.moves.queue.pop_front() {
            let joining = self.portions.moves.joining.as_ref();
            let positions = joining.is_some_and(|offers| !offers.givers.contains(&from));
            let source = Source::Slots { runs, positions };
            self.pull(now, Pull { from, source, purpose: Purpose::Move });
        } else if self.portions.moves.pending.is_empty() {
            self.portions.moves.failed.clear();
            if let Some(offers) = self.portions.moves.joining.take() {
                self.joined(now, offers);
            }
        }
    }

    /// Slots are here.
    pub(super) fn moved(&mut self, now: Instant, source: &Source) {
        if let Source::Slots { runs, .. } = source {
            self.portions.moves.arrived(runs);
            self.review_arrived();
        }
        self.go_on_moving(now);
    }

    /// Slots could not be had there.
    pub(super) fn move_failed(&mut self, from: Incarnation, source: &Source) {
        if let Source::Slots { runs, .. } = source {
            self.portions.moves.fail(from, runs);
        }
    }

    /// Whether this node has all of these slots, so that another may have them
    /// from here.
    pub(super) fn can_give(&self, source: &Source) -> bool {
        let Source::Slots { runs, .. } = source else { return true };
        let kept = self.holdings.kept().get();
        let has = |slot| kept.contains(slot) && !self.portions.moves.pending.contains(slot);
        self.is_ready() && runs.iter().flat_map(|run| run.slots()).all(has)
    }

    /// Gives each slot that is to be fetched to one that is asked for it. A
    /// slot that nobody is left to be asked for has arrived.
    fn plan(&mut self) {
        let portions = &self.portions;
        let mut planned: BTreeMap<Incarnation, SlotSet> = BTreeMap::new();
        let mut given_up = SlotSet::none();
        let mut ready: BTreeMap<Incarnation, bool> = BTreeMap::new();
        for &member in portions.coming.members().keys() {
            ready.insert(member, self.is_ready_member(member));
        }
        for slot in portions.moves.pending.iter() {
            let wanted =
                |holder| ready.get(&holder) == Some(&true) && portions.moves.may_ask(holder, slot);
            // Who has kept it for long, rather than who has just begun to.
            let giver = [&portions.before, &portions.settled, &portions.coming]
                .into_iter()
                .find_map(|placement| placement.first_holder(slot, wanted));
            match giver {
                Some(giver) => planned.entry(giver).or_insert_with(SlotSet::none).insert(slot),
                None => given_up.insert(slot),
            }
        }
        let moves = &mut self.portions.moves;
        moves.pending = moves.pending.without(&given_up);
        for (giver, slots) in planned {
            let runs = slots.runs();
            moves.queue.extend(runs.chunks(MAX_RUNS).map(|runs| (giver, runs.to_vec())));
        }
        self.review_arrived();
    }

    fn review_arrived(&self) {
        self.portions.moves.tell_arrived(&self.holdings.kept().get(), &self.holdings);
    }

    /// The portion has arrived, and with it what the streams had before that
    /// all who gave of it followed.
    fn joined(&mut self, now: Instant, offers: Offers) {
        let Offers { givers, positions } = offers;
        for (&stream, &(position, named)) in &positions {
            // Nobody names the position of its own stream: what that had before
            // lies in its table.
            let others = givers.len() - usize::from(givers.contains(&stream));
            if named < others {
                continue;
            }
            if !self.peers.contains_key(&stream) {
                self.join.learn(stream, &Remains { through: position, beyond: Vec::new() });
            } else if self.follow_from(now, stream, position) {
                self.histories_are_here(stream);
            }
        }
        if let Some(&giver) = givers.first().filter(|_| givers.len() == 1) {
            self.histories_are_here(giver);
        }
        self.become_ready();
        self.review_members(now);
        self.tell_orphans_again();
    }

    fn histories_are_here(&mut self, stream: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&stream) {
            (peer.unmerged, peer.follows_after) = (false, 0);
        }
    }

    /// Counts a page that came because slots moved.
    pub(super) const fn count_moved(&mut self, records: u64, bytes: usize) {
        self.portions.moves.records += records;
        self.portions.moves.bytes += bytes as u64;
    }
}

#[cfg(test)]
mod tests;
