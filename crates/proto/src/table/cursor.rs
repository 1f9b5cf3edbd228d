//! Where a scan goes on.

/// Where a scan of one table goes on. Travels as a `u64`; a number that did
/// not come from this table's scan starts it somewhere else, and is harmless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor(u64);

/// The two queues of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Where records come in.
    Small,
    /// Where records go that were used there.
    Main,
}

/// What a cursor says: a shard, a queue, and a position in what ever went
/// through that queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) shard: usize,
    pub(super) queue: Queue,
    /// In bytes, a multiple of [`Cursor::UNIT`].
    pub(super) position: u64,
}

impl Cursor {
    /// Where every scan begins.
    pub const START: Self = Self(0);

    /// Positions are counted in granules. Fifty-five bits of them are 288 PB.
    const UNIT: u64 = super::entry::GRANULE_BYTES as u64;
    const POSITION_BITS: u32 = 55;

    /// The cursor of a number that came from [`Cursor::to_u64`], perhaps at
    /// another node.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number to carry over the wire.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    pub(super) const fn new(place: Place) -> Self {
        let queue = match place.queue {
            Queue::Small => 0,
            Queue::Main => 1,
        };
        let stage = ((place.shard as u64) << 1) | queue;
        Self((stage << Self::POSITION_BITS) | (place.position / Self::UNIT))
    }

    pub(super) fn place(self) -> Place {
        let stage = self.0 >> Self::POSITION_BITS;
        let shard = usize::try_from(stage >> 1).expect("eight bits");
        let queue = if stage & 1 == 0 { Queue::Small } else { Queue::Main };
        let granules = self.0 & ((1 << Self::POSITION_BITS) - 1);
        Place { shard, queue, position: granules * Self::UNIT }
    }
}
