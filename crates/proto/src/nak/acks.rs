//! Writes that wait until others have them.

use std::collections::VecDeque;

use crate::cluster::slots::Slot;
use crate::load::Load;
use crate::nak::progress::Progress;

/// The most writes of a kind that wait. The oldest is given up for one more:
/// its writer has stopped waiting long before so many others have begun to.
const MAX_WAITING: usize = 65_536;
/// The most writes that wait for certain holders. All are looked through for
/// each status that says more than the one before: some 100 microseconds.
const MAX_HELD: usize = 4_096;

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
    /// Those that wait for certain holders. Each is looked at by itself, so
    /// that it waits for its own holders and not for those of others.
    held: VecDeque<Held>,
}

/// A write that waits for the holders of its keys.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Its last packet.
    pub sequence: u64,
    /// The caller's number for it.
    pub write: WriteId,
    /// What it waits for.
    pub ack: Ack,
    /// Its keys' slots: twice the same where it has one.
    pub slots: [Slot; 2],
}

impl Waiting {
    /// A write whose last packet is `sequence` waits for `ack`.
    pub fn push(&mut self, sequence: u64, write: WriteId, ack: Ack) {
        let queue = match ack {
            Ack::Local => return,
            Ack::One => &mut self.one,
            Ack::All => &mut self.all,
        };
        if queue.len() >= MAX_WAITING {
            queue.pop_front();
        }
        queue.push_back((sequence, write));
    }

    /// A write waits for the holders of its keys.
    pub fn push_held(&mut self, held: Held) {
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(held);
    }

    /// Whether any wait for the holders of their keys.
    #[must_use]
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes those out that are `confirmed`, of the packets up to `reached`.
    pub fn take_held(&mut self, reached: u64, confirmed: impl Fn(&Held) -> bool) -> Vec<WriteId> {
        let mut taken = Vec::new();
        if self.held.front().is_some_and(|first| first.sequence <= reached) {
            self.held.retain(|held| {
                let take = held.sequence <= reached && confirmed(held);
                if take {
                    taken.push(held.write);
                }
                !take
            });
        }
        taken
    }

    /// How many wait.
    pub(crate) fn loads(&self) -> [Load; 3] {
        [
            Load::new("writes that wait for one", self.one.len(), MAX_WAITING),
            Load::new("writes that wait for all", self.all.len(), MAX_WAITING),
            Load::new("writes that wait for holders", self.held.len(), MAX_HELD),
        ]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nak::progress::Report;
    use crate::time::Instant;
    use crate::wire::header::Incarnation;

    #[test]
    fn what_nobody_confirms_is_given_up_in_the_end() {
        let mut waiting = Waiting::default();
        let mut progress = Progress::default();
        let last = MAX_WAITING as u64 + 1;
        for sequence in 1..=last {
            waiting.push(sequence, WriteId(sequence), Ack::One);
            assert_eq!(waiting.pop(&progress), None);
        }
        progress.join(Instant::default(), Incarnation(1));
        let report = Report { after: 0, watermark: last, reached: last, credit: 1, overflowed: 0 };
        progress.report(Instant::default(), Incarnation(1), &report, (last, 100));
        let confirmed: Vec<_> = std::iter::from_fn(|| waiting.pop(&progress)).collect();
        assert_eq!(confirmed.len(), MAX_WAITING);
        assert_eq!(confirmed[0], WriteId(2));
    }
}
