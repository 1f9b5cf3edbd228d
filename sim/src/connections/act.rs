//! What a node's process does of what its machines want, one thing at a time.

use proto::connection::epoch::Term;
use proto::connection::ledger::Ledger;
use proto::connection::owner::{Action, Config, Owner};
use proto::connection::understudy::{Event, Understudy};
use proto::connection::{End, GroupId};

use super::fault::Tamper;
use super::node::{Asker, Carried, Inlet};
use super::socket::Socket;
use super::world::World;

impl World {
    /// Does one thing. False when there is nothing to do.
    pub(super) fn work(&mut self, slot: usize) -> bool {
        self.act(slot) || self.tell(slot) || self.inquire(slot) || self.relay(slot)
    }

    fn act(&mut self, slot: usize) -> bool {
        let Some(node) = &mut self.nodes[slot] else { return false };
        let start = node.incarnation;
        let mut found = None;
        for (&group, owner) in &mut node.owners {
            if let Some(action) = owner.poll_action() {
                found = Some((group, owner.term(), action));
                break;
            }
        }
        if let Some((group, term, action)) = found {
            if let (Some(term), Action::Admit(_) | Action::Write { .. } | Action::Close(_)) =
                (term, &action)
            {
                let acts = self.said.acts(group, term, start, &self.register);
                self.hold(acts);
            }
            self.perform(slot, group, action);
            return true;
        }
        let event = node.studies.values_mut().find_map(Understudy::poll_event);
        match event {
            Some(Event::Restore { group, term, ledgers }) => {
                self.restore(slot, group, term, ledgers);
                true
            }
            Some(Event::Lost { .. }) => true,
            None => false,
        }
    }

    fn perform(&mut self, slot: usize, group: GroupId, action: Action) {
        let Some(node) = &mut self.nodes[slot] else { return };
        match action {
            Action::Admit(token) => self.admit(slot, token),
            Action::Refuse(token) => drop(node.held.remove(&token)),
            Action::Write { connection, end, position, bytes, fin } => {
                if self.setup.tamper == Tamper::WritesBeforeHeld {
                    return;
                }
                self.write(slot, (connection, end), position, &bytes.0.concat(), fin);
            }
            Action::Close(id) => drop(node.carried.remove(&id)),
            Action::Abandon(ids) => {
                // One may have come back since, as another group's.
                let old = |carried: &Carried| carried.group == Some(group);
                node.carried.retain(|id, carried| !(ids.contains(id) && old(carried)));
            }
            Action::Restore(returned) => {
                self.restore(slot, returned.group, returned.term, returned.ledgers);
            }
        }
    }

    /// Goes on with connections that are this node's.
    fn restore(&mut self, slot: usize, group: GroupId, term: Term, ledgers: Vec<Ledger>) {
        let Some(node) = &mut self.nodes[slot] else { return };
        // A group of none says nothing about who is to be talked to.
        if !ledgers.is_empty() {
            self.address = slot;
        }
        self.report.taken_over += ledgers.len() as u64;
        let mut ends = Vec::new();
        for ledger in &ledgers {
            let id = ledger.header().id;
            let Some(client) = self.clients.get(&id).copied() else { continue };
            let tls = ledger.header().tls.as_ref();
            let frames = tls.and_then(|tls| tls[..].try_into().ok()).map_or(0, u32::from_be_bytes);
            let present = End::BOTH.into_iter().filter(|end| ledger.has(*end));
            let sockets = present.map(|end| (end, Socket::restore(ledger, end))).collect();
            let attempt = if ledger.has(End::Backend) {
                self.peers[&(client, End::Backend)].attempt
            } else {
                0
            };
            let group = Some(group);
            let carried =
                Carried { client, group, frames, attempt, open: true, frozen: None, sockets };
            ends.extend(carried.sockets.keys().map(|end| (id, *end)));
            node.carried.insert(id, carried);
        }
        let wait = std::time::Duration::from_millis(30);
        let config = Config { wait, ..Config::new(node.incarnation, group) };
        node.owners.insert(group, Owner::resume(config, term, ledgers));
        // A restored socket speaks at once.
        ends.into_iter().for_each(|at| self.emit(slot, at, true));
    }

    fn tell(&mut self, slot: usize) -> bool {
        let Some(node) = &mut self.nodes[slot] else { return false };
        let start = node.incarnation;
        if self.link_up {
            for (&group, owner) in &mut node.owners {
                let Some(epoch) = owner.term().map(|term| term.epoch) else { continue };
                if node.streams.get(&group) != Some(&(epoch, self.link)) {
                    continue;
                }
                if let Some(message) = owner.poll_transmit() {
                    self.say(1 - slot, Inlet::Message((group, epoch), start, message));
                    return true;
                }
            }
        }
        for study in node.studies.values_mut() {
            if let Some(reply) = study.poll_reply() {
                let group = study.group();
                self.say(1 - slot, Inlet::Reply(group, reply));
                return true;
            }
        }
        false
    }

    fn inquire(&mut self, slot: usize) -> bool {
        let now = self.instant();
        let Some(node) = &mut self.nodes[slot] else { return false };
        let start = node.incarnation;
        for (&group, owner) in &mut node.owners {
            if let Some(ask) = owner.poll_ask(now) {
                self.ask(slot, start, Asker::Owner(group), ask);
                return true;
            }
        }
        for (&(group, epoch), study) in &mut node.studies {
            if let Some(ask) = study.poll_ask(now) {
                self.ask(slot, start, Asker::Study(group, epoch), ask);
                return true;
            }
        }
        false
    }
}
