//! What a peer has sent and no output answers yet, in order or not.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::{Broken, MAX_CHUNK_BYTES, Received, WINDOW_BYTES};
use crate::connection::sequence::Position;

/// How many pieces are kept that something is missing before: twice what a
/// window has segments of 536 bytes (RFC 9293, 3.7.1) in. A client that sends
/// single bytes with gaps takes no more.
const MAX_PIECES: usize = 2 * WINDOW_BYTES / 536;

/// What a peer has sent and no output answers yet.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Input {
    consumed: Position,
    /// Up to where everything has come.
    end: Position,
    fin: Option<Position>,
    /// What has come, by position: not empty, apart from each other.
    pieces: BTreeMap<Position, Bytes>,
}

impl Input {
    pub(super) fn at(consumed: Position) -> Self {
        Self { consumed, end: consumed, fin: None, pieces: BTreeMap::new() }
    }

    /// Up to where it is answered.
    #[must_use]
    pub const fn consumed(&self) -> Position {
        self.consumed
    }

    /// Up to where everything has come.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }

    /// Where the peer's stream ends, if it has said so.
    #[must_use]
    pub const fn fin(&self) -> Option<Position> {
        self.fin
    }

    /// What may be acknowledged: everything that has come, the FIN included.
    #[must_use]
    pub fn acknowledgeable(&self) -> Position {
        self.end + usize::from(self.fin == Some(self.end))
    }

    /// The pieces by position, those after a gap too.
    pub fn pieces(&self) -> impl Iterator<Item = (Position, &Bytes)> {
        self.pieces.iter().map(|(&position, bytes)| (position, bytes))
    }

    /// The piece that lies furthest.
    #[must_use]
    pub fn last_piece(&self) -> Option<(Position, &Bytes)> {
        self.pieces.last_key_value().map(|(&position, bytes)| (position, bytes))
    }

    pub(super) fn bytes(&self) -> usize {
        self.pieces.values().map(Bytes::len).sum()
    }

    /// Whether it belongs where input is kept. What does not is never to be
    /// taken by a kernel either.
    #[must_use]
    pub fn is_within(&self, received: &Received) -> bool {
        let end = received.position + received.bytes.len();
        let ordered = received.position <= self.end;
        let limit = if ordered { 2 * MAX_PIECES } else { MAX_PIECES };
        end <= self.consumed + WINDOW_BYTES
            && received.bytes.len() <= MAX_CHUNK_BYTES
            && (self.pieces.len() < limit || end <= self.end)
    }

    /// What of it has not come yet.
    #[must_use]
    pub fn missing(&self, received: &Received) -> Vec<Received> {
        let Received { position, bytes, fin } = received;
        let mut at = (*position).max(self.consumed);
        let until = (*position + bytes.len()).min(self.fin.unwrap_or(Position::MAX));
        let part = |from: Position, to: Position| {
            let start = usize::try_from(from - *position).expect("within the bytes");
            let end = usize::try_from(to - *position).expect("within the bytes");
            Received { position: from, bytes: bytes.slice(start..end), fin: false }
        };
        let mut missing = Vec::new();
        let before = self.pieces.range(..=at).next_back();
        for (&start, piece) in before.into_iter().chain(self.pieces.range(at + 1..)) {
            if start >= until {
                break;
            }
            if at < start {
                missing.push(part(at, start));
            }
            at = at.max(start + piece.len());
        }
        if at < until {
            missing.push(part(at, until));
        }
        if *fin && self.fin.is_none() {
            match missing.last_mut() {
                Some(last) if last.position + last.bytes.len() == *position + bytes.len() => {
                    last.fin = true;
                }
                _ => missing.push(Received {
                    position: *position + bytes.len(),
                    bytes: Bytes::new(),
                    fin: true,
                }),
            }
        }
        missing
    }

    /// The bytes between two positions, all of which have come.
    pub(in crate::connection) fn slice(&self, from: Position, to: Position) -> Vec<Bytes> {
        let mut parts = Vec::new();
        for (&start, piece) in self.pieces.range(..to) {
            let end = (start + piece.len()).min(to);
            if end > from {
                let skipped = usize::try_from(from - start).expect("within a piece");
                let until = usize::try_from(end - start).expect("within a piece");
                parts.push(piece.slice(skipped..until));
            }
        }
        parts
    }

    /// Whether that is what has come there.
    #[must_use]
    pub fn matches(&self, position: Position, bytes: &[u8]) -> bool {
        let mut rest = bytes;
        for part in self.slice(position, position + bytes.len()) {
            match rest.split_at_checked(part.len()) {
                Some((head, tail)) if head == &part[..] => rest = tail,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    pub(super) fn insert(&mut self, received: &Received) -> Result<(), Broken> {
        if !self.is_within(received) {
            return Err(Broken::TooMuch);
        }
        for part in self.missing(received) {
            if part.fin {
                self.fin = Some(part.position + part.bytes.len());
            }
            if !part.bytes.is_empty() {
                self.pieces.insert(part.position, part.bytes);
            }
        }
        self.advance();
        Ok(())
    }

    /// Lets go what is answered.
    pub(super) fn consume(&mut self, to: Position) {
        self.consumed = self.consumed.max(to);
        while let Some(first) = self.pieces.first_entry() {
            let (start, len) = (*first.key(), first.get().len());
            if start + len <= self.consumed {
                first.remove();
            } else if start < self.consumed {
                let skipped = usize::try_from(self.consumed - start).expect("within a piece");
                let rest = first.remove().slice(skipped..);
                self.pieces.insert(self.consumed, rest);
            } else {
                break;
            }
        }
    }

    pub(super) fn correct(&mut self, position: Position, bytes: &Bytes) {
        let until = position + bytes.len();
        let before = self.slice(self.consumed, position);
        let after = self.slice(until, self.end);
        // What came out of order lies beyond the end, and stays as it is.
        let mut pieces = self.pieces.split_off(&self.end);
        let mut at = self.consumed;
        for part in before.into_iter().chain([bytes.clone()]).chain(after) {
            let next = at + part.len();
            if !part.is_empty() {
                pieces.insert(at, part);
            }
            at = next;
        }
        self.pieces = pieces;
        self.end = self.end.max(until);
    }

    fn advance(&mut self) {
        while let Some((&start, piece)) = self.pieces.range(..=self.end).next_back() {
            let end = start + piece.len();
            if end <= self.end {
                return;
            }
            self.end = end;
        }
    }
}

impl fmt::Debug for Input {
    /// Positions only: the bytes are a client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{} of {:?}", self.consumed.0, self.end.0, self.fin.map(|fin| fin.0))
    }
}
