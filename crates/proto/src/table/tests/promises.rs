//! Promises that take a table of their own to show.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::region::Heap;
use super::super::{Applied, Config, Cursor, KeyRange, KeyRanges, Put, Refusal, Region, Table};
use super::{contents, key, table, tombstone, value, version, wall};
use crate::record::{Body, Deadlines, Key, Kind, MAX_PAYLOAD_BYTES, Record};
use crate::rng::Rng;
use crate::time::Wall;

const NOW: Wall = wall(1_000);

#[test]
fn the_largest_record_fits_a_small_table() {
    let table = table(2 << 20);
    let payload = vec![1; MAX_PAYLOAD_BYTES];
    for id in 0..40 {
        assert_eq!(table.apply(&value(key(Kind::Web, id), 1, &payload), NOW), Applied::New);
        let small = value(key(Kind::Tls, id), 1, &payload[..1_000]);
        assert_eq!(table.apply(&small, NOW), Applied::New);
        assert!(
            table
                .get(&key(Kind::Web, id), NOW, |record| record.body == Body::Value(&payload))
                .unwrap()
        );
    }
}

#[test]
fn a_record_that_can_never_fit_is_refused() {
    let refused = Applied::Refused(Refusal::TooLarge);
    let small = table(256 << 10);
    let payload = vec![1; 256 << 10];
    assert_eq!(small.apply(&value(key(Kind::Web, 1), 1, &payload), NOW), refused);
    let large = table(64 << 20);
    let payload = vec![1; MAX_PAYLOAD_BYTES + 1];
    assert_eq!(large.apply(&value(key(Kind::Web, 1), 1, &payload), NOW), refused);
    assert_eq!(large.stats().refused_too_large, 1);
}

#[test]
fn tombstones_outlive_values_under_pressure() {
    let table = table(1 << 20);
    for id in 0..1_000 {
        assert_eq!(table.apply(&tombstone(key(Kind::Tls, id), 10), NOW), Applied::New);
    }
    for id in 0..100_000 {
        let payload = [0; 300];
        table.apply(&value(key(Kind::Web, id), 20, &payload), NOW);
        table.get(&key(Kind::Web, id / 2), NOW, |_| ());
    }
    let stats = table.stats();
    assert_eq!((stats.tombstones, stats.forgotten), (1_000, 0));
    assert!(stats.evicted > 90_000, "{stats:?}");
}

#[test]
fn nothing_deleted_revives_however_many_tombstones_there_are() {
    let table = table(256 << 10);
    let ids = 0..20_000;
    for id in ids.clone() {
        table.apply(&tombstone(key(Kind::Auth, id), 10), NOW);
    }
    assert!(table.stats().forgotten > 0);
    for id in ids {
        let late = table.apply(&value(key(Kind::Auth, id), 9, b"late"), NOW);
        let refused = [Applied::Kept, Applied::Refused(Refusal::Forgotten)];
        assert!(refused.contains(&late), "{late:?}");
    }
    assert_eq!(table.stats().records, 0);
    let new = value(key(Kind::Auth, 1_000_000), 11, b"new");
    assert_eq!(table.apply(&new, NOW), Applied::New);
}

#[test]
fn nothing_is_evicted_while_dead_space_is_to_be_had() {
    let table = table(4 << 20);
    let mut rng = Rng::from_u64(1);
    // Half of the capacity lives; every write is longer than the last one, so
    // that it dies where it was and goes to the head.
    for round in 0..40 {
        for id in 0..1_000 {
            let size = 1_400 + 15 * round + usize::try_from(rng.below(16)).unwrap();
            let applied =
                table.apply(&value(key(Kind::Web, id), 1 + round as u64, &vec![1; size]), NOW);
            assert!(matches!(applied, Applied::New | Applied::Replaced), "{applied:?}");
        }
    }
    let stats = table.stats();
    assert_eq!((stats.records, stats.evicted), (1_000, 0));
}

#[test]
fn small_records_never_fill_the_index_over() {
    let table = table(128 << 10);
    for id in 0..50_000 {
        assert_eq!(table.apply(&value(key(Kind::Web, id), 1, b""), NOW), Applied::New);
    }
    let stats = table.stats();
    assert_eq!(stats.records + stats.evicted, 50_000);
    assert!(stats.records > 1_000, "{stats:?}");
}

