//! From one end of a connection to the other.
//!
//! Of a kept connection what is read is told before it is written, and no more is
//! read than may be told; of a loose one it is written at once. A connection ends
//! when both directions have, or breaks off at both ends when one does.

use bytes::Bytes;
use proto::connection::ledger::MAX_CHUNK_BYTES;
use proto::connection::owner::{Differs, Output, Refused};
use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End};
use proto::secret::{secret, shared};
use sys::carried;

use super::{Driver, READ_BYTES};
use crate::carrier::socket::Read;
use crate::carrier::splice::{Input, Link, Said};

/// How many pieces are relayed in one direction before others get their turn.
const MOST_PIECES: usize = 4;
/// What an answer may be longer than what was read: records have a header, a
/// content type and a tag each, 22 bytes for 16 KiB; and an alert or key update.
const OVERHEAD_BYTES: usize = 1_024;
/// The same where records are opened: the beginning of one may have come before
/// (RFC 8446, section 5.2).
const UNFINISHED_BYTES: usize = (16 << 10) + 256 + 5;
const _: () = assert!(READ_BYTES + UNFINISHED_BYTES <= MAX_CHUNK_BYTES);
/// How much waits for a loose end's kernel before no more is read for it.
const MOST_UNWRITTEN: usize = 256 << 10;

/// How relaying went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relayed {
    Some,
    /// There is nothing, or no socket.
    Nothing,
    /// There is no room for what may come.
    Blocked,
    Broken,
}

impl Driver {
    /// Relays what connections have that something has happened to. Says whether
    /// anything was.
    pub(super) fn relay_dirty(&mut self) -> bool {
        let dirty = std::mem::take(&mut self.dirty);
        let mut relayed = false;
        for id in dirty {
            relayed |= self.relay(id);
        }
        relayed
    }

    fn relay(&mut self, id: ConnectionId) -> bool {
        self.flush(id);
        let mut some = false;
        let mut blocked = false;
        for from in End::BOTH {
            for piece in 0..=MOST_PIECES {
                if piece == MOST_PIECES {
                    self.dirty.insert(id);
                    break;
                }
                match self.relay_piece(id, from) {
                    Relayed::Some => some = true,
                    Relayed::Nothing => break,
                    Relayed::Blocked => {
                        blocked = true;
                        break;
                    }
                    Relayed::Broken => {
                        self.break_off(id);
                        return true;
                    }
                }
            }
        }
        if self.finish(id) {
            return true;
        }
        self.adopt_if_due(id);
        if blocked || self.waits_for_end(id) {
            self.watching.insert(id);
        } else if !self.is_asking(id) {
            self.watching.remove(&id);
        }
        some
    }

    /// Gives the kernel what it takes now.
    fn flush(&mut self, id: ConnectionId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let mut broken = false;
        for end in End::BOTH {
            if let Some(socket) = splice.side_mut(end).socket_mut() {
                broken |= socket.flush().is_err();
            }
        }
        if broken {
            self.break_off(id);
        }
    }

