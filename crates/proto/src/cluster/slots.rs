//! Slots: the parts of the farm's keys that are given to nodes as a whole, and
//! which of them a node keeps.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::record::KeyHash;
use crate::table::{KeyRange, RANGES};

/// How many slots there are. A node of a hundred that keep three replicas has
/// some 2,000 of them: by chance its share differs from the others' by 2 %.
pub const SLOTS: usize = 65_536;
/// How many slots a range of keys has.
pub const SLOTS_OF_RANGE: usize = SLOTS / RANGES;

const WORDS: usize = SLOTS / 64;

/// One of [`SLOTS`] parts of the keys: those whose hashes have the same upper
/// sixteen bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// The slot that `hash` lies in.
    #[must_use]
    pub const fn of(hash: KeyHash) -> Self {
        let [high, low, ..] = hash.0.to_be_bytes();
        Self(u16::from_be_bytes([high, low]))
    }

    /// The range that the slot lies in.
    #[must_use]
    pub const fn range(self) -> KeyRange {
        KeyRange(self.0.to_be_bytes()[0])
    }

    /// The slots of a range, in order.
    pub fn of_range(range: KeyRange) -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(move |low| Self(u16::from_be_bytes([range.0, low])))
    }

    /// Every slot, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u16::MAX).map(Self)
    }
}

/// Slots from `first` to `last`, both among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRun {
    /// The first.
    pub first: Slot,
    /// The last, not before the first.
    pub last: Slot,
}

impl SlotRun {
    /// The slots of the run, in order.
    pub fn slots(self) -> impl Iterator<Item = Slot> {
        (self.first.0..=self.last.0).map(Slot)
    }
}

/// A set of slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl SlotSet {
    /// No slot.
    #[must_use]
    pub fn none() -> Self {
        Self(Box::new([0; WORDS]))
    }

    /// Every slot.
    #[must_use]
    pub fn all() -> Self {
        Self(Box::new([u64::MAX; WORDS]))
    }

    /// Whether `slot` is in the set.
    #[must_use]
    pub fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place(slot);
        self.0[word] >> bit & 1 == 1
    }

    /// Puts `slot` into the set.
    pub fn insert(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        self.0[word] |= 1 << bit;
    }

    /// Takes `slot` out of the set.
    pub fn remove(&mut self, slot: Slot) {
        let (word, bit) = place(slot);
        self.0[word] &= !(1 << bit);
    }

    /// Puts all slots of `other` into the set.
    pub fn insert_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(&*other.0).for_each(|(ours, theirs)| *ours |= theirs);
    }

    /// Puts all slots of some runs into the set.
    pub fn insert_runs(&mut self, runs: &[SlotRun]) {
        runs.iter().flat_map(|run| run.slots()).for_each(|slot| self.insert(slot));
    }

    /// The slots that are in this set and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.clone();
        left.0.iter_mut().zip(&*other.0).for_each(|(ours, theirs)| *ours &= !theirs);
        left
    }

    /// How many slots are in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether no slot is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The slots that are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.0.iter_mut().zip(&*other.0).for_each(|(ours, theirs)| *ours &= theirs);
        both
    }

    /// The slots of the set as runs, in order.
    #[must_use]
    pub fn runs(&self) -> Vec<SlotRun> {
        let mut runs: Vec<SlotRun> = Vec::new();
        for slot in self.iter() {
            match runs.last_mut() {
                Some(run) if run.last.0 + 1 == slot.0 => run.last = slot,
                _ => runs.push(SlotRun { first: slot, last: slot }),
            }
        }
        runs
    }

    /// The slots of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = Slot> + '_ {
        (0..).zip(&*self.0).flat_map(|(word, &bits)| {
            let rest = std::iter::successors(Some(bits), |bits| Some(bits & bits.wrapping_sub(1)));
            rest.take_while(|&bits| bits != 0).map(move |bits| {
                let bit = u16::try_from(bits.trailing_zeros()).expect("below 64");
                Slot(word * 64 + bit)
            })
        })
    }
}

impl FromIterator<Slot> for SlotSet {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::none();
        slots.into_iter().for_each(|slot| set.insert(slot));
        set
    }
}

impl<'a> FromIterator<&'a SlotRun> for SlotSet {
    fn from_iter<I: IntoIterator<Item = &'a SlotRun>>(runs: I) -> Self {
        runs.into_iter().flat_map(|run| run.slots()).collect()
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotSet({} of {SLOTS})", self.count())
    }
}

/// The slots that a node keeps. They are changed by one thread and looked at
/// by all: whoever writes a record meanwhile sees the old ones or the new.
pub struct Slots(Box<[AtomicU64; WORDS]>);

impl Slots {
    /// Whether the records under `hash` are to be kept.
    #[must_use]
    #[inline]
    pub fn keeps(&self, hash: KeyHash) -> bool {
        let (word, bit) = place(Slot::of(hash));
        self.0[word].load(Ordering::Relaxed) >> bit & 1 == 1
    }

    /// Keeps these slots and no others from here on.
    pub fn set(&self, kept: &SlotSet) {
        for (word, &bits) in self.0.iter().zip(&*kept.0) {
            word.store(bits, Ordering::Relaxed);
        }
    }

    /// The slots that are kept.
    #[must_use]
    pub fn get(&self) -> SlotSet {
        let mut set = SlotSet::none();
        for (bits, word) in set.0.iter_mut().zip(&*self.0) {
            *bits = word.load(Ordering::Relaxed);
        }
        set
    }
}

impl Default for Slots {
    /// All slots are kept.
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| AtomicU64::new(u64::MAX))))
    }
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.get().fmt(f)
    }
}

#[inline]
fn place(slot: Slot) -> (usize, u32) {
    (usize::from(slot.0 / 64), u32::from(slot.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_the_upper_sixteen_bits_and_lies_in_one_range() {
        let check = |hash: u64, slot: u16, range: u8| {
            let found = Slot::of(KeyHash(hash));
            assert_eq!((found, found.range()), (Slot(slot), KeyRange(range)));
            assert_eq!(found.range(), KeyRange::of(KeyHash(hash)));
        };
        check(0, 0, 0);
        check(u64::MAX, u16::MAX, u8::MAX);
        check(0x1234_5678_9abc_def0, 0x1234, 0x12);
    }

    #[test]
    fn slots_are_kept_as_they_were_set() {
        let slots = Slots::default();
        assert!(slots.keeps(KeyHash(7)) && slots.get() == SlotSet::all());
        let odd: SlotSet = Slot::all().filter(|slot| slot.0 % 2 == 1).collect();
        slots.set(&odd);
        assert!(!slots.keeps(KeyHash(0)) && slots.keeps(KeyHash(1 << 48)));
        assert_eq!((slots.get(), odd.count()), (odd.clone(), SLOTS / 2));
        let mut both = SlotSet::all().without(&odd);
        assert!(!both.contains(Slot(1)) && both.contains(Slot(2)));
        both.insert_all(&odd);
        assert_eq!(both, SlotSet::all());
        both.remove(Slot(9));
        assert_eq!(both.iter().count(), SLOTS - 1);
        let runs = both.runs();
        let run = |first, last| SlotRun { first: Slot(first), last: Slot(last) };
        assert_eq!(runs, [run(0, 8), run(10, u16::MAX)]);
        assert_eq!(runs.iter().collect::<SlotSet>(), both);
        assert_eq!(both.common(&odd).count(), SLOTS / 2 - 1);
    }
}
