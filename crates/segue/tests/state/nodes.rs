//! Nodes that know one another, in this process.

use std::time::{Duration, Instant};

use segue::{Config, FARM_KEY_BYTES, FarmKey, Keyring, Node, Transport};

/// What a node is started with that knows those.
pub(crate) fn config(name: &str, peers: &[Node]) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([4; FARM_KEY_BYTES])]).unwrap();
    let peers = peers.iter().map(|node| node.status().address).collect();
    let config = Config::new(name, keys);
    // Nobody is given up for dead because this machine is busy.
    let ack_timeout = Duration::from_secs(20);
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ack_timeout, ..config }
}

/// Nodes that know one another, each with `adjust` applied to its configuration.
pub(crate) async fn farm<const N: usize>(adjust: impl Fn(Config) -> Config) -> [Node; N] {
    let mut nodes = Vec::new();
    for number in 0..N {
        let node = Node::start(adjust(config(&format!("n{number}"), &nodes))).unwrap();
        node.ready().await;
        nodes.push(node);
    }
    for node in &nodes {
        eventually("all know all", || node.status().members.len() == N - 1).await;
    }
    nodes.try_into().unwrap()
}

/// Polls until `holds`, for as long as a slow machine may take.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