#[test]
fn a_scan_visits_all_that_stays_while_the_table_changes() {
    let table = table(3 << 20);
    let mut rng = Rng::from_u64(2);
    let stays = |id| key(Kind::Auth, id);
    for id in 0..2_000 {
        table.apply(&tombstone(stays(id), 5), NOW);
        table.apply(&value(key(Kind::Web, id), 5, &[0; 900]), NOW);
    }
    let mut seen = BTreeSet::new();
    let mut cursor = Some(Cursor::START);
    let mut steps = 0;
    while let Some(from) = cursor {
        let from = Cursor::from_u64(from.to_u64());
        cursor = table.scan(from, KeyRanges::ALL, 8_000, |record| {
            seen.insert(record.key);
        });
        steps += 1;
        for _ in 0..5 {
            let id = u32::try_from(rng.below(100_000)).unwrap();
            table.apply(&value(key(Kind::Web, id), 6 + steps, &[0; 700]), NOW);
        }
    }
    assert!(table.stats().evicted > 0 && steps > 100);
    assert!((0..2_000).all(|id| seen.contains(&stays(id))));
}

#[test]
fn a_scan_of_some_ranges_visits_them_only() {
    let table = table(32 << 20);
    for id in 0..20_000 {
        table.apply(&value(key(Kind::Web, id), 1, b"some"), NOW);
    }
    let all = contents(&table, 10_000);
    let wanted: KeyRanges = [KeyRange(0), KeyRange(77), KeyRange(255)].into_iter().collect();
    let mut visited = BTreeSet::new();
    let mut cursor = Some(Cursor::START);
    while let Some(from) = cursor {
        cursor = table.scan(from, wanted, 10_000, |record| {
            visited.insert(record.key);
        });
    }
    let of_ranges = |key: &&Key| wanted.contains(KeyRange::of(table.hash(key)));
    let expected: BTreeSet<Key> = all.keys().filter(of_ranges).copied().collect();
    assert!(!expected.is_empty());
    assert_eq!(visited, expected);
}

#[test]
fn any_cursor_is_harmless() {
    let table = table(20 << 20);
    for id in 0..30_000 {
        let size = usize::try_from(id % 7_000).unwrap();
        table.apply(&value(key(Kind::Web, id), 1, &vec![3; size]), NOW);
    }
    let mut rng = Rng::from_u64(3);
    for _ in 0..20_000 {
        // Few high bits, so that many fall within the table.
        let number = rng.next_u64() >> rng.below(64);
        table.scan(Cursor::from_u64(number), KeyRanges::ALL, 1, |_| ());
        let stage = rng.below(4) << 55;
        table.scan(Cursor::from_u64(stage | rng.below(1 << 22)), KeyRanges::ALL, 1, |_| ());
    }
}

#[test]
fn expiry_finds_everything_that_ended_and_nothing_else() {
    let table = table(8 << 20);
    let mut rng = Rng::from_u64(4);
    let mut ends = Vec::new();
    for id in 0..20_000 {
        let end = NOW.as_millis() + 1 + rng.below(1_000);
        ends.push(end);
        let size = usize::try_from(rng.below(500)).unwrap();
        let payload = vec![1; size];
        let deadlines = Deadlines { idle: wall(end), absolute: Wall::MAX };
        let record = Record { deadlines, ..value(key(Kind::Web, id), 1, &payload) };
        assert_eq!(table.apply(&record, NOW), Applied::New);
    }
    assert_eq!(table.stats().evicted, 0);
    let mut dropped = 0;
    for now in (NOW.as_millis()..=NOW.as_millis() + 1_000).step_by(50) {
        dropped += table.expire(wall(now), usize::MAX, |_| ());
        assert_eq!(dropped, ends.iter().filter(|&&end| end <= now).count());
    }
    assert_eq!(dropped, 20_000);
}

