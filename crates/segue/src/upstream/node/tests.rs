use proto::keyring::{FARM_KEY_BYTES, FarmKey, Keyring};
use proto::record::{Deadlines, Kind};

use super::*;
use crate::{Ack, Cache, Config, Node, Transport};

fn config(name: &str, peers: &[&Node]) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).expect("one key");
    let peers = peers.iter().map(|node| node.status().address).collect();
    Config { transport: Transport::Unicast, peers, ..Config::new(name, keys) }
}

async fn start(config: Config) -> Node {
    let node = Node::start(config).expect("any port");
    node.ready().await;
    node
}

/// A node of a farm below, linked to a node of one above.
async fn below(above: &Node) -> (Node, Session) {
    let node = start(config("below", &[])).await;
    let link = node.links().connect(above.status().address).await.expect("it answers");
    let holdings = Arc::clone(&node.cache().shared.holdings);
    (node, Session::new(link, holdings))
}

fn key(id: &[u8]) -> Key {
    Key::new(Kind::Tls, id).expect("a short id")
}

fn batch(items: &[Item<'_>]) -> Batch {
    let mut batch = Batch::default();
    items.iter().for_each(|item| batch.push(item));
    batch
}

/// Writes a record at a node, and gives it as it is there.
async fn written<'a>(cache: &Cache, id: &[u8], value: &'a [u8]) -> Record<'a> {
    let deadlines = Deadlines::at(cache.now() + Duration::from_secs(60));
    let written = cache.put(&key(id), value, deadlines, Ack::Local).await.expect("there is room");
    Record { key: key(id), version: written.version, deadlines, body: Body::Value(value) }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_above_is_at_every_node_there_and_is_answered() {
    let core = start(config("core-1", &[])).await;
    let second = start(config("core-2", &[&core])).await;
    let (edge, session) = below(&core).await;
    let large = vec![7; proto::record::MAX_PAYLOAD_BYTES];
    for value in [&b"small"[..], b"", &large] {
        let record = written(&edge.cache(), b"id", value).await;
        let taken = session.store(&batch(&[Item::Record(record)])).await.expect("the link stands");
        assert_eq!(taken, Taken::default());
        for node in [&core, &second] {
            let found = node.cache().peek(&record.key).expect("confirmed");
            assert_eq!((&**found.value, found.version), (value, record.version));
        }
        let answered = session.get(&record.key, PATIENCE, 1).await.expect("the link stands");
        assert_eq!(answered.record(), Some(record));
    }
    let absent = session.get(&key(b"other"), PATIENCE, 1).await.expect("the link stands");
    assert_eq!(absent.record(), None);
    session.probe().await.expect("the link stands");
    assert_eq!((core.status().links.live, edge.status().links.live), (1, 1));
}

/// Whoever has no answer keeps the batch and sends it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_leaves_a_batch_without_an_answer() {
    let core = start(config("core", &[])).await;
    let (edge, session) = below(&core).await;
    let record = written(&edge.cache(), b"id", b"value").await;
    core.cache().shared.writes.close();
    let taken = session.store(&batch(&[Item::Record(record)])).await;
    assert!(matches!(taken, Err(SessionError::Ended(_))), "{taken:?}");
}

/// One record that finds no room fails by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_fails_alone() {
    let core = start(Config { memory_bytes: 256 << 10, ..config("core", &[]) }).await;
    let (edge, session) = below(&core).await;
    let large = vec![7; proto::record::MAX_PAYLOAD_BYTES / 2];
    let cache = edge.cache();
    let first = written(&cache, b"first", b"value").await;
    let large = written(&cache, b"large", &large).await;
    let last = written(&cache, b"last", b"value").await;
    let items = [first, large, last].map(Item::Record);
    let taken = session.store(&batch(&items)).await.expect("the link stands");
    assert_eq!(taken.exceptions, [(1, Fate::Refused)]);
    for (record, is_there) in [(first, true), (large, false), (last, true)] {
        assert_eq!(core.cache().peek(&record.key).is_some(), is_there);
    }
}

