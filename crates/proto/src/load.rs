//! How full things are that are bounded, for whoever checks that they are.

/// How much of something a node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// What.
    pub what: &'static str,
    /// How much of it there is.
    pub used: usize,
    /// The most that there may be.
    pub limit: usize,
}

impl Load {
    /// So much of it, of so much at the most.
    pub(crate) const fn new(what: &'static str, used: usize, limit: usize) -> Self {
        Self { what, used, limit }
    }
}
