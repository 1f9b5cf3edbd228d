//! What a node does, step by step: its kernel, and the driver of its machines.

use proto::connection::handover::Drain;
use proto::connection::owner::{Owner, Segment};
use proto::connection::record::{EndHeader, Header};
use proto::connection::sequence::{Initial, Position};
use proto::connection::stream::{Message, Reply};
use proto::connection::understudy::Understudy;
use proto::connection::{ConnectionId, End, GroupId, Token};
use proto::wire::header::Incarnation;

use super::fault::Tamper;
use super::node::{Asker, Carried, Inlet, Packet, Says};
use super::socket::Socket;
use super::world::World;

/// Where both streams begin: the numbers wrap after a kilobyte.
const INITIAL: Initial = Initial(u32::MAX - 1_000);

impl World {
    /// A node's process does what it is given, until it has nothing to do.
    pub(super) fn turn(&mut self, slot: usize) {
        let Some(start) = self.nodes[slot].as_ref().map(|node| node.incarnation) else { return };
        while self.runs(slot, start) {
            let Some(inlet) = self.nodes[slot].as_mut().and_then(|node| node.inbox.pop_front())
            else {
                return;
            };
            self.take(slot, inlet);
            while self.step(slot, start) && self.work(slot) {}
        }
    }

    /// Has a node move its connections.
    pub(super) fn drain(&mut self, slot: usize) {
        let Some(node) = &mut self.nodes[slot] else { return };
        for (&group, owner) in &node.owners {
            let ids = node.carried.keys().copied().filter(|id| owner.ledger(*id).is_some());
            node.drains.insert(group, Drain::new(ids));
        }
    }

    fn take(&mut self, slot: usize, inlet: Inlet) {
        let now = self.instant();
        match inlet {
            Inlet::Packet(packet) => self.take_packet(slot, packet),
            Inlet::Message(stream, from, message) => {
                self.take_message(slot, stream, from, message);
            }
            Inlet::Reply(group, reply) => {
                if let Some(owner) = self.owner(slot, group) {
                    owner.handle_reply(now, reply);
                }
            }
            Inlet::Answer(Asker::Owner(group), ask, answer) => {
                if let Some(owner) = self.owner(slot, group) {
                    owner.handle_answer(now, &ask, answer);
                }
            }
            Inlet::Answer(Asker::Study(group, epoch), ask, answer) => {
                let node = self.nodes[slot].as_mut();
                if let Some(study) = node.and_then(|node| node.studies.get_mut(&(group, epoch))) {
                    study.handle_answer(now, &ask, answer);
                }
            }
            Inlet::Ended(group, epoch) => {
                if let Some(owner) = self.owner(slot, group)
                    && owner.term().is_some_and(|term| term.epoch == epoch)
                {
                    owner.handle_stream_down(now);
                }
            }
            Inlet::Gone(of) => self.take_gone(slot, of),
            Inlet::Tick => self.look_around(slot),
        }
    }

    fn take_gone(&mut self, slot: usize, of: Incarnation) {
        let now = self.instant();
        self.partings += 1;
        if self.nodes[self.address].is_none() {
            self.address = slot;
        }
        let Some(node) = &mut self.nodes[slot] else { return };
        let mut ended = Vec::new();
        for study in node.studies.values_mut().filter(|study| study.term().owner == of) {
            study.take_over(now);
            ended.push((study.group(), study.term().epoch));
        }
        for owner in node.owners.values_mut() {
            if owner.term().and_then(|term| term.understudy) == Some(of) {
                owner.leave_understudy(now);
            }
        }
        for (group, epoch) in ended {
            self.say(1 - slot, Inlet::Ended(group, epoch));
        }
    }

    fn look_around(&mut self, slot: usize) {
        let now = self.instant();
        let other = self.nodes[1 - slot].as_ref().map(|node| node.incarnation);
        let other = other.filter(|_| self.link_up);
        let link = self.link;
        let Some(node) = &mut self.nodes[slot] else { return };
        for (&group, owner) in &mut node.owners {
            if let Some(other) = other
                && owner.wants_understudy()
            {
                owner.choose_understudy(other);
            }
            owner.handle_timeout(now);
            let names = owner.term().and_then(|term| term.understudy.map(|it| (it, term.epoch)));
            if names.is_some_and(|(_, epoch)| node.streams.get(&group) != Some(&(epoch, link))) {
                owner.handle_stream_down(now);
            }
            if let Some((understudy, epoch)) = names
                && other == Some(understudy)
                && node.streams.insert(group, (epoch, link)) != Some((epoch, link))
            {
                owner.handle_stream_up(now);
            }
        }
        for (&id, carried) in &node.carried {
            let Some(owner) = carried.group.and_then(|group| node.owners.get_mut(&group)) else {
                continue;
            };
            for (&end, socket) in &carried.sockets {
                owner.handle_acknowledged(now, (id, end), Position(socket.acknowledged()));
            }
        }
        node.owners.retain(|_, owner| !owner.is_fenced() || owner.moving() > 0);
        node.studies.retain(|_, study| !study.is_over());
        self.hand_over(slot);
    }

