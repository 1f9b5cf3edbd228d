//! How a farm begins.

use super::Portions;
use crate::weather::Weather;

/// How a farm begins.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// How many nodes it has.
    pub nodes: usize,
    /// Whether there is multicast, or each node sends to each.
    pub multicast: bool,
    /// Whom each node is told of.
    pub configured: Configured,
    /// How the network treats packets.
    pub weather: Weather,
    /// Whether nodes compare what they hold.
    pub compares: bool,
    /// The number that packets' numbers begin after.
    pub begins_after: u64,
    /// Whether it is checked that no number is sealed twice: all tags are kept.
    pub audited: bool,
    /// What each node's table may take.
    pub table_bytes: usize,
    /// What each node keeps for repair.
    pub ring_bytes: usize,
    /// How many nodes keep nothing and ask the others: the last ones.
    pub askers: usize,
    /// Which records the others keep.
    pub portions: Portions,
}

/// Whom each node is told of when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configured {
    /// Of nobody.
    Nobody,
    /// Of one node.
    One(usize),
    /// Of all others.
    All,
}

impl Layout {
    /// Nodes with multicast that compare nothing, with tables of several
    /// shards, and with rings so small that runs reach past them: what is gone
    /// must be recovered.
    #[must_use]
    pub const fn of(nodes: usize, weather: Weather) -> Self {
        Self {
            nodes,
            multicast: true,
            configured: Configured::All,
            weather,
            compares: false,
            begins_after: 0,
            audited: true,
            table_bytes: 64 << 20,
            ring_bytes: 64 << 10,
            askers: 0,
            portions: Portions::All,
        }
    }
}
