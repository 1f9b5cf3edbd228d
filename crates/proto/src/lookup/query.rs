//! One key that is looked for: who was asked, and who has answered what.

use std::time::Duration;

use zeroize::Zeroizing;

use crate::time::Instant;
use crate::transfer::parts::Parts;
use crate::transfer::provider::BURST_PARTS;
use crate::wire::control::{Part, Range};
use crate::wire::header::Incarnation;

/// The most holders of a key that are asked. What one of them confirmed is sure
/// to be found only if all are, which is so where a key has no more holders than
/// this. Of more, those behind are not asked: a write that only they have
/// confirmed is missed until it has come to the others. Where all nodes keep
/// all, only a node that is joining asks.
pub const MAX_HOLDERS: usize = 8;
/// The most messages for one key. The largest record comes in 27 bursts of
/// parts, some of which are asked for again; else the pause doubles, so that no
/// timeout has room for a tenth of this.
const MAX_ASKS: usize = 256;
/// A holder is not asked again sooner: what a busy machine needs to look at
/// its sockets.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// A large record's first bytes give it so many timeouts to arrive, as long as
/// others follow within each.
const LARGE: u32 = 10;

/// A holder of the key, and what it has said.
#[derive(Debug)]
struct Holder {
    node: Incarnation,
    /// When it was asked last.
    asked: Option<Instant>,
    /// Whether it has no record, and how certain it is.
    absent: Option<bool>,
}

/// A message that may be answered.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u64,
    holder: usize,
    at: Instant,
    answered: bool,
}

/// How a query goes on when a holder has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Absent {
    /// Others may have it.
    Going,
    /// Nobody has it; whether all were certain.
    Everywhere { certain: bool },
}

/// What became of a part.
pub(super) enum Taken {
    /// It was here, or fits nothing.
    Nothing,
    /// Others are missing.
    Some,
    /// The record is complete.
    All(Zeroizing<Vec<u8>>),
}

/// A key that is looked for.
#[derive(Debug)]
pub(super) struct Query {
    holders: Vec<Holder>,
    asks: Vec<Asked>,
    parts: Parts,
    /// Parts that were asked for and have not come.
    outstanding: usize,
    /// Who gave the last part: it is asked for the others.
    giver: Option<usize>,
    /// When somebody is to be asked.
    pub(super) due: Instant,
    /// How long an ask waits for its answer once all holders were asked.
    pause: Duration,
    /// When the look-up ends in vain, and when whatever comes.
    ends: Instant,
    ends_at_last: Instant,
    timeout: Duration,
    /// Whether a record of the key has come by since it began.
    pub(super) overtaken: bool,
}

/// Whom to ask next, and whether that is in place of one who has not answered.
pub(super) struct Next {
    pub(super) to: Incarnation,
    pub(super) missing: Vec<Range>,
    pub(super) hedges: bool,
    pub(super) repeats: bool,
}

impl Query {
    /// A query that has asked nobody yet. There is at least one holder.
    pub(super) fn new(now: Instant, timeout: Duration, holders: Vec<Incarnation>) -> Self {
        let holder = |node| Holder { node, asked: None, absent: None };
        Self {
            holders: holders.into_iter().map(holder).collect(),
            asks: Vec::new(),
            parts: Parts::default(),
            outstanding: 0,
            giver: None,
            due: now,
            pause: SHORTEST_PAUSE,
            ends: now + timeout,
            ends_at_last: now + timeout * LARGE,
            timeout,
            overtaken: false,
        }
    }