    fn hand_over(&mut self, slot: usize) {
        let now = self.instant();
        let group_of_batch = GroupId(self.name());
        let Some(node) = &mut self.nodes[slot] else { return };
        for (group, drain) in &mut node.drains {
            let Some(owner) = node.owners.get_mut(group) else { continue };
            // Whoever has come since is moved as well: the address goes with the first.
            if drain.is_empty() {
                let ids = node.carried.keys().copied().filter(|id| owner.ledger(*id).is_some());
                *drain = Drain::new(ids);
            }
            if let Some(batch) = drain.next_batch(owner) {
                let moved = owner.hand_over(now, group_of_batch, &batch);
                let moved = moved.map_err(|what| format!("a batch is refused: {what}"));
                for id in &batch {
                    if let Some(carried) = node.carried.get_mut(id) {
                        carried.frozen = Some(group_of_batch);
                    }
                }
                self.hold(moved);
                return;
            }
        }
    }

    fn take_message(
        &mut self,
        slot: usize,
        stream: (GroupId, u64),
        from: Incarnation,
        message: Message,
    ) {
        let now = self.instant();
        let keeps = self.setup.tamper == Tamper::KeepsAcknowledging;
        let Some(node) = &mut self.nodes[slot] else { return };
        if let Message::Begin { group, term, first } = message
            && !node.studies.contains_key(&stream)
        {
            let begun = Understudy::begin(node.incarnation, group, term, first);
            match begun {
                Ok(study) if !node.owners.contains_key(&group) => {
                    node.studies.insert(stream, study);
                }
                // It was over here: another term is in force, or will be.
                Ok(_) | Err(_) => return self.say(1 - slot, Inlet::Ended(stream.0, stream.1)),
            }
        }
        let heard = node.heard.entry(stream).or_default();
        *heard = if let Message::Begin { first, .. } = message { first - 1 } else { *heard + 1 };
        let Some(study) = node.studies.get_mut(&stream) else { return };
        if keeps && !study.follows() {
            let reply = Reply::Held { epoch: stream.1, count: *heard };
            let owner = self.nodes[1 - slot].as_ref().filter(|node| node.incarnation == from);
            if owner.is_some() {
                self.say(1 - slot, Inlet::Reply(stream.0, reply));
            }
            return;
        }
        let taken = study.handle_message(now, message);
        self.hold(taken.map_err(|what| format!("a message of an honest owner is refused: {what}")));
    }

    fn take_packet(&mut self, slot: usize, packet: Packet) {
        let now = self.instant();
        let token = Token(self.rng.next_u64());
        let Packet { client, end, attempt, ref says } = packet;
        let Some(node) = &mut self.nodes[slot] else { return };
        let known = node.connection_of(client);
        if *says == Says::Syn {
            match known {
                // It may be one that is about to be restored here: it is asked for again.
                None if node.is_taking(client, &self.clients) => {}
                None => self.open(slot, client, token),
                Some(id) if node.carried[&id].open => {
                    self.send(false, Packet { client, end, attempt, says: Says::SynAck });
                }
                Some(_) => {}
            }
            return;
        }
        let Some(id) = known else { return };
        let carried = &node.carried[&id];
        if end == End::Backend && attempt != carried.attempt {
            return;
        }
        let attached = carried.sockets.contains_key(&End::Backend);
        let Some(owner) = carried.group.and_then(|group| node.owners.get_mut(&group)) else {
            return;
        };
        node.held.insert(token, (id, packet.clone()));
        match says {
            Says::SynAck if !attached => owner.attach(now, id, header_of_end(), token),
            Says::Data { position, bytes, fin } => {
                let sequence = INITIAL.sequence(Position(*position));
                let segment = Segment { sequence, payload: bytes, fin: *fin };
                owner.handle_segment(now, (id, end), segment, token);
                if end == End::Client {
                    self.answer_ahead(slot, id);
                }
                if self.setup.tamper == Tamper::ReleasesBeforeHeld {
                    self.admit(slot, token);
                }
            }
            Says::SynAck | Says::Syn | Says::Ack(_) => drop(node.held.remove(&token)),
        }
    }

    fn open(&mut self, slot: usize, client: usize, token: Token) {
        let now = self.instant();
        let node = self.nodes[slot].as_ref();
        let owner = node.and_then(|node| node.owners.values().find(|owner| !owner.is_fenced()));
        let group = owner.map(Owner::group);
        let group = group.unwrap_or_else(|| self.found(slot));
        let id = ConnectionId(self.name());
        let header = Header {
            id,
            group,
            term: None,
            client: header_of_end(),
            backend: None,
            relayed: true,
            tls: None,
        };
        let Some(node) = &mut self.nodes[slot] else { return };
        let sockets = [(End::Client, Socket::default())].into();
        let carried = Carried { client, group: Some(group), sockets, ..Carried::default() };
        node.carried.insert(id, carried);
        self.clients.insert(id, client);
        let syn = Packet { client, end: End::Client, attempt: 0, says: Says::Syn };
        node.held.insert(token, (id, syn));
        if let Some(owner) = node.owners.get_mut(&group) {
            owner.open(now, header, token);
        }
    }

    fn owner(&mut self, slot: usize, group: GroupId) -> Option<&mut Owner> {
        self.nodes[slot].as_mut().and_then(|node| node.owners.get_mut(&group))
    }
}

const fn address(last: u8) -> std::net::SocketAddr {
    let ip = std::net::Ipv4Addr::new(10, 0, 0, last);
    std::net::SocketAddr::V4(std::net::SocketAddrV4::new(ip, 443))
}

const fn header_of_end() -> EndHeader {
    EndHeader {
        local: address(1),
        peer: address(2),
        sent: INITIAL,
        received: INITIAL,
        mss: 1_460,
        scales: Some((7, 7)),
        sack: true,
        timestamps: Some(0),
    }
}
