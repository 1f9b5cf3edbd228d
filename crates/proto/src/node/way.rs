//! By which way nodes reach each other with what is for the farm.
//!
//! Between two nodes multicast may not arrive while unicast does: a switch or
//! a cloud filters it, or one of the two has none. So each receiver watches by
//! which way the packets of each peer come ([`Hearing`]) and tells the peer
//! with its statuses; the sender sends what is for the farm to the group and,
//! one by one, to those who do not hear it ([`Ways`]). How packets are sent,
//! and how one is told to have come by the group, is the driver's to know.

use std::net::SocketAddr;
use std::time::Duration;

use super::peer::Peer;
use super::{Event, Node};
use crate::nak::sender::Destination;
use crate::time::{Instant, Now};
use crate::wire::control::Message;
use crate::wire::header::Incarnation;

/// Three heartbeats, which come to the group every 500 ms, are missing in a
/// silence of this length.
const SILENT: Duration = Duration::from_millis(1_750);
/// Two of them are missing in a pause of this length: what was heard before
/// proves nothing any more.
const PAUSE: Duration = Duration::from_millis(1_250);
/// A peer that was not heard is heard once its packets have come for so long
/// without such a pause.
const PROOF: Duration = Duration::from_secs(1);
/// A way that does not hold for this long has to prove itself for twice as long
/// the next time. At 20 % loss three heartbeats in a row are lost once a minute.
const HELD: Duration = Duration::from_secs(60);
/// But for no longer than this.
const LONGEST_PROOF: Duration = Duration::from_secs(64);
/// When nothing has come by the group for this long, what a peer says by
/// unicast of its stream's end is news. Before that it might only be ahead of
/// packets that wait in the group's socket.
const QUIET: Duration = Duration::from_millis(100);

/// A peer does not change its mind twice within [`PROOF`]: what says so within
/// this time is a status that a later one has overtaken.
const OVERTAKEN: Duration = Duration::from_millis(500);

/// How a packet travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the group, once for everybody.
    Multicast,
    /// To one node's own socket.
    Unicast,
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Its source address.
    pub address: SocketAddr,
    /// Which of the sockets it came by.
    pub way: Way,
}

/// Whether a peer's packets come by the group.
#[derive(Debug)]
pub(super) struct Hearing {
    way: Way,
    /// When a packet last came by the group; at first, when that could begin.
    heard: Instant,
    /// Since when packets come by the group without a pause.
    steady: Instant,
    /// How long they have to before they count.
    proof: Duration,
}

impl Hearing {
    /// Of a peer that was just met. With multicast it is thought to be heard
    /// until it turns out not to be: where multicast works nothing is ever sent
    /// twice.
    pub(super) const fn new(now: Instant, way: Way) -> Self {
        Self { way, heard: now, steady: now, proof: PROOF }
    }

    /// By which way its packets come.
    pub(super) const fn way(&self) -> Way {
        self.way
    }

    /// A packet has come by the group, and has opened. Gives whether the peer
    /// is heard again by that.
    pub(super) fn heard(&mut self, now: Instant) -> bool {
        let before = self.way;
        if self.way == Way::Unicast {
            if now - self.heard >= PAUSE {
                self.steady = now;
            }
            if now - self.steady >= self.proof {
                (self.way, self.steady) = (Way::Multicast, now);
            }
        }
        self.heard = now;
        self.way != before
    }

    /// The peer was dead: its silence meant nothing.
    pub(super) fn begin_again(&mut self, now: Instant) {
        if self.way == Way::Multicast {
            self.heard = now;
        }
    }

    /// Nobody was there to hear it for so long: that says nothing of the group.
    pub(super) fn excuse(&mut self, now: Instant, absence: Duration) {
        self.heard = now.min(self.heard + absence);
        self.steady = now.min(self.steady + absence);
    }

    /// Notices that nothing comes by the group any more. Gives whether that is
    /// new.
    fn look(&mut self, now: Instant) -> bool {
        let silent = self.way == Way::Multicast && now - self.heard >= SILENT;
        if silent {
            self.way = Way::Unicast;
            self.proof =
                if now - self.steady < HELD { (self.proof * 2).min(LONGEST_PROOF) } else { PROOF };
        }
        silent
    }

    fn is_quiet(&self, now: Instant) -> bool {
        now - self.heard >= QUIET
    }
}

