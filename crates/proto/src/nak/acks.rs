//! Writes that wait until others have them.

use std::collections::VecDeque;

use crate::nak::progress::Progress;

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

    /// The next write that is confirmed as it asked to be. Without receivers
    /// `All` is satisfied, and `One` never is.
    pub fn pop(&mut self, progress: &Progress) -> Option<WriteId> {
        pop_if(&mut self.one, |sequence| progress.one_has(sequence))
            .or_else(|| pop_if(&mut self.all, |sequence| progress.all_have(sequence)))
    }
}

fn pop_if(
    queue: &mut VecDeque<(u64, WriteId)>,
    confirmed: impl FnOnce(u64) -> bool,
) -> Option<WriteId> {
    let &(sequence, write) = queue.front()?;
    confirmed(sequence).then(|| {
        queue.pop_front();
        write
    })
}
