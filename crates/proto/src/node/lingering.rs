//! What a node keeps that is no longer its own, and when it lets go of it.
//!
//! A slot that is no longer the node's lingers, with all that is written to it
//! meanwhile, until those that are its holders have said that they have it.
//! They say so with their heartbeats, by naming the members under whom they
//! have everything: who knows the same members knows what that is. What was
//! said before all can have seen the last change is not believed, as the one
//! who said it may have let go since.
//!
//! Beside that it lingers for a while anyhow: what others wrote may be on its
//! way here, as a repair, and the holders have let it pass before they were
//! any. When nobody ever confirms, the slots go as the cache needs their room,
//! before what is the node's own; at the latest when all that was in them when
//! they began to linger has ended.

use std::time::Duration;

use super::Node;
use super::compare::LONGEST_LIFETIME;
use super::portion::{GROUNDED, Portions};
use crate::buzhash::folded_multiply;
use crate::cluster::placement::Placement;
use crate::cluster::portion::Keep;
use crate::cluster::slots::SlotSet;
use crate::table::Stats;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// What is no longer kept stays for so long at least: who has just come may go
/// again, and repairs of what others wrote are through.
const LINGERS: Duration = Duration::from_secs(5);

/// The slots that a node keeps though they are no longer its own.
#[derive(Debug)]
pub(super) struct Lingering {
    /// Those that just began to linger, those that began a while ago, and when,
    /// and those that have lingered for long enough.
    fresh: SlotSet,
    ripening: SlotSet,
    ripens: Instant,
    ripe: SlotSet,
    /// Those that go when all that was in them has ended, and when that is.
    ending: SlotSet,
    ends: Instant,
    /// How many records had been dropped for room when it was last looked.
    dropped: u64,
    /// Under which members it was last looked who has confirmed, and who had
    /// not.
    looked: Option<(u64, Vec<Incarnation>)>,
}

impl Default for Lingering {
    fn default() -> Self {
        let [fresh, ripening, ripe, ending] = [(); 4].map(|()| SlotSet::none());
        let [ripens, ends] = [Instant::default(); 2];
        Self { fresh, ripening, ripens, ripe, ending, ends, dropped: 0, looked: None }
    }
}

impl Lingering {
    /// All that lingers.
    pub(super) fn slots(&self) -> SlotSet {
        let mut slots = self.fresh.clone();
        slots.insert_all(&self.ripening);
        slots.insert_all(&self.ripe);
        slots
    }

    fn is_empty(&self) -> bool {
        [&self.fresh, &self.ripening, &self.ripe].into_iter().all(SlotSet::is_empty)
    }

    /// These slots linger from here on, and no others.
    pub(super) fn set(&mut self, slots: &SlotSet) {
        for set in [&mut self.ripening, &mut self.ripe, &mut self.ending] {
            *set = set.common(slots);
        }
        self.fresh = slots.without(&self.ripening).without(&self.ripe);
        self.looked = None;
    }

    /// Has slots ripen. Those that begin while others ripen begin again with
    /// them gone: a slot lingers for one term at least and for two at the most.
    fn ripen(&mut self, now: Instant) {
        if !self.ripening.is_empty() && now >= self.ripens {
            let ripened = std::mem::replace(&mut self.ripening, SlotSet::none());
            self.ripe.insert_all(&ripened);
            self.looked = None;
        }
        if self.ripening.is_empty() && !self.fresh.is_empty() {
            self.ripening = std::mem::replace(&mut self.fresh, SlotSet::none());
            self.ripens = now + LINGERS;
        }
    }

    /// The slots that have lingered until everything that was in them when they
    /// began has ended. They go in terms, as they ripen.
    fn ended(&mut self, now: Instant) -> SlotSet {
        if self.ending.is_empty() {
            (self.ending, self.ends) = (self.slots(), now + LONGEST_LIFETIME);
        }
        if now >= self.ends { self.ending.clone() } else { SlotSet::none() }
    }

    /// The slots whose room is needed: as many as hold on the average as many
    /// records as were dropped for room since it was last looked.
    fn in_the_way(&mut self, stats: &Stats, kept: usize) -> SlotSet {
        let dropped = stats.evicted + stats.forgotten;
        let more = dropped - self.dropped.min(dropped);
        self.dropped = dropped;
        let slots = more.saturating_mul(kept as u64).div_ceil(stats.records.max(1));
        self.ripe.iter().take(usize::try_from(slots).unwrap_or(usize::MAX)).collect()
    }
}

