//! What comes in is answered before the kernel has it, where that is safe.
//!
//! What a peer sent in order is what its kernel's socket will give, whenever it
//! takes the packet: so the answer is told together with it, and both, the packet
//! let in and the answer written, wait for one and the same word of the
//! understudy. What the kernel gives later is compared with it. It is not done
//! with a segment that the kernel may not take for what it says: one that is
//! older than what came before it (RFC 7323, section 5.3), or has an urgent byte.

use proto::connection::ledger::MAX_CHUNK_BYTES;
use proto::connection::{ConnectionId, End};

use super::relay::Relayed;
use super::{Driver, READ_BYTES};
use crate::carrier::ROOM;
use crate::carrier::splice::{Input, Link, Side};

impl Driver {
    /// Answers what has just been told of an end, if it is next in order.
    pub(super) fn answer_ahead(&mut self, id: ConnectionId, end: End, clock: Option<u32>) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let to = &splice.side(end.other()).link;
        let may_say =
            !matches!(to, Link::Absent | Link::Connecting(_) | Link::Still(_)) && !splice.closing;
        let most = if splice.records.is_some() { READ_BYTES } else { MAX_CHUNK_BYTES };
        let side = splice.side_mut(end);
        if !may_say || side.ended || !side.is_newer(clock) {
            return;
        }
        let (read, ahead) = (side.read, side.ahead);
        let Some(owned) = splice.group.and_then(|group| self.owners.get_mut(&group)) else {
            return;
        };
        if !owned.owner.is_protected(id) {
            return;
        }
        let Some(ledger) = owned.owner.ledger(id) else { return };
        let input = &ledger.side(end).input;
        let Some((position, bytes)) = input.last_piece() else { return };
        let is_next = position == read && position + bytes.len() == input.end();
        // More than the kernel has promised it does not take.
        if !is_next || ahead + bytes.len() > ROOM.ahead {
            return;
        }
        let bytes = bytes.clone();
        if !self.has_room(id, end.other(), bytes.len()) {
            return;
        }
        for chunk in bytes.chunks(most) {
            if let Some(splice) = self.splices.get_mut(&id) {
                splice.side_mut(end).ahead += chunk.len();
            }
            match self.answer(id, end, Input::Bytes(chunk)) {
                Relayed::Some => {}
                Relayed::Nothing | Relayed::Blocked => return,
                Relayed::Broken => return self.break_off(id),
            }
        }
        if let Some(splice) = self.splices.get_mut(&id) {
            splice.side_mut(end).newest = clock;
        }
    }
}

impl Side {
    /// Whether a segment with that clock is no older than what was taken before the
    /// kernel gave it. Of a peer without clock nothing can be told, by its kernel
    /// neither.
    const fn is_newer(&self, clock: Option<u32>) -> bool {
        match (clock, self.newest) {
            (Some(clock), Some(newest)) => clock.wrapping_sub(newest).cast_signed() >= 0,
            (Some(_) | None, None) => true,
            (None, Some(_)) => false,
        }
    }
}
