//! Which of two records of one key wins.
//!
//! The order is total over everything that can differ, so the winner is a
//! maximum, and maxima are commutative, associative and idempotent. Idle
//! deadlines of one version merge by maximum beside it.

use std::cmp::Ordering;

use super::{Body, Record};
use crate::time::Wall;

/// What merging an incoming record into a held one asks of the holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merge {
    /// What is held stays as it is.
    Keep,
    /// What is held stays, with this later idle deadline.
    Touch(Wall),
    /// The incoming record takes the place of the held one, with this idle
    /// deadline.
    Replace(Wall),
}

/// Merges `incoming` into `held`, two records of one key.
#[must_use]
pub fn merge(held: &Record<'_>, incoming: &Record<'_>) -> Merge {
    debug_assert!(held.key == incoming.key, "only records of one key merge");
    match order(held, incoming) {
        Ordering::Greater => Merge::Keep,
        Ordering::Less => Merge::Replace(incoming.deadlines.idle),
        Ordering::Equal if incoming.deadlines.idle > held.deadlines.idle => {
            Merge::Touch(incoming.deadlines.idle)
        }
        Ordering::Equal => Merge::Keep,
    }
}

/// The order of two records of one key; the greater one wins.
///
/// Where a delete is final, a tombstone is above every value. Versions decide
/// then. Two records of one version are one write; should a broken writer
/// have made two, the rest of their content decides, the same on every node.
fn order(one: &Record<'_>, other: &Record<'_>) -> Ordering {
    let finality = if one.key.kind().delete_is_final() {
        is_deleted(one).cmp(&is_deleted(other))
    } else {
        Ordering::Equal
    };
    finality
        .then_with(|| one.version.cmp(&other.version))
        .then_with(|| is_deleted(one).cmp(&is_deleted(other)))
        .then_with(|| payload(one).cmp(payload(other)))
        .then_with(|| one.deadlines.absolute.cmp(&other.deadlines.absolute))
}

const fn is_deleted(record: &Record<'_>) -> bool {
    matches!(record.body, Body::Deleted)
}

const fn payload<'a>(record: &Record<'a>) -> &'a [u8] {
    match record.body {
        Body::Value(payload) => payload,
        Body::Deleted => &[],
    }
}
