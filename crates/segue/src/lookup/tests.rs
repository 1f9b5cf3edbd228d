use proto::record::{Key, Kind};

use super::*;
use crate::{Config, Node};

/// Between what the driver says and what a task reads, a node may forget what
/// is near it.
#[tokio::test]
async fn what_was_found_and_forgotten_is_asked_for_again() {
    let node = Node::start(Config::single("a")).expect("one node");
    node.ready().await;
    let cache = node.cache();
    let lookups = &cache.shared.lookups;
    let key = Key::new(Kind::Web, &[1]).expect("one byte");
    let hash = cache.shared.holdings.hash(&key);
    // Somebody is first to wait, so that the driver does not hear of the key.
    let first = lookups.join(hash).expect("nobody waits");
    lookups.take(&mut Vec::new());
    let found = cache.ask(&key, hash);
    let says = async {
        lookups.tell(hash, &Outcome::Here);
        drop(first);
    };
    let (found, ()) = tokio::join!(found, says);
    assert!(found.is_none());
    assert_eq!(lookups.stats().latency.counts.iter().sum::<u64>(), 2, "questions");
    node.shutdown().await;
}
