//! The figures of the gateway of Redis' protocol.

use std::fmt::Error;

use super::{Metrics, Page};
use crate::gateway::redis::Figures;

type Figure = fn(&Figures) -> u64;

/// What has happened, with what they mean.
const COUNTERS: [(&str, &str, Figure); 9] = [
    ("redis_accepted", "Redis clients that were accepted", |it| it.accepted),
    ("redis_refused", "Redis clients that were refused, as there were too many", |it| it.refused),
    ("redis_commands", "Commands of Redis clients", |it| it.commands),
    ("redis_errors", "Those that were answered by an error", |it| it.errors),
    ("redis_failed_logins", "Log-ins of Redis clients that failed", |it| it.failed_logins),
    ("redis_failed_handshakes", "TLS handshakes of Redis clients that failed", |it| {
        it.failed_handshakes
    }),
    ("redis_slow_readers", "Redis clients that did not read their replies", |it| it.slow_readers),
    ("redis_messages", "Messages that went to subscribers", |it| it.messages),
    ("redis_slow_subscribers", "Subscribers that did not read theirs", |it| it.slow_subscribers),
];

impl Metrics {
    pub(super) fn redis(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Some(figures) = &self.status.redis else { return Ok(()) };
        let help = "Redis clients that are connected";
        page.gauge("redis_connections", help, figures.connections)?;
        for (name, help, figure) in COUNTERS {
            page.counter(name, help, figure(figures))?;
        }
        Ok(())
    }
}
