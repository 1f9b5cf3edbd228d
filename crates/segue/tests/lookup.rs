//! Look-ups at other nodes, over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use segue::{
    Ack, Cache, Config, Deadlines, FARM_KEY_BYTES, FarmKey, Keep, Key, Keyring, Kind, Node,
    Portion, Transport,
};

fn config(name: &str, peers: &[&Node]) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).unwrap();
    let peers = peers.iter().map(|node| node.status().address).collect();
    let config = Config::new(name, keys);
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ..config }
}

async fn start(config: Config) -> Node {
    let node = Node::start(config).unwrap();
    node.ready().await;
    node
}

/// A node that keeps nothing, and looks up for so long that a slow machine
/// makes no difference.
async fn asker(name: &str, peers: &[&Node]) -> Node {
    let patient = Duration::from_secs(5);
    let node = Config {
        portion: Portion { keep: Keep::Nothing, ..Portion::default() },
        lookup_timeout: patient,
        ..config(name, peers)
    };
    start(node).await
}

fn key(id: u32) -> Key {
    Key::new(Kind::Web, &id.to_be_bytes()).unwrap()
}

fn soon(cache: &Cache) -> Deadlines {
    Deadlines::at(cache.now() + Duration::from_secs(60))
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < limit, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_holds_is_found_there_and_kept_near() {
    let a = start(config("a", &[])).await;
    let large: Vec<u8> = (0..=250).cycle().take(segue::MAX_PAYLOAD_BYTES).collect();
    let written: [(u32, &[u8]); 3] = [(1, b"one"), (2, &[7; 3_000]), (3, &large)];
    for (id, value) in written {
        a.cache().put(&key(id), value, soon(&a.cache()), Ack::Local).await.unwrap();
    }
    let b = asker("b", &[&a]).await;
    let cache = b.cache();
    for (id, value) in written {
        assert!(cache.peek(&key(id)).is_none());
        let found = cache.get(&key(id)).await.expect("a has it");
        assert!(*found.value == value, "record {id}");
        assert_eq!(found.version, a.cache().peek(&key(id)).unwrap().version);
    }
    assert!(cache.peek(&key(1)).is_some() && cache.get(&key(1)).await.is_some());
    assert!(cache.get(&key(9)).await.is_none());
    let stats = b.status().lookups;
    assert_eq!((stats.hits_local, stats.hits_remote, stats.misses), (0, 3, 1));
    assert_eq!(stats.hits_near, 2);
    assert_eq!(stats.latency.counts.iter().sum::<u64>(), 4);
    // What is held near follows what is written.
    let newer = a.cache().put(&key(1), b"newer", soon(&a.cache()), Ack::All).await.unwrap();
    eventually("b has heard", || cache.peek(&key(1)).unwrap().version == newer.version).await;
    a.cache().remove(&key(1), Ack::All).await.unwrap();
    eventually("b has heard", || cache.peek(&key(1)).is_none()).await;
    assert!(cache.get(&key(1)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_keeps_all_asks_nobody() {
    let a = start(config("a", &[])).await;
    let b = start(config("b", &[&a])).await;
    for node in [&a, &b] {
        assert!(node.cache().get(&key(1)).await.is_none());
        eventually("figures are made anew", || node.status().lookups.misses == 1).await;
        assert_eq!(node.status().lookups.queries, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_miss_one_key_ask_once() {
    let a = start(config("a", &[])).await;
    a.cache().put(&key(1), b"one", soon(&a.cache()), Ack::Local).await.unwrap();
    let b = asker("b", &[&a]).await;
    let gets: Vec<_> = (0..100)
        .map(|_| {
            let cache = b.cache();
            tokio::spawn(async move { cache.get(&key(1)).await })
        })
        .collect();
    for get in gets {
        assert!(get.await.unwrap().is_some());
    }
    eventually("figures are made anew", || b.status().lookups.queries > 0).await;
    assert_eq!(b.status().lookups.queries, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_leaves_nothing_behind() {
    let a = start(config("a", &[])).await;
    let b = asker("b", &[&a]).await;
    let cache = b.cache();
    for id in 0..1_000 {
        let given_up = tokio::time::timeout(Duration::ZERO, cache.get(&key(id))).await;
        assert!(!matches!(given_up, Ok(Some(_))));
    }
    a.cache().put(&key(1), b"one", soon(&a.cache()), Ack::All).await.unwrap();
    assert!(cache.get(&key(1)).await.is_some(), "an absence from before is forgotten");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_elsewhere_can_be_changed_here() {
    let a = start(config("a", &[])).await;
    let at_a = a.cache();
    for id in 1..=3 {
        at_a.put(&key(id), b"value", soon(&at_a), Ack::Local).await.unwrap();
    }
    let b = asker("b", &[&a]).await;
    let at_b = b.cache();
    let later = at_b.now() + Duration::from_secs(30);
    at_a.put(
        &key(4),
        b"value",
        Deadlines { idle: at_a.now() + Duration::from_secs(20), ..soon(&at_a) },
        Ack::Local,
    )
    .await
    .unwrap();
    at_b.touch(&key(4), later, Ack::All).await.unwrap();
    assert_eq!(at_a.peek(&key(4)).unwrap().deadlines.idle, later);
    assert!(at_b.remove(&key(1), Ack::All).await.unwrap(), "a had it");
    assert!(at_a.peek(&key(1)).is_none());
    assert!(!at_b.remove(&key(8), Ack::Local).await.unwrap());
    at_b.rotate(&key(2), &key(5), Ack::All).await.unwrap();
    assert!(at_a.peek(&key(2)).is_none() && at_a.peek(&key(5)).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_packets_are_lost_it_is_asked_again() {
    let a = start(Config { drop_received: 0.3, ..config("a", &[]) }).await;
    let at_a = a.cache();
    for id in 0..200 {
        at_a.put(&key(id), &[7; 2_000], soon(&at_a), Ack::Local).await.unwrap();
    }
    let b = asker("b", &[&a]).await;
    for id in 0..200 {
        assert!(b.cache().get(&key(id)).await.is_some(), "record {id}");
    }
    eventually("questions were lost", || b.status().lookups.repeated > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_gone_costs_the_timeout_at_most() {
    let a = start(config("a", &[])).await;
    a.cache().put(&key(1), b"one", soon(&a.cache()), Ack::Local).await.unwrap();
    let b = start(Config {
        portion: Portion { keep: Keep::Nothing, ..Portion::default() },
        ..config("b", &[&a])
    })
    .await;
    a.shutdown().await;
    assert!(b.cache().get(&key(1)).await.is_none());
    let cache = b.cache();
    b.shutdown().await;
    assert!(cache.get(&key(1)).await.is_none(), "nobody is left to ask");
}
