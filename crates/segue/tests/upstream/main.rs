//! Nodes below a real engine: Redis by itself, and a Cluster of three.
#![cfg(feature = "redis")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod engine;

mod cluster;
mod faults;
mod records;

use std::time::{Duration, Instant};

use engine::PATIENCE;
use segue::{
    Cache, Config, Deadlines, FARM_KEY_BYTES, FarmKey, Key, Keyring, Kind, Node, Transport,
    UpstreamConfig, UpstreamState, UpstreamStatus,
};

fn keys(bytes: &[u8]) -> Keyring {
    let keys = bytes.iter().map(|&byte| FarmKey::new([byte; FARM_KEY_BYTES]));
    Keyring::new(keys.collect()).unwrap()
}

/// A node below an engine, in a farm of its own: it knows of the others only
/// what is in the engine.
fn config(url: &str) -> Config {
    Config {
        transport: Transport::Unicast,
        memory_bytes: 16 << 20,
        upstreams: vec![UpstreamConfig::new(url.parse().unwrap())],
        ..Config::new("node", keys(&[1]))
    }
}

/// A node that is ready, with its engine up.
async fn start(config: Config) -> Node {
    let node = Node::start(config).unwrap();
    node.ready().await;
    until_state(&node, UpstreamState::Up).await;
    node
}

async fn until_state(node: &Node, state: UpstreamState) {
    eventually("the upstream's state", || upstream(node).state == state).await;
}

fn upstream(node: &Node) -> UpstreamStatus {
    node.status().upstreams.remove(0)
}

fn key(kind: Kind, id: u32) -> Key {
    Key::new(kind, format!("an id that nobody can guess: {id}").as_bytes()).unwrap()
}

fn in_a_minute(cache: &Cache) -> Deadlines {
    Deadlines::at(cache.now() + Duration::from_secs(60))
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