    fn relay_piece(&mut self, id: ConnectionId, from: End) -> Relayed {
        let Some(splice) = self.splices.get_mut(&id) else { return Relayed::Nothing };
        let to = from.other();
        let side = splice.side(from);
        if side.ended
            || splice.closing
            // What cannot be written yet stays with its peer: a client that is quick
            // would else fill this node's memory, before it is known who takes it.
            || matches!(splice.side(to).link, Link::Absent | Link::Connecting(_) | Link::Still(_))
        {
            return Relayed::Nothing;
        }
        let Some(source) = side.socket() else { return Relayed::Nothing };
        let left = from == End::Client && splice.unread.is_some();
        if !source.readable && !left {
            return Relayed::Nothing;
        }
        if !self.has_room(id, to, READ_BYTES) {
            // What peers have acknowledged makes room, and is not told of.
            self.note_acknowledged(id);
            if !self.has_room(id, to, READ_BYTES) {
                return Relayed::Blocked;
            }
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let relayed = self.read_and_say(id, from, &mut scratch);
        self.scratch = scratch;
        relayed
    }

    fn read_and_say(&mut self, id: ConnectionId, from: End, scratch: &mut [u8]) -> Relayed {
        let Some(splice) = self.splices.get_mut(&id) else { return Relayed::Nothing };
        let left = if from == End::Client { splice.unread.take() } else { None };
        let input = if let Some(left) = &left {
            Input::Bytes(left)
        } else {
            let Some(source) = splice.side_mut(from).socket_mut() else { return Relayed::Nothing };
            match source.read(scratch) {
                Ok(Read::Some(count)) => match self.take_read(id, from, &scratch[..count]) {
                    Ok([]) => return Relayed::Some,
                    Ok(new) => Input::Bytes(new),
                    Err(Differs) => {
                        tracing::warn!(connection = ?id, end = ?from, "{Differs}");
                        return Relayed::Broken;
                    }
                },
                Ok(Read::End) => Input::End,
                Ok(Read::Nothing) => return Relayed::Nothing,
                Err(_) => return Relayed::Broken,
            }
        };
        self.answer(id, from, input)
    }

    /// Has what was read compared with what was told; gives what of it was not
    /// answered yet.
    fn take_read<'a>(
        &mut self,
        id: ConnectionId,
        from: End,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], Differs> {
        let Some(splice) = self.splices.get_mut(&id) else { return Ok(&[]) };
        if let Some(owned) = splice.group.and_then(|group| self.owners.get_mut(&group)) {
            owned.owner.handle_read(self.now, (id, from), bytes)?;
        }
        let side = splice.side_mut(from);
        let answered = side.ahead.min(bytes.len());
        side.ahead -= answered;
        Ok(&bytes[answered..])
    }

    /// Says what there is to say to what came in.
    pub(super) fn answer(&mut self, id: ConnectionId, from: End, input: Input<'_>) -> Relayed {
        let Some(splice) = self.splices.get_mut(&id) else { return Relayed::Nothing };
        let mut said = Vec::with_capacity(2);
        let answered = splice.answer(from, input, &mut said);
        let group = splice.group;
        for one in said {
            let done = if group.is_some() {
                self.say_kept(id, one)
            } else {
                self.say_loose(id, one, input)
            };
            if !done {
                return Relayed::Broken;
            }
        }
        if answered.is_err() { Relayed::Broken } else { Relayed::Some }
    }

    /// Has the owner say it once the understudy has it.
    fn say_kept(&mut self, id: ConnectionId, said: Said) -> bool {
        let Some(splice) = self.splices.get(&id) else { return false };
        let Some(owned) = splice.group.and_then(|group| self.owners.get_mut(&group)) else {
            return false;
        };
        let Said { end, bytes, consumed, fin, tls } = said;
        let (bytes, tls) = (bytes.map(shared), tls.map(shared));
        let output = Output { bytes, consumed, fin, tls };
        match owned.owner.handle_output(self.now, (id, end), output) {
            Ok(()) => true,
            Err(refused @ (Refused::Full | Refused::Gone | Refused::Broken(_))) => {
                tracing::warn!(connection = ?id, %refused, "an answer could not be told");
                false
            }
        }
    }

    /// Says it at once.
    fn say_loose(&mut self, id: ConnectionId, said: Said, input: Input<'_>) -> bool {
        let Some(splice) = self.splices.get_mut(&id) else { return false };
        let bytes = match (said.bytes, input) {
            (Some(bytes), _) => shared(bytes),
            (None, Input::Bytes(bytes)) => secret(bytes),
            (None, Input::End) => Bytes::new(),
        };
        let pieces = if bytes.is_empty() { Vec::new() } else { vec![bytes] };
        splice.side_mut(said.end).write(pieces, said.fin).is_ok()
    }

