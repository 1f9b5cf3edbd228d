//! The shop at real nodes in one process, visited as a browser does: by its
//! pages' own forms, with a cookie, without scripts.
//!
//! - [`buying`]: what the shop is for, at two nodes of which one goes;
//! - [`paying`]: forms that are sent twice, or again with something else;
//! - [`hostile`]: what nobody's browser would send;
//! - [`browser`]: who visits.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod browser;
mod buying;
mod hostile;
mod paying;

use std::sync::Arc;
use std::time::{Duration, Instant};

use segue::{Config, FARM_KEY_BYTES, FarmKey, Keyring, Node, Transport};
use shop::{Charge, Charging, Provider, Shop, TestProvider};
use std::sync::atomic::{AtomicU32, Ordering};

/// Nodes with a shop each, that know one another and agree on who votes.
struct Farm {
    nodes: Vec<Node>,
    shops: Vec<Shop>,
    provider: Arc<Counting>,
}

/// The test provider, and how often it was asked.
#[derive(Debug, Default)]
struct Counting(AtomicU32);

impl Provider for Counting {
    fn charge<'a>(&'a self, charge: Charge<'a>) -> Charging<'a> {
        self.0.fetch_add(1, Ordering::Relaxed);
        TestProvider.charge(charge)
    }
}

impl Farm {
    async fn new(count: usize) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..count {
            let name = char::from(b'a' + u8::try_from(number).unwrap()).to_string();
            let node = Node::start(config(&name, &nodes)).unwrap();
            node.ready().await;
            nodes.push(node);
        }
        for node in &nodes {
            let voters = count.min(3);
            eventually("all know all, and vote", || {
                let status = node.status();
                let votes = status.one_answer.voters;
                status.members.len() == count - 1 && votes >= voters
            })
            .await;
        }
        let provider = Arc::new(Counting::default());
        let shops = nodes.iter().map(|node| {
            Shop::with_provider(node.status().name, node.cache(), Arc::clone(&provider) as _)
        });
        Self { shops: shops.collect(), nodes, provider }
    }

    /// How often the provider was asked to charge.
    fn charges(&self) -> u32 {
        self.provider.0.load(Ordering::Relaxed)
    }
}

fn config(name: &str, peers: &[Node]) -> Config {
    let keys = Keyring::new(vec![FarmKey::new([4; FARM_KEY_BYTES])]).unwrap();
    let alone = Config::new(name, keys);
    let peers = peers.iter().map(|node| node.status().address).collect();
    // Nobody is given up for dead because this machine is busy.
    let ack_timeout = Duration::from_secs(20);
    Config { transport: Transport::Unicast, peers, memory_bytes: 16 << 20, ack_timeout, ..alone }
}

/// Polls until `holds`, for as long as a slow machine may take.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
