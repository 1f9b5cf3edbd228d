//! A node's status as JSON: what `/api/status` answers and `segue status`
//! reads.
//!
//! The names are an interface: users and scripts rely on them.

use std::net::SocketAddr;

use segue::Kind;
use serde::{Deserialize, Serialize};

use crate::front::Figures;

/// A node's state and figures. Counters count since its start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) node: Node,
    /// The other nodes of the farm that it knows.
    pub(crate) members: Vec<Member>,
    pub(crate) portion: Portion,
    pub(crate) cache: Cache,
    pub(crate) lookups: Lookups,
    /// The engines of the tier above.
    #[serde(default)]
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) multicast: Multicast,
    /// Its links with other nodes.
    pub(crate) links: Links,
    pub(crate) one_answer: OneAnswer,
    pub(crate) tls: Tls,
    pub(crate) connections: Connections,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    /// This start of the node: 128 bits in hexadecimal.
    pub(crate) incarnation: String,
    /// The version of the program.
    pub(crate) version: String,
    /// Whether its portion has arrived and it takes new clients.
    pub(crate) ready: bool,
    /// How many live members have another live one's name, or this node's.
    pub(crate) same_name: u64,
    /// The ids of the farm keys that it uses: the first seals, all open.
    pub(crate) keys: Vec<u8>,
}

/// Another node, as this one sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// "alive", "dead" or "left".
    pub(crate) state: String,
    /// Which of the farm's records it keeps.
    pub(crate) portion: String,
    /// How what is for all nodes goes to it: "multicast" or "unicast".
    pub(crate) by: String,
    /// How what it sends to all nodes comes from it.
    pub(crate) heard_by: String,
    /// How long the last write that it confirmed took to be there.
    pub(crate) lag_ms: Option<f64>,
    /// Whether it is far behind with this node's stream, or has just begun to
    /// follow it: nobody waits for it.
    pub(crate) catching_up: bool,
    /// Packets that its sockets dropped because it read too slowly, as it told
    /// last. What a network loses is not among them.
    pub(crate) overflowed: u32,
}

/// Which part of the farm's records the node keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Portion {
    /// The part of all slots that is the node's, from 0 to 1.
    pub(crate) share: f64,
    /// Slots, of 65,536, that it keeps, that are on their way to it, and that
    /// it keeps until others surely do.
    pub(crate) slots: usize,
    pub(crate) moving: usize,
    pub(crate) lingering: usize,
    /// Holders of each record among the nodes that keep a share; 0 where every
    /// node keeps everything.
    pub(crate) replicas: usize,
    /// Records that came because their slots moved here, and their bytes.
    pub(crate) moved_records: u64,
    pub(crate) moved_bytes: u64,
    /// Records held beside the portion, and the memory they take.
    pub(crate) near_records: u64,
    pub(crate) near_bytes: u64,
    /// What is wrong with the names that the portion is of.
    pub(crate) troubles: Vec<String>,
}

impl Portion {
    fn new(node: &segue::Status) -> Self {
        let segue::PortionFigures {
            slots,
            moving,
            lingering,
            replicas,
            moved_records,
            moved_bytes,
        } = node.portion;
        let near = node.near.unwrap_or_default();
        let told = |trouble: &segue::Trouble| match trouble {
            segue::Trouble::Nobody(name) => format!("no node or tier is named {name:?}"),
            segue::Trouble::Circle(name) => {
                format!("{name:?} keeps what this node keeps: a circle")
            }
        };
        Self {
            share: f64::from(u32::try_from(slots).unwrap_or(u32::MAX)) / 65_536.0,
            slots,
            moving,
            lingering,
            replicas,
            moved_records,
            moved_bytes,
            near_records: near.records,
            near_bytes: near.bytes,
            troubles: node.troubles.iter().map(told).collect(),
        }
    }
}

/// The cache memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cache {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) capacity_bytes: u64,
    pub(crate) by_kind: ByKind,
    /// Look-ups that found a record in this node's portion.
    pub(crate) hits_local: u64,
    /// Those that found one that it does not keep, held since it was asked for.
    pub(crate) hits_near: u64,
    /// Those that another node answered.
    pub(crate) hits_remote: u64,
    /// Look-ups that only the tier above could answer.
    #[serde(default)]
    pub(crate) hits_upstream: u64,
    pub(crate) misses: u64,
    pub(crate) evicted: u64,
    pub(crate) expired: u64,
}

/// Look-ups at other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lookups {
    /// Keys that other nodes were asked for.
    pub(crate) queries: u64,
    /// Questions to another holder, as the one before was slow.
    pub(crate) hedged: u64,
    /// Questions that were asked again.
    pub(crate) repeated: u64,
    /// Misses that were known from a moment ago.
    pub(crate) known_absent: u64,
    /// Misses for which not every holder had answered in time.
    pub(crate) unanswered: u64,
    /// Misses that nobody was asked for, as there were too many.
    pub(crate) refused: u64,
}

/// Records by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ByKind {
    pub(crate) tls: u64,
    pub(crate) auth: u64,
    pub(crate) conn: u64,
    pub(crate) purchase: u64,
    pub(crate) web: u64,
}

