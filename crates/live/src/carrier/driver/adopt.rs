//! Taking a connection that has run by itself into a group: it stands still for
//! a moment, if at all, is read, and goes on.
//!
//! What it has in flight then is in its ledger, as if it had been told from the
//! beginning. Positions go on from where they are: of TLS they are those that its
//! records count.

use bytes::Bytes;
use proto::connection::ledger::{
    Broken, Change, Content, Ledger, MAX_CHUNK_BYTES, Marks, Produced, Received, WINDOW_BYTES,
};
use proto::connection::record::{EndHeader, Header};
use proto::connection::sequence::{Initial, Position};
use proto::connection::{ConnectionId, End, GroupId};
use proto::secret::secret;
use sys::carried;
use sys::repair::{self, Frozen, State, Why};

use super::Driver;
use crate::carrier::socket::Socket;
use crate::carrier::splice::{Link, Splice, needed};

/// An end that was read.
struct Seen {
    state: State,
    /// Up to where the kernel was given output, and what it was not given yet.
    given: Position,
    unwritten: Vec<Bytes>,
    ended: bool,
}

impl Driver {
    /// Takes a loose connection in, where connections are protected.
    pub(super) fn adopt_if_due(&mut self, id: ConnectionId) {
        let is_loose = self.splices.get(&id).is_some_and(|splice| splice.group.is_none());
        if is_loose
            && self.parts.hold.is_some()
            && let Some(group) = self.own_group()
        {
            self.adopt(id, group);
        }
    }

    /// Takes a loose connection in. One that cannot be read goes on as it is.
    pub(super) fn adopt(&mut self, id: ConnectionId, group: GroupId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        if splice.group.is_some() || splice.unread.is_some() || splice.unfit || splice.closing {
            return;
        }
        let (Some(client), Some(backend)) =
            (splice.side(End::Client).socket(), splice.side(End::Backend).socket())
        else {
            return;
        };
        if !(is_readable_whole(client) && is_readable_whole(backend)) {
            return;
        }
        let seen = look_at(client).and_then(|client| Ok([client, look_at(backend)?]));
        let adopted = seen
            .map_err(|why| why.to_string())
            .and_then(|seen| ledger(splice, group, &seen).map_err(|broken| broken.to_string()));
        match adopted {
            Ok(ledger) => {
                let read = End::BOTH.map(|end| splice.side(end).read);
                splice.group = Some(group);
                if let Some(owned) = self.owners.get_mut(&group) {
                    owned.owner.adopt(ledger, read);
                }
            }
            Err(why) => {
                splice.unfit = true;
                self.counts.unheld += 1;
                tracing::debug!(connection = ?id, why, "a connection is not protected");
            }
        }
        self.dirty.insert(id);
    }
}

impl Driver {
    /// Takes a loose connection in that stands still from now on: nothing tells of
    /// what it would say meanwhile.
    pub(super) fn adopt_still(&mut self, id: ConnectionId, group: GroupId) {
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let read = End::BOTH.map(|end| splice.side(end).read);
        let seen = self.read_still(id, End::Client).zip(self.read_still(id, End::Backend));
        let Some(splice) = self.splices.get_mut(&id) else { return };
        let adopted =
            seen.and_then(|(client, backend)| ledger(splice, group, &[client, backend]).ok());
        match (adopted, self.owners.get_mut(&group)) {
            (Some(ledger), Some(owned)) => {
                if let Some(splice) = self.splices.get_mut(&id) {
                    splice.group = Some(group);
                }
                owned.owner.adopt(ledger, read);
            }
            (None, _) | (_, None) => {
                tracing::debug!(connection = ?id, "a connection cannot be moved");
                self.break_off(id);
            }
        }
    }
}

impl Driver {
    /// Reads an end, which stands still from then on.
    fn read_still(&mut self, id: ConnectionId, end: End) -> Option<Seen> {
        let side = self.splices.get_mut(&id)?.side_mut(end);
        let Link::Up(socket) = std::mem::take(&mut side.link) else { return None };
        let ((given, unwritten), ended) = (socket.output(), socket.is_ending());
        self.watched.remove(&socket.token());
        let (stream, _) = socket.unwatch(self.parts.poll.registry());
        let (state, stopped) = Frozen::freeze(stream).ok()?.stay();
        side.link = Link::Still(stopped);
        Some(Seen { state, given, unwritten, ended })
    }
}

/// Whether all that the kernel has of an end can be read, and kept. It is looked
/// at again with the next segment of its peer.
fn is_readable_whole(socket: &Socket) -> bool {
    // What came behind a gap is told by nobody, and acknowledged when the gap is
    // closed. (An error shows when the end is read.)
    let has_gaps = carried::may_have_gaps(socket.stream()).unwrap_or(false);
    !has_gaps && socket.unacknowledged_bytes() <= WINDOW_BYTES
}

