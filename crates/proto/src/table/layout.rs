//! How a capacity is divided, so that every byte is counted.

use super::ghost;
use super::index::{BUCKET_BYTES, SLOTS};
use super::segment::{SEGMENT_BYTES, SUMMARY_BYTES};

/// The most shards. More would not help: with 64 locks and as many threads
/// a look-up seldom finds its lock taken.
pub(super) const MAX_SHARDS: usize = 64;
/// A shard is at least so large where there is more than one, so that the
/// largest record leaves room beside it.
const MIN_SHARD_BYTES: usize = 8 << 20;
/// The least that a shard is made of, in segments: one for the small queue,
/// the rest for the main one.
const MIN_SEGMENTS: usize = 8;

/// The mean entry that the index is made for, in bytes: an entry with 32
/// bytes of id and as many of payload. Where records are smaller than that
/// throughout, the index is full before the log is.
const MEAN_ENTRY_BYTES: usize = 96;
/// At most this part of the index is used: beyond, searches grow long.
const INDEX_LOAD: (usize, usize) = (7, 8);
/// One ghost for so many bytes of log: as many as the main queue holds of
/// entries with a payload of about 128 bytes.
const BYTES_PER_GHOST: usize = 192;
/// The small queue's part of the log (S3-FIFO: a tenth).
pub(super) const SMALL_PART: usize = 10;

/// What a shard is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// The index, in bytes: whole buckets.
    pub(super) index_bytes: usize,
    /// The log, in bytes: whole segments.
    pub(super) log_bytes: usize,
    /// The part of the log that is the small queue's.
    pub(super) small_bytes: usize,
    /// How many ghosts are remembered.
    pub(super) ghosts: usize,
    /// How many records fit the index.
    pub(super) records: usize,
}

/// How many shards a table of `capacity` bytes has: a power of two.
pub(super) fn shards(capacity: usize) -> usize {
    let most = (capacity / MIN_SHARD_BYTES).clamp(1, MAX_SHARDS);
    1 << most.ilog2()
}

impl Layout {
    /// The layout whose memory is largest without exceeding `capacity` bytes;
    /// the least layout when none is so small.
    pub(super) fn fitting(capacity: usize) -> Self {
        // One segment's worth more or less changes nothing else by more than
        // a bucket and a set, so counting down ends within a few steps.
        let mut segments = (capacity / SEGMENT_BYTES).max(MIN_SEGMENTS);
        let excess = |segments| Self::of(segments).memory_bytes().saturating_sub(capacity);
        while segments > MIN_SEGMENTS && excess(segments) > 0 {
            segments -= excess(segments).div_ceil(2 * SEGMENT_BYTES);
            segments = segments.max(MIN_SEGMENTS);
        }
        Self::of(segments)
    }

    fn of(segments: usize) -> Self {
        let log_bytes = segments * SEGMENT_BYTES;
        let records = log_bytes / MEAN_ENTRY_BYTES;
        let (used, whole) = INDEX_LOAD;
        let buckets = (records * whole).div_ceil(used * SLOTS);
        Self {
            index_bytes: buckets * BUCKET_BYTES,
            log_bytes,
            small_bytes: (segments / SMALL_PART).max(1) * SEGMENT_BYTES,
            ghosts: log_bytes / BYTES_PER_GHOST,
            records,
        }
    }

    /// What the index and the log take together, in bytes.
    pub(super) const fn region_bytes(&self) -> usize {
        self.index_bytes + self.log_bytes
    }

    /// What all of it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let summaries = self.log_bytes / SEGMENT_BYTES * SUMMARY_BYTES;
        self.region_bytes() + summaries + ghost::bytes_for(self.ghosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capacity_is_kept_and_nearly_used() {
        for capacity in [64 << 10, 1 << 20, 5_000_000, 8 << 20, 100 << 20, 4 << 30] {
            let layout = Layout::fitting(capacity);
            let memory = layout.memory_bytes();
            assert!(memory <= capacity, "{layout:?} of {capacity}");
            assert!(memory + 3 * SEGMENT_BYTES >= capacity, "{layout:?} of {capacity}");
        }
    }

    #[test]
    fn shards_are_large_and_a_power_of_two() {
        let check = |capacity, expected| assert_eq!(shards(capacity), expected, "{capacity}");
        check(0, 1);
        check(15 << 20, 1);
        check(16 << 20, 2);
        check(100 << 20, 8);
        check(512 << 20, 64);
        check(64 << 30, 64);
    }
}
