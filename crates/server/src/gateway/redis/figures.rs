//! What a gateway counts.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::Channels;
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
    /// Commands that were answered by an error.
    pub(crate) errors: u64,
    /// Log-ins that failed.
    pub(crate) failed_logins: u64,
    /// TLS handshakes that failed.
    pub(crate) failed_handshakes: u64,
    /// Clients that did not read their replies.
    pub(crate) slow_readers: u64,
    /// Messages that went to subscribers.
    pub(crate) messages: u64,
    /// Subscribers that did not read theirs.
    pub(crate) slow_subscribers: u64,
}

/// The same, as it is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commands: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) failed_logins: AtomicU64,
    pub(super) slow_readers: AtomicU64,
}

impl Counters {
    /// The figures, with those of the places and of the channels.
    pub(super) fn read(&self, places: &Places, channels: &Channels) -> Figures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Figures {
            connections: read(&places.connections),
            accepted: read(&places.accepted),
            refused: read(&places.refused),
            commands: read(&self.commands),
            errors: read(&self.errors),
            failed_logins: read(&self.failed_logins),
            failed_handshakes: read(&places.failed_handshakes),
            slow_readers: read(&self.slow_readers),
            messages: channels.messages(),
            slow_subscribers: channels.slow(),
        }
    }
}
