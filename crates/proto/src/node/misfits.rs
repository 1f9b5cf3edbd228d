//! What somebody should put right: two nodes with one name, peers whose keys
//! are others, and nodes that place records by another secret. The node serves
//! on, and says so once.
//!
//! Who places records elsewhere has the farm's key and is no member all the
//! same. Touches, votes and comparisons name records by their hashes: two nodes
//! that hash differently would each grant a lock that the other has given, and
//! miss what the other deletes. Nor does a node become ready by itself while as
//! many such are ready as are on its own side: it would found a second farm
//! beside the first. Where fewer are, or none is ready yet, it waits once and
//! goes on, and whoever is ready goes on anyway, so that one that is set up
//! wrongly stops nobody else. Only who has proven that it lives counts: what was
//! recorded once can be sent by anybody.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::peer::BOTH_LIVE;
use super::receive::Rejection;
use super::{Event, MAX_PEERS, Node};
use crate::keyring::PlacementCheck;
use crate::load::Load;
use crate::time::Instant;
use crate::wire::control::Hello;
use crate::wire::header::{Header, Incarnation, PacketType};

/// How often it is looked for: it waits for a person anyway.
const PAUSE: Duration = Duration::from_secs(1);
/// So many packets that do not open are no accident: what is damaged on its
/// way is dropped by its checksum, all but once in 65,536 times.
const NO_ACCIDENT: u32 = 2;

/// A node that places records elsewhere is remembered for so long after it was
/// heard: three of the calls that it makes for good. A node waits once for so
/// long, too, for such that are not ready themselves.
const ELSEWHERE: Duration = Duration::from_secs(15);
/// Who has proven itself within so long need not do so again when it calls: one
/// of these calls. Else two nodes far from each other would go on for ever.
const PROVEN: Duration = Duration::from_secs(5);
/// The most such nodes that are remembered. Those beyond are challenged again
/// and again, and are no members either.
const MAX_ELSEWHERE: usize = 256;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Misfits {
    due: Instant,
    /// The nodes that have another live node's name, or ours.
    twins: BTreeSet<Incarnation>,
    /// How many packets that do not open have come from each configured peer;
    /// none once that was said.
    foreign: BTreeMap<SocketAddr, Option<u32>>,
    /// What tells our placement secret from another.
    placement: PlacementCheck,
    /// The nodes that have another, and have proven that they live.
    elsewhere: BTreeMap<Incarnation, Elsewhere>,
}

/// A node that places records elsewhere.
#[derive(Debug)]
struct Elsewhere {
    /// When it last proved that it lives.
    heard: Instant,
    /// By which packet: it proves nothing when it comes once more.
    sequence: u64,
    /// Whether it serves clients.
    ready: bool,
}

impl Misfits {
    pub(super) fn new(peers: &[SocketAddr], placement: PlacementCheck) -> Self {
        let foreign = peers.iter().map(|&peer| (peer, Some(0))).collect();
        let (twins, elsewhere) = (BTreeSet::new(), BTreeMap::new());
        Self { due: Instant::default(), twins, foreign, placement, elsewhere }
    }

    pub(super) const fn placement(&self) -> PlacementCheck {
        self.placement
    }

    /// Whether a node is known to place records elsewhere.
    pub(super) fn is_elsewhere(&self, node: Incarnation) -> bool {
        self.elsewhere.contains_key(&node)
    }

    /// Whether it has proven so a short while ago.
    pub(super) fn is_proven(&self, now: Instant, node: Incarnation) -> bool {
        self.elsewhere.get(&node).is_some_and(|known| now - known.heard < PROVEN)
    }

    /// A packet from there does not open.
    pub(super) fn forged(&mut self, from: SocketAddr) {
        if let Some(Some(packets)) = self.foreign.get_mut(&from) {
            *packets = packets.saturating_add(1);
        }
    }

    /// Refuses a packet of a stream that is none to be followed, and may be a busy
    /// one, before it is opened.
    pub(super) fn let_pass(&self, header: &Header) -> Result<(), Rejection> {
        let is_data = header.packet_type == PacketType::Data;
        if is_data && self.is_elsewhere(header.incarnation) {
            return Err(Rejection::Replayed);
        }
        Ok(())
    }

