//! The gateways: session stores that stock clients of other engines speak to.
//!
//! A gateway owns its listeners and connections, and knows the farm as a
//! [`Cache`](segue::Cache) and nothing more. [`keys`] says which record a
//! client's key is; [`store`] brings a command about on one, by the [`rules`] for
//! it, and [`claims`] on several together; [`listener`] has the sockets; [`redis`] is Redis' protocol, [`memcached`]
//! memcached's.

mod claims;
mod keys;
mod listener;
pub(crate) mod memcached;
pub(crate) mod redis;
mod rules;
mod store;

use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use listener::Listen;
pub(crate) use rules::Rule;
pub(crate) use store::Store;

/// Counts one more.
fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
