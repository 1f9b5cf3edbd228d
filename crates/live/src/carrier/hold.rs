//! Packets that wait: in the kernel's queue until they are read, and then for a
//! verdict.

use std::collections::BTreeMap;

use proto::connection::{ConnectionId, End, GroupId, Token};
use sys::call::CallError;
use sys::queue::{PacketId, Queue, Verdict};

/// What a packet that waits is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Of {
    pub(super) group: GroupId,
    pub(super) connection: ConnectionId,
    pub(super) end: End,
}

/// The queue, and what waits for a verdict.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) queue: Queue,
    waiting: BTreeMap<PacketId, Of>,
}

impl Hold {
    pub(super) const fn new(queue: Queue) -> Self {
        Self { queue, waiting: BTreeMap::new() }
    }

    /// A packet waits for what its owner decides.
    pub(super) fn wait(&mut self, packet: PacketId, of: Of) {
        self.waiting.insert(packet, of);
    }

    /// It waits no more: it is of that.
    pub(super) fn take(&mut self, packet: PacketId) -> Option<Of> {
        self.waiting.remove(&packet)
    }

    /// Decides about a packet.
    pub(super) fn decide(&mut self, packet: PacketId, verdict: Verdict) -> Result<(), CallError> {
        self.queue.decide(packet, verdict)
    }

    /// Drops what waits for an owner that decides nothing any more.
    pub(super) fn drop_of(&mut self, group: GroupId) -> Result<(), CallError> {
        let (gone, kept) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, of)| of.group == group);
        self.waiting = kept;
        let gone: BTreeMap<PacketId, Of> = gone;
        gone.into_keys().try_for_each(|packet| self.queue.decide(packet, Verdict::Drop))
    }
}

/// The name under which an owner knows a packet.
pub(super) fn token(packet: PacketId) -> Token {
    Token(packet.0.into())
}

/// The packet of that name.
pub(super) fn packet(token: Token) -> Option<PacketId> {
    u32::try_from(token.0).ok().map(PacketId)
}
