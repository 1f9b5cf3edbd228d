//! What of a status is about records: which the node keeps, and who looked for
//! them.

use segue::Kind;
use serde::{Deserialize, Serialize};

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
    pub(super) fn new(node: &segue::Status) -> Self {
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
    pub(super) fn new(counts: [u64; Kind::ALL.len()]) -> Self {
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

impl From<segue::LookupStats> for Lookups {
    fn from(stats: segue::LookupStats) -> Self {
        let segue::LookupStats { queries, hedged, repeated, .. } = stats;
        let segue::LookupStats { known_absent, unanswered, refused, .. } = stats;
        Self { queries, hedged, repeated, known_absent, unanswered, refused }
    }
}
