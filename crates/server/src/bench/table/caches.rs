//! The caches that are measured, all in the same form.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io;

use proto::record::{Body, Deadlines, HybridClock, Key, Kind, Record, Version, Writer};
use proto::table::{Config, Region, Table};
use proto::time::Wall;

use sys::memory::Region as Memory;

use super::work::{Cache, Id};

/// The time of all measurements: what is stored then does not end.
const NOW: Wall = Wall::from_millis(1 << 40);

/// What a record takes at most beside its content, in a table that is full.
const OVERHEAD_BYTES: usize = 52;

/// A table, and the clock that its versions come from, as in a node.
pub(super) struct Segue {
    table: Table,
    clock: HybridClock,
}

impl Segue {
    /// In the memory that a node gives its table: wiped, left out of core
    /// dumps, and in huge pages where there are any.
    pub(super) fn in_huge_pages(capacity_bytes: usize) -> io::Result<Self> {
        let region = |bytes| Memory::new(bytes).map(|memory| Box::new(memory) as Box<dyn Region>);
        let table = Table::with_memory(config(capacity_bytes), region)?;
        Ok(Self { table, clock: HybridClock::default() })
    }

    /// In the allocator's memory.
    pub(super) fn in_small_pages(capacity_bytes: usize) -> Self {
        Self { table: Table::new(config(capacity_bytes)), clock: HybridClock::default() }
    }

    /// With room for so many records of 32-byte ids, and hardly more.
    pub(super) fn for_records(records: u32, value_bytes: usize) -> io::Result<Self> {
        Self::in_huge_pages(records as usize * (32 + value_bytes + OVERHEAD_BYTES))
    }

    /// How many records it holds.
    pub(super) fn records(&self) -> u64 {
        self.table.stats().records
    }
}

/// The secrets are fixed, so that one run compares with another.
const fn config(capacity_bytes: usize) -> Config {
    Config { capacity_bytes, placement_secret: [1; 32], own_secret: [2; 32] }
}

impl Cache for &Segue {
    fn get(&mut self, id: &Id, value: &mut [u8]) -> bool {
        let copy = |record: &Record<'_>| {
            if let Body::Value(payload) = record.body {
                value[..payload.len()].copy_from_slice(payload);
            }
        };
        self.table.get(&key(id), NOW, copy).is_some()
    }

    fn put(&mut self, id: &Id, value: &[u8]) {
        let version = Version { time: self.clock.tick(NOW), writer: Writer(1) };
        let deadlines = Deadlines::at(Wall::MAX);
        self.table
            .apply(&Record { key: key(id), version, deadlines, body: Body::Value(value) }, NOW);
    }
}

fn key(id: &Id) -> Key {
    Key::new(Kind::Web, id).expect("shorter than the longest id")
}

/// The standard library's map, which is hashbrown's, of boxed values: what a look-up costs with no lock, no bound, no
/// deadline and no eviction.
pub(super) type Plain<S> = HashMap<Id, Box<[u8]>, S>;

impl<S: BuildHasher> Cache for Plain<S> {
    fn get(&mut self, id: &Id, value: &mut [u8]) -> bool {
        let held = Self::get(self, id);
        held.is_some_and(|held| copy(held, value))
    }

    fn put(&mut self, id: &Id, value: &[u8]) {
        self.insert(*id, value.into());
    }
}

fn copy(held: &[u8], value: &mut [u8]) -> bool {
    value[..held.len()].copy_from_slice(held);
    true
}

/// The caches that others made, where they are built in.
#[cfg(feature = "bench-peers")]
pub(super) mod peers {
    use std::sync::Arc;

    use super::{Cache, Id, copy};

    /// What a cache gives out must outlive its lock, so it is counted.
    type Value = Arc<[u8]>;

    pub(in super::super) type QuickCache = quick_cache::sync::Cache<Id, Value>;
    pub(in super::super) type Moka = moka::sync::Cache<Id, Value>;
    pub(in super::super) type DashMap = dashmap::DashMap<Id, Value>;

    impl Cache for &QuickCache {
        fn get(&mut self, id: &Id, value: &mut [u8]) -> bool {
            QuickCache::get(self, id).is_some_and(|held| copy(&held, value))
        }

        fn put(&mut self, id: &Id, value: &[u8]) {
            self.insert(*id, value.into());
        }
    }

    impl Cache for &Moka {
        fn get(&mut self, id: &Id, value: &mut [u8]) -> bool {
            Moka::get(self, id).is_some_and(|held| copy(&held, value))
        }

        fn put(&mut self, id: &Id, value: &[u8]) {
            self.insert(*id, value.into());
        }
    }

    impl Cache for &DashMap {
        fn get(&mut self, id: &Id, value: &mut [u8]) -> bool {
            DashMap::get(self, id).is_some_and(|held| copy(&held, value))
        }

        fn put(&mut self, id: &Id, value: &[u8]) {
            self.insert(*id, value.into());
        }
    }
}
