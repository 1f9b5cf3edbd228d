//! Whether two nodes that keep shares hold the same of what both keep.
//!
//! It is what [`compare`](super::compare) does where all keep everything, and
//! what differs is fetched by its rules. But here a node tells each of those
//! that it has slots in common with, by itself, the digests of just these
//! slots, range by range, and which slots it takes them to be: where the other
//! takes other ones, as their views differ for a moment, nothing is compared.
//! Nor is it while slots are on their way.

use std::collections::BTreeMap;

use super::Node;
use crate::buzhash::folded_multiply;
use crate::cluster::portion::Keep;
use crate::cluster::slots::{Slot, SlotSet};
use crate::table::{KeyRange, RANGES};
use crate::time::Instant;
use crate::wire::control::{MAX_DIGESTS, MAX_RUNS, Message, Source};
use crate::wire::header::Incarnation;

impl Node {
    /// Tells each node that has slots in common with this one what is held of
    /// them here.
    pub(super) fn tell_common(&mut self) {
        if !self.compares_slots() {
            return;
        }
        for (peer, slots) in self.all_in_common() {
            let digests = self.digests_of(&slots);
            let Some(address) = self.peers.get(&peer).map(|peer| peer.address) else { continue };
            for (at, digests) in digests.chunks(MAX_DIGESTS).enumerate() {
                let first = KeyRange(u8::try_from(at * MAX_DIGESTS).expect("below 256"));
                let digests = digests.to_vec();
                let message = Message::Common { slots: name_of(&slots), first, digests };
                self.counters.digest_bytes += self.outbox.push_to_node(address, &message) as u64;
            }
        }
    }

    /// Another node tells what it holds of the slots that both keep.
    pub(super) fn handle_common(
        &mut self,
        now: Instant,
        from: Incarnation,
        name: u64,
        (first, digests): (KeyRange, &[u64]),
    ) {
        if !self.comparing() || !self.compares_slots() {
            return;
        }
        let slots = self.in_common(from);
        if slots.is_empty() || name_of(&slots) != name {
            return;
        }
        let ours = self.digests_of(&slots);
        let ours = &ours[usize::from(first.0)..];
        self.compare_digests(now, from, first, digests.iter().copied().zip(ours.iter().copied()));
    }

    /// What is fetched of a range in which a node differs that keeps a share.
    pub(super) fn source_in_common(&self, from: Incarnation, range: KeyRange) -> Source {
        let slots = self.in_common(from);
        let of_range: SlotSet =
            Slot::of_range(range).filter(|&slot| slots.contains(slot)).collect();
        // Of the 256 slots of a range every second one makes as many runs.
        let mut runs = of_range.runs();
        runs.truncate(MAX_RUNS);
        Source::Slots { runs, positions: false }
    }

    /// Whether this node keeps less than everything, and has all of it.
    fn compares_slots(&self) -> bool {
        let shares = self.config.portion.keep != Keep::All;
        shares && self.is_ready() && self.portions.moves.pending() == 0
    }

    /// The slots that this node and another both hold.
    fn in_common(&self, other: Incarnation) -> SlotSet {
        let settled = &self.portions.settled;
        let keeps_less = |member: Incarnation| {
            settled.members().get(&member).is_some_and(|member| member.portion.keep != Keep::All)
        };
        if !keeps_less(other) {
            return SlotSet::none();
        }
        settled.slots_of(self.config.incarnation).common(&settled.slots_of(other))
    }

    /// The slots in common with each other node that keeps less than
    /// everything, found in one walk.
    fn all_in_common(&self) -> BTreeMap<Incarnation, SlotSet> {
        let settled = &self.portions.settled;
        let own = self.config.incarnation;
        let mut common: BTreeMap<Incarnation, SlotSet> = BTreeMap::new();
        for slot in settled.slots_of(own).iter() {
            for holder in settled.holders(slot).into_iter().filter(|&holder| holder != own) {
                common.entry(holder).or_insert_with(SlotSet::none).insert(slot);
            }
        }
        common.retain(|&other, _| {
            let keep = self.peers.get(&other).map(|peer| &peer.portion.keep);
            keep.is_some_and(|keep| *keep != Keep::All)
        });
        common
    }

    fn digests_of(&self, slots: &SlotSet) -> Vec<u64> {
        let mut digests = vec![0; RANGES];
        for slot in slots.iter() {
            digests[usize::from(slot.range().0)] ^= self.holdings.digest_of_slot(slot);
        }
        digests
    }
}

/// What tells one set of slots from another: the same on every node.
fn name_of(slots: &SlotSet) -> u64 {
    /// The fraction of the golden ratio.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    slots.iter().fold(1, |name, slot| folded_multiply(name ^ u64::from(slot.0), GOLDEN) | 1)
}