/// Who deletes may not know for how long the record was to live.
#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_outlives_what_it_deletes() {
    let core = start(config("core", &[])).await;
    let (edge, session) = below(&core).await;
    let cache = edge.cache();
    let mut record = written(&cache, b"id", b"value").await;
    record.deadlines.absolute = cache.now() + Duration::from_secs(90);
    let later = written(&cache, b"id", b"later").await;
    let ends = Deadlines::at(cache.now() + Duration::from_secs(30));
    let dead = Record { body: Body::Deleted, deadlines: ends, ..later };
    for item in [record, dead].map(Item::Record) {
        session.store(&batch(&[item])).await.expect("the link stands");
    }
    let tombstone = core.cache().deleted(&record.key).expect("it was deleted");
    assert_eq!(tombstone.deadlines.absolute, record.deadlines.absolute);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_touches_and_rotations_go_up_and_a_late_write_revives_nothing() {
    let core = start(config("core", &[])).await;
    let (edge, session) = below(&core).await;
    let cache = edge.cache();
    let first = written(&cache, b"first", b"value").await;
    let touch = Item::Touch {
        key: first.key,
        time: first.version.time,
        idle: first.deadlines.idle + Duration::from_secs(9),
    };
    // Its record is not there yet.
    let taken = session.store(&batch(&[touch])).await.expect("the link stands");
    assert_eq!(taken.exceptions, [(0, Fate::Missing)]);
    let taken = session.store(&batch(&[Item::Record(first), touch])).await.expect("it stands");
    assert_eq!(taken, Taken::default());
    let found = core.cache().peek(&first.key).expect("it was stored");
    assert_eq!(found.deadlines.idle, first.deadlines.idle + Duration::from_secs(9));

    let new = written(&cache, b"new", b"value").await;
    let dead = written(&cache, b"first", b"later").await;
    let dead = Record { body: Body::Deleted, ..dead };
    session.store(&batch(&[Item::Rotate { old: dead, new }])).await.expect("it stands");
    assert!(core.cache().peek(&first.key).is_none() && core.cache().peek(&new.key).is_some());
    // The value from before comes late.
    let taken = session.store(&batch(&[Item::Record(first)])).await.expect("it stands");
    assert_eq!(taken.exceptions, [(0, Fate::Deleted)]);
    assert!(core.cache().peek(&first.key).is_none());
    let answered = session.get(&first.key, PATIENCE, 1).await.expect("it stands");
    assert_eq!(answered.record().map(|record| record.body), Some(Body::Deleted));
}

/// What one node begins and does not end stops no other one.
#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_left_unfinished_stop_nobody_else() {
    let core = start(config("core", &[])).await;
    let (_stuck, stuck) = below(&core).await;
    let mut unfinished = Vec::new();
    for _ in 0..32 {
        unfinished.push(stuck.link.open(Purpose::Batch).await.expect("the link stands"));
    }
    stuck.probe().await.expect("it is answered behind them");
    let (edge, session) = below(&core).await;
    let record = written(&edge.cache(), b"id", b"value").await;
    let stored = session.store_within(PATIENCE, &batch(&[Item::Record(record)])).await;
    assert_eq!(stored.expect("in time"), Taken::default());
    assert!(core.cache().peek(&record.key).is_some());
}

/// The records of touches may be far longer than the touches.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn all_records_are_brought_whose_touches_had_nothing_to_touch() {
    let core = start(config("core", &[])).await;
    let (edge, session) = below(&core).await;
    let cache = edge.cache();
    let large = vec![7; proto::record::MAX_PAYLOAD_BYTES];
    let (mut records, mut writes) = (Vec::new(), Vec::new());
    for id in [b"one", b"two", b"six"] {
        let record = written(&cache, id, &large).await;
        let (time, idle) = (record.version.time, record.deadlines.idle);
        let mut value = Vec::new();
        Item::Touch { key: record.key, time, idle }.encode(&mut value);
        writes.push(Write { value: value.into(), ..super::super::queue::tests::write(1, false) });
        records.push(record);
    }
    let mut became = Vec::new();
    session.store_all(writes, PATIENCE, |_, stored| became.push(stored)).await;
    assert_eq!(became, [Stored::Written, Stored::Written, Stored::Written]);
    assert!(records.iter().all(|record| core.cache().peek(&record.key).is_some()));
}

/// What came before may not have been confirmed then.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_news_is_confirmed_by_others_all_the_same() {
    let core = start(config("core-1", &[])).await;
    let _second = start(config("core-2", &[&core])).await;
    let edge = start(config("edge", &[])).await;
    let cache = edge.cache();
    let first = written(&cache, b"id", b"first").await;
    let later = written(&cache, b"id", b"later").await;
    let touch = Item::Touch {
        key: later.key,
        time: later.version.time,
        idle: later.deadlines.idle + Duration::from_secs(9),
    };
    for item in [Item::Record(later), Item::Record(first), touch, touch] {
        let adopted = core.cache().adopt(&item, proto::nak::acks::Ack::One).await;
        let adopted = adopted.expect("it lives");
        assert_eq!(adopted.fate, None);
        adopted.confirmed.expect("it is passed on").await.expect("the other has it");
    }
    assert_eq!(&**core.cache().peek(&later.key).expect("it is there").value, b"later");
}
