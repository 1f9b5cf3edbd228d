use super::*;
use crate::cluster::slots::{Slot, SlotSet};
use crate::record::{Hlc, Kind, Version, Writer};
use crate::table::Config;

const NOW: Wall = Wall::from_millis(1_000_000);

fn table() -> Table {
    let (placement_secret, own_secret) = ([1; 32], [2; 32]);
    Table::new(Config { capacity_bytes: 1 << 20, placement_secret, own_secret })
}

/// Holdings that keep nothing of `key`'s slot, and the key's hash.
fn without(key: &Key) -> (Holdings, KeyHash) {
    let holdings = Holdings::new(table()).with_near(table());
    let hash = holdings.hash(key);
    let mut kept = SlotSet::all();
    kept.remove(Slot::of(hash));
    holdings.kept().set(&kept);
    (holdings, hash)
}

fn key() -> Key {
    Key::new(Kind::Tls, b"session").expect("a short id")
}

fn record(time: u64, body: Body<'static>) -> Record<'static> {
    let version = Version { time: Hlc(NOW.as_millis() << 16 | time), writer: Writer(1) };
    let deadlines = Deadlines::at(NOW + Duration::from_secs(3_600));
    Record { key: key(), version, deadlines, body }
}

fn value_of(holdings: &Holdings) -> Option<Vec<u8>> {
    holdings.get(&key(), NOW, |record| match record.body {
        Body::Value(value) => value.to_vec(),
        Body::Deleted => unreachable!("get gives values only"),
    })
}

#[test]
fn what_is_kept_goes_into_the_portion() {
    let holdings = Holdings::new(table()).with_near(table());
    assert_eq!(holdings.apply(&record(1, Body::Value(b"a")), NOW), Some(Applied::New));
    assert_eq!(holdings.admit(&record(2, Body::Value(b"b")), NOW), Applied::Replaced);
    assert_eq!(holdings.stats().records, 1);
    assert_eq!(holdings.near_stats().map(|near| near.records), Some(0));
}

#[test]
fn what_is_not_kept_is_near_when_it_is_written_or_asked_for_and_stays_current() {
    let (holdings, hash) = without(&key());
    assert_eq!(holdings.apply(&record(1, Body::Value(b"a")), NOW), None);
    assert_eq!(value_of(&holdings), None);
    holdings.remember(&record(1, Body::Value(b"a")), NOW);
    assert_eq!(value_of(&holdings).as_deref(), Some(&b"a"[..]));
    assert_eq!(holdings.apply(&record(2, Body::Value(b"b")), NOW), Some(Applied::Replaced));
    assert_eq!(value_of(&holdings).as_deref(), Some(&b"b"[..]));
    assert_eq!(holdings.admit(&record(3, Body::Value(b"c")), NOW), Applied::Replaced);
    assert_eq!(holdings.peek_hash(hash, |held| held.version.time.0 & 0xffff), Some(3));
    let stats = holdings.stats();
    assert_eq!((stats.records, stats.hits, stats.misses), (0, 2, 1));
}

#[test]
fn a_late_answer_does_not_revive_what_was_deleted_in_passing() {
    let (holdings, _) = without(&key());
    assert_eq!(holdings.apply(&record(2, Body::Deleted), NOW), None);
    holdings.remember(&record(1, Body::Value(b"a")), NOW);
    assert_eq!(value_of(&holdings), None);
}

#[test]
fn what_is_near_is_forgotten_and_what_was_deleted_is_not() {
    let (holdings, _) = without(&key());
    holdings.remember(&record(1, Body::Value(b"a")), NOW);
    assert_eq!(holdings.forget_near(Cursor::START, 1 << 20), None);
    assert_eq!(value_of(&holdings), None);
    holdings.apply(&record(2, Body::Deleted), NOW);
    assert_eq!(holdings.forget_near(Cursor::START, 1 << 20), None);
    holdings.remember(&record(1, Body::Value(b"a")), NOW);
    assert_eq!(value_of(&holdings), None, "it was deleted since");
}

#[test]
fn many_records_are_taken_in_as_one_by_one() {
    let (holdings, hash) = without(&key());
    let kept = Key::new(Kind::Tls, b"other").expect("a short id");
    assert_ne!(Slot::of(holdings.hash(&kept)), Slot::of(hash));
    let other = Record { key: kept, ..record(1, Body::Value(b"x")) };
    let mut records = vec![record(1, Body::Value(b"a")), other];
    let mut told = Vec::new();
    holdings.apply_all(&mut records, NOW, |record, applied| told.push((record.key, applied)));
    assert_eq!(told, [(kept, Applied::New)]);
    assert_eq!(holdings.stats().records, 1);
}

#[test]
fn a_touch_of_what_is_no_concern_is_not_missed() {
    let (holdings, hash) = without(&key());
    let Version { time, .. } = record(1, Body::Deleted).version;
    let touch = Touch { hash, time, idle: NOW + Duration::from_secs(60) };
    assert_eq!(holdings.touch(&touch, NOW), Touched::Stale);
    holdings.kept().set(&SlotSet::all());
    assert_eq!(holdings.touch(&touch, NOW), Touched::Missing);
}

/// However the slot comes and goes, what is read is what was written last.
#[test]
fn a_slot_that_comes_or_goes_leaves_nothing_stale() {
    let (holdings, hash) = without(&key());
    let (none, all) = (holdings.kept().get(), SlotSet::all());
    holdings.admit(&record(1, Body::Value(b"near")), NOW);
    holdings.kept().set(&all);
    assert_eq!(value_of(&holdings).as_deref(), Some(&b"near"[..]));
    holdings.apply(&record(2, Body::Deleted), NOW);
    assert_eq!(value_of(&holdings), None);
    holdings.kept().set(&none);
    assert_eq!(holdings.apply(&record(1, Body::Value(b"near")), NOW), Some(Applied::Kept));
    assert_eq!(value_of(&holdings), None);
    assert!(holdings.concerns(hash));
}
