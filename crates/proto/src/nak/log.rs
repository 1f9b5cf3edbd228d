//! Which keys the node's own packets were about, long after the packets went.

use std::collections::VecDeque;

use crate::load::Load;
use crate::record::KeyHash;
use crate::wire::control::Range;

/// How many entries are kept: sixteen bytes each, 16 MiB in all.
const CAPACITY: usize = 1 << 20;

/// The keys of the packets that were sent, oldest first.
#[derive(Debug, Default)]
pub struct KeyLog {
    entries: VecDeque<(u64, KeyHash)>,
    /// Every packet after this one is in the log with all its keys.
    forgotten: u64,
}

impl KeyLog {
    /// Notes that packet `sequence`, the newest, was about `key`.
    pub fn push(&mut self, sequence: u64, key: KeyHash) {
        if self.entries.len() == CAPACITY
            && let Some((oldest, _)) = self.entries.pop_front()
        {
            self.forgotten = oldest;
        }
        self.entries.push_back((sequence, key));
    }

    /// How many entries there are.
    pub(crate) fn load(&self) -> Load {
        Load::new("logged keys", self.entries.len(), CAPACITY)
    }

    /// Whether all keys of these packets are known.
    #[must_use]
    pub const fn covers(&self, range: Range) -> bool {
        range.first > self.forgotten
    }

    /// Where the entries of the packets from `first` on begin, for
    /// [`KeyLog::entry`].
    #[must_use]
    pub fn position(&self, first: u64) -> usize {
        self.entries.partition_point(|&(sequence, _)| sequence < first)
    }

    /// The entry at a position.
    #[must_use]
    pub fn entry(&self, position: usize) -> Option<(u64, KeyHash)> {
        self.entries.get(position).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_has_forgotten() {
        let mut log = KeyLog::default();
        let last = CAPACITY as u64 + 10;
        (1..=last).for_each(|sequence| log.push(sequence, KeyHash(sequence)));
        assert!(!log.covers(Range { first: 10, last: 20 }));
        assert!(log.covers(Range { first: 11, last: 20 }));
        assert_eq!(log.entry(log.position(11)), Some((11, KeyHash(11))));
        assert_eq!(log.entry(log.position(last + 1)), None);
    }
}
