//! Writes that wait until others have them.

use std::collections::VecDeque;

use crate::cluster::slots::Slot;
use crate::load::Load;
use crate::nak::progress::Progress;

/// When so many writes of a kind wait, further writers are to.
const MANY_WAITING: usize = 65_536;
/// When so many writes wait for certain holders. All are looked through for
/// each status that says more than the one before: some 100 microseconds.
const MANY_HELD: usize = 4_096;
/// How much more may be taken in by those who do not wait, or had begun before
/// there were many: beyond that the oldest is given up, and its writer told.
const MOST: usize = 2;

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
    /// A write whose last packet is `sequence` waits for `ack`. Gives the one that
    /// is given up for it, if there is one.
    #[must_use]
    pub fn push(&mut self, sequence: u64, write: WriteId, ack: Ack) -> Option<WriteId> {
        let queue = match ack {
            Ack::Local => return None,
            Ack::One => &mut self.one,
            Ack::All => &mut self.all,
        };
        queue.push_back((sequence, write));
        let is_too_long = queue.len() > MOST * MANY_WAITING;
        is_too_long.then(|| queue.pop_front()).flatten().map(|(_, oldest)| oldest)
    }

    /// The same of a write that waits for the holders of its keys.
    #[must_use]
    pub fn push_held(&mut self, held: Held) -> Option<WriteId> {
        self.held.push_back(held);
        let is_too_long = self.held.len() > MOST * MANY_HELD;
        is_too_long.then(|| self.held.pop_front()).flatten().map(|oldest| oldest.write)
    }

    /// Whether so few wait that more may begin to.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let longest = self.one.len().max(self.all.len());
        longest < MANY_WAITING && self.held.len() < MANY_HELD
    }

    /// Forgets those whose writers do not wait any more.
    pub fn forget(&mut self, is_over: impl Fn(WriteId) -> bool) {
        self.one.retain(|(_, write)| !is_over(*write));
        self.all.retain(|(_, write)| !is_over(*write));
        self.held.retain(|held| !is_over(held.write));
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
            Load::new("writes that wait for one", self.one.len(), MOST * MANY_WAITING),
            Load::new("writes that wait for all", self.all.len(), MOST * MANY_WAITING),
            Load::new("writes that wait for holders", self.held.len(), MOST * MANY_HELD),
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
    use crate::record::KeyHash;
    use crate::time::Instant;
    use crate::wire::header::Incarnation;

    #[test]
    fn what_nobody_confirms_is_given_up_in_the_end_and_told() {
        let mut waiting = Waiting::default();
        let mut progress = Progress::default();
        let most = MOST * MANY_WAITING;
        let last = most as u64 + 1;
        for sequence in 1..=last {
            assert_eq!(waiting.has_room(), sequence <= MANY_WAITING as u64);
            let given_up = waiting.push(sequence, WriteId(sequence), Ack::One);
            assert_eq!(given_up, (sequence == last).then_some(WriteId(1)));
            assert_eq!(waiting.pop(&progress), None);
        }
        progress.join(Instant::default(), Incarnation(1));
        let report = Report { after: 0, watermark: last, reached: last, credit: 1, overflowed: 0 };
        progress.report(Instant::default(), Incarnation(1), &report, (last, 100));
        let confirmed: Vec<_> = std::iter::from_fn(|| waiting.pop(&progress)).collect();
        assert_eq!(confirmed.len(), most);
        assert_eq!(confirmed[0], WriteId(2));
    }

    #[test]
    fn there_is_room_again_once_writers_have_gone() {
        let mut waiting = Waiting::default();
        for write in 0..MANY_HELD as u64 {
            assert!(waiting.has_room());
            let slots = [Slot::of(KeyHash(write)); 2];
            let held = Held { sequence: write, write: WriteId(write), ack: Ack::All, slots };
            assert_eq!(waiting.push_held(held), None);
        }
        assert!(!waiting.has_room());
        waiting.forget(|write| write.0 % 2 == 0);
        assert!(waiting.has_room());
        let left = waiting.take_held(u64::MAX, |_| true);
        assert_eq!(left.len(), MANY_HELD / 2);
        assert_eq!(left[0], WriteId(1));
    }
}
