//! Writes that wait until others have them.

use std::collections::VecDeque;

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
}

/// The caller's number for a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The writes that wait, in the order of their packets.
#[derive(Debug, Default)]
pub struct Waiting {
    one: VecDeque<(u64, WriteId)>,
    all: VecDeque<(u64, WriteId)>,
}

impl Waiting {
    /// A write whose last packet is `sequence` waits for `ack`.
    pub fn push(&mut self, sequence: u64, write: WriteId, ack: Ack) {
        match ack {
            Ack::Local => {}
            Ack::One => self.one.push_back((sequence, write)),
            Ack::All => self.all.push_back((sequence, write)),
        }
    }

    /// The next write that `most` (what one receiver has) or `least` (what
    /// every receiver has) satisfies.
    pub fn pop(&mut self, most: Option<u64>, least: Option<u64>) -> Option<WriteId> {
        // Without receivers there is no other holder to wait for; `all` of
        // none is satisfied, `one` of none never is.
        pop_through(&mut self.one, most.unwrap_or(0))
            .or_else(|| pop_through(&mut self.all, least.unwrap_or(u64::MAX)))
    }
}

fn pop_through(queue: &mut VecDeque<(u64, WriteId)>, through: u64) -> Option<WriteId> {
    let &(sequence, write) = queue.front()?;
    (sequence <= through).then(|| {
        queue.pop_front();
        write
    })
}
