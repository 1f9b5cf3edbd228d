//! Writes that wait until others have them.

use std::collections::VecDeque;

use crate::load::Load;
use crate::nak::progress::Progress;

/// The most writes of a kind that wait. The oldest is given up for one more:
/// its writer has stopped waiting long before so many others have begun to.
const MAX_WAITING: usize = 65_536;

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

    /// How many wait.
    pub(crate) fn loads(&self) -> [Load; 2] {
        [
            Load::new("writes that wait for one", self.one.len(), MAX_WAITING),
            Load::new("writes that wait for all", self.all.len(), MAX_WAITING),
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
