//! What receivers say of how far they have come with the node's own stream.

use std::time::Duration;

use super::{Event, Node};
use crate::nak::progress::Report;
use crate::time::Now;
use crate::wire::header::Incarnation;

/// What a status says, besides whose stream it is of.
pub(super) struct Status {
    pub(super) report: Report,
    pub(super) echo_micros: u64,
    pub(super) held_micros: u32,
}

impl Node {
    pub(super) fn handle_status(&mut self, now: Now, sender: Incarnation, status: &Status) {
        let Some(peer) = self.peers.get_mut(&sender) else { return };
        peer.overflowed = status.report.overflowed;
        if status.echo_micros > peer.trips_from.as_micros() {
            let round_trip = now.instant.as_micros().saturating_sub(status.echo_micros);
            let held = status.held_micros.into();
            peer.rtt.sample(Duration::from_micros(round_trip.saturating_sub(held)));
        }
        let high = self.sender.sent_high();
        let had = self.sender.progress.span(sender);
        let moved = self.sender.handle_status(now.instant, sender, &status.report);
        if moved && let Some(sent) = self.sender.sent_at(status.report.watermark.min(high)) {
            let lag = now.instant - sent;
            peer.lag = Some(lag);
            self.event(Event::Lag(lag));
        }
        // Most statuses say what is known, and then nobody is to be told.
        if self.sender.progress.span(sender) != had {
            self.acknowledge();
        }
    }
}
