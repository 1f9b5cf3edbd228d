//! What happens to connections, and what waits for the understudy therefore.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes};

use super::{Action, Carried, Keeping, Owner, Standing, Waiting, Written};
use crate::connection::ledger::{
    Broken, Change, Content, Ledger, MAX_CHUNK_BYTES, Marks, Produced, Received, WINDOW_BYTES,
};
use crate::connection::record::{EndHeader, Header};
use crate::connection::sequence::Position;
use crate::connection::stream::Message;
use crate::connection::{ConnectionId, End, Token};
use crate::secret::secret;
use crate::time::Instant;

/// What is kept of pieces that are gone: a few places. More is given back, since
/// most connections are idle most of the time.
const KEPT_PLACES: usize = 16;

/// How many actions wait for the understudy before what would wait as well is
/// refused: twice what fits into [`super::Config::max_unheld_bytes`], if it is
/// 32 MiB, of the smallest messages. It bounds what a connection that is just
/// leaving its understudy has waiting, as that is not told any more.
const MAX_WAITING: usize = 1 << 18;

/// A segment with data or a FIN, as it came from a peer.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'a> {
    /// Its sequence number.
    pub sequence: u32,
    /// Its bytes. Their checksum is right, which the driver has seen to.
    pub payload: &'a [u8],
    /// Whether it ends the peer's stream.
    pub fin: bool,
}

/// What was read is not what was answered already: the connection is to be broken
/// off at both ends, as they do not have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what was read differs from what was answered")]
pub struct Differs;

/// What the relay has to say to a peer.
#[derive(Debug)]
pub struct Output {
    /// The bytes; none: those of the input that it answers, unchanged.
    pub bytes: Option<Bytes>,
    /// How far the input is answered by it and what was before. Of TLS: whole
    /// records, as the numbers that go with it count them.
    pub consumed: Position,
    /// Whether nothing comes after it.
    pub fin: bool,
    /// What TLS needs to go on after it, if that has changed.
    pub tls: Option<Bytes>,
}

