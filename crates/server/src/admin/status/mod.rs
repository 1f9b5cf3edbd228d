//! A node's status as JSON: what `/api/status` answers and `segue status`
//! reads.
//!
//! The names are an interface: users and scripts rely on them.

mod cache;
mod connections;
mod network;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub(crate) use cache::{ByKind, Cache, Lookups, Portion};
pub(crate) use connections::Connections;
pub(crate) use network::{Links, Multicast, Upstream};

use crate::connections::Figures as Carried;
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
    /// What the gateway of Redis' protocol did. None: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redis: Option<crate::gateway::redis::Figures>,
    /// What that of memcached's did. None: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memcached: Option<crate::gateway::memcached::Figures>,
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
    /// How many nodes are heard that place records by another secret: they are
    /// no members.
    #[serde(default)]
    pub(crate) placed_elsewhere: u64,
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
    /// Whether its portion has arrived.
    #[serde(default)]
    pub(crate) ready: bool,
    /// Which of the farm's records it keeps.
    pub(crate) portion: String,
    /// The tier that it is of; empty where it is of none.
    #[serde(default)]
    pub(crate) tier: String,
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
    /// Tickets of this node whose early data was accepted, as it remembers for
    /// 25 hours; how many it can remember; and claims that it refused therefore.
    #[serde(default)]
    pub(crate) claims: u64,
    #[serde(default)]
    pub(crate) claims_capacity: u64,
    #[serde(default)]
    pub(crate) claims_refused: u64,
}

impl Status {
    /// The status that a node, its front and what carries connections make;
    /// `ready` is for clients, not only for the farm.
    pub(crate) fn new(
        node: segue::Status,
        front: &Figures,
        carried: Option<Carried>,
        ready: bool,
    ) -> Self {
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
                placed_elsewhere: multicast.placed_elsewhere as u64,
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
            redis: None,
            memcached: None,
            tls: Tls {
                handshakes_full: front.handshakes_full,
                resumed_local: front.resumed_local,
                resumed_remote: front.resumed_remote,
                early_data_accepted: front.early_data_accepted,
                early_data_refused: front.early_data_refused.iter().map(|(_, count)| count).sum(),
                claims: node.claims.kept as u64,
                claims_capacity: node.claims.capacity as u64,
                claims_refused: node.claims.refused,
            },
            connections: Connections::new(front, carried),
        }
    }
}

impl From<segue::Member> for Member {
    fn from(member: segue::Member) -> Self {
        Self {
            name: member.name,
            address: member.address,
            state: member.state.name().to_owned(),
            ready: member.ready,
            portion: member.portion,
            tier: member.tier,
            by: member.by.name().to_owned(),
            heard_by: member.heard_by.name().to_owned(),
            lag_ms: member.lag.map(|lag| lag.as_secs_f64() * 1e3),
            catching_up: member.catching_up,
            overflowed: member.overflowed,
        }
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
