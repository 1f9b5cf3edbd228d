//! What a node says of itself, its farm and its cache.

use std::net::SocketAddr;
use std::time::Duration;

use proto::cluster::placement::Trouble;
use proto::node::PortionFigures;
use proto::table::Stats;

use crate::one_answer::OneAnswerError;

/// A node's state and figures at one moment. Counters count since its start.
#[derive(Debug, Clone)]
pub struct Status {
    /// The node's name.
    pub name: String,
    /// This start of the node: 128 random bits, in hexadecimal.
    pub incarnation: String,
    /// Where it takes unicast packets.
    pub address: SocketAddr,
    /// Whether its portion has arrived.
    pub ready: bool,
    /// The ids of the farm's keys that it uses: the first seals, all open.
    pub keys: Vec<u8>,
    /// The other nodes that it knows, by name.
    pub members: Vec<Member>,
    /// Which part of the farm's records it keeps.
    pub portion: PortionFigures,
    /// What is wrong with the names that its portion is of.
    pub troubles: Vec<Trouble>,
    /// Its cache: what it holds of its portion.
    pub cache: Stats,
    /// What it holds beside that, if it does not keep everything.
    pub near: Option<Stats>,
    /// What came of looking for records.
    pub lookups: LookupStats,
    /// Look-ups that the node's own cache could not answer, and an upstream
    /// could. They are among [`LookupStats::misses`] too.
    pub hits_upstream: u64,
    /// The engines of the tier above.
    pub upstreams: Vec<UpstreamStatus>,
    /// Its multicast.
    pub multicast: MulticastStats,
    /// How long writes took to be at other members.
    pub lag: Histogram,
    /// Its links with other nodes.
    pub links: LinkStats,
    /// Operations that need one answer.
    pub one_answer: OneAnswerStats,
    /// Claims on the tickets that it issued.
    pub claims: ClaimStats,
}

/// Claims on the tickets of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClaimStats {
    /// How many it remembers.
    pub kept: usize,
    /// How many it can remember.
    pub capacity: usize,
    /// How many it refused, as it could remember no more.
    pub refused: u64,
}

/// Another node, as this one sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its incarnation, in hexadecimal.
    pub incarnation: String,
    /// Where it takes unicast packets.
    pub address: SocketAddr,
    /// Whether it is heard.
    pub state: MemberState,
    /// Whether its portion has arrived.
    pub ready: bool,
    /// Which records it keeps: "all", "share", or "of" and names.
    pub portion: String,
    /// The tier that it is of; empty when of none.
    pub tier: String,
    /// How what is for all nodes goes to it.
    pub by: By,
    /// How what it sends to all nodes comes from it.
    pub heard_by: By,
    /// Whether it is far behind with this node's stream, or has just begun to
    /// follow it. Nobody waits for it meanwhile.
    pub catching_up: bool,
    /// How long the last write that it confirmed took to be there.
    pub lag: Option<Duration>,
    /// Packets that its socket dropped because it read too slowly.
    pub overflowed: u32,
}

/// Whether a member is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberState {
    /// It is.
    Alive,
    /// It has been silent for too long.
    Dead,
    /// It said that it leaves.
    Left,
}

impl MemberState {
    /// The word for it in figures and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

/// How packets for all nodes travel to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum By {
    /// It hears the group.
    Multicast,
    /// It is sent copies, as it does not hear the group, or there is none.
    Unicast,
}

impl By {
    /// The word for it in figures and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Multicast => "multicast",
            Self::Unicast => "unicast",
        }
    }
}

/// What came of looking for records, and what it took.
#[derive(Debug, Clone, Default)]
pub struct LookupStats {
    /// Look-ups that found a record in this node's portion.
    pub hits_local: u64,
    /// Those that found one that this node does not keep, and held all the
    /// same, as it was asked for lately.
    pub hits_near: u64,
    /// Those that another node answered with a record.
    pub hits_remote: u64,
    /// Those that found none.
    pub misses: u64,
    /// Keys that other nodes were asked for.
    pub queries: u64,
    /// Questions to another holder, as the one before was slow to answer.
    pub hedged: u64,
    /// Questions that were asked once more, as nobody had answered.
    pub repeated: u64,
    /// Misses that were known from a moment ago.
    pub known_absent: u64,
    /// Misses for which not every holder had answered in time.
    pub unanswered: u64,
    /// Misses that nobody was asked for, as too many others were asked for.
    pub refused: u64,
    /// How long those took that other nodes were asked for.
    pub latency: Histogram,
}

/// An engine of the tier above, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamStatus {
    /// Where it is, without user and password.
    pub address: String,
    /// Whether it answers.
    pub state: UpstreamState,
    /// Writes that wait to go up.
    pub queued: u64,
    /// Their size, in bytes.
    pub queued_bytes: u64,
    /// Writes that it has.
    pub written: u64,
    /// Writes that it had a later version of.
    pub superseded: u64,
    /// Writes that it refused, as when its memory is full.
    pub refused: u64,
    /// Writes that there was no room for in the queue.
    pub dropped: u64,
    /// Times that a write went up again, as only one node above had it.
    pub repeated: u64,
    /// Writes that were given up: one node above had them, and no other one
    /// confirmed them in half a minute.
    pub given_up: u64,
    /// Look-ups that it answered with a record.
    pub hits: u64,
    /// Look-ups that it had nothing for.
    pub misses: u64,
    /// Values found there that the farm has not put there so. They count as
    /// missing.
    pub rejected: u64,
    /// Look-ups that it did not answer in time.
    pub timeouts: u64,
    /// Look-ups that failed otherwise.
    pub failed: u64,
    /// Look-ups that it was spared, as it was down or slow.
    pub spared: u64,
    /// Times that a connection was lost or could not be made.
    pub reconnects: u64,
    /// How long its last answer to a look-up took.
    pub latency: Option<Duration>,
    /// What went wrong with it last.
    pub error: Option<String>,
}

