//! What the table promises, beyond what its parts test beside themselves.

mod converge;
mod model;
mod promises;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Config, Cursor, KeyRanges, Table};
use crate::record::testing::Owned;
use crate::record::{Body, Deadlines, Hlc, Key, Kind, Record, Version, Writer};
use crate::state::testing;
use crate::time::Wall;

fn table(capacity_bytes: usize) -> Table {
    Table::new(Config { capacity_bytes, placement_secret: [1; 32], own_secret: [2; 32] })
}

fn key(kind: Kind, id: u32) -> Key {
    Key::new(kind, &id.to_be_bytes()).unwrap()
}

fn version(time: u64) -> Version {
    Version { time: Hlc(time), writer: Writer(7) }
}

const fn wall(millis: u64) -> Wall {
    Wall::from_millis(millis)
}

/// A value that never ends.
fn value(key: Key, time: u64, payload: &[u8]) -> Record<'_> {
    let deadlines = Deadlines::at(Wall::MAX);
    Record { key, version: version(time), deadlines, body: Body::Value(payload) }
}

/// A tombstone that never ends.
fn tombstone(key: Key, time: u64) -> Record<'static> {
    let deadlines = Deadlines::at(Wall::MAX);
    Record { key, version: version(time), deadlines, body: Body::Deleted }
}

/// All that is held, by a scan in steps of `limit_bytes`.
fn contents(table: &Table, limit_bytes: usize) -> BTreeMap<Key, Owned> {
    let mut found = BTreeMap::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = table.scan(from, KeyRanges::ALL, limit_bytes, |record| {
            found.insert(record.key, Owned::of(record));
        });
    }
    found
}

/// A key of such a value that joins, the value, or a tombstone.
fn joining() -> impl Strategy<Value = (Key, Option<Vec<u8>>)> {
    let value = (testing::joining(), prop::bool::weighted(0.9), 0..2_u32);
    value.prop_map(|(value, is_value, id)| {
        // Each sort of value has keys of its own, as it has in a farm.
        let key = key(value.kind, 1_000 + 10 * u32::from(value.of) + id);
        (key, is_value.then_some(value.payload))
    })
}
