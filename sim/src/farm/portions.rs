//! Which records the nodes of a farm keep.

use proto::cluster::portion::{Keep, Portion};

/// Which records the nodes of a farm keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portions {
    /// Each keeps all.
    All,
    /// Each keeps a share, of so many replicas.
    Share(u8),
    /// All but the first keep a share; that one keeps all.
    ShareAndAll(u8),
    /// All but the last keep a share; that one keeps what the first two keep.
    ShareAndOf(u8, usize),
    /// All but the last keep a share; that one keeps nothing, and asks.
    ShareAndAsks(u8, usize),
}

impl Portions {
    /// The portion of a node.
    #[must_use]
    pub fn of(self, number: usize) -> Portion {
        let share = |replicas| Portion { keep: Keep::Share, replicas, ..Portion::default() };
        match self {
            Self::All => Portion::default(),
            Self::Share(replicas) => share(replicas),
            Self::ShareAndAll(_) if number == 0 => Portion::default(),
            Self::ShareAndAll(replicas) => share(replicas),
            Self::ShareAndOf(replicas, last) | Self::ShareAndAsks(replicas, last)
                if number != last =>
            {
                share(replicas)
            }
            Self::ShareAndAsks(..) => Portion { keep: Keep::Of(Vec::new()), ..Portion::default() },
            Self::ShareAndOf(..) => {
                let names = ["node-0", "node-1"].map(str::to_owned).to_vec();
                Portion { keep: Keep::Of(names), ..Portion::default() }
            }
        }
    }
}