/// Where what is for the farm goes.
#[derive(Debug)]
pub(super) struct Ways {
    /// Whether it goes to the group.
    pub(super) group: bool,
    /// The live nodes that it goes to one by one.
    pub(super) unicast: Vec<SocketAddr>,
}

impl Ways {
    /// A node was met: in a farm of a thousand not all others are looked
    /// through for each.
    pub(super) fn meet(&mut self, peer: &Peer) {
        match peer.by {
            Way::Multicast => self.group = true,
            Way::Unicast => self.unicast.push(peer.address),
        }
    }
}

impl Node {
    /// Whether what is for the farm goes to the group: somebody hears it, or
    /// nobody is known.
    #[must_use]
    pub const fn sends_to_group(&self) -> bool {
        self.ways.group
    }

    /// Where else what is for the farm goes: to each live node that does not
    /// hear the group.
    #[must_use]
    pub fn unicast(&self) -> &[SocketAddr] {
        &self.ways.unicast
    }

    /// The way that a node is met by.
    pub(super) const fn first_way(&self) -> Way {
        if self.config.multicast { Way::Multicast } else { Way::Unicast }
    }

    /// Looks anew where what is for the farm has to go.
    pub(super) fn settle_ways(&mut self) {
        let alive = || self.peers.values().filter(|peer| peer.is_alive());
        let unheard = alive().filter(|peer| peer.by == Way::Unicast);
        self.ways.unicast.clear();
        self.ways.unicast.extend(unheard.map(|peer| peer.address));
        let somebody_hears = alive().any(|peer| peer.by == Way::Multicast);
        self.ways.group = self.config.multicast && (somebody_hears || self.ways.unicast.is_empty());
    }

    /// Notices who is no longer heard by the group.
    pub(super) fn look_for_deafness(&mut self, now: Instant) {
        let mut unheard = Vec::new();
        for (&incarnation, peer) in self.peers.iter_mut().filter(|(_, peer)| peer.is_alive()) {
            if peer.hearing.look(now) {
                unheard.push(incarnation);
            }
        }
        for incarnation in unheard {
            self.tell_hearing(now, incarnation);
        }
    }

    /// Has a node told soon that its packets come another way. Among many nodes
    /// the next status may be so far away that those who do not hear it would
    /// take it for dead before.
    pub(super) fn tell_hearing(&mut self, now: Instant, incarnation: Incarnation) {
        if let Some(peer) = self.peers.get_mut(&incarnation) {
            peer.receiver.tell(now);
        }
        self.look_at(incarnation);
    }

    /// A node says whether our packets come to it by the group, and how far its
    /// own stream has come: where multicast does not arrive its heartbeats may not
    /// say so.
    pub(super) fn handle_hearing(&mut self, now: Now, sender: Incarnation, group: bool, high: u64) {
        let back_off = self.back_off();
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        if peer.hearing.is_quiet(now.instant) {
            peer.receiver.handle_high(now.instant, high, &peer.rtt, back_off);
        }
        self.look_at(sender);
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        let by = if group && self.config.multicast { Way::Multicast } else { Way::Unicast };
        if peer.by != by && peer.by_until.is_none_or(|until| now.instant >= until) {
            peer.by = by;
            peer.by_until = Some(now.instant + OVERTAKEN);
            let name = peer.name.clone();
            self.settle_ways();
            self.event(Event::MemberReached(name, by));
        }
    }

    /// Tells the farm how far the stream has come. The group is told always: it
    /// is how those who do not hear it find that they do again. They are told
    /// in packets of their own, as the same ones by two ways would be one.
    pub(super) fn push_heartbeat(&mut self, heartbeat: &Message, kept: Option<&Message>) {
        let messages = || [heartbeat].into_iter().chain(kept);
        if !self.config.multicast || self.ways.unicast.is_empty() {
            self.outbox.push_all(Destination::Farm, messages());
            return;
        }
        self.outbox.push_all(Destination::Group, messages());
        if !self.ways.group {
            // Sealed once for all of them.
            self.outbox.push_all(Destination::Farm, messages());
            return;
        }
        for &address in &self.ways.unicast {
            self.outbox.push_all(Destination::Node(address), messages());
        }
    }
}

#[cfg(test)]
mod tests;
