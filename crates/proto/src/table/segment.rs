//! A summary of each page of a log: where its first entry begins, and when
//! the first of its entries ends.
//!
//! It takes the place of a timer wheel. A wheel links every entry into a list
//! by eight bytes and touches two neighbours, cold lines both, whenever an
//! entry moves or goes. Here a look for ended entries passes over the
//! summaries and walks only pages in which something has ended: about fifteen
//! entries of 270 bytes that lie in a row. Sessions that were stored together
//! end together, so such a walk mostly finds more than one (the observation
//! that Segcache is built on: Yang et al., NSDI 2021).
//!
//! The times are lower bounds: a touch moves an entry's end and not its
//! page's, and the walk that this causes puts the page's right. So is the
//! time of the whole log, which lets most looks end where they begin.

use crate::time::Wall;

/// How much of a log one summary covers.
pub(super) const SEGMENT_BYTES: usize = 4096;

/// What a summary takes, in bytes.
pub(super) const SUMMARY_BYTES: usize = size_of::<Wall>() + size_of::<u16>();

/// No entry begins in the segment.
const NONE: u16 = u16::MAX;

/// The summaries of a shard's log.
pub(super) struct Segments {
    /// No entry that begins in the segment ends before this.
    earliest: Vec<Wall>,
    /// None of all these times is before this one.
    earliest_of_all: Wall,
    /// The lowest byte of the segment at which an entry begins.
    first: Vec<u16>,
}

impl Segments {
    /// Summaries of an empty log of `log_bytes`, whole segments.
    pub(super) fn new(log_bytes: usize) -> Self {
        let count = log_bytes / SEGMENT_BYTES;
        Self {
            earliest: vec![Wall::MAX; count],
            earliest_of_all: Wall::MAX,
            first: vec![NONE; count],
        }
    }

    pub(super) const fn of(at: usize) -> usize {
        at / SEGMENT_BYTES
    }

    /// The byte behind the segment of `at`.
    pub(super) const fn end(at: usize) -> usize {
        (at / SEGMENT_BYTES + 1) * SEGMENT_BYTES
    }

    /// An entry that ends at `end` begins at `at`.
    pub(super) fn begins(&mut self, at: usize, end: Wall) {
        let segment = Self::of(at);
        self.first[segment] = self.first[segment].min(offset(at));
        self.hasten(at, end);
    }

    /// The entry at `at` ends at `end`, perhaps earlier than it did.
    pub(super) fn hasten(&mut self, at: usize, end: Wall) {
        let segment = Self::of(at);
        self.earliest[segment] = self.earliest[segment].min(end);
        self.earliest_of_all = self.earliest_of_all.min(end);
    }

    /// The entry at `at` left; `next` follows it, if one does.
    pub(super) fn left(&mut self, at: usize, next: Option<usize>) {
        let segment = Self::of(at);
        if self.first[segment] != offset(at) {
            return;
        }
        if let Some(next) = next.filter(|&next| Self::of(next) == segment) {
            self.first[segment] = offset(next);
        } else {
            self.first[segment] = NONE;
            self.earliest[segment] = Wall::MAX;
        }
    }

    /// Where the first entry of `segment` begins.
    pub(super) fn first(&self, segment: usize) -> Option<usize> {
        let first = self.first[segment];
        (first != NONE).then(|| segment * SEGMENT_BYTES + usize::from(first))
    }

    /// The first segment from `from` on in which something may have ended.
    /// Looks at no segment as long as nothing in the log has.
    pub(super) fn due(&mut self, from: usize, now: Wall) -> Option<usize> {
        if self.earliest_of_all > now {
            return None;
        }
        let ahead = self.earliest[from..].iter().position(|&earliest| earliest <= now);
        if ahead.is_none() {
            self.earliest_of_all = self.earliest.iter().copied().min().unwrap_or(Wall::MAX);
        }
        Some(from + ahead?)
    }

    /// Puts the time of `segment` right after a walk.
    pub(super) fn set_earliest(&mut self, segment: usize, earliest: Wall) {
        self.earliest[segment] = earliest;
    }
}

fn offset(at: usize) -> u16 {
    u16::try_from(at % SEGMENT_BYTES).expect("a segment is shorter than that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_due_segment_is_found_after_looks_in_vain() {
        let wall = Wall::from_millis;
        let mut segments = Segments::new(8 * SEGMENT_BYTES);
        assert_eq!(segments.due(0, wall(100)), None);
        segments.begins(2 * SEGMENT_BYTES, wall(20));
        segments.begins(5 * SEGMENT_BYTES, wall(10));
        assert_eq!(segments.due(0, wall(9)), None);
        assert_eq!(segments.due(0, wall(10)), Some(5));
        segments.set_earliest(5, Wall::MAX);
        // Puts the time of all right, to 20.
        assert_eq!(segments.due(0, wall(10)), None);
        assert_eq!(segments.due(0, wall(19)), None);
        assert_eq!(segments.due(0, wall(20)), Some(2));
        // A look that begins behind what is due does not lose it.
        assert_eq!(segments.due(3, wall(20)), None);
        assert_eq!(segments.due(0, wall(20)), Some(2));
        segments.hasten(2 * SEGMENT_BYTES, wall(5));
        assert_eq!(segments.due(0, wall(5)), Some(2));
    }
}
