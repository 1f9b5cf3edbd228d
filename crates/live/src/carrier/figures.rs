//! What a carrier has done, and how it stands.

use std::time::Duration;

use sys::address::LinkState;

/// What a carrier has done, and how it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections that are here.
    pub live: usize,
    /// Those of them that the understudy could go on with.
    pub protected: usize,
    /// Connections of other nodes that this one could go on with.
    pub followed: usize,
    /// Connections that others went on with by plan.
    pub handed_over: u64,
    /// Connections of others that this node went on with.
    pub taken_over: u64,
    /// How long the last ones stood still, as far as this node knows: from the
    /// last word of who had them.
    pub last_pause: Option<Duration>,
    /// Connections that came here and could not be gone on with.
    pub lost: u64,
    /// How often connections became unprotected while the understudy was there.
    pub left: u64,
    /// How often the understudy was given up.
    pub alone: u64,
    /// Packets that were dropped, to be sent again.
    pub refused: u64,
    /// Connections that begun without being told, as there were too many.
    pub unheld: u64,
    /// Segments of connections that no node has, which were answered by a reset.
    pub strays: u64,
    /// How often packets were lost on their way to this process.
    pub overruns: u64,
    /// Whether the virtual address is here.
    pub has_address: bool,
    /// Whether the interface that it belongs on is connected.
    pub link: Option<LinkState>,
    /// How often this node could not know whether others have gone on with what it
    /// has: it stood still, or was cut off.
    pub doubts: u64,
    /// Who follows.
    pub understudy: Option<String>,
    /// Connections that are still to be moved, while the node is drained.
    pub to_move: Option<usize>,
}
