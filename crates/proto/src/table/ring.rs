//! The arithmetic of a log that goes round in a fixed stretch of memory.
//!
//! Entries are appended at the head and leave at the tail. None is cut at the
//! end of the stretch: a filler takes what is left there. A ring knows how
//! long entries are, never what they say.

use std::ops::Range;

/// A ring of bytes `start..end` of a shard's log.
#[derive(Debug, Clone)]
pub(super) struct Ring {
    start: usize,
    end: usize,
    tail: usize,
    head: usize,
    /// How far an entry was ever written.
    written: usize,
    /// From tail to head; tells a full ring from an empty one.
    used: usize,
    /// How far the tail has come since the ring was made: what positions in a
    /// scan's cursor are counted by.
    popped: u64,
}

/// Where the next entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    /// The byte it begins at.
    pub(super) at: usize,
    /// Where a filler begins that must come first, and its length.
    pub(super) filler: Option<(usize, usize)>,
}

impl Ring {
    /// An empty ring of bytes `start..end`.
    pub(super) const fn new(start: usize, end: usize) -> Self {
        Self { start, end, tail: start, head: start, written: start, used: 0, popped: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) const fn used(&self) -> usize {
        self.used
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    pub(super) const fn start(&self) -> usize {
        self.start
    }

    /// The bytes that an entry was ever written to.
    pub(super) const fn written(&self) -> Range<usize> {
        self.start..self.written
    }

    pub(super) const fn tail(&self) -> usize {
        self.tail
    }

    pub(super) const fn head(&self) -> usize {
        self.head
    }

    /// Where an entry of `footprint` bytes would go, if there is room.
    pub(super) fn spot(&self, footprint: usize) -> Option<Spot> {
        let wrapped = self.head < self.tail || self.used == self.len();
        let to_end = self.end - self.head;
        if wrapped {
            let free = self.len() - self.used;
            (footprint <= free).then_some(Spot { at: self.head, filler: None })
        } else if footprint <= to_end {
            Some(Spot { at: self.head, filler: None })
        } else {
            let filler = Some((self.head, to_end));
            (footprint <= self.tail - self.start).then_some(Spot { at: self.start, filler })
        }
    }

    /// Moves the head past an entry of `footprint` bytes at `spot`.
    pub(super) fn push(&mut self, spot: Spot, footprint: usize) {
        self.used += footprint + spot.filler.map_or(0, |(_, len)| len);
        self.written = self.written.max(spot.at + footprint);
        self.head = self.normal(spot.at + footprint);
    }

    /// Moves the tail past an entry of `footprint` bytes. An emptied ring
    /// begins anew, so that all of it is in one piece.
    pub(super) fn pop(&mut self, footprint: usize) {
        self.tail = self.normal(self.tail + footprint);
        self.used -= footprint;
        self.popped += footprint as u64;
        if self.used == 0 {
            (self.tail, self.head) = (self.start, self.start);
        }
    }

    /// The position of the tail in all that ever went through.
    pub(super) const fn popped(&self) -> u64 {
        self.popped
    }

    /// The position that the next entry will have.
    pub(super) const fn pushed(&self) -> u64 {
        self.popped + self.used as u64
    }

    /// The byte of a position from tail to head.
    pub(super) fn at(&self, position: u64) -> usize {
        let ahead = usize::try_from(position - self.popped).expect("within the ring");
        let at = self.tail + ahead;
        if at < self.end { at } else { at - self.len() }
    }

    /// The position of a byte from tail to head.
    pub(super) const fn position(&self, at: usize) -> u64 {
        let ahead = if at >= self.tail { at - self.tail } else { at + self.len() - self.tail };
        self.popped + ahead as u64
    }

    /// The end of the stretch is its start.
    const fn normal(&self, at: usize) -> usize {
        if at == self.end { self.start } else { at }
    }
}