/// An output that cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no room: it is to be offered again once something was held or
    /// acknowledged, and no more is to be read meanwhile.
    #[error("no room for more output")]
    Full,
    /// The connection is not this node's, any more or at all.
    #[error("no such connection")]
    Gone,
    /// It does not follow what was there.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl Owner {
    /// A client has asked for a connection: the SYN-ACK is held back until the
    /// understudy knows of it.
    pub fn open(&mut self, now: Instant, mut header: Header, syn_ack: Token) {
        if self.is_fenced() {
            return self.refuse(syn_ack);
        }
        let id = header.id;
        header.group = self.config.group;
        header.term = self.term();
        let (_, mut carried) = Carried::plain(Ledger::new(header.clone()));
        if self.follower_has_room() {
            self.log.tell(now, Message::Open(Box::new(header)));
            carried.keeping = Keeping::Kept { since: self.log.told() };
        } else {
            self.plain += 1;
            self.counters.left += u64::from(matches!(self.standing, Standing::Followed(_)));
        }
        self.connections.insert(id, carried);
        self.wait(id, Action::Admit(syn_ack));
    }

    /// The backend has answered: its SYN-ACK is held back until the understudy
    /// knows of the connection to it.
    pub fn attach(&mut self, now: Instant, id: ConnectionId, end: EndHeader, syn_ack: Token) {
        match self.change(now, id, &Change::Attach(end)) {
            Ok(()) => self.wait(id, Action::Admit(syn_ack)),
            Err(_) => self.refuse(syn_ack),
        }
    }

    /// A peer's segment is held back until the understudy has its bytes.
    pub fn handle_segment(
        &mut self,
        now: Instant,
        (id, end): (ConnectionId, End),
        segment: Segment<'_>,
        token: Token,
    ) {
        let Some(carried) = self.connections.get(&id).filter(|carried| carried.ledger.has(end))
        else {
            return self.refuse(token);
        };
        let ledger = &carried.ledger;
        let input = &ledger.side(end).input;
        let initial = match end {
            End::Client => Some(ledger.header().client.received),
            End::Backend => ledger.header().backend.map(|header| header.received),
        };
        let position = initial.and_then(|at| at.position(segment.sequence, input.end()));
        // A keep-alive repeats the byte before the first, which has no position:
        // the kernel answers it, and takes nothing from it.
        let Some(position) = position else {
            return self.wait(id, Action::Admit(token));
        };
        if segment.payload.len() > MAX_CHUNK_BYTES {
            return self.refuse(token);
        }
        // The one copy of them: ledger, message and memory of the log share it.
        let received = Received { position, bytes: secret(segment.payload), fin: segment.fin };
        let missing = input.missing(&received);
        if missing.is_empty() {
            return self.wait(id, Action::Admit(token));
        }
        let crowded = carried.keeping != Keeping::Plain && !self.has_room_to_tell();
        if !input.is_within(&received) || (crowded && self.waiting.len() >= MAX_WAITING) {
            return self.refuse(token);
        }
        if crowded {
            self.leave(now, id);
        }
        for part in missing {
            let _ = self.change(now, id, &Change::In(end, part));
        }
        self.wait(id, Action::Admit(token));
    }

    /// The relay has read from a socket. What it read is compared with what was
    /// told: where a peer sends two contents for one position, or somebody
    /// else does for it, the kernel may have taken the other one. Then the
    /// understudy lets the connection go, and is told it anew.
    ///
    /// # Errors
    ///
    /// When it was answered already, and so cannot be put right.
    pub fn handle_read(
        &mut self,
        now: Instant,
        (id, end): (ConnectionId, End),
        bytes: &[u8],
    ) -> Result<(), Differs> {
        let Some(carried) = self.connections.get_mut(&id) else { return Ok(()) };
        let rest = skip_answered(&mut carried.ahead[end as usize], bytes)?;
        let read = &mut carried.read[end as usize];
        let position = *read + (bytes.len() - rest.len());
        *read = *read + bytes.len();
        if rest.is_empty() || carried.ledger.side(end).input.matches(position, rest) {
            return Ok(());
        }
        carried.ledger.correct(end, position, &secret(rest));
        self.counters.corrected += 1;
        self.leave(now, id);
        Ok(())
    }

    /// Whether so many bytes more can be said at an end.
    #[must_use]
    pub fn has_room(&self, (id, end): (ConnectionId, End), bytes: usize) -> bool {
        self.connections.get(&id).is_some_and(|carried| {
            let told = carried.keeping == Keeping::Plain || self.has_room_to_tell();
            told && carried.ledger.side(end).output.has_room(bytes)
        })
    }

    /// The relay has something to say: it is written once the understudy has it.
    ///
    /// # Errors
    ///
    /// When there is no room or no such connection, or when it answers what has
    /// not come. Nothing is changed then.
    pub fn handle_output(
        &mut self,
        now: Instant,
        (id, end): (ConnectionId, End),
        output: Output,
    ) -> Result<(), Refused> {
        let ledger = self.ledger(id).ok_or(Refused::Gone)?;
        let position = ledger.side(end).output.end();
        let Output { bytes, consumed, fin, tls } = output;
        let content = bytes.map_or(Content::Copied, Content::Given);
        let produced = Produced { position, content, consumed, fin, tls };
        let written = ledger.produced(end, &produced)?;
        let bytes = written.iter().map(Bytes::len).sum();
        if bytes > MAX_CHUNK_BYTES {
            return Err(Broken::TooMuch.into());
        }
        if !self.has_room((id, end), bytes) {
            return Err(Refused::Full);
        }
        let source = ledger.header().source(end);
        let ahead = self.answered_ahead(id, source, consumed)?;
        self.change(now, id, &Change::Out(end, produced))?;
        if let Some(carried) = self.connections.get_mut(&id) {
            carried.ahead[source as usize].extend(ahead);
        }
        if bytes > 0 || fin {
            let bytes = Written(written);
            self.wait(id, Action::Write { connection: id, end, position, bytes, fin });
        }
        Ok(())
    }

    /// What of an end's input is answered by an answer up to `consumed` before it
    /// was read, and was not before.
    fn answered_ahead(
        &self,
        id: ConnectionId,
        end: End,
        consumed: Position,
    ) -> Result<Vec<Bytes>, Refused> {
        let carried = self.connections.get(&id).ok_or(Refused::Gone)?;
        let read = carried.read[end as usize];
        if consumed > read + WINDOW_BYTES {
            return Err(Refused::Full);
        }
        let input = &carried.ledger.side(end).input;
        Ok(input.slice(read.max(input.consumed()), consumed))
    }

    /// A peer has acknowledged so much.
    pub fn handle_acknowledged(
        &mut self,
        now: Instant,
        (id, end): (ConnectionId, End),
        position: Position,
    ) {
        let known = self.ledger(id).map(|ledger| ledger.side(end).output.acknowledged());
        if known.is_some_and(|known| known < position) {
            // What a peer acknowledges that was never sent, its kernel ignores.
            let _ = self.change(now, id, &Change::Acked(end, position));
        }
    }

    /// A connection is over: both directions have ended, or one is broken.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let Some(carried) = self.connections.get(&id) else { return };
        match carried.keeping {
            Keeping::Kept { .. } => self.log.tell(now, Message::Closed(id)),
            Keeping::Leaving => {}
            Keeping::Plain => self.plain -= 1,
        }
        self.wait(id, Action::Close(id));
        self.connections.remove(&id);
    }

    /// Whether another connection can be told.
    pub(super) fn follower_has_room(&self) -> bool {
        matches!(self.standing, Standing::Followed(_)) && self.has_room_to_tell()
    }

    fn has_room_to_tell(&self) -> bool {
        self.log.bytes() <= self.config.max_unheld_bytes
    }

    /// Tells all of a plain connection, which is kept from here on.
    pub(super) fn seed(&mut self, now: Instant, id: ConnectionId) {
        let Some(carried) = self.connections.get_mut(&id) else { return };
        carried.keeping = Keeping::Kept { since: 0 };
        self.plain -= 1;
        let mut messages = seeds(&carried.ledger);
        if let Message::Seed { header, .. } = &mut messages[0] {
            header.term = match self.standing {
                Standing::Followed(term) => Some(term),
                Standing::Alone(_) | Standing::Fenced => None,
            };
        }
        messages.into_iter().for_each(|message| self.log.tell(now, message));
        if let Some(carried) = self.connections.get_mut(&id) {
            carried.keeping = Keeping::Kept { since: self.log.told() };
        }
    }

    /// Changes a connection, and tells the understudy.
    fn change(&mut self, now: Instant, id: ConnectionId, change: &Change) -> Result<(), Refused> {
        let carried = self.connections.get_mut(&id).ok_or(Refused::Gone)?;
        carried.ledger.apply(change)?;
        if matches!(carried.keeping, Keeping::Kept { .. }) {
            self.log.tell(now, Message::Change(id, change.clone()));
        }
        Ok(())
    }

    /// Has the understudy let a connection go.
    fn leave(&mut self, now: Instant, id: ConnectionId) {
        let Some(carried) = self.connections.get_mut(&id) else { return };
        if matches!(carried.keeping, Keeping::Kept { .. }) {
            carried.keeping = Keeping::Leaving;
            self.counters.left += 1;
            self.log.tell(now, Message::Closed(id));
            self.waiting.push_back((self.log.told(), Waiting::Plain(id)));
        }
    }

    fn refuse(&mut self, token: Token) {
        self.counters.refused += 1;
        self.ready.push_back(Action::Refuse(token));
    }

    /// Has an action done once everything told by now is held, or at once where
    /// nothing of the connection is told.
    pub(super) fn wait(&mut self, id: ConnectionId, action: Action) {
        let keeping = self.connections.get(&id).map(|carried| carried.keeping);
        let needs = self.log.told();
        if keeping == Some(Keeping::Plain) || needs <= self.log.held() {
            self.ready.push_back(action);
        } else {
            self.waiting.push_back((needs, Waiting::Action(id, action)));
        }
    }
}

