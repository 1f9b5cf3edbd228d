//! Which of two records of one key wins.
//!
//! The order is total over everything that can differ, so the winner is a
//! maximum, and maxima are commutative, associative and idempotent. Beside it
//! the idle deadlines of one logical time merge by maximum: a touch names the
//! time that it touches and nothing else. (A tombstone's idle deadline means
//! nothing.)
//!
//! Values that join are the exception: of two of them neither wins, and what is
//! in either stays (`join`). Values of a session store merge by their type
//! ([`State::join`]).

use std::cmp::Ordering;

use zeroize::Zeroizing;

use super::join::{self, Joined};
use super::{Body, Deadlines, Kind, MAX_PAYLOAD_BYTES, Record};
use crate::time::Wall;
use crate::web::{self, State};

/// What merging an incoming record into a held one asks of the holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// What is held stays as it is.
    Keep,
    /// What is held stays, with this later idle deadline.
    Touch(Wall),
    /// The incoming record takes the place of the held one, with this idle
    /// deadline.
    Replace(Wall),
    /// A record that has both values in it takes the place of the held one.
    Join(Joined),
}

/// Merges `incoming` into `held`, two records of one key.
#[must_use]
pub fn merge(held: &Record<'_>, incoming: &Record<'_>) -> Merge {
    debug_assert!(held.key == incoming.key, "only records of one key merge");
    if held.key.kind() == Kind::Web
        && (web::merges_by_type(held) || web::merges_by_type(incoming))
        && let Some(merge) = by_type(held, incoming)
    {
        return merge;
    }
    if let Some(merge) = join::merge(held, incoming) {
        return merge;
    }
    let wins = order(held, incoming) == Ordering::Less;
    let winner = if wins { incoming } else { held };
    let idle = if held.version.time == incoming.version.time {
        held.deadlines.idle.max(incoming.deadlines.idle)
    } else {
        winner.deadlines.idle
    };
    if wins {
        Merge::Replace(idle)
    } else if idle > held.deadlines.idle {
        Merge::Touch(idle)
    } else {
        Merge::Keep
    }
}

/// Merges by the type of what is there. None where the outcome is larger than
/// a record may be: the later record then stays as it is.
fn by_type(held: &Record<'_>, incoming: &Record<'_>) -> Option<Merge> {
    let (ours, theirs) = (State::of(held), State::of(incoming));
    let joined = ours.clone().join(theirs.clone());
    let Deadlines { idle, absolute } = joined.ends.deadlines;
    // The idle deadline of a tombstone means nothing.
    let is_tombstone = |record: &Record<'_>| record.body == Body::Deleted;
    let like = |state: &State<'_>| {
        let ends = state.ends.rank == joined.ends.rank && state.ends.deadlines.absolute == absolute;
        let same = (state.version, state.floor) == (joined.version, joined.floor);
        same && ends && state.content == joined.content
    };
    if like(&ours) {
        let later = idle > held.deadlines.idle && !is_tombstone(held);
        return Some(if later { Merge::Touch(idle) } else { Merge::Keep });
    }
    if like(&theirs) {
        let idle = if is_tombstone(incoming) { incoming.deadlines.idle } else { idle };
        return Some(Merge::Replace(idle));
    }
    let mut payload = Zeroizing::default();
    web::payload::encode(&joined, &mut payload);
    let fits = payload.len() <= MAX_PAYLOAD_BYTES;
    let deadlines = Deadlines { idle, absolute };
    fits.then(|| Merge::Join(Joined { version: joined.version, deadlines, payload }))
}

/// Whether the record ends its key for good: no value comes after it.
#[must_use]
pub fn is_final(record: &Record<'_>) -> bool {
    is_deleted(record) && record.key.kind().delete_is_final()
}

/// The order of two records of one key; the greater one wins.
///
/// Where a delete is final, a tombstone is above every value. Versions decide
/// then. Two records of one version are one write; should a broken writer
/// have made two, the rest of their content decides, the same on every node.
fn order(one: &Record<'_>, other: &Record<'_>) -> Ordering {
    is_final(one)
        .cmp(&is_final(other))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::{Deadlines, Hlc, Key, Kind, Version, Writer};

    /// What merging leaves.
    fn join<'a>(held: Record<'a>, incoming: Record<'a>) -> Record<'a> {
        let with_idle = |record: Record<'a>, idle| {
            let deadlines = Deadlines { idle, ..record.deadlines };
            Record { deadlines, ..record }
        };
        match merge(&held, &incoming) {
            Merge::Keep => held,
            Merge::Touch(idle) => with_idle(held, idle),
            Merge::Replace(idle) => with_idle(incoming, idle),
            Merge::Join(_) => unreachable!("these values do not join"),
        }
    }

    /// A record without what means nothing: a tombstone's idle deadline.
    fn meaning(record: Record<'_>) -> Record<'_> {
        let absolute = record.deadlines.absolute;
        match record.body {
            Body::Value(_) => record,
            Body::Deleted => Record { deadlines: Deadlines::at(absolute), ..record },
        }
    }

    /// Records of one key, from ranges so small that ties are common.
    fn records() -> impl Strategy<Value = [Record<'static>; 3]> {
        let body = prop_oneof![
            Just(Body::Deleted),
            prop::sample::select(vec![&b""[..], b"a", b"b"]).prop_map(Body::Value),
        ];
        let deadline = (5..8_u64).prop_map(Wall::from_millis);
        let deadlines = (deadline.clone(), deadline);
        let version = (1..4_u64, 0..2_u32);
        let parts = (version, deadlines, body);
        (prop::sample::select(Kind::ALL.to_vec()), [parts.clone(), parts.clone(), parts]).prop_map(
            |(kind, parts)| {
                let key = Key::new(kind, b"id").unwrap();
                parts.map(|((time, writer), (idle, absolute), body)| Record {
                    key,
                    version: Version { time: Hlc(time), writer: Writer(writer) },
                    deadlines: Deadlines { idle, absolute },
                    body,
                })
            },
        )
    }

    proptest! {
        #[test]
        fn merging_is_commutative([a, b, _] in records()) {
            prop_assert_eq!(meaning(join(a, b)), meaning(join(b, a)));
        }

        #[test]
        fn merging_is_associative([a, b, c] in records()) {
            prop_assert_eq!(meaning(join(join(a, b), c)), meaning(join(a, join(b, c))));
        }

        #[test]
        fn merging_is_idempotent([a, b, _] in records()) {
            prop_assert_eq!(join(a, a), a);
            let joined = join(a, b);
            prop_assert_eq!(meaning(join(joined, a)), meaning(joined));
            prop_assert_eq!(meaning(join(joined, b)), meaning(joined));
        }

        #[test]
        fn no_late_write_revives_what_is_deleted_for_good([a, b, c] in records()) {
            if a.key.kind().delete_is_final() && is_deleted(&a) {
                prop_assert!(is_deleted(&join(join(b, a), c)));
                prop_assert!(is_deleted(&join(b, join(a, c))));
            }
        }
    }
}