    pub(super) fn loads(&self) -> [Load; 2] {
        [
            Load::new("nodes of one name", self.twins.len(), MAX_PEERS),
            Load::new("nodes that place elsewhere", self.elsewhere.len(), MAX_ELSEWHERE),
        ]
    }
}

impl Node {
    /// How many live nodes have another live one's name, or this one's.
    #[must_use]
    pub fn same_name(&self) -> usize {
        self.misfits.twins.len()
    }

    /// How many nodes are heard that place records by another secret.
    #[must_use]
    pub fn placed_elsewhere(&self) -> usize {
        self.misfits.elsewhere.len()
    }

    /// Whether a node that has proven that it lives, at an address, places records
    /// by another secret. It is told of once then.
    pub(super) fn places_elsewhere(
        &mut self,
        now: Instant,
        header: &Header,
        (address, hello): (SocketAddr, &Hello),
    ) -> bool {
        if hello.placement == self.misfits.placement {
            return false;
        }
        let (node, sequence) = (header.incarnation, header.sequence);
        let elsewhere = &mut self.misfits.elsewhere;
        let known = elsewhere.get(&node);
        let has_room = known.is_some() || elsewhere.len() < MAX_ELSEWHERE;
        if !has_room || known.is_some_and(|known| sequence <= known.sequence) {
            return true;
        }
        let said = Elsewhere { heard: now, sequence, ready: hello.ready };
        if elsewhere.insert(node, said).is_none() {
            self.event(Event::PlacementDiffers(hello.name.clone(), address));
        }
        self.stand_back(now);
        true
    }

    /// Waits for those that place elsewhere before it is ready by itself.
    fn stand_back(&mut self, now: Instant) {
        let ready = self.misfits.elsewhere.values().filter(|known| known.ready).count();
        let own_side = 1 + self.peers.values().filter(|peer| peer.is_alive()).count();
        let from = if ready >= own_side { now } else { self.join.started };
        self.join.alone_from = self.join.alone_from.max(from + ELSEWHERE);
    }

    pub(super) fn look_for_misfits(&mut self, now: Instant) {
        if now < self.misfits.due {
            return;
        }
        self.misfits.due = now + PAUSE;
        let known = self.misfits.elsewhere.len();
        self.misfits.elsewhere.retain(|_, known| now - known.heard < ELSEWHERE);
        if self.misfits.elsewhere.len() < known {
            // Else what the forgotten one has answered would count again.
            self.join.renew_nonce(&mut self.rng);
        }
        self.look_for_twins(now);
        self.look_for_foreign_keys();
    }

    fn look_for_twins(&mut self, now: Instant) {
        let mut first = BTreeMap::from([(self.config.name.as_str(), self.config.address)]);
        let mut twins = BTreeSet::new();
        let mut found = Vec::new();
        for (&incarnation, peer) in &self.peers {
            if !peer.is_alive() || now - peer.met < BOTH_LIVE {
                continue;
            }
            if let Some(&other) = first.get(peer.name.as_str()) {
                twins.insert(incarnation);
                if !self.misfits.twins.contains(&incarnation) {
                    found.push(Event::NameTwice(peer.name.clone(), [other, peer.address]));
                }
            } else {
                first.insert(&peer.name, peer.address);
            }
        }
        self.misfits.twins = twins;
        found.into_iter().for_each(|event| self.event(event));
    }

    fn look_for_foreign_keys(&mut self) {
        let mut found = Vec::new();
        for (&address, packets) in &mut self.misfits.foreign {
            let of_member = || self.peers.values().any(|peer| peer.address == address);
            if packets.is_some_and(|packets| packets >= NO_ACCIDENT) && !of_member() {
                *packets = None;
                found.push(Event::KeysDiffer(address));
            }
        }
        found.into_iter().for_each(|event| self.event(event));
    }
}

#[cfg(test)]
mod tests;
