//! One item of a cart: numbers that only grow, and how two of them join.

use std::collections::BTreeMap;

use super::Lane;
use crate::record::Version;
use crate::state::Text;

/// What one start of a node has counted. Each number only grows, and what is
/// gone was there before.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) added: u64,
    pub(super) taken: u64,
    /// What of `added` was removed with the item.
    pub(super) added_gone: u64,
    /// What of `taken` was.
    pub(super) taken_gone: u64,
}

/// An attribute, as it was written last; without a value it was removed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) version: Version,
    pub(super) value: Option<Text>,
}

/// An item, also one that was removed.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Item {
    pub(super) lanes: BTreeMap<Lane, Counts>,
    /// When it was removed last. Attributes are from after that.
    pub(super) removed: Version,
    pub(super) attributes: BTreeMap<Text, Attribute>,
}

impl Item {
    /// How many pieces there are. Less than none, where two servers took the
    /// same ones out, is none.
    pub(super) fn quantity(&self) -> u64 {
        let sum = |of: fn(&Counts) -> u64| {
            self.lanes.values().map(|counts| u128::from(of(counts))).sum::<u128>()
        };
        let added = sum(|counts| counts.added - counts.added_gone);
        let taken = sum(|counts| counts.taken - counts.taken_gone);
        u64::try_from(added.saturating_sub(taken)).unwrap_or(u64::MAX)
    }

    pub(super) fn lane(&mut self, lane: Lane) -> &mut Counts {
        self.lanes.entry(lane).or_default()
    }

    /// Removes the pieces that are here.
    pub(super) fn forget_counts(&mut self) {
        for counts in self.lanes.values_mut() {
            (counts.added_gone, counts.taken_gone) = (counts.added, counts.taken);
        }
    }

    /// Removes the pieces that are here, and what was said of them before.
    pub(super) fn remove(&mut self, version: Version) {
        self.forget_counts();
        self.removed = self.removed.max(version);
        self.settle();
    }

    /// Writes an attribute, unless a later one is here or the item was removed
    /// later.
    pub(super) fn set(&mut self, name: Text, attribute: Attribute) {
        let is_later = |held: &Attribute| rank(&attribute) > rank(held);
        let is_gone = attribute.version <= self.removed;
        if !is_gone && self.attributes.get(&name).is_none_or(is_later) {
            self.attributes.insert(name, attribute);
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        for (&lane, theirs) in &other.lanes {
            let ours = self.lane(lane);
            ours.added = ours.added.max(theirs.added);
            ours.taken = ours.taken.max(theirs.taken);
            ours.added_gone = ours.added_gone.max(theirs.added_gone);
            ours.taken_gone = ours.taken_gone.max(theirs.taken_gone);
        }
        self.removed = self.removed.max(other.removed);
        for (name, attribute) in &other.attributes {
            self.set(name.clone(), attribute.clone());
        }
        self.settle();
    }

    /// Lets go of attributes from before the item was removed.
    fn settle(&mut self) {
        let removed = self.removed;
        self.attributes.retain(|_, attribute| attribute.version > removed);
    }
}

/// Which of two attributes stays: the later one. Two of one version are one
/// write, unless a writer is broken.
fn rank(attribute: &Attribute) -> (Version, Option<&str>) {
    (attribute.version, attribute.value.as_ref().map(Text::as_str))
}
