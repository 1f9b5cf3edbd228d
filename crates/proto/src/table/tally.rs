//! What a shard holds, in figures and in digests.

use super::KeyRange;
use super::entry::{self, Meta};
use super::shard::Shard;
use crate::buzhash::folded_multiply;
use crate::record::{KeyHash, Kind, Version};

impl Shard {
    pub(super) fn digest(&self, range: KeyRange) -> u64 {
        self.digests[self.digest_of(range)]
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
        let digest = self.digest_of(KeyRange::of(hash));
        self.digests[digest] ^= mixed;
    }

    #[inline]
    fn digest_of(&self, range: KeyRange) -> usize {
        usize::from(range.0) % self.digests.len()
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
