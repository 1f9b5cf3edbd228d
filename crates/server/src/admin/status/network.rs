//! What of a status is about other machines: the farm's packets, links, and the
//! tier above.

use serde::{Deserialize, Serialize};

/// An engine of the tier above.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Upstream {
    /// Where it is, without user and password.
    pub(crate) address: String,
    /// "up", "slow" or "down".
    pub(crate) state: String,
    /// Writes that wait to go up.
    pub(crate) queued: u64,
    pub(crate) queued_bytes: u64,
    /// Writes that it has.
    pub(crate) written: u64,
    /// Writes that it had a later version of.
    pub(crate) superseded: u64,
    /// Writes that it refused.
    pub(crate) refused: u64,
    /// Writes that there was no room for in the queue.
    pub(crate) dropped: u64,
    /// Times that a write went up again, as only one node above had it.
    #[serde(default)]
    pub(crate) repeated: u64,
    /// Writes that were given up: only one node above ever had them.
    #[serde(default)]
    pub(crate) given_up: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    /// Values that the farm has not put there so.
    pub(crate) rejected: u64,
    /// Look-ups without an answer in time.
    pub(crate) timeouts: u64,
    /// Look-ups that failed otherwise.
    pub(crate) failed: u64,
    /// Look-ups that it was spared while it was not up.
    pub(crate) spared: u64,
    /// Times that a connection was lost or could not be made.
    pub(crate) reconnects: u64,
    /// How long its last answer took.
    pub(crate) latency_ms: Option<f64>,
    /// What went wrong with it last.
    pub(crate) error: Option<String>,
}

impl From<segue::UpstreamStatus> for Upstream {
    fn from(upstream: segue::UpstreamStatus) -> Self {
        Self {
            address: upstream.address,
            state: upstream.state.name().to_owned(),
            queued: upstream.queued,
            queued_bytes: upstream.queued_bytes,
            written: upstream.written,
            superseded: upstream.superseded,
            refused: upstream.refused,
            dropped: upstream.dropped,
            repeated: upstream.repeated,
            given_up: upstream.given_up,
            hits: upstream.hits,
            misses: upstream.misses,
            rejected: upstream.rejected,
            timeouts: upstream.timeouts,
            failed: upstream.failed,
            spared: upstream.spared,
            reconnects: upstream.reconnects,
            latency_ms: upstream.latency.map(|latency| latency.as_secs_f64() * 1e3),
            error: upstream.error,
        }
    }
}

/// What the multicast did, in packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Multicast {
    pub(crate) sent_packets: u64,
    pub(crate) received_packets: u64,
    pub(crate) naks_sent: u64,
    pub(crate) naks_suppressed: u64,
    pub(crate) repairs_sent: u64,
    pub(crate) repairs_received: u64,
    pub(crate) unrecovered: u64,
    /// Members that stalled, so that nobody waits for them any more.
    pub(crate) stalled: u64,
    /// Packets that this node's own sockets dropped because it read too slowly.
    pub(crate) overflowed: u32,
    /// Versions from clocks that are too far ahead of this node's.
    pub(crate) clocks_ahead: u64,
    /// Bytes sent to say who is up, and what came of that and made no sense.
    pub(crate) gossip_bytes: u64,
    pub(crate) gossip_refused: u64,
    /// Bytes of digests sent, each counted once for each node that it was for.
    pub(crate) digest_bytes: u64,
    /// Ranges of keys that were fetched anew, since digests differed.
    pub(crate) ranges_fetched: u64,
    /// Whether digests are compared.
    pub(crate) comparing: bool,
    pub(crate) rejected: Rejected,
}

/// Packets dropped, by cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rejected {
    pub(crate) forged: u64,
    pub(crate) replayed: u64,
    pub(crate) malformed: u64,
}

/// Links with other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    pub(crate) live: u64,
    pub(crate) made: u64,
    /// Other ends that had no key of this farm, or did not say in time.
    pub(crate) refused: u64,
    /// Calls that were not answered, as there were too many.
    pub(crate) turned_away: u64,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    /// Datagrams that were dropped unread.
    pub(crate) dropped: u64,
}

impl From<segue::LinkStats> for Links {
    fn from(stats: segue::LinkStats) -> Self {
        Self {
            live: stats.live as u64,
            made: stats.made,
            refused: stats.refused,
            turned_away: stats.turned_away,
            received_bytes: stats.received_bytes,
            sent_bytes: stats.sent_bytes,
            dropped: stats.dropped,
        }
    }
}

impl From<segue::MulticastStats> for Multicast {
    fn from(stats: segue::MulticastStats) -> Self {
        Self {
            sent_packets: stats.sent_packets,
            received_packets: stats.received_packets,
            naks_sent: stats.naks_sent,
            naks_suppressed: stats.naks_suppressed,
            repairs_sent: stats.repairs_sent,
            repairs_received: stats.repairs_received,
            unrecovered: stats.unrecovered,
            stalled: stats.stalled,
            overflowed: stats.overflowed,
            clocks_ahead: stats.clocks_ahead,
            gossip_bytes: stats.gossip_bytes,
            gossip_refused: stats.gossip_refused,
            digest_bytes: stats.digest_bytes,
            ranges_fetched: stats.ranges_fetched,
            comparing: stats.comparing,
            rejected: Rejected {
                forged: stats.rejected.forged,
                replayed: stats.rejected.replayed,
                malformed: stats.rejected.malformed,
            },
        }
    }
}
