//! Finds an entry by its key's hash.
//!
//! A bucket is one cache line with twelve slots: a look-up that finds costs
//! one miss here and one in the log, where a table of control bytes and slots
//! apart costs two here. A full bucket passes an entry on to the next one and
//! counts how many it passed, so that a search knows when to stop and a
//! removal leaves no mark behind. The number of buckets is fixed and need not
//! be a power of two: no look-up ever waits for the index to grow.

use super::entry::GRANULE_BYTES;
use super::hashes::OwnHash;

/// What a bucket takes: a cache line.
pub(super) const BUCKET_BYTES: usize = 64;
/// How many entries a bucket has room for.
pub(super) const SLOTS: usize = 12;

/// Tags of the slots (0: free), then how many entries were passed on, then
/// the slots' locations.
type Bucket = [u8; BUCKET_BYTES];
const PASSED_AT: usize = SLOTS;
const LOCATIONS_AT: usize = 16;

/// Where an entry begins in its log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Location(u32);

impl Location {
    /// The location of the entry at byte `at`.
    #[inline]
    pub(super) fn new(at: usize) -> Self {
        Self(u32::try_from(at / GRANULE_BYTES).expect("a shard is at most 32 GiB"))
    }

    /// The byte that the entry begins at.
    #[inline]
    pub(super) const fn at(self) -> usize {
        self.0 as usize * GRANULE_BYTES
    }
}

/// A slot that holds an entry.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    bucket: usize,
    place: usize,
}

/// The index of a shard, seen in its memory.
pub(super) struct Index<'a> {
    buckets: &'a mut [Bucket],
}

impl<'a> Index<'a> {
    /// The index that `bytes`, a number of whole buckets, holds.
    #[inline]
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self { buckets: bytes.as_chunks_mut().0 }
    }

    /// The first slot of this hash whose entry `is` the one, and where that
    /// lies.
    #[inline]
    pub(super) fn find(
        &self,
        hash: OwnHash,
        is: impl Fn(Location) -> bool,
    ) -> Option<(Slot, Location)> {
        let tag = hash.tag();
        for bucket in self.chain(hash) {
            let line = &self.buckets[bucket];
            for place in places(line, tag) {
                let location = location(line, place);
                if is(location) {
                    return Some((Slot { bucket, place }, location));
                }
            }
            if passed(line) == 0 {
                return None;
            }
        }
        None
    }

    /// The first slot's location whose tag is this hash's, where one is: most
    /// likely the entry's, though only [`Index::find`] knows.
    #[inline]
    pub(super) fn guess(&self, hash: OwnHash) -> Option<Location> {
        let line = &self.buckets[hash.bucket(self.buckets.len())];
        let place = places(line, hash.tag()).next()?;
        Some(location(line, place))
    }

    pub(super) fn set_location(&mut self, slot: Slot, to: Location) {
        let at = location_at(slot.place);
        self.buckets[slot.bucket][at..at + 4].copy_from_slice(&to.0.to_le_bytes());
    }

    /// Takes an entry in. The caller keeps at least one slot free.
    pub(super) fn insert(&mut self, hash: OwnHash, to: Location) {
        for bucket in self.chain(hash) {
            let line = &mut self.buckets[bucket];
            if let Some(place) = places(line, 0).next() {
                line[place] = hash.tag();
                self.set_location(Slot { bucket, place }, to);
                return;
            }
            set_passed(line, passed(line) + 1);
        }
        unreachable!("the caller keeps a slot free");
    }

    /// Frees the slot, which [`Index::find`] gave for `hash`.
    pub(super) fn remove(&mut self, hash: OwnHash, slot: Slot) {
        self.buckets[slot.bucket][slot.place] = 0;
        for bucket in self.chain(hash).take_while(|&bucket| bucket != slot.bucket) {
            let line = &mut self.buckets[bucket];
            set_passed(line, passed(line) - 1);
        }
    }

    /// Where entries of `hash` may lie: every bucket once, from their own on.
    #[inline]
    fn chain(&self, hash: OwnHash) -> impl Iterator<Item = usize> + use<> {
        let count = self.buckets.len();
        let home = hash.bucket(count);
        (home..home + count).map(move |at| if at < count { at } else { at - count })
    }
}

/// The byte of an index of `bytes` at which the bucket of `hash` begins.
#[inline]
pub(super) fn bucket_at(hash: OwnHash, bytes: usize) -> usize {
    hash.bucket(bytes / BUCKET_BYTES) * BUCKET_BYTES
}

/// The slots of `line` that have `tag`, found eight at a time.
#[inline]
fn places(line: &Bucket, tag: u8) -> impl Iterator<Item = usize> + use<> {
    let [first, second, ..] = *line.as_chunks::<8>().0 else { unreachable!("a bucket has eight") };
    let first = equal_bytes(u64::from_le_bytes(first), tag) >> 7;
    // The upper half of the second word is the count, not tags.
    let second = equal_bytes(u64::from_le_bytes(second), tag) >> 7 & u64::from(u32::MAX);
    // Slots 0 to 7 at bits 0, 8, ...; slots 8 to 11 between them at 4, 12, ...
    let mut mask = first | second << 4;
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros() as usize;
        let place = (mask != 0).then_some(bit / 8 + bit % 8 * 2);
        mask &= mask.wrapping_sub(1);
        place
    })
}

/// The top bit of every byte of `word` that equals `byte`: exact, since no
/// carry leaves a byte (Warren, "Hacker's Delight", 6-1).
#[inline]
const fn equal_bytes(word: u64, byte: u8) -> u64 {
    const LOW_7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = word ^ u64::from_le_bytes([byte; 8]);
    !(((differs & LOW_7) + LOW_7) | differs | LOW_7)
}

#[inline]
const fn location_at(place: usize) -> usize {
    LOCATIONS_AT + 4 * place
}

#[inline]
fn location(line: &Bucket, place: usize) -> Location {
    Location(number(line, location_at(place)))
}

#[inline]
fn passed(line: &Bucket) -> u32 {
    number(line, PASSED_AT)
}

fn set_passed(line: &mut Bucket, passed: u32) {
    line[PASSED_AT..PASSED_AT + 4].copy_from_slice(&passed.to_le_bytes());
}

#[inline]
fn number(line: &Bucket, at: usize) -> u32 {
    u32::from_le_bytes(*line[at..].first_chunk().expect("within the line"))
}