/// Reads an end, which goes on.
fn look_at(socket: &Socket) -> Result<Seen, Why> {
    let state = repair::look(socket.stream())?;
    let (given, unwritten) = socket.output();
    Ok(Seen { state, given, unwritten, ended: socket.is_ending() })
}

/// What a connection has come to.
fn ledger(
    splice: &Splice,
    group: GroupId,
    [client, backend]: &[Seen; 2],
) -> Result<Ledger, Broken> {
    let consumed = |end: End| match (&splice.records, end) {
        (Some(records), End::Client) => Position(records.received().stream),
        (Some(_) | None, _) => splice.side(end).read,
    };
    let pending = splice.records.as_ref().map_or(&[][..], |records| records.pending());
    let ends = [(End::Client, client, pending), (End::Backend, backend, &[][..])];
    let header = Header {
        id: splice.id,
        group,
        term: None,
        client: end_header(client, splice.side(End::Client).read),
        backend: Some(end_header(backend, splice.side(End::Backend).read)),
        relayed: true,
        tls: splice.records.as_ref().map(|records| secret(&needed(records))),
    };
    let marks = ends.map(|(end, seen, _)| Marks {
        consumed: consumed(end),
        unacknowledged: unacknowledged(seen),
    });
    let mut ledger = Ledger::at(header, marks[0], marks[1]);
    for (end, seen, pending) in ends {
        let bytes = [pending, &seen.state.incoming.unread[..]].concat();
        receive(&mut ledger, (end, consumed(end)), &bytes, seen.state.incoming.closed)?;
    }
    for (end, seen, _) in ends {
        let outgoing = &seen.state.outgoing;
        let mut bytes = [&outgoing.sent[..], &outgoing.unsent[..]].concat();
        seen.unwritten.iter().for_each(|piece| bytes.extend_from_slice(piece));
        let source = consumed(end.other());
        produce(&mut ledger, (end, unacknowledged(seen)), source, &secret(&bytes), seen.ended)?;
    }
    Ok(ledger)
}

/// Where the output begins that the peer has not acknowledged.
fn unacknowledged(seen: &Seen) -> Position {
    let outgoing = &seen.state.outgoing;
    let waiting = outgoing.sent.len() + outgoing.unsent.len();
    Position(seen.given - Position(waiting as u64))
}

/// What an end is, with numbers such that positions are those that were counted.
fn end_header(seen: &Seen, read: Position) -> EndHeader {
    let State { local, peer, incoming, outgoing, options, .. } = &seen.state;
    let next = read + incoming.unread.len();
    EndHeader {
        local: *local,
        peer: *peer,
        sent: initial(outgoing.first, unacknowledged(seen)),
        received: initial(incoming.next, next),
        mss: options.segment,
        scales: options.scales.map(|scales| (scales.own, scales.peer)),
        sack: options.sack,
        timestamps: options.timestamp.map(|stamp| stamp.value.wrapping_sub(Driver::clock())),
    }
}

/// The initial number of a direction whose `position` has that `sequence`.
fn initial(sequence: u32, position: Position) -> Initial {
    Initial(sequence.wrapping_sub(Initial(0).sequence(position)))
}

fn receive(
    ledger: &mut Ledger,
    (end, mut position): (End, Position),
    bytes: &[u8],
    fin: bool,
) -> Result<(), Broken> {
    let mut chunks = bytes.chunks(MAX_CHUNK_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        let last = chunks.peek().is_none();
        let received = Received { position, bytes: secret(chunk), fin: fin && last };
        ledger.apply(&Change::In(end, received))?;
        position = position + chunk.len();
    }
    if fin && bytes.is_empty() {
        let received = Received { position, bytes: Bytes::new(), fin };
        ledger.apply(&Change::In(end, received))?;
    }
    Ok(())
}

fn produce(
    ledger: &mut Ledger,
    (end, mut position): (End, Position),
    consumed: Position,
    bytes: &Bytes,
    fin: bool,
) -> Result<(), Broken> {
    for from in (0..bytes.len()).step_by(MAX_CHUNK_BYTES) {
        let chunk = bytes.slice(from..bytes.len().min(from + MAX_CHUNK_BYTES));
        let length = chunk.len();
        let content = Content::Given(chunk);
        let produced = Produced { position, content, consumed, fin: false, tls: None };
        ledger.apply(&Change::Out(end, produced))?;
        position = position + length;
    }
    if fin {
        let content = Content::Given(Bytes::new());
        let produced = Produced { position, content, consumed, fin, tls: None };
        ledger.apply(&Change::Out(end, produced))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
