//! The same records and touches, in any order, leave the same contents.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{Applied, KeyRange, Table, Touched};
use super::{Owned, contents, joining, key, table, wall};
use crate::record::{Deadlines, Hlc, Key, Kind, Record, Touch, Version, Writer};
use crate::time::Wall;

#[derive(Debug, Clone)]
enum News {
    Record(Owned),
    Touch { key: Key, time: Hlc, idle: Wall },
}

fn news() -> impl Strategy<Value = News> {
    let keys = (prop::sample::select(Kind::ALL.to_vec()), 0..3_u32);
    let version = (1..5_u64, 0..2_u32)
        .prop_map(|(time, writer)| Version { time: Hlc(time), writer: Writer(writer) });
    let deadlines = (100..110_u64, 100..110_u64)
        .prop_map(|(idle, absolute)| Deadlines { idle: wall(idle), absolute: wall(absolute) });
    let payload = prop::option::weighted(0.8, prop::collection::vec(0..3_u8, 0..400));
    let opaque = (keys, payload).prop_map(|((kind, id), payload)| (key(kind, id), payload));
    let content = prop_oneof![opaque, joining()];
    (content, version, deadlines, any::<bool>()).prop_map(
        |((key, payload), version, deadlines, is_touch)| {
            if is_touch {
                News::Touch { key, time: version.time, idle: deadlines.idle }
            } else {
                News::Record(Owned { key, version, deadlines, payload })
            }
        },
    )
}

/// What a table holds after `all` came in this order. A touch of what is not
/// here yet comes again later: the node asks for what it missed.
fn after(all: &[News]) -> (Table, BTreeMap<Key, Owned>) {
    let now = wall(50);
    let table = table(1 << 20);
    let mut missed = Vec::new();
    for news in all {
        match news {
            News::Record(record) => {
                table.apply(&record.record(), now);
            }
            &News::Touch { key, time, idle } => {
                let touch = Touch { hash: table.hash(&key), time, idle };
                if table.touch(&touch, now) == Touched::Missing {
                    missed.push(touch);
                }
            }
        }
    }
    for touch in &missed {
        table.touch(touch, now);
    }
    let held = contents(&table, usize::MAX).into_iter();
    let held = held.map(|(key, owned)| (key, owned.meaning())).collect();
    (table, held)
}

/// What a table of many shards holds after these came, and what became of
/// each.
fn taken_in(records: &[Record<'_>], together: bool) -> (BTreeMap<Key, Owned>, Vec<Applied>) {
    let now = wall(50);
    let table = table(64 << 20);
    let mut outcomes = Vec::new();
    if together {
        table.apply_all(records, now, |_, applied| outcomes.push(applied));
    } else {
        outcomes.extend(records.iter().map(|record| table.apply(record, now)));
    }
    (contents(&table, usize::MAX), outcomes)
}

proptest! {
    #[test]
    fn many_at_a_time_end_as_one_by_one(all in prop::collection::vec(news(), 0..200)) {
        let records: Vec<Record<'_>> = all
            .iter()
            .filter_map(|news| match news {
                News::Record(record) => Some(record.record()),
                News::Touch { .. } => None,
            })
            .collect();
        prop_assert_eq!(taken_in(&records, true), taken_in(&records, false));
    }

    #[test]
    fn any_order_ends_the_same(
        (all, shuffled) in prop::collection::vec(news(), 1..40)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let (one, held) = after(&all);
        let (other, held_there) = after(&shuffled);
        prop_assert_eq!(held, held_there);
        for range in KeyRange::all() {
            prop_assert_eq!(one.digest(range), other.digest(range));
        }
    }
}