impl ByKind {
    fn new(counts: [u64; Kind::ALL.len()]) -> Self {
        let [tls, auth, conn, purchase, web] = counts;
        Self { tls, auth, conn, purchase, web }
    }

    /// Each kind's word and count.
    pub(crate) fn pairs(self) -> [(&'static str, u64); Kind::ALL.len()] {
        let Self { tls, auth, conn, purchase, web } = self;
        let counts = [tls, auth, conn, purchase, web];
        std::array::from_fn(|at| (Kind::ALL[at].name(), counts[at]))
    }
}

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

/// What operations that need one answer have come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OneAnswer {
    /// The number of the roster of voters; 0: none is agreed yet.
    pub(crate) roster: u64,
    pub(crate) voters: usize,
    /// How many of them are heard.
    pub(crate) voters_alive: usize,
    /// Why none is agreed.
    pub(crate) unfounded: Option<String>,
    /// Keys that this node votes on.
    pub(crate) registers: usize,
    pub(crate) answered: u64,
    /// Operations that failed, and were not done.
    pub(crate) failed: u64,
    /// Operations of which it is not known whether they were done.
    pub(crate) unknown: u64,
    /// Proposals that were in another's way.
    pub(crate) conflicts: u64,
    /// How often so many voters had lost their memory that some of it may have
    /// been nobody else's.
    pub(crate) may_be_lost: u64,
    /// Keys given up to a farm that had been founded by itself.
    pub(crate) absorbed: u64,
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

/// Handshakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tls {
    pub(crate) handshakes_full: u64,
    /// Resumptions of sessions that began at this node.
    pub(crate) resumed_local: u64,
    /// Resumptions of sessions that began at another.
    pub(crate) resumed_remote: u64,
    pub(crate) early_data_accepted: u64,
    pub(crate) early_data_refused: u64,
}

/// Client connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Connections {
    pub(crate) live: u64,
    pub(crate) handed_over: u64,
    pub(crate) taken_over: u64,
    pub(crate) last_pause_ms: Option<f64>,
}

impl Status {
    /// The status that a node and its front make; `ready` is for clients, not
    /// only for the farm.
    pub(crate) fn new(node: segue::Status, front: &Figures, ready: bool) -> Self {
        let portion = Portion::new(&node);
        let segue::Status { cache, lookups, multicast, one_answer, .. } = node;
        Self {
            portion,
            node: Node {
                name: node.name,
                incarnation: node.incarnation,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ready,
                same_name: multicast.same_name as u64,
                keys: node.keys,
            },
            members: node.members.into_iter().map(Member::from).collect(),
            cache: Cache {
                records: cache.records,
                bytes: cache.bytes,
                capacity_bytes: cache.capacity_bytes,
                by_kind: ByKind::new(cache.by_kind),
                hits_local: lookups.hits_local,
                hits_near: lookups.hits_near,
                hits_remote: lookups.hits_remote,
                hits_upstream: node.hits_upstream,
                // A miss is counted before the tier above is asked.
                misses: lookups.misses.saturating_sub(node.hits_upstream),
                evicted: cache.evicted,
                expired: cache.expired,
            },
            lookups: lookups.into(),
            upstreams: node.upstreams.into_iter().map(Upstream::from).collect(),
            multicast: multicast.into(),
            links: node.links.into(),
            one_answer: one_answer.into(),
            tls: Tls {
                handshakes_full: front.handshakes_full,
                resumed_local: front.resumed_local,
                resumed_remote: front.resumed_remote,
                early_data_accepted: front.early_data_accepted,
                early_data_refused: front.early_data_refused.iter().map(|(_, count)| count).sum(),
            },
            connections: Connections {
                live: front.live as u64,
                // Connections stay at the node that accepted them.
                handed_over: 0,
                taken_over: 0,
                last_pause_ms: None,
            },
        }
    }
}

impl From<segue::Member> for Member {
    fn from(member: segue::Member) -> Self {
        Self {
            name: member.name,
            address: member.address,
            state: member.state.name().to_owned(),
            portion: member.portion,
            by: member.by.name().to_owned(),
            heard_by: member.heard_by.name().to_owned(),
            lag_ms: member.lag.map(|lag| lag.as_secs_f64() * 1e3),
            catching_up: member.catching_up,
            overflowed: member.overflowed,
        }
    }
}

impl From<segue::LookupStats> for Lookups {
    fn from(stats: segue::LookupStats) -> Self {
        let segue::LookupStats { queries, hedged, repeated, .. } = stats;
        let segue::LookupStats { known_absent, unanswered, refused, .. } = stats;
        Self { queries, hedged, repeated, known_absent, unanswered, refused }
    }
}

impl From<segue::OneAnswerStats> for OneAnswer {
    fn from(stats: segue::OneAnswerStats) -> Self {
        Self {
            roster: stats.roster,
            voters: stats.voters,
            voters_alive: stats.voters_alive,
            unfounded: stats.unfounded.map(|error| error.to_string()),
            registers: stats.registers,
            answered: stats.answered,
            failed: stats.failed,
            unknown: stats.unknown,
            conflicts: stats.conflicts,
            may_be_lost: stats.may_be_lost,
            absorbed: stats.absorbed,
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
