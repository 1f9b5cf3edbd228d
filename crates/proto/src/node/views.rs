//! Whom the node takes for members, where nodes keep shares.
//!
//! It makes both views of them that [`portion`](super::portion) divides the
//! slots by, and finds that they changed. What follows from it is not its own.

use std::collections::BTreeMap;

use super::Node;
use super::lingering::name_of;
use super::portion::Portions;
use crate::cluster::placement::Member;
use crate::cluster::portion::{Keep, Portion};
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How many members are taken up at a time. To place one takes a millisecond,
/// twice: so many take less time than there is between two looks.
const NEW_AT_ONCE: usize = 16;

impl Node {
    /// Looks whether the members are still the same.
    pub(super) fn review_members(&mut self, now: Instant) {
        let shares = |portion: &Portion| portion.keep != Keep::All;
        let sharing =
            shares(&self.config.portion) || self.alive().any(|peer| shares(&peer.portion));
        if !sharing && !self.portions.sharing {
            return;
        }
        self.portions.sharing = sharing;
        let (mut settled, mut coming) = self.views();
        self.spread(&mut settled, &mut coming);
        let known = self.portions.settled.members();
        let somebody_came = settled.keys().any(|member| !known.contains_key(member));
        let coming = self.portions.coming.update(coming);
        if self.update_settled(settled) || coming {
            self.portions.changed = (now, self.sender.high());
            self.portions.view = name_of(&self.portions.settled);
            self.portions.ground(now);
            self.divide(now);
            if somebody_came {
                self.portions.moves.ask_anew(now);
            }
            self.look_for_troubles();
        }
    }

    /// Leaves members out for which there is no time at once: their turn comes
    /// with the next housekeeping.
    fn spread(
        &mut self,
        settled: &mut BTreeMap<Incarnation, Member>,
        coming: &mut BTreeMap<Incarnation, Member>,
    ) {
        let known = self.portions.coming.members();
        let new = |member: &&Incarnation| {
            **member != self.config.incarnation && !known.contains_key(member)
        };
        let later: Vec<Incarnation> =
            coming.keys().filter(new).skip(NEW_AT_ONCE).copied().collect();
        self.portions.behind = !later.is_empty();
        for member in later {
            settled.remove(&member);
            coming.remove(&member);
        }
    }

    /// Takes these for the members whose portions have arrived. Whether they
    /// are others than before.
    fn update_settled(&mut self, members: BTreeMap<Incarnation, Member>) -> bool {
        let Portions { settled, coming, .. } = &mut self.portions;
        if members == *coming.members() && members != *settled.members() {
            // It was computed already.
            settled.copy(coming);
            return true;
        }
        settled.update(members)
    }

    /// The members whose portions have arrived, and all that live.
    fn views(&self) -> (BTreeMap<Incarnation, Member>, BTreeMap<Incarnation, Member>) {
        let own = Member { name: self.config.name.clone(), portion: self.config.portion.clone() };
        let (mut settled, mut coming) = (BTreeMap::new(), BTreeMap::new());
        if self.is_ready() {
            settled.insert(self.config.incarnation, own.clone());
        }
        coming.insert(self.config.incarnation, own);
        for (&incarnation, peer) in self.peers.iter().filter(|(_, peer)| peer.is_alive()) {
            let member = Member { name: peer.name.clone(), portion: peer.portion.clone() };
            if peer.ready {
                settled.insert(incarnation, member.clone());
            }
            coming.insert(incarnation, member);
        }
        (settled, coming)
    }
}
