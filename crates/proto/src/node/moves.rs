//! Slots on their way to this node.
//!
//! Each slot comes from one of its holders, so that no more is moved than the
//! node's own. A node that does not have a slot as a whole says so, and gives
//! what it has; the next holder is asked, and at last everybody, as somebody
//! may have kept what is no longer his. What became of it all is [`Wanted`]'s to
//! say.
//!
//! A pull names slots, many of them, in their order: its provider walks only
//! the parts of its table where these lie.

mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::Node;
use crate::cluster::portion::Keep;
use crate::cluster::slots::{SlotRun, SlotSet};
use crate::holdings::Holdings;
use crate::load::Load;
use crate::nak::receiver::Remains;
use crate::time::Instant;
use crate::transfer::page::Position;
use crate::transfer::puller::{Pull, Purpose};
use crate::wire::control::{MAX_RUNS, Range, Source};
use crate::wire::header::Incarnation;

use wanted::Wanted;

/// Packets that are gone count as missing for so long at the most while what
/// they were about is fetched from others: two rounds and their pauses. What
/// was not had by then is fetched all the same, but their stream goes on.
const HOLE_WAITS: Duration = Duration::from_secs(10);
/// The most runs of packets that wait so. What is beyond them is asked for
/// again, and found to be gone again.
const MAX_HOLES: usize = 256;

/// What is to be fetched, from whom, and what was.
#[derive(Debug, Default)]
pub(super) struct Moves {
    wanted: Wanted,
    /// The pulls that are planned.
    queue: VecDeque<(Incarnation, Vec<SlotRun>)>,
    /// While the node joins: where the streams stood at those who gave.
    joining: Option<Offers>,
    holes: Vec<Hole>,
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

/// Packets that are gone, of which not even their sender has all records.
#[derive(Debug)]
struct Hole {
    stream: Incarnation,
    range: Range,
    until: Instant,
}

impl Moves {
    /// How many slots are to be fetched.
    pub(super) fn pending(&self) -> usize {
        self.wanted.missing().count()
    }

    /// The members changed: what was gained is to be fetched, and what is no
    /// longer `desired` is not.
    pub(super) fn divide(
        &mut self,
        now: Instant,
        gained: &SlotSet,
        (desired, kept): (&SlotSet, &SlotSet),
    ) {
        self.wanted.divide(now, gained, (desired, kept));
        self.queue.clear();
    }

    /// Somebody is there who may have what others had not.
    pub(super) fn ask_anew(&mut self, now: Instant) {
        self.wanted.ask_anew(now);
        self.queue.clear();
    }

    /// Something was missed of slots that are kept only until others have them.
    pub(super) fn doubt(&mut self, lingering: &SlotSet) {
        self.wanted.doubt(lingering);
    }

    /// Slots are not here as a whole any more, and are to be fetched.
    pub(super) fn want(&mut self, now: Instant, slots: &SlotSet) {
        if !slots.is_empty() {
            self.wanted.want(now, slots);
            self.queue.clear();
        }
    }

    /// Whether all is here that is to be, as far as anybody has it.
    pub(super) fn is_at_rest(&self) -> bool {
        self.wanted.is_at_rest()
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

    /// Has all threads know which of the slots that are `kept` are here.
    pub(super) fn tell_arrived(&self, kept: &SlotSet, holdings: &Holdings) {
        holdings.arrived().set(&self.wanted.here_of(kept));
    }

    pub(super) fn load(&self) -> Load {
        Load::new("packets that are fetched as slots", self.holes.len(), MAX_HOLES)
    }
}

impl Node {
    /// Begins to fetch the portion of a node that joins.
    pub(super) fn join_shares(&mut self, now: Instant) {
        self.review_members(now);
        let desired = self.portions.desired().clone();
        let moves = &mut self.portions.moves;
        moves.joining = Some(Offers::default());
        moves.queue.clear();
        moves.wanted.want_all(now, &desired);
        self.review_arrived();
        self.go_on_moving(now);
    }

    /// Asks for the next of what is on its way here.
    pub(super) fn go_on_moving(&mut self, now: Instant) {
        self.close_holes(now);
        let moves = &self.portions.moves;
        if moves.wanted.rests(now) || self.puller.has(&Purpose::Move) {
            return;
        }
        if !self.is_ready() && !moves.is_joining() {
            // What it gains while it looks for others it fetches when it joins.
            self.portions.moves.wanted.want_nothing();
            self.review_arrived();
            return;
        }
        if moves.queue.is_empty() && !moves.wanted.pending().is_empty() {
            self.plan(now);
        }
        if let Some((from, runs)) = self.portions.moves.queue.pop_front() {
            let joining = self.portions.moves.joining.as_ref();
            let positions = joining.is_some_and(|offers| !offers.givers.contains(&from));
            let source = Source::Slots { runs, positions };
            self.pull(now, Pull { from, source, purpose: Purpose::Move });
        } else if self.portions.moves.wanted.is_at_rest()
            && let Some(offers) = self.portions.moves.joining.take()
        {
            self.joined(now, offers);
        }
    }

