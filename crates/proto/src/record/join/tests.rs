use proptest::prelude::*;

use super::super::merge::{Merge, merge};
use super::*;
use crate::record::testing::Owned;
use crate::record::{Deadlines, Hlc, Key, Kind, Writer};
use crate::state::testing;
use crate::time::Wall;

impl Owned {
    /// What merging leaves.
    fn merged(&self, incoming: &Self) -> Self {
        let with_idle = |one: &Self, idle| {
            let mut one = one.clone();
            one.deadlines.idle = idle;
            one
        };
        match merge(&self.record(), &incoming.record()) {
            Merge::Keep => self.clone(),
            Merge::Touch(idle) => with_idle(self, idle),
            Merge::Replace(idle) => with_idle(incoming, idle),
            Merge::Join(joined) => Self::of(&joined.record(self.key)),
        }
    }
}

/// Payloads of one kind: such that join, such that do not, such that only seem
/// to, and deletes.
fn payloads(kind: Kind) -> impl Strategy<Value = Option<Vec<u8>>> {
    let (mark, of) = (vec![0xc0, b'S'], if kind == Kind::Auth { 2 } else { 3 });
    let broken = (0..3_u8).prop_map(move |last| [&mark[..], &[of, 1, last]].concat());
    prop_oneof![
        8 => testing::joining_of(kind).prop_map(|value| Some(value.payload)),
        1 => Just(Some(b"opaque".to_vec())),
        1 => broken.prop_map(Some),
        1 => Just(None),
    ]
}

/// Three records of one key, from ranges so small that ties are common.
fn records() -> impl Strategy<Value = [Owned; 3]> {
    let kinds = prop::sample::select(vec![Kind::Auth, Kind::Purchase]);
    kinds.prop_flat_map(|kind| {
        let deadline = (5..8_u64).prop_map(Wall::from_millis);
        let parts = || ((1..4_u64, 0..2_u32), (deadline.clone(), deadline.clone()), payloads(kind));
        [parts(), parts(), parts()].prop_map(move |parts| {
            parts.map(|((time, writer), (idle, absolute), payload)| {
                let key = Key::new(kind, b"id").unwrap();
                let version = Version { time: Hlc(time), writer: Writer(writer) };
                let deadlines = Deadlines { idle, absolute };
                Owned::of(&normal(&Owned { key, version, deadlines, payload }.record()))
            })
        })
    })
}

proptest! {
    #[test]
    fn merging_is_commutative([a, b, _] in records()) {
        prop_assert_eq!(a.merged(&b).meaning(), b.merged(&a).meaning());
    }

    #[test]
    fn merging_is_associative([a, b, c] in records()) {
        let (left, right) = (a.merged(&b).merged(&c), a.merged(&b.merged(&c)));
        prop_assert_eq!(left.meaning(), right.meaning());
    }

    #[test]
    fn merging_is_idempotent([a, b, _] in records()) {
        prop_assert_eq!(&a.merged(&a), &a);
        let joined = a.merged(&b);
        prop_assert_eq!(joined.merged(&a).meaning(), joined.clone().meaning());
        prop_assert_eq!(joined.merged(&b).meaning(), joined.meaning());
    }

    #[test]
    fn equal_versions_of_what_joins_are_equal_values([a, b, c] in records()) {
        let (one, other) = (a.merged(&b), b.merged(&c));
        let joins = |owned: &Owned| {
            let payload = owned.payload.as_deref();
            payload.is_some_and(|payload| state::may_join(owned.key.kind(), payload))
        };
        if joins(&one) && joins(&other) && one.version == other.version {
            prop_assert_eq!(one.payload, other.payload);
        }
    }

    #[test]
    fn no_late_write_revives_what_is_deleted([a, b, c] in records()) {
        if a.payload.is_none() {
            prop_assert!(b.merged(&a).merged(&c).payload.is_none());
            prop_assert!(b.merged(&a.merged(&c)).payload.is_none());
        }
    }
}
