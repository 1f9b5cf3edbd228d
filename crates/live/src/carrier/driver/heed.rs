//! Whether a connection that was restored is heard.
//!
//! A process that was killed may lose its streams before its sockets, and its
//! kernel speaks on for some milliseconds: the peer then has more than it said
//! when it was asked. What it acknowledges was never sent by the new socket, which
//! ignores it, and all that comes with it, for ever. So where segments come and
//! nothing of what was sent is acknowledged, the peer is asked again: whoever
//! spoke meanwhile is gone by then.

use std::time::Duration;

use proto::connection::sequence::Position;
use proto::connection::{ConnectionId, End};
use proto::time::Instant;
use sys::carried;
use sys::repair::{Frozen, Restored, Thawed};

use super::Driver;
use crate::carrier::ROOM;
use crate::carrier::splice::Link;

/// How long it takes for an acknowledgement, on a busy LAN.
const SOON: Duration = Duration::from_millis(15);
/// How many segments that bring nothing say that all do: one may be older.
const IGNORED: u32 = 2;
/// How long a restored connection is looked at: nobody speaks on for longer.
const LATEST: Duration = Duration::from_secs(5);

/// An end that was restored, and is not known to be heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unheard {
    since: Instant,
    acknowledged: Position,
    arrived: u32,
}

impl Driver {
    /// An end goes on from here; what it has to say may be ignored.
    pub(super) fn heed(&mut self, id: ConnectionId, end: End) {
        let Some(socket) = self.splices.get(&id).and_then(|splice| splice.side(end).socket())
        else {
            return;
        };
        if let (Ok(acknowledged), Ok(status)) =
            (socket.acknowledged(), carried::status(socket.stream()))
        {
            let since = self.now;
            let unheard = Unheard { since, acknowledged, arrived: status.arrived };
            self.unheard.insert((id, end), unheard);
        }
    }

    /// Looks at those that are not known to be heard.
    pub(super) fn tend_unheard(&mut self) {
        let due: Vec<((ConnectionId, End), Unheard)> =
            self.unheard.iter().map(|(at, unheard)| (*at, *unheard)).collect();
        for ((id, end), unheard) in due {
            match self.is_heard(id, end, unheard) {
                Some(true) => drop(self.unheard.remove(&(id, end))),
                Some(false) => {
                    self.unheard.remove(&(id, end));
                    self.ask_anew(id, end);
                }
                None => {}
            }
        }
    }

    /// Whether an end is heard; none: that cannot be said yet.
    fn is_heard(&self, id: ConnectionId, end: End, unheard: Unheard) -> Option<bool> {
        let socket = self.splices.get(&id).and_then(|splice| splice.side(end).socket());
        let Some(socket) = socket else { return Some(true) };
        let (Ok(acknowledged), Ok(status)) =
            (socket.acknowledged(), carried::status(socket.stream()))
        else {
            return Some(true);
        };
        // Our end takes a position: a peer that has it has no more to acknowledge.
        let nothing_waits = acknowledged == socket.written() + usize::from(socket.is_ending());
        let passed = self.now.saturating_since(unheard.since);
        if acknowledged > unheard.acknowledged || nothing_waits || passed > LATEST {
            return Some(true);
        }
        let ignored = status.arrived.wrapping_sub(unheard.arrived) >= IGNORED;
        (passed > SOON && ignored).then_some(false)
    }

    /// Has the peer say once more how far it has come.
    fn ask_anew(&mut self, id: ConnectionId, end: End) {
        tracing::debug!(connection = ?id, ?end, "a peer has more than it said: asked again");
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let side = splice.side_mut(end);
        let Link::Up(socket) = std::mem::take(&mut side.link) else { return };
        let ended = socket.is_ending();
        let (given, unwritten) = socket.output();
        side.early = unwritten;
        side.early_fin = ended;
        self.watched.remove(&socket.token());
        let (stream, _) = socket.unwatch(self.parts.poll.registry());
        let again = Frozen::freeze(stream).map_err(|error| error.to_string()).and_then(|frozen| {
            let mut state = frozen.close();
            // All of it may have been sent: so any of it may be acknowledged.
            let unsent = std::mem::take(&mut state.outgoing.unsent);
            state.outgoing.sent.extend_from_slice(&unsent);
            let restored = Restored::restore(state, ROOM.buffers());
            let thawed = restored.and_then(|restored| restored.thaw(&self.parts.forge));
            thawed.map_err(|error| error.to_string())
        });
        match again {
            Ok(Thawed::Asking(asking)) => self.ask((id, end), asking, (given, ended)),
            Ok(Thawed::Going(stream)) => {
                if let Err(error) = self.go_on((id, end), stream, (given, ended)) {
                    tracing::debug!(connection = ?id, %error, "a connection is lost");
                    self.break_off(id);
                }
            }
            Err(error) => {
                tracing::debug!(connection = ?id, error, "a connection is lost");
                self.break_off(id);
            }
        }
    }
}
