//! What the operations on one register mean: a number, or a lock.
//!
//! Leases and deadlines end by the clock of whoever decides, which may differ from the
//! history's by a bound: where that leaves it open whether a lock or a number
//! had ended, both answers are right. Tokens have to grow, whatever happens.

use super::{Call, Model};

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Read.
    Get,
    /// Write.
    Put(i64),
    /// Write a number that ends at that time of day, in milliseconds.
    PutUntil(i64, u64),
    /// Write where nothing is.
    PutAbsent(i64),
    /// Write where nothing is a number that ends at that time.
    PutAbsentUntil(i64, u64),
    /// Write the second where the first is.
    Exchange(i64, i64),
    /// Add.
    Increment(i64),
    /// Read and delete.
    Take,
    /// Delete.
    Delete,
    /// Acquire the lock for so many milliseconds.
    Acquire(u64),
    /// Renew the lock of this token for so many milliseconds.
    Renew(u64, u64),
    /// Free the lock of this token.
    Release(u64),
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// This was there.
    Found(Option<i64>),
    /// It is done.
    Done,
    /// Something else was there.
    Unexpected,
    /// The sum.
    Number(i64),
    /// The lock is the asker's: its token, and until when.
    Locked(u64, u64),
    /// It is another's.
    Occupied,
    /// It is not held with that token.
    NotHeld,
}

/// An operation and its answer, if that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub asked: Asked,
    /// What was answered.
    pub answer: Option<Answer>,
}

/// What there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// Nothing.
    Absent,
    /// A number, and when it ends.
    Number(i64, u64),
    /// A lock.
    Lock {
        /// Its token; none where the answer that told it is unknown.
        token: Option<u64>,
        /// When it ends at the earliest and at the latest.
        until: (u64, u64),
    },
}

/// A register: what is there, and the last token that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    content: Content,
    token: u64,
}

/// One register. Calls are timed in microseconds, leases in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Register {
    /// How far clocks may be from the history's, in milliseconds.
    pub skew: u64,
    /// How long after its beginning an operation is decided at the latest, in
    /// milliseconds.
    pub patience: u64,
}

impl Model for Register {
    type State = State;
    type Operation = Operation;

    fn initial(&self) -> State {
        State { content: Content::Absent, token: 0 }
    }

    fn step(&self, state: &State, call: &Call<Operation>) -> Vec<State> {
        let Operation { asked, answer } = call.operation;
        match asked {
            Asked::Acquire(lease) => self.acquire(*state, call, lease),
            Asked::Renew(token, lease) => self.renew(*state, call, (token, lease)),
            Asked::Release(token) => self.release(*state, call, token),
            Asked::Get
            | Asked::Put(_)
            | Asked::PutUntil(..)
            | Asked::PutAbsent(_)
            | Asked::PutAbsentUntil(..)
            | Asked::Exchange(..)
            | Asked::Increment(_)
            | Asked::Take
            | Asked::Delete => {
                let fits = |right| answer.is_none_or(|answer| answer == right);
                let seen = self.may_see(state.content, call);
                let results = seen.map(|seen| (seen, number(asked, seen)));
                results
                    .filter(|&(_, (_, right))| fits(right))
                    .map(|(seen, (next, _))| {
                        // What had ended for one may still be there for another,
                        // until it is written over.
                        let is_read = next == seen && asked != Asked::Delete;
                        let content = if is_read { state.content } else { next };
                        State { content, ..*state }
                    })
                    .collect()
            }
        }
    }
}

