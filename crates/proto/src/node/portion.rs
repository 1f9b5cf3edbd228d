//! Which slots the node keeps, and who else does.
//!
//! Two placements are looked at: that of the members whose portions have
//! arrived, who are asked and waited for, and that of all that live, the
//! joining ones among them, who are sent what they will answer for. A node
//! keeps what either gives it, so that nothing falls between. What a third one
//! says, that of a second ago, is what the others are sure to have seen as
//! well: a write that waits for one holder waits for one of these, as one that
//! has just become a holder may have let it pass.
//!
//! What a node no longer keeps [lingers](super::lingering) until those have it
//! whose it is.
//!
//! Where every node keeps everything, there is nothing of all this.

use std::collections::BTreeSet;
use std::time::Duration;

use super::lingering::Lingering;
use super::moves::Moves;
use super::walk::{STEP_BYTES, Walk};
use super::{Event, MAX_PEERS, Node};
use crate::cluster::placement::{Placement, Trouble};
use crate::cluster::portion::Keep;
use crate::cluster::slots::{Slot, SlotSet};
use crate::nak::acks::{Ack, Held};
use crate::record::KeyHash;
use crate::time::{Instant, Now};
use crate::wire::header::Incarnation;

/// After so long all others have seen a change that this node has seen: that
/// is when they hear that a node has died, give or take a lost heartbeat.
pub(super) const GROUNDED: Duration = Duration::from_millis(1_000);

/// After so long what somebody has missed is here, if it is anywhere: survivors
/// tell each other for half a second, and a pull that fails is given up after
/// 1.6 seconds.
const TOLD_BY: Duration = Duration::from_secs(3);

/// What is known of the portions.
#[derive(Debug)]
pub(super) struct Portions {
    /// Of the members whose portions have arrived.
    pub(super) settled: Placement,
    /// Of all that live.
    pub(super) coming: Placement,
    /// As `settled` was a while ago.
    pub(super) before: Placement,
    /// What `before` is next, and since when it was so.
    grounding: Option<(Instant, Placement)>,
    /// Names the members of `settled`.
    pub(super) view: u64,
    /// Whether members are left out for which there was no time yet.
    pub(super) behind: bool,
    /// Whether any node keeps less than everything.
    pub(super) sharing: bool,
    /// What the node is to keep.
    desired: SlotSet,
    /// What it was to keep, and has not let go.
    pub(super) lingering: Lingering,
    /// When the members changed last, and how far the node's own stream had
    /// come.
    pub(super) changed: (Instant, u64),
    /// Dropping what is no longer kept, taking near records over, and
    /// forgetting them.
    pub(super) releasing: Walk,
    adopting: Walk,
    forgetting: Walk,
    /// When they are forgotten once more.
    forget_due: Option<Instant>,
    /// The nodes whose portions went into this one's, by name.
    seen: BTreeSet<String>,
    troubles: BTreeSet<Trouble>,
    /// The nodes that were found to be given another number of replicas.
    differing: BTreeSet<String>,
    pub(super) moves: Moves,
}

/// A node's portion in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortionFigures {
    /// Slots that it keeps.
    pub slots: usize,
    /// Slots that are on their way to it.
    pub moving: usize,
    /// Slots that it keeps until it is sure that others do.
    pub lingering: usize,
    /// The holders that each record is to have among those that share.
    pub replicas: usize,
    /// Records that came because their slots moved here.
    pub moved_records: u64,
    /// Their bytes, as pages have them.
    pub moved_bytes: u64,
}

impl Portions {
    pub(super) fn new(now: Instant, placement_secret: &[u8; 32]) -> Self {
        let placement = Placement::new(placement_secret);
        Self {
            settled: placement.clone(),
            coming: placement.clone(),
            before: placement,
            grounding: None,
            view: 0,
            behind: false,
            sharing: false,
            desired: SlotSet::all(),
            lingering: Lingering::default(),
            changed: (now, 0),
            releasing: Walk::default(),
            adopting: Walk::default(),
            forgetting: Walk::default(),
            forget_due: None,
            seen: BTreeSet::new(),
            troubles: BTreeSet::new(),
            differing: BTreeSet::new(),
            moves: Moves::default(),
        }
    }

    /// What the node is to keep.
    pub(super) const fn desired(&self) -> &SlotSet {
        &self.desired
    }

    /// What another node keeps by any view that it may have of the members:
    /// while one joins, a slot is kept by who gives it away too.
    pub(super) fn all_slots_of(&self, member: Incarnation) -> SlotSet {
        let mut slots = self.coming.slots_of(member);
        slots.insert_all(&self.settled.slots_of(member));
        slots.insert_all(&self.before.slots_of(member));
        slots
    }