    /// Whether its time is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ends <= now
    }

    /// When it is to be looked at.
    pub(super) fn timeout(&self) -> Instant {
        self.due.min(self.ends)
    }

    /// Whether a record of more than one part is being put together.
    pub(super) fn assembles(&self) -> bool {
        self.parts.has_begun()
    }

    /// The numbers of its messages.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.asks.iter().map(|ask| ask.number)
    }

    /// When its messages were sent that nobody has answered.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = (u64, Instant)> + '_ {
        self.asks.iter().filter(|ask| !ask.answered).map(|ask| (ask.number, ask.at))
    }

    /// Asks a holder under that number: one that was not asked yet, else the one
    /// whose turn it is. The next one is due after `hedge`, or if all were asked
    /// after a pause that doubles.
    pub(super) fn ask(&mut self, now: Instant, number: u64, hedge: Duration) -> Option<Next> {
        if self.asks.len() >= MAX_ASKS {
            self.due = self.ends;
            return None;
        }
        let holder = self.whom()?;
        let hedges = self.waits_for().any(|asked| asked != holder);
        let repeats = self.holders[holder].asked.is_some() && !self.assembles();
        self.holders[holder].asked = Some(now);
        self.asks.push(Asked { number, holder, at: now, answered: false });
        let pause = if self.open().any(|holder| holder.asked.is_none()) {
            hedge
        } else {
            let pause = self.pause.max(hedge);
            self.pause = pause * 2;
            pause
        };
        self.due = now + pause;
        let missing = self.parts.missing_ranges();
        self.outstanding = self.parts.missing.min(BURST_PARTS);
        Some(Next { to: self.holders[holder].node, missing, hedges, repeats })
    }

    /// The sender of the message of that number, if it is `from`, has answered.
    /// How long it took, at its first answer.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        from: Incarnation,
        number: u64,
    ) -> Option<(usize, Option<Duration>)> {
        let ask = self.asks.iter_mut().find(|ask| ask.number == number)?;
        if self.holders[ask.holder].node != from {
            return None;
        }
        let took = (!ask.answered).then(|| now - ask.at);
        ask.answered = true;
        Some((ask.holder, took))
    }

    /// A holder has no record.
    pub(super) fn absent(&mut self, now: Instant, holder: usize, certain: bool) -> Absent {
        self.holders[holder].absent = Some(certain);
        if self.giver == Some(holder) {
            self.giver = None;
        }
        self.go_on(now)
    }

    /// A node is gone. Whether it was a holder.
    pub(super) fn lost(&mut self, now: Instant, node: Incarnation) -> Option<Absent> {
        let holder = self.holders.iter().position(|holder| holder.node == node)?;
        if self.holders[holder].absent.is_some() {
            return None;
        }
        Some(self.absent(now, holder, false))
    }

    /// A holder gives a part of the record.
    pub(super) fn take(&mut self, now: Instant, holder: usize, part: &Part<'_>) -> Taken {
        if part.count == 1 && part.index == 0 {
            return Taken::All(part.bytes.to_vec().into());
        }
        let first = !self.parts.has_begun();
        if !self.parts.insert(part) {
            return Taken::Nothing;
        }
        if first {
            self.outstanding = usize::from(part.count).min(BURST_PARTS);
        }
        self.outstanding = self.outstanding.saturating_sub(1);
        self.giver = Some(holder);
        self.pause = SHORTEST_PAUSE;
        self.ends = self.ends_at_last.min(now + self.timeout);
        self.due = if self.outstanding == 0 { now } else { now + SHORTEST_PAUSE };
        if self.parts.missing > 0 {
            return Taken::Some;
        }
        // Whoever reads them may find that they are none.
        Taken::All(std::mem::take(&mut self.parts).take())
    }

    /// Asks another holder, unless one that was asked may still have it.
    fn go_on(&mut self, now: Instant) -> Absent {
        if self.open().next().is_none() {
            let certain = self.holders.iter().all(|holder| holder.absent == Some(true));
            return Absent::Everywhere { certain };
        }
        if self.waits_for().next().is_none() {
            self.due = now;
        }
        Absent::Going
    }

    /// Those who were asked and may still answer.
    fn waits_for(&self) -> impl Iterator<Item = usize> + '_ {
        let waits = |ask: &&Asked| !ask.answered && self.holders[ask.holder].absent.is_none();
        self.asks.iter().filter(waits).map(|ask| ask.holder)
    }

    /// Those who may have it.
    fn open(&self) -> impl Iterator<Item = &Holder> {
        self.holders.iter().filter(|holder| holder.absent.is_none())
    }

    fn whom(&mut self) -> Option<usize> {
        // If it falls silent, the others have their turns.
        self.giver.take().or_else(|| {
            (0..self.holders.len())
                .filter(|&holder| self.holders[holder].absent.is_none())
                .min_by_key(|&holder| self.holders[holder].asked)
        })
    }
}
