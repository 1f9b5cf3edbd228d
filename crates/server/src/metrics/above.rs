//! What of a node's figures is about the tier above, and the links to it.

use std::fmt::Error;

use segue::UpstreamState;

use super::{Metrics, Page};
use crate::admin::Upstream;

/// A figure of an engine.
type UpstreamFigure = fn(&Upstream) -> u64;

/// What there is of engines that comes and goes: name, help and figure.
const UPSTREAM_GAUGES: [(&str, &str, UpstreamFigure); 2] = [
    ("upstream_queued_writes", "Writes that wait to go up", |it| it.queued),
    ("upstream_queued_bytes", "Their size", |it| it.queued_bytes),
];

/// What there is of engines that only grows.
const UPSTREAM_COUNTERS: [(&str, &str, UpstreamFigure); 13] = [
    ("upstream_written_records", "Writes that it has", |it| it.written),
    ("upstream_superseded_writes", "Writes that it had a later version of", |it| it.superseded),
    ("upstream_refused_writes", "Writes that it refused", |it| it.refused),
    ("upstream_dropped_writes", "Writes without room in the queue", |it| it.dropped),
    ("upstream_repeated_writes", "Writes sent again, as only one node had them", |it| it.repeated),
    ("upstream_given_up_writes", "Writes that only one node ever had", |it| it.given_up),
    ("upstream_hits", "Look-ups that it answered with a record", |it| it.hits),
    ("upstream_misses", "Look-ups that it had nothing for", |it| it.misses),
    ("upstream_rejected_values", "Values that the farm has not put there so", |it| it.rejected),
    ("upstream_timeouts", "Look-ups without an answer in time", |it| it.timeouts),
    ("upstream_failed_lookups", "Look-ups that failed otherwise", |it| it.failed),
    ("upstream_spared_lookups", "Look-ups not made, as it was not up", |it| it.spared),
    ("upstream_reconnects", "Connections that were lost or not made", |it| it.reconnects),
];

impl Metrics {
    pub(super) fn upstreams(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let upstreams = &self.status.upstreams;
        if upstreams.is_empty() {
            return Ok(());
        }
        let each = |figure: UpstreamFigure| -> Vec<_> {
            upstreams.iter().map(|it| (it.address.as_str(), figure(it))).collect()
        };
        let label = "upstream";
        let up = each(|it| u64::from(it.state == UpstreamState::Up.name()));
        page.gauges("upstream_up", "Whether it is connected and answers", label, &up)?;
        for (name, help, figure) in UPSTREAM_GAUGES {
            page.gauges(name, help, label, &each(figure))?;
        }
        let latency = upstreams.iter().filter_map(|it| Some((&*it.address, it.latency_ms? / 1e3)));
        let help = "How long the last answer to a look-up took";
        page.seconds("upstream_latency_seconds", help, label, latency)?;
        for (name, help, figure) in UPSTREAM_COUNTERS {
            page.counters(name, help, label, &each(figure))?;
        }
        Ok(())
    }

    pub(super) fn links(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let links = &self.status.links;
        page.gauge("links_live", "Links with other nodes that stand", links.live)?;
        let calls =
            [("made", links.made), ("refused", links.refused), ("turned_away", links.turned_away)];
        page.counters("links_calls", "Calls by what came of them", "result", &calls)?;
        let help = "Bytes of the datagrams of links that were received";
        page.counter("links_received_bytes", help, links.received_bytes)?;
        let help = "Bytes of the datagrams of links that were sent";
        page.counter("links_sent_bytes", help, links.sent_bytes)?;
        let help = "Datagrams of links that were dropped unread, as there were too many";
        page.counter("links_dropped_datagrams", help, links.dropped)
    }
}