    /// Something passed unseen that may have put an end to what is near: that is
    /// forgotten, and again when the holders have been told of it, as they may
    /// have answered without knowing.
    pub(super) fn forget_near(&mut self, now: Instant) {
        self.forgetting.begin();
        self.forget_due = Some(now + TOLD_BY);
    }

    /// A view that was that of a while ago from one second on is it: others
    /// have seen it by then. It is never older than two seconds, however often
    /// the members change.
    pub(super) fn ground(&mut self, now: Instant) {
        let grounded = self.grounding.take_if(|(since, _)| now - *since >= GROUNDED);
        if let Some((_, view)) = grounded {
            self.before = view;
        }
        if self.grounding.is_none() && self.before.members() != self.settled.members() {
            self.grounding = Some((now, self.settled.clone()));
        }
    }
}

impl Node {
    /// The nodes to ask for what is held under `hash`, in order: holders that
    /// live and whose portions have arrived, and behind them those that keep
    /// what others keep, who may have it from holders that are gone.
    #[must_use]
    pub fn holders(&self, hash: KeyHash) -> Vec<Incarnation> {
        if !self.portions.sharing {
            let ready = self.peers.iter().filter(|(_, peer)| peer.is_alive() && peer.ready);
            let mut holders: Vec<Incarnation> =
                ready.map(|(&incarnation, _)| incarnation).collect();
            if !holders.is_empty() {
                // Each key has another home.
                let homes = holders.len() as u64;
                holders.rotate_left(usize::try_from(hash.0 % homes).expect("below a length"));
            }
            return holders;
        }
        let mut holders = self.portions.settled.holders(Slot::of(hash));
        let keeps_others = |keep: &Keep| matches!(keep, Keep::Of(_));
        let of = self.portions.settled.members().iter();
        let of = of.filter(|(_, member)| keeps_others(&member.portion.keep)).map(|(of, _)| *of);
        let beside: Vec<Incarnation> = of.filter(|of| !holders.contains(of)).collect();
        holders.extend(beside);
        holders.retain(|&holder| self.is_ready_member(holder));
        holders
    }

    /// Who holds what among the members whose portions have arrived; nobody
    /// while every node keeps everything.
    #[must_use]
    pub const fn placement(&self) -> &Placement {
        &self.portions.settled
    }

    /// Whether the node keeps what is held under `hash`: then a miss here says
    /// that others lack it too.
    #[must_use]
    pub fn keeps(&self, hash: KeyHash) -> bool {
        self.holdings.kept().keeps(hash)
    }

    /// The node's portion in figures.
    #[must_use]
    pub fn portion(&self) -> PortionFigures {
        let Portions { desired, lingering, moves, settled, sharing, .. } = &self.portions;
        PortionFigures {
            slots: desired.count(),
            moving: moves.pending(),
            lingering: lingering.slots().count(),
            replicas: if *sharing { settled.replicas() } else { 0 },
            moved_records: moves.records,
            moved_bytes: moves.bytes,
        }
    }

    /// What is wrong with the names that the node's portion is of.
    #[must_use]
    pub const fn troubles(&self) -> &BTreeSet<Trouble> {
        &self.portions.troubles
    }

    /// Looks whether the members are still the same, and goes on with what
    /// follows from a change.
    pub(super) fn keep_portion(&mut self, now: Now) {
        self.review_members(now.instant);
        if !self.portions.sharing {
            // The last node that shared may have gone while slots were on
            // their way here. A node that joins is ready only after them.
            if self.portions.moves.is_joining() || self.portions.moves.pending() > 0 {
                self.go_on_moving(now.instant);
            }
            return;
        }
        self.portions.ground(now.instant);
        self.go_on_moving(now.instant);
        self.let_go(now.instant);
        let Portions { adopting, releasing, forgetting, forget_due, .. } = &mut self.portions;
        if forget_due.take_if(|due| *due <= now.instant).is_some() {
            forgetting.begin();
        }
        let holdings = &self.holdings;
        adopting.go_on(|cursor| holdings.adopt(cursor, STEP_BYTES, now.wall));
        releasing.go_on(|cursor| holdings.release(cursor, STEP_BYTES));
        forgetting.go_on(|cursor| holdings.forget_near(cursor, STEP_BYTES));
        // Who is waited for may have changed.
        self.acknowledge();
    }

