//! What a machine is asked, and which node is to bring it about.
//!
//! Whichever it is, one node proposes it and no other: who asks another and is
//! not answered never goes on by itself.

use super::operation::Operation;
use super::state::RequestId;
use crate::record::{Key, KeyHash};

/// What the application asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Names it: when it is asked again, it has to be by the same.
    pub id: RequestId,
    /// On which key.
    pub key: Key,
    /// The key's placement hash.
    pub hash: KeyHash,
    /// What.
    pub operation: Operation,
    /// Where it is to be brought about.
    pub at: At,
}

/// Where a request is to be brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// At the key's home: one round trip more from any other node, but many
    /// nodes that ask for the same key are never in each other's way.
    Home,
    /// At the node that is asked, if it is one of the key's voters; else at
    /// the home. It waits for no other node in particular, so that a death
    /// costs it nothing as long as a majority answers. For keys that few nodes
    /// ask for at a time: two of them may each have to begin again.
    Here,
}
