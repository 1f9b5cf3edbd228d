//! Any operations in any order, against a plain map.
//!
//! The table may lose what the map keeps, but only for reasons that it
//! counts: each record that is gone must be one that ended, a value that was
//! evicted or a tombstone that was forgotten, and the figures must say so.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::entry;
use super::super::tally::mix;
use super::super::{Applied, KeyRange, Refusal, Stats, Table, Touched};
use super::{Owned, contents, joining, key, table, version, wall};
use crate::record::merge::{Merge, merge};
use crate::record::{Deadlines, Hlc, Key, Kind, Touch};
use crate::time::Wall;

#[derive(Debug, Clone)]
enum Operation {
    Apply(Owned),
    Touch { key: Key, time: u64, idle: Wall },
    Get(Key),
    Expire { limit: usize },
    Pass { millis: u64 },
}

fn keys() -> impl Strategy<Value = Key> {
    (prop::sample::select(vec![Kind::Tls, Kind::Web]), 0..24_u32)
        .prop_map(|(kind, id)| key(kind, id))
}

/// Deadlines within or beyond what the clock of a run reaches.
fn deadlines() -> impl Strategy<Value = Wall> {
    prop_oneof![(1..2_000_u64).prop_map(wall), Just(Wall::MAX)]
}

fn payloads() -> impl Strategy<Value = Option<Vec<u8>>> {
    let sizes = prop_oneof![6 => 0..300_usize, 2 => 300..5_000_usize, 1 => 5_000..30_000_usize];
    let value = (sizes, any::<u8>()).prop_map(|(len, byte)| Some(vec![byte; len]));
    prop_oneof![4 => value, 1 => Just(None)]
}

fn operations() -> impl Strategy<Value = Operation> {
    let content = prop_oneof![3 => (keys(), payloads()), 1 => joining()];
    let record = (content, 1..500_u64, deadlines(), deadlines()).prop_map(
        |((key, payload), time, idle, absolute)| {
            let deadlines = Deadlines { idle, absolute };
            Operation::Apply(Owned { key, version: version(time), deadlines, payload })
        },
    );
    prop_oneof![
        10 => record,
        3 => (keys(), 1..500_u64, deadlines())
            .prop_map(|(key, time, idle)| Operation::Touch { key, time, idle }),
        5 => keys().prop_map(Operation::Get),
        1 => (0..4_usize).prop_map(|limit| Operation::Expire { limit }),
        1 => (0..300_u64).prop_map(|millis| Operation::Pass { millis }),
    ]
}

/// The plain map, and what it knows of the table's losses.
struct Model {
    now: Wall,
    held: BTreeMap<Key, Owned>,
    forgotten_to: Option<Hlc>,
    /// Keys deleted for good, until their tombstones end or are forgotten.
    deleted: BTreeMap<Key, Wall>,
}

impl Model {
    fn new() -> Self {
        let (held, deleted) = (BTreeMap::new(), BTreeMap::new());
        Self { now: wall(0), held, forgotten_to: None, deleted }
    }

    fn apply(&mut self, record: &Owned) -> Applied {
        let record = &record.clone().normal();
        let ended = entry::record_end(&record.record()) <= self.now;
        let Some(held) = self.held.get_mut(&record.key) else {
            if ended {
                return Applied::Refused(Refusal::Expired);
            }
            if Some(record.version.time) <= self.forgotten_to {
                return Applied::Refused(Refusal::Forgotten);
            }
            self.hold(record.clone());
            return Applied::New;
        };
        match merge(&held.record(), &record.record()) {
            Merge::Replace(_) if ended && held.payload.is_some() => {
                self.held.remove(&record.key);
                Applied::Refused(Refusal::Expired)
            }
            Merge::Join(joined) => {
                let joined = Owned::of(&joined.record(record.key));
                if entry::record_end(&joined.record()) <= self.now {
                    self.held.remove(&record.key);
                    return Applied::Refused(Refusal::Expired);
                }
                self.hold(joined);
                Applied::Replaced
            }
            _ if ended => Applied::Refused(Refusal::Expired),
            Merge::Keep => Applied::Kept,
            Merge::Touch(idle) => {
                held.deadlines.idle = idle;
                Applied::Touched
            }
            Merge::Replace(idle) => {
                let deadlines = Deadlines { idle, ..record.deadlines };
                self.hold(Owned { deadlines, ..record.clone() });
                Applied::Replaced
            }
        }
    }

    fn hold(&mut self, record: Owned) {
        if record.payload.is_none() && record.key.kind().delete_is_final() {
            let absolute = record.deadlines.absolute;
            let end = self.deleted.entry(record.key).or_insert(absolute);
            *end = absolute.min(*end);
        }
        self.held.insert(record.key, record);
    }

