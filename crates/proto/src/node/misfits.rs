//! What somebody should put right: two nodes with one name, and peers whose
//! keys are others. The node serves on, and says so once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::peer::BOTH_LIVE;
use super::{Event, MAX_PEERS, Node};
use crate::load::Load;
use crate::time::Instant;
use crate::wire::header::Incarnation;

/// How often it is looked for: it waits for a person anyway.
const PAUSE: Duration = Duration::from_secs(1);
/// So many packets that do not open are no accident: what is damaged on its
/// way is dropped by its checksum, all but once in 65,536 times.
const NO_ACCIDENT: u32 = 2;

/// What is known of it.
#[derive(Debug)]
pub(super) struct Misfits {
    due: Instant,
    /// The nodes that have another live node's name, or ours.
    twins: BTreeSet<Incarnation>,
    /// How many packets that do not open have come from each configured peer;
    /// none once that was said.
    foreign: BTreeMap<SocketAddr, Option<u32>>,
}

impl Misfits {
    pub(super) fn new(peers: &[SocketAddr]) -> Self {
        let foreign = peers.iter().map(|&peer| (peer, Some(0))).collect();
        Self { due: Instant::default(), twins: BTreeSet::new(), foreign }
    }

    /// A packet from there does not open.
    pub(super) fn forged(&mut self, from: SocketAddr) {
        if let Some(Some(packets)) = self.foreign.get_mut(&from) {
            *packets = packets.saturating_add(1);
        }
    }

    pub(super) fn load(&self) -> Load {
        Load::new("nodes of one name", self.twins.len(), MAX_PEERS)
    }
}

impl Node {
    /// How many live nodes have another live one's name, or this one's.
    #[must_use]
    pub fn same_name(&self) -> usize {
        self.misfits.twins.len()
    }

    pub(super) fn look_for_misfits(&mut self, now: Instant) {
        if now < self.misfits.due {
            return;
        }
        self.misfits.due = now + PAUSE;
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
