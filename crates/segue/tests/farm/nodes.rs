//! Nodes of one farm.

use std::net::SocketAddr;
use std::time::Duration;

use segue::{Ack, By, Config, FARM_KEY_BYTES, FarmKey, Keyring, Multicast, Node, RekeyError};
use segue::{Deadlines, Transport, WriteError};

use crate::{eventually, key, keys, soon, start};

/// A farm of its own for each test, told apart by its port, and from those of
/// other runs on this machine by its group.
fn multicast(name: &str, port: u16) -> Config {
    let [.., high, low] = std::process::id().to_be_bytes();
    let group = SocketAddr::from(([239, 255, high, low], port));
    let transport = Transport::Multicast(Multicast { group, ..Multicast::default() });
    Config { transport, memory_bytes: 16 << 20, ..Config::new(name, keys(1)) }
}

fn unicast(name: &str, peers: &[&Node]) -> Config {
    let peers = peers.iter().map(|node| node.status().address).collect();
    let config = Config::new(name, keys(1));
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ..config }
}

async fn records_reach_every_node(nodes: [Node; 3]) {
    let [a, b, c] = nodes.each_ref().map(Node::cache);
    a.put(&key(1), b"one", soon(&a), Ack::All).await.unwrap();
    for cache in [&b, &c] {
        assert_eq!(&*cache.peek(&key(1)).unwrap().value, b"one");
    }
    b.rotate(&key(1), &key(2), Ack::All).await.unwrap();
    for cache in [&a, &c] {
        assert!(cache.peek(&key(1)).is_none());
        assert_eq!(&*cache.peek(&key(2)).unwrap().value, b"one");
    }
    let later = c.now() + Duration::from_secs(90);
    a.put(&key(3), b"three", Deadlines { absolute: later, ..soon(&a) }, Ack::All).await.unwrap();
    c.touch(&key(3), later, Ack::All).await.unwrap();
    assert_eq!(a.peek(&key(3)).unwrap().deadlines.idle, later);
    assert!(c.remove(&key(3), Ack::All).await.unwrap());
    assert!(a.peek(&key(3)).is_none() && b.peek(&key(3)).is_none());
    let big = vec![7; 1 << 20];
    a.put(&key(4), &big, soon(&a), Ack::All).await.unwrap();
    assert_eq!(*c.peek(&key(4)).unwrap().value, big);
    for node in nodes {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_every_node_by_multicast() {
    let a = start(multicast("a", 17_701)).await;
    let b = start(multicast("b", 17_701)).await;
    let c = start(multicast("c", 17_701)).await;
    eventually("all know all", || [&a, &b, &c].iter().all(|node| node.status().members.len() == 2))
        .await;
    records_reach_every_node([a, b, c]).await;
}

/// A node that has met others no longer hears what is sent from its own
/// address, until another node turns out to be there.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_at_one_address_meet() {
    let at = |name, host| {
        let listen = SocketAddr::from(([127, 0, 0, host], 0));
        Config { listen, ..multicast(name, 17_705) }
    };
    let a = start(at("a", 2)).await;
    let b = start(at("b", 3)).await;
    eventually("a knows b", || a.status().members.len() == 1).await;
    let c = start(at("c", 2)).await;
    eventually("all know all", || [&a, &b, &c].iter().all(|node| node.status().members.len() == 2))
        .await;
    records_reach_every_node([a, b, c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_every_node_by_unicast_through_any_one_peer() {
    let a = start(unicast("a", &[])).await;
    let b = start(unicast("b", &[&a])).await;
    let c = start(unicast("c", &[&b])).await;
    eventually("all know all", || [&a, &b, &c].iter().all(|node| node.status().members.len() == 2))
        .await;
    records_reach_every_node([a, b, c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_reach_every_node_by_ipv6() {
    let at_six = |name: &str, peers: &[&Node]| Config {
        listen: "[::1]:0".parse().unwrap(),
        ..unicast(name, peers)
    };
    let a = start(at_six("a", &[])).await;
    let b = start(at_six("b", &[&a])).await;
    let c = start(at_six("c", &[&a])).await;
    eventually("all know all", || [&a, &b, &c].iter().all(|node| node.status().members.len() == 2))
        .await;
    records_reach_every_node([a, b, c]).await;
}

/// Of two nodes that multicast and one that does not, each sends the others
/// what they can hear.
#[tokio::test(flavor = "multi_thread")]
async fn records_reach_every_node_of_a_mixed_farm() {
    let a = start(multicast("a", 17_706)).await;
    let b = start(unicast("b", &[&a])).await;
    let c = start(multicast("c", 17_706)).await;
    let by = |node: &Node, name: &str| {
        let status = node.status();
        status.members.iter().find(|member| member.name == name).map(|member| member.by)
    };
    eventually("each is reached as it can be", || {
        let pairs = [(&a, "c", By::Multicast), (&c, "a", By::Multicast)];
        let with_b = [(&a, "b"), (&c, "b"), (&b, "a"), (&b, "c")];
        let with_b = with_b.map(|(node, other)| (node, other, By::Unicast));
        pairs.iter().chain(&with_b).all(|&(node, other, way)| by(node, other) == Some(way))
    })
    .await;
    records_reach_every_node([a, b, c]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_fetches_what_was_written_before() {
    let a = start(multicast("a", 17_702)).await;
    for id in 0..5_000 {
        a.cache().put(&key(id), &[1; 200], soon(&a.cache()), Ack::Local).await.unwrap();
    }
    a.cache().remove(&key(17), Ack::Local).await.unwrap();
    let b = start(multicast("b", 17_702)).await;
    assert_eq!(b.status().cache.records, 4_999);
    assert!(b.cache().peek(&key(17)).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_packets_are() {
    let lossy = |name| Config { drop_received: 0.1, ..multicast(name, 17_703) };
    let a = start(lossy("a")).await;
    let b = start(lossy("b")).await;
    let c = start(lossy("c")).await;
    eventually("a knows all", || a.status().members.len() == 2).await;
    let cache = a.cache();
    for id in 0..5_000 {
        cache.put(&key(id), &[1; 200], soon(&cache), Ack::Local).await.unwrap();
    }
    eventually("b and c have all", || {
        [&b, &c].iter().all(|node| node.status().cache.records == 5_000)
    })
    .await;
    // A status is up to a tenth of a second old.
    eventually("a has repaired", || a.status().multicast.repairs_sent > 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_another_farm_are_not_listened_to() {
    let ours = start(multicast("ours", 17_704)).await;
    let theirs = start(Config { keys: keys(2), ..multicast("theirs", 17_704) }).await;
    let cache = theirs.cache();
    cache.put(&key(1), b"theirs", soon(&cache), Ack::Local).await.unwrap();
    eventually("their packets are counted", || ours.status().multicast.rejected.forged > 0).await;
    assert_eq!(ours.status().cache.records, 0);
    assert!(ours.status().members.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_nobody_else_has_says_so() {
    let config = Config { ack_timeout: Duration::from_millis(50), ..unicast("alone", &[]) };
    let node = start(config).await;
    let cache = node.cache();
    let written = cache.put(&key(1), b"here", soon(&cache), Ack::One).await;
    assert!(matches!(written, Err(WriteError::Unacknowledged { wanted: Ack::One })));
    assert_eq!(&*cache.peek(&key(1)).unwrap().value, b"here");
    cache.put(&key(2), b"here", soon(&cache), Ack::All).await.unwrap();
}

/// A ring of a farm whose first key was made of ones.
fn ring(bytes: &[u8]) -> Keyring {
    let key = |&byte| FarmKey::new([byte; FARM_KEY_BYTES]);
    Keyring::new(bytes.iter().map(key).collect()).unwrap().placed_by(key(&1).placement_secret())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_farm_changes_its_key_while_it_runs() {
    let a = start(unicast("a", &[])).await;
    let b = start(unicast("b", &[&a])).await;
    let (at_a, at_b) = (a.cache(), b.cache());
    let steps: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];
    for (step, bytes) in (0..).zip(steps) {
        for (turn, node) in (0..).zip([&b, &a]) {
            node.rekey(ring(bytes)).unwrap();
            let id = 4 * step + turn;
            at_a.put(&key(id), b"a", soon(&at_a), Ack::All).await.unwrap();
            at_b.put(&key(id + 2), b"b", soon(&at_b), Ack::All).await.unwrap();
        }
    }
    assert_eq!(a.rekey(keys(2)), Err(RekeyError::Placement));
    for node in [&a, &b] {
        assert_eq!(node.status().multicast.rejected.forged, 0);
    }
}
