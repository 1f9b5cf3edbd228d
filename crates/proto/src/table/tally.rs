//! What a shard holds, in figures and in digests.

use super::entry::{self, Meta};
use super::shard::Shard;
use super::{KeyRange, RANGES};
use crate::buzhash::folded_multiply;
use crate::cluster::slots::{SLOTS, Slot};
use crate::record::{KeyHash, Kind, Version};

impl Shard {
    /// Keeps a digest of each slot from here on, of `shards` shards' slots.
    pub(super) fn keep_slot_digests(&mut self, shards: usize) {
        debug_assert_eq!(self.held(), 0, "what is held is in the digests of ranges");
        self.digests = vec![0; SLOTS / shards];
    }

    /// The digest of a range: where they are kept of slots, the sum of these.
    pub(super) fn digest(&self, range: KeyRange) -> u64 {
        if self.keeps_slot_digests() {
            Slot::of_range(range).fold(0, |sum, slot| sum ^ self.digest_of_slot(slot))
        } else {
            self.digests[usize::from(range.0) % self.digests.len()]
        }
    }

    /// The digest of a slot; 0 where none are kept.
    pub(super) fn digest_of_slot(&self, slot: Slot) -> u64 {
        if self.keeps_slot_digests() {
            self.digests[usize::from(slot.0) % self.digests.len()]
        } else {
            0
        }
    }

    /// How many records the index holds.
    pub(super) fn held(&self) -> usize {
        usize::try_from(self.stats.records + self.stats.tombstones).expect("they lie in memory")
    }

    /// Takes the live entry at `at` into the figures and the digest.
    pub(super) fn count(&mut self, at: usize, hash: KeyHash) {
        let (kind, deleted, footprint) = self.sort_of(at);
        self.mix_into_digest(at, hash);
        self.stats.bytes += footprint as u64;
        if deleted {
            self.stats.tombstones += 1;
            self.tombstone_bytes += footprint;
        } else {
            self.stats.records += 1;
            self.stats.by_kind[kind] += 1;
        }
    }

    /// Takes the live entry at `at` out of the figures and the digest.
    pub(super) fn uncount(&mut self, at: usize, hash: KeyHash) {
        let (kind, deleted, footprint) = self.sort_of(at);
        self.mix_into_digest(at, hash);
        self.stats.bytes -= footprint as u64;
        if deleted {
            self.stats.tombstones -= 1;
            self.tombstone_bytes -= footprint;
        } else {
            self.stats.records -= 1;
            self.stats.by_kind[kind] -= 1;
        }
    }

    /// The place of the entry's kind in `Kind::ALL`, whether it is a
    /// tombstone, and its footprint.
    #[inline]
    fn sort_of(&self, at: usize) -> (usize, bool, usize) {
        let log = self.log();
        let meta = Meta::read(log, at);
        let kind = entry::kind(log, at);
        let place = Kind::ALL.iter().position(|&other| other == kind);
        (place.expect("every kind is in the list"), meta.is_deleted(), meta.footprint())
    }

    /// Exclusive-or puts a version in, and takes it out again.
    #[inline]
    pub(super) fn mix_into_digest(&mut self, at: usize, hash: KeyHash) {
        let mixed = mix(hash, entry::version(self.log(), at));
        let digest = self.digest_of(hash);
        self.digests[digest] ^= mixed;
    }

    #[inline]
    fn digest_of(&self, hash: KeyHash) -> usize {
        if self.keeps_slot_digests() {
            usize::from(Slot::of(hash).0) % self.digests.len()
        } else {
            usize::from(KeyRange::of(hash).0) % self.digests.len()
        }
    }

    /// A table has at most 256 shards: those of ranges have fewer.
    #[inline]
    fn keeps_slot_digests(&self) -> bool {
        self.digests.len() > RANGES
    }
}

/// What a version adds to its range's digest: mixed well, so that several do
/// not cancel by accident. The same on every node, so without a secret; the
/// factors are the fractions of the golden ratio and of the square root of 2.
pub(super) const fn mix(hash: KeyHash, version: Version) -> u64 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    const ROOT: u64 = 0x6a09_e667_f3bc_c909;
    let time = folded_multiply(version.time.0 ^ hash.0.rotate_left(32), GOLDEN);
    folded_multiply(time ^ hash.0 ^ version.writer.0 as u64, ROOT)
}
