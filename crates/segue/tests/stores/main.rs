//! Sessions of web frameworks at nodes that talk over real sockets, one of which
//! goes between requests.
//!
//! - [`bytes`]: what every store is built on;
//! - [`tower`]: what the trait of tower-sessions asks for, in both releases;
//! - [`axum`]: an application with tower-sessions' own middleware;
//! - [`login`]: one with that of axum-login.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod axum;
mod bytes;
mod login;
#[path = "../state/nodes.rs"]
mod nodes;
mod tower;
mod visitor;

use std::time::Duration;

use segue::Node;
use segue::web::WebSessions;

/// Longer than any test takes.
const HOUR: Duration = Duration::from_secs(3_600);
/// So soon that one can wait for it, and late enough that what is done first is
/// done by then, or ends the test.
const SOON: Duration = Duration::from_millis(500);

/// The sessions of the shop, at a node.
fn shop(node: &Node) -> WebSessions {
    WebSessions::new(node.cache(), "shop").unwrap()
}

/// Waits until a session is no longer there.
async fn until_it_ends<E: std::fmt::Debug>(mut lives: impl AsyncFnMut() -> Result<bool, E>) {
    while lives().await.unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
