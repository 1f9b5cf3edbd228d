//! The figures of the gateways, of Redis' protocol and of memcached's.

use std::fmt::Error;

use super::{Metrics, Page};
use crate::gateway::{memcached, redis};

/// What has happened: its name, what it means, and how often it has.
type Counter<F> = (&'static str, &'static str, fn(&F) -> u64);

const REDIS: [Counter<redis::Figures>; 9] = [
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

const MEMCACHED: [Counter<memcached::Figures>; 10] = [
    ("memcached_accepted", "memcached clients that were accepted", |it| it.accepted),
    ("memcached_refused", "memcached clients that were refused, as there were too many", |it| {
        it.refused
    }),
    ("memcached_commands", "Commands of memcached clients", |it| it.commands),
    ("memcached_errors", "Requests that could not be done, and bytes that were none", |it| {
        it.errors
    }),
    ("memcached_hits", "Keys that memcached clients asked for and that had a value", |it| it.hits),
    ("memcached_misses", "Keys that they asked for and that had none", |it| it.misses),
    ("memcached_stores", "Values that memcached clients wanted to be stored", |it| it.stores),
    ("memcached_flushes", "How often a memcached client wanted all to go", |it| it.flushes),
    ("memcached_failed_handshakes", "TLS handshakes of memcached clients that failed", |it| {
        it.failed_handshakes
    }),
    ("memcached_slow_readers", "memcached clients that did not read their replies", |it| {
        it.slow_readers
    }),
];

impl Metrics {
    pub(super) fn gateways(&self, page: &mut Page<'_>) -> Result<(), Error> {
        if let Some(figures) = &self.status.redis {
            page.gauge(
                "redis_connections",
                "Redis clients that are connected",
                figures.connections,
            )?;
            page.all_of(figures, &REDIS)?;
        }
        if let Some(figures) = &self.status.memcached {
            let help = "memcached clients that are connected";
            page.gauge("memcached_connections", help, figures.connections)?;
            page.all_of(figures, &MEMCACHED)?;
        }
        Ok(())
    }
}

impl Page<'_> {
    /// Counters of a part of the node.
    fn all_of<F>(&mut self, figures: &F, counters: &[Counter<F>]) -> Result<(), Error> {
        counters.iter().try_for_each(|(name, help, count)| self.counter(name, help, count(figures)))
    }
}
