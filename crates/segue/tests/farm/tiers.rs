//! Farms above one another. They have a key in common and nothing else.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use segue::{
    Ack, Cache, Config, Deadlines, Key, Node, Transport, UpstreamConfig, UpstreamError,
    UpstreamState, WriteError,
};

use crate::{eventually, key, keys, soon, start};

/// A node that knows its `peers`, of the farm below that of which there are
/// nodes at `above`.
pub(crate) fn config(name: &str, peers: &[&Node], above: &[SocketAddr]) -> Config {
    let peers = peers.iter().map(|node| node.status().address).collect();
    let upstreams =
        if above.is_empty() { Vec::new() } else { vec![UpstreamConfig::nodes(above.to_vec())] };
    let (transport, memory_bytes) = (Transport::Unicast, 16 << 20);
    Config { transport, peers, upstreams, memory_bytes, ..Config::new(name, keys(1)) }
}

pub(crate) fn address(node: &Node) -> SocketAddr {
    node.status().address
}

pub(crate) fn state(node: &Node) -> UpstreamState {
    node.status().upstreams[0].state
}

pub(crate) async fn up(node: &Node) {
    eventually("the upstream is up", || state(node) == UpstreamState::Up).await;
}

/// What a look-up finds, which may be asked while the upstream is busy.
pub(crate) async fn found(cache: &Cache, key: &Key) -> Option<Vec<u8>> {
    let limit = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = cache.get(key).await {
            return Some(found.value.to_vec());
        }
        if Instant::now() > limit {
            return None;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_farm_that_it_began_in() {
    let core = start(config("core-1", &[], &[])).await;
    let second = start(config("core-2", &[&core], &[])).await;
    let edge = start(config("edge-1", &[], &[address(&core)])).await;
    let other = start(config("edge-2", &[&edge], &[address(&core)])).await;
    up(&edge).await;
    up(&other).await;
    let cache = edge.cache();
    cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await.unwrap();
    cache.put(&key(2), &vec![2; 1 << 20], soon(&cache), Ack::Tier).await.unwrap();
    other.cache().put(&key(3), b"three", soon(&cache), Ack::Tier).await.unwrap();
    for node in [&core, &second] {
        let cache = node.cache();
        assert_eq!(&*cache.peek(&key(1)).unwrap().value, b"one");
        assert_eq!(cache.peek(&key(2)).unwrap().value.len(), 1 << 20);
        assert_eq!(&*cache.peek(&key(3)).unwrap().value, b"three");
    }
    drop((edge, other));
    let next = start(config("edge-3", &[], &[address(&second)])).await;
    up(&next).await;
    assert_eq!(found(&next.cache(), &key(1)).await.as_deref(), Some(&b"one"[..]));
    assert_eq!(found(&next.cache(), &key(2)).await.unwrap().len(), 1 << 20);
    assert!(next.cache().peek(&key(1)).is_some(), "what was found is kept");
    assert_eq!(next.status().hits_upstream, 2);
    assert!(next.cache().get(&key(9)).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_touches_and_rotations_go_up_and_nothing_revives_what_ended() {
    let core = start(config("core", &[], &[])).await;
    let edge = start(config("edge", &[], &[address(&core)])).await;
    up(&edge).await;
    let (below, above) = (edge.cache(), core.cache());
    let deadlines = Deadlines { absolute: below.now() + Duration::from_secs(90), ..soon(&below) };
    below.put(&key(1), b"one", deadlines, Ack::Tier).await.unwrap();
    below.touch(&key(1), deadlines.absolute, Ack::Tier).await.unwrap();
    assert_eq!(above.peek(&key(1)).unwrap().deadlines.idle, deadlines.absolute);
    below.rotate(&key(1), &key(2), Ack::Tier).await.unwrap();
    assert!(above.peek(&key(1)).is_none() && above.peek(&key(2)).is_some());
    below.remove(&key(2), Ack::Tier).await.unwrap();
    assert!(above.peek(&key(2)).is_none());
    // A node that has never heard of it learns that it was deleted.
    let next = start(config("edge-2", &[], &[address(&core)])).await;
    up(&next).await;
    assert!(next.cache().get(&key(2)).await.is_none());
    let late = next.cache().put(&key(2), b"late", deadlines, Ack::Tier).await;
    assert!(matches!(late, Err(WriteError::Deleted)), "{late:?}");
    assert!(above.peek(&key(2)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_brings_back_what_the_tier_above_has_lost() {
    let core = start(config("core", &[], &[])).await;
    let place = address(&core);
    let edge = start(config("edge", &[], &[place])).await;
    up(&edge).await;
    let cache = edge.cache();
    let deadlines = Deadlines { absolute: cache.now() + Duration::from_secs(90), ..soon(&cache) };
    cache.put(&key(1), b"one", deadlines, Ack::Tier).await.unwrap();
    core.shutdown().await;
    eventually("it is missed", || state(&edge) == UpstreamState::Down).await;
    let core = start(Config { listen: place, ..config("core", &[], &[]) }).await;
    assert!(core.cache().peek(&key(1)).is_none(), "it began anew");
    up(&edge).await;
    cache.touch(&key(1), deadlines.absolute, Ack::Tier).await.unwrap();
    assert_eq!(&*core.cache().peek(&key(1)).unwrap().value, b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_missing_fails_only_those_who_wait_for_it() {
    let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = start(config("edge", &[], &[place])).await;
    let cache = edge.cache();
    cache.put(&key(1), b"one", soon(&cache), Ack::Local).await.unwrap();
    let waits = cache.put(&key(2), b"two", soon(&cache), Ack::Tier).await;
    assert!(matches!(waits, Err(WriteError::Upstream(UpstreamError::Down))), "{waits:?}");
    assert!(cache.get(&key(3)).await.is_none());
    assert!(edge.status().upstreams[0].spared > 0, "nobody waits for what is down");
    // What was written meanwhile goes up when it comes.
    let core = start(Config { listen: place, ..config("core", &[], &[]) }).await;
    up(&edge).await;
    eventually("both are there", || {
        [key(1), key(2)].iter().all(|key| core.cache().peek(key).is_some())
    })
    .await;
    cache.put(&key(4), b"four", soon(&cache), Ack::Tier).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_touch_that_moves_nothing_here_waits_for_the_tier_above_all_the_same() {
    let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = start(config("edge", &[], &[place])).await;
    let cache = edge.cache();
    let deadlines = Deadlines { absolute: cache.now() + Duration::from_secs(90), ..soon(&cache) };
    cache.put(&key(1), b"one", deadlines, Ack::Local).await.unwrap();
    cache.touch(&key(1), deadlines.absolute, Ack::Local).await.unwrap();
    let waits = cache.touch(&key(1), deadlines.absolute, Ack::Tier).await;
    assert!(matches!(waits, Err(WriteError::Upstream(UpstreamError::Down))), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_missing_upstream_is_bounded_and_counted() {
    let place = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let upstream = UpstreamConfig { queue_records: 3, ..UpstreamConfig::nodes(vec![place]) };
    let edge = start(Config { upstreams: vec![upstream], ..config("edge", &[], &[]) }).await;
    let cache = edge.cache();
    for id in 0..10 {
        cache.put(&key(id), b"value", soon(&cache), Ack::Local).await.unwrap();
    }
    let status = &edge.status().upstreams[0];
    assert_eq!((status.queued, status.dropped), (3, 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_address_is_called_when_one_is_lost() {
    let core = start(config("core-1", &[], &[])).await;
    let second = start(config("core-2", &[&core], &[])).await;
    let edge = start(config("edge", &[], &[address(&core), address(&second)])).await;
    up(&edge).await;
    core.shutdown().await;
    eventually("the second is linked to", || {
        second.status().links.live == 1 && state(&edge) == UpstreamState::Up
    })
    .await;
    let cache = edge.cache();
    cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await.unwrap();
    assert!(second.cache().peek(&key(1)).is_some());
}

/// Links go by whatever address a node listens at.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_above_is_found_at_ipv6_and_at_wildcard_addresses() {
    for (listen, at) in [("[::1]:0", "::1"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let on = |config: Config| Config { listen: listen.parse().unwrap(), ..config };
        let core = start(on(config("core", &[], &[]))).await;
        let place = SocketAddr::new(at.parse().unwrap(), address(&core).port());
        let edge = start(on(config("edge", &[], &[place]))).await;
        up(&edge).await;
        let cache = edge.cache();
        cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await.unwrap();
        cache.put(&key(2), &vec![2; 1 << 20], soon(&cache), Ack::Tier).await.unwrap();
        core.cache().put(&key(3), b"three", soon(&cache), Ack::Local).await.unwrap();
        assert_eq!(&*core.cache().peek(&key(1)).unwrap().value, b"one", "{listen}");
        assert_eq!(core.cache().peek(&key(2)).unwrap().value.len(), 1 << 20, "{listen}");
        assert_eq!(found(&cache, &key(3)).await.as_deref(), Some(&b"three"[..]), "{listen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn farms_without_a_common_key_do_not_talk() {
    let core = start(Config { keys: keys(2), ..config("core", &[], &[]) }).await;
    let edge = start(config("edge", &[], &[address(&core)])).await;
    eventually("both count it", || {
        [&core, &edge].iter().all(|node| node.status().links.refused > 0)
    })
    .await;
    eventually("the reason is told", || {
        edge.status().upstreams[0].error.as_ref().is_some_and(|why| why.contains("`farm.keys`"))
    })
    .await;
    let cache = edge.cache();
    let waits = cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await;
    assert!(matches!(waits, Err(WriteError::Upstream(UpstreamError::Down))), "{waits:?}");
    assert_eq!(core.status().links.made + edge.status().links.made, 0);
    assert_eq!(core.status().cache.records, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tiers_are_asked_one_by_the_other_and_a_circle_ends() {
    let top = start(config("top", &[], &[])).await;
    let middle = start(config("middle", &[], &[address(&top)])).await;
    let edge = start(config("edge", &[], &[address(&middle)])).await;
    up(&middle).await;
    up(&edge).await;
    let cache = edge.cache();
    cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await.unwrap();
    eventually("it goes on to the top", || top.cache().peek(&key(1)).is_some()).await;
    top.cache().put(&key(2), b"two", soon(&cache), Ack::Local).await.unwrap();
    assert_eq!(found(&cache, &key(2)).await.as_deref(), Some(&b"two"[..]));
    assert!(middle.cache().peek(&key(2)).is_some(), "a superset of what is below");

    let [a, b] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let one = start(Config { listen: a, ..config("one", &[], &[b]) }).await;
    let two = start(Config { listen: b, ..config("two", &[], &[a]) }).await;
    up(&one).await;
    up(&two).await;
    let cache = one.cache();
    assert!(cache.get(&key(9)).await.is_none());
    cache.put(&key(1), b"one", soon(&cache), Ack::Tier).await.unwrap();
    assert_eq!(found(&two.cache(), &key(1)).await.as_deref(), Some(&b"one"[..]));
    let written = |node: &Node| node.status().upstreams[0].written;
    eventually("it has come back", || written(&one) + written(&two) == 2).await;
}
