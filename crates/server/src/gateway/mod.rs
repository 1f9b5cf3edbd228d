//! The gateways: session stores that stock clients of other engines speak to.
//!
//! A gateway owns its listeners and connections, and knows the farm as a
//! [`Cache`](segue::Cache) and nothing more. [`keys`] says which record a
//! client's key is; [`store`] brings a command about on one, by the [`rules`] for
//! it, and [`claims`] on several together; [`running`] is what both gateways are while they run; [`listener`] has the
//! sockets, [`encrypted`] or not; [`redis`] is Redis' protocol, [`memcached`]
//! memcached's.

mod claims;
mod encrypted;
mod keys;
mod listener;
pub(crate) mod memcached;
pub(crate) mod redis;
mod rules;
mod running;
mod store;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use encrypted::Encryption;
pub(crate) use listener::Listen;
pub(crate) use rules::Rule;
pub(crate) use store::Store;

/// After so many commands of one client others have a turn: a few hundred
/// microseconds, and more than any pipeline that is meant to be answered
/// together.
const COMMANDS_A_TURN: usize = 512;

/// Lets others have a turn once a client has had a long one.
#[derive(Debug, Default)]
struct Turn(usize);

impl Turn {
    /// A command is done. Gives whether others are due: then `end` is to be waited
    /// for.
    const fn is_over(&mut self) -> bool {
        self.0 += 1;
        self.0 >= COMMANDS_A_TURN
    }

    /// Lets the others go first.
    async fn end(&mut self) {
        self.0 = 0;
        tokio::task::yield_now().await;
    }
}

/// Counts one more.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
