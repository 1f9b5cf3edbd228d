//! Nodes of one process that keep portions, over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use segue::{
    Ack, Config, Deadlines, FARM_KEY_BYTES, FarmKey, Keep, Key, Keyring, Kind, Multicast, Node,
    Portion, StartError, Transport,
};

const SLOTS: usize = 65_536;
const RECORDS: u32 = 400;

fn config(name: &str, port: u16, keep: Keep, replicas: u8) -> Config {
    let [.., high, low] = std::process::id().to_be_bytes();
    let group = SocketAddr::from(([239, 254, high, low], port));
    let transport = Transport::Multicast(Multicast { group, ..Multicast::default() });
    let keys = Keyring::new(vec![FarmKey::new([1; FARM_KEY_BYTES])]).unwrap();
    let portion = Portion { keep, replicas, ..Portion::default() };
    let ack_timeout = Duration::from_secs(20);
    Config { transport, memory_bytes: 16 << 20, portion, ack_timeout, ..Config::new(name, keys) }
}

fn of(names: &[&str]) -> Keep {
    Keep::Of(names.iter().map(|&name| name.to_owned()).collect())
}

async fn start(config: Config) -> Node {
    let node = Node::start(config).unwrap();
    node.ready().await;
    node
}

fn key(id: u32) -> Key {
    Key::new(Kind::Tls, &id.to_be_bytes()).unwrap()
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the nodes know each other, and nothing moves or lingers.
async fn settled(nodes: &[&Node]) {
    eventually("every portion is what it is to be", || {
        nodes.iter().all(|node| {
            let status = node.status();
            let alive = status
                .members
                .iter()
                .filter(|member| member.state == segue::MemberState::Alive && member.ready);
            let portion = status.portion;
            alive.count() == nodes.len() - 1 && portion.moving + portion.lingering == 0
        })
    })
    .await;
}

/// Writes all records at a node, each until all of its holders have it.
async fn fill(node: &Node) {
    let cache = node.cache();
    for id in 0..RECORDS {
        let deadlines = Deadlines::at(cache.now() + Duration::from_secs(600));
        cache.put(&key(id), &id.to_be_bytes(), deadlines, Ack::All).await.unwrap();
    }
}

/// Which of the records a node holds.
fn held(node: &Node) -> Vec<u32> {
    let cache = node.cache();
    (0..RECORDS).filter(|&id| cache.peek(&key(id)).is_some()).collect()
}

/// Waits until so many nodes keep each slot.
async fn kept_by(nodes: &[&Node], replicas: usize) {
    settled(nodes).await;
    eventually("each slot has its holders", || {
        let slots: usize = nodes.iter().map(|node| node.status().portion.slots).sum();
        slots == replicas * SLOTS
    })
    .await;
    settled(nodes).await;
}

/// Rows Q1 to Q3: disjoint portions, a third node that includes both, and a
/// fourth that includes the third; and what the upper ones hold stays when
/// those below are gone.
#[tokio::test(flavor = "multi_thread")]
async fn disjoint_portions_and_supersets_of_them() {
    let port = 17_801;
    let a = start(config("a", port, Keep::Share, 1)).await;
    let b = start(config("b", port, Keep::Share, 1)).await;
    let c = start(config("c", port, of(&["a", "b"]), 2)).await;
    let d = start(config("d", port, of(&["c"]), 2)).await;
    kept_by(&[&a, &b, &c, &d], 3).await;
    fill(&c).await;
    let (at_a, at_b) = (held(&a), held(&b));
    assert!(!at_a.is_empty() && !at_b.is_empty());
    let mut both = [at_a, at_b].concat();
    both.sort_unstable();
    assert_eq!(both, (0..RECORDS).collect::<Vec<_>>(), "disjoint, and all of it");
    assert_eq!((held(&c), held(&d)), (both.clone(), both.clone()));
    a.shutdown().await;
    b.shutdown().await;
    kept_by(&[&c, &d], 2).await;
    assert_eq!(held(&c), both);
    c.shutdown().await;
    kept_by(&[&d], 1).await;
    assert_eq!(held(&d), both);
    d.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_portions_of_two_replicas_at_three_nodes() {
    let port = 17_802;
    let whole = start(config("w", port, Keep::All, 2)).await;
    let a = start(config("a", port, Keep::Share, 2)).await;
    let b = start(config("b", port, Keep::Share, 2)).await;
    let c = start(config("c", port, Keep::Share, 2)).await;
    kept_by(&[&whole, &a, &b, &c], 3).await;
    fill(&whole).await;
    let at = [held(&a), held(&b), held(&c)];
    for id in 0..RECORDS {
        let holders = at.iter().filter(|held| held.contains(&id)).count();
        assert_eq!(holders, 2, "record {id}");
    }
    let overlap = |one: &[u32], other: &[u32]| one.iter().any(|id| other.contains(id));
    assert!(overlap(&at[0], &at[1]) && overlap(&at[0], &at[2]) && overlap(&at[1], &at[2]));
    // What one held is at two again when it is gone.
    c.shutdown().await;
    kept_by(&[&whole, &a, &b], 3).await;
    assert_eq!([held(&a).len(), held(&b).len()], [RECORDS as usize; 2]);
    for node in [whole, a, b] {
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_portions_of_two_replicas_at_two_nodes() {
    let port = 17_803;
    let a = start(config("a", port, Keep::Share, 2)).await;
    let b = start(config("b", port, Keep::Share, 2)).await;
    kept_by(&[&a, &b], 2).await;
    fill(&a).await;
    assert_eq!(held(&a), held(&b));
    assert_eq!(held(&a).len(), RECORDS as usize);
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test]
async fn a_portion_of_the_node_itself_is_refused() {
    let error = Node::start(config("a", 17_804, of(&["a"]), 2)).unwrap_err();
    assert!(matches!(error, StartError::Portion { .. }), "{error}");
}