/// What an operation on numbers leaves, and what it is answered.
fn number(asked: Asked, content: Content) -> (Content, Answer) {
    let (held, deadline) = match content {
        Content::Number(number, until) => (Some(number), until),
        Content::Absent | Content::Lock { .. } => (None, u64::MAX),
    };
    let written = |new, until| (Content::Number(new, until), Answer::Done);
    match asked {
        Asked::Put(new) => written(new, u64::MAX),
        Asked::PutUntil(new, until) => written(new, until),
        Asked::PutAbsent(new) if held.is_none() => written(new, u64::MAX),
        Asked::PutAbsentUntil(new, until) if held.is_none() => written(new, until),
        Asked::Exchange(old, new) if held == Some(old) => written(new, u64::MAX),
        Asked::PutAbsent(_) | Asked::PutAbsentUntil(..) | Asked::Exchange(..) => {
            (content, Answer::Unexpected)
        }
        Asked::Increment(by) => {
            let sum = held.unwrap_or(0) + by;
            (Content::Number(sum, deadline), Answer::Number(sum))
        }
        Asked::Take => (Content::Absent, Answer::Found(held)),
        Asked::Delete => (Content::Absent, Answer::Done),
        Asked::Get | Asked::Acquire(_) | Asked::Renew(..) | Asked::Release(_) => {
            (content, Answer::Found(held))
        }
    }
}

impl Register {
    /// When the clock of whoever decided may have shown what, in the time of
    /// an operation.
    fn clock(&self, call: &Call<Operation>) -> (u64, u64) {
        let began = call.began / 1_000;
        let latest = call.ended.map_or(began + self.patience, |ended| ended.div_ceil(1_000));
        (began.saturating_sub(self.skew), latest + self.skew)
    }

    /// What may be seen of a content: a number as it is, or that it has ended.
    fn may_see(
        &self,
        content: Content,
        call: &Call<Operation>,
    ) -> impl Iterator<Item = Content> + use<> {
        let (ended, held) = match content {
            Content::Number(_, until) => self.may_be((until, until), call),
            Content::Absent | Content::Lock { .. } => (false, true),
        };
        let ended = ended.then_some(Content::Absent);
        held.then_some(content).into_iter().chain(ended)
    }

    /// Whether a lock may have ended, and whether it may still have been held.
    fn may_be(&self, until: (u64, u64), call: &Call<Operation>) -> (bool, bool) {
        let (earliest, latest) = self.clock(call);
        (until.0 <= latest, until.1 > earliest)
    }

    fn acquire(&self, state: State, call: &Call<Operation>, lease: u64) -> Vec<State> {
        let (free, held) = match state.content {
            Content::Absent | Content::Number(..) => (true, false),
            Content::Lock { until, .. } => self.may_be(until, call),
        };
        let lock = |token, until| Content::Lock { token, until };
        match call.operation.answer {
            Some(Answer::Locked(token, until)) if free && token > state.token => {
                vec![State { content: lock(Some(token), (until, until)), token }]
            }
            Some(Answer::Occupied) if held => vec![state],
            None if free => {
                let (earliest, latest) = self.clock(call);
                let until = (earliest + lease, latest + lease);
                vec![State { content: lock(None, until), ..state }]
            }
            _ => Vec::new(),
        }
    }

    fn renew(
        &self,
        state: State,
        call: &Call<Operation>,
        (token, lease): (u64, u64),
    ) -> Vec<State> {
        let (ended, held) = self.holds(state, call, token);
        let lock = |until| State { content: Content::Lock { token: Some(token), until }, ..state };
        match call.operation.answer {
            Some(Answer::Locked(told, until)) if held && told == token => {
                vec![lock((until, until))]
            }
            Some(Answer::NotHeld) if ended => vec![state],
            None if held => {
                let (earliest, latest) = self.clock(call);
                vec![lock((earliest + lease, latest + lease))]
            }
            _ => Vec::new(),
        }
    }

    fn release(&self, state: State, call: &Call<Operation>, token: u64) -> Vec<State> {
        let (ended, held) = self.holds(state, call, token);
        match call.operation.answer {
            Some(Answer::Done) | None if held => {
                vec![State { content: Content::Absent, ..state }]
            }
            Some(Answer::NotHeld) if ended => vec![state],
            _ => Vec::new(),
        }
    }

    /// Whether the lock of that token may not be held, and whether it may.
    fn holds(&self, state: State, call: &Call<Operation>, token: u64) -> (bool, bool) {
        match state.content {
            Content::Lock { token: Some(held), until } if held == token => self.may_be(until, call),
            Content::Absent | Content::Number(..) | Content::Lock { .. } => (true, false),
        }
    }
}

#[cfg(test)]
mod tests;