/// Whether an engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpstreamState {
    /// It does.
    Up,
    /// It is connected, and has left look-ups unanswered: it is not asked until
    /// it answers a probe.
    Slow,
    /// There is no connection.
    Down,
}

impl UpstreamState {
    /// The word for it in figures and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Slow => "slow",
            Self::Down => "down",
        }
    }
}

/// What the multicast did.
#[derive(Debug, Clone, Copy, Default)]
pub struct MulticastStats {
    /// Data packets sent for the first time.
    pub sent_packets: u64,
    /// Packets received and accepted.
    pub received_packets: u64,
    /// Requests for repair sent.
    pub naks_sent: u64,
    /// Requests for repair not sent, because another node had asked.
    pub naks_suppressed: u64,
    /// Packets sent again.
    pub repairs_sent: u64,
    /// Missing packets that came after they had been asked for.
    pub repairs_received: u64,
    /// Packets that no repair could bring, so that their keys' current values
    /// were fetched instead.
    pub unrecovered: u64,
    /// Members moved to catch-up because they stalled.
    pub stalled: u64,
    /// Packets that this node's own sockets dropped because it read too slowly.
    pub overflowed: u32,
    /// Ranges of keys whose digests differed from another node's, and that were
    /// fetched.
    pub ranges_fetched: u64,
    /// Whether the node compares digests with others; not for a day after its
    /// cache was full, since it would fetch what it has no room for.
    pub comparing: bool,
    /// Clocks of other nodes seen too far ahead of ours.
    pub clocks_ahead: u64,
    /// Bytes of packets in which this node said who is up.
    pub gossip_bytes: u64,
    /// What members said of each other that makes no sense.
    pub gossip_refused: u64,
    /// Live members with the name of another live one, or of this node.
    pub same_name: usize,
    /// How many nodes are heard that place records by another secret. They are no
    /// members.
    pub placed_elsewhere: usize,
    /// Bytes of packets with digests of what this node holds, each counted
    /// once for each node that it was sent to.
    pub digest_bytes: u64,
    /// Packets dropped.
    pub rejected: Rejected,
}

/// Packets dropped, by cause.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rejected {
    /// They do not open: forged, damaged, or of another farm.
    pub forged: u64,
    /// They came before, or from an incarnation that has not proven itself.
    pub replayed: u64,
    /// They are no packets of ours, or say what makes no sense.
    pub malformed: u64,
}

/// What a node's links did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Links that stand.
    pub live: usize,
    /// Links that were made.
    pub made: u64,
    /// Connections on which the other end had no key of this farm, spoke
    /// another protocol, or said nothing in time.
    pub refused: u64,
    /// Calls that were not answered, as there were too many at a time.
    pub turned_away: u64,
    /// Bytes of datagrams that were received.
    pub received_bytes: u64,
    /// Bytes of datagrams that were sent.
    pub sent_bytes: u64,
    /// Datagrams that were dropped unread: there was no room, or too many a
    /// second began a handshake.
    pub dropped: u64,
}

/// What operations that need one answer have come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OneAnswerStats {
    /// The number of the roster of voters that the node goes by; 0: none yet.
    pub roster: u64,
    /// How many voters that has.
    pub voters: usize,
    /// How many of them are heard.
    pub voters_alive: usize,
    /// Why there is no roster, as long as there is none.
    pub unfounded: Option<OneAnswerError>,
    /// Keys that this node votes on.
    pub registers: usize,
    /// Operations asked here that were answered.
    pub answered: u64,
    /// Operations asked here that failed, and were not done.
    pub failed: u64,
    /// Operations asked here of which it is not known whether they were done.
    pub unknown: u64,
    /// Proposals that were in another's way.
    pub conflicts: u64,
    /// How often so many voters had lost their memory that some of it may have
    /// been nobody else's.
    pub may_be_lost: u64,
    /// Keys given up to a farm that had been founded by itself.
    pub absorbed: u64,
}

/// How long something took, each time that it did.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// How many took at most [`Histogram::BOUNDS`] of the same index; the last
    /// counts the rest. Not cumulative.
    pub counts: [u64; Self::BOUNDS.len() + 1],
    /// Their sum.
    pub sum: Duration,
}

impl Histogram {
    /// The buckets' upper bounds, in seconds.
    pub const BOUNDS: [f64; 12] =
        [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

    /// Takes one measurement in.
    pub(crate) fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = Self::BOUNDS.iter().position(|&bound| seconds <= bound);
        self.counts[bucket.unwrap_or(Self::BOUNDS.len())] += 1;
        self.sum += took;
    }
}

/// Something that an operator should know, though the node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The kernel gave the socket a smaller receive buffer than asked for.
    ReceiveBufferCapped {
        /// What it gave, in bytes.
        granted: usize,
        /// What was asked for, in bytes.
        wanted: usize,
    },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReceiveBufferCapped { granted, wanted } => write!(
                f,
                "the kernel gave {granted} bytes of receive buffer instead of {wanted}: bursts \
                 will be lost and repaired; raise it with `sysctl -w net.core.rmem_max={wanted}`"
            ),
        }
    }
}
