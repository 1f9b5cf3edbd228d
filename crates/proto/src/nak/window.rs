//! Which sequence numbers have been received.

use std::collections::VecDeque;

use crate::load::Load;
use crate::wire::control::Range;

/// How far a stream's highest number may run ahead of its watermark before
/// what lies further back counts as lost: above the packets of the largest
/// ring, so that everything that can still be repaired is waited for.
pub const WINDOW_PACKETS: u64 = 32_768;

/// What a data packet's number was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Not seen before.
    New,
    /// Received already, or before the window.
    Duplicate,
}

/// The received numbers of one stream: all up to the watermark, and a bitmap
/// of those beyond.
#[derive(Debug, Clone)]
pub struct Window {
    /// Everything up to here was taken as received when the window was made.
    start: u64,
    /// Everything up to here was received (or given up).
    watermark: u64,
    /// The highest number received.
    highest: u64,
    /// A bit for each number from `watermark + 1` on, in words of 64.
    words: VecDeque<u64>,
    /// The number that the lowest bit of `words[0]` stands for.
    base: u64,
}

impl Window {
    /// A window in which everything up to `watermark` counts as received.
    #[must_use]
    pub const fn new(watermark: u64) -> Self {
        let words = VecDeque::new();
        Self { start: watermark, watermark, highest: watermark, words, base: watermark + 1 }
    }

    /// Where it begins: everything up to here was taken as received.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The number up to which nothing is missing.
    #[must_use]
    pub const fn watermark(&self) -> u64 {
        self.watermark
    }

    /// The highest number received.
    #[must_use]
    pub const fn highest(&self) -> u64 {
        self.highest
    }

    /// What [`Window::insert`] would say, without inserting.
    #[must_use]
    pub fn arrival(&self, sequence: u64) -> Arrival {
        if sequence <= self.watermark || self.bit(sequence) {
            Arrival::Duplicate
        } else {
            Arrival::New
        }
    }

    /// Marks a number as received. The caller has seen that it lies at most
    /// [`WINDOW_PACKETS`] above the watermark.
    pub fn insert(&mut self, sequence: u64) -> Arrival {
        debug_assert!(sequence <= self.watermark + WINDOW_PACKETS, "beyond the window");
        if self.arrival(sequence) == Arrival::Duplicate {
            return Arrival::Duplicate;
        }
        self.highest = self.highest.max(sequence);
        if sequence == self.watermark + 1 && self.words.is_empty() {
            // In order and with nothing beyond: the bitmap stays empty.
            self.watermark = sequence;
            self.base = sequence + 1;
            return Arrival::New;
        }
        self.set(sequence);
        self.advance();
        Arrival::New
    }

    /// Counts every number of `range` as received, but for those that lie
    /// beyond the window while others are missing before them. Gives the range
    /// that is received by that.
    pub fn fill(&mut self, range: Range) -> Option<Range> {
        let mut filled = range;
        if range.first <= self.watermark + 1 {
            // Nothing is missing before it, however far it reaches.
            self.watermark = self.watermark.max(range.last);
        } else {
            filled.last = range.last.min(self.watermark + WINDOW_PACKETS);
            if filled.first > filled.last {
                return None;
            }
            (filled.first..=filled.last).for_each(|sequence| self.set(sequence));
        }
        self.highest = self.highest.max(filled.last);
        self.advance();
        Some(filled)
    }

    /// Takes the numbers above `start` that were only taken as received when
    /// the window was made for missing, so that they are asked for. False when
    /// they are too many for the window, which then stays as it is.
    pub fn reopen(&mut self, start: u64) -> bool {
        if start >= self.start {
            return true;
        }
        if self.highest - start > WINDOW_PACKETS {
            return false;
        }
        let mut older = Self::new(start);
        let received = self.start + 1..=self.highest;
        received.filter(|&sequence| self.arrival(sequence) == Arrival::Duplicate).for_each(
            |sequence| {
                older.insert(sequence);
            },
        );
        older.highest = self.highest;
        *self = older;
        true
    }