/// What of that is beyond what was answered before it was read.
fn skip_answered<'a>(
    ahead: &mut VecDeque<Bytes>,
    mut bytes: &'a [u8],
) -> Result<&'a [u8], Differs> {
    while let Some(first) = ahead.front_mut() {
        let len = first.len().min(bytes.len());
        let (head, rest) = bytes.split_at(len);
        if first[..len] != *head {
            return Err(Differs);
        }
        bytes = rest;
        first.advance(len);
        if !first.is_empty() {
            return Ok(bytes);
        }
        ahead.pop_front();
    }
    if ahead.capacity() > KEPT_PLACES {
        *ahead = VecDeque::new();
    }
    Ok(bytes)
}

/// All of a connection, as messages.
fn seeds(ledger: &Ledger) -> Vec<Message> {
    const { assert!(WINDOW_BYTES > MAX_CHUNK_BYTES) };
    let id = ledger.header().id;
    let marks = |end| -> Marks { ledger.side(end).marks() };
    let header = Box::new(ledger.header().clone());
    let (client, backend) = (marks(End::Client), marks(End::Backend));
    let mut messages = vec![Message::Seed { header, client, backend }];
    for end in End::BOTH.into_iter().filter(|end| ledger.has(*end)) {
        let (input, output) = (&ledger.side(end).input, &ledger.side(end).output);
        let pieces = input.pieces().map(|(position, bytes)| Received {
            position,
            bytes: bytes.clone(),
            fin: false,
        });
        let fin = input.fin().map(|position| Received { position, bytes: Bytes::new(), fin: true });
        let received = pieces.chain(fin).map(|received| Change::In(end, received));
        messages.extend(received.map(|change| Message::Change(id, change)));

        let consumed = marks(ledger.header().source(end)).consumed;
        let mut position = output.unacknowledged();
        let ending = output.fin().then(Bytes::new);
        let chunks = output.chunks().cloned().map(|bytes| (bytes, false));
        for (bytes, fin) in chunks.chain(ending.map(|bytes| (bytes, true))) {
            let next = position + bytes.len();
            let content = Content::Given(bytes);
            let produced = Produced { position, content, consumed, fin, tls: None };
            messages.push(Message::Change(id, Change::Out(end, produced)));
            position = next;
        }
        if output.acknowledged() > output.unacknowledged() {
            messages.push(Message::Change(id, Change::Acked(end, output.acknowledged())));
        }
    }
    messages.push(Message::Seeded(id));
    messages
}
