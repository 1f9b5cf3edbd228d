//! What a write waits for.

use proto::nak::acks;

/// What a write waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Ack {
    /// Nothing: the node's own cache has it.
    #[default]
    Local,
    /// One other holder has it.
    One,
    /// Every live holder has it.
    All,
    /// The tier above has it: every upstream that is configured.
    Tier,
}

impl Ack {
    /// What the other holders are waited for. A write that waits for the tier
    /// above goes to them as well, and does not wait for them.
    pub(crate) const fn of_holders(self) -> acks::Ack {
        match self {
            Self::Local | Self::Tier => acks::Ack::Local,
            Self::One => acks::Ack::One,
            Self::All => acks::Ack::All,
        }
    }
}
