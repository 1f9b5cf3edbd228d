//! Client connections, as the status tells of them.

use serde::{Deserialize, Serialize};
use sys::address::LinkState;

use crate::connections::Figures as Carried;
use crate::front::Figures;

/// Client connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Connections {
    /// All that are here.
    pub(crate) live: u64,
    /// Those that other nodes went on with by plan.
    pub(crate) handed_over: u64,
    /// Those of other nodes that this one went on with.
    pub(crate) taken_over: u64,
    /// How long the last ones stood still.
    pub(crate) last_pause_ms: Option<f64>,
    /// Whether connections are carried at all.
    #[serde(default)]
    pub(crate) carried: bool,
    /// Whether the virtual address is here.
    #[serde(default)]
    pub(crate) address: bool,
    /// Who follows, and could go on with those that are protected.
    #[serde(default)]
    pub(crate) understudy: Option<String>,
    #[serde(default)]
    pub(crate) protected: u64,
    /// Carried ones that nobody could go on with if this node were gone.
    #[serde(default)]
    pub(crate) plain: u64,
    /// Those of other nodes that this one could go on with.
    #[serde(default)]
    pub(crate) followed: u64,
    /// Those that came here and could not be gone on with.
    #[serde(default)]
    pub(crate) lost: u64,
    /// How often one became plain while the understudy was there.
    #[serde(default)]
    pub(crate) left: u64,
    /// How often the understudy was given up.
    #[serde(default)]
    pub(crate) alone: u64,
    /// Packets that were dropped, to be sent again.
    #[serde(default)]
    pub(crate) refused: u64,
    /// Those that began plain, as there were too many.
    #[serde(default)]
    pub(crate) unheld: u64,
    /// Segments of connections that no node has, which were answered by a reset.
    #[serde(default)]
    pub(crate) strays: u64,
    /// How often packets were lost on their way to the node's process.
    #[serde(default)]
    pub(crate) overruns: u64,
    /// Whether the interface of the virtual address is connected: "up", "down" or
    /// "gone".
    #[serde(default)]
    pub(crate) link: Option<String>,
    /// How often the node could not know whether what it has is still its own.
    #[serde(default)]
    pub(crate) doubts: u64,
}

impl Connections {
    /// What the front has, and who carries connections if anybody does.
    pub(super) fn new(front: &Figures, carried: Option<Carried>) -> Self {
        let is_carried = carried.is_some();
        let carried = carried.unwrap_or_default();
        Self {
            // What was handed over counts at the front too, until it ends.
            live: (front.live - front.handed + carried.live) as u64,
            handed_over: carried.handed_over,
            taken_over: carried.taken_over,
            last_pause_ms: carried.last_pause.map(|pause| pause.as_secs_f64() * 1e3),
            carried: is_carried,
            address: carried.has_address,
            understudy: carried.understudy,
            protected: carried.protected as u64,
            plain: carried.live.saturating_sub(carried.protected) as u64,
            followed: carried.followed as u64,
            lost: carried.lost,
            left: carried.left,
            alone: carried.alone,
            refused: carried.refused,
            unheld: carried.unheld,
            strays: carried.strays,
            overruns: carried.overruns,
            link: carried.link.map(|link| named(link).to_owned()),
            doubts: carried.doubts,
        }
    }
}

const fn named(link: LinkState) -> &'static str {
    match link {
        LinkState::Up => "up",
        LinkState::Down => "down",
        LinkState::Gone => "gone",
    }
}