#[test]
fn what_comes_to_end_sooner_is_expired_after_looks_in_vain() {
    let table = table(8 << 20);
    let ends_at = |id, time, end| {
        let deadlines = Deadlines { idle: wall(end), absolute: Wall::MAX };
        let record = Record { deadlines, ..value(key(Kind::Web, id), time, b"value") };
        table.apply(&record, NOW)
    };
    for id in 0..1_000 {
        ends_at(id, 1, 9_000);
    }
    let expire = |now, limit| table.expire(wall(now), limit, |_| ());
    assert_eq!(expire(2_000, usize::MAX), 0);
    for id in 0..10 {
        assert_eq!(ends_at(id, 2, 3_000), Applied::Replaced);
        assert_eq!(ends_at(1_000 + id, 1, 4_000), Applied::New);
    }
    assert_eq!(expire(2_999, usize::MAX), 0);
    // What a limit leaves goes the next time.
    assert_eq!([3, 3, 9, 9].map(|limit| expire(3_000, limit)), [3, 3, 4, 0]);
    assert_eq!(expire(4_000, usize::MAX), 10);
    assert_eq!(expire(8_999, usize::MAX), 0);
    assert_eq!(expire(9_000, usize::MAX), 990);
}

/// What a payload in these tests is made of; no header has four in a row.
const SECRET: [u8; 4] = [0xa5; 4];

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

#[test]
fn what_leaves_is_wiped() {
    let table = table(128 << 10);
    let secret = |id, time, len: usize| {
        let payload = [SECRET[0]; 9_000];
        let deadlines = Deadlines { idle: wall(5_000), absolute: Wall::MAX };
        let record = Record { deadlines, ..value(key(Kind::Web, id), time, &payload[..len]) };
        table.apply(&record, NOW);
    };
    for id in 0..2_000 {
        secret(id, 1, usize::try_from(id % 9_000).unwrap());
        secret(id / 2, 2 + u64::from(id), 500);
        secret(id / 3, 3 + u64::from(id), 100);
        table.get(&key(Kind::Web, id / 2), NOW, |_| ());
    }
    assert!(holds_secret(table.shards[0].lock().log()));
    for id in (0..2_000).step_by(2) {
        table.apply(&tombstone(key(Kind::Web, id), 1_000_000), NOW);
    }
    assert!(table.expire(wall(6_000), usize::MAX, |_| ()) > 0);
    assert!(!holds_secret(table.shards[0].lock().log()));
}

/// Memory that looks at itself when it is given back.
struct Witness {
    memory: Heap,
    held_secret: Arc<AtomicBool>,
}

impl Deref for Witness {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory
    }
}

impl DerefMut for Witness {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.held_secret.store(holds_secret(self), Ordering::Relaxed);
    }
}

#[test]
fn a_dropped_table_leaves_nothing() {
    let held_secret = Arc::new(AtomicBool::new(true));
    let region = |len| {
        let memory = Heap::new(len);
        Ok::<_, Infallible>(
            Box::new(Witness { memory, held_secret: Arc::clone(&held_secret) }) as Box<dyn Region>
        )
    };
    let config = Config { capacity_bytes: 1 << 20, placement_secret: [1; 32], own_secret: [2; 32] };
    let Ok(table) = Table::with_memory(config, region);
    for id in 0..5_000 {
        table.apply(&value(key(Kind::Tls, id), 1, &[SECRET[0]; 200]), NOW);
    }
    assert!(holds_secret(table.shards[0].lock().log()));
    drop(table);
    assert!(!held_secret.load(Ordering::Relaxed));
}

#[test]
fn a_write_of_the_same_value_keeps_its_version() {
    let table = table(1 << 20);
    let key = key(Kind::Web, 1);
    let hash = table.hash(&key);
    let record = |time, idle, payload| Record {
        deadlines: Deadlines { idle: wall(idle), absolute: wall(1_000) },
        ..value(key, time, payload)
    };
    let put = |record: Record<'_>| table.put(hash, &record, wall(50));
    let same = |moved| Put::Same { version: version(1), moved };
    assert_eq!(put(record(1, 100, b"a")), Put::Applied(Applied::New));
    assert_eq!(put(record(2, 100, b"a")), same(false));
    assert_eq!(put(record(3, 200, b"a")), same(true));
    assert_eq!(table.peek_hash(hash, |held| held.deadlines.idle), Some(wall(200)));
    assert_eq!(put(record(4, 150, b"a")), Put::Applied(Applied::Replaced), "an earlier end");
    assert_eq!(put(record(5, 150, b"b")), Put::Applied(Applied::Replaced));
    // What has ended is written anew.
    let later = record(6, 900, b"b");
    assert_eq!(table.put(hash, &later, wall(160)), Put::Applied(Applied::Replaced));
}
