//! What clients are told of the server: `stats` and its groups, the version, and
//! why something was not done.

use std::fmt::Display;
use std::sync::atomic::Ordering;
use std::time::Instant;

use proto::gateway::memcached::{MAX_VALUE_BYTES, Writer};

use super::{Figures, Shared};
use crate::gateway::running::Service as _;

/// The version of memcached whose commands these are.
pub(super) const VERSION: &str = "1.6.18";

/// The words of a failure of the store, which begin as Redis' do.
pub(super) fn words(text: &str) -> &str {
    text.strip_prefix("ERR ").unwrap_or(text)
}

/// Tells the figures of a group.
pub(super) fn tell(shared: &Shared, group: &[u8], writer: &mut Writer<'_, '_>) {
    match group {
        b"" => general(shared, writer),
        b"settings" => {
            let mut stat = |name: &str, figure: &dyn Display| stat(writer, name, figure);
            stat("maxconns", &shared.max_connections);
            stat("item_size_max", &MAX_VALUE_BYTES);
            stat("cas_enabled", &"yes");
            stat("flush_enabled", &"yes");
            stat("binding_protocol", &"auto-negotiate");
            stat("auth_enabled_sasl", &"no");
        }
        // Memory is not divided into classes here.
        b"items" | b"slabs" | b"sizes" | b"conns" => {}
        b"reset" => {
            *shared.counted_from.lock() = shared.figures();
            return writer.stats_reset();
        }
        _ => return writer.no_such_stats(),
    }
    writer.end_of_stats();
}

fn general(shared: &Shared, writer: &mut Writer<'_, '_>) {
    // In this order: what is counted from is never more than what is counted.
    let from = *shared.counted_from.lock();
    let figures = shared.figures();
    let since = |of: fn(&Figures) -> u64| of(&figures) - of(&from);
    let mut stat = |name: &str, figure: &dyn Display| stat(writer, name, figure);
    stat("pid", &std::process::id());
    stat("uptime", &Instant::now().duration_since(shared.began).as_secs());
    stat("time", &(shared.store.cache.now().as_millis() / 1_000));
    stat("version", &VERSION);
    stat("segue_version", &env!("CARGO_PKG_VERSION"));
    stat("segue_node", &shared.node);
    stat("pointer_size", &usize::BITS);
    stat("max_connections", &shared.max_connections);
    stat("curr_connections", &shared.places.connections.load(Ordering::Relaxed));
    stat("total_connections", &since(|it| it.accepted));
    stat("rejected_connections", &since(|it| it.refused));
    stat("cmd_get", &since(|it| it.hits + it.misses));
    stat("cmd_set", &since(|it| it.stores));
    stat("cmd_flush", &since(|it| it.flushes));
    stat("get_hits", &since(|it| it.hits));
    stat("get_misses", &since(|it| it.misses));
}

fn stat(writer: &mut Writer<'_, '_>, name: &str, figure: &dyn Display) {
    writer.stat(name.as_bytes(), figure.to_string().as_bytes());
}
