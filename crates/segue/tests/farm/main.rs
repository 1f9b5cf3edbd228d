//! Nodes of one process that talk over real sockets on loopback.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod above;
mod nodes;
mod slow;
mod tiers;

use std::time::{Duration, Instant};

use segue::{Cache, Config, Deadlines, FARM_KEY_BYTES, FarmKey, Key, Keyring, Kind, Node};

fn keys(byte: u8) -> Keyring {
    Keyring::new(vec![FarmKey::new([byte; FARM_KEY_BYTES])]).unwrap()
}

async fn start(config: Config) -> Node {
    let node = Node::start(config).unwrap();
    node.ready().await;
    node
}

fn key(id: u32) -> Key {
    Key::new(Kind::Tls, &id.to_be_bytes()).unwrap()
}

fn soon(cache: &Cache) -> Deadlines {
    Deadlines::at(cache.now() + Duration::from_secs(60))
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
