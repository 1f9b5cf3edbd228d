//! Kernels: what they do with packets by themselves, and what they are given.

use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End, Token};

use super::node::{Carried, Inlet, Packet, Says};
use super::socket::Transmit;
use super::world::World;

impl From<Transmit> for Says {
    fn from(Transmit { position, bytes, fin }: Transmit) -> Self {
        Self::Data { position, bytes, fin }
    }
}

impl World {
    /// A packet reaches the node that has the address: a pure acknowledgement its
    /// kernel, the rest its process.
    pub(super) fn arrive(&mut self, packet: Packet) {
        let slot = self.address;
        let Some(node) = &mut self.nodes[slot] else { return };
        if let Says::Ack(position) = packet.says {
            let id = node.connection_of(packet.client);
            let carried = id.and_then(|id| node.carried.get_mut(&id));
            let carried = carried.filter(|carried| carried.frozen.is_none());
            let socket = carried.and_then(|carried| carried.sockets.get_mut(&packet.end));
            if let (Some(id), Some(socket)) = (id, socket) {
                socket.acknowledge(position);
                self.emit(slot, (id, packet.end), false);
            }
        } else {
            node.inbox.push_back(Inlet::Packet(packet));
            self.turn(slot);
        }
    }

    /// A packet reaches a peer.
    pub(super) fn reach(&mut self, packet: Packet) {
        let Packet { client, end, attempt, says } = packet;
        let of = end as u8;
        let attached = self.is_attached(client);
        let Some(peer) = self.peers.get_mut(&(client, end)) else { return };
        let answer = match says {
            // One that has begun is not given up for another caller, as long as
            // somebody goes on with it: a real backend would have both.
            Says::Syn
                if !peer.connected
                    || (attempt > peer.attempt && !(peer.has_begun() && attached)) =>
            {
                peer.begin(of, attempt);
                Some(Says::SynAck)
            }
            Says::Syn => (attempt == peer.attempt).then_some(Says::SynAck),
            _ if attempt != peer.attempt => None,
            Says::SynAck => {
                peer.connected = true;
                None
            }
            // Who has asked, and has no answer, takes nothing else.
            _ if !peer.connected => None,
            Says::Data { position, bytes, fin } => {
                peer.socket.receive(position, &bytes, fin);
                let read = peer.read(of);
                let says = Says::Ack(peer.socket.acknowledges());
                self.hold(read.map_err(|what| format!("client {client} {end:?}: {what}")));
                Some(says)
            }
            Says::Ack(position) => {
                peer.socket.acknowledge(position);
                None
            }
        };
        let segments = self.peers.get_mut(&(client, end)).map(|peer| peer.transmit(false));
        let segments = segments.into_iter().flatten().map(Says::from);
        for says in answer.into_iter().chain(segments) {
            self.send(true, Packet { client, end, attempt, says });
        }
    }

    /// Whether a node goes on with a connection of that client and its backend, or
    /// could come to.
    fn is_attached(&self, client: usize) -> bool {
        let mut ids = self.clients.iter().filter(|(_, of)| **of == client).map(|(id, _)| *id);
        ids.any(|id| {
            self.nodes.iter().flatten().any(|node| {
                let copy = node.copy_of(id, &self.register);
                copy.map_or_else(
                    || node.may_go_on(id, &self.register),
                    |ledger| ledger.has(End::Backend),
                )
            })
        })
    }

    /// Kernels say again what is not acknowledged, whatever their processes do.
    pub(super) fn kernels_say_again(&mut self) {
        for slot in 0..2 {
            let Some(node) = &self.nodes[slot] else { continue };
            let ends = |(&id, carried): (&ConnectionId, &Carried)| {
                let open =
                    carried.sockets.keys().filter(|end| **end == End::Backend || carried.open);
                open.map(|end| (id, *end)).collect::<Vec<_>>()
            };
            let all: Vec<(ConnectionId, End)> = node.carried.iter().flat_map(ends).collect();
            all.into_iter().for_each(|at| self.emit(slot, at, true));
            self.call_backends(slot);
        }
    }

