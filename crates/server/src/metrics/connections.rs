//! The figures of client connections, and of those that go on elsewhere.

use std::fmt::Error;

use super::{Metrics, Page};
use crate::admin::Connections;

type Figure = fn(&Connections) -> u64;

/// How it stands, with what they mean.
const GAUGES: [(&str, &str, Figure); 7] = [
    ("connections_live", "Client connections that are open", |it| it.live),
    ("connections_protected", "Those that the understudy could go on with", |it| it.protected),
    ("connections_plain", "Those that are carried and nobody could go on with", |it| it.plain),
    ("connections_followed", "Those of other nodes that this one could go on with", |it| {
        it.followed
    }),
    ("connections_address", "Whether the virtual address is here", |it| it.address.into()),
    ("connections_link", "Whether the interface of the virtual address is connected", |it| {
        it.link.as_deref().is_some_and(|link| link == "up").into()
    }),
    ("connections_understudy", "Whether another node follows", |it| it.understudy.is_some().into()),
];

/// What has happened, with what they mean.
const COUNTERS: [(&str, &str, Figure); 8] = [
    ("connections_lost", "Connections that could not be gone on with here", |it| it.lost),
    ("connections_left", "Times that one became plain beside an understudy", |it| it.left),
    ("connections_alone", "Times that the understudy was given up", |it| it.alone),
    ("connections_refused_packets", "Packets dropped, to be sent again", |it| it.refused),
    ("connections_unheld", "Connections that began plain, as there were too many", |it| it.unheld),
    ("connections_strays", "Segments of connections that no node has, reset", |it| it.strays),
    ("connections_overruns", "Times that packets were lost before they were read", |it| {
        it.overruns
    }),
    ("connections_doubts", "Times that it was not known whose the connections are", |it| it.doubts),
];

impl Metrics {
    pub(super) fn connections(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let connections = &self.status.connections;
        for (name, help, figure) in GAUGES {
            page.gauge(name, help, figure(connections))?;
        }
        let moved =
            [("handed_over", connections.handed_over), ("taken_over", connections.taken_over)];
        page.counters("connections_moved", "Connections that changed nodes", "how", &moved)?;
        for (name, help, figure) in COUNTERS {
            page.counter(name, help, figure(connections))?;
        }
        if let Some(ms) = connections.last_pause_ms {
            let help = "How long the last connections that came here stood still";
            page.second("connections_last_pause_seconds", help, ms / 1e3)?;
        }
        Ok(())
    }
}
