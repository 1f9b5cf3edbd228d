//! What was or is to be sent to a peer that has not acknowledged it.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf as _, Bytes};

use super::{Broken, WINDOW_BYTES};
use crate::connection::sequence::Position;

/// What is kept of chunks that are gone: a few places. More is given back, since
/// most connections are idle most of the time.
const KEPT_PLACES: usize = 16;

/// What was or is to be sent to a peer that has not acknowledged it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Output {
    unacknowledged: Position,
    end: Position,
    fin: bool,
    fin_acknowledged: bool,
    chunks: VecDeque<Bytes>,
}

impl Output {
    pub(super) fn at(unacknowledged: Position) -> Self {
        Self { unacknowledged, end: unacknowledged, ..Self::default() }
    }

    /// The first byte that is not acknowledged.
    #[must_use]
    pub const fn unacknowledged(&self) -> Position {
        self.unacknowledged
    }

    /// Where the next byte belongs.
    #[must_use]
    pub const fn end(&self) -> Position {
        self.end
    }

    /// Whether nothing comes after that.
    #[must_use]
    pub const fn fin(&self) -> bool {
        self.fin
    }

    /// What the peer has acknowledged, the FIN included.
    #[must_use]
    pub fn acknowledged(&self) -> Position {
        self.unacknowledged + usize::from(self.fin_acknowledged)
    }

    /// The bytes that are not acknowledged, in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }

    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.end - self.unacknowledged).unwrap_or(usize::MAX)
    }

    /// Whether there is room for so many bytes more.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes() + bytes <= WINDOW_BYTES
    }

    pub(super) fn append(
        &mut self,
        position: Position,
        chunks: Vec<Bytes>,
        fin: bool,
    ) -> Result<(), Broken> {
        let bytes = chunks.iter().map(Bytes::len).sum();
        if position != self.end || (self.fin && bytes > 0) {
            return Err(Broken::OutOfPlace);
        }
        if !self.has_room(bytes) {
            return Err(Broken::TooMuch);
        }
        self.end = self.end + bytes;
        self.fin |= fin;
        self.chunks.extend(chunks);
        Ok(())
    }

    /// Lets go what the peer has.
    pub(super) fn acknowledge(&mut self, position: Position) -> Result<(), Broken> {
        if position > self.end + usize::from(self.fin) {
            return Err(Broken::OutOfPlace);
        }
        self.fin_acknowledged |= self.fin && position > self.end;
        let mut gone = position.min(self.end) - self.unacknowledged;
        self.unacknowledged = self.unacknowledged.max(position.min(self.end));
        while gone > 0 {
            let Some(first) = self.chunks.front_mut() else { break };
            let skipped = first.len().min(usize::try_from(gone).unwrap_or(usize::MAX));
            gone -= skipped as u64;
            first.advance(skipped);
            if first.is_empty() {
                self.chunks.pop_front();
            }
        }
        if self.chunks.is_empty() && self.chunks.capacity() > KEPT_PLACES {
            self.chunks = VecDeque::new();
        }
        Ok(())
    }
}

impl fmt::Debug for Output {
    /// Positions only: the bytes are a client's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}, fin {}", self.unacknowledged.0, self.end.0, self.fin)
    }
}