/// Names the members that a placement is of: the same on every node that takes
/// the same ones for members, as an incarnation has one portion. Never 0.
pub(super) fn name_of(placement: &Placement) -> u64 {
    /// The fraction of the golden ratio.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    placement.members().keys().fold(1, |name, member| {
        let [high, low] = [member.0 >> 64, member.0 & u128::from(u64::MAX)];
        [high, low].into_iter().fold(name, |name, half| {
            let half = u64::try_from(half).expect("half of it");
            folded_multiply(name ^ half, GOLDEN).rotate_left(1) | 1
        })
    })
}

impl Node {
    /// The name of the members under whom this node has all that it is to
    /// keep; 0 when it does not have it all.
    pub(super) fn kept_view(&self) -> u64 {
        let has_all = self.is_ready() && self.portions.moves.is_at_rest();
        if has_all && !self.is_merging() { self.portions.view } else { 0 }
    }

    /// Another node says under which members it has all that it is to keep.
    pub(super) fn handle_kept(&mut self, now: Instant, sender: Incarnation, view: u64) {
        if let Some(peer) = self.peers.get_mut(&sender) {
            peer.kept = (view, now);
        }
    }

    /// Lets go what is no longer kept, when others have it.
    pub(super) fn let_go(&mut self, now: Instant) {
        self.portions.lingering.ripen(now);
        let ended = self.portions.lingering.ended(now);
        self.release(&ended);
        if self.portions.lingering.is_empty() {
            return;
        }
        let kept = self.holdings.kept().get().count();
        let stats = self.holdings.portion().stats();
        let in_the_way = self.portions.lingering.in_the_way(&stats, kept);
        self.release(&in_the_way);
        let confirmed = self.confirmed(now);
        self.release(&confirmed);
    }

    /// What lingers and its holders have confirmed to have.
    fn confirmed(&mut self, now: Instant) -> SlotSet {
        let Portions { settled, lingering, changed: (changed, high), view, .. } = &self.portions;
        let nobody = !settled.members().values().any(|member| {
            // Whoever else there is keeps what one of these does.
            matches!(member.portion.keep, Keep::All | Keep::Share)
        });
        let late = now - *changed < GROUNDED || !self.sender.progress.all_reached(*high);
        if nobody || late || lingering.ripe.is_empty() {
            return SlotSet::none();
        }
        let own = self.config.incarnation;
        let others = settled.members().keys().copied().filter(|&member| member != own);
        let open: Vec<Incarnation> = others.filter(|&other| !self.has_confirmed(other)).collect();
        let looked = Some((*view, open));
        if looked == lingering.looked {
            return SlotSet::none();
        }
        let mut confirmed = lingering.ripe.clone();
        for &other in looked.iter().flat_map(|(_, open)| open) {
            confirmed = confirmed.without(&settled.slots_of(other));
        }
        self.portions.lingering.looked = looked;
        confirmed
    }

    /// Whether a node has said that it has all that it is to keep under the
    /// present members.
    fn has_confirmed(&self, other: Incarnation) -> bool {
        let Portions { view, changed: (changed, _), .. } = &self.portions;
        let kept = self.peers.get(&other).map(|peer| peer.kept);
        kept.is_some_and(|(kept, said)| kept == *view && said >= *changed + GROUNDED)
    }

    /// Keeps these slots no more.
    fn release(&mut self, slots: &SlotSet) {
        if slots.is_empty() {
            return;
        }
        let left = self.portions.lingering.slots().without(slots);
        self.portions.lingering.set(&left);
        let mut kept = self.portions.desired().clone();
        kept.insert_all(&left);
        self.portions.moves.tell_arrived(&kept, &self.holdings);
        self.holdings.kept().set(&kept);
        self.portions.releasing.begin();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::slots::Slot;

    #[test]
    fn each_slot_lingers_until_what_is_in_it_has_ended() {
        let slots = |slots: &[u16]| slots.iter().copied().map(Slot).collect::<SlotSet>();
        let at = |hours: u64| Instant::default() + Duration::from_secs(hours * 3_600);
        let mut lingering = Lingering::default();
        lingering.set(&slots(&[1]));
        assert!(lingering.ended(at(1)).is_empty());
        lingering.set(&slots(&[1, 2]));
        assert!(lingering.ended(at(24)).is_empty());
        assert_eq!(lingering.ended(at(25)), slots(&[1]));
        lingering.set(&slots(&[2]));
        assert!(lingering.ended(at(25)).is_empty());
        assert!(lingering.ended(at(48)).is_empty(), "it began when a term had");
        assert_eq!(lingering.ended(at(49)), slots(&[2]));
        lingering.set(&slots(&[]));
        assert!(lingering.is_empty() && lingering.ended(at(99)).is_empty());
    }
}
