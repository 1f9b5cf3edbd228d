//! The store for actix-session at nodes that talk over real sockets: what its
//! trait asks for, and a shop with the real middleware, whose nodes go.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contract;
#[path = "../../../segue/tests/state/nodes.rs"]
mod nodes;
mod shop;

use segue::Node;
use segue::web::WebSessions;
use segue_actix::Store;

/// The store of the shop, at a node.
fn store(node: &Node) -> Store {
    Store::new(WebSessions::new(node.cache(), "shop").unwrap())
}