    /// Whether what comes in next could be said.
    pub(super) fn has_room(&self, id: ConnectionId, to: End, bytes: usize) -> bool {
        let Some(splice) = self.splices.get(&id) else { return false };
        let Some(group) = splice.group else {
            // What is to be taken in has to fit into a ledger.
            let is_due = self.parts.hold.is_some() && !splice.unfit;
            let waiting = |end: End| match splice.side(end).socket() {
                Some(socket) if is_due => socket.unacknowledged_bytes(),
                Some(socket) => socket.unwritten_bytes(),
                None => 0,
            };
            return waiting(to) <= MOST_UNWRITTEN && waiting(End::Client) <= 2 * MOST_UNWRITTEN;
        };
        let opens = to == End::Backend && splice.records.is_some();
        let more = if opens { UNFINISHED_BYTES } else { OVERHEAD_BYTES };
        self.owners.get(&group).is_some_and(|owned| {
            owned.owner.has_room((id, to), bytes + more)
                && owned.owner.has_room((id, End::Client), OVERHEAD_BYTES)
        })
    }

    /// Tells the owner what peers have acknowledged.
    pub(super) fn note_acknowledged(&mut self, id: ConnectionId) {
        let Some(splice) = self.splices.get(&id) else { return };
        let Some(owned) = splice.group.and_then(|group| self.owners.get_mut(&group)) else {
            return;
        };
        for end in End::BOTH {
            // A ledger without output has nothing to let go.
            let is_empty = owned.owner.ledger(id).is_none_or(|ledger| {
                let output = &ledger.side(end).output;
                output.end() + usize::from(output.fin()) == output.acknowledged()
            });
            if !is_empty
                && let Some(socket) = splice.side(end).socket()
                && let Ok(position) = socket.acknowledged()
            {
                owned.owner.handle_acknowledged(self.now, (id, end), position);
            }
        }
    }

    /// Ends a connection of which both directions have ended. Says whether.
    fn finish(&mut self, id: ConnectionId) -> bool {
        if !self.waits_for_end(id) {
            return false;
        }
        let Some(splice) = self.splices.get(&id) else { return false };
        let mut over = true;
        let mut broken = false;
        for socket in End::BOTH.iter().filter_map(|end| splice.side(*end).socket()) {
            let acknowledged = socket.acknowledged().unwrap_or(Position(0));
            let is_over = socket.unwritten_bytes() == 0 && acknowledged > socket.written();
            over &= is_over;
            // Nothing is read any more that would say so.
            broken |= !is_over && !socket.is_connected();
        }
        if broken {
            self.break_off(id);
        } else if over {
            self.close(id);
        }
        broken || over
    }

    /// Whether both directions have ended, and only acknowledgements are missing.
    fn waits_for_end(&self, id: ConnectionId) -> bool {
        self.splices.get(&id).is_some_and(|splice| {
            End::BOTH.iter().all(|end| {
                splice.side(*end).socket().is_some_and(crate::carrier::socket::Socket::is_ending)
            })
        })
    }

    /// One end has broken: so does the other.
    #[track_caller]
    pub(super) fn break_off(&mut self, id: ConnectionId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        // Where that was found says more than any word for it.
        let at = std::panic::Location::caller();
        tracing::debug!(connection = ?id, %at, "a connection is broken off");
        splice.broken = true;
        self.close(id);
    }

    /// A connection is over, as the understudy is told.
    fn close(&mut self, id: ConnectionId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        if std::mem::replace(&mut splice.closing, true) {
            return;
        }
        let group = splice.group;
        match group.and_then(|group| self.owners.get_mut(&group)) {
            Some(owned) if owned.owner.ledger(id).is_some() => owned.owner.close(self.now, id),
            Some(_) | None => self.let_go(id),
        }
    }

    /// Closes the sockets of a connection, so that both peers hear of it.
    pub(super) fn let_go(&mut self, id: ConnectionId) {
        let Some(mut splice) = self.forget(id) else { return };
        for end in End::BOTH {
            let (Link::Up(socket) | Link::Connecting(socket)) =
                std::mem::take(&mut splice.side_mut(end).link)
            else {
                continue;
            };
            let ended = socket.is_ending() && !splice.broken;
            self.watched.remove(&socket.token());
            let (stream, _) = socket.unwatch(self.parts.poll.registry());
            let done = if ended { carried::let_end(&stream) } else { carried::reset(stream) };
            if let Err(error) = done {
                tracing::debug!(%error, "a peer does not hear that its connection is over");
            }
        }
    }
}
