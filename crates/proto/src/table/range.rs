//! Ranges of key hashes: what digests are kept by and scans are filtered by.

use crate::record::KeyHash;

/// How many ranges the key hashes are divided into.
pub const RANGES: usize = 256;

/// One of [`RANGES`] ranges of key hashes: those with one top byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange(pub u8);

impl KeyRange {
    /// The range that `hash` lies in.
    #[must_use]
    pub const fn of(hash: KeyHash) -> Self {
        Self(hash.0.to_be_bytes()[0])
    }

    /// Every range, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }
}

/// A set of ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRanges([u64; RANGES / 64]);

impl KeyRanges {
    /// Every range.
    pub const ALL: Self = Self([u64::MAX; RANGES / 64]);
    /// No range.
    pub const NONE: Self = Self([0; RANGES / 64]);

    /// Whether `range` is in the set.
    #[must_use]
    pub const fn contains(&self, range: KeyRange) -> bool {
        self.0[range.0 as usize / 64] >> (range.0 % 64) & 1 == 1
    }

    /// Puts `range` into the set.
    pub const fn insert(&mut self, range: KeyRange) {
        self.0[range.0 as usize / 64] |= 1 << (range.0 % 64);
    }
}

impl FromIterator<KeyRange> for KeyRanges {
    fn from_iter<I: IntoIterator<Item = KeyRange>>(ranges: I) -> Self {
        let mut set = Self::NONE;
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

impl From<KeyRange> for KeyRanges {
    fn from(range: KeyRange) -> Self {
        std::iter::once(range).collect()
    }
}
