//! The two hashes of a key: the farm's, and the table's own.

use crate::buzhash::BuzHash;
use crate::record::KeyHash;

/// The farm's hash places a key among nodes and ranges; the table's own, of
/// that hash, finds it in an index. The second is drawn anew by each process:
/// whoever could learn the farm's still could not aim at a bucket.
pub(super) struct Hashes {
    placement: BuzHash,
    own: BuzHash,
}

impl Hashes {
    pub(super) fn new(placement_secret: &[u8; 32], own_secret: &[u8; 32]) -> Self {
        Self { placement: BuzHash::new(placement_secret), own: BuzHash::new(own_secret) }
    }

    /// The farm's hash of a key's bytes.
    #[inline]
    pub(super) fn place(&self, key: &[u8]) -> KeyHash {
        KeyHash(self.placement.hash(key))
    }

    /// The table's own hash.
    #[inline]
    pub(super) fn own(&self, hash: KeyHash) -> OwnHash {
        OwnHash(self.own.hash_u64(hash.0))
    }
}

/// The table's own hash of a key, cut up for its users. Each takes other bits
/// of it, apart from the fingerprint, which need only differ from the place.
#[derive(Clone, Copy, Default)]
pub(super) struct OwnHash(u64);

impl OwnHash {
    /// The bucket out of `buckets`: by the upper half, multiplied and shifted.
    #[inline]
    pub(super) fn bucket(self, buckets: usize) -> usize {
        reduce(self.0 >> 32, buckets)
    }

    /// What tells the keys of one bucket apart: never 0.
    #[inline]
    pub(super) fn tag(self) -> u8 {
        self.0.to_le_bytes()[0].max(1)
    }

    /// The set of ghosts out of `sets`.
    pub(super) fn ghost_set(self, sets: usize) -> usize {
        reduce(self.0 >> 16 & u64::from(u32::MAX), sets)
    }

    /// What tells the ghosts of one set apart: never 0.
    pub(super) fn fingerprint(self) -> u16 {
        let [low, high, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([low, high]).max(1)
    }
}

/// A number below 2^32 brought below `bound`, every result as likely (Lemire,
/// "Fast random integer generation in an interval", 2019).
#[inline]
fn reduce(number: u64, bound: usize) -> usize {
    let reduced = (number * bound as u64) >> 32;
    usize::try_from(reduced).expect("below a usize")
}
