//! Numbers that order proposals: of registers, and of the roster itself.

use crate::wire::header::Incarnation;

/// Which roster a proposal was made under. A farm that lost the majority of a
/// roster and began again from what was left is in a later *generation*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term {
    /// How often the farm began again.
    pub generation: u32,
    /// The roster's number.
    pub epoch: u64,
}

/// A proposal's number. The term comes first: whatever is accepted under a
/// later roster is later than all that stragglers accept under an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// The roster that the proposer went by.
    pub term: Term,
    /// Raised until it is above all others.
    pub round: u64,
    /// Who proposes: decides between two of one round.
    pub proposer: Incarnation,
}

impl Ballot {
    /// Below every ballot that is ever proposed.
    pub const NONE: Self =
        Self { term: Term { generation: 0, epoch: 0 }, round: 0, proposer: Incarnation(0) };

    /// The same proposer's next one under the same roster.
    pub(crate) const fn next(self) -> Self {
        Self { round: self.round + 1, ..self }
    }
}

/// Rounds above this are nobody's: a round is raised by one for each change,
/// so that none comes near, and adding to one never overflows.
pub(super) const MAX_ROUND: u64 = 1 << 62;
