//! What a register holds.

use bytes::Bytes;

use super::operation::Outcome;
use crate::record::Hlc;
use crate::time::Wall;

/// Names one request: a second one of the same id is the same request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u128);

/// The content of a register.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub enum Content {
    /// Nothing: never written, deleted, taken, or released.
    #[default]
    Absent,
    /// A value.
    Value {
        /// Its bytes.
        bytes: Bytes,
        /// When it ends.
        deadline: Wall,
    },
    /// A lock that is held.
    Lock {
        /// Who holds it, in his own words.
        owner: Bytes,
        /// The fencing token: later holders have larger ones.
        token: Hlc,
        /// When the lease ends.
        until: Wall,
    },
}

impl Content {
    /// When it ends; nothing has ended already.
    pub(super) const fn end(&self) -> Wall {
        match self {
            Self::Absent => Wall::from_millis(0),
            Self::Value { deadline, .. } => *deadline,
            Self::Lock { until, .. } => *until,
        }
    }
}

impl std::fmt::Debug for Content {
    /// Lengths only: values are state of sessions.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absent => write!(f, "Absent"),
            Self::Value { bytes, .. } => write!(f, "Value({} bytes)", bytes.len()),
            Self::Lock { token, .. } => write!(f, "Lock({})", token.0),
        }
    }
}

/// The state of a register: its content, and what the last change was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct State {
    /// Grows with each change. It is the later of the last one's successor and
    /// the proposer's clock, so that it grows even where the last is forgotten.
    pub version: Hlc,
    /// What is there.
    pub content: Content,
    /// The request that made the last change, and what it was answered.
    pub last: Option<(RequestId, Outcome)>,
}

impl State {
    /// How much memory it takes, besides a fixed share.
    pub(super) fn bytes(&self) -> usize {
        let content = match &self.content {
            Content::Absent => 0,
            Content::Value { bytes, .. } => bytes.len(),
            Content::Lock { owner, .. } => owner.len(),
        };
        content + self.last.as_ref().map_or(0, |(_, outcome)| outcome.bytes())
    }

    /// When it ends, or ended: what is absent ended when that was written.
    pub(super) fn end(&self) -> Wall {
        self.content.end().max(self.version.wall())
    }

    /// What is there at `wall`, with what has ended taken away.
    pub(super) fn at(&self, wall: Wall) -> &Content {
        const NOTHING: &Content = &Content::Absent;
        if self.content.end() <= wall { NOTHING } else { &self.content }
    }
}