    fn touch(&mut self, key: Key, time: u64, idle: Wall) -> Touched {
        let Some(held) = self.held.get_mut(&key).filter(|held| held.version.time.0 >= time) else {
            return Touched::Missing;
        };
        let late = idle <= held.deadlines.idle || idle <= self.now;
        if held.version.time.0 > time || late {
            return Touched::Stale;
        }
        held.deadlines.idle = idle;
        if held.payload.is_some() { Touched::Moved } else { Touched::Stale }
    }

    fn live(&self, key: Key) -> Option<&Owned> {
        let held = self.held.get(&key)?;
        (held.payload.is_some() && held.deadlines.end() > self.now).then_some(held)
    }

    /// Compares with what the table holds, and lets go of what it lost for a
    /// reason that its figures name.
    fn reconcile(&mut self, table: &Table, before: Stats, dropped: u64) {
        let actual = contents(table, 4_000);
        let after = table.stats();
        let mut ended = 0;
        let mut evicted = 0;
        let mut forgotten = 0;
        let tombstone_bytes: usize = self
            .held
            .values()
            .filter(|held| held.payload.is_none())
            .map(|held| entry::footprint(&held.record()).unwrap())
            .sum();
        let lost: Vec<Key> =
            self.held.keys().filter(|key| !actual.contains_key(key)).copied().collect();
        for key in lost {
            let held = self.held.remove(&key).unwrap();
            if entry::record_end(&held.record()) <= self.now {
                ended += 1;
            } else if held.payload.is_some() {
                evicted += 1;
            } else {
                forgotten += 1;
                self.forgotten_to = self.forgotten_to.max(Some(held.version.time));
                self.deleted.remove(&key);
                let log_bytes = table.shards[0].lock().log().len();
                assert!(tombstone_bytes > log_bytes / 4, "forgotten while there were few");
            }
        }
        assert_eq!(ended + dropped, after.expired - before.expired);
        assert_eq!(evicted, after.evicted - before.evicted);
        assert_eq!(forgotten, after.forgotten - before.forgotten);
        assert_eq!(actual, self.held);
        self.check_figures(table, after);
        self.check_deleted();
    }

    fn check_figures(&self, table: &Table, stats: Stats) {
        let values = self.held.values().filter(|held| held.payload.is_some());
        assert_eq!(stats.records, values.count() as u64);
        assert_eq!(stats.records + stats.tombstones, self.held.len() as u64);
        assert_eq!(stats.by_kind.iter().sum::<u64>(), stats.records);
        let bytes = |held: &Owned| entry::footprint(&held.record()).unwrap() as u64;
        assert_eq!(stats.bytes, self.held.values().map(bytes).sum::<u64>());
        for range in KeyRange::all() {
            let mixed = self.held.values().map(|held| (table.hash(&held.key), held.version));
            let within = mixed.filter(|&(hash, _)| KeyRange::of(hash) == range);
            let digest = within.fold(0, |sum, (hash, version)| sum ^ mix(hash, version));
            assert_eq!(table.digest(range), digest);
        }
    }

    /// Nothing that was deleted for good has come back.
    fn check_deleted(&mut self) {
        let now = self.now;
        self.deleted.retain(|_, end| *end > now);
        for key in self.deleted.keys() {
            assert!(self.held.get(key).is_none_or(|held| held.payload.is_none()), "{key:?}");
        }
    }

    fn step(&mut self, table: &Table, operation: &Operation) {
        let before = table.stats();
        let mut dropped = 0;
        match operation {
            Operation::Apply(record) => {
                let applied = table.apply(&record.record(), self.now);
                let overwritten = self.held.len();
                assert_eq!(applied, self.apply(record), "{record:?}");
                dropped = u64::from(self.held.len() < overwritten);
            }
            Operation::Touch { key, time, idle } => {
                let touch = Touch { hash: table.hash(key), time: Hlc(*time), idle: *idle };
                assert_eq!(table.touch(&touch, self.now), self.touch(*key, *time, *idle));
            }
            Operation::Get(key) => {
                let found = table.get(key, self.now, Owned::of);
                assert_eq!(found.as_ref(), self.live(*key));
                let held = table.peek_hash(table.hash(key), Owned::of);
                assert_eq!(held.as_ref(), self.held.get(key));
            }
            Operation::Expire { limit } => {
                let expired = table.expire(self.now, *limit, |_| ());
                assert_eq!(expired as u64, table.stats().expired - before.expired);
                let end = |held: &&Owned| entry::record_end(&held.record()) <= self.now;
                let due = self.held.values().filter(end).count();
                assert_eq!(expired, due.min(*limit));
            }
            Operation::Pass { millis } => self.now = wall(self.now.as_millis() + millis),
        }
        self.reconcile(table, before, dropped);
    }
}

proptest! {
    #[test]
    fn any_operations_agree_with_a_plain_map(
        operations in prop::collection::vec(operations(), 1..300),
    ) {
        let table = table(72 << 10);
        let mut model = Model::new();
        for operation in &operations {
            model.step(&table, operation);
        }
    }
}
