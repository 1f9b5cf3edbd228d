//! How faults befall nodes, and what is lost by them.

use proto::connection::End;
use proto::wire::header::Incarnation;

use super::fault::Fault;
use super::node::{Inlet, Node};
use super::world::{Event, World};

/// When nothing is heard of a node for so long, it seems to be gone: 20 ms, a
/// few heartbeats.
const DETECTED_AFTER: u64 = 20_000;
/// When a node has stood still for so long, it cannot know whether it is still an
/// owner: before others take it for gone.
const DOUBTED_AFTER: u64 = DETECTED_AFTER * 3 / 4;
/// How long a node that died stays away.
const AWAY: u64 = 100_000;

impl World {
    /// Whoever has not heard of a start for long takes it for gone.
    pub(super) fn detect(&mut self, slot: usize, of: Incarnation) {
        let other = self.nodes[1 - slot].as_ref().filter(|node| node.incarnation == of);
        let silent = other.is_none_or(|node| node.paused_until.is_some()) || !self.link_up;
        if let Some(node) = self.nodes[slot].as_mut().filter(|_| silent) {
            node.inbox.push_back(Inlet::Gone(of));
            self.turn(slot);
        }
    }

    /// Something goes wrong.
    pub(super) fn befall(&mut self, fault: Fault) {
        match fault {
            Fault::Process(slot) | Fault::Host(slot) => {
                let Some(node) = self.nodes[slot].take() else { return };
                let start = node.incarnation;
                self.mourn(&node);
                self.at(self.now + AWAY, Event::Restart(slot));
                if fault == Fault::Process(slot) && self.link_up {
                    // It comes after all that was said, and no cut undoes it.
                    let to = 1 - slot;
                    if let Some(of) = self.nodes[to].as_ref().map(|node| node.incarnation) {
                        self.arrivals[to] = (self.now + 200).max(self.arrivals[to] + 1);
                        let inlet = Box::new(Inlet::Gone(start));
                        let event = Event::Inlet { slot: to, start: of, link: None, inlet };
                        self.at(self.arrivals[to], event);
                    }
                } else {
                    self.link += 1;
                    let event = Event::Detect { slot: 1 - slot, of: start };
                    self.at(self.now + DETECTED_AFTER, event);
                }
            }
            Fault::Pause(slot, millis) => {
                let until = self.now + millis * 1_000;
                let Some(node) = &mut self.nodes[slot] else { return };
                node.paused_until = Some(until);
                let of = node.incarnation;
                self.at(self.now + DETECTED_AFTER, Event::Detect { slot: 1 - slot, of });
                self.at(until, Event::Resume { slot, stood: millis * 1_000 });
            }
            Fault::Cut(millis) => {
                self.link_up = false;
                self.link += 1;
                for slot in 0..2 {
                    if let Some(of) = self.nodes[1 - slot].as_ref().map(|node| node.incarnation) {
                        self.at(self.now + DETECTED_AFTER, Event::Detect { slot, of });
                    }
                }
                self.at(self.now + millis * 1_000, Event::LinkBack);
            }
            Fault::Drain(slot) => self.drain(slot),
        }
    }

    /// A node goes on that stood still for so long; what came meanwhile waits.
    pub(super) fn resume(&mut self, slot: usize, stood: u64) {
        let now = self.instant();
        let Some(node) = &mut self.nodes[slot] else { return };
        if node.paused_until.is_none_or(|until| until > self.now) {
            return;
        }
        node.paused_until = None;
        if stood >= DOUBTED_AFTER {
            node.owners.values_mut().for_each(|owner| owner.doubt(now));
            node.studies.values_mut().for_each(|study| study.doubt(now));
        }
        self.turn(slot);
    }

    /// A node is gone. What counted as protected must not be lost by that.
    fn mourn(&mut self, node: &Node) {
        self.partings += 1;
        let Some(other) = self.nodes.iter().flatten().next() else { return };
        for &id in node.carried.keys() {
            let owner = node.owner_of(id).filter(|owner| owner.is_protected(id));
            let term = owner.and_then(|owner| owner.term());
            if let (Some(owner), Some(term)) = (owner, term)
                && term.understudy == Some(other.incarnation)
                && self.register.current(owner.group()) == Some(term)
                && other.copy_of(id, &self.register).is_none()
            {
                self.failure
                    .get_or_insert_with(|| format!("{id:?} counted as protected, and is lost"));
            }
        }
    }

    /// Counts clients as lost whose connection no node can go on with. One of
    /// them has to have died for that, or to have been taken for dead: as long as
    /// both live and hear each other, one of them has it.
    pub(super) fn reckon(&mut self) {
        for client in 0..self.setup.says.len() {
            let peers = End::BOTH.map(|end| &self.peers[&(client, end)]);
            let over = self.lost.contains(&client) || peers.iter().all(|peer| peer.is_done());
            let mut ids = self.clients.iter().filter(|(_, of)| **of == client);
            let goes_on = ids.any(|(id, _)| {
                self.nodes.iter().flatten().any(|node| node.may_go_on(*id, &self.register))
            });
            if over || !peers[0].connected || goes_on {
                continue;
            }
            self.lost.insert(client);
            if self.partings == 0 {
                let what = format!("client {client} is lost, and no node was gone");
                self.failure.get_or_insert(what);
            }
        }
    }
}