    /// Whether a write is where it was to be.
    pub(super) fn is_held(&self, held: &Held) -> bool {
        let Portions { settled, before, .. } = &self.portions;
        let progress = &self.sender.progress;
        let has = |holder: Incarnation| progress.has(holder, held.sequence);
        held.slots.iter().all(|&slot| {
            let mut holders = settled.all_holders(slot);
            let own = self.config.incarnation;
            let mut others = settled.all_holders(slot).filter(|&holder| holder != own);
            match held.ack {
                Ack::Local => true,
                // What is true of nobody is no confirmation.
                Ack::All => holders.next().is_some() && others.all(has),
                // A farm that wants one holder has it with this node.
                Ack::One if settled.replicas() == 1 && settled.holds(own, slot) => others.all(has),
                Ack::One => others.any(|holder| has(holder) && before.holds(holder, slot)),
            }
        })
    }

    pub(super) fn is_ready_member(&self, member: Incarnation) -> bool {
        self.peers.get(&member).is_some_and(|peer| peer.is_alive() && peer.ready)
    }

    /// Something passed unseen that others are asked for. They bring what the
    /// placements give this node, and nothing of the rest. So what is near is
    /// forgotten, what lingers is not given to others as a whole any more, and
    /// what is kept on for nodes that are gone is fetched anew.
    pub(super) fn miss(&mut self, now: Instant) {
        let own = self.config.incarnation;
        let portions = &mut self.portions;
        portions.forget_near(now);
        if !portions.sharing {
            return;
        }
        portions.moves.doubt(&portions.lingering.slots());
        let brought = [&portions.settled, &portions.coming].map(|view| view.slots_of(own));
        let beside = brought.iter().fold(portions.desired.clone(), |left, it| left.without(it));
        portions.moves.want(now, &beside);
        self.review_arrived();
    }

    /// Keeps what the placements give this node. What it gains is fetched.
    pub(super) fn divide(&mut self, now: Instant) {
        let own = self.config.incarnation;
        let mut desired = self.portions.settled.slots_of(own);
        desired.insert_all(&self.portions.coming.slots_of(own));
        if self.misses_named() {
            // What those kept that are gone is kept on.
            desired.insert_all(&self.portions.desired);
        }
        let ready = self.is_ready();
        let portions = &mut self.portions;
        let mut held = std::mem::replace(&mut portions.desired, desired);
        held.insert_all(&portions.lingering.slots());
        let gained = portions.desired.without(&held);
        let lingering = if ready {
            held.without(&portions.desired)
        } else {
            // Of what came before it had a portion nothing is missed elsewhere.
            portions.releasing.begin();
            SlotSet::none()
        };
        portions.lingering.set(&lingering);
        let mut kept = portions.desired.clone();
        kept.insert_all(&lingering);
        portions.moves.divide(now, &gained, (&portions.desired, &kept));
        // First of all nobody takes what is yet to come for missing.
        portions.moves.tell_arrived(&kept, &self.holdings);
        self.holdings.kept().set(&kept);
        if !gained.is_empty() {
            portions.adopting.begin();
        }
    }

    /// Whether a node is gone whose portion went into this one's, in one step or
    /// several: what it kept went over to others, of which this node may not be.
    fn misses_named(&mut self) -> bool {
        let Portions { coming, seen, .. } = &mut self.portions;
        for behind in coming.behind(self.config.incarnation) {
            if let Some(member) = coming.members().get(&behind)
                && seen.len() < MAX_PEERS
            {
                seen.insert(member.name.clone());
            }
        }
        let here: BTreeSet<&str> =
            coming.members().values().map(|member| member.name.as_str()).collect();
        seen.iter().any(|name| !here.contains(name.as_str()))
    }

    /// Tells once of each thing that is wrong.
    pub(super) fn look_for_troubles(&mut self) {
        let troubles = self.portions.coming.troubles(self.config.incarnation);
        let told = std::mem::replace(&mut self.portions.troubles, troubles);
        let new: Vec<Trouble> = self.portions.troubles.difference(&told).cloned().collect();
        new.into_iter().for_each(|trouble| self.event(Event::PortionTrouble(trouble)));
        if self.config.portion.keep != Keep::Share {
            return;
        }
        let own = self.config.portion.replicas;
        let differ: Vec<(String, u8)> = self
            .alive()
            .filter(|peer| peer.portion.keep == Keep::Share && peer.portion.replicas != own)
            .map(|peer| (peer.name.clone(), peer.portion.replicas))
            .collect();
        for (name, replicas) in differ {
            if self.portions.differing.insert(name.clone()) {
                self.event(Event::ReplicasDiffer(name, replicas));
            }
        }
    }
}