    /// The runs of numbers that were received beyond the watermark, in order.
    pub fn beyond(&self) -> impl Iterator<Item = Range> + '_ {
        let mut gaps = self.missing(0, self.highest).peekable();
        std::iter::from_fn(move || {
            let first = gaps.next()?.last + 1;
            let last = gaps.peek().map_or(self.highest, |gap| gap.first - 1);
            (first <= last).then_some(Range { first, last })
        })
    }

    /// The runs of missing numbers between the watermark and `to`, in order.
    pub fn missing(&self, from: u64, to: u64) -> impl Iterator<Item = Range> + '_ {
        let mut at = from.max(self.watermark + 1);
        std::iter::from_fn(move || {
            while at <= to && self.bit(at) {
                at += 1;
            }
            if at > to {
                return None;
            }
            let first = at;
            while at <= to && !self.bit(at) {
                at += 1;
            }
            Some(Range { first, last: at - 1 })
        })
    }

    /// How many words of its bitmap there are: the watermark may be in the
    /// first of them.
    pub(crate) fn load(&self) -> Load {
        let limit = usize::try_from(WINDOW_PACKETS / 64).unwrap_or(usize::MAX) + 1;
        Load::new("words of a window", self.words.len(), limit)
    }

    fn bit(&self, sequence: u64) -> bool {
        let Some(offset) = sequence.checked_sub(self.base) else { return false };
        let word = usize::try_from(offset / 64).ok().and_then(|index| self.words.get(index));
        word.is_some_and(|word| word >> (offset % 64) & 1 == 1)
    }

    fn set(&mut self, sequence: u64) {
        let offset = sequence - self.base;
        let index = usize::try_from(offset / 64).expect("within the window");
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= 1 << (offset % 64);
    }

    /// Moves the watermark over what is there, and drops full words.
    fn advance(&mut self) {
        while self.bit(self.watermark + 1) {
            self.watermark += 1;
        }
        while self.words.front().is_some() && self.base + 64 <= self.watermark + 1 {
            self.words.pop_front();
            self.base += 64;
        }
        if self.words.is_empty() {
            self.base = self.watermark + 1;
        }
    }
}

/// How many control packets may overtake one before it counts as replayed.
const REPLAY_PACKETS: u64 = 1_024;

/// Which of a sender's latest control packets were received: the sliding
/// window of RFC 6479, so that none is taken twice.
#[derive(Debug, Clone)]
pub struct Replay {
    highest: u64,
    words: [u64; (REPLAY_PACKETS / 64) as usize],
}

impl Replay {
    /// A window in which everything up to `highest` counts as received.
    #[must_use]
    pub const fn new(highest: u64) -> Self {
        let mut words = [u64::MAX; (REPLAY_PACKETS / 64) as usize];
        words[Self::word(highest)] = u64::MAX >> (63 - highest % 64);
        Self { highest, words }
    }

    /// Whether a number was received before, or is too old to tell.
    #[must_use]
    pub const fn seen(&self, sequence: u64) -> bool {
        if sequence > self.highest {
            return false;
        }
        // A word is reused as a whole, so the oldest one cannot be trusted.
        if self.highest - sequence >= REPLAY_PACKETS - 64 {
            return true;
        }
        self.words[Self::word(sequence)] >> (sequence % 64) & 1 == 1
    }

    /// Marks a number as received.
    pub fn insert(&mut self, sequence: u64) {
        if sequence > self.highest {
            let (from, to) = (self.highest / 64 + 1, sequence / 64);
            for word in from..=to.min(from + REPLAY_PACKETS / 64 - 1) {
                self.words[Self::word(word * 64)] = 0;
            }
            if to >= from + REPLAY_PACKETS / 64 {
                self.words[Self::word(sequence)] = 0;
            }
            self.highest = sequence;
        }
        if !self.seen(sequence) {
            self.words[Self::word(sequence)] |= 1 << (sequence % 64);
        }
    }

    const fn word(sequence: u64) -> usize {
        ((sequence / 64) % (REPLAY_PACKETS / 64)) as usize
    }
}

#[cfg(test)]
mod tests;
