//! The session store behind memcached's protocols.
//!
//! - [`talk`]: a client that sees the bytes of replies;
//! - [`differential`]: the same requests to a real memcached and to a node;
//! - [`alone`]: one node under bad input and real clients;
//! - [`farm`]: what commands mean across nodes.

mod alone;
mod differential;
mod farm;
pub(crate) mod talk;

/// Every key that the generators of requests name.
pub(crate) fn keys() -> Vec<String> {
    let longest = "k".repeat(proto::gateway::memcached::MAX_KEY_BYTES);
    ["a", "b", "c", "Zg=="].iter().map(|key| (*key).to_owned()).chain([longest]).collect()
}
