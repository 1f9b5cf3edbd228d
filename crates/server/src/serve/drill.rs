//! How a node of a demo is killed: it is told by another, or by itself, and goes as
//! if it had crashed. It knows nothing of who may say so.

use std::sync::OnceLock;

use segue::{Cache, News, WriteError};

/// What nodes of a demo are told by. There are no clients who could say it: a demo
/// has no gateways.
const CHANNEL: &[u8] = b"\0drill";

/// A node that may be killed.
#[derive(Debug, Default)]
pub(super) struct Drill {
    /// Its farm address, by which it is named.
    address: OnceLock<String>,
}

impl Drill {
    /// Says which node it is.
    pub(super) fn is_of(&self, address: &str) {
        self.address.get_or_init(|| address.to_owned());
    }

    /// Takes notice of what other nodes say.
    pub(super) fn hear(&self, news: &News<'_>) {
        if let News::Said { channel: CHANNEL, text } = news
            && self.address.get().is_some_and(|address| address.as_bytes() == *text)
        {
            die();
        }
    }

    /// Has the node at that address killed.
    pub(super) async fn order(&self, cache: &Cache, address: &str) -> Result<(), WriteError> {
        if self.address.get().is_some_and(|own| own == address) {
            die();
        }
        cache.say(CHANNEL, address.as_bytes()).await
    }
}

/// As by a crash: nothing is said or written any more.
fn die() {
    // Only a system that has no such process could refuse.
    let _ = sys::process::crash(std::process::id());
}
