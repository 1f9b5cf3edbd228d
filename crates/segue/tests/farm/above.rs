//! What the farm above makes of what is written below, and what it is told when
//! a node below ends.

use std::net::UdpSocket;
use std::time::Duration;

use segue::{
    Ack, Claim, Config, Deadlines, Node, UpstreamConfig, UpstreamState, UpstreamStatus, WriteError,
};

use crate::tiers::{address, config, found, state, up};
use crate::{eventually, key, soon, start};

fn upstream(node: &Node) -> UpstreamStatus {
    node.status().upstreams.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_above_is_learned_by_the_next_write_or_touch_below() {
    let core = start(config("core", &[], &[])).await;
    let edge = start(config("edge-1", &[], &[address(&core)])).await;
    let other = start(config("edge-2", &[&edge], &[])).await;
    up(&edge).await;
    let (cache, above) = (edge.cache(), core.cache());
    let ends = Deadlines { absolute: cache.now() + Duration::from_secs(90), ..soon(&cache) };
    for id in [1, 2, 3] {
        cache.put(&key(id), b"value", ends, Ack::Tier).await.unwrap();
    }
    eventually("the farm below has them", || other.cache().peek(&key(3)).is_some()).await;
    above.remove(&key(1), Ack::Local).await.unwrap();
    above.remove(&key(2), Ack::Local).await.unwrap();
    let late = cache.put(&key(1), b"late", ends, Ack::Tier).await;
    assert!(matches!(late, Err(WriteError::Deleted)), "{late:?}");
    cache.touch(&key(2), ends.absolute, Ack::Local).await.unwrap();
    eventually("all nodes below know", || {
        let knows = |node: &Node, id| node.cache().peek(&key(id)).is_none();
        [1, 2].iter().all(|&id| knows(&edge, id) && knows(&other, id))
    })
    .await;
    for node in [&core, &edge, &other] {
        assert!(node.cache().peek(&key(3)).is_some());
    }
    let late = other.cache().put(&key(1), b"late", ends, Ack::Local).await;
    assert!(matches!(late, Err(WriteError::Deleted)), "{late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_above_is_touched_and_removed_as_what_is_here() {
    let core = start(config("core", &[], &[])).await;
    let edge = start(config("edge", &[], &[address(&core)])).await;
    up(&edge).await;
    let (cache, above) = (edge.cache(), core.cache());
    let ends = Deadlines { absolute: above.now() + Duration::from_secs(90), ..soon(&above) };
    for id in [1, 2] {
        above.put(&key(id), b"value", ends, Ack::Local).await.unwrap();
    }
    assert!(found(&cache, &key(9)).await.is_none());
    cache.touch(&key(1), ends.absolute, Ack::Tier).await.unwrap();
    assert_eq!(above.peek(&key(1)).unwrap().deadlines.idle, ends.absolute);
    assert!(cache.remove(&key(2), Ack::Tier).await.unwrap(), "it was there");
    assert!(above.peek(&key(2)).is_none());
    assert!(!cache.remove(&key(3), Ack::Tier).await.unwrap(), "it was not");
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_miss_one_key_ask_once() {
    let core = start(config("core", &[], &[])).await;
    let edge = start(config("edge", &[], &[address(&core)])).await;
    up(&edge).await;
    let cache = edge.cache();
    core.cache().put(&key(1), b"one", soon(&cache), Ack::Local).await.unwrap();
    let absent = key(2);
    let (one, two, three) =
        tokio::join!(cache.get(&absent), cache.get(&absent), cache.get(&absent));
    assert!(one.is_none() && two.is_none() && three.is_none());
    let asked = upstream(&edge);
    assert!(asked.misses + asked.timeouts <= 1, "{asked:?}");
    // Who waits is given what the other one has found.
    let there = key(1);
    loop {
        let (one, two) = tokio::join!(cache.get(&there), cache.get(&there));
        assert_eq!(one.is_some(), two.is_some());
        if one.is_some() {
            break;
        }
    }
    assert_eq!(upstream(&edge).hits, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_waits_for_what_is_above() {
    let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let patient = UpstreamConfig {
        drain_timeout: Duration::from_secs(20),
        ..UpstreamConfig::nodes(vec![place])
    };
    let edge = Config { upstreams: vec![patient], ..config("edge", &[], &[]) };
    let edge = start(edge).await;
    let cache = edge.cache();
    cache.put(&key(1), b"one", soon(&cache), Ack::Local).await.unwrap();
    assert_eq!(state(&edge), UpstreamState::Down);
    let ends = tokio::spawn(edge.shutdown());
    let core = start(Config { listen: place, ..config("core", &[], &[]) }).await;
    ends.await.unwrap();
    assert_eq!(&*core.cache().peek(&key(1)).unwrap().value, b"one");
}

/// A claim that cannot be remembered is refused, and counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_can_remember_no_more_claims_grants_none() {
    let node = start(Config { memory_bytes: 64 << 10, ..config("node", &[], &[]) }).await;
    let cache = node.cache();
    let capacity = u32::try_from(node.status().claims.capacity).unwrap();
    for ticket in 0..capacity {
        assert_eq!(cache.claim(node.incarnation(), &key(ticket)).await, Claim::Granted);
    }
    assert_eq!(cache.claim(node.incarnation(), &key(capacity)).await, Claim::Unable);
    assert_eq!(cache.claim(node.incarnation(), &key(0)).await, Claim::Taken);
    let claims = node.status().claims;
    assert_eq!((claims.kept, claims.refused), (claims.capacity, 1));
}
