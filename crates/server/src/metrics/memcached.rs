//! The figures of the gateway of memcached's protocols.

use std::fmt::Error;

use super::{Metrics, Page};
use crate::gateway::memcached::Figures;

type Figure = fn(&Figures) -> u64;

/// What has happened, with what they mean.
const COUNTERS: [(&str, &str, Figure); 9] = [
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
    ("memcached_slow_readers", "memcached clients that did not read their replies", |it| {
        it.slow_readers
    }),
];

impl Metrics {
    pub(super) fn memcached(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let Some(figures) = &self.status.memcached else { return Ok(()) };
        let help = "memcached clients that are connected";
        page.gauge("memcached_connections", help, figures.connections)?;
        for (name, help, figure) in COUNTERS {
            page.counter(name, help, figure(figures))?;
        }
        Ok(())
    }
}
