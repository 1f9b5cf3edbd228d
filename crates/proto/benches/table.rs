//! The hash and the table by themselves: `cargo bench -p proto`. The daemon's
//! `segue bench table` measures them beside other caches.

use divan::{Bencher, black_box};
use proto::buzhash::BuzHash;
use proto::record::{Body, Deadlines, Key, Kind, Record, Version};
use proto::table::{Config, Table};
use proto::time::Wall;

const NOW: Wall = Wall::from_millis(1_000_000);
const ENTRIES: u64 = 20_000;

fn main() {
    divan::main();
}

fn key(number: u64) -> Key {
    let mut id = [7; 32];
    id[..8].copy_from_slice(&number.to_le_bytes());
    Key::new(Kind::Tls, &id).expect("32 bytes")
}

fn record(number: u64) -> Record<'static> {
    Record {
        key: key(number),
        version: Version::default(),
        deadlines: Deadlines::at(Wall::MAX),
        body: Body::Value(&[1; 200]),
    }
}

fn table() -> Table {
    table_of(64 << 20)
}

fn table_of(capacity_bytes: usize) -> Table {
    let config = Config { capacity_bytes, placement_secret: [1; 32], own_secret: [2; 32] };
    let table = Table::new(config);
    (0..ENTRIES).for_each(|number| {
        table.apply(&record(number), NOW);
    });
    table
}

#[divan::bench(args = [8, 32, 64, 1_000])]
fn buzhash(bencher: Bencher<'_, '_>, bytes: usize) {
    let (hash, input) = (BuzHash::new(&[1; 32]), vec![7; bytes]);
    bencher.bench(|| hash.hash(black_box(&input)));
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let (table, key) = (table(), key(17));
    bencher.bench(|| table.get(black_box(&key), NOW, |held| held.version));
}

#[divan::bench]
fn apply_what_is_there(bencher: Bencher<'_, '_>) {
    let (table, record) = (table(), record(17));
    bencher.bench(|| table.apply(black_box(&record), NOW));
}

#[divan::bench]
fn expire_when_nothing_is_due(bencher: Bencher<'_, '_>) {
    let table = table_of(1 << 30);
    bencher.bench(|| table.expire(black_box(NOW), usize::MAX, |_| ()));
}
