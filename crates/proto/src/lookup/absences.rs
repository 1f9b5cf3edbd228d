//! Keys that no holder has a record of, as they said a moment ago.
//!
//! A client that comes again and again with an id that has ended, or that was
//! never given, costs the farm one question for a while. A record of the key
//! that passes this node ends that while: who writes is never told of an
//! absence from before. Only where that record's packet was lost on its way
//! here the absence is believed until it has been repaired, or time is up.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::load::Load;
use crate::record::KeyHash;
use crate::time::Instant;

/// How long an absence is believed: a few times as long as a lost packet takes
/// to be repaired at the worst pace of the first tries, and so short that
/// nobody waits for its end. Ten questions a second for one id cost nothing.
pub(super) const BELIEVED: Duration = Duration::from_millis(100);
/// The most absences that are remembered, some 80 bytes each: as many as come
/// at 160,000 look-ups in vain a second. Beyond it the oldest is asked for again.
pub(super) const MAX_ABSENCES: usize = 16_384;

/// Absent keys, for a while each.
#[derive(Debug, Default)]
pub(super) struct Absences {
    until: BTreeMap<KeyHash, Instant>,
    /// In the order of their ends, as each is believed equally long. What was
    /// taken back is still among them.
    order: VecDeque<(Instant, KeyHash)>,
}

impl Absences {
    /// No holder has a record of this key.
    pub(super) fn insert(&mut self, now: Instant, key: KeyHash) {
        self.expire(now);
        if self.order.len() >= MAX_ABSENCES {
            self.drop_oldest();
        }
        let until = now + BELIEVED;
        self.until.insert(key, until);
        self.order.push_back((until, key));
    }

    /// There is one, or may be.
    pub(super) fn remove(&mut self, key: KeyHash) {
        self.until.remove(&key);
    }

    /// Whether the holders have said lately that they have none.
    pub(super) fn contains(&mut self, now: Instant, key: KeyHash) -> bool {
        self.expire(now);
        self.until.contains_key(&key)
    }

    /// Whether none is believed.
    pub(super) fn is_empty(&self) -> bool {
        self.until.is_empty()
    }

    pub(super) fn load(&self) -> Load {
        Load::new("absences", self.order.len(), MAX_ABSENCES)
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|&(until, _)| until <= now) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((until, key)) = self.order.pop_front()
            && self.until.get(&key) == Some(&until)
        {
            self.until.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1);

    #[test]
    fn an_absence_is_believed_for_a_while() {
        let mut absences = Absences::default();
        absences.insert(START, KeyHash(1));
        assert!(absences.contains(START, KeyHash(1)) && !absences.contains(START, KeyHash(2)));
        absences.insert(START + BELIEVED / 2, KeyHash(1));
        assert!(absences.contains(START + BELIEVED, KeyHash(1)), "told again meanwhile");
        assert!(!absences.contains(START + BELIEVED * 2, KeyHash(1)));
        assert!(absences.is_empty() && absences.load().used == 0);
    }

    #[test]
    fn what_is_taken_back_is_not_believed() {
        let mut absences = Absences::default();
        absences.insert(START, KeyHash(1));
        absences.remove(KeyHash(1));
        assert!(!absences.contains(START, KeyHash(1)) && absences.is_empty());
        absences.insert(START + BELIEVED / 2, KeyHash(1));
        assert!(absences.contains(START + BELIEVED, KeyHash(1)), "the first one's end is not its");
    }

    #[test]
    fn beyond_the_limit_the_oldest_is_forgotten() {
        let mut absences = Absences::default();
        for key in 0..=MAX_ABSENCES as u64 {
            absences.insert(START, KeyHash(key));
        }
        assert!(!absences.contains(START, KeyHash(0)) && absences.contains(START, KeyHash(1)));
        assert_eq!(absences.load().used, MAX_ABSENCES);
    }
}
