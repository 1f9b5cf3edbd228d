//! What a gateway counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::gateway::listener::Places;

/// Figures of a gateway, counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Connections that are open.
    pub(crate) connections: u64,
    /// Connections that were accepted.
    pub(crate) accepted: u64,
    /// Connections that were refused, as there were too many.
    pub(crate) refused: u64,
    /// Commands that were answered.
    pub(crate) commands: u64,
    /// Requests that could not be done, and bytes that were none.
    pub(crate) errors: u64,
    /// Keys that were asked for and had a value.
    pub(crate) hits: u64,
    /// Those that had none.
    pub(crate) misses: u64,
    /// Values that were to be stored.
    pub(crate) stores: u64,
    /// How often all was to go.
    pub(crate) flushes: u64,
    /// TLS handshakes that failed.
    pub(crate) failed_handshakes: u64,
    /// Clients that did not read their replies.
    pub(crate) slow_readers: u64,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) stores: AtomicU64,
    pub(super) flushes: AtomicU64,
    pub(super) slow_readers: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self, places: &Places) -> Figures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Figures {
            connections: read(&places.connections),
            accepted: read(&places.accepted),
            refused: read(&places.refused),
            commands: read(&self.commands),
            errors: read(&self.errors),
            hits: read(&self.hits),
            misses: read(&self.misses),
            stores: read(&self.stores),
            flushes: read(&self.flushes),
            failed_handshakes: read(&places.failed_handshakes),
            slow_readers: read(&self.slow_readers),
        }
    }
}