    /// Asks backends for connections that have none.
    pub(super) fn call_backends(&mut self, slot: usize) {
        let Some(node) = &mut self.nodes[slot] else { return };
        // Who has not the address calls in vain: what answers reaches the other.
        if node.paused_until.is_some() || slot != self.address {
            return;
        }
        let mut calls = Vec::new();
        for carried in node.carried.values_mut() {
            let calls_one = carried.open && carried.frozen.is_none();
            if calls_one && !carried.sockets.contains_key(&End::Backend) {
                if carried.attempt == 0 {
                    carried.attempt = u32::try_from(self.now / 1_000).expect("a short run");
                }
                calls.push((carried.client, carried.attempt));
            }
        }
        for (client, attempt) in calls {
            self.send(false, Packet { client, end: End::Backend, attempt, says: Says::Syn });
        }
    }

    /// A kernel is given a packet that was held back.
    pub(super) fn admit(&mut self, slot: usize, token: Token) {
        let Some(node) = &mut self.nodes[slot] else { return };
        let Some((id, packet)) = node.held.remove(&token) else { return };
        let Some(carried) = node.carried.get_mut(&id) else { return };
        if carried.frozen.is_some() {
            return;
        }
        let Packet { client, end, attempt, says } = packet;
        match says {
            Says::Syn => {
                carried.open = true;
                self.send(false, Packet { client, end, attempt, says: Says::SynAck });
                self.call_backends(slot);
            }
            Says::SynAck => {
                carried.sockets.entry(end).or_default();
            }
            Says::Data { position, bytes, fin } => {
                let Some(socket) = carried.sockets.get_mut(&end) else { return };
                socket.receive(position, &bytes, fin);
                let says = Says::Ack(socket.acknowledges());
                self.emit_packet(slot, (id, end), says);
            }
            Says::Ack(_) => {}
        }
    }

    /// A kernel sends what it may, or all that is not acknowledged.
    pub(super) fn emit(&mut self, slot: usize, (id, end): (ConnectionId, End), again: bool) {
        let node = self.nodes[slot].as_mut();
        let carried = node.and_then(|node| node.carried.get_mut(&id));
        let carried = carried.filter(|carried| carried.frozen.is_none());
        let socket = carried.and_then(|carried| carried.sockets.get_mut(&end));
        let segments = socket.map(|socket| socket.transmit(again)).unwrap_or_default();
        for segment in segments {
            self.emit_packet(slot, (id, end), segment.into());
        }
    }

    fn emit_packet(&mut self, slot: usize, (id, end): (ConnectionId, End), says: Says) {
        let Some(node) = &self.nodes[slot] else { return };
        let Some(carried) = node.carried.get(&id) else { return };
        let other = self.nodes[1 - slot].as_ref();
        let held = self.said.emits((id, end), &says, (node, other), &self.register);
        let attempt = if end == End::Backend { carried.attempt } else { 0 };
        let packet = Packet { client: carried.client, end, attempt, says };
        self.hold(held);
        self.send(false, packet);
    }

    /// A node writes to a socket of its own.
    pub(super) fn write(
        &mut self,
        slot: usize,
        (id, end): (ConnectionId, End),
        position: Position,
        bytes: &[u8],
        fin: bool,
    ) {
        let node = self.nodes[slot].as_mut();
        let carried = node.and_then(|node| node.carried.get_mut(&id));
        let Some(socket) = carried.and_then(|carried| carried.sockets.get_mut(&end)) else {
            return;
        };
        if socket.end() != position.0 {
            let what = format!("{id:?} {end:?}: written at {position:?}, not {}", socket.end());
            return self.hold(Err(what));
        }
        socket.write(bytes, fin);
        self.emit(slot, (id, end), false);
    }
}