    /// Slots are here, but for those that their giver `lacks`.
    pub(super) fn moved(&mut self, now: Instant, pull: &Pull, lacks: &SlotSet) {
        if let Source::Slots { runs, .. } = &pull.source {
            self.portions.moves.wanted.given(pull.from, runs, lacks);
            self.review_arrived();
        }
        self.go_on_moving(now);
    }

    /// Slots could not be had there.
    pub(super) fn move_failed(&mut self, from: Incarnation, source: &Source) {
        if matches!(source, Source::Slots { .. }) {
            self.portions.moves.wanted.unanswered(from);
            self.portions.moves.queue.clear();
        }
    }

    /// What of its own slots this node has as a whole, so that another may have
    /// it from here; `None` where nobody shares: then it has everything.
    pub(super) fn has_slots(&self) -> Option<SlotSet> {
        let moves = &self.portions.moves;
        if !self.portions.sharing && moves.wanted.is_at_rest() {
            return None;
        }
        if !self.is_ready() || self.is_merging() {
            return Some(SlotSet::none());
        }
        Some(moves.wanted.here_of(&self.holdings.kept().get()))
    }

    /// Whether a node is there whose history has not come yet.
    pub(super) fn is_merging(&self) -> bool {
        self.alive().any(|peer| peer.unmerged)
    }

    /// A node cannot send packets of its stream again, and does not have all
    /// records either that they were about: what of it lies in slots of this
    /// node is fetched from others that keep them. Gives whether there is such:
    /// then the packets do not count as here yet.
    pub(super) fn fetch_hole(
        &mut self,
        now: Instant,
        (stream, range): (Incarnation, Range),
        lacks: &SlotSet,
    ) -> bool {
        if self.portions.sharing && !lacks.is_empty() {
            self.portions.forget_near(now);
            let lingering = self.portions.lingering.slots();
            self.portions.moves.doubt(&lingering.common(lacks));
            self.review_arrived();
        }
        let slots = lacks.common(self.portions.desired());
        if slots.is_empty() || !self.portions.sharing {
            return false;
        }
        let moves = &mut self.portions.moves;
        moves.want(now, &slots);
        if moves.holes.len() < MAX_HOLES {
            moves.holes.push(Hole { stream, range, until: now + HOLE_WAITS });
        } else if let Some(peer) = self.peers.get_mut(&stream) {
            peer.receiver.resume(now);
            self.look_at(stream);
        }
        self.review_arrived();
        true
    }

    /// What packets were about that are gone is here, as far as anybody has it.
    fn close_holes(&mut self, now: Instant) {
        let moves = &mut self.portions.moves;
        let here = moves.wanted.is_at_rest();
        let closed = moves.holes.extract_if(.., |hole| here || hole.until <= now);
        for Hole { stream, range, .. } in closed.collect::<Vec<_>>() {
            if let Some(peer) = self.peers.get_mut(&stream) {
                peer.receiver.fill(now, range);
            }
            self.look_at(stream);
        }
    }

    /// Gives each slot that is to be fetched to one that is asked for it: a
    /// holder, or when all of these were asked, whoever else keeps anything.
    fn plan(&mut self, now: Instant) {
        let portions = &self.portions;
        let wanted = &portions.moves.wanted;
        let others = self.givers();
        let mut planned: BTreeMap<Incarnation, SlotSet> = BTreeMap::new();
        let mut rest = SlotSet::none();
        for slot in wanted.pending().iter() {
            let may_give = |holder: Incarnation| {
                others.binary_search(&holder).is_ok() && wanted.may_ask(holder, slot)
            };
            // Who has kept it for long, rather than who has just begun to.
            let giver = [&portions.before, &portions.settled, &portions.coming]
                .into_iter()
                .find_map(|placement| placement.first_holder(slot, may_give));
            match giver {
                Some(giver) => planned.entry(giver).or_insert_with(SlotSet::none).insert(slot),
                None => rest.insert(slot),
            }
        }
        let moves = &mut self.portions.moves;
        moves.wanted.begin();
        for (giver, slots) in moves.wanted.share_out(rest, &others) {
            planned.entry(giver).or_insert_with(SlotSet::none).insert_all(&slots);
        }
        for (giver, slots) in planned {
            let runs = slots.runs();
            moves.queue.extend(runs.chunks(MAX_RUNS).map(|runs| (giver, runs.to_vec())));
        }
        if moves.queue.is_empty() {
            moves.wanted.end_round(now, &others, moves.joining.is_some());
        }
        self.review_arrived();
    }

    /// Who may be asked for slots, in order.
    fn givers(&self) -> Vec<Incarnation> {
        let keeps = |keep: &Keep| !matches!(keep, Keep::Of(names) if names.is_empty());
        let ready = self.peers.iter().filter(|(_, peer)| peer.is_alive() && peer.ready);
        ready.filter(|(_, peer)| keeps(&peer.portion.keep)).map(|(&giver, _)| giver).collect()
    }

    pub(super) fn review_arrived(&self) {
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
