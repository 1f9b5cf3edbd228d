//! Remembers, by fingerprint, what lately left the small queue unused.
//!
//! S3-FIFO lets a key that comes back soon into the main queue at once. The
//! fingerprints lie in sets of one cache line each; a set is a ring whose
//! length follows the main queue's number of entries, so that together they
//! remember as many keys as that queue holds.

use super::hashes::OwnHash;

/// Fingerprints in a set: a cache line of sixteen bits each, but for the hand.
const SET_SLOTS: usize = 31;

/// What one fingerprint takes, in bytes, its share of the hand counted.
pub(super) const fn bytes_for(fingerprints: usize) -> usize {
    sets_for(fingerprints) * size_of::<Set>()
}

/// Where the next fingerprint goes, then the fingerprints (0: none).
type Set = [u16; 1 + SET_SLOTS];

/// The fingerprints of a shard.
pub(super) struct Ghosts(Vec<Set>);

impl Ghosts {
    /// Room for at least so many fingerprints.
    pub(super) fn new(fingerprints: usize) -> Self {
        Self(vec![[0; 1 + SET_SLOTS]; sets_for(fingerprints)])
    }

    /// Remembers `hash` among the last `depth` of all.
    pub(super) fn remember(&mut self, hash: OwnHash, depth: usize) {
        let sets = self.0.len();
        let depth = depth.div_ceil(sets).clamp(1, SET_SLOTS);
        let [hand, slots @ ..] = &mut self.0[hash.ghost_set(sets)];
        let place = usize::from(*hand) % depth;
        slots[place] = hash.fingerprint();
        slots[depth..].fill(0);
        *hand = u16::try_from(place + 1).expect("at most 31");
    }

    /// Whether `hash` is remembered; it is forgotten thereby.
    pub(super) fn recall(&mut self, hash: OwnHash) -> bool {
        let set = hash.ghost_set(self.0.len());
        let [_, slots @ ..] = &mut self.0[set];
        let found = slots.iter_mut().find(|slot| **slot == hash.fingerprint());
        found.map(|slot| *slot = 0).is_some()
    }
}

const fn sets_for(fingerprints: usize) -> usize {
    fingerprints.div_ceil(SET_SLOTS)
}
